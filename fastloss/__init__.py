"""Loss functions for NumPy arrays: value, gradient and curvature in one fused, parallel pass."""

import importlib.util as _util

from fastloss._version import __version__

if _util.find_spec("fastloss._call") is None:
    raise ImportError(
        f"{__path__[0]} is fastloss's source folder, whose modules are not compiled; it hides the "
        "installed package. Change to another folder, or compile in place: pip install -e ."
    )

from fastloss._base import Loss, Partial
from fastloss._config import show_config
from fastloss._threads import get_num_threads, set_num_threads
from fastloss.pointwise import (
    AbsoluteLoss,
    ContrastiveLoss,
    LogLoss,
    QualityLoss,
    SquaredLoss,
    absolute_loss,
    contrastive_loss,
    log_loss,
    quality_loss,
    squared_loss,
)

__all__ = [
    "AbsoluteLoss",
    "ContrastiveLoss",
    "LogLoss",
    "Loss",
    "Partial",
    "QualityLoss",
    "SquaredLoss",
    "__version__",
    "absolute_loss",
    "contrastive_loss",
    "get_num_threads",
    "log_loss",
    "quality_loss",
    "set_num_threads",
    "show_config",
    "squared_loss",
]
