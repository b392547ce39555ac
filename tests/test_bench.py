"""The registry of the benchmarks: its formulas are the losses."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from fastloss import rowwise

ROOT = Path(__file__).resolve().parents[1]
if not (ROOT / "bench").exists():
    pytest.skip("tests run without the checkout's bench/ folder", allow_module_level=True)
sys.path.append(str(ROOT))

from bench import __main__ as command  # noqa: E402
from bench import readme, report  # noqa: E402
from bench.losses import LOSSES  # noqa: E402
from bench.peers import Case  # noqa: E402

ENTRIES = pytest.mark.parametrize("entry", LOSSES, ids=lambda entry: entry.name)


def test_names_are_distinct_and_those_of_the_readme_exist():
    names = [entry.name for entry in LOSSES]
    assert len(set(names)) == len(names)
    assert set(readme.LOSSES) <= set(names)


@ENTRIES
def test_formula_is_the_loss_and_its_derivative(entry):
    shape = (20, 7) if entry.shapes else (50,)
    y, p = entry.data(np.random.default_rng(1), shape)
    p = p.astype(float)
    y = y.astype(entry.label_dtype or float)
    terms, loss, slope = entry.formula(np, float)
    value, grad = dataclasses.replace(entry.loss, reduction="none").value_and_grad(y, p)
    for ours, formula in ((value, loss(*terms(y, p))), (grad, slope(*terms(y, p)))):
        assert formula.shape == ours.shape
        assert np.abs(formula - ours).max() <= 1e-13 * np.abs(ours).max()


@ENTRIES
def test_constants_and_shapes_are_used(entry):
    assert bool(entry.shapes) == isinstance(entry.loss, rowwise.RowLoss) == bool(
        entry.quick_shapes)
    assert all(name in (entry.numexpr or "") for name in entry.constants)


def test_bytes_are_those_of_the_arrays():
    by_name = {entry.name: entry for entry in LOSSES}
    for name, value, both in (("log", 8, 12), ("log, uint8 labels", 5, 9)):
        for operation, each in (("value", value), ("value_and_grad", both)):
            case = Case.draw(by_name[name], (1000,), "float32", operation, 1)
            assert case.bytes == 1000 * each
    case = Case.draw(by_name["cross entropy"], (10, 7), "float64", "value_and_grad", 1)
    assert case.bytes == 10 * 8 + 2 * 70 * 8


# ---- one run of the command, and what is made of it -------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The files of a run of two losses against NumPy."""
    folder = tmp_path_factory.mktemp("bench")
    words = ["--quick", "--seconds", "0", "--losses", "absolute", "cross entropy", "--sizes",
             "100000", "--shapes", "1e5x2", "--peers", "numpy", "--output",
             str(folder / "run.json")]
    assert command.main(words) == 0
    return folder


def test_a_run_writes_results_of_every_case(run):
    results = json.loads((run / "run.json").read_text())
    assert len(results["cases"]) == 2 * 2 * 2
    assert {"fastloss", "numpy"} == set(results["cases"][0]["times"])
    assert results["machine"]["simd"] in "baseline avx2 avx512"


def test_the_readme_gets_the_tables(run):
    results = json.loads((run / "run.json").read_text())
    text = readme.MARKS[0] + "old" + readme.MARKS[1] + "after\n"
    new = readme.updated("before\n" + text, results)
    assert new.startswith("before\n" + readme.MARKS[0])
    assert new.endswith(readme.MARKS[1] + "after\n")
    assert "old" not in new
    assert new.count("| absolute |") == new.count("| cross entropy, 10⁵ × 2 |") == 4
    assert readme.updated(new, results) == new
    assert (ROOT / "README.md").read_text().count(readme.MARKS[0]) == 1


def test_levels_stand_side_by_side(run):
    results = json.loads((run / "run.json").read_text())
    other = json.loads((run / "run.json").read_text())
    other["machine"]["simd"] = "another"
    table = report.limit_table([results, other])
    level = results["machine"]["simd"]
    assert [*table.header[3:]] == [f"float32 {level}", "float32 another", f"float64 {level}",
                                   "float64 another"]
    assert all(row[3] == row[4] and row[5] == row[6] for row in table.rows)


def test_the_chart_is_drawn(run):
    pytest.importorskip("matplotlib")
    words = ["--from", str(run / "run.json"), "--chart", str(run / "chart.png")]
    assert command.main(words) == 0
    assert (run / "chart.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize("words, message", [
    (["--sizes", "1.5"], "not a whole number"),
    (["--shapes", "100"], "not a whole number"),
    (["--losses", "nothing"], "invalid choice"),
])
def test_a_wrong_option_is_named(words, message, capsys):
    with pytest.raises(SystemExit):
        command.parse(words)
    assert message in capsys.readouterr().err


