"""Measure the part of a fit's time that the loss takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class Timed:
    """A loss with timed calls; `advance` is called with their number after each."""

    def __init__(self, loss: Any, advance: Callable[[int], None] = lambda calls: None) -> None:
        self.loss, self.seconds, self._advance = loss, list[float](), advance

    def value_and_grad(self, *arrays: Any, **arguments: Any) -> Any:
        """Return value and gradient of the loss."""
        start = time.perf_counter()
        result = self.loss.value_and_grad(*arrays, **arguments)
        self.seconds.append(time.perf_counter() - start)
        self._advance(len(self.seconds))
        return result
