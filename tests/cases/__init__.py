"""Every loss, one row each: how to draw its parameters and data, and what it means.

All tests that are not about one loss go through `CASES`. A new loss needs a row in its family.
"""

from cases import distance, margin, probability, quantile, rate, relative, residual
from cases._case import (
    DTYPES,
    LABELS,
    REDUCTIONS,
    WEIGHTS,
    Case,
    draw,
    f32,
    neighbours,
    seeded,
    snake,
    weights,
)

__all__ = ["CASES", "DTYPES", "LABELS", "REDUCTIONS", "WEIGHTS", "Case", "draw", "f32",
           "neighbours", "seeded", "snake", "weights"]

FAMILIES = [distance, margin, probability, quantile, rate, relative, residual]
CASES = {case.name: case for family in FAMILIES for case in family.CASES}
