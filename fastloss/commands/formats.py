"""Read files of columns in batches: Parquet, CSV, Arrow and NPY.

A file of any size takes the memory of some batches. A file that can be mapped is not copied, and
its pages are given back as soon as a batch is done.
"""

from __future__ import annotations

import csv
import io
import mmap
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from fastloss.commands.columns import ROWS_ARE

if TYPE_CHECKING:
    from fastloss.commands.datafile import DataFile

ROWS = 2**17  # of a batch: a multiple of the kernels' chunk, so sums are those of one array
BUFFER = 2**18  # bytes of a column of Parquet read at a time; else those of a row group would be

Batches = Iterator[tuple[Any, int, float]]  # columns, number of rows, part of the file that is done
Opened = tuple[Callable[[], Batches], Callable[[int], str]]  # and where a row is
Reader = Callable[["DataFile"], Opened]


class DataError(ValueError):
    """A file that cannot be read."""


def reason_of(error: Exception) -> str:
    """Return the reason of an error in one line."""
    if isinstance(error, csv.Error):
        return f"its first line is not a header: {error}"
    if isinstance(error, UnicodeDecodeError):
        return f"it is not text in UTF-8 (byte {error.object[error.start]:#04x}); save it as UTF-8"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).partition("\n")[0]


def _nowhere(row: int) -> str:
    return ""


def _is_number(kind: pa.DataType) -> bool:
    while hasattr(kind, "value_field") or pa.types.is_dictionary(kind):
        kind = kind.value_type  # of lists, the scores of classes
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind)
                or pa.types.is_boolean(kind) or pa.types.is_null(kind)
                or pa.types.is_decimal(kind))


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
    text = [name for name, kind in fields if name in file.columns.groups()
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


@contextmanager
def open_text(path: Path) -> Iterator[io.TextIOBase]:
    """Yield the text of a file."""
    with _open_bytes(path) as (source, _):
        yield io.TextIOWrapper(source, "utf-8-sig", newline="")


@contextmanager
def _open_bytes(path: Path) -> Iterator[tuple[pa.NativeFile, Callable[[], int]]]:
    """Yield the bytes of a file, unpacked if it is gzipped, and a function that counts them."""
    with pa.OSFile(str(path)) as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if not packed:
            yield raw, raw.tell
            return
        with pa.CompressedInputStream(raw, "gzip") as source:
            yield source, raw.tell


def read_csv(file: DataFile) -> Opened:
    """Open a text file of rows; the first row names the columns."""
    with open_text(file.path) as text:
        header = next(filter(None, csv.reader(text, delimiter=file.separator)), [])
        has_rows = any(map(str.strip, text))
    names = file.check([(name, "text") for name in header], lambda kind: True)
    if not has_rows:  # without which Arrow knows of no columns
        return lambda: iter(()), _nowhere
    parse = pa.csv.ParseOptions(delimiter=file.separator, newlines_in_values=True)
    missing = ["", "NA", "N/A", "#N/A", "NULL", "null", "None", "<NA>"]  # nan is a number
    options: dict[str, Any] = {
        "include_columns": names, "null_values": missing}
    # one thread is as fast here, and says in which row an error is
    read = pa.csv.ReadOptions(use_threads=False)
    try:
        with _open_bytes(file.path) as (source, _), pa.csv.open_csv(
                source, read, parse, pa.csv.ConvertOptions(**options)) as first:
            guessed = dict(_fields(first.schema))
    except pa.ArrowInvalid as error:
        raise DataError(f"{_text_error(file, header, error)} ({ROWS_ARE})") from error
    # the first rows do not tell integers from other numbers, so all are float64
    types: dict[str, Any] = {
        name: pa.bool_() if pa.types.is_boolean(guessed[name]) else pa.float64()
        for name in file.columns.numbers()}
    words = [name for name in file.columns.groups() if name not in types]
    types |= dict.fromkeys(words, pa.dictionary(pa.int32(), pa.string()))
    convert = pa.csv.ConvertOptions(column_types=types, **options)
    size = file.path.stat().st_size

    def batches() -> Batches:
        try:
            with _open_bytes(file.path) as (source, tell), pa.csv.open_csv(
                    source, read, parse, convert) as reader:
                for batch in reader:
                    for name in words:
                        batch = batch.set_column(names.index(name), name,
                                                 _empty_is_null(batch[name]))
                    yield batch, batch.num_rows, min(tell() / size, 1.0)
        except pa.ArrowInvalid as error:
            raise DataError(_text_error(file, header, error)) from error

    return lambda: _ahead(batches()), _nowhere


def _text_error(file: DataFile, header: list[str], error: pa.ArrowInvalid) -> str:
    """Return the message for an error in text; Arrow counts rows from 1, and the header too."""
    reason = reason_of(error)
    row = re.search(r"Row #(\d+): ", reason)
    column = re.match(r"In CSV column #(\d+): ", reason)
    for found in filter(None, (row, column)):
        reason = reason.replace(found[0], "")
    if re.search(r"invalid value '-?\d*,\d+'", reason):
        reason += "; write numbers with a decimal point and no other marks"
    return (file.title + (f", row {int(row[1]) - 2}" if row else "") + ": "
            + (f"column {header[int(column[1])]!r}: " if column else "") + reason)


def _empty_is_null(found: pa.DictionaryArray) -> pa.DictionaryArray:
    """Return groups of text with a null for the empty one; "NA" is a group."""
    words = found.dictionary
    return pa.DictionaryArray.from_arrays(found.indices, pa.compute.if_else(
        pa.compute.equal(words, ""), pa.scalar(None, words.type), words))


def _arrow(file: DataFile) -> Opened:
    with open(file.path, "rb") as opened:
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    if mapped[:4] == b"FEA1":
        raise DataError(f"{file.title} is of version 1 of Feather, which is not supported; write "
                        "it again as version 2")
    source = pa.py_buffer(mapped)
    parts = _arrow_file if mapped[:6] == b"ARROW1" else _arrow_stream
    schema, read = parts(file, source)
    names = file.check(_fields(schema), _is_number, _is_group)
    starts = [0]

    def where(row: int) -> str:
        return f" (record batch {int(np.searchsorted(starts, row, side='right')) - 1})"

    def batches() -> Batches:
        done = 0.0
        for batch, after in read([schema.names.index(name) for name in names]):
            batch = batch.select(names)
            batch.validate()
            starts.append(starts[-1] + batch.num_rows)
            for start, stop in _pieces(batch.num_rows):
                yield batch.slice(start, stop - start), stop - start, (
                    done + (after - done) * stop / batch.num_rows)
                _forget(mapped)
            done = after

    return batches, where


END = b"\xff\xff\xff\xff\0\0\0\0"  # of a stream of Arrow
Parts = Callable[[list[int]], Iterator[tuple[pa.RecordBatch, float]]]  # of columns by number


def _arrow_file(file: DataFile, source: pa.Buffer) -> tuple[pa.Schema, Parts]:
    """Return the columns of a file with a footer, which alone says where its batches are."""
    def open_file(fields: list[int] | None) -> pa.ipc.RecordBatchFileReader:
        return pa.ipc.open_file(pa.BufferReader(source),
                                options=pa.ipc.IpcReadOptions(included_fields=fields))

    whole = open_file(None)

    def read(fields: list[int]) -> Iterator[tuple[pa.RecordBatch, float]]:
        # All columns of a batch are read without a copy, some columns are copied. So some are
        # read if the batches are compressed, where all would be unpacked.
        count = whole.num_record_batches
        reader = whole if count and _lies_in(whole.get_batch(0), source) else open_file(fields)
        for number in range(count):
            yield reader.get_batch(number), (number + 1) / count

    return whole.schema, read


def _lies_in(batch: pa.RecordBatch, source: pa.Buffer) -> bool:
    """Return whether a batch has no memory of its own."""
    buffers = (buffer for column in batch.columns for buffer in column.buffers() if buffer)
    return all(0 <= buffer.address - source.address <= source.size for buffer in buffers)


def _arrow_stream(file: DataFile, source: pa.Buffer) -> tuple[pa.Schema, Parts]:
    """Return the columns of a stream, which must reach its end mark and end there.

    The format lets a writer leave the mark out. But then a stream that is cut between two
    messages, as by a full disk, would be one with fewer rows.
    """
    stream = pa.BufferReader(source)

    def open_stream(fields: list[int]) -> pa.ipc.RecordBatchStreamReader:
        stream.seek(0)
        return pa.ipc.open_stream(stream, options=pa.ipc.IpcReadOptions(included_fields=fields))

    def read(fields: list[int]) -> Iterator[tuple[pa.RecordBatch, float]]:
        batches = open_stream(fields)
        last = stream.tell()
        for batch in batches:
            last = stream.tell()
            yield batch, last / source.size
        end = stream.tell()
        after = source[last:end].to_pybytes()
        if after != b"\0\0\0\0" and not after.endswith(END):  # the first before Arrow 0.15
            raise DataError(f"{file.title} has no end mark after its last record batch: it was cut "
                            "there, or its writer was not closed; write it again")
        if any(source[end:end + 8].to_pybytes()):
            raise DataError(f"{file.title} goes on after its end mark; write the stream that "
                            "follows to another file")

    return open_stream([]).schema, read


def _npy(file: DataFile) -> Opened:
    with open(file.path, "rb") as opened:
        if opened.read(2) == b"PK":  # of a zip, from which np.load would make another object
            raise DataError(f"{file.title} holds a .npz archive; save its arrays as one .npy file")
    array = np.load(file.path, mmap_mode="r", allow_pickle=False)
    if array.dtype.names and array.ndim == 1:
        columns = {name: array[name] for name in array.dtype.names}
    elif array.ndim == 2:
        columns = {str(number): array[:, number] for number in range(array.shape[1])}
    elif array.ndim == 1:
        columns = {"0": array}
    else:
        raise DataError(f"{file.title} must hold a matrix, with columns named 0, 1, ..., or a "
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


FORMATS: dict[str, Reader] = {
    **dict.fromkeys((".parquet", ".pq"), _parquet),
    **dict.fromkeys((".csv", ".tsv"), read_csv),
    **dict.fromkeys((".arrow", ".arrows", ".ipc", ".feather"), _arrow),
    ".npy": _npy,
}
MAGIC = {  # with which files begin, where no name says the format
    b"PAR1": _parquet, b"ARROW1": _arrow, b"FEA1": _arrow, b"\xff\xff\xff\xff": _arrow,
    b"\x93NUMPY": _npy, b"PK\3\4": _npy,
}
