"""Losses of formulas as objects: equality, pickles, the cache on disk, adapters."""

import copy
import math
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
from child import run_python
from formulas import define
from numerics import assert_same_bits

import fastloss as fl
from fastloss._core import elements

pytest.importorskip("numba", reason="Numba is not installed")

from fastloss import custom
from fastloss.custom import _compile, loss

RNG = np.random.default_rng(0)
Y, P = RNG.normal(size=300), RNG.normal(size=300)
CONSTANT = 2.0


def inference(y, p, info):
    return info * (p - y) ** 2


def shortage(y, p, over, under=4.0):
    return over * (p - y) if p > y else under * (y - p)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTLOSS_CACHE_DIR", str(folder))
        yield folder


# ---- objects ----------------------------------------------------------------------------


def test_repr_is_round_trip():
    lambdas = loss(lambda y, p, k: k * (p - y) ** 2, k=0.5, predictions=(0, math.inf))
    assert eval(repr(loss(inference, info=1, targets=(-math.inf, 3)))).targets.high == 3
    for made in (loss(shortage, over=1), lambdas):
        text = repr(made)
        if "lambda" in text:
            assert "lambda y, p, k: k * (p - y) ** 2, k=0.5, predictions=" in text
            assert define(f"lambda: {text}", loss=loss)() == made
        else:
            assert text == "loss(shortage, over=1.0, under=4.0, reduction='mean')"
            assert eval(text) == made


def test_equality_and_hash():
    one, two = loss(shortage, over=1), loss(shortage, over=1.0, under=4)
    again = loss(lambda y, p, over, under: over * (p - y) if p > y else under * (y - p),
                 over=1, under=4.0)
    assert one == two and hash(one) == hash(two)
    assert one == again and hash(one) == hash(again)
    others = [one.replace(over=2), one.replace(reduction="sum"), one.replace(targets=(0, 1)),
              loss(lambda y, p: abs(p - y)), fl.AbsoluteLoss()]
    assert len({one, two, *others}) == 1 + len(others)
    assert one.replace(over=2).replace(over=1) == one
    with pytest.raises(ValueError, match="parts of different losses"):
        one.partial(Y, P) + others[0].partial(Y, P)
    assert (one.partial(Y, P) + two.partial(Y, P)).count == 600


def test_a_kernel_has_room_for_12_parameters():
    loops = _compile.loops(loss(shortage, over=1).formula, (1.0, 4.0))
    assert len(loops.addresses) == 8
    with pytest.raises(ValueError, match="at most 12 parameters, got 13"):
        elements.Kernel(loops, [0.0] * 13, "mean")


def test_parameters_are_attributes():
    made = loss(shortage, over=1)
    assert (made.over, made.under, made.reduction) == (1.0, 4.0, "mean")
    assert made.replace(over=3, reduction="sum").over == 3
    assert made._title == "shortage" and loss(lambda y, p: p * p)._title == "CustomLoss"


def test_a_value_of_a_parameter_needs_no_compilation(monkeypatch):
    made = loss(shortage, over=1)
    monkeypatch.setattr(_compile, "_compiled", None)
    assert made.replace(over=2)([0], [1.0]) == 2
    assert loss(shortage, over=3)([0], [1.0]) == 3
    assert loss(_compile.numba.njit(shortage), over=4)([0], [1.0]) == 4


# ---- pickles ----------------------------------------------------------------------------


def test_pickles_and_copies():
    k = 3.0
    for made in (loss(shortage, over=1.5, reduction="sum", targets=(0, math.inf)),
                 loss(lambda y, p: k * CONSTANT * abs(p - y))):
        for other in (pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made)):
            assert other == made and repr(other) == repr(made)
            assert_same_bits(other.value_and_grad(Y, P), made.value_and_grad(Y, P))
    assert pickle.loads(pickle.dumps(loss(lambda y, p: p * p)))._domains()[0] is fl._base.REALS


def test_a_function_of_a_script_is_loaded_elsewhere(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import math, pickle, sys\n"
        "from fastloss.custom import loss\n"
        "def helper(x): return x * x\n"
        "def mine(y, p, k): return k * helper(p - y)\n"
        "sys.stdout.write(pickle.dumps([loss(mine, k=2), loss(lambda y, p: 3 * helper(p))]).hex())")
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    mine, other = pickle.loads(bytes.fromhex(run.stdout))
    assert mine([1], [3.0]) == 8 and mine.replace(k=1)([1], [3.0]) == 4
    assert other.grad([1], [3.0]) == [18]


# ---- the cache --------------------------------------------------------------------------

# says how often Numba was at work
COUNTED = """
import math, sys
from numba.core import event
with event.install_recorder("numba:run_pass") as recorder:
    from fastloss.custom import loss
    made = loss(lambda y, p, k: abs(p - y) ** k + math.exp(p - 4), k=2.5)
assert made([0], [4.0]) == 33
print(len(recorder.buffer))
"""


def run_counted(folder, **environment):
    script = folder / "counted.py"
    script.write_text(COUNTED)
    code = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__')"
    return int(run_python(code, folder, str(script), **environment))


def test_another_process_does_not_compile(tmp_path):
    cache = tmp_path / "cache"
    assert run_counted(tmp_path, FASTLOSS_CACHE_DIR=str(cache)) > 0
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    assert len([path for path in before if path.suffix == ".nbc"]) == 8
    assert [path.stem[:7] for path in before if path.suffix == ".py"] == ["custom_"]
    assert run_counted(tmp_path, FASTLOSS_CACHE_DIR=str(cache)) == 0
    assert run_counted(tmp_path, FASTLOSS_CACHE_DIR=str(cache), FASTLOSS_SIMD="baseline") == 0
    for path in cache.rglob("*.nb?"):       # a broken cache
        path.write_bytes(b"nonsense")
    assert run_counted(tmp_path, FASTLOSS_CACHE_DIR=str(cache)) > 0
    (path,) = cache.glob("*.py")
    path.write_text("raise RuntimeError('not what was written')")
    assert run_counted(tmp_path, FASTLOSS_CACHE_DIR=str(cache)) > 0
    assert "raise RuntimeError" not in path.read_text()


def test_without_a_folder_that_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for environment in ({"FASTLOSS_CACHE_DIR": str(tmp_path / "file" / "cache")},
                        {"FASTLOSS_CACHE_DIR": "", "XDG_CACHE_HOME": "", "HOME": "/proc"}):
        assert run_counted(tmp_path, **environment) > 0


def test_numba_that_is_switched_off(monkeypatch):
    monkeypatch.setattr(_compile.numba.config, "DISABLE_JIT", 1)
    with pytest.raises(RuntimeError, match="which NUMBA_DISABLE_JIT switches off"):
        loss(lambda y, p: (p - y) ** 2 + 0.8125 * p).value([1.0], [2.0])


def test_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("FASTLOSS_CACHE_DIR", str(tmp_path))
    assert _compile.cache_folder() == tmp_path
    monkeypatch.delenv("FASTLOSS_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(_compile.sys, "platform", "linux")
    assert _compile.cache_folder() == tmp_path / "fastloss"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _compile.cache_folder() == tmp_path / ".cache" / "fastloss"
    monkeypatch.setattr(_compile.sys, "platform", "darwin")
    assert _compile.cache_folder() == tmp_path / "Library" / "Caches" / "fastloss"


def test_numba_is_imported_only_by_this_module(tmp_path):
    assert run_python("import sys, fastloss; print('numba' in sys.modules)", tmp_path) == "False"
    code = ("import sys\nsys.modules['numba'] = None\ntry:\n    import fastloss.custom\n"
            "except ImportError as error:\n    print(error)")
    assert run_python(code, tmp_path) == (
        'fastloss.custom needs Numba: pip install "fastloss[custom]"')
    assert set(custom.__all__) == {"CustomLoss", "loss"}


# ---- adapters ---------------------------------------------------------------------------


def half_squared(y, p):
    return 0.5 * (p - y) ** 2


def objective_of(made, hessian="auto"):
    from fastloss.integrations._boosting import Objective
    return Objective(made, hessian)


def test_what_is_straight_has_ones_for_curvature():
    huber = loss(lambda y, p, delta: 0.5 * (p - y) ** 2 if abs(p - y) < delta
                 else delta * (abs(p - y) - delta / 2), delta=0.3)
    w = RNG.random(300)
    for made, ours, hessian in ((loss(shortage, over=1, under=1), fl.AbsoluteLoss(), "exact"),
                                (loss(shortage, over=1, under=1), fl.AbsoluteLoss(), "auto"),
                                (loss(shortage, over=0.2, under=0.8),
                                 fl.PinballLoss(quantile=0.8), "auto"),
                                (huber, fl.HuberLoss(delta=0.3), "exact")):
        results = []
        for each in (made, ours):
            grad, hess = np.empty((2, 300))
            objective_of(each, hessian)._derivatives(Y, P, w, grad, hess)
            results.append((grad, hess))
        np.testing.assert_allclose(*results, rtol=1e-13)
    hess = np.empty(300)
    objective_of(loss(shortage, over=1, under=1))._derivatives(Y, Y, None, np.empty(300), hess)
    assert (hess == 1).all()


@pytest.mark.parametrize("f", [lambda y, p: abs(p - y) ** 1.5, lambda y, p: ((p - y) ** 2) ** 0.75,
                               lambda y, p: abs(p - y) ** 1.25 + (p - y) ** 2,
                               lambda y, p: math.sqrt((p - y) ** 2)])
def test_a_curvature_that_is_not_finite_is_the_weight(f):
    from fastloss.integrations._boosting import Objective
    grad, hess = np.empty((2, 3))
    p, w = np.array([1.0, 2.0, np.nan]), np.array([0.5, 2.0, 1.0])
    Objective(loss(f), "exact")._derivatives(np.ones(3), p, w, grad, hess)
    assert grad[0] == 0 and hess[0] == 0.5
    assert grad[1] > 0 and np.isfinite(hess[1]) and np.isnan(grad[2])


def test_best_constant():
    assert objective_of(loss(half_squared)).init_score(Y) == pytest.approx(Y.mean(), rel=1e-12)
    pinball = objective_of(loss(shortage, over=1))
    assert (pinball.init_score(Y) >= Y).mean() == pytest.approx(0.8, abs=0.005)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm", "catboost"])
def test_boosters_learn_as_with_the_built_in_loss(library):
    pytest.importorskip(library, reason=f"{library} is not installed")
    adapter = __import__(f"fastloss.integrations.{library}", fromlist=["objective"])
    X, y, w = RNG.normal(size=(300, 3)), Y, RNG.uniform(0.5, 1.5, 300)
    made, ours = loss(half_squared), fl.ExpectileLoss()
    found = []
    for each in (made, ours):
        objective, metric = adapter.objective(each), adapter.metric(each)
        assert pickle.loads(pickle.dumps(objective)) == objective
        if library == "xgboost":
            from xgboost import XGBRegressor
            model = XGBRegressor(n_estimators=5, objective=objective, n_jobs=1, base_score=0.0,
                                 eval_metric=metric)
        elif library == "lightgbm":
            from lightgbm import LGBMRegressor
            model = LGBMRegressor(n_estimators=5, objective=objective, n_jobs=1, verbose=-1)
        else:
            from catboost import CatBoostRegressor
            model = CatBoostRegressor(
                iterations=5, loss_function=objective, eval_metric=metric, verbose=False,
                thread_count=1, allow_writing_files=False, learning_rate=0.3)
        found.append(model.fit(X, y, sample_weight=w).predict(X))
        assert each is ours or adapter.metric(made).name == "half_squared"
    np.testing.assert_allclose(*found, rtol=1e-6)


def test_scipy_finds_the_same_model():
    pytest.importorskip("scipy", reason="SciPy is not installed")
    from scipy.optimize import minimize

    from fastloss.integrations.scipy import objective
    X = RNG.normal(size=(300, 3))
    found = []
    for each in (loss(half_squared), fl.ExpectileLoss()):
        f = objective(each, X, Y, l2=0.1)
        found.append(minimize(f, f.initial(), jac=True).x)
    np.testing.assert_allclose(*found, rtol=1e-12)
    with pytest.raises(ValueError, match="loss must take any real number"):
        objective(loss(half_squared, predictions=(0, math.inf)), X, Y)


def test_torch_gets_the_gradient():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from fastloss.integrations.torch import Criterion, evaluate
    made = loss(half_squared)
    for call in (Criterion(made), lambda p, y: evaluate(made, p, y)):
        p = torch.tensor(P, requires_grad=True)
        value = call(p, torch.tensor(Y))
        value.backward()
        assert value.item() == made(Y, P)
        np.testing.assert_array_equal(p.grad.numpy(), made.grad(Y, P))


def test_histogram_gradient_boosting_says_no():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from fastloss.integrations.sklearn import hist_gradient_boosting_loss
    with pytest.raises((TypeError, ValueError), match=re.escape("half_squared")):
        hist_gradient_boosting_loss(loss(half_squared))


def test_plot_draws_it():
    pytest.importorskip("matplotlib", reason="Matplotlib is not installed")
    from fastloss.plot import plot_losses
    figure = plot_losses([loss(half_squared)])
    assert figure.axes[0].get_title() == "half_squared"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_code_takes_it_at_one_sample_and_over_arrays(dtype):
    from fastloss import compiled
    made = loss(shortage, over=1.5, reduction="none")
    y, p = Y.astype(dtype), P.astype(dtype)
    grad, hess = made.grad_and_hess(y, p)
    value = made.value(y, p)
    samples = np.array([compiled.sample(made, *each) for each in zip(y, p, strict=True)], dtype)
    assert_same_bits(samples.T, np.array([value, grad, hess]))
    assert compiled.total(made, y, p) == made.replace(reduction="sum")(y, p)
