"""Losses of a class, s = -1 or 1, and a score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import fastloss
from fastloss.reference._base import Array, Reference, function_of, term

__all__ = [
    "ExponentialLoss",
    "HingeLoss",
    "ModifiedHuberLoss",
    "SquaredHingeLoss",
    "exponential_loss",
    "hinge_loss",
    "modified_huber_loss",
    "squared_hinge_loss",
]


def signs(y: Array, labels: tuple[float, float]) -> Array:
    """Return s: -1 for the first of the two labels, 1 for the second."""
    return 2 * y - 1 if labels == (0, 1) else y


@dataclass(frozen=True, kw_only=True)
class HingeLoss(Reference, fastloss.HingeLoss):
    r"""Hinge loss of the score z and the sign s of the class.

    .. math::
        l = \max(1 - s z, 0), \quad \partial l / \partial z = -s \, [s z < 1], \quad
        \partial^2 l / \partial z^2 = 0
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        s = signs(y, self.labels)
        margin = term(s, p)
        return np.maximum(1 - margin, 0), np.where(margin < 1, -s, 0), np.zeros_like(p)


@dataclass(frozen=True, kw_only=True)
class SquaredHingeLoss(Reference, fastloss.SquaredHingeLoss):
    r"""Squared hinge loss of the score z, with u = max(1 - s z, 0).

    .. math::
        l = u^2, \quad \partial l / \partial z = -2 s u, \quad
        \partial^2 l / \partial z^2 = 2 s^2 [u > 0]
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        s = signs(y, self.labels)
        u = np.maximum(1 - term(s, p), 0)
        return u * u, -2 * term(s, u), 2 * s * s * (u > 0)


@dataclass(frozen=True, kw_only=True)
class ModifiedHuberLoss(Reference, fastloss.ModifiedHuberLoss):
    r"""Modified Huber loss of the score z, with m = s z and u = max(1 - m, 0).

    .. math::
        l &= \begin{cases} u^2 & m \ge -1 \\ -4 m & m < -1 \end{cases} \\
        \partial l / \partial z &= -2 s u \text{ or } -4 s, \quad
        \partial^2 l / \partial z^2 = 2 s^2 [u > 0] \text{ or } 0
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        s = signs(y, self.labels)
        m = term(s, p)
        u, line = np.maximum(1 - m, 0), m < -1
        return (np.where(line, -4 * m, u * u), np.where(line, -4 * s, -2 * term(s, u)),
                np.where(line, 0, 2 * s * s * (u > 0)))


@dataclass(frozen=True, kw_only=True)
class ExponentialLoss(Reference, fastloss.ExponentialLoss):
    r"""Exponential loss of the score z, t = 0 or 1 for the two classes.

    .. math::
        l = t e^{-z} + (1 - t) e^z, \quad
        \partial l / \partial z = (1 - t) e^z - t e^{-z}, \quad
        \partial^2 l / \partial z^2 = l
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        t = y if self.labels == (0, 1) else (1 + y) / 2
        falls, rises = term(t, np.exp(-p)), term(1 - t, np.exp(p))
        return falls + rises, rises - falls, falls + rises


hinge_loss = function_of(HingeLoss)
squared_hinge_loss = function_of(SquaredHingeLoss)
modified_huber_loss = function_of(ModifiedHuberLoss)
exponential_loss = function_of(ExponentialLoss)
