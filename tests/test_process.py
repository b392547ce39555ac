"""The library as part of a process: imports, the processor's state, memory."""

import gc
import sys
import tracemalloc

import numpy as np
import pytest
from cases import CASES, DTYPES
from child import run_python
from numerics import all_results

import fastloss as fl

# ---- imports ---------------------------------------------------------------------------------


def test_import_needs_numpy_alone(tmp_path):
    code = """
import sys
for name in ("scipy", "sklearn", "pandas", "torch", "matplotlib", "rich", "numba", "mpmath",
             "threadpoolctl", "polars", "pyarrow", "jax", "numexpr", "hypothesis", "pytest",
             "Cython", "setuptools"):
    sys.modules[name] = None
import fastloss as fl
import fastloss.reference
value, grad = fl.LogLoss().value_and_grad([0, 1], [0.25, 0.5])
assert fastloss.reference.log_loss([0, 1], [0.25, 0.5]) - value < 1e-15
print("done")
"""
    assert run_python(code, tmp_path) == "done"


def test_import_does_not_load_the_oracle(tmp_path):
    code = """
import sys
import numpy, fastloss
print(sorted(name for name in sys.modules
             if name in ("fastloss.reference", "fastloss.plot", "fastloss.cli")))
"""
    assert run_python(code, tmp_path) == "[]"


IMPORTS = """
import builtins, sys
import numpy as np, fastloss as fl
y, p, w = np.ones((3, 4)), np.full((3, 4), 0.5), np.ones((3, 4))
imported = []
real_import, before = builtins.__import__, set(sys.modules)
def watched_import(name, *arguments):
    if not name.startswith("numpy."):        # NumPy's own, to print a dtype
        imported.append(name)
    return real_import(name, *arguments)
builtins.__import__ = watched_import
fl.log_loss([1], [0.5], sample_weight=[1])
fl.ContrastiveLoss(margin=3).grad_and_hess(y, p.T.copy().T, w, out=(p.copy(), w.copy()))
fl.LogLoss(reduction="none").value_and_grad(y.astype(">f4"), p[::-1], w, n_threads=2)
fl.AbsoluteLoss().partial(y, p).result()
fl.get_num_threads()
for bad in (lambda: fl.log_loss(y, None), lambda: fl.log_loss(y, p[0]),
            lambda: fl.SquaredLoss().grad(y, p, out=y)):
    try:
        bad()
    except (TypeError, ValueError):
        pass
builtins.__import__ = real_import
assert not imported, imported
assert set(sys.modules) == before, set(sys.modules) - before
print("done")
"""


def test_nothing_is_imported_in_a_call(tmp_path):
    # a module whose import is under way at a fork would hang the child
    assert run_python(IMPORTS, tmp_path) == "done"


# ---- the processor's floating-point state ------------------------------------------------------


def test_denormals_survive_import_and_use(tmp_path):
    code = """
import sys
import numpy as np
def denormals():
    tiny32, tiny64 = np.full(5, 1e-40, np.float32), np.full(5, 1e-310)
    return ((tiny32 * np.float32(1)).all() and (tiny64 * 1.0).all()
            and np.float32(1e-40) * 1 != 0 and float("1e-310") * 1.0 != 0)
assert denormals()
import fastloss as fl
assert denormals()
n = 300_000
for dtype in (np.float32, np.float64):
    y, p = np.ones(n), np.full(n, 0.5, dtype)
    fl.LogLoss().grad_and_hess(y, p, n_threads=3)
    fl.ContrastiveLoss().value_and_grad(y, p, n_threads=3)
    assert denormals()
    # also on the threads of the library
    tiny = np.full(n, np.finfo(dtype).smallest_subnormal)
    assert (fl.AbsoluteLoss(reduction="none").value(np.zeros(n), tiny, n_threads=3) == tiny).all()
    assert 0.3 + 0.6 == 0.8999999999999999      # the rounding mode
print("done")
"""
    assert run_python(code, tmp_path) == "done"


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_no_warnings_and_none_left_behind(name, dtype):
    p = np.array([0, 1, np.inf, -np.inf, np.nan, 1e38, -1, 1e-40] * 20, dtype)
    y = np.array([0, 1, np.nan, np.inf, 1e308, 0.5, 1, 0] * 20)
    w = np.array([np.inf, 0, 1, np.nan, 1, 1, 1, -np.inf] * 20)
    tame = np.ones(3)
    for reduction in ("none", "mean", "sum"):
        for labels in (y, np.ones(160), np.zeros(160)):
            for weights in (None, w):
                with np.errstate(all="raise"):
                    all_results(getattr(fl, name)(reduction=reduction), labels, p, weights)
                    # flags that the kernels left would be blamed on these
                    assert (tame + tame == 2).all()
                    assert np.add(np.float32(1), np.float32(1)) == 2
                    assert np.divide(1.0, 2.0) == 0.5
    with np.errstate(all="raise"):
        assert np.isnan(getattr(fl, name)()([], []))
        assert np.sum(tame) == 3


# ---- memory ----------------------------------------------------------------------------------


def failing_calls(loss, none, y, p):
    """Yield calls that raise."""
    yield lambda: loss.value(y, p[:2])
    yield lambda: loss.value(y, p.astype(complex))
    yield lambda: loss.value(None, p)
    yield lambda: loss.grad(y, p, out=np.zeros(2))
    yield lambda: loss.grad(y, p, out=y)
    yield lambda: loss.grad(y, p, out=[1.0])
    yield lambda: loss.grad_and_hess(y, p, out=(np.zeros(2), np.zeros(3)))
    yield lambda: loss.grad_and_hess(y, p, out=p)
    yield lambda: none.value_and_grad(y, p, out=(np.zeros(3), p[:1]))
    yield lambda: loss.value(y, p, n_threads=0)
    yield lambda: loss.value([[1], [1, 2]], p)
    yield lambda: none.partial(y, p)
    yield lambda: loss.replace(margin=-1)
    yield lambda: fl.contrastive_loss(y, p, margin=[])


def test_no_references_are_lost():
    loss, none = fl.ContrastiveLoss(), fl.ContrastiveLoss(reduction="none")
    y, p, w = np.ones(3), np.full(3, 0.5), np.ones(3)
    g, h = np.zeros((2, 3))
    strided = np.zeros(6)[::2]
    fails = list(failing_calls(loss, none, y, p))

    def calls(rounds):
        for _ in range(rounds):
            loss(y, p)
            loss.value(y, p, w)
            loss.grad(y, p, w, out=g)
            loss.grad(y, strided, w)
            loss.value_and_grad(y, p)
            loss.grad_and_hess(y, p, out=(g, h))
            none.value_and_grad(y, p, w, out=(g, h))
            loss.partial(y, p).result()
            fl.contrastive_loss([1.0], [0.5])
            for fail in fails:
                try:
                    fail()
                except (TypeError, ValueError):
                    continue
                raise AssertionError("no error")

    watched = [loss, none, y, p, w, g, h, strided, fl.ContrastiveLoss]
    calls(50)
    gc.collect()
    counts = [sys.getrefcount(x) for x in watched]
    tracemalloc.start()
    try:
        calls(10)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        calls(300)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 10_000
    finally:
        tracemalloc.stop()
    calls(3700)         # 10^5 calls, with those above
    gc.collect()
    after = [sys.getrefcount(x) for x in watched]
    # small changes come from elsewhere; a reference lost in each round would be thousands
    assert all(abs(a - b) < 20 for a, b in zip(after, counts, strict=True)), (counts, after)
