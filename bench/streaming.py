"""How fast the same bytes can be moved: the limit that every loss is held against.

A value reads labels and predictions; with a gradient it writes an array like the predictions,
reused. Labels narrower than the predictions, or one for a whole row, are read as so many numbers
fewer. The fastest of several kernels is the limit. For small arrays that is the time of a call,
not of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from bench.case import Call, Case, Contender, installed, load
from bench.losses import Array

NAME = "streaming"
Parts = Sequence[tuple[Array, ...]]


def contenders(case: Case) -> list[Contender]:
    """Return the kernels that move the bytes of a case."""
    kernels = {"numpy": numpy_write if case.gradient else numpy_read}
    if installed("numba"):
        kernels["numba"] = numba
    elif case.gradient:
        kernels["numpy threads"] = numpy_threads
    if installed("torch"):
        kernels["torch"] = torch
    parts = operands(case)
    return [Contender(f"streaming {name}", make(case, parts)) for name, make in kernels.items()]


def count(case: Case) -> int:
    """Return how often the bytes are moved."""
    return 1


def operands(case: Case) -> Parts:
    """Return pairs of arrays to read, or (to read, ..., to write), that have the case's bytes."""
    parts: list[tuple[Array, ...]] = []
    labels = list(case.labels)
    for x in case.inputs:
        p = x.reshape(-1)
        y = labels.pop() if labels else p[:0]
        if y.dtype != p.dtype:
            y = np.ones(y.nbytes // p.itemsize, p.dtype)
        a, rest = p[:y.size], p[y.size:]
        if case.gradient:
            out = np.zeros_like(p)
            parts += [(a, y, out[:y.size]), (rest, out[y.size:])]
        else:
            half = rest.size // 2
            parts += [(a, y), (rest[:half], rest[half:2 * half])]
    return [part for part in parts if part[0].size]


def numpy_read(case: Case, parts: Parts) -> Call:
    """Not np.dot: BLAS's threads spin for tens of milliseconds afterwards, beside all others."""
    return lambda: [np.einsum("i,i->", a, b) for a, b in parts]


def write(*part: Array) -> Array:
    """Add two arrays into a third, or copy one."""
    if len(part) == 3:
        return np.add(part[0], part[1], out=part[2])
    np.copyto(part[1], part[0])
    return part[1]


def numpy_write(case: Case, parts: Parts) -> Call:
    return lambda: [write(*part) for part in parts]


def numpy_threads(case: Case, parts: Parts) -> Call:
    """The same on one slice per thread: NumPy lets go of the GIL."""
    team = pool(case.threads)
    slices = [
        [array[i:j] for array in part]
        for part in parts
        for i, j in pairwise(np.linspace(0, part[0].size, case.threads + 1).astype(int))
    ]
    return lambda: list(team.map(lambda part: write(*part), slices))


@cache
def pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


@cache
def numba_kernels() -> tuple[Callable[..., Any], ...]:
    nb = load("numba")
    prange = nb.prange

    def read(a: Any, b: Any) -> Any:
        total = a[:1].sum()  # of the arrays' dtype
        for i in prange(a.size):
            total += a[i] + b[i]
        return total

    def add(a: Any, b: Any, out: Any) -> Any:
        for i in prange(a.size):
            out[i] = a[i] + b[i]

    def copy(a: Any, out: Any) -> Any:
        for i in prange(a.size):
            out[i] = a[i]

    # fastmath: the sum takes many accumulators
    compile_ = nb.njit(parallel=True, fastmath=True)
    return compile_(read), compile_(add), compile_(copy)


def numba(case: Case, parts: Parts) -> Call:
    read, add, copy = numba_kernels()
    two = copy if case.gradient else read
    return lambda: [add(*part) if len(part) == 3 else two(*part) for part in parts]


def torch(case: Case, parts: Parts) -> Call:
    module = load("torch")
    add, dot = module.add, module.dot
    tensors = [[module.from_numpy(array) for array in part] for part in parts]
    if not case.gradient:
        return lambda: [dot(a, b) for a, b in tensors]
    return lambda: [
        add(part[0], part[1], out=part[2]) if len(part) == 3 else part[1].copy_(part[0])
        for part in tensors]
