"""Metrics of predicted probabilities and decisions."""

from __future__ import annotations

import math
import warnings
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from fastloss._labels import factorize, recode
from fastloss.metrics._classes import check_known, check_labels, read_labels, two_values
from fastloss.metrics._inputs import (
    check_array_like,
    check_lengths,
    check_optional,
    column,
    dense,
    floats,
    length,
    numbers,
    refuse,
    sklearn_class,
    zero_weights,
)
from fastloss.metrics._probabilities import (
    MEAN_LOG,
    ONE,
    SUM_LOG,
    checked,
    checked_binary,
    log_loss_of,
    plain_binary,
    probabilities,
    reduce,
)
from fastloss.pointwise.margin import HingeLoss
from fastloss.pointwise.residual import SquaredLoss

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

MEAN_SQUARED = SquaredLoss()
MEAN_HINGE = HingeLoss()


def _renamed(function: str, y_proba: Any, y_pred: Any) -> Any:
    """Return the probabilities, whichever of their two names they came by."""
    if isinstance(y_pred, str) and y_pred == "deprecated":
        return y_proba
    if not isinstance(y_pred, str):
        check_array_like(function, y_pred=y_pred)
    if y_proba is not None:
        raise ValueError("Cannot use both `y_pred` and `y_proba`. `y_pred` is deprecated, use "
                         "`y_proba` instead.")
    warnings.warn("`y_pred` was renamed to `y_proba` in version 1.9 and will be removed in 1.11. "
                  "Use `y_proba` instead.", FutureWarning, stacklevel=3)
    return y_pred


def log_loss(
    y_true: ArrayLike,
    y_proba: ArrayLike | None = None,
    *,
    normalize: bool = True,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    y_pred: Any = "deprecated",
) -> float:
    r"""Log loss (cross entropy) of predicted probabilities, in nats.

    .. math:: l = -\ln \min(\max(p_y, \epsilon), 1 - \epsilon)

    where p_y is the probability of the true class and ε the machine epsilon of the dtype of
    `y_proba`. Rows are not divided by their sum.

    Parameters
    ----------
    y_true : array_like of shape (n,), or a label indicator matrix
        Labels: numbers, bools or strings.
    y_proba : array_like of shape (n,) or (n, n_classes)
        Probabilities of the greater of two labels, or of the sorted labels.
    normalize : bool, default True
        Whether to return the mean instead of the sum.
    sample_weight : array_like of shape (n,), optional
        Weights of the samples.
    labels : array_like, optional
        All labels, for when `y_true` does not have all of them.
    y_pred : array_like
        Old name of `y_proba`.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's.

    Warns
    -----
    UserWarning
        If rows do not sum to 1, or `labels` are not sorted.

    Notes
    -----
    Of two classes with 1-d `y_proba`, ln(1 - p) is computed without rounding 1 - p first, so for
    tiny p it has digits that scikit-learn's loses.

    References
    ----------
    I. J. Good, "Rational Decisions", J. R. Stat. Soc. B 14, 1952.

    Examples
    --------
    >>> print(f"{log_loss(['spam', 'ham', 'ham', 'spam'], [0.9, 0.1, 0.2, 0.65]):.6f}")
    0.216162
    """
    if not isinstance(normalize, (bool, np.bool_)):
        raise refuse("log_loss", "normalize", "a bool", normalize)
    y_proba = _renamed("log_loss", y_proba, y_pred)
    if labels is None and plain_binary(y_true, y_proba, sample_weight):
        pair = two_values(y_true)  # type: ignore[arg-type]
        if pair is not None:
            positive = y_true if pair == (0, 1) else y_true == pair[1]
            loss = MEAN_LOG if normalize else SUM_LOG
            value: float = loss.value(positive, y_proba, sample_weight)
            if math.isfinite(value) and (sample_weight is None or value != 0):
                return value

    check_array_like("log_loss", y_true=y_true)
    check_optional("log_loss", y_proba=y_proba, sample_weight=sample_weight, labels=labels)
    if y_proba is None:
        raise ValueError("log_loss needs y_proba")
    p = probabilities(y_proba)
    return log_loss_of(*checked(y_true, p, sample_weight, labels), bool(normalize))


def d2_log_loss_score(
    y_true: ArrayLike,
    y_proba: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    y_pred: Any = "deprecated",
) -> float:
    """Share of the log loss explained: 1 - log loss / log loss of the frequencies of the classes.

    Parameters
    ----------
    y_true, y_proba, sample_weight, labels, y_pred
        See `log_loss`.

    Returns
    -------
    float
        At most 1; nan, with a warning, for less than two samples.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's.

    References
    ----------
    T. Hastie, R. Tibshirani, M. Wainwright, "Statistical Learning with Sparsity", 2015, eq. 3.11.

    Examples
    --------
    >>> d2_log_loss_score([0, 1], [0.5, 0.5])
    0.0
    """
    y_proba = _renamed("d2_log_loss_score", y_proba, y_pred)
    check_array_like("d2_log_loss_score", y_true=y_true)
    check_optional("d2_log_loss_score", y_proba=y_proba, sample_weight=sample_weight, labels=labels)
    check_lengths(y_proba, y_true, sample_weight)
    if length(y_proba) < 2:
        kind = sklearn_class("exceptions", "UndefinedMetricWarning", UserWarning)
        warnings.warn("D^2 score is not well-defined with less than two samples.", kind,
                      stacklevel=2)
        return math.nan
    classes, p, w = checked(y_true, probabilities(y_proba), sample_weight, labels)
    model = log_loss_of(classes, p, w, False)
    k = len(classes.labels)
    if classes.codes is None:
        share = np.average(classes.indicator, axis=0, weights=w)  # type: ignore[arg-type]
    else:
        if w is not None and w.sum(dtype=np.float64) == 0:
            raise zero_weights()
        counted = np.bincount(classes.codes, weights=w, minlength=k)
        share = counted / counted.sum()
    total = len(p) if w is None else w.sum(dtype=np.float64)
    eps = np.finfo(np.float64).eps
    null = -float(np.sum(share * total * np.log(np.clip(share, eps, 1 - eps))))
    return 1 - model / null


def brier_score_loss(
    y_true: ArrayLike,
    y_proba: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    pos_label: Any = None,
    labels: ArrayLike | None = None,
    scale_by_half: Any = "auto",
) -> float:
    """Brier score: mean squared difference of probabilities and what happened.

    Mean of (y - p)² for two classes, of Σ_k (y_k - p_k)² for more.

    Parameters
    ----------
    y_true : array_like of shape (n,), or a label indicator matrix
        Labels: numbers, bools or strings.
    y_proba : array_like of shape (n,) or (n, n_classes)
        Probabilities of the positive label, or of the sorted labels.
    sample_weight : array_like of shape (n,), optional
        Weights of the samples.
    pos_label : number, str or bool, optional
        The positive label, for 1-d `y_proba`; by default 1, or the greater number.
    labels : array_like, optional
        All labels, for when `y_true` does not have all of them.
    scale_by_half : bool or "auto", default "auto"
        Whether to halve the sum over the classes; "auto" does for two classes.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's.

    References
    ----------
    G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather
    Review 78, 1950.

    Examples
    --------
    >>> print(f"{brier_score_loss([0, 1, 1, 0], [0.1, 0.9, 0.8, 0.3]):.4f}")
    0.0375
    """
    function = "brier_score_loss"
    if not (pos_label is None or isinstance(pos_label, (Real, str, np.bool_))):
        raise refuse(function, "pos_label", "a number, a str, a bool or None", pos_label)
    if not (isinstance(scale_by_half, (bool, np.bool_)) or (isinstance(scale_by_half, str)
                                                            and scale_by_half == "auto")):
        raise refuse(function, "scale_by_half", "a bool or 'auto'", scale_by_half)
    if pos_label is None and labels is None and plain_binary(y_true, y_proba, sample_weight):
        pair = two_values(y_true)  # type: ignore[arg-type]
        if pair is not None:
            positive = y_true if pair == (0, 1) else y_true == pair[1]
            value: float = MEAN_SQUARED(positive, y_proba, sample_weight)
            if math.isfinite(value):
                return value if scale_by_half else 2 * value

    check_array_like(function, y_true=y_true, y_proba=y_proba)
    check_optional(function, sample_weight=sample_weight, labels=labels)
    p = probabilities(y_proba)
    if p.ndim == 1 or p.shape[1] == 1:
        positive, p, w = checked_binary(y_true, p, sample_weight, pos_label)
        value = reduce(MEAN_SQUARED, positive, p, w)
        return value if scale_by_half else 2 * value
    classes, p, w = checked(y_true, p, sample_weight, labels)
    k = p.shape[1] if p.ndim == 2 else 2
    hot = (classes.indicator if classes.codes is None
           else classes.codes[:, None] == np.arange(k))
    value = k * reduce(MEAN_SQUARED, hot, p,
                       None if w is None else np.broadcast_to(w[:, None], p.shape))
    halved = k < 3 if isinstance(scale_by_half, str) else scale_by_half
    return value / 2 if halved else value


def hinge_loss(
    y_true: ArrayLike,
    pred_decision: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Mean hinge loss: mean of max(1 - m, 0) of the margins m.

    For two classes m is ± the decision; for more, the decision for the true class less the
    greatest for another one.

    Parameters
    ----------
    y_true : array_like of shape (n,)
        Labels: numbers, bools or strings.
    pred_decision : array_like of shape (n,) or (n, n_classes)
        Decisions, as of ``decision_function``.
    labels : array_like, optional
        All labels, for when `y_true` does not have all of more than two.
    sample_weight : array_like of shape (n,), optional
        Weights of the samples.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's.

    References
    ----------
    K. Crammer, Y. Singer, "On the Algorithmic Implementation of Multiclass Kernel-based Vector
    Machines", JMLR 2, 2001.

    Examples
    --------
    >>> hinge_loss([-1, 1, 1], [-2.0, 0.5, 0.25])
    0.4166666666666667
    """
    function = "hinge_loss"
    check_array_like(function, y_true=y_true, pred_decision=pred_decision)
    check_optional(function, sample_weight=sample_weight, labels=labels)
    check_lengths(y_true, pred_decision, sample_weight)
    decision = numbers(pred_decision, "pred_decision", parse=False).astype(np.float64, copy=False)
    y = column(read_labels(y_true), "y_true")
    if y.dtype.kind == "f" and np.isnan(y).any():   # which scikit-learn may take for a class
        raise ValueError("Input y_true contains NaN.")
    present, codes = factorize(y)
    given = y if labels is None else read_labels(labels, "labels")
    found = present if labels is None else factorize(np.ravel(given))[0]
    if len(found) > 2:
        if column(given, "labels").ndim < given.ndim:
            kind = sklearn_class("exceptions", "DataConversionWarning", UserWarning)
            warnings.warn("A column-vector of labels was passed when a 1d array was expected.",
                          kind, stacklevel=2)
        decision = _margins(codes, present, decision, found, labels)
        positive = np.broadcast_to(ONE, y.shape)
    else:
        decision = column(decision, "pred_decision")
        if len(present) > 2:
            check_known(present, found, labels)
        check_labels(y)
        positive = codes == 1
    w = None if sample_weight is None else dense(sample_weight, "sample_weight")
    if w is not None and w.shape != decision.shape:
        raise TypeError(f"sample_weight must have shape {decision.shape}, got {w.shape}")
    if w is not None and (w.dtype == object or w.dtype.itemsize > 8):
        if w.dtype.kind in "US" or any(
                weight is None or isinstance(weight, str) for weight in w.flat):
            raise TypeError("sample_weight does not hold numbers")
        w = floats(w, "sample_weight", sample_weight)
    return reduce(MEAN_HINGE, positive, decision, w)


def _margins(codes: Array, present: Array, decision: Array, found: Array, labels: Any) -> Array:
    """Return each sample's decision for its class less the greatest for another class."""
    if decision.ndim == 1 or decision.shape[1] != len(found):
        wanted = f"({len(codes)}, {len(found)}). Got: {decision.shape}"
        if decision.ndim == 1:
            raise ValueError("The shape of pred_decision cannot be 1d arraywith a multiclass "
                             "target. pred_decision shape must be (n_samples, n_classes), that is "
                             + wanted)
        if labels is None:
            raise ValueError("Please include all labels in y_true or pass labels as third argument")
        raise ValueError("The shape of pred_decision is not consistent with the number of "
                         "classes. With a multiclass target, pred_decision shape must be "
                         "(n_samples, n_classes), that is " + wanted)
    check_known(present, found, labels)
    at = recode(codes, present.tolist(), found.tolist())[:, None].astype(np.intp, copy=False)
    own = np.take_along_axis(decision, at, axis=1)[:, 0]
    others = decision.copy()
    np.put_along_axis(others, at, -np.inf, axis=1)
    margins: Array = own - others.max(axis=1)
    return margins
