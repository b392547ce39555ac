"""Loss functions for NumPy arrays: value, gradient and curvature in fused, parallel passes."""

import sys as _sys
from importlib.machinery import PathFinder as _PathFinder
from importlib.util import module_from_spec as _module_from_spec
from pathlib import Path as _Path
from typing import TYPE_CHECKING

from fastloss._version import __version__ as __version__

if _PathFinder.find_spec("fastloss._core.elements", [f"{__path__[0]}/_core"]) is None:
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

from fastloss import embedding, pointwise, rowwise
from fastloss._base import Loss as Loss
from fastloss._base import Partial as Partial
from fastloss._config import show_config as show_config
from fastloss._core.threads import get_num_threads as get_num_threads
from fastloss._core.threads import set_num_threads as set_num_threads
from fastloss.embedding import *
from fastloss.pointwise import *
from fastloss.rowwise import *

if not TYPE_CHECKING:
    # mypy takes a star import for a re-export unless it sees an `__all__`, of which it understands
    # lists of literals only.
    __all__ = [
        "Loss", "Partial", "__version__", "get_num_threads", "set_num_threads", "show_config",
        *pointwise.__all__, *rowwise.__all__, *embedding.__all__,
    ]
