"""Losses of labels 0 and 1, or between, and probabilities or logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import fastloss
from bench.losses._entry import Array, Entry, Formula, Peer, Real, Shape, labelled, scored

EPS = 1e-7
ALPHA = 0.25


def soft_probabilities(rng: np.random.Generator, shape: Shape) -> tuple[Array, Array]:
    return rng.uniform(0.01, 0.99, shape), rng.uniform(0.001, 0.999, shape)


def soft_scores(rng: np.random.Generator, shape: Shape) -> tuple[Array, Array]:
    return rng.uniform(0.01, 0.99, shape), 2 * rng.standard_normal(shape)


def log(xp: Any, real: Real) -> Formula:
    one, low, high = real(1), real(EPS), real(1 - EPS)
    return Formula(
        lambda y, p: (y, xp.minimum(xp.maximum(p, low), high)),
        lambda y, q: -(y * xp.log(q) + (one - y) * xp.log(one - q)),
        lambda y, q: (q - y) / (q * (one - q)),
    )


def log_of_integers(xp: Any, real: Real) -> Formula:
    """One logarithm: the labels choose its argument."""
    one, low, high = real(1), real(EPS), real(1 - EPS)

    def terms(y: Any, p: Any) -> tuple[Any, Any]:
        q = xp.minimum(xp.maximum(p, low), high)
        return y > 0, xp.where(y > 0, q, one - q)

    return Formula(
        terms,
        lambda similar, chance: -xp.log(chance),
        lambda similar, chance: xp.where(similar, -one, one) / chance,
    )


def logits(xp: Any, real: Real) -> Formula:
    zero, one = real(0), real(1)
    return Formula(
        lambda y, z: (y, z, xp.exp(-xp.abs(z))),
        lambda y, z, e: xp.maximum(z, zero) - y * z + xp.log1p(e),
        lambda y, z, e: xp.where(z < zero, e, one) / (one + e) - y,
    )


def focal(exponent: float) -> Callable[[Any, Real], Formula]:
    squared = exponent == 2

    def formula(xp: Any, real: Real) -> Formula:
        zero, one, two = real(0), real(1), real(2)
        gamma, alpha = real(exponent), real(ALPHA)

        def terms(y: Any, z: Any) -> tuple[Any, ...]:
            s = two * y - one
            x = s * z
            e = xp.exp(-xp.abs(x))
            q = xp.where(x < zero, one, e) / (one + e)
            power = q * q if squared else q**gamma
            weight = (y * alpha + (one - y) * (one - alpha)) * power
            return s, q, weight, xp.minimum(x, zero) - xp.log1p(e)

        return Formula(
            terms,
            lambda s, q, weight, log_p: -weight * log_p,
            lambda s, q, weight, log_p: s * weight * (gamma * (one - q) * log_p - q),
        )

    return formula


def kl_divergence(xp: Any, real: Real) -> Formula:
    return Formula(
        lambda t, p: (t, t / p),
        lambda t, ratio: t * xp.log(ratio),
        lambda t, ratio: -ratio,
    )


CLIPPED = "where(p < low, low, where(p > high, high, p))"
LOG = f"-(y * log({CLIPPED}) + (1 - y) * log(1 - {CLIPPED}))"
CLIPS = {"low": EPS, "high": 1 - EPS}
LOGITS = "where(p > 0, p, 0) - y * p + log1p(exp(-abs(p)))"
# ln(1 + e^x) of x = -s z, and e^(-gamma ln(1 + e^-x))
FOCAL_LOG = "(where(y > 0.5, where(p < 0, -p, 0), where(p > 0, p, 0)) + log1p(exp(-abs(p))))"
MISS = "(where((y > half) == (p < 0), one, exp(-abs(p))) / (1 + exp(-abs(p))))"
FOCAL = "(y * alpha + (1 - y) * (1 - alpha)) * {} * " + FOCAL_LOG.replace("0.5", "half")
FOCAL_CONSTANTS = {"half": 0.5, "one": 1.0, "alpha": ALPHA}

LOSSES = (
    Entry(
        "log", fastloss.LogLoss(eps=EPS), labelled(0.001, 0.999), log,
        numexpr=LOG, constants=CLIPS,
        torch=Peer("binary_cross_entropy"), metric=Peer("log_loss"),
    ),
    Entry(
        "log, uint8 labels", fastloss.LogLoss(eps=EPS), labelled(0.001, 0.999), log_of_integers,
        numexpr=f"-log(where(y > 0, {CLIPPED}, 1 - {CLIPPED}))", constants=CLIPS,
        metric=Peer("log_loss"), label_dtype="uint8",
    ),
    Entry(
        "log, soft labels", fastloss.LogLoss(eps=EPS), soft_probabilities, log,
        numexpr=LOG, constants=CLIPS, torch=Peer("binary_cross_entropy"),
    ),
    Entry(
        "log from_logits", fastloss.LogLoss(from_logits=True), scored, logits, numexpr=LOGITS,
        torch=Peer("binary_cross_entropy_with_logits"), sklearn_loss=Peer("HalfBinomialLoss"),
    ),
    Entry(
        "log from_logits, soft labels", fastloss.LogLoss(from_logits=True), soft_scores, logits,
        numexpr=LOGITS,
        torch=Peer("binary_cross_entropy_with_logits"), sklearn_loss=Peer("HalfBinomialLoss"),
    ),
    Entry(
        "focal", fastloss.FocalLoss(gamma=2.0), scored, focal(2.0),
        numexpr=FOCAL.format(MISS + " ** 2"), constants=FOCAL_CONSTANTS,
    ),
    Entry(
        "focal, gamma 1.5", fastloss.FocalLoss(gamma=1.5), scored, focal(1.5),
        numexpr=FOCAL.format(MISS + " ** gamma"), constants={**FOCAL_CONSTANTS, "gamma": 1.5},
    ),
    Entry(
        "KL divergence", fastloss.KLDivergenceLoss(), soft_probabilities, kl_divergence,
        numexpr="y * log(y / p)",
    ),
)
