"""Missing values in every argument of every metric: an error that says so, as scikit-learn's."""

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from outcomes import outcome

from fastloss import metrics

NUMBERS = [name for name in metrics.__all__ if name.startswith(("mean_", "root_"))]
CLASSES = [name for name in metrics.__all__ if name not in NUMBERS]
Y, P = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.5, 1.0, 3.5, 2.0])
T, Q = np.array([0, 1, 1, 0]), np.array([0.25, 0.75, 0.5, 0.125])
Q2 = np.stack((1 - Q, Q), axis=1)

# 1, missing, 0, 1 in columns of pandas that can miss numbers
COLUMNS = {
    **{dtype: lambda dtype=dtype: pd.Series([1, None, 0, 1], dtype=dtype)
       for dtype in ("Int64", "Int8", "UInt16", "Float64", "Float32", "boolean")},
    "array": lambda: pd.array([1, None, 0, 1], dtype="Int32"),
    "array of bools": lambda: pd.array([True, None, False, True], dtype="boolean"),
    "frame": lambda: pd.DataFrame({"a": pd.array([1, None, 0, 1], dtype="Int64")}),
    "frame of bools": lambda: pd.DataFrame({"a": pd.array([1, None, 0, 1], dtype="boolean")}),
}
# scikit-learn raises one of two classes, as its computation happens to fail; ours are both
OBJECTS = {
    "list with NA": lambda: [1, pd.NA, 0, 1],
    "list with NaT": lambda: [1, pd.NaT, 0, 1],
    "objects with NA": lambda: np.array([1, pd.NA, 0, 1], object),
    "objects with NaT": lambda: np.array([1, pd.NaT, 0, 1], object),
    "masked": lambda: np.ma.array([1, 0, 0, 1], mask=[0, 1, 0, 0]),
    "masked column": lambda: np.ma.array([[1], [0], [0], [1]], mask=[[0], [1], [0], [0]]),
    "NaT": lambda: np.array(["2020", "NaT", "2021", "2020"], "M8[D]"),
}
PLAIN = {
    "list with None": lambda: [1, None, 0, 1],
    "list with nan": lambda: [1, float("nan"), 0, 1],
    "objects with None": lambda: np.array([1, None, 0, 1], object),
    "objects with nan": lambda: np.array([1, float("nan"), 0, 1], object),
    "nan": lambda: np.array([1, np.nan, 0, 1]),
    "series": lambda: pd.Series([1, None, 0, 1]),
}


def calls():
    """Return calls of every metric and what they call the argument that a value is put into."""
    for name in NUMBERS:
        yield name, "y_true", lambda x: ((x, P), {})
        yield name, "y_pred", lambda x: ((Y, x), {})
        yield name, "sample_weight", lambda x: ((Y, P), {"sample_weight": x})
        if not name.endswith("deviance") and name != "root_mean_squared_error":
            y, p = np.outer(Y, Y), np.outer(P, Y)
            yield name, "multioutput", lambda x, y=y, p=p: ((y, p), {"multioutput": x})
    for name in CLASSES:
        score = "pred_decision" if name == "hinge_loss" else "y_proba"
        yield name, "y_true", lambda x: ((x, Q), {})
        yield name, score, lambda x: ((T, x), {})
        if name != "hinge_loss":    # whose weights are taken as they come
            yield name, "sample_weight", lambda x: ((T, Q), {"sample_weight": x})
            yield name, "y_true", lambda x: ((x, Q2), {})
            yield name, "labels", lambda x: ((T, Q2), {"labels": x})


CALLS = [pytest.param(*call, id=f"{i}-{call[0]}-{call[1]}") for i, call in enumerate(calls())]


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize(("name", "argument", "call"), CALLS)
def test_columns_that_miss_a_number(name, argument, call, column):
    args, kwargs = call(COLUMNS[column]())
    theirs, _ = outcome(getattr(sklearn.metrics, name), *args, **kwargs)
    assert theirs is ValueError
    with pytest.raises(ValueError, match=rf"Input {argument} contains NaN") as caught:
        getattr(metrics, name)(*args, **kwargs)
    assert type(caught.value) is ValueError


@pytest.mark.parametrize("form", OBJECTS)
@pytest.mark.parametrize(("name", "argument", "call"), CALLS)
def test_objects_that_stand_for_nothing(name, argument, call, form):
    args, kwargs = call(OBJECTS[form]())
    theirs, _ = outcome(getattr(sklearn.metrics, name), *args, **kwargs)
    if form not in ("masked", "masked column", "NaT"):  # which it may take for values
        assert issubclass(theirs, (ValueError, TypeError))
    with pytest.raises((ValueError, TypeError), match=argument) as caught:
        getattr(metrics, name)(*args, **kwargs)
    assert any(word in str(caught.value) for word in ("NaN", "masked", "holds no numbers"))
    if "NaN" in str(caught.value):
        assert isinstance(caught.value, ValueError)
        assert not isinstance(theirs, type) or issubclass(type(caught.value), theirs)


@pytest.mark.parametrize("form", PLAIN)
@pytest.mark.parametrize(("name", "argument", "call"), CALLS)
def test_none_and_nan(name, argument, call, form):
    args, kwargs = call(PLAIN[form]())
    theirs, _ = outcome(getattr(sklearn.metrics, name), *args, **kwargs)
    assert issubclass(theirs, (ValueError, TypeError))
    with pytest.raises(ValueError, match=argument):
        getattr(metrics, name)(*args, **kwargs)


@pytest.mark.parametrize("value", [None, pd.NA, pd.NaT, float("nan")])
@pytest.mark.parametrize("name", CLASSES)
def test_words_beside_nothing_are_named(name, value):
    words = np.array(["b", value, "a", "b"], object)
    with pytest.raises((ValueError, TypeError), match="y_true contains NaN") as caught:
        getattr(metrics, name)(words, Q)
    theirs, _ = outcome(getattr(sklearn.metrics, name), words, Q)
    assert issubclass(type(caught.value), theirs) or issubclass(theirs, ValueError)


@pytest.mark.parametrize("name", metrics.__all__)
def test_masked_arrays_without_masked_elements_are_arrays(name):
    y, p = (Y, P) if name in NUMBERS else (T, Q)
    plain = getattr(metrics, name)(y, p, sample_weight=P)
    assert plain == getattr(metrics, name)(np.ma.array(y), np.ma.array(p, mask=False),
                                           sample_weight=np.ma.array(P))


def test_masked_weights_of_outputs():
    y, p = np.ones((3, 2)), np.zeros((3, 2))
    for name in ("mean_squared_error", "root_mean_squared_error"):
        with pytest.raises(ValueError, match="multioutput is a masked array"):
            getattr(metrics, name)(y, p, multioutput=np.ma.array([1, 2], mask=[0, 1]))


def test_hinge_loss_of_weights():
    # weights are multiplied as they come: NaN gives nan, and what is no number is refused
    for weights in (np.array([1, np.nan, 1, 1]), np.array([1, np.nan, 1, 1], object)):
        for function in (metrics.hinge_loss, sklearn.metrics.hinge_loss):
            assert np.isnan(function(T, Q, sample_weight=weights))
    for weights in ([1, None, 1, 1], ["a", "b", "c", "d"]):
        for function in (metrics.hinge_loss, sklearn.metrics.hinge_loss):
            with pytest.raises(TypeError):
                function(T, Q, sample_weight=weights)
    with pytest.raises(ValueError, match="sample_weight contains NaN"):
        metrics.hinge_loss(T, Q, sample_weight=pd.array([1, None, 1, 1], dtype="boolean"))
    wide = np.array([1, 2, 3, 4], np.longdouble)
    assert metrics.hinge_loss(T, Q, sample_weight=wide) == pytest.approx(
        sklearn.metrics.hinge_loss(T, Q, sample_weight=wide), rel=1e-15)
