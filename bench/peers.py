"""The peers: how each library computes a loss, ready to be called and timed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

import fastloss
import fastloss.reference.paired
from bench.case import Call, Case, Contender, installed, load
from bench.losses import Embedding, Entry, Loss, Shape

SMALL_BATCH, BATCH = 1024, 4096  # rows of batches that peers are given unless they are asked for


@contextmanager
def use_threads(threads: int) -> Iterator[None]:
    """Set the number of threads of all libraries that can be told, for a while."""
    changed: list[tuple[Callable[[int], Any], int]] = []
    chosen = fastloss.get_num_threads()
    changed.append((fastloss.set_num_threads, chosen))
    fastloss.set_num_threads(threads)
    for name, get, change in (
        ("torch", "get_num_threads", "set_num_threads"),
        ("numba", "get_num_threads", "set_num_threads"),
        ("numexpr", "get_num_threads", "set_num_threads"),
    ):
        if installed(name):
            module = load(name)
            changed.append((getattr(module, change), getattr(module, get)()))
            most = module.config.NUMBA_NUM_THREADS if name == "numba" else threads
            getattr(module, change)(min(threads, most))
    blas = load("threadpoolctl").threadpool_limits(threads, "blas") if installed(
        "threadpoolctl") else None
    try:
        yield
    finally:
        for restore, before in changed:
            restore(before)
        if blas is not None:
            blas.restore_original_limits()


# ---- fastloss and NumPy -----------------------------------------------------------------


def fastloss_reused(case: Case) -> Call:
    loss, arguments = case.entry.loss, case.arguments
    if not case.gradient:
        return lambda: loss.value(*arguments)
    if case.entry.products:  # has no out
        return lambda: loss.value_and_grad(*arguments)
    grads = tuple(np.zeros_like(x) for x in case.inputs)
    out = grads if isinstance(case.entry, Embedding) else grads[0]
    return lambda: loss.value_and_grad(*arguments, out=out)


def fastloss_fresh(case: Case) -> Call | None:
    loss, arguments = case.entry.loss, case.arguments
    if not case.gradient or case.entry.products:
        return None
    return lambda: loss.value_and_grad(*arguments)


def reference(case: Case) -> Contender:
    loss, arguments = case.entry.loss, case.arguments
    name = type(loss).__name__
    cls = getattr(fastloss.reference, name, None) or getattr(fastloss.reference.paired, name)
    oracle = cls(**{item.name: getattr(loss, item.name) for item in dataclasses.fields(cls)})
    method = getattr(oracle, case.operation)
    return Contender("", lambda: method(*arguments), spins=case.spins)


def numpy(case: Case) -> Call | None:
    if not isinstance(case.entry, Entry):
        return None
    terms, loss, slope = case.entry.formula(np, float)
    y, p, scale = case.y, case.p, 1 / case.count

    def value_and_grad() -> tuple[Any, Any]:
        t = terms(y, p)
        return loss(*t).mean(), slope(*t) * scale

    return value_and_grad if case.gradient else lambda: loss(*terms(y, p)).mean()


# ---- scikit-learn, numexpr, Numba -------------------------------------------------------


def sklearn_metric(case: Case) -> Call | None:
    peer = case.entry.metric if isinstance(case.entry, Entry) else None
    if peer is None or case.gradient:
        return None
    metric, y, p = getattr(load("sklearn.metrics"), peer.name), case.y, case.p
    return lambda: metric(y, p, **peer.parameters)


def sklearn_loss(case: Case) -> Contender | None:
    """Its gradient is that of the sum, so it is spared the division."""
    peer = case.entry.sklearn_loss if isinstance(case.entry, Entry) else None
    if peer is None:
        return None
    rows = case.p.ndim == 2
    classes = {"n_classes": case.p.shape[1]} if rows else {}
    loss = getattr(load("sklearn._loss.loss"), peer.name)(**peer.parameters, **classes)
    # labels of the dtype of the scores, and class after class, is what it wants
    y, p = case.y.astype(case.p.dtype, copy=False), np.asfortranarray(case.p)
    values, grad = np.zeros(case.count, case.p.dtype), np.zeros_like(p)

    def value() -> Any:
        loss.loss(y, p, loss_out=values, n_threads=case.threads)
        return values.mean()

    def value_and_grad() -> tuple[Any, Any]:
        loss.loss_gradient(y, p, loss_out=values, gradient_out=grad, n_threads=case.threads)
        return values.mean(), grad

    return Contender(
        "", value_and_grad if case.gradient else value, peer.scale, peer.scale / case.count)


def numexpr(case: Case) -> Call | None:
    entry = case.entry
    if case.gradient or not isinstance(entry, Entry) or entry.numexpr is None:
        return None
    evaluate, expression, out = load("numexpr").evaluate, entry.numexpr, np.zeros_like(case.p)
    names: dict[str, Any] = {k: case.p.dtype.type(v) for k, v in entry.constants.items()}
    names.update(y=case.y, p=case.p)
    # its sum() runs in one thread, and adds float32 one by one: off by 1 % at 10⁷
    return lambda: evaluate(expression, local_dict=names, global_dict={}, out=out).mean()


@cache
def numba_namespace() -> ModuleType:
    """NumPy's functions, which Numba compiles, and `where` of scalars, which it has not."""
    namespace = ModuleType("numba_namespace")
    vars(namespace).update(vars(np))
    vars(namespace)["where"] = load("numba").njit(lambda c, a, b: a if c else b)
    return namespace


@cache
def numba_kernel(entry: Entry, operation: str, dtype: np.dtype[Any]) -> Callable[..., Any]:
    nb = load("numba")
    terms, loss, slope = (nb.njit(f) for f in entry.formula(numba_namespace(), dtype.type))
    prange, real = nb.prange, dtype.type

    def value(y: Any, p: Any) -> Any:
        total = 0.0
        for i in prange(y.size):
            total += loss(*terms(y[i], p[i]))
        return total / y.size

    def value_and_grad(y: Any, p: Any, out: Any) -> Any:
        total, scale = 0.0, real(1 / y.size)
        for i in prange(y.size):
            t = terms(y[i], p[i])
            total += loss(*t)
            out[i] = slope(*t) * scale
        return total / y.size

    kernel = value_and_grad if operation == "value_and_grad" else value
    compiled: Callable[..., Any] = nb.njit(parallel=True)(kernel)
    return compiled


def numba(case: Case) -> Call | None:
    if case.p.ndim == 2 or not isinstance(case.entry, Entry):  # a formula of arrays
        return None
    kernel = numba_kernel(case.entry, case.operation, case.p.dtype)
    y, p, out = case.y, case.p, np.zeros_like(case.p)
    return (lambda: (kernel(y, p, out), out)) if case.gradient else (lambda: kernel(y, p))


# ---- torch and JAX ----------------------------------------------------------------------


def torch_mean(case: Case, *, builtin: bool) -> Callable[..., Any]:
    """Return the mean loss as a function of tensors: of inputs and labels."""
    torch, entry = load("torch"), case.entry
    if isinstance(entry, Embedding):
        return partial(entry.torch, torch)
    peer = entry.torch
    if builtin and peer is not None:
        function = getattr(torch.nn.functional, peer.name)
        return lambda p, y: function(p, y, **peer.parameters)
    terms, loss, _ = entry.formula(
        SimpleNamespace(
            maximum=lambda x, low: torch.clamp(x, min=low),
            minimum=lambda x, high: torch.clamp(x, max=high),
            **{name: getattr(torch, name) for name in (
                "abs", "exp", "log", "log1p", "sign", "sqrt", "tanh", "where")},
        ), float)
    return lambda p, y: loss(*terms(y, p)).mean()


def tensors(case: Case) -> tuple[list[Any], list[Any]]:
    """Return inputs and labels as tensors of the same memory."""
    inputs, labels = ([load("torch").from_numpy(x) for x in arrays]
                      for arrays in (case.inputs, case.labels))
    return inputs, labels


def backward(case: Case, mean: Callable[..., Any]) -> Call:
    """Return a call of a function of tensors, and of its derivative."""
    torch = load("torch")
    inputs, labels = tensors(case)

    def value() -> Any:
        with torch.no_grad():
            return mean(*inputs, *labels)

    def value_and_grad() -> tuple[Any, Any]:
        result = mean(*inputs, *labels)
        return result, torch.autograd.grad(result, inputs)

    for x in inputs:
        x.requires_grad_(case.gradient)
    return value_and_grad if case.gradient else value


def torch_eager(case: Case) -> Call:
    return backward(case, torch_mean(case, builtin=True))


def metric_learning(case: Case) -> Call | None:
    if not isinstance(case.entry, Embedding) or case.entry.metric_learning is None:
        return None
    names = ("distances", "losses", "miners", "reducers")
    library = SimpleNamespace(**{
        name: load(f"pytorch_metric_learning.{name}") for name in names})
    return backward(case, partial(case.entry.metric_learning, library, load("torch")))


def torch_compile(case: Case) -> Call:
    torch = load("torch")
    torch.compiler.reset()  # else after some shapes it gives up and runs eagerly
    mean = torch_mean(case, builtin=case.p.ndim == 2)
    inputs, labels = tensors(case)
    if not case.gradient:
        value = torch.compile(mean, dynamic=False)
        return lambda: value(*inputs, *labels)
    # one graph of both passes: faster than backward() of a compiled forward pass
    of_inputs = tuple(range(len(inputs)))
    both = torch.compile(torch.func.grad_and_value(mean, of_inputs), dynamic=False)
    return lambda: both(*inputs, *labels)[::-1]


def jax_jit(case: Case) -> Call | None:
    if not isinstance(case.entry, Entry):
        return None
    jax = load("jax")
    entry, (terms, loss, _) = case.entry, case.entry.formula(jax.numpy, float)
    y, p = jax.numpy.asarray(case.y), jax.numpy.asarray(case.p)

    def mean(p: Any, y: Any) -> Any:
        return entry.jax(jax, y, p) if entry.jax else loss(*terms(y, p)).mean()

    function = jax.jit(jax.value_and_grad(mean) if case.gradient else mean)
    return lambda: jax.block_until_ready(function(p, y))


@dataclass(frozen=True)
class Peer:
    """A way to compute a loss. `make` returns None where it has no such loss or operation."""

    name: str
    make: Callable[[Case], Call | Contender | None]
    needs: str = "numpy"
    # numbers of elements it is measured on unless it is asked for
    least: int = 0
    most: float = np.inf

    def usual(self, entry: Loss, shape: Shape, dtype: str, operation: str) -> bool:
        """Tell whether it is measured unless it is asked for.

        Of large batches and many pairs peers take seconds: they do so in float32, and of batches
        for value and gradient.
        """
        if entry.group == "embeddings" and shape[0] > SMALL_BATCH:
            if dtype != "float32":
                return False
            if entry.products and (operation == "value" or shape[0] > BATCH):
                return False
        return self.least <= math.prod(shape) <= self.most

    def contender(self, case: Case) -> Contender | None:
        made = self.make(case)
        if isinstance(made, Contender):
            return dataclasses.replace(made, name=self.name)
        return None if made is None else Contender(self.name, made)


OURS = Peer("fastloss", fastloss_reused)
PEERS = (
    Peer("fastloss fresh", fastloss_fresh),
    Peer("reference", reference, most=100_000),
    Peer("numpy", numpy),
    Peer("sklearn metric", sklearn_metric, "sklearn"),
    Peer("sklearn._loss", sklearn_loss, "sklearn"),
    Peer("numexpr", numexpr, "numexpr"),
    Peer("numba", numba, "numba"),
    Peer("pytorch-metric-learning", metric_learning, "pytorch_metric_learning"),
    Peer("torch eager", torch_eager, "torch"),
    Peer("torch compile", torch_compile, "torch", least=200_000),  # compiles for seconds
    Peer("jax", jax_jit, "jax"),
)
