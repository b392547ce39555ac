"""The command line, and the fits behind `fastloss compare`."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from pictures import png_size

import fastloss as fl
from fastloss import cli, reference
from fastloss._core import threads
from fastloss.commands import compare, compare_report, embedding_report, models, train_embedding

COMMANDS = {"compare": (compare, compare_report),
            "train-embedding": (train_embedding, embedding_report)}
LOSSES = ["ContrastiveLoss", "QualityLoss", "LogLoss", "AbsoluteLoss", "SquaredLoss"]


# ---- fastloss compare -------------------------------------------------------------------


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """Exit status, output and files of one quick comparison."""
    folder = tmp_path_factory.mktemp("compare")
    command = [sys.executable, "-m", "fastloss", "compare", "--quick", "--seed", "3", "--output",
               "out.png", "--json", "out.json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    return done, folder


@pytest.fixture(scope="module")
def record(quick):
    done, folder = quick
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "out.json").read_text())


def test_compare_writes_its_files_and_nothing_else(quick):
    done, folder = quick
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(folder)) == ["out.json", "out.png"]
    assert png_size(folder / "out.png") == (1575, 1800)
    assert "picture: out.png" in done.stdout
    assert "numbers: out.json" in done.stdout


def test_plain_output_has_no_control_characters_and_no_progress(quick):
    done, _ = quick
    assert done.stderr == ""
    assert done.stdout.isascii()
    assert not [c for c in done.stdout if not c.isprintable() and c != "\n"]
    for word in ("contrastive", "quality", "log", "absolute", "squared", "NumPy reference"):
        assert word in done.stdout


def test_json_names_everything(record):
    assert record["seed"] == 3
    assert record["quick"] is True
    assert record["versions"]["fastloss"] == fl.__version__
    assert record["versions"]["numpy"] == np.__version__
    assert [row["loss"].partition("(")[0] for row in record["results"]] == LOSSES
    assert [row["data"] for row in record["results"]] == [
        "digits", "digits", "breast cancer", "diabetes", "diabetes"]
    pairs = record["results"][0]
    assert pairs["train_pairs"] == 400 * 399 // 2
    assert pairs["held_out_pairs"] == 300 * 299 // 2
    for row in record["results"]:
        for fit in row["fits"].values():
            assert fit["iterations"] >= 1
            assert fit["calls"] > fit["iterations"]
            assert 0 < fit["median_seconds_per_call"] < fit["loss_seconds"]
        a, b = (fit["median_seconds_per_call"] for fit in row["fits"].values())
        assert row["speedup_per_call"] == b / a


def test_both_fits_reach_the_same_objective(record):
    for row in record["results"]:
        a, b = (row["fits"][name] for name in ("fastloss", "reference"))
        assert abs(a["objective"] / b["objective"] - 1) < 1e-6, row["loss"]
        assert row["relative_difference_of_objectives"] < 1e-6
        assert a["objective"] < 0.8 * row["start"]["objective"]
        for name, value in a["held_out"].items():
            assert abs(value - b["held_out"][name]) < 0.01, (row["loss"], name)
            assert row["differences_of_held_out"][name] == abs(value - b["held_out"][name])


def test_held_out_metrics_improve(record):
    contrastive, quality, log, absolute, squared = record["results"]
    for row, least in ((contrastive, 0.95), (quality, 0.95)):
        before, after = row["start"]["held_out"], row["fits"]["fastloss"]["held_out"]
        assert after["AUC"] > max(before["AUC"] + 0.03, least)
        assert after["accuracy"] > before["accuracy"] + 0.03
    before, after = log["start"]["held_out"], log["fits"]["fastloss"]["held_out"]
    assert after["accuracy"] > 0.93
    assert after["log loss"] < 0.25 < before["log loss"]
    for row in (absolute, squared):
        before, after = row["start"]["held_out"], row["fits"]["fastloss"]["held_out"]
        assert after["MAE"] < 0.9 * before["MAE"]


def test_full_comparison_has_half_a_million_pairs():
    sizes = models.models(0)[0][0].sizes
    assert sizes["train_pairs"] >= 500_000
    assert sizes["train_images"] + sizes["held_out_images"] == 1797


@pytest.fixture(scope="module")
def tasks():
    return models.models(1, quick=True)


@pytest.fixture
def two_iterations(monkeypatch, tasks):
    tasks = [(model, loss, 2) for model, loss, _ in tasks]
    monkeypatch.setattr(compare, "models", lambda seed, quick: tasks)


def test_each_model_is_fitted_with_both_engines(monkeypatch, two_iterations):
    used = []

    def fit(model, loss, iterations, progress=None):
        used.append((type(loss).__module__.split(".")[1], iterations))
        return compare.Fit(model.start, 1.0, {}, 0, 0, 0.0, 1.0)

    monkeypatch.setattr(compare, "fit", fit)
    done = []
    compare.run(progress=lambda what, part: done.append(part))
    assert used == [("pointwise", 2), ("reference", 2), ("pointwise", 0)] * 5  # 0: the start
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0.0, 1.0)


def test_main_in_this_process(tmp_path, monkeypatch, capsys, two_iterations):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["compare", "--quick"]) == 0
    assert png_size(tmp_path / "comparison.png") == (1575, 1800)
    assert "picture: comparison.png" in capsys.readouterr().out


@pytest.mark.parametrize("columns", [80, 120])
def test_table_on_a_terminal(tmp_path, monkeypatch, capsys, two_iterations, columns):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    assert cli.main(["compare", "--output", str(tmp_path / "a.png")]) == 0
    out, err = capsys.readouterr()
    out = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out)
    assert "─" in out
    assert "…" not in out  # nothing is cut off
    assert "AUC" in out
    assert "accuracy" in out
    table = out[:out.index("train, test")]
    assert table.count("reference") == 5
    assert max(map(len, table.splitlines())) <= columns
    assert "loading data" in err
    assert "done" in err


# ---- the models' gradients --------------------------------------------------------------


def central_differences(f, w, h):
    steps = np.eye(len(w)) * h
    return np.array([(f(w + step) - f(w - step)) / (2 * h) for step in steps])


@pytest.mark.parametrize("engine", [fl, reference])
@pytest.mark.parametrize("name", ["ContrastiveLoss", "QualityLoss"])
def test_gradient_through_the_distance(engine, name):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(9, 12))
    x[4] = x[1]  # a pair of different digits, and one of the same, at distance 0
    x[7] = x[2]
    digits = np.array([0, 1, 2, 0, 2, 1, 1, 2, 0])
    loss = getattr(engine, name)()
    model = models.PairVerification((x, digits), (x, digits), loss.margin)
    w = model.start
    p = model.distances(w)
    assert p.shape == (36,)
    assert (p < 1e-12).sum() == 2
    assert (p[~model.same] < loss.margin).sum() > 5  # pairs on both sides of the margin
    assert (p[~model.same] > loss.margin).sum() > 5
    value, grad = model.value_and_grad(loss, w)
    e = x @ w.reshape(12, -1)
    pairs = [(i, j) for i in range(9) for j in range(i)]
    y = [digits[i] == digits[j] for i, j in pairs]
    d = [np.linalg.norm(e[i] - e[j]) for i, j in pairs]
    assert value == pytest.approx(reference.contrastive_loss(y, d, margin=loss.margin), rel=1e-12)
    numeric = central_differences(lambda v: model.value_and_grad(loss, v)[0], w, 1e-6)
    np.testing.assert_allclose(grad, numeric, rtol=1e-6, atol=1e-9)


def test_subgradient_is_0_where_all_distances_are():
    x, digits = np.ones((4, 12)), np.array([0, 0, 1, 1])
    x[0, :] = 2
    model = models.PairVerification((x, digits), (x, digits), 1.0)
    value, grad = model.value_and_grad(fl.ContrastiveLoss(), np.zeros(120))
    assert value == pytest.approx(4 / 6)
    np.testing.assert_array_equal(grad, np.zeros(120))


@pytest.mark.parametrize("stage", [0, -1])
@pytest.mark.parametrize("task", [2, 3, 4])
def test_gradients_of_the_other_models(task, stage, tasks):
    model, loss, _ = tasks[task]
    w = model.start + np.random.default_rng(2).normal(size=model.start.shape)
    objective = model.stages()[stage]
    numeric = central_differences(lambda v: objective(loss, v)[0], w, 1e-6)
    np.testing.assert_allclose(objective(loss, w)[1], numeric, rtol=1e-5, atol=1e-6)


def test_start_of_the_regressions_is_the_constant(tasks):
    *_, (absolute, _, _), (squared, _, _) = tasks
    for model, middle in ((absolute, np.median), (squared, np.mean)):
        for x in (model.x, model.x_held):
            np.testing.assert_allclose(x @ model.start, middle(model.y), rtol=1e-9)


def test_absolute_fit_is_the_least_there_is():
    from scipy.optimize import linprog

    model, loss, iterations = models.models(0)[3]
    found = compare.fit(model, loss, iterations).objective
    n, k = model.x.shape
    best = linprog(
        np.r_[np.zeros(k), np.full(2 * n, 1 / n)], A_eq=np.c_[model.x, np.eye(n), -np.eye(n)],
        b_eq=model.y, bounds=[(None, None)] * k + [(0, None)] * (2 * n),
    ).fun
    assert best * (1 - 1e-9) < found < best * (1 + 2e-6)


# ---- arguments --------------------------------------------------------------------------


def test_help_shows_an_example(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    out = capsys.readouterr().out
    assert stop.value.code == 0
    assert "example:\n  fastloss compare" in out
    for command in (*COMMANDS, "info"):
        assert re.search(rf"\n    {command}\s", out)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_names_its_options(command, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    out = capsys.readouterr().out
    assert stop.value.code == 0
    for option in ("--seed", "--threads", "--output", "--json", "--quick",
                   f"example:\n  fastloss {command}"):
        assert option in out


def test_no_command_prints_help(capsys):
    assert cli.main([]) == 2
    assert "usage: fastloss" in capsys.readouterr().out


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"fastloss {fl.__version__}\n"


def test_info_is_show_config(capsys):
    assert cli.main(["info"]) == 0
    out = capsys.readouterr().out
    fl.show_config()
    assert out == capsys.readouterr().out
    assert out.startswith(f"fastloss   {fl.__version__}\n")


@pytest.fixture
def no_fits(monkeypatch):
    def run(*arguments, **options):
        raise AssertionError("the computation was started")

    for module, _ in COMMANDS.values():
        monkeypatch.setattr(module, "run", run)


@pytest.mark.parametrize(("arguments", "message"), [
    (["--output", "absent/a.png"], "--output: cannot write 'absent/a.png': No such file"),
    (["--json", "absent/a.json"], "--json: cannot write 'absent/a.json': No such file"),
    (["--json", "."], "--json: cannot write '.': Is a directory"),
    (["--output", "a.xyz"], "--output: the name must end in .*png.*, got 'a.xyz'"),
    (["--output", "picture"], "--output: the name must end in"),
    (["--output", "a.png", "--json", "./a.png"], "--output and --json name the same file"),
    (["--seed", "one"], "--seed: must be an integer from 0 to 4294967295, got 'one'"),
    (["--seed", "-1"], "--seed: must be an integer from 0 to 4294967295, got '-1'"),
    (["--seed", "4294967296"], "--seed: must be an integer"),
    (["--threads", "0"], "--threads: must be an integer of at least 1, got '0'"),
    (["--threads", "2.0"], "--threads: must be an integer of at least 1, got '2.0'"),
    (["--sed", "1"], "unrecognized arguments: --sed"),
])
@pytest.mark.parametrize("command", COMMANDS)
def test_bad_arguments_stop_before_the_computation(
    command, arguments, message, tmp_path, monkeypatch, capsys, no_fits
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        cli.main([command, *arguments])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert os.listdir(tmp_path) == []


def test_an_existing_file_is_not_touched_by_the_check(tmp_path, capsys, no_fits):
    old = tmp_path / "a.png"
    old.write_bytes(b"old")
    with pytest.raises(SystemExit):
        cli.main(["compare", "--output", str(old), "--json", str(tmp_path / "absent" / "b")])
    assert old.read_bytes() == b"old"


@pytest.mark.parametrize("package", ["scipy", "sklearn", "matplotlib", "rich"])
@pytest.mark.parametrize("command", COMMANDS)
def test_missing_extra_is_one_line(command, package, tmp_path):
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {package!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from fastloss.cli import main\n"
        f"sys.exit(main([{command!r}]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == (
        f"fastloss {command} needs scipy, scikit-learn, matplotlib and rich: "
        'pip install "fastloss[demo]"\n'
    )
    assert done.stdout == ""
    assert os.listdir(tmp_path) == []


def test_another_missing_module_is_not_hidden(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastloss.commands.compare_report", None)
    monkeypatch.delattr("fastloss.commands.compare_report", raising=False)
    with pytest.raises(ImportError, match="compare_report"):
        cli.main(["compare"])


@pytest.mark.parametrize("command", COMMANDS)
def test_interrupt_is_quiet(command, tmp_path, monkeypatch, capsys):
    def run(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(COMMANDS[command][0], "run", run)
    assert cli.main([command, "--output", str(tmp_path / "a.png")]) == 130
    assert capsys.readouterr() == ("", "")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_failure_to_write_is_one_line(command, tmp_path, monkeypatch, capsys):
    def full(results, path):
        raise OSError(28, "No space left on device", str(path))

    module, report = COMMANDS[command]
    monkeypatch.setattr(module, "run", lambda *arguments, **options: [])
    monkeypatch.setattr(report, "write_picture", full)
    assert cli.main([command, "--output", str(tmp_path / "a.png")]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"fastloss {command}: [Errno 28] No space left on device")
    assert error.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_threads_are_those_of_the_command_alone(command, tmp_path, monkeypatch):
    before, seen = fl.get_num_threads(), []

    def run(*arguments, **options):
        seen.append(fl.get_num_threads())
        raise KeyboardInterrupt

    monkeypatch.setattr(COMMANDS[command][0], "run", run)
    for option in (["--threads", "1"], ["--threads", str(10**30)], []):
        assert cli.main([command, "--output", str(tmp_path / "a.png"), *option]) == 130
        assert fl.get_num_threads() == before
    assert seen == [1, threads.cpu_count(), before]
