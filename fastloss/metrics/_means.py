"""Compute the mean errors of predicted numbers, the one path of all such metrics."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastloss._base import Loss
from fastloss.metrics._inputs import (
    check_array_like,
    check_lengths,
    check_optional,
    dense,
    numbers,
    plain,
    precision,
    refuse,
    report,
    weights,
    zero_weights,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

_BLOCK = 16384  # elements of a block of rows: stays in the cache


def widen(y: Array, p: Array, w: Array | None) -> Array:
    """Return p in float64 if the result has that precision; p decides the kernel's precision."""
    if p.dtype.kind == "f" and p.dtype.itemsize <= 4 and precision(y, p, w).itemsize > 4:
        return p.astype(np.float64)
    return p


def _column_means(mean: Loss, y: Array, p: Array, w: Array | None) -> Array:
    """Return the mean of the losses of each column."""
    n, k = p.shape
    if y.flags.f_contiguous and p.flags.f_contiguous:
        return np.array([mean(y[:, j], p[:, j], w) for j in range(k)])
    losses = mean.replace(reduction="none")
    rows = max(_BLOCK // k, 1)
    block = np.empty((min(rows, n), k))
    one = np.ones(len(block)) if w is None else w
    total = np.zeros(k)
    for start in range(0, n, rows):
        part = slice(start, start + rows)
        out = block[: min(rows, n - start)]
        losses.value(y[part], p[part], out=out)
        total += (one[: len(out)] if w is None else one[part]) @ out
    result: Array = total / (n if w is None else w.sum(dtype=np.float64))
    return result


def _check_multioutput(function: str, multioutput: Any) -> None:
    if isinstance(multioutput, str):
        if multioutput not in ("raw_values", "uniform_average"):
            raise refuse(function, "multioutput",
                         "'raw_values' or 'uniform_average' or an array-like", multioutput)
    else:
        check_array_like(function, multioutput=multioutput)


def read(y_true: Any, y_pred: Any, sample_weight: Any
          ) -> tuple[Array, Array, Array | None, np.dtype[Any]]:
    """Return checked targets and predictions, 2-d, weights, and the dtype of the results."""
    dtype = precision(y_true, y_pred, sample_weight)
    check_lengths(y_true, y_pred, sample_weight)
    y = numbers(y_true, "y_true")
    p = numbers(y_pred, "y_pred")
    w = None if sample_weight is None else weights(sample_weight, len(y))
    y = y.reshape(-1, 1) if y.ndim == 1 else y
    p = p.reshape(-1, 1) if p.ndim == 1 else p
    if y.shape[1] != p.shape[1]:
        raise ValueError("y_true and y_pred have different number of output "
                         f"({y.shape[1]}!={p.shape[1]})")
    if dtype.itemsize > 4 and p.dtype.kind == "f":
        p = p.astype(np.float64, copy=False)
    if dtype == np.float16 and w is not None:   # scikit-learn's weights are float64 then
        dtype = np.dtype(np.float64)
    return y, p, w, dtype


def mean_error(
    function: str,
    mean: Loss,
    y_true: Any,
    y_pred: Any,
    sample_weight: Any,
    multioutput: Any,
    *,
    check: Callable[[Array, Array], None] | None = None,
    replace: Callable[[Array, Array], Array] | None = None,
    root: bool = False,
) -> Any:
    """Return the mean loss of each column, or its average over the columns.

    `mean` is the loss. `replace` returns other targets for checked data. `check` raises for finite
    numbers that the metric does not take.
    """
    if (replace is None and isinstance(multioutput, str)
            and plain(y_true, y_pred, sample_weight)):
        value = mean(y_true, widen(y_true, y_pred, sample_weight), sample_weight)
        # Numbers that are not finite give a mean that is not, even with weight 0. But the sum of
        # finite losses may overflow, which is not an error: the careful way below tells them apart.
        # It also handles the root of a negative mean, which negative weights may give.
        if (multioutput == "uniform_average" and math.isfinite(value)
                and not (root and value < 0)):
            if check is not None:
                check(y_true, y_pred)
            return math.sqrt(value) if root else value

    check_array_like(function, y_true=y_true, y_pred=y_pred)
    check_optional(function, sample_weight=sample_weight)
    _check_multioutput(function, multioutput)
    y, p, w, dtype = read(y_true, y_pred, sample_weight)
    k = p.shape[1]
    output_weights = None
    if function == "root_mean_squared_error" and not isinstance(multioutput, str):
        # scikit-learn leaves the rest to np.average to check
        output_weights = dense(multioutput, "multioutput")
    elif not isinstance(multioutput, str):
        output_weights = numbers(multioutput, "multioutput", parse=False)
        if k == 1:
            raise ValueError("Custom weights are useful only in multi-output cases.")
        if k != len(output_weights):
            raise ValueError("There must be equally many custom weights "
                             f"({len(output_weights)}) as outputs ({k}).")
    if check is not None:
        check(y, p)
    if replace is not None:
        y = replace(y, p)
    if w is not None and w.sum(dtype=np.float64) == 0:
        raise zero_weights()
    if k == 1:
        errors = np.array([mean(y[:, 0], p[:, 0], w)])
    elif output_weights is None and multioutput != "raw_values" and not root:
        # all columns weigh the same
        every = None if w is None else np.broadcast_to(w[:, None], p.shape)
        errors = np.array([mean(y, p, every)])
    else:
        errors = _column_means(mean, y, p, w)
    report(errors)
    if root:
        errors = np.sqrt(errors)
    if output_weights is None and multioutput == "raw_values":
        return errors.astype(dtype, copy=False)
    return float(np.average(errors, weights=output_weights))


