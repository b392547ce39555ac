"""Infinite, huge, tiny and missing numbers, and the neighbours of every special value."""

import itertools

import numpy as np
import pytest
from cases import CASES, DTYPES, LABELS, neighbours, seeded
from numerics import all_results, assert_same_bits, assert_ulp

import fastloss as fl

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)

HUGE = [1e3, 1e15, 1e30, np.inf]


def special_numbers(case, parameters, dtype):
    """Return predictions where something happens, in a dtype."""
    tiny, smallest = float(np.finfo(dtype).tiny), float(np.finfo(dtype).smallest_subnormal)
    found = [x * sign for x in [*HUGE, tiny, smallest, 3 * smallest] for sign in (1, -1)]
    found += neighbours(0.0, 1.0) + list(case.corners(parameters))
    with np.errstate(over="ignore"):
        found = np.unique(np.array(found, dtype))
    return np.append(found, np.array([-0.0, 0.0, np.nan], dtype))


def grid(case, parameters, dtype):
    """Return all pairs of labels and special predictions."""
    y = LABELS[case.labels]
    p = special_numbers(case, parameters, dtype)
    y, p = np.meshgrid(y, p)
    return y.ravel(), p.ravel()


def overflows(case, parameters, y, p, dtype):
    """Return which results pass, on the way, beyond the range of the dtype."""
    limit = float(np.finfo(dtype).max) ** 0.5 / 10
    p, y = p.astype(float), y.astype(float)
    small = np.isfinite(p) & (p != 0) & (np.abs(p) < 1 / limit)
    large = np.isfinite(p) & (np.abs(p) > limit)
    label = np.isfinite(y) & (np.abs(y) > limit)
    return small | large | label


@every_case
@every_dtype
@pytest.mark.parametrize("seed", range(12))
def test_entry_points_agree_at_extremes(case, dtype, seed):
    rng = seeded(case.name, dtype, "extremes", seed)
    parameters = case.parameters(rng)
    y, p = grid(case, parameters, dtype)
    loss = case.loss(**parameters, reduction="none")
    oracle = case.reference(**parameters, reduction="none")
    whole = all_results(loss, y, p)                     # these four agree, or this fails
    expected = oracle.value(y, p), *oracle.grad_and_hess(y, p)
    tame = ~overflows(case, parameters, y, p, dtype)
    terms = case.terms(parameters, y.astype(dtype).astype(float), p.astype(float))
    for what, got, wanted, term, ulps in zip(
            "fgh", whole, expected, terms, case.ulps[dtype], strict=True):
        term = np.broadcast_to(term, p.shape)
        term = np.where(np.isfinite(wanted), term, 0)
        assert_ulp(got[tame], wanted[tame], ulps, term[tame], result=what, parameters=parameters,
                   y=y[tame], p=p[tame])
        # beyond the range on the way: still the right sign, and no NaN that is not deserved
        with np.errstate(over="ignore"):
            sign = np.sign(wanted.astype(dtype))[~tame]
        ours = np.sign(got[~tame])
        wrong = (ours != sign) & ~(np.isnan(ours) & np.isnan(sign))
        least = np.abs(wanted[~tame]) <= 4 * float(np.finfo(dtype).smallest_subnormal)
        wrong &= ~(least & (np.abs(got[~tame]) <= 4 * float(np.finfo(dtype).smallest_subnormal)))
        assert not wrong.any(), (what, parameters, y[~tame][wrong], p[~tame][wrong],
                                 got[~tame][wrong], wanted[~tame][wrong])
    # each element alone, in a vector's tail and in its middle: the same bits
    for i in range(p.size):
        alone = all_results(loss, y[i:i + 1], p[i:i + 1])
        assert_same_bits(alone, tuple(part[i:i + 1] for part in whole), f"y={y[i]} p={p[i]}")


@every_case
@every_dtype
@pytest.mark.parametrize("reduction", ["mean", "sum", "sum_over_batch_size"])
def test_entry_points_agree_at_extremes_when_reduced(case, dtype, reduction):
    rng = seeded(case.name, dtype, "extreme", reduction)
    for _ in range(5):
        parameters = case.parameters(rng)
        y, p = grid(case, parameters, dtype)
        loss = case.loss(**parameters, reduction=reduction)
        whole = case.loss(**parameters, reduction="none")
        elements = whole.value(y, p)
        for i in range(p.size):                         # one extreme among tame ones
            at = rng.integers(0, 40)
            many_y, many_p = np.full(40, 0.5), np.full(40, 0.25, dtype)
            many_y[at], many_p[at] = y[i], p[i]
            value, _, _ = all_results(loss, many_y, many_p)
            assert np.isnan(value) == np.isnan(elements[i]), (parameters, y[i], p[i], value)
            # summed in float64: beyond the range of float32 is not beyond that of the sum
            own = whole.value(y[i:i + 1].astype(dtype), p[i:i + 1].astype(float))[0]
            infinite = np.isinf(elements[i]) and not np.isfinite(own)
            assert np.isinf(value) == infinite, (parameters, y[i], p[i], value)


@every_case
@every_dtype
def test_nan_anywhere_is_never_hidden(case, dtype):
    rng = seeded(case.name, dtype, "nan")
    for reduction, n in itertools.product(["none", "mean", "sum", "sum_over_batch_size"],
                                          [1, 5, 33, 1500]):
        parameters = case.parameters(rng)
        p = case.draw_p(rng, n, parameters).astype(dtype)
        y, w = rng.integers(0, 2, n).astype(float), rng.random(n) + 0.5
        loss = case.loss(**parameters, reduction=reduction)
        for array in (y, p, w):
            at = int(rng.integers(n))
            kept, array[at] = array[at], np.nan
            for weights in (None, w):
                if array is w and weights is None:
                    continue
                f, g, h = all_results(loss, y, p, weights)
                assert np.isnan(g[at])
                assert np.isnan(h[at])
                assert np.isnan(np.reshape(f, -1)[at if reduction == "none" else 0])
                if not (array is w and reduction == "mean"):
                    assert np.count_nonzero(np.isnan(g)) == 1, "only that element"
                    assert np.count_nonzero(np.isnan(h)) == 1
            array[at] = kept


@every_case
@every_dtype
@pytest.mark.parametrize("label", [0.0, 1.0, 0.5, np.nan])
@pytest.mark.parametrize("p", [0.0, 1.0, 0.3, 7.0, -7.0, np.inf, -np.inf, np.nan])
def test_nan_of_a_label_or_weight_wins_over_every_prediction(case, dtype, label, p):
    rng = seeded(case.name, dtype, label, p)
    for _ in range(10):
        parameters = case.parameters(rng)
        loss = case.loss(**parameters, reduction="none")
        y, p_array = np.full(3, label), np.full(3, p, dtype)
        for w in (None, np.array([np.nan] * 3), np.array([np.nan] * 3, np.float16)):
            if np.isnan(label) or np.isnan(p) or w is not None:
                for part in all_results(loss, y, p_array, w):
                    assert np.isnan(part).all(), (parameters, label, p, w)


@every_case
@every_dtype
def test_no_loss_is_a_negative_zero(case, dtype):
    rng = seeded(case.name, dtype, "zero")
    for _ in range(20):
        parameters = case.parameters(rng)
        y, p = grid(case, parameters, dtype)
        f = case.loss(**parameters, reduction="none").value(y, p)
        wrong = (f == 0) & np.signbit(f)
        assert not wrong.any(), (parameters, y[wrong], p[wrong])


# ---- the term of a zero label weight --------------------------------------------------------


@every_dtype
@pytest.mark.parametrize("similar_label", [0, 1])
@pytest.mark.parametrize("form", ["squared", "half", "linear"])
def test_contrastive_term_of_weight_zero(dtype, similar_label, form):
    loss = fl.ContrastiveLoss(form=form, similar_label=similar_label, reduction="none")
    similar, dissimilar = (1, 0) if similar_label else (0, 1)
    far = np.array([1e30, np.inf], dtype)
    y = np.full(2, dissimilar)
    f, g, h = all_results(loss, y, far)
    assert_same_bits((f, abs(g), abs(h)), tuple(np.zeros((3, 2), dtype)))
    # a similar pair at -inf: the dissimilar term is infinite, and has weight 0
    f, g, _ = all_results(loss, np.full(1, similar), np.full(1, -np.inf, dtype))
    assert f[0] == (-np.inf if form == "linear" else np.inf)
    assert g[0] == (1 if form == "linear" else -np.inf)
    # a weight of zero of the sample is no label weight
    assert np.isnan(loss.value(np.full(1, similar), np.full(1, np.inf, dtype), np.zeros(1))[0])


@every_dtype
def test_log_loss_without_clip(dtype):
    loss = fl.LogLoss(eps=0, reduction="none")
    y = np.array([1, 0, 1, 0, 1, 0, 1, 0, 0.5, 0.5])
    p = np.array([1, 0, 0, 1, 1.5, 1.5, -0.5, -0.5, 0, 1], dtype)
    inf, nan = np.inf, np.nan
    f, g, h = all_results(loss, y, p)
    assert_ulp(f, [0, 0, inf, inf, nan, nan, nan, nan, inf, inf], 0)
    # -1/q for label 1, 1/(1-q) for label 0
    assert_ulp(g, [-1, 1, -inf, inf, nan, nan, nan, nan, -inf, inf], 0)
    assert_ulp(h, [1, 1, inf, inf, nan, nan, nan, nan, inf, inf], 0)
    p = np.array([0.3, 1e-30, 0.9], dtype)
    expected = 1 / p.astype(float)
    assert_ulp(loss.grad(np.ones(3), p), -expected, 1)
    assert_ulp(loss.grad(np.zeros(3), p), 1 / (1 - p.astype(float)), 2)


# ---- known bugs of losses --------------------------------------------------------------------


@every_dtype
@pytest.mark.parametrize("eps", [1e-7, 1e-6, 1e-12, "auto", 0.01])
def test_both_tails_of_the_log_loss_cost_the_same(dtype, eps):
    loss = fl.LogLoss(eps=eps, reduction="none")
    edge = float(np.finfo(dtype).eps) if eps == "auto" else eps
    for outside in (0.0, 5.0, np.inf):
        y, p = np.array([1, 0]), np.array([-outside, 1 + outside], dtype)
        f, g, h = all_results(loss, y, p)
        assert f[0] == f[1]
        assert_ulp(f, np.full(2, -np.log(edge)), 1)
        assert_ulp(np.stack([g, h]), np.zeros((2, 2)), 0)
        # a sure and right prediction costs as much as the clip says, not 0
        right = loss.value(y[::-1], p)
        assert right[0] == right[1]
        assert_ulp(right, np.full(2, -np.log1p(-edge)), 1)


@every_dtype
def test_log_loss_is_not_clipped_on_its_edges(dtype):
    for eps in (2.0**-10, 2.0**-20, 0.25):
        loss = fl.LogLoss(eps=eps, reduction="none")
        p = np.array([eps, 1 - eps], dtype)
        outside = np.array([np.nextafter(p[0], dtype(0)), np.nextafter(p[1], dtype(1))])
        for y in (np.zeros(2), np.ones(2), np.full(2, 0.125)):
            assert np.all(loss.grad(y, p) != 0)
            assert np.all(loss.grad_and_hess(y, p)[1] != 0)
            assert np.all(loss.grad(y, outside) == 0)
            assert np.all(loss.grad_and_hess(y, outside)[1] == 0)


@every_dtype
@pytest.mark.parametrize("eps", [1e-50, 1e-300, 1e-45, 3e-46, 1e-40])
def test_eps_below_the_range_of_float32_still_clips(dtype, eps):
    loss = fl.LogLoss(eps=eps, reduction="none")
    for outside in (0.0, 1.0, np.inf):
        y, p = np.array([1, 0, 1, 0]), np.array([-outside, 1 + outside] * 2, dtype)[[0, 1, 1, 0]]
        f, g, h = all_results(loss, y, p)
        assert np.isfinite(f).all(), f
        assert f[0] == f[1]
        assert 80 < f[0] <= -np.log(eps) * (1 + 1e-6)
        assert (f[2:] <= 1e-30).all()
        assert_ulp(np.stack([g, h]), np.zeros((2, 4)), 0)
        value = loss.replace(reduction="sum")(y[:2], p[:2])
        assert abs(value - 2 * float(f[0])) <= 3e-7 * value


@every_dtype
def test_log_loss_of_tiny_probabilities_is_not_rounded_to_zero(dtype):
    p = np.array([1e-4, 1e-8, 1e-12, 1e-30], dtype)
    f = fl.LogLoss(eps=0, reduction="none").value(np.zeros(4), p)
    assert_ulp(f, -np.log1p(-p.astype(float)), 2)
    assert np.all(f > 0)


@pytest.mark.parametrize("letter", ["?", "B", "H", "I", "Q", "b"])
@every_case
def test_unsigned_labels_do_not_wrap(case, letter):
    # 1 - y of a uint8 is 255 for y = 2, and of a bool an error
    y, p = np.array([0, 1, 1, 0], letter), np.array([0.2, 0.3, 0.9, 0.6])
    for reduction in ("none", "mean"):
        got = all_results(case.loss(reduction=reduction), y, p)
        assert_same_bits(got, all_results(case.loss(reduction=reduction), y.astype(float), p))
    two = np.array([2], "B")
    assert fl.SquaredLoss(reduction="sum").grad(two, np.array([1.0]))[0] == -2


def test_sums_do_not_overflow_or_stall_in_float32():
    # 2^25 ones: a float32 sum stops at 2^24
    n = (1 << 24) + 3
    p = np.broadcast_to(np.float32(1), n)
    assert fl.absolute_loss(np.broadcast_to(np.int8(0), n), p, reduction="sum") == n
    large = np.full(20, 3e38, np.float32)
    assert fl.absolute_loss(np.zeros(20), large, reduction="sum") == 20 * float(large[0])


# ---- four statements of the article that do not hold as written ------------------------------


def test_article_label_sense():
    # its formula pulls label 1 together and pushes label 0 apart, contrary to its text
    near, far = np.array([0.0]), np.array([1.0])
    one, zero = np.array([1]), np.array([0])
    assert fl.contrastive_loss(one, near) == 0 < fl.contrastive_loss(one, far)
    assert fl.contrastive_loss(zero, far) == 0 < fl.contrastive_loss(zero, near)
    for y, p in itertools.product((one, zero), (near, far, np.array([0.25]))):
        assert fl.contrastive_loss(y, p, similar_label=0) == fl.contrastive_loss(1 - y, p)


def test_article_margin_zero_is_no_mean_squared_error():
    rng = np.random.default_rng(2)
    y, p = rng.integers(0, 2, 100), rng.random(100)
    value = fl.contrastive_loss(y, p, margin=0)
    assert abs(value - np.mean(y * p**2)) <= 1e-15
    assert fl.contrastive_loss(np.zeros(100), p, margin=0) == 0
    assert abs(value - fl.squared_loss(y, p)) > 0.05


def test_article_contrastive_is_no_classification_loss():
    # of two right predictions of a dissimilar pair, the one beyond the margin is not better,
    # and a probability that is surely right for label 1 costs most
    assert fl.contrastive_loss([0.0], [1.5]) == fl.contrastive_loss([0.0], [30.0]) == 0
    assert fl.contrastive_loss([1.0], [1.0]) > fl.contrastive_loss([1.0], [0.1])
    assert fl.log_loss([1.0], [1.0]) < fl.log_loss([1.0], [0.1])


def test_article_eps_in_float32():
    clipped = np.clip(np.array([0, 1], np.float32), np.float32(1e-7), np.float32(1 - 1e-7))
    article = [-np.log(clipped[0]), -np.log(1 - clipped[1])]
    assert abs(article[0] - article[1]) > 0.1           # 16.118 and 15.942
    for dtype in DTYPES:
        for y, p in ((1, 0), (0, 1)):
            value = fl.log_loss(np.array([y]), np.array([p], dtype))
            assert abs(value + np.log(1e-7)) < 1e-6
