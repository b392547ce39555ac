"""What an entry of the registry is, and sources of data for many losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import fastloss

Array = NDArray[Any]
Shape = tuple[int, ...]
Data = Callable[[np.random.Generator, Shape], tuple[Array, Array]]
Real = Callable[[float], Any]


class Formula(NamedTuple):
    """A loss and its derivative at p, of terms that the two share.

    ``loss(*terms(y, p))`` and ``slope(*terms(y, p))``, elementwise, or of rows.
    """

    terms: Callable[[Any, Any], tuple[Any, ...]]
    loss: Callable[..., Any]
    slope: Callable[..., Any]


class Peer(NamedTuple):
    """The same loss in another library: its name, the factor from its loss to ours, parameters."""

    name: str
    scale: float = 1.0
    parameters: Mapping[str, Any] = {}


@dataclass(frozen=True, eq=False)
class Entry:
    """One loss.

    Attributes
    ----------
    name : str
    loss : fastloss.Loss
    data : callable of (generator, shape)
        Returns y_true and y_pred. Values stay off the kinks and clips of the loss.
    formula : callable of (namespace, real)
        The formula as its user would write it, with the functions of a namespace (NumPy,
        torch, jax.numpy) and constants made by `real`. Numba compiles it too.
    numexpr : str, optional
        The loss of one element in y, p and `constants`.
    constants : mapping
        Numbers used in `numexpr`; they take the dtype of the data.
    torch, metric, sklearn_loss : Peer, optional
        The function in torch.nn.functional, the one in sklearn.metrics, and the class in
        sklearn._loss.
    label_dtype : str, optional
        The dtype of y_true; by default that of y_pred.
    shapes : tuple of shapes
        For losses of rows, the matrices they are measured on, and of a quick run. Pointwise
        losses have none: they are measured on the sizes asked for.
    jax : callable of (jax, y, p), optional
        The mean loss, where a user of JAX would not write the formula.
    """

    name: str
    loss: fastloss.Loss
    data: Data
    formula: Callable[[Any, Real], Formula]
    numexpr: str | None = None
    constants: Mapping[str, float] = field(default_factory=dict)
    torch: Peer | None = None
    metric: Peer | None = None
    sklearn_loss: Peer | None = None
    label_dtype: str | None = None
    shapes: tuple[Shape, ...] = ()
    quick_shapes: tuple[Shape, ...] = ()
    jax: Callable[[Any, Any, Any], Any] | None = None


def labelled(low: float, high: float) -> Data:
    """Return a source of 0/1 labels and uniform predictions."""

    def data(rng: np.random.Generator, shape: Shape) -> tuple[Array, Array]:
        return rng.integers(0, 2, shape), rng.uniform(low, high, shape)

    return data


def scored(rng: np.random.Generator, shape: Shape) -> tuple[Array, Array]:
    """Draw 0/1 labels and scores (logits)."""
    return rng.integers(0, 2, shape), 2 * rng.standard_normal(shape)


def amounts(rng: np.random.Generator, shape: Shape) -> tuple[Array, Array]:
    """Draw positive targets and predictions."""
    return 0.1 + rng.standard_exponential(shape), 0.1 + rng.standard_exponential(shape)


def regression(rng: np.random.Generator, shape: Shape) -> tuple[Array, Array]:
    """Draw targets and predictions near them."""
    y = rng.standard_normal(shape)
    return y, y + 0.5 * rng.standard_normal(shape)
