"""Losses of relative errors: deviances, logarithms, percentages."""

import mpmath as mp
import numpy as np

from cases._case import Case, mixed, neighbours, no_terms
from cases.rate import rates


def deviance_textbook(parameters, y, p):
    k = mp.mpf(parameters["power"])
    if y == p:
        return mp.mpf(0)
    if k == 1:
        return 2 * ((y * mp.log(y / p) if y else 0) - y + p)
    if k == 2:
        return 2 * (mp.log(p / y) + y / p - 1)
    power = y ** (2 - k) if y > 0 else mp.mpf(0) ** (2 - k)
    return 2 * (power / ((1 - k) * (2 - k)) - y * p ** (1 - k) / (1 - k) + p ** (2 - k) / (2 - k)
                ) if k else (y - p) ** 2


def deviance_terms(parameters, y, p):
    k = parameters["power"]
    with np.errstate(all="ignore"):
        if k in (0, 1, 2):
            return 0, 0, 2 * np.abs(p) ** -k * (1 + np.abs(k * (y - p) / p)) if k == 2 else 0
        # a power of p is |power ln p| times as far off as a logarithm
        lost = 1 + (np.abs(k) + 2) * np.maximum(np.abs(np.log(p)), np.abs(np.log(y))) / 16
        slope = 2 * np.abs(p) ** -k * lost
        cost = np.abs(2 * (y ** (2 - k) / ((1 - k) * (2 - k)) - y * p ** (1 - k) / (1 - k)
                           + p ** (2 - k) / (2 - k)))
        cost = np.where(np.abs(np.log(y / p)) > 1, cost, 0)
        terms = cost * lost, slope * np.abs(p - y), slope * (1 + np.abs(k * (y - p) / p))
        return tuple(np.where(np.isfinite(term), term, 0) for term in terms)


def log_error_terms(parameters, y, p):
    with np.errstate(all="ignore"):
        d = np.abs(np.log1p(p) - np.log1p(y))
        return 0, 0, 2 * (1 + d) / (1 + p) ** 2


CASES = [
    Case(
        "TweedieDevianceLoss",
        parameters=lambda rng: {"power": float(rng.choice([0, 1, 2, 3, 1.5, 2.5, -1, -0.75]))},
        draw_p=rates,
        corners=lambda parameters: neighbours(1.0, 0.5),
        textbook=deviance_textbook,
        terms=deviance_terms,
        labels="amounts",
        ulps={np.float32: (16, 8, 8), np.float64: (80, 32, 32)},
        bounds=(14, 6, 6),
        convex=False,
        algebraic=False,
    ),
    Case(
        "SquaredLogLoss",
        parameters=lambda rng: {},
        draw_p=lambda rng, n, parameters: mixed(
            rng, n, 10 ** rng.uniform(-3, 3, size=n), [0.0, 1.0, 3.0]),
        corners=lambda parameters: neighbours(0.0, 1.0),
        textbook=lambda parameters, y, p: (mp.log1p(p) - mp.log1p(y)) ** 2,
        terms=log_error_terms,
        labels="counts",
        ulps={np.float32: (8, 8, 8), np.float64: (16, 12, 10)},
        bounds=(6, 6, 6),
        convex=False,
        algebraic=False,
    ),
    Case(
        "AbsolutePercentageLoss",
        parameters=lambda rng: {"eps": float(rng.choice([2.0**-52, 2.0**-10, 1.0]))},
        draw_p=lambda rng, n, parameters: rates(rng, n) * rng.choice([-1, 1], size=n),
        corners=lambda parameters: neighbours(0.0, 1.0),
        textbook=lambda parameters, y, p: abs(p - y) / max(abs(y), mp.mpf(parameters["eps"])),
        terms=no_terms,
        kinks=lambda parameters, y: [y],
        labels="reals",
        ulps={np.float32: (4, 4, 0), np.float64: (5, 5, 0)},
    ),
]
