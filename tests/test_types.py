"""Type checkers see the signatures of functions, and find mistakes in calls."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import fastloss as fl

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(fl.__file__).parent

# The comment of a line says what a type checker says of it.
SCRIPT = '''
from typing import Literal

import numpy as np

import fastloss as fl
from fastloss.pointwise import log_loss
from fastloss.pointwise.residual import huber_loss

y, p = np.zeros(3), np.ones(3)
x, labels = np.ones((3, 2)), [0, 0, 1]

reveal_type(huber_loss(y, p, delta=2.0))  # Revealed type is float
reveal_type(fl.huber_loss([1], [2], reduction="sum_over_batch_size"))  # Revealed type is float
reveal_type(fl.huber_loss(y, p, reduction="none", out=y))  # Revealed type is ndarray
reveal_type(log_loss(y, p, eps="auto", reduction="none"))  # Revealed type is ndarray
reveal_type(fl.cross_entropy_loss(labels, x))  # Revealed type is float
reveal_type(fl.triplet_loss(x, x, x, reduction="none"))  # Revealed type is ndarray
reveal_type(fl.batch_triplet_loss(x, labels, reduction="mean_nonzero"))  # Revealed type is float
reveal_type(fl.n_pairs_loss(anchors=x, positives=x))  # Revealed type is float


def both(reduction: Literal["mean", "none"]) -> None:
    reveal_type(fl.huber_loss(y, p, reduction=reduction))  # Revealed type is float | ndarray


fl.huber_loss(y, p, dleta=2.0)  # No overload variant of "huber_loss"
fl.huber_loss(y, p, 2.0)  # No overload variant of "huber_loss"
fl.huber_loss(y, p, reduction="average")  # No overload variant of "huber_loss"
fl.contrastive_loss(y, p, form="cubic")  # No overload variant of "contrastive_loss"
fl.batch_triplet_loss(x, labels, reduction="none")  # Argument "reduction" to "batch_triplet_loss"
fl.batch_triplet_loss(x, labels, distance="l1")  # Argument "distance" to "batch_triplet_loss"
fl.info_nce_loss(x, x, temprature=1.0)  # Unexpected keyword argument "temprature"

loss = fl.HuberLoss(delta=2.0, reduction="none")
reveal_type(loss)  # Revealed type is HuberLoss
reveal_type(loss.grad(y, p))  # Revealed type is ndarray
reveal_type(fl.SupConLoss()(x, labels))  # Revealed type is float
reveal_type(loss.replace(delta=1.0))  # Revealed type is HuberLoss
fl.HuberLoss(dleta=2.0)  # Unexpected keyword argument "dleta"
fl.HuberLoss(reduction="average")  # Argument "reduction" to "HuberLoss"
loss.delta = 3.0  # Property "delta" defined in "HuberLoss" is read-only
loss.value(y, p, n_thread=1)  # Unexpected keyword argument "n_thread"
'''


def test_stub_is_that_of_the_functions():
    script = ROOT / "tools" / "function_stubs.py"
    if not script.exists():
        pytest.skip("tests run without the checkout's tools/ folder")
    stub = (PACKAGE / "_functions.pyi").read_text()
    assert stub == runpy.run_path(str(script))["text"](), "run tools/function_stubs.py"


def plain(message):
    """Return a message without modules, arguments of types and quotes."""
    return re.sub(r"\b(?:\w+\.)+(?=\w)|\[.*\]|\"", "", message)


def test_a_type_checker_finds_mistakes(tmp_path):
    pytest.importorskip("mypy", reason="mypy is not installed")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    installed = "site-packages" in PACKAGE.parts
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-pretty",
         "--config-file=", f"--cache-dir={tmp_path / 'cache'}", script.name],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "MYPYPATH": "" if installed else str(PACKAGE.parent)})
    assert not run.stderr
    said = {}
    found = re.findall(r"^script\.py:(\d+): (?:error|note): (.*)", run.stdout, re.MULTILINE)
    for line, message in found:
        said.setdefault(int(line), []).append(plain(message))
    for number, line in enumerate(SCRIPT.split("\n"), 1):
        _, _, expected = line.partition("  # ")
        if expected.startswith("Revealed"):
            assert said.pop(number) == [plain(expected)], line
        elif expected:
            messages = said.pop(number, [])
            assert any(message.startswith(plain(expected)) for message in messages), line
    assert not said
