"""Losses of torch tensors on the CPU, with autograd, in eager mode and under `torch.compile`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from fastloss._base import Loss
from fastloss.embedding._common import LabelLoss, TwoSidedLoss
from fastloss.embedding._paired import PairLoss
from fastloss.embedding.triplets import TripletLoss

try:
    import torch

    from fastloss.integrations import _torch_autograd as autograd
except ImportError as error:
    raise ImportError(
        'fastloss.integrations.torch needs PyTorch: pip install "fastloss[torch]"'
    ) from error

__all__ = ["Criterion", "evaluate"]

# Named tensors: those with derivatives, and those without.
Named = list[tuple[str, Any]]
Inputs = tuple[Named, Named]

DTYPES = {torch.bool, torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.int8,
          torch.int16, torch.int32, torch.int64, torch.float16, torch.float32, torch.float64}


# ---- the arguments of each kind of loss -------------------------------------------------


def _of_elements(input: Any, target: Any, sample_weight: Any = None) -> Inputs:
    return [("input", input)], [("target", target), ("sample_weight", sample_weight)]


def _of_pairs(a: Any, b: Any, y: Any, sample_weight: Any = None) -> Inputs:
    return [("a", a), ("b", b)], [("y", y), ("sample_weight", sample_weight)]


def _of_triplets(anchor: Any, positive: Any, negative: Any, sample_weight: Any = None) -> Inputs:
    rows = [("anchor", anchor), ("positive", positive), ("negative", negative)]
    return rows, [("sample_weight", sample_weight)]


def _of_batches(
    embeddings: Any, labels: Any, indices_tuple: Any = None, ref_emb: Any = None,
    ref_labels: Any = None, sample_weight: Any = None,
) -> Inputs:
    if indices_tuple is not None:
        raise ValueError("indices_tuple must be None: the loss is of all pairs, or mines itself")
    if (ref_emb is None) != (ref_labels is None):
        missing = "ref_emb" if ref_emb is None else "ref_labels"
        raise ValueError(f"ref_emb and ref_labels go together, but {missing} is missing")
    return ([("embeddings", embeddings), ("ref_emb", ref_emb)],
            [("labels", labels), ("ref_labels", ref_labels), ("sample_weight", sample_weight)])


def _of_views(queries: Any, keys: Any, sample_weight: Any = None) -> Inputs:
    return [("queries", queries), ("keys", keys)], [("sample_weight", sample_weight)]


KINDS: dict[type, Callable[..., Inputs]] = {
    Loss: _of_elements, PairLoss: _of_pairs, TripletLoss: _of_triplets, LabelLoss: _of_batches,
    TwoSidedLoss: _of_views,
}


def _kind(loss: Any) -> Callable[..., Inputs]:
    """Return what reads the arguments of a loss."""
    for base, read in KINDS.items():
        if isinstance(loss, base):
            return read
    raise TypeError(f"loss must be a loss of fastloss, as fastloss.SquaredLoss(), got {loss!r}")


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


def _given(named: Named) -> list[torch.Tensor]:
    """Return the tensors that are not None, checked."""
    given = [(name, value) for name, value in named if value is not None]
    for name, value in given:
        _check_tensor(name, value)
    return [value for _, value in given]


# ---- the calls ---------------------------------------------------------------------------


def _run(
    loss: Any, key: str | None, inputs: Inputs, scalars: list[torch.Tensor],
    names: tuple[str, ...],
) -> torch.Tensor:
    rows, others = _given(inputs[0]), _given(inputs[1])
    for name, other in inputs[1]:
        if other is not None and (other.requires_grad or autograd.has_tangent(other)):
            raise ValueError(f"{name} requires a gradient, which the loss does not have; pass "
                             f"{name}.detach()")
    n_grads = 0
    if torch.is_grad_enabled():
        wanted = [row.requires_grad for row in rows]
        if any(wanted) or any(scalar.requires_grad for scalar in scalars):
            # of rows to compare with the gradient costs as much again: only if it is wanted
            labelled = len(rows) == 2 and inputs[0][1][0] == "ref_emb"
            n_grads = 1 if labelled and not wanted[1] else len(rows)
    value: torch.Tensor
    if torch.compiler.is_compiling():
        key = autograd.register(loss) if key is None else key
        value = autograd.value_and_grad_op(
            key, rows, others, scalars, " ".join(names), n_grads)[0]
    elif n_grads or autograd.transformed(rows):
        value = autograd.Eager.apply(loss, others, names, len(rows), n_grads, *rows, *scalars)[0]
    else:
        value = autograd.compute(loss, rows, others, scalars, names, 0)[0]
    return value


def evaluate(loss: Any, *tensors: Any, **keywords: Any) -> torch.Tensor:
    """Return the value of a loss of torch tensors, with autograd.

    The function of `Criterion`, whose arguments and errors it has. Within a function that
    `torch.compile` compiles, use `Criterion`, made outside.

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
    return _run(loss, None, _kind(loss)(*tensors, **keywords), [], ())


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
        Any loss of fastloss. Its reduction is that of the result.
    learn : sequence of str, optional
        Parameters of the loss to learn: "temperature" of `InfoNCELoss`, `NTXentLoss` and
        `SupConLoss`, "scale" and "bias" of `SigLIPLoss`. They become parameters of the module,
        from the loss's own values on; nothing keeps a temperature or scale above 0.

    Raises
    ------
    TypeError
        If `loss` is no loss of fastloss; in a call, if an argument is no dense CPU tensor of bool,
        integers, float16, float32 or float64 (bfloat16 is unknown to NumPy).
    ValueError
        If the loss has no derivative by a name in `learn`; in a call, if a target, label or weight
        requires a gradient, or as the loss itself does.
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
        self._read = _kind(loss)
        self.loss = loss
        self._key = autograd.register(loss)
        self._names = (learn,) if isinstance(learn, str) else tuple(learn)
        if self._names:
            known = _learnable(loss)
            for name in self._names:
                if name not in known:
                    raise ValueError(f"learn must name parameters that {loss} has derivatives by, "
                                     f"{', '.join(known) or 'of which there are none'}, "
                                     f"got {name!r}")
                setattr(self, name, torch.nn.Parameter(torch.tensor(getattr(loss, name))))

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._key = autograd.register(self.loss)

    def forward(self, *tensors: Any, **keywords: Any) -> torch.Tensor:
        """Return the value of the loss; the arguments are those that the class lists.

        Returns
        -------
        Tensor
            0-d, or for ``reduction="none"`` one number per element, row, pair or triplet; of the
            type of the input.
        """
        scalars = [getattr(self, name) for name in self._names]
        return _run(self.loss, self._key, self._read(*tensors, **keywords), scalars, self._names)

    def extra_repr(self) -> str:
        """Return the loss, and what is learned."""
        return repr(self.loss) + (f", learn={self._names}" if self._names else "")


def _learnable(loss: Any) -> list[str]:
    """Return the names of parameters that a loss has derivatives by."""
    rows = np.eye(2)
    if isinstance(loss, LabelLoss):
        return list(loss.value_and_grad(rows, [0, 0], parameters=True)[2])
    if isinstance(loss, TwoSidedLoss):
        return list(loss.value_and_grad(rows, rows, parameters=True)[2])
    return []
