"""Losses of a class and a score: functions of the margin, sign of the class times score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastloss._base import LABELS, REALS, REDUCTION, SIGNS, ElementLoss, Interval, Reduction
from fastloss._functions import function_of
from fastloss._parameters import choice, parameter

__all__ = [
    "ExponentialLoss",
    "HingeLoss",
    "ModifiedHuberLoss",
    "SquaredHingeLoss",
    "exponential_loss",
    "hinge_loss",
    "modified_huber_loss",
    "squared_hinge_loss",
]


def sign_parameters(labels: tuple[float, float]) -> dict[str, float]:
    """Return how the sign s of a class follows from its label: at 0, and with the label."""
    zero_one = labels == (0, 1)
    return {"sign_at_0": -1.0 if zero_one else 0.0, "sign_slope": 2.0 if zero_one else 1.0}


class _MarginLoss(ElementLoss):
    """A loss with labels 0 and 1, or -1 and 1."""

    labels: tuple[float, float]
    prediction = "score"

    def _domains(self) -> tuple[Interval, Interval]:
        domain = LABELS if self.labels == (0, 1) else SIGNS
        return domain._replace(what=f"{domain.what}, as labels={self.labels} says"), REALS


@dataclass(frozen=True, kw_only=True)
class HingeLoss(_MarginLoss):
    r"""Hinge loss of support vector machines.

    .. math:: l(y, z) = \max(1 - s z, 0), \quad s = \pm 1

    Parameters
    ----------
    labels : {(0, 1), (-1, 1)}, default (0, 1)
        Which labels the two classes have in `y_true`; s is -1 for the first and 1 for the
        second. Between them s grows with the label.
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`.

    Notes
    -----
    Derivatives: g = -s where s z < 1, else 0, also at the kink; h = 0. `y_pred` is the score z,
    any real number. Infinite z: the limit.

    References
    ----------
    C. Cortes, V. Vapnik, "Support-Vector Networks", Machine Learning 20, 1995,
    doi:10.1007/BF00994018.

    Examples
    --------
    >>> HingeLoss()([1, 0, 0], [0.5, 0.5, -2.0])
    0.6666666666666666
    """

    labels: tuple[float, float] = parameter((0, 1), choice((0, 1), (-1, 1)))
    reduction: Reduction = parameter("mean", REDUCTION)

    curvature = "flat in parts"

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        return "Hinge", sign_parameters(self.labels)


@dataclass(frozen=True, kw_only=True)
class SquaredHingeLoss(_MarginLoss):
    r"""Squared hinge loss.

    .. math:: l(y, z) = \max(1 - s z, 0)^2, \quad s = \pm 1

    Parameters
    ----------
    labels : {(0, 1), (-1, 1)}, default (0, 1)
        Which labels the two classes have in `y_true`; s is -1 for the first and 1 for the
        second. Between them s grows with the label.
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`.

    Notes
    -----
    With u = max(1 - s z, 0). Derivatives: g = -2 s u, h = 2 s² where u > 0, else 0.
    Infinite z: the limit.

    References
    ----------
    Y.-J. Lee, O. L. Mangasarian, "SSVM: A Smooth Support Vector Machine for Classification",
    Comput. Optim. Appl. 20, 2001, doi:10.1023/A:1011215321374.

    Examples
    --------
    >>> SquaredHingeLoss()([1, 0, 0], [0.5, 0.5, -2.0])
    0.8333333333333334
    """

    labels: tuple[float, float] = parameter((0, 1), choice((0, 1), (-1, 1)))
    reduction: Reduction = parameter("mean", REDUCTION)

    curvature = "flat in parts"

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        return "SquaredHinge", sign_parameters(self.labels)


@dataclass(frozen=True, kw_only=True)
class ModifiedHuberLoss(_MarginLoss):
    r"""Modified Huber loss: the squared hinge, linear for very wrong scores.

    .. math:: l(y, z) = \begin{cases} \max(1 - s z, 0)^2 & s z \ge -1 \\
              -4 s z & s z < -1 \end{cases}, \quad s = \pm 1

    Parameters
    ----------
    labels : {(0, 1), (-1, 1)}, default (0, 1)
        Which labels the two classes have in `y_true`; s is -1 for the first and 1 for the
        second. Between them s grows with the label.
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`.

    Notes
    -----
    Derivatives: g = -2 s max(1 - s z, 0), beyond the corner -4 s; h = 2 s² where -1 <= s z < 1,
    else 0. It is scikit-learn's ``SGDClassifier(loss="modified_huber")``.

    References
    ----------
    T. Zhang, "Solving Large Scale Linear Prediction Problems Using Stochastic Gradient Descent
    Algorithms", ICML 2004, doi:10.1145/1015330.1015332.

    Examples
    --------
    >>> ModifiedHuberLoss()([1, 0, 1], [0.5, 0.5, -2.0])
    3.5
    """

    labels: tuple[float, float] = parameter((0, 1), choice((0, 1), (-1, 1)))
    reduction: Reduction = parameter("mean", REDUCTION)

    curvature = "flat in parts"

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        return "ModifiedHuber", sign_parameters(self.labels)


@dataclass(frozen=True, kw_only=True)
class ExponentialLoss(_MarginLoss):
    """Exponential loss of AdaBoost.

    .. math:: l(y, z) = t e^{-z} + (1 - t) e^z

    with t = 0 and 1 for the two classes, so that it is e^(-s z), s = ±1, for hard labels.

    Parameters
    ----------
    labels : {(0, 1), (-1, 1)}, default (0, 1)
        Which labels the two classes have in `y_true`. Labels between them weigh the two terms.
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`.

    Notes
    -----
    Derivatives: g = (1 - t) e^z - t e^(-z), h = l. Infinite z: the limit. It is
    scikit-learn's ``GradientBoostingClassifier(loss="exponential")``, but for the factor 2 that
    some formulations have in the exponent.

    References
    ----------
    Y. Freund, R. E. Schapire, "A Decision-Theoretic Generalization of On-Line Learning and an
    Application to Boosting", J. Comput. Syst. Sci. 55, 1997, doi:10.1006/jcss.1997.1504.

    Examples
    --------
    >>> ExponentialLoss()([1, 0], [0.0, 0.0])
    1.0
    """

    labels: tuple[float, float] = parameter((0, 1), choice((0, 1), (-1, 1)))
    reduction: Reduction = parameter("mean", REDUCTION)

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        zero_one = self.labels == (0, 1)
        return "Exponential", {"up_at_0": 0.0 if zero_one else 0.5,
                               "up_slope": 1.0 if zero_one else 0.5}


if TYPE_CHECKING:
    from fastloss._functions import (
        exponential_loss,
        hinge_loss,
        modified_huber_loss,
        squared_hinge_loss,
    )
else:
    DATA = {"y_true": "Labels, 0 and 1 or as `labels` says.", "y_pred": "Scores."}
    hinge_loss = function_of(
        HingeLoss,
        "Hinge loss: mean of max(1 - s z, 0), s = -1 or 1 for the two classes.",
        **DATA,
    )
    squared_hinge_loss = function_of(
        SquaredHingeLoss,
        "Squared hinge loss: mean of max(1 - s z, 0)², s = -1 or 1 for the two classes.",
        **DATA,
    )
    modified_huber_loss = function_of(
        ModifiedHuberLoss,
        'Loss "modified Huber": mean of max(1 - s z, 0)², and of -4 s z where s z < -1.',
        **DATA,
    )
    exponential_loss = function_of(
        ExponentialLoss,
        "Exponential loss: mean of e^(-s z), s = -1 or 1 for the two classes.",
        **DATA,
    )
