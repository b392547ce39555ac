"""Drawn formulas: value, gradient and hessian beside mpmath, at kinks and next to them too.

What is drawn is run as Python, from the very source that Numba gets, and a sample of it compiled.
The expected derivatives are differences of the formula itself in mpmath's numbers, from both sides:
where they agree, their limit; elsewhere those of the branch that is taken, and the mean of the two
sides of abs and roots.
"""

import math
from types import SimpleNamespace

import mpmath as mp
import numpy as np
import pytest
from formulas import define
from numerics import all_results, assert_same_bits

pytest.importorskip("numba", reason="Numba is not installed")

from generated import AmbiguousError, bounded, functions_of, run

from fastloss.custom import loss
from fastloss.custom._formula import formula_of

POINTS = 20         # of each formula
VALUES = (0.7, 3.0)


# ---- drawing ----------------------------------------------------------------------------


def drawn(rng, depth):
    """Return a random expression of e = p - y, p, y and parameters c and d."""
    if depth == 0:
        return rng.choice(["e", "e", "e", "e", "p", "c", "d", "y", "0.5", "3", "0.1"])
    a, b, g = (drawn(rng, depth - 1 - int(rng.integers(0, depth))) for _ in range(3))
    k = rng.choice(["1.5", "2.5", "0.5", "2.0", "3", "2", "d", "0.75", "-2", "-0.5"])
    q = rng.choice(["3", "c", "d", "7.0", "(1 + abs(y))", "0.3"])
    return rng.choice([
        f"({a} + {b})", f"({a} - {b})", f"{a} * {b}", f"({a}) / {q}", f"abs({a}) / {q}",
        f"abs({a})", f"(abs({a}) / {q}) ** 2", f"max({a}, {b})", f"min({a}, {b})", f"({a}) ** 2",
        f"abs({a}) ** {k}", f"math.sqrt(({a}) ** 2 / {q})", f"math.sqrt(({a}) ** 2 + {q})",
        f"math.sqrt(({a}) ** 2 + abs({b}) ** 2 / {q})", f"math.sqrt(abs({a}))",
        f"math.exp(-abs({a}) / {q})", f"math.log1p(abs({a}) / {q})", f"math.log({q} + ({a}) ** 2)",
        f"math.log1p(({a}) ** 2)", f"math.tanh({a})", f"({a} if {b} > {g} else {g})",
        f"({a} if e > 0 else {b})", f"(0.0 if e == 0 else {a})", f"1 / ({q} + abs({a}))",
        f"1 / (1 + abs({a}) ** {k})", f"max(0, {a}) ** 2", f"max(0.0, abs({a}) - {q})",
        f"math.hypot({a}, {b})", f"math.exp(-({a}) ** 2)", f"-({a})"])


def samples(rng):
    """Return targets and predictions: where they are equal, next to it, elsewhere."""
    for _ in range(POINTS):
        y = float(rng.choice([0.0, 0.0, 0.0, 1.0, -2.0, 0.5, rng.normal()]))
        step = float(rng.choice([0, 0, 0, 1, -1]))
        tiny = float(rng.choice([1e-200, -1e-160, 1e-20, 1e-8, 0.0]))
        kink = float(rng.choice([0.7, 3.0, -0.7, -3.0, 0.5]))
        p = rng.choice([y, y, y + tiny, y + kink, y + rng.normal(), 0.0])
        yield y, float(np.nextafter(p, np.inf * step) if step and abs(p) > 1e-3 else p)


# ---- expected ---------------------------------------------------------------------------


class UndefinedError(Exception):
    """The formula has no number there."""


def real(name):
    function = getattr(mp, name)

    def called(x):
        x = function(mp.mpf(x))
        if not isinstance(x, mp.mpf) or not mp.isfinite(x):
            raise UndefinedError
        return x

    return called


EXACT = SimpleNamespace(hypot=lambda a, b: mp.sqrt(a * a + b * b), **{
    name: real(name) for name in ("sqrt", "exp", "log", "log1p", "tanh")})


class Taken:
    """A number next to a point, and the one at the point: comparisons are decided there."""

    def __init__(self, side, point):
        self.side, self.point = side, point

    def _made(self, op, other):
        other = other if isinstance(other, Taken) else Taken(other, other)
        return Taken(op(self.side, other.side), op(self.point, other.point))

    def __add__(self, other):
        return self._made(lambda a, b: a + b, other)

    def __sub__(self, other):
        return self._made(lambda a, b: a - b, other)

    def __rsub__(self, other):
        return -self + other

    def __mul__(self, other):
        return self._made(lambda a, b: a * b, other)

    def __truediv__(self, other):
        return self._made(lambda a, b: a / b, other)

    def __rtruediv__(self, other):
        return Taken(other, other) / self

    def __pow__(self, other):
        return self._made(lambda a, b: a ** b, other)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self):
        return Taken(-self.side, -self.point)

    def __abs__(self):
        return Taken(abs(self.side), abs(self.point))

    def __lt__(self, other):
        return self.point < getattr(other, "point", other)

    def __gt__(self, other):
        return self.point > getattr(other, "point", other)

    def __eq__(self, other):
        return self.point == getattr(other, "point", other)

    __hash__ = None


def of_both(function):
    def called(*args):
        args = [a if isinstance(a, Taken) else Taken(a, a) for a in args]
        return Taken(function(*(a.side for a in args)), function(*(a.point for a in args)))
    return called


EXACT_TAKEN = SimpleNamespace(**{name: of_both(f) for name, f in vars(EXACT).items()})


def one_side(f, y, p, side, scale, taken):
    """Return the limits of both derivatives from a side, as differences over two distances show."""
    found = []
    for distance in ("1e-50", "1e-80"):
        h = mp.mpf(distance) * scale
        values = []
        for k in (1, 2, 3):
            x = p + side * k * h
            value = f(y, Taken(x, p) if taken else x, *map(mp.mpf, VALUES))
            value = value.side if isinstance(value, Taken) else mp.mpf(value)
            if not isinstance(value, mp.mpf) or not mp.isfinite(value):
                raise UndefinedError
            values.append(value)
        a, b, c = values
        found.append((side * (-5 * a + 8 * b - 3 * c) / (2 * h), (a - 2 * b + c) / h**2))
    limits = []
    for order, (far, near) in enumerate(zip(*found, strict=True), 1):
        noise = mp.mpf(10) ** (20 - mp.mp.dps) * max(abs(a), 1) / h**order
        ratio = abs(near / far) if abs(far) > noise else mp.mpf(0) if abs(near) <= noise else mp.inf
        limits.append(mp.sign(near) * mp.inf if ratio > 10 else near if ratio > 0.1 else mp.mpf(0))
    return limits


def sides(f, y, p, scale, taken=False):
    """Return (right, left) of the first derivative and of the second; None without a number."""
    found = []
    for side in (1, -1):
        try:
            found.append(one_side(f, y, p, side, scale, taken))
        except (UndefinedError, ZeroDivisionError, ValueError, TypeError, AttributeError):
            found.append([None, None])
    return list(zip(*found, strict=True))


def expected(formula, frozen, y, p):
    """Return value and derivatives; None where there is none, or none that is defined."""
    scale = mp.mpf(min([abs(x) for x in (p, p - y) if x], default=1.0))
    scale = min(scale, mp.mpf(1))
    with mp.workdps(400 - 4 * int(mp.floor(mp.log10(scale)))):
        y, p = mp.mpf(y), mp.mpf(p)
        try:
            value = mp.mpf(formula(y, p, *map(mp.mpf, VALUES)))
        except (UndefinedError, ZeroDivisionError, ValueError, TypeError):
            value = None
        results = [value]
        taken = None
        for order, (right, left) in enumerate(sides(formula, y, p, scale)):
            limit = right if left is None else left if right is None else None
            if limit is None and right is not None and (
                    right == left or abs(right - left) <= mp.mpf("1e-18") * abs(left) < mp.inf):
                limit = left
            if limit is None and right is not None and value is not None:
                taken = taken or sides(frozen, y, p, scale, taken=True)
                right, left = taken[order]
                if right is not None and left is not None:
                    close = abs(right + left) <= mp.mpf("1e-18") * abs(left) < mp.inf
                    limit = (right if right == left else mp.mpf(0) if right == -left or close
                             else (right + left) / 2)
            results.append(limit)
        return results


# ---- the test ---------------------------------------------------------------------------


def drawn_formula(seed):
    """Return a text, and its function for doubles, for mpmath, and of branches that are taken."""
    rng = np.random.default_rng(seed)
    while True:
        text = str(drawn(rng, int(rng.integers(1, 4))))
        text = f"def f(y, p, c, d):\n    e = p - y\n    return {text}"
        function = define(text, math=math)
        try:
            made = formula_of(function, frozenset())
        except ValueError as error:
            assert "does not depend on 'p'" in str(error)
            continue
        return rng, text, made, define(text, math=EXACT), define(text, math=EXACT_TAKEN)


def check(seed, count):
    """Compare a formula at some points; return how many were and how many could be compared."""
    rng, text, made, exact, frozen = drawn_formula(seed)
    names = functions_of(made, VALUES)
    compared = 0
    for case, (y, p) in enumerate(samples(rng)):
        if case == count:
            break
        try:
            f = bounded(names, "value", y, p, VALUES)[0]
            _, g, h = bounded(names, "grad_and_hess", y, p, VALUES)
        except AmbiguousError:
            continue
        if not math.isfinite(f.value):
            continue
        compared += 1
        for name, ours, right in zip("fgh", (f, g, h), expected(exact, frozen, y, p), strict=True):
            if right is None or not ours.error < math.inf:
                continue
            where = f"seed {seed}, case {case}: {name} of {text!r} at y={y!r}, p={p!r}: " \
                f"{ours.value!r} (within {ours.error:.3g}), right is {mp.nstr(right, 20)}"
            if abs(right) > 1e308:
                assert abs(ours.value) > 1e300 and ours.value * right > 0, where
                continue
            with mp.workdps(60):
                far = abs(mp.mpf(ours.value) - right)
                assert far <= 2 * ours.error + 1e-13 * abs(right) + 1e-320, where
    return compared


@pytest.mark.parametrize("block", range(5))
def test_drawn_formulas(block):
    compared = sum(check(100_000 + 5 * block + i, POINTS) for i in range(5))
    assert compared > 30


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_many_drawn_formulas(block):
    compared = sum(check(200_000 + 250 * block + i, POINTS) for i in range(250))
    assert compared > 250 * POINTS / 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_loops_are_what_was_run(dtype, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTLOSS_CACHE_DIR", str(tmp_path))
    for seed in range(300_000, 300_004):
        rng, text, made, *_ = drawn_formula(seed)
        y, p = np.array([*samples(rng), *samples(rng)], dtype).T.copy()
        compiled = loss(define(text, math=math), c=VALUES[0], d=VALUES[1], reduction="none")
        names = functions_of(made, VALUES)
        f, g, _ = run(names, "value_and_grad", y, p, VALUES)
        _, _, h = run(names, "grad_and_hess", y, p, VALUES)
        assert_same_bits(all_results(compiled, y, p), (f, g, h), text)
