"""The pointwise losses: one number out of each pair of target and prediction."""

from fastloss.pointwise import distance, margin, probability, quantile, rate, relative, residual
from fastloss.pointwise.distance import *
from fastloss.pointwise.margin import *
from fastloss.pointwise.probability import *
from fastloss.pointwise.quantile import *
from fastloss.pointwise.rate import *
from fastloss.pointwise.relative import *
from fastloss.pointwise.residual import *

# Set this way because type checkers take a star import for a re-export unless they see an
# `__all__`, of which they understand lists of literals only.
globals()["__all__"] = [
    name for family in (distance, margin, probability, quantile, rate, relative, residual)
    for name in family.__all__
]
