"""The registry of the benchmarks: its formulas are the losses."""

import dataclasses
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
if not (ROOT / "bench").exists():
    pytest.skip("tests run without the checkout's bench/ folder", allow_module_level=True)
sys.path.append(str(ROOT))

from bench import __main__ as command  # noqa: E402
from bench import adapters, compiled, measure, memory, pages, products, readme, report, streaming  # noqa: E402
from bench.case import OPERATIONS, Case, Contender  # noqa: E402
from bench.losses import LOSSES, Embedding, Entry  # noqa: E402
from bench.peers import OURS, PEERS  # noqa: E402

BY_NAME = {entry.name: entry for entry in LOSSES}
ENTRIES, EMBEDDINGS = (
    pytest.mark.parametrize("entry", [entry for entry in LOSSES if isinstance(entry, kind)],
                            ids=lambda entry: entry.name)
    for kind in (Entry, Embedding))


def test_names_are_distinct_and_those_of_the_readme_exist():
    assert len(BY_NAME) == len(LOSSES)
    assert not set(BY_NAME) & set(command.GROUPS)
    assert set(readme.LOSSES) <= set(BY_NAME)


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
    assert bool(entry.shapes) == (entry.loss.sample == "row") == bool(
        entry.quick_shapes)
    assert all(name in (entry.numexpr or "") for name in entry.constants)


def test_bytes_are_those_of_the_arrays():
    for name, value, both in (("log", 8, 12), ("log, uint8 labels", 5, 9)):
        for operation, each in (("value", value), ("value_and_grad", both)):
            case = Case.draw(BY_NAME[name], (1000,), "float32", operation, 1)
            assert case.bytes == 1000 * each
    case = Case.draw(BY_NAME["cross entropy"], (10, 7), "float64", "value_and_grad", 1)
    assert case.bytes == 10 * 8 + 2 * 70 * 8
    case = Case.draw(BY_NAME["pair contrastive"], (9, 4), "float32", "value_and_grad", 1)
    assert case.bytes == (9 + 4 * 36) * 4


@pytest.mark.parametrize("name", ["log", "log, uint8 labels", "cross entropy", "triplet"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_streaming_moves_the_bytes_of_a_case(name, operation):
    shape = (1000,) if not BY_NAME[name].shapes else (100, 8)
    case = Case.draw(BY_NAME[name], shape, "float32", operation, 1)
    moved = sum(array.nbytes for part in streaming.operands(case) for array in part)
    assert case.bytes - moved in (0, 4)    # of an odd number of values a kernel leaves one out


# ---- losses of embeddings ---------------------------------------------------------------


def draw(name, shape=(64, 32), dtype="float64", operation="value_and_grad"):
    return Case.draw(BY_NAME[name], shape, dtype, operation, 2)


def compared(case, peer_name):
    """Say how a peer's result differs; None if it has no such loss."""
    peer = next(peer for peer in PEERS if peer.name == peer_name)
    contender = peer.contender(case)
    return None if contender is None else measure.difference(case, OURS.contender(case), contender)


@EMBEDDINGS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_embeddings_are_drawn_in_their_dtype_and_agree_with_the_reference(entry, dtype):
    case = draw(entry.name, dtype=dtype)
    assert {x.dtype.name for x in case.inputs} == {dtype}
    assert sum(len(x) for x in case.inputs) in (64, 128, 192)
    assert compared(case, "reference") == ""


@EMBEDDINGS
@pytest.mark.parametrize("operation", OPERATIONS)
def test_formulas_of_torch_are_the_loss(entry, operation):
    pytest.importorskip("torch", reason="torch is not installed")
    assert compared(draw(entry.name, operation=operation), "torch eager") == ""


@EMBEDDINGS
def test_losses_of_pytorch_metric_learning_are_the_loss(entry):
    pytest.importorskip("pytorch_metric_learning.losses",
                        reason="pytorch-metric-learning is not installed", exc_type=ImportError)
    has = entry.metric_learning is not None
    assert compared(draw(entry.name), "pytorch-metric-learning") == ("" if has else None)


def test_a_difference_is_found_in_any_side_but_for_some_rows_where_gradients_jump():
    case = draw("triplet")
    value, grads = OURS.contender(case).result(True)

    def found(entry, row_count, factor):
        wrong = [grad.copy() for grad in grads]
        wrong[2][:row_count] *= factor
        return measure.difference(
            dataclasses.replace(case, entry=entry), Contender("ours", lambda: (value, grads)),
            Contender("peer", lambda: (value, tuple(wrong))))

    assert found(case.entry, 1, 1.0) == ""
    assert "differs by" in found(case.entry, 1, 1.001)
    assert "differs by" in found(case.entry, 1, np.nan)
    jumping = dataclasses.replace(case.entry, ambiguous=0.01)      # of 192 rows
    assert found(jumping, 1, 2.0) == ""
    assert "differs by" in found(jumping, 2, 2.0)


@EMBEDDINGS
def test_products_are_those_of_all_pairs(entry):
    assert bool(entry.products) == (len(entry.shapes) > 1)
    if not entry.products:
        return
    case = draw(entry.name, (40, 8))
    pairs, rows = (contender.call() for contender in products.contenders(case))
    assert pairs.shape == (40, 40) and rows.shape == (40, 8)
    assert products.count(case) == entry.products
    assert products.count(draw(entry.name, operation="value")) == 1


@pytest.mark.parametrize("operation, count", [("value", 1), ("value_and_grad", 3)])
def test_the_limit_is_as_many_products_as_the_loss_needs(monkeypatch, operation, count):
    def same_times(contenders, n, effort):
        return {"times": {c.name: {"median": 6.0, "min": 6.0} for c in contenders}}

    monkeypatch.setattr(measure, "undisturbed", same_times)
    case = measure.measure(draw("SupCon", operation=operation), [], measure.Effort())
    assert case["products"]["median"] == case["products"]["min"] == 6.0 * count
    assert report.to_limit(case) == 1 / count
    assert set(case["times"]) == {"fastloss"}


def test_threads_that_spin_are_waited_for(monkeypatch):
    events = []
    monkeypatch.setattr(measure.time, "sleep", events.append)
    monkeypatch.setattr(measure, "wait_until_idle", lambda: events.append("idle"))
    spins = Contender("a", lambda: events.append("a"), spins=True)
    rests = Contender("b", lambda: events.append("b"))
    measure.interleave([spins, rests], 10, measure.Effort(0, 20))
    rest = {"a": "idle", "b": measure.PAUSE}
    found = [(before, event) for before, event in itertools.pairwise(events) if event not in rest]
    assert len(found) == 40 and found[0][1] == "idle"
    assert all(event == rest[before] for before, event in found[1:])
    events.clear()
    measure.interleave([rests], 10, measure.Effort(0, 20))
    assert set(events) == {"b"}


def test_waiting_ends_when_no_thread_takes_time_or_after_a_while(monkeypatch):
    busy = iter([0.0, 1.0, 2.0, 3.0, 4.0, 4.0, 5.0])
    sleeps = []
    monkeypatch.setattr(measure.time, "sleep", sleeps.append)
    monkeypatch.setattr(measure.time, "process_time", lambda: next(busy))
    measure.wait_until_idle()
    assert len(sleeps) == 3 and list(busy) == [5.0]
    sleeps.clear()
    monkeypatch.setattr(measure.time, "process_time", itertools.count().__next__)
    measure.wait_until_idle()
    assert sum(sleeps) == pytest.approx(measure.MOST)


@pytest.fixture(scope="module")
def gauge():
    if not memory.available():
        pytest.skip("the kernel does not tell the peak of a process's memory")
    made = memory.Gauge(limit=0.1)
    yield made
    made.close()


def test_memory_of_a_matrix_of_all_pairs_is_seen(gauge):
    case = draw("SupCon", (1024, 8))
    found = gauge.measure(case, ["reference", "fastloss", "numexpr"])    # the larger first
    assert found["reference"]["bytes"] >= 1024**2 * 8
    assert found["fastloss"]["bytes"] < 1024**2 * 8
    assert found["numexpr"] == {}      # has no such loss


def test_what_needs_more_memory_is_refused_and_the_rest_goes_on(gauge):
    case = draw("SupCon", (4096, 8))
    found = gauge.measure(case, ["reference", "fastloss"])
    assert found["reference"] == {"reason": "> 0.1 GB"}
    assert found["fastloss"]["bytes"] < 1e8
    peers = [peer for peer in PEERS if peer.name == "reference"]
    assert measure.admitted(case, peers, gauge)[0] == []
    assert measure.admitted(draw("SupCon"), peers, gauge)[0] == peers


def test_memory_is_measured_on_after_a_process_that_died_or_took_too_long(gauge, monkeypatch):
    case = draw("SupCon")
    with monkeypatch.context() as patched:
        patched.setattr(memory, "PATIENCE", 0.0)
        assert gauge.measure(case, ["reference"]) == {"reference": {"reason": "> 0 s"}}
    assert "bytes" in gauge.measure(case, ["fastloss"])["fastloss"]
    gauge._process.kill()
    gauge._process.join()
    assert "bytes" in gauge.measure(case, ["fastloss"])["fastloss"]


# ---- one run of the command, and what is made of it -------------------------------------


@pytest.fixture(scope="module")
def batches(tmp_path_factory):
    """The results of a run of two losses of embeddings."""
    path = tmp_path_factory.mktemp("embeddings") / "run.json"
    words = ["--quick", "--seconds", "0", "--losses", "batch contrastive", "pair contrastive",
             "--embeddings", "64x32", "4096x128", "--dtypes", "float32", "--peers",
             "--output", str(path)]
    assert command.main(words) == 0
    return json.loads(path.read_text())


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
    marks = readme.MARKS["elements"]
    text = marks[0] + "old" + marks[1] + "after\n"
    new = readme.updated("before\n" + text, results)
    assert new.startswith("before\n" + marks[0])
    assert new.endswith(marks[1] + "after\n")
    assert "old" not in new
    assert new.count("| absolute |") == new.count("| cross entropy, 10⁵ × 2 |") == 4
    assert readme.updated(new, results) == new


@pytest.mark.parametrize("name, option", [("README.md", "--readme"),
                                          ("docs/benchmark.md", "--markdown")])
def test_pages_have_the_marks_of_their_parts(name, option):
    text = (ROOT / name).read_text()
    titles = [title for title, _ in readme.PARTS.values()] if option == "--readme" else readme.PARTS
    for title in titles:
        assert all(text.count(mark) == 1 for mark in pages.marks(title, option))


def test_a_page_keeps_the_parts_of_which_there_are_no_results(run, batches):
    results = json.loads((run / "run.json").read_text())
    page = pages.document("", results)
    assert page.startswith("# Benchmark\n")
    both = pages.document(page, batches)
    assert both.startswith(page)
    assert "own products" in both and "own products" not in page
    assert pages.document(both, batches) == pages.document(both, results) == both
    assert page.count("absolute: value |") == both.count("absolute: value |")


def test_batches_are_held_against_their_products(batches):
    assert len(batches["cases"]) == 2 * 2 * 2
    for case in batches["cases"]:
        ours, limit = case["times"]["fastloss"], case[case["limit"]]
        assert case["limit"] == ("products" if case["loss"] == "batch contrastive" else "streaming")
        assert report.to_limit(case) == pytest.approx(ours["median"] / limit["median"])
        kernels = case[case["limit"] + "_kernels"].values()
        assert limit["median"] == min(kernel["median"] for kernel in kernels)
        both = case["operation"] == "value_and_grad"
        assert limit["count"] == (2 if both and case["limit"] == "products" else 1)


def test_tables_of_batches_have_the_numbers_of_the_results(batches):
    case = next(case for case in batches["cases"] if case["n"] >= report.LARGE)
    case = {**case, "times": {**case["times"]}, "refused": {"torch eager": "> 4 GB"},
            "memory": {"fastloss": 2.5e6}, "disturbed": False, "operation": "value_and_grad"}
    times, memories = report.times_table([case]), report.memory_table([case])
    assert times.title == "4096 × 128, float32, ms"
    assert list(times.header[1:]) == ["own products", "fastloss / limit", "fastloss", "torch eager"]
    assert times.rows[0] == [
        "batch contrastive: value+grad", report.figure(1e3 * case["products"]["median"]),
        report.ratio(case["times"]["fastloss"]["to_products"]),
        report.figure(1e3 * case["times"]["fastloss"]["median"]), "(> 4 GB)"]
    assert memories.rows == [["batch contrastive", "4096 × 128", "float32", "2.5", "(> 4 GB)"]]


def test_memory_of_batches_is_in_the_results(batches):
    if not memory.available():
        pytest.skip("the kernel does not tell the peak of a process's memory")
    large = [case for case in batches["cases"] if case["shape"] == [4096, 128]]
    assert large and all(case["memory"]["fastloss"] < 4096**2 * 4 for case in large)
    assert all(case["refused"] == {} for case in large)


def test_the_readme_gets_the_table_of_embeddings(batches):
    marks = readme.MARKS["embeddings"]
    new = readme.updated("before\n" + "".join(marks) + "after\n", batches)
    rows = [line for line in new.splitlines() if line.startswith("| batch contrastive")]
    assert len(rows) == 1
    case, small = (
        next(case for case in batches["cases"] if case["loss"] == "batch contrastive"
             and case["shape"] == shape and case["operation"] == "value_and_grad")
        for shape in ([4096, 128], [64, 32]))
    cells = [cell.strip() for cell in rows[0].split("|")]
    found = [cells[2].removesuffix(" *"), cells[9].removesuffix(" *")]
    assert found == [report.figure(case["times"]["fastloss"]["median"] * 1e3),
                     report.figure(small["times"]["fastloss"]["median"] * 1e6)]
    assert cells[2].endswith("*") == case["disturbed"]
    refused = {**case, "refused": {"torch eager": "> 4 GB"}}
    assert readme.times(refused, "torch eager") == "(> 4 GB)"


def test_growth_is_per_pair_of_rows(batches):
    cases = [dict(case) for case in batches["cases"] if case["limit"] == "products"]
    for case, seconds in zip(cases, (1, 2, 20, 36), strict=True):
        case["shape"] = [1024 if case["shape"][0] == 64 else 4096, 128]
        case["n"] = 128 * case["shape"][0]
        case["times"] = {"fastloss": {"median": seconds}}
    table = report.growth_table(cases)
    assert [row[3] for row in table.rows] == ["1.25", "1.12"]


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


@pytest.mark.parametrize("adapter", adapters.ADAPTERS)
def test_adapters_beside_what_they_stand_in_for(adapter, capsys):
    pytest.importorskip(adapter, reason="measures the adapter of a library")
    adapters.main([adapter, "--quick"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 2
    assert all(": fastloss " in line and " ×" in line for line in lines)


def test_losses_in_compiled_code_beside_their_formulas(capsys):
    pytest.importorskip("numba", reason="Numba is not installed")
    compiled.main(["--quick"])
    *cases, calls = capsys.readouterr().out.splitlines()
    assert len(cases) == 4 * len(compiled.NAMES)
    assert all(": fastloss " in case and case.endswith(" ×") for case in cases)
    assert "with a loss as an argument" in calls


@pytest.mark.parametrize("name", compiled.NAMES)
def test_formulas_in_compiled_code_are_the_losses(name):
    pytest.importorskip("numba", reason="Numba is not installed")
    entry = BY_NAME[name]
    y, p = (each.astype(float) for each in entry.data(np.random.default_rng(0), (50,)))
    for ours, theirs in compiled.loops(entry, np.float64).values():
        found = []
        for function in (ours, theirs):
            f, g = np.zeros(50), np.zeros(50)
            found.append([function(entry.loss, y, p, f, g) or 0.0, *f, *g])
        np.testing.assert_allclose(*found, rtol=1e-12, atol=1e-15)
