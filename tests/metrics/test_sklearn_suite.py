"""scikit-learn's own tests of its metrics, run on ours; see `sklearn_substitution`."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import sklearn
import sklearn.metrics

import fastloss
import fastloss.metrics

MINIMUM = 360     # a few of theirs need pyarrow or polars
SUITE = Path(sklearn.metrics.__file__).parent / "tests"


def test_sklearns_own_tests_pass_on_ours():
    if find_spec("sklearn.metrics.tests.test_common") is None:
        pytest.skip(f"scikit-learn {sklearn.__version__} is installed without its tests")
    if sklearn.__version__.split(".")[:2] != ["1", "9"]:
        pytest.skip(f"ours follow scikit-learn 1.9, here is {sklearn.__version__}")
    paths = [str(Path(__file__).parents[1]), str(Path(fastloss.__file__).parents[1])]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "sklearn_substitution", "-c", os.devnull,
               "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "ignore", f"--rootdir={SUITE}"]
    modules = ("test_classification", "test_regression", "test_common")
    # this run's options are not for theirs
    environment = os.environ | {"PYTEST_ADDOPTS": "", "PYTHONPATH": os.pathsep.join(paths)}
    run = subprocess.run([*command, *(str(SUITE / f"{module}.py") for module in modules)],
                         env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    counts = re.search(r"^(\d+) passed", run.stdout, re.MULTILINE)
    assert counts is not None, run.stdout[-2000:]
    assert int(counts[1]) >= MINIMUM
    calls = json.loads(re.search(r"^SUBSTITUTED (.*)$", run.stdout, re.MULTILINE)[1])
    assert set(calls) == set(fastloss.metrics.__all__)
    assert min(calls.values()) >= 10
