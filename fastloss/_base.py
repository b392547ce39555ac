"""Base classes of the losses: parameters, facts, domains, and the methods on predictions.

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
    """A range of valid values, and the words for them in messages."""

    low: float
    high: float
    what: str
    open_low: bool = False
    ends_only: bool = False
    whole: bool = False

    def holds(self, values: Array) -> Array:
        """Return a mask of the values that are finite and in the range."""
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
    told: str  # the expected values, and how many are not: "labels ..., but 3 of 9 values"
    cure: str  # advice, or nothing

    def error(self) -> ValueError:
        """Return the error for a call with these values."""
        index: Any = self.at[0] if len(self.at) == 1 else self.at
        return ValueError(f"{self.argument} must hold {self.told} do not, the first at index "
                          f"{index}: {self.value!r}")


def check_values(name: str, array: Array, domain: Interval) -> None:
    """Raise ValueError if some value is not finite or is outside its domain."""
    outside = find_outside(name, array, domain)
    if outside:
        raise outside.error()


def find_outside(
    name: str, array: Array, domain: Interval, ignored: Array | None = None
) -> Outside | None:
    """Return the values that are not finite or outside their domain, or None if there are none.

    Rows that are ignored may hold anything.
    """
    kept = array if ignored is None else array[~ignored]
    if kept.size and not (domain.ends_only or (domain.whole and kept.dtype.kind == "f")):
        # the least and the largest value decide, and are NaN if any value is
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


LABEL_CURES = {  # by the ends of a domain: formulas that turn other common labels into its labels
    (0.0, 1.0): {(-1.0, 1.0): "(y + 1) / 2", (1.0, 2.0): "y - 1", (0.0, 255.0): "y / 255"},
    (-1.0, 1.0): {(0.0, 1.0): "2 y - 1", (1.0, 2.0): "2 y - 3"},
}


def _cure(array: Array, domain: Interval) -> str:
    """Return advice that turns values of a common kind into valid ones, or an empty string."""
    ends, are_labels = (domain.low, domain.high), "labels" in domain.what
    distinct = np.unique(array).astype(np.float64).tolist()
    if are_labels:
        for pair, cure in LABEL_CURES[ends].items():
            if set(distinct) <= set(pair):
                return f"; labels {pair[0]:g} and {pair[1]:g} become {ends[0]:g} and {ends[1]:g} " \
                       f"by {cure}"
    if domain.whole and distinct[0] == 1 and distinct[-1] == domain.high + 1:
        return f"; labels from 1 to {distinct[-1]:g} become class numbers by y - 1"
    if ends == (0.0, 1.0) and not domain.whole and distinct[0] >= 0 and distinct[-1] <= 100:
        if are_labels and all(map(float.is_integer, distinct)):
            return "; use CrossEntropyLoss for more than two classes"
        if distinct[-1] > 2:
            return "; divide per cent by 100"
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
    alias: str = ""             # its name in messages and in the function, if it has another one

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
        The unit that has a loss of its own: an element of `y_pred`, a row of it, a pair or triplet
        of rows, or an anchor, a row of a batch that is compared with the others. Where the loss
        takes ``reduction="none"``, the result has one number for each.
    prediction : str or None
        The meaning of a prediction: a "number" in the unit of the target; a "score", with the class
        as its sign; a "logit", or "probability", of class 1 or of each class; a "distance", of two
        things that the target calls similar or not; a "log-rate" or "rate", the mean of a target
        >= 0. None for losses of embeddings.
    curvature : {"curved", "flat in parts", "flat"}
        Where the second derivative by a prediction is 0. "curved": at single predictions at most;
        "flat in parts": over an interval, for some targets or parameters; "flat": everywhere but
        at the target, although there is a slope.
    convex : bool
        Whether no second derivative by a prediction is negative.
    bounded_below : bool
        Whether the loss has a least value over all predictions it takes. For a loss of distances
        these are all numbers, as a model's scores may fall below 0.
    of_residual : bool
        Whether the loss depends on the difference of prediction and target alone.
    takes_scores : bool
        Whether a prediction may be any number, such as the output of a linear model.
    """

    reduction: Any
    inputs: ClassVar[tuple[Input, ...]]
    sample: ClassVar[Literal["element", "row", "pair", "triplet", "anchor"]]
    of_residual: ClassVar[bool] = False
    _kernel: Any
    # The parameter that makes the loss take raw scores if it is True; "" if there is none.
    _score_option: ClassVar[str] = ""
    # The best constant prediction is this quantile of the targets; None if it is not a quantile.
    _best_quantile: float | None = None
    # Names of labels in pictures, beside their numbers.
    _label_names: Mapping[float, str] = {}
    # The units of value and gradient in pictures; "" if there is none to show.
    _units: tuple[str, str] = ("", "")
    # A lower bound of second derivatives that limits Newton's steps; None if the exact ones do.
    _newton_bound: Bound | None = None

    def __init__(self) -> None:     # dataclasses have their own
        raise TypeError(f"{type(self).__name__} is a base class; use a loss such as "
                        "fastloss.HuberLoss()")

    @property
    def prediction(self) -> Prediction | None:
        """The meaning of a prediction."""
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
        """Return the valid ranges of targets and of predictions."""
        return REALS, REALS

    @property
    def takes_scores(self) -> bool:
        """Whether a prediction may be any number, such as the output of a linear model."""
        return self._domains()[1] == REALS

    def _for_scores(self) -> str:
        """Return how to get a loss that takes any number, if this one does not."""
        return f"use {self._score_option}=True" if self._score_option else ""

    def _least_curvature(self, y: Array, p: Array, w: Any) -> Bound | Array | None:
        """Return lower bounds of the second derivatives, which limit Newton's steps.

        For a loss of raw scores with ``reduction="sum"``. None if the exact derivatives do.
        """
        return self._newton_bound

    def _best_constant(self, y: Array, w: Any) -> float | None:
        """Return the best constant prediction for float64 targets; None without a formula."""
        return None if self._best_quantile is None else weighted_quantile(y, self._best_quantile, w)

    def _middle(self, y: Array, w: Any) -> float:
        """Return a prediction from which to search for the best constant one."""
        return 0.0

    @property
    def _margin(self) -> float | None:
        """The prediction at which the loss of a label begins or ends, if a parameter says so."""
        return self._parameters().get("margin")

    def _ignored(self, y: Array) -> Array | None:
        """Return a mask of targets that make the loss ignore their samples; None if none does."""
        return None

    @property
    def _targets_weigh(self) -> bool:
        """Whether the sum of the weights depends on the targets."""
        return False

    @property
    def _n_classes(self) -> int | None:
        """The number of classes, if a parameter gives it."""
        return None

    @classmethod
    def takes(cls, role: Role) -> bool:
        """Return whether the loss has an input of a role."""
        return any(each.role == role for each in cls.inputs)

    @classmethod
    def _called(cls, role: Role) -> tuple[str, ...]:
        """Return the names that messages use for the inputs of a role."""
        return tuple(each.called for each in cls.inputs if each.role == role)

    def __call__(self, *data: Any, **options: Any) -> Any:
        """Return the value of the loss; see `value`."""
        raise NotImplementedError

    def value(self, *data: Any, **options: Any) -> Any:
        """Return the value of the loss of its inputs."""
        raise NotImplementedError

    def value_and_grad(self, *data: Any, **options: Any) -> Any:
        """Return the value, and the gradients by the inputs that have a gradient."""
        raise NotImplementedError

    def partial(self, *data: Any, **options: Any) -> Any:
        """Return the sums over a part of the data, which can be added to other parts' sums."""
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
            nothing, and a mean with weights that sum to 0, is nan.

        Raises
        ------
        TypeError
            If an argument does not hold real numbers, or `out` is not a float array.
        ValueError
            If shapes differ, `n_threads` is less than 1, or `out` is read-only, overlaps an
            input, or is given where the value is a float.

        Notes
        -----
        Denormal numbers are not taken for 0, and results are rounded to nearest, even if another
        library has set another mode for the calling thread, as ``torch.set_flush_denormal(True)``
        does: each thread computes in the processor's default mode, and returns to the mode it had.
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

        Takes the arguments of `value`, and raises its errors.

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

        Takes the arguments of `value`, and raises its errors.

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

        Takes the arguments of `value`, and raises its errors.

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
        """Return the sums over a part of the data, which can be added to other parts' sums.

        Takes the arguments of `value`, and raises its errors.

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
        """Raise if the data hold values that the loss is not meant for.

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
        outside = self._outside(y_true, y_pred, sample_weight)
        if outside:
            raise outside.error()

    def _outside(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None
    ) -> Outside | None:
        """Return the values that `check` refuses, or None."""
        y, p, w = elements.read_inputs(y_true, y_pred, sample_weight)
        targets, predictions = self._domains()
        return (find_outside("y_true", y, targets) or find_outside("y_pred", p, predictions)
                or (None if w is None else find_outside("sample_weight", w, WEIGHTS)))


class ElementLoss(PredictionLoss):
    """Base of losses of elements: one number for a target and a prediction.

    Subclasses name their compiled loss and its parameters in `_kernel_parameters`.
    """

    sample = "element"

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        """Return the loss's name in the compiled list of losses and its parameters there."""
        raise NotImplementedError

    def _make_kernel(self) -> elements.Kernel:
        return elements.Kernel(*self._kernel_parameters(), self.reduction)


class RowwiseLoss(PredictionLoss):
    """Base of losses of rows of `y_pred`: one number for a target and a score for each class."""

    sample = "row"

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
        y_true : array_like (n,) of class numbers, or (n, C) of targets
            The class of each row, or a target for each class.
        y_pred : array_like (n, C) of real numbers
            Scores of the C classes; probabilities for ``from_logits=False``. They decide the
            precision of the computation: float32 for float32 and float16, else float64.
        sample_weight : array_like (n,) of real numbers, optional
            Weights of the rows.
        out : ndarray (n,) of float32 or float64, optional
            For ``reduction="none"``: where the losses of the rows go.
        n_threads : int, optional
            Number of threads, at least 1; by default `fastloss.get_num_threads`.

        Returns
        -------
        float, or ndarray (n,) for ``reduction="none"``
            Summed in float64, also where the loss of a row is beyond the range of float32. The
            mean of nothing, and a mean with weights that sum to 0, is nan.

        Raises
        ------
        TypeError
            If an argument does not hold real numbers, or `out` is not a float array.
        ValueError
            If shapes do not fit, a class number is not one of the classes, `n_threads` is less
            than 1, or `out` is read-only, overlaps an input, or is given where the value is a
            float.
        """
        return elements.value(self._kernel, y_true, y_pred, sample_weight, out, n_threads)


def _add(a: float, a_error: float, b: float, b_error: float) -> tuple[float, float]:
    """Return the sum of two numbers with their rounding errors, and its own error (TwoSum)."""
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
