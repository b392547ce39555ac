"""Losses of the residual whose optimum is not the mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import fastloss
from fastloss.reference._base import Array, Reference, function_of

__all__ = [
    "EpsilonInsensitiveLoss",
    "ExpectileLoss",
    "PinballLoss",
    "epsilon_insensitive_loss",
    "expectile_loss",
    "pinball_loss",
]


@dataclass(frozen=True, kw_only=True)
class PinballLoss(Reference, fastloss.PinballLoss):
    r"""Pinball loss of quantile alpha.

    .. math::
        l &= \alpha \max(y - p, 0) + (1 - \alpha) \max(p - y, 0) \\
        \partial l / \partial p &= (1 - \alpha) [p > y] - \alpha [p < y], \quad
        \partial^2 l / \partial p^2 = 0
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        below, above = self.quantile, 1 - self.quantile
        side = np.sign(p - y)
        return (np.where(p > y, above, below) * np.abs(p - y),
                np.where(side > 0, above, np.where(side < 0, -below, side)), np.zeros_like(p))


@dataclass(frozen=True, kw_only=True)
class ExpectileLoss(Reference, fastloss.ExpectileLoss):
    r"""Expectile loss of level tau, with the weight a = |tau - [y < p]|.

    .. math::
        l = a (y - p)^2, \quad \partial l / \partial p = 2 a (p - y), \quad
        \partial^2 l / \partial p^2 = 2 a
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        a = np.where(y < p, 1 - self.level, self.level)
        a = np.where(np.isnan(p - y), np.nan, a)
        return a * (p - y) ** 2, 2 * a * (p - y), 2 * a


@dataclass(frozen=True, kw_only=True)
class EpsilonInsensitiveLoss(Reference, fastloss.EpsilonInsensitiveLoss):
    r"""Epsilon-insensitive loss, with u = max(|p - y| - epsilon, 0).

    .. math::
        l = u, \quad \partial l / \partial p = \mathrm{sign}(p - y) [u > 0], \quad
        \partial^2 l / \partial p^2 = 0

    or, squared, u², 2 u sign(p - y) and 2 [u > 0].
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        sign = np.sign(p - y)
        u: Array = np.maximum(np.abs(p - y) - self.epsilon, 0.0)
        if self.squared:
            return u * u, 2 * u * sign, 2.0 * (u > 0).astype(float)
        return u, sign * (u > 0), np.zeros_like(p)


pinball_loss = function_of(PinballLoss)
expectile_loss = function_of(ExpectileLoss)
epsilon_insensitive_loss = function_of(EpsilonInsensitiveLoss)
