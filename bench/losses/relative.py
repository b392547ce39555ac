"""Losses of relative errors: deviances, logarithms, percentages."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastloss
from bench.losses._entry import Array, Entry, Formula, Peer, Real, Shape, amounts, regression
from bench.losses.residual import squared

POWER = 1.5
EPS = 2.220446049250313e-16


def apart_from_zero(rng: np.random.Generator, shape: Shape) -> tuple[Array, Array]:
    y = rng.uniform(0.5, 2, shape) * (2 * rng.integers(0, 2, shape) - 1)
    return y, y + 0.5 * rng.standard_normal(shape)


def poisson_deviance(xp: Any, real: Real) -> Formula:
    two = real(2)
    return Formula(
        lambda y, p: (y, p, p - y),
        lambda y, p, d: two * (y * xp.log(y / p) + d),
        lambda y, p, d: two * d / p,
    )


def gamma_deviance(xp: Any, real: Real) -> Formula:
    one, two = real(1), real(2)
    return Formula(
        lambda y, p: (p, y / p),
        lambda p, ratio: two * (ratio - one - xp.log(ratio)),
        lambda p, ratio: two * (one - ratio) / p,
    )


def tweedie_deviance(xp: Any, real: Real) -> Formula:
    two, k = real(2), real(POWER)
    a, b = real(2 - POWER), real(1 - POWER)
    return Formula(
        lambda y, p: (y, p),
        lambda y, p: two * (y**a / (a * b) - y * p**b / b + p**a / a),
        lambda y, p: two * (p - y) * p**-k,
    )


def squared_log(xp: Any, real: Real) -> Formula:
    one, two = real(1), real(2)
    return Formula(
        lambda y, p: (p, xp.log1p(p) - xp.log1p(y)),
        lambda p, d: d * d,
        lambda p, d: two * d / (one + p),
    )


def absolute_percentage(xp: Any, real: Real) -> Formula:
    eps = real(EPS)
    return Formula(
        lambda y, p: (p - y, xp.maximum(xp.abs(y), eps)),
        lambda d, size: xp.abs(d) / size,
        lambda d, size: xp.sign(d) / size,
    )


def deviance(power: float) -> Peer:
    return Peer("HalfTweedieLossIdentity", 2.0, {"power": power})


LOSSES = (
    Entry(
        "deviance, power 0", fastloss.TweedieDevianceLoss(), regression, squared,
        numexpr="(p - y) ** 2", torch=Peer("mse_loss"),
        metric=Peer("mean_tweedie_deviance"), sklearn_loss=deviance(0.0),
    ),
    Entry(
        "deviance, power 1", fastloss.TweedieDevianceLoss(power=1), amounts, poisson_deviance,
        numexpr="2 * (y * log(y / p) - y + p)",
        metric=Peer("mean_poisson_deviance"), sklearn_loss=deviance(1.0),
    ),
    Entry(
        "deviance, power 1.5", fastloss.TweedieDevianceLoss(power=POWER), amounts,
        tweedie_deviance,
        numexpr="2 * (y ** a / (a * b) - y * p ** b / b + p ** a / a)",
        constants={"a": 2 - POWER, "b": 1 - POWER},
        metric=Peer("mean_tweedie_deviance", parameters={"power": POWER}),
        sklearn_loss=deviance(POWER),
    ),
    Entry(
        "deviance, power 2", fastloss.TweedieDevianceLoss(power=2), amounts, gamma_deviance,
        numexpr="2 * (log(p / y) + y / p - 1)",
        metric=Peer("mean_gamma_deviance"), sklearn_loss=deviance(2.0),
    ),
    Entry(
        "squared log", fastloss.SquaredLogLoss(), amounts, squared_log,
        numexpr="(log1p(p) - log1p(y)) ** 2", metric=Peer("mean_squared_log_error"),
    ),
    Entry(
        "absolute percentage", fastloss.AbsolutePercentageLoss(), apart_from_zero,
        absolute_percentage,
        numexpr="abs(p - y) / where(abs(y) > eps, abs(y), eps)", constants={"eps": EPS},
        metric=Peer("mean_absolute_percentage_error"),
    ),
)
