"""A file of columns: find its format, read it in batches, and say where an error is."""

from __future__ import annotations

import csv
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from fastloss.commands.columns import Columns, Place
from fastloss.commands.formats import (
    FORMATS,
    MAGIC,
    DataError,
    Reader,
    open_text,
    read_csv,
    reason_of,
)


@dataclass
class DataFile:
    """A file and columns of it.

    Parameters
    ----------
    name : str or path
        Path of the file; its ending gives the format, see `FORMATS`; "-" is the standard input.
        A pipe or other file that is not regular is copied to a temporary file, which is removed
        at the end of ``with``. Without an ending, the content tells the format.
    columns : Columns
        The names of the columns that are wanted.

    Raises
    ------
    DataError
        If the file is missing, a folder, damaged or of an unknown format, or a column is missing or
        does not hold numbers.
    """

    name: str | os.PathLike[str]
    columns: Columns

    def __post_init__(self) -> None:
        self._row = 0
        self._copies = ExitStack()
        self.path = Path(self.name)
        from_stdin = self.name == "-"
        self.title = "standard input" if from_stdin else str(self.path)
        if not from_stdin and self.path.is_dir():
            raise DataError(f"{self.title} is a folder; name one file")
        with ExitStack() as failed:
            failed.callback(self._copies.close)
            try:
                if from_stdin or (self.path.exists() and not self.path.is_file()):
                    self.path = self._copy(from_stdin)
                size = self.path.stat().st_size
                if not size:
                    raise DataError(f"{self.title} is empty")
                reader, self.separator = self._format()
                self._batches, self._where = reader(self)
            except DataError:
                raise
            except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
                raise DataError(f"{self.title} cannot be read: {reason_of(error)}") from error
            failed.pop_all()

    def __enter__(self) -> DataFile:
        return self

    def __exit__(self, *error: object) -> None:
        self._copies.close()

    def _copy(self, from_stdin: bool) -> Path:
        """Copy a source that can be read only once to a temporary file."""
        if from_stdin and (sys.stdin is None or sys.stdin.isatty()):
            raise DataError("standard input has no data; pipe a file into it")
        folder = self._copies.enter_context(tempfile.TemporaryDirectory(prefix="fastloss-"))
        path = Path(folder, "data")
        with (nullcontext(sys.stdin.buffer) if from_stdin else open(self.path, "rb")) as source, \
                open(path, "wb") as target:
            shutil.copyfileobj(source, target, 2**20)
        return path

    def _format(self) -> tuple[Reader, str]:
        """Return the reader of the file, and the separator of columns if it is text."""
        suffixes = [suffix.lower() for suffix in Path(self.name).suffixes[-2:]]
        if not suffixes:
            with open(self.path, "rb") as opened:
                start = opened.read(8)
            for magic, found in MAGIC.items():
                if start.startswith(magic):
                    return found, ""
            with open_text(self.path) as text:
                line = text.readline()
            return read_csv, "\t" if "\t" in line and "," not in line else ","
        suffix = suffixes[0] if suffixes[-1] == ".gz" else suffixes[-1]
        reader = FORMATS.get(suffix)
        if reader is None or (suffixes[-1] == ".gz" and reader is not read_csv):
            cure = "; save its arrays as one .npy file" if suffix == ".npz" else ""
            raise DataError(f"{self.title}: the name must end in {', '.join(FORMATS)}, .csv.gz or "
                            f".tsv.gz, as it tells the format{cure}")
        return reader, "\t" if suffix == ".tsv" else ","

    def __iter__(self) -> Iterator[tuple[Any, Place, float]]:
        """Yield columns, a function that says where a row is, and the part of the file done."""
        self._row = 0
        batches = self._batches()
        while True:
            try:
                batch, rows, done = next(batches)
            except StopIteration:
                return
            except DataError:
                raise
            except (OSError, ValueError, pa.ArrowException) as error:
                raise DataError(f"{self.title}, after row {self._row}{self._where(self._row)}: "
                                f"{reason_of(error)}") from error
            yield batch, self._place(self._row, rows), done
            self._row += rows

    def _place(self, start: int, rows: int) -> Place:
        def place(row: int | None) -> str:
            if row is not None:
                return f"{self.title}, row {start + row}{self._where(start + row)}"
            return f"{self.title}, rows {start} to {start + rows - 1}{self._where(start)}"
        return place

    def check(self, fields: Sequence[tuple[str, Any]], is_number: Callable[[Any], bool],
              is_group: Callable[[Any], bool] = lambda kind: True) -> list[str]:
        """Return the names of the wanted columns; raise if one is missing or of a wrong type.

        `fields` holds the names and types of all columns.
        """
        types, counts = dict(fields), Counter(name for name, _ in fields)
        wanted = [*self.columns.numbers(), *self.columns.groups()]
        for name in wanted:
            if name not in types:
                some = ", ".join(list(types)[:20]) + (", ..." if len(types) > 20 else "")
                one = next((mark for mark in (";", "\t", ",", "|") if mark in some), None)
                cure = (f"; columns must be separated by {self.separator!r} here, not by {one!r}"
                        if len(types) == 1 and one else
                        "; there are spaces around it" if name in map(str.strip, types) else "")
                raise DataError(f"{self.title} has no column {name!r}; it has {some}{cure}")
            if counts[name] > 1:
                raise DataError(f"{self.title} has {counts[name]} columns {name!r}; the name of "
                                "a column that is used must be unique")
        for name in self.columns.numbers():
            if not is_number(types[name]):
                raise DataError(f"{self.title}: column {name!r} must hold numbers, but holds "
                                f"{types[name]}")
        for name in self.columns.groups():
            if not is_group(types[name]):
                raise DataError(f"{self.title}: column {name!r} of {types[name]} has no groups "
                                "that can be told apart; it must hold numbers, text, dates or "
                                "times")
        return list(dict.fromkeys(wanted))
