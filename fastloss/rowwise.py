"""Losses of rows: one number for each row of class scores and its target."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastloss._base import (
    PROBABILITIES,
    REALS,
    REDUCTION,
    WEIGHTS,
    Interval,
    Outside,
    Prediction,
    Reduction,
    RowwiseLoss,
    find_outside,
)
from fastloss._core import rows as core
from fastloss._functions import function_of
from fastloss._parameters import either, flag, number, parameter
from fastloss._values import array_of, check_unmasked
from fastloss.pointwise import LogLoss

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

__all__ = ["CrossEntropyLoss", "cross_entropy_loss"]

TARGETS = Interval(0.0, math.inf, "targets >= 0")


def classes(number: int) -> Interval:
    """Return the valid class numbers of so many classes."""
    return Interval(0.0, number - 1.0, f"class numbers from 0 to {number - 1} of the {number} "
                    "classes of y_pred", whole=True)


def class_number(name: str, value: Any) -> int | None:
    """Return a class number, or None; raise ValueError for other values."""
    if value is None:
        return None
    if not isinstance(value, (bool, np.bool_)):
        try:
            index = operator.index(value)
        except TypeError:
            pass
        else:
            if abs(index) <= 2**53:
                return index
    raise ValueError(f"{name} must be None or an integer of at most 53 bits, got {value!r}")


def weights_of_classes(name: str, value: Any) -> tuple[float, ...] | None:
    """Return a tuple of the weights of classes, or None; raise ValueError for other values."""
    if value is None:
        return None
    check_unmasked(value, name)
    try:
        weights = array_of(value, name).astype(float)
    except (TypeError, ValueError):
        weights = np.array(math.nan)
    if weights.ndim == 1 and bool(np.all(np.isfinite(weights) & (weights >= 0))):
        return tuple(weights.tolist())
    raise ValueError(f"{name} must be None or a finite number >= 0 for each class, got {value!r}")


@dataclass(frozen=True, kw_only=True)
class CrossEntropyLoss(RowwiseLoss):
    r"""Cross entropy of class scores, in nats: softmax and log loss in one.

    .. math:: l(t, z) = \sum_j c_j t_j \Bigl(\ln \sum_i e^{z_i} - z_j\Bigr)

    for a row z of C scores, targets t and class weights c. `y_pred` is (n, C); `y_true` is either
    (n,), a class number from 0 to C - 1 for each row, where t is 1 for it and 0 for the others,
    or (n, C), the targets themselves, which need not sum to 1; `sample_weight` is (n,). Class
    numbers may be of any dtype, floats that hold whole numbers included. Another number raises
    ValueError before anything is written.

    Parameters
    ----------
    from_logits : bool, default True
        `y_pred` are scores of any size (logits). If False they are probabilities, and a row costs
        -Σ c t ln p: they are not divided by their sum.
    label_smoothing : float, default 0
        ε in [0, 1]: t becomes (1 - ε) t + ε / C.
    ignore_index : int, optional
        Class number of rows that cost nothing, have gradient 0 whatever they hold, and do not
        count in a mean. Soft targets have none.
    class_weight : array_like of C numbers >= 0, optional
        c; 1 by default.
    eps : float in [0, 0.5) or "auto", default 1e-7
        Probabilities are clipped to [eps, 1 - eps], as in `LogLoss`. Logits are not clipped.
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`; the elements are the rows that count. With class numbers, "mean"
        divides by the sum of class weight times sample weight; with soft targets by the sum of the
        sample weights (as torch does).

    Notes
    -----
    With s the softmax of z and T = Σ c t: g = T s - c t; h = T s (1 - s), the diagonal. The loss
    of a nearly perfect row keeps its relative accuracy, as does its gradient.

    Infinite logits: the limit, where there is one. -inf is probability 0, and costs inf only for a
    class with a target; a single +inf is probability 1; two of them, or only -inf, give nan. A
    class with target or weight 0 costs nothing. NaN in a row makes that row nan, unless it is
    ignored. Rows of no classes cost 0 by soft targets, and have no class number.

    References
    ----------
    J. S. Bridle, "Probabilistic Interpretation of Feedforward Classification Network Outputs",
    1990; C. Szegedy et al., "Rethinking the Inception Architecture", arXiv:1512.00567 (smoothing).

    Examples
    --------
    >>> z = np.array([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    >>> value, grad = CrossEntropyLoss().value_and_grad([0, 2], z)
    >>> print(f"{value:.6f}", grad.round(3).tolist())
    0.669079 [[-0.107, 0.053, 0.053], [0.167, 0.167, -0.333]]
    """

    from_logits: bool = parameter(True, flag)
    label_smoothing: float = parameter(0.0, number(low=0, high=1))
    ignore_index: int | None = parameter(None, class_number)
    class_weight: ArrayLike | None = parameter(None, weights_of_classes)
    eps: float | Literal["auto"] = parameter(
        1e-7, either("auto", number(low=0, high=0.5, open_high=True))
    )
    reduction: Reduction = parameter("mean", REDUCTION)

    _score_option = "from_logits"

    @property
    def prediction(self) -> Prediction:
        """The meaning of a prediction."""
        return "logit" if self.from_logits else "probability"

    @property
    def _targets_weigh(self) -> bool:
        return self.ignore_index is not None or self.class_weight is not None

    @property
    def _n_classes(self) -> int | None:
        return None if self.class_weight is None else len(self.class_weight)  # type: ignore[arg-type]

    def _ignored(self, y: Array) -> Array | None:
        return y == self.ignore_index if y.ndim == 1 and self.ignore_index is not None else None

    def _make_kernel(self) -> core.RowKernel:
        clip = LogLoss(eps=self.eps)._kernel_parameters()[1]
        return core.RowKernel(self.from_logits, self.label_smoothing, self.ignore_index,
                               self.class_weight, clip, self.reduction)  # type: ignore[arg-type]

    def _domains(self) -> tuple[Interval, Interval]:
        return TARGETS, REALS if self.from_logits else PROBABILITIES

    def _outside(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None
    ) -> Outside | None:
        y, p, w = core.read_rows(y_true, y_pred, sample_weight)
        self.value(y[:0], p[:0])  # raises if class_weight has another length
        ignored = self._ignored(y)
        targets = TARGETS if y.ndim == 2 else classes(p.shape[1])
        predictions = self._domains()[1]
        return (find_outside("y_true", y, targets, ignored)
                or find_outside("y_pred", p, predictions, ignored)
                or (None if w is None else find_outside("sample_weight", w, WEIGHTS, ignored)))


if TYPE_CHECKING:
    from fastloss._functions import cross_entropy_loss
else:
    cross_entropy_loss = function_of(
        CrossEntropyLoss,
        "Cross entropy of class scores: mean over rows of -ln softmax(z) of the label, in nats.",
    )
