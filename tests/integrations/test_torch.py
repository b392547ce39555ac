"""Losses of torch tensors: values, gradients, torch.compile, and what is refused."""

import copy
import importlib
import pickle
import runpy
import sys

import numpy as np
import pytest

import fastloss as fl

torch = pytest.importorskip("torch", reason="fastloss.integrations.torch needs PyTorch")
F = torch.nn.functional
adapter = importlib.import_module("fastloss.integrations.torch")
autograd = importlib.import_module("fastloss.integrations._torch_autograd")
Criterion, evaluate = adapter.Criterion, adapter.evaluate

ALL = [getattr(fl, name) for name in fl.__all__ if name.endswith("Loss") and name != "Loss"]


def drawn(loss, dtype=torch.float64, n=7, refs=None, seed=0):
    """Return arguments of a loss, those with derivatives first, and keywords."""
    rng = np.random.default_rng(seed)

    def rows():
        return torch.tensor(rng.normal(size=(n, 3)), dtype=dtype, requires_grad=True)

    labels = torch.tensor(rng.integers(0, 3, n))
    if isinstance(loss, fl.CrossEntropyLoss):
        if loss.from_logits:
            return (rows(), labels), {}
        return (torch.softmax(rows().detach(), 1).requires_grad_(), labels), {}
    if loss.sample == "pair":
        signs = isinstance(loss, fl.CosineEmbeddingLoss)
        return (rows(), rows(), labels.clip(0, 1) * 2 - 1 if signs else labels.clip(0, 1)), {}
    if isinstance(loss, fl.TripletLoss):
        return (rows(), rows(), rows()), {}
    if loss.takes("labels"):
        keywords = {} if refs is None else {
            "ref_emb": rows(), "ref_labels": torch.tensor(rng.integers(0, 3, n))}
        return (rows(), labels), keywords
    if loss.sample == "anchor":
        return (rows(), rows()), {}
    p = torch.tensor(rng.uniform(0.2, 0.8, n), dtype=dtype, requires_grad=True)
    y = labels.clip(0, 1)
    if isinstance(loss, fl.HingeEmbeddingLoss):
        y = 2 * y - 1
    elif isinstance(loss, fl.AbsolutePercentageLoss):
        y = y + 1
    return (p, y), {}


def leaves(tensors, keywords):
    """Return the tensors with derivatives."""
    return [t for t in (*tensors, *keywords.values()) if t.requires_grad]


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_gradcheck(make):
    # detached weights are no part of the derivative, by definition
    loss = make(detach_weights=False) if make is fl.CircleLoss else make()
    tensors, keywords = drawn(loss, refs=True)
    assert leaves(tensors, keywords)

    def f(*inputs):
        found = iter(inputs)
        given = [next(found) if t.requires_grad else t for t in tensors]
        more = {k: next(found) if t.requires_grad else t for k, t in keywords.items()}
        return Criterion(loss)(*given, **more)

    inputs = leaves(tensors, keywords)
    torch.autograd.gradcheck(f, inputs)
    assert f(*inputs) == evaluate(loss, *tensors, **keywords) != 0
    assert all(grad.any() for grad in torch.autograd.grad(f(*inputs), inputs))


@pytest.mark.parametrize("loss", [
    fl.LogLoss(from_logits=True, reduction="none"), fl.CrossEntropyLoss(reduction="none"),
    fl.PairContrastiveLoss(reduction="none"), fl.TripletLoss(reduction="none"),
], ids=repr)
def test_gradcheck_of_losses_one_by_one(loss):
    tensors, _ = drawn(loss)
    inputs = leaves(tensors, {})
    weight = torch.linspace(0.5, 2, 7)
    values = evaluate(loss, *tensors, sample_weight=weight)
    assert values.shape == (7,)
    torch.autograd.gradcheck(
        lambda *rows: evaluate(loss, *rows, *tensors[len(rows):], sample_weight=weight), inputs)


@pytest.mark.parametrize("loss", [
    fl.HuberLoss(), fl.CrossEntropyLoss(), fl.PairContrastiveLoss(), fl.TripletLoss(),
    fl.SupConLoss(), fl.InfoNCELoss(),
], ids=repr)
def test_weights_and_arguments_are_those_of_the_loss(loss):
    tensors, keywords = drawn(loss, refs=True)
    weight = torch.linspace(0.5, 2, 7)
    value = evaluate(loss, *tensors, **keywords, sample_weight=weight)
    value.backward()
    arrays = [t.detach().numpy() for t in tensors]
    arrays = arrays[::-1] if loss.takes("prediction") else arrays
    more = {"refs": keywords["ref_emb"].detach().numpy(),
            "ref_labels": keywords["ref_labels"].numpy()} if keywords else {}
    expected, grads = loss.value_and_grad(*arrays, sample_weight=weight.numpy(), **more)
    assert value.item() == expected != loss(*arrays, **more)
    grads = grads if isinstance(grads, tuple) else (grads,)
    for leaf, grad in zip(leaves(tensors, keywords), grads, strict=True):
        np.testing.assert_array_equal(leaf.grad.numpy(), grad)


# ---- torch's own numbers ----------------------------------------------------------------


def scores(dtype, shape=(40,)):
    return torch.tensor(np.random.default_rng(2).normal(size=shape), dtype=dtype)


CLASSES = torch.tensor(np.random.default_rng(3).integers(0, 4, 40))
ZERO_ONE = CLASSES.clip(0, 1)
WEIGHTS = torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64)
SAME = [
    (fl.SquaredLoss(), F.mse_loss, scores, lambda d: ZERO_ONE.to(d)),
    (fl.AbsoluteLoss(), F.l1_loss, scores, lambda d: ZERO_ONE.to(d)),
    (fl.HuberLoss(delta=0.5), lambda z, y, **k: F.huber_loss(z, y, delta=0.5, **k), scores,
     lambda d: ZERO_ONE.to(d)),
    (fl.LogLoss(from_logits=True), F.binary_cross_entropy_with_logits, scores,
     lambda d: ZERO_ONE.to(d)),
    (fl.PoissonLoss(), F.poisson_nll_loss, scores, lambda d: CLASSES.to(d)),
    (fl.HingeEmbeddingLoss(), F.hinge_embedding_loss, scores, lambda d: 2 * ZERO_ONE.to(d) - 1),
    (fl.CrossEntropyLoss(), F.cross_entropy, lambda d: scores(d, (40, 4)), lambda d: CLASSES),
    (fl.CrossEntropyLoss(label_smoothing=0.1, ignore_index=2, class_weight=WEIGHTS.numpy()),
     lambda z, y, **k: F.cross_entropy(z, y, WEIGHTS.to(z.dtype), ignore_index=2,
                                       label_smoothing=0.1, **k),
     lambda d: scores(d, (40, 4)), lambda d: CLASSES),
]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("loss", "theirs", "inputs", "targets"), SAME,
                         ids=[repr(row[0]) for row in SAME])
def test_losses_of_torch(loss, theirs, inputs, targets, dtype, reduction):
    loss = loss.replace(reduction=reduction)
    x, z = inputs(dtype).requires_grad_(), inputs(dtype).requires_grad_()
    ours, expected = Criterion(loss)(x, targets(dtype)), theirs(
        z, targets(dtype), reduction=reduction)
    assert ours.dtype == expected.dtype == dtype
    assert ours.shape == expected.shape
    outer = torch.linspace(1, 2, ours.numel(), dtype=dtype).reshape(ours.shape)
    ours.backward(outer)
    expected.backward(outer)
    tolerance = {"rtol": 1e-12 if dtype == torch.float64 else 2e-5, "atol": 1e-7}
    torch.testing.assert_close(ours, expected, **tolerance)
    torch.testing.assert_close(x.grad, z.grad, **tolerance)


@pytest.mark.parametrize("refs", [False, True])
@pytest.mark.parametrize("name", ["SupConLoss", "MultiSimilarityLoss", "CircleLoss"])
def test_calls_as_in_pytorch_metric_learning(name, refs):
    losses = pytest.importorskip("pytorch_metric_learning.losses",
                                 reason="parity needs pytorch-metric-learning")
    parameters = {"SupConLoss": {"temperature": 0.1}, "CircleLoss": {"gamma": 20},
                  "MultiSimilarityLoss": {"alpha": 2, "beta": 50, "base": 0.5}}[name]
    rng = np.random.default_rng(0)
    results = []
    for loss in (Criterion(getattr(fl, name)(**parameters)), getattr(losses, name)(**parameters)):
        rng = np.random.default_rng(0)
        x, r = (torch.tensor(rng.normal(size=(30, 5)), requires_grad=True) for _ in range(2))
        labels = torch.tensor(np.arange(30) % 3)
        value = loss(x, labels, ref_emb=r, ref_labels=labels.flip(0)) if refs else loss(x, labels)
        value.backward()
        results.append((value, x.grad, *([r.grad] if refs else [])))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-12)


# ---- torch.compile ----------------------------------------------------------------------


COMPILED = [
    fl.FocalLoss(reduction="none"), fl.LogLoss(from_logits=True), fl.CrossEntropyLoss(),
    fl.CrossEntropyLoss(reduction="none"), fl.PairContrastiveLoss(reduction="none"),
    fl.TripletLoss(), fl.SupConLoss(), fl.InfoNCELoss(),
]


@pytest.mark.parametrize("loss", COMPILED, ids=repr)
def test_compiled_in_one_graph(loss):
    criterion = Criterion(loss, learn=["temperature"] if hasattr(loss, "temperature") else [])
    results = []
    for compiled in (False, True):
        tensors, keywords = drawn(loss, refs=True)
        torch._dynamo.reset()

        def f(*tensors, **keywords):
            return (2 * criterion(*tensors, **keywords)).sum()

        if compiled:
            f = torch.compile(f, fullgraph=True, backend="aot_eager")
        criterion.zero_grad()
        value = f(*tensors, **keywords)
        value.backward()
        grads = [t.grad for t in leaves(tensors, keywords)]
        results.append([value.detach(), *grads, *(p.grad for p in criterion.parameters())])
    assert all(part is not None for part in results[0])
    for expected, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-15, atol=0)
    with torch.no_grad():
        assert f(*tensors, **keywords) == value


@pytest.mark.parametrize("loss", COMPILED, ids=repr)
def test_operators_are_what_they_say(loss):
    tensors, keywords = drawn(loss, refs=True)
    known = adapter.Arguments(loss)
    given = known.read(tensors, keywords)
    rows = [given[name] for name in given if name in known.with_gradient]
    others = [given[name] for name in given if name not in known.with_gradient]
    scalars, names = [], ""
    if hasattr(loss, "temperature"):
        scalars, names = [torch.tensor(0.3, dtype=torch.float64, requires_grad=True)], "temperature"
    for n_grads in (0, len(rows)):
        arguments = (Criterion(loss)._key, rows, others, scalars, names, n_grads)
        if not n_grads:
            arguments = torch.utils._pytree.tree_map_only(
                torch.Tensor, torch.Tensor.detach, arguments)
        torch.library.opcheck(torch.ops.fastloss.value_and_grad.default, arguments)
    outer = torch.ones((), dtype=torch.float64)
    for by in (rows[0].detach(), torch.ones(()), torch.ones((), dtype=torch.float64)):
        torch.library.opcheck(torch.ops.fastloss.spread.default, (outer, by, by))


# ---- derivatives ------------------------------------------------------------------------


def test_differentiating_twice_is_an_error():
    loss = Criterion(fl.LogLoss(from_logits=True))
    compiled = torch.compile(loss, backend="eager", fullgraph=True)
    for f in (loss, compiled):
        x = torch.tensor([0.5, -1.0], requires_grad=True)
        value = f(x, torch.tensor([1, 0]))
        grad, = torch.autograd.grad(value, x, create_graph=True)
        with pytest.raises(RuntimeError, match="no second derivatives"):
            (value + (grad**2).sum()).backward()
    with pytest.raises(RuntimeError, match=r"double backward|create_graph=False"):
        torch._dynamo.reset()
        x = torch.tensor([0.5, -1.0], requires_grad=True)
        value = torch.compile(loss, backend="aot_eager")(x, torch.tensor([1, 0]))
        torch.autograd.grad(torch.autograd.grad(value, x, create_graph=True)[0].sum(), x)


def test_functional_gradient():
    x, y = torch.tensor([0.5, -1.0]), torch.tensor([1, 0])
    loss = fl.LogLoss(from_logits=True)
    expected = torch.from_numpy(loss.grad(y.numpy(), x.numpy()))
    assert torch.equal(torch.func.grad(lambda z: evaluate(loss, z, y))(x), expected)


def test_backward_twice_through_a_kept_graph():
    x = torch.tensor([0.5, -1.0], requires_grad=True)
    value = evaluate(fl.SquaredLoss(), x, torch.zeros(2))
    value.backward(retain_graph=True)
    value.backward()
    assert x.grad.tolist() == [1.0, -2.0]


@pytest.mark.parametrize(("loss", "names"), [
    (fl.InfoNCELoss(temperature=0.5), ["temperature"]),
    (fl.SupConLoss(temperature=0.5), "temperature"),
    (fl.SigLIPLoss(scale=2.0, bias=-1.0), ("scale", "bias")),
    (fl.SigLIPLoss(scale=2.0, bias=-1.0), ("bias", "scale")),
    (fl.SigLIPLoss(scale=2.0, bias=-1.0), ("bias",)),
], ids=repr)
def test_learned_parameters(loss, names):
    criterion = Criterion(loss, learn=names).double()
    tensors, _ = drawn(loss)
    rows = [t.detach() for t in tensors]
    criterion(*rows).backward()
    names = [names] if isinstance(names, str) else names
    assert [name for name, _ in criterion.named_parameters()] == list(names)
    for name in names:
        at, step = getattr(loss, name), 1e-5
        high, low = (loss.replace(**{name: at + s})(*(r.numpy() for r in rows))
                     for s in (step, -step))
        parameter = getattr(criterion, name)
        assert parameter.grad.item() == pytest.approx((high - low) / (2 * step), rel=1e-6)
        assert parameter.item() == at
    before = criterion(*rows)
    with torch.no_grad():
        for parameter in criterion.parameters():
            parameter -= 0.01 * parameter.grad
    assert criterion(*rows) < before
    again = Criterion(loss, learn=names).double()
    again.load_state_dict(criterion.state_dict())
    assert again(*rows) == criterion(*rows)


def test_gradients_only_where_they_are_wanted(monkeypatch):
    calls = []
    monkeypatch.setattr(autograd, "compute", lambda *arguments, compute=autograd.compute: (
        calls.append(arguments[-1]), compute(*arguments))[1])
    loss = fl.SupConLoss()
    tensors, keywords = drawn(loss, refs=True)
    evaluate(loss, *tensors, **keywords).backward()
    assert keywords["ref_emb"].grad is not None
    keywords["ref_emb"] = keywords["ref_emb"].detach()
    value = evaluate(loss, *tensors, **keywords)
    value.backward()
    assert value.requires_grad
    with torch.no_grad():
        assert not evaluate(loss, *tensors, **keywords).requires_grad
    assert not evaluate(loss, tensors[0].detach(), tensors[1]).requires_grad
    assert calls == [2, 1, 0, 0]


# ---- tensors ----------------------------------------------------------------------------


def test_nothing_is_copied(monkeypatch):
    seen = []
    monkeypatch.setattr(autograd, "arguments_of", lambda loss, rows, others,
                        make=autograd.arguments_of: (seen.extend(rows + others),
                                                  make(loss, rows, others))[1])
    x, y = torch.randn(10, requires_grad=True), torch.ones(10, dtype=torch.int64)
    evaluate(fl.SquaredLoss(), x, y)
    assert [array.ctypes.data for array in seen] == [x.data_ptr(), y.data_ptr()]


@pytest.mark.parametrize("change", [
    lambda x: x, lambda x: x.T, lambda x: x[:, ::2], lambda x: x[:1].expand(4, 6),
    lambda x: x[0, 0],
], ids=["C", "F", "strided", "expanded", "0-d"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_layouts_and_types(change, dtype):
    loss = fl.HuberLoss()
    x = torch.tensor(np.random.default_rng(0).normal(size=(4, 6)), dtype=dtype, requires_grad=True)
    z = change(x)
    value = Criterion(loss)(z, torch.zeros(z.shape))
    value.backward()
    assert value.dtype == x.grad.dtype == dtype
    y = x.detach().clone().requires_grad_()
    expected = F.huber_loss(change(y).float(), torch.zeros(z.shape))
    expected.backward()
    tolerance = {"rtol": 2e-3 if dtype == torch.float16 else 1e-5, "atol": 1e-8}
    torch.testing.assert_close(value.float(), expected, **tolerance)
    torch.testing.assert_close(x.grad, y.grad, **tolerance)


@pytest.mark.parametrize("dtype", ["bool", "uint16", "uint64", "int8", "float64"])
def test_targets_of_other_types(dtype):
    x, y = torch.tensor([0.5, -1.0]), torch.tensor([1, 0])
    loss = fl.LogLoss(from_logits=True)
    assert evaluate(loss, x, y.to(getattr(torch, dtype))) == evaluate(loss, x, y)


def test_modules_are_copied_and_pickled():
    criterion = Criterion(fl.FocalLoss(gamma=1.5))
    x, y = torch.tensor([0.3, 0.6]), torch.tensor([1, 0])
    autograd.losses.pop(criterion._key)
    for other in (pickle.loads(pickle.dumps(criterion)), copy.deepcopy(criterion)):
        assert other(x, y) == criterion(x, y)
        assert autograd.losses[other._key] == criterion.loss
    assert "FocalLoss(gamma=1.5" in repr(criterion)
    assert not list(criterion.parameters())


# ---- bad input --------------------------------------------------------------------------


ONES = torch.ones(3)
SUPCON = fl.SupConLoss()


@pytest.mark.parametrize(("loss", "tensors", "error", "match"), [
    ("squared", (ONES, ONES), TypeError, "loss must be a loss of fastloss"),
    (fl.SquaredLoss(), (ONES.bfloat16(), ONES), TypeError, r"input .*bfloat16; pass input.float"),
    (fl.SquaredLoss(), (ONES, ONES.to(torch.complex64)), TypeError, "target .*complex64"),
    (fl.SquaredLoss(), (ONES.to("meta"), ONES), TypeError, r"device meta; pass input.cpu\(\)"),
    (fl.SquaredLoss(), (ONES, ONES.to("meta")), TypeError, r"target must be on the CPU"),
    (fl.SquaredLoss(), (ONES.to_sparse(), ONES), TypeError, "dense tensor"),
    (fl.SquaredLoss(), (np.ones(3), ONES), TypeError, "input must be a torch tensor, got ndarray"),
    (fl.SquaredLoss(), (ONES, [1.0]), TypeError, "target must be a torch tensor, got list"),
    (fl.SquaredLoss(), (ONES, ONES.clone().requires_grad_()), ValueError, "pass target.detach"),
    (fl.SquaredLoss(), (ONES, ONES, ONES.clone().requires_grad_()), ValueError,
     "sample_weight requires a gradient"),
    (fl.SquaredLoss(), (ONES, ONES[:, None]), ValueError, "same shape"),
    (fl.SquaredLoss(), (ONES,), TypeError, "target"),
    (fl.CrossEntropyLoss(), (torch.ones(3, 2), torch.tensor([0, 1, 2])), ValueError, "row 2 has 2"),
    (SUPCON, (torch.ones(3, 2), ONES.long(), (ONES,) * 4), ValueError, "indices_tuple"),
    (SUPCON, (torch.ones(3, 2), ONES.long(), None, torch.ones(3, 2)), ValueError,
     "ref_labels is missing"),
    (SUPCON, (torch.ones(3, 2), ONES), TypeError, "labels must hold integers"),
])
def test_bad_input(loss, tensors, error, match):
    with pytest.raises(error, match=match):
        evaluate(loss, *tensors)
    with pytest.raises(error, match=match):
        Criterion(loss)(*tensors)


@pytest.mark.parametrize("loss", [fl.SquaredLoss(), fl.TripletLoss(), fl.InfoNCELoss()], ids=repr)
def test_parameters_that_are_not_learned(loss):
    with pytest.raises(ValueError, match="learn must name parameters"):
        Criterion(loss, learn=["margin"])


def test_a_learned_temperature_stays_above_0():
    criterion = Criterion(fl.InfoNCELoss(), learn=["temperature"])
    with torch.no_grad():
        criterion.temperature.fill_(-1)
    with pytest.raises(ValueError, match="temperature must be a finite number > 0"):
        criterion(torch.ones(2, 2), torch.ones(2, 2))


def test_without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r'pip install "fastloss\[torch\]"'):
        runpy.run_path(adapter.__file__)
