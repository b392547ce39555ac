"""The numbers of the libraries that the losses replace."""

import numpy as np
import pytest
from cases import DTYPES
from numerics import assert_ulp

import fastloss as fl


def pairs(seed, n=500, dtype=np.float64, high=2.0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2, n), (rng.random(n) * high).astype(dtype), rng.random(n)


def close(actual, expected, dtype=np.float64):
    """Check equality but for rounding, relative to the value."""
    tolerance = 1e-13 if dtype == np.float64 else 2e-6
    assert abs(actual - expected) <= tolerance * abs(expected), (actual, expected)


# ---- Keras and TensorFlow, whose formulas are written out --------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dtype", DTYPES)
def test_keras_siamese_example_and_article(seed, dtype):
    y, p, _ = pairs(seed, dtype=dtype)
    for margin in (1.0, 0.5, 0.25 * (1 + seed)):
        # tfa.losses.contrastive_loss and the old Keras example
        square, push = np.square(p), np.square(np.maximum(dtype(margin) - p, 0))
        close(fl.contrastive_loss(y, p, margin=margin), np.mean(y * square + (1 - y) * push), dtype)
        # keras.io since 2022-09
        close(fl.contrastive_loss(y, p, margin=margin, similar_label=0),
              np.mean((1 - y) * square + y * push), dtype)
    close(fl.quality_loss(y, p), np.mean(y * p**2 + (1 - y) * np.maximum(0.5 - p, 0) ** 2), dtype)


@pytest.mark.parametrize("seed", range(5))
def test_keras_binary_crossentropy(seed):
    y, p, w = pairs(seed, high=1.0)
    p[:4] = [0, 1, 0, 1]
    y[:4] = [0, 1, 1, 0]
    clipped = np.clip(p, 1e-7, 1 - 1e-7)
    elements = -(y * np.log(clipped) + (1 - y) * np.log(1 - clipped))
    close_to = {"mean": np.mean(elements), "sum": np.sum(elements)}
    for reduction, expected in close_to.items():
        # the clip at 1 - 1e-7 is not that number
        assert abs(fl.log_loss(y, p, reduction=reduction) - expected) <= 1e-9 * expected
    # Keras divides weighted losses by the number of elements
    weighted = fl.log_loss(y, p, sample_weight=w, reduction="sum_over_batch_size")
    assert abs(weighted - np.mean(w * elements)) <= 1e-9 * weighted


# ---- Hadsell et al., sentence-transformers, pytorch-metric-learning ------------------------------


def test_hadsell_2006():
    y, d, _ = pairs(3)
    margin = 1.25
    expected = np.mean((1 - y) * d**2 / 2 + y * np.maximum(0, margin - d) ** 2 / 2)
    close(fl.contrastive_loss(y, d, margin=margin, form="half", similar_label=0), expected)


def test_sentence_transformers():
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(2, 100, 8))
    y = rng.integers(0, 2, 100)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    d = 1 - np.sum(a * b, axis=1) / norms
    margin = 0.5
    losses = 0.5 * (y * d**2 + (1 - y) * np.maximum(margin - d, 0) ** 2)
    close(fl.contrastive_loss(y, d, margin=margin, form="half"), losses.mean())


def test_pytorch_metric_learning():
    y, d, _ = pairs(5)
    for pos_margin, neg_margin in ((0.0, 1.0), (0.25, 0.75)):
        hinge = np.where(y == 1, np.maximum(d - pos_margin, 0), np.maximum(neg_margin - d, 0))
        got = fl.ContrastiveLoss(form="linear", pos_margin=pos_margin, margin=neg_margin,
                                 reduction="none")(y, d)
        assert_ulp(got, hinge, 0)
    assert np.mean(hinge**2) != fl.contrastive_loss(y, d)     # whose hinges are squared


# ---- scikit-learn ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_scikit_learn(seed, weighted, dtype):
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    y, p, w = pairs(seed, high=1.0, dtype=dtype)
    w = w if weighted else None
    p[:4], y[:4] = [0, 1, 0, 1], [0, 1, 1, 0]
    close(fl.log_loss(y, p, eps="auto", sample_weight=w),
          metrics.log_loss(y, p, sample_weight=w), np.float32)
    if dtype == np.float64:
        assert fl.log_loss(y, p) != pytest.approx(metrics.log_loss(y, p), rel=1e-3)
    target = np.random.default_rng(seed).normal(size=y.size).astype(dtype)
    close(fl.absolute_loss(target, p, sample_weight=w),
          metrics.mean_absolute_error(target, p, sample_weight=w), dtype)
    close(fl.squared_loss(target, p, sample_weight=w),
          metrics.mean_squared_error(target, p, sample_weight=w), dtype)


def test_scikit_learn_away_from_the_clip():
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    rng = np.random.default_rng(9)
    y, p, w = rng.integers(0, 2, 1000), rng.uniform(1e-3, 0.999, 1000), rng.random(1000)
    close(fl.log_loss(y, p, sample_weight=w), metrics.log_loss(y, p, sample_weight=w))


# ---- torch -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="torch is not installed")


def torch_value_and_grad(torch, function, p):
    """Return value and gradient of a function of a tensor."""
    tensor = torch.tensor(p, requires_grad=True)
    value = function(tensor)
    value.backward()
    return value.item(), tensor.grad.numpy()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_torch_distances_and_residuals(torch, dtype, reduction):
    nn = torch.nn
    y, p, _ = pairs(6, dtype=dtype)
    target = np.random.default_rng(6).normal(size=y.size).astype(dtype)
    margin = 1.25
    signs, targets = torch.tensor(2 * y - 1), torch.tensor(target)
    compared = [
        (fl.ContrastiveLoss(form="linear", margin=margin, reduction=reduction), y,
         lambda x: nn.HingeEmbeddingLoss(margin=margin, reduction=reduction)(x, signs)),
        (fl.AbsoluteLoss(reduction=reduction), target,
         lambda x: nn.L1Loss(reduction=reduction)(x, targets)),
        (fl.SquaredLoss(reduction=reduction), target,
         lambda x: nn.MSELoss(reduction=reduction)(x, targets)),
    ]
    for loss, labels, function in compared:
        value, grad = loss.value_and_grad(labels, p)
        value_2, grad_2 = torch_value_and_grad(torch, function, p)
        close(value, value_2, dtype)
        assert grad.dtype == grad_2.dtype
        assert_ulp(grad, grad_2, 2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("soft", [False, True])
def test_torch_bce(torch, dtype, soft):
    # torch bounds each logarithm at -100 instead of clipping p
    rng = np.random.default_rng(7)
    p = rng.uniform(0.01, 0.99, 400).astype(dtype)
    y = rng.random(400).astype(dtype) if soft else rng.integers(0, 2, 400).astype(dtype)
    w = rng.random(400).astype(dtype)
    for weight in (None, w):
        options = {} if weight is None else {"weight": torch.tensor(weight)}
        value, grad = fl.LogLoss(reduction="sum_over_batch_size").value_and_grad(y, p, weight)
        value_2, grad_2 = torch_value_and_grad(
            torch, lambda x, o=options: torch.nn.BCELoss(**o)(x, torch.tensor(y)), p)
        close(value, value_2, dtype)
        terms = (y / p + (1 - y) / (1 - p)) / 400 * (1 if weight is None else weight)
        assert_ulp(grad, grad_2, 8, terms)


@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_autograd_twice(torch, dtype):
    # the gradient and curvature of formulas that are written in torch
    y, p, _ = pairs(8, dtype=dtype, n=64)
    tensor, labels = torch.tensor(p, requires_grad=True), torch.tensor(y.astype(dtype))
    margin = 1.0
    formulas = {
        fl.ContrastiveLoss(reduction="sum"):
            labels * tensor**2 + (1 - labels) * torch.clamp(margin - tensor, min=0) ** 2,
        fl.LogLoss(reduction="sum", eps=1e-6):
            -(labels * torch.log(tensor / 2) + (1 - labels) * torch.log1p(-tensor / 2)),
        fl.SquaredLoss(reduction="sum"): (tensor - labels) ** 2,
    }
    for loss, elements in formulas.items():
        half = isinstance(loss, fl.LogLoss)     # its p is half of the distances
        (grad,) = torch.autograd.grad(elements.sum(), tensor, create_graph=True)
        (hess,) = torch.autograd.grad(grad.sum(), tensor)
        g, h = loss.grad_and_hess(y, p / 2 if half else p)
        assert_ulp(g / 2 if half else g, grad.detach().numpy(), 8)
        assert_ulp(h / 4 if half else h, hess.numpy(), 8)
