"""Rows whose squares no double holds: unit rows are those of rows of any scale."""

import numpy as np
import pytest
from batches import MADE, both, drawn, label, sides, two_sided
from cases import seeded
from numerics import assert_same_bits

from fastloss import embedding, reference
from fastloss.embedding.blocks import Block

SCALED = [row for row in MADE if both(row)[0].unit_rows]
POWERS = [-1000, -700, -520, -400, 400, 511, 700, 900]


def scaled_by(row, arguments, options, power):
    """Return rows times a power of two."""
    first, second, w = arguments
    more = {**options, "refs": options["refs"] * 2.0**power} if options else {}
    return (first * 2.0**power, second * 2.0**power if two_sided(row[0]) else second, w), more


@pytest.mark.parametrize("refs", [None, 7])
@pytest.mark.parametrize("row", SCALED, ids=label)
def test_unit_rows_have_no_scale(row, refs):
    arguments, options = drawn(seeded("scales", label(row)), row[0], 40, 9, np.float64,
                               refs=None if two_sided(row[0]) else refs)
    # multiples of 2^-20, of which no scale takes a digit
    arguments = tuple(np.round(a * 2**20) / 2**20 if np.ndim(a) == 2 else a for a in arguments)
    for loss in both(row):
        value, grad = loss.value_and_grad(*arguments, **options)
        for power in POWERS:
            moved, more = scaled_by(row, arguments, options, power)
            found, grads = loss.value_and_grad(*moved, **more)
            assert_same_bits(found, value, f"{loss} of rows times 2^{power}")
            for g, g_0 in zip(sides(grads), sides(grad), strict=True):
                assert_same_bits(g, np.ldexp(g_0, -power), f"{loss}, gradient at 2^{power}")


@pytest.mark.parametrize("scale", [1e-160, 1e-170, 1e-300, 1e-306, 1e160, 1e300])
def test_decimal_scales(scale):
    rng = seeded("decimal")
    x, y = rng.normal(size=(30, 8)), rng.integers(0, 4, 30)
    loss = embedding.SupConLoss()
    value, grad = loss.value_and_grad(x, y)
    found, grads = loss.value_and_grad(x * scale, y)
    assert abs(found - value) <= 1e-13 * value
    assert np.max(np.abs(grads * scale - grad)) <= 1e-13 * np.max(np.abs(grad))
    block = Block(loss, x * scale, y)
    sums, _ = block.sums(block)
    assert abs(block.partial(sums).result() - value) <= 1e-13 * value
    assert abs(reference.SupConLoss().value(x * scale, y) - value) <= 1e-13 * value


def test_rows_of_denormal_numbers():
    whole = np.array([[3.0, 4], [1, 0], [0, 5], [5, 12]])
    x = whole * 5e-324
    y = [0, 0, 1, 1]
    for loss in (embedding.SupConLoss(), embedding.BatchTripletLoss(normalize=True),
                 embedding.BatchContrastiveLoss(distance="cosine")):
        value = loss(x, y)
        assert value == loss(whole, y)
        with np.errstate(over="ignore"):
            grad = np.ldexp(loss.value_and_grad(whole, y)[1], 1074)
        assert_same_bits(loss.value_and_grad(x, y)[1], grad)


@pytest.mark.parametrize("power", [*POWERS, -1074])
@pytest.mark.parametrize("name", ["PairContrastiveLoss", "CosineEmbeddingLoss", "TripletLoss"])
def test_cosines_of_pairs_have_no_scale(name, power):
    rng = seeded("scales of pairs", name)
    rows = [rng.integers(-9, 10, (40, 12)).astype(float) for _ in range(3)]
    rows[1][:10] = rows[0][:10] * 2
    rows[2][10:14] = 0
    more = {} if name == "CosineEmbeddingLoss" else {"distance": "cosine"}
    for module in (embedding, reference):
        loss = getattr(module, name)(**more, reduction="none")
        count = len(loss._called("rows"))
        last = () if count == 3 else (rng.integers(0, 2, 40),)
        value, grads = loss.value_and_grad(*rows[:count], *last)
        moved = [row * 2.0**power for row in rows[:count]]
        found, moved_grads = loss.value_and_grad(*moved, *last)
        eps = 8 * np.finfo(float).eps
        assert np.max(np.abs(found - value)) <= eps
        with np.errstate(over="ignore", invalid="ignore"):
            for g, g_0 in zip(moved_grads, grads, strict=True):
                expected = np.ldexp(g_0, -power)
                big = np.isinf(expected)
                assert np.all(np.isinf(g[big]))
                off = np.abs(np.ldexp(g, power) - g_0)[~big & np.isfinite(g)]
                assert np.max(off, initial=0) <= 8 * eps
                assert not np.any(np.isnan(g))
