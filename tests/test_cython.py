"""Losses of elements in an extension module of another package, built here."""

import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from elements import SIZES, draws, results, sums, weights
from numerics import assert_same_bits

import fastloss as fl

PACKAGE = Path(fl.__file__).parent
ROOT = Path(__file__).resolve().parents[1]

SOURCE = """
# cython: language_level=3
from cython cimport floating
from fastloss cimport api


def versions():
    return api.API_VERSION, api.api_version()


def sample(object loss, floating y, floating p, int wanted):
    cdef const api.ElementLoss *c = api.element_loss(loss)
    cdef floating f = 77, g = 77, h = 77
    with nogil:
        if floating is float:
            api.sample32(c, y, p, &f if wanted & 1 else NULL, &g if wanted & 2 else NULL,
                         &h if wanted & 4 else NULL)
        else:
            api.sample64(c, y, p, &f if wanted & 1 else NULL, &g if wanted & 2 else NULL,
                         &h if wanted & 4 else NULL)
    return f, g, h


def elements(object loss, Py_ssize_t n, const floating[::1] y, const floating[::1] p,
             floating[::1] f, floating[::1] g, floating[::1] h):
    cdef const api.ElementLoss *c = api.element_loss(loss)
    with nogil:
        if floating is float:
            api.elements32(c, n, &y[0], &p[0], &f[0], &g[0], &h[0])
        else:
            api.elements64(c, n, &y[0], &p[0], &f[0], &g[0], &h[0])


def total(object loss, Py_ssize_t n, const floating[::1] y, const floating[::1] p,
          const floating[::1] w, double scale, floating[::1] g):
    cdef const api.ElementLoss *c = api.element_loss(loss)
    cdef const floating *weight = NULL if w is None else &w[0]
    cdef floating *grad = NULL if g is None else &g[0]
    cdef double result
    with nogil:
        if floating is float:
            result = api.total32(c, n, &y[0], &p[0], weight, scale, grad)
        else:
            result = api.total64(c, n, &y[0], &p[0], weight, scale, grad)
    return result
"""

BUILD = """
from setuptools import setup
from Cython.Build import cythonize
setup(name="user", ext_modules=cythonize("*.pyx", quiet=True))
"""


DOCUMENT = ROOT / "docs" / "compiled.md"


def cython_of(text):
    return re.search(r"^```cython\n(.*?)^```", text, re.DOTALL | re.MULTILINE)[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the modules built, where Python finds nothing of a checkout but fastloss."""
    pytest.importorskip("Cython", reason="Cython is not installed")
    pytest.importorskip("setuptools", reason="setuptools is not installed")
    folder = tmp_path_factory.mktemp("user")
    (folder / "user.pyx").write_text(SOURCE)
    if DOCUMENT.exists():
        (folder / "document.pyx").write_text(cython_of(DOCUMENT.read_text()))
    (folder / "setup.py").write_text(BUILD)
    result = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=folder,
        capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)})
    assert result.returncode == 0, result.stderr
    return folder


def load(folder, name):
    path = next(path for path in folder.glob(f"{name}.*") if path.suffix in (".so", ".pyd"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_file_location(name, path))
    module.__spec__.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def user(folder):
    return load(folder, "user")


def test_versions_agree(user):
    # that of the installed fastloss, and that compiled for
    assert user.versions() == (1, 1)


@pytest.mark.parametrize("n", SIZES)
def test_arrays_and_sums_have_the_bits_of_the_methods(user, n):
    kinds = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}
    for loss, y, p in draws(n):
        # one more than n, so that there is an address of the first; the rest stays as it is
        y, p, w = (np.append(each, each.dtype.type(0.5)) for each in (y, p, weights(p)))
        found = [np.full_like(p, 77) for _ in range(3)]
        user.elements[kinds[p.dtype]](loss, n, y, p, *found)
        for ours, theirs in zip(found, results(loss, y[:n], p[:n]), strict=True):
            assert_same_bits(ours[:n], theirs)
            assert ours[n] == 77
        for weight in (None, w):
            value, slope = sums(loss, y[:n], p[:n], None if weight is None else w[:n])
            grad = np.full_like(p, 77)
            assert_same_bits(user.total[kinds[p.dtype]](loss, n, y, p, weight, 1.0, grad), value)
            assert_same_bits(grad[:n], slope)
            assert grad[n] == 77


def test_samples_have_the_bits_of_the_methods(user):
    for loss, y, p in draws(150):
        sample = user.sample["float" if p.dtype == np.float32 else "double"]
        expected = results(loss, y, p)
        for i in range(len(p)):
            wanted = i % 8
            found = sample(loss, y[i], p[i], wanted)
            for k in range(3):
                theirs = float(expected[k][i]) if wanted >> k & 1 else 77.0
                assert_same_bits(found[k], theirs)


def test_the_documents_example(folder):
    if not DOCUMENT.exists():
        pytest.skip("tests run without the checkout's docs/ folder")
    gradient = load(folder, "document").gradient
    loss = fl.LogLoss(from_logits=True, reduction="none")
    y, p = np.eye(40), np.random.default_rng(0).normal(size=(40, 40))
    expected = loss.grad(y, p)
    gradient(loss, y, p)
    assert_same_bits(p, expected)
    gradient(loss, y[:, :0].copy(), p[:, :0].copy())
    with pytest.raises(ValueError, match="same shape"):
        gradient(loss, y, p[1:])


@pytest.mark.parametrize("loss", [
    fl.CrossEntropyLoss(), fl.SupConLoss(), fl.TripletLoss(), fl.huber_loss, None, 1.0],
    ids=lambda loss: getattr(loss, "__name__", repr(loss)))
def test_what_is_no_loss_of_elements_is_refused(user, loss):
    with pytest.raises(TypeError, match=re.escape(
            f"loss must be a loss of elements, such as fastloss.HuberLoss(), got {loss!r}")):
        user.sample["double"](loss, 1.0, 0.5, 7)


def test_a_result_may_replace_an_input(user):
    for loss, y, p in draws(1100):
        kind = "float" if p.dtype == np.float32 else "double"
        expected = results(loss, y, p)
        value, grad = y.copy(), p.copy()
        hess = np.empty_like(p)
        user.elements[kind](loss, p.size, value, grad, value, grad, hess)
        for ours, theirs in zip((value, grad, hess), expected, strict=True):
            assert_same_bits(ours, theirs)


def test_a_negative_size_is_none(user):
    y, p = np.zeros(2), np.ones(2)
    found = [np.full(2, 77.0) for _ in range(3)]
    user.elements["double"](fl.HuberLoss(), -5, y, p, *found)
    assert user.total["double"](fl.HuberLoss(), -5, y, p, None, 1.0, found[0]) == 0
    assert (np.array(found) == 77).all()


def test_the_public_declarations_need_no_others():
    text = (PACKAGE / "api.pxd").read_text()
    assert not re.findall(r"^\s*(?:from\s+\S+\s+)?(?:cimport|include)\b.*", text, re.MULTILINE)


def test_of_the_sources_only_the_public_declarations_are_installed():
    try:
        record = importlib.metadata.distribution("fastloss").read_text("RECORD") or ""
    except importlib.metadata.PackageNotFoundError:
        record = ""
    if "fastloss/api.pyi," not in record:
        pytest.skip("fastloss runs from a checkout")
    found = re.findall(r"^fastloss/.*\.(?:pxd|pxi|pyx|h|c)(?=,)", record, re.MULTILINE)
    assert found == ["fastloss/api.pxd"]
