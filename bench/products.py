"""How fast a loss's matrix products can be made: the limit of batch losses.

A product is that of n x d and d x n numbers, or of n x n and n x d: 2 n² d operations, by NumPy's
BLAS. The faster of the two kinds is counted as often as the loss needs products. The sides are two
arrays: of one with itself NumPy makes half of the product and copies it, which takes longer.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from bench.case import Case, Contender, installed, load

NAME = "products"


def contenders(case: Case) -> list[Contender]:
    """Return products of the size of a case."""
    rng, (n, d), dtype = np.random.default_rng(1), case.shape, case.p.dtype
    x, z = (rng.standard_normal((n, d)).astype(dtype) for _ in "xz")
    pairs, rows = np.zeros((n, n), dtype), np.zeros((n, d), dtype)
    np.matmul(x, z.T, out=pairs)
    return [
        Contender("products n × d", lambda: np.matmul(x, z.T, out=pairs), spins=case.spins),
        Contender("products n × n", lambda: np.matmul(pairs, x, out=rows), spins=case.spins),
    ]


def count(case: Case) -> int:
    """Return how many products the loss needs: its value, the similarities alone."""
    return case.entry.products if case.gradient else 1


def library() -> list[str]:
    """Return which BLAS NumPy uses, and with which kernels."""
    if not installed("threadpoolctl"):
        return []
    found: list[dict[str, Any]] = load("threadpoolctl").threadpool_info()
    chosen = os.environ.get("OPENBLAS_CORETYPE")
    return [
        f"{info['internal_api']} {info['version']}, {info.get('architecture', 'unknown')} kernels"
        + (f" because of OPENBLAS_CORETYPE={chosen}" if chosen else "")
        for info in found if info["user_api"] == "blas" and "numpy" in info["filepath"]
    ]
