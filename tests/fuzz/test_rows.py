"""Drawn calls of cross entropy: the same bits wherever arrays lie, and the oracle's numbers."""

import numpy as np
import pytest
from fuzz.drawing import (
    CASES,
    SLOW_CASES,
    SLOW_SEEDS,
    contiguous,
    dtypes_for,
    in_some_dtype,
    place,
    reals,
    room,
    run_cases,
    size_of,
    with_specials,
)
from numerics import assert_same_bits, assert_sum, assert_ulp
from rows import terms

import fastloss as fl
from fastloss import reference

THREADS = [1, 1, 2, 3, 7]
CLASSES = [1, 2, 2, 3, 5, 10, 17, 64]
MANY = [255, 256, 257, 300, 1030]         # around the number up to which rows lie side by side
REDUCTIONS = ["mean", "sum", "none", "sum_over_batch_size"]
IGNORED = [-100, 0, 1]


def size_and_classes(rng):
    if rng.random() < 0.1:
        return int(rng.integers(0, 40)), int(rng.choice(MANY))
    if rng.random() < 0.03:
        return size_of(rng), 0
    return size_of(rng, edges=(256, 1024)), int(rng.choice(CLASSES))


def parameters_of(rng, classes, soft, logits):
    ignored = None if soft or rng.random() < 0.5 else int(rng.choice(IGNORED))
    return {
        "from_logits": logits,
        "label_smoothing": float(rng.choice([0, 0, 0.125, 1])),
        "ignore_index": ignored,
        "class_weight": None if rng.random() < 0.6 else rng.choice([0.0, 0.5, 2.0], classes),
        "eps": float(rng.choice([0, 1e-7, 0.25])),
        "reduction": str(rng.choice(REDUCTIONS)),
    }


def labels_of(rng, n, classes, soft, ignored):
    if soft:
        t = rng.random((n, classes)) if rng.random() < 0.5 else rng.integers(
            0, 2, (n, classes)).astype(float)
        return np.float32(np.where(rng.random((n, classes)) < 0.3, 0, t)).astype(float)
    y = rng.integers(0, classes, n).astype(float)
    return y if ignored is None else np.where(rng.random(n) < 0.2, ignored, y)


def drawn(rng, wild):
    """Return a loss, and labels, scores and weights in float64."""
    n, classes = size_and_classes(rng)
    soft = rng.random() < 0.4 or classes == 0
    logits = wild or rng.random() < 0.7
    parameters = parameters_of(rng, classes, soft, logits)
    y = labels_of(rng, n, classes, soft, parameters["ignore_index"])
    z = reals(rng, n * classes).reshape(n, classes)
    if wild and rng.random() < 0.5:
        z = with_specials(rng, z)
    elif not wild:
        z = np.clip(z, -60, 60)
        if n and classes and not soft and rng.random() < 0.3:     # nearly perfect rows
            z[np.arange(n), np.clip(y, 0, classes - 1).astype(int)] += 40
        if not logits:
            z = np.float32(1 / (1 + np.exp(-z))).astype(float)
    w = None
    if rng.random() < 0.5:
        w = rng.choice([0.0, 1.0, 0.5, 3.0], n)
        w = with_specials(rng, w) if wild and rng.random() < 0.3 else w
    return fl.CrossEntropyLoss(**parameters), parameters, [y, z] if w is None else [y, z, w]


def results_of(rng, loss, arrays, n_threads):
    if rng.random() < 0.5:
        value, grad = loss.value_and_grad(*arrays, n_threads=n_threads)
        return value, grad, loss.grad_and_hess(*arrays, n_threads=n_threads)[1]
    value = loss(*arrays, n_threads=n_threads)
    return value, *loss.grad_and_hess(*arrays, n_threads=n_threads)


def check_layouts(rng):
    loss, _, values = drawn(rng, wild=True)
    with np.errstate(all="ignore"):
        z = (in_some_dtype(rng, values[1]) if rng.random() < 0.2
             else values[1].astype(str(rng.choice(["f2", "f4", "f8"]))))
        arrays = [in_some_dtype(rng, values[0]), z,
                  *(in_some_dtype(rng, a, dtypes_for(a)) for a in values[2:])]
    places = [place(rng, a) for a in arrays]
    images = [a.image() for a in places]
    plain = [contiguous(a.array) for a in places]
    expected = results_of(rng, loss, plain, 1)
    got = results_of(rng, loss, [a.array for a in places], int(rng.choice(THREADS)))
    assert_same_bits(got, expected, f"{loss}")
    y, z, *w = (a.array for a in places)
    n_threads = int(rng.choice(THREADS))
    outs = [room(rng, z.shape, str(rng.choice(["f4", "f8"]))) for _ in range(2)]
    if z.dtype.kind == "f" and z.itemsize > 2 and rng.random() < 0.3:
        outs[0] = place(rng, z.astype(z.dtype.newbyteorder("=")), writeable=True)
        z = outs[0].array
    wanted = list(expected[1:])
    if loss.reduction == "none" and rng.random() < 0.5:
        outs = [room(rng, z.shape[:1], str(rng.choice(["f4", "f8"]))), outs[0]]
        wanted = list(expected[:2])
    before = [a.image() for a in outs]
    pair = tuple(a.array for a in outs)
    if pair[0].ndim == 1:
        got = loss.value_and_grad(y, z, *w, out=pair, n_threads=n_threads)
    else:
        got = loss.grad_and_hess(y, z, *w, out=pair, n_threads=n_threads)
    for a, result, right, image in zip(outs, got, wanted, before, strict=True):
        assert result is a.array
        with np.errstate(all="ignore"):
            right = right.astype(a.array.dtype.newbyteorder("="))
        assert_same_bits(np.array(a.array), right, f"out of {loss}")
        assert a.beside_is(image), f"{loss} has written beside out"
    for a, image in zip(places, images, strict=True):
        assert (a.arena == image).all(), f"{loss} has written to its inputs"
    if loss.reduction != "none":
        partial = loss.partial(*(a.array for a in places), n_threads=n_threads)
        assert_same_bits(partial.result(), expected[0], "partial sums")


def check_oracle(rng):
    _, parameters, values = drawn(rng, wild=False)
    if values[1].shape[1] == 0:       # what they cost is said, 0, and tested where layouts are
        return
    # 1 / p^2 of a probability that is not clipped may be more than float32 holds
    held = parameters["from_logits"] or parameters["eps"] > 0
    dtype = np.float32 if held and rng.random() < 0.5 else np.float64
    y = in_some_dtype(rng, values[0])
    z = values[1].astype(dtype)
    w = in_some_dtype(rng, values[2]) if len(values) == 3 else None
    loss = fl.CrossEntropyLoss(**parameters)
    oracle = reference.CrossEntropyLoss(**parameters)
    each = oracle.replace(reduction="none")
    n_threads = int(rng.choice(THREADS))
    value, grad = loss.value_and_grad(y, z, w, n_threads=n_threads)
    _, hess = loss.grad_and_hess(y, z, w, n_threads=n_threads)
    expected, grad_0 = oracle.value_and_grad(y, z, w)
    _, hess_0 = oracle.grad_and_hess(y, z, w)
    f_0, g_0 = each.value_and_grad(y, z, w)
    h_0 = each.grad_and_hess(y, z, w)[1]
    f_terms, g_terms, h_terms = np.abs(f_0), np.abs(g_0), np.abs(h_0)
    if parameters["from_logits"]:
        f_more, g_terms = terms(each, contiguous(y), z, None if w is None else contiguous(w))
        f_terms, h_terms = f_terms + f_more, g_terms
    divisor = np.float64(1)
    if parameters["reduction"] != "none":
        part = oracle.partial(y, z, w)
        divisor = np.float64(abs(oracle._divisor(part.weight_sum, part.count)))
        with np.errstate(all="ignore"):
            assert_sum(value, expected, f_terms.sum() / divisor, dtype, loss=loss)
    else:
        assert_ulp(value, expected, 40, f_terms, loss=loss)
    with np.errstate(all="ignore"):
        assert_ulp(grad, grad_0, 40, g_terms / divisor, loss=loss)
        assert_ulp(hess, hess_0, 40, h_terms / divisor, loss=loss)


@pytest.mark.parametrize("check", [check_layouts, check_oracle])
def test_drawn_calls(check):
    run_cases(check, 0, CASES)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SLOW_SEEDS)
@pytest.mark.parametrize("check", [check_layouts, check_oracle])
def test_many_drawn_calls(check, seed):
    run_cases(check, seed, SLOW_CASES)
