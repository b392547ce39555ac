"""Benchmarks: every loss against other libraries and the speed of memory, in one run."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; see `python -m bench --help`."""
    from bench.__main__ import main

    return main(argv)


__all__ = ["main"]
