"""The data sets and models of `fastloss.commands.compare`.

A model turns parameters into predictions, the loss turns these into a value and a gradient in the
predictions, and the chain rule carries that gradient back to the parameters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform
from scipy.special import expit, logit
from sklearn import datasets, metrics
from sklearn.model_selection import train_test_split

import fastloss

Array = NDArray[Any]
Data = tuple[Array, Array]
Objective = Callable[[Any, Array], tuple[float, Array]]

HELD_OUT = 0.3  # of the data


class Model(ABC):
    """A data set, split, and a linear model of it.

    Attributes
    ----------
    data : str
        What the data set is called.
    before : str
        What the model is at the start.
    sizes : dict
        Numbers of samples, images and pairs.
    start : ndarray
        Parameters where the fit starts.
    """

    data: str
    before: str
    sizes: dict[str, int]
    start: Array

    @abstractmethod
    def value_and_grad(self, loss: Any, w: Array) -> tuple[float, Array]:
        """Return the objective at the parameters w and its gradient, from the training data."""

    def stages(self) -> Sequence[Objective]:
        """Return what is minimised, one after the other, each from where the last one ended."""
        return [self.value_and_grad]

    @abstractmethod
    def measure(self, w: Array) -> dict[str, float]:
        """Return how good the parameters are on the held-out data."""


class PairVerification(Model):
    """Do two images show the same digit? Label 1 if so; the prediction is a distance.

    An image is projected to `DIMENSIONS` numbers, x @ W, and the distance of a pair is the
    Euclidean one of its projections. All pairs of images on the same side of the split are used,
    in the order of `scipy.spatial.distance.pdist`.

    Parameters
    ----------
    train, held_out : pair of ndarray
        Images (n, pixels) and their digits (n,).
    margin : float
        Median distance of the training pairs at the start.
    """

    DIMENSIONS: ClassVar[int] = 10
    data = "digits"
    before = "principal components"

    def __init__(
        self, train: Data, held_out: Data, margin: float
    ) -> None:
        self.x, self.x_held = train[0], held_out[0]
        self.same, self.same_held = (_same(digits) for _, digits in (train, held_out))
        self.sizes = {
            "train_images": len(self.x), "train_pairs": len(self.same),
            "held_out_images": len(self.x_held), "held_out_pairs": len(self.same_held),
        }
        _, _, axes = np.linalg.svd(self.x - self.x.mean(0), full_matrices=False)
        components = axes[: self.DIMENSIONS].T
        self.start = (components * (margin / np.median(pdist(self.x @ components)))).ravel()
        self._slope = np.empty(len(self.same))

    def distances(self, w: Array, *, held_out: bool = False) -> Array:
        """Return the distances of all pairs."""
        x = self.x_held if held_out else self.x
        return np.asarray(pdist(x @ w.reshape(x.shape[1], -1)))

    def value_and_grad(self, loss: Any, w: Array) -> tuple[float, Array]:
        """Return the objective at w and its gradient.

        With e = x W, p = |e_i - e_j| and g = dl/dp, pair (i, j) adds c (e_i - e_j), c = g / p, to
        the gradient in e_i and takes it from that in e_j: (diag(C 1) - C) e for the symmetric
        matrix C of all c. The subgradient at p = 0 is 0.
        """
        e = self.x @ w.reshape(self.x.shape[1], -1)
        p = pdist(e)
        value, g = loss.value_and_grad(self.same, p, out=self._slope)
        c = squareform(np.divide(g, p, out=np.zeros_like(p), where=p > 0), checks=False)
        return value, (self.x.T @ (c.sum(1)[:, None] * e - c @ e)).ravel()

    def measure(self, w: Array) -> dict[str, float]:
        """Return ROC AUC and accuracy; a pair counts as the same digit up to a distance.

        That distance is the one with the highest accuracy on the training pairs. Since nine pairs
        of ten differ, the accuracy is balanced: the mean of those of same and different pairs.
        """
        false, true, scores = metrics.roc_curve(self.same, -self.distances(w))
        limit = -scores[np.argmax(true - false)]
        p = self.distances(w, held_out=True)
        return {
            "AUC": float(metrics.roc_auc_score(self.same_held, -p)),
            "accuracy": float(metrics.balanced_accuracy_score(self.same_held, p <= limit)),
        }


class Classification(Model):
    """Is a tumour benign? The prediction is the probability expit(x @ w)."""

    L2: ClassVar[float] = 1e-3  # keeps the weights finite: the classes can be separated
    data = "breast cancer"
    before = "the base rate"

    def __init__(self, train: Data, held_out: Data) -> None:
        self.x, self.x_held = _standardised(train[0], held_out[0])
        self.y, self.y_held = train[1], held_out[1]
        self.sizes = {"train_samples": len(self.x), "held_out_samples": len(self.x_held)}
        self.start = np.zeros(self.x.shape[1])
        self.start[-1] = logit(self.y.mean())

    def value_and_grad(self, loss: Any, w: Array) -> tuple[float, Array]:
        """Return the objective, penalty included, at w and its gradient; dp/dz = p (1 - p)."""
        p = expit(self.x @ w)
        value, g = loss.value_and_grad(self.y, p)
        penalised = np.append(w[:-1], 0.0)  # not the intercept
        return (value + 0.5 * self.L2 * float(penalised @ penalised),
                self.x.T @ (g * p * (1 - p)) + self.L2 * penalised)

    def measure(self, w: Array) -> dict[str, float]:
        """Return log loss and accuracy."""
        p = expit(self.x_held @ w)
        return {
            "log loss": float(metrics.log_loss(self.y_held, p)),
            "accuracy": float(metrics.accuracy_score(self.y_held, p > 0.5)),
        }


class Regression(Model):
    """How far will a disease progress? The prediction is x @ w.

    The columns of x are made orthogonal, which changes the parameters and not the model.

    Parameters
    ----------
    train, held_out : pair of ndarray
        Features and targets.
    middle : callable
        The best constant prediction as a function of the targets.
    spreads : sequence of float
        Half-widths of windows, in units of the target, for a loss with kinks: each target is
        spread evenly over a window around it, which rounds the kinks off, and the windows shrink
        from stage to stage. L-BFGS alone stops wherever it meets a kink.
    """

    NODES: ClassVar[int] = 64  # points of a window
    data = "diabetes"

    def __init__(
        self, train: Data, held_out: Data,
        middle: Callable[[Array], Any], spreads: Sequence[float] = (),
    ) -> None:
        x, x_held = _standardised(train[0], held_out[0])
        q, r = np.linalg.qr(x)
        scale = np.sqrt(len(x))
        self.x, self.x_held = q * scale, np.linalg.solve(r.T, x_held.T).T * scale
        self.y, self.y_held = train[1], held_out[1]
        self.spreads = spreads
        self.before = f"the {middle.__name__}"
        self.sizes = {"train_samples": len(x), "held_out_samples": len(x_held)}
        self.start = self.x.T @ np.full(len(x), middle(self.y)) / len(x)

    def value_and_grad(self, loss: Any, w: Array) -> tuple[float, Array]:
        """Return the objective at w and its gradient."""
        value, g = loss.value_and_grad(self.y, self.x @ w)
        return value, self.x.T @ g

    def _spread(self, y: Array, loss: Any, w: Array) -> tuple[float, Array]:
        p = np.repeat((self.x @ w)[:, None], self.NODES, axis=1)
        value, g = loss.value_and_grad(y, p)
        return value, self.x.T @ g.sum(1)

    def stages(self) -> Sequence[Objective]:
        """Return the objectives with spread targets, or the one objective."""
        window = (2 * np.arange(self.NODES) + 1) / self.NODES - 1
        spread = [partial(self._spread, self.y[:, None] + s * window) for s in self.spreads]
        return spread or super().stages()

    def measure(self, w: Array) -> dict[str, float]:
        """Return the mean absolute error, in units of the target."""
        return {"MAE": float(metrics.mean_absolute_error(self.y_held, self.x_held @ w))}


def _same(digits: Array) -> Array:
    i, j = np.triu_indices(len(digits), 1)
    return np.asarray(digits[i] == digits[j])


def _standardised(train: Array, held_out: Array) -> list[Array]:
    """Return both with the columns scaled by the mean and deviation of train, and a 1 added."""
    mean, deviation = train.mean(0), train.std(0)
    return [np.c_[(x - mean) / deviation, np.ones(len(x))] for x in (train, held_out)]


def split(seed: int, x: Array, y: Array, **sizes: Any) -> tuple[Data, Data]:
    """Return training and held-out data."""
    sizes = {"test_size": HELD_OUT, **sizes}
    x, x_held, y, y_held = train_test_split(x, y, random_state=seed, **sizes)
    return (x, y), (x_held, y_held)


def digit_images(seed: int, **sizes: Any) -> tuple[Data, Data]:
    """Return training and held-out images (n, 64), pixels from 0 to 1, and their digits."""
    images, digits = datasets.load_digits(return_X_y=True)
    return split(seed, images / 16, digits, stratify=digits, **sizes)


def models(seed: int, *, quick: bool = False) -> list[tuple[Model, fastloss.Loss, int]]:
    """Return models, losses and largest numbers of iterations.

    Parameters
    ----------
    seed : int
        Of the split into training and held-out data.
    quick : bool
        Whether fewer pairs and iterations will do.
    """
    digit = digit_images(seed, **({"train_size": 400, "test_size": 300} if quick else {}))
    x, benign = datasets.load_breast_cancer(return_X_y=True)
    tumours = split(seed, x, benign, stratify=benign)
    patients = split(seed, *datasets.load_diabetes(return_X_y=True))
    spreads = [64.0 / 4**i for i in range(5 if quick else 9)]
    contrastive, quality = fastloss.ContrastiveLoss(), fastloss.QualityLoss()
    pair_iterations = 30 if quick else 100
    return [
        (PairVerification(*digit, contrastive.margin), contrastive, pair_iterations),
        (PairVerification(*digit, quality.margin), quality, pair_iterations),
        (Classification(*tumours), fastloss.LogLoss(), 1000),
        (Regression(*patients, np.median, spreads), fastloss.AbsoluteLoss(), 200),
        (Regression(*patients, np.mean), fastloss.SquaredLoss(), 200),
    ]
