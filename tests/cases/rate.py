"""Likelihoods of counts and amounts."""

import mpmath as mp
import numpy as np

from cases._case import Case, f32, mixed, neighbours
from cases.probability import logits


def rates(rng, n, parameters=None):
    return mixed(rng, n, 10 ** rng.uniform(-3, 3, size=n), [1.0, 2.0, 0.5])


def poisson_terms(parameters, y, p):
    with np.errstate(all="ignore"):
        if parameters["log_input"]:
            rate = np.exp(p)
            return rate + np.where(y == 0, 0, np.abs(y * p)), rate + np.abs(y), 0
        ratio = np.where(y == 0, 0, np.abs(y / p))
        return np.abs(p) + np.where(y == 0, 0, np.abs(y * np.log(p))), 1 + ratio, 0


def poisson_textbook(parameters, y, p):
    if parameters["log_input"]:
        return mp.exp(p) - y * p
    return p - y * mp.log(p) if y else p


def gamma_terms(parameters, y, p):
    with np.errstate(all="ignore"):
        ratio = np.where(y == 0, 0, np.abs(y * np.exp(-p)))
        return np.abs(p) + ratio, 1 + ratio, 0


def tweedie_textbook(parameters, y, p):
    a, b = 2 - mp.mpf(parameters["power"]), 1 - mp.mpf(parameters["power"])
    return mp.exp(a * p) / a - y * mp.exp(b * p) / b


def tweedie_terms(parameters, y, p):
    a, b = 2 - parameters["power"], 1 - parameters["power"]
    with np.errstate(all="ignore"):
        return 0, np.exp(a * p) + np.where(y == 0, 0, np.abs(y * np.exp(b * p))), 0


def unit(parameters):
    return 1.0


CASES = [
    Case(
        "PoissonLoss",
        parameters=lambda rng: {"log_input": bool(rng.integers(2))},
        draw_p=lambda rng, n, parameters: (
            logits(rng, n, 20.0) if parameters["log_input"] else rates(rng, n)),
        corners=lambda parameters: (
            neighbours(0.0, 1.0, -1.0, -104.0, 88.5) if parameters["log_input"]
            else neighbours(1.0, 0.5)),
        textbook=poisson_textbook,
        terms=poisson_terms,
        scale=unit,
        labels="counts",
        ulps={np.float32: (5, 5, 5), np.float64: (6, 6, 6)},
        positive=False,
        algebraic=False,
    ),
    Case(
        "GammaLoss",
        parameters=lambda rng: {},
        draw_p=lambda rng, n, parameters: logits(rng, n, 20.0),
        corners=lambda parameters: neighbours(0.0, 1.0, -1.0),
        textbook=lambda parameters, y, p: p + y * mp.exp(-p),
        terms=gamma_terms,
        scale=unit,
        labels="amounts",
        ulps={np.float32: (5, 5, 5), np.float64: (6, 6, 6)},
        positive=False,
        algebraic=False,
    ),
    Case(
        "TweedieLoss",
        parameters=lambda rng: {"power": float(f32(rng.choice(
            [1.5, 1 + 2.0**-10, 2 - 2.0**-10, rng.uniform(1.05, 1.95)])))},
        draw_p=lambda rng, n, parameters: logits(rng, n, 30.0),
        corners=lambda parameters: neighbours(0.0, 1.0, -1.0, 100.0, -100.0),
        textbook=tweedie_textbook,
        terms=tweedie_terms,
        scale=unit,
        labels="counts",
        ulps={np.float32: (8, 8, 8), np.float64: (16, 16, 16)},
        algebraic=False,
    ),
]
