"""A formula and its derivatives as plain data, and how it is made of a function."""

from __future__ import annotations

import ast
import inspect
import keyword
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, Literal

from fastloss.custom._derivatives import NoDerivativeError, derivatives
from fastloss.custom._functions import number_of
from fastloss.custom._graph import Graph, Node
from fastloss.custom._kinks import kinks
from fastloss.custom._missing import nan_where
from fastloss.custom._reader import Reader
from fastloss.custom._source import refusal, source_of

Step = tuple[Any, ...]  # an operation and its arguments, by their number in the formula


@dataclass(frozen=True)
class Formula:
    """Value and derivatives of a loss at one sample, step by step.

    Attributes
    ----------
    steps : tuple
        Operations, each after its arguments.
    outputs : tuple of int
        The steps that are the loss, its first and its second derivative by p.
    kinks : tuple of int
        The steps that say where the first and where the second derivative have to be looked at
        from both sides; -1 if there is no such point.
    parameters : tuple of str
        Names of the parameters, in the order of their numbers.
    defaults : tuple
        Of each its default value, or None.
    """

    steps: tuple[Step, ...]
    outputs: tuple[int, int, int]
    parameters: tuple[str, ...]
    defaults: tuple[float | None, ...] = field(compare=False)
    kinks: tuple[int, int] = (-1, -1)

    @property
    def curvature(self) -> Literal["flat", "flat in parts"]:
        """Where the second derivative is 0: everywhere, or maybe in parts."""
        step = self.steps[self.outputs[2]]
        if step[0] == "select":  # 0, or NaN for NaN
            step = self.steps[step[2]]
        return "flat" if step == ("constant", 0.0) else "flat in parts"


def formula_of(function: FunctionType, reserved: frozenset[str]) -> Formula:
    """Return the formula of a function of target, prediction and parameters.

    Raises
    ------
    TypeError
        If its arguments are not those of a loss.
    ValueError
        If it has something that is not supported, or does not depend on the prediction.
    """
    names, parameters, defaults = _arguments(function, reserved)
    graph = Graph()
    values = dict(zip(names, [graph.add("y"), graph.add("p")], strict=True))
    values |= {name: graph.add("parameter", k) for k, name in enumerate(parameters)}
    reader = Reader.of(graph, function)
    try:
        value = number_of(reader.node(reader.read(values), reader.source.node))
        graph.place = reader.source.place()
        if not value.moves:
            raise refusal(f"the loss does not depend on {names[1]!r}, the prediction",
                          graph.place)
        outputs = [value, *derivatives(value)]
        marks = kinks(*outputs)
        outputs[1:] = [nan_where(value, each) for each in outputs[1:]]
    except NoDerivativeError as error:
        node = error.args[0]
        raise refusal(f"there is no derivative of {node.op}", node.place) from None
    except RecursionError:
        raise refusal("it is nested too deeply", reader.source.place()) from None
    some = [each for each in marks if each.op != "truth"]
    steps, number = _in_order([*outputs, *some])
    f, g, h = (number[each] for each in outputs)
    first, second = (number.get(each, -1) for each in marks)
    return Formula(steps, (f, g, h), parameters, defaults, (first, second))


def _arguments(
    function: FunctionType, reserved: frozenset[str]
) -> tuple[list[str], tuple[str, ...], tuple[float | None, ...]]:
    """Return the names of y and p, and those of parameters with their defaults."""
    arguments = list(_signature(function).parameters.values())
    wanted = "f must be a function of y_true, y_pred and parameters by name"
    if any(a.kind in (a.VAR_POSITIONAL, a.VAR_KEYWORD) for a in arguments):
        raise TypeError(f"{wanted}, without * and **, got {_shown(function)}")
    if len(arguments) < 2 or arguments[1].kind is arguments[1].KEYWORD_ONLY:
        raise TypeError(f"{wanted}, got {_shown(function)}")
    for a in arguments[:2]:
        if a.default is not a.empty:
            raise TypeError(f"{wanted}, but {a.name} has a default: {_shown(function)}")
    for a in arguments[2:]:
        if a.kind is a.POSITIONAL_ONLY:
            raise TypeError(f"{wanted}, but {a.name} has none: {_shown(function)}")
        if a.name in reserved or keyword.iskeyword(a.name) or a.name.startswith("_"):
            raise TypeError(f"a parameter of f cannot be called {a.name!r}, as losses or Python "
                            f"use that name; call it something else: {_shown(function)}")
    return ([a.name for a in arguments[:2]], tuple(a.name for a in arguments[2:]),
            tuple(None if a.default is a.empty else a.default for a in arguments[2:]))


def _signature(function: FunctionType) -> inspect.Signature:
    # that of its own source, which is what is read: of nothing that it wraps or says of itself
    plain = FunctionType(function.__code__, function.__globals__, function.__name__,
                         function.__defaults__, function.__closure__)
    plain.__kwdefaults__ = function.__kwdefaults__
    return inspect.signature(plain)


def _shown(function: FunctionType) -> str:
    return f"{function.__name__}{_signature(function)}"


def _in_order(outputs: list[Node]) -> tuple[tuple[Step, ...], dict[Node, int]]:
    """Return the operations that outputs need, arguments first, and their numbers."""
    needed: set[Node] = set()
    todo = list(outputs)
    while todo:
        node = todo.pop()
        if node not in needed:
            needed.add(node)
            todo.extend(a for a in node.args if isinstance(a, Node))
    ordered = sorted(needed, key=lambda node: node.index)
    number = {node: i for i, node in enumerate(ordered)}
    steps = tuple((node.op, *(number[a] if isinstance(a, Node) else a for a in node.args))
                  for node in ordered)
    return steps, number


def text_of(function: FunctionType) -> str:
    """Return what shows a function in a repr: its name, or a lambda's source."""
    if function.__name__ != "<lambda>":
        return function.__name__
    source = source_of(function)  # a def if it wraps a lambda
    return ast.unparse(source.node) if isinstance(source.node, ast.Lambda) else source.name
