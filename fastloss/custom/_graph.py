"""Formulas as graphs of operations: each operation once, simplified where no digit is lost.

What is simplified is what a person would not have written: terms of derivatives that are 0,
factors of 1, powers of two. Sums and products are never reordered, so that a formula is rounded
as it reads.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

# Those named beside are within a function that has a value and no branches at the point itself.
TRUTHS = frozenset({"truth", "lt", "le", "eq", "ne", "and", "or", "not", "vanishes", "alike",
                    "beside_lt", "beside_eq"})

# operations on constants, in double; what raises is left to the kernel
FOLDED: dict[str, Callable[..., Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv,
    "neg": operator.neg, "abs": abs, "pow": math.pow, "lt": operator.lt, "le": operator.le,
    "eq": operator.eq, "ne": operator.ne, "beside_lt": operator.lt, "beside_eq": operator.eq,
    "beside_div": operator.truediv,
    "not": operator.not_, "expm1_negative": math.expm1,
    "floor": math.floor, "ceil": math.ceil, "trunc": math.trunc,
    **{name: getattr(math, name) for name in (
        "sqrt", "exp", "expm1", "log", "log1p", "log2", "log10", "sin", "cos", "tan", "sinh",
        "cosh", "asin", "acos", "atan", "asinh", "acosh", "atanh", "erf", "erfc", "lgamma",
        "gamma")},
}


class Place(NamedTuple):
    """Where in a source something stands."""

    file: str
    line: int
    function: str
    text: str

    def __str__(self) -> str:
        return f'  File "{self.file}", line {self.line}, in {self.function}\n    {self.text}'


class Node:
    """An operation of a graph, or one of its inputs.

    Attributes
    ----------
    op : str
        "y", "p", "parameter", "constant", "truth", or what is done to the arguments.
    args : tuple
        Nodes; the number of a parameter; the value of a constant.
    varies, moves : bool
        Whether it depends on y or p; on p.
    place : Place or None
        Where it was read first.
    """

    __slots__ = ("args", "graph", "index", "moves", "op", "place", "varies")

    def __init__(self, graph: Graph, op: str, args: tuple[Any, ...]) -> None:
        nodes = [a for a in args if isinstance(a, Node)]
        self.graph, self.op, self.args = graph, op, args
        self.index = len(graph.nodes)
        self.varies: bool = op in ("y", "p") or any(a.varies for a in nodes)
        self.moves: bool = op == "p" or any(a.moves for a in nodes)
        self.place = graph.place

    @property
    def constant(self) -> float | None:
        """The value of a constant, else None."""
        value: float | None = self.args[0] if self.op == "constant" else None
        return value

    @property
    def is_truth(self) -> bool:
        """Whether it is true or false, not a number."""
        return self.op in TRUTHS

    def __add__(self, other: Node | float) -> Node:
        return add(self, self.graph.node_of(other))

    def __radd__(self, other: float) -> Node:
        return add(self.graph.node_of(other), self)

    def __sub__(self, other: Node | float) -> Node:
        return sub(self, self.graph.node_of(other))

    def __rsub__(self, other: float) -> Node:
        return sub(self.graph.node_of(other), self)

    def __mul__(self, other: Node | float) -> Node:
        return mul(self, self.graph.node_of(other))

    def __rmul__(self, other: float) -> Node:
        return mul(self.graph.node_of(other), self)

    def __truediv__(self, other: Node | float) -> Node:
        return div(self, self.graph.node_of(other))

    def __rtruediv__(self, other: float) -> Node:
        return div(self.graph.node_of(other), self)

    def __neg__(self) -> Node:
        return neg(self)


class Graph:
    """Operations in an order in which they can be computed."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.place: Place | None = None
        self.derivatives: dict[Node, tuple[Node, Node]] = {}
        # of functions made of operations with kinks that they have not: their arguments, and
        # where they have kinks of their own
        self.whole: dict[Node, tuple[list[Node], list[Node]]] = {}
        # whose NaN makes a node NaN, where its operations do not tell
        self.carried: dict[Node, list[Node]] = {}
        self._known: dict[tuple[Any, ...], Node] = {}

    def add(self, op: str, *args: Any) -> Node:
        """Return the node of an operation, a new one if there is none, unless it can be folded."""
        if args and op in FOLDED and all(isinstance(a, Node) and a.op in ("constant", "truth")
                                         for a in args):
            try:
                return self.node_of(FOLDED[op](*(a.args[0] for a in args)))
            except (ArithmeticError, ValueError):
                pass
        key = self._key(op, args)
        if key not in self._known:
            self._known[key] = node = Node(self, op, args)
            self.nodes.append(node)
        return self._known[key]

    def find(self, op: str, *args: Any) -> Node | None:
        """Return the node of an operation if there is one."""
        return self._known.get(self._key(op, args))

    def node_of(self, value: Node | float | bool) -> Node:
        """Return the node of a constant; a node as it is."""
        if isinstance(value, Node):
            return value
        if isinstance(value, bool):
            return self.add("truth", value)
        return self.add("constant", float(value))

    @staticmethod
    def _key(op: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
        # 0 and -0 are equal, and NaN is not; their texts are right
        return (op, *(a.index if isinstance(a, Node) else repr(a) for a in args))


# ---- operations, simplified -------------------------------------------------------------


def _is_power_of_two(x: float | None) -> bool:
    return x is not None and abs(math.frexp(x)[0]) == 0.5


def _both_chosen(op: Callable[[Node, Node], Node], a: Node, b: Node) -> Node | None:
    """Return a choice of results instead of a result of choices by one condition."""
    if a.op == "select" and b.constant is not None:
        x, y = (each.constant for each in a.args[1:])
        if x is not None and y is not None:
            return select(a.args[0], op(a.args[1], b), op(a.args[2], b))
    if a.op == b.op == "select" and a.args[0] is b.args[0]:
        # worth it where one side is then known
        x, y, z, t = (each.constant for each in (*a.args[1:], *b.args[1:]))
        if (x is not None and z is not None) or (y is not None and t is not None):
            return select(a.args[0], op(a.args[1], b.args[1]), op(a.args[2], b.args[2]))
    return None


def add(a: Node, b: Node) -> Node:
    """Return a + b."""
    if a.constant == 0:
        return b
    if b.constant == 0:
        return a
    if a is b:
        return 2.0 * a
    if b.op == "neg":
        return sub(a, b.args[0])
    if a.op == "neg":
        return sub(b, a.args[0])
    return _both_chosen(add, a, b) or a.graph.add("add", *sorted((a, b), key=_index))


def sub(a: Node, b: Node) -> Node:
    """Return a - b."""
    if b.constant == 0:
        return a
    if a.constant == 0:
        return neg(b)
    if b.op == "neg":
        return add(a, b.args[0])
    known = a.graph.find("sub", b, a)
    return neg(known) if known else _both_chosen(sub, a, b) or a.graph.add("sub", a, b)


def neg(a: Node) -> Node:
    """Return -a."""
    if a.op == "neg":
        only: Node = a.args[0]
        return only
    if a.op == "mul" and a.args[0].constant is not None:
        return mul(neg(a.args[0]), a.args[1])
    if a.op == "select" and a.args[1].constant is not None and a.args[2].constant is not None:
        return select(a.args[0], neg(a.args[1]), neg(a.args[2]))
    return a.graph.add("neg", a)


def mul(a: Node, b: Node) -> Node:
    """Return a b, constants first."""
    if b.constant is not None:
        a, b = b, a
    if a.constant is not None and b.constant is None:
        if a.constant == 0:
            return a
        if a.constant == 1:
            return b
        if a.constant == -1:
            return neg(b)
        if b.op == "neg":
            return mul(neg(a), b.args[0])
        inner = b.args[0].constant if b.op == "mul" else None
        if inner is not None and (_is_power_of_two(a.constant) or _is_power_of_two(inner)):
            return mul(a.graph.node_of(a.constant * inner), b.args[1])
        return _both_chosen(mul, b, a) or a.graph.add("mul", a, b)
    if a.op == "neg":
        return neg(mul(a.args[0], b))
    if b.op == "neg":
        return neg(mul(a, b.args[0]))
    if a is b and a.op == "abs":
        return mul(a.args[0], a.args[0])
    # the square of the slope of |x| is 1, so that |x|² has its curvature at 0 too; that of a
    # sign in the formula itself is 0 there
    for x, others in _signs(a):
        for z, rest in _signs(b):
            if x.args[0] is z.args[0] and "direction" in (x.op, z.op):
                return mul(others, rest)
    return _both_chosen(mul, a, b) or a.graph.add("mul", *sorted((a, b), key=_index))


def _signs(a: Node) -> Iterable[tuple[Node, Node]]:
    """Return the signs that are factors of a product, each with the other factors."""
    if a.op in ("sign", "direction"):
        yield a, a.graph.node_of(1.0)
    elif a.op == "mul":
        left, right = a.args
        yield from ((x, mul(rest, right)) for x, rest in _signs(left))
        yield from ((x, mul(left, rest)) for x, rest in _signs(right))


def div(a: Node, b: Node) -> Node:
    """Return a / b."""
    if b.constant == 1 or (a.constant == 0 and b.constant != 0):
        return a
    if _is_power_of_two(b.constant) and b.constant and abs(b.constant) > 1e-30:
        return mul(a.graph.node_of(1.0 / b.constant), a)
    if a.op == "neg":
        return neg(div(a.args[0], b))
    return a.graph.add("div", a, b)


def absolute(a: Node) -> Node:
    """Return |a|."""
    if a.op == "neg":
        return absolute(a.args[0])
    if a.op == "mul" and a.args[0].constant is not None:
        return mul(a.graph.node_of(abs(a.args[0].constant)), absolute(a.args[1]))
    is_square = a.op == "mul" and a.args[0] is a.args[1]
    return a if is_square or a.op == "abs" else a.graph.add("abs", a)


def negation(a: Node) -> Node:
    """Return whether a is false."""
    if a.op == "truth":
        return a.graph.node_of(not a.args[0])
    if a.op == "not":
        only: Node = a.args[0]
        return only
    return a.graph.add("not", a)


def both(op: str, a: Node, b: Node) -> Node:
    """Return a and b, or a or b."""
    for first, second in ((a, b), (b, a)):
        if first.op == "truth":
            return second if first.args[0] == (op == "and") else first
    return a if a is b else a.graph.add(op, *sorted((a, b), key=_index))


def select(condition: Node, a: Node, b: Node) -> Node:
    """Return a where the condition is true, else b."""
    if condition.op == "truth":
        return a if condition.args[0] else b
    if condition.op == "not":
        return select(condition.args[0], b, a)
    return a if a is b else a.graph.add("select", condition, a, b)


def _index(node: Node) -> int:
    return node.index
