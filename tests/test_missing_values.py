"""Every public door, with masks, NA, None, NaT and nulls: they are used rightly or refused by name.

Those of metrics, boosters, streams and labels are in test_missing_values_doors.py.
"""

import numpy as np
import pytest
from missing import (
    COLUMNS,
    OTHER,
    REFUSED,
    Door,
    assert_reads_missing_as_nan,
    assert_reads_whole_columns,
    assert_refuses,
    beside,
)

import fastloss as fl
from fastloss import reference
from fastloss.embedding.blocks import Block

ROWS = np.array([[0.0, 1.0], [1.0, 0.5], [0.25, 0.75], [1.0, 1.0]])
LABELS = np.array([0, 1, 0, 1])
NAMES = ("y_true", "y_pred", "sample_weight")


def at(position, call, *others):
    """Return a call whose argument at a position is what it is called with."""
    return lambda x: call(*others[:position], x, *others[position:])


DOORS = {}
for _k, _name in enumerate(NAMES):
    _loss = fl.SquaredLoss(reduction="none")
    for _method in ("__call__", "value", "grad", "value_and_grad", "grad_and_hess", "check"):
        DOORS[f"{_method} {_name}"] = Door(_name, at(_k, getattr(_loss, _method), OTHER, OTHER))
    DOORS |= {
        f"partial {_name}": Door(_name, at(_k, fl.SquaredLoss().partial, OTHER, OTHER)),
        f"reference {_name}": Door(_name, at(_k, reference.SquaredLoss(), OTHER, OTHER)),
    }
DOORS |= {
    "function y_true": Door("y_true", lambda x: fl.log_loss(x, OTHER)),
    "function y_pred": Door("y_pred", lambda x: fl.log_loss(OTHER, x)),
    "function sample_weight": Door(
        "sample_weight", lambda x: fl.log_loss(OTHER, OTHER, sample_weight=x)),
    "rows class numbers": Door("y_true", lambda x: fl.cross_entropy_loss(x, ROWS)),
    "rows targets": Door("y_true", lambda x: fl.cross_entropy_loss(beside(x), ROWS)),
    "rows scores": Door("y_pred", lambda x: fl.cross_entropy_loss(LABELS, beside(x))),
    "rows weights": Door(
        "sample_weight", lambda x: fl.CrossEntropyLoss().value_and_grad(LABELS, ROWS, x)),
    "rows check": Door("y_pred", lambda x: fl.CrossEntropyLoss().check(LABELS, beside(x))),
    "class_weight": Door("class_weight", lambda x: fl.cross_entropy_loss(
        LABELS, np.hstack([ROWS, ROWS]), class_weight=x)),
    "pairs a": Door("a ", lambda x: fl.PairContrastiveLoss().value_and_grad(
        beside(x), ROWS, LABELS)),
    "pairs b": Door("b ", lambda x: fl.PairContrastiveLoss().value(ROWS, beside(x), LABELS)),
    "pairs y": Door("y ", lambda x: fl.PairContrastiveLoss().value_and_grad(ROWS, ROWS + 1, x)),
    "pairs weights": Door("sample_weight", lambda x: fl.PairContrastiveLoss().value_and_grad(
        ROWS, ROWS + 1, LABELS, x)),
    "triplets": Door("negatives", lambda x: fl.TripletLoss().value(ROWS, ROWS + 1, beside(x))),
    "batch embeddings": Door("embeddings", lambda x: fl.SupConLoss().value_and_grad(
        beside(x), LABELS)),
    "batch weights": Door("sample_weight", lambda x: fl.SupConLoss().value_and_grad(
        ROWS, LABELS, x)),
    "batch refs": Door("refs", lambda x: fl.BatchContrastiveLoss().value(
        ROWS, LABELS, refs=beside(x), ref_labels=LABELS)),
    "queries": Door("queries", lambda x: fl.InfoNCELoss().value_and_grad(beside(x), ROWS)),
    "keys": Door("keys", lambda x: fl.InfoNCELoss().value(ROWS, beside(x))),
    "reference embeddings": Door("embeddings", lambda x: reference.SupConLoss().value(
        beside(x), LABELS)),
    "block": Door("rows", lambda x: _of_block(Block(fl.SupConLoss(), beside(x), LABELS))),
}


def objective(*arguments, **options):
    """Return value and gradient of the objective for SciPy's solvers."""
    adapter = pytest.importorskip("fastloss.integrations.scipy", reason="SciPy is not installed")
    f = adapter.objective(*arguments, **options)
    return f(np.linspace(-1, 1, f.n_parameters))


def solve(w):
    adapter = pytest.importorskip("fastloss.integrations.scipy", reason="SciPy is not installed")
    return adapter.objective(fl.SquaredLoss(), np.eye(4), OTHER, fit_intercept=False)(w)


LOGISTIC = fl.LogLoss(from_logits=True)
DOORS |= {
    # of sums that are exact, whose order depends on the layout
    "SciPy X": Door("X ", lambda x: objective(fl.SquaredLoss(), beside(x), LABELS)),
    "SciPy y": Door("y", lambda x: objective(LOGISTIC, ROWS, x)),
    "SciPy class numbers": Door("y", lambda x: objective(fl.CrossEntropyLoss(), ROWS, x)),
    "SciPy class numbers of known classes": Door(
        "y", lambda x: objective(fl.CrossEntropyLoss(), ROWS, x, n_classes=3)),
    "SciPy targets": Door("y", lambda x: objective(fl.CrossEntropyLoss(), ROWS, beside(x))),
    "SciPy weights": Door("sample_weight", lambda x: objective(LOGISTIC, ROWS, LABELS, x)),
    "SciPy w": Door("w ", solve),
}


def _of_block(block):
    return block.partial(block.sums(block)[0]).result()


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


@pytest.mark.parametrize("method", ["value", "grad", "value_and_grad", "grad_and_hess"])
def test_results_do_not_go_under_a_mask(method):
    loss = fl.SquaredLoss(reduction="none")
    pair = method in ("value_and_grad", "grad_and_hess")
    out = np.ma.array(np.full(4, 7.0), mask=[False, True, False, False])
    for arrays in ((out, np.zeros(4)), (np.zeros(4), out))[:1 + pair]:
        with pytest.raises(TypeError, match=r"out.* is a masked array .*pass out.*\.data"):
            getattr(loss, method)(OTHER, OTHER + 1, out=arrays if pair else out)
    assert out.data.tolist() == [7.0] * 4
    unmasked = np.ma.zeros(4)
    loss.value(OTHER, OTHER + 1, out=unmasked)
    assert unmasked.tolist() == [1.0] * 4


def test_results_of_pairs_of_rows_do_not_go_under_a_mask():
    out = np.ma.array(np.full((4, 2), 7.0), mask=ROWS > 0.9)
    with pytest.raises(TypeError, match=r"out\[1\]\[1\] is a masked array|out\[1\] is a masked"):
        fl.PairContrastiveLoss().value_and_grad(ROWS, ROWS + 1, LABELS, out=(ROWS * 0, out))
    assert (out.data == 7.0).all()
