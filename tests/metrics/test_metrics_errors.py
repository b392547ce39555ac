"""Where scikit-learn raises or warns, so do the metrics: the same type for the same input."""

import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from outcomes import assert_same_outcome, outcome
from sklearn.exceptions import UndefinedMetricWarning

from fastloss import metrics

NAN, INF = float("nan"), float("inf")
Y, P = np.array([1.0, 2.0, 3.0]), np.array([1.5, 1.0, 3.5])
T, Q = np.array([0, 1, 1]), np.array([0.2, 0.7, 0.4])
Q2 = np.stack((1 - Q, Q), axis=1)
T3, Q3 = np.array([0, 1, 2]), np.full((3, 3), 1 / 3)
BIG = 40_000

REGRESSION = [name for name in metrics.__all__
              if name.startswith(("mean_", "root_"))]
MULTIOUTPUT = [name for name in REGRESSION if not name.endswith("deviance")]

BAD_NUMBERS = {
    "none": (None, P), "scalar": (1.0, 2.0), "pred none": (Y, None), "0-d": (np.array(1.0), P),
    "string": ("abc", P), "lengths": (Y, P[:2]), "empty": ([], []),
    "empty arrays": (np.empty(0), np.empty(0)), "no columns": (np.empty((3, 0)), np.empty((3, 0))),
    "nan true": (np.array([1, NAN, 3]), P), "nan pred": (Y, np.array([1, NAN, 3])),
    "inf true": (np.array([1, INF, 3]), P), "inf pred": (Y, np.array([1, INF, 3])),
    "minus inf": (Y, np.array([1, -INF, 3])), "both inf": (np.array([INF, 1]), np.array([INF, 1])),
    "nan list": ([1.0, NAN], [1.0, 2.0]), "inf f4": (Y.astype("f4"), np.array([1, INF, 3], "f4")),
    "words": (["a", "b", "c"], P), "word array": (np.array(["a", "b", "c"]), P),
    "bytes": (np.array([b"a", b"b", b"c"]), P), "complex": (Y + 1j, P), "complex pred": (Y, P + 1j),
    "3-d": (np.ones((2, 2, 2)), np.ones((2, 2, 2))), "columns": (np.ones((3, 2)), np.ones((3, 3))),
    "column and row": (np.ones((3, 2)), P),
    "matrix": (np.array([[1.0], [2.0], [3.0]]).view(np.matrix), P),
    "sparse": (scipy.sparse.csr_array(np.eye(3)), np.eye(3)), "ragged": ([[1, 2], [3]], [1, 2]),
    "object none": (np.array([1, None, 3], dtype=object), P),
    "object word": (np.array([1, "x", 3], dtype=object), P),
    "NA": (pd.Series([1, None, 3], dtype="Int64"), P), "dict": ({0: 1, 1: 2, 2: 3}, P),
}
BAD_WEIGHTS = {
    "number": 1.0, "length": [1.0, 2.0], "2-d": np.ones((3, 1)), "zeros": [0, 0, 0],
    "float zeros": np.zeros(3), "nan": [1, NAN, 1], "inf": np.array([1, INF, 1]),
    "cancel": np.array([1.0, -1.0, 0.0]), "words": ["a", "b", "c"], "complex": [1j, 1, 1],
    "object": np.array([1, None, 2], dtype=object), "empty": [], "word": "abc",
    "nan array": np.array([1, NAN, 1]), "0-d": np.array(1.0),
}


@pytest.mark.parametrize("case", BAD_NUMBERS)
@pytest.mark.parametrize("name", REGRESSION)
def test_bad_numbers(name, case):
    assert_same_outcome(name, *BAD_NUMBERS[case])


@pytest.mark.parametrize("case", BAD_WEIGHTS)
@pytest.mark.parametrize("name", [*REGRESSION, "log_loss", "brier_score_loss", "hinge_loss",
                                  "d2_log_loss_score"])
def test_bad_weights(name, case):
    data = (Y, P) if name in REGRESSION else (T, Q)
    if (name, case) == ("hinge_loss", "complex") or (
            name in REGRESSION and case == "complex") or (
            name not in (*REGRESSION, "hinge_loss") and case == "object"):
        # theirs is a TypeError of NumPy's on the way, or, in hinge_loss, the real part; ours is
        # that of a complex array, or of the NaN that None is
        with pytest.raises(ValueError, match=r"Complex data|contains NaN"):
            getattr(metrics, name)(*data, sample_weight=BAD_WEIGHTS[case])
        return
    # hinge_loss takes weights as they come: some of these give a number or nan
    assert_same_outcome(name, *data, sample_weight=BAD_WEIGHTS[case], raises=name != "hinge_loss")
    if name == "log_loss" and case != "words":
        assert_same_outcome(name, *data, sample_weight=BAD_WEIGHTS[case], normalize=False,
                            raises=case != "cancel")


@pytest.mark.parametrize("multioutput", [
    "mean", "variance_weighted", None, 1.0, [0.5, 0.5], [1, 1, 1], [0, 0], [NAN, 1], ["a", "b"],
    [1, -1], [[0.5, 0.5]], []])
@pytest.mark.parametrize("name", MULTIOUTPUT)
def test_bad_multioutput(name, multioutput):
    y, p = np.array([[1.0, 2], [3, 5]]), np.array([[1.5, 2], [3, 4]])
    raises = name != "root_mean_squared_error" and multioutput != [0.5, 0.5]
    assert_same_outcome(name, y, p, multioutput=multioutput, raises=raises)
    assert_same_outcome(name, Y, P, multioutput=multioutput,
                        raises=name != "root_mean_squared_error")


@pytest.mark.parametrize("alpha", [-0.1, 1.1, NAN, "a", None, [0.5], 1j, 10**400, np.array(0.5)])
def test_bad_alpha(alpha):
    assert_same_outcome("mean_pinball_loss", Y, P, alpha=alpha)


@pytest.mark.parametrize("power", [0.5, NAN, "a", None, [1], 1e-300, INF, -INF, np.float32(INF),
                                   np.array(2.0), np.True_])
def test_bad_power(power):
    assert_same_outcome("mean_tweedie_deviance", Y, P, power=power)


@pytest.mark.parametrize("power", [-2, -0.5, 0, 1, 1.5, 2, 2.5, 3, 10])
@pytest.mark.parametrize("y", [1.0, 0.0, -0.5])
@pytest.mark.parametrize("p", [1.0, 0.0, -0.5])
@pytest.mark.parametrize("w", [None, np.array([0.0, 1.0])])
def test_domain_of_deviances(power, y, p, w):
    data = np.array([y, 1.0]), np.array([p, 2.0])
    assert_same_outcome("mean_tweedie_deviance", *data, power=power, sample_weight=w, raises=False)
    if power in (1, 2):
        name = "mean_poisson_deviance" if power == 1 else "mean_gamma_deviance"
        assert_same_outcome(name, *data, sample_weight=w, raises=False)


@pytest.mark.parametrize("power", [-1, 0, 1, 1.5, 2, 3])
@pytest.mark.parametrize("bad", [NAN, INF])
@pytest.mark.parametrize("w", [None, np.array([0.0, 1.0, 1.0])])
def test_deviances_of_what_is_not_finite(power, bad, w):
    for data in ((np.array([bad, 1, 2]), P), (Y, np.array([bad, 1, 2]))):
        assert_same_outcome("mean_tweedie_deviance", *data, power=power, sample_weight=w)


@pytest.mark.parametrize("y", [-1.0, -1.5, -0.5])
@pytest.mark.parametrize("p", [-1.0, -1.5, -0.5])
@pytest.mark.parametrize("w", [None, np.array([0.0, 1.0])])
@pytest.mark.parametrize("name", ["mean_squared_log_error", "root_mean_squared_log_error"])
def test_domain_of_log_errors(name, y, p, w):
    assert_same_outcome(name, np.array([y, 1.0]), np.array([p, 2.0]), sample_weight=w,
                        raises=False)


BAD_PROBABILITIES = {
    "none": (None, Q), "pred none": (T, None), "scalar": (1, 0.5), "lengths": (T, Q[:2]),
    "empty": ([], []), "above": (T, Q + 0.5), "below": (T, Q - 0.5),
    "nan": (T, np.array([NAN, 0.5, 0.5])),
    "inf": (T, np.array([INF, 0.5, 0.5])), "above f4": (T, (Q + 0.5).astype("f4")),
    "one class": (np.ones(3), Q), "one class int": (np.ones(3, int), Q),
    "one word": (np.array(["a"] * 3), Q), "one bool": (np.ones(3, bool), Q2),
    "three classes": (T3, Q), "three words": (np.array(["a", "b", "c"]), Q),
    "three of two": (T3, Q2), "two of three": (T, Q3), "fractions": (np.array([0.5, 1, 0]), Q),
    "nan label": (np.array([0, 1, NAN]), Q), "inf label": (np.array([0, 1, INF]), Q),
    "nan labels": (np.array([0, 1, NAN]), Q2), "objects": (np.array([0, 1, 1], dtype=object), Q),
    "mixed": (np.array(["a", 1, 1], dtype=object), Q), "bytes": (np.array([b"a", b"b", b"b"]), Q),
    "complex": (T, Q + 0j), "complex label": (T + 0j, Q), "3-d": (T, np.ones((3, 2, 2)) / 2),
    "3-d label": (np.ones((3, 2, 2)), Q2), "multioutput": (np.array([[1, 2], [3, 1], [1, 1]]), Q2),
    "words": (T, np.array(["a", "b", "c"])), "number words": (T, np.array(["0.1", "0.2", "0.3"])),
    "matrix": (T, Q[None].view(np.matrix).T), "sparse": (T, scipy.sparse.csr_array(Q2)),
    "ints": (T, T), "no columns": (T, np.empty((3, 0))), "indicator": (np.eye(3, dtype=int), Q3),
    "indicator of 1": (np.eye(3, dtype=int)[:, :2], Q), "sums": (T, Q2 / 2), "sums 3": (T3, Q3 / 2),
    "nearly": (T, Q2 * (1 + 1e-9)), "hardly": (T, Q2 * (1 + 2e-8)),
    "rows f4": (T, (Q2 * (1 - 1e-3)).astype("f4")),
    "sparse indicator": (scipy.sparse.csr_array(np.eye(3, dtype=int)), Q3), "word": ("abc", Q),
    "dates": (pd.to_datetime(["2020", "2021", "2021"]), Q), "one sample": ([1], [0.5]),
    "NA": (pd.Series([1, None, 0], dtype="Int64"), Q),
    "none object": (np.array(["a", None, "b"], dtype=object), Q),
    "NA words": (pd.Series(["a", None, "b"]), Q), "list of lists": ([[0], [1], [1]], Q),
}
# where scikit-learn fails by accident, or we take what it does not: what we do instead
OTHERWISE = {
    ("log_loss", "list of lists"): metrics.log_loss(T, Q),  # theirs: unhashable type: 'list'
    ("d2_log_loss_score", "list of lists"): metrics.d2_log_loss_score(T, Q),
}


@pytest.mark.parametrize("case", BAD_PROBABILITIES)
@pytest.mark.parametrize("name", ["log_loss", "brier_score_loss", "d2_log_loss_score",
                                  "hinge_loss"])
def test_bad_probabilities(name, case):
    if (name, case) in OTHERWISE:
        result, _ = outcome(getattr(metrics, name), *BAD_PROBABILITIES[case])
        assert result == OTHERWISE[name, case]
    else:
        assert_same_outcome(name, *BAD_PROBABILITIES[case], raises=False)


@pytest.mark.parametrize("labels", [
    [0, 1], [1, 0], [0, 1, 2], [0, 2], [1], [], [0, 1, 1], 5, "ab", ["0", "1"], [[0, 1]],
    np.array([True, False]), [0.0, 1.0], [0.5, 1], [NAN, 1], np.array([0, 1], dtype=object)])
@pytest.mark.parametrize("proba", [Q, Q2, Q3])
@pytest.mark.parametrize("name", ["log_loss", "brier_score_loss", "d2_log_loss_score",
                                  "hinge_loss"])
def test_labels(name, labels, proba):
    assert_same_outcome(name, T, proba, labels=labels, raises=False)


@pytest.mark.parametrize("kwargs", [
    {"normalize": 1}, {"normalize": None}, {"y_pred": Q}, {"y_pred": None}, {"y_pred": 1}])
@pytest.mark.parametrize("y_proba", [None, Q])
def test_parameters_of_log_loss(y_proba, kwargs):
    assert_same_outcome("log_loss", T, y_proba, raises=False, **kwargs)
    if "normalize" not in kwargs:
        assert_same_outcome("d2_log_loss_score", T, y_proba, raises=False, **kwargs)


@pytest.mark.parametrize("kwargs", [
    {"pos_label": [1]}, {"pos_label": 1j}, {"pos_label": "a"}, {"scale_by_half": 1},
    {"scale_by_half": "no"}, {"scale_by_half": None}, {"pos_label": NAN}, {"pos_label": 9}])
def test_parameters_of_brier(kwargs):
    assert_same_outcome("brier_score_loss", T, Q, raises=False, **kwargs)


def test_text_labels_need_a_positive_one():
    for labels in (["a", "b", "b"], np.array(["a", "b", "b"]), ["a", "a", "a"],
                   np.array(["a", "b", "b"], dtype=object), pd.Series(["a", "b", "b"])):
        assert_same_outcome("brier_score_loss", labels, Q)
        assert_same_outcome("brier_score_loss", labels, Q, pos_label="b", raises=False)


def test_undefined_d2():
    with pytest.warns(UndefinedMetricWarning, match="less than two samples"):
        assert np.isnan(metrics.d2_log_loss_score([1], [0.5]))


def test_bad_values_far_into_the_data():
    rng = np.random.default_rng(3)
    y, p, t = rng.random(BIG), rng.random(BIG), rng.integers(0, 2, BIG)
    for bad in (NAN, INF, -0.5, 1.5):
        broken = p.copy()
        broken[BIG - 3] = bad
        assert_same_outcome("log_loss", t, broken)
        assert_same_outcome("brier_score_loss", t, broken)
        assert_same_outcome("mean_absolute_error", y, broken, raises=not np.isfinite(bad))
        assert_same_outcome("mean_poisson_deviance", y, broken, raises=bad != 1.5)
        strange = t.astype(float)
        strange[BIG - 3] = bad
        assert_same_outcome("log_loss", strange, p)
    t[BIG - 3] = 2
    assert_same_outcome("log_loss", t, p)
    assert_same_outcome("brier_score_loss", t, p)


def test_errors_are_builtin_ones_without_scikit_learn(monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(ValueError, match="'alpha' parameter of mean_pinball_loss") as caught:
        metrics.mean_pinball_loss(Y, P, alpha=2)
    assert isinstance(caught.value, TypeError)
    assert type(caught.value).__module__.startswith("fastloss")


def test_warnings_name_the_line_of_the_call():
    rows = Q2 / 2
    calls = [lambda: metrics.log_loss(T, Q2, labels=[1, 0]), lambda: metrics.log_loss(T, rows),
             lambda: metrics.brier_score_loss(T, rows), lambda: metrics.d2_log_loss_score(T, rows),
             lambda: metrics.d2_log_loss_score([1], [0.5]), lambda: metrics.log_loss(T, y_pred=Q),
             lambda: metrics.d2_log_loss_score(T, y_pred=Q),
             lambda: metrics.hinge_loss(T3, Q3, labels=[[0], [1], [2]])]
    for call in calls:
        with pytest.warns((UserWarning, FutureWarning)) as caught:
            call()
        code = call.__code__
        assert [(w.filename, w.lineno) for w in caught] == [(code.co_filename, code.co_firstlineno)]
