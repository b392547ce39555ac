"""The losses that are measured: one entry each, and what its peers compute."""

from __future__ import annotations

from bench.losses import (
    distance,
    embedding,
    margin,
    probability,
    quantile,
    rate,
    relative,
    residual,
    rowwise,
)
from bench.losses._entry import Array, Embedding, Entry, Formula, Loss, Shape

LOSSES: tuple[Loss, ...] = tuple(
    entry for family in (
        distance, probability, residual, quantile, margin, rate, relative, rowwise, embedding)
    for entry in family.LOSSES
)

__all__ = ["LOSSES", "Array", "Embedding", "Entry", "Formula", "Loss", "Shape"]
