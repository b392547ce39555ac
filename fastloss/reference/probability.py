"""Losses of labels 0 and 1, or between, and predicted probabilities or logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import fastloss
from fastloss.reference._base import Array, Reference, function_of, term

__all__ = [
    "FocalLoss",
    "KLDivergenceLoss",
    "LogLoss",
    "focal_loss",
    "kl_divergence_loss",
    "log_loss",
]


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + e^-z), also where that would overflow."""
    e = np.exp(-np.abs(z))
    probability: Array = np.where(z < 0, e, 1.0) / (1 + e)
    return probability


@dataclass(frozen=True, kw_only=True)
class LogLoss(Reference, fastloss.LogLoss):
    r"""Log loss of the probability p of label 1, clipped to q in [eps, 1 - eps], or of a logit z.

    .. math::
        l &= -c y \ln q - (1 - y) \ln(1 - q) \\
        \partial l / \partial p &= (1 - y) / (1 - q) - c y / q \\
        \partial^2 l / \partial p^2 &= (1 - y) / (1 - q)^2 + c y / q^2

    Both derivatives are 0 where p was clipped. ln(1 - q) is log1p(-q), and the upper end is
    clipped by 1 - p, so that neither suffers from 1 - eps rounding. From logits:

    .. math::
        l &= (1 - y) \ln(1 + e^z) + c y \ln(1 + e^{-z}), \quad q = 1 / (1 + e^{-z}) \\
        \partial l / \partial z &= (1 - y) q - c y (1 - q) \\
        \partial^2 l / \partial z^2 &= (1 - y + c y) q (1 - q)

    Smoothing replaces y by y (1 - a) + a / 2.
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        scale, shift = 1 - self.label_smoothing, self.label_smoothing / 2
        near, far = self.pos_weight * (scale * y + shift), scale * (1 - y) + shift
        if self.from_logits:
            q, r = sigmoid(p), sigmoid(-p)
            return (term(far, np.logaddexp(0, p)) + term(near, np.logaddexp(0, -p)),
                    far * q - near * r, (near + far) * q * r)
        eps = float(np.finfo(dtype).eps) if self.eps == "auto" else self.eps
        low, high = p < eps, 1 - p < eps
        log_q = np.where(high, np.log1p(-eps), np.log(np.maximum(p, eps)))
        log_r = np.where(high, np.log(eps), np.log1p(-np.maximum(p, eps)))
        clipped = 0.0
        if eps == 0:  # not clipped: a number outside [0, 1] is no probability
            log_q = np.where(low | high, np.nan, log_q)
            log_r = np.where(low | high, np.nan, log_r)
            clipped = np.nan
        inverse_q, inverse_r = 1 / p, 1 / (1 - p)
        grad = term(far, inverse_r) - term(near, inverse_q)
        hess = term(far, inverse_r * inverse_r) + term(near, inverse_q * inverse_q)
        return (0.0 - (term(near, log_q) + term(far, log_r)),
                np.where(low | high, clipped, grad), np.where(low | high, clipped, hess))


@dataclass(frozen=True, kw_only=True)
class FocalLoss(Reference, fastloss.FocalLoss):
    r"""Focal loss of the logit z, with p the probability of the label and q = 1 - p.

    .. math::
        p &= 1 / (1 + e^{-s z}), \quad s = 2 y - 1, \quad a = y \alpha + (1 - y) (1 - \alpha) \\
        l &= -a q^\gamma \ln p \\
        \partial l / \partial z &= s a q^\gamma (\gamma p \ln p - q) \\
        \partial^2 l / \partial z^2 &= s^2 a p q^\gamma (\gamma \ln p \, (q - \gamma p)
            + q (2 \gamma + 1))
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        s, gamma = 2 * y - 1, self.gamma
        x = term(s, p)
        chance, miss = sigmoid(x), sigmoid(-x)
        log_chance = -np.logaddexp(0, -x)
        weight = (y * self.alpha + (1 - y) * (1 - self.alpha)) * miss**gamma
        chance_log = term(chance, log_chance)
        return (0.0 - term(weight, log_chance), s * term(weight, gamma * chance_log - miss),
                s * s * term(weight, gamma * chance_log * (miss - gamma * chance)
                             + chance * miss * (2 * gamma + 1)))


@dataclass(frozen=True, kw_only=True)
class KLDivergenceLoss(Reference, fastloss.KLDivergenceLoss):
    r"""Kullback-Leibler divergence of the target probability y = t and p.

    .. math::
        l = t (\ln t - \ln p), \quad \partial l / \partial p = -t / p, \quad
        \partial^2 l / \partial p^2 = t / p^2

    The logarithm of t / p is 2 artanh((t - p) / (t + p)) where the two are close.
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        p = p + 0.0     # -0 is 0
        ratio = y / p
        usual = (ratio > 0) & (ratio < np.inf)
        log_ratio = np.where(usual, np.log(ratio), np.log(y) - np.log(p))
        near = np.abs(y - p) < 0.3 * (y + p)
        log_ratio = np.where(near, 2 * np.arctanh((y - p) / (y + p)), log_ratio)
        return term(y, log_ratio), 0.0 - term(y, 1 / p), term(y, 1 / p / p)


log_loss = function_of(LogLoss)
focal_loss = function_of(FocalLoss)
kl_divergence_loss = function_of(KLDivergenceLoss)
