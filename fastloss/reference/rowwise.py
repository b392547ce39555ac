"""Losses of rows of class scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

import fastloss
from fastloss._core import rows as core
from fastloss.reference._base import Array, Reference, function_of, term
from fastloss.reference.probability import LogLoss

__all__ = ["CrossEntropyLoss", "cross_entropy_loss"]


@dataclass(frozen=True, kw_only=True)
class CrossEntropyLoss(Reference, fastloss.CrossEntropyLoss):
    r"""Cross entropy of a row of scores z, with targets t and class weights c.

    .. math::
        l &= \sum_j c_j t_j \left(\ln \sum_i e^{z_i} - z_j\right),
        \quad s_j = e^{z_j} / \sum_i e^{z_i}, \quad T = \sum_j c_j t_j \\
        \partial l / \partial z_j &= T s_j - c_j t_j \\
        \partial^2 l / \partial z_j^2 &= T s_j (1 - s_j)

    t is 1 for the class that came, or given, and smoothed to :math:`(1 - \epsilon) t +
    \epsilon / C`. The largest z is left out of the sum of exponentials, so that the logarithm is
    a log1p of a sum of positive numbers. Of probabilities p it is :math:`-\sum_j c_j t_j \ln p_j`,
    clipped as in `LogLoss`.
    """

    def _targets(self, y: Any, dtype: np.dtype[Any], classes: int) -> tuple[Array, Array, Array]:
        """Return c t of all rows, which rows count, and the weights of their labels."""
        c = np.ones(classes) if self.class_weight is None else np.array(self.class_weight)
        counts = np.ones(len(y), bool)
        share = np.ones(len(y))
        if y.ndim == 2:
            t = y.astype(dtype).astype(np.float64)
        else:
            if self.ignore_index is not None:
                counts = y != self.ignore_index
            labels = np.where(counts, y, 0)
            if np.any((labels < 0) | (labels >= classes) | (labels != np.floor(labels))):
                raise ValueError(f"y_true must hold class numbers from 0 to {classes - 1}")
            share = c[labels.astype(np.intp)] if classes else share
            t = (labels[:, None] == np.arange(classes)).astype(np.float64)
        return c * ((1 - self.label_smoothing) * t + self.label_smoothing / classes), counts, share

    def _logits(self, z: Array, t: Array) -> tuple[Array, Array, Array]:
        m = np.fmax.reduce(z, axis=1, keepdims=True, initial=-np.inf)
        d = np.where(z == m, 0.0, z - m)
        e = np.exp(d)
        largest = np.arange(z.shape[1]) == np.argmax(z == m, axis=1)[:, None]
        rest = np.sum(np.where(largest, 0.0, e), axis=1, keepdims=True)
        rest = np.where(np.isinf(m) & (rest > 0), np.nan, rest)
        s = e / (1 + rest)
        lacks = np.where(largest, rest / (1 + rest), 1 - s)
        total = t.sum(axis=1, keepdims=True)
        # without a limit, also where no class has a target
        f = np.where(np.isnan(rest[:, 0]), np.nan, np.sum(term(t, np.log1p(rest) - d), axis=1))
        return (f, (total - t) * s - t * lacks,
                total * s * lacks)

    def _probabilities(
        self, p: Array, t: Array, dtype: np.dtype[Any]
    ) -> tuple[Array, Array, Array]:
        log = LogLoss(eps=self.eps)
        f, g, h = log._elements(np.ones_like(p), p, dtype)
        value = np.sum(term(t, f), axis=1)
        if self.eps == 0:   # not clipped: a number outside [0, 1] is no probability
            value = np.where(np.any((p < 0) | (p > 1), axis=1), np.nan, value)
        return value, term(t, g), term(t, h)

    def _weighted(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[Array, Array, Array, Array]:
        """Return what counts in a mean, w l, w l' and w l''."""
        y, p, w = core.read_rows(y_true, y_pred, sample_weight)
        dtype = np.dtype(np.float32 if p.dtype.kind == "f" and p.dtype.itemsize <= 4
                         else np.float64)
        w64 = np.ones(len(p)) if w is None else w.astype(dtype).astype(np.float64)
        with np.errstate(all="ignore"):
            t, counts, share = self._targets(y, dtype, p.shape[1])
            z, t = p.astype(np.longdouble), t.astype(np.longdouble)
            f, g, h = self._logits(z, t) if self.from_logits else self._probabilities(z, t, dtype)
            f, g, h = (a.astype(np.float64) for a in (f, g, h))
            f = np.where(np.isnan(z).any(axis=1) | np.isnan(t).any(axis=1), np.nan, f)
            nan, counted = np.isnan(f)[:, None], counts[:, None]
            g, h = (np.where(counted, np.where(nan, np.nan, w64[:, None] * a), 0.0) for a in (g, h))
            return (w64 * share)[counts], np.where(counts, w64 * f, 0.0), g, h

    def _results(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None,
        out: Any, *wanted: str,
    ) -> tuple[Any, ...]:
        results = super()._results(y_true, y_pred, sample_weight, out, *wanted)
        y = np.asarray(y_true)
        for name, result in zip(wanted, results, strict=True):
            if name != "value" and y.ndim == 1 and self.ignore_index is not None:
                result[y == self.ignore_index] = 0      # also where no row counts
        return results


cross_entropy_loss = function_of(CrossEntropyLoss)
