"""Batch losses are those of the libraries they replace, where these agree."""

import numpy as np
import pytest
from batches import DTYPES
from cases import seeded

from fastloss import embedding


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch is not installed")


@pytest.fixture
def metric(torch):
    pytest.importorskip("pytorch_metric_learning.losses",
                        reason="pytorch-metric-learning is not installed", exc_type=ImportError)
    import pytorch_metric_learning
    from pytorch_metric_learning import distances  # noqa: F401
    return pytorch_metric_learning


def data(name, n=40, d=8, classes=5):
    rng = seeded("parity", name)
    return rng.normal(size=(n, d)), rng.normal(size=(n, d)), rng.integers(0, classes, n)


def same(found, value, tensors, dtype=np.float64):
    """Check value and gradients against those of a tensor."""
    value.backward()
    grads = found[1] if isinstance(found[1], tuple) else (found[1],)
    tolerance = 1e-11 if dtype == np.float64 else 3e-5
    assert abs(found[0] - value.item()) <= tolerance * abs(value.item())
    for g, tensor in zip(grads, tensors, strict=True):
        expected = tensor.grad.numpy()
        assert np.max(np.abs(g - expected)) <= tolerance * np.max(np.abs(expected))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("symmetric", [False, True])
def test_info_nce_is_torchs_cross_entropy(torch, symmetric, dtype):
    x, z, _ = data("nce")
    q, k = (torch.tensor(rows.astype(dtype).astype(float), requires_grad=True) for rows in (x, z))
    logits = torch.nn.functional.normalize(q) @ torch.nn.functional.normalize(k).T / 0.2
    own = torch.arange(len(x))
    value = torch.nn.functional.cross_entropy(logits, own)
    if symmetric:
        value = (value + torch.nn.functional.cross_entropy(logits.T, own)) / 2
    loss = embedding.InfoNCELoss(temperature=0.2, symmetric=symmetric)
    same(loss.value_and_grad(x.astype(dtype), z.astype(dtype)), value, (q, k), dtype)


def test_n_pairs_is_torchs_cross_entropy(torch):
    x, z, _ = data("pairs")
    a, p = (torch.tensor(rows, requires_grad=True) for rows in (x, z))
    value = torch.nn.functional.cross_entropy(a @ p.T, torch.arange(len(x)))
    same(embedding.NPairsLoss().value_and_grad(x, z), value, (a, p))


def test_sig_lip_is_torchs_logistic_loss(torch):
    x, z, _ = data("siglip")
    q, k = (torch.tensor(rows, requires_grad=True) for rows in (x, z))
    logits = 10 * torch.nn.functional.normalize(q) @ torch.nn.functional.normalize(k).T - 10
    signs = 2 * torch.eye(len(x)) - 1
    value = -torch.nn.functional.logsigmoid(signs * logits).sum() / len(x)
    same(embedding.SigLIPLoss().value_and_grad(x, z), value, (q, k))


def labelled(torch, metric, name, theirs, loss):
    x, _, y = data(name)
    t = torch.tensor(x, requires_grad=True)
    same(loss.value_and_grad(x, y), theirs(t, torch.tensor(y)), (t,))


def test_sup_con(torch, metric):
    labelled(torch, metric, "supcon", metric.losses.SupConLoss(temperature=0.1),
             embedding.SupConLoss())


def test_multi_similarity(torch, metric):
    labelled(torch, metric, "ms", metric.losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5),
             embedding.MultiSimilarityLoss())


def test_circle(torch, metric):
    labelled(torch, metric, "circle", metric.losses.CircleLoss(m=0.4, gamma=80),
             embedding.CircleLoss())


def test_nt_xent_of_pairs_of_views(torch, metric):
    x, z, _ = data("ntxent")
    a, b = (torch.tensor(rows, requires_grad=True) for rows in (x, z))
    y = torch.arange(len(x)).repeat(2)
    value = metric.losses.NTXentLoss(temperature=0.5)(torch.cat([a, b]), y)
    same(embedding.NTXentLoss().value_and_grad(x, z), value, (a, b))


def test_contrastive_has_means_of_either_kind(torch, metric):
    x, _, y = data("contrastive", n=30)
    t = torch.tensor(x, requires_grad=True)
    # theirs: hinges that are not squared, and a mean over what costs, of either kind for itself
    theirs = metric.losses.ContrastiveLoss(
        pos_margin=0, neg_margin=3,
        distance=metric.distances.LpDistance(normalize_embeddings=False))(t, torch.tensor(y))
    same_class = embedding.BatchContrastiveLoss(
        margin=0.0, form="linear", reduction="mean_nonzero").value_and_grad(x, y)
    all_pairs = embedding.BatchContrastiveLoss(margin=3.0, form="linear", reduction="sum")
    no_push = embedding.BatchContrastiveLoss(margin=0.0, form="linear", reduction="sum")
    value, grad = all_pairs.value_and_grad(x, y)
    value_0, grad_0 = no_push.value_and_grad(x, y)
    d = np.linalg.norm(x[:, None] - x, axis=2)
    pushed = np.sum(np.triu((y[:, None] != y) & (d < 3), 1))
    same((same_class[0] + (value - value_0) / pushed, same_class[1] + (grad - grad_0) / pushed),
         theirs, (t,))
