"""Batch losses on drawn batches: the oracle, exact arithmetic, blocks, threads, layouts."""

from itertools import combinations_with_replacement, pairwise, product

import numpy as np
import pytest
from batches import TABLE, both, close_to, expected_of, two_sided
from exactly import check_exactly
from layouts import MATRICES
from numerics import assert_same_bits

from fastloss import embedding
from fastloss.embedding.blocks import Block

CASES = 2000
CHUNKS = 10
CHUNK = 10_000
WHOLE = ["binary", "small", "pixels"]      # kinds of rows of integers
DISTANCES = ["euclidean", "sqeuclidean", "cosine"]


def draw_rows(rng, n, d):
    """Return rows with ties, duplicates, zero rows, and of which kind they are."""
    kind = rng.choice(["binary", "small", "pixels", "normal", "clusters", "tenths"])
    if kind == "binary":
        x = rng.integers(0, 2, (n, d)).astype(float)
    elif kind == "small":
        x = rng.integers(-3, 4, (n, d)).astype(float)
    elif kind == "pixels":
        x = rng.integers(0, 256, (n, d)).astype(float)
    elif kind == "tenths":
        x = rng.integers(-4, 5, (n, d)) * 0.1
    else:
        x = rng.normal(size=(n, d))
        if kind == "clusters":
            x = x[rng.integers(0, max(1, n // 3), n)] * 3 + 0.1 * x if n else x
    if n and rng.random() < 0.3:
        x = x[rng.integers(0, n, n)]          # the same rows again
    if rng.random() < 0.3:
        x[rng.random(n) < 0.3] = 0
    return x, kind


def draw_labels(rng, n):
    """Return labels: few classes, one, or each its own."""
    if rng.random() < 0.1:
        return np.arange(n)
    return rng.integers(0, int(rng.choice([1, 2, 3, 8])), n)


def draw_distance_loss(rng):
    """Return a loss of distances with margins that integers meet."""
    common = {"distance": str(rng.choice(DISTANCES)), "normalize": bool(rng.random() < 0.2),
              "reduction": str(rng.choice(["mean", "mean_nonzero", "sum"]))}
    margin = float(rng.choice([0, 0.25, 0.5, 1, 2, 3]))
    if rng.random() < 0.6:
        return embedding.BatchTripletLoss(
            mining=str(rng.choice(["hard", "semi-hard", "all"])), margin=margin,
            soft_margin=bool(rng.random() < 0.1), **common)
    return embedding.BatchContrastiveLoss(
        margin=margin, form=str(rng.choice(["linear", "squared"])),
        pos_margin=None if rng.random() < 0.6 else float(rng.choice([0.5, 1, 2])), **common)


def in_blocks(loss, arguments, rng):
    """Return the value of a batch in blocks."""
    x, second, w = arguments
    n = len(x)
    cuts = [0, *sorted(rng.integers(0, n + 1, int(rng.integers(0, 3))).tolist()), n]

    def blocks(rows, labels):
        return [Block(loss, rows(i, j), None if labels is None else labels[i:j], start=i,
                      sample_weight=None if w is None else w[i:j])
                for i, j in pairwise(cuts)]

    one = loss.sides != "queries and keys"
    if not two_sided(type(loss).__name__):
        mine = blocks(lambda i, j: x[i:j], second)
    elif one:
        mine = blocks(lambda i, j: (x[i:j], second[i:j]), None)
    else:
        mine = blocks(lambda i, j: x[i:j], None)
    theirs = mine if one else blocks(lambda i, j: second[i:j], None)
    sums, others = [0] * len(mine), [0] * len(theirs)
    numbers = range(len(mine))
    for i, j in combinations_with_replacement(numbers, 2) if one else product(numbers, numbers):
        of_i, of_j = mine[i].sums(theirs[j])
        sums[i] += of_i
        if of_j is not None:
            if one:
                sums[j] += of_j
            else:
                others[j] += of_j
    parts = [block.partial(found) for block, found in zip(mine, sums, strict=True)]
    if not one and others[0] != 0:
        parts += [block.partial(found) for block, found in zip(theirs, others, strict=True)]
    return sum(parts).result()


def check_case(rng):
    """Draw a loss and a batch and check them."""
    n, d = int(rng.choice([0, 1, 2, 3, 5, 8, 13, 21, 34])), int(rng.integers(1, 12))
    dtype = rng.choice([np.float32, np.float64])
    x, kind = draw_rows(rng, n, d)
    whole = kind in WHOLE
    if rng.random() < 0.15 and whole and n <= 8:
        refs = draw_rows(rng, 5, d) if rng.random() < 0.3 else (None, "")
        z, y_z = (refs[0], draw_labels(rng, 5)) if refs[1] in WHOLE else (None, None)
        check_exactly(draw_distance_loss(rng), x, draw_labels(rng, n), dtype, z, y_z)
        return
    row = TABLE[rng.integers(len(TABLE))]
    loss, oracle = both(row, reduction=str(rng.choice(["mean", "mean_nonzero", "sum"])))
    if rng.random() < 0.5:
        loss = draw_distance_loss(rng)
        row = (type(loss).__name__, loss._parameters())
        loss, oracle = both(row)
    name = row[0]
    if loss.measure == "product" and not loss.normalize:
        x = x / max(1, np.max(np.abs(x), initial=1)) * 2      # whose exponents a float32 has
    scaled = loss.unit_rows
    if scaled:
        # angles of multiples of a rounded tenth are closer to ties than the oracle tells apart
        x = np.round(10 * x) if kind == "tenths" else x
        x = x * 2.0 ** (rng.integers(-90, 90) if dtype == np.float32
                        else rng.choice([0, 0, rng.integers(-400, 400)]))
    x = x.astype(dtype)
    w = rng.choice([0.5, 1, 2, 3], n).astype(np.float32) if rng.random() < 0.4 else None
    options = {}
    if two_sided(name):
        second = x[rng.permutation(n)] if rng.random() < 0.5 else np.roll(x, 1, axis=1)
    else:
        second = draw_labels(rng, n)
        if rng.random() < 0.3:
            m = int(rng.integers(0, 9))
            z = x[rng.integers(0, n, m)] if n and rng.random() < 0.5 else draw_rows(
                rng, m, d)[0] * (np.max(np.abs(x), initial=0) or 1) / 4
            options = {"refs": z.astype(dtype), "ref_labels": draw_labels(rng, m)}
    arguments = (x, second, w)
    expected = expected_of(oracle, arguments, options)
    by_value, by_row = close_to(loss, arguments, options, expected)
    what = f"{loss}, {arguments}, {options}"
    assert by_value <= 1, f"value off by {by_value:.3g} times what is allowed: {what}"
    assert by_row <= 1, f"gradient off by {by_row:.3g} times what is allowed: {what}"
    value, grad = loss.value_and_grad(*arguments, **options)[:2]
    layout = MATRICES[rng.integers(len(MATRICES))]
    assert_same_bits(loss.value_and_grad(layout(x), *arguments[1:], **options,
                                         n_threads=int(rng.integers(1, 5)))[:2], (value, grad))
    if loss.blockwise and not options and n:
        parts = in_blocks(loss, arguments, rng)
        allowed = max(abs(expected.value) * (1e-6 if dtype == np.float32 else 1e-13),
                      16 * float(np.finfo(dtype).eps) * expected.value_size)
        assert abs(parts - expected.value) <= allowed, (parts, value, what)


def run(seed, cases):
    """Check cases, each of which can be run again from its seed and number."""
    for case in range(cases):
        try:
            check_case(np.random.default_rng([seed, case]))
        except Exception as error:
            raise AssertionError(f"seed {seed}, case {case}: {error}") from error


def test_drawn_batches():
    run(0, CASES)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, CHUNKS + 1))
def test_many_drawn_batches(seed):
    run(seed, CHUNK)
