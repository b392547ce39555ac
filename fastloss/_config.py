"""Show the version and the settings of this installation."""

from __future__ import annotations

import sys

import numpy as np

from fastloss._core import simd_level, threads
from fastloss._version import __version__


def show_config() -> None:
    """Print version, SIMD level, OpenMP and thread counts."""
    openmp = str(threads.OPENMP) if threads.OPENMP else "not built in: one thread"
    print(f"fastloss   {__version__}")
    print(f"Python     {sys.version.split()[0]}, NumPy {np.__version__}")
    print(f"SIMD       {simd_level.LEVEL} (available: {', '.join(simd_level.AVAILABLE)})")
    print(f"OpenMP     {openmp}")
    print(f"threads    {threads.get_num_threads()} of {threads.cpu_count()} usable CPUs")
