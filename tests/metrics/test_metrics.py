"""fastloss.metrics against scikit-learn: signatures, values, return types."""

import inspect
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import sklearn
import sklearn.metrics

from fastloss import metrics

REGRESSION = {
    "mean_absolute_error": {},
    "mean_squared_error": {},
    "root_mean_squared_error": {},
    "mean_squared_log_error": {},
    "root_mean_squared_log_error": {},
    "mean_absolute_percentage_error": {},
    "mean_pinball_loss": {"alpha": 0.2},
}
DEVIANCES = [("mean_poisson_deviance", {}), ("mean_gamma_deviance", {})] + [
    ("mean_tweedie_deviance", {"power": power}) for power in (-1, 0, 1, 1.5, 2, 3)]
PROBABILITIES = ["log_loss", "brier_score_loss", "d2_log_loss_score"]


def both(name, *args, **kwargs):
    """Call ours and scikit-learn's."""
    return getattr(metrics, name)(*args, **kwargs), getattr(sklearn.metrics, name)(*args, **kwargs)


def both_quotients(name, *args, **kwargs):
    """Call ours and scikit-learn's, and return for a D² score the quotient of losses: 1 - score.

    The quotient is what is rounded: a score near 0 is its difference from 1, and has as many digits
    less as it is smaller. In float32 scikit-learn's depend on how NumPy computes logarithms here.
    """
    results = both(name, *args, **kwargs)
    return tuple(1 - score for score in results) if name.startswith("d2_") else results


def assert_same(results, dtype=np.float64):
    ours, theirs = results
    assert type(ours) is type(theirs)
    if isinstance(theirs, np.ndarray):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    np.testing.assert_allclose(ours, theirs, rtol={"float64": 1e-13, "float32": 3e-7,
                                                   "float16": 3e-3}[np.dtype(dtype).name])


@pytest.fixture
def rng():
    return np.random.default_rng(20)


@pytest.mark.parametrize("name", metrics.__all__)
def test_signature(name):
    ours = inspect.signature(getattr(metrics, name)).parameters.values()
    theirs = inspect.signature(getattr(sklearn.metrics, name)).parameters.values()
    assert [(p.name, p.kind, p.default) for p in ours] == [
        (p.name, p.kind, p.default) for p in theirs]


# ---- regression ----------------------------------------------------------------------------

FORMS = {
    "float64": np.asarray,
    "float32": lambda a: a.astype(np.float32),
    "float16": lambda a: a.astype(np.float16),
    "int64": lambda a: np.round(a * 4).astype(np.int64),
    "uint8": lambda a: np.round(a * 4).astype(np.uint8),
    "object": lambda a: a.astype(object),
    "list": lambda a: a.tolist(),
    "series": pd.Series,
    "frame": lambda a: pd.DataFrame({"a": a}),
    "reversed": lambda a: a[::-1],
    "big-endian": lambda a: a.astype(">f8"),
    "column": lambda a: a[:, None],
    "read-only": lambda a: np.broadcast_to(a, a.shape),
    "Float64": lambda a: pd.Series(a, dtype="Float64"),
}


NO_FLOATS = {"int64", "uint8", "object", "list", "frame", "Float64"}  # what scikit-learn sees


def precision(weighted, *forms):
    """Return the dtype that scikit-learn computes in; float64 weights make it float64."""
    floats = {form for form in forms if form not in NO_FLOATS}
    if weighted or not floats or not floats <= {"float32", "float16"}:
        return np.float64
    return min(map(np.dtype, floats), key=lambda dtype: dtype.itemsize)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("p_form", FORMS)
@pytest.mark.parametrize("name", [*REGRESSION, "mean_poisson_deviance", "mean_gamma_deviance"])
def test_regression_takes_every_form(name, p_form, weighted, rng):
    y, p = rng.gamma(3, size=(2, 101)) + 0.5
    w = rng.random(101) if weighted else None
    for y_form in FORMS:
        results = both(name, FORMS[y_form](y), FORMS[p_form](p), sample_weight=w,
                       **REGRESSION.get(name, {}))
        assert_same(results, precision(weighted, y_form, p_form))


@pytest.mark.parametrize(("name", "parameters"), DEVIANCES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_deviances(name, parameters, dtype, rng):
    y, p = (rng.gamma(3, size=(2, 1001)) + 0.5).astype(dtype)
    w = rng.random(1001).astype(dtype)
    assert_same(both(name, y, p, **parameters), dtype)
    assert_same(both(name, y, p, sample_weight=w, **parameters), dtype)
    if parameters.get("power", 1) in (1, 1.5) and name != "mean_gamma_deviance":
        y[::3] = 0
        assert_same(both(name, y, p, **parameters), dtype)
    if parameters.get("power", 1) <= 0:
        assert_same(both(name, -y, p, **parameters), dtype)


@pytest.mark.parametrize("name", REGRESSION)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("columns", [1, 3, 40])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_multioutput(name, order, columns, dtype, rng):
    y, p = rng.gamma(3, size=(2, 2003, columns)).astype(dtype)
    y, p = np.asarray(y, order=order), np.asarray(p)
    shares = rng.random(columns)
    for w in (None, rng.random(2003).astype(dtype)):
        for multioutput in ("raw_values", "uniform_average", shares, shares.tolist()):
            if columns > 1 or isinstance(multioutput, str):
                kwargs = {"multioutput": multioutput, **REGRESSION[name]}
                ours, theirs = both(name, y, p, sample_weight=w, **kwargs)
                # theirs sums float32 in float32: compare with what they say in float64
                wide = both(name, y.astype(float), p.astype(float), sample_weight=w, **kwargs)[1]
                assert getattr(ours, "dtype", float) == getattr(theirs, "dtype", float)
                np.testing.assert_allclose(ours, wide, rtol=1e-13 if dtype == "float64" else 6e-7)


@pytest.mark.parametrize("name", REGRESSION)
def test_sums_are_exact_where_theirs_lose_digits(name, rng):
    y, p = rng.gamma(3, size=(2, 100_000)).astype(np.float32)
    wide = both(name, y.astype(np.float64), p.astype(np.float64), **REGRESSION[name])[1]
    ours = getattr(metrics, name)(y, p, **REGRESSION[name])
    assert ours == pytest.approx(wide, rel=1e-6, abs=0)


@pytest.mark.parametrize("alpha", [0, 0.1, 0.5, 1, np.float32(0.75), True])
def test_pinball_levels(alpha, rng):
    y, p = rng.normal(size=(2, 100))
    assert_same(both("mean_pinball_loss", y, p, alpha=alpha))


def test_percentage_of_zero(rng):
    y, p = rng.normal(size=(2, 100))
    y[3] = 0
    assert_same(both("mean_absolute_percentage_error", y, p))
    assert_same(both("mean_absolute_percentage_error", y.astype("f4"), p.astype("f4")), "float32")


def test_zero_weight_does_not_hide_what_is_not_finite():
    y, p, w = np.array([1.0, 2.0]), np.array([1.5, np.nan]), np.array([1.0, 0.0])
    for name in [*REGRESSION, "mean_poisson_deviance"]:
        for bad in (np.nan, np.inf):
            p[1] = bad
            with pytest.raises(ValueError, match=r"y_pred contains"):
                getattr(metrics, name)(y, p, sample_weight=w)


def test_a_percentage_whose_difference_overflows():
    # |p - y| / |y| is 2, where scikit-learn's difference is infinite
    y, p = np.array([1e308, 1.0]), np.array([-1e308, 2.0])
    assert metrics.mean_absolute_percentage_error(y, p) == 1.5
    with pytest.warns(RuntimeWarning, match="overflow encountered"):
        assert sklearn.metrics.mean_absolute_percentage_error(y, p) == np.inf


@pytest.mark.parametrize("name", ["mean_squared_error", "mean_absolute_error",
                                  "root_mean_squared_error"])
def test_overflow_is_reported_as_numpy_is_told_to(name):
    y, p = np.array([1e308, 0.0]), np.array([-1e308, 1.0])
    for function in (getattr(metrics, name), getattr(sklearn.metrics, name)):
        for multioutput in ("uniform_average", "raw_values"):
            with pytest.warns(RuntimeWarning, match="overflow encountered"):
                assert function(y, p, multioutput=multioutput) == np.inf
            with np.errstate(over="raise"), pytest.raises(FloatingPointError):
                function(y, p, multioutput=multioutput)
            with np.errstate(over="ignore"):
                function(y, p, multioutput=multioutput)


@pytest.mark.parametrize("name", ["root_mean_squared_error", "root_mean_squared_log_error"])
@pytest.mark.parametrize("multioutput", ["uniform_average", "raw_values"])
def test_root_of_a_negative_mean(name, multioutput):
    y, p, w = np.array([1.0, 2.0]), np.array([3.0, 2.0]), np.array([-1.0, 3.0])
    for function in (getattr(metrics, name), getattr(sklearn.metrics, name)):
        for weights in (w, w.tolist(), w.astype(np.float32)):
            with pytest.warns(RuntimeWarning, match="invalid value encountered in sqrt"):
                result = function(y, p, sample_weight=weights, multioutput=multioutput)
            assert np.isnan(result).all()
        with np.errstate(invalid="ignore"):
            assert np.isnan(function(y, p, sample_weight=w))


@pytest.mark.parametrize("name", REGRESSION)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_raw_values_have_the_dtype_of_the_arrays(name, dtype):
    y = np.array([[1, 2], [3, 4]], np.int8)
    for p in (y.astype(dtype) + dtype(0.5), (y.astype(dtype) + dtype(0.5)).astype(object)):
        ours, theirs = both(name, y, p, multioutput="raw_values", **REGRESSION[name])
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        np.testing.assert_allclose(ours, theirs, rtol=8 * float(np.finfo(ours.dtype).eps)
                                   + 1e-15)


# ---- probabilities ---------------------------------------------------------------------------

LABELS = {
    "int64": lambda t: t,
    "int8": lambda t: t.astype(np.int8),
    "uint64": lambda t: t.astype(np.uint64),
    "bool": lambda t: t == 1,
    "float64": lambda t: t.astype(float),
    "float32": lambda t: t.astype(np.float32),
    "-1 and 1": lambda t: 2 * t - 1,
    "2 and 7.0": lambda t: 2 + 5.0 * t,
    "far": lambda t: t * 10**15 - 7,
    "list": lambda t: t.tolist(),
    "series": pd.Series,
    "frame": lambda t: pd.DataFrame({"t": t}),
    "column": lambda t: t[:, None],
    "Int64": lambda t: pd.Series(t, dtype="Int64"),
    "boolean": lambda t: pd.Series(t == 1, dtype="boolean"),
    "str": lambda t: np.array(["no", "yes"])[t],
    "object": lambda t: np.array(["no", "yes"], dtype=object)[t],
    "string": lambda t: pd.Series(np.array(["no", "yes"])[t]),
}


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("form", LABELS)
@pytest.mark.parametrize("name", [*PROBABILITIES, "hinge_loss"])
def test_two_classes(name, form, dtype, rng):
    truth = rng.integers(0, 2, 203)
    p = rng.uniform(0.01, 0.99, 203).astype(dtype)
    y = LABELS[form](truth)
    kwargs = {"pos_label": "yes"} if name == "brier_score_loss" and form in (
        "str", "object", "string") else {}
    for w in (None, rng.random(203), rng.random(203).astype(np.float32), rng.integers(0, 4, 203),
              rng.random(203).tolist()):
        assert_same(both_quotients(name, y, p, sample_weight=w, **kwargs), dtype)
    if name != "hinge_loss":
        assert_same(both_quotients(name, y, p[:, None], **kwargs), dtype)
        assert_same(both_quotients(name, y, np.stack((1 - p, p), axis=1)), dtype)
    if name == "log_loss":
        assert_same(both(name, y, p, normalize=False), dtype)
        assert_same(both(name, y, p, normalize=False, sample_weight=w), dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("classes", [3, 10])
@pytest.mark.parametrize("name", [*PROBABILITIES, "hinge_loss"])
def test_many_classes(name, classes, dtype, rng):
    truth = rng.integers(0, classes, 307)
    p = rng.dirichlet(np.full(classes, 0.7), 307).astype(dtype)
    p = p / p.sum(axis=1, keepdims=True, dtype=dtype)
    letters = np.array(list("abcdefghij"))
    forms = [truth, truth.astype(np.uint8), truth.astype(float), 3 * truth - 5, 10**12 * truth,
             letters[truth], letters.astype(object)[truth], pd.Series(letters[truth]),
             truth.tolist()]
    for y in forms:
        for w in (None, rng.random(307)):
            for order in "CF":
                assert_same(
                    both_quotients(name, y, np.asarray(p, order=order), sample_weight=w), dtype)
        labels = np.unique(np.asarray(y))
        some = slice(None) if name == "hinge_loss" else truth < 2
        assert_same(
            both_quotients(name, np.asarray(y)[some], p[some], labels=labels), dtype)


@pytest.mark.parametrize("name", PROBABILITIES)
@pytest.mark.parametrize("w", [None, np.arange(50.0)])
def test_indicator_matrix(name, w, rng):
    y = rng.integers(0, 2, (50, 4))
    p = rng.dirichlet(np.ones(4), 50)
    assert_same(both(name, y, p, sample_weight=w))
    if name == "log_loss":
        assert_same(both(name, y, p, sample_weight=w, normalize=False))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_certain_predictions_are_clipped_alike(dtype):
    y = np.array([0, 1, 0, 1])
    p = np.array([1, 0, 0, 1], dtype=dtype)
    assert_same(both("log_loss", y, p), dtype)
    assert_same(both("log_loss", y, np.stack((1 - p, p), axis=1)), dtype)
    assert_same(both("log_loss", [0, 1, 2], np.eye(3, dtype=dtype)[[1, 2, 0]]), dtype)


@pytest.mark.parametrize("y", [[1, 1], [0, 0], [-1, -1], [5, 5], [1, -1], [2, 1], [True, True]])
@pytest.mark.parametrize("pos_label", [None, 1, 0, 5, True])
@pytest.mark.parametrize("scale_by_half", ["auto", True, False])
def test_brier_positive_label(y, pos_label, scale_by_half):
    p = np.array([0.2, 0.7])
    for labels in (y, np.array(y)):
        assert_same(both("brier_score_loss", labels, p, pos_label=pos_label,
                         scale_by_half=scale_by_half))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("scale_by_half", ["auto", True, False])
def test_brier_scale(classes, scale_by_half, rng):
    y = np.arange(30) % classes
    p = rng.dirichlet(np.ones(classes), 30)
    assert_same(both("brier_score_loss", y, p, scale_by_half=scale_by_half))


def test_d2_of_targets_all_of_one_class():
    assert_same(both("d2_log_loss_score", [1, 1, 1], [0.25, 0.5, 0.9], labels=[0, 1]))


def test_hinge_with_labels(rng):
    y = np.array([0, 1, 0, 1])
    assert_same(both("hinge_loss", y, rng.normal(size=(4, 3)), labels=[0, 1, 2]))
    assert_same(both("hinge_loss", y, rng.normal(size=4), labels=[0, 1]))
    assert_same(both("hinge_loss", np.zeros(4), rng.normal(size=4)))
    assert_same(both("hinge_loss", y, rng.integers(-3, 3, 4)))


def test_scikit_learn_is_not_needed():
    code = """
import sys
sys.modules["sklearn"] = None
import numpy as np
import fastloss, fastloss.metrics as m
assert abs(m.log_loss(["a", "b"], np.array([0.5, 0.5])) - 0.6931471805599453) < 1e-15
assert m.mean_squared_error([[1, 2]], [[3, 4]]) == 4
for bad in (lambda: m.mean_absolute_error(1, 2), lambda: m.log_loss([0, 1], [0.1, 2])):
    try:
        bad()
    except ValueError as error:
        assert type(error).__module__ in ("builtins", "fastloss.metrics._inputs")
    else:
        raise AssertionError
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    assert np.isnan(m.d2_log_loss_score([0], [0.5]))
assert [w.category for w in caught] == [UserWarning]
try:
    import fastloss.integrations.sklearn
except ImportError as error:
    assert 'pip install "fastloss[sklearn]"' in str(error)
else:
    raise AssertionError
print("done")
"""
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True,
                         text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "done\n"), run.stderr
