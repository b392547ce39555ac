"""Losses of elements and of rows by their names."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Sequence
from typing import Any

import fastloss
from fastloss._base import Loss
from fastloss._parameters import Parametrised, snake_case


def losses() -> dict[str, type[Parametrised]]:
    """Return all losses by name."""
    found = (getattr(fastloss, name) for name in fastloss.__dict__["__all__"])
    return {snake_case(kind.__name__): kind for kind in found
            if isinstance(kind, type) and issubclass(kind, Parametrised) and kind is not Loss}


def loss_of(name: str, parameters: Sequence[str] = ()) -> Loss:
    """Return a loss by its name and parameters as text.

    Parameters
    ----------
    name : str
        As "log_loss", "log" or "LogLoss".
    parameters : sequence of str
        As "margin=0.5", "form=linear" or "labels=(-1, 1)".

    Raises
    ------
    TypeError, ValueError
        If there is no such loss or parameter, or the loss refuses a value.
    """
    known = losses()
    key = snake_case(name).replace("-", "_")
    key = key if key in known else f"{key}_loss"
    if key not in known:
        taken = [each.removesuffix("_loss") for each, kind in known.items()
                 if issubclass(kind, Loss)]
        near = difflib.get_close_matches(key.removesuffix("_loss"), taken, 1)
        raise ValueError(f"there is no loss {name!r}; " + (
            f"do you mean {near[0]}?" if near else f"there are {', '.join(taken)}"))
    kind = known[key]
    if not issubclass(kind, Loss):
        raise ValueError(f"{kind.__name__} compares rows of embeddings; only losses of a "
                         "prediction and its target can be taken here")
    values: dict[str, Any] = {}
    for text in parameters:
        parameter, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"a parameter must be given as NAME=VALUE, got {text!r}")
        if parameter in values:
            raise ValueError(f"parameter {parameter!r} is given twice")
        try:
            values[parameter] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            values[parameter] = value
    return kind().replace(**values)
