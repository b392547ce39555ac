"""Find the definition of a function in its source."""

from __future__ import annotations
import __future__

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

FEATURES = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)

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
        If its source is not available, or has changed.
    """
    code = function.__code__
    name = "a lambda" if code.co_name == "<lambda>" else code.co_name
    try:
        lines, _ = inspect.findsource(function)
        tree = ast.parse("".join(lines))
        found = [node for node in ast.walk(tree)
                 if isinstance(node, Function) and _is_definition(node, code)]
        compiled = _compiled(tree, found, len(lines), code)
    except (OSError, TypeError, SyntaxError, IndexError) as error:
        raise ValueError(f"f cannot be compiled: the source of {name} is not available "
                         f"({error}); define it in a file or a notebook") from None
    if not found:
        raise ValueError(f"f cannot be compiled: {name} is not at line {code.co_firstlineno} of "
                         f"{code.co_filename}; has the file changed since it was imported?")
    # of lambdas that start on one line, that of the same code; two of the same code are one formula
    same = [node for node, each in compiled if _is_same(each, code)]
    if not same:
        raise ValueError(f"f cannot be compiled: {name} at line {code.co_firstlineno} of "
                         f"{code.co_filename} is not the function any more; has the file "
                         "changed since it was imported?")
    return Source(same[0], code.co_name, code.co_filename, [line.rstrip("\n") for line in lines])


def _is_definition(node: Function, code: CodeType) -> bool:
    name, first = "<lambda>", node.lineno
    if isinstance(node, ast.FunctionDef):
        name, first = node.name, min([first, *(each.lineno for each in node.decorator_list)])
    names = argument_names(node)
    return (name, first, names) == (
        code.co_name, code.co_firstlineno, code.co_varnames[: len(names)])


def _compiled(
    tree: ast.Module, nodes: list[Function], lines: int, code: CodeType
) -> list[tuple[Function, CodeType]]:
    """Return definitions in a file's tree with their code, compiled as another code was."""
    # the code is known by its line: each gets one of its own, after the last of the file
    first: dict[int, Function] = {}
    kept = []
    for line, node in enumerate(nodes, lines + 1):
        start: Any = [*getattr(node, "decorator_list", ()), node][0]
        kept.append((start, start.lineno, start.end_lineno))
        start.lineno, start.end_lineno = line, lines + len(nodes) + 1
        first[line] = node
    # a notebook's cells may await, and may have got features from cells before
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | code.co_flags & FEATURES
    todo: list[Any] = [compile(tree, code.co_filename, "exec", flags, dont_inherit=True)]
    for start, line, end in kept:
        start.lineno, start.end_lineno = line, end
    found = []
    while todo:
        each = todo.pop()
        if isinstance(each, CodeType):
            todo.extend(each.co_consts)
            if each.co_firstlineno in first:
                found.append((first[each.co_firstlineno], each))
    return found


def _is_same(a: CodeType, b: CodeType) -> bool:
    """Return whether two codes do the same, wherever they stand."""
    return ((a.co_code, a.co_names, a.co_varnames, a.co_freevars, a.co_cellvars)
            == (b.co_code, b.co_names, b.co_varnames, b.co_freevars, b.co_cellvars)
            and len(a.co_consts) == len(b.co_consts)
            and all(_is_same(x, y) if isinstance(x, CodeType) and isinstance(y, CodeType)
                    else repr(x) == repr(y)     # 0 is not -0, nor 1 the same as 1.0
                    for x, y in zip(a.co_consts, b.co_consts, strict=True)))


def argument_names(node: Function) -> tuple[str, ...]:
    """Return the names of a definition's arguments, keyword-only ones last."""
    arguments = node.args
    return tuple(each.arg for each in (*arguments.posonlyargs, *arguments.args,
                                       *arguments.kwonlyargs))
