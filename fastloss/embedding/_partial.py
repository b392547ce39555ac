"""What losses of all pairs sum up to, and sums of parts that can be added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fastloss.embedding._common import EmbeddingLoss


class Terms(NamedTuple):
    """What a pass over all pairs came to."""

    total: float                  # weighted sum of the terms
    weight: float                 # of the terms
    nonzero: float                # of those that are not 0
    per_sum: float = 1.0          # what `total` times is the sum over each term once


@dataclass(frozen=True)
class BatchPartial:
    """Sums of a loss of all pairs over a part of its terms.

    Attributes
    ----------
    loss : loss of all pairs
        The loss that was summed; only parts of equal losses can be added.
    loss_sum : float
        Sum of the weighted terms.
    weight_sum : float
        Sum of the weights of the terms that count.
    nonzero_sum : float
        Sum of the weights of those that are not 0.
    """

    loss: EmbeddingLoss
    loss_sum: float
    weight_sum: float
    nonzero_sum: float

    def __add__(self, other: BatchPartial) -> BatchPartial:
        if not isinstance(other, BatchPartial):
            return NotImplemented
        if self.loss != other.loss:
            raise ValueError(f"parts of different losses: {self.loss} and {other.loss}")
        return BatchPartial(self.loss, self.loss_sum + other.loss_sum,
                            self.weight_sum + other.weight_sum,
                            self.nonzero_sum + other.nonzero_sum)

    def __radd__(self, other: int) -> BatchPartial:
        return self if other == 0 else NotImplemented  # the start of sum()

    @property
    def scale(self) -> float:
        """What the gradient of the sum is multiplied by: 1 over what `result` divides by, or 0."""
        divisor = self.loss._divisor(self._terms())
        return 1.0 / divisor if divisor != 0 else 0.0

    def result(self) -> float:
        """Return the value of the loss on all parts added so far."""
        return self.loss._reduce(self._terms())

    def _terms(self) -> Terms:
        return Terms(self.loss_sum, self.weight_sum, self.nonzero_sum)
