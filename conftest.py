"""Tests are of the installed package; an uncompiled checkout steps aside for it."""

import sys
from importlib.machinery import PathFinder
from pathlib import Path

ROOT = Path(__file__).resolve().parent

# `python -m pytest` puts this folder first on the path, where `fastloss` is sources alone.
if PathFinder.find_spec("fastloss._call", [str(ROOT / "fastloss")]) is None:
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != ROOT]
