"""Losses of embeddings: of paired rows, and of batches, where all pairs of rows count."""

from typing import TYPE_CHECKING

from fastloss.embedding import batch_distance, batch_similarity, paired, triplets, two_views
from fastloss.embedding import blocks as blocks
from fastloss.embedding._batch import BatchPartial as BatchPartial
from fastloss.embedding.batch_distance import *
from fastloss.embedding.batch_similarity import *
from fastloss.embedding.paired import *
from fastloss.embedding.triplets import *
from fastloss.embedding.two_views import *

if not TYPE_CHECKING:
    # mypy takes a star import for a re-export unless it sees an `__all__`, of which it understands
    # lists of literals only.
    __all__ = ["BatchPartial"] + [
        name for family in (paired, triplets, batch_distance, batch_similarity, two_views)
        for name in family.__all__
    ]
