"""Where the derivatives of a formula's operations may not be the formula's own.

The derivative of |x| is taken to be 0 at 0, a choice to have the derivatives of the branch taken,
and the derivative of a root is 0 / 0 there. What is made of such operations may be smooth all the
same, as (|x| / 3)². Here are the conditions for such points; the derivatives there are left to
`fastloss._core.limits`, which looks at both sides.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce

from fastloss.custom._derivatives import NoDerivativeError, call, derivatives, square_in
from fastloss.custom._graph import Node, absolute, add, both, mul, neg, negation, sub

PLAIN: dict[str, Callable[..., Node]] = {
    "add": add, "sub": sub, "mul": mul, "neg": neg, "abs": absolute}


def kinks(value: Node, grad: Node, hess: Node) -> tuple[Node, Node]:
    """Return where the first and where the second derivative are to be looked at from both sides.

    Not where one comparison alone changes: there the branch taken is that of one side, and if
    the other side has the same derivatives, they are right. Nor where only |x| has a kink: what
    is linear in the slope of |x|, 1 and -1 on the sides, is right with their mean, 0.
    """
    graph = value.graph
    bends: dict[Node, Node] = {}    # by the x of |x|
    strict: list[Node] = []
    others: list[Node] = []
    broken: set[Node] = set()       # what has a kink inside
    for v in _inside(value):
        inner, points = graph.whole.get(v) or (_nodes(v), _points(v))
        deep = any(a in broken for a in inner)
        bent = _bent(v)
        if bent and not deep:
            bends.update((bent, each) for each in points)
        elif v.op in ("lt", "le") and points:
            crossing, = points
            strict.append(crossing)
            others.extend(_touching(v, crossing))
        else:
            others.extend(points)
        if points or deep:
            broken.add(v)
    nothing = graph.node_of(False)
    crossed = [_any([_at_once(each, before) for before in strict[:i]], nothing)
               for i, each in enumerate(strict)]
    crossed += [_any([_at_once(bend, each) for each in strict], nothing)
                for bend in dict.fromkeys(bends.values())]
    first = _any([*others, *crossed], nothing)
    if hess.constant is not None:
        return first, nothing
    used = set(_inside(hess))
    seen = [each for x, each in bends.items() if graph.find("direction", x) in used]
    return first, both("or", first, _any(seen, nothing))


def _any(conditions: list[Node], nothing: Node) -> Node:
    return reduce(lambda a, b: both("or", a, b), dict.fromkeys(conditions), nothing)


def _inside(end: Node) -> list[Node]:
    """Return what a node is made of and depends on p, arguments first."""
    found: set[Node] = set()
    todo = [end]
    while todo:
        v = todo.pop()
        if v.moves and v not in found:
            found.add(v)
            todo.extend(v.graph.whole[v][0] if v in v.graph.whole else _nodes(v))
    return sorted(found, key=lambda node: node.index)


def _nodes(v: Node) -> list[Node]:
    return [a for a in v.args if isinstance(a, Node)]


def _points(v: Node) -> list[Node]:
    """Return where an operation has a kink, or derivatives that are not finite."""
    args = _nodes(v)
    if not args:
        return []
    x, zero, one = args[-1], v.graph.node_of(0.0), v.graph.node_of(1.0)
    if bent := _bent(v):
        return [] if is_positive(bent) else [_equal(bent, zero)]
    match v.op:
        case "lt" | "le" | "eq" | "ne":
            return [] if args[0] is args[1] else [_equal(*args)]    # x == x asks for NaN
        case "sign":
            return [_equal(x, zero)]
        case "floor" | "ceil" | "trunc":
            return [_equal(x, call("floor", x))]
        case "sqrt":
            return [] if is_positive(x) else [call("vanishes", x)]
        case "pow":
            return [call("vanishes", args[0])] if args[0].moves and not is_positive(args[0]) else []
        case "div":
            return [_equal(x, zero)] if x.moves and not is_positive(x) else []
        case "asin" | "acos":
            return [_equal(absolute(x), one)]
        case "acosh":
            return [_equal(x, one)]
    return []


def _bent(v: Node) -> Node | None:
    """Return x of |x|, which the root of a square is too."""
    if v.op == "sqrt" and (known := square_in(v.args[0])):
        v = absolute(known[1])
        v = v.args[1] if v.op == "mul" and v.args[0].constant is not None else v
    return v.args[0] if v.op == "abs" else None


def _touching(v: Node, crossing: Node) -> list[Node]:
    """Return where two sides of a comparison meet without crossing, as far as slopes tell."""
    a, b = v.args
    nothing = v.graph.node_of(0.0)
    try:
        slope = derivatives(a)[0] - derivatives(b)[0]
    except NoDerivativeError:   # none was needed
        return [crossing]
    # with a small slope they may be equal by underflow alone, as of squares
    least = v.graph.node_of(1e-8)
    touching = negation(v.graph.add("lt", least, absolute(slope)))
    if slope.op == "neg":
        slope = slope.args[0]
    if not slope.moves:     # straight lines: they cross, or one lies on the other
        if _is_apart_from_0(a, b):
            return []
        touching = both("and", touching, v.graph.add("ne", slope, nothing))
    if slope.op == "direction":     # 1 or -1, or 0
        return [_at_once(_equal(slope.args[0], nothing), crossing)]
    return [both("and", crossing, touching)]


def _is_apart_from_0(a: Node, b: Node) -> bool:
    """Return whether two sides can be equal only where neither underflows: next to a constant."""
    if b.constant == 0:
        a, b = b, a
    if a.constant == 0 and b.op == "sub":
        a, b = b.args
    if b.constant is not None:
        a, b = b, a
    return a.constant is not None and abs(a.constant) > 1e-30 and _is_product(b)


def _is_product(x: Node) -> bool:
    """Return whether a node is a product or quotient of inputs and differences of inputs."""
    if x.op in ("mul", "div", "neg"):
        return all(map(_is_product, x.args))
    return not any(_nodes(n) for n in _nodes(x)) and x.op in (
        "y", "p", "parameter", "constant", "add", "sub")


def _at_once(a: Node, b: Node) -> Node:
    """Return where two points are one, with what that asks of parameters if anything does."""
    for one, other in ((a, b), (b, a)):
        if one.op != "eq":
            continue
        at, known = one.args
        if known.constant is None:
            at, known = known, at
        if known.constant is None or other.op != "eq":
            continue
        x, z = (_where(each, at, known) for each in other.args)
        if x is None or z is None:
            continue
        if x.constant is not None and z.constant is not None:
            if not math.isclose(x.constant, z.constant, rel_tol=1e-5, abs_tol=1e-30):
                return a.graph.node_of(False)
        elif known.constant == 0 and not (x.varies or z.varies):    # exactly so, in each type
            return both("and", both("and", a, b), a.graph.add("alike", x, z))
    return both("and", a, b)


def _where(x: Node, at: Node, value: Node) -> Node | None:
    """Return what a sum or product is where one of its parts has a value; None of other things."""
    if x is at:
        return value
    if x.op not in PLAIN:
        return x if not _nodes(x) else None
    args = [_where(each, at, value) for each in x.args]
    return None if None in args else PLAIN[x.op](*args)


def _equal(a: Node, b: Node) -> Node:
    return a.graph.add("eq", a, b)


def is_positive(x: Node) -> bool:
    """Return whether a node is known to be positive, and not so small that it may round to 0."""
    if x.op == "add":
        a, b = x.args
        return (is_positive(a) and _is_not_negative(b)) or (is_positive(b) and _is_not_negative(a))
    if x.op == "select":
        return is_positive(x.args[1]) and is_positive(x.args[2])
    return x.op == "cosh" or (x.constant is not None and x.constant > 1e-30)


def _is_not_negative(x: Node) -> bool:
    if x.op == "mul":
        return x.args[0] is x.args[1] or all(map(_is_not_negative, x.args))
    if x.op in ("add", "div"):
        return all(map(_is_not_negative, x.args))
    if x.op == "select":
        return all(map(_is_not_negative, x.args[1:]))
    return x.op in ("abs", "sqrt", "exp", "cosh") or (x.constant is not None and x.constant >= 0)
