"""Losses of embeddings: of rows that belong together, and of all pairs of the rows of a batch."""

from fastloss.embedding import blocks as blocks
from fastloss.embedding import distances, paired, similarities, triplets, twosided
from fastloss.embedding._common import BatchPartial as BatchPartial
from fastloss.embedding.distances import *
from fastloss.embedding.paired import *
from fastloss.embedding.similarities import *
from fastloss.embedding.triplets import *
from fastloss.embedding.twosided import *

# Set this way because type checkers take a star import for a re-export unless they see an
# `__all__`, of which they understand lists of literals only.
globals()["__all__"] = ["BatchPartial"] + [
    name for family in (paired, triplets, distances, similarities, twosided)
    for name in family.__all__
]
