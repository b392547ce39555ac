"""Losses made of a user's formula."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cached_property, partial
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from fastloss import _curvature
from fastloss._base import (
    PROBABILITIES,
    REALS,
    REDUCTION,
    Curvature,
    ElementLoss,
    Interval,
    Prediction,
    Reduction,
)
from fastloss._core import elements
from fastloss._parameters import number, parameter
from fastloss.custom._code import IN_BOUND
from fastloss.custom._compile import loops
from fastloss.custom._formula import Formula, formula_of, text_of

if TYPE_CHECKING:
    from typing import Self

    from fastloss._curvature import Array

RESERVED = frozenset({*dir(ElementLoss), "f", "y_true", "y_pred", "sample_weight", "reduction",
                      "targets", "predictions", "formula", "text", "values"})

_finite = number()


def _as_is(name: str, value: Any) -> Any:
    return value


def _domain(name: str, value: Any) -> Interval:
    """Return the range of valid values; raise ValueError if it is not a pair of numbers."""
    if value is None or value == REALS:
        return REALS
    if isinstance(value, Interval):
        return value
    try:
        low, high = map(float, value)
    except (TypeError, ValueError):
        low = high = math.nan
    if not low < high:
        raise ValueError(f"{name} must be None or a pair of numbers (least, greatest), "
                         f"got {value!r}")
    what = (f"numbers from {low:g} to {high:g}" if max(-low, high) < math.inf else
            f"numbers >= {low:g}" if low > -math.inf else f"numbers <= {high:g}")
    return REALS if low == -math.inf and high == math.inf else Interval(low, high, what)


class _Bounds(tuple[float, ...]):
    """Two numbers with a repr that is Python code even if one is infinite."""

    def __repr__(self) -> str:
        return super().__repr__().replace("inf", "float('inf')")


@dataclass(frozen=True, kw_only=True, repr=False)
class CustomLoss(ElementLoss):
    """A loss made by `loss` from a formula, with the methods of every other loss.

    Two are equal if their formulas do the same operations, with equal parameters, domains and
    reduction. What is pickled is the formula as it was read: it needs neither the function nor
    its module where it is loaded, but Numba.

    Attributes
    ----------
    formula : Formula
        Value and derivatives, step by step.
    values : tuple of float
        Those of the parameters, which are attributes too.
    targets, predictions : Interval
        What y_true and y_pred are meant to be.
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}
    """

    formula: Formula = parameter(None, _as_is)
    values: tuple[float, ...] = parameter((), _as_is)
    text: str = field(default="", compare=False, metadata={"check": _as_is})
    targets: Interval = parameter(None, _domain)
    predictions: Interval = parameter(None, _domain)
    reduction: Reduction = parameter("mean", REDUCTION)

    @property
    def _title(self) -> str:
        """The function's name."""
        return self.text if self.text.isidentifier() else type(self).__name__

    def _word(self) -> str:
        """Return the function's name, or what a lambda returns."""
        if self.text.isidentifier() or not self.text:
            return self._title
        returned = self.text.partition(":")[2].strip()
        return re.sub(r"\s+", "_", re.sub(r" ?([^\w\s]) ?", r"\1", returned)).replace(":", "")

    def _make_kernel(self) -> elements.Kernel:
        return elements.Kernel(loops(self.formula, self.values), self.values[:IN_BOUND],
                            self.reduction)

    def _domains(self) -> tuple[Interval, Interval]:
        return self.targets, self.predictions

    convex = False      # which is not known

    @property
    def prediction(self) -> Prediction:
        """The meaning of a prediction, as far as the domain tells it."""
        return "probability" if self.predictions[:2] == PROBABILITIES[:2] else "number"

    @property
    def curvature(self) -> Curvature:
        """Where the second derivative is 0; "flat in parts" if that is not known."""
        return self.formula.curvature

    @cached_property
    def _least_at_target(self) -> bool:
        """Whether the loss falls towards p = y on both sides, at a sample of points."""
        y, far = (grid.ravel() for grid in np.meshgrid(
            [-2.0, 0.25, 1.0, 3.0, 10.0], [1e-3, 0.1, 1.0, 10.0]))
        slope = self.replace(reduction="sum").grad
        right, left = slope(y, y + far), slope(y, y - far)
        return bool(np.any(right > 0) and not np.any((right < 0) | (left > 0)))

    def _least_curvature(self, y: Array, p: Array, w: Any) -> Array | None:
        if not self._least_at_target:
            return None
        return _curvature.of_target(self.grad_and_hess, y, p, w)

    def _middle(self, y: Array, w: Any) -> float:
        # of a loss that grows no more far out, 0 may be nowhere near the targets
        return _curvature.weighted_quantile(y, 0.5, w) if self._least_at_target else 0.0

    def _for_scores(self) -> str:
        return ("write the formula of a score z that may be any number, with exp(z), say, for the "
                "prediction")

    def _parameters(self) -> dict[str, Any]:
        domains = {name: _Bounds(getattr(self, name)[:2]) for name in ("targets", "predictions")
                   if getattr(self, name) is not REALS}
        return {**dict(zip(self.formula.parameters, self.values, strict=True)), **domains,
                "reduction": self.reduction}

    def _defaults(self) -> dict[str, Any]:
        return {**dict(zip(self.formula.parameters, self.formula.defaults, strict=True)),
                "reduction": "mean"}

    def __getattr__(self, name: str) -> float:
        if not name.startswith("_") and name in self.formula.parameters:
            return self.values[self.formula.parameters.index(name)]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __repr__(self) -> str:
        shown = [f"{name}={value!r}" for name, value in self._parameters().items()]
        return f"loss({', '.join([self.text, *shown])})"

    def __reduce__(self) -> tuple[Any, ...]:
        held = {item.name: getattr(self, item.name) for item in fields(self)}
        return partial(type(self), **held), ()

    def replace(self, /, **changes: Any) -> Self:
        """Return a loss like this one with some parameters changed.

        Parameters
        ----------
        **changes
            New values of parameters of the formula, `targets`, `predictions` or `reduction`.

        Raises
        ------
        TypeError
            If the formula has no such parameter.
        ValueError
            If a value is not valid for its parameter.
        """
        held = {item.name: getattr(self, item.name) for item in fields(self)}
        own = dict(zip(self.formula.parameters, self.values, strict=True))
        for name, value in changes.items():
            if name in own:
                own[name] = _finite(name, value)
            elif name in ("targets", "predictions", "reduction"):
                held[name] = value
            else:
                raise TypeError(f"{self.text} has no parameter {name!r}; it has "
                                f"{', '.join([*own, 'targets', 'predictions', 'reduction'])}")
        held["values"] = tuple(own.values())
        return type(self)(**held)


def loss(
    f: Callable[..., Any],
    *,
    reduction: Reduction = "mean",
    targets: tuple[float, float] | None = None,
    predictions: tuple[float, float] | None = None,
    **parameters: float,
) -> CustomLoss:
    """Return a loss of your own, made of the formula of one sample.

    The formula's source is read, differentiated twice by the prediction, operation by operation
    and exactly, and compiled with Numba to loops in float32 and float64, which run in the place of
    the loops of built-in losses.

    Parameters
    ----------
    f : function
        ``f(y, p)`` or ``f(y, p, a, b, ...)``: the loss of one sample of target y and prediction p,
        with parameters. A `def` or lambda of arithmetic, comparisons, ``and or not``, conditional
        expressions, ``if`` and ``else``, local variables, `abs`, `min`, `max`, functions of
        `math` and `numpy` of single numbers, and functions of your own of the same kind. Numbers
        from outside are read once, now.
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`.
    targets, predictions : pair of float, optional
        Least and greatest valid y and p, for `check` and for adapters, which refuse others; by
        default any finite number.
    **parameters : float
        Values of parameters of `f`: of those without a default, and of any others. Another value
        does not compile the formula again, except for a 13th parameter and further ones.

    Returns
    -------
    CustomLoss
        An object with the methods of every loss, which can be pickled, compared and given to
        the adapters of `fastloss.integrations`.

    Raises
    ------
    TypeError
        If `f` is not a Python function of y, p and parameters, or a parameter is missing or
        unknown.
    ValueError
        If the formula has something that is not supported, such as a loop or a global array (the
        message has its line); if it has no derivative or does not depend on p; or if a parameter
        is not a finite number.

    Notes
    -----
    At a kink, a derivative is its limit from both sides if they agree: the curvature of
    ``(abs(p - y) / 3) ** 2`` is 2/9 at ``p == y`` too, and that of ``abs(p - y) ** 1.5`` is inf. If
    they do not agree, the derivative is the one of the branch taken: at ``p == y``, of ``b`` in
    ``a if p > y else b``. `min` and `max` take the first of equal numbers, as Python's do;
    `np.clip` at its bounds takes x. The derivative of ``abs(x)`` at 0 is the mean of both sides, 0,
    and so with roots and all that is made of them. `floor`, `ceil`, `trunc` and `sign` have
    derivatives of 0 everywhere. An element where this is looked at takes some microseconds.

    Nothing raises: ``log(-1)`` is nan and ``1 / 0`` inf, as in NumPy. A NaN in y or p comes out as
    NaN where the formula lets it: ``0.0 if y != y else (p - y) ** 2`` skips missing targets, and
    ``max(0, p - y)`` is 0 for them, as in Python; `np.maximum` keeps NaN. Where it makes the value
    NaN, derivatives are NaN too. A NaN in weights always comes out. Both sides of a condition are
    computed.

    Exponentials, logarithms, `tanh` and `logaddexp` are vectorised, with errors of 2 ULP at most;
    other functions, powers that are no whole numbers or roots among them, are calls of the C
    library, which take some nanoseconds each.

    float32 predictions are computed in float32, but terms of parameters alone are computed in
    float64 and rounded. `math.hypot` and `numpy.logaddexp` neither overflow nor lose their
    curvature far out: ``delta * (math.hypot(delta, p - y) - delta)`` is the Pseudo-Huber loss.

    Compiling takes some seconds; the machine code is kept in $FASTLOSS_CACHE_DIR, or the
    user's folder of caches, if it can be written, and nobody else can write there.

    Examples
    --------
    >>> def shortage(y, p, over, under):
    ...     return over * (p - y) if p > y else under * (y - p)
    >>> cost = loss(shortage, over=1.0, under=4.0)
    >>> cost.value_and_grad([10.0, 10.0], [12.0, 9.0])
    (3.0, array([ 0.5, -2. ]))
    >>> cost.replace(under=1.0).value([10.0, 10.0], [12.0, 9.0])
    1.5
    """
    f = getattr(f, "py_func", f)  # of one that Numba compiled
    if not isinstance(f, FunctionType):
        raise TypeError("f must be a Python function or lambda of y_true and y_pred, "
                        f"got {f!r}")
    formula = formula_of(f, RESERVED)
    text = text_of(f)
    for name in parameters:
        if name not in formula.parameters:
            raise TypeError(f"{text} has no parameter {name!r}; it has "
                            f"{', '.join(formula.parameters) or 'none'}")
    given = dict(zip(formula.parameters, formula.defaults, strict=True)) | parameters
    missing = [name for name, value in given.items() if value is None]
    if missing:
        raise TypeError(f"{text} needs a value for its parameter {missing[0]!r}")
    values = tuple(_finite(name, given[name]) for name in formula.parameters)
    return CustomLoss(formula=formula, values=values, text=text, targets=targets,  # type: ignore[arg-type]
                      predictions=predictions, reduction=reduction)  # type: ignore[arg-type]
