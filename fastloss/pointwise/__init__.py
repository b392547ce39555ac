"""The pointwise losses: one number out of each pair of target and prediction."""

from typing import TYPE_CHECKING

from fastloss.pointwise import distance, margin, probability, quantile, rate, relative, residual
from fastloss.pointwise.distance import *
from fastloss.pointwise.margin import *
from fastloss.pointwise.probability import *
from fastloss.pointwise.quantile import *
from fastloss.pointwise.rate import *
from fastloss.pointwise.relative import *
from fastloss.pointwise.residual import *

if not TYPE_CHECKING:
    # mypy takes a star import for a re-export unless it sees an `__all__`, of which it understands
    # lists of literals only.
    __all__ = [
        name for family in (distance, margin, probability, quantile, rate, relative, residual)
        for name in family.__all__
    ]
