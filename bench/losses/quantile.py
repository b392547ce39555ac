"""Losses of the residual whose optimum is not the mean."""

from __future__ import annotations

from typing import Any

import fastloss
from bench.losses._entry import Entry, Formula, Peer, Real, regression


def pinball(xp: Any, real: Real) -> Formula:
    half, quantile = real(0.5), real(0.5)
    above = real(1) - quantile
    return Formula(
        lambda y, p: (p - y,),
        lambda d: xp.where(d > real(0), above * d, -quantile * d),
        lambda d: half * xp.sign(d) + (half - quantile),
    )


def expectile(xp: Any, real: Real) -> Formula:
    zero, two, below, above = real(0), real(2), real(0.5), real(0.5)
    return Formula(
        lambda y, p: (p - y,),
        lambda d: xp.where(d > zero, above * d * d, below * d * d),
        lambda d: two * xp.where(d > zero, above * d, below * d),
    )


def epsilon_insensitive(xp: Any, real: Real) -> Formula:
    zero, epsilon = real(0), real(0.1)

    def terms(y: Any, p: Any) -> tuple[Any, Any]:
        d = p - y
        return d, xp.maximum(xp.abs(d) - epsilon, zero)

    return Formula(terms, lambda d, u: u, lambda d, u: xp.where(u > zero, xp.sign(d), zero))


LOSSES = (
    Entry(
        "pinball", fastloss.PinballLoss(), regression, pinball,
        numexpr="where(p > y, (1 - quantile) * (p - y), quantile * (y - p))",
        constants={"quantile": 0.5},
        metric=Peer("mean_pinball_loss"), sklearn_loss=Peer("PinballLoss"),
    ),
    Entry(
        "expectile", fastloss.ExpectileLoss(), regression, expectile,
        numexpr="where(p > y, 1 - level, level) * (p - y) ** 2", constants={"level": 0.5},
    ),
    Entry(
        "epsilon-insensitive", fastloss.EpsilonInsensitiveLoss(), regression, epsilon_insensitive,
        numexpr="where(abs(p - y) > epsilon, abs(p - y) - epsilon, 0)",
        constants={"epsilon": 0.1},
    ),
)
