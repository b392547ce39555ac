"""Files of columns, read in batches: Parquet, CSV, Arrow and NPY.

A file of any size takes the memory of some batches. What can be mapped is not copied, and its pages
are given back as soon as a batch is done.
"""

from __future__ import annotations

import csv
import mmap
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from fastloss.stream import Columns, Place

ROWS = 2**17  # of a batch: a multiple of the kernels' chunk, so sums are those of one array
BUFFER = 2**18  # bytes of a column of Parquet read at a time; else those of a row group would be

Batches = Iterator[tuple[Any, int, float]]  # columns, number of rows, part of the file that is done


class DataError(ValueError):
    """A file that cannot be read."""


@dataclass
class DataFile:
    """A file and columns of it.

    Parameters
    ----------
    path : Path
        What the name ends in says the format, see `FORMATS`.
    columns : Columns
        Those that are wanted.

    Raises
    ------
    DataError
        If the file is missing, a folder, damaged or of no known format, or a column is missing or
        holds no numbers.
    """

    path: Path
    columns: Columns

    def __post_init__(self) -> None:
        self._row = 0
        if self.path.is_dir():
            raise DataError(f"{self.path} is a folder; name one file")
        try:
            size = self.path.stat().st_size
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path} cannot be read: "
                            f"{getattr(error, 'strerror', None) or error}") from None
        if not size:
            raise DataError(f"{self.path} is empty")
        reader = FORMATS.get(self.path.suffix.lower())
        if reader is None:
            raise DataError(f"{self.path}: the name must end in {', '.join(FORMATS)}, which says "
                            "the format")
        try:
            self._batches, self._where = reader(self)
        except DataError:
            raise
        except (OSError, ValueError, pa.ArrowException) as error:
            raise DataError(f"{self.path} cannot be read: {_first_line(error)}") from error

    def __iter__(self) -> Iterator[tuple[Any, Place, float]]:
        """Yield columns, what says where a row is, and the part of the file that is done."""
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
                raise DataError(f"{self.path}, after row {self._row}{self._where(self._row)}: "
                                f"{_first_line(error)}") from error
            yield batch, self._place(self._row, rows), done
            self._row += rows

    def _place(self, start: int, rows: int) -> Place:
        def place(row: int | None) -> str:
            if row is not None:
                return f"{self.path}, row {start + row}{self._where(start + row)}"
            return f"{self.path}, rows {start} to {start + rows - 1}{self._where(start)}"
        return place

    def check(self, fields: Sequence[tuple[str, Any]], is_number: Callable[[Any], bool],
              is_group: Callable[[Any], bool] = lambda kind: True) -> list[str]:
        """Raise unless the wanted columns, of names and types, are there and hold what they must.

        Return their names.
        """
        types, counts = dict(fields), Counter(name for name, _ in fields)
        wanted = [*self.columns.numbers(), *([self.columns.by] if self.columns.by else [])]
        for name in wanted:
            if name not in types:
                some = ", ".join(list(types)[:20]) + (", ..." if len(types) > 20 else "")
                raise DataError(f"{self.path} has no column {name!r}; it has {some}")
            if counts[name] > 1:
                raise DataError(f"{self.path} has {counts[name]} columns {name!r}; the name of "
                                "one that is used must be its own")
        for name in self.columns.numbers():
            if not is_number(types[name]):
                raise DataError(f"{self.path}: column {name!r} holds no numbers, but "
                                f"{types[name]}")
        if self.columns.by and not is_group(types[self.columns.by]):
            raise DataError(f"{self.path}: column {self.columns.by!r} of {types[self.columns.by]} "
                            "has no groups that can be told apart; it must hold numbers, text, "
                            "dates or times")
        return list(dict.fromkeys(wanted))


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0]


def _nowhere(row: int) -> str:
    return ""


# ---- formats ----------------------------------------------------------------------------

Opened = tuple[Callable[[], Batches], Callable[[int], str]]


def _is_number(kind: pa.DataType) -> bool:
    while hasattr(kind, "value_field"):  # of lists, the scores of classes
        kind = kind.value_type
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind)
                or pa.types.is_boolean(kind) or pa.types.is_null(kind))


def _is_group(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return not pa.types.is_nested(kind)


def _fields(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    return list(zip(schema.names, schema.types, strict=True))


def _parquet(file: DataFile) -> Opened:
    metadata = pa.parquet.read_metadata(file.path)
    fields = _fields(metadata.schema.to_arrow_schema())
    names = file.check(fields, _is_number, _is_group)
    text = [name for name, kind in fields if name == file.columns.by
            and (pa.types.is_string(kind) or pa.types.is_large_string(kind))]
    source = pa.parquet.ParquetFile(file.path, metadata=metadata, buffer_size=BUFFER,
                                    pre_buffer=False, read_dictionary=text,
                                    page_checksum_verification=True)
    ends = list(accumulate(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)))

    def where(row: int) -> str:
        number = int(np.searchsorted(ends, row, side="right"))
        return f" (row group {min(number, len(ends) - 1)})" if ends else ""

    def batches() -> Batches:
        done = 0
        for batch in source.iter_batches(ROWS, columns=names):
            done += batch.num_rows
            yield batch, batch.num_rows, done / metadata.num_rows

    return lambda: _ahead(batches()), where


def _csv(file: DataFile) -> Opened:
    delimiter = "\t" if file.path.suffix.lower() == ".tsv" else ","
    with open(file.path, newline="", encoding="utf-8-sig") as text:
        header = next(csv.reader(text, delimiter=delimiter), [])
    names = file.check([(name, "text") for name in header], lambda kind: True)
    parse = pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    missing = ["", "NA", "N/A", "#N/A", "NULL", "null", "None", "<NA>"]  # nan is a number
    options: dict[str, Any] = {
        "include_columns": names, "null_values": missing}
    with pa.csv.open_csv(file.path, parse_options=parse,
                         convert_options=pa.csv.ConvertOptions(**options)) as first:
        guessed = dict(_fields(first.schema))
    # the first rows do not tell integers from other numbers, so all are float64
    types: dict[str, Any] = {
        name: pa.bool_() if pa.types.is_boolean(guessed[name]) else pa.float64()
        for name in file.columns.numbers()}
    by = file.columns.by if file.columns.by not in types else None
    if by is not None:
        types[by] = pa.dictionary(pa.int32(), pa.string())
    convert = pa.csv.ConvertOptions(column_types=types, **options)
    size = file.path.stat().st_size

    # one thread is as fast here, and says in which row an error is
    read = pa.csv.ReadOptions(use_threads=False)

    def batches() -> Batches:
        try:
            with pa.OSFile(str(file.path)) as source, pa.csv.open_csv(
                    source, read, parse, convert) as reader:
                for batch in reader:
                    if by is not None:
                        batch = batch.set_column(names.index(by), by, _empty_is_null(batch[by]))
                    yield batch, batch.num_rows, min(source.tell() / size, 1.0)
        except pa.ArrowInvalid as error:
            raise DataError(f"{file.path}: " + re.sub(
                r"^In CSV column #(\d+)", lambda found: f"column {header[int(found[1])]!r}",
                _first_line(error))) from error

    return lambda: _ahead(batches()), _nowhere


def _empty_is_null(found: pa.DictionaryArray) -> pa.DictionaryArray:
    """Return groups of text with a null for the empty one; "NA" is a group."""
    words = found.dictionary
    return pa.DictionaryArray.from_arrays(found.indices, pa.compute.if_else(
        pa.compute.equal(words, ""), pa.scalar(None, words.type), words))


def _arrow(file: DataFile) -> Opened:
    with open(file.path, "rb") as opened:
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    buffer = pa.py_buffer(mapped)
    is_file = mapped[:6] == b"ARROW1"
    expected = None
    if is_file:
        expected = pa.ipc.open_file(pa.BufferReader(buffer)).num_record_batches
    # What a file has between its first 8 bytes and its footer is a stream, of which pyarrow reads
    # some columns without a copy; of a file it copies them.
    source = pa.BufferReader(buffer)

    def open_stream(fields: list[int]) -> pa.ipc.RecordBatchStreamReader:
        source.seek(8 if is_file else 0)
        return pa.ipc.open_stream(source, options=pa.ipc.IpcReadOptions(included_fields=fields))

    schema = open_stream([]).schema
    names = file.check(_fields(schema), _is_number, _is_group)
    starts = [0]

    def where(row: int) -> str:
        return f" (record batch {int(np.searchsorted(starts, row, side='right')) - 1})"

    def whole() -> Iterator[tuple[pa.RecordBatch, float]]:
        for batch in open_stream([schema.names.index(name) for name in names]):
            batch.validate()
            starts.append(starts[-1] + batch.num_rows)
            yield batch, source.tell() / len(mapped)
        if expected is not None and len(starts) - 1 != expected:
            raise DataError(f"{file.path} has {len(starts) - 1} record batches, but its footer "
                            f"names {expected}")

    def batches() -> Batches:
        done = 0.0
        for batch, after in whole():
            for start, stop in _pieces(batch.num_rows):
                yield batch.slice(start, stop - start), stop - start, (
                    done + (after - done) * stop / batch.num_rows)
                _forget(mapped)
            done = after

    return batches, where


def _npy(file: DataFile) -> Opened:
    with open(file.path, "rb") as opened:
        if opened.read(2) == b"PK":  # of a zip, from which np.load would make another object
            raise DataError(f"{file.path} holds a .npz archive; save its arrays as one .npy file")
    array = np.load(file.path, mmap_mode="r", allow_pickle=False)
    if array.dtype.names and array.ndim == 1:
        columns = {name: array[name] for name in array.dtype.names}
    elif array.ndim == 2:
        columns = {str(number): array[:, number] for number in range(array.shape[1])}
    elif array.ndim == 1:
        columns = {"0": array}
    else:
        raise DataError(f"{file.path} must hold a matrix, whose columns are named 0, 1, ..., or a "
                        f"structured vector; its shape is {array.shape}")
    names = file.check([(name, each.dtype) for name, each in columns.items()],
                       lambda kind: kind.kind in "biuf")

    def batches() -> Batches:
        for start, stop in _pieces(len(array)):
            yield ({name: columns[name][start:stop] for name in names}, stop - start,
                   stop / len(array))
            _forget(array.base)

    return batches, _nowhere


def _ahead(batches: Batches) -> Batches:
    """Yield batches, while a thread decodes the next one."""
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, batches, None)
        while (found := following.result()) is not None:
            following = pool.submit(next, batches, None)
            yield found


def _pieces(rows: int) -> Iterator[tuple[int, int]]:
    return pairwise([*range(0, rows, ROWS), rows])


def _forget(mapped: Any) -> None:
    """Give back the memory that holds pages of a mapped file."""
    if hasattr(mapped, "madvise"):
        mapped.madvise(mmap.MADV_DONTNEED)


FORMATS: dict[str, Callable[[DataFile], Opened]] = {
    **dict.fromkeys((".parquet", ".pq"), _parquet),
    **dict.fromkeys((".csv", ".tsv"), _csv),
    **dict.fromkeys((".arrow", ".arrows", ".ipc", ".feather"), _arrow),
    ".npy": _npy,
}
