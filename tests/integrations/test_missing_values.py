"""Dask, own formulas, Numba's functions and torch, with masks, NA, None, NaT and nulls."""

import numpy as np
import pytest
from missing import (
    COLUMNS,
    OTHER,
    REFUSED,
    VALUES,
    Door,
    assert_reads_missing_as_nan,
    assert_reads_whole_columns,
    assert_refuses,
    beside,
)

import fastloss as fl

dask = pytest.importorskip("dask", reason="dask is not installed")
da = pytest.importorskip("dask.array", reason="dask.array is not installed")
pytest.importorskip("numba", reason="Numba is not installed")
torch = pytest.importorskip("torch", reason="torch is not installed")

from fastloss import compiled, custom  # noqa: E402
from fastloss.integrations.dask import value_and_grad  # noqa: E402
from fastloss.integrations.torch import evaluate  # noqa: E402

ROWS = np.array([[0.0, 1.0], [1.0, 0.5], [0.25, 0.75], [1.0, 1.0]])
LABELS = np.array([0, 1, 0, 1])
FORMULA = custom.loss(lambda y, p: (y - p) ** 2, reduction="none")


def lazy(array):
    return da.from_array(array, (2, *array.shape[1:]))


def compute(loss, *arguments):
    return dask.compute(*value_and_grad(loss, *arguments), scheduler="synchronous")


SQUARED = fl.SquaredLoss(reduction="none")
DOORS = {
    "Dask y_true": Door("y_true", lambda x: compute(SQUARED, x, lazy(OTHER))),
    "Dask y_pred": Door("y_pred", lambda x: compute(SQUARED, lazy(OTHER), x)),
    "Dask weights": Door("sample_weight", lambda x: compute(
        SQUARED, lazy(OTHER), lazy(OTHER), x)),
    "Dask class numbers": Door("y_true", lambda x: compute(
        fl.CrossEntropyLoss(), x, lazy(ROWS))),
    "Dask scores": Door("y_pred", lambda x: compute(
        fl.CrossEntropyLoss(), lazy(LABELS), beside(x))),
    "Dask embeddings": Door("embeddings", lambda x: compute(
        fl.SupConLoss(), beside(x), lazy(LABELS))),
    "Dask labels": Door("labels", lambda x: compute(fl.SupConLoss(), lazy(ROWS), x), True),
    "formula y_true": Door("y_true", lambda x: FORMULA.value_and_grad(x, OTHER)),
    "formula y_pred": Door("y_pred", lambda x: FORMULA.value_and_grad(OTHER, x)),
    "formula weights": Door("sample_weight", lambda x: FORMULA.value_and_grad(OTHER, OTHER, x)),
}
every_door = pytest.mark.parametrize("door", DOORS)


@every_door
@pytest.mark.parametrize("column", COLUMNS)
def test_what_is_missing_counts_as_nan(door, column):
    assert_reads_missing_as_nan(DOORS[door], column)


@every_door
@pytest.mark.parametrize("column", COLUMNS)
def test_columns_of_which_nothing_is_missing_are_data(door, column):
    assert_reads_whole_columns(DOORS[door], column)


@every_door
@pytest.mark.parametrize("column", REFUSED)
def test_masked_elements_and_times_are_refused_by_name(door, column):
    assert_refuses(DOORS[door], column)


def test_collections_of_dask_are_what_they_stand_for():
    """A masked array in blocks would lose its mask on the way to NumPy."""
    masked = REFUSED["masked floats"]()
    for arguments in ((lazy(masked), OTHER), (OTHER, lazy(masked)), (OTHER, OTHER, lazy(masked))):
        with pytest.raises(TypeError, match=r"^(y_true|y_pred|sample_weight) is a masked array"):
            SQUARED.value(*arguments)
    assert SQUARED(lazy(OTHER), lazy(OTHER * 2)).tolist() == SQUARED(OTHER, OTHER * 2).tolist()
    frame = pytest.importorskip("dask.dataframe", reason="dask.dataframe is not installed")
    table = frame.from_pandas(beside(COLUMNS["pandas int8"][0](VALUES)), npartitions=2)
    assert np.array_equal(SQUARED(table, ROWS), SQUARED(
        np.column_stack([[1, 0, np.nan, 1], OTHER]), ROWS), equal_nan=True)
    assert np.array_equal(SQUARED(table["x"], OTHER), SQUARED([1, 0, np.nan, 1], OTHER),
                          equal_nan=True)


@pytest.mark.parametrize("column", [*COLUMNS, *REFUSED])
def test_compiled_functions_and_torch_take_their_own_arrays_alone(column):
    x = REFUSED[column]() if column in REFUSED else COLUMNS[column][0](VALUES)
    for name, (y, p, w) in {"y": (x, OTHER, OTHER), "p": (OTHER, x, OTHER),
                            "sample_weight": (OTHER, OTHER, x)}.items():
        with pytest.raises(TypeError, match=rf"^{name} must (be a contiguous|hold float)"):
            compiled.total(fl.SquaredLoss(), y, p, sample_weight=w)
    for arguments in ((x, torch.ones(4)), (torch.ones(4), x), (torch.ones(4), torch.ones(4), x)):
        with pytest.raises(TypeError, match=r"(input|target|sample_weight) must be a torch tensor"):
            evaluate(fl.SquaredLoss(), *arguments)
