"""What an entry of the registry is, and sources of data for many losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Shape = tuple[int, ...]
Data = Callable[[np.random.Generator, Shape], tuple[Array, Array]]
RowsData = Callable[[np.random.Generator, Shape], tuple[tuple[Array, ...], tuple[Array, ...]]]
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
class _Common:
    """What the entries of all losses have.

    Attributes
    ----------
    name : str
    loss : loss of fastloss
    shapes, quick_shapes : tuple of shapes
        For losses of rows, the matrices they are measured on, and of a quick run. Pointwise
        losses have none: they are measured on the sizes asked for.
    """

    name: str
    loss: Any
    shapes: tuple[Shape, ...] = field(default=(), kw_only=True)
    quick_shapes: tuple[Shape, ...] = field(default=(), kw_only=True)

    products = 0  # matrix products of all pairs of rows; 0: the limit is streaming
    ambiguous = 0.0

    @property
    def group(self) -> str:
        """With which losses it shares tables."""
        return "rows" if self.shapes else "elements"

    def draw(
        self, rng: np.random.Generator, shape: Shape, dtype: str
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return labels, and what gradients are by."""
        raise NotImplementedError

    def arguments(
        self, labels: tuple[Array, ...], inputs: tuple[Array, ...]
    ) -> tuple[Array, ...]:
        """Return both in the order in which the loss takes them."""
        without, with_gradient = iter(labels), iter(inputs)
        return tuple(next(with_gradient if each.gradient else without)
                     for each in self.loss.inputs if not each.optional)


@dataclass(frozen=True, eq=False)
class Entry(_Common):
    """A loss of predictions: of each, or of rows of class scores.

    Attributes
    ----------
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
    jax : callable of (jax, y, p), optional
        The mean loss, where a user of JAX would not write the formula.
    """

    data: Data
    formula: Callable[[Any, Real], Formula]
    numexpr: str | None = None
    constants: Mapping[str, float] = field(default_factory=dict)
    torch: Peer | None = None
    metric: Peer | None = None
    sklearn_loss: Peer | None = None
    label_dtype: str | None = None
    jax: Callable[[Any, Any, Any], Any] | None = None

    def draw(
        self, rng: np.random.Generator, shape: Shape, dtype: str
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        y, p = self.data(rng, shape)
        return (y.astype(self.label_dtype or dtype),), (p.astype(dtype, copy=False),)


@dataclass(frozen=True, eq=False)
class Embedding(_Common):
    """A loss of the rows of matrices.

    Attributes
    ----------
    data : callable of (generator, shape)
        Returns labels and rows, both tuples of arrays, for a shape (rows in all, components) of
        losses of a batch, or (pairs, components).
    torch : callable of (torch, *rows, *labels)
        The loss of tensors, as a user of torch would write it.
    metric_learning : callable of (pytorch_metric_learning, torch, *rows, *labels), optional
        The loss of tensors by that library.
    products : int
        Of all pairs, matrix products of 2 n² d operations each that the loss with its gradient
        needs: the limit that it is held against; its value needs one. 0 for losses of rows that
        belong together: their limit is streaming.
    ambiguous : float
        The share of rows whose gradient may differ, because another row is where that jumps, or
        two are equally far away, but for rounding.
    """

    data: RowsData
    torch: Callable[..., Any]
    metric_learning: Callable[..., Any] | None = None
    products: int = 0
    ambiguous: float = 0.0

    @property
    def group(self) -> str:
        return "embeddings"

    def draw(
        self, rng: np.random.Generator, shape: Shape, dtype: str
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        labels, rows = self.data(rng, shape)
        return labels, tuple(x.astype(dtype, copy=False) for x in rows)


Loss = Entry | Embedding


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
