"""Find the losses that a command line names."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from fastloss._base import Loss
from fastloss._catalog import losses
from fastloss._parameters import snake_case


def losses_of(names: Sequence[str], parameters: Sequence[str] = ()) -> list[Loss]:
    """Return the losses of some names, with parameters that are given as text.

    Parameters
    ----------
    names : sequence of str
        Such as "log_loss", "log" or "LogLoss".
    parameters : sequence of str
        Such as "margin=0.5", "form=linear" or "labels=(-1, 1)"; each is set in the losses that have
        it.

    Raises
    ------
    TypeError, ValueError
        If a name is unknown, no loss has one of the parameters, or a loss refuses a value.
    """
    kinds = [_kind(name) for name in names]
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
    own = [{each.name for each in fields(kind)} for kind in kinds]  # type: ignore[arg-type]
    nobodys = values.keys() - set().union(*own)
    # `replace` refuses a parameter that no loss has, as it does for a single loss
    return [kind().replace(**{name: values[name] for name in values
                              if name in has or name in nobodys})
            for kind, has in zip(kinds, own, strict=True)]


def _kind(name: str) -> type[Loss]:
    """Return the class of the loss with a name."""
    known = losses()
    key = snake_case(name).replace("-", "_")
    key = key if key in known else f"{key}_loss"
    if key not in known:
        taken = [each.removesuffix("_loss") for each, kind in known.items()
                 if kind.takes("prediction")]
        near = difflib.get_close_matches(key.removesuffix("_loss"), taken, 1)
        raise ValueError(f"there is no loss {name!r}; " + (
            f"do you mean {near[0]}?" if near else f"there are {', '.join(taken)}"))
    kind = known[key]
    if not kind.takes("prediction"):
        raise ValueError(f"{kind.__name__} compares rows of embeddings; only losses of a "
                         "prediction and its target can be taken here")
    return kind
