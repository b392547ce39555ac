"""Bounds of second derivatives, for Newton's steps where the exact ones vanish or are negative.

A step is slope over curvature. Far from its target a robust loss has a slope and hardly any
curvature: the step then goes anywhere. Two bounds keep it near:

- A smooth loss: the slope over the distance to the prediction at which the sample costs least. No
  sample then asks for more than its own optimum. Where that quotient falls with the distance, it is
  the curvature of a parabola that touches the loss and lies above it, so that no step makes the
  loss larger; the steps are those of iteratively reweighted least squares.
- A kink at the target: half the jump of the slope over the distance, which is such a parabola too
  (D. R. Hunter, K. Lange, "Quantile Regression via an MM Algorithm", J. Comput. Graph. Statist. 9,
  2000). It has no bound close to the kink, and one sample there would hold its whole leaf, so that
  distances are at least a tenth of a typical one. Where most targets are met exactly, as the zeros
  of claims by their median, that is close to 0 too: their leaves do stay.

A loss says which bound it has, in `Loss._newton_bound`; `fastloss._core.boosting` computes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from fastloss._core.boosting import reach

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


class Bound(NamedTuple):
    """A lower bound of second derivatives, as the compiled pass understands it.

    Of kind "half jump over residual", residuals below a part of a typical one, and those below
    `least`, count as that large. Of the others the bound is 0 up to a distance of `least`. Weights
    count: they are in the slope.
    """

    kind: Literal["slope over residual", "slope over distance to logarithm",
                  "half jump over residual", "slope times share"]
    factor: float = 1.0     # half the jump; of the slope times the share of the label's class
    least: float = 0.0      # distance
    # of a loss of y / u and p / u for the size u of y: the least u, at which residuals are as they
    # are: a target of 0 is to be met to the last digit; 0 for others
    unit: float = 0.0


def weighted_quantile(y: Array, level: float, w: Any) -> float:
    """Return the weighted quantile, the lower one of two."""
    return float(np.quantile(y.astype(float), level, weights=w, method="inverted_cdf"))


def of_target(
    derivatives: Callable[[Any, Any], tuple[Array, Array]], y: Array, p: Array, w: Any
) -> Array:
    """Return a bound for a loss that costs least at its target, from its derivatives alone.

    It is slope over distance; where the loss is straight on both sides, and close to a target, half
    the difference of the slopes at that distance on both sides: half the jump at a kink.
    """
    far = reach(y, p, w)
    with np.errstate(all="ignore"):
        (right, above), (left, below) = derivatives(y, y + far), derivatives(y, y - far)
        straight = (above == 0) & (below == 0)
        own = np.where(np.asarray(p) > y, right, -left)
        bound: Array = np.where(straight | (np.abs(p - y) < far), (right - left) / 2, own) / far
        return bound if w is None else bound * w
