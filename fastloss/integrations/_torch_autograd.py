"""Call losses from torch: eagerly, and as an operator that `torch.compile` knows."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.autograd.forward_ad import unpack_dual

from fastloss._base import Input

# ---- the computation --------------------------------------------------------------------


def inputs_of(loss: Any) -> list[Input]:
    """Return the inputs of a loss in torch's order: with a gradient first, weights last."""
    return sorted(loss.inputs, key=lambda each: (
        each.role == "weights", each.optional, not each.gradient))


def arguments_of(loss: Any, rows: list[Any], others: list[Any]) -> dict[str, Any]:
    """Return the arguments of the loss's own methods: rows have gradients, others have none."""
    inputs = inputs_of(loss)
    with_gradient = [each.name for each in inputs if each.gradient]
    # refs and ref_labels are given together, or not at all
    complete = len(rows) == len(with_gradient)
    without = [each.name for each in inputs if not each.gradient
               and (complete or not each.optional or each.role == "weights")]
    return {**dict(zip(with_gradient, rows, strict=False)),
            **dict(zip(without, others, strict=False))}


def _value_type(rows: Sequence[torch.Tensor]) -> torch.dtype:
    dtype = functools.reduce(torch.promote_types, (row.dtype for row in rows))
    return dtype if dtype.is_floating_point else torch.float64


def compute(
    loss: Any, rows: Sequence[torch.Tensor], others: Sequence[torch.Tensor],
    scalars: Sequence[torch.Tensor], names: Sequence[str], n_grads: int,
) -> list[torch.Tensor]:
    """Return the value, gradients by the first `n_grads` rows, and derivatives by scalars."""
    if names:
        loss = loss.replace(**{name: scalar.item()
                               for name, scalar in zip(names, scalars, strict=True)})
    arguments = arguments_of(loss, [row.detach().numpy() for row in rows],
                             [other.detach().numpy() for other in others])
    grads: list[torch.Tensor] = []
    learned: dict[str, float] = {}
    if not n_grads:
        value = loss.value(**arguments)
    elif loss.takes("prediction"):
        single = rows[0].dtype in (torch.float16, torch.float32)
        grads = [torch.empty(rows[0].shape, dtype=torch.float32 if single else torch.float64)]
        slope = grads[0].numpy()
        out: Any = (None, slope) if loss.reduction == "none" else slope
        value, _ = loss.value_and_grad(**arguments, out=out)
    else:
        if any(each.gradient and each.optional for each in loss.inputs):
            arguments["ref_grad"] = n_grads == 2
        if names:
            arguments["parameters"] = True
        value, arrays, *more = loss.value_and_grad(**arguments)
        arrays = arrays if isinstance(arrays, tuple) else (arrays,)
        grads = [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
        learned = more[0] if more else {}
    return [
        torch.as_tensor(value, dtype=_value_type(rows)).contiguous(),
        *(grad.to(row.dtype) for grad, row in zip(grads, rows, strict=False)),
        *(torch.tensor(learned[name], dtype=scalar.dtype)
          for name, scalar in zip(names if learned else (), scalars, strict=False)),
    ]


def _spread(outer: torch.Tensor, stored: torch.Tensor) -> torch.Tensor:
    """Return a stored gradient times the outer gradient, of the value or of each row."""
    spread = outer.reshape(outer.shape + (1,) * (stored.ndim - outer.ndim)) * stored
    return spread.to(stored.dtype)


def _no_second_derivative(ctx: Any, *outer: torch.Tensor) -> None:
    # a stored gradient is a constant to torch: its derivative would be 0, silently
    raise RuntimeError("fastloss.integrations.torch has no second derivatives: the gradient of "
                       "a loss was differentiated (double backward)")


def _no_forward_mode(ctx: Any, *tangents: Any) -> None:
    # the loss is NumPy to torch: without this a tangent would be dropped, silently
    raise RuntimeError("fastloss.integrations.torch has no derivatives in forward mode (torch.func "
                       "jvp, jacfwd, linearize, hessian): use torch.func.grad, vjp or jacrev for "
                       "first ones, and grad_and_hess of the loss for the second ones of elements")


class _Spread(torch.autograd.Function):
    """`_spread` of a gradient `by` some tensor, through which a second derivative would go."""

    generate_vmap_rule = True       # operations of torch alone

    @staticmethod
    def forward(outer: torch.Tensor, stored: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
        return _spread(outer, stored)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        pass

    backward = staticmethod(_no_second_derivative)
    jvp = staticmethod(_no_forward_mode)


def _derived(
    rows: Sequence[torch.Tensor], scalars: Sequence[torch.Tensor], n_grads: int
) -> list[torch.Tensor]:
    """Return the tensors that the gradients are by, in the order of the gradients."""
    return [*rows[:n_grads], *scalars]


def has_tangent(tensor: torch.Tensor) -> bool:
    """Whether a derivative in forward mode goes through a tensor."""
    return unpack_dual(tensor).tangent is not None


def transformed(rows: Sequence[torch.Tensor]) -> bool:
    """Whether a transformation of torch.func needs to know of the loss, or rows have tangents."""
    functions = torch._C._functorch
    return any(map(has_tangent, rows)) or (torch._C._are_functorch_transforms_active() and any(
        level.key() != functions.TransformType.Functionalize
        for level in functions.get_interpreter_stack() or ()))


class Eager(torch.autograd.Function):
    """The loss in eager mode: no dispatcher between torch and the kernels."""

    @staticmethod
    def forward(
        loss: Any, others: list[torch.Tensor], names: tuple[str, ...], n_rows: int, n_grads: int,
        *tensors: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        return tuple(compute(loss, tensors[:n_rows], others, tensors[n_rows:], names, n_grads))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
        _, _, _, ctx.n_rows, ctx.n_grads, *tensors = inputs
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*_derived(tensors[: ctx.n_rows], tensors[ctx.n_rows :],
                                        ctx.n_grads), *output[1:])

    @staticmethod
    def backward(ctx: Any, outer: torch.Tensor | None, *_: None) -> tuple[torch.Tensor | None, ...]:
        tensors, n = ctx.saved_tensors, ctx.n_grads
        if outer is None:
            return (None,) * (5 + ctx.n_rows + len(tensors) // 2 - n)
        pairs = zip(tensors[len(tensors) // 2 :], tensors[: len(tensors) // 2], strict=True)
        if torch.is_grad_enabled():     # create_graph=True
            slopes = [_Spread.apply(outer, stored, by) for stored, by in pairs]
        else:
            slopes = [_spread(outer, stored) for stored, _ in pairs]
        return (*(None,) * 5, *slopes[:n], *(None,) * (ctx.n_rows - n), *slopes[n:])

    jvp = staticmethod(_no_forward_mode)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], loss: Any, others: list[torch.Tensor],
        names: tuple[str, ...], n_rows: int, n_grads: int, *tensors: torch.Tensor,
    ) -> tuple[tuple[torch.Tensor, ...], tuple[int, ...]]:
        """One call for each element of the batch."""
        def at(k: int, values: Sequence[torch.Tensor], dims: Sequence[int | None]) -> list[Any]:
            return [value if dim is None else value.select(dim, k)
                    for value, dim in zip(values, dims, strict=True)]

        parts = [Eager.apply(loss, at(k, others, in_dims[1]), names, n_rows, n_grads,
                             *at(k, tensors, in_dims[5:])) for k in range(info.batch_size)]
        stacked = tuple(torch.stack(outputs) for outputs in zip(*parts, strict=True))
        return stacked, (0,) * len(stacked)


# ---- the same as operators that torch.compile knows -------------------------------------

# Operators take no Python objects: a loss goes by its repr, names go in one string.
losses: dict[str, Any] = {}


def register(loss: Any) -> str:
    key = repr(loss)
    losses.setdefault(key, loss)
    return key


@torch.library.custom_op("fastloss::value_and_grad", mutates_args=(), device_types="cpu")
def value_and_grad_op(
    loss: str, rows: Sequence[torch.Tensor], others: Sequence[torch.Tensor],
    scalars: Sequence[torch.Tensor], names: str, n_grads: int,
) -> list[torch.Tensor]:
    return compute(losses[loss], rows, others, scalars, names.split(), n_grads)


@value_and_grad_op.register_fake
def _(
    loss: str, rows: Sequence[torch.Tensor], others: Sequence[torch.Tensor],
    scalars: Sequence[torch.Tensor], names: str, n_grads: int,
) -> list[torch.Tensor]:
    made = losses[loss]
    shape = rows[0].shape[: 0 if made.reduction != "none" else None
                          if made.sample == "element" else 1]
    value = rows[0].new_empty(shape, dtype=_value_type(rows))
    return [value, *(row.new_empty(row.shape) for row in rows[:n_grads]),
            *(scalar.new_empty(()) for scalar in (scalars if n_grads else ()))]


@torch.library.custom_op("fastloss::spread", mutates_args=(), device_types="cpu")
def _spread_op(outer: torch.Tensor, stored: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    return _spread(outer, stored)


@_spread_op.register_fake
def _(outer: torch.Tensor, stored: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(stored)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: list[torch.Tensor]) -> None:
    _, rows, others, scalars, _, ctx.n_grads = inputs
    ctx.counts = len(rows), len(others)
    ctx.save_for_backward(*_derived(rows, scalars, ctx.n_grads), *output[1:])


def _backward(ctx: Any, outer: list[torch.Tensor]) -> tuple[Any, ...]:
    n_rows, n_others = ctx.counts
    tensors, n = ctx.saved_tensors, ctx.n_grads
    slopes = [_spread_op(outer[0], stored, by) for stored, by in zip(
        tensors[len(tensors) // 2 :], tensors[: len(tensors) // 2], strict=True)]
    return None, slopes[:n] + [None] * (n_rows - n), [None] * n_others, slopes[n:], None, None


_spread_op.register_autograd(_no_second_derivative)
value_and_grad_op.register_autograd(_backward, setup_context=_setup)
