from collections.abc import Sequence
from typing import Any, Protocol, overload

from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]

class Loops(Protocol):
    addresses: tuple[int, ...]

class Kernel:
    @overload
    def __init__(self, loss: str, parameters: dict[str, float], reduction: str) -> None: ...
    @overload
    def __init__(self, loss: Loops, parameters: Sequence[float], reduction: str) -> None: ...

def read_inputs(
    y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[Array, Array, Array | None]: ...
def value(
    kernel: Kernel, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None,
    out: Array | None, n_threads: int | None,
) -> Any: ...
def grad(
    kernel: Kernel, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None,
    out: Array | None, n_threads: int | None,
) -> Array: ...
def value_and_grad(
    kernel: Kernel, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None,
    out: Array | tuple[Array, Array] | None, n_threads: int | None,
) -> tuple[Any, Array]: ...
def grad_and_hess(
    kernel: Kernel, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None,
    out: tuple[Array, Array] | None, n_threads: int | None,
) -> tuple[Array, Array]: ...
def partial_sums(
    kernel: Kernel, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None,
    n_threads: int | None,
) -> tuple[float, float, int, float, float]: ...
def partial_sums_and_grad(
    kernel: Kernel, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None,
    scale: float, n_threads: int | None,
) -> tuple[tuple[float, float, int, float, float], Array]: ...
def reduce(reduction: str, loss: float, weight: float, size: int) -> float: ...
