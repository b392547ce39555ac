"""What is measured: a loss on some data, and a call to time."""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from bench.losses import Array, Loss, Shape

Call = Callable[[], Any]
OPERATIONS = ("value", "value_and_grad")
SPIN_FROM = 2**18  # multiplications of a product that OpenBLAS makes on several threads


@dataclass(frozen=True)
class Case:
    """One thing to measure: a loss on these data.

    `inputs` are what gradients are by.
    """

    entry: Loss
    shape: Shape
    operation: str
    labels: tuple[Array, ...]
    inputs: tuple[Array, ...]
    threads: int

    @classmethod
    def draw(
        cls, entry: Loss, shape: Shape, dtype: str, operation: str, threads: int
    ) -> Case:
        labels, inputs = entry.draw(np.random.default_rng(0), shape, dtype)
        return cls(entry, shape, operation, labels, inputs, threads)

    @property
    def y(self) -> Array:
        return self.labels[0]

    @property
    def p(self) -> Array:
        return self.inputs[0]

    @property
    def arguments(self) -> tuple[Array, ...]:
        return self.entry.arguments(self.labels, self.inputs)

    @property
    def gradient(self) -> bool:
        return self.operation == "value_and_grad"

    @property
    def size(self) -> int:
        """How many elements there are; of all sides of pairs and triplets, those of one."""
        return math.prod(self.shape)

    @property
    def spins(self) -> bool:
        """Whether BLAS's threads spin for a while after a product of all pairs of rows."""
        return bool(self.entry.products) and self.size * self.shape[0] > SPIN_FROM

    @property
    def count(self) -> int:
        """Of how many elements the mean is taken: rows of a matrix."""
        return len(self.p)

    @property
    def bytes(self) -> int:
        """What has to be read and written at least."""
        read, both = (sum(x.nbytes for x in arrays) for arrays in (self.labels, self.inputs))
        return read + (2 if self.gradient else 1) * both


@dataclass(frozen=True)
class Contender:
    """A call to time, and how its result becomes value and gradients."""

    name: str
    call: Call
    scale: float = 1.0  # factors from its results to those of fastloss
    gradient_scale: float = 1.0
    spins: bool = False  # its threads spin afterwards, beside what is measured next

    def result(self, gradient: bool) -> tuple[float, tuple[Array, ...]]:
        """Return value and gradients."""
        result = self.call()
        value, grads = result if gradient else (result, ())
        value = value.detach() if hasattr(value, "detach") else value  # torch
        grads = grads if isinstance(grads, tuple) else (grads,)
        arrays = tuple(np.asarray(grad) for grad in grads)
        if self.gradient_scale != 1:
            arrays = tuple(self.gradient_scale * grad for grad in arrays)
        return self.scale * float(value), arrays


def load(name: str) -> Any:
    """Import an optional library."""
    module = importlib.import_module(name)
    if name == "jax":
        module.config.update("jax_enable_x64", True)  # float64 is float32 without
    return module


@cache
def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
