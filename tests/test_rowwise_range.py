"""Rows with infinite scores and with numbers that are no probabilities: kernel and oracle agree."""

import itertools

import numpy as np
import pytest
from numerics import assert_ulp

import fastloss as fl
from fastloss import reference

TARGETS = [0, 1, 2, (0.0, 1.0, 0.0), (0.5, 0.5, 0.0), (0.0, 0.0, 0.0), (0.2, 0.3, 0.5)]
ROWS = {
    True: list(itertools.product([-np.inf, -1.0, 0.0, 2.0, np.inf], repeat=3)),
    False: list(itertools.product([-np.inf, -0.5, -0.0, 0.0, 0.3, 1.0, 1.5, np.inf], repeat=3)),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("parameters", [
    {"from_logits": True}, *({"from_logits": False, "eps": eps} for eps in (0.0, 1e-7, 0.1))])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_rows_of_infinities_and_of_no_probabilities(target, parameters, smoothing):
    rows = np.array(ROWS[parameters["from_logits"]])
    y = np.tile(target, (len(rows), 1)) if isinstance(target, tuple) else np.full(len(rows), target)
    loss, oracle = (module.CrossEntropyLoss(**parameters, label_smoothing=smoothing,
                                            reduction="none") for module in (fl, reference))
    for got, wanted in zip((loss.value(y, rows), *loss.grad_and_hess(y, rows)),
                           (oracle.value(y, rows), *oracle.grad_and_hess(y, rows)), strict=True):
        assert_ulp(got, wanted, 8, 1 if parameters["from_logits"] else None)


def test_what_has_no_limit_is_nan_without_targets_too():
    none = np.zeros((3, 2))
    rows = np.array([[np.inf, np.inf], [-np.inf, -np.inf], [np.inf, 0.0]])
    for module in (fl, reference):
        loss = module.CrossEntropyLoss(reduction="none")
        assert np.array_equal(np.isnan(loss.value(none, rows)), [True, True, False])
        loss = module.CrossEntropyLoss(reduction="none", from_logits=False, eps=0)
        outside = np.array([[0.5, 1.5], [-0.1, 0.5], [0.5, 0.5]])
        assert np.array_equal(np.isnan(loss.value(none, outside)), [True, True, False])
