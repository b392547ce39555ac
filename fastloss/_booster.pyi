from typing import Any

from numpy.typing import NDArray

from fastloss._base import Interval

Array = NDArray[Any]

def inside(values: Array, domain: Interval) -> bool: ...
def settle(
    grad: Array, hess: Array, straight: bool, weight: Array | None, factor: float, floor: float,
    negate: bool,
) -> None: ...
