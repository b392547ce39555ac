"""The cross entropy is that of the libraries it replaces."""

import numpy as np
import pytest
from cases import DTYPES, seeded

import fastloss as fl


def close(actual, expected, dtype):
    scale = np.max(np.abs(expected))
    worst = np.max(np.abs(np.asarray(actual, float) - np.asarray(expected, float)))
    assert worst <= 64 * np.finfo(dtype).eps * scale


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["class", "soft"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_torch(kind, reduction, dtype):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    for classes in (2, 10, 100, 1000):
        for case in range(8):
            rng = seeded("torch", kind, reduction, dtype, classes, case)
            z = rng.normal(size=(50, classes)).astype(dtype) * 3
            y = rng.integers(0, classes, 50) if kind == "class" else rng.random((50, classes))
            weight = rng.random(classes) if case & 1 else None
            smoothing = 0.1 if case & 2 else 0.0
            ignored = 1 if case & 4 and kind == "class" else None
            t = torch.tensor(z.astype(float), requires_grad=True)
            expected = torch.nn.functional.cross_entropy(
                t, torch.tensor(y), reduction=reduction, label_smoothing=smoothing,
                weight=None if weight is None else torch.tensor(weight),
                ignore_index=-100 if ignored is None else ignored)
            expected.sum().backward()
            loss = fl.CrossEntropyLoss(label_smoothing=smoothing, class_weight=weight,
                                       ignore_index=ignored, reduction=reduction)
            value, grad = loss.value_and_grad(y, z)
            close(value, expected.detach().numpy(), dtype)
            close(grad, t.grad.numpy(), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_scikit_learn(dtype):
    from sklearn.metrics import log_loss

    for classes in (3, 10, 300):
        rng = seeded("sklearn", dtype, classes)
        y, w = rng.integers(0, classes, 400), rng.random(400)
        z = rng.normal(size=(400, classes)).astype(dtype) * 5
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        for weight in (None, w):
            for kind, given in ((True, z), (False, p)):
                got = fl.cross_entropy_loss(y, given, from_logits=kind, eps=0,
                                            sample_weight=weight)
                expected = log_loss(y, p.astype(float) / p.sum(axis=1, keepdims=True, dtype=float),
                                    labels=np.arange(classes), sample_weight=weight)
                close(got, expected, dtype)


def test_scikit_learn_multinomial_gradient():
    from sklearn._loss.loss import HalfMultinomialLoss

    rng = seeded("multinomial")
    z, y, w = rng.normal(size=(300, 7)), rng.integers(0, 7, 300), rng.random(300)
    f, g = HalfMultinomialLoss(n_classes=7).loss_gradient(
        y.astype(float), np.asfortranarray(z), sample_weight=w)
    value, grad = fl.CrossEntropyLoss(reduction="none").value_and_grad(y, z, w)
    close(value, f, np.float64)
    close(grad, g, np.float64)
