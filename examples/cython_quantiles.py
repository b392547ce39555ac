"""Quantiles of a stream by an extension module in Cython that calls fastloss without Python.

An estimate takes a step along the gradient of the quantile's loss at each number, so it follows a
stream that changes, and needs no memory of it. The script builds the module in a temporary folder;
a package of your own has the source in a file, and fastloss where it is built and where it runs.

Run with: python examples/cython_quantiles.py
"""

import contextlib
import importlib.util
import io
import tempfile
from pathlib import Path

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup

import fastloss as fl

SOURCE = """
# cython: language_level=3, boundscheck=False, wraparound=False
from fastloss.api cimport ElementLoss, element_loss, sample64


def follow(object loss, const double[::1] stream, double[::1] estimates, double rate):
    '''Write the estimate before each number of a stream.'''
    cdef const ElementLoss *c = element_loss(loss)      # as long as `loss` lives
    cdef double p = stream[0], grad
    cdef Py_ssize_t i
    if estimates.shape[0] != stream.shape[0]:
        raise ValueError("stream and estimates must be of the same length")
    with nogil:
        for i in range(stream.shape[0]):
            estimates[i] = p
            sample64(c, stream[i], p, NULL, &grad, NULL)
            p -= rate * grad
"""


def build(folder):
    """Return the module, built in a folder."""
    path = Path(folder, "quantiles.pyx")
    path.write_text(SOURCE)
    with contextlib.redirect_stdout(io.StringIO()):
        setup(name="quantiles", script_args=["-q", "build_ext", "-b", folder, "-t", folder],
              ext_modules=cythonize([Extension("quantiles", [str(path)])], quiet=True))
    made = next(path for path in Path(folder).iterdir() if path.suffix in (".so", ".pyd"))
    spec = importlib.util.spec_from_file_location("quantiles", made)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


with tempfile.TemporaryDirectory() as name:
    quantiles = build(name)

    # response times in ms, of a server that becomes three times slower half way
    rng = np.random.default_rng(0)
    times = rng.lognormal(3, 0.5, 200_000)
    times[100_000:] *= 3
    print("part of the times below the estimate, before and after they change; estimates in ms")
    for level in 0.5, 0.9, 0.99:
        estimates = np.empty_like(times)
        quantiles.follow(fl.PinballLoss(quantile=level), times, estimates, 0.5)
        below = times < estimates
        print(f"  quantile {level:4}: {below[20_000:100_000].mean():.3f}, "
              f"{below[120_000:].mean():.3f}; the last estimate {estimates[-1]:.0f}, "
              f"exactly {np.quantile(times[100_000:], level):.0f}")
