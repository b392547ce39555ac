"""The compiled part of the boosters' adapters: checks of labels, second derivatives, bounds."""

import os
import subprocess
import sys

import numpy as np
import pytest
from cases import DTYPES, seeded

import fastloss as fl
from fastloss import _base
from fastloss._core import simd_level
from fastloss._core.boosting import KINDS, bend, inside, reach, settle
from fastloss._curvature import Bound

DOMAINS = {name: value for name, value in vars(_base).items() if isinstance(value, _base.Interval)}


def around(dtype):
    """Numbers at, next to and far from the ends of the domains."""
    ends = np.array([-np.inf, -1, -0.0, 0, 1, np.inf], dtype)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        steps = [np.nextafter(ends, dtype(way)) for way in (-np.inf, np.inf)]
    return np.unique(np.concatenate([ends, *steps, np.array([0.5, -0.5, 3, -3, np.nan], dtype)]))


def test_there_are_all_domains():
    assert {"REALS", "LABELS", "SIGNS", "COUNTS", "AMOUNTS", "ABOVE_MINUS_ONE",
            "WEIGHTS"} <= set(DOMAINS)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", DOMAINS)
def test_inside_is_the_domain_for_each_number_in_each_place(name, dtype):
    domain = DOMAINS[name]
    values = around(dtype)
    held = domain.holds(values)
    assert held.any() and not held.all()
    good = values[held][0]
    for value, holds in zip(values, held, strict=True):
        assert inside(np.array([value]), domain) == holds, value
        for at in (0, 31, 32, 99):
            many = np.full(100, good)
            many[at] = value
            assert inside(many, domain) == holds, (value, at)
    assert inside(np.empty(0, dtype), domain)


def test_inside_leaves_other_arrays_to_others():
    one = np.ones(8)
    assert inside(np.asfortranarray(np.ones((3, 4))), _base.LABELS)
    for array in (np.ones(8, int), one.astype(np.float16), one.astype(">f8"), np.ones(16)[::2],
                  np.ones(8, bool)):
        assert not inside(array, _base.LABELS)


@pytest.mark.parametrize("negate", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("straight", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_second_derivatives_that_can_be_divided_by(dtype, straight, weighted, negate):
    rng = seeded("settle", dtype)
    floor, sign = dtype(0.125), -1 if negate else 1
    for shape, order in [((1,), "C"), ((1003,), "C"), ((60, 5), "C"), ((60, 5), "F")]:
        grad, hess = (np.asarray(rng.choice([-1.0, 0.0, 0.25], shape), dtype, order=order)
                      for _ in range(2))
        corners = [(0, np.nan), (np.nan, np.nan), (0, np.inf), (1, -np.inf), (np.inf, np.inf),
                   (np.nan, 0)]
        for i, (slope, curve) in enumerate(corners[:hess.size]):
            grad.flat[i], hess.flat[i] = slope, curve
        weight = np.asarray(rng.uniform(0, 1, shape), dtype, order=order) if weighted else None
        for factor in (1.0, 2.0):
            expected = hess * dtype(factor)
            if straight:
                repaired = (expected <= 0) & (grad != 0)
                repaired |= ~np.isfinite(expected) & np.isfinite(grad)
                expected = np.where(repaired,
                                    1 if weight is None else weight, expected)
            expected = np.maximum(expected, floor)
            ours, second = grad.copy(order="K"), hess.copy(order="K")
            settle(ours, second, straight, weight, factor, floor, negate)
            np.testing.assert_array_equal(ours, sign * grad)
            np.testing.assert_array_equal(second, sign * expected)


def test_arrays_that_do_not_belong_together_are_refused():
    a = np.ones(4)
    for grad, hess, weight in [(a[:3], a, None), (a.astype(np.float32), a, None), (a, a, a[:3]),
                               (a, a, a.astype(np.float32)), (a, np.ones(8)[::2], None),
                               (a.astype(int), a.astype(int), None)]:
        with pytest.raises(AssertionError):
            settle(grad, hess, True, weight, 1.0, 0.1, False)
    assert (a == 1).all()


# ---- bounds of second derivatives --------------------------------------------------------

BOUNDS = [Bound("slope over residual"), Bound("slope over distance to logarithm", least=1e-3),
          Bound("half jump over residual", 0.5), Bound("half jump over residual", least=0.3),
          Bound("half jump over residual", unit=0.25), Bound("slope times share", 2.5)]


def far_of(y, p, w, least=0.0, unit=0.0):
    """Distances from targets, in NumPy."""
    w = np.ones(y.shape) if w is None else w
    size = np.maximum(np.abs(y), unit) if unit else np.ones(y.shape)
    far = np.abs(p - y) / size
    near = np.fmax(0.1 * (np.sum(far**0.125 * w, axis=0) / np.sum(w, axis=0)) ** 8, least)
    sharp = size == unit
    far = np.where(sharp, far, np.maximum(far, near))
    return np.where(far > 0, far, np.where(sharp, 1e-38, 1.0)), size


def bound_of(bound, y, p, w, grad):
    """The least second derivatives, in NumPy."""
    one = np.ones(y.shape) if w is None else w
    if bound.kind == "half jump over residual":
        far, size = far_of(y, p, w, bound.least, bound.unit)
        found = bound.factor * one / far / size**2
    elif bound.kind == "slope times share":
        sign = 2 * y - 1
        found = bound.factor * np.abs(grad) / (1 + np.exp(-sign * p))
    else:
        far = p - (y if bound.kind == "slope over residual" else np.log(y))
        found = np.where(np.abs(far) > bound.least, grad / far, 0)
    return np.minimum(found, 1e38)


def layouts(shape, rng):
    """An array's layouts, as boosters hand them over and as a user may."""
    yield lambda x: x
    yield lambda x: np.asfortranarray(x)
    yield lambda x: np.repeat(x, 2, axis=0)[::2]
    yield lambda x: x[::-1].copy()[::-1]
    yield lambda x: x.astype(x.dtype.newbyteorder())
    if len(shape) == 2:
        yield lambda x: np.repeat(x, 3, axis=1)[:, 1::3]


def drawn(rng, shape, bound):
    """Targets, predictions, gradient and second derivatives that float32 has."""
    p = np.round(rng.normal(0, 2, shape), 2).astype(np.float32).astype(float)
    y = np.round(rng.gamma(1.0, 2.0, shape), 1).astype(np.float32).astype(float)
    if bound.kind == "slope times share":
        y = rng.integers(0, 2, shape).astype(float)
    elif "logarithm" not in bound.kind:
        y = np.where(rng.random(shape) < 0.3, p, y)         # met exactly
    with np.errstate(divide="ignore"):
        toward = p - np.log(y) if "logarithm" in bound.kind else p - y
    slope = np.sign(toward) * rng.random(shape).astype(np.float32)
    return y, p, slope, rng.choice([0.0, -1.0, 0.25, 10.0, np.nan], shape)


def test_every_kind_of_bound_is_tested():
    assert {bound.kind for bound in BOUNDS} == set(KINDS)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bound", BOUNDS, ids=str)
def test_second_derivatives_are_no_less_than_a_bound(bound, dtype, weighted):
    rng = seeded("bend", dtype, str(bound), weighted)
    for shape in [(1,), (3,), (1000,), (257, 3), (20_001,)]:
        y, p, slope, hess = drawn(rng, shape, bound)
        w = rng.choice([0.0, 0.5, 2.0], shape[:1]) if weighted else None
        if weighted and not w.any():
            w[:] = 1
        if weighted and len(shape) == 2:
            w = np.broadcast_to(w[:, None], shape)
        with np.errstate(all="ignore"):
            expected = np.fmax(hess, bound_of(bound, y, p, w, slope))
        for layout in layouts(shape, rng):
            for single in (False, True):
                given = [layout(x.astype(np.float32) if single else x) for x in (y, p)]
                found = np.asarray(hess.astype(dtype), order="F" if layout(p).flags.f_contiguous
                                   else "C")
                bend(bound, *given, w, slope.astype(dtype), found, False)
                np.testing.assert_allclose(found, expected,
                                           rtol=max(np.finfo(dtype).eps, 1e-12))


@pytest.mark.parametrize("bound", BOUNDS, ids=str)
def test_a_bound_has_the_same_bits_for_every_number_of_threads(bound):
    rng = seeded("threads", str(bound))
    y, p, slope, hess = drawn(rng, 2**20 + 4321, bound)
    found = []
    try:
        for n_threads in (1, 2, 3):
            fl.set_num_threads(n_threads)
            found.append(hess.copy())
            bend(bound, y, p, None, slope, found[-1], False)
    finally:
        fl.set_num_threads(None)
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


PRINT_BITS = """
import hashlib, numpy as np
from fastloss._core.boosting import bend
from fastloss._curvature import Bound
rng = np.random.default_rng(0)
y, p = rng.gamma(1.0, 2.0, 9001), rng.normal(0, 2, 9001)
digests = {True: hashlib.sha256(), False: hashlib.sha256()}
for kind, more in [("slope over residual", {}), ("half jump over residual", {}),
                   ("half jump over residual", {"unit": 0.5}), ("slope times share", {}),
                   ("slope over distance to logarithm", {})]:
    for w in (None, rng.random(9001)):
        hess = np.zeros(9001)
        bend(Bound(kind, **more), y, p, w, p - y, hess, False)
        digests["residual" in kind].update(hess.tobytes())
print(digests[True].hexdigest(), digests[False].hexdigest())
"""


def test_bounds_have_the_same_bits_at_every_level():
    found = {level: subprocess.run(
        [sys.executable, "-c", PRINT_BITS], check=True, capture_output=True, text=True,
        env=os.environ | {"FASTLOSS_SIMD": level}, timeout=120).stdout.split()
        for level in simd_level.AVAILABLE}
    assert len({algebraic for algebraic, _ in found.values()}) == 1, found
    fused = {others for level, (_, others) in found.items() if level != "baseline"}
    assert len(fused) <= 1, found       # logarithms and exponentials


@pytest.mark.parametrize("dtype", DTYPES)
def test_bounds_that_are_given_and_infinite_derivatives(dtype):
    hess = np.array([0, 3, np.nan, np.inf, -np.inf, np.nan, 1], dtype)
    given = np.array([1, 2, 4, 5, 6, np.nan, np.inf])
    for straight, expected in ((False, [1, 3, 4, np.inf, 6, np.nan, 1e38]),
                               (True, [1, 3, 4, 5, 6, np.nan, 1e38])):
        found = hess.copy()
        bend(given, None, None, None, None, found, straight)
        np.testing.assert_array_equal(found, np.array(expected, dtype))


@pytest.mark.parametrize("shape", [(0,), (1,), (1000,), (9000, 2)])
def test_reach_is_the_distance_or_a_tenth_of_a_typical_one(shape):
    rng = seeded("reach", shape)
    y, p, _, _ = drawn(rng, shape, BOUNDS[0])
    w = np.broadcast_to(rng.uniform(0, 2, shape[:1] + (1,) * (len(shape) - 1)), shape)
    for weights in (None, w):
        if shape[0]:
            np.testing.assert_allclose(reach(y, p, weights), far_of(y, p, weights)[0], rtol=1e-12)
        else:
            assert reach(y, p, weights).shape == shape
    np.testing.assert_array_equal(reach(y, y, None), np.ones(shape))    # all are met
    np.testing.assert_array_equal(reach(y, p, 0 * w), np.where(p == y, 1, np.abs(p - y)))


def test_bounds_of_other_shapes_are_refused():
    a = np.ones(4)
    for y, p, w, grad, hess in [(a[:3], a, None, a, a), (a, a[:3], None, a, a), (a, a, a[:3], a, a),
                                (a, a, None, a[:3], a), (a[:, None], a, None, a, a),
                                (a, a, None, a, a.astype(int))]:
        with pytest.raises(AssertionError):
            bend(BOUNDS[0], y, p, w, grad, hess, False)
    assert (a == 1).all()
