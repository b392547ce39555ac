"""What users can name: public names, signatures and representations, frozen in a file of the tests.

Rewrites the file; tests/test_public_names.py compares it with the package. Names of private modules
are not in it, so code can move between those without a change here.
"""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[1] / "tests" / "data" / "public_names.json"
POINTWISE = ("distance", "margin", "probability", "quantile", "rate", "relative", "residual")
MODULES = [
    "", "pointwise", *(f"pointwise.{family}" for family in POINTWISE), "rowwise", "embedding",
    "embedding.blocks", "reference", "metrics", "custom", "stream", "plot", "compiled",
    "integrations.catboost", "integrations.dask", "integrations.lightgbm", "integrations.scipy",
    "integrations.sklearn", "integrations.torch", "integrations.xgboost",
]


def imported(module: str) -> Any:
    """Return a module of the package by its name in `MODULES`."""
    return importlib.import_module(f"fastloss.{module}".rstrip("."))


def signature(function: Any) -> str:
    """Return the signature without annotations, or "" if a class has none of its own."""
    try:
        found = inspect.signature(function)
    except ValueError:
        return ""
    parameters = [item.replace(annotation=item.empty) for item in found.parameters.values()]
    return str(found.replace(parameters=parameters, return_annotation=found.empty))


def members(cls: type) -> dict[str, str]:
    """Return the public members that the package defines: signatures of methods, "property"."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.split(".")[0] != "fastloss":
            continue
        for name, member in vars(base).items():
            if name != "__call__" and name.startswith("_"):
                continue
            if inspect.isfunction(member):
                found[name] = signature(member)
            elif isinstance(member, (classmethod, staticmethod)):
                found[name] = signature(getattr(cls, name))
            elif hasattr(type(member), "__get__"):
                found[name] = "property"
    return dict(sorted(found.items()))


def described(module: str) -> dict[str, Any]:
    """Return what the public names of a module are; "fastloss" if the package has the same."""
    found: dict[str, Any] = {}
    public, package = imported(module), imported("")
    for name in sorted(public.__all__):
        value = getattr(public, name)
        if module and getattr(package, name, None) is value:
            found[name] = "fastloss"
        elif isinstance(value, type):
            found[name] = {"": signature(value), **members(value)}
        else:
            found[name] = signature(value) if callable(value) else type(value).__name__
    return found


def representations() -> dict[str, str]:
    """Return the representations of all losses with default parameters, by class."""
    losses = imported("")
    return {name: repr(getattr(losses, name)()) for name in sorted(losses.__all__)
            if name.endswith("Loss") and name != "Loss"}


if __name__ == "__main__":
    frozen = {"modules": {module: described(module) for module in MODULES},
              "representations": representations()}
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(frozen, indent=1, ensure_ascii=False) + "\n")
