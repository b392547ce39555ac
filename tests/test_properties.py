"""What holds for whole families of losses, on data that hypothesis makes up."""

import itertools

import numpy as np
import pytest
from cases import CASES, DTYPES, draw, seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numerics import all_results, assert_same_bits

import fastloss as fl

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
modest = settings(deadline=None, max_examples=40, derandomize=True)

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 300)
dtypes = st.sampled_from(DTYPES)


def make(case, seed, n, dtype, reduction="none", tame=False):
    """Return a loss with drawn parameters, labels, predictions and weights."""
    rng = np.random.default_rng(seed)
    parameters = case.parameters(rng)
    if tame:
        parameters |= case.tame
    y, p = draw(case, rng, n, dtype, parameters)
    return case.loss(**parameters, reduction=reduction), y, p, rng.random(n) + 0.01, rng


@every_case
@modest
@given(seed=seeds, dtype=dtypes)
def test_convex_where_stated(case, seed, dtype):
    rng = np.random.default_rng(seed)
    parameters = case.parameters(rng) | case.unclipped      # a clip is not convex
    y, a = draw(case, rng, 100, dtype, parameters)
    _, b = draw(case, rng, 100, dtype, parameters)
    t = dtype(rng.random())
    middle = t * a + (1 - t) * b
    # rounding may take the middle out of [a, b], and shift it there
    middle = np.clip(middle, np.minimum(a, b), np.maximum(a, b))
    loss = case.loss(**parameters, reduction="none")
    f_a, f_b, f_m = (loss.value(y, p).astype(float) for p in (a, b, middle))
    with np.errstate(invalid="ignore"):
        slope = np.abs(loss.grad(y, middle).astype(float)) * np.abs(middle)
        chord = float(t) * f_a + (1 - float(t)) * f_b
        slack = 16 * float(np.finfo(dtype).eps) * (np.abs(chord) + slope)
        below = (f_m <= chord + slack) | np.isinf(chord) | np.isnan(chord)
    if case.convex:
        assert below.all(), (parameters, y[~below], a[~below], b[~below])


@every_case
@modest
@given(seed=seeds, dtype=dtypes)
def test_gradients_do_not_fall_and_hessians_are_not_negative(case, seed, dtype):
    rng = np.random.default_rng(seed)
    parameters = case.parameters(rng) | case.unclipped
    label = float(draw(case, rng, 1, dtype, parameters)[0][0])
    p = np.sort(case.draw_p(rng, 200, parameters).astype(dtype))
    g, h = case.loss(**parameters, reduction="none").grad_and_hess(np.full(200, label), p)
    if case.convex:
        assert (h >= 0).all()
        g = g[np.isfinite(g)].astype(float)
        terms = case.terms(parameters, np.full(200, label), p.astype(float))[1]
        slack = 8 * float(np.finfo(dtype).eps) * np.broadcast_to(terms, p.shape)
        slack = np.max(np.where(np.isfinite(slack), slack, 0), initial=0)
        rise = np.diff(g) + slack + 8 * float(np.finfo(dtype).eps) * np.abs(g[1:])
        assert (rise >= 0).all(), (parameters, label)


@every_case
@modest
@given(seed=seeds, n=sizes, dtype=dtypes)
def test_losses_are_not_negative(case, seed, n, dtype):
    loss, y, p, _, _ = make(case, seed, n, dtype)
    if case.positive:
        assert (loss.value(y, np.abs(p)) >= 0).all()


@modest
@given(seed=seeds, n=sizes, dtype=dtypes)
def test_contrastive_symmetry_of_labels(seed, n, dtype):
    case = CASES["ContrastiveLoss"]
    loss, y, p, w, rng = make(case, seed, n, dtype, "sum")
    y = rng.integers(0, 17, n) / 16        # 1 - y is exact
    other = loss.replace(similar_label=1 - loss.similar_label)
    assert_same_bits(all_results(other, 1 - y, p, w), all_results(loss, y, p, w))


@modest
@given(seed=seeds, n=sizes)
def test_log_loss_symmetry_of_classes(seed, n):
    rng = np.random.default_rng(seed)
    p = rng.integers(1, 2**20, n) / 2.0**20        # 1 - p is exact
    y = rng.integers(0, 17, n) / 16
    loss = fl.LogLoss(eps=2.0**-10, reduction="none")
    f, g, h = all_results(loss, y, p)
    f_2, g_2, h_2 = all_results(loss, 1 - y, 1 - p)
    for a, b in ((f, f_2), (g, -g_2), (h, h_2)):
        np.testing.assert_allclose(a, b, rtol=4e-16 * 8, atol=0)


@modest
@given(seed=seeds, n=sizes, dtype=dtypes, name=st.sampled_from(
    ["AbsoluteLoss", "SquaredLoss", "HuberLoss", "PseudoHuberLoss", "LogCoshLoss",
     "EpsilonInsensitiveLoss"]))
def test_residual_losses_are_even_and_antisymmetric(seed, n, dtype, name):
    loss, y, p, _, _ = make(CASES[name], seed, n, dtype)
    y = y.astype(dtype)
    f, g, _ = all_results(loss, y, p)
    f_2, g_2, _ = all_results(loss, p, y)
    assert_same_bits(f, f_2)
    assert_same_bits(g + 0.0, -g_2 + 0.0)
    f_3, g_3, _ = all_results(loss, -y, -p)
    assert_same_bits(f, f_3)
    assert_same_bits(g + 0.0, -g_3 + 0.0)


@every_case
@modest
@given(seed=seeds, n=sizes, dtype=dtypes, power=st.integers(-8, 8))
def test_scaling_by_weights(case, seed, n, dtype, power):
    # by a power of two: exact
    loss, y, p, w, _ = make(case, seed, n, dtype, tame=True)
    scale = 2.0**power
    for reduction in ("none", "sum", "sum_over_batch_size"):
        loss = loss.replace(reduction=reduction)
        expected = all_results(loss, y, p, w)
        got = all_results(loss, y, p, w * scale)
        assert_same_bits(got[1:], tuple(dtype(scale) * a for a in expected[1:]))
        assert_same_bits(np.asarray(got[0], np.float64), np.asarray(expected[0], float) * scale)
    loss = loss.replace(reduction="mean")
    assert_same_bits(all_results(loss, y, p, w * scale), all_results(loss, y, p, w))


@every_case
@modest
@given(seed=seeds, n=sizes, dtype=dtypes)
def test_unit_weights_are_no_weights(case, seed, n, dtype):
    loss, y, p, _, _ = make(case, seed, n, dtype)
    for reduction in ("none", "mean", "sum", "sum_over_batch_size"):
        loss = loss.replace(reduction=reduction)
        f, g, h = all_results(loss, y, p)
        f_1, g_1, h_1 = all_results(loss, y, p, np.ones(n, np.int8))
        assert_same_bits((g_1, h_1), (g, h))
        if reduction == "none":
            assert_same_bits(f_1, f)
        else:
            # one is the sum of elements, the other may be the logarithm of a product
            tolerance = 3e-7 if dtype == np.float32 else 1e-13
            elements = np.abs(loss.replace(reduction="none")(y, p).astype(float))
            size = elements.sum() if reduction == "sum" else elements.mean()
            assert abs(f_1 - f) <= tolerance * size or f_1 == f


@every_case
@modest
@given(seed=seeds, n=sizes, dtype=dtypes)
def test_permutations(case, seed, n, dtype):
    loss, y, p, w, rng = make(case, seed, n, dtype)
    order = rng.permutation(n)
    expected = all_results(loss, y, p, w)
    got = all_results(loss, y[order], p[order], w[order])
    assert_same_bits(got, tuple(a[order] for a in expected))
    total, total_2 = (loss.replace(reduction="sum").value(*a) for a in (
        (y, p, w), (y[order], p[order], w[order])))
    size = np.abs(expected[0].astype(float)).sum()
    assert abs(total - total_2) <= 1e-13 * size or total == total_2


@every_case
@modest
@given(seed=seeds, n=sizes, dtype=dtypes)
def test_weight_two_is_a_row_twice(case, seed, n, dtype):
    loss, y, p, _, rng = make(case, seed, n, dtype, "mean", tame=True)
    counts = rng.integers(0, 4, n)
    counts[0] = 2
    repeated = [np.repeat(a, counts) for a in (y, p)]
    tolerance = 1e-6 if dtype == np.float32 else 1e-13
    for reduction in ("mean", "sum"):
        loss = loss.replace(reduction=reduction)
        value, grad, _ = all_results(loss, y, p, counts)
        value_2, grad_2, _ = all_results(loss, *repeated)
        size = np.abs(loss.replace(reduction="none")(*repeated).astype(float)).sum()
        size = size / counts.sum() if reduction == "mean" else size
        assert abs(value - value_2) <= tolerance * size
        sums = np.bincount(np.repeat(np.arange(n), counts), grad_2.astype(float), minlength=n)
        np.testing.assert_allclose(grad, sums, rtol=tolerance, atol=0)


@every_case
@modest
@given(seed=seeds, n=sizes, dtype=dtypes, cuts=st.lists(st.integers(0, 300), max_size=4))
def test_merged_parts_equal_the_whole(case, seed, n, dtype, cuts):
    loss, y, p, w, _ = make(case, seed, n, dtype, "mean", tame=True)
    edges = [0, *sorted(min(c, n) for c in cuts), n]
    total = loss.partial([], [], [])
    for a, b in itertools.pairwise(edges):
        total = total + loss.partial(y[a:b], p[a:b], w[a:b])
    assert total.count == n
    value = loss(y, p, w)
    size = np.abs(loss.replace(reduction="none")(y, p, w).astype(float)).sum() / w.sum()
    assert abs(total.result() - value) <= 1e-13 * size


@every_case
@modest
@given(seed=seeds, n=sizes, dtype=dtypes, width=st.sampled_from([2, 4, 64]))
def test_an_element_does_not_depend_on_its_neighbours(case, seed, n, dtype, width):
    loss, y, p, w, rng = make(case, seed, n, dtype)
    whole = all_results(loss, y, p, w)
    start = int(rng.integers(n))
    part = slice(start, start + width)
    assert_same_bits(all_results(loss, y[part], p[part], w[part]), tuple(a[part] for a in whole))


@every_case
@modest
@given(data=st.data(), dtype=dtypes)
def test_any_bits_at_all(case, data, dtype):
    # arbitrary numbers, with NaN, infinities and denormals: entry points agree, nothing is hidden
    width = np.dtype(dtype).itemsize * 8
    floats = st.floats(width=width)
    n = data.draw(st.integers(1, 40))
    p = data.draw(hnp.arrays(dtype, n, elements=floats))
    y = data.draw(hnp.arrays(dtype, n, elements=floats))
    w = data.draw(st.none() | hnp.arrays(dtype, n, elements=floats))
    parameters = case.parameters(np.random.default_rng(data.draw(st.integers(0, 1000))))
    with np.errstate(all="raise"):
        f, g, h = all_results(case.loss(**parameters, reduction="none"), y, p, w)
        all_results(case.loss(**parameters), y, p, w)
    nan = np.isnan(p) | np.isnan(y) | (False if w is None else np.isnan(w))
    for part in (f, g, h):
        assert np.isnan(part[nan]).all()


def test_the_seeds_of_cases_are_stable():
    # what failed once can be run again
    assert seeded("a", np.float32).random() == seeded("a", np.float32).random()
    assert seeded("a").random() != seeded("b").random()
