"""What the documents show is what the code does."""

import ast
import doctest
import importlib
import inspect
import re
import runpy
from pathlib import Path
from pkgutil import iter_modules

import numpy as np
import pytest

import fastloss
from fastloss import embedding, pointwise
from fastloss.commands import train_embedding

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


def test_the_document_on_compiled_code_prints_what_it_says():
    document = ROOT / "docs" / "compiled.md"
    if not document.exists():
        pytest.skip("tests run without the checkout's docs/ folder")
    pytest.importorskip("numba", reason="numba is not installed")
    tries, failures = run_examples(document.read_text(), "compiled.md", {})
    assert tries >= 5
    assert not failures, failures


def test_readme_trains_as_the_command_does():
    text = (ROOT / "README.md").read_text()
    shown = re.search(r"^>>> (def train\(.*\n)((?:\.\.\. .*\n)+)", text, re.MULTILINE)
    assert shown is not None
    shown = ast.parse(shown[1] + re.sub(r"^\.\.\. ", "", shown[2], flags=re.MULTILINE)).body[0]
    source = ast.parse(inspect.getsource(train_embedding.train)).body[0]
    assert ast.unparse(shown.body) == ast.unparse(source.body[1:])      # but for the docstring
    names = {}
    exec(ast.unparse(shown), names)
    readme, package = (inspect.signature(f).parameters.values()
                       for f in (names["train"], train_embedding.train))
    assert ([(p.name, p.kind, p.default) for p in readme]
            == [(p.name, p.kind, p.default) for p in package])


LIBRARIES = {"compiled": "numba", "custom._loss": "numba",
             "integrations.xgboost": "xgboost", "integrations.torch": "torch",
             "integrations.lightgbm": "lightgbm", "integrations.catboost": "catboost",
             "integrations.dask": "dask"}
MODULES = [*(f"pointwise.{module.name}" for module in iter_modules(pointwise.__path__)),
           *(f"embedding.{module.name}" for module in iter_modules(embedding.__path__)
             if not module.name.startswith("_")),
           "plot", "rowwise", "stream", "metrics._regression", "metrics._deviances",
           "metrics._classification", "integrations.sklearn", "integrations.scipy",
           *LIBRARIES]


@pytest.mark.parametrize("module", MODULES)
def test_docstring_examples(module, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTLOSS_CACHE_DIR", str(tmp_path))     # of compiled formulas
    if module in LIBRARIES:
        library = LIBRARIES[module]
        pytest.importorskip(library, reason=f"{library} is not installed")
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
