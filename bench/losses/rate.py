"""Likelihoods of counts and amounts."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastloss
from bench.losses._entry import Array, Entry, Formula, Peer, Real, Shape


def counts(rng: np.random.Generator, shape: Shape) -> tuple[Array, Array]:
    return rng.integers(0, 6, shape), rng.uniform(-1, 2, shape)


def counts_and_rates(rng: np.random.Generator, shape: Shape) -> tuple[Array, Array]:
    return rng.integers(0, 6, shape), rng.uniform(0.2, 6, shape)


def amounts(rng: np.random.Generator, shape: Shape) -> tuple[Array, Array]:
    return 0.1 + rng.standard_exponential(shape), rng.uniform(-1, 2, shape)


def poisson(xp: Any, real: Real) -> Formula:
    return Formula(
        lambda y, z: (y, z, xp.exp(z)),
        lambda y, z, rate: rate - y * z,
        lambda y, z, rate: rate - y,
    )


def poisson_of_rate(xp: Any, real: Real) -> Formula:
    one = real(1)
    return Formula(
        lambda y, p: (y, p),
        lambda y, p: p - y * xp.log(p),
        lambda y, p: one - y / p,
    )


def gamma(xp: Any, real: Real) -> Formula:
    one = real(1)
    return Formula(
        lambda y, z: (z, y * xp.exp(-z)),
        lambda z, ratio: z + ratio,
        lambda z, ratio: one - ratio,
    )


def tweedie(xp: Any, real: Real) -> Formula:
    power = 1.5
    a, b = real(2 - power), real(1 - power)
    return Formula(
        lambda y, z: (xp.exp(a * z), y * xp.exp(b * z)),
        lambda rises, falls: rises / a - falls / b,
        lambda rises, falls: rises - falls,
    )


LOSSES = (
    Entry(
        "poisson", fastloss.PoissonLoss(), counts, poisson, numexpr="exp(p) - y * p",
        torch=Peer("poisson_nll_loss"), sklearn_loss=Peer("HalfPoissonLoss"),
    ),
    Entry(
        "poisson of rates", fastloss.PoissonLoss(log_input=False), counts_and_rates,
        poisson_of_rate, numexpr="p - y * log(p)",
        torch=Peer("poisson_nll_loss", parameters={"log_input": False, "eps": 0.0}),
    ),
    Entry(
        "gamma", fastloss.GammaLoss(), amounts, gamma, numexpr="p + y * exp(-p)",
        sklearn_loss=Peer("HalfGammaLoss"),
    ),
    Entry(
        "tweedie", fastloss.TweedieLoss(), amounts, tweedie,
        numexpr="exp(a * p) / a - y * exp(b * p) / b", constants={"a": 0.5, "b": -0.5},
        sklearn_loss=Peer("HalfTweedieLoss"),
    ),
)
