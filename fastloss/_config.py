"""What this installation is and uses."""

from __future__ import annotations

import sys

import numpy as np

from fastloss import _level, _threads
from fastloss._version import __version__


def show_config() -> None:
    """Print version, SIMD level, OpenMP and thread counts."""
    openmp = str(_threads.OPENMP) if _threads.OPENMP else "not built in: one thread"
    print(f"fastloss   {__version__}")
    print(f"Python     {sys.version.split()[0]}, NumPy {np.__version__}")
    print(f"SIMD       {_level.LEVEL} (available: {', '.join(_level.AVAILABLE)})")
    print(f"OpenMP     {openmp}")
    print(f"threads    {_threads.get_num_threads()} of {_threads.cpu_count()} usable CPUs")
