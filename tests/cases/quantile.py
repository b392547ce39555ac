"""Losses of the residual whose optimum is not the mean."""

import mpmath as mp
import numpy as np

from cases._case import Case, neighbours, no_terms
from cases.residual import residual_p


def level(name):
    """Return a source of a level in (0, 1); 1 - it is a float32 number too."""
    return lambda rng: {name: float(rng.choice([0.5, 2.0**-20, rng.integers(1, 256) / 256]))}


def insensitive_textbook(parameters, y, p):
    u = max(abs(p - y) - mp.mpf(parameters["epsilon"]), mp.mpf(0))
    return u**2 if parameters["squared"] else u


def insensitive_terms(parameters, y, p):
    # |e| - epsilon cancels; its square has twice the relative error
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.abs(p - y)
        u = np.maximum(size - parameters["epsilon"], 0)
        near = size >= parameters["epsilon"] * (1 - 1e-6)
        loss = 2 * u * size if parameters["squared"] else size
    slope = np.where(u == 0, 0, 2 * size) if parameters["squared"] else 0
    return np.where(near, loss, 0), slope, 0


CASES = [
    Case(
        "PinballLoss",
        parameters=level("quantile"),
        draw_p=residual_p,
        corners=lambda parameters: neighbours(0.0, 1.0),
        textbook=lambda parameters, y, p: (
            mp.mpf(parameters["quantile"]) * max(y - p, 0)
            + (1 - mp.mpf(parameters["quantile"])) * max(p - y, 0)),
        terms=no_terms,
        kinks=lambda parameters, y: [y],
        labels="reals",
        ulps={np.float32: (4, 4, 0), np.float64: (5, 4, 0)},
    ),
    Case(
        "ExpectileLoss",
        parameters=level("level"),
        draw_p=residual_p,
        corners=lambda parameters: neighbours(0.0, 1.0),
        textbook=lambda parameters, y, p: (y - p) ** 2 * (
            mp.mpf(parameters["level"]) if y >= p else 1 - mp.mpf(parameters["level"])),
        terms=no_terms,
        kinks=lambda parameters, y: [y],
        labels="reals",
        ulps={np.float32: (5, 5, 4), np.float64: (7, 6, 4)},
    ),
    Case(
        "EpsilonInsensitiveLoss",
        parameters=lambda rng: {
            "epsilon": float(rng.choice([0.0, 0.125, rng.integers(1, 64) / 64, 4.0])),
            "squared": bool(rng.integers(2)),
        },
        draw_p=residual_p,
        corners=lambda parameters: neighbours(0.0, 1.0, parameters["epsilon"]),
        textbook=insensitive_textbook,
        terms=insensitive_terms,
        kinks=lambda parameters, y: [y - parameters["epsilon"], y, y + parameters["epsilon"]],
        labels="reals",
        ulps={np.float32: (5, 5, 3), np.float64: (6, 6, 3)},
    ),
]
