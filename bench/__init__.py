"""Benchmarks: every loss against other libraries and the speed of memory, in one run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path


def _uncover_package(root: Path) -> None:
    """Take a checkout that is not compiled off the import path.

    `python -m bench` puts the working folder first on the path, where the source folder would
    hide the installed package. This package's own modules are found without that entry.
    """
    compiled = any((root / "fastloss" / f"_call{end}").is_file() for end in EXTENSION_SUFFIXES)
    if not compiled and (root / "fastloss").is_dir():
        sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != root]


_uncover_package(Path(__file__).resolve().parent.parent)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; see `python -m bench --help`."""
    from bench.__main__ import main

    return main(argv)


__all__ = ["main"]
