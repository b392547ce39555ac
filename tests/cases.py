"""Every loss, one row each: how to draw its parameters and data, and what it means.

All tests that are not about one loss go through `CASES`. A new loss needs a row here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath as mp
import numpy as np

import fastloss as fl
from fastloss import reference

REDUCTIONS = ["mean", "sum", "none", "sum_over_batch_size"]
DTYPES = [np.float32, np.float64]


@dataclass(frozen=True)
class Case:
    """What the tests have to know of a loss."""

    name: str
    # rng -> parameters, each a float32 number, so that both dtypes see the same ones
    parameters: Callable[[np.random.Generator], dict[str, Any]]
    # (rng, n, parameters) -> n predictions of the loss's domain, with those on its edges
    draw_p: Callable[[np.random.Generator, int, dict[str, Any]], np.ndarray]
    # parameters -> the values of p where something happens, for y in the labels
    corners: Callable[[dict[str, Any]], list[float]]
    # (parameters, y, p) -> element loss as the textbook has it, in mpmath's numbers
    textbook: Callable[[dict[str, Any], Any, Any], Any]
    # (parameters, y, p) -> sums of the absolute terms of loss, gradient and hessian; 0 where
    # nothing cancels
    terms: Callable[[dict[str, Any], Any, Any], tuple[Any, Any, Any]]
    # allowed errors of loss, gradient and hessian, in ULP, for each dtype
    ulps: dict[Any, tuple[float, float, float]]
    labels: str = "classes"          # 0, 1 and what is between; or "reals"
    kinks: Callable[[dict[str, Any], float], list[float]] = lambda parameters, y: []
    convex: bool = True
    algebraic: bool = True           # no exp or log: the same bits at every SIMD level

    def loss(self, **parameters):
        """Return the fused loss."""
        return getattr(fl, self.name)(**parameters)

    def reference(self, **parameters):
        """Return the oracle."""
        return getattr(reference, self.name)(**parameters)

    def draw_y(self, rng, n, p, soft):
        """Return n labels for predictions p."""
        if self.labels == "reals":
            y = rng.normal(size=n) * 10 ** rng.uniform(-3, 3, size=n)
            if not soft:
                return np.round(np.clip(y, -100, 100))
            return np.where(rng.random(n) < 0.2, p, y)      # some without a residual
        if not soft:
            return rng.integers(0, 2, size=n).astype(float)
        y = np.where(rng.random(n) < 0.3, rng.choice([0.0, 1.0, 0.5, 1e-6], size=n),
                     rng.random(n))
        return f32(y)


def f32(x):
    """Round to float32."""
    return np.float32(x).astype(np.float64)


def neighbours(*values):
    """Return the values with the numbers next to them, in both dtypes."""
    found = []
    for value in values:
        for dtype in DTYPES:
            at = dtype(value)
            found += [float(at), float(np.nextafter(at, dtype(np.inf))),
                      float(np.nextafter(at, dtype(-np.inf)))]
    return sorted(set(found))


def mixed(rng, n, usual, edges):
    """Return n numbers of which some are on an edge."""
    if not edges:
        return usual
    return np.where(rng.random(n) < 0.25, rng.choice(edges, size=n), usual)


# ---- contrastive -------------------------------------------------------------------------


def contrastive_parameters(rng):
    margin = [0.0, 1.0, float(f32(rng.uniform(0.01, 3))), float(f32(10 ** rng.uniform(-3, 3)))]
    pos_margin = [None, None, 0.0, float(f32(rng.uniform(0.001, 1)))]
    return {
        "margin": margin[rng.integers(4)],
        "similar_label": int(rng.integers(2)),
        "form": str(rng.choice(["squared", "half", "linear"])),
        "pos_margin": pos_margin[rng.integers(4)],
    }


def contrastive_edges(parameters):
    return neighbours(0.0, parameters["margin"], parameters["pos_margin"] or 0.0)


def contrastive_p(rng, n, parameters):
    scale = max(parameters["margin"], 0.1)
    edges = [x for x in contrastive_edges(parameters) if x == 0 or x > 1e-30]
    return mixed(rng, n, np.abs(rng.normal(size=n)) * scale, edges)


def contrastive_textbook(parameters, y, p):
    margin, floor = parameters["margin"], parameters["pos_margin"]
    if parameters["similar_label"] == 0:
        y = 1 - y
    similar = p if floor is None else max(p - floor, mp.mpf(0))
    dissimilar = max(margin - p, mp.mpf(0))
    if parameters["form"] == "linear":
        return y * similar + (1 - y) * dissimilar
    whole = y * similar**2 + (1 - y) * dissimilar**2
    return whole / 2 if parameters["form"] == "half" else whole


def contrastive_terms(parameters, y, p):
    near, far = (y, 1 - y) if parameters["similar_label"] == 1 else (1 - y, y)
    with np.errstate(invalid="ignore"):
        pull = np.where(near == 0, 0, np.abs(near * (p - (parameters["pos_margin"] or 0.0))))
        push = np.where(far == 0, 0, np.abs(far * (parameters["margin"] - p)))
    if parameters["form"] == "linear":      # its loss cancels for negative p
        return pull + push, np.abs(near) + np.abs(far), 0
    return 0, (1 if parameters["form"] == "half" else 2) * (pull + push), 0


def contrastive_kinks(parameters, y):
    return [parameters["margin"], parameters["pos_margin"] or 0.0]


# ---- log loss ----------------------------------------------------------------------------


def log_parameters(rng):
    eps = [0.0, "auto", float(f32(1e-7)), float(f32(10 ** rng.uniform(-12, -1))),
           float(f32(rng.uniform(0.001, 0.49)))]
    return {"eps": eps[rng.integers(5)]}


def log_eps(parameters, dtype=np.float64):
    return float(np.finfo(dtype).eps) if parameters["eps"] == "auto" else parameters["eps"]


def log_edges(parameters):
    eps = [log_eps(parameters, dtype) for dtype in DTYPES]
    edges = neighbours(0.0, 1.0, 0.5, *eps, 1 - eps[0], 1 - eps[1])
    return [x for x in edges if 0 <= x <= 1]


def log_p(rng, n, parameters):
    tails = 10 ** -rng.uniform(0, 16, size=n)     # 1/p^2 stays within float32
    kinds = [rng.random(n), tails, 1 - tails]
    edges = [x for x in log_edges(parameters) if x == 0 or x > 1e-15]
    return mixed(rng, n, np.choose(rng.integers(3, size=n), kinds), edges)


def log_textbook(parameters, y, p):
    eps = mp.mpf(log_eps(parameters))
    q = min(max(p, eps), 1 - eps)
    return (-y * mp.log(q) if y else 0) - ((1 - y) * mp.log(1 - q) if y != 1 else 0)


def log_terms(parameters, y, p):
    with np.errstate(all="ignore"):
        up = np.where(y == 1, 0, (1 - y) / (1 - p))
        return 0, np.abs(up) + np.abs(np.where(y == 0, 0, y / p)), 0


def log_kinks(parameters, y):
    eps = log_eps(parameters)
    return [eps, 1 - eps]


# ---- losses on the residual --------------------------------------------------------------


def residual_p(rng, n, parameters):
    return mixed(rng, n, rng.normal(size=n) * 10 ** rng.uniform(-3, 3, size=n), [0.0, 1.0, -1.0])


def no_terms(parameters, y, p):
    return 0, 0, 0


CONTRASTIVE = {
    "parameters": contrastive_parameters,
    "draw_p": contrastive_p,
    "corners": contrastive_edges,
    "textbook": contrastive_textbook,
    "terms": contrastive_terms,
    "kinks": contrastive_kinks,
    "ulps": {np.float32: (5, 5, 3), np.float64: (7, 7, 4)},
}

CASES = {case.name: case for case in [
    Case("ContrastiveLoss", **CONTRASTIVE),
    Case("QualityLoss", **CONTRASTIVE),
    Case(
        "LogLoss",
        parameters=log_parameters,
        draw_p=log_p,
        corners=log_edges,
        textbook=log_textbook,
        terms=log_terms,
        kinks=log_kinks,
        ulps={np.float32: (5, 5, 6), np.float64: (6, 6, 8)},
        algebraic=False,
    ),
    Case(
        "AbsoluteLoss",
        parameters=lambda rng: {},
        draw_p=residual_p,
        corners=lambda parameters: neighbours(0.0, 1.0),
        textbook=lambda parameters, y, p: abs(y - p),
        terms=no_terms,
        kinks=lambda parameters, y: [y],
        labels="reals",
        ulps={np.float32: (3, 3, 0), np.float64: (4, 3, 0)},
    ),
    Case(
        "SquaredLoss",
        parameters=lambda rng: {},
        draw_p=residual_p,
        corners=lambda parameters: neighbours(0.0, 1.0),
        textbook=lambda parameters, y, p: (y - p) ** 2,
        terms=no_terms,
        labels="reals",
        ulps={np.float32: (5, 4, 3), np.float64: (6, 5, 3)},
    ),
]}


def seeded(*what):
    """Return a generator seeded by what a test is about."""
    text = "/".join(str(getattr(part, "__name__", part)) for part in what)
    return np.random.default_rng(list(text.encode()))


def draw(case, rng, n, dtype, parameters, soft=True):
    """Return labels in float64, as given, and predictions in a dtype."""
    p = case.draw_p(rng, n, parameters).astype(dtype)
    return case.draw_y(rng, n, p.astype(np.float64), soft), p


def weights(rng, n, kind):
    """Return weights of a kind, or None."""
    if kind == "none":
        return None
    if kind == "counts":
        return rng.integers(0, 5, size=n)
    w = f32(rng.random(n) + 0.01)
    if kind == "signed" and n:
        w[rng.random(n) < 0.1] *= -0.5
        w[0] = 1.0
    return w.astype(np.float32) if kind == "float32" else w


WEIGHTS = ["none", "float64", "float32", "counts", "signed"]
