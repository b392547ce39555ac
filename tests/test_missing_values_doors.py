"""Metrics, boosters, streams, labels and others, with masks, NA, None, NaT and nulls."""

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
from fastloss import metrics, reference, stream
from fastloss.embedding.blocks import Block
from fastloss.integrations import _boosting

ROWS = np.array([[0.0, 1.0], [1.0, 0.5], [0.25, 0.75], [1.0, 1.0]])
LABELS = np.array([0, 1, 0, 1])

DOORS = {
    "batch labels": Door("labels", lambda x: fl.SupConLoss().value_and_grad(ROWS, x), True),
    "batch ref_labels": Door("ref_labels", lambda x: fl.BatchContrastiveLoss().value(
        ROWS, LABELS, refs=ROWS + 1, ref_labels=x), True),
    "triplet labels": Door("labels", lambda x: fl.BatchTripletLoss().value(ROWS, x), True),
    "lifted labels": Door("labels", lambda x: fl.LiftedStructureLoss().value(ROWS, x), True),
    "block labels": Door("labels", lambda x: _of_block(Block(fl.SupConLoss(), ROWS, x)), True),
    "reference labels": Door(
        "labels", lambda x: reference.SupConLoss().value(ROWS, x), True),
}
for _name in ("mean_squared_error", "mean_absolute_error", "mean_pinball_loss",
              "median_absolute_error", "root_mean_squared_error", "r2_score", "d2_pinball_score",
              "max_error", "mean_squared_log_error", "explained_variance_score"):
    if hasattr(metrics, _name):
        _metric = getattr(metrics, _name)
        DOORS |= {
            f"{_name} y_true": Door("y_true", lambda x, f=_metric: f(x, OTHER), sklearn=True),
            f"{_name} y_pred": Door("y_pred", lambda x, f=_metric: f(OTHER, x), sklearn=True),
            f"{_name} outputs": Door("y_true", lambda x, f=_metric: f(
                beside(x), ROWS), sklearn=True),
        }
        if _name != "max_error":
            DOORS[f"{_name} weights"] = Door("ample", lambda x, f=_metric: f(
                LABELS, OTHER, sample_weight=x), sklearn=True)
for _name in ("log_loss", "brier_score_loss", "hinge_loss", "d2_log_loss_score",
              "d2_brier_score"):
    if hasattr(metrics, _name):
        _metric = getattr(metrics, _name)
        DOORS |= {
            f"{_name} y_true": Door("y_true", lambda x, f=_metric: f(x, OTHER), sklearn=True),
            f"{_name} y_proba": Door("", lambda x, f=_metric: f(LABELS, x), sklearn=True),
            f"{_name} weights": Door("ample", lambda x, f=_metric: f(
                LABELS, OTHER, sample_weight=x), sklearn=True),
        }
DOORS |= {
    "objective y_true": Door("y_true", lambda x: _objective()._float32(x, OTHER, None)),
    "objective weights": Door("sample_weight", lambda x: _objective()._float32(LABELS, OTHER, x)),
    "metric y_true": Door(
        "y_true", lambda x: _boosting.Metric(fl.LogLoss())._value(x, OTHER, None)),
    "metric y_pred": Door(
        "y_pred", lambda x: _boosting.Metric(fl.LogLoss())._value(LABELS, x, None)),
    "metric weights": Door(
        "sample_weight", lambda x: _boosting.Metric(fl.LogLoss())._value(LABELS, OTHER, x)),
    "init_score y_true": Door("y_true", lambda x: _objective().init_score(x)),
    "init_score weights": Door(
        "sample_weight", lambda x: _objective().init_score(LABELS, x)),
    "init_score class numbers": Door(
        "y_true", lambda x: _boosting.Objective(fl.CrossEntropyLoss()).init_score(x)),
}


def _objective():
    return _boosting.Objective(fl.LogLoss(from_logits=True))


def _of_block(block):
    return block.partial(block.sums(block)[0]).result()


def evaluate(**changed):
    """Return the value over one batch, of which some columns are given."""
    batch = {"y_true": LABELS, "y_pred": OTHER, "w": OTHER} | changed
    return stream.evaluate([batch], fl.SquaredLoss(), sample_weight="w").overall.value


STREAMS = {name: Door(name, lambda x, name=name: evaluate(**{name: x}))
           for name in ("y_true", "y_pred", "w")}

every_door = pytest.mark.parametrize("door", DOORS)


@every_door
@pytest.mark.parametrize("column", COLUMNS)
def test_what_is_missing_counts_as_nan(door, column):
    assert_reads_missing_as_nan(DOORS[door], column)


@pytest.mark.parametrize("door", STREAMS)
@pytest.mark.parametrize("column", COLUMNS)
def test_nulls_of_streams_are_refused_with_their_place(door, column):
    make, _ = COLUMNS[column]
    with pytest.raises(ValueError, match=rf"batch 0, row 2: column '{door}' is null"):
        STREAMS[door].call(make([1, 0, None, 1]))


@pytest.mark.parametrize("door", DOORS | STREAMS)
@pytest.mark.parametrize("column", COLUMNS)
def test_columns_of_which_nothing_is_missing_are_data(door, column):
    assert_reads_whole_columns((DOORS | STREAMS)[door], column)


@pytest.mark.parametrize("door", DOORS | STREAMS)
@pytest.mark.parametrize("column", REFUSED)
def test_masked_elements_and_times_are_refused_by_name(door, column):
    assert_refuses((DOORS | STREAMS)[door], column)
