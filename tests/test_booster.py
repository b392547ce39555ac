"""The compiled part of the boosters' adapters: checks of labels, second derivatives."""

import numpy as np
import pytest
from cases import DTYPES, seeded

from fastloss import _base
from fastloss._booster import inside, settle

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
