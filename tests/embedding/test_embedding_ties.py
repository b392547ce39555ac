"""What equality or a sign decides in batch losses: ties, margins met, what vanishes."""

from itertools import combinations_with_replacement, pairwise

import numpy as np
import pytest
from batches import DTYPES, MADE, both, label, two_sided
from cases import seeded
from exactly import check_exactly
from numerics import assert_same_bits
from sklearn.datasets import load_digits

from fastloss import embedding
from fastloss.embedding.blocks import Block

MINING = ["hard", "semi-hard", "all"]
DISTANCES = ["euclidean", "sqeuclidean", "cosine"]
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
every_mining = pytest.mark.parametrize("mining", MINING)
every_distance = pytest.mark.parametrize("distance", DISTANCES)


def integers(rng, kind, n, d):
    """Return rows of integers."""
    if kind == "binary":
        return rng.integers(0, 2, (n, d))
    x = rng.integers(-3, 4, (n, d)) if kind == "small" else rng.integers(0, 256, (n, d))
    x[rng.random(n) < 0.2] = 0
    return x


def test_an_equally_far_negative_is_not_farther():
    x = np.array([[0., 1], [1, 1], [1, 0], [1, 0], [1, 0], [0, 0]])
    loss = embedding.BatchTripletLoss(mining="semi-hard")
    assert loss(x, [0, 0, 1, 1, 1, 1]) == 0
    assert loss(x.astype(np.float32) + 1000, [0, 0, 1, 1, 1, 1]) == 0


@pytest.mark.parametrize("kind", ["binary", "small", "pixels"])
@every_distance
@every_mining
@every_dtype
def test_triplets_of_integers(kind, distance, mining, dtype):
    rng = seeded("ties", kind, distance, mining)
    for k in range(8):
        n, d = int(rng.integers(3, 24)), int(rng.integers(1, 20))
        x, y = integers(rng, kind, n, d), rng.integers(0, 3, n)
        refs = (integers(rng, kind, 9, d), rng.integers(0, 3, 9)) if k % 3 == 2 else (None, None)
        for margin in (0.0, 0.25, 1.0):
            loss = embedding.BatchTripletLoss(
                mining=mining, distance=distance, margin=margin, normalize=k % 4 == 3,
                reduction=str(rng.choice(["mean", "mean_nonzero", "sum"])))
            check_exactly(loss, x, y, dtype, *refs)
            if distance != "cosine" and not loss.normalize:
                check_exactly(loss, x, y, dtype, *refs, offset=512)
            elif kind == "binary":
                check_exactly(loss, x, y, dtype, *refs, scale=0.125)


@every_distance
@every_dtype
def test_margins_met_exactly(distance, dtype):
    rng = seeded("margins", distance)
    for k in range(40):
        n, d = int(rng.integers(2, 24)), int(rng.integers(1, 12))
        x, y = integers(rng, ("binary", "small")[k % 2], n, d), rng.integers(0, 3, n)
        refs = (integers(rng, "small", 9, d), rng.integers(0, 3, 9)) if k % 3 == 2 else (None, None)
        loss = embedding.BatchContrastiveLoss(
            distance=distance, margin=float(rng.choice([1, 2, 0.5, 4])), normalize=k % 4 == 3,
            pos_margin=(None, 1.0, 0.5, 2.0)[k % 5 % 4], form=("linear", "squared")[k // 2 % 2],
            reduction=("mean_nonzero", "mean", "sum")[k % 3])
        check_exactly(loss, x, y, dtype, *refs)


@every_mining
@every_dtype
def test_sums_that_no_product_of_the_type_has(mining, dtype):
    # squares of up to 2^24 in float32, of up to 2^50 in float64: products are rounded, ties are not
    rng = seeded("large", mining)
    for _ in range(6):
        x = rng.integers(-2, 3, (14, 6)) * (2**11 + 1 if dtype == np.float32 else 2**24 + 1)
        loss = embedding.BatchTripletLoss(mining=mining, margin=0.0, distance="sqeuclidean")
        check_exactly(loss, x, rng.integers(0, 3, 14), dtype)


@every_mining
def test_rows_of_few_values_that_are_no_integers(mining):
    # differences are 0 or 0.1, so distances are as equal as those of bits
    rng = seeded("tenths", mining)
    for dtype in DTYPES:
        bits, y = rng.integers(0, 2, (60, 16)), rng.integers(0, 8, 60)
        for distance in DISTANCES:
            loss = embedding.BatchTripletLoss(mining=mining, margin=0.0, distance=distance)
            value = loss(bits.astype(dtype), y)
            scale = {"euclidean": 0.1, "sqeuclidean": 0.01, "cosine": 1.0}[distance]
            found = loss((bits * 0.1).astype(dtype), y)
            assert abs(found - scale * value) <= 32 * np.finfo(dtype).eps * scale * value


@every_mining
@every_dtype
def test_digits_and_a_common_offset(mining, dtype):
    digits = load_digits()
    x, y = digits.data[:300].astype(dtype), digits.target[:300]
    for distance in ("euclidean", "sqeuclidean"):
        loss = embedding.BatchTripletLoss(mining=mining, distance=distance, margin=1.0)
        integer = digits.data[:300].astype(np.int64)
        squares = np.sum((integer[:, None] - integer[None]) ** 2, axis=2)
        d = np.sqrt(squares.astype(float)) if distance == "euclidean" else squares.astype(float)
        costs = []
        for i in range(300):
            near = np.flatnonzero((y == y[i]) & (np.arange(300) != i))
            far = np.flatnonzero(y != y[i])
            if mining == "hard":
                costs.append(max(d[i, near].max() - d[i, far].min() + 1, 0))
            elif mining == "all":
                excess = np.maximum(d[i, near][:, None] - d[i, far][None] + 1, 0)
                costs += excess[excess > 0].tolist()
            else:
                for p in near:
                    farther = d[i, far][squares[i, far] > squares[i, p]]
                    n = farther.min() if farther.size else d[i, far].max()
                    costs.append(max(d[i, p] - n + 1, 0))
        value, grad = loss.value_and_grad(x, y)
        assert abs(value - np.mean(costs)) <= 8 * np.finfo(dtype).eps * value
        for offset in (-1, 16, 4096):
            moved = loss.value_and_grad(x + dtype(offset), y)
            assert_same_bits(moved[0], value, f"offset {offset}")
            assert np.max(np.abs(moved[1] - grad)) <= 64 * np.finfo(dtype).eps * np.max(
                np.abs(grad))


def in_blocks(loss, x, y, cuts):
    """Return the value of a batch in blocks."""
    blocks = [Block(loss, x[i:j], y[i:j], start=i) for i, j in pairwise(cuts)]
    sums = [0] * len(blocks)
    for i, j in combinations_with_replacement(range(len(blocks)), 2):
        mine, theirs = blocks[i].sums(blocks[j])
        sums[i] += mine
        sums[j] += theirs if i != j else 0
    return sum(block.partial(found) for block, found in zip(blocks, sums, strict=True)).result()


BLOCKWISE = [row for row in MADE if not two_sided(row[0])
             and row[0] not in ("BatchTripletLoss", "LiftedStructureLoss")]


@every_dtype
@pytest.mark.parametrize("row", BLOCKWISE, ids=label)
def test_blocks_count_what_the_whole_counts(row, dtype):
    rng = seeded("counted", label(row))
    loss, oracle = both(row, reduction="mean_nonzero")
    for _ in range(20):
        n = int(rng.integers(4, 14))
        x, y = integers(rng, "small", n, 3).astype(dtype), rng.integers(0, 3, n)
        x[rng.random(n) < 0.4] = 0
        value, parts = loss(x, y), in_blocks(loss, x, y, [0, n // 3, n])
        exact = oracle.value(x, y)
        eps = np.finfo(dtype).eps * (16 + 8 * getattr(loss, "gamma", 0) + 8 * getattr(
            loss, "beta", 0) + 8 / getattr(loss, "temperature", 1))
        assert abs(value - exact) <= eps * (abs(exact) + 1)
        assert abs(parts - exact) <= eps * (abs(exact) + 1)


@pytest.mark.parametrize("form", ["squared", "linear"])
def test_a_cost_whose_square_vanishes_counts(form):
    # the dissimilar pair lacks 1e-30 to its margin, whose square no float32 has
    x = np.array([[0.0], [1e-30], [5.0]], np.float32)
    loss = embedding.BatchContrastiveLoss(distance="sqeuclidean", margin=25.0, form=form,
                                          reduction="mean_nonzero")
    assert loss(np.array([[0.0], [4.9999995], [5.0]], np.float32), [0, 1, 0]) > 0
    assert loss(x, [0, 0, 1]) == 0


@every_mining
def test_rows_of_one_direction_are_at_distance_0(mining):
    rng = seeded("parallel", mining)
    directions = rng.integers(1, 5, (4, 7))
    x = directions[rng.integers(0, 4, 30)] * rng.integers(1, 12, (30, 1))
    y = rng.integers(0, 3, 30)
    for dtype in DTYPES:
        for distance in DISTANCES:
            check_exactly(embedding.BatchTripletLoss(
                mining=mining, distance=distance, normalize=True, margin=0.125), x, y, dtype)
            check_exactly(embedding.BatchContrastiveLoss(
                distance=distance, normalize=True, form="linear", reduction="mean_nonzero"),
                x, y, dtype)
