"""The two kinds of losses of all pairs: sums over pairs, and functions of an anchor's sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastloss import _batch
from fastloss.embedding._common import Batch, EmbeddingLoss, Terms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# Exponentials of numbers that lie no further apart than this neither overflow nor vanish.
RANGE = {np.dtype(np.float32): 80.0, np.dtype(np.float64): 690.0}


class SummedLoss(EmbeddingLoss):
    """Base of losses that are sums over pairs."""

    def _weights(self, batch: Batch) -> tuple[Any, Any]:
        """Return weights of rows; a pair has the sum of two."""
        mine: Any = 1.0 if batch.weights is None else batch.weights
        return mine, (mine if batch.symmetric else 0.0)

    def _pass(self, batch: Batch, gradient: bool, others: bool) -> tuple[float, float]:
        total, nonzero = batch.pairs.run(
            self._kernel, "weigh", gradient=gradient, others=others, columns=others,
            weight=self._weights(batch))
        return total, nonzero


class Anchors(NamedTuple):
    """What pairs come to, anchor by anchor; logarithms of sums are -inf where nothing is summed."""

    different: Array              # ln of the sum of e^x over pairs of another class
    same: Array                   # and of the same class
    total: Array                  # sum of v over the latter


class Slopes(NamedTuple):
    """A cost per anchor, whether it counts, and its derivatives by the fields of `Anchors`."""

    cost: Array
    counts: Array
    different: Array | float = 0.0
    same: Array | float = 0.0
    total: Array | float = 0.0


def softplus(x: Array) -> Array:
    """Return ln(1 + e^x)."""
    return np.logaddexp(0.0, x)


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + e^-x), to full accuracy for x < 0 too."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1.0) / (1.0 + e)


class ExponentLoss(EmbeddingLoss):
    """Base of losses whose anchors cost a function of sums of exponentials."""

    def _exponents(self) -> tuple[float, float, float]:
        """Return the largest exponents of either class of unit rows, and the least that matters."""
        raise NotImplementedError

    def _anchor(self, anchors: Anchors, batch: Batch) -> Slopes:
        """Return costs and slopes of anchors of the first side."""
        raise NotImplementedError

    _both = False                 # whether rows of the second side are anchors too

    def _terms(self, batch: Batch, gradient: bool, others: bool) -> Terms:
        pairs = batch.pairs
        sides = [pairs.a] if batch.symmetric or not self._both else [pairs.a, pairs.b]
        shifts, each = self._shifts(batch)
        pairs.run(self._kernel, "sum", columns=self._both, shift=shifts, each=each)
        total = weight = nonzero = 0.0
        factors: list[tuple[Any, ...]] = [(0.0, 0.0, 0.0), (0.0, 0.0, 0.0)]
        for k, side in enumerate(sides):
            with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
                sums = side.sums[:, :side.n]
                logs = [np.log(sums[c]) + shifts[k][c] for c in (0, 1)]
                slopes = self._anchor(Anchors(logs[0], logs[1], sums[2]), batch)
                counts = batch.weigh(slopes.counts.astype(np.float64))
                cost = np.where(slopes.counts, slopes.cost, 0.0) * counts
                total += _batch.total(cost) / len(sides)
                weight += _batch.total(counts) / len(sides)
                nonzero += _batch.total(counts * (cost != 0)) / len(sides)
                counts /= len(sides)
                # a sum is 0 where there was nothing to sum
                factors[k] = (*(
                    np.where(sums[c] != 0, counts * slope / sums[c], 0.0)
                    for c, slope in enumerate((slopes.different, slopes.same))
                ), np.where(slopes.counts, counts * slopes.total, 0.0))
        if gradient:
            factor = (factors[0], factors[0] if batch.symmetric else factors[1])
            pairs.run(self._kernel, "weigh", gradient=True, others=others, columns=others,
                      shift=shifts, factor=factor, each=each)
        return Terms(total, weight, nonzero)

    def _shifts(self, batch: Batch) -> tuple[Any, bool]:
        """Return what to take from exponents: a bound, or where they are too far apart, maxima."""
        largest_different, largest_same, least = self._exponents()
        pairs = batch.pairs
        most = RANGE[pairs.a.source.dtype]
        if self.normalize and max(largest_different, largest_same) - least <= most:  # type: ignore[attr-defined]
            # products of rounded unit rows may exceed 1
            bound = (largest_different * (1 + 1e-6), largest_same * (1 + 1e-6))
            return (bound, bound), False
        pairs.run(self._kernel, "largest", columns=True)
        found = []
        for side in (pairs.a, pairs.b):
            maxima = side.sums[:2, :side.n]
            maxima = np.where(np.isfinite(maxima), maxima, 0.0)
            # as the kernel will round them
            found.append(tuple(maxima.astype(side.source.dtype).astype(np.float64)))
        return tuple(found), True


class SoftmaxLoss(ExponentLoss):
    """Base of cross entropies of softmax over the other rows against those of the same class."""

    def _scale(self) -> float:
        return 1.0 / self.temperature  # type: ignore[attr-defined, no-any-return]

    def _bind(self) -> tuple[str, str, dict[str, float]]:
        return "exponent", "Softmax", {"scale": self._scale()}

    def _exponents(self) -> tuple[float, float, float]:
        return self._scale(), self._scale(), -self._scale()

    def _anchor(self, anchors: Anchors, batch: Batch) -> Slopes:
        # of a single positive what it lacks to 1 is what the others have: nothing cancels
        scale, single = self._scale(), batch.same == 1
        both = np.logaddexp(anchors.different, anchors.same)
        others = np.exp(anchors.different - both)
        cost = np.where(single, softplus(anchors.different - anchors.same),
                        both - scale * (anchors.total / batch.same))
        return Slopes(cost, batch.same > 0, others,
                      np.where(single, 0.0, np.exp(anchors.same - both)),
                      -scale * np.where(single, others, 1.0 / batch.same))

    def _learned(self, terms: Terms, batch: Batch, scale: float, along: float) -> dict[str, float]:
        # the value depends on products divided by the temperature
        return {"temperature": -along * self._scale()}
