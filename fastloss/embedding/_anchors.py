"""From sums over pairs to costs and slopes: the two kinds of batch losses.

A `SummedLoss` sums costs of pairs. An `ExponentLoss` sums exponentials over the pairs of an anchor;
the anchor's cost is a function of these sums: pass "sum" -> Anchors -> Slopes -> pass "weigh".
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastloss._core import batch as core
from fastloss.embedding._batch import Batch, BatchLoss, Terms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# If exponents lie no further apart than this, their exponentials neither overflow nor vanish.
RANGE = {np.dtype(np.float32): 80.0, np.dtype(np.float64): 690.0}

# The logarithm of an empty sum is infinite, which is no reason to warn; NaN stays NaN.
QUIET = partial(np.errstate, divide="ignore", invalid="ignore", over="ignore", under="ignore")


class SummedLoss(BatchLoss):
    """Base of losses that sum costs of pairs, weighted by the sum of both rows' weights."""

    blockwise = True

    def _weight(self, same: Array, different: Array) -> Array:
        """Return the parts of a mean's divisor of rows with so many pairs of each kind."""
        raise NotImplementedError

    @property
    def _thresholds(self) -> dict[str, Any]:
        """The distances at which costs begin or end, and the factor from a square to a distance."""
        return {}

    def _terms(self, batch: Batch, gradient: bool, others: bool) -> Terms:
        mine: Any = 1.0 if batch.weights is None else batch.weights
        total, nonzero = batch.pairs.run(
            self._kernel, "weigh", gradient=gradient, others=others, columns=others,
            weight=(mine, mine if batch.symmetric else 0.0), **self._thresholds)
        weight = core.total(batch.weigh(self._weight(batch.same, batch.different)))
        return Terms(total, weight, nonzero, 0.5 if batch.symmetric else 1.0)


class Anchors(NamedTuple):
    """Sums over the pairs of each anchor; the logarithm of an empty sum is -inf."""

    different: Array              # ln of the sum of e^x over pairs of different classes
    same: Array                   # ln of the sum of e^x over pairs of the same class
    total: Array                  # sum of v over pairs of the same class


class Slopes(NamedTuple):
    """The cost of each anchor, whether it counts, and its derivatives by the `Anchors` fields."""

    cost: Array
    counts: Array
    different: Array | float = 0.0
    same: Array | float = 0.0
    total: Array | float = 0.0


def logs_of(side: Any, shift: Any) -> Anchors:
    """Return the sums of a side after the pass "sum"."""
    sums = side.sums[:, :side.n]
    return Anchors(np.log(sums[0]) + shift[0], np.log(sums[1]) + shift[1], sums[2])


def factors_of(anchors: Anchors, slopes: Slopes, shift: Any) -> tuple[Array, Array, Array]:
    """Return the factors of e^(x - shift) of each kind, and of v, in the pass "weigh"."""
    different, same = (
        slope if isinstance(slope, float)                              # 0
        else np.where(log == -np.inf, 0.0, slope * np.exp(taken - log))     # 0 without pairs
        for log, slope, taken in zip(anchors[:2], (slopes.different, slopes.same), shift,
                                     strict=True))
    return different, same, slopes.total  # type: ignore[return-value]


def softplus(x: Array) -> Array:
    """Return ln(1 + e^x)."""
    return np.logaddexp(0.0, x)


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + e^-x), to full accuracy for x < 0 too."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1.0) / (1.0 + e)


class ExponentLoss(BatchLoss):
    """Base of losses that cost, for each anchor, a function of sums of exponentials."""

    blockwise = True

    def _exponents(self) -> tuple[float, float, float]:
        """Return the largest exponents of each kind for unit rows, and the least that matters."""
        raise NotImplementedError

    def _anchor(self, anchors: Anchors, same: Array, different: Array) -> Slopes:
        """Return costs and slopes of anchors with so many pairs of each kind."""
        raise NotImplementedError

    def _costs(self, same: Array, different: Array) -> Array:
        """Return which anchors, of those that count, cost more than 0 without rounding."""
        return same + different > 0

    def _terms(self, batch: Batch, gradient: bool, others: bool) -> Terms:
        pairs = batch.pairs
        sides = [pairs.a] if batch.symmetric or not self.keys_are_anchors else [pairs.a, pairs.b]
        shifts, each = self._shifts(batch.pairs)
        pairs.run(self._kernel, "sum", columns=self.keys_are_anchors, shift=shifts, each=each)
        total = weight = nonzero = 0.0
        factors: list[Any] = []
        for side, shift in zip(sides, shifts, strict=False):
            with QUIET():
                terms, anchors, slopes = self._weighted(
                    logs_of(side, shift), batch.same, batch.different, batch.weights,
                    1.0 / len(sides))
                factors.append(factors_of(anchors, slopes, shift))
            total += terms.total
            weight += terms.weight
            nonzero += terms.nonzero
        if gradient:
            if len(sides) == 1:
                factors.append(factors[0] if batch.symmetric else (0.0, 0.0, 0.0))
            pairs.run(self._kernel, "weigh", gradient=True, others=others, columns=others,
                      shift=shifts, factor=tuple(factors), each=each)
        return Terms(total, weight, nonzero)

    def _weighted(
        self, anchors: Anchors, same: Array, different: Array, weights: Array | None, share: float
    ) -> tuple[Terms, Anchors, Slopes]:
        """Return the terms of anchors, times `share`, and their slopes times weights."""
        slopes = self._anchor(anchors, same, different)
        counts = slopes.counts.astype(np.float64)
        counts = share * (counts if weights is None else counts * weights)
        cost = np.where(slopes.counts, slopes.cost, 0.0) * counts
        terms = Terms(core.total(cost), core.total(counts),
                      core.total(counts * self._costs(same, different)))
        by_same = slopes.same if isinstance(slopes.same, float) else counts * slopes.same
        return terms, anchors, Slopes(cost, counts, counts * slopes.different, by_same,
                                      np.where(slopes.counts, counts * slopes.total, 0.0))

    def _bound(self, dtype: Any) -> tuple[float, float] | None:
        """Return upper bounds of the exponents of each kind; None if they may lie too far apart."""
        different, same, least = self._exponents()
        if not self.normalize or max(different, same) - least > RANGE[dtype]:
            return None
        return different * (1 + 1e-6), same * (1 + 1e-6)     # of rounded unit rows

    def _shifts(self, pairs: Any) -> tuple[Any, bool]:
        """Return the shifts of exponents, bounds or maxima of rows, and whether they are maxima."""
        bound = self._bound(pairs.a.dtype)
        if bound is not None:
            return (bound, bound), False
        pairs.run(self._kernel, "largest", columns=True)
        shifts = []
        for side in (pairs.a, pairs.b):
            maxima = side.sums[:2, :side.n]
            maxima = np.where(np.isfinite(maxima), maxima, 0.0)
            # rounded as the kernel will round them
            shifts.append(tuple(maxima.astype(side.dtype).astype(np.float64)))
        return tuple(shifts), True


class SoftmaxLoss(ExponentLoss):
    """Base of cross entropies of the softmax over other rows, against rows of the same class."""

    def _scale(self) -> float:
        return 1.0 / self.temperature  # type: ignore[attr-defined, no-any-return]

    def _bind(self) -> tuple[str, str, dict[str, float]]:
        return "exponent", "Softmax", {"scale": self._scale()}

    def _exponents(self) -> tuple[float, float, float]:
        return self._scale(), self._scale(), -self._scale()

    def _costs(self, same: Array, different: Array) -> Array:
        return same + different > 1          # softmax over one row alone is 1

    def _anchor(self, anchors: Anchors, same: Array, different: Array) -> Slopes:
        # the share that a single positive lacks to 1 is the share of the others: nothing cancels
        scale, single = self._scale(), same == 1
        both = np.logaddexp(anchors.different, anchors.same)
        others = np.exp(anchors.different - both)
        cost = np.where(single, softplus(anchors.different - anchors.same),
                        both - scale * (anchors.total / same))
        return Slopes(cost, same > 0, others,
                      np.where(single, 0.0, np.exp(anchors.same - both)),
                      -scale * np.where(single, others, 1.0 / same))

    def _learned(self, pairs: Any, scale: float, along: float) -> dict[str, float]:
        # the value depends on products divided by the temperature
        return {"temperature": -along * self._scale()}


class OwnSoftmaxLoss(SoftmaxLoss):
    """Base of cross entropies with one positive for each anchor, in fewer operations."""

    def _anchor(self, anchors: Anchors, same: Array, different: Array) -> Slopes:
        x = anchors.different - anchors.same
        e = np.exp(-np.abs(x))
        others = np.where(x < 0, e, 1.0) / (1.0 + e)
        return Slopes(np.maximum(x, 0.0) + np.log1p(e), np.ones(x.shape, bool), others,
                      total=-self._scale() * others)
