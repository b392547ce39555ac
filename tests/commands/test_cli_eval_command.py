"""``fastloss eval`` as a command: what is printed, pipes and progress."""

import contextlib
import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import evaluating
import numpy as np
import pytest
from child import run_python
from evaluating import COLUMNS, FORMATS, SQUARED, N, pa, saved, write_all

import fastloss as fl
from fastloss import _catalog, cli
from fastloss.commands import by_name, output


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_all(tmp_path_factory.mktemp("files"))


@pytest.fixture
def run(folder):
    """Run ``fastloss eval`` in the folder of files; return status, output and errors."""
    return partial(evaluating.run, folder)


def test_as_a_command_with_plain_output(folder, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "fastloss", "eval", folder / "a.parquet", "--loss",
         "LogLoss", *COLUMNS, "--threads", "2"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert not list(tmp_path.iterdir())


def test_names_of_groups_are_text(run, folder, monkeypatch):
    groups = ["[/x]", "[red]", ":smile:", "[bold]b[/bold]"]
    saved(pa.table({"y": np.zeros(4), "p": np.zeros(4), "g": groups}), folder / "marks.arrow")
    monkeypatch.setenv("FORCE_COLOR", "1")
    status, text, _ = run("marks.arrow", *SQUARED, "--by", "g")
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    assert status == 0
    assert "─" in text
    for name in groups:
        assert f"g = {name} " in text


def test_notes_are_text(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    output.print_table(("a",), lambda width: [[("b",)]], ["[red] [/x] :smile:"], words=(0,))
    assert "[red] [/x] :smile:" in capsys.readouterr().out


def as_process(folder, *arguments, stdout=subprocess.PIPE, **environment):
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "fastloss", "eval", *arguments], cwd=folder,
        stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60,
        env=os.environ | environment)


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="there is no /dev/stdout")
def test_numbers_to_a_pipe(folder):
    done = as_process(folder, "a.npy", "--loss", "log", *COLUMNS, "--json", "/dev/stdout")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.JSONDecoder().raw_decode(done.stdout)[0]["overall"]["count"] == N


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_numbers_to_a_named_pipe(folder, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    # a reader that leaves at the end of the first writing
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as reader:
        try:
            done = as_process(folder, "a.npy", "--loss", "log", *COLUMNS, "--json",
                              str(tmp_path / "pipe"))
            assert (done.returncode, done.stderr) == (0, "")
            assert json.loads(reader.stdout.read())["overall"]["count"] == N
        finally:
            reader.kill()


def test_what_cannot_be_printed_is_one_line(folder):
    saved(pa.table({"y": [0.0], "p": [0.0], "g": ["東"]}), folder / "letters.arrow")
    runs = [as_process(folder, "letters.arrow", *SQUARED, "--by", "g", PYTHONIOENCODING="ascii")]
    if Path("/dev/full").exists():
        with open("/dev/full", "w") as full:
            runs.append(as_process(folder, "letters.arrow", *SQUARED, stdout=full))
    for done, reason in zip(runs, ("'ascii' codec can't encode", "No space left"), strict=False):
        assert done.returncode == 1
        assert done.stderr.startswith("fastloss: cannot print the table: ")
        assert reason in done.stderr
        assert done.stderr.count("\n") == 1


def test_without_standard_output(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)      # as after `>&-`
    out = tmp_path / "out.json"
    assert cli.main(["eval", str(folder / "a.npy"), "--loss", "log", *COLUMNS, "--json",
                     str(out)]) == 0
    assert json.loads(out.read_text())["overall"]["count"] == N


def test_it_needs_no_matplotlib_and_names_what_is_missing(folder):
    code = """if 1:
        import sys
        sys.modules.update(dict.fromkeys(["matplotlib", "scipy", "sklearn", *sys.argv[2:]]))
        from fastloss.cli import main
        print(main(["eval", sys.argv[1], "--loss", "log", "--y-true=label", "--y-pred=score"]))
        """
    path = str(folder / "a.npy")
    assert run_python(code, folder, path).splitlines()[-1] == "0"
    code = code.replace("import sys", "import sys; sys.stderr = sys.stdout", 1)
    for missing in ("pyarrow", "rich"):
        assert run_python(code, folder, path, missing).splitlines() == [cli.EVAL_MISSING, "2"]


def test_progress(run, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    for name in FORMATS:
        done = []
        advance = contextlib.nullcontext(lambda *what, done=done: done.append(what))
        monkeypatch.setattr(output, "progress", lambda advance=advance: advance)
        assert run(name, "--loss", "log", *COLUMNS)[0] == 0
        parts = [part for _, part in done]
        assert parts == sorted(parts)
        # text is read ahead of what is counted
        assert 0 < parts[0] <= (1 if name.endswith("sv") else 0.8), name
        assert 0.99 < parts[-1] <= 1, name
        assert done[-1][0] == "200,000 rows"


def test_names_of_losses():
    known = _catalog.losses()
    assert {"log_loss", "kl_divergence_loss", "cross_entropy_loss", "quality_loss"} <= set(known)
    assert all(getattr(fl, kind.__name__) is kind for kind in known.values())
    for name in ("log", "log_loss", "LogLoss", "log-loss"):
        assert by_name.losses_of([name]) == [fl.LogLoss()]
    assert by_name.losses_of(["contrastive"], ["margin=0.5", "form=linear"]) == [
        fl.ContrastiveLoss(margin=0.5, form="linear")]
    assert by_name.losses_of(["hinge"], ["labels=(-1, 1)"]) == [fl.HingeLoss(labels=(-1, 1))]
