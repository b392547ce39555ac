"""Read labels and predicted probabilities of any kind, and compute their losses."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from fastloss._base import Loss
from fastloss.metrics._classes import Classes, classify, read_labels, read_target
from fastloss.metrics._inputs import (
    check_lengths,
    dense,
    is_extension,
    is_plain,
    numbers,
    report,
    weights,
    zero_weights,
)
from fastloss.pointwise.probability import LogLoss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

ONE = np.ones(1)
MEAN_LOG = LogLoss(eps="auto")
SUM_LOG = LogLoss(eps="auto", reduction="sum")


def _in_unit_range(p: Array) -> bool:
    return bool(p.min() >= 0 and p.max() <= 1)


def plain_binary(y: Any, p: Any, w: Any) -> bool:
    """Whether these are labels, probabilities of one class and weights as the kernels take them."""
    return (type(p) is np.ndarray and p.ndim == 1 and p.size > 0 and p.dtype.char in "fd"
            and p.dtype.isnative and is_plain(y, p.size)
            and (w is None or (is_plain(w, p.size) and _same_precision(p, w)))
            and _in_unit_range(p))


def _same_precision(p: Array, w: Array) -> bool:
    """Whether the kernel for p reads the weights as they are; scikit-learn widens the losses."""
    return p.dtype.itemsize == 8 or w.dtype.kind != "f" or w.dtype.itemsize <= 4


def probabilities(y_proba: Any) -> Array:
    """Return predicted probabilities as a float array of one or two dimensions.

    As in scikit-learn, lists, also of NumPy's numbers, pandas' Float32 and bytes in another order
    are float64.
    """
    p = numbers(y_proba, "y_proba")
    typed = (hasattr(y_proba, "dtype") or hasattr(y_proba, "dtypes")) and not is_extension(y_proba)
    if p.dtype.kind == "f" and p.dtype.isnative and typed:
        return p
    return p.astype(np.float64, copy=False)


def _check_range(p: Array) -> None:
    if p.max() > 1:
        raise ValueError(f"y_prob contains values greater than 1: {p.max()}")
    if p.min() < 0:
        raise ValueError(f"y_prob contains values lower than 0, less than allowed: {p.min()}")


def checked(y_true: Any, p: Array, sample_weight: Any, labels: Any
             ) -> tuple[Classes, Array, Array | None]:
    """Return classes, probabilities and weights after all checks; a single column as 1-d."""
    _check_range(p)
    check_lengths(p, y_true, sample_weight)
    w = None if sample_weight is None else weights(sample_weight, len(p), parse=False)
    classes = classify(y_true, labels)
    if p.ndim == 2 and p.shape[1] == 1:
        p = p[:, 0]
    if p.ndim == 2:
        total = p @ np.ones(p.shape[1], dtype=p.dtype)
        slack = 1e-8 + math.sqrt(np.finfo(p.dtype).eps)
        if total.min() < 1 - slack or total.max() > 1 + slack:
            warnings.warn("The y_prob values do not sum to one. Make sure to pass probabilities.",
                          UserWarning, stacklevel=3)
    columns = 2 if p.ndim == 1 else p.shape[1]
    if len(classes.labels) != columns:
        if labels is None:
            raise ValueError("y_true and y_prob contain different number of classes: "
                             f"{len(classes.labels)} vs {columns}. Please provide the true labels "
                             "explicitly through the labels argument. Classes found in y_true: "
                             f"{classes.labels}")
        raise ValueError("The number of classes in labels is different from that in y_prob. "
                         f"Classes found in labels: {classes.labels}")
    return classes, p, w


def reduce(loss: Loss, y: Any, p: Array, w: Array | None) -> float:
    """Return the value of a loss that is a weighted mean or sum."""
    normalize = loss.reduction == "mean"
    if w is not None and normalize and w.sum(dtype=np.float64) == 0:
        raise zero_weights()
    if w is not None and not _same_precision(p, w):
        losses = loss.replace(reduction="none")(y, p)
        return float(np.average(losses, weights=w) if normalize else np.dot(losses, w))
    value = float(loss(y, p, w))
    if w is None or not np.isnan(w).any():
        report(value)
    return value


def log_loss_of(classes: Classes, p: Array, w: Array | None, normalize: bool) -> float:
    """Return the mean or sum of the log losses, with the ε of the dtype of p."""
    loss = MEAN_LOG if normalize else SUM_LOG
    if p.dtype == np.float16:   # which is computed in float32
        loss = loss.replace(eps=float(np.finfo(p.dtype).eps))
    if classes.indicator is not None:  # a sample may have any number of labels
        if p.ndim == 1:
            p = p.astype(np.float64)
            p = np.stack((1 - p, p), axis=1)
        counted = (classes.indicator if w is None
                   else np.multiply(classes.indicator, w[:, None], dtype=np.float64))
        value: float = loss.replace(reduction="sum")(np.broadcast_to(ONE, p.shape), p, counted)
        if normalize and w is not None and w.sum(dtype=np.float64) == 0:
            raise zero_weights()
        if normalize:
            value /= float(len(p) if w is None else w.sum(dtype=np.float64))
        report(value)
        return value
    if p.ndim == 1:
        return reduce(loss, classes.codes, p, w)
    if p.shape[1] == 2:
        picked = np.where(classes.codes, p[:, 1], p[:, 0])
    else:
        picked = np.take_along_axis(p, classes.codes[:, None].astype(np.intp, copy=False),
                                    axis=1)[:, 0]
    return reduce(loss, np.broadcast_to(ONE, picked.shape), picked, w)


def checked_binary(y_true: Any, p: Array, sample_weight: Any, pos_label: Any
                    ) -> tuple[Array, Array, Array | None]:
    """Return which targets are positive, probabilities and weights, after all checks."""
    labels = dense(y_true, "y_true")
    if not labels.ndim:
        raise ValueError(f"y_true should be a 1d array, got the scalar {y_true!r}")
    if labels.dtype == object and any(isinstance(label, float) and label != label
                                      for label in labels.flat):
        raise ValueError("Input y_true contains NaN.")
    check_lengths(p, y_true, sample_weight)
    w = None if sample_weight is None else weights(sample_weight, len(p), parse=False)
    y, kind, found, codes = read_target(read_labels(y_true))
    p = p.reshape(-1)
    if kind != "binary" or codes is None:
        raise ValueError(f"The type of the target inferred from y_true is {kind} but should be "
                         "binary according to the shape of y_prob.")
    _check_range(p)
    if pos_label is None:
        if y.dtype.kind in "OUST":
            listed = ", ".join(repr(label) for label in found.tolist())
            raise ValueError(f"y_true takes value in {{{listed}}} and pos_label is not "
                             "specified: either make y_true take value in {0, 1} or {-1, 1} or "
                             "pass pos_label explicitly.")
        usual = found.tolist() in ([0, 1], [-1, 1], [0], [-1], [1])
        pos_label = 1 if usual else found[-1]
    if isinstance(pos_label, np.generic):   # which fail beside integers of more bits
        pos_label = pos_label.item()
    positive = [label == pos_label for label in found.tolist()]
    return np.asarray(positive)[codes.astype(np.intp)], p, w
