"""The value by a call and by a function takes what the method takes: weights, `out`, threads."""

import numpy as np
import pytest
from cases import CASES, draw, seeded, snake
from numerics import assert_same_bits

import fastloss as fl

ROWS = {"PairContrastiveLoss": 2, "CosineEmbeddingLoss": 2, "TripletLoss": 3}
BATCHES = ["BatchContrastiveLoss", "BatchTripletLoss", "LiftedStructureLoss", "SupConLoss",
           "MultiSimilarityLoss", "CircleLoss"]
TWO_SIDED = ["InfoNCELoss", "NTXentLoss", "NPairsLoss", "SigLIPLoss"]
SINGLE = [*CASES, "CrossEntropyLoss", *ROWS]


def data_of(name, n=60):
    """Return the data of a loss, and weights."""
    rng = seeded(name, "forms")
    w = rng.random(n) + 0.5
    if name in CASES:
        case = CASES[name]
        return draw(case, rng, n, np.float64, case.parameters(rng)), w
    if name == "CrossEntropyLoss":
        return (rng.integers(0, 4, n), rng.normal(size=(n, 4))), w
    labels = (rng.integers(0, 2, n),)
    if name in BATCHES:
        return (rng.normal(size=(n, 3)), *labels), w
    rows = tuple(rng.normal(size=(ROWS.get(name, 2), n, 3)))
    return rows + labels if ROWS.get(name) == 2 else rows, w


def test_every_loss_is_here():
    names = {name for name in fl.__all__ if name.endswith("Loss")} - {"Loss"}
    assert {*SINGLE, *BATCHES, *TWO_SIDED} == names


@pytest.mark.parametrize("name", SINGLE)
def test_out(name):
    data, w = data_of(name)
    loss = getattr(fl, name)(reduction="none")
    expected = loss.value(*data, w)
    function = getattr(fl, snake(name))
    for make in (lambda: np.zeros(w.size), lambda: np.zeros((w.size, 3), np.float32)[:, 1]):
        out = make()
        assert loss(*data, w, out=out, n_threads=1) is out
        assert_same_bits(np.array(out), expected.astype(out.dtype))
        out = make()
        assert function(*data, sample_weight=w, reduction="none", out=out, n_threads=2) is out
        assert_same_bits(np.array(out), expected.astype(out.dtype))
    for call in (getattr(fl, name)(), function):
        with pytest.raises(ValueError, match=r"^out is for reduction='none'"):
            call(*data, out=np.zeros(w.size))
    with pytest.raises(TypeError, match=r"^out must be"):
        loss(*data, out=[0.0])
    with pytest.raises(TypeError, match=r"^out must be"):
        function(*data, reduction="none", out=[0.0])


@pytest.mark.parametrize("name", [*SINGLE, *BATCHES, *TWO_SIDED])
def test_weights_and_threads(name):
    data, w = data_of(name)
    loss = getattr(fl, name)()
    expected = loss.value(*data, w)
    for n_threads in (None, 1, 3):
        assert loss(*data, w, n_threads=n_threads) == expected
        assert loss(*data, sample_weight=w, n_threads=n_threads) == expected
        function = getattr(fl, snake(name))
        assert function(*data, sample_weight=w, n_threads=n_threads) == expected
    for call in (loss, function):
        with pytest.raises(ValueError, match=r"^n_threads must be None or an integer >= 1"):
            call(*data, n_threads=0)
