"""The signatures of the functions of losses for type checkers: fastloss/_functions.pyi.

Rewrites the file; tests/test_types.py checks that it is up to date.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import fastloss

STUB = Path(__file__).resolve().parents[1] / "fastloss" / "_functions.pyi"
HEAD = '''# Written by tools/function_stubs.py; changes by hand are lost.

from collections.abc import Callable
from typing import Any, Literal, overload

from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]

def function_of(
    cls: type[Any], summary: str, *, name: str = "", **meanings: str
) -> Callable[..., Any]: ...
'''


def literal(options: tuple[Any, ...]) -> str:
    """Return the annotation of one of some values."""
    return f"Literal[{', '.join(map(quoted, options))}]"


def quoted(value: Any) -> str:
    """Return the source of a value, strings in double quotes."""
    return f'"{value}"' if isinstance(value, str) else repr(value)


def written(item: inspect.Parameter, annotation: str) -> str:
    """Return a parameter as it is written."""
    default = "" if item.default is item.empty else f" = {quoted(item.default)}"
    return f"{item.name}: {annotation}{default}"


def definition(name: str, parameters: list[str], result: str) -> str:
    """Return a function without a body, in lines of up to 100 characters."""
    lines = [""]
    for parameter in parameters:
        joined = f"{lines[-1]} {parameter},".strip()
        if len(joined) > 96:
            lines.append(f"{parameter},")
        else:
            lines[-1] = joined
    body = "".join(f"    {line}\n" for line in lines)
    return f"def {name}(\n{body}) -> {result}: ...\n"


def stub_of(name: str) -> str:
    """Return the signatures of a function: one for numbers, and one for arrays if there are any."""
    function = getattr(fastloss, name)
    names = vars(sys.modules[function.__module__])
    signature = inspect.signature(function)
    parameters, options = [], ()

    def spelt_out(word: re.Match[str]) -> str:
        """Return what an alias such as Distance stands for."""
        kind = names.get(word[0])
        return literal(get_args(kind)) if get_origin(kind) is Literal else word[0]

    for item in signature.parameters.values():
        if item.kind is item.KEYWORD_ONLY and "*" not in parameters:
            parameters.append("*")
        annotation = re.sub(r"\w+", spelt_out, item.annotation).replace("'", '"')
        if item.name == "reduction":
            options, annotation = get_args(names[item.annotation]), "REDUCTION"
        parameters.append(written(item, annotation))
    numbers = tuple(option for option in options if option != "none")
    of_numbers = [text.replace("REDUCTION", literal(numbers)) for text in parameters]
    if numbers == options:
        return definition(name, of_numbers, "float")
    of_arrays = [re.sub("REDUCTION.*", literal(("none",)), text) for text in parameters]
    return (f"@overload\n{definition(name, of_numbers, 'float')}"
            f"@overload\n{definition(name, of_arrays, 'Array')}")


def text() -> str:
    """Return the stub of now."""
    return HEAD + "".join(stub_of(name) for name in fastloss.__all__ if name.endswith("_loss"))


if __name__ == "__main__":
    STUB.write_text(text())
