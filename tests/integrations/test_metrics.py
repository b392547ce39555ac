"""fastloss.metrics of columns of Polars and Arrow, with and without nulls."""

import numpy as np
import pytest

from fastloss import metrics

pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

NUMBERS = [name for name in metrics.__all__ if name.startswith(("mean_", "root_"))]
CLASSES = [name for name in metrics.__all__ if name not in NUMBERS]
LIBRARIES = {
    "polars": pl.Series, "arrow": pa.array, "chunks": lambda values: pa.chunked_array([values]),
    "polars frame": lambda values: pl.DataFrame({"a": values}),
    "arrow table": lambda values: pa.table({"a": values}),
}
Y, P, T, Q = [1.0, 2.5, 3.0], [1.5, 2.0, 0.5], [0, 1, 1], [0.25, 0.75, 0.5]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", metrics.__all__)
def test_columns_of_other_libraries(name, library):
    column, function = LIBRARIES[library], getattr(metrics, name)
    y, p = (Y, P) if name in NUMBERS else (T, Q)
    assert function(column(y), column(p)) == function(y, p)
    if "frame" not in library and "table" not in library:
        assert function(column(y), column(p), sample_weight=column(P)) == function(
            y, p, sample_weight=P)
    if name in CLASSES:
        words, kwargs = ["a", "b", "b"], {"pos_label": "b"} if "brier" in name else {}
        assert function(column(words), column(p), **kwargs) == function(y, p)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("values", [[1, None, 0], [1.0, None, 0.0], [True, None, False]])
@pytest.mark.parametrize("name", metrics.__all__)
def test_nulls_are_named(name, library, values):
    column, function = LIBRARIES[library](values), getattr(metrics, name)
    y, p = (Y, P) if name in NUMBERS else (T, Q)
    score = "y_pred" if name in NUMBERS else "pred_decision" if name == "hinge_loss" else "y_proba"
    with pytest.raises(ValueError, match="y_true contains NaN"):
        function(column, p)
    with pytest.raises(ValueError, match=f"{score} contains NaN"):
        function(y, column)
    if name != "hinge_loss":
        with pytest.raises(ValueError, match="sample_weight contains NaN"):
            function(y, p, sample_weight=column)


@pytest.mark.parametrize("library", ["polars", "arrow", "chunks"])
@pytest.mark.parametrize("name", CLASSES)
def test_nulls_among_words(name, library):
    with pytest.raises((ValueError, TypeError), match="y_true contains NaN"):
        getattr(metrics, name)(LIBRARIES[library](["a", None, "b"]), Q)


def test_columns_of_pandas_with_arrow_inside():
    pd = pytest.importorskip("pandas")
    for dtype in ("int64[pyarrow]", "double[pyarrow]", "bool[pyarrow]"):
        whole = pd.Series([0, 1, 1], dtype=dtype)
        missing = pd.Series([0, None, 1], dtype=dtype)
        assert metrics.log_loss(whole, Q) == metrics.log_loss(T, Q)
        assert metrics.mean_squared_error(whole, P) == metrics.mean_squared_error(T, P)
        for name in ("log_loss", "mean_squared_error", "brier_score_loss", "hinge_loss"):
            with pytest.raises(ValueError, match="y_true contains NaN"):
                getattr(metrics, name)(missing, Q)
    words = pd.Series(["a", "b", "b"], dtype="string[pyarrow]")
    assert metrics.log_loss(words, np.array(Q)) == metrics.log_loss(T, Q)
