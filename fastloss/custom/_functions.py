"""The functions that a formula may call, as operations on nodes."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from fastloss.custom._derivatives import call, chained, derivatives, power, with_derivatives
from fastloss.custom._graph import Node, absolute, both, negation, select


def compare(op: str, a: Node, b: Node) -> Node:
    """Return whether a is less than b, and so on."""
    if op in ("gt", "ge"):
        op, a, b = {"gt": "lt", "ge": "le"}[op], b, a
    return a.graph.add(op, a, b)


def greater(a: Node, b: Node) -> Node:
    """Return the greater number, a if they are equal, as Python's max does."""
    return select(compare("gt", b, a), b, a)


def less(a: Node, b: Node) -> Node:
    """Return the lesser number, a if they are equal, as Python's min does."""
    return select(compare("lt", b, a), b, a)


def maximum(a: Node, b: Node) -> Node:
    """Return the greater number, NaN if one is."""
    return _with_nan(select(both("or", compare("ge", a, b), _is_nan(a)), a, b), a, b)


def minimum(a: Node, b: Node) -> Node:
    """Return the lesser number, NaN if one is."""
    return _with_nan(select(both("or", compare("le", a, b), _is_nan(a)), a, b), a, b)


def clip(x: Node, low: Node, high: Node) -> Node:
    """Return x, or the bound that it is beyond; `high` if that is below `low`."""
    if low.varies or high.varies:   # and may be NaN
        return minimum(maximum(x, low), high)
    inside = select(compare("gt", x, high), high, x)
    return _with_nan(select(compare("lt", x, low), less(low, high), inside), x)


def _with_nan(v: Node, *args: Node) -> Node:
    """Return a choice that is NaN if one of these is."""
    if v.op == "select":
        v.graph.carried[v] = list(args)
    return v


def where(condition: Node, a: Node, b: Node) -> Node:
    """Return a where the condition is true, else b."""
    return select(truth_of(condition), number_of(a), number_of(b))


def truth_of(x: Node) -> Node:
    """Return whether x is true; a number is if it is not 0."""
    return x if x.is_truth else compare("ne", x, x.graph.node_of(0.0))


def number_of(x: Node) -> Node:
    """Return x as a number: 1 where it is true, 0 where it is false."""
    return select(x, x.graph.node_of(1.0), x.graph.node_of(0.0)) if x.is_truth else x


def hypot(a: Node, b: Node) -> Node:
    """Return sqrt(a² + b²), whose squares do not overflow and whose curvature does not cancel."""
    a, b = absolute(a), absolute(b)
    is_less = compare("beside_lt", a, b)
    large, small = select(is_less, b, a), select(is_less, a, b)
    nothing = a.graph.node_of(0.0)
    infinite = compare("eq", large, a.graph.node_of(math.inf))
    none = both("or", compare("beside_eq", large, nothing), infinite)
    ratio = select(none, nothing, a.graph.add("beside_div", small, large))
    v = large * call("sqrt", 1.0 + ratio * ratio)
    (da, dda), (db, ddb) = derivatives(a), derivatives(b)
    first = (a / v) * da + (b / v) * db
    turn = (a / v) * db - (b / v) * da
    second = turn * turn / v + (a / v) * dda + (b / v) * ddb
    if any(each.constant for each in (a, b)):
        return with_derivatives(v, first, second, [a, b], [])
    at_0 = compare("eq", v, nothing)
    first, second = select(at_0, nothing, first), select(at_0, nothing, second)
    return with_derivatives(v, first, second, [a, b], [at_0])


def logaddexp(a: Node, b: Node) -> Node:
    """Return ln(e^a + e^b), without overflow."""
    apart = a - b
    if not any(each.constant is not None and math.isfinite(each.constant) for each in (a, b)):
        apart = select(compare("beside_eq", a, b), a.graph.node_of(0.0), apart)    # of infinities
    rest = call("exp", -absolute(apart))
    v = select(compare("beside_lt", a, b), b, a) + call("log1p", rest)
    larger, smaller = 1.0 / (1.0 + rest), rest / (1.0 + rest)
    first = compare("ge", a, b)
    share_a, share_b = select(first, larger, smaller), select(first, smaller, larger)
    (da, dda), (db, ddb) = derivatives(a), derivatives(b)
    slope = share_a * da + share_b * db
    bend = (larger * smaller) * ((da - db) * (da - db))
    return with_derivatives(v, slope, bend + (share_a * dda + share_b * ddb), [a, b], [])


def tanh(x: Node) -> Node:
    """Return tanh x, by exponentials of -2 |x|; its slope far out is not that of 1 - tanh² x."""
    x, exponent = number_of(x), -2.0 * absolute(x)
    less = call("expm1_negative", exponent)
    v = call("direction", x) * (-less / (2.0 + less))
    decay = call("exp", exponent)
    slope = 4.0 * decay / ((1.0 + decay) * (1.0 + decay))
    return with_derivatives(v, *chained(x, slope, -2.0 * (v * slope)), [x], [])


def _is_nan(x: Node) -> Node:
    return compare("ne", x, x)


def _is_finite(x: Node) -> Node:
    return compare("lt", absolute(x), x.graph.node_of(math.inf))


def _is_infinite(x: Node) -> Node:
    return compare("eq", absolute(x), x.graph.node_of(math.inf))


def _sign(x: Node) -> Node:
    return call("sign", x)


Function = Callable[..., Node]
# for at least two arguments, or more
SEVERAL: dict[Any, Function] = {max: greater, min: less}
FUNCTIONS: dict[Any, tuple[int, Function]] = {
    abs: (1, absolute), float: (1, number_of), bool: (1, truth_of), pow: (2, power),
    math.pow: (2, power), np.power: (2, power), np.float_power: (2, power),
    math.fabs: (1, absolute), np.abs: (1, absolute), np.fabs: (1, absolute),
    math.hypot: (2, hypot), np.hypot: (2, hypot), np.logaddexp: (2, logaddexp),
    np.maximum: (2, maximum), np.minimum: (2, minimum),
    np.fmax: (2, lambda a, b: select(both("or", compare("ge", a, b), _is_nan(b)), a, b)),
    np.fmin: (2, lambda a, b: select(both("or", compare("le", a, b), _is_nan(b)), a, b)),
    np.clip: (3, clip), np.where: (3, where), np.sign: (1, _sign),
    math.tanh: (1, tanh), np.tanh: (1, tanh), np.square: (1, lambda x: x * x),
    np.reciprocal: (1, lambda x: 1.0 / x),
    np.negative: (1, lambda x: -x),
    np.exp2: (1, lambda x: power(x.graph.node_of(2.0), x)),
    math.isnan: (1, _is_nan), np.isnan: (1, _is_nan),
    math.isfinite: (1, _is_finite), np.isfinite: (1, _is_finite),
    math.isinf: (1, _is_infinite), np.isinf: (1, _is_infinite),
    np.logical_not: (1, lambda x: negation(truth_of(x))),
    np.logical_and: (2, lambda a, b: both("and", truth_of(a), truth_of(b))),
    np.logical_or: (2, lambda a, b: both("or", truth_of(a), truth_of(b))),
}
for _name in ("sqrt", "exp", "expm1", "log", "log1p", "log2", "log10", "sin", "cos", "tan", "sinh",
              "cosh", "floor", "ceil", "trunc", "asin", "acos", "atan", "asinh", "acosh",
              "atanh"):
    _rule = (1, lambda x, _name=_name: call(_name, x))
    FUNCTIONS[getattr(math, _name)] = _rule
    FUNCTIONS[getattr(np, _name.replace("a", "arc", 1) if _name[0] == "a" else _name)] = _rule
for _name in ("erf", "erfc", "lgamma", "gamma"):
    FUNCTIONS[getattr(math, _name)] = (1, lambda x, _name=_name: call(_name, x))


def is_known(function: Any) -> bool:
    """Return whether a formula may call this function, not being Python source."""
    try:
        return function in FUNCTIONS or function in SEVERAL
    except TypeError:  # not hashable
        return False


def apply(function: Any, args: list[Node]) -> Node:
    """Return what a known function gives for these arguments.

    Raises
    ------
    TypeError
        If it takes another number of arguments.
    """
    name = getattr(function, "__name__", str(function))
    if function in SEVERAL:
        if len(args) < 2:
            raise TypeError(f"{name} needs two numbers at least, got {len(args)}")
        return reduce(SEVERAL[function], map(number_of, args))
    count, build = FUNCTIONS[function]
    if len(args) != count:
        raise TypeError(f"{name} takes {count} arguments, got {len(args)}")
    if function in (np.where, float, bool) or function.__name__.startswith("logical"):
        return build(*args)
    return build(*map(number_of, args))
