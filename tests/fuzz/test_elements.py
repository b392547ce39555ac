"""Drawn calls of losses of elements: same bits wherever arrays lie, and the oracle's numbers."""

import numpy as np
import pytest
from cases import CASES as LOSSES
from cases import REDUCTIONS, draw
from fuzz.drawing import (
    CASES,
    SLOW_CASES,
    SLOW_SEEDS,
    contiguous,
    in_some_dtype,
    place,
    reals,
    room,
    run_cases,
    shape_of,
    size_of,
    with_specials,
)
from numerics import assert_same_bits, assert_sum, assert_ulp

THREADS = [1, 1, 2, 3, 7]
NAMES = list(LOSSES)


def weights_of(rng, n):
    """Return weights in float64, or None."""
    kind = rng.integers(6)
    if kind < 2:
        return None
    if kind == 2:
        return rng.integers(0, 3, size=n).astype(float)
    if kind == 3:
        return np.float32(rng.random(n) + 0.01).astype(float)
    if kind == 4:
        return np.full(n, 0.5)
    return reals(rng, n)


def drawn(rng):
    """Return a case, its loss and inputs in float64: of the loss's domain, or any numbers."""
    case = LOSSES[NAMES[rng.integers(len(NAMES))]]
    parameters = case.parameters(rng)
    loss = case.loss(**parameters, reduction=str(rng.choice(REDUCTIONS)))
    shape = shape_of(rng, size_of(rng))
    n = int(np.prod(shape))
    tame = rng.random() < 0.5
    if tame:
        y, p = draw(case, rng, n, np.float64, parameters, soft=rng.random() < 0.5)
        p = np.float32(p).astype(float) if rng.random() < 0.5 else p
    else:
        y, p = reals(rng, n), reals(rng, n)
        if rng.random() < 0.5:
            y, p = with_specials(rng, y), with_specials(rng, p)
    w = weights_of(rng, n)
    if w is not None and not tame and rng.random() < 0.3:
        w = with_specials(rng, w)
    return case, loss, tame, shape, [y, p] if w is None else [y, p, w]


def results_of(rng, loss, arrays, n_threads):
    """Return value, gradient, hessian, by ways that are drawn; all of new arrays."""
    if rng.random() < 0.5:
        value, grad = loss.value_and_grad(*arrays, n_threads=n_threads)
        _, hess = loss.grad_and_hess(*arrays, n_threads=n_threads)
    else:
        value = loss(*arrays, n_threads=n_threads)
        grad, hess = loss.grad_and_hess(*arrays, n_threads=n_threads)
    return value, grad, hess


def len_of(arrays):
    """Return the sum of the weights, or the number of elements."""
    return arrays[2].astype(float).sum() if len(arrays) == 3 else arrays[0].size


def check_layouts(rng):
    _, loss, _, shape, values = drawn(rng)
    with np.errstate(all="ignore"):
        arrays = [in_some_dtype(rng, a.reshape(shape)) if rng.random() < 0.5
                  else a.reshape(shape).astype(str(rng.choice(["f4", "f8", "f2"])))
                  for a in values]
    places = [place(rng, a) for a in arrays]
    images = [a.image() for a in places]
    plain = [contiguous(a.array) for a in places]
    expected = results_of(rng, loss, plain, 1)
    got = results_of(rng, loss, [a.array for a in places], int(rng.choice(THREADS)))
    fortran = got[1].flags.f_contiguous and not got[1].flags.c_contiguous
    assert_same_bits(got[1:], expected[1:], f"derivatives of {loss}")
    if loss.reduction == "none" or len(shape) == 1:
        assert_same_bits(got[0], expected[0], f"value of {loss}")
    elif not fortran:
        assert_same_bits(got[0], expected[0], f"value of {loss} in C order")
    elif np.isfinite(expected[0]):
        # walked in memory order
        bound = 2 * np.spacing(abs(expected[0]))
        if (terms_of(loss, *plain) < 0).any():
            divisor = {"mean": len_of(plain), "sum_over_batch_size": plain[0].size}
            bound += 24 * 2**-53 * np.abs(terms_of(loss, *plain)).sum() / abs(
                divisor.get(loss.reduction, 1))
        assert abs(got[0] - expected[0]) <= bound
    for a, image in zip(places, images, strict=True):
        assert (a.arena == image).all(), f"{loss} has written to its inputs"
    check_outputs(rng, loss, places, expected)


def check_outputs(rng, loss, places, expected):
    """Check what is written where the user wants it, what is beside it, and partial sums."""
    y, p, *w = (a.array for a in places)
    n_threads = int(rng.choice(THREADS))
    count = 2 if loss.reduction == "none" or rng.random() < 0.5 else 1
    outs = [room(rng, p.shape, str(rng.choice(["f4", "f8"]))) for _ in range(count)]
    single = expected[1].dtype
    at = rng.integers(count)
    if p.dtype.kind == "f" and p.itemsize > 2 and rng.random() < 0.3:
        # in place: of y_pred in an arena of its own, as the others may not overlap it
        outs[at] = place(rng, p.astype(p.dtype.newbyteorder("=")), writeable=True)
        p = outs[at].array
    images = [a.image() for a in outs]
    inputs = [a.image() for a in places]
    with np.errstate(all="ignore"):
        narrow = [[e.astype(a.array.dtype.newbyteorder("=")) for e in expected[1:]] for a in outs]
    if count == 1:
        got = [loss.grad(y, p, *w, out=outs[0].array, n_threads=n_threads)]
        wanted = [narrow[0][0]]
    elif loss.reduction == "none" and rng.random() < 0.5:
        got = loss.value_and_grad(y, p, *w, out=tuple(a.array for a in outs), n_threads=n_threads)
        with np.errstate(all="ignore"):
            wanted = [expected[0].astype(outs[0].array.dtype.newbyteorder("=")), narrow[1][0]]
    else:
        got = loss.grad_and_hess(y, p, *w, out=[a.array for a in outs], n_threads=n_threads)
        wanted = [narrow[0][0], narrow[1][1]]
    for a, result, right, image in zip(outs, got, wanted, images, strict=True):
        assert result is a.array
        assert_same_bits(np.array(a.array), right, f"out of {loss}, computed in {single}")
        assert a.beside_is(image), f"{loss} has written beside out"
    for a, image in zip(places, inputs, strict=True):
        assert (a.arena == image).all(), f"{loss} has written to its inputs"
    if loss.reduction != "none" and p.ndim == 1 and p is places[1].array:
        k = int(rng.integers(0, len(p) + 1))
        whole = loss.partial(y, p, *w, n_threads=n_threads)
        assert_same_bits(whole.result(), expected[0], "partial sums of the whole")
        parts = loss.partial(*(a[:k] for a in (y, p, *w))) + loss.partial(
            *(a[k:] for a in (y, p, *w)))
        assert parts.count == whole.count
        if np.isfinite(whole.loss_sum):
            # eight are added up in a lane and sixteen lanes halved four times, each time rounded
            bound = 12 * 2**-53 * np.abs(terms_of(loss, y, p, *w)).sum()
            assert abs(parts.loss_sum - whole.loss_sum) <= 2 * bound


def terms_of(loss, *arrays):
    return loss.replace(reduction="none").value(*arrays).astype(float)


def check_oracle(rng):
    case = LOSSES[NAMES[rng.integers(len(NAMES))]]
    parameters = case.parameters(rng)
    reduction = str(rng.choice(REDUCTIONS))
    dtype = np.float32 if rng.random() < 0.5 else np.float64
    n = size_of(rng)
    y, p = draw(case, rng, n, dtype, parameters, soft=rng.random() < 0.7)
    y = in_some_dtype(rng, y.astype(dtype).astype(float))
    w = None
    if rng.random() < 0.6:
        w = in_some_dtype(rng, np.float32(rng.choice([0, 0.5, 1, 3, 1e-3], n)).astype(float))
    loss, oracle = case.loss(**parameters, reduction=reduction), case.reference(
        **parameters, reduction=reduction)
    value, grad = loss.value_and_grad(y, p, w, n_threads=int(rng.choice(THREADS)))
    _, hess = loss.grad_and_hess(y, p, w)
    expected = (oracle.value(y, p, w), *oracle.grad_and_hess(y, p, w))
    ones = np.ones(n) if w is None else contiguous(w).astype(dtype).astype(float)
    divisor = {"mean": ones.sum(), "sum_over_batch_size": n}.get(reduction, 1.0)
    with np.errstate(all="ignore"):
        scale = np.abs(ones / divisor)
        f, g, h = (np.abs(np.asarray(t, float)) for t in case.terms(
            parameters, contiguous(y).astype(dtype).astype(float), p.astype(float)))
        elements = oracle.replace(reduction="none").value(y, p, w)
        absolute = np.abs(elements).sum() / abs(divisor) if n else 0.0
        absolute = absolute + (f * scale * np.ones(n)).sum()
        f, g, h = f * ones, g * scale, h * scale
    ulps = case.ulps[dtype]
    about = {"loss": loss, "y": y, "p": p, "w": w}
    if reduction == "none":
        assert_ulp(value, expected[0], ulps[0], f, **about)
    else:
        assert_sum(value, expected[0], absolute, dtype, **about)
    assert_ulp(grad, expected[1], ulps[1] + 1, g, **about)
    assert_ulp(hess, expected[2], ulps[2] + 1, h, **about)


@pytest.mark.parametrize("check", [check_layouts, check_oracle])
def test_drawn_calls(check):
    run_cases(check, 0, CASES)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SLOW_SEEDS)
@pytest.mark.parametrize("check", [check_layouts, check_oracle])
def test_many_drawn_calls(check, seed):
    run_cases(check, seed, SLOW_CASES)


def test_the_place_of_an_array_is_found():
    rng = np.random.default_rng(0)
    a = place(rng, np.arange(12.0).reshape(3, 4), plain=0, writeable=True)
    image = a.image()
    a.array[1, 2] = 77
    assert a.beside_is(image)
    a.arena[-1] ^= 1
    assert not a.beside_is(image)
