"""The oracle itself: against the textbook formula in mpmath and against differences."""

import mpmath as mp
import numpy as np
import pytest
from cases import CASES, DTYPES, draw, seeded
from numerics import assert_ulp

import fastloss as fl
from fastloss import reference

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def away_from_kinks(case, parameters, y, p):
    """Return which p have room for a difference quotient."""
    kinks = [case.kinks(parameters, float(label)) for label in y]
    return np.array([all(abs(x - k) > 5e-3 * max(abs(k), abs(x)) for k in at)
                     for x, at in zip(p, kinks, strict=True)], bool)


def oracle_terms(case, parameters, y, p):
    return [np.broadcast_to(term, p.shape) for term in case.terms(parameters, y, p)]


@every_case
@pytest.mark.parametrize("seed", range(8))
def test_values_against_the_textbook(case, seed):
    rng = seeded(case.name, "textbook", seed)
    parameters = case.parameters(rng)
    y, p = draw(case, rng, 60, np.float64, parameters)
    domain = case.loss(**parameters)._domains()[1]
    corners = np.array([x for x in case.corners(parameters) if domain.holds(np.array(x))])
    for label in (0.0, 1.0, 0.25):
        y, p = np.append(y, np.full(corners.size, label)), np.append(p, corners)
    f = case.reference(**parameters, reduction="none").value(y, p)
    expected = []
    for yi, pi in zip(y, p, strict=True):
        with mp.workdps(700 if abs(pi) < 1e-20 else 60):    # 1 beside the square of a denormal
            try:
                expected.append(float(case.textbook(parameters, mp.mpf(yi), mp.mpf(pi))))
            except (ZeroDivisionError, ValueError):     # ln 0
                expected.append(np.inf)
            clipped = parameters.get("eps") != 0 or parameters["from_logits"]
            if not clipped and pi in (0, 1) and yi not in (0, 1):
                expected[-1] = np.inf
    assert_ulp(f, expected, case.ulps[np.float64][0], oracle_terms(case, parameters, y, p)[0],
               parameters=parameters, y=y, p=p)


@every_case
@pytest.mark.parametrize("seed", range(8))
def test_derivatives_against_those_of_the_textbook(case, seed):
    # mpmath differentiates the textbook formula at 60 digits
    rng = seeded(case.name, "derivatives", seed)
    parameters = case.parameters(rng)
    y, p = draw(case, rng, 60, np.float64, parameters)
    smooth = away_from_kinks(case, parameters, y, p) & (p != 0) & (p != 1)
    y, p = y[smooth], p[smooth]
    assert p.size > 15
    g, h = case.reference(**parameters, reduction="none").grad_and_hess(y, p)
    with mp.workdps(60):
        points = [(mp.mpf(yi), mp.mpf(pi)) for yi, pi in zip(y, p, strict=True)]
        derivatives = []
        for order in (1, 2):
            derivatives.append([float(mp.diff(
                lambda x, yi=yi: case.textbook(parameters, yi, x), pi, order,
                h=min(abs(pi), abs(1 - pi)) * mp.mpf("1e-15"))) for yi, pi in points])
    _, g_terms, h_terms = oracle_terms(case, parameters, y, p)
    ulps = case.ulps[np.float64]
    g_0, h_0 = np.array(derivatives)
    # the quotient's own error, 1e-15 and less relative to the terms
    tiny = np.abs(h_0) < 1e-12 * np.maximum(np.abs(h).max(), 1)
    h_0[tiny & (h == 0)] = 0
    g_0[(g == 0) & (np.abs(g_0) < 1e-12 * np.maximum(np.abs(g).max(), 1))] = 0
    assert_ulp(g, g_0, ulps[1] + 4, g_terms, parameters=parameters, y=y, p=p)
    assert_ulp(h, h_0, ulps[2] + 4, h_terms, parameters=parameters, y=y, p=p)


@every_case
@pytest.mark.parametrize("seed", range(8))
def test_derivatives_against_central_differences(case, seed):
    rng = seeded(case.name, "differences", seed)
    parameters = case.parameters(rng)
    y, p = draw(case, rng, 300, np.float64, parameters)
    smooth = away_from_kinks(case, parameters, y, p) & (np.abs(p) > 1e-3) & (np.abs(1 - p) > 1e-3)
    if case.labels == "reals":
        smooth &= np.abs(y) < 100 * np.abs(p)
    y, p = y[smooth], p[smooth]
    assert p.size > 30
    loss = case.reference(**parameters, reduction="none")
    step = 5e-4 * np.minimum(np.minimum(np.abs(p), np.abs(1 - p)), case.scale(parameters))

    eps = np.finfo(float).eps
    g, h = loss.grad_and_hess(y, p)
    terms = oracle_terms(case, parameters, y, p)
    for got, function, curvature, term, own in (
            (g, loss.value, h, terms[0], terms[1]),
            (h, loss.grad, np.zeros_like(h), terms[1], terms[2])):
        f = [function(y, p + k * step) for k in (-2, -1, 1, 2)]
        expected = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * step)
        # what rounding the function and its argument costs, then the quotient's truncation
        change = (np.abs(got) + 2 * step * np.abs(curvature)) * np.abs(p)
        size = np.max(np.abs(f), axis=0) + term + change
        bound = 10 * eps * size / step + 1e-11 * (np.abs(got) + np.abs(curvature * p) + own)
        worst = int(np.argmax(np.abs(got - expected) - bound))
        assert abs(got[worst] - expected[worst]) <= bound[worst], (
            parameters, y[worst], p[worst], got[worst], expected[worst])


@every_case
def test_differences_would_see_a_wrong_derivative(case):
    # the kinds of bug that the comparisons above are for: a factor, a sign
    rng = seeded(case.name, "wrong")
    parameters = case.parameters(rng)
    y, p = draw(case, rng, 100, np.float64, parameters)
    g = case.reference(**parameters, reduction="none").grad(y, p)
    assert np.count_nonzero(np.isfinite(g) & (g != 0)) > 20
    for wrong in (-g, 2 * g, g * (1 + 1e-12)):
        with pytest.raises(AssertionError, match="ULP"):
            assert_ulp(wrong, g, 9, np.abs(g))


@every_case
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_oracle_reduces_as_the_table_says(case, dtype):
    rng = seeded(case.name, dtype, "reductions")
    parameters = case.parameters(rng) | ({"eps": 0.125} if "eps" in case.parameters(rng) else {})
    y, p = draw(case, rng, 40, dtype, parameters)
    w = rng.random(40).astype(dtype).astype(float)
    f, g = case.reference(**parameters, reduction="none").value_and_grad(y, p)
    _, h = case.reference(**parameters, reduction="none").grad_and_hess(y, p)
    for weights in (None, w):
        v = np.ones(40) if weights is None else weights
        divisors = {"mean": v.sum(), "sum": 1.0, "sum_over_batch_size": 40.0}
        for reduction, divisor in divisors.items():
            loss = case.reference(**parameters, reduction=reduction)
            value, grad = loss.value_and_grad(y, p, weights)
            assert abs(value - (v * f).sum() / divisor) <= 1e-14 * (v * f).sum() / divisor
            assert_ulp(grad, v * g / divisor, 2)
            assert_ulp(loss.grad(y, p, weights), v * g / divisor, 2)
            assert_ulp(loss.grad_and_hess(y, p, weights)[1], v * h / divisor, 2)
            assert loss(y, p, weights) == value
        elements = case.reference(**parameters, reduction="none").value(y, p, weights)
        assert_ulp(elements, v * f, 1)


def test_the_oracle_emits_no_warnings():
    y, p, w = [1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, -1.0, 0.0]
    with np.errstate(all="raise"):
        loss = reference.LogLoss(eps=0, reduction="sum")
        assert np.isnan(loss.value(y, p, w))            # inf - inf
        assert np.isnan(loss.partial(y, p, w).loss_sum)
        assert np.isnan(reference.LogLoss(reduction="mean").value([], []))
        assert np.isnan(reference.LogLoss().grad([1.0], [0.5], [0.0])).all()


def test_the_oracle_is_an_oracle():
    for name in CASES:
        kernel, oracle = getattr(fl, name), getattr(reference, name)
        for method in ("value", "grad", "value_and_grad", "grad_and_hess", "partial", "__call__"):
            assert getattr(kernel, method) is not getattr(oracle, method), (name, method)
