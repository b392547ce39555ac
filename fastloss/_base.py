"""What all losses share: parameters, facts about them, domains; and the methods of predictions.

Loss -> PredictionLoss -> ElementLoss, RowwiseLoss; PairedLoss and BatchLoss are in `embedding`
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np

from fastloss._core import elements
from fastloss._curvature import Bound, weighted_quantile
from fastloss._parameters import Parametrised, choice

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

Reduction = Literal["mean", "sum", "none", "sum_over_batch_size"]


REDUCTION = choice("mean", "sum", "none", "sum_over_batch_size")


# ---- domains, for check() ---------------------------------------------------------------


class Interval(NamedTuple):
    """A range of valid values, closed unless said otherwise, and what is in it."""

    low: float
    high: float
    what: str
    open_low: bool = False
    ends_only: bool = False
    whole: bool = False

    def holds(self, values: Array) -> Array:
        """Return which values are finite and in the range."""
        if self.ends_only:
            at_an_end: Array = (values == self.low) | (values == self.high)
            return at_an_end
        above = values > self.low if self.open_low else values >= self.low
        held: Array = np.isfinite(values) & above & (values <= self.high)
        return held & (values == np.trunc(values)) if self.whole else held


REALS = Interval(-math.inf, math.inf, "finite numbers")
PROBABILITIES = Interval(0.0, 1.0, "probabilities in [0, 1]")
TARGET_PROBABILITIES = Interval(0.0, 1.0, "target probabilities in [0, 1]")
LABELS = Interval(0.0, 1.0, "labels in [0, 1], where 0 and 1 are the classes")
SIGNS = Interval(-1.0, 1.0, "labels -1 and 1", ends_only=True)
DISTANCES = Interval(0.0, math.inf, "distances >= 0")
COUNTS = Interval(0.0, math.inf, "numbers >= 0")
AMOUNTS = Interval(0.0, math.inf, "numbers > 0", open_low=True)
ABOVE_MINUS_ONE = Interval(-1.0, math.inf, "numbers > -1", open_low=True)
WEIGHTS = Interval(0.0, math.inf, "weights >= 0")


class Outside(NamedTuple):
    """The values of an argument that are outside its domain."""

    argument: str  # as "y_true"
    at: tuple[int, ...]  # index of the first
    value: float
    told: str  # how many there are, and what is expected
    cure: str

    def error(self) -> ValueError:
        """Return the error for a call with these values."""
        index: Any = self.at[0] if len(self.at) == 1 else self.at
        return ValueError(f"{self.argument} must hold {self.told} do not, the first at index "
                          f"{index}: {self.value!r}")


def check_values(name: str, array: Array, domain: Interval) -> None:
    """Raise ValueError if some value is not finite or is outside its domain."""
    found = find_outside(name, array, domain)
    if found:
        raise found.error()


def find_outside(
    name: str, array: Array, domain: Interval, ignored: Array | None = None
) -> Outside | None:
    """Return the values that are not finite or outside their domain, or None if there are none.

    Rows that are ignored may hold anything.
    """
    kept = array if ignored is None else array[~ignored]
    if kept.size and not (domain.ends_only or (domain.whole and kept.dtype.kind == "f")):
        # least and largest say enough, and are NaN if there is one
        with np.errstate(invalid="ignore"):
            ends = np.array([kept.min(), kept.max()], np.float64)
        if domain.holds(ends).all():
            return None
    bad, first, value, start = 0, -1, 0.0, 0
    blocks = np.nditer(kept, ["external_loop", "buffered", "zerosize_ok"], order="C",
                       op_dtypes=[np.dtype(np.float64)], buffersize=8192)
    block: Array
    for block in blocks:  # type: ignore[assignment]
        wrong = ~domain.holds(block)
        count = int(np.count_nonzero(wrong))
        if count and not bad:
            at = int(np.argmax(wrong))
            first, value = start + at, float(block[at])
        bad += count
        start += block.size
    if not bad:
        return None
    index = tuple(int(i) for i in np.unravel_index(first, kept.shape))
    if ignored is not None:
        index = (int(np.flatnonzero(~ignored)[index[0]]), *index[1:])
    return Outside(name, index, value, f"{domain.what}, but {bad} of {kept.size} values",
                   _cure(kept, domain))


LABEL_CURES = {  # what makes common labels those between the low and high end of a domain
    (0.0, 1.0): {(-1.0, 1.0): "(y + 1) / 2", (1.0, 2.0): "y - 1", (0.0, 255.0): "y / 255"},
    (-1.0, 1.0): {(0.0, 1.0): "2 y - 1", (1.0, 2.0): "2 y - 3"},
}


def _cure(array: Array, domain: Interval) -> str:
    """Return what makes values of a common kind those of a domain, or nothing."""
    ends, are_labels = (domain.low, domain.high), "labels" in domain.what
    found = np.unique(array).astype(np.float64).tolist()
    if are_labels:
        for pair, cure in LABEL_CURES[ends].items():
            if set(found) <= set(pair):
                return f"; labels {pair[0]:g} and {pair[1]:g} become {ends[0]:g} and {ends[1]:g} " \
                       f"by {cure}"
    if domain.whole and found[0] == 1 and found[-1] == domain.high + 1:
        return f"; labels from 1 to {found[-1]:g} become class numbers by y - 1"
    if ends == (0.0, 1.0) and not domain.whole and found[0] >= 0 and found[-1] <= 100:
        if are_labels and all(map(float.is_integer, found)):
            return "; more than two classes are for CrossEntropyLoss"
        if found[-1] > 2:
            return "; per cent must be divided by 100"
    return ""


# ---- the losses -------------------------------------------------------------------------


Role = Literal["target", "prediction", "rows", "labels", "weights"]
Prediction = Literal["number", "score", "logit", "probability", "distance", "log-rate", "rate"]
Curvature = Literal["curved", "flat in parts", "flat"]


class Input(NamedTuple):
    """One of the arrays that a loss takes."""

    name: str                   # the parameter of `value`
    role: Role
    gradient: bool = False      # whether `value_and_grad` has a gradient by it
    optional: bool = False
    alias: str = ""             # what messages and the function call it, if not by its name

    @property
    def called(self) -> str:
        """Its name in messages and in the function's signature."""
        return self.alias or self.name


SAMPLE_WEIGHT = Input("sample_weight", "weights", optional=True)


class Loss(Parametrised):
    """Base of all losses: parameters that do not change, and facts about the loss.

    Subclasses are frozen keyword-only dataclasses whose fields are made by `parameter`. What the
    loss is like is stated here and in their attributes, and nowhere else: adapters read it.

    Attributes
    ----------
    inputs : tuple of Input
        The arrays that the loss takes, in the order of `value`'s parameters.
    sample : {"element", "row", "pair", "triplet", "anchor"}
        What has a loss of its own, one number of ``reduction="none"``: an element of `y_pred`, a
        row of it, a pair or triplet of rows, or a row of a batch beside the others.
    prediction : str or None
        What a prediction is: a "number" in the unit of the target; a "score", of which the sign is
        the class; a "logit", or "probability", of class 1 or of each class; a "distance", of two
        things that the target calls similar or not; a "log-rate" or "rate", the mean of a target
        >= 0. None for losses of rows of embeddings.
    curvature : {"curved", "flat in parts", "flat"}
        Where the second derivative by a prediction is 0: at single ones at most; over an interval
        of them, for some targets or parameters; everywhere, beside a slope, but at the target.
    convex : bool
        Whether no second derivative by a prediction is negative.
    bounded_below : bool
        Whether the loss has a least value over all predictions it takes. Of distances these are
        all numbers, as a model's scores may fall below 0.
    of_residual : bool
        Whether the loss depends on the difference of prediction and target alone.
    takes_scores : bool
        Whether a prediction may be any number, as a linear model's is.
    """

    reduction: Any
    inputs: ClassVar[tuple[Input, ...]]
    sample: ClassVar[Literal["element", "row", "pair", "triplet", "anchor"]]
    of_residual: ClassVar[bool] = False
    _kernel: Any
    # The parameter that, if True, makes the loss one of raw scores; "" if there is none.
    _score_option: ClassVar[str] = ""
    # The level of the quantile of targets that is the best constant; None if it is none.
    _best_quantile: float | None = None
    # What labels are called in pictures, beside their numbers.
    _label_names: Mapping[float, str] = {}
    # The units of value and gradient in pictures; "" for none that is worth saying.
    _units: tuple[str, str] = ("", "")
    # What keeps Newton's steps from going too far; None where second derivatives do.
    _newton_bound: Bound | None = None

    def __init__(self) -> None:     # dataclasses have their own
        raise TypeError(f"{type(self).__name__} is a base class; use a loss such as "
                        "fastloss.HuberLoss()")

    @property
    def prediction(self) -> Prediction | None:
        """What a prediction is."""
        return None

    @property
    def curvature(self) -> Curvature:
        """Where the second derivative by a prediction is 0."""
        return "curved"

    @property
    def convex(self) -> bool:
        """Whether no second derivative by a prediction is negative."""
        return True

    @property
    def bounded_below(self) -> bool:
        """Whether the loss has a least value over all predictions it takes."""
        return True

    def _domains(self) -> tuple[Interval, Interval]:
        """Return what targets and predictions are meant to be."""
        return REALS, REALS

    @property
    def takes_scores(self) -> bool:
        """Whether a prediction may be any number, as a linear model's is."""
        return self._domains()[1] == REALS

    def _for_scores(self) -> str:
        """Return what to use for predictions that may be any number, if those here may not."""
        return f"use {self._score_option}=True" if self._score_option else ""

    def _least_curvature(self, y: Array, p: Array, w: Any) -> Bound | Array | None:
        """Return what second derivatives are to be at least, for Newton's steps not to go too far.

        Of a loss of raw scores with ``reduction="sum"``. None where the exact ones will do.
        """
        return self._newton_bound

    def _best_constant(self, y: Array, w: Any) -> float | None:
        """Return the best constant prediction for float64 targets; None without a formula."""
        return None if self._best_quantile is None else weighted_quantile(y, self._best_quantile, w)

    def _middle(self, y: Array, w: Any) -> float:
        """Return where to seek the best constant prediction from."""
        return 0.0

    @property
    def _margin(self) -> float | None:
        """The prediction at which the loss of a label begins or ends, if a parameter says so."""
        return self._parameters().get("margin")

    def _ignored(self, y: Array) -> Array | None:
        """Return which targets make their samples count for nothing; None if none can."""
        return None

    @property
    def _targets_weigh(self) -> bool:
        """Whether targets have a say in what weights sum up to."""
        return False

    @property
    def _n_classes(self) -> int | None:
        """The number of classes, if a parameter says it."""
        return None

    @classmethod
    def takes(cls, role: Role) -> bool:
        """Return whether the loss has an input of a role."""
        return any(each.role == role for each in cls.inputs)

    @classmethod
    def _called(cls, role: Role) -> tuple[str, ...]:
        """Return what messages call the inputs of a role."""
        return tuple(each.called for each in cls.inputs if each.role == role)

    def __call__(self, *data: Any, **options: Any) -> Any:
        """Return the value of the loss; see `value`."""
        raise NotImplementedError

    def value(self, *data: Any, **options: Any) -> Any:
        """Return the value of the loss of its inputs."""
        raise NotImplementedError

    def value_and_grad(self, *data: Any, **options: Any) -> Any:
        """Return the value, and the gradients by those inputs that have one."""
        raise NotImplementedError

    def partial(self, *data: Any, **options: Any) -> Any:
        """Return the sums over a part of the data, to be added to those of other parts."""
        raise NotImplementedError

    if TYPE_CHECKING:
        # These are methods of losses of predictions, and `check` of paired rows too. They are
        # declared for all, so that a variable of the type Loss can call them.
        def grad(self, *data: Any, **options: Any) -> Any: ...
        def grad_and_hess(self, *data: Any, **options: Any) -> Any: ...
        def check(self, *data: Any, **options: Any) -> None: ...
        def _outside(self, *data: Any) -> Outside | None: ...


class PredictionLoss(Loss):
    """Base of losses of targets and predictions: of elements, and of rows of scores."""

    inputs = (Input("y_true", "target"), Input("y_pred", "prediction", gradient=True),
              SAMPLE_WEIGHT)
    reduction: Reduction
    _kernel: elements.Kernel

    def __call__(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None, *,
        out: Array | None = None, n_threads: int | None = None,
    ) -> Any:
        """Return the value of the loss; see `value`."""
        return elements.value(self._kernel, y_true, y_pred, sample_weight, out, n_threads)

    def value(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        out: Array | None = None,
        n_threads: int | None = None,
    ) -> Any:
        """Return the value of the loss.

        Parameters
        ----------
        y_true, y_pred : array_like of real numbers
            Targets and predictions, of the same shape. `y_pred` decides the precision of
            the computation: float32 for float32 and float16, else float64.
        sample_weight : array_like of real numbers, optional
            Weights of the elements, of the same shape.
        out : ndarray of float32 or float64, optional
            For ``reduction="none"``: where the element losses go.
        n_threads : int, optional
            Number of threads, at least 1; by default `fastloss.get_num_threads`. No more are
            started than four for each CPU (at least four), or than a limit of the address space
            leaves room for: the result is the same bits with any number.

        Returns
        -------
        float, or ndarray for ``reduction="none"``
            Summed in float64, also where an element is beyond the range of float32. The mean of
            nothing, and a mean whose weights sum to 0, is nan.

        Raises
        ------
        TypeError
            If an argument does not hold real numbers, or `out` is no float array.
        ValueError
            If shapes differ, `n_threads` is less than 1, or `out` is read-only, overlaps an
            input, or is given where the value is a float.

        Notes
        -----
        Denormal numbers count as what they are, and results are rounded to nearest, also where
        another library has set the thread that calls to something else, as
        ``torch.set_flush_denormal(True)`` does: each thread computes in the default mode of the
        processor, and gets back the mode it had.
        """
        return elements.value(self._kernel, y_true, y_pred, sample_weight, out, n_threads)

    def grad(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        out: Array | None = None,
        n_threads: int | None = None,
    ) -> Array:
        """Return the derivative of the value by each element of `y_pred`.

        Arguments and errors are those of `value`.

        Parameters
        ----------
        y_true, y_pred, sample_weight, n_threads
            See `value`.
        out : ndarray of float32 or float64, optional
            Where the result goes: any strides; may be `y_pred` itself.

        Returns
        -------
        ndarray
            Of the shape of `y_pred` and the computation's dtype, or `out`. For
            ``reduction="none"``, the derivative of each element's loss.
        """
        return elements.grad(self._kernel, y_true, y_pred, sample_weight, out, n_threads)

    def value_and_grad(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        out: Array | tuple[Array, Array] | None = None,
        n_threads: int | None = None,
    ) -> tuple[Any, Array]:
        """Return value and gradient, computed in one pass over the data.

        Arguments and errors are those of `value`.

        Parameters
        ----------
        y_true, y_pred, sample_weight, n_threads
            See `value`.
        out : ndarray, optional
            Where the gradient goes; for ``reduction="none"`` a pair (value, grad).

        Returns
        -------
        value : float, or ndarray for ``reduction="none"``
        grad : ndarray
        """
        return elements.value_and_grad(self._kernel, y_true, y_pred, sample_weight, out, n_threads)

    def grad_and_hess(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        out: tuple[Array, Array] | None = None,
        n_threads: int | None = None,
    ) -> tuple[Array, Array]:
        """Return gradient and diagonal of the Hessian, computed in one pass over the data.

        Arguments and errors are those of `value`.

        Parameters
        ----------
        y_true, y_pred, sample_weight, n_threads
            See `value`.
        out : pair of ndarray, optional
            Where gradient and hessian go.

        Returns
        -------
        grad, hess : ndarray
            Second derivatives are scaled like the gradient.
        """
        return elements.grad_and_hess(self._kernel, y_true, y_pred, sample_weight, out, n_threads)

    def partial(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        n_threads: int | None = None,
    ) -> Partial:
        """Return the sums over a part of the data, to be added to those of other parts.

        Arguments and errors are those of `value`.

        Returns
        -------
        Partial
            ``(loss.partial(y1, p1) + loss.partial(y2, p2)).result()`` is the value on both
            parts together.
        """
        if self.reduction == "none":
            raise ValueError("partial needs a reduction, got reduction='none'")
        sums = elements.partial_sums(self._kernel, y_true, y_pred, sample_weight, n_threads)
        return Partial(self, *sums)

    def check(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Raise if the data are not what the loss is meant for.

        For debugging: the other methods take any number.

        Parameters
        ----------
        y_true, y_pred, sample_weight
            See `value`.

        Raises
        ------
        ValueError
            If a value is not finite, a label, probability or distance is out of its range, or a
            weight is negative; with the count, and the index and value of the first.
        """
        found = self._outside(y_true, y_pred, sample_weight)
        if found:
            raise found.error()

    def _outside(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None
    ) -> Outside | None:
        """Return what `check` raises an error for."""
        y, p, w = elements.read_inputs(y_true, y_pred, sample_weight)
        targets, predictions = self._domains()
        return (find_outside("y_true", y, targets) or find_outside("y_pred", p, predictions)
                or (None if w is None else find_outside("sample_weight", w, WEIGHTS)))


class ElementLoss(PredictionLoss):
    """Base of losses of elements, each a number for a target and a prediction.

    Subclasses name their loops and what those need in `_kernel_parameters`.
    """

    sample = "element"

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        """Return the loss's name in the compiled list of losses and its parameters there."""
        raise NotImplementedError

    def _make_kernel(self) -> elements.Kernel:
        return elements.Kernel(*self._kernel_parameters(), self.reduction)


class RowwiseLoss(PredictionLoss):
    """Base of losses of rows of `y_pred`, each with a score for each class."""

    sample = "row"


def _add(a: float, a_error: float, b: float, b_error: float) -> tuple[float, float]:
    """Return the sum of two numbers that are not rounded, and what its rounding took (TwoSum)."""
    total = a + b
    back = total - a
    error = ((a - (total - back)) + (b - back)) + (a_error + b_error)
    rounded = total + error
    if not math.isfinite(rounded):  # the error of an infinite sum is nan
        return total, 0.0
    back = rounded - total
    return rounded, (total - (rounded - back)) + (error - back)


@dataclass(frozen=True)
class Partial:
    """Sums of a loss over a part of the data.

    Attributes
    ----------
    loss : Loss
        The loss that was summed; only parts of equal losses can be added.
    loss_sum : float
        Sum of the weighted element losses.
    weight_sum : float
        Sum of the weights; the number of elements without weights.
    count : int
        Number of elements.
    loss_error, weight_error : float
        What rounding took from the sums, so that parts add up to the bits of the whole.
    """

    loss: Loss
    loss_sum: float
    weight_sum: float
    count: int
    loss_error: float = 0.0
    weight_error: float = 0.0

    def __add__(self, other: Partial) -> Partial:
        if not isinstance(other, Partial):
            return NotImplemented
        if self.loss != other.loss:
            raise ValueError(f"parts of different losses: {self.loss} and {other.loss}")
        loss_sum, loss_error = _add(self.loss_sum, self.loss_error,
                                    other.loss_sum, other.loss_error)
        weight_sum, weight_error = _add(self.weight_sum, self.weight_error,
                                        other.weight_sum, other.weight_error)
        return Partial(self.loss, loss_sum, weight_sum, self.count + other.count, loss_error,
                       weight_error)

    def __radd__(self, other: int) -> Partial:
        return self if other == 0 else NotImplemented  # the start of sum()

    def result(self) -> float:
        """Return the value of the loss on all parts added so far."""
        return elements.reduce(self.loss.reduction, self.loss_sum, self.weight_sum, self.count)
