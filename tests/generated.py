"""The source that Numba gets, run by Python: on NumPy's numbers, or on numbers with error bounds.

It is the same text, with other things under the names that it uses.
"""

import ctypes
import math
from fractions import Fraction

import numpy as np

from fastloss._core import limits
from fastloss._core.simd_level import kernels
from fastloss.custom import _code

VERSIONS = {"version": "", "numba": ""}
WORDS = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_double, \
    ctypes.c_ssize_t, *[ctypes.c_void_p] * 5, ctypes.c_ssize_t
LIMITS = {kind: ctypes.CFUNCTYPE(None, *WORDS)(address)
          for kind, address in zip(_code.TYPES, limits.ADDRESSES, strict=True)}


def functions_of(formula, values):
    """Return the globals of a formula's source, the loops among them."""
    names = {}
    exec(compile(_code.source(formula, values, VERSIONS), "<generated>", "exec"), names)
    return names


def limits(kind, codes, numbers, length, at, scale, n, marks, y, p, g, h, wanted):
    """Call what compiled loops call, on arrays."""
    parameters = np.array(at, np.float64)
    arrays = [None if a is None else a.ctypes.data for a in (marks, y, p, g, h)]
    LIMITS[kind](codes.data, numbers.data, length, parameters.ctypes.data, float(scale), n,
                 *arrays, wanted)


def run(names, name, y, p, values=()):
    """Return f, g and h of a loop over NumPy arrays, as compiled code computes them."""
    kind = y.dtype.name
    y, p = map(np.ascontiguousarray, (y, p))
    n = len(y)
    at = np.zeros(_code.IN_BOUND)
    at[:len(values)] = values[:_code.IN_BOUND]
    out = [np.zeros(n, kind) for _ in range(3)]
    names |= {"carray": lambda array, n: array, "narrow": lambda: None,
              "room": lambda kind: np.zeros(n, kind), "np": np, "math": Silent(),
              "float32": np.float32, "float64": np.float64}
    for function in _code.VECTORS:
        names[f"{function}_{kind}"] = lambda n, a, x, more, out, function=function: (
            kernels.mathematics(function, x, out))
    names[f"limits_{kind}"] = lambda *args: limits(kind, *args)
    with np.errstate(all="ignore"):
        names[f"{name}_{kind}"](at, y.dtype.type(1), n, y, p, *out, 0)
    return out


class Silent:
    """Functions of `math` that return NaN or infinity, as those of C do."""

    def __getattr__(self, name):
        function = getattr(math, name)
        return lambda *args: _called(function, *args)


def _called(function, *args):
    try:
        return function(*args)
    except ValueError:
        if args[0] != 0 or function not in (math.pow, math.log):
            return math.nan
        return math.inf if function is math.pow else -math.inf
    except (OverflowError, ZeroDivisionError):
        return math.inf


# ---- with error bounds ------------------------------------------------------------------

HALF = 2.0**-53
LEAST = 5e-324


class AmbiguousError(Exception):
    """Rounding decides a comparison, or a bound is infinite."""


class Bounded:
    """A double and by how much the exact result may differ."""

    __slots__ = ("error", "value")

    def __init__(self, value, error=0.0):
        self.value, self.error = float(value), error

    def __float__(self):
        return self.value

    def __add__(self, other):
        return _rounded(self.value + other.value, self.error + other.error,
                        lambda: Fraction(self.value) + Fraction(other.value))

    def __sub__(self, other):
        return self + -other

    def __neg__(self):
        return Bounded(-self.value, self.error)

    def __mul__(self, other):
        a, b = abs(self.value), abs(other.value)
        spread = sum(x * y + LEAST for x, y in ((a, other.error), (b, self.error),
                                                (self.error, other.error)) if y and x)
        return _rounded(self.value * other.value, spread,
                        lambda: Fraction(self.value) * Fraction(other.value))

    def __truediv__(self, other):
        least = abs(other.value) - other.error
        if not least > 0:
            if other.error or not math.isfinite(self.value):
                raise AmbiguousError
            with np.errstate(all="ignore"):
                return Bounded(np.float64(self.value) / np.float64(other.value),
                               self.error and math.inf)
        value = self.value / other.value
        if not math.isfinite(self.value + other.value):
            return Bounded(value, math.inf if self.error + other.error else 0.0)
        spread = self.error + abs(value) * other.error
        return _rounded(value, spread and spread / least + LEAST,
                        lambda: Fraction(self.value) / Fraction(other.value))

    def __abs__(self):
        return Bounded(abs(self.value), self.error)

    def __lt__(self, other):
        return self._decided(other) and self.value < other.value

    def __le__(self, other):
        return self._decided(other) and self.value <= other.value

    def __gt__(self, other):
        return other < self

    def __eq__(self, other):
        return self._decided(other) and self.value == other.value

    def __ne__(self, other):
        return self._decided(other) and self.value != other.value

    __hash__ = None

    def _decided(self, other):
        error = self.error + other.error
        if error and not abs(self.value - other.value) > error:
            raise AmbiguousError
        return True


def _rounded(value, spread, exact):
    if not math.isfinite(value):
        return Bounded(value, 0.0 if not spread else math.inf)
    if spread == 0:
        far = abs(exact() - Fraction(value))
        return Bounded(value, float(far) + LEAST if far else 0.0)
    return Bounded(value, (spread + HALF * abs(value)) * (1 + 1e-10) + LEAST)


class Mathematics:
    """Functions of `math` for them: what they give around the number bounds their error."""

    def __getattr__(self, name):
        function = getattr(math, name)

        def bounded(x, *more):
            if name == "pow":
                return _power(x, *more)
            at = _called(function, x.value)
            if x.error == 0 and at in (0.0, 1.0) and x.value in (0.0, 1.0):
                return Bounded(at)
            spread = max(abs(_called(function, x.value + e) - at) for e in (x.error, -x.error))
            if not spread >= 0:
                raise AmbiguousError
            return Bounded(at, 2 * spread + 4 * HALF * abs(at) + LEAST)

        return bounded


def _power(x, k):
    with np.errstate(all="ignore"):
        at = float(np.power(np.float64(x.value), np.float64(k.value)))
        low, high = (float(np.power(np.float64(x.value + e), np.float64(k.value)))
                     for e in (-x.error, x.error))
    spread = 0.0 if x.error == 0 else max(abs(low - at), abs(high - at))
    if k.error and at:
        spread += k.error * abs(math.log(abs(x.value))) * abs(at)
    if not spread >= 0:
        raise AmbiguousError
    return Bounded(at, 2 * spread + (4 * HALF * abs(at) if math.isfinite(at) else 0) + LEAST)


def bounded(names, name, y, p, values=()):
    """Return f, g and h at one sample with bounds of their errors."""
    # derivatives of what bends at a distance have terms as large as the ones before, by it
    distance = min([abs(x) for x in (p, p - y) if x], default=1.0)
    at = [Bounded(value) for value in values]
    y, p = [Bounded(y)], [Bounded(p)]
    out = [[Bounded(0.0)] for _ in range(3)]
    mathematics = Mathematics()

    def found(codes, numbers, length, at, scale, n, marks, y_at, p_at, g_at, h_at, wanted):
        derivatives = [np.array([math.nan]) for _ in range(2)]
        # computed in more digits, of the very numbers
        limits("float64", codes, numbers, length, [x.value for x in at] or [0.0], 1.0, 1,
               np.array([marks[0]], np.uint8), *(np.array([x[0].value]) for x in (y_at, p_at)),
               *derivatives, wanted)
        for target, (value,) in zip((g_at, h_at), derivatives, strict=True):
            if value == value:
                # of terms that cancel, as large as the constants of drawn formulas
                noise = 4 * float(np.finfo(np.longdouble).eps)
                if target is h_at:
                    noise += 1e-17 * abs(g_at[0].value) / distance
                target[0] = Bounded(value, 1e-13 * abs(value) + noise
                                    if math.isfinite(value) else 0.0)

    names |= {"carray": lambda array, n: array, "narrow": lambda: None, "room": lambda kind: [0],
              "math": mathematics, "float64": _as_bounded, "float32": _as_bounded,
              "limits_float64": found}
    for function in _code.VECTORS:
        name_there = function.removesuffix("_negative")
        names[f"{function}_float64"] = lambda n, a, x, more, out, each=name_there: (
            out.__setitem__(0, getattr(mathematics, each)(x[0])))
    names[f"{name}_float64"](at, Bounded(1.0), 1, y, p, *out, 0)
    return [each[0] for each in out]


def _as_bounded(x):
    return x if isinstance(x, Bounded) else Bounded(x)
