"""Losses of embeddings: of pairs of rows, and of all pairs of the rows of a batch."""

from fastloss.embedding import exponential, paired, summed, triplets
from fastloss.embedding.exponential import *
from fastloss.embedding.paired import *
from fastloss.embedding.summed import *
from fastloss.embedding.triplets import *

# Set this way because type checkers take a star import for a re-export unless they see an
# `__all__`, of which they understand lists of literals only.
globals()["__all__"] = [
    name for family in (exponential, paired, summed, triplets) for name in family.__all__
]
