"""Likelihoods of counts and amounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import fastloss
from fastloss.reference._base import Array, Reference, function_of, term

__all__ = [
    "GammaLoss",
    "PoissonLoss",
    "TweedieLoss",
    "gamma_loss",
    "poisson_loss",
    "tweedie_loss",
]


@dataclass(frozen=True, kw_only=True)
class PoissonLoss(Reference, fastloss.PoissonLoss):
    r"""Poisson negative log-likelihood of the log rate z, or of the rate p.

    .. math::
        l &= e^z - y z, \quad \partial l / \partial z = e^z - y, \quad
        \partial^2 l / \partial z^2 = e^z \\
        l &= p - y \ln p, \quad \partial l / \partial p = 1 - y / p, \quad
        \partial^2 l / \partial p^2 = y / p^2
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        if self.log_input:
            rate = np.exp(p)
            return np.where(np.isinf(rate), rate, rate - term(y, p)), rate - y, rate
        return (np.where(p == np.inf, p, p - term(y, np.log(p))), 1 - term(y, 1 / p),
                term(y, 1 / p / p))


@dataclass(frozen=True, kw_only=True)
class GammaLoss(Reference, fastloss.GammaLoss):
    r"""Gamma negative log-likelihood of the log mean z.

    .. math::
        l = z + y e^{-z}, \quad \partial l / \partial z = 1 - y e^{-z}, \quad
        \partial^2 l / \partial z^2 = y e^{-z}
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        ratio = term(y, np.exp(-p))
        return np.where(np.isinf(ratio), ratio, p + ratio), 1 - ratio, ratio


@dataclass(frozen=True, kw_only=True)
class TweedieLoss(Reference, fastloss.TweedieLoss):
    r"""Tweedie negative log-likelihood of the log mean z.

    .. math::
        l &= e^{(2 - k) z} / (2 - k) - y e^{(1 - k) z} / (1 - k) \\
        \partial l / \partial z &= e^{(2 - k) z} - y e^{(1 - k) z} \\
        \partial^2 l / \partial z^2 &= (2 - k) e^{(2 - k) z} - (1 - k) y e^{(1 - k) z}
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        # powers of e^(z / 8), which has the range and, unlike the product a z, the digits
        root = np.exp(p / 8)
        a, b = 2 - self.power, 1 - self.power
        rises, falls = root ** (8 * a), term(y, root ** (8 * b))
        return rises / a - falls / b, rises - falls, a * rises - b * falls


poisson_loss = function_of(PoissonLoss)
gamma_loss = function_of(GammaLoss)
tweedie_loss = function_of(TweedieLoss)
