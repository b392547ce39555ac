"""What the losses mean: NumPy, float64, the same names and methods as `fastloss`.

This is the place to read what a loss is, and the oracle that the fused kernels are tested
against. Each class derives from its counterpart, which holds the parameters, and adds the
formula, as arrays in numerically stable form; the textbook formula is in its docstring. The
arithmetic shares nothing with the kernels. Slow, and never used behind the user's back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import fastloss
from fastloss import _call
from fastloss._base import Loss, Partial, number, parameter

__all__ = [
    "AbsoluteLoss",
    "ContrastiveLoss",
    "LogLoss",
    "QualityLoss",
    "SquaredLoss",
    "absolute_loss",
    "contrastive_loss",
    "log_loss",
    "quality_loss",
    "squared_loss",
]

Array = NDArray[np.float64]


class _Reference(Loss):
    """The method set, in NumPy: element losses and derivatives, weights, reduction.

    Results are float64, whatever the input; `n_threads` is taken and not used.
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        """Return element losses, first and second derivatives in p.

        `dtype` is the one the kernels would compute in; only a machine epsilon depends on it.
        """
        raise TypeError(f"{type(self).__name__} has no formula")

    def _weighted(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[Array, Array, Array, Array]:
        """Return w, w l, w l' and w l''."""
        y, p, w = _call.read_inputs(y_true, y_pred, sample_weight)
        single = p.dtype.kind == "f" and p.dtype.itemsize <= 4
        dtype = np.dtype(np.float32 if single else np.float64)
        # labels and weights are rounded to the computation's dtype, as the kernels do
        y64, p64 = y.astype(dtype).astype(np.float64), p.astype(np.float64)
        w64 = np.ones(p.shape) if w is None else w.astype(dtype).astype(np.float64)
        with np.errstate(all="ignore"):
            f, g, h = self._elements(y64, p64, dtype)
            nan = np.isnan(y64) | np.isnan(p64)
            f, g, h = (np.where(nan, np.nan, a) for a in (f, g, h))
            return w64, w64 * f, w64 * g, w64 * h

    def _divisor(self, weight_sum: float, count: int) -> float:
        """Return what sums are divided by: 0 becomes nan."""
        divisor = {"mean": weight_sum, "sum_over_batch_size": float(count)}
        return divisor.get(self.reduction, 1.0) or np.nan

    def __call__(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Any:
        return self.value(y_true, y_pred, sample_weight)

    def value(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None,
        *, out: Any = None, n_threads: int | None = None,
    ) -> Any:
        return self._results(y_true, y_pred, sample_weight, out, "value")[0]

    def grad(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None,
        *, out: Any = None, n_threads: int | None = None,
    ) -> Any:
        return self._results(y_true, y_pred, sample_weight, out, "grad")[0]

    def value_and_grad(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None,
        *, out: Any = None, n_threads: int | None = None,
    ) -> Any:
        if self.reduction != "none" and out is not None:
            out = (None, out)
        return self._results(y_true, y_pred, sample_weight, out, "value", "grad")

    def grad_and_hess(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None,
        *, out: Any = None, n_threads: int | None = None,
    ) -> Any:
        return self._results(y_true, y_pred, sample_weight, out, "grad", "hess")

    def partial(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None,
        *, n_threads: int | None = None,
    ) -> Partial:
        if self.reduction == "none":
            raise ValueError("partial needs a reduction, got reduction='none'")
        w, f, _, _ = self._weighted(y_true, y_pred, sample_weight)
        with np.errstate(all="ignore"):
            return Partial(self, float(f.sum()), float(w.sum()), f.size)

    def _results(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None,
        out: Any, *wanted: str,
    ) -> tuple[Any, ...]:
        w, f, g, h = self._weighted(y_true, y_pred, sample_weight)
        with np.errstate(all="ignore"):
            divisor = self._divisor(float(w.sum()), w.size)
            results: dict[str, Any] = {"grad": g / divisor, "hess": h / divisor, "value": f}
            if self.reduction != "none":
                results["value"] = float(f.sum() / divisor)
        outs = out if isinstance(out, (tuple, list)) else (out,) * len(wanted)
        for name, target in zip(wanted, outs, strict=True):
            if target is not None:
                target[...] = results[name]
                results[name] = target
        return tuple(results[name] for name in wanted)


def _function(cls: type[_Reference]) -> Callable[..., Any]:
    """Return the shorthand for the value of a loss."""

    def function(
        y_true: ArrayLike,
        y_pred: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        n_threads: int | None = None,
        **parameters: Any,
    ) -> Any:
        return cls(**parameters).value(y_true, y_pred, sample_weight)

    function.__doc__ = f"Value of `{cls.__name__}`, whose parameters are keywords."
    return function


def _term(weight: Array, value: Array) -> Array:
    """Return weight * value, and 0 where the weight is 0, also for an infinite value."""
    return np.where(weight == 0, 0.0, weight * value)


@dataclass(frozen=True, kw_only=True)
class ContrastiveLoss(_Reference, fastloss.ContrastiveLoss):
    r"""Contrastive loss of the distance p of a pair, y = 1 if similar.

    .. math::
        l &= y p^2 + (1 - y) \max(m - p, 0)^2 \\
        \partial l / \partial p &= 2 y p - 2 (1 - y) \max(m - p, 0) \\
        \partial^2 l / \partial p^2 &= 2 y + 2 (1 - y) [p < m]

    ``form="half"`` is half of it, ``form="linear"`` has no squares. With a pos_margin, p is
    max(p - pos_margin, 0) in the similar term. ``similar_label=0`` swaps y and 1 - y.
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        near, far = (1 - y, y) if self.similar_label == 0 else (y, 1 - y)
        v = np.maximum(self.margin - p, 0)
        pushes = (p < self.margin).astype(float)
        if self.pos_margin is None:
            u, pulls = p, np.ones_like(p)
        else:
            u = np.maximum(p - self.pos_margin, 0)
            pulls = (p > self.pos_margin).astype(float)
        if self.form == "linear":
            return (_term(near, u) + _term(far, v), _term(near, pulls) - _term(far, pushes),
                    np.zeros_like(p))
        scale = 0.5 if self.form == "half" else 1.0
        return (scale * (_term(near, u * u) + _term(far, v * v)),
                2 * scale * (_term(near, u) - _term(far, v)),
                2 * scale * (_term(near, pulls) + _term(far, pushes)))


@dataclass(frozen=True, kw_only=True)
class QualityLoss(ContrastiveLoss):
    r"""The contrastive loss with margin m = 0.5.

    .. math:: l = y p^2 + (1 - y) \max(m - p, 0)^2
    """

    margin: float = parameter(0.5, number(low=0))


@dataclass(frozen=True, kw_only=True)
class LogLoss(_Reference, fastloss.LogLoss):
    r"""Log loss of the probability p of label 1, clipped to q in [eps, 1 - eps].

    .. math::
        l &= -y \ln q - (1 - y) \ln(1 - q) \\
        \partial l / \partial p &= (1 - y) / (1 - q) - y / q \\
        \partial^2 l / \partial p^2 &= (1 - y) / (1 - q)^2 + y / q^2

    Both derivatives are 0 where p was clipped. ln(1 - q) is log1p(-q), and the upper end is
    clipped by 1 - p, so that neither suffers from 1 - eps rounding.
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
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
        grad = _term(1 - y, inverse_r) - _term(y, inverse_q)
        hess = _term(1 - y, inverse_r * inverse_r) + _term(y, inverse_q * inverse_q)
        return (0.0 - (_term(y, log_q) + _term(1 - y, log_r)),
                np.where(low | high, clipped, grad), np.where(low | high, clipped, hess))


@dataclass(frozen=True, kw_only=True)
class AbsoluteLoss(_Reference, fastloss.AbsoluteLoss):
    r"""Absolute loss.

    .. math::
        l = |y - p|, \quad \partial l / \partial p = \mathrm{sign}(p - y), \quad
        \partial^2 l / \partial p^2 = 0
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        return np.abs(p - y), np.sign(p - y), np.zeros_like(p)


@dataclass(frozen=True, kw_only=True)
class SquaredLoss(_Reference, fastloss.SquaredLoss):
    r"""Squared loss.

    .. math::
        l = (p - y)^2, \quad \partial l / \partial p = 2 (p - y), \quad
        \partial^2 l / \partial p^2 = 2
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        return (p - y) ** 2, 2 * (p - y), np.full_like(p, 2.0)


contrastive_loss = _function(ContrastiveLoss)
quality_loss = _function(QualityLoss)
log_loss = _function(LogLoss)
absolute_loss = _function(AbsoluteLoss)
squared_loss = _function(SquaredLoss)
