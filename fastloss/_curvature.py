"""Second derivatives that Newton's steps can trust where the exact ones vanish or are negative.

A step is slope over curvature. Far from its target a robust loss has a slope and hardly any
curvature: the step then goes anywhere. Two bounds keep it near:

- A smooth loss: the slope over the distance to the prediction at which the sample costs least. No
  sample then asks for more than its own optimum. Where that quotient falls with the distance, it is
  the curvature of a parabola that touches the loss and lies above it, so that no step makes the
  loss larger; the steps are those of iteratively reweighted least squares.
- A kink at the target: half the jump of the slope over the distance, which is such a parabola too
  (D. R. Hunter, K. Lange, "Quantile Regression via an MM Algorithm", J. Comput. Graph. Statist. 9,
  2000). It has no bound close to the kink, and one sample there would hold its whole leaf, so that
  distances are at least `NEAR` of a typical one. Where most targets are met exactly, as the zeros
  of claims by their median, that is close to 0 too: their leaves do stay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

NEAR = 0.1          # of a typical distance: what is nearer to a kink counts as this far
MOST = 1e38         # finite in float32


def median(y: Array, w: Any) -> float:
    """Return the weighted median, the lower one of two."""
    return float(np.quantile(y.astype(float), 0.5, weights=w, method="inverted_cdf"))


def over_distance(slope: Array, distance: Array, least: float = 0.0) -> Array:
    """Return slope over distance, 0 where the distance is at most `least` in size."""
    bound = np.zeros(distance.shape)
    with np.errstate(all="ignore"):
        np.divide(slope, distance, out=bound, where=np.abs(distance) > least)
    return np.minimum(bound, MOST, out=bound)


def reach(y: Array, p: Array, w: Any, least: float = 0.0, sharp: Any = False) -> Array:
    """Return the distances of predictions from their targets, no less than a part of a typical one.

    The typical distance is the eighth power of the mean eighth root, of each output for itself:
    hardly less than the mean, unless many targets are met, where it is close to 0.
    Where `sharp`, distances are as they are.
    """
    with np.errstate(all="ignore"):
        far = np.abs(np.subtract(p, y, dtype=np.float64))
        root = np.sqrt(np.sqrt(np.sqrt(far)))
        total = len(far) if w is None else np.sum(w, axis=0)
        mean = np.sum(root if w is None else root * w, axis=0) / total
        near = np.fmax(NEAR * mean**8, least)
        far = np.maximum(far, np.where(sharp, 0.0, near))
    return np.where(far > 0, far, np.where(sharp, 1 / MOST, 1.0))


def of_kink(
    half_jump: Any, y: Array, p: Array, w: Any, least: float = 0.0, sharp: Any = False
) -> Array:
    """Return half the jump of the slope at the target over the distance from it; see `reach`."""
    with np.errstate(all="ignore"):
        bound: Array = half_jump / reach(y, p, w, least, sharp)
        bound = bound if w is None else bound * w
        return np.minimum(bound, MOST, out=bound)


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
        bound = bound if w is None else bound * w
        return np.minimum(bound, MOST, out=bound)
