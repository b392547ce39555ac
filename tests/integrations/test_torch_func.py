"""`torch.func` of losses: what works, and what is refused with a way out."""

import functools
import importlib

import pytest

import fastloss as fl

torch = pytest.importorskip("torch", reason="fastloss.integrations.torch needs PyTorch")
adapter = importlib.import_module("fastloss.integrations.torch")
forward_ad = importlib.import_module("torch.autograd.forward_ad")
Criterion, evaluate = adapter.Criterion, adapter.evaluate
LOGITS = fl.LogLoss(from_logits=True)
# of torch itself, when it differentiates in forward mode for the first time
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script.*` is deprecated")



def scores_and_labels(batch=()):
    generator = torch.Generator().manual_seed(0)
    p = torch.randn(*batch, 5, dtype=torch.float64, generator=generator)
    return p, (torch.rand(*batch, 5, generator=generator) > 0.5).double()


@pytest.mark.parametrize("call", [Criterion(LOGITS), functools.partial(evaluate, LOGITS)])
def test_vmap_is_a_call_for_each_element(call):
    p, y = scores_and_labels((3, 4))
    expected = torch.stack([torch.stack([call(*each) for each in zip(*rows, strict=True)])
                            for rows in zip(p, y, strict=True)])
    assert torch.equal(torch.func.vmap(torch.func.vmap(call))(p, y), expected)
    assert torch.equal(torch.func.vmap(torch.func.vmap(call, in_dims=1), in_dims=2, out_dims=1)(
        p.permute(2, 1, 0), y.permute(2, 1, 0)), expected.T)
    one = torch.func.vmap(call, in_dims=(0, None))(p[0], y[0, 0])
    assert torch.equal(one, torch.stack([call(row, y[0, 0]) for row in p[0]]))
    slopes = torch.func.vmap(torch.func.grad(call))(p[0], y[0])
    each = [torch.from_numpy(LOGITS.grad(b.numpy(), a.numpy()))
            for a, b in zip(p[0], y[0], strict=True)]
    assert torch.equal(slopes, torch.stack(each))


def test_jacobians_in_reverse_mode():
    p, y = scores_and_labels()
    loss = LOGITS.replace(reduction="none")
    matrix = torch.func.jacrev(lambda z: evaluate(loss, z, y))(p)
    assert torch.equal(matrix, torch.diag(torch.from_numpy(loss.grad(y.numpy(), p.numpy()))))


@pytest.mark.parametrize("transform", [
    lambda f, p: torch.func.jvp(f, (p,), (torch.ones_like(p),)),
    lambda f, p: torch.func.jacfwd(f)(p), lambda f, p: torch.func.hessian(f)(p),
    lambda f, p: torch.func.jvp(torch.func.grad(f), (p,), (torch.ones_like(p),))])
def test_forward_mode_says_what_to_use(transform):
    p, y = scores_and_labels()
    with pytest.raises(RuntimeError, match=r"forward mode.*use torch.func.grad, vjp or jacrev"):
        transform(lambda z: evaluate(LOGITS, z, y), p)
    with pytest.raises((ValueError, RuntimeError), match=r"forward mode|target requires a"):
        transform(lambda z: evaluate(LOGITS, p, z), y)


def test_a_tangent_is_not_dropped():
    p, y = scores_and_labels()
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(p, torch.ones_like(p))
        with pytest.raises(RuntimeError, match="forward mode"):
            evaluate(LOGITS, dual, y)
        with pytest.raises(ValueError, match="target requires a gradient"):
            evaluate(LOGITS, p, dual)
