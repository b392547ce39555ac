"""Losses of rows of class scores."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastloss
from bench.losses._entry import Array, Entry, Formula, Peer, Real, Shape


def classes(rng: np.random.Generator, shape: Shape) -> tuple[Array, Array]:
    return rng.integers(0, shape[1], shape[0]), 2 * rng.standard_normal(shape, np.float32)


def cross_entropy(xp: Any, real: Real) -> Formula:
    def terms(y: Any, z: Any) -> tuple[Any, ...]:
        shifted = z - xp.max(z, axis=1, keepdims=True)
        e = xp.exp(shifted)
        return y, shifted, e, e.sum(axis=1)

    def loss(y: Any, shifted: Any, e: Any, total: Any) -> Any:
        return xp.log(total) - shifted[xp.arange(len(y)), y]

    def slope(y: Any, shifted: Any, e: Any, total: Any) -> Any:
        e /= total[:, None]
        e[xp.arange(len(y)), y] -= real(1)
        return e

    return Formula(terms, loss, slope)


def cross_entropy_jax(jax: Any, y: Any, z: Any) -> Any:
    log_softmax = jax.nn.log_softmax(z, axis=1)
    return -jax.numpy.take_along_axis(log_softmax, y[:, None], axis=1).mean()


LOSSES = (
    Entry(
        "cross entropy", fastloss.CrossEntropyLoss(), classes, cross_entropy,
        torch=Peer("cross_entropy"), sklearn_loss=Peer("HalfMultinomialLoss"),
        label_dtype="int64", jax=cross_entropy_jax,
        # of a vocabulary as many rows as let all contenders stay in memory together
        shapes=((100_000, 10), (100_000, 100), (2048, 32_000)),
        quick_shapes=((1000, 10), (32, 3000)),
    ),
)
