"""Losses of the residual, alike on both sides."""

from __future__ import annotations

import math
from typing import Any

import fastloss
from bench.losses._entry import Entry, Formula, Peer, Real, regression


def absolute(xp: Any, real: Real) -> Formula:
    return Formula(lambda y, p: (p - y,), lambda d: xp.abs(d), lambda d: xp.sign(d))


def squared(xp: Any, real: Real) -> Formula:
    two = real(2)
    return Formula(lambda y, p: (p - y,), lambda d: d * d, lambda d: two * d)


def huber(xp: Any, real: Real) -> Formula:
    half, delta = real(0.5), real(1)

    def loss(d: Any) -> Any:
        size = xp.abs(d)
        return xp.where(size <= delta, half * d * d, delta * (size - half * delta))

    return Formula(lambda y, p: (p - y,), loss,
                   lambda d: xp.minimum(xp.maximum(d, -delta), delta))


def pseudo_huber(xp: Any, real: Real) -> Formula:
    one = real(1)

    def terms(y: Any, p: Any) -> tuple[Any, Any]:
        d = p - y
        return d, xp.sqrt(one + d * d)

    return Formula(terms, lambda d, s: s - one, lambda d, s: d / s)


def log_cosh(xp: Any, real: Real) -> Formula:
    two, log_two = real(2), real(math.log(2))

    def loss(d: Any) -> Any:
        size = xp.abs(d)
        return size + xp.log1p(xp.exp(-two * size)) - log_two

    return Formula(lambda y, p: (p - y,), loss, lambda d: xp.tanh(d))


LOSSES = (
    Entry(
        "absolute", fastloss.AbsoluteLoss(), regression, absolute, numexpr="abs(p - y)",
        torch=Peer("l1_loss"), metric=Peer("mean_absolute_error"),
        sklearn_loss=Peer("AbsoluteError"),
    ),
    Entry(
        "squared", fastloss.SquaredLoss(), regression, squared, numexpr="(p - y) ** 2",
        torch=Peer("mse_loss"), metric=Peer("mean_squared_error"),
        sklearn_loss=Peer("HalfSquaredError", 2.0),
    ),
    Entry(
        "huber", fastloss.HuberLoss(), regression, huber,
        numexpr="where(abs(p - y) <= delta, half * (p - y) ** 2,"
        " delta * (abs(p - y) - half * delta))",
        constants={"half": 0.5, "delta": 1.0}, torch=Peer("huber_loss"),
    ),
    Entry(
        "pseudo-huber", fastloss.PseudoHuberLoss(), regression, pseudo_huber,
        numexpr="sqrt(1 + (p - y) ** 2) - 1",
    ),
    Entry(
        "log-cosh", fastloss.LogCoshLoss(), regression, log_cosh,
        numexpr="abs(p - y) + log1p(exp(-2 * abs(p - y))) - log_two",
        constants={"log_two": math.log(2)},
    ),
)
