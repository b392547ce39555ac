"""All losses of the package by their names."""

from __future__ import annotations

import fastloss
from fastloss._base import Loss
from fastloss._parameters import snake_case


def losses() -> dict[str, type[Loss]]:
    """Return the classes of all losses, by names such as "log_loss"."""
    exported = (getattr(fastloss, name) for name in fastloss.__dict__["__all__"])
    return {snake_case(kind.__name__): kind for kind in exported
            if isinstance(kind, type) and issubclass(kind, Loss) and kind is not Loss}
