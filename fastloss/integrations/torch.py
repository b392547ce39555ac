"""Losses of torch tensors on the CPU, with autograd, in eager mode and under `torch.compile`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from fastloss._base import Loss

try:
    import torch

    from fastloss.integrations import _torch_autograd as autograd
except ImportError as error:
    raise ImportError(
        'fastloss.integrations.torch needs PyTorch: pip install "fastloss[torch]"'
    ) from error

__all__ = ["Criterion", "evaluate"]

DTYPES = {torch.bool, torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.int8,
          torch.int16, torch.int32, torch.int64, torch.float16, torch.float32, torch.float64}


# ---- the arguments ----------------------------------------------------------------------

# What torch and its users call inputs.
NAMES = {"y_pred": "input", "y_true": "target", "anchors": "anchor", "positives": "positive",
         "negatives": "negative", "refs": "ref_emb"}
UNUSED = "indices_tuple"        # of pytorch-metric-learning, in the third place


class Arguments:
    """The arguments of a call, by torch's names and in its order."""

    def __init__(self, loss: Any) -> None:
        if not isinstance(loss, Loss):
            raise TypeError("loss must be a loss of fastloss, as fastloss.SquaredLoss(), got "
                            f"{loss!r}")
        named = {NAMES.get(each.name, each.name): each for each in autograd.inputs_of(loss)}
        self.names = list(named)
        self.required = [name for name, each in named.items() if not each.optional]
        self.with_gradient = [name for name, each in named.items() if each.gradient]
        self.order = list(named)
        if "ref_labels" in named:
            self.order.insert(2, UNUSED)

    def read(self, tensors: tuple[Any, ...], keywords: dict[str, Any]) -> dict[str, Any]:
        """Return the tensors of a call that are not None, in the order of `names`."""
        takes = f"a call takes {', '.join(self.order)}"
        if len(tensors) > len(self.order):
            raise TypeError(f"{takes}, got {len(tensors)} arguments")
        given = dict(zip(self.order, tensors, strict=False))
        for name, value in keywords.items():
            if name not in self.order or name in given:
                raise TypeError(f"{takes}, each once, got {name!r}")
            given[name] = value
        for name in self.required:
            if name not in given:
                raise TypeError(f"{takes}, but {name!r} is missing")
        if given.get(UNUSED) is not None:
            raise ValueError("indices_tuple must be None: the loss takes all pairs, or mines "
                             "itself")
        found = {name: given[name] for name in self.names if given.get(name) is not None}
        if ("ref_emb" in found) != ("ref_labels" in found):
            missing = "ref_labels" if "ref_emb" in found else "ref_emb"
            raise ValueError(f"ref_emb and ref_labels go together, but {missing} is missing")
        return found


def _check_tensor(name: str, value: Any) -> None:
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name} must be a torch tensor, got {type(value).__name__}")
    if value.device.type != "cpu":
        raise TypeError(f"{name} must be on the CPU, where fastloss computes, got device "
                        f"{value.device}; pass {name}.cpu()")
    if value.layout != torch.strided:
        raise TypeError(f"{name} must be a dense tensor, got layout {value.layout}")
    if value.dtype not in DTYPES:
        raise TypeError(f"{name} must be of bool, an integer type, float16, float32 or float64, "
                        f"got {value.dtype}; pass {name}.float()")


# ---- the calls ---------------------------------------------------------------------------


def _run(
    loss: Any, key: str | None, arguments: Arguments, given: dict[str, Any],
    scalars: list[torch.Tensor], names: tuple[str, ...],
) -> torch.Tensor:
    rows: list[torch.Tensor] = []
    others: list[torch.Tensor] = []
    for name, value in given.items():
        _check_tensor(name, value)
        (rows if name in arguments.with_gradient else others).append(value)
    for name, value in given.items():
        if name not in arguments.with_gradient and (
                value.requires_grad or autograd.has_tangent(value)):
            raise ValueError(f"{name} requires a gradient, but the loss has none by it; pass "
                             f"{name}.detach()")
    n_grads = 0
    if torch.is_grad_enabled():
        wanted = [row.requires_grad for row in rows]
        if any(wanted) or any(scalar.requires_grad for scalar in scalars):
            # the gradient by refs takes as long again: compute it only if it is wanted
            n_grads = len(rows) - ("ref_emb" in given and not wanted[-1])
    result: torch.Tensor
    if torch.compiler.is_compiling():
        key = autograd.register(loss) if key is None else key
        result = autograd.value_and_grad_op(
            key, rows, others, scalars, " ".join(names), n_grads)[0]
    elif n_grads or autograd.transformed(rows):
        result = autograd.Eager.apply(loss, others, names, len(rows), n_grads, *rows, *scalars)[0]
    else:
        result = autograd.compute(loss, rows, others, scalars, names, 0)[0]
    return result


def evaluate(loss: Any, *tensors: Any, **keywords: Any) -> torch.Tensor:
    """Return the value of a loss of torch tensors, with autograd.

    Takes the arguments of a `Criterion`, and raises its errors. Within a function that
    `torch.compile` compiles, use a `Criterion` that is made outside.

    Parameters
    ----------
    loss : Loss
        Any loss of fastloss.
    *tensors, **keywords
        See `Criterion`.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> import torch
    >>> from fastloss import LogLoss
    >>> scores = torch.tensor([2.0, -1.0], requires_grad=True)
    >>> evaluate(LogLoss(from_logits=True), scores, torch.tensor([1, 0])).backward()
    >>> scores.grad
    tensor([-0.0596,  0.1345])
    """
    arguments = Arguments(loss)
    return _run(loss, None, arguments, arguments.read(tensors, keywords), [], ())


class Criterion(torch.nn.Module):
    """A loss of fastloss as a module of torch, for CPU tensors, without copies.

    The call's arguments, in **torch's** order, prediction first:

    - losses of elements and of rows: ``(input, target, sample_weight=None)``;
    - `PairContrastiveLoss`, `CosineEmbeddingLoss`: ``(a, b, y, sample_weight=None)``;
    - `TripletLoss`: ``(anchor, positive, negative, sample_weight=None)``;
    - batches with labels, as in pytorch-metric-learning: ``(embeddings, labels,
      indices_tuple=None, ref_emb=None, ref_labels=None, sample_weight=None)``, where
      `indices_tuple` must be None;
    - two batches, row by row: ``(queries, keys, sample_weight=None)``.

    Value and gradient are computed together, in the forward pass, if a gradient is wanted; the
    backward pass multiplies. float16 is computed in float32. Errors of the loss itself call the
    target `y_true` and the input `y_pred`.

    Parameters
    ----------
    loss : Loss
        Any loss of fastloss. Its reduction decides the shape of the result.
    learn : sequence of str, optional
        Parameters of the loss to learn: "temperature" of `InfoNCELoss`, `NTXentLoss` and
        `SupConLoss`, "scale" and "bias" of `SigLIPLoss`. They become parameters of the module,
        from the loss's own values on; nothing keeps a temperature or scale above 0.

    Raises
    ------
    TypeError
        If `loss` is not a loss of fastloss; in a call, if an argument is not a dense CPU tensor of
        bool, integers, float16, float32 or float64 (bfloat16 is unknown to NumPy).
    ValueError
        If the loss has no derivative by a parameter in `learn`; in a call, if a target, label or
        weight requires a gradient, or as the loss itself does.
    RuntimeError
        On differentiating twice, or in forward mode.
    ImportError
        On import of this module, if PyTorch is not installed.

    Notes
    -----
    In eager mode an `autograd.Function`; under `torch.compile`, with ``fullgraph=True`` too, an
    operator of its own, around which nothing is fused. Of `torch.func`, ``grad``, ``vjp``,
    ``jacrev`` and ``vmap`` (a call for each element) work; ``jvp``, ``jacfwd``, ``linearize`` and
    ``hessian`` raise: second derivatives of elements are `grad_and_hess` of the loss.

    Examples
    --------
    >>> import torch
    >>> from fastloss import HuberLoss
    >>> criterion = Criterion(HuberLoss(delta=2.0))
    >>> prediction = torch.tensor([1.0, 5.0], requires_grad=True)
    >>> criterion(prediction, torch.tensor([0.0, 1.0])).backward()
    >>> prediction.grad
    tensor([0.5000, 1.0000])
    """

    def __init__(self, loss: Any, learn: Iterable[str] = ()) -> None:
        super().__init__()
        self._arguments = Arguments(loss)
        self.loss = loss
        self._key = autograd.register(loss)
        self._names = (learn,) if isinstance(learn, str) else tuple(learn)
        if self._names:
            known = _learnable(loss)
            for name in self._names:
                if name not in known:
                    raise ValueError(f"learn must name parameters that {loss} has derivatives by "
                                     f"({', '.join(known) or 'there are none'}), "
                                     f"got {name!r}")
                setattr(self, name, torch.nn.Parameter(torch.tensor(getattr(loss, name))))

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._key = autograd.register(self.loss)

    def forward(self, *tensors: Any, **keywords: Any) -> torch.Tensor:
        """Return the value of the loss; the class lists the arguments.

        Returns
        -------
        Tensor
            0-d, or for ``reduction="none"`` one number per element, row, pair or triplet; of the
            type of the input.
        """
        scalars = [getattr(self, name) for name in self._names]
        given = self._arguments.read(tensors, keywords)
        return _run(self.loss, self._key, self._arguments, given, scalars, self._names)

    def extra_repr(self) -> str:
        """Return the loss, and the names of parameters to learn."""
        return repr(self.loss) + (f", learn={self._names}" if self._names else "")


def _learnable(loss: Any) -> list[str]:
    """Return the names of parameters that a loss has derivatives by."""
    if loss.sample != "anchor":
        return []
    second: Any = [0, 0] if loss.takes("labels") else np.eye(2)
    return list(loss.value_and_grad(np.eye(2), second, parameters=True)[2])
