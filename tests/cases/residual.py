"""Losses of the residual, alike on both sides."""

import mpmath as mp
import numpy as np

from cases._case import Case, f32, mixed, neighbours, no_terms


def residual_p(rng, n, parameters):
    return mixed(rng, n, rng.normal(size=n) * 10 ** rng.uniform(-3, 3, size=n), [0.0, 1.0, -1.0])


def modest_p(rng, n, parameters):
    return mixed(rng, n, rng.normal(size=n) * 10 ** rng.uniform(-3, 0.7, size=n), [0.0, 1.0, -1.0])


def delta(rng):
    return {"delta": float(f32(rng.choice([1.0, rng.uniform(0.1, 3), 10 ** rng.uniform(-2, 2)])))}


def huber_textbook(parameters, y, p):
    e, d = abs(p - y), mp.mpf(parameters["delta"])
    return e**2 / 2 if e <= d else d * (e - d / 2)


def log_cosh_terms(parameters, y, p):
    # 1 / cosh(e)^2 is 2 |e| times as far off as the residual, which is rounded
    with np.errstate(all="ignore"):
        e = np.abs(p - y)
        return 0, 0, np.where(np.isfinite(e), (1 + 2 * e) / np.cosh(e) ** 2, 0)


CASES = [
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
    Case(
        "HuberLoss",
        parameters=delta,
        draw_p=residual_p,
        corners=lambda parameters: neighbours(0.0, 1.0, parameters["delta"], -parameters["delta"]),
        textbook=huber_textbook,
        terms=no_terms,
        kinks=lambda parameters, y: [y - parameters["delta"], y + parameters["delta"]],
        labels="reals",
        ulps={np.float32: (5, 4, 3), np.float64: (6, 5, 3)},
    ),
    Case(
        "PseudoHuberLoss",
        parameters=delta,
        draw_p=residual_p,
        corners=lambda parameters: neighbours(0.0, 1.0, parameters["delta"]),
        textbook=lambda parameters, y, p: mp.mpf(parameters["delta"]) ** 2 * (
            mp.sqrt(1 + ((p - y) / mp.mpf(parameters["delta"])) ** 2) - 1),
        terms=no_terms,
        scale=lambda parameters: parameters["delta"],
        labels="reals",
        ulps={np.float32: (6, 6, 8), np.float64: (8, 8, 10)},
        bounds=(4, 4, 8),
    ),
    Case(
        "LogCoshLoss",
        parameters=lambda rng: {},
        draw_p=modest_p,
        corners=lambda parameters: neighbours(0.0, 1.0, -1.0),
        textbook=lambda parameters, y, p: mp.log(mp.cosh(p - y)),
        terms=log_cosh_terms,
        scale=lambda parameters: 1.0,
        labels="modest",
        ulps={np.float32: (8, 8, 8), np.float64: (12, 8, 10)},
        bounds=(6, 4, 4),
        algebraic=False,
    ),
]
