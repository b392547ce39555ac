"""Losses of a class and a score."""

import mpmath as mp
import numpy as np

from cases._case import Case, neighbours
from cases.probability import logits


def label_pairs(rng):
    return {"labels": [(0, 1), (-1, 1)][rng.integers(2)]}


def sign_of(parameters, y):
    return 2 * y - 1 if parameters["labels"] == (0, 1) else y


def hinge_terms(power):
    """Return the terms of (1 - s z)^power, where it is not 0."""
    def terms(parameters, y, p):
        with np.errstate(invalid="ignore", over="ignore"):
            s = sign_of(parameters, y)
            m = np.where(s == 0, 0, s * p)
            size = np.where(m < 1, 1 + 2 * np.abs(m), 0)
            lost = np.abs(np.where(p == 0, 0, p))      # s = 2 y - 1 is rounded once
            f = np.where(m < 1, (size + lost) * np.maximum(1 - m, 0) ** (power - 1), 0)
            return f, np.where(m < 1, power * (1 + size + lost) ** (power - 1), 0), np.where(
                m < 1, 2.0 * (power > 1), 0)
    return terms


def hinge_textbook(parameters, y, p):
    return max(1 - sign_of(parameters, y) * p, mp.mpf(0))


def hinge_kinks(parameters, y):
    s = sign_of(parameters, y)
    return [1 / s] if s else []


def huber_textbook(parameters, y, p):
    m = sign_of(parameters, y) * p
    return max(1 - m, mp.mpf(0)) ** 2 if m >= -1 else -4 * m


def share(parameters, y):
    return y if parameters["labels"] == (0, 1) else (1 + y) / 2


def exponential_terms(parameters, y, p):
    with np.errstate(all="ignore"):
        t = share(parameters, y)
        falls = np.where(t == 0, 0, t * np.exp(-p))
        return 0, falls + np.where(t == 1, 0, (1 - t) * np.exp(p)), 0


MARGIN = {
    "parameters": label_pairs,
    "draw_p": lambda rng, n, parameters: logits(rng, n, 100.0),
    "corners": lambda parameters: neighbours(0.0, 1.0, -1.0),
    "ulps": {np.float32: (5, 5, 4), np.float64: (7, 7, 5)},
}

CASES = [
    Case("HingeLoss", **MARGIN, textbook=hinge_textbook, terms=hinge_terms(1), kinks=hinge_kinks),
    Case("SquaredHingeLoss", **MARGIN, textbook=lambda *args: hinge_textbook(*args) ** 2,
         terms=hinge_terms(2), kinks=hinge_kinks),
    Case("ModifiedHuberLoss", **MARGIN, textbook=huber_textbook, terms=hinge_terms(2),
         kinks=lambda parameters, y: [x for k in hinge_kinks(parameters, y) for x in (k, -k)]),
    Case(
        "ExponentialLoss",
        parameters=label_pairs,
        draw_p=lambda rng, n, parameters: logits(rng, n, 40.0),
        corners=lambda parameters: neighbours(0.0, 1.0, -1.0, 88.5, -88.5),
        textbook=lambda parameters, y, p: (
            share(parameters, y) * mp.exp(-p) + (1 - share(parameters, y)) * mp.exp(p)),
        terms=exponential_terms,
        scale=lambda parameters: 1.0,
        ulps={np.float32: (6, 6, 6), np.float64: (8, 8, 8)},
        algebraic=False,
    ),
]
