"""Options of ``fastloss eval``: several losses and groups, standard input and output, checks."""

import gzip
import io
import itertools
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from evaluating import EPS, csv, feather, pa, parquet, record, refusal, run

import fastloss as fl
from fastloss.commands import by_name

N = 5000
rng = np.random.default_rng(15)
COLUMNS = {"y_true": rng.integers(0, 2, N), "y_pred": rng.random(N), "g": rng.integers(0, 3, N),
           "h": np.array(["a", "b", None])[rng.integers(0, 3, N)]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("options")
    parquet.write_table(pa.table(COLUMNS), folder / "a.parquet", row_group_size=700)
    feather.write_feather(pa.table(COLUMNS), str(folder / "a.arrow"))
    csv.write_csv(pa.table(COLUMNS), folder / "a.csv")
    csv.write_csv(pa.table(COLUMNS), folder / "a.tsv", csv.WriteOptions(delimiter="\t"))
    with pa.ipc.new_stream(str(folder / "a.arrows"), pa.table(COLUMNS).schema) as out:
        out.write_table(pa.table(COLUMNS))
    np.save(folder / "a.npy", np.rec.fromarrays(
        [COLUMNS["y_true"], COLUMNS["y_pred"]], names=["y_true", "y_pred"]))
    (folder / "a.csv.gz").write_bytes(gzip.compress((folder / "a.csv").read_bytes()))
    return folder


def mean(costs, rows=slice(None)):
    return math.fsum(costs[rows]) / len(costs[rows])


SQUARES = (COLUMNS["y_true"] - COLUMNS["y_pred"]) ** 2
DISTANCES = abs(COLUMNS["y_true"] - COLUMNS["y_pred"])


# ---- several ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.csv"])
def test_groups_of_several_columns(folder, name):
    found = record(folder, name, "--loss", "squared", "--by", "g", "--by", "h")
    assert found["columns"]["by"] == ["g", "h"]
    convert = str if name == "a.csv" else int
    assert [each["group"] for each in found["groups"]] == [
        [convert(g), h] for g, h in itertools.product(range(3), ("a", "b", None))]
    for each in found["groups"]:
        g, h = each["group"]
        rows = (COLUMNS["g"] == int(g)) & (COLUMNS["h"] == h)
        assert each["count"] == rows.sum()
        assert abs(each["value"] / mean(SQUARES, rows) - 1) <= 4 * EPS
    assert sum(each["count"] for each in found["groups"]) == found["overall"]["count"] == N
    status, text, _ = run(folder, name, "--loss", "squared", "--by", "g", "--by", "h")
    assert status == 0
    assert [line.rpartition("  0.")[0].strip() for line in text.splitlines()[4:13]] == [
        f"g = {g}, h {'is null' if h is None else '= ' + h}"
        for g, h in itertools.product(range(3), ("a", "b", None))]


def test_one_column_of_groups_is_no_list(folder):
    found = record(folder, "a.parquet", "--loss", "squared", "--by", "g")
    assert found["columns"]["by"] == "g"
    assert [each["group"] for each in found["groups"]] == [0, 1, 2]
    found = record(folder, "a.parquet", "--loss", "squared", "--by", "g", "--by", "g")
    assert [each["group"] for each in found["groups"]] == [[0], [1], [2]]


def test_several_losses(folder):
    found = record(folder, "a.parquet", "--loss", "squared", "--loss", "AbsoluteLoss", "--loss",
                   "huber", "--by", "g", "--param", "delta=0.25")
    assert [each["loss"] for each in found["losses"]] == [
        repr(loss) for loss in (fl.SquaredLoss(), fl.AbsoluteLoss(), fl.HuberLoss(delta=0.25))]
    huber = np.where(DISTANCES <= 0.25, SQUARES / 2, 0.25 * (DISTANCES - 0.125))
    for each, costs in zip(found["losses"], (SQUARES, DISTANCES, huber), strict=True):
        assert abs(each["overall"]["value"] / mean(costs) - 1) <= 4 * EPS
        for group in each["groups"]:
            assert abs(group["value"] / mean(costs, COLUMNS["g"] == group["group"]) - 1) <= 4 * EPS
    status, text, _ = run(folder, "a.parquet", "--loss", "squared", "--loss", "absolute")
    assert status == 0
    assert [line.split()[1] for line in text.splitlines() if line.startswith("all")] == [
        f"{mean(costs):.9g}" for costs in (SQUARES, DISTANCES)]
    assert [line for line in text.splitlines() if "Loss(" in line] == [
        repr(fl.SquaredLoss()), repr(fl.AbsoluteLoss())]


def test_parameters_of_several_losses():
    both = by_name.losses_of(["squared", "huber"], ["delta=2", "reduction=sum"])
    assert both == [fl.SquaredLoss(reduction="sum"), fl.HuberLoss(delta=2, reduction="sum")]
    with pytest.raises(TypeError, match=r"^SquaredLoss has no parameter 'margin'"):
        by_name.losses_of(["squared", "huber"], ["delta=2", "margin=1"])


# ---- standard input and output ----------------------------------------------------------------


class Stdin(io.TextIOWrapper):
    def isatty(self):
        return False


NAMES = ["a.parquet", "a.arrow", "a.arrows", "a.csv", "a.tsv", "a.csv.gz", "a.npy"]


@pytest.mark.parametrize("name", NAMES)
def test_standard_input_of_every_format(folder, name, monkeypatch):
    by = [] if name == "a.npy" else ["--by", "g"]
    monkeypatch.setattr(sys, "stdin", Stdin(io.BytesIO((folder / name).read_bytes())))
    found = record(folder, "-", "--loss", "squared", *by)
    expected = record(folder, name, "--loss", "squared", *by)
    assert found["overall"] == expected["overall"]
    assert found["groups"] == expected["groups"]
    assert (found["data"], expected["data"]) == ("-", name)


def command(*arguments):
    package = str(Path(fl.__file__).parents[1])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    return {"args": [sys.executable, "-W", "error", "-m", "fastloss", "eval", *arguments],
            "env": os.environ | {"PYTHONPATH": path}, "capture_output": True, "timeout": 60}


@pytest.mark.skipif(not Path("/dev/stdin").exists(), reason="there is no /dev/stdin")
@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.csv.gz"])
def test_standard_input_as_a_path(folder, name, tmp_path):
    expected = record(folder, name, "--loss", "squared")["overall"]
    data = (folder / name).read_bytes()
    for source in ("-", "/dev/stdin"):
        options = command(source, "--loss", "squared", "--json", "-") | {"cwd": tmp_path}
        with open(folder / name, "rb") as file:
            runs = [subprocess.run(**options, stdin=file), subprocess.run(**options, input=data)]
        for done in runs:
            assert (done.returncode, done.stderr) == (0, b"")
            assert json.loads(done.stdout)["overall"] == expected
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize("name", ["a.parquet", "pipe"])
def test_a_named_pipe(folder, name, tmp_path):
    os.mkfifo(tmp_path / name)
    with subprocess.Popen(["cp", folder / "a.parquet", tmp_path / name]) as writer:
        try:
            found = record(tmp_path, name, "--loss", "squared")
            assert writer.wait(20) == 0
        finally:
            writer.kill()
    assert abs(found["overall"]["value"] / mean(SQUARES) - 1) <= 4 * EPS


def test_copies_of_the_standard_input_are_removed(folder, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "stdin", Stdin(io.BytesIO((folder / "a.csv").read_bytes())))
    assert run(folder, "-", "--loss", "squared")[0] == 0
    monkeypatch.setattr(sys, "stdin", Stdin(io.BytesIO(b"a,b\n1,2\n")))
    error = refusal(folder, "-", "--loss", "squared", status=2)
    assert "argument DATA: standard input has no column 'y_true'; it has a, b" in error
    assert not list(tmp_path.iterdir())


def test_standard_input_that_is_empty_or_none(folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Stdin(io.BytesIO(b"")))
    assert "standard input is empty" in refusal(folder, "-", "--loss", "log", status=2)
    monkeypatch.setattr(sys, "stdin", Stdin(io.BytesIO(b"y_true,y_pred\n0,0\n0,\n")))
    assert refusal(folder, "-", "--loss", "squared").startswith(
        "fastloss eval: standard input, row 1: column 'y_pred' is null")
    monkeypatch.setattr(sys, "stdin", None)
    assert "standard input has no data" in refusal(folder, "-", "--loss", "log", status=2)


def test_a_file_that_is_named_as_the_standard_output(folder, tmp_path):
    status, text, _ = run(folder, "a.npy", "--loss", "squared", "--json", "-")
    assert status == 0
    assert json.loads(text)["overall"]["count"] == N      # and nothing else
    assert not (folder / "-").exists()
    (tmp_path / "-").write_bytes((folder / "a.csv").read_bytes())
    status, text, _ = run(tmp_path, "./-", "--loss", "squared", "--json", "./out")
    assert (status, (tmp_path / "out").exists()) == (0, True)
    assert text.splitlines()[-1] == "numbers: out"


def test_numbers_of_the_demo_to_the_standard_output(tmp_path):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    pytest.importorskip("matplotlib", reason="Matplotlib is not installed")
    pytest.importorskip("scipy", reason="SciPy is not installed")
    done = subprocess.run(**command() | {"args": [
        sys.executable, "-m", "fastloss", "compare", "--quick", "--json", "-", "--output",
        "a.png"]}, cwd=tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout)["quick"] is True
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


# ---- values that a loss is not meant for ------------------------------------------------------

ONE, TWO = [0, 1, 1], [0.25, 0.5, 1.0]
SUSPICIOUS = [
    ("log", [1, 2, 2], TWO, "row 1: column 'y_true' is 2.0; it must hold labels in [0, 1], where 0 "
     "and 1 are the classes, but 2 of 3 values here do not; labels 1 and 2 become 0 and 1 by y - "
     "1"),
    ("log", [-1, 1, 1], TWO, "row 0: column 'y_true' is -1.0; .* labels -1 and 1 become 0 and 1 by "
     "(y + 1) / 2"),
    ("log", [255, 255, 255], TWO, "labels 0 and 255 become 0 and 1 by y / 255"),
    ("log", [0, 1, 2], TWO, "row 2: column 'y_true' is 2.0; .*; use "
     "CrossEntropyLoss for more than two classes"),
    ("log", [0, 50.5, 100], TWO, "divide per cent by 100"),
    ("log", ONE, [5, 50, 99.5], "row 0: column 'y_pred' is 5.0; it must hold probabilities in .*; "
     "divide per cent by 100"),
    ("log", ONE, [0.5, -1, 2], "row 1: column 'y_pred' is -1.0; .*(from_logits=True takes logits)"),
    ("hinge_embedding", ONE, TWO, "row 0: column 'y_true' is 0.0; it must hold labels -1 and 1, "
     "but 1 of 3 values here do not; labels 0 and 1 become -1 and 1 by 2 y - 1"),
    ("contrastive", ONE, [0.5, -0.5, 1], "row 1: column 'y_pred' is -0.5; it must hold distances"),
    ("squared", [0, math.inf, 1], TWO, "row 1: column 'y_true' is inf; it must hold finite"),
    ("poisson", [1, -1, 1], TWO, "row 1: column 'y_true' is -1.0; it must hold numbers >= 0"),
]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("loss, y, p, message", SUSPICIOUS)
def test_values_outside_the_domain(loss, y, p, message, suffix, tmp_path):
    name = f"a.{suffix}"
    table = pa.table({"y_true": y, "y_pred": p, "g": ONE})
    (csv.write_csv if suffix == "csv" else parquet.write_table)(table, tmp_path / name)
    error = refusal(tmp_path, name, "--loss", loss, "--by", "g")
    head, tail = message.split(" .*") if " .*" in message else (message, "")
    assert error.startswith(f"fastloss eval: {name}, ")
    assert error.endswith(" (rows are counted from 0; --no-check leaves out this check)")
    where = " (row group 0)" if suffix == "parquet" else ""
    for part in (head, tail):
        assert part.replace(": column", f"{where}: column") in error
    # as it is with the same numbers as arrays
    value = by_name.losses_of([loss])[0](np.array(y, float), np.array(p, float))
    found = record(tmp_path, name, "--loss", loss, "--by", "g", "--no-check")["overall"]["value"]
    assert found == (value if math.isfinite(value) else str(value))


def test_the_first_row_of_a_file_is_named_not_that_of_a_batch(tmp_path):
    y = np.zeros(300_000, np.int8)
    y[[200_000, 200_007]] = 2
    parquet.write_table(pa.table({"y_true": y, "y_pred": np.full(len(y), 0.5)}),
                        tmp_path / "a.parquet", row_group_size=150_000)
    assert refusal(tmp_path, "a.parquet", "--loss", "log").startswith(
        "fastloss eval: a.parquet, row 200000 (row group 1): column 'y_true' is 2.0; it must hold "
        "labels in [0, 1], where 0 and 1 are the classes, but 2 of 131072 values here do not")


def test_weights_and_scores_of_classes_are_checked(tmp_path):
    table = pa.table({"y_true": [0, 1, 2], "w": [1.0, 1.0, -2.0], "a": [0.5, 0.0, 0.25],
                      "b": [0.5, 1.0, 1.75], "c": [0.0, 0.0, 0.0]})
    parquet.write_table(table, tmp_path / "a.parquet")
    scores = [option for name in "abc" for option in ("--y-pred", name)]
    options = ["--loss", "cross_entropy", *scores]
    assert record(tmp_path, "a.parquet", *options)["overall"]["count"] == 3
    assert ", row 2 (row group 0): column 'w' is -2.0; it must hold weights >= 0" in refusal(
        tmp_path, "a.parquet", *options, "--weight", "w")
    assert "row 2 (row group 0): column 'b' is 1.75; it must hold probabilities in" in refusal(
        tmp_path, "a.parquet", *options, "--param", "from_logits=False")
    error = refusal(tmp_path, "a.parquet", *options[:6])
    assert "row 2 (row group 0): column 'y_true' is 2.0; it must hold class numbers from 0" in error
    assert "to 1 of the 2 classes of y_pred, but 1 of 3 values here do not (" in error


def test_each_of_several_losses_is_checked(folder):
    assert "column 'y_true' is 0.0; it must hold labels -1 and 1" in refusal(
        folder, "a.parquet", "--loss", "log", "--loss", "hinge_embedding")


def test_help_says_how_rows_are_counted(folder):
    status, text, _ = run(folder, "--help")
    assert status == 0
    assert "rows are counted from 0" in " ".join(text.split())
