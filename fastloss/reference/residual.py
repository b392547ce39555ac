"""Losses of the residual, alike on both sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import fastloss
from fastloss.reference._base import Array, Reference, function_of

__all__ = [
    "AbsoluteLoss",
    "HuberLoss",
    "LogCoshLoss",
    "PseudoHuberLoss",
    "SquaredLoss",
    "absolute_loss",
    "huber_loss",
    "log_cosh_loss",
    "pseudo_huber_loss",
    "squared_loss",
]


@dataclass(frozen=True, kw_only=True)
class AbsoluteLoss(Reference, fastloss.AbsoluteLoss):
    r"""Absolute loss.

    .. math::
        l = |y - p|, \quad \partial l / \partial p = \mathrm{sign}(p - y), \quad
        \partial^2 l / \partial p^2 = 0
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        return np.abs(p - y), np.sign(p - y), np.zeros_like(p)


@dataclass(frozen=True, kw_only=True)
class SquaredLoss(Reference, fastloss.SquaredLoss):
    r"""Squared loss.

    .. math::
        l = (p - y)^2, \quad \partial l / \partial p = 2 (p - y), \quad
        \partial^2 l / \partial p^2 = 2
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        return (p - y) ** 2, 2 * (p - y), np.full_like(p, 2.0)


@dataclass(frozen=True, kw_only=True)
class HuberLoss(Reference, fastloss.HuberLoss):
    r"""Huber loss of the residual e = p - y.

    .. math::
        l &= \begin{cases} e^2 / 2 & |e| \le \delta \\
             \delta (|e| - \delta / 2) & |e| > \delta \end{cases} \\
        \partial l / \partial p &= \min(\max(e, -\delta), \delta), \quad
        \partial^2 l / \partial p^2 = [|e| \le \delta]
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        e, delta = p - y, self.delta
        inside = np.abs(e) <= delta
        return (np.where(inside, e * e / 2, delta * (np.abs(e) - delta / 2)),
                np.clip(e, -delta, delta), np.where(np.isnan(e), np.nan, inside))


@dataclass(frozen=True, kw_only=True)
class PseudoHuberLoss(Reference, fastloss.PseudoHuberLoss):
    r"""Pseudo-Huber loss of the residual e = p - y, with s = sqrt(1 + (e / delta)²).

    .. math::
        l &= \delta^2 (s - 1) \\
        \partial l / \partial p &= e / s, \quad \partial^2 l / \partial p^2 = 1 / s^3

    The loss is computed as e² / (1 + s), which does not cancel.
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        e, delta = p - y, self.delta
        s = np.hypot(1, e / delta)
        f = np.where(np.isinf(s), np.inf, e / (1 + s) * e)
        return f, np.where(np.isinf(s), delta * np.sign(e), e / s), s**-3.0


@dataclass(frozen=True, kw_only=True)
class LogCoshLoss(Reference, fastloss.LogCoshLoss):
    r"""Log-cosh loss of the residual e = p - y.

    .. math::
        l &= \ln \cosh e \\
        \partial l / \partial p &= \tanh e, \quad \partial^2 l / \partial p^2 = 1 / \cosh^2 e

    The loss is computed as |e| + log1p(e^(-2|e|)) - ln 2 and, for small e, as
    log1p(2 sinh²(e / 2)).
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        e = p - y
        size = np.abs(e)
        near = np.log1p(2 * np.sinh(np.minimum(size, 1) / 2) ** 2)
        far = size + (np.log1p(np.exp(-2 * size)) - np.log(2))
        # 1 / cosh, also where cosh overflows
        sech = 2 * np.exp(-size) / (1 + np.exp(-2 * size))
        return np.where(size < 1, near, far), np.tanh(e), sech * sech


absolute_loss = function_of(AbsoluteLoss)
squared_loss = function_of(SquaredLoss)
huber_loss = function_of(HuberLoss)
pseudo_huber_loss = function_of(PseudoHuberLoss)
log_cosh_loss = function_of(LogCoshLoss)
