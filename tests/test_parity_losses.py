"""The numbers of the libraries that have the pointwise losses: torch, scikit-learn, formulas."""

import numpy as np
import pytest
from cases import DTYPES

import fastloss as fl

every_dtype = pytest.mark.parametrize("dtype", DTYPES)
N = 400


def near(actual, expected, terms=0.0, epsilons=8):
    """Check equality but for some roundings of the value, or of the terms it is a sum of."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    size = np.abs(expected) + terms
    off = np.abs(actual.astype(float) - expected) / size.clip(np.finfo(float).tiny)
    worst = int(np.argmax(off))
    assert off.max() <= epsilons * np.finfo(actual.dtype).eps, (
        worst, actual.flat[worst], expected.flat[worst])


def numbers(seed, dtype, scale=2.0):
    """Return targets, predictions, labels and positive amounts."""
    rng = np.random.default_rng(seed)
    y, p = (scale * rng.normal(size=(2, N))).astype(dtype)
    return y, p, rng.integers(0, 2, N).astype(dtype), np.exp(rng.normal(size=N)).astype(dtype)


# ---- torch -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="torch is not installed")


def compare_torch(torch, loss, y, p, function, terms=0.0, slope_terms=0.0, epsilons=8):
    """Check element losses and gradient against a function of torch tensors and its autograd."""
    tensor = torch.tensor(p, requires_grad=True)
    elements = function(tensor, torch.tensor(y))
    (slope,) = torch.autograd.grad(elements.sum(), tensor)
    value, grad = loss.replace(reduction="none").value_and_grad(y, p)
    near(value, elements.detach().numpy(), terms, epsilons)
    near(grad, slope.numpy(), slope_terms, epsilons)
    elements = elements.detach().double()
    for reduction in ("mean", "sum"):
        total = getattr(elements, reduction)().item()
        size = getattr(elements.abs(), reduction)().item() + np.sum(terms)
        got = loss.replace(reduction=reduction)(y, p)
        assert abs(got - total) <= 2 * np.finfo(p.dtype).eps * size


@every_dtype
@pytest.mark.parametrize("delta", [0.25, 1.0, 3.0])
def test_torch_huber(torch, dtype, delta):
    y, p, _, _ = numbers(1, dtype)
    function = torch.nn.functional
    compare_torch(torch, fl.HuberLoss(delta=delta), y, p,
                  lambda x, t: function.huber_loss(x, t, reduction="none", delta=delta))
    # delta times torch's smooth L1 loss
    compare_torch(torch, fl.HuberLoss(delta=delta), y, p,
                  lambda x, t: delta * function.smooth_l1_loss(x, t, reduction="none", beta=delta))


@every_dtype
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("pos_weight", [1.0, 0.25, 3.0])
def test_torch_bce_with_logits(torch, dtype, soft, pos_weight):
    _, z, y, _ = numbers(2, dtype, scale=5.0)
    y = np.random.default_rng(2).random(N).astype(dtype) if soft else y
    weight = torch.tensor(pos_weight, dtype=getattr(torch, np.dtype(dtype).name))
    # torch's gradient is a difference of numbers of the size of the weights, and its loss one of
    # numbers of the size of the logit
    compare_torch(
        torch, fl.LogLoss(from_logits=True, pos_weight=pos_weight), y, z,
        lambda x, t: torch.nn.functional.binary_cross_entropy_with_logits(
            x, t, reduction="none", pos_weight=weight),
        (1 + pos_weight) * np.abs(z), 1 + pos_weight)


@every_dtype
def test_torch_poisson(torch, dtype):
    _, z, _, p = numbers(3, dtype)
    counts = np.random.default_rng(3).poisson(2, N).astype(dtype)
    poisson = torch.nn.functional.poisson_nll_loss
    compare_torch(torch, fl.PoissonLoss(), counts, z,
                  lambda x, t: poisson(x, t, reduction="none"),
                  np.exp(z) + counts * np.abs(z), np.exp(z) + counts)
    compare_torch(torch, fl.PoissonLoss(log_input=False), counts, p,
                  lambda x, t: poisson(x, t, log_input=False, eps=0, reduction="none"),
                  p + counts * np.abs(np.log(p)), 1 + counts / p)


@every_dtype
def test_torch_kl_divergence(torch, dtype):
    rng = np.random.default_rng(4)
    t, p = rng.dirichlet(np.full(10, 0.5), size=(2, N // 10)).astype(dtype)
    t[0, 0] = 0
    p = p.clip(1e-6)
    compare_torch(torch, fl.KLDivergenceLoss(), t, p,
                  lambda x, y: torch.nn.functional.kl_div(torch.log(x), y, reduction="none"),
                  t * (np.abs(np.log(p)) + np.abs(np.log(t.clip(1e-30)))))
    log_p, targets = torch.log(torch.tensor(p)), torch.tensor(t)
    batch = torch.nn.functional.kl_div(log_p, targets, reduction="batchmean").item()
    got = fl.kl_divergence_loss(t, p, reduction="sum") / len(t)
    assert abs(got - batch) <= 100 * np.finfo(dtype).eps * batch


@every_dtype
def test_torch_hinge_embedding(torch, dtype):
    _, _, y, p = numbers(5, dtype)
    compare_torch(
        torch, fl.HingeEmbeddingLoss(margin=1.5), 2 * y - 1, p,
        lambda x, t: torch.nn.functional.hinge_embedding_loss(x, t, 1.5, reduction="none"), 1.5)


@every_dtype
@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (0.0, 0.5), (1.5, 0.75), (5.0, 0.25)])
def test_torchvision_sigmoid_focal_loss(torch, dtype, gamma, alpha):
    _, z, y, _ = numbers(6, dtype)

    def sigmoid_focal_loss(x, t):       # as torchvision.ops has it
        p = torch.sigmoid(x)
        cost = torch.nn.functional.binary_cross_entropy_with_logits(x, t, reduction="none")
        p_t = p * t + (1 - p) * (1 - t)
        return (alpha * t + (1 - alpha) * (1 - t)) * cost * (1 - p_t) ** gamma

    # 1 - p_t cancels
    x = (2 * y - 1) * z
    lost = (1 + gamma) * (1 + np.exp(x)) * (1 + np.abs(x))
    loss = fl.FocalLoss(gamma=gamma, alpha=alpha, reduction="none")
    value, grad = (np.abs(part) for part in loss.value_and_grad(y, z))
    compare_torch(torch, loss, y, z, sigmoid_focal_loss, lost * value, lost * (grad + value))


@every_dtype
def test_torch_autograd_of_formulas(torch, dtype):
    y, p, labels, amounts = numbers(7, dtype)
    signs, z = 2 * labels - 1, p / 2
    nn = torch.nn.functional
    delta, power = 0.75, 1.25
    compared = [
        # XGBoost's reg:pseudohubererror with huber_slope=delta
        (fl.PseudoHuberLoss(delta=delta), y, p,
         lambda x, t: delta**2 * (torch.sqrt(1 + ((x - t) / delta) ** 2) - 1), 1, 0),
        # Keras' LogCosh, MeanSquaredLogarithmicError (beyond its clip), and a hundredth of
        # MeanAbsolutePercentageError
        (fl.LogCoshLoss(), y, p,
         lambda x, t: (x - t) + nn.softplus(-2 * (x - t)) - np.log(2.0),
         np.abs(p - y) * 2 + 1, 1),
        (fl.SquaredLogLoss(), amounts, np.abs(p),
         lambda x, t: (torch.log(x + 1) - torch.log(t + 1)) ** 2, 10, 10),
        (fl.AbsolutePercentageLoss(eps=1e-7), y, p,
         lambda x, t: torch.abs((t - x) / torch.clamp(torch.abs(t), min=1e-7)), 0, 0),
        (fl.ExpectileLoss(level=0.75), y, p,
         lambda x, t: torch.where(t < x, 0.25, 0.75) * (t - x) ** 2, 0, 0),
        (fl.ModifiedHuberLoss(labels=(-1, 1)), signs, p,
         lambda x, t: torch.where(x * t < -1, -4 * x * t, torch.clamp(1 - x * t, min=0) ** 2),
         1, 0),
        (fl.GammaLoss(), amounts, z, lambda x, t: x + t * torch.exp(-x),
         np.abs(z) + amounts * np.exp(-z), 1 + amounts * np.exp(-z)),
        (fl.TweedieLoss(power=power), amounts, z,
         lambda x, t: (torch.exp((2 - power) * x) / (2 - power)
                       - t * torch.exp((1 - power) * x) / (1 - power)),
         0, np.exp(0.75 * z) + amounts * np.exp(-0.25 * z)),
        (fl.TweedieDevianceLoss(power=2), amounts, np.abs(p) + 0.125,
         lambda x, t: 2 * (torch.log(x / t) + t / x - 1), 4 + 2 * amounts / (np.abs(p) + 0.125),
         2 / (np.abs(p) + 0.125) * (1 + amounts / (np.abs(p) + 0.125))),
    ]
    for loss, targets, predictions, function, terms, slope_terms in compared:
        compare_torch(torch, loss, targets, predictions, function, terms, slope_terms, epsilons=16)


# ---- scikit-learn ------------------------------------------------------------------------------


@every_dtype
def test_scikit_learn_gradient_boosting(dtype):
    module = pytest.importorskip("sklearn._loss", reason="scikit-learn is not installed")
    y, p, labels, amounts = numbers(8, dtype)
    counts = np.round(amounts)
    halves = dtype(0.5)
    zeros = np.zeros(N, dtype)
    # scikit-learn's Tweedie loss, as ours, lacks a term in y alone; its half deviances differ by it
    compared = [
        (fl.LogLoss(from_logits=True), module.HalfBinomialLoss(), labels, zeros, True),
        (fl.PoissonLoss(), module.HalfPoissonLoss(), counts, zeros, True),
        (fl.GammaLoss(), module.HalfGammaLoss(), amounts, zeros, True),
        (fl.TweedieLoss(power=1.25), module.HalfTweedieLoss(power=1.25), counts, zeros, True),
        (fl.PinballLoss(quantile=0.75), module.PinballLoss(quantile=0.75), y, zeros, False),
        (fl.AbsoluteLoss(), module.AbsoluteError(), y, zeros, False),
    ]
    for loss, other, target, constant, curved in compared:
        loss = loss.replace(reduction="none")
        size = 1 + np.exp(np.abs(p)) * (1 + np.abs(target))
        near(loss.value(target, p) + constant, other.loss(target, p), size)
        g, h = loss.grad_and_hess(target, p)
        their_g, their_h = other.gradient_hessian(target, p)
        near(g, their_g, size)
        if curved:      # else theirs is 1
            near(h, their_h, size)
    # scikit-learn's Huber loss is of a delta that it estimates
    other = module.loss.HuberLoss(delta=0.75)
    loss = fl.HuberLoss(delta=0.75, reduction="none")
    near(loss.value(y, p), other.loss(y, p))
    near(loss.grad(y, p), other.gradient(y, p))
    # of half of the deviances, the constant is the deviance's part in y alone
    full = fl.TweedieDevianceLoss(power=1, reduction="none").value(counts, np.exp(p))
    with np.errstate(divide="ignore", invalid="ignore"):
        constant = np.where(counts == 0, zeros, counts * np.log(counts) - counts)
    near(halves * full, module.HalfPoissonLoss().loss(counts, p) + constant,
         np.exp(p) + counts * (1 + np.abs(p)), 16)
    exponential = fl.ExponentialLoss(reduction="none")
    g, h = exponential.grad_and_hess(labels, p)
    their_g, their_h = module.loss.ExponentialLoss().gradient_hessian(labels, p)
    near(exponential.value(labels, p), module.loss.ExponentialLoss().loss(labels, p))
    near(g, their_g)
    near(h, their_h)


def test_scikit_learn_stochastic_gradient_descent():
    module = pytest.importorskip("sklearn.linear_model._sgd_fast",
                                 reason="scikit-learn is not installed")
    y, p, labels, _ = numbers(9, np.float64)
    p[:3] = [0.0, 1.0, -1.0]
    signs = 2 * labels - 1
    pair = {"labels": (-1, 1), "reduction": "none"}
    compared = [
        (fl.HingeLoss(**pair), module.Hinge(1.0), signs, 1),
        (fl.SquaredHingeLoss(**pair), module.SquaredHinge(1.0), signs, 1),
        (fl.ModifiedHuberLoss(**pair), module.ModifiedHuber(), signs, 1),
        (fl.EpsilonInsensitiveLoss(epsilon=0.25, reduction="none"),
         module.EpsilonInsensitive(0.25), y, 1),
        (fl.EpsilonInsensitiveLoss(epsilon=0.25, squared=True, reduction="none"),
         module.SquaredEpsilonInsensitive(0.25), y, 1),
    ]
    for loss, other, target, terms in compared:
        value, grad = loss.value_and_grad(target, p)
        pairs = list(zip(target.tolist(), p.tolist(), strict=True))
        near(value, [other.py_loss(x, t) for t, x in pairs], terms)
        away = np.abs(target * p - 1) > 1e-9        # theirs is -s at the kink
        away = away if "labels" in vars(loss) else np.ones(N, bool)
        near(grad[away], np.array([other.py_dloss(x, t) for t, x in pairs])[away], terms)
