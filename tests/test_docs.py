"""What the documents show is what the code does."""

import doctest
import importlib
import re
import runpy
from pathlib import Path
from pkgutil import iter_modules

import numpy as np
import pytest

import fastloss
from fastloss import embedding, pointwise

ROOT = Path(__file__).resolve().parents[1]


def run_examples(text, name, names):
    text = re.sub(r"^```.*$", "", text, flags=re.MULTILINE)
    test = doctest.DocTestParser().get_doctest(text, names, name, name, 0)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    lines = []
    runner.run(test, out=lines.append)
    return runner.tries, "".join(lines)


def test_readme_snippets_print_what_it_says():
    tries, failures = run_examples((ROOT / "README.md").read_text(), "README.md", {})
    assert tries >= 10
    assert not failures, failures


MODULES = [*(f"pointwise.{module.name}" for module in iter_modules(pointwise.__path__)),
           *(f"embedding.{module.name}" for module in iter_modules(embedding.__path__)
             if not module.name.startswith("_")),
           "plot", "rowwise", "metrics._regression", "metrics._deviances",
           "metrics._classification", "integrations.sklearn"]


@pytest.mark.parametrize("module", MODULES)
def test_docstring_examples(module):
    module = importlib.import_module(f"fastloss.{module}")
    failures = ""
    tries = 0
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, extraglobs={"np": np}):
        runner = doctest.DocTestRunner()
        lines = []
        runner.run(test, out=lines.append)
        tries += runner.tries
        failures += "".join(lines)
    assert not failures, failures
    assert tries


def test_readme_has_the_table_of_the_docstrings():
    script = ROOT / "tools" / "loss_table.py"
    if not script.exists():
        pytest.skip("tests run without the checkout's tools/ folder")
    text = (ROOT / "README.md").read_text()
    assert text == runpy.run_path(str(script))["updated"](text), "run tools/loss_table.py"
    losses = [name for name in fastloss.__all__ if name.endswith("Loss") and name != "Loss"]
    assert len(losses) > 20
    missing = [name for name in losses if f"| `{name}` |" not in text]
    assert not missing


def test_version_is_the_one_of_the_changelog():
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == fastloss.__version__
