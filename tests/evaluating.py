"""``fastloss eval`` in this process, files for it, and what it must give."""

import contextlib
import io
import json
import os

import numpy as np
import pytest

from fastloss import cli

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
csv, feather, parquet = (pytest.importorskip(f"pyarrow.{name}", reason="pyarrow is not installed")
                         for name in ("csv", "feather", "parquet"))
pytest.importorskip("rich", reason="rich is not installed")

EPS = np.finfo(float).eps
N = 200_000
COLUMNS = ["--y-true", "label", "--y-pred", "score"]
SQUARED = ["--loss", "squared", "--y-true", "y", "--y-pred", "p"]


def run(folder, *arguments):
    """Run ``fastloss eval`` in a folder; return status, output and errors."""
    out, errors = io.StringIO(), io.StringIO()
    before = sorted(os.listdir(folder))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors), \
            contextlib.chdir(folder):
        try:
            status = cli.main(["eval", *map(str, arguments)])
        except SystemExit as left:
            status = left.code
    if status:
        assert sorted(os.listdir(folder)) == before, "something half-written"
    return status, out.getvalue(), errors.getvalue()


def record(folder, *arguments):
    """Return what ``fastloss eval --json -`` prints, after a success."""
    status, out, errors = run(folder, *arguments, "--json", "-")
    assert (status, errors) == (0, ""), errors
    return json.loads(out)


def refusal(folder, *arguments, status=1):
    """Return the one line that says what is wrong."""
    left, out, errors = run(folder, *arguments)
    assert (left, out) == (status, ""), (left, out, errors)
    assert "Traceback" not in errors
    return errors.splitlines()[-1]


# ---- a file of each format ------------------------------------------------------------------


def drawn():
    """Return N rows of columns."""
    rng = np.random.default_rng(0)
    return {"text": np.array(["a", "bb", "c,c"])[rng.integers(0, 3, N)],
            "label": rng.integers(0, 2, N).astype(np.int8), "score": rng.random(N),
            "weight": rng.random(N).astype(np.float32), "team": rng.integers(0, 12, N)}


def ipc(new):
    def write(table, path):
        with new(path, table.schema) as writer:
            writer.write_table(table.combine_chunks())
    return write


def numpy_rows(table, path):
    names = [name for name in table.column_names if name != "text"]
    np.save(path, np.rec.fromarrays([np.asarray(table[name]) for name in names], names=names))


FORMATS = {
    "a.parquet": lambda table, path: parquet.write_table(table, path, row_group_size=70_000),
    "a.csv": csv.write_csv,
    "a.tsv": lambda table, path: csv.write_csv(table, path,
                                                  csv.WriteOptions(delimiter="\t")),
    "a.arrow": ipc(pa.ipc.new_file),
    "a.arrows": ipc(pa.ipc.new_stream),
    "a.feather": lambda table, path: feather.write_feather(table, path, chunksize=30_000),
    "a.npy": numpy_rows,
}


def saved(table, path):
    """Write a table by what the name ends in."""
    FORMATS["a." + path.name.rpartition(".")[2]](table, str(path))


def write_all(folder):
    """Write the drawn rows in each format; return the folder."""
    for name, write in FORMATS.items():
        write(pa.table(drawn()), str(folder / name))
    return folder
