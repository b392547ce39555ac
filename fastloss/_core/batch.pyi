from typing import Any

from numpy.typing import NDArray

def read_numbers(x: Any, name: str) -> NDArray[Any]: ...

def small_labels(sides: tuple[NDArray[Any], ...]) -> tuple[list[NDArray[Any]], int] | None: ...
def total(a: NDArray[Any]) -> float: ...
def class_sizes(
    codes: NDArray[Any], others: NDArray[Any], n_codes: int, symmetric: bool
) -> tuple[NDArray[Any], NDArray[Any]]: ...

class Rows:
    n: int
    dtype: Any
    sums: NDArray[Any]

class Pairs:
    a: Rows
    b: Rows
    def __init__(
        self, x: NDArray[Any], labels: NDArray[Any], others: NDArray[Any] | None,
        other_labels: NDArray[Any] | None, *, distance: bool, normalize: bool,
        cosine: bool, n_threads: int | None,
    ) -> None: ...
    def run(
        self, loss: bytes, step: str, *, gradient: bool = ..., others: bool = ...,
        columns: bool = ..., shift: Any = ..., factor: Any = ..., weight: Any = ...,
        each: bool = ..., more: bool = ...,
    ) -> tuple[float, float]: ...
    def triplets(
        self, mining: str, margin: float, soft: bool, distance: str, *, gradient: bool,
        others: bool, weight: Any,
    ) -> tuple[float, float, float]: ...
    def weight_sums(self) -> NDArray[Any]: ...
    def gradient(self, rows: Rows, scale: float) -> tuple[NDArray[Any], float]: ...
