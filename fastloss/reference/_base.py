"""What every loss of the reference shares: the method set in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastloss._base import Partial, PredictionLoss
from fastloss._core import elements

# float64, and within the formulas the widest type there is
Array = NDArray[Any]


class Reference(PredictionLoss):
    """The method set, in NumPy: element losses and derivatives, weights, reduction.

    Results are float64, whatever the input, and computed in the widest type that NumPy has, so that
    what rounds or overflows on the way does not show; `n_threads` is taken and not used.
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
        y, p, w = elements.read_inputs(y_true, y_pred, sample_weight)
        single = p.dtype.kind == "f" and p.dtype.itemsize <= 4
        dtype = np.dtype(np.float32 if single else np.float64)
        # labels and weights are rounded to the computation's dtype, as the kernels do
        y64, p64 = y.astype(dtype).astype(np.float64), p.astype(np.float64)
        w64 = np.ones(p.shape) if w is None else w.astype(dtype).astype(np.float64)
        with np.errstate(all="ignore"):
            results = self._elements(y64.astype(np.longdouble), p64.astype(np.longdouble), dtype)
            f, g, h = (a.astype(np.float64) for a in results)
            nan = np.isnan(y64) | np.isnan(p64)
            f, g, h = (np.where(nan, np.nan, a) for a in (f, g, h))
            return w64, w64 * f, w64 * g, w64 * h

    def _divisor(self, weight_sum: float, count: int) -> float:
        """Return what sums are divided by: 0 becomes nan."""
        divisor = {"mean": weight_sum, "sum_over_batch_size": float(count)}
        return divisor.get(self.reduction, 1.0) or np.nan

    def __call__(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None,
        *, out: Any = None, n_threads: int | None = None,
    ) -> Any:
        return self.value(y_true, y_pred, sample_weight, out=out)

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
            return Partial(self, float(f.sum()), float(w.sum()), w.size)

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


def function_of(cls: type[Reference]) -> Callable[..., Any]:
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


def function_of_rows(cls: type[Any]) -> Callable[..., Any]:
    """Return the shorthand for the value of a loss of embeddings, whose data are its `value`'s."""
    parameters = {field.name for field in fields(cls)}

    def function(*data: Any, sample_weight: Any = None, **options: Any) -> Any:
        loss = cls(**{name: options.pop(name) for name in parameters & set(options)})
        return loss.value(*data, sample_weight, **options)

    function.__doc__ = f"Value of `{cls.__name__}`, whose parameters are keywords."
    return function


def term(weight: Array, value: Array) -> Array:
    """Return weight * value, and 0 where the weight is 0, also for an infinite value."""
    return np.where(weight == 0, 0.0, weight * value)
