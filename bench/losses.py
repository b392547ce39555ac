"""The losses that are measured: one entry each, and what its peers compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import fastloss

Array = NDArray[Any]
Data = Callable[[np.random.Generator, int], tuple[Array, Array]]


class Formula(NamedTuple):
    """A loss and its derivative at p, of terms that the two share.

    ``loss(*terms(y, p))`` and ``slope(*terms(y, p))``, elementwise.
    """

    terms: Callable[[Any, Any], tuple[Any, ...]]
    loss: Callable[..., Any]
    slope: Callable[..., Any]


@dataclass(frozen=True)
class Entry:
    """One loss.

    Attributes
    ----------
    name : str
    loss : fastloss.Loss
    data : callable of (generator, n)
        Returns y_true and y_pred. Values stay off the kinks and clips of the loss.
    formula : callable of (namespace, real)
        The formula as its user would write it, with the functions of a namespace (NumPy,
        torch, jax.numpy) and constants made by `real`. Numba compiles it too.
    numexpr : str
        The loss of one element in y, p and `constants`.
    constants : mapping
        Numbers used in `numexpr`; they take the dtype of the data.
    torch : str, optional
        The function in torch.nn.functional.
    metric : str, optional
        The function in sklearn.metrics.
    sklearn_loss : (str, float), optional
        The class in sklearn._loss and the factor from its loss to this one.
    """

    name: str
    loss: fastloss.Loss
    data: Data
    formula: Callable[[Any, Callable[[float], Any]], Formula]
    numexpr: str
    constants: Mapping[str, float] = field(default_factory=dict, hash=False)
    torch: str | None = None
    metric: str | None = None
    sklearn_loss: tuple[str, float] | None = None


def labelled(low: float, high: float) -> Data:
    """Return a source of 0/1 labels and uniform predictions."""

    def data(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
        return rng.integers(0, 2, n), rng.uniform(low, high, n)

    return data


def regression(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    y = rng.standard_normal(n)
    return y, y + 0.5 * rng.standard_normal(n)


def contrastive(margin: float) -> Callable[[Any, Callable[[float], Any]], Formula]:
    def formula(xp: Any, real: Callable[[float], Any]) -> Formula:
        zero, one, two, m = real(0), real(1), real(2), real(margin)
        return Formula(
            lambda y, p: (y, p, one - y, xp.maximum(m - p, zero)),
            lambda y, p, far, hinge: y * p * p + far * hinge * hinge,
            lambda y, p, far, hinge: two * (y * p - far * hinge),
        )

    return formula


CONTRASTIVE = "y * p * p + (1 - y) * where(p < margin, margin - p, 0) ** 2"
EPS = 1e-7


def log(xp: Any, real: Callable[[float], Any]) -> Formula:
    one, low, high = real(1), real(EPS), real(1 - EPS)
    return Formula(
        lambda y, p: (y, xp.minimum(xp.maximum(p, low), high)),
        lambda y, q: -(y * xp.log(q) + (one - y) * xp.log(one - q)),
        lambda y, q: (q - y) / (q * (one - q)),
    )


def absolute(xp: Any, real: Callable[[float], Any]) -> Formula:
    return Formula(lambda y, p: (p - y,), lambda d: xp.abs(d), lambda d: xp.sign(d))


def squared(xp: Any, real: Callable[[float], Any]) -> Formula:
    two = real(2)
    return Formula(lambda y, p: (p - y,), lambda d: d * d, lambda d: two * d)


LOSSES = (
    Entry(
        "contrastive", fastloss.ContrastiveLoss(), labelled(0, 1.2), contrastive(1.0),
        numexpr=CONTRASTIVE, constants={"margin": 1.0},
    ),
    Entry(
        "quality", fastloss.QualityLoss(), labelled(0, 0.6), contrastive(0.5),
        numexpr=CONTRASTIVE, constants={"margin": 0.5},
    ),
    Entry(
        "log", fastloss.LogLoss(eps=EPS), labelled(0.001, 0.999), log,
        numexpr="-(y * log(where(p < low, low, where(p > high, high, p)))"
        " + (1 - y) * log(1 - where(p < low, low, where(p > high, high, p))))",
        constants={"low": EPS, "high": 1 - EPS},
        torch="binary_cross_entropy", metric="log_loss",
    ),
    Entry(
        "absolute", fastloss.AbsoluteLoss(), regression, absolute,
        numexpr="abs(p - y)",
        torch="l1_loss", metric="mean_absolute_error", sklearn_loss=("AbsoluteError", 1.0),
    ),
    Entry(
        "squared", fastloss.SquaredLoss(), regression, squared,
        numexpr="(p - y) ** 2",
        torch="mse_loss", metric="mean_squared_error", sklearn_loss=("HalfSquaredError", 2.0),
    ),
)
