"""Where functions stand in their source."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

from fastloss.custom._graph import Place

SUPPORTED = (
    "A formula may hold numbers, arithmetic, comparisons, and/or/not, conditional expressions, "
    "if/else, local variables, functions of math and numpy of single numbers, abs, min, max, and "
    "functions of your own of the same kind; of names from outside only numbers, functions and "
    "modules.")

Function = ast.FunctionDef | ast.Lambda


def refusal(what: str, place: Place | None) -> ValueError:
    """Return the error for something that is not supported."""
    return ValueError(f"f cannot be compiled: {what}\n{place}\n{SUPPORTED}")


@dataclass(frozen=True)
class Source:
    """A function's definition, and the file it stands in.

    Attributes
    ----------
    node : ast.FunctionDef or ast.Lambda
    name, file : str
    lines : list of str
        Those of the file.
    """

    node: Function
    name: str
    file: str
    lines: list[str]

    def place(self, node: ast.AST | None = None) -> Place:
        """Return where a part of the function stands."""
        line: int = getattr(node, "lineno", self.node.lineno)
        text = self.lines[line - 1].strip() if line <= len(self.lines) else ""
        return Place(self.file, line, self.name, text)


def source_of(function: FunctionType) -> Source:
    """Return where a function is defined.

    Raises
    ------
    ValueError
        If its source is not to be had, or is no longer that of the function.
    """
    code = function.__code__
    name = "a lambda" if code.co_name == "<lambda>" else code.co_name
    try:
        lines, _ = inspect.findsource(function)
        tree = ast.parse("".join(lines))
    except (OSError, TypeError, SyntaxError, IndexError) as error:
        raise ValueError(f"f cannot be compiled: the source of {name} is not available "
                         f"({error}); define it in a file or a notebook") from None
    found = [node for node in ast.walk(tree)
             if isinstance(node, Function) and _is_definition(node, code)]
    if len(found) > 1:  # lambdas that start on one line: the innermost that has all the code
        spots = [(line, column) for line, _, column, _ in code.co_positions()
                 if line is not None and column is not None]
        found = [node for node in found if all(_holds(node, spot) for spot in spots)]
        found.sort(key=_start)
        found = found[-1:]
    if not found:
        raise ValueError(f"f cannot be compiled: {name} is not at line {code.co_firstlineno} of "
                         f"{code.co_filename}; has the file changed since it was imported?")
    return Source(found[0], code.co_name, code.co_filename, [line.rstrip("\n") for line in lines])


def _is_definition(node: Function, code: CodeType) -> bool:
    name, first = "<lambda>", node.lineno
    if isinstance(node, ast.FunctionDef):
        name, first = node.name, min([first, *(each.lineno for each in node.decorator_list)])
    names = argument_names(node)
    return (name, first, names) == (
        code.co_name, code.co_firstlineno, code.co_varnames[: len(names)])


def argument_names(node: Function) -> tuple[str, ...]:
    """Return the names of a definition's arguments, keyword-only ones last."""
    arguments = node.args
    return tuple(each.arg for each in (*arguments.posonlyargs, *arguments.args,
                                       *arguments.kwonlyargs))


def _start(node: Any) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _holds(node: Any, spot: tuple[int, int]) -> bool:
    body = node.body
    # the first instruction is at the start of the line, column 0
    end = body.end_lineno, body.end_col_offset
    return spot[1] == 0 or bool(_start(body) <= spot < end)
