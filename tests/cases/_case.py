"""What a row of the tests' table of losses holds, and how data are drawn from it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

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
    # allowed distance of loss, gradient and hessian from the oracle's, which rounds too, after
    # weights and reduction; in ULP, for each dtype
    ulps: dict[Any, tuple[float, float, float]]
    # allowed error of the elements against exact numbers, in ULP (of the terms)
    bounds: tuple[float, float, float] = (4, 4, 4)
    labels: str = "classes"          # one of LABELS
    kinks: Callable[[dict[str, Any], float], list[float]] = lambda parameters, y: []
    # length on which the loss changes, where that is less than the size of p
    scale: Callable[[dict[str, Any]], float] = lambda parameters: np.inf
    convex: bool = True
    positive: bool = True            # no loss is negative
    algebraic: bool = True           # no exp or log: the same bits at every SIMD level
    unclipped: dict[str, Any] = field(default_factory=dict)   # parameters without a clip
    tame: dict[str, Any] = field(default_factory=dict)        # parameters without infinities

    def loss(self, **parameters):
        """Return the fused loss."""
        return getattr(fl, self.name)(**parameters)

    def reference(self, **parameters):
        """Return the oracle."""
        return getattr(reference, self.name)(**parameters)

    def draw_y(self, rng, n, p, soft, parameters):
        """Return n labels for predictions p."""
        kind = "signs" if parameters.get("labels") == (-1, 1) else self.labels
        y = draw_labels(kind, rng, n, soft)
        if soft and kind in ("reals", "counts", "amounts", "shares"):
            same = (rng.random(n) < 0.2) & ((p > 0) | (kind == "reals")) & (p < 1e6)
            close = np.where(rng.random(n) < 0.5, p, p * (1 + 10 ** rng.uniform(-7, -1, size=n)))
            y = np.where(same, close, y)        # some without much of an error
        return f32(y) if kind in ("classes", "signs") else y


LABELS = {
    "classes": [0.0, 1.0, 0.5, 1e-6, 1 - 2**-20],
    "hard": [0.0, 1.0, 0.5],
    "signs": [-1.0, 1.0, 0.0, 0.5, 2**-20 - 1],
    "reals": [0.0, 1.0, -2.5, 1e30, -np.inf],
    "modest": [0.0, 1.0, -2.5, 20.0],
    "counts": [0.0, 1.0, 3.0, 0.25, 1e5],
    "amounts": [1.0, 3.0, 0.25, 1e-3, 1e5],
    "shares": [0.0, 1.0, 0.5, 1e-6, 1 - 2**-20],
}


def draw_labels(kind, rng, n, soft):
    """Return n labels of a kind, whole numbers unless soft."""
    wide = rng.normal(size=n) * 10 ** rng.uniform(-3, 3, size=n)
    if kind == "reals":
        return wide if soft else np.round(np.clip(wide, -100, 100))
    if kind == "modest":
        return rng.normal(size=n) * 3 if soft else rng.integers(-5, 6, size=n).astype(float)
    if kind in ("counts", "amounts"):
        least = kind == "amounts"
        if not soft:
            return rng.integers(least, 100, size=n).astype(float)
        return np.where((rng.random(n) < 0.2) & (not least), 0.0, np.exp(rng.normal(size=n) * 2))
    y = rng.integers(0, 2, size=n).astype(float)
    if soft and kind != "hard":
        edges = rng.choice([0.0, 1.0, 0.5, 1e-6], size=n)
        y = np.where(rng.random(n) < 0.3, edges, rng.random(n))
    return 2 * y - 1 if kind == "signs" else y


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


def no_terms(parameters, y, p):
    return 0, 0, 0


def snake(name):
    """Return the name of a class's function."""
    name = name.replace("SigLIP", "Siglip")     # written as one word
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def seeded(*what):
    """Return a generator seeded by what a test is about."""
    text = "/".join(str(getattr(part, "__name__", part)) for part in what)
    return np.random.default_rng(list(text.encode()))


def draw(case, rng, n, dtype, parameters, soft=True):
    """Return labels in float64, as given, and predictions in a dtype."""
    p = case.draw_p(rng, n, parameters).astype(dtype)
    return case.draw_y(rng, n, p.astype(np.float64), soft, parameters), p


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
