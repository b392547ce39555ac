from typing import Any

from numpy.typing import ArrayLike, NDArray

from fastloss._core.elements import Kernel

Array = NDArray[Any]

class RowKernel(Kernel):
    def __init__(
        self, logits: bool, smoothing: float, ignored: int | None,
        class_weight: tuple[float, ...] | None, clip: dict[str, float], reduction: str,
    ) -> None: ...

def read_rows(
    y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[Array, Array, Array | None]: ...
