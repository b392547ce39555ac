"""What loops that Numba compiles have besides Python: the kernels' functions of whole blocks."""

from __future__ import annotations

from typing import Any

import llvmlite.binding
import numba
import numba.core.cgutils
from numba.extending import intrinsic

from fastloss._core import limits
from fastloss._core.simd_level import kernels
from fastloss.custom._code import TYPES, VECTORS

BLOCK = 1024  # elements that the kernels hand over at a time, at most: that of jobs.pxd

types: Any = numba.types
cgutils: Any = numba.core.cgutils


def functions() -> dict[str, Any]:
    """Return the functions of `VECTORS`, and limits, by names that end in the type.

    They are globals of the loops.

    Loops that were kept on disk find them by the same names, wherever they are in this process.
    """
    found = {}
    addresses = kernels.mathematics_addresses()
    for name in VECTORS:
        for kind, address in zip(TYPES, addresses[name], strict=True):
            array = types.CPointer(getattr(types, kind))
            signature = types.void(types.intp, types.float64, array, array, array)
            symbol = f"fastloss_{name}_{kind}"
            llvmlite.binding.add_symbol(symbol, address)
            found[f"{name}_{kind}"] = types.ExternalFunction(symbol, signature)
    whole, double = types.intp, types.float64
    for kind, address in zip(TYPES, limits.ADDRESSES, strict=True):
        array = types.CPointer(getattr(types, kind))
        signature = types.void(
            types.CPointer(types.int32), types.CPointer(double), whole, types.CPointer(double),
            double, whole, types.CPointer(types.uint8), *[array] * 4, whole)
        symbol = f"fastloss_limits_{kind}"
        llvmlite.binding.add_symbol(symbol, address)
        found[f"limits_{kind}"] = types.ExternalFunction(symbol, signature)
    return found


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def narrow(context: Any) -> Any:
    """Ask for vectors of 256 bits in this function.

    Loops over longer ones, which LLVM unrolls, take up to 1.8 times as long to read memory.
    """
    def make(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        attributes = builder.function.attributes
        if isinstance(attributes, set):  # its own `add` knows no attributes with values
            set.add(attributes, '"prefer-vector-width"="256"')
        return target.get_dummy_value()

    return types.void(), make


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def room(context: Any, kind: Any) -> Any:
    """Return where there is room for a block of numbers on the stack."""
    def make(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = target.get_value_type(kind.dtype)
        return cgutils.alloca_once(builder, number, size=BLOCK)

    return types.CPointer(kind.dtype)(kind), make
