"""What Numba has to know of losses of elements: their type, and how to call `fastloss.api`."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.imputils import lower_constant
from numba.extending import (
    NativeValue,
    get_cython_function_address,
    intrinsic,
    models,
    register_model,
    typeof_impl,
    unbox,
)

from fastloss._base import Loss

# ---- calls of C functions -----------------------------------------------------------------

# Compiled code, also that which Numba keeps on disk, finds them by name.
_FUNCTIONS = {name: get_cython_function_address("fastloss.api", name) for name in (
    "element_loss", "sample32", "sample64", "elements32", "elements64", "total32", "total64")}
for _name, _address in _FUNCTIONS.items():
    llvmlite.binding.add_symbol(f"fastloss.{_name}", _address)

_ADDRESS = ctypes.c_void_p
address_of = ctypes.PYFUNCTYPE(_ADDRESS, ctypes.py_object)(_FUNCTIONS["element_loss"])

_VOID, _DOUBLE, _POINTER = ir.VoidType(), ir.DoubleType(), ir.IntType(8).as_pointer()


def _call(builder: Any, name: str, returns: Any, arguments: list[Any]) -> Any:
    arguments = [builder.bitcast(each, _POINTER) if isinstance(each.type, ir.PointerType) else each
                 for each in arguments]
    kind = ir.FunctionType(returns, [each.type for each in arguments])
    function = cgutils.get_or_insert_function(builder.module, kind, f"fastloss.{name}")
    return builder.call(function, arguments)


def _data(
    context: Any, builder: Any, given: Any, values: Any, positions: tuple[int, ...]
) -> list[Any]:
    """Return the length of the array in place 2, and where arrays lie; NULL for None."""
    arrays = {i: context.make_array(given[i])(context, builder, values[i])
              for i in positions if isinstance(given[i], types.Array)}
    null = ir.Constant(_POINTER, None)
    return [arrays[2].nitems, *(arrays[i].data if i in arrays else null for i in positions)]


# ---- the type of losses --------------------------------------------------------------------


class _ElementLoss(types.Type):
    """Any loss of elements: a pointer into the object, and what keeps the object alive.

    Numba counts references to `owner` wherever compiled code keeps the loss, as it does for
    arrays: in generators, typed lists and jitclasses. Numba's cache on disk names this class.
    """


# Numba's cache knows signatures by this name: with another model the type needs another name.
LOSS = _ElementLoss("fastloss.OwnedElementLoss")
_COMPILED_IN: list[Loss] = []  # code has the addresses of these, so they stay


@register_model(_ElementLoss)
class _ElementLossModel(models.StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [
            ("owner", types.MemInfoPointer(types.voidptr)), ("pointer", types.voidptr)])


@typeof_impl.register(Loss)
def _typeof(loss: Loss, context: Any) -> Any:
    try:
        address_of(loss)
    except TypeError:  # of rows
        return None
    return LOSS


@unbox(_ElementLoss)
def _unbox(kind: Any, loss: Any, c: Any) -> Any:
    native = cgutils.create_struct_proxy(kind)(c.context, c.builder)
    native.pointer = _call(c.builder, "element_loss", _POINTER, [loss])
    is_error = cgutils.is_null(c.builder, native.pointer)
    with c.builder.if_then(c.builder.not_(is_error), likely=True):
        # without memory for it the reference is never given back, and the pointer stays good
        native.owner = c.pyapi.nrt_meminfo_new_from_pyobject(native.pointer, loss)
    return NativeValue(native._getvalue(), is_error=is_error)


@lower_constant(_ElementLoss)
def _constant(context: Any, builder: Any, kind: Any, loss: Loss) -> Any:
    _COMPILED_IN.append(loss)
    native = cgutils.create_struct_proxy(kind)(context, builder)  # with no owner to count for
    native.pointer = context.add_dynamic_addr(
        builder, address_of(loss), info="fastloss.ElementLoss")
    return native._getvalue()


def _pointer(context: Any, builder: Any, loss: Any) -> Any:
    return cgutils.create_struct_proxy(LOSS)(context, builder, value=loss).pointer


# ---- what calls them in compiled code ------------------------------------------------------


def _sample(typing: Any, loss: Any, y: Any, p: Any) -> Any:
    real = types.float32 if p == types.float32 else types.float64

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        y, p = (context.cast(builder, number, given, real)
                for number, given in zip(arguments[1:], signature.args[1:], strict=True))
        results = [cgutils.alloca_once(builder, context.get_value_type(real)) for _ in range(3)]
        _call(builder, f"sample{real.bitwidth}", _VOID,
              [_pointer(context, builder, arguments[0]), y, p, *results])
        return context.make_tuple(
            builder, signature.return_type, [builder.load(each) for each in results])

    return types.UniTuple(real, 3)(loss, y, p), codegen


def _elements(typing: Any, loss: Any, y: Any, p: Any, value: Any, grad: Any, hess: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        n, *pointers = _data(context, builder, signature.args, arguments, (1, 2, 3, 4, 5))
        _call(builder, f"elements{p.dtype.bitwidth}", _VOID,
              [_pointer(context, builder, arguments[0]), n, *pointers])
        return context.get_dummy_value()

    return types.none(loss, y, p, value, grad, hess), codegen


def _total(typing: Any, loss: Any, y: Any, p: Any, weight: Any, scale: Any, grad: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        n, y, p_, w, g = _data(context, builder, signature.args, arguments, (1, 2, 3, 5))
        factor = context.cast(builder, arguments[4], scale, types.float64)
        return _call(builder, f"total{p.dtype.bitwidth}", _DOUBLE,
                     [_pointer(context, builder, arguments[0]), n, y, p_, w, factor, g])

    return types.float64(loss, y, p, weight, scale, grad), codegen


call_sample: Any = intrinsic(_sample)
call_elements: Any = intrinsic(_elements)
call_total: Any = intrinsic(_total)


# ---- what calls them in Python -------------------------------------------------------------

_SIGNATURES: dict[str, Callable[[Any], Any]] = {
    "sample": lambda real: ctypes.CFUNCTYPE(None, _ADDRESS, real, real, *3 * [_ADDRESS]),
    "elements": lambda real: ctypes.CFUNCTYPE(
        None, _ADDRESS, ctypes.c_ssize_t, *5 * [_ADDRESS]),
    "total": lambda real: ctypes.CFUNCTYPE(
        ctypes.c_double, _ADDRESS, ctypes.c_ssize_t, *3 * [_ADDRESS], ctypes.c_double, _ADDRESS),
}


def from_python(name: str, dtype: np.dtype[Any], loss: Loss, *arguments: Any) -> Any:
    """Call a C function from Python."""
    real = ctypes.c_float if dtype == np.float32 else ctypes.c_double
    function = _SIGNATURES[name](real)(_FUNCTIONS[f"{name}{8 * dtype.itemsize}"])
    return function(address_of(loss), *(
        each.ctypes.data if isinstance(each, np.ndarray) else each for each in arguments))
