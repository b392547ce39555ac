"""Compute losses of the predictions in a file, in batches, for ``fastloss eval``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastloss._base import Loss
from fastloss.commands import output
from fastloss.commands.columns import Columns
from fastloss.commands.datafile import DataFile
from fastloss.stream import Evaluation, Score, Sums

__all__ = ["print_tables", "run", "write_json"]

Progress = Callable[[str, float], None]

PACKAGES = ("numpy", "pyarrow")
HEADERS = ("rows", "value", "count", "weight")


def run(
    data: DataFile,
    losses: Sequence[Loss],
    *,
    check: bool = True,
    progress: Progress = lambda what, done: None,
) -> list[Evaluation]:
    """Return losses of the predictions in a file; read it once.

    Parameters
    ----------
    data : DataFile
        The file and the names of its columns.
    losses : sequence of Loss
        Pointwise, or `CrossEntropyLoss`.
    check : bool
        Refuse values outside the domain of a loss.
    progress : callable
        Called with a text on progress and the part of the file that is read, from 0 to 1.

    Returns
    -------
    list of Evaluation
        See `fastloss.stream.evaluate`; of batches of 131,072 rows but for CSV.

    Raises
    ------
    DataError
        If the file is damaged.
    TypeError, ValueError
        If a column holds nulls, or a loss refuses a value.
    """
    sums = Sums(losses, data.columns, check=check)
    for batch, place, done in data:
        sums.add(batch, place)
        progress(f"{sums.rows:,} rows", done)
    return sums.results()


def print_tables(found: Sequence[Evaluation], columns: Columns) -> None:
    """Print values, counts and weights: drawn on a terminal, else as aligned plain text."""
    for each in found:
        _print_table(each, columns)


def _print_table(found: Evaluation, columns: Columns) -> None:
    groups = [[("all", *_texts(found.overall))]]
    if columns.groups():
        groups.append([(_text(key, columns), *_texts(score))
                       for key, score in found.groups.items()])
    output.print_table(HEADERS, lambda width: groups, [repr(found.loss)], words=(0,),
                        wrapped=(0,))


def _text(key: Any, columns: Columns) -> str:
    """Return the words for a group: each column with its value."""
    names = columns.groups()
    values = [key] if isinstance(columns.by, str) else key
    return ", ".join(f"{name} is null" if value is None else f"{name} = {value}"
                     for name, value in zip(names, values, strict=True))


def _texts(score: Score) -> tuple[str, str, str]:
    return f"{score.value:.9g}", f"{score.count:,}", f"{score.weight:,.9g}"


def write_json(found: Sequence[Evaluation], path: Path | None, data: DataFile) -> None:
    """Write all numbers to a file or, for None, to the standard output.

    Numbers that are not finite become "nan", "inf" or "-inf". Several losses make a list.
    """
    records = [{"loss": repr(each.loss), "overall": _numbers(each.overall),
                "groups": [{"group": _plain(key), **_numbers(score)}
                           for key, score in each.groups.items()]} for each in found]
    output.write_record(
        path, packages=PACKAGES, data=str(data.name), columns=data.columns._asdict(),
        **(records[0] if len(records) == 1 else {"losses": records}))


def _numbers(score: Score) -> dict[str, Any]:
    return {name: _plain(number) for name, number in asdict(score).items()}


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    if isinstance(value, tuple):
        return list(map(_plain, value))
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)
