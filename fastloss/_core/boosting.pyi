from typing import Any

from numpy.typing import NDArray

from fastloss._base import Interval
from fastloss._curvature import Bound

Array = NDArray[Any]

def inside(values: Array, domain: Interval) -> bool: ...
def settle(
    grad: Array, hess: Array, straight: bool, weight: Array | None, factor: float, floor: float,
    negate: bool,
) -> None: ...
def bend(
    bound: Bound | Array, y: Any, p: Any, w: Any, grad: Array, hess: Array, straight: bool
) -> None: ...
def reach(y: Any, p: Any, w: Any) -> Array: ...
