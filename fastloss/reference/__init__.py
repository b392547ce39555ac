"""What the losses mean: NumPy, float64, the same names and methods as `fastloss`.

This is the place to read what a loss is, and the oracle that the fused kernels are tested
against. Each class derives from its counterpart, which holds the parameters, and adds the
formula, as arrays in numerically stable form; the textbook formula is in its docstring. The
arithmetic shares nothing with the kernels. Slow, and never used behind the user's back.
"""

from typing import TYPE_CHECKING

from fastloss.reference import (
    distance,
    embedding,
    margin,
    paired,
    probability,
    quantile,
    rate,
    relative,
    residual,
    rowwise,
)
from fastloss.reference.distance import *
from fastloss.reference.embedding import *
from fastloss.reference.margin import *
from fastloss.reference.paired import *
from fastloss.reference.probability import *
from fastloss.reference.quantile import *
from fastloss.reference.rate import *
from fastloss.reference.relative import *
from fastloss.reference.residual import *
from fastloss.reference.rowwise import *

if not TYPE_CHECKING:
    # mypy takes a star import for a re-export unless it sees an `__all__`, of which it understands
    # lists of literals only.
    __all__ = [
        name for family in (
            distance, embedding, margin, paired, probability, quantile, rate, relative, residual,
            rowwise)
        for name in family.__all__
    ]
