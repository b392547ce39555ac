"""Paired losses on drawn rows: the oracle, threads, layouts, scales."""

import numpy as np
import pytest
from layouts import MATRICES
from numerics import assert_same_bits, assert_ulp
from paired import LOSSES, drawn, parameters_of, terms

from fastloss import embedding
from fastloss.reference import paired as reference

CASES = 2000
CHUNKS = 10
CHUNK = 10_000


def draw(rng, name, n, d, dtype):
    """Return a loss, its data, and whether signs of its differences are exact."""
    parameters = parameters_of(rng, name)
    data = drawn(rng, name, n, d, dtype, parameters)
    rows = list(data[:3 if name == "TripletLoss" else 2])
    cosine = parameters.get("distance", "cosine") == "cosine"
    whole = bool(rng.random() < 0.4)
    if whole:
        high = int(rng.choice([2, 4, 17]))
        rows = [rng.integers(0 if high == 2 else -high, high, (n, d)).astype(dtype) for _ in rows]
        if "margin" in parameters and name != "CosineEmbeddingLoss":
            parameters["margin"] = float(rng.choice([0, 0.5, 1, 2]))
            if parameters.get("pos_margin"):
                parameters["pos_margin"] = 1.0
    for k, row in enumerate(rows):
        if rng.random() < 0.2:
            row[rng.random(n) < 0.3] = 0
        if k and rng.random() < 0.2:
            same = rng.random(n) < 0.3
            row[same] = rows[0][same]
    if cosine and rng.random() < 0.4:
        power = 2.0 ** (rng.integers(-90, 90) if dtype == np.float32 else rng.integers(-900, 900))
        rows = [(row * power).astype(dtype) for row in rows]
    return (getattr(embedding, name)(**parameters, reduction="none"), (*rows, *data[len(rows):]),
            len(rows), whole and not cosine)


def check_case(rng):
    """Draw a loss and pairs and check them."""
    name = str(rng.choice(LOSSES))
    dtype = rng.choice([np.float32, np.float64])
    n, d = int(rng.choice([0, 1, 2, 5, 17, 40])), int(rng.integers(1, 40))
    loss, data, count, exact = draw(rng, name, n, d, dtype)
    w = rng.choice([0, 0.5, 1, 3], n) if rng.random() < 0.3 else None
    oracle = getattr(reference, name)(**loss._parameters())
    f, grads = loss.value_and_grad(*data, w)
    f_0, grads_0 = oracle.value_and_grad(*data, w)
    f_terms, g_terms = terms(loss, data[:count], None if count == 3 else data[2], w, dtype)
    what = f"{loss}, {data}, {w}"
    assert_ulp(f, f_0, 24, terms=f_terms)
    # where a hinge begins only its slope may be another, unless all differences are exact
    begins = (np.abs(f_0) <= 64 * np.finfo(dtype).eps * f_terms) & (not exact)
    for g, g_0, t in zip(grads, grads_0, g_terms, strict=True):
        assert_ulp(g[~begins], g_0[~begins], 32, terms=t[~begins])
    turn = MATRICES[rng.integers(len(MATRICES))]
    rows = [turn(row) for row in data[:count]]
    again = loss.value_and_grad(*rows, *data[count:], w, n_threads=int(rng.integers(1, 4)))
    assert_same_bits(again, (f, grads), what)


def run(seed, cases):
    """Check cases, each of which can be run again from its seed and number."""
    for case in range(cases):
        try:
            check_case(np.random.default_rng([seed, case]))
        except Exception as error:
            raise AssertionError(f"seed {seed}, case {case}: {error}") from error


def test_drawn_pairs():
    run(0, CASES)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, CHUNKS + 1))
def test_many_drawn_pairs(seed):
    run(seed, CHUNK)
