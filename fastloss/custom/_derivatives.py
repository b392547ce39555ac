"""First and second derivatives by p of every operation, in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable

from fastloss.custom._graph import Node, absolute, mul, select

Pair = tuple[Node, Node]

# The derivatives of a function at x, where its value is v.
Rule = Callable[[Node, Node], Node]
FUNCTIONS: dict[str, tuple[Rule, Rule]] = {
    "exp": (lambda x, v: v, lambda x, v: v),
    "expm1": (lambda x, v: call("exp", x), lambda x, v: call("exp", x)),
    "expm1_negative": (lambda x, v: call("exp", x), lambda x, v: call("exp", x)),
    "log": (lambda x, v: 1.0 / x, lambda x, v: -1.0 / (x * x)),
    "log1p": (lambda x, v: 1.0 / (1.0 + x), lambda x, v: -1.0 / ((1.0 + x) * (1.0 + x))),
    "log2": (lambda x, v: (1 / math.log(2)) / x, lambda x, v: (-1 / math.log(2)) / (x * x)),
    "log10": (lambda x, v: (1 / math.log(10)) / x, lambda x, v: (-1 / math.log(10)) / (x * x)),
    "sin": (lambda x, v: call("cos", x), lambda x, v: -v),
    "cos": (lambda x, v: -call("sin", x), lambda x, v: -v),
    "tan": (lambda x, v: 1.0 + v * v, lambda x, v: 2.0 * (v * (1.0 + v * v))),
    "sinh": (lambda x, v: call("cosh", x), lambda x, v: v),
    "cosh": (lambda x, v: call("sinh", x), lambda x, v: v),
    "asin": (lambda x, v: 1.0 / call("sqrt", (1.0 - x) * (1.0 + x)),
             lambda x, v: x / _to_3_2((1.0 - x) * (1.0 + x))),
    "acos": (lambda x, v: -1.0 / call("sqrt", (1.0 - x) * (1.0 + x)),
             lambda x, v: -(x / _to_3_2((1.0 - x) * (1.0 + x)))),
    "atan": (lambda x, v: 1.0 / (1.0 + x * x), lambda x, v: -2.0 * (x / _square(1.0 + x * x))),
    "asinh": (lambda x, v: 1.0 / call("sqrt", 1.0 + x * x),
              lambda x, v: -(x / _to_3_2(1.0 + x * x))),
    "acosh": (lambda x, v: 1.0 / call("sqrt", (x - 1.0) * (x + 1.0)),
              lambda x, v: -(x / _to_3_2((x - 1.0) * (x + 1.0)))),
    "atanh": (lambda x, v: 1.0 / ((1.0 - x) * (1.0 + x)),
              lambda x, v: 2.0 * (x / _square((1.0 - x) * (1.0 + x)))),
    "erf": (lambda x, v: _bell(x), lambda x, v: -2.0 * (x * _bell(x))),
    "erfc": (lambda x, v: -_bell(x), lambda x, v: 2.0 * (x * _bell(x))),
}
STEPS = frozenset({"sign", "direction", "floor", "ceil", "trunc"})  # their derivatives are 0


class NoDerivativeError(Exception):
    """There is no formula for the derivative of an operation."""


def call(name: str, x: Node) -> Node:
    """Return a function of a node."""
    return x.graph.add(name, x)


def _square(x: Node) -> Node:
    return x * x


def _to_3_2(x: Node) -> Node:
    return x * call("sqrt", x)


def _bell(x: Node) -> Node:
    return (2 / math.sqrt(math.pi)) * call("exp", -(x * x))


def derivatives(v: Node) -> Pair:
    """Return first and second derivative of a node by p.

    Those of the branch taken: of a choice, the derivatives of what is chosen. The derivative of
    |x| at 0 is 0.

    Raises
    ------
    NoDerivativeError
        If there is no formula; its argument is the node.
    """
    known = v.graph.derivatives
    if v not in known:
        zero = v.graph.node_of(0.0)
        known[v] = _derive(v) if v.moves else (zero, zero)
    return known[v]


def with_derivatives(
    v: Node, first: Node, second: Node, args: list[Node], points: list[Node]
) -> Node:
    """Return a node whose derivatives are better known than by those of its parts.

    It is a function of some arguments, which has kinks where one of the points is true.
    """
    inner = v
    while inner.op == "neg":  # of which a negation is the inside
        inner, first, second = inner.args[0], -first, -second
    inner.graph.derivatives[inner] = first, second
    inner.graph.whole[inner] = args, points
    inner.graph.carried[inner] = args
    return v


def _derive(v: Node) -> Pair:
    zero, one = v.graph.node_of(0.0), v.graph.node_of(1.0)
    if v.op == "p":
        return one, zero
    if v.op in STEPS:
        return zero, zero
    if v.op in FUNCTIONS:
        x, (first, second) = v.args[0], FUNCTIONS[v.op]
        return chained(v.args[0], first(x, v), second(x, v))
    if v.op not in RULES:
        raise NoDerivativeError(v)
    return RULES[v.op](v)


def chained(x: Node, first: Node, second: Node) -> Pair:
    """Return the derivatives of a function of x from those by x."""
    dx, ddx = derivatives(x)
    return first * dx, second * (dx * dx) + first * ddx


def _of_sum(v: Node) -> Pair:
    (da, dda), (db, ddb) = map(derivatives, v.args)
    return (da + db, dda + ddb) if v.op == "add" else (da - db, dda - ddb)


def _of_negative(v: Node) -> Pair:
    da, dda = derivatives(v.args[0])
    return -da, -dda


def _of_product(v: Node) -> Pair:
    a, b = v.args
    (da, dda), (db, ddb) = derivatives(a), derivatives(b)
    if a is b:
        return 2.0 * (a * da), 2.0 * (da * da + a * dda)
    return da * b + a * db, dda * b + 2.0 * (da * db) + a * ddb


def _of_quotient(v: Node) -> Pair:
    a, b = v.args
    (da, dda), (db, ddb) = derivatives(a), derivatives(b)
    first = (da - v * db) / b
    return first, (dda - 2.0 * (first * db) - v * ddb) / b


def _of_magnitude(v: Node) -> Pair:
    dx, ddx = derivatives(v.args[0])
    way = call("direction", v.args[0])
    return way * dx, way * ddx


def _of_choice(v: Node) -> Pair:
    condition, a, b = v.args
    (da, dda), (db, ddb) = derivatives(a), derivatives(b)
    return select(condition, da, db), select(condition, dda, ddb)


def _of_root(v: Node) -> Pair:
    x = v.args[0]
    if known := square_in(x):     # sqrt(k) |u|, whose curvature is not what two terms leave
        k, u = known
        du, ddu = derivatives(absolute(u))
        root = call("sqrt", k)
        return root * du, root * ddu
    dx, ddx = derivatives(x)
    first = dx / (2.0 * v)
    # of sqrt(c + k u²), as of Pseudo-Huber: the two terms of the general formula cancel far out
    if x.op == "add":
        for c, q in (x.args, x.args[::-1]):
            known = square_in(q)
            if not c.moves and known and derivatives(known[1])[1].constant == 0:
                return first, (c * ddx) / (2.0 * v * x)
    return first, (ddx / 2.0 - first * first) / v


def square_in(x: Node) -> Pair | None:
    """Return k and u of k u², where k does not depend on p; None of anything else."""
    if x.op not in ("mul", "div", "add"):
        return None
    a, b = x.args
    if x.op == "add":
        one, other = square_in(a), square_in(b)
        same = one and other and absolute(one[1]) is absolute(other[1])
        return (one[0] + other[0], one[1]) if one and other and same else None
    if x.op == "mul" and a is b:
        return x.graph.node_of(1.0), a
    if x.op == "mul" and not a.moves:
        a, b = b, a
    known = None if b.moves else square_in(a)
    return known and (known[0] * b if x.op == "mul" else known[0] / b, known[1])


def _of_power(v: Node) -> Pair:
    a, b = v.args
    (da, dda), (db, ddb) = derivatives(a), derivatives(b)
    if not b.moves:
        first, second = b * power(a, b - 1.0), (b * (b - 1.0)) * power(a, b - 2.0)
        if b.constant is None:  # where the exponent is 0 or 1, 0 times an infinite power
            first = select(v.graph.add("eq", b, v.graph.node_of(0.0)), 0.0 * b, first)
            straight = v.graph.add("eq", b * (b - 1.0), v.graph.node_of(0.0))
            second = select(straight, 0.0 * b, second)
        return chained(a, first, second)
    # a^b = e^(b ln a)
    log = call("log", a)
    rate, change = log * db, log * ddb
    if a.moves:
        slope = da / a
        rate = rate + b * slope
        change = change + 2.0 * (db * slope) + b * (dda / a - slope * slope)
    return v * rate, v * (change + rate * rate)


def power(a: Node, b: Node) -> Node:
    """Return a to the power of b: a product or root where the exponent is that of one."""
    n = b.constant
    if n == 0.5:
        return call("sqrt", a)
    if n == -0.5:
        return 1.0 / call("sqrt", a)
    if n is None or not abs(n) <= 64 or n != int(n):
        return a.graph.add("pow", a, b)
    result, square, rest = a.graph.node_of(1.0), a, abs(int(n))
    while rest:
        if rest & 1:
            result = mul(result, square)
        rest >>= 1
        square = mul(square, square) if rest else square
    return 1.0 / result if n < 0 else result


RULES: dict[str, Callable[[Node], Pair]] = {
    "add": _of_sum, "sub": _of_sum, "neg": _of_negative, "mul": _of_product, "div": _of_quotient,
    "abs": _of_magnitude, "select": _of_choice, "sqrt": _of_root, "pow": _of_power,
}
