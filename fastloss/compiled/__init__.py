"""Losses of elements in functions compiled by Numba.

A loss object goes into an ``@njit`` function as an argument, or is a global of it, and these
functions compute with it there, on the thread that calls them and with the bits of the
object's own methods:

>>> import numba
>>> import fastloss as fl
>>> from fastloss import compiled
>>> @numba.njit
... def descend(loss, y, p, rate):
...     for _ in range(100):
...         _, grad, hess = compiled.sample(loss, y, p)
...         p -= rate * grad
...     return p
>>> print(f"{descend(fl.HuberLoss(), 3.0, 0.0, 0.1):.3f}")
3.000

All losses of elements have one Numba type, so a function is compiled once for all of them. With
``cache=True`` the loss has to be an argument: the address of a global's is compiled in, and Numba
says that it does not keep such code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastloss._base import Loss

try:
    from numba import typeof
    from numba.core import types
    from numba.core.errors import NumbaError, TypingError
    from numba.extending import overload, register_jitable
except ImportError as error:
    raise ImportError('fastloss.compiled needs Numba: pip install "fastloss[custom]"') from error

from fastloss.compiled._numba import (
    LOSS,
    address_of,
    call_elements,
    call_sample,
    call_total,
    from_python,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["elements", "sample", "total"]


# ---- checks -------------------------------------------------------------------------------


def _wrong_sample(loss: Any, **numbers: Any) -> str:
    """Say which type is wrong, and what it should be; nothing if all are right."""
    for name, given in numbers.items():
        if not isinstance(given, (types.Integer, types.Float, types.Boolean)):
            return f"{name} must be a real number, got {given}"
    return _wrong_loss(loss)


def _wrong_loss(loss: Any) -> str:
    if loss == LOSS:
        return ""
    return f"loss must be a loss of elements, such as fastloss.HuberLoss(), got {loss}"


def _wrong_arrays(loss: Any, p: Any, y: Any, optional: dict[str, Any]) -> str:
    """Say the same of arrays; of those that may be None, all but `sample_weight` are results."""
    absent = (None, types.none, types.Omitted(None))
    for name, given in {"p": p, "y": y, **optional}.items():
        if name in optional and given in absent:
            continue
        if not isinstance(given, types.Array) or given.ndim != 1 or given.layout != "C":
            return (f"{name} must be a contiguous array of one dimension, as np.ascontiguousarray "
                    f"makes of one with steps, got {given}")
        if given.dtype not in (types.float32, types.float64):
            return f"{name} must hold float32 or float64, got {given.dtype}"
        if given.dtype != p.dtype:
            return f"{name} must have the dtype of p, {p.dtype}, got {given.dtype}"
        if name in optional and name != "sample_weight" and not given.mutable:
            return f"{name} must not be read-only"
    return _wrong_loss(loss)


@register_jitable
def _check(name: str, array: Array | None, p: Array) -> None:
    if array is not None:
        if len(array) != len(p):
            raise ValueError(f"{name} must be as long as p, {len(p)}, got {len(array)}")
        if array.ctypes.data % array.itemsize:
            raise ValueError(f"{name} must be aligned, as {name}.copy() is")


# ---- the functions, for Numba and for Python -----------------------------------------------


def _refuse(problem: str, error: type[Exception] = TypeError) -> None:
    if problem:
        raise error(problem)


def _type_of(value: Any) -> Any:
    """Return Numba's type of a value; Python's name of it where Numba has none."""
    try:
        return typeof(value)
    except (NumbaError, ValueError):     # a masked array; a column of pandas, say
        return type(value).__name__


def sample(loss: Loss, y: float, p: float) -> tuple[float, float, float]:
    """Return the loss of one element, with its derivatives.

    Parameters
    ----------
    loss : Loss
        A loss of elements. Its `reduction` plays no part.
    y, p : number
        Target and prediction.

    Returns
    -------
    value, grad, hess : float
        The element's loss, its derivative by `p` and its second derivative: float32 if `p` is
        float32, else float64.

    Raises
    ------
    TypeError
        If an argument is something else; in compiled code, on compilation, Numba's TypingError.
    """
    address_of(loss)
    _refuse(_wrong_sample(_type_of(loss), y=_type_of(y), p=_type_of(p)))
    results: Any = np.empty(3, np.float32 if _type_of(p) == types.float32 else np.float64)
    from_python("sample", results.dtype, loss, y, p, results, results[1:], results[2:])
    value, grad, hess = results
    return value, grad, hess


@overload(sample)
def _overload_sample(loss: Any, y: Any, p: Any) -> Any:
    _refuse(_wrong_sample(loss, y=y, p=p), TypingError)

    def implementation(loss: Any, y: Any, p: Any) -> Any:
        return call_sample(loss, y, p)

    return implementation


def elements(
    loss: Loss,
    y: Array,
    p: Array,
    value: Array | None = None,
    grad: Array | None = None,
    hess: Array | None = None,
) -> None:
    """Write the loss of each element, and its derivatives, into arrays.

    All arrays are contiguous, of one dimension and of one dtype, float32 or float64.

    Parameters
    ----------
    loss : Loss
        A loss of elements. Its `reduction` plays no part.
    y, p : ndarray
        Targets and predictions.
    value, grad, hess : ndarray, optional
        Where the element losses, their derivatives by `p` and their second derivatives go. May be
        `y` or `p`; a result that overlaps another array in some other way is undefined.

    Raises
    ------
    TypeError
        If an argument is something else; in compiled code, on compilation, Numba's TypingError.
    ValueError
        If lengths differ or an array is not aligned; nothing is written then.

    Examples
    --------
    >>> import numba, numpy as np
    >>> from fastloss import LogLoss, compiled
    >>> @numba.njit(parallel=True)
    ... def gradients(loss, y, p):      # of rows that may be apart in memory
    ...     grad = np.empty_like(p)
    ...     for i in numba.prange(len(p)):
    ...         compiled.elements(loss, y[i], p[i], grad=grad[i])
    ...     return grad
    >>> gradients(LogLoss(from_logits=True), np.eye(2), np.zeros((2, 2)))
    array([[-0.5,  0.5],
           [ 0.5, -0.5]])
    """
    address_of(loss)
    outputs = {"value": value, "grad": grad, "hess": hess}
    _refuse(_wrong_arrays(_type_of(loss), _type_of(p), _type_of(y), {
        name: _type_of(each) for name, each in outputs.items()}))
    for name, array in {"p": p, "y": y, **outputs}.items():
        _check(name, array, p)
    from_python("elements", p.dtype, loss, len(p), y, p, value, grad, hess)


@overload(elements)
def _overload_elements(
    loss: Any, y: Any, p: Any, value: Any = None, grad: Any = None, hess: Any = None
) -> Any:
    _refuse(_wrong_arrays(loss, p, y, {"value": value, "grad": grad, "hess": hess}), TypingError)

    def implementation(
        loss: Any, y: Any, p: Any, value: Any = None, grad: Any = None, hess: Any = None
    ) -> None:
        _check("p", p, p)
        _check("y", y, p)
        _check("value", value, p)
        _check("grad", grad, p)
        _check("hess", hess, p)
        call_elements(loss, y, p, value, grad, hess)

    return implementation


def total(
    loss: Loss,
    y: Array,
    p: Array,
    sample_weight: Array | None = None,
    grad: Array | None = None,
    scale: float = 1.0,
) -> float:
    """Return the weighted sum of the losses of elements, and write its gradient.

    All arrays are contiguous, of one dimension and of one dtype, float32 or float64.

    Parameters
    ----------
    loss : Loss
        A loss of elements. Its `reduction` plays no part.
    y, p : ndarray
        Targets and predictions.
    sample_weight : ndarray, optional
        Weights of the elements.
    grad : ndarray, optional
        Where `scale` times the derivative of the sum by each element of `p` goes. May be
        an input; one that overlaps an input in some other way is undefined.
    scale : float, default=1.0
        Factor of the gradient: 1 / n gives the gradient of the mean.

    Returns
    -------
    float
        The sum in float64, bit for bit the sum of the loss's own methods.

    Raises
    ------
    TypeError, ValueError
        See `elements`.
    """
    address_of(loss)
    _refuse(_wrong_sample(_type_of(loss), scale=_type_of(scale)))
    _refuse(_wrong_arrays(_type_of(loss), _type_of(p), _type_of(y), {
        "sample_weight": _type_of(sample_weight), "grad": _type_of(grad)}))
    for name, array in {"p": p, "y": y, "sample_weight": sample_weight, "grad": grad}.items():
        _check(name, array, p)
    result: float = from_python("total", p.dtype, loss, len(p), y, p, sample_weight, scale, grad)
    return result


@overload(total)
def _overload_total(
    loss: Any, y: Any, p: Any, sample_weight: Any = None, grad: Any = None, scale: Any = 1.0
) -> Any:
    _refuse(_wrong_arrays(loss, p, y, {"sample_weight": sample_weight, "grad": grad}), TypingError)
    if not isinstance(scale, float | types.Omitted):  # the default
        _refuse(_wrong_sample(loss, scale=scale), TypingError)

    def implementation(
        loss: Any, y: Any, p: Any, sample_weight: Any = None, grad: Any = None, scale: Any = 1.0
    ) -> Any:
        _check("p", p, p)
        _check("y", y, p)
        _check("sample_weight", sample_weight, p)
        _check("grad", grad, p)
        return call_total(loss, y, p, sample_weight, float(scale), grad)

    return implementation
