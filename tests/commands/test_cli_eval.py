"""``fastloss eval``: a loss of the predictions in a file."""

import json
import math
import os
import re
from functools import partial
from pathlib import Path

import evaluating
import numpy as np
import pytest
from child import run_python
from evaluating import (
    COLUMNS,
    FORMATS,
    SQUARED,
    N,
    drawn,
    ipc,
    numpy_rows,
    pa,
    parquet,
    write_all,
)

import fastloss as fl
from fastloss.commands import output


@pytest.fixture(scope="module")
def columns():
    return drawn()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_all(tmp_path_factory.mktemp("files"))


@pytest.fixture
def run(folder):
    """Run ``fastloss eval`` in the folder of files; return status, output and errors."""
    return partial(evaluating.run, folder)


def close(found, part):
    return (abs(found["value"] - part.result()) <= 1e-13 * part.result()
            and found["count"] == part.count
            and abs(found["weight"] - part.weight_sum) <= 1e-15 * part.weight_sum)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format(run, folder, columns, name, tmp_path):
    out = tmp_path / "out.json"
    status, text, errors = run(name, "--loss", "log", *COLUMNS, "--weight", "weight", "--by",
                               "team", "--json", out)
    assert (status, errors) == (0, "")
    record = json.loads(out.read_text())
    arrays = [columns[each] for each in ("label", "score", "weight")]
    if name.endswith("sv"):
        arrays[2] = arrays[2].astype(str).astype(float)     # as it is written
    whole = fl.LogLoss().partial(*arrays)
    assert close(record["overall"], whole)
    kind = str if name.endswith("sv") else int
    assert [each["group"] for each in record["groups"]] == sorted(map(kind, range(12)))
    for each in record["groups"]:
        rows = columns["team"] == int(each["group"])
        assert close(each, fl.LogLoss().partial(*(array[rows] for array in arrays)))
    assert record["data"] == name
    assert record["loss"] == repr(fl.LogLoss())
    assert record["columns"] == {"y_true": "label", "y_pred": "score", "sample_weight": "weight",
                                 "by": "team"}
    lines = text.splitlines()
    assert lines[0].split() == ["rows", "value", "count", "weight"]
    assert lines[2].split()[:3] == ["all", f"{whole.result():.9g}", "200,000"]
    assert len([line for line in lines if line.startswith("team = ")]) == 12
    assert lines[-1] == f"numbers: {out}"


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.arrows", "a.npy"])
def test_values_are_those_of_one_array_to_the_bit(run, columns, name, tmp_path):
    run(name, "--loss", "contrastive", "--param", "margin=0.5", *COLUMNS, "--json",
        tmp_path / "out.json")
    found = json.loads((tmp_path / "out.json").read_text())["overall"]["value"]
    assert found == pytest.approx(fl.contrastive_loss(columns["label"], columns["score"],
                                                      margin=0.5), rel=1e-15)


def test_a_matrix(run, folder):
    rng = np.random.default_rng(1)
    array = np.column_stack([rng.integers(0, 3, N), rng.normal(size=(N, 3))])
    for name, saved in (("c.npy", array), ("f.npy", np.asfortranarray(array)),
                        ("big.npy", array.astype(">f4"))):
        np.save(folder / name, saved)
        scores = [option for k in (1, 2, 3) for option in ("--y-pred", k)]
        status, text, _ = run(name, "--loss", "cross_entropy", "--y-true", 0, *scores)
        assert status == 0
        value = fl.CrossEntropyLoss()(saved[:, 0], saved[:, 1:])
        assert float(text.splitlines()[2].split()[1]) == pytest.approx(value, rel=1e-8)
    np.save(folder / "one.npy", np.array([1.0, 2.0]))
    assert run("one.npy", "--loss", "absolute", "--y-true", 0, "--y-pred", 0)[1].split()[4:8] == [
        "all", "0", "2", "2"]
    np.save(folder / "three.npy", np.zeros((2, 2, 2)))
    assert "three.npy must hold a matrix" in run("three.npy", "--loss", "log")[2]


def test_lists_of_scores(run, folder):
    z = np.random.default_rng(2).normal(size=(1000, 4))
    table = pa.table({"y_true": np.arange(1000) % 4, "y_pred": pa.array(z.tolist())})
    parquet.write_table(table, folder / "lists.parquet", row_group_size=300)
    status, text, _ = run("lists.parquet", "--loss", "cross-entropy", "--param", "ignore_index=2")
    value = fl.CrossEntropyLoss(ignore_index=2)(np.arange(1000) % 4, z)
    assert status == 0
    assert text.split()[4:8] == ["all", f"{value:.9g}", "750", "750"]


def test_values_that_json_lacks(run, folder, tmp_path):
    table = pa.table({"y_true": [0.0, 1.0], "y_pred": [0.5, math.nan],
                      "day": pa.array([1, 2], pa.date32())})
    parquet.write_table(table, folder / "nan.parquet")
    out = tmp_path / "out.json"
    assert run("nan.parquet", "--loss", "absolute", "--by", "day", "--no-check", "--json",
               out)[0] == 0
    record = json.loads(out.read_text())
    assert record["overall"] == {"value": "nan", "count": 2, "weight": 2.0}
    assert record["groups"][0] == {"group": "1970-01-02", "value": 0.5, "count": 1, "weight": 1.0}


# ---- CSV ------------------------------------------------------------------------------------


def test_text_of_numbers(run, folder):
    (folder / "b.csv").write_text('\ufeff"y_true","y_pred",team\ntrue,0.25,07\nfalse,nan,7\n')
    status, text, _ = run("b.csv", "--loss", "absolute", "--by", "team", "--no-check")
    assert status == 0
    rows = [line.split() for line in text.splitlines() if "  1" in line]
    assert rows == [["team", "=", "07", "0.75", "1", "1"], ["team", "=", "7", "nan", "1", "1"]]
    # numbers that begin as integers
    (folder / "c.csv").write_text("y_true,y_pred\n" + "1,0\n" * 400_000 + "1,0.5\n")
    status, text, _ = run("c.csv", "--loss", "absolute", "--param", "reduction=sum")
    assert text.split()[4:8] == ["all", "400000.5", "400,001", "400,001"]


@pytest.mark.parametrize("text, message", [
    ("y_pred,x,y_true\n" + "0.5,,1\n" * 300_000 + "0.5,,one\n",
     r", row 300000: column 'y_true': CSV .*'one'"),
    ("y_true,y_pred\n1,0.5\n1,\n", "row 1: column 'y_pred' is null"),
    ("y_true,y_pred\n1,0.5\n1,NA\n", "row 1: column 'y_pred' is null"),
    ("y_true,y_pred\n" + "1,0.5\n" * 300_000 + "1",
     ", row 300000: CSV parse error: Expected 2 columns, got 1"),
])
def test_damaged_text(run, folder, text, message):
    (folder / "bad.csv").write_text(text)
    status, printed, errors = run("bad.csv", "--loss", "log")
    assert (status, printed) == (1, "")
    assert re.search(r"^fastloss eval: bad\.csv.*" + message, errors), errors


def test_missing_is_no_number_but_a_group(run, folder):
    (folder / "land.csv").write_text('y,p,land\n1,1,NA\n1,3,"NA"\n1,2,null\n')
    status, text, errors = run("land.csv", *SQUARED, "--by", "land")
    assert (status, errors) == (0, "")
    assert [line.split()[2:5] for line in text.splitlines()[4:6]] == [
        ["NA", "2", "2"], ["null", "1", "1"]]
    for empty in ("", '""'):
        (folder / "land.csv").write_text(f"y,p,land\n1,1,a\n1,3,{empty}\n")
        status, text, errors = run("land.csv", *SQUARED, "--by", "land")
        assert (status, errors) == (0, "")
        assert text.splitlines()[5].split() == ["land", "is", "null", "4", "1", "1"]


# ---- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize("arguments, message", [
    ((".", "--loss", "log"), "argument DATA: . is a folder; name one file"),
    (("nothing.csv", "--loss", "log"), "nothing.csv cannot be read: No such file"),
    (("a\0.csv", "--loss", "log"), "null"),
    (("a.parquet", "--loss", "log"), "a.parquet has no column 'y_true'; it has text, label, score"),
    (("a.csv", "--loss", "log"), "a.csv has no column 'y_true'; it has text, label, score"),
    (("a.arrow", "--loss", "log"), "a.arrow has no column 'y_true'; it has text"),
    (("a.npy", "--loss", "log"), "a.npy has no column 'y_true'; it has label, score"),
    (("a.npy", "--loss", "log", *COLUMNS, "--by", "text"), "a.npy has no column 'text'"),
    (("a.parquet", "--loss", "log", *COLUMNS, "--weight", "text"),
     "a.parquet: column 'text' must hold numbers, but holds string"),
    (("a.arrows", "--loss", "log", *COLUMNS, "--weight", "text"), "numbers, but holds string"),
    (("a.csv", "--loss", "lag"), "there is no loss 'lag'; do you mean log?"),
    (("a.csv", "--loss", "xyzzy"), "there is no loss 'xyzzy'; there are contrastive, hinge_embe"),
    (("a.csv", "--loss", "sup_con"), "SupConLoss compares rows of embeddings"),
    (("a.csv", "--loss", "Loss"), "there is no loss 'Loss'"),
    (("a.csv", "--loss", "log", "--param", "margin=1"), "LogLoss has no parameter 'margin'"),
    (("a.csv", "--loss", "contrastive", "--param", "margin=-1"), "margin must be a finite number"),
    (("a.csv", "--loss", "contrastive", "--param", "margin"), "as NAME=VALUE, got 'margin'"),
    (("a.csv", "--loss", "log", "--param", "eps=0", "--param", "eps=0"), "'eps' is given twice"),
    (("a.csv", "--loss", "log", "--param", "reduction=none"), "reduction='none' has no value"),
    (("a.csv", "--loss", "log", "--json", "no/out.json"), "argument --json: cannot write"),
    (("a.csv", "--loss", "log", "--json", "a.csv"), "argument --json names the data"),
    (("a.csv", "--loss", "log", "--json", "loop"), "argument --json: cannot write 'loop'"),
    (("a.csv", "--loss", "log", "--param", "self=1"), "LogLoss has no parameter 'self'"),
    (("a.csv", "--loss", "cross_entropy", "--param", f"class_weight=[{'9' * 400}]"),
     "arguments --loss, --param: "),
    (("a.csv",), "the following arguments are required: --loss"),
    (("a.csv", "--loss", "log", "--threads", "0"), "must be an integer of at least 1"),
])
def test_arguments_that_are_refused(run, folder, arguments, message):
    if "loop" in arguments and not (folder / "loop").is_symlink():
        (folder / "loop").symlink_to("loop")
    status, printed, errors = run(*arguments)
    assert (status, printed) == (2, "")
    assert message in errors
    assert errors.startswith("usage: fastloss eval")


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.arrows", "a.feather", "a.npy"])
def test_truncated_files(run, folder, name):
    data = (folder / name).read_bytes()
    suffix = Path(name).suffix
    whole_record = ["--json", "out.json"]
    for length in (0, 5, len(data) // 2, len(data) - 300):
        cut = folder / f"cut{suffix}"
        cut.write_bytes(data[:length])
        status, printed, errors = run(cut.name, "--loss", "log", *COLUMNS, *whole_record)
        # what a stream lacks is found on the way
        assert (status, printed) in ([(1, ""), (2, "")] if suffix == ".arrows" else [(2, "")])
        assert cut.name in errors
        assert "Traceback" not in errors


def test_a_damaged_page_is_found_on_the_way(run, folder, columns):
    parquet.write_table(pa.table(columns), folder / "hurt.parquet", row_group_size=20_000,
                           compression="gzip", use_dictionary=False)
    data = bytearray((folder / "hurt.parquet").read_bytes())
    column = parquet.ParquetFile(folder / "hurt.parquet").metadata.row_group(8).column(2)
    start = column.data_page_offset + column.total_compressed_size // 2
    data[start:start + 2000] = bytes(2000)
    (folder / "hurt.parquet").write_bytes(data)
    status, printed, errors = run("hurt.parquet", "--loss", "log", *COLUMNS)
    assert (status, printed) == (1, "")
    assert errors.startswith("fastloss eval: hurt.parquet, after row 131072 (row group 6): ")


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "arrows"])
def test_nulls_and_labels_name_their_place(run, folder, suffix):
    values = np.zeros(N)
    where = {"parquet": "(row group 3)", "arrow": "(record batch 2)", "arrows": "(record batch 2)"}
    table = pa.table({
        "y_true": np.where(np.arange(N) == 160_005, 7, 0), "null": pa.array(
            values, mask=np.isin(np.arange(N), [160_005, 160_009])),
        "team": pa.array(["a"] * (N - 1) + [None]), "y_pred": values, "z": values})
    path = folder / f"null.{suffix}"
    if suffix == "parquet":
        parquet.write_table(table, path, row_group_size=50_000)
    else:
        with getattr(pa.ipc, {"arrow": "new_file", "arrows": "new_stream"}[suffix])(
                path, table.schema) as writer:
            writer.write_table(table, max_chunksize=70_000)
    out = ["--json", "out.json"]
    status, printed, errors = run(path.name, "--loss", "log", "--y-pred", "null", *out)
    assert (status, printed) == (1, "")
    assert errors == (f"fastloss eval: {path.name}, row 160005 {where[suffix]}: column 'null' is "
                      f"null, as it is in 2 of {68_928 if suffix == 'parquet' else 60_000} rows "
                      "here; leave out those rows, or fill them (rows are counted from 0)\n")
    errors = run(path.name, "--loss", "log", *out)[2]
    assert f"{path.name}, row 160005 {where[suffix]}: column 'y_true' is 7.0; it must" in errors
    scores = ["--y-pred", "y_pred", "--y-pred", "z"]
    status, printed, errors = run(path.name, "--loss", "cross_entropy", *scores, *out)
    assert (status, printed) == (1, "")
    assert f"row 160005 {where[suffix]}: column 'y_true' is 7.0; it must hold class" in errors
    status, printed, errors = run(path.name, "--loss", "cross_entropy", *scores, "--no-check", *out)
    assert (status, printed) == (1, "")
    start = 131_072 if suffix == "parquet" else 140_000
    assert errors.startswith(f"fastloss eval: {path.name}, rows {start} to 199999 ")
    assert f"but row {160_005 - start} has 7" in errors


def test_results_that_cannot_be_written(run, monkeypatch):
    def fail(self, *arguments, **options):
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(output.Path, "write_text", fail)
    status, printed, errors = run("a.npy", "--loss", "log", *COLUMNS, "--json", "out.json")
    assert (status, printed) == (1, "")
    assert "No space left" in errors


def test_a_record_takes_the_place_of_the_last_one(run, folder):
    (folder / "kept").mkdir()
    target = folder / "kept" / "out.json"
    target.write_text("old")
    (folder / "link.json").symlink_to(target)
    run("a.npy", "--loss", "log", *COLUMNS, "--json", "link.json")
    assert (folder / "link.json").is_symlink()
    assert json.loads(target.read_text())["overall"]["count"] == N
    assert os.listdir(folder / "kept") == ["out.json"]
    assert run("a.npy", "--loss", "log", *COLUMNS, "--json", "/dev/null")[0] == 0
    assert not Path("/dev/null").is_file()


# ---- memory -----------------------------------------------------------------------------------

MEASURE = """if 1:
    import sys
    from fastloss.cli import main
    assert main(["eval", sys.argv[1], "--loss", "squared", "--y-true", "y", "--y-pred", "p",
                 "--by", "g"]) == 0
    with open("/proc/self/status") as status:
        print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
    """


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("suffix", ["parquet", "csv", "arrow", "arrows", "npy"])
def test_memory_does_not_grow_with_the_file(tmp_path, suffix):
    peaks = []
    for times in (1, 8):
        n = 1_000_000 * times
        table = {"y": np.arange(n, dtype=float), "p": np.arange(n, dtype=float) / 3,
                 "g": np.arange(n) % 5}
        path = str(tmp_path / f"{times}.{suffix}")
        if suffix == "npy":
            numpy_rows(pa.table(table), path)
        elif suffix == "csv":
            Path(path).write_text("y,p,g\n" + "12345.25,0.123456789012345,1\n" * n)
        elif suffix == "parquet":        # in one row group
            parquet.write_table(pa.table(table), path, n, use_dictionary=False,
                                   compression="none")
        else:                            # in one record batch
            ipc(pa.ipc.new_file if suffix == "arrow" else pa.ipc.new_stream)(pa.table(table), path)
        assert Path(path).stat().st_size >= 24_000_000 * times
        peaks.append(1024 * int(run_python(MEASURE, tmp_path, path).splitlines()[-1]))
    assert peaks[1] - peaks[0] < 30_000_000, peaks     # of 168 MB more, or some such
