"""Functions for the values of losses, made of the classes: `huber_loss` of `HuberLoss`.

Parameters of the class and of its `value` -> signature -> source of two lines -> function. The
module of a class makes its function; type checkers read all signatures in _functions.pyi, which
tools/function_stubs.py writes.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NamedTuple

from fastloss._base import Loss
from fastloss._parameters import shared, snake_case

Entries = dict[str, tuple[str, str]]  # type and text of parameters in a docstring, by name


class Value(NamedTuple):
    """Signature and docstring of the method `value` of a class of losses."""

    data: list[inspect.Parameter]
    weight: inspect.Parameter
    options: list[inspect.Parameter]  # keywords
    returned: Any
    sections: dict[str, str]  # of the docstring
    entries: Entries


def function_of(
    cls: type[Loss], summary: str, *, name: str = "", **meanings: str
) -> Callable[..., Any]:
    """Return the function for the value of a loss.

    Parameters
    ----------
    cls : class of a loss
    summary : str
        First line of the docstring, as "Huber loss: mean of ...".
    name : str, optional
        Name of the function; by default the name of the class in snake case.
    **meanings : str
        Texts on parameters of the function, to replace the texts in the docstrings of the class
        and of its `value`.
    """
    name = name or snake_case(cls.__name__)
    value, own = _value_of(cls.value), dict(inspect.signature(cls).parameters)
    values = ", ".join(own)
    names = {item.name: item.alias for item in cls.inputs if item.alias}
    data = [item.replace(name=names.get(item.name, item.name)) for item in value.data]
    last = [item for item in value.options if item.name in ("out", "n_threads")]
    parameters = [
        *data,
        *(item for item in own.values() if item.name != "reduction"),
        value.weight.replace(kind=inspect.Parameter.KEYWORD_ONLY),
        *(item for item in value.options if item not in last),
        own["reduction"],
        *last,
    ]
    plain = inspect.Signature([item.replace(annotation=item.empty) for item in parameters])
    passed = ", ".join([*(item.name for item in data), "sample_weight",
                        *(f"{item.name}={item.name}" for item in value.options)])
    # A function of any keywords, which it would have to sort, would make each call slower.
    source = (f"def make(shared, {cls.__name__}):\n"
              f"    def {name}{plain}:\n"
              f"        loss = shared({cls.__name__}, {values})\n"
              f"        return loss.value({passed})\n"
              f"    return {name}\n")
    made: dict[str, Any] = {}
    exec(source, vars(sys.modules[cls.__module__]), made)
    function: Callable[..., Any] = made["make"](shared, cls)
    function.__qualname__ = name
    function.__annotations__ = {item.name: item.annotation for item in parameters}
    function.__annotations__["return"] = value.returned
    if value.sections:  # python -OO leaves docstrings out
        entries = value.entries | _entries(_sections(cls)["Parameters"])
        entries |= {new: entries[old] for old, new in names.items()}
        entries |= {key: (entries[key][0], f"    {text}") for key, text in meanings.items()}
        function.__doc__ = (
            f"{summary}\n\n"
            f"Shorthand for ``{cls.__name__}(...).value(...)``.\n\n"
            f"Parameters\n----------\n{_listed((item.name for item in parameters), entries)}\n\n"
            f"Returns\n-------\n{value.sections['Returns']}\n\n"
            "Raises\n------\n"
            f"TypeError, ValueError\n    See `{cls.__name__}.value`; ValueError also for a "
            "parameter that is not valid.\n")
    globals()[name] = function  # as the stub says
    return function


@cache
def _value_of(method: Callable[..., Any]) -> Value:
    """Return signature and docstring of a method `value`, which many classes share."""
    signature, sections = inspect.signature(method), _sections(method)
    _, *taken = signature.parameters.values()
    *data, weight = (item for item in taken if item.kind is item.POSITIONAL_OR_KEYWORD)
    options = [item for item in taken if item.kind is item.KEYWORD_ONLY]
    return Value(data, weight, options, signature.return_annotation, sections,
                 _entries(sections.get("Parameters", "")))


def _sections(documented: Any) -> dict[str, str]:
    """Return the sections of a docstring by their titles."""
    text = inspect.cleandoc(documented.__doc__ or "")
    _, *parts = re.split(r"^(\w+)\n-+$", text, flags=re.MULTILINE)
    return {title: text.strip() for title, text in zip(parts[::2], parts[1::2], strict=True)}


def _entries(section: str) -> Entries:
    """Return the entries of a section by parameter; parameters listed together share one."""
    entries: Entries = {}
    for entry in re.split(r"\n(?=\S)", section):
        header, _, text = entry.partition("\n")
        names, _, kind = header.partition(" : ")
        entries.update(dict.fromkeys(names.split(", "), (kind, text)))
    return entries


def _listed(names: Iterable[str], entries: Entries) -> str:
    """Return the text of the section on these parameters; equal neighbours share an entry."""
    groups: list[tuple[list[str], tuple[str, str]]] = []
    for name in names:
        if groups and groups[-1][1] == entries[name]:
            groups[-1][0].append(name)
        else:
            groups.append(([name], entries[name]))
    return "\n".join(f"{', '.join(group)}{' : ' if kind else ''}{kind}\n{text}"
                     for group, (kind, text) in groups)
