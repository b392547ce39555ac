"""Base classes of the boosters' adapters: checks, derivatives, the best constant to start from.

library's arrays -> _read (checked arrays) -> grad_and_hess -> bounds and floor of hess -> library
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from fastloss._base import WEIGHTS, Interval, Loss, check_values
from fastloss._core.boosting import bend, inside, settle
from fastloss._values import array_of, is_masked

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

Hessian = Literal["auto", "exact", "xgboost", "lightgbm"]


@dataclass(frozen=True)
class Adapter:
    """Base of objectives and metrics: a loss, and checks of the arrays that a library passes."""

    loss: Loss
    _labels: Interval | None = field(init=False, repr=False, compare=False)
    _error: ClassVar[type[Exception]] = ValueError  # the library's own exception

    def __post_init__(self) -> None:
        if not (isinstance(self.loss, Loss) and self.loss.takes("prediction")):
            raise TypeError("loss must be a loss of elements or of rows of scores, as LogLoss() "
                            f"or CrossEntropyLoss(), got {self.loss!r}")
        # a loss of rows checks class numbers itself
        labels = None if self.loss.sample == "row" else self.loss._domains()[0]
        object.__setattr__(self, "_labels", labels)

    def __deepcopy__(self, memo: object) -> Self:
        # libraries copy their parameters, and scikit-learn's clone wants the same object back
        return self

    def _read(self, y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Any, Array, Any]:
        """Return checked arrays, in shapes that the loss takes."""
        y, p = self._array(y_true, "y_true"), self._array(y_pred, "y_pred")
        if p.ndim not in (1, 2):
            raise self._error("y_pred must be an array (n,), or (n, k) for k outputs, but its "
                              f"shape is {p.shape}")
        w = None if sample_weight is None else self._array(sample_weight, "sample_weight")
        name = type(self.loss).__name__
        if self.loss.sample == "row":
            if p.ndim != 2 or p.shape[1] < 2:
                raise self._error(f"y_pred must have a column for each class, as {name} is a "
                                  f"multiclass loss, but its shape is {p.shape}: tell the "
                                  "library the number of classes")
        elif p.ndim == 2 and p.shape != y.shape:
            if p.shape[1] != 1:
                raise self._error(f"y_pred must have one column, as {name} is not a multiclass "
                                  f"loss, but its shape is {p.shape} and the shape of y_true "
                                  f"{y.shape}; use CrossEntropyLoss")
            p = p[:, 0]
        if y.shape[:1] != p.shape[:1]:
            raise self._error(f"y_true must have a label for each of the {len(p)} rows of y_pred, "
                              f"but its shape is {y.shape}")
        if w is not None:
            if w.shape != p.shape[:1]:
                raise self._error(f"sample_weight must have a weight for each of the {len(p)} "
                                  f"rows, but its shape is {w.shape}")
            if self.loss.sample == "element" and p.ndim == 2:
                w = np.broadcast_to(w[:, None], p.shape)
        self._check(y, w)
        return y, p, w

    def _array(self, x: Any, name: str) -> Array:
        """Return an array of numbers; raise the library's exception for anything else."""
        try:
            return array_of(x, name)
        except (TypeError, ValueError) as error:
            of_classes = self._labels is None or self._labels.high == 1
            cure = ""
            if name == "y_true" and of_classes and not is_masked(x) and (
                    np.asarray(x).dtype.kind in "OSUT"):
                cure = "; numpy.unique(y_true, return_inverse=True)[1] numbers classes from 0"
            raise self._error(f"{error}{cure}") from None

    def _check(self, y: Array, w: Any) -> None:
        """Raise the library's exception for labels and weights outside their domains."""
        if self._labels is not None and not inside(y, self._labels):
            self._refuse("y_true", y, self._labels)
        if w is not None and not inside(w, WEIGHTS):
            self._refuse("sample_weight", w, WEIGHTS)

    def _refuse(self, name: str, values: Array, domain: Interval) -> None:
        """Raise the library's exception if there is a value outside the domain."""
        try:
            check_values(name, values, domain)
        except ValueError as error:
            raise self._error(str(error)) from None


@dataclass(frozen=True)
class Objective(Adapter):
    """A loss as an objective: weighted derivatives of each row, not reduced.

    Parameters
    ----------
    loss : Loss
        A loss of raw scores: pointwise, or `CrossEntropyLoss`. Its `reduction` does not matter.
    hessian : {"auto", "exact", "xgboost", "lightgbm"}, default "auto"
        Second derivatives: "auto", the exact ones, but at least a bound that keeps steps short (see
        Notes); "exact", without a bound. For `CrossEntropyLoss` both are p (1 - p) of
        each class; "xgboost" is 2 p (1 - p), as XGBoost's softmax has it, "lightgbm"
        K / (K - 1) p (1 - p), as LightGBM's has it.
    hess_floor : float > 0, default 1e-16
        Least second derivative. Larger values mean smaller steps.

    Notes
    -----
    A booster's step is the slope over the second derivative, which must not vanish where the slope
    does not. With "auto" the second derivative is at least

    - of `PseudoHuberLoss` and `LogCoshLoss`, the slope over the residual: the weight that
      iteratively reweighted least squares gives the sample;
    - of `PoissonLoss`, `GammaLoss` and `TweedieLoss`, the slope over the distance of the score from
      ln y, at which the sample costs least;
    - of `AbsoluteLoss`, `PinballLoss`, `AbsolutePercentageLoss` and `EpsilonInsensitiveLoss`, half
      the jump of the slope over the residual, 1 / |e| for the absolute loss. Residuals below a
      tenth of a typical one (the eighth power of the mean eighth root of those that the library
      hands over at once) count as that large, for the insensitive loss also those below epsilon;
    - of `FocalLoss`, whose curvature is negative in places, (1 + gamma) p |slope| for probability p
      of the label's class;
    - of a loss of `fastloss.custom` that costs least at p = y, the slope over the residual too, or
      half the jump of the slope if it is straight on both sides or the residual is that small.

    For a loss of the residual this makes steps as long as the data are large. Penalties of the
    library are in units of the second derivative: XGBoost's ``reg_lambda=1`` and
    ``min_child_weight=1`` keep it from learning where residuals are large against the square of the
    number of samples in a leaf: scale the labels, or set both to 0.

    Where a loss is straight otherwise (the tails of Huber's, hinge loss, the linear contrastive
    loss, with "exact" also absolute and pinball loss) the second derivative is 1 (times the weight)
    if there is a slope, as it is where an own formula has a negative one, or none that is finite:
    at the kink of ``abs(p - y) ** 1.5``, say. NaN slopes stay.
    """

    hessian: Hessian = "auto"
    hess_floor: float = 1e-16
    _sum: Loss = field(init=False, repr=False, compare=False)
    _straight: bool = field(init=False, repr=False, compare=False)
    _kinked: bool = field(init=False, repr=False, compare=False)
    _factor: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        # distances may fall below 0 on the way: their losses go on there
        if not (self.loss.takes_scores or self.loss.prediction == "distance"):
            raise ValueError(f"loss must take raw scores, which may be any number, but {self.loss} "
                             f"takes {self.loss._domains()[1].what}: {self.loss._for_scores()}")
        if not self.loss.bounded_below:
            raise ValueError(f"loss must have a least value over raw scores, but {self.loss} has "
                             'none: use ContrastiveLoss(form="linear", pos_margin=0.0)')
        if self.hessian not in ("auto", "exact", "xgboost", "lightgbm"):
            raise ValueError("hessian must be 'auto', 'exact', 'xgboost' or 'lightgbm', got "
                             f"{self.hessian!r}")
        if self.hessian not in ("auto", "exact") and self.loss.sample != "row":
            raise ValueError(f"hessian must be 'auto' or 'exact', except for CrossEntropyLoss, got "
                             f"{self.hessian!r} with {self.loss}")
        if not 0 < self.hess_floor < math.inf:
            raise ValueError(f"hess_floor must be a finite number > 0, got {self.hess_floor!r}")
        object.__setattr__(self, "_sum", self.loss.replace(reduction="sum"))
        object.__setattr__(self, "_straight", self.loss.curvature != "curved")
        object.__setattr__(self, "_kinked", self.loss.curvature == "flat")
        object.__setattr__(self, "_factor", 2.0 if self.hessian == "xgboost" else 1.0)

    def _derivatives(
        self, y: Any, p: Array, w: Any, grad: Array, hess: Array, negate: bool = False
    ) -> None:
        """Write derivatives to grad and hess; raise hess to its bound and to the floor."""
        try:
            if self.hessian == "lightgbm":
                self._by_blocks(y, p, w, grad, hess)
            else:
                self._sum.grad_and_hess(y, p, w, out=(grad, hess))
        except (TypeError, ValueError) as error:  # a class that does not exist, say
            raise self._error(str(error)) from None
        weight = None
        if self._straight and w is not None:
            weight = np.empty_like(hess)
            weight[...] = w
        bound = self._sum._least_curvature(y, p, w) if self.hessian == "auto" else None
        if bound is not None:
            bend(bound, y, p, w, grad, hess, self._straight)
        elif self._kinked:
            hess[...] = 1.0 if weight is None else weight
        settle(grad, hess, self._straight, weight, self._factor, self.hess_floor, negate)

    def _by_blocks(self, y: Any, p: Array, w: Any, grad: Array, hess: Array) -> None:
        """Write derivatives to grad and hess; scale hess before rounding it, as LightGBM does."""
        rows, classes = max(1, 2**18 // p.shape[1]), p.shape[1]
        scratch = np.empty_like(p[:rows], dtype=np.float64)
        for start in range(0, len(p), rows):
            part = slice(start, start + rows)
            exact = scratch[:len(p[part])]
            try:
                self._sum.grad_and_hess(y[part], p[part], None if w is None else w[part],
                                        out=(grad[part], exact))
            except ValueError:
                self._sum.value(y, p, w)  # raises with the number of the row in all rows
                raise
            np.multiply(exact, classes / (classes - 1), out=hess[part], casting="same_kind")

    def _float32(self, y: Any, p: Any, w: Any) -> tuple[Array, Array]:
        """Return checked derivatives as float32, in the layout of the predictions."""
        shape = np.shape(p)
        y, p, w = self._read(y, p, w)
        grad, hess = np.empty_like(p, dtype=np.float32), np.empty_like(p, dtype=np.float32)
        self._derivatives(y, p, w, grad, hess)
        return grad.reshape(shape), hess.reshape(shape)

    def init_score(self, y_true: ArrayLike, sample_weight: ArrayLike | None = None) -> Any:
        """Return the best constant score, where boosting may start.

        The libraries start there for their own objectives, and at 0 for the objectives of others.

        Parameters
        ----------
        y_true : array_like (n,), or (n, k) for k outputs
            Labels. For `CrossEntropyLoss` class numbers from 0, the largest of which gives the
            number of classes, or targets (n, K).
        sample_weight : array_like (n,), optional
            Weights; at least one must be positive.

        Returns
        -------
        float, or ndarray (k,) of several outputs, (K,) for `CrossEntropyLoss`
            If the best score is infinite, as the logit of one class alone, a score with a
            probability that differs from 1 by 1e-15.

        Raises
        ------
        The library's exception, or ValueError
            If there are no labels, a label is missing or not a number, labels or weights are
            outside their domain, or the weights sum to 0.
        """
        y = self._array(y_true, "y_true")
        w = None if sample_weight is None else self._array(sample_weight, "sample_weight")
        if not y.size:
            raise self._error("y_true must hold labels, got none")
        if y.ndim not in (1, 2):
            raise self._error("y_true must be an array (n,), or (n, k) for k outputs, but its "
                              f"shape is {y.shape}")
        classes = 0
        if self.loss.sample == "row":
            classes = y.shape[1] if y.ndim == 2 else self._classes(y)
        y, p, w = self._read(y, np.zeros((len(y), classes)) if classes else y, w)
        if w is not None and not np.any(w):
            raise self._error("sample_weight must have a positive sum, but all weights are 0")
        if classes:
            return self._init_classes(y, p, w)
        if y.ndim == 2:
            return np.array([self._init_output(column, None if w is None else w[:, 0])
                             for column in y.T])
        return self._init_output(y, w)

    def _classes(self, y: Array) -> int:
        """Return the number of classes, from the largest class number."""
        ignored = self.loss._ignored(y)
        counted = np.ones(y.shape, bool) if ignored is None else ~ignored
        wrong = counted & ~((y >= 0) & (np.floor(y) == y) & np.isfinite(y))
        if np.any(wrong):
            at = int(np.argmax(wrong))
            raise self._error("y_true must hold class numbers, integers from 0, but "
                              f"{np.count_nonzero(wrong)} of {y.size} values are not, the first "
                              f"at index {at}: {y[at]}")
        if not np.any(counted):
            raise self._error("y_true must hold labels, but all of them are ignored")
        return int(np.max(y, where=counted, initial=1)) + 1

    def _init_output(self, y: Array, w: Any) -> float:
        """Return the best constant score of one output."""
        known = self.loss._best_constant(y.astype(float), w)
        if known is not None:
            return float(known)
        return _root(self._sum, y, w, self._sum._middle(y, w))

    def _init_classes(self, y: Array, p: Array, w: Any) -> Array:
        """Return the best constant score of each class, from derivatives at scores of 0."""
        grad, hess = np.empty_like(p), np.empty_like(p)
        self._derivatives(y, p, w, grad, hess)
        # hess is T (1 - 1/K) / K, grad T / K - t
        per_class = hess[:, 0].sum() / (1 - 1 / p.shape[1])
        if self.hessian not in ("auto", "exact"):
            per_class /= 2.0 if self.hessian == "xgboost" else p.shape[1] / (p.shape[1] - 1)
        shares = (per_class - grad.sum(axis=0)) / (per_class * p.shape[1])
        best: Array = np.log(np.maximum(shares, 1e-15))
        return best


@dataclass(frozen=True)
class Metric(Adapter):
    """A loss as a metric: its mean, weighted if there are weights; less is better.

    Parameters
    ----------
    loss : Loss
        A loss of the predictions that the library passes to a metric: raw scores if the objective
        is one of these. Its `reduction` does not matter.
    name : str, optional
        The name in logs, without blanks and colons. By default the name of the loss with the
        parameters that differ from their defaults, such as "pinball_loss(quantile=0.9)".
    """

    name: str = ""
    _mean: Loss = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "_mean", self.loss.replace(reduction="mean"))
        name = self.name or self._mean.__name__
        # XGBoost splits its log at them
        if not isinstance(name, str) or ":" in name or name.split() != [name]:
            raise ValueError(f"name must be a str without blanks and colons, got {name!r}")
        object.__setattr__(self, "name", name)

    def _value(self, y: Any, p: Any, w: Any) -> float:
        try:
            return float(self._mean.value(*self._read(y, p, w)))
        except (TypeError, ValueError) as error:
            raise self._error(str(error)) from None


# ---- the best constant ------------------------------------------------------------------


def _root(loss: Loss, y: Any, w: Any, start: float = 0.0) -> float:
    """Return the constant prediction at which the slope of a loss over all labels is 0.

    Take Newton's steps inside a bracket, found from `start`; halve the bracket where a step would
    leave it, or is longer than half the last step.
    """
    def slope(c: float) -> tuple[float, float]:
        grad, hess = loss.grad_and_hess(y, np.broadcast_to(start + c, y.shape), w)
        return float(grad.sum()), float(hess.sum())

    return start + _zero(slope)


def _zero(slope: Callable[[float], tuple[float, float]]) -> float:
    """Return a zero of a function that returns value and derivative."""
    first = slope(0.0)[0]
    if first == 0:
        return 0.0
    toward = -math.copysign(1.0, first)
    near, far = 0.0, toward
    while (g := slope(far)[0]) * first > 0:
        if abs(g) <= 1e-15 * abs(first) or abs(far) > 1e300:
            return far  # there is no finite zero
        near, far = far, 2 * far
    c, move = far, far - near
    for _ in range(200):
        g, h = slope(c)
        if g == 0:
            break
        near, far = (c, far) if g * first > 0 else (near, c)
        step = c - g / h if h > 0 else math.nan
        if abs(step - c) <= 1e-15 * abs(c):
            break
        if not min(near, far) < step < max(near, far) or abs(step - c) > abs(move) / 2:
            step = (near + far) / 2
        move, c = step - c, step
        if abs(far - near) <= 4e-16 * abs(c):
            break
    return c
