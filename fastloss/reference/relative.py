"""Losses of relative errors: deviances, logarithms, percentages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import fastloss
from fastloss.reference._base import Array, Reference, function_of, term

__all__ = [
    "AbsolutePercentageLoss",
    "SquaredLogLoss",
    "TweedieDevianceLoss",
    "absolute_percentage_loss",
    "squared_log_loss",
    "tweedie_deviance_loss",
]


@dataclass(frozen=True, kw_only=True)
class TweedieDevianceLoss(Reference, fastloss.TweedieDevianceLoss):
    r"""Tweedie deviance of the mean p, of which the variance is p^k.

    .. math::
        l &= 2 \left(\frac{\max(y, 0)^{2 - k}}{(1 - k) (2 - k)} - \frac{y p^{1 - k}}{1 - k}
            + \frac{p^{2 - k}}{2 - k}\right) \\
        \partial l / \partial p &= 2 (p - y) p^{-k} \\
        \partial^2 l / \partial p^2 &= 2 p^{-k} (1 + k (y - p) / p)

    or 2 (y ln(y / p) - y + p) for k = 1 and 2 (ln(p / y) + y / p - 1) for k = 2. For y close
    to p, where that cancels, it is computed as the integral of 2 (y - t) / t^k from p to y.
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        p = p + 0.0     # -0 is 0
        k, e = self.power, y - p
        if k == 0:
            return e * e, -2 * e, np.full_like(p, 2.0)
        p = np.where((p < 0) & (k not in (1, 2)), np.nan, p)
        f = np.where(np.abs(e) < 0.3 * (y + p), self._close(e, p), self._apart(y, p))
        f = 2 * np.where((p > 0) & (p < np.inf) & (np.abs(y) < np.inf), f, self._textbook(y, p))
        slope = 2 * np.abs(p) ** -k
        if k == 1:      # at p = y = 0 it has a derivative
            return f, np.where(y == 0, 2, -2 * (e / p)), term(y, 2 / p / p)
        return f, term(-e, slope), slope * (1 + k * (e / p))

    def _textbook(self, y: Array, p: Array) -> Array:
        """Return half the deviance as the textbook has it, for what is no positive number."""
        k = self.power
        result: Array
        if k == 1:
            result = term(y, np.log(y / p)) - (y - p)
            return result
        if k == 2:
            r = y / p
            return np.where(np.isinf(r), r, r - 1 - np.log(r))
        power = np.where(y > 0, np.abs(y), 0.0) ** (2 - k)
        product, rest = term(y, p ** (1 - k)), p ** (2 - k)
        result = power / ((1 - k) * (2 - k)) - product / (1 - k) + rest / (2 - k)
        return np.where(power + product + rest == np.inf, np.inf, result)   # the limit

    def _close(self, e: Array, p: Array) -> Array:
        """Return half the deviance as an integral, e = y - p."""
        nodes, weights = np.polynomial.legendre.leggauss(24)
        nodes, weights = (nodes + 1) / 2, weights / 2
        r = 1 + nodes * (e / p)[..., None]
        mean = np.sum(weights * (1 - nodes) * r ** -self.power, axis=-1)
        return term(e / p * (e / p) * mean, p ** (2 - np.longdouble(self.power)))

    def _apart(self, y: Array, p: Array) -> Array:
        """Return half the deviance, where y and p are not close.

        With r = y / p it is p^a ((r^a - 1) / a - (r - 1)) / b, or p^a (r (r^b - 1) / b -
        (r - 1)) / a, of which one does not cancel; (r^a - 1) / a is ln r at a = 0.
        """
        a, b = 2 - np.longdouble(self.power), 1 - np.longdouble(self.power)
        r = np.maximum(y, 0) / p
        x = np.log(r)
        if abs(b) < 0.5:
            phi = (term(r, growth(b, x)) - (y / p - 1)) / a
        else:
            phi = (growth(a, x) - (y / p - 1)) / b
        # r^a is beyond the range, and all there is to it
        return np.where(np.isinf(phi) & (y > 0) & (p > 0), np.abs(y) ** a / (a * b), p**a * phi)


def growth(k: np.longdouble, x: Array) -> Array:
    """Return (e^(k x) - 1) / k, and its limit x."""
    result: Array = np.expm1(k * x) / k if k else x
    return result


@dataclass(frozen=True, kw_only=True)
class SquaredLogLoss(Reference, fastloss.SquaredLogLoss):
    r"""Squared logarithmic loss, d = ln(1 + p) - ln(1 + y).

    .. math::
        l = d^2, \quad \partial l / \partial p = 2 d / (1 + p), \quad
        \partial^2 l / \partial p^2 = 2 (1 - d) / (1 + p)^2

    Where p is close to y, d is 2 artanh((p - y) / (2 + p + y)).
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        e = p - y
        v = e / (2 + p + y)
        d = np.where(np.abs(v) < 0.9, 2 * np.arctanh(v), np.log1p(p) - np.log1p(y))
        d = np.where((p < -1) | (y < -1), np.nan, np.where((e == 0) & (p > -1), 0, d))
        return d * d, 2 * d / (1 + p), 2 * (1 - d) / (1 + p) / (1 + p)


@dataclass(frozen=True, kw_only=True)
class AbsolutePercentageLoss(Reference, fastloss.AbsolutePercentageLoss):
    r"""Absolute error over the size of the target.

    .. math::
        l = |p - y| / \max(|y|, \epsilon), \quad
        \partial l / \partial p = \mathrm{sign}(p - y) / \max(|y|, \epsilon), \quad
        \partial^2 l / \partial p^2 = 0
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        size = np.maximum(np.abs(y), self.eps)
        return np.abs(p - y) / size, np.sign(p - y) / size, np.zeros_like(p)


tweedie_deviance_loss = function_of(TweedieDevianceLoss)
squared_log_loss = function_of(SquaredLogLoss)
absolute_percentage_loss = function_of(AbsolutePercentageLoss)
