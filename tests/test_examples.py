"""Every script in examples/ runs as it is, and prints what it is there to show."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastloss

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def numbers(line):
    return [float(x) for x in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w.])", line)]


def xgboost_objective(lines):
    low, half, high = map(numbers, lines[1:])
    for level, _, ours, theirs, _ in (low, high):
        assert level in (0.1, 0.9)
        assert ours < 0.7 * theirs
    assert half[2] == pytest.approx(half[3], rel=0.05)      # it is the squared error
    assert low[4] < half[4] < high[4]


def lightgbm_objective(lines):
    (log_loss, certain, _), (focal, uncertain, precision) = map(numbers, lines[1:3])
    assert focal < 0.9 * log_loss
    assert certain < 0.7 * uncertain    # it makes no probabilities
    assert precision > 0.85
    assert numbers(lines[3]) == [0.0]


def catboost_objective(lines):
    squares, log_cosh = (numbers(line)[0] for line in lines[1:])
    assert log_cosh < 0.5 * squares


def custom_cost(lines):
    (squares, often), (money, seldom) = map(numbers, lines[1:3])
    assert money < 0.7 * squares
    assert seldom < 0.5 * often
    assert numbers(lines[3])[1] > numbers(lines[4])[1] + 5


def custom_robust_pairs(lines):
    squares, robust = map(numbers, lines[1:])
    assert robust[0] < 0.4 * squares[0]
    assert robust[1] < 0.2 * squares[1]


def record_linkage(lines):
    constant, pixels, booster = map(numbers, lines[1:])
    assert booster[0] < 0.4 * constant[0]
    assert booster[1] > 0.96 > pixels[0] > 0.8
    assert booster[2] > 92


def scipy_linear_models(lines):
    assert [line.endswith("below 1e-4") for line in lines[1:4]] == [True] * 3
    squares, log_cosh, expectile, quantile = (numbers(line[46:]) for line in lines[6:])
    assert max(squares[0], log_cosh[0]) < 50 < expectile[0]
    assert squares[1] + 15 < expectile[1] < quantile[1] - 3 < 91


def sklearn_claims(lines):
    high, low = numbers(lines[0])
    assert low < 0.95 * high
    assert lines[1].endswith("below 1e-12")
    squares, poisson, tweedie, median = map(numbers, lines[4:])
    assert min(squares[0], poisson[0], tweedie[0]) > 80 > 30 > median[0]
    assert median[1] < 0.9 * min(squares[1], poisson[1], tweedie[1])
    assert poisson[2] == tweedie[2] == 0 < squares[2]
    assert [len(each) for each in (squares, poisson, tweedie, median)] == [3, 4, 4, 3]


def eval_large_file(lines):
    rows = {line.split()[0]: [float(each.replace(",", "")) for each in line.split()[1:]]
            for line in lines[1:]}
    assert rows["all"][0] == sum(rows[name][0] for name in ("at", "be", "ch", "dk")) == 1e6
    for name, (_, old, new) in rows.items():
        assert (new > old + 0.2) if name == "dk" else (new < old - 0.04)


def dask_cluster(lines):
    *steps, pairs = map(numbers, lines)
    assert [step[0] for step in steps] == [0, 5, 10]
    assert [step[1] for step in steps] == sorted((step[1] for step in steps), reverse=True)
    assert steps[-1][2] < 0.05
    assert pairs[0] == 1200
    assert pairs[1] == pairs[2]
    assert pairs[3] < 1e-12


def torch_embedding(lines):
    before, *epochs = map(numbers, lines)
    losses = [epoch[1] for epoch in epochs]
    assert losses == sorted(losses, reverse=True)
    assert epochs[-1][-1] > 0.93 > 0.8 > before[-1]


def numba_online_regression(lines):
    errors = [numbers(line)[0] for line in lines[1:5]]
    assert max(errors[1:]) < 0.95 * errors[0]
    assert numbers(lines[5]) == [1.0]


def cython_quantiles(lines):
    for line in lines[1:]:
        level, before, after, last, exact = numbers(line)
        assert abs(before - level) < 0.01 and abs(after - level) < 0.01
        assert last == pytest.approx(exact, rel=0.1)


# the libraries that a script needs, and what is to be true of its output
CHECKS = {
    "catboost_objective": ("catboost", catboost_objective),
    "custom_cost": ("lightgbm numba", custom_cost),
    "custom_robust_pairs": ("lightgbm numba", custom_robust_pairs),
    "cython_quantiles": ("Cython", cython_quantiles),
    "dask_cluster": ("distributed", dask_cluster),
    "eval_large_file": ("pyarrow", eval_large_file),
    "lightgbm_objective": ("lightgbm", lightgbm_objective),
    "numba_online_regression": ("numba", numba_online_regression),
    "record_linkage": ("xgboost", record_linkage),
    "scipy_linear_models": ("scipy", scipy_linear_models),
    "sklearn_claims": ("sklearn", sklearn_claims),
    "torch_embedding": ("torch", torch_embedding),
    "xgboost_objective": ("xgboost", xgboost_objective),
}


def test_every_example_is_checked():
    assert sorted(CHECKS) == sorted(path.stem for path in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("name", CHECKS)
def test_example(name, tmp_path, tmp_path_factory):
    libraries, check = CHECKS[name]
    for library in libraries.split():
        found = pytest.importorskip(library, reason=f"{library} is not installed")
    if name == "sklearn_claims" and not found.__version__.startswith("1.9."):
        pytest.skip("hist_gradient_boosting_loss knows scikit-learn 1.9 only")
    package = str(Path(fastloss.__file__).resolve().parents[1])
    paths = [package, os.environ.get("PYTHONPATH", "")]
    run = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / f"{name}.py"], cwd=tmp_path, text=True,
        capture_output=True, timeout=300,
        env={**os.environ, "FASTLOSS_CACHE_DIR": str(tmp_path_factory.mktemp("cache")),
             # a worker of Dask on a busy machine complains that it waits
             "DASK_LOGGING__DISTRIBUTED": "critical",
             "PYTHONPATH": os.pathsep.join(filter(None, paths))})
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    check(run.stdout.splitlines())
    assert not list(tmp_path.iterdir()), "it leaves files behind"
