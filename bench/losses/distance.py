"""Losses of labelled distances of pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import fastloss
from bench.losses._entry import Array, Entry, Formula, Peer, Real, Shape, labelled


def contrastive(margin: float) -> Callable[[Any, Real], Formula]:
    def formula(xp: Any, real: Real) -> Formula:
        zero, one, two, m = real(0), real(1), real(2), real(margin)
        return Formula(
            lambda y, p: (y, p, one - y, xp.maximum(m - p, zero)),
            lambda y, p, far, hinge: y * p * p + far * hinge * hinge,
            lambda y, p, far, hinge: two * (y * p - far * hinge),
        )

    return formula


def linear(xp: Any, real: Real) -> Formula:
    zero, one, m = real(0), real(1), real(1)
    return Formula(
        lambda y, p: (y, p, one - y),
        lambda y, p, far: y * p + far * xp.maximum(m - p, zero),
        lambda y, p, far: y - xp.where(p < m, far, zero),
    )


def signed(rng: np.random.Generator, shape: Shape) -> tuple[Array, Array]:
    return 2 * rng.integers(0, 2, shape) - 1, rng.uniform(0, 1.2, shape)


def hinge_embedding(xp: Any, real: Real) -> Formula:
    zero, m = real(0), real(1)
    return Formula(
        lambda y, p: (y, p),
        lambda y, p: xp.where(y > zero, p, xp.maximum(m - p, zero)),
        lambda y, p: xp.where((y > zero) | (p < m), y, zero),
    )


SQUARED = "y * p * p + (1 - y) * where(p < margin, margin - p, 0) ** 2"

LOSSES = (
    Entry(
        "contrastive", fastloss.ContrastiveLoss(), labelled(0, 1.2), contrastive(1.0),
        numexpr=SQUARED, constants={"margin": 1.0},
    ),
    Entry(
        "contrastive, linear", fastloss.ContrastiveLoss(form="linear"), labelled(0, 1.2), linear,
        numexpr="y * p + (1 - y) * where(p < margin, margin - p, 0)", constants={"margin": 1.0},
    ),
    Entry(
        "quality", fastloss.QualityLoss(), labelled(0, 0.6), contrastive(0.5),
        numexpr=SQUARED, constants={"margin": 0.5},
    ),
    Entry(
        "hinge embedding", fastloss.HingeEmbeddingLoss(), signed, hinge_embedding,
        numexpr="where(y > 0, p, where(p < margin, margin - p, 0))", constants={"margin": 1.0},
        torch=Peer("hinge_embedding_loss"),
    ),
)
