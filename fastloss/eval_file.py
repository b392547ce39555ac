"""A loss of the predictions in a file, in batches: what ``fastloss eval`` does."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastloss import _output
from fastloss._base import Loss
from fastloss._datafile import DataFile
from fastloss.stream import Columns, Evaluation, Score, Sums

__all__ = ["print_table", "run", "write_json"]

Progress = Callable[[str, float], None]

PACKAGES = ("numpy", "pyarrow")
HEADERS = ("rows", "value", "count", "weight")


def run(
    data: DataFile, loss: Loss, *, progress: Progress = lambda what, done: None
) -> Evaluation:
    """Return the loss of the predictions in a file.

    Parameters
    ----------
    data : DataFile
        The file and the names of its columns.
    loss : Loss
        Pointwise, or `CrossEntropyLoss`.
    progress : callable
        Called with what is done and the part of the file that is read, from 0 to 1.

    Returns
    -------
    Evaluation
        See `fastloss.stream.evaluate`; of batches of 131,072 rows but for CSV.

    Raises
    ------
    DataError
        If the file is damaged.
    TypeError, ValueError
        If a column holds nulls, or the loss refuses what it holds.
    """
    sums = Sums(loss, data.columns)
    for batch, place, done in data:
        sums.add(batch, place)
        progress(f"{sums.total.count:,} rows", done)
    return sums.result()


def print_table(found: Evaluation, columns: Columns) -> None:
    """Print values, counts and weights: drawn on a terminal, else as aligned plain text."""
    groups = [[("all", *_texts(found.overall))]]
    if columns.by is not None:
        groups.append([(f"{columns.by} = {key}", *_texts(score))
                       for key, score in found.groups.items()])
    _output.print_table(HEADERS, lambda width: groups, [repr(found.loss)], words=(0,),
                        wrapped=(0,))


def _texts(score: Score) -> tuple[str, str, str]:
    return f"{score.value:.9g}", f"{score.count:,}", f"{score.weight:,.9g}"


def write_json(found: Evaluation, path: Path, data: DataFile) -> None:
    """Write all numbers to a file; those that are not finite as "nan", "inf" or "-inf"."""
    _output.write_record(
        path, packages=PACKAGES, data=str(data.path), columns=data.columns._asdict(),
        loss=repr(found.loss), overall=_numbers(found.overall),
        groups=[{"group": _plain(key), **_numbers(score)} for key, score in found.groups.items()])


def _numbers(score: Score) -> dict[str, Any]:
    return {name: _plain(number) for name, number in asdict(score).items()}


def _plain(value: Any) -> Any:
    """Return what JSON has for a value."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (bool, int, float, str)) else str(value)
