"""Losses of pairs of rows: row i of a with row i of b."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fastloss._base import LABELS, REALS, SIGNS, Interval
from fastloss._functions import function_of
from fastloss._parameters import choice, either, number, parameter
from fastloss.embedding._paired_base import DISTANCE, REDUCTION, Distance, PairLoss, Reduction
from fastloss.pointwise import ContrastiveLoss

__all__ = [
    "CosineEmbeddingLoss",
    "PairContrastiveLoss",
    "cosine_embedding_loss",
    "pair_contrastive_loss",
]


@dataclass(frozen=True, kw_only=True)
class PairContrastiveLoss(PairLoss):
    r"""Contrastive loss of the distances of pairs of rows.

    .. math:: l_i = y_i d_i^2 + (1 - y_i) \max(m - d_i, 0)^2, \quad d_i = d(a_i, b_i)

    `a` and `b` are (n, d), `y` is (n,): 1 pulls the rows of a pair together, 0 pushes them apart
    until they are the margin m away, and a soft label between weighs the two.

    Parameters
    ----------
    margin : float, default 1
        m >= 0, in the units of the distance.
    distance : {"euclidean", "sqeuclidean", "cosine"}, default "euclidean"
        |a - b|, its square, or 1 - cos(a, b).
    similar_label : {1, 0}, default 1
        The label of similar pairs; 0 as in Hadsell et al.
    form : {"squared", "linear"}, default "squared"
        "linear" is y d + (1 - y) max(m - d, 0).
    pos_margin : float, optional
        Distance below which a similar pair costs nothing: d is max(d - pos_margin, 0) in the
        similar term.
    reduction : {"mean", "sum", "none"}, default "mean"
        Sum of w l divided by the sum of the weights w, or by 1; "none" for each pair's w l.

    Notes
    -----
    The derivative at distance 0 is 0. Distances come from differences of components, so rows that
    are near keep all digits; cosine distances are computed in float64. A row of zeros has the
    cosine 0 with any other, and gradient 0.

    References
    ----------
    R. Hadsell, S. Chopra, Y. LeCun, "Dimensionality Reduction by Learning an Invariant Mapping",
    CVPR 2006, doi:10.1109/CVPR.2006.100.

    Examples
    --------
    >>> a, b = np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([[3.0, 4.0], [1.0, 1.5]])
    >>> value, (grad_a, grad_b) = PairContrastiveLoss().value_and_grad(a, b, [1, 0])
    >>> value, grad_a.tolist()
    (12.625, [[-3.0, -4.0], [-0.0, 0.5]])
    """

    margin: float = parameter(1.0, number(low=0))
    distance: Distance = parameter("euclidean", DISTANCE)
    similar_label: Literal[0, 1] = parameter(1, choice(0, 1))
    form: Literal["squared", "linear"] = parameter("squared", choice("squared", "linear"))
    pos_margin: float | None = parameter(None, either(None, number(low=0)))
    reduction: Reduction = parameter("mean", REDUCTION)

    @property
    def measure(self) -> Distance:
        """The distance of two rows."""
        return self.distance

    def _element(self) -> tuple[str, dict[str, float]]:
        return ContrastiveLoss(margin=self.margin, similar_label=self.similar_label, form=self.form,
                               pos_margin=self.pos_margin)._kernel_parameters()


@dataclass(frozen=True, kw_only=True)
class CosineEmbeddingLoss(PairLoss):
    r"""Cosine embedding loss of pairs of rows.

    .. math:: l_i = 1 - \cos(a_i, b_i) \text{ for } y_i = 1, \quad
              \max(\cos(a_i, b_i) - m, 0) \text{ for } y_i = -1

    `a` and `b` are (n, d), `y` is (n,).

    Parameters
    ----------
    margin : float, default 0
        m, from -1 to 1.
    labels : {(-1, 1), (0, 1)}, default (-1, 1)
        The labels of different and of similar pairs; one between weighs the two terms.
    reduction : {"mean", "sum", "none"}, default "mean"
        Sum of w l divided by the sum of the weights w, or by 1; "none" for each pair's w l.

    Notes
    -----
    The derivative where cos = m is 0. A row of zeros has the cosine 0, and gradient 0.

    References
    ----------
    torch.nn.CosineEmbeddingLoss, which adds a small number to squares of lengths.

    Examples
    --------
    >>> loss = CosineEmbeddingLoss(margin=0.5, reduction="none")
    >>> loss.value([[3.0, 4.0], [3.0, 4.0]], [[1.0, 0.0], [0.0, 2.0]], [1, -1]).round(6).tolist()
    [0.4, 0.3]
    """

    margin: float = parameter(0.0, number(low=-1, high=1))
    labels: tuple[int, int] = parameter((-1, 1), choice((-1, 1), (0, 1)))
    reduction: Reduction = parameter("mean", REDUCTION)

    measure = "cosine"

    def _domains(self) -> tuple[Interval, Interval]:
        return SIGNS if self.labels == (-1, 1) else LABELS, REALS

    def _element(self) -> tuple[str, dict[str, float]]:
        # [cos - m]+ is [1 - m - d]+ for d = 1 - cos
        name, parameters = ContrastiveLoss(margin=1 - self.margin, form="linear"
                                           )._kernel_parameters()
        if self.labels == (-1, 1):
            parameters |= {"near_at_0": 0.5, "near_slope": 0.5}
        return name, parameters


if TYPE_CHECKING:
    from fastloss._functions import cosine_embedding_loss, pair_contrastive_loss
else:
    pair_contrastive_loss = function_of(
        PairContrastiveLoss,
        "Contrastive loss of pairs: mean of y d² + (1 - y) max(margin - d, 0)², d = |a - b|.",
    )
    cosine_embedding_loss = function_of(
        CosineEmbeddingLoss,
        "Cosine embedding loss: "
        "mean of 1 - cos where y is 1, of max(cos - margin, 0) where y is -1.",
    )
