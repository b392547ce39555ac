"""Base classes of the paired losses: row i of a with row i of b.

arrays -> PairKernel (the distance and a loss of elements) -> value and gradients by the rows
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from fastloss._base import (
    LABELS,
    REALS,
    SAMPLE_WEIGHT,
    WEIGHTS,
    Input,
    Interval,
    Loss,
    Partial,
    check_values,
)
from fastloss._core.paired import PairKernel, read_column, read_rows
from fastloss._parameters import choice

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

Distance = Literal["euclidean", "sqeuclidean", "cosine"]
Reduction = Literal["mean", "sum", "none"]
DISTANCE = choice("euclidean", "sqeuclidean", "cosine")
REDUCTION = choice("mean", "sum", "none")


class PairedLoss(Loss):
    """Base of losses of the distances of paired rows.

    Subclasses name the loss of elements that the distances go through, and its parameters, in
    `_element`.

    Attributes
    ----------
    measure : {"euclidean", "sqeuclidean", "cosine"}
        The distance of two rows.
    """

    reduction: Reduction
    _kernel: PairKernel

    @property
    def measure(self) -> Distance:
        """The distance of two rows."""
        raise NotImplementedError

    def _element(self) -> tuple[str, dict[str, float]]:
        """Return name and parameters of the loss of elements that a distance goes through."""
        raise NotImplementedError

    def _sign(self) -> float:
        return 1.0

    def _make_kernel(self) -> PairKernel:
        return PairKernel(*self._element(), self.measure, self._called("rows"), self._sign(),
                          self.reduction)

    def _partial(
        self, rows: tuple[Any, ...], y: Any, sample_weight: Any, n_threads: int | None
    ) -> Partial:
        if self.reduction == "none":
            raise ValueError("partial needs a reduction, got reduction='none'")
        sums = self._kernel.partial_sums(rows, y, sample_weight, n_threads)
        return Partial(self, *sums)

    def _check(self, rows: tuple[Any, ...], sample_weight: Any) -> list[Array]:
        names = self._called("rows")
        arrays: list[Array] = read_rows(names, rows)
        for name, array in zip(names, arrays, strict=True):
            check_values(name, array, REALS)
        if sample_weight is not None:
            check_values("sample_weight",
                         read_column(sample_weight, "sample_weight", "weight", arrays[0]), WEIGHTS)
        return arrays


class PairLoss(PairedLoss):
    """Base of losses of labelled pairs of rows."""

    inputs = (Input("a", "rows", gradient=True), Input("b", "rows", gradient=True),
              Input("y", "labels"), SAMPLE_WEIGHT)
    sample = "pair"

    def _domains(self) -> tuple[Interval, Interval]:
        return LABELS, REALS

    def __call__(
        self, a: ArrayLike, b: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, *,
        out: Array | None = None, n_threads: int | None = None,
    ) -> Any:
        """Return the value of the loss; see `value`."""
        return self._kernel.value((a, b), y, sample_weight, out, n_threads)

    def value(
        self,
        a: ArrayLike,
        b: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        out: Array | None = None,
        n_threads: int | None = None,
    ) -> Any:
        """Return the value of the loss.

        Parameters
        ----------
        a, b : array_like (n, d) of real numbers
            The rows of each pair. Computed in float32 if both are float32 or float16, else in
            float64.
        y : array_like (n,) of real numbers
            Labels of the pairs.
        sample_weight : array_like (n,) of real numbers, optional
            Weights of the pairs.
        out : ndarray (n,) of float32 or float64, optional
            For ``reduction="none"``: where the losses of the pairs go.
        n_threads : int, optional
            Number of threads, at least 1; by default `fastloss.get_num_threads`.

        Returns
        -------
        float, or ndarray (n,) for ``reduction="none"``
            Summed in float64. The mean of nothing, and a mean with weights that sum to 0, is nan.

        Raises
        ------
        TypeError
            If an argument does not hold real numbers, or `out` is not a float array.
        ValueError
            If shapes do not fit, `n_threads` is less than 1, or `out` is read-only, overlaps an
            input, or is given where the value is a float.
        """
        return self._kernel.value((a, b), y, sample_weight, out, n_threads)

    def value_and_grad(
        self,
        a: ArrayLike,
        b: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        out: tuple[Any, Any] | None = None,
        n_threads: int | None = None,
    ) -> tuple[Any, tuple[Array, Array]]:
        """Return the value and its gradients by both rows of each pair, in one pass.

        Takes the arguments of `value`, and raises its errors.

        Parameters
        ----------
        a, b, y, sample_weight, n_threads
            See `value`.
        out : (grad_a, grad_b), or (value, (grad_a, grad_b)) for ``reduction="none"``, optional
            Where results go: float32 or float64 arrays of any strides; None for a new one.
            grad_a may be `a` itself, and grad_b `b`.

        Returns
        -------
        value : float, or ndarray (n,) for ``reduction="none"``
        grads : (grad_a, grad_b), ndarrays (n, d)
            In C order, of the computation's type.
        """
        value, (grad_a, grad_b) = self._kernel.value_and_grad((a, b), y, sample_weight, out,
                                                              n_threads)
        return value, (grad_a, grad_b)

    def partial(
        self,
        a: ArrayLike,
        b: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        n_threads: int | None = None,
    ) -> Partial:
        """Return the sums over a part of the pairs, which can be added to other parts' sums.

        Takes the arguments of `value`, and raises its errors; ``reduction="none"`` has no sums.

        Returns
        -------
        Partial
            ``(loss.partial(a1, b1, y1) + loss.partial(a2, b2, y2)).result()`` is the value on
            both parts together.
        """
        return self._partial((a, b), y, sample_weight, n_threads)

    def check(
        self, a: ArrayLike, b: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Raise if the data hold values that the loss is not meant for.

        For debugging: the other methods take any number.

        Parameters
        ----------
        a, b, y, sample_weight
            See `value`.

        Raises
        ------
        ValueError
            If a value is not finite, a label is out of its range, or a weight is negative; with
            the count, and the index and value of the first.
        """
        rows = self._check((a, b), sample_weight)
        check_values("y", read_column(y, "y", "label", rows[0]), self._domains()[0])
