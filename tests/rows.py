"""Rows of class scores for the tests of cross entropy, and what is known of them."""

import numpy as np
from numerics import assert_same_bits

LABELS = ["class", "soft"]


def drawn(rng, n, classes, dtype, kind="class", spread=None):
    """Return labels and logits, some rows nearly perfect and some nearly wrong."""
    spread = rng.choice([0.1, 1, 10]) if spread is None else spread
    z = (rng.normal(size=(n, classes)) * spread).astype(dtype)
    y = rng.integers(0, classes, n)
    sure = rng.random(n) < 0.3
    z[sure, y[sure]] += dtype(rng.uniform(5, 30))
    if kind == "soft":
        t = rng.random((n, classes)).astype(np.float32)
        t[rng.random(n) < 0.3] = 0
        t[np.arange(n), y] = 1
        return t, z
    return y, z


def parameters_of(rng, classes, kind="class"):
    weighted = rng.random() < 0.5
    return {
        "label_smoothing": float(rng.choice([0, 0, 0.1, 1])),
        "ignore_index": None if kind == "soft" or rng.random() < 0.5 else -100,
        "class_weight": rng.choice([0.0, 0.5, 2.0], classes) if weighted else None,
    }


def all_of_rows(loss, y, z, w=None, **options):
    """Return value, gradient and hessian, having checked that the entry points agree."""
    value = loss.value(y, z, w, **options)
    value_2, grad = loss.value_and_grad(y, z, w, **options)
    grad_2, hess = loss.grad_and_hess(y, z, w, **options)
    assert_same_bits(value_2, value, "value of value_and_grad")
    assert_same_bits(grad_2, grad, "gradient of grad_and_hess")
    assert_same_bits(loss.grad(y, z, w, **options), grad, "gradient of grad")
    assert_same_bits(loss(y, z, w), value, "value of a call")
    if loss.reduction != "none":
        partial = loss.partial(y, z, w, **options)
        assert_same_bits(partial.result(), value, "value of partial")
    return value, grad, hess


def terms(loss, y, z, w):
    """Return what rounding the terms of value, gradient and hessian of each row may cost."""
    dtype = np.float64 if z.dtype == np.float64 else np.float32
    z64 = z.astype(float)
    labels = np.where(y == loss.ignore_index, 0, y) if y.ndim == 1 else y
    t, counts, _ = loss._targets(np.asarray(labels), np.dtype(dtype), z.shape[1])
    spread = np.max(z64, axis=1, keepdims=True) - z64      # each is rounded
    s = np.exp(-spread) / np.exp(-spread).sum(axis=1, keepdims=True)
    f = (t.sum(axis=1) * (s * spread).sum(axis=1)) if z.shape[1] else np.zeros(len(z))
    total = t.sum(axis=1, keepdims=True)
    worst = np.max(np.minimum(spread, 100), axis=1, keepdims=True, initial=0) + 1
    weight = np.abs(np.ones(len(z)) if w is None else w)
    g = (total * s * worst + t * (1 - s)) * weight[:, None]
    return f * weight * counts, g * counts[:, None]
