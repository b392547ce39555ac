"""The loss of triplets of rows: row i of anchors, of positives and of negatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastloss._base import SAMPLE_WEIGHT, Input, Partial
from fastloss._functions import function_of
from fastloss._parameters import flag, number, parameter
from fastloss.embedding._paired_base import DISTANCE, REDUCTION, Distance, PairedLoss, Reduction
from fastloss.pointwise import ContrastiveLoss, LogLoss

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

__all__ = [
    "TripletLoss",
    "triplet_loss",
]


@dataclass(frozen=True, kw_only=True)
class TripletLoss(PairedLoss):
    r"""Triplet loss of anchors, positives and negatives, row by row.

    .. math:: l_i = \max(d(a_i, p_i) - d(a_i, n_i) + m, 0)

    All three are (n, d).

    Parameters
    ----------
    margin : float, default 1
        m >= 0, in the units of the distance; not used with ``soft_margin=True``.
    distance : {"euclidean", "sqeuclidean", "cosine"}, default "euclidean"
        |x - z|; its square, as in FaceNet; or 1 - cos(x, z).
    soft_margin : bool, default False
        ln(1 + exp(d(a, p) - d(a, n))) in place of the hinge.
    reduction : {"mean", "sum", "none"}, default "mean"
        Sum of w l divided by the sum of the weights w, or by 1; "none" for each triplet's w l.

    Notes
    -----
    The derivative of a distance of 0, and of the hinge where it begins, is 0. A row of zeros has
    the cosine 0 with any other, and gradient 0. torch's TripletMarginLoss is this with ``eps=0``
    there.

    References
    ----------
    F. Schroff, D. Kalenichenko, J. Philbin, "FaceNet: A Unified Embedding for Face Recognition and
    Clustering", arXiv:1503.03832; A. Hermans, L. Beyer, B. Leibe, "In Defense of the Triplet Loss
    for Person Re-Identification", arXiv:1703.07737 (soft margin).

    Examples
    --------
    >>> loss = TripletLoss(margin=1.0)
    >>> value, grads = loss.value_and_grad([[0.0, 0.0]], [[3.0, 4.0]], [[0.0, 2.0]])
    >>> value, [grad.round(6).tolist() for grad in grads]
    (4.0, [[[-0.6, 0.2]], [[0.6, 0.8]], [[0.0, -1.0]]])
    """

    margin: float = parameter(1.0, number(low=0))
    distance: Distance = parameter("euclidean", DISTANCE)
    soft_margin: bool = parameter(False, flag)
    reduction: Reduction = parameter("mean", REDUCTION)

    inputs = (Input("anchors", "rows", gradient=True), Input("positives", "rows", gradient=True),
              Input("negatives", "rows", gradient=True), SAMPLE_WEIGHT)
    sample = "triplet"

    @property
    def measure(self) -> Distance:
        """The distance of two rows."""
        return self.distance

    def _sign(self) -> float:
        # the loss of elements either pushes its argument up, or the score of class 0 down
        return 1.0 if self.soft_margin else -1.0

    def _element(self) -> tuple[str, dict[str, float]]:
        if self.soft_margin:
            return LogLoss(from_logits=True)._kernel_parameters()
        return ContrastiveLoss(margin=self.margin, form="linear")._kernel_parameters()

    def __call__(
        self, anchors: ArrayLike, positives: ArrayLike, negatives: ArrayLike,
        sample_weight: ArrayLike | None = None, *, out: Array | None = None,
        n_threads: int | None = None,
    ) -> Any:
        """Return the value of the loss; see `value`."""
        return self._kernel.value((anchors, positives, negatives), None, sample_weight, out,
                                  n_threads)

    def value(
        self,
        anchors: ArrayLike,
        positives: ArrayLike,
        negatives: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        out: Array | None = None,
        n_threads: int | None = None,
    ) -> Any:
        """Return the value of the loss.

        Results and errors are as for `PairContrastiveLoss.value`.

        Parameters
        ----------
        anchors, positives, negatives : array_like (n, d) of real numbers
            The rows of each triplet. Computed in float32 if all are float32 or float16, else in
            float64.
        sample_weight : array_like (n,) of real numbers, optional
            Weights of the triplets.
        out, n_threads
            See `PairContrastiveLoss.value`.

        Returns
        -------
        float, or ndarray (n,) for ``reduction="none"``
        """
        return self._kernel.value((anchors, positives, negatives), None, sample_weight, out,
                                  n_threads)

    def value_and_grad(
        self,
        anchors: ArrayLike,
        positives: ArrayLike,
        negatives: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        out: tuple[Any, ...] | None = None,
        n_threads: int | None = None,
    ) -> tuple[Any, tuple[Array, Array, Array]]:
        """Return the value and its gradients by all rows, in one pass.

        Takes the arguments of `value`, and raises its errors.

        Parameters
        ----------
        anchors, positives, negatives, sample_weight, n_threads
            See `value`.
        out : three arrays, or (value, (three arrays)) for ``reduction="none"``, optional
            Where results go; see `PairContrastiveLoss.value_and_grad`.

        Returns
        -------
        value : float, or ndarray (n,) for ``reduction="none"``
        grads : (grad_anchors, grad_positives, grad_negatives), ndarrays (n, d)
            In C order, of the computation's type.
        """
        value, (first, second, third) = self._kernel.value_and_grad(
            (anchors, positives, negatives), None, sample_weight, out, n_threads)
        return value, (first, second, third)

    def partial(
        self,
        anchors: ArrayLike,
        positives: ArrayLike,
        negatives: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        n_threads: int | None = None,
    ) -> Partial:
        """Return the sums over a part of the triplets, which can be added to other parts' sums."""
        return self._partial((anchors, positives, negatives), None, sample_weight, n_threads)

    def check(
        self, anchors: ArrayLike, positives: ArrayLike, negatives: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> None:
        """Raise ValueError if a value is not finite, or a weight is negative.

        For debugging: the other methods take any number. Takes the arguments of `value`.
        """
        self._check((anchors, positives, negatives), sample_weight)


if TYPE_CHECKING:
    from fastloss._functions import triplet_loss
else:
    triplet_loss = function_of(
        TripletLoss,
        "Triplet loss: mean of max(|a - p| - |a - n| + margin, 0).",
    )
