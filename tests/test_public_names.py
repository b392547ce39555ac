"""Public names, signatures and representations are those of the file by tools/public_names.py.

A change of the file is a change for users.
"""

import json
import pickle
import runpy
from pathlib import Path

import pytest
from cases import snake

import fastloss as fl

SCRIPT = Path(__file__).resolve().parents[1] / "tools" / "public_names.py"
FROZEN = json.loads((Path(__file__).parent / "data" / "public_names.json").read_text())
LIBRARIES = {"plot": "matplotlib", "compiled": "numba", "custom": "numba",
             **{f"integrations.{name}": name for name in ("catboost", "dask", "lightgbm", "scipy",
                                                          "torch", "xgboost")},
             "integrations.sklearn": "sklearn"}


@pytest.fixture(scope="module")
def script():
    if not SCRIPT.exists():
        pytest.skip("tests run without the checkout's tools/ folder")
    return runpy.run_path(str(SCRIPT))


def test_all_modules_are_frozen(script):
    assert script["MODULES"] == list(FROZEN["modules"])


@pytest.mark.parametrize("module", FROZEN["modules"])
def test_names_and_signatures(module, script):
    if module in LIBRARIES:
        library = LIBRARIES[module]
        pytest.importorskip(library, reason=f"{library} is not installed")
    now, before = script["described"](module), FROZEN["modules"][module]
    assert set(now) == set(before), "public names differ"
    for name, value in before.items():
        assert now[name] == value, f"fastloss.{module}: {name}"


def test_representations(script):
    assert script["representations"]() == FROZEN["representations"]


@pytest.mark.parametrize("name", FROZEN["representations"])
def test_pickles(name):
    loss, function = getattr(fl, name)(reduction="sum"), getattr(fl, snake(name))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        copy = pickle.loads(pickle.dumps(loss, protocol))
        assert type(copy) is type(loss)
        assert copy == loss
        assert repr(copy) == repr(loss)
        assert pickle.loads(pickle.dumps(function, protocol)) is function
