"""How fast the same bytes can be moved: the limit that every loss is held against.

A value reads two arrays; with a gradient it writes a third, reused. The fastest of several
kernels is the limit. For small arrays that is the time of a call, not of memory.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from bench.peers import Call, Case, Contender, installed, load

PREFIX = "streaming "


def contenders(case: Case) -> list[Contender]:
    """Return the kernels that move the bytes of a case."""
    kernels = {"numpy": numpy_add if case.gradient else numpy_dot}
    if installed("numba"):
        kernels["numba"] = numba
    elif case.gradient:
        kernels["numpy threads"] = numpy_threads
    if installed("torch"):
        kernels["torch"] = torch
    return [Contender(PREFIX + name, make(case)) for name, make in kernels.items()]


def numpy_dot(case: Case) -> Call:
    a, b = case.y, case.p
    return lambda: np.dot(a, b)


def numpy_add(case: Case) -> Call:
    a, b, out = case.y, case.p, np.zeros_like(case.p)
    return lambda: np.add(a, b, out=out)


def numpy_threads(case: Case) -> Call:
    """np.add on one slice per thread: it lets go of the GIL."""
    team, out = pool(case.threads), np.zeros_like(case.p)
    edges = np.linspace(0, out.size, case.threads + 1).astype(int)
    parts = [(case.y[i:j], case.p[i:j], out[i:j])
             for i, j in pairwise(edges)]
    return lambda: list(team.map(lambda part: np.add(part[0], part[1], out=part[2]), parts))


@cache
def pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


@cache
def numba_kernels() -> tuple[Callable[..., Any], Callable[..., Any]]:
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

    # fastmath: the sum takes many accumulators
    compile_ = nb.njit(parallel=True, fastmath=True)
    return compile_(read), compile_(add)


def numba(case: Case) -> Call:
    read, add = numba_kernels()
    a, b, out = case.y, case.p, np.zeros_like(case.p)
    return (lambda: add(a, b, out)) if case.gradient else (lambda: read(a, b))


def torch(case: Case) -> Call:
    module = load("torch")
    a, b = module.from_numpy(case.y), module.from_numpy(case.p)
    if case.gradient:
        add, out = module.add, module.from_numpy(np.zeros_like(case.p))
        return lambda: add(a, b, out=out)
    dot = module.dot
    return lambda: dot(a, b)
