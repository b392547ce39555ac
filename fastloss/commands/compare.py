"""The losses at work: small linear models fitted to data sets that ship with scikit-learn.

SciPy's L-BFGS minimises each model's objective twice from the same start, once with the fused
loss and once with its NumPy reference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

import fastloss
from fastloss import reference
from fastloss.commands.models import Model, models
from fastloss.commands.timing import Timed

__all__ = ["Fit", "Result", "fit", "run"]

Array = NDArray[Any]
Progress = Callable[[str, float], None]

ENGINES = {"fastloss": fastloss, "reference": reference}


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
    timed, w, count = Timed(loss), model.start, 0
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
    results: list[Result] = []
    # A BLAS that spins in wait for its next call would keep a core from the loss's threads.
    with threadpool_limits(limits=1, user_api="blas"):
        tasks = models(seed, quick=quick)
        costs = np.cumsum([0.0] + [sum(m.sizes.values()) for m, _, _ in tasks for _ in ENGINES])
        costs /= costs[-1]
        for model, loss, iterations in tasks:
            fits: dict[str, Fit] = {}
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
