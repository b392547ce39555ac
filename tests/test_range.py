"""Every loss over the whole range of its numbers and parameters, kernels and oracle alike.

Data and parameters are drawn with exponents from the least to the largest, denormal numbers among
them, and each result is held against exact arithmetic: within the loss's bounds, infinite only
where the exact result is beyond the range, and 0 only where it is below.
"""

import mpmath as mp
import numpy as np
import pytest
from cases import CASES, DTYPES, f32, seeded
from exact import of_dtype

import fastloss as fl

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)

DIGITS = {np.float32: 900, np.float64: 1700}


def sizes(rng, n, dtype):
    """Return positive numbers of a dtype with exponents of its whole range."""
    kind = np.finfo(dtype)
    x = 2.0 ** rng.uniform(kind.minexp - kind.nmant, kind.maxexp - 1e-6, n)
    return x.astype(dtype).astype(float)


def any_size(rng, dtype, usual):
    """Return a positive parameter, often far beyond the usual."""
    x = [usual, sizes(rng, 1, np.float32)[0], sizes(rng, 1, np.float64)[0]][rng.integers(3)]
    return float(f32(x)) if np.finfo(np.float32).tiny <= x <= 3e38 else float(x)


def any_share(rng, dtype, usual):
    """Return a parameter in (0, 1)."""
    x = any_size(rng, dtype, usual)
    return x if x < 1 else usual


def any_power(rng, dtype, usual):
    """Return a power next to one where the formula has a limit, or far from them."""
    side = rng.choice([-1, 1]) * 2.0 ** -rng.integers(4, 53)
    x = [1 + abs(side), 2 + side, 3 + side, -abs(side), *rng.uniform(-9, 0, 1),
         *rng.uniform(1, 9, 1), rng.choice([-300.0, 17.0, 120.0, 1e5, -1e9, 1e300])]
    return float(x[rng.integers(7)])


def inner_power(rng, dtype, usual):
    """Return a power between 1 and 2."""
    x = any_power(rng, dtype, usual)
    return x if 1 < x < 2 else usual


DRAWN = {"gamma": any_size, "delta": any_size, "margin": any_size, "pos_margin": any_size,
         "epsilon": any_size, "pos_weight": any_size, "quantile": any_share, "level": any_share,
         "alpha": any_share, "label_smoothing": any_share}


def parameters_of(case, rng, dtype):
    """Return parameters of the whole range."""
    parameters = dict(case.parameters(rng))
    for name, value in parameters.items():
        if name in DRAWN and value is not None:
            parameters[name] = DRAWN[name](rng, dtype, value)
    if "power" in parameters:
        draw = inner_power if case.name == "TweedieLoss" else any_power
        parameters["power"] = draw(rng, dtype, parameters["power"])
    if "eps" in parameters and parameters["eps"] != "auto":
        low = 0.4 if case.name == "LogLoss" else np.inf
        parameters["eps"] = min(any_size(rng, dtype, parameters["eps"]), low)
        if case.name == "LogLoss" and 0 < parameters["eps"] < np.finfo(dtype).tiny:
            parameters["eps"] = float(np.finfo(dtype).tiny)     # clipped at a number of the type
    return parameters


def labels_of(case, rng, n, dtype, parameters):
    kind = "signs" if parameters.get("labels") == (-1, 1) else case.labels
    x, side = sizes(rng, n, dtype), rng.choice([-1.0, 1.0], n)
    if kind in ("reals", "modest"):
        return x * side
    if kind in ("counts", "amounts"):
        return np.where((rng.random(n) < 0.1) & (kind == "counts"), 0.0, x)
    soft = np.where(rng.random(n) < 0.5, np.minimum(x, 1), (side > 0).astype(float))
    if kind == "hard":
        return (side > 0).astype(float)
    return np.where(rng.random(n) < 0.5, side, np.minimum(x, 1) * side) if kind == "signs" else soft


def predictions_of(case, rng, y, dtype, parameters):
    """Return predictions anywhere in the loss's domain, some close to the targets."""
    domain = case.loss(**parameters)._domains()[1]
    n, kind = y.size, np.finfo(dtype)
    x = sizes(rng, n, dtype)
    near = np.abs(y) * (1 + rng.choice([-1, 1], n) * 10.0 ** rng.uniform(-16, 0, n))
    widest = 1.2 * float(np.log(kind.max))
    x = np.where(rng.random(n) < 0.2, near, x)
    if case.labels in ("classes", "hard", "signs", "counts", "amounts", "modest"):
        x = np.where(rng.random(n) < 0.4, rng.uniform(0, widest, n), x)
    if domain.low < 0:
        x = x * np.where((rng.random(n) < 0.5) & (x < -domain.low), -1, 1)
    if domain.high == 1:
        x = np.where(x > 1, rng.random(n), x)
        x = np.where(rng.random(n) < 0.3, 1 - rng.random(n) * 2.0 ** -rng.uniform(1, 50, n), x)
    with np.errstate(over="ignore"):
        p = x.astype(dtype)
    return np.where(np.isfinite(p), p, dtype(kind.max))


def deviance_slopes(parameters, y, p):
    k = mp.mpf(parameters["power"])
    return 2 * (p - y) * p**-k, 2 * p**-k * (1 + k * (y - p) / p)


# Derivatives on paper, where differences would take too many digits.
SLOPES = {"TweedieDevianceLoss": deviance_slopes}


def exact(case, parameters, y, p, dtype):
    """Return loss and derivatives in mpmath's numbers, None at a kink or where there is none."""
    parameters = of_dtype(parameters, dtype)
    digits = DIGITS[dtype]
    if case.labels == "reals" and abs(p - y) > np.finfo(dtype).max:
        return None, None, None     # the residual is infinite
    with mp.workdps(digits):
        at, target = mp.mpf(p), mp.mpf(y)
        size = min(abs(at) or 1, 1, case.scale(parameters))
        step = mp.mpf(10) ** (-digits // 8) * size
        found = []
        for x in (at - step, at, at + step):
            try:
                found.append(case.textbook(parameters, target, x))
            except (ZeroDivisionError, ValueError):         # ln 0
                found.append(None)
        f = found[1] if isinstance(found[1], mp.mpf) else None
        near = [k for k in case.kinks(parameters, y)
                if not abs(p - k) > 8 * np.finfo(dtype).eps * max(abs(float(p)), abs(k))]
        if near or not all(isinstance(x, mp.mpf) for x in found):
            return f, None, None
        if case.name in SLOPES:
            return f, *SLOPES[case.name](parameters, target, at)
        low, mid, high = found
        g, h = (high - low) / (2 * step), (high - 2 * mid + low) / step**2
        # within the differences' own error: not known
        noise = mp.mpf(10) ** (10 - digits) * abs(f)
        slope = mp.mpf(10) ** (-digits // 10) * abs(h) * step * size
        known_g, known_h = abs(g) * step > noise + slope, abs(h) * step**2 > noise
        return f, g if known_g or not g else None, h if known_h or not h else None


def slack(case, parameters, y, p, dtype):
    """Return what rounding below the least normal number may cost, times what multiplies it."""
    least = float(np.finfo(dtype).smallest_subnormal)
    if case.name == "LogLoss":
        return least * max(parameters["pos_weight"], 1)
    if case.name == "FocalLoss":
        gamma = min(parameters["gamma"], 1e3)
        return least * (1 + 2 * gamma) * (1 + gamma) * (1 + abs(p))
    if case.name in ("ContrastiveLoss", "QualityLoss"):
        return least * abs(p)
    if case.name in ("GammaLoss", "TweedieLoss"):       # y times an exponential
        return least * max(y, 1.0)
    if case.name == "KLDivergenceLoss":                 # y / p, divided by p
        return least / p if p > least else np.inf
    return least


def error_of(got, wanted, terms, dtype, least):
    """Return the error in ULP of a result, or of the sum of its terms."""
    largest = float(np.finfo(dtype).max)
    size = max(abs(wanted), mp.mpf(float(terms)) if np.isfinite(float(terms)) else 0)
    if np.isnan(got):
        return np.inf
    top = float(np.nextafter(dtype(largest), dtype(0)))
    unit = mp.mpf(float(np.spacing(dtype(float(min(size, mp.mpf(top)))))))
    unit = max(unit, mp.mpf(least))
    far = abs(mp.mpf(largest) * (1 if got > 0 else -1) + unit * (1 if got > 0 else -1) - wanted
              ) if np.isinf(got) else abs(mp.mpf(float(got)) - wanted)
    if np.isinf(got) and (wanted > 0) == (got > 0) and abs(wanted) > largest:
        return 0.0
    return float(far / unit)


def check(case, dtype, seed, oracle=False, count=40):
    """Yield the error of each result, as a part of its bound, and what it is of."""
    rng = seeded(case.name, dtype, "range", seed)
    compared = 0
    for _ in range(4):
        parameters = parameters_of(case, rng, dtype)
        y = labels_of(case, rng, count // 4, dtype, parameters)
        p = predictions_of(case, rng, y, dtype, parameters)
        y = y.astype(dtype).astype(float)
        loss = (case.reference if oracle else case.loss)(**parameters, reduction="none")
        results = np.stack([loss.value(y, p), *loss.grad_and_hess(y, p)])
        wide = [a.astype(np.longdouble) for a in (y, p)]
        with np.errstate(all="ignore"):
            terms = [np.broadcast_to(t, p.shape) for t in case.terms(parameters, *wide)]
        for i in range(p.size):
            expected = exact(case, parameters, float(y[i]), float(p[i]), dtype)
            for k, wanted in enumerate(expected):
                if wanted is None:
                    continue
                error = error_of(results[k][i], wanted, terms[k][i], dtype,
                                 slack(case, parameters, float(y[i]), float(p[i]), dtype))
                compared += 1
                yield error / case.bounds[k], ("fgh"[k], error, parameters, y[i], p[i],
                                               results[k][i], mp.nstr(wanted, 17))
    assert compared >= count / 2


@every_dtype
def test_sums_hold_what_float32_does_not(dtype):
    large, small = np.array([2e20, 0.0], dtype), np.array([1e-25, 0.0], dtype)
    zero, w = np.zeros(2), np.array([0.5, 2.0])
    for p in (large, small):
        square = float(p[0]) ** 2
        for got, wanted in [
            (fl.squared_loss(zero, p), square / 2),
            (fl.squared_loss(zero, p, sample_weight=w), square / 5),
            (fl.SquaredLoss(reduction="sum").value_and_grad(zero, p)[0], square),
            (fl.contrastive_loss(np.ones(2), p), square / 2),
            (fl.huber_loss(zero, p, delta=float(f32(1e30))), square / 4),
            (fl.expectile_loss(zero, p, level=0.25), square * 0.375),
        ]:
            assert abs(got - wanted) <= 1e-15 * wanted, (got, wanted)
    element = fl.SquaredLoss(reduction="none").value(zero, large)
    assert element[0] == (np.inf if dtype == np.float32 else float(large[0]) ** 2)


@every_dtype
@pytest.mark.parametrize("n", [1, 100, 2500])
def test_a_sum_beyond_float32_does_not_depend_on_order(dtype, n):
    rng = seeded(dtype, n, "order")
    p = (rng.normal(size=n) * 10.0 ** rng.choice([-30, -22, 20, 30], n)).astype(dtype)
    exact_sum = float(sum(mp.mpf(float(x)) ** 2 for x in p))
    for order in (slice(None), slice(None, None, -1), rng.permutation(n)):
        for threads in (1, 2):
            got = fl.SquaredLoss(reduction="sum").value(np.zeros(n), p[order], n_threads=threads)
            assert abs(got - exact_sum) <= 3e-7 * exact_sum


@every_case
@every_dtype
@pytest.mark.parametrize("seed", range(2))
def test_results_over_the_whole_range(case, dtype, seed):
    with np.errstate(all="ignore"):
        for error, what in check(case, dtype, seed):
            assert error <= 1, what


@every_case
@pytest.mark.parametrize("seed", range(2))
def test_the_oracle_over_the_whole_range(case, seed):
    with np.errstate(all="ignore"):
        for error, what in check(case, np.float64, seed, oracle=True):
            assert error <= 1, what
