"""More pairs than 32 bits count: rows of one number, whose losses are known in closed form."""

import numpy as np
import pytest
from batches import DTYPES
from cases import seeded

import fastloss as fl

pytestmark = pytest.mark.slow
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def off(found, expected):
    """Return the largest error by the largest number."""
    return np.max(np.abs(np.ravel(found) - expected)) / np.max(np.abs(expected))


def distances_to(x, z):
    """Return the sums of each x's distances from all z, and how many more lie below than above."""
    z = np.sort(z)
    sums = np.append(0.0, np.cumsum(z))
    below, up_to = np.searchsorted(z, x), np.searchsorted(z, x, side="right")
    return (2 * below - z.size) * x - 2 * sums[below] + sums[-1], below - (z.size - up_to)


@every_dtype
def test_distances_of_all_pairs_of_a_batch(dtype):
    n = 95_000
    assert n * (n - 1) // 2 > 2**32
    x = seeded("large", "batch").normal(size=(n, 1)).astype(dtype)
    loss = fl.BatchContrastiveLoss(margin=0, form="linear")
    value, grad = loss.value_and_grad(x, np.zeros(n, int))
    sums, slopes = distances_to(*[x[:, 0].astype(float)] * 2)
    single = dtype == np.float32
    assert abs(value / (sums.sum() / (n * (n - 1))) - 1) <= (1e-6 if single else 1e-13)
    assert off(grad, slopes / (n * (n - 1) / 2)) <= (3e-5 if single else 1e-12)
    # counts are exact: but for those of equal rows all pairs cost
    part = loss.partial(x, np.zeros(n, int))
    ties = np.unique(x, return_counts=True)[1]
    assert part.weight_sum == n * (n - 1) // 2
    assert part.nonzero_sum == n * (n - 1) // 2 - np.sum(ties * (ties - 1) // 2)


@every_dtype
def test_distances_of_rows_and_refs(dtype):
    n, m = 70_000, 66_000
    assert n * m > 2**32
    rng = seeded("large", "refs")
    x, z = rng.normal(size=(n, 1)).astype(dtype), rng.normal(size=(m, 1)).astype(dtype)
    loss = fl.BatchContrastiveLoss(margin=0, form="linear", reduction="sum")
    value, (by_x, by_z) = loss.value_and_grad(x, ["a"] * n, refs=z, ref_labels=["a"] * m)
    x, z = x[:, 0].astype(float), z[:, 0].astype(float)
    sums, slopes = distances_to(x, z)
    single = dtype == np.float32
    assert abs(value / sums.sum() - 1) <= (1e-6 if single else 1e-13)
    assert off(by_x, slopes) <= (3e-5 if single else 1e-12)
    assert off(by_z, distances_to(z, x)[1]) <= (3e-5 if single else 1e-12)


@every_dtype
def test_softmax_over_many_keys(dtype):
    n, tau = 70_000, 0.5
    assert n * n > 2**32
    keys = np.where(np.arange(n) % 7 == 0, -1, 1)
    value, grads = fl.InfoNCELoss(temperature=tau).value_and_grad(
        np.ones((n, 1), dtype), (3 * keys[:, None]).astype(dtype))
    away = np.count_nonzero(keys < 0)
    expected = np.log(away * np.exp(-1 / tau) + (n - away) * np.exp(1 / tau)) - keys.mean() / tau
    assert abs(value / expected - 1) <= (1e-6 if dtype == np.float32 else 1e-13)
    # in one dimension no row can turn; what is left is rounding, far below 1/n
    assert max(np.abs(grad).max() for grad in grads) <= 10 * np.finfo(dtype).eps / n


@every_dtype
def test_hardest_triplets_of_many(dtype):
    n, margin = 70_000, 0.5
    rng = seeded("large", "triplets")
    x, y = rng.normal(size=(n, 1)).astype(dtype), rng.integers(0, 2, n)
    value = fl.BatchTripletLoss(margin=margin).value(x, y)
    x, costs = x[:, 0].astype(float), 0.0
    for label in (0, 1):
        mine, others = x[y == label], np.sort(x[y != label])
        farthest = np.maximum(mine - mine.min(), mine.max() - mine)
        at = np.clip(np.searchsorted(others, mine), 1, others.size - 1)
        closest = np.minimum(np.abs(mine - others[at - 1]), np.abs(mine - others[at]))
        costs += np.sum(np.maximum(farthest - closest + margin, 0))
    assert abs(value / (costs / n) - 1) <= (1e-6 if dtype == np.float32 else 1e-13)
