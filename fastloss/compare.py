"""The losses at work: small linear models fitted to data sets that ship with scikit-learn.

SciPy's L-BFGS minimises each model's objective twice from the same start, once with the fused
loss and once with its NumPy reference. A model turns parameters into predictions, the loss turns
these into a value and a gradient in the predictions, and the chain rule carries that gradient
back to the parameters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.spatial.distance import pdist, squareform
from scipy.special import expit, logit
from sklearn import datasets, metrics
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

import fastloss
from fastloss import reference

Array = NDArray[Any]
Objective = Callable[[Any, Array], tuple[float, Array]]
Progress = Callable[[str, float], None]

ENGINES = {"fastloss": fastloss, "reference": reference}
HELD_OUT = 0.3  # of the data


class Model(Protocol):
    """A data set and a linear model of it."""

    data: str
    before: str
    sizes: dict[str, int]
    start: Array

    def value_and_grad(self, loss: Any, w: Array) -> tuple[float, Array]:
        """Return the objective at the parameters w and its gradient, from the training data."""

    def stages(self) -> Sequence[Objective]:
        """Return what is minimised, one after the other; the last result counts."""

    def measure(self, w: Array) -> dict[str, float]:
        """Return how good the parameters are on the held-out data."""


class PairVerification:
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
    data: ClassVar[str] = "digits"
    before: ClassVar[str] = "principal components"

    def __init__(
        self, train: tuple[Array, Array], held_out: tuple[Array, Array], margin: float
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

    def stages(self) -> Sequence[Objective]:
        """Return the one objective there is."""
        return [self.value_and_grad]

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


class Classification:
    """Is a tumour benign? The prediction is the probability expit(x @ w)."""

    L2: ClassVar[float] = 1e-3  # keeps the weights finite: the classes can be separated
    data: ClassVar[str] = "breast cancer"
    before: ClassVar[str] = "the base rate"

    def __init__(self, train: tuple[Array, Array], held_out: tuple[Array, Array]) -> None:
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

    def stages(self) -> Sequence[Objective]:
        """Return the one objective there is."""
        return [self.value_and_grad]

    def measure(self, w: Array) -> dict[str, float]:
        """Return log loss and accuracy."""
        p = expit(self.x_held @ w)
        return {
            "log loss": float(metrics.log_loss(self.y_held, p)),
            "accuracy": float(metrics.accuracy_score(self.y_held, p > 0.5)),
        }


class Regression:
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
    data: ClassVar[str] = "diabetes"

    def __init__(
        self, train: tuple[Array, Array], held_out: tuple[Array, Array],
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
        return spread or [self.value_and_grad]

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


# ---- fits -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fit:
    """One fit of a model.

    Attributes
    ----------
    w : ndarray
        The parameters found.
    objective : float
        The objective there.
    metrics : dict
        Of the held-out data.
    iterations, calls : int
        Iterations of L-BFGS, and calls of the loss.
    loss_seconds : float
        Time in the calls of the loss, all together.
    seconds_per_call : float
        Their median.
    """

    w: Array = field(repr=False)
    objective: float
    metrics: dict[str, float]
    iterations: int
    calls: int
    loss_seconds: float
    seconds_per_call: float


@dataclass(frozen=True)
class Result:
    """A model, where its parameters start, and its fits with fastloss and the reference."""

    model: Model
    loss: fastloss.Loss
    start: Fit
    fits: dict[str, Fit]

    @property
    def speedup(self) -> float:
        """The reference's seconds per call over those of fastloss."""
        return self.fits["reference"].seconds_per_call / self.fits["fastloss"].seconds_per_call

    @property
    def objective_difference(self) -> float:
        """How far the two objectives are apart, relative to that of the reference."""
        a, b = (fit.objective for fit in self.fits.values())
        return abs(a - b) / abs(b)

    @property
    def metric_differences(self) -> dict[str, float]:
        """How far each held-out metric is apart."""
        a, b = (fit.metrics for fit in self.fits.values())
        return {name: abs(a[name] - b[name]) for name in a}


class _Timed:
    """A loss whose calls are timed."""

    def __init__(self, loss: Any) -> None:
        self.loss, self.seconds = loss, list[float]()

    def value_and_grad(self, y: Array, p: Array, **arguments: Any) -> Any:
        start = time.perf_counter()
        result = self.loss.value_and_grad(y, p, **arguments)
        self.seconds.append(time.perf_counter() - start)
        return result


def fit(
    model: Model, loss: Any, iterations: int, progress: Callable[[float], None] = lambda _: None
) -> Fit:
    """Minimise a model's objective with L-BFGS, from the model's start.

    Parameters
    ----------
    model : Model
        What is fitted.
    loss : Loss
        Of `fastloss` or `fastloss.reference`.
    iterations : int
        Largest number of iterations per stage; 0 to measure the start.
    progress : callable
        Called with the part of the work that is done, from 0 to 1.
    """
    timed, w, count = _Timed(loss), model.start, 0
    stages = model.stages() if iterations else []
    for number, objective in enumerate(stages):
        step = iter(range(1, iterations + 1))

        def advance(_: Array, number: int = number, step: Any = step) -> None:
            progress((number + next(step, iterations) / iterations) / len(stages))

        found = minimize(
            partial(objective, timed), w, jac=True, method="L-BFGS-B", callback=advance,
            options={"maxiter": iterations, "maxcor": 20, "maxls": 30, "ftol": 1e-13,
                     "gtol": 1e-9},
        )
        w, count = found.x, count + int(found.nit)
    seconds = timed.seconds or [0.0]
    return Fit(w, float(model.value_and_grad(loss, w)[0]), model.measure(w), count,
               len(timed.seconds), sum(seconds), float(np.median(seconds)))


def models(seed: int, *, quick: bool = False) -> list[tuple[Model, fastloss.Loss, int]]:
    """Return models, losses and largest numbers of iterations.

    Parameters
    ----------
    seed : int
        Of the split into training and held-out data.
    quick : bool
        Whether fewer pairs and iterations will do.
    """

    def split(x: Array, y: Array, **sizes: Any) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        sizes = {"test_size": HELD_OUT, **sizes}
        x, x_held, y, y_held = train_test_split(x, y, random_state=seed, **sizes)
        return (x, y), (x_held, y_held)

    images, digits = datasets.load_digits(return_X_y=True)
    sizes = {"train_size": 400, "test_size": 300} if quick else {}
    digit = split(images / 16, digits, stratify=digits, **sizes)  # pixels are 0 ... 16
    x, benign = datasets.load_breast_cancer(return_X_y=True)
    tumours = split(x, benign, stratify=benign)
    patients = split(*datasets.load_diabetes(return_X_y=True))
    spreads = 64.0 / 4.0 ** np.arange(5 if quick else 9)
    contrastive, quality = fastloss.ContrastiveLoss(), fastloss.QualityLoss()
    pair_iterations = 30 if quick else 100
    return [
        (PairVerification(*digit, contrastive.margin), contrastive, pair_iterations),
        (PairVerification(*digit, quality.margin), quality, pair_iterations),
        (Classification(*tumours), fastloss.LogLoss(), 1000),
        (Regression(*patients, np.median, spreads), fastloss.AbsoluteLoss(), 200),
        (Regression(*patients, np.mean), fastloss.SquaredLoss(), 200),
    ]


def run(
    seed: int = 0, *, quick: bool = False, progress: Progress = lambda what, done: None
) -> list[Result]:
    """Fit every model with fastloss and with its NumPy reference.

    Parameters
    ----------
    seed : int, default 0
        Of the split into training and held-out data.
    quick : bool, default False
        Whether fewer pairs and iterations will do.
    progress : callable
        Called with what is being fitted and the part of all work that is done, from 0 to 1.

    Returns
    -------
    list of Result
        Contrastive and quality loss on digits, log loss on breast cancer, absolute and squared
        loss on diabetes.
    """
    results = []
    # A BLAS that spins in wait for its next call would keep a core from the loss's threads.
    with threadpool_limits(limits=1, user_api="blas"):
        tasks = models(seed, quick=quick)
        costs = np.cumsum([0.0] + [sum(m.sizes.values()) for m, _, _ in tasks for _ in ENGINES])
        costs /= costs[-1]
        for model, loss, iterations in tasks:
            fits = {}
            for name, engine in ENGINES.items():
                done, ahead = costs[len(results) * len(ENGINES) + len(fits):][:2]
                what = f"{model.data}, {type(loss).__name__}, {name}"
                progress(what, done)
                same = getattr(engine, type(loss).__name__)(**loss._parameters())
                fits[name] = fit(
                    model, same, iterations,
                    lambda part, what=what, done=done, ahead=ahead:  # type: ignore[misc]
                    progress(what, done + part * (ahead - done)),
                )
            results.append(Result(model, loss, fit(model, loss, 0), fits))
        progress("done", 1.0)
    return results
