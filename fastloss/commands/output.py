"""Output of the commands on real data: progress, tables, numbers, pictures."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

import fastloss
from fastloss._core import simd_level

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = tuple[str, ...]

PACKAGES = ("numpy", "scipy", "scikit-learn", "matplotlib")


@contextmanager
def progress() -> Iterator[Callable[[str, float], None]]:
    """Show a bar on the terminal, if there is one, and yield a function that moves it."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda what, done: None
        return
    columns = (BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn(),
               TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("loading data", total=1.0)
        yield lambda what, done: bar.update(task, description=what, completed=done)


def print_table(
    headers: Row,
    groups: Callable[[int], Sequence[Sequence[Row]]],
    notes: Sequence[str],
    *,
    words: Sequence[int],
    wrapped: Sequence[int] = (),
    style: Callable[[Row], str] = lambda row: "",
) -> None:
    """Print a table: drawn on a terminal, else as aligned plain text.

    Parameters
    ----------
    headers : tuple of str
        Titles of the columns, with line breaks for the drawn table.
    groups : callable
        Returns groups of rows for a width in columns of text.
    notes : sequence of str
        Lines of text below.
    words, wrapped : sequence of int
        Columns that are aligned left, and columns that may be wrapped.
    style : callable
        Returns rich's style of a row.
    """
    console = Console()
    if console.is_terminal:
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True, pad_edge=False)
        for i, header in enumerate(headers):
            table.add_column(header, justify="left" if i in words else "right",
                             no_wrap=i not in wrapped)
        for group in groups(console.width):
            for i, row in enumerate(group):
                # a cell is text: "[red]" in it is not a style
                table.add_row(*map(Text, row), style=style(row), end_section=i == len(group) - 1)
        console.print(table)
        console.print(" ".join(notes), style="dim", highlight=False, markup=False, emoji=False)
        console.print()
        return
    plain = groups(sys.maxsize)
    titles = tuple(header.replace("\n", " ") for header in headers)
    columns = zip(titles, *(row for group in plain for row in group), strict=True)
    widths = [max(map(len, column)) for column in columns]

    def line(row: Row) -> str:
        cells = (cell.ljust(width) if i in words else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths, strict=True)))
        return "  ".join(cells).rstrip()

    print(line(titles))
    for group in plain:
        print("", *map(line, group), sep="\n")
    print("", *notes, "", sep="\n")


def write_record(
    path: Path | None, *, packages: Sequence[str] = PACKAGES, **numbers: Any
) -> None:
    """Write numbers, and how they were computed, to a file as JSON: all of it, or nothing.

    None is the standard output.
    """
    record = {
        "versions": {
            "fastloss": fastloss.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        },
        "simd": simd_level.LEVEL,
        "threads": fastloss.get_num_threads(),
        **numbers,
    }
    text = json.dumps(record, indent=2, allow_nan=False) + "\n"
    if path is None:
        print(text, end="")
        return
    if path.exists() and not path.is_file():  # a pipe or device cannot be replaced
        path.write_text(text, encoding="utf-8")
        return
    path = path.resolve()
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def picture_formats() -> list[str]:
    """Return the file formats that a picture can be saved in."""
    from matplotlib.backend_bases import FigureCanvasBase

    return sorted(FigureCanvasBase.get_supported_filetypes())


def save(figure: Figure, path: Path) -> None:
    """Save a picture in the format that the name says."""
    figure.savefig(path, dpi=150, format=path.suffix.lower().lstrip("."))
