"""What a NaN in y or p makes of a formula, as its operations tell before any number is there."""

from __future__ import annotations

from enum import Enum, auto
from functools import reduce

from fastloss.custom._functions import compare
from fastloss.custom._graph import Node, both, select

Names = frozenset[str]


class Known(Enum):
    """What a node is for certain, beside true and false."""

    NAN = auto()
    NUMBER = auto()
    NOTHING = auto()    # it depends on the sample


State = Known | bool
COMPARISONS = ("lt", "le", "eq", "ne", "beside_lt", "beside_eq")
KEPT = ("neg", "abs", "sign", "direction", "floor", "ceil", "trunc", "exp")  # a number stays one


def nan_where(value: Node, derivative: Node) -> Node:
    """Return a derivative that is NaN where a NaN of y or p makes the value NaN."""
    y, p = inputs = [value.graph.add(name) for name in "yp"]
    cases = [frozenset(names) for names in ("y", "p", "yp")]
    of_value = {names: _state(value, names, {}) for names in cases}
    unknown = Known.NOTHING in of_value.values()
    if not unknown and all(_state(derivative, names, {}) is Known.NAN for names in cases
                           if of_value[names] is Known.NAN):
        return derivative
    numbers = [compare("eq", each, each) for each in inputs]
    if unknown or of_value[cases[-1]] is not Known.NAN:
        good = both("or", both("and", *numbers), compare("eq", value, value))
    else:
        needed = [number for names, number in zip(cases, numbers, strict=False)
                  if of_value[names] is Known.NAN]
        good = reduce(lambda a, b: both("and", a, b), needed) if needed else both("or", *numbers)
    return select(good, derivative, y + p)


def _state(node: Node, names: Names, known: dict[Node, State]) -> State:
    """Return what a node is where just these of y and p are NaN."""
    if node not in known:
        known[node] = _made(node, [_state(a, names, known) for a in node.args
                                   if isinstance(a, Node)], names)
        if any(_state(a, names, known) is Known.NAN for a in node.graph.carried.get(node, ())):
            known[node] = Known.NAN
    return known[node]


def _made(node: Node, args: list[State], names: Names) -> State:
    if node.op == "truth":
        return bool(node.args[0])
    if node.op in names:
        return Known.NAN
    if node.op in COMPARISONS:
        return node.op == "ne" if Known.NAN in args else Known.NOTHING
    if node.op in ("and", "or"):
        decisive = node.op == "or"
        return (decisive if decisive in args else
                Known.NOTHING if Known.NOTHING in args else not decisive)
    if node.op == "not":
        return not args[0] if isinstance(args[0], bool) else Known.NOTHING
    if node.op == "select":
        condition, a, b = args
        if isinstance(condition, bool):
            return a if condition else b
        return a if a is b else Known.NOTHING
    if node.op == "pow":    # x**0 and 1**x are 1
        return Known.NOTHING
    if Known.NAN in args:
        return Known.NAN
    is_number = not node.varies or not args or (node.op in KEPT and args[0] is Known.NUMBER)
    return Known.NUMBER if is_number else Known.NOTHING
