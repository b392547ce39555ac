"""Digests of the results of all kernels, to tell whether a change of the code changed a bit.

Run as a program, this writes down the digests of the SIMD level in use:

    FASTLOSS_SIMD=avx2 python tests/digests.py

Each digest is of the inputs and of the results. Among the inputs are some logarithms and powers of
NumPy's, which differ with the processor: the data are drawn with them, and batches use them.
"""

import hashlib
import json
import platform
import sys
from pathlib import Path

import batches
import numpy as np
import paired
import rows
from cases import CASES, DTYPES, draw, seeded, weights

import fastloss as fl
from fastloss import embedding
from fastloss._core import simd_level

FILE = Path(__file__).parent / "data" / "digests.json"


class Digest:
    """Digests of what goes in and of what comes out."""

    def __init__(self):
        self.inputs, self.results = hashlib.sha256(), hashlib.sha256()
        numbers = np.linspace(0.01, 50, 1000)
        self.take(np.log(numbers), np.exp(numbers), np.log1p(numbers), numbers**1.3)

    def take(self, *arrays):
        """Add inputs."""
        for array in arrays:
            add(self.inputs, array)

    def give(self, results):
        """Add results."""
        add(self.results, results)

    def text(self):
        """Return both as text."""
        return f"{self.inputs.hexdigest()[:12]} {self.results.hexdigest()[:12]}"


def add(digest, what):
    """Add an array, a number, a dict, or a sequence of them to a digest."""
    if isinstance(what, (tuple, list)):
        for part in what:
            add(digest, part)
    elif isinstance(what, dict):
        add(digest, [what[key] for key in sorted(what)])
    elif what is not None:
        array = np.ascontiguousarray(what)
        # every NaN is the same one
        if array.dtype.kind == "f":
            array = np.where(np.isnan(array), array.dtype.type(np.nan), array)
        digest.update(str((array.dtype.str, array.shape)).encode() + array.tobytes())


def of_elements(name, dtype):
    """Return the digest of a loss of elements."""
    case, digest = CASES[name], Digest()
    for n in (1, 7, 1000, 40_000):
        rng = seeded("digest", name, dtype, n)
        parameters = case.parameters(rng)
        y, p = draw(case, rng, n, dtype, parameters)
        w = weights(rng, n, "float64")
        digest.take(y, p, w)
        loss = case.loss(**parameters)
        for threads in (1, 3):
            for data in ((y, p), (y, p, w), (y.astype(np.float32), p[::-1], w)):
                digest.give(loss.value_and_grad(*data, n_threads=threads))
                digest.give(loss.grad_and_hess(*data, n_threads=threads))
                digest.give(loss.value(*data, n_threads=threads))
        digest.give(loss.replace(reduction="none").value_and_grad(y, p, w))
    return digest.text()


def of_rows(dtype):
    """Return the digest of cross entropy."""
    digest = Digest()
    for n, classes in ((1, 2), (64, 10), (300, 100), (33, 1000), (5, 9000), (20_000, 3)):
        for kind in rows.LABELS:
            rng = seeded("digest", n, classes, dtype, kind)
            y, z = rows.drawn(rng, n, classes, dtype, kind)
            parameters = rows.parameters_of(rng, classes, kind)
            w = weights(rng, n, "float32")
            digest.take(y, z, w)
            for reduction in ("mean", "none"):
                loss = fl.CrossEntropyLoss(**parameters, reduction=reduction)
                for threads in (1, 3):
                    digest.give(loss.value_and_grad(y, z, w, n_threads=threads))
                    digest.give(loss.grad_and_hess(y, np.asfortranarray(z), n_threads=threads))
                    digest.give(loss.value(y, z, n_threads=threads))
    return digest.text()


def of_paired(name, dtype):
    """Return the digest of a loss of paired rows."""
    digest = Digest()
    for n, d in ((1, 1), (17, 3), (400, 16), (300, 130), (3, 2000)):
        rng = seeded("digest", name, dtype, n, d)
        for _ in range(3):
            parameters = paired.parameters_of(rng, name)
            data = paired.drawn(rng, name, n, d, dtype, parameters)
            w = weights(rng, n, "float64")
            digest.take(*data, w)
            for reduction in ("mean", "none"):
                loss = getattr(embedding, name)(**parameters, reduction=reduction)
                for threads in (1, 3):
                    digest.give(loss.value_and_grad(*data, w, n_threads=threads))
                    digest.give(loss.value(*data, n_threads=threads))
    return digest.text()


def of_batch(row, dtype):
    """Return the digest of a loss of all pairs of a batch."""
    digest = Digest()
    name, parameters = row
    for n, d, others in ((2, 1, None), (64, 32, None), (300, 20, 130), (530, 64, None)):
        rng = seeded("digest", name, dtype, n, d)
        arguments, options = batches.drawn(rng, name, n, d, dtype, refs=others, weighted=n != 64)
        close = [np.round(x) if x.ndim == 2 else x for x in arguments[:2]]     # with many ties
        digest.take(*arguments, *close, options)
        for reduction in ("mean", "mean_nonzero"):
            loss = getattr(embedding, name)(**parameters, reduction=reduction)
            for threads in (1, 3):
                digest.give(loss.value_and_grad(*arguments, **options, n_threads=threads))
                digest.give(loss.value(*close, **options, n_threads=threads))
        digest.give(loss.value_and_grad(*close, **options, parameters=True))
    return digest.text()


NAMES = {    # of a loss and a dtype -> what computes its digest, and of what
    f"{name} {np.dtype(dtype).name}": (function, (*what, dtype))
    for dtype in DTYPES
    for name, function, what in [
        *((name, of_elements, (name,)) for name in CASES),
        ("CrossEntropyLoss", of_rows, ()),
        *((name, of_paired, (name,)) for name in paired.LOSSES),
        *((batches.label(row), of_batch, (row,)) for row in batches.TABLE),
    ]
}


def digest_of(name):
    """Return the digest of one of NAMES."""
    function, what = NAMES[name]
    return function(*what)


def level():
    """Return the SIMD level in use, and the machine's kind."""
    return f"{platform.machine()} {simd_level.LEVEL}"


if __name__ == "__main__":
    written = json.loads(FILE.read_text()) if FILE.exists() else {}
    written[level()] = {name: digest_of(name) for name in NAMES}
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(written, indent=1, sort_keys=True) + "\n")
    sys.exit(0)
