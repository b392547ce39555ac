"""Losses of labels 0 and 1, or between, and predicted probabilities or logits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastloss._base import (
    LABELS,
    PROBABILITIES,
    REALS,
    REDUCTION,
    TARGET_PROBABILITIES,
    ElementLoss,
    Interval,
    Prediction,
    Reduction,
)
from fastloss._curvature import Bound
from fastloss._functions import function_of
from fastloss._parameters import either, flag, number, parameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = [
    "FocalLoss",
    "KLDivergenceLoss",
    "LogLoss",
    "focal_loss",
    "kl_divergence_loss",
    "log_loss",
]


@dataclass(frozen=True, kw_only=True)
class LogLoss(ElementLoss):
    r"""Log loss (binary cross entropy) of predicted probabilities or logits, in nats.

    .. math:: l(y, p) = -c y \ln q - (1 - y) \ln(1 - q),
              \quad q = \min(\max(p, \epsilon), 1 - \epsilon)

    and, with ``from_logits=True``, of q = 1 / (1 + e^(-z)):

    .. math:: l(y, z) = (1 - y) \, \mathrm{softplus}(z) + c y \, \mathrm{softplus}(-z),
              \quad \mathrm{softplus}(z) = \max(z, 0) + \ln(1 + e^{-|z|})

    Parameters
    ----------
    eps : float in [0, 0.5) or "auto", default 1e-7
        Where p is clipped. "auto" is the machine epsilon of the computation's dtype, as
        scikit-learn clips. 0 does not clip: infinity is a possible loss, and p outside
        [0, 1] gives NaN. Logits are not clipped.
    from_logits : {False, True}, default False
        Whether `y_pred` holds logits (raw scores) z, any real numbers, and not probabilities.
    pos_weight : float >= 0, default 1.0
        Weight c of the positive label, as in torch.
    label_smoothing : float in [0, 1], default 0.0
        y is replaced by y (1 - label_smoothing) + label_smoothing / 2.
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`.

    Notes
    -----
    Derivatives where eps <= p <= 1 - eps: g = (1 - y) / (1 - p) - c y / p,
    h = (1 - y) / (1 - p)² + c y / p². Where p is clipped, both are 0. From logits:
    g = (1 - y) q - c y (1 - q), h = (1 - y + c y) q (1 - q), computed from e^(-|z|), so that they
    keep their relative accuracy where q is close to 0 or 1. Infinite z: the limit.

    The upper tail is clipped by 1 - p, so that both tails cost the same in float32 too, where
    1 - 1e-7 is not a number: l(1, 0) = l(0, 1) = 16.118. ln(1 - p) is computed as log1p(-p).
    A term with label weight 0 is 0, so with ``eps=0`` a sure and right prediction costs 0.
    scikit-learn's ``log_loss`` has another default eps, and differs at p = 0 and 1.

    References
    ----------
    I. J. Good, "Rational Decisions", J. R. Stat. Soc. B 14, 1952.

    Examples
    --------
    >>> LogLoss().value_and_grad([1, 0], [0.5, 0.5])
    (0.6931471805599453, array([-1.,  1.]))
    >>> LogLoss(from_logits=True).value_and_grad([1, 0], [0.0, 0.0])
    (0.6931471805599453, array([-0.25,  0.25]))
    """

    eps: float | Literal["auto"] = parameter(
        1e-7, either("auto", number(low=0, high=0.5, open_high=True))
    )
    from_logits: bool = parameter(False, flag)
    pos_weight: float = parameter(1.0, number(low=0))
    label_smoothing: float = parameter(0.0, number(low=0, high=1))
    reduction: Reduction = parameter("mean", REDUCTION)

    _score_option = "from_logits"
    _units = ("nats", "nats")

    @property
    def prediction(self) -> Prediction:
        """The meaning of a prediction."""
        return "logit" if self.from_logits else "probability"

    def _domains(self) -> tuple[Interval, Interval]:
        probabilities = PROBABILITIES._replace(
            what=f"{PROBABILITIES.what} (from_logits=True takes logits)")
        return LABELS, REALS if self.from_logits else probabilities

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        parameters = {
            "pos_weight": self.pos_weight,
            "label_scale": 1 - self.label_smoothing,
            "label_shift": self.label_smoothing / 2,
        }
        if self.from_logits:
            return "LogLogits", parameters
        parameters["clipped"] = math.nan if self.eps == 0 else 0.0
        for suffix, dtype in (("", np.float64), ("32", np.float32)):
            kind = np.finfo(dtype)
            eps = float(kind.eps) if self.eps == "auto" else float(dtype(self.eps))
            if self.eps:  # an eps below the range of float32 clips at its least number
                eps = max(eps, float(kind.smallest_subnormal))
            parameters["eps" + suffix] = eps
            parameters["log_eps" + suffix] = math.log(eps) if eps else math.nan
            parameters["log1m_eps" + suffix] = math.log1p(-eps) if eps else math.nan
        return "Log", parameters


@dataclass(frozen=True, kw_only=True)
class FocalLoss(ElementLoss):
    r"""Focal loss of logits: a log loss that gives less weight to what is predicted well.

    .. math:: l(y, z) = -\alpha_t (1 - p_t)^\gamma \ln p_t, \quad
              p_t = 1 / (1 + e^{-(2 y - 1) z}), \quad
              \alpha_t = y \alpha + (1 - y)(1 - \alpha)

    Parameters
    ----------
    gamma : float >= 0, default 2.0
        How much less: 0 is the log loss, weighed by alpha.
    alpha : float in [0, 1], default 0.25
        Weight of label 1; label 0 has 1 - alpha.
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`.

    Notes
    -----
    With s = 2 y - 1, p = p_t, q = 1 - p. Derivatives:
    g = s alpha_t q^gamma (gamma p ln p - q),
    h = s² alpha_t p q^gamma (gamma ln p (q - gamma p) + q (2 gamma + 1)), which is negative for
    small p. Infinite z: the limit. torchvision's ``sigmoid_focal_loss`` has the same numbers
    for labels 0 and 1. Rounding: for these labels, l, g and h are within 8, 10 and 10 ULP, h of its
    larger term where the two cancel.

    References
    ----------
    T.-Y. Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, arXiv:1708.02002.

    Examples
    --------
    >>> print(f"{FocalLoss()([1, 0], [0.0, 0.0]):.6f}")
    0.086643
    """

    gamma: float = parameter(2.0, number(low=0))
    alpha: float = parameter(0.25, number(low=0, high=1))
    reduction: Reduction = parameter("mean", REDUCTION)

    prediction = "logit"
    convex = False

    @property
    def _newton_bound(self) -> Bound:  # type: ignore[override]
        # h <= (1 + gamma) |s g| p_t, because ln p_t <= p_t - 1; equal for gamma = 0
        return Bound("slope times share", 1 + self.gamma)

    def _domains(self) -> tuple[Interval, Interval]:
        return LABELS, REALS

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        name = "FocalSquared" if self.gamma == 2 else "Focal"
        return name, {"gamma": self.gamma, "alpha": self.alpha}


@dataclass(frozen=True, kw_only=True)
class KLDivergenceLoss(ElementLoss):
    r"""Kullback-Leibler divergence of target from predicted probabilities, per element, in nats.

    .. math:: l(t, p) = t (\ln t - \ln p), \quad 0 \ln 0 = 0

    Parameters
    ----------
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`.

    Notes
    -----
    Derivatives: g = -t / p, h = t / p². At t = 0 all three are 0; at p = 0 < t the loss is inf.
    The divergence of distributions is the sum over their elements: ``reduction="sum"``, divided
    by their number. `y_pred` holds probabilities: torch's ``KLDivLoss`` takes their logarithms.
    The logarithm of the ratio is taken without cancellation where t and p are close.

    References
    ----------
    S. Kullback, R. A. Leibler, "On Information and Sufficiency", Ann. Math. Statist. 22, 1951,
    doi:10.1214/aoms/1177729694.

    Examples
    --------
    >>> print(f"{KLDivergenceLoss(reduction='sum')([0.5, 0.5, 0.0], [0.25, 0.5, 0.25]):.6f}")
    0.346574
    """

    reduction: Reduction = parameter("mean", REDUCTION)

    prediction = "probability"
    _units = ("nats", "nats")

    def _domains(self) -> tuple[Interval, Interval]:
        return TARGET_PROBABILITIES, PROBABILITIES

    def _for_scores(self) -> str:
        return "use LogLoss(from_logits=True)"

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        return "KLDivergence", {"unused": 0.0}


if TYPE_CHECKING:
    from fastloss._functions import focal_loss, kl_divergence_loss, log_loss
else:
    log_loss = function_of(
        LogLoss,
        "Log loss of probabilities or logits: mean of -y ln p - (1 - y) ln(1 - p), in nats.",
        y_true="Labels, 0 and 1 or between.",
        y_pred="Probabilities of 1, or logits.",
    )
    focal_loss = function_of(
        FocalLoss,
        "Focal loss of logits: mean of -alpha_t (1 - p_t)^gamma ln p_t.",
        y_true="Labels, 0 and 1.",
        y_pred="Logits.",
    )
    kl_divergence_loss = function_of(
        KLDivergenceLoss,
        "Kullback-Leibler divergence: mean of t (ln t - ln p).",
        y_true="Target probabilities.",
        y_pred="Predicted probabilities.",
    )
