"""Embedding losses at work: digits as a few numbers each, so that like digits are near.

An image x becomes features(x) @ W. The features are the pixels, or cosines of random projections of
them; W starts at random, and `train` learns it from the gradient that a loss has by the rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from fastloss.commands.models import digit_images
from fastloss.commands.timing import Timed
from fastloss.embedding import BatchContrastiveLoss, BatchTripletLoss, NTXentLoss, SupConLoss

__all__ = ["Outcome", "Result", "recall_at_1", "run", "train"]

Array = NDArray[Any]
Features = Callable[[Array], Array]
Progress = Callable[[str, float], None]

DIMENSIONS = 8  # of the embedding
BATCH = 256
FEATURES = 1024  # random ones
GAMMA = 0.1  # they stand for the Gaussian kernel exp(-GAMMA |x - y|²)
NOISE = 0.2  # of a view: the standard deviation of what is added to a pixel, which is 0 ... 1
# Each loss with its rate. Rates and temperatures were chosen once, by recall on a part of the
# training data of four seeds.
LOSSES = (
    (BatchContrastiveLoss(), 10.0),
    (BatchTripletLoss(mining="semi-hard", normalize=True), 10.0),
    (NTXentLoss(temperature=0.2), 10.0),
    (SupConLoss(temperature=0.2), 1.0),
)


def train(
    loss: Any, x: Array, labels: Any, w: Array, *, rate: float, epochs: int,
    view: Callable[..., Array] | None = None, batch: int = BATCH, momentum: float = 0.9,
    seed: int = 0,
) -> Array:
    """Return W after mini-batch gradient descent with momentum on the loss of x @ W.

    Parameters
    ----------
    loss : loss of `fastloss.embedding`
        Of rows and labels or, with `view`, of two batches.
    x : ndarray (n, k)
        Features of the rows.
    labels : ndarray (n,)
        Classes of the rows; with `view` they are not looked at.
    w : ndarray (k, d)
        Where W starts.
    rate : float
        Learning rate at the start; it falls to 0 along a line.
    epochs : int
        How often each row is seen.
    view : callable, optional
        Turns rows of x and a random generator into features; called twice for each batch.
    batch, momentum, seed
        Largest number of rows of a batch, momentum, seed of the order of the rows.

    Returns
    -------
    ndarray (k, d)
    """
    rng, velocity = np.random.default_rng(seed), np.zeros_like(w)
    for epoch in range(epochs):
        for rows in np.array_split(rng.permutation(len(x)), len(x) // batch + 1):
            if view is None:
                a = x[rows]
                _, grad = loss.value_and_grad(a @ w, labels[rows])
                slope = a.T @ grad  # the chain rule through a @ w
            else:  # two views of each row, no labels
                a, b = view(x[rows], rng), view(x[rows], rng)
                _, (grad_a, grad_b) = loss.value_and_grad(a @ w, b @ w)
                slope = a.T @ grad_a + b.T @ grad_b
            velocity = momentum * velocity - rate * (1 - epoch / epochs) * slope
            w = w + velocity
    return w


def recall_at_1(rows: ArrayLike, labels: ArrayLike) -> float:
    """Return for what part of the rows the nearest of the others has the same label.

    Parameters
    ----------
    rows : array_like (n, d), n > 1
        Compared by Euclidean distance; of equally near rows the first counts.
    labels : array_like (n,)
        Of the rows.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If there are fewer than two rows, or not a label for each.
    """
    points, classes = np.asarray(rows, np.float64), np.asarray(labels)
    if points.ndim != 2 or len(points) < 2 or classes.shape != points.shape[:1]:
        raise ValueError("rows and labels must have shapes (n, d) and (n,) with n > 1, got "
                         f"{points.shape} and {classes.shape}")
    distances = cdist(points, points, "sqeuclidean")
    np.fill_diagonal(distances, np.inf)
    return float(np.mean(classes[distances.argmin(1)] == classes))


@dataclass(frozen=True)
class Result:
    """A map that was trained.

    Attributes
    ----------
    features : str
        What W is applied to.
    loss : loss of `fastloss.embedding`
        What it was trained with.
    rate : float
        The learning rate.
    w : ndarray (k, DIMENSIONS)
        The W found.
    before, after : ndarray (n, DIMENSIONS)
        Embedding of the held-out images at the start and at the end, of unit length if the loss
        compares such rows.
    recall_before, recall_after : float
        Their `recall_at_1`.
    seconds : float
        Time of the training.
    calls : int
        Calls of the loss.
    loss_seconds, seconds_per_call : float
        Time in them, all together, and their median.
    """

    features: str
    loss: Any
    rate: float
    w: Array = field(repr=False)
    before: Array = field(repr=False)
    after: Array = field(repr=False)
    recall_before: float
    recall_after: float
    seconds: float
    calls: int
    loss_seconds: float
    seconds_per_call: float

    @property
    def two_views(self) -> bool:
        """Whether the loss sees two views of each image and no labels."""
        views: bool = self.loss.sides == "two views"
        return views


@dataclass(frozen=True)
class Outcome:
    """All results, and what they are compared with.

    Attributes
    ----------
    results : list of Result
        Each kind of features with each loss.
    baselines : dict of float
        `recall_at_1` of the held-out images without training.
    digits : ndarray (n,)
        Of the held-out images.
    n_train, epochs : int
        Number of training images, and how often each was seen.
    """

    results: list[Result]
    baselines: dict[str, float]
    digits: Array = field(repr=False)
    n_train: int
    epochs: int


def _feature_maps(x: Array, rng: np.random.Generator, n_random: int) -> dict[str, Features]:
    """Return what W is applied to; rows of training data are of length 1 in the square mean."""
    mean = x.mean(0)
    length = np.sqrt(np.square(x - mean).sum(1).mean())
    directions = np.float32(np.sqrt(2 * GAMMA)) * rng.standard_normal(
        (x.shape[1], n_random), np.float32)
    phases = np.float32(2 * np.pi) * rng.random(n_random, np.float32)
    scale = np.float32(np.sqrt(2 / n_random))
    return {
        "pixels": lambda images: (images - mean) / length,
        "random features": lambda images: scale * np.cos(images @ directions + phases),
    }


def _noisy(features: Features) -> Callable[[Array, np.random.Generator], Array]:
    """Return features of images with noise."""
    return lambda images, rng: features(
        images + np.float32(NOISE) * rng.standard_normal(images.shape, np.float32))


def principal(x: Array, rows: Array, n: int) -> Array:
    """Return rows in the first n principal components of x."""
    mean = x.mean(0)
    return np.asarray((rows - mean) @ np.linalg.svd(x - mean, full_matrices=False)[2][:n].T)


def _as_compared(loss: Any, rows: Array) -> Array:
    """Return rows as the loss compares them."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True) if loss.normalize else rows


def run(
    seed: int = 0, *, quick: bool = False, progress: Progress = lambda what, done: None
) -> Outcome:
    """Learn embeddings of digits with four losses, of pixels and of random features.

    Parameters
    ----------
    seed : int, default 0
        Of the split into training and held-out data and of all that is random.
    quick : bool, default False
        Whether fewer random features and epochs will do.
    progress : callable
        Called with what is being trained and the part of all work that is done, from 0 to 1.

    Returns
    -------
    Outcome
        NT-Xent is trained without labels, on two views of each image: its pixels with noise.
    """
    (x, digits), (held_out, held_digits) = (
        (images.astype(np.float32), y) for images, y in digit_images(seed))
    rng = np.random.default_rng(seed)
    epochs, results = 10 if quick else 100, list[Result]()
    # The bits of a matrix product may depend on the number of threads of the BLAS.
    with threadpool_limits(limits=1, user_api="blas"):
        maps = _feature_maps(x, rng, 256 if quick else FEATURES)
        steps = epochs * (len(x) // BATCH + 1) * len(maps) * len(LOSSES)
        for name, features in maps.items():
            rows, held_rows = features(x), features(held_out)
            # the median distance of two rows of the embedding is near 1, the margin
            start = np.float32((2 * DIMENSIONS) ** -0.5) * rng.standard_normal(
                (rows.shape[1], DIMENSIONS), np.float32)
            for loss, rate in LOSSES:
                done = sum(result.calls for result in results)

                def advance(
                    calls: int, what: str = f"{name}, {type(loss).__name__}", done: int = done
                ) -> None:
                    progress(what, (done + calls) / steps)

                advance(0)
                timed = Timed(loss, advance)
                views = loss.sides == "two views"
                clock = time.perf_counter()
                w = train(timed, x if views else rows, digits, start, rate=rate, epochs=epochs,
                          view=_noisy(features) if views else None, seed=seed)
                seconds = time.perf_counter() - clock
                before, after = (_as_compared(loss, held_rows @ each) for each in (start, w))
                results.append(Result(
                    name, loss, rate, w, before, after, recall_at_1(before, held_digits),
                    recall_at_1(after, held_digits), seconds, len(timed.seconds),
                    sum(timed.seconds), float(np.median(timed.seconds))))
        baselines = {
            f"{x.shape[1]} pixels": recall_at_1(held_out, held_digits),
            f"PCA to {DIMENSIONS} numbers": recall_at_1(
                principal(x, held_out, DIMENSIONS), held_digits),
        }
    progress("done", 1.0)
    return Outcome(results, baselines, held_digits, len(x), epochs)
