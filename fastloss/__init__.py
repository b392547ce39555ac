"""Loss functions for NumPy arrays: value, gradient and curvature in one fused, parallel pass."""

import sys as _sys
from importlib.machinery import PathFinder as _PathFinder
from importlib.util import module_from_spec as _module_from_spec
from pathlib import Path as _Path

from fastloss._version import __version__

if _PathFinder.find_spec("fastloss._call", list(__path__)) is None:
    # Python was started in a checkout whose modules are not compiled, and found this folder
    # before the installed package. The installed one is meant; it takes over the name.
    _root = _Path(__file__).resolve().parents[1]
    _elsewhere = [_entry for _entry in _sys.path if _Path(_entry).resolve() != _root]
    _installed = _PathFinder.find_spec("fastloss", _elsewhere)
    if _installed is None or _installed.loader is None:
        raise ImportError(
            f"{__path__[0]} is fastloss's source folder, whose modules are not compiled, and no "
            "fastloss is installed: pip install . (or, to work on it, pip install -e .)"
        )
    _sys.modules["fastloss"] = _module_from_spec(_installed)
    _installed.loader.exec_module(_sys.modules["fastloss"])

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
