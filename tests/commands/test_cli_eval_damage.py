"""Files that ``fastloss eval`` cannot read, or reads only in part: what it says of them."""

import gzip
import math

import numpy as np
import pytest
from evaluating import csv, feather, pa, parquet, record, refusal

N = 1000
SQUARED = ["--loss", "squared"]
TABLE = pa.table({"y_true": np.arange(N) / 8, "y_pred": np.arange(N) / 4})


def text(content):
    return lambda path: path.write_text(content, encoding="utf-8")


def bytes_of(content):
    return lambda path: path.write_bytes(content)


def feather_1(path):
    with pytest.warns(DeprecationWarning):
        feather.write_feather(TABLE, str(path), version=1)


def streams(path):
    data = pa.BufferOutputStream()
    with pa.ipc.new_stream(data, TABLE.schema) as out:
        out.write_table(TABLE)
    path.write_bytes(2 * data.getvalue().to_pybytes())


# name: what is there, the exit status, what is said
REFUSED = {
    "empty.csv": (text(""), 2, "argument DATA: empty.csv is empty"),
    "empty.parquet": (text(""), 2, "argument DATA: empty.parquet is empty"),
    "empty.arrow": (text(""), 2, "argument DATA: empty.arrow is empty"),
    "empty.npy": (text(""), 2, "argument DATA: empty.npy is empty"),
    "empty.csv.gz": (bytes_of(gzip.compress(b"")), 2, "empty.csv.gz has no column 'y_true'"),
    "semicolons.csv": (text("y_true;y_pred\n1;0\n"), 2, "has no column 'y_true'; it has "
                       "y_true;y_pred; columns must be separated by ',' here, not by ';'"),
    "tabs.csv": (text("y_true\ty_pred\n1\t0\n"), 2, "must be separated by ',' here, not by '\\t'"),
    "commas.tsv": (text("y_true,y_pred\n1,0\n"), 2, "must be separated by '\\t' here, not by ','"),
    "decimal.csv": (text('y_true,y_pred\n1,0\n1,"0,5"\n'), 1, ", row 1: column 'y_pred': CSV "
                    "conversion error to double: invalid value '0,5'; write numbers with a "
                    "decimal point and no other marks"),
    "lines.csv": (text('\n\ny_true,y_pred,x\n1,0,"a\nb"\n\n1,0,c\n\n1,spam,c\n'), 1,
                  ", row 2: column 'y_pred': CSV conversion error to double: invalid value "),
    "words.csv": (text("y_true,y_pred\n1,0\n1,spam\n"), 1, "invalid value 'spam'"),
    "short.csv": (text("y_true,y_pred\n1,0\n1\n"), 2, ", row 1: CSV parse error: Expected 2 "
                  "columns, got 1: 1 (rows are counted from 0)"),
    "spaces.csv": (text("y_true, y_pred\n1,0\n"), 2, "has no column 'y_pred'; it has y_true,  "
                   "y_pred; there are spaces around it"),
    "utf16.csv": (bytes_of("y_true,y_pred\n1,0\n".encode("utf-16")), 2,
                  "it is not text in UTF-8 (byte 0xff); save it as UTF-8"),
    "latin.csv": (bytes_of("y_true,y_pred,né\n1,0,a\n".encode("cp1252")), 2,
                  "it is not text in UTF-8 (byte 0xe9); save it as UTF-8"),
    "parquet.csv": (lambda path: parquet.write_table(TABLE, path), 2, "it is not text in UTF-8"),
    "csv.parquet": (text("y_true,y_pred\n1,0\n" * 9), 2, "csv.parquet cannot be read: "),
    "csv.arrow": (text("y_true,y_pred\n1,0\n" * 9), 2, "csv.arrow cannot be read: "),
    "csv.npy": (text("y_true,y_pred\n1,0\n" * 9), 2, "csv.npy cannot be read: "),
    "plain.csv.gz": (bytes_of(b"\x1f\x8bno gzip at all"), 2, "plain.csv.gz cannot be read: "),
    "long.csv": (text('"' + "x" * 200_000), 2, "its first line is not a header"),
    "one.feather": (feather_1, 2, "one.feather is of version 1 of Feather"),
    "two.arrows": (streams, 1, "two.arrows goes on after its end mark"),
    "a.npz": (lambda path: np.savez(path, y_true=np.zeros(2)), 2, "save its arrays as one .npy"),
    "a.txt": (text("y_true,y_pred\n1,0\n"), 2, "a.txt: the name must end in .parquet, "),
    "a.parquet.gz": (bytes_of(gzip.compress(b"PAR1")), 2, "the name must end in .parquet, "),
    "a.gz": (bytes_of(gzip.compress(b"y_true,y_pred\n1,0\n")), 2, "the name must end in .parquet"),
    "objects.npy": (lambda path: np.save(path, np.array([{}, None])), 2,
                    "objects.npy cannot be read: Array can't be memory-mapped: Python objects"),
    "text.parquet": (lambda path: parquet.write_table(pa.table({
        "y_true": ["1", "0"], "y_pred": [1, 0]}), path), 2,
        "column 'y_true' must hold numbers, but holds string"),
    "dates.arrow": (lambda path: feather.write_feather(pa.table({
        "y_true": pa.array([1, 0], pa.date32()), "y_pred": [1, 0]}), str(path)), 2,
        "column 'y_true' must hold numbers, but holds date32"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_are_refused(name, tmp_path):
    write, status, message = REFUSED[name]
    write(tmp_path / name)
    error = refusal(tmp_path, name, *SQUARED, status=status)
    assert error.startswith(f"fastloss eval: {'error: argument DATA: ' if status == 2 else ''}"
                            f"{name}")
    assert message in error


# ---- files that are cut ----------------------------------------------------------------------


def gz(path):
    csv.write_csv(TABLE, path)
    path.write_bytes(gzip.compress(path.read_bytes()))


def ipc(new):
    def write(path):
        with new(str(path), TABLE.schema) as out:
            out.write_table(TABLE, max_chunksize=250)
    return write


WHOLE = {
    "a.parquet": lambda path: parquet.write_table(TABLE, path, row_group_size=250),
    "a.csv.gz": gz,
    "a.arrow": ipc(pa.ipc.new_file),
    "a.arrows": ipc(pa.ipc.new_stream),
    "a.feather": lambda path: feather.write_feather(TABLE, str(path), chunksize=250),
    "a.npy": lambda path: np.save(path, np.rec.fromarrays(
        [np.asarray(each) for each in TABLE.columns], names=TABLE.column_names)),
}


@pytest.mark.parametrize("name", WHOLE)
def test_files_that_are_cut_anywhere(name, tmp_path):
    path = tmp_path / name
    WHOLE[name](path)
    assert record(tmp_path, name, *SQUARED)["overall"]["count"] == N
    data = path.read_bytes()
    where = sorted({*range(0, len(data), max(1, len(data) // 60)), *range(len(data) - 20,
                                                                       len(data))})
    for length in where:
        path.write_bytes(data[:length])
        error = refusal(tmp_path, name, *SQUARED, status=1 if reads_on(name, data[:length]) else 2)
        assert name in error, length


def reads_on(name, data):
    """Return whether what is cut is found only after its beginning."""
    if name == "a.arrows":
        try:
            pa.ipc.open_stream(data)
        except (pa.ArrowInvalid, EOFError, OSError):
            return False
        return True
    return False


def test_streams_that_are_cut_between_messages(tmp_path):
    path = tmp_path / "a.arrows"
    for codec in (None, "lz4", "zstd"):
        none = pa.BufferOutputStream()
        pa.ipc.new_stream(none, TABLE.schema).close()
        ends, data = [none.tell() - 8], pa.BufferOutputStream()
        with pa.ipc.new_stream(data, TABLE.schema,
                               options=pa.ipc.IpcWriteOptions(compression=codec)) as out:
            for batch in TABLE.to_batches(250):
                out.write_batch(batch)
                ends.append(data.tell())
        whole = data.getvalue().to_pybytes()
        for batches, end in enumerate(ends):
            path.write_bytes(whole[:end])
            error = refusal(tmp_path, "a.arrows", *SQUARED)
            assert error == (
                "fastloss eval: a.arrows has no end mark after its last record batch: it was cut "
                "there, or its writer was not closed; write it again (rows are counted from "
                "0)"), batches
        path.write_bytes(whole)
        assert record(tmp_path, "a.arrows", *SQUARED)["overall"]["count"] == N
        path.write_bytes(whole + bytes(56))     # as padding
        assert record(tmp_path, "a.arrows", *SQUARED)["overall"]["count"] == N


def test_streams_before_arrow_0_15(tmp_path):
    data = pa.BufferOutputStream()
    with pa.ipc.new_stream(data, TABLE.schema,
                           options=pa.ipc.IpcWriteOptions(use_legacy_format=True)) as out:
        out.write_table(TABLE)
    whole = data.getvalue().to_pybytes()
    assert whole.endswith(bytes(4))
    (tmp_path / "a.arrows").write_bytes(whole)
    assert record(tmp_path, "a.arrows", *SQUARED)["overall"]["count"] == N
    (tmp_path / "a.arrows").write_bytes(whole[:-4])
    assert "has no end mark" in refusal(tmp_path, "a.arrows", *SQUARED)


# ---- numbers that are missing ---------------------------------------------------------------


@pytest.mark.parametrize("column", ["y_true", "y_pred", "w"])
@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "tsv", "parquet", "feather", "arrows"])
def test_missing_numbers_name_file_row_and_column(suffix, column, tmp_path):
    name = f"a.{suffix}"
    columns = {"y_true": [0.0, 1.0, 0.0], "y_pred": [0.5, 0.25, 1.0], "w": [1.0, 2.0, 3.0]}
    columns[column][2] = None
    table = pa.table(columns)
    if "sv" in suffix and suffix != "arrows":
        rows = zip(*columns.values(), strict=True)
        data = "\n".join(["y_true,y_pred,w", *(",".join("" if x is None else str(x) for x in row)
                                              for row in rows)]).encode() + b"\n"
        data = data.replace(b",", b"\t") if suffix == "tsv" else data
        (tmp_path / name).write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
    elif suffix == "parquet":
        parquet.write_table(table, tmp_path / name)
    elif suffix == "feather":
        feather.write_feather(table, str(tmp_path / name))
    else:
        with pa.ipc.new_stream(str(tmp_path / name), table.schema) as out:
            out.write_table(table)
    error = refusal(tmp_path, name, *SQUARED, "--weight", "w")
    assert error.startswith(f"fastloss eval: {name}, row 2")
    assert f": column '{column}' is null, as it is in 1 of 3 rows here; leave out " in error
    assert error.endswith("(rows are counted from 0)")


def test_nan_of_numpy_is_outside_every_domain(tmp_path):
    rows = np.zeros(5, [("y_true", float), ("y_pred", float)])
    rows["y_pred"][3] = math.nan
    np.save(tmp_path / "a.npy", rows)
    assert refusal(tmp_path, "a.npy", *SQUARED) == (
        "fastloss eval: a.npy, row 3: column 'y_pred' is nan; it must hold finite numbers, but 1 "
        "of 5 values here do not (rows are counted from 0; --no-check leaves out this check)")
    assert record(tmp_path, "a.npy", *SQUARED, "--no-check")["overall"]["value"] == "nan"
