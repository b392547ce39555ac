"""Losses of a class and a score."""

from __future__ import annotations

from typing import Any

import fastloss
from bench.losses._entry import Entry, Formula, Peer, Real, scored


def hinge(xp: Any, real: Real) -> Formula:
    zero, one, two = real(0), real(1), real(2)

    def terms(y: Any, z: Any) -> tuple[Any, Any]:
        s = two * y - one
        return s, xp.maximum(one - s * z, zero)

    return Formula(terms, lambda s, u: u, lambda s, u: xp.where(u > zero, -s, zero))


def squared_hinge(xp: Any, real: Real) -> Formula:
    two = real(2)
    return Formula(hinge(xp, real).terms, lambda s, u: u * u, lambda s, u: -two * s * u)


def modified_huber(xp: Any, real: Real) -> Formula:
    zero, one, two, four = real(0), real(1), real(2), real(4)

    def terms(y: Any, z: Any) -> tuple[Any, Any, Any]:
        s = two * y - one
        m = s * z
        return s, m, xp.maximum(one - m, zero)

    return Formula(
        terms,
        lambda s, m, u: xp.where(m < -one, -four * m, u * u),
        lambda s, m, u: xp.where(m < -one, -four * s, -two * s * u),
    )


def exponential(xp: Any, real: Real) -> Formula:
    one, two = real(1), real(2)

    def terms(y: Any, z: Any) -> tuple[Any, Any]:
        s = two * y - one
        return s, xp.exp(-s * z)

    return Formula(terms, lambda s, e: e, lambda s, e: -s * e)


HINGE = "where((2 * y - 1) * p < 1, 1 - (2 * y - 1) * p, 0)"

LOSSES = (
    Entry(
        "hinge", fastloss.HingeLoss(), scored, hinge, numexpr=HINGE, metric=Peer("hinge_loss"),
    ),
    Entry(
        "squared hinge", fastloss.SquaredHingeLoss(), scored, squared_hinge,
        numexpr=f"{HINGE} ** 2",
    ),
    Entry(
        "modified huber", fastloss.ModifiedHuberLoss(), scored, modified_huber,
        numexpr=f"where((2 * y - 1) * p < -1, -4 * (2 * y - 1) * p, {HINGE} ** 2)",
    ),
    Entry(
        "exponential", fastloss.ExponentialLoss(), scored, exponential,
        numexpr="exp((1 - 2 * y) * p)", sklearn_loss=Peer("ExponentialLoss"),
    ),
)
