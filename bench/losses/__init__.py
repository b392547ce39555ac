"""The losses that are measured: one entry each, and what its peers compute."""

from __future__ import annotations

from bench.losses import distance, margin, probability, quantile, rate, relative, residual, rowwise
from bench.losses._entry import Array, Entry, Formula, Shape

LOSSES: tuple[Entry, ...] = tuple(
    entry for family in (
        distance, probability, residual, quantile, margin, rate, relative, rowwise)
    for entry in family.LOSSES
)

__all__ = ["LOSSES", "Array", "Entry", "Formula", "Shape"]
