"""Paired losses: what they take (layouts, dtypes, outputs) and what they refuse."""

import pickle

import numpy as np
import pytest
from cases import DTYPES, seeded
from layouts import MATRICES, read_only
from numerics import assert_same_bits

import fastloss as fl
from fastloss import embedding
from fastloss.embedding import CosineEmbeddingLoss, PairContrastiveLoss, TripletLoss

LOSSES = [PairContrastiveLoss(), PairContrastiveLoss(distance="cosine", form="linear"),
          CosineEmbeddingLoss(), TripletLoss(), TripletLoss(distance="cosine", soft_margin=True),
          TripletLoss(distance="sqeuclidean")]


def rows_of(rng, loss, n, d, dtype):
    return [rng.normal(size=(n, d)).astype(dtype) for _ in loss._called("rows")]


def labels_of(rng, loss, n):
    return [rng.integers(0, 2, n)] if loss.takes("labels") else []


@pytest.mark.parametrize("layout", MATRICES)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_layouts_give_the_same_bits(loss, layout):
    for dtype in (np.float16, *DTYPES):
        for n, d in ((1, 1), (37, 20), (300, 33), (20, 1500)):
            for reduction in ("mean", "none"):
                rng = seeded("layout", loss, dtype, n, d, reduction)
                rows, y = rows_of(rng, loss, n, d, dtype), labels_of(rng, loss, n)
                changed = loss.replace(reduction=reduction)
                w = rng.random(n)
                expected = changed.value_and_grad(*rows, *y, w)
                got = changed.value_and_grad(*map(layout, rows), *y, w)
                assert_same_bits(got, expected)
                assert_same_bits(changed.value_and_grad(layout(rows[0]), *rows[1:], *y, w),
                                 expected)
                assert_same_bits(changed.value(*map(layout, rows), *y, w), expected[0])
                assert all(g.flags.c_contiguous for g in got[1])
                for out_dtype in DTYPES:
                    outs = tuple(layout(np.zeros((n, d), out_dtype)) for _ in rows)
                    if not outs[0].flags.writeable:
                        continue
                    value = np.zeros(2 * n, out_dtype)[::2]
                    out = (value, outs) if reduction == "none" else outs
                    got = changed.value_and_grad(*rows, *y, w, out=out, n_threads=2)
                    assert all(g is o for g, o in zip(got[1], outs, strict=True))
                    for o, g in zip(outs, expected[1], strict=True):
                        assert_same_bits(o, g.astype(out_dtype))
                    if reduction == "none":
                        assert got[0] is value
                        assert_same_bits(value, expected[0].astype(out_dtype))
                        assert changed.value(*rows, *y, w, out=value) is value
                inside = tuple(map(layout, rows))
                if dtype != np.float16 and inside[0].flags.writeable:
                    out = (None, inside) if reduction == "none" else inside
                    changed.value_and_grad(*inside, *y, w, out=out)
                    assert_same_bits(inside, expected[1], "in place")


def test_labels_of_any_dtype_give_the_same_bits():
    rng = seeded("labels")
    a, b = rng.normal(size=(2, 300, 9)).astype(np.float32)
    for loss, low in ((PairContrastiveLoss(), 0), (CosineEmbeddingLoss(labels=(0, 1)), 0),
                      (CosineEmbeddingLoss(), -1)):
        y = np.where(rng.random(300) < 0.5, 1, low)
        expected = loss.value_and_grad(a, b, y)
        kinds = ["i1", "i2", "i4", "i8", "f2", "f4", "f8", ">i4", ">f8"]
        for kind in kinds if low else [*kinds, "?", "u1", "u2", "u4", "u8"]:
            assert_same_bits(loss.value_and_grad(a, b, y.astype(kind)), expected)
            apart = np.repeat(y.astype(kind), 3)[::3]
            assert_same_bits(loss.value_and_grad(a, b, apart), expected)
        assert_same_bits(loss.value_and_grad(a, b, y.tolist()), expected)
    # both kinds of labels of the same loss
    assert_same_bits(CosineEmbeddingLoss(labels=(0, 1)).value_and_grad(a, b, y == 1), expected)


def test_types_of_results():
    rng = seeded("types")
    a, b = rng.normal(size=(2, 5, 3))
    loss = PairContrastiveLoss(reduction="none")
    y = [1, 0, 1, 0, 1]
    for x, z, dtype in (("f2", "f2", "f4"), ("f2", "f4", "f4"), ("f4", "f4", "f4"),
                        ("f4", "f8", "f8"), ("i4", "f4", "f8"), ("u1", "i8", "f8"),
                        ("?", "?", "f8")):
        f, grads = loss.value_and_grad(a.astype(x), b.astype(z), y)
        assert {f.dtype, *(g.dtype for g in grads)} == {np.dtype(dtype)}
        assert_same_bits((f, grads), loss.value_and_grad(
            a.astype(x).astype(dtype), b.astype(z).astype(dtype), y))
    assert type(PairContrastiveLoss().value(a, b, y)) is float
    assert_same_bits(loss.value(a.tolist(), b.tolist(), y), loss.value(a, b, y))


def test_nothing_to_sum():
    empty = np.zeros((0, 3))
    for loss in LOSSES:
        rows = [empty] * len(loss._called("rows"))
        y = [[]] if loss.takes("labels") else []
        value, grads = loss.value_and_grad(*rows, *y)
        assert np.isnan(value)
        assert all(g.shape == (0, 3) for g in grads)
        assert loss.replace(reduction="sum").value(*rows, *y) == 0.0
        assert loss.replace(reduction="none").value(*rows, *y).shape == (0,)
    value, grads = PairContrastiveLoss(margin=2).value_and_grad(
        np.zeros((4, 0)), np.zeros((4, 0)), [1, 1, 0, 0])
    assert value == 2
    assert grads[0].shape == (4, 0)
    a = np.ones((2, 3))
    value, grads = PairContrastiveLoss().value_and_grad(a, 2 * a, [1, 1], [0, 0])
    assert np.isnan(value)
    assert np.isnan(grads[0]).all()


def test_the_same_array_twice():
    a = seeded("twice").normal(size=(50, 7))
    value, (g, h) = PairContrastiveLoss().value_and_grad(a, a, np.zeros(50))
    assert value == 1
    assert not g.any()
    assert not h.any()


A, B, Y = np.ones((4, 3)), np.zeros((4, 3)), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ((A[0], B, Y), ValueError, r"a must have two dimensions, .* got shape \(3,\)"),
    ((A, B[:, :2], Y), ValueError, r"a and b must have the same shape, got \(4, 3\) and \(4, 2\)"),
    ((A, B[:3], Y), ValueError, r"a and b must have the same shape, got \(4, 3\) and \(3, 3\)"),
    ((A, B, Y[:3]), ValueError, r"y must hold one label for each row, shape \(4,\), got \(3,\)"),
    ((A, B, Y[:, None]), ValueError, r"y must hold one label for each row, .* got \(4, 1\)"),
    ((A, B, Y, [1, 2]), ValueError, r"sample_weight must hold one weight .* got \(2,\)"),
    ((A.astype(complex), B, Y), TypeError, "a must hold real numbers: .* got dtype complex128"),
    ((A, B.astype(str), Y), TypeError, "b must hold real numbers"),
    ((A, B, ["x"] * 4), TypeError, "y must hold real numbers"),
    ((A, B, Y, [None] * 4), TypeError, "sample_weight must hold real numbers"),
])
def test_inputs_that_are_refused(arguments, error, message):
    for method in ("value", "value_and_grad", "partial"):
        with pytest.raises(error, match=message):
            getattr(PairContrastiveLoss(), method)(*arguments)


def test_triplets_that_are_refused():
    with pytest.raises(ValueError, match=r"anchors and negatives must have the same shape"):
        TripletLoss().value(A, B, B[:2])
    with pytest.raises(TypeError, match="positives must hold real numbers"):
        TripletLoss().value_and_grad(A, B.astype(str).astype(object), B)
    with pytest.raises(TypeError, match=r"out must be 3 arrays, .*grad_anchors.* got 2 of them"):
        TripletLoss().value_and_grad(A, B, B, out=(A.copy(), B.copy()))


def untouched(shape=(4, 3), dtype=float):
    return np.full(shape, 7, dtype)


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda g: g, TypeError, r"out must be 2 arrays, \(grad_a, grad_b\), got ndarray"),
    (lambda g: (g,), TypeError, "out must be 2 arrays, .* got 1 of them"),
    (lambda g: (g, [1]), TypeError, r"out\[1\] must be a float32 or float64 ndarray, got list"),
    (lambda g: (g, untouched(dtype=int)), TypeError, r"out\[1\] must .* got dtype int64"),
    (lambda g: (g, untouched((4, 2))), ValueError,
     r"out\[1\] must have the shape of b, \(4, 3\), got \(4, 2\)"),
    (lambda g: (g, untouched((4,))), ValueError, r"out\[1\] must have the shape of b"),
    (lambda g: (g, g), ValueError, r"out\[1\] overlaps out\[0\] in memory"),
    (lambda g: (g, read_only(untouched())), ValueError, r"out\[1\] is read-only"),
    (lambda g: (g, np.broadcast_to(np.ones(3), (4, 3))), ValueError, r"out\[1\] is read-only"),
    (lambda g: (g, A), ValueError, r"out\[1\] overlaps a in memory"),
    (lambda g: (g, WHOLE[1:5]), ValueError, r"out\[1\] overlaps b in memory"),
])
def test_outputs_that_are_refused(make, error, message):
    g = untouched()
    a = A if "overlaps a" in message else A.copy()
    with pytest.raises(error, match=message):
        PairContrastiveLoss().value_and_grad(a, WHOLE[:4], Y, out=make(g))
    assert np.all(g == 7)
    assert np.all(A == 1)


WHOLE = np.zeros((8, 3))


def test_outputs_of_values():
    loss = PairContrastiveLoss(reduction="none")
    with pytest.raises(ValueError, match="out is for reduction='none'"):
        PairContrastiveLoss().value(A, B, Y, out=np.zeros(4))
    with pytest.raises(ValueError, match=r"out must have an element for each row of a, shape \(4,"):
        loss.value(A, B, Y, out=np.zeros(5))
    with pytest.raises(TypeError, match=r"out must be a pair, \(value, \(grad_a, grad_b\)\)"):
        loss.value_and_grad(A, B, Y, out=np.zeros(4))
    with pytest.raises(ValueError, match=r"out overlaps y in memory"):
        y = Y.astype(float)
        loss.value(A, B, y, out=y)
    value, grads = np.zeros(4), (np.zeros((4, 3)), None)
    got = loss.value_and_grad(A, B, Y, out=(value, grads))
    assert got[0] is value
    assert got[1][0] is grads[0]
    assert_same_bits(got, loss.value_and_grad(A, B, Y))
    for n_threads in (0, -1, 1.5, "2"):
        with pytest.raises((ValueError, TypeError), match="n_threads"):
            loss.value(A, B, Y, n_threads=n_threads)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: PairContrastiveLoss(margin=-1), "margin must be a finite number >= 0, got -1"),
    (lambda: TripletLoss(margin=np.nan), "margin must be a finite number >= 0"),
    (lambda: CosineEmbeddingLoss(margin=2), "margin must be a finite number >= -1 and <= 1"),
    (lambda: PairContrastiveLoss(distance="manhattan"), "distance must be 'euclidean', 'sqeucl"),
    (lambda: TripletLoss(distance=2), "distance must be"),
    (lambda: PairContrastiveLoss(similar_label=2), "similar_label must be 0 or 1"),
    (lambda: PairContrastiveLoss(form="half"), "form must be 'squared' or 'linear'"),
    (lambda: PairContrastiveLoss(pos_margin=-1), "pos_margin must be None or a finite number"),
    (lambda: CosineEmbeddingLoss(labels=(1, 2)), r"labels must be \(-1, 1\) or \(0, 1\)"),
    (lambda: CosineEmbeddingLoss(labels=1), r"labels must be \(-1, 1\) or \(0, 1\)"),
    (lambda: TripletLoss(soft_margin=1), "soft_margin must be True or False"),
    (lambda: TripletLoss(reduction="mean_nonzero"), "reduction must be 'mean', 'sum' or 'none'"),
])
def test_parameters_that_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_objects():
    for loss in LOSSES:
        assert pickle.loads(pickle.dumps(loss)) == loss
        assert eval(repr(loss), vars(embedding).copy()) == loss
        assert hash(loss.replace(reduction="sum")) != hash(loss)


def test_check():
    loss = PairContrastiveLoss()
    loss.check(A, B, Y)
    with pytest.raises(ValueError, match="y must hold labels in"):
        loss.check(A, B, 2 * Y - 1)
    with pytest.raises(ValueError, match="b must hold finite numbers"):
        loss.check(A, B + np.inf, Y)
    with pytest.raises(ValueError, match="sample_weight must hold weights >= 0"):
        TripletLoss().check(A, B, B, [1, 1, -1, 1])
    with pytest.raises(ValueError, match="y must hold labels -1 and 1"):
        CosineEmbeddingLoss().check(A, B, Y)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_torch(reduction):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    rng = seeded("torch", reduction)
    for d in (3, 30, 65):
        rows = rng.normal(size=(3, 50, d))
        tensors = [torch.tensor(x, requires_grad=True) for x in rows]
        y = rng.choice([-1, 1], 50)
        distance = torch.nn.functional.pairwise_distance
        half = (y + 1) // 2
        similar = torch.tensor(half)
        d_ab = distance(tensors[0], tensors[1], eps=0)
        contrastive = similar * d_ab**2 + (1 - similar) * torch.relu(1.5 - d_ab) ** 2
        reduced = {"mean": torch.mean, "sum": torch.sum, "none": lambda x: x}[reduction]
        # its softplus is linear from 20 on
        soft = -torch.nn.functional.logsigmoid(
            ((tensors[0] - tensors[2])**2).sum(1) - ((tensors[0] - tensors[1])**2).sum(1))
        for loss, count, expected in (
            (CosineEmbeddingLoss(margin=0.2), 2, torch.nn.CosineEmbeddingLoss(
                margin=0.2, reduction=reduction)(*tensors[:2], torch.tensor(y))),
            (PairContrastiveLoss(margin=1.5), 2, reduced(contrastive)),
            (TripletLoss(margin=0.7), 3, torch.nn.TripletMarginLoss(
                margin=0.7, eps=0, reduction=reduction)(*tensors)),
            (TripletLoss(distance="sqeuclidean", soft_margin=True), 3, reduced(soft)),
        ):
            grads_0 = torch.autograd.grad(expected.sum(), tensors[:count])
            labels = [] if count == 3 else [y if "Cosine" in type(loss).__name__ else half]
            for dtype in DTYPES:
                f, grads = loss.replace(reduction=reduction).value_and_grad(
                    *rows[:count].astype(dtype), *labels)
                # torch adds 1e-12 to the squares of lengths
                bound = max(300 * np.finfo(dtype).eps, 1e-10)
                np.testing.assert_allclose(f, expected.detach(), bound, bound)
                for g, g_0 in zip(grads, grads_0, strict=True):
                    np.testing.assert_allclose(g, g_0, bound, bound * float(g_0.abs().max()))


def test_partial_is_that_of_other_losses():
    assert isinstance(PairContrastiveLoss().partial(A, B, Y), fl.Partial)


@pytest.mark.parametrize("length", [2**50, 2**55, 2**58])
def test_rows_longer_than_memory(length):
    x = np.broadcast_to(1.0, (1, length))
    for loss, rest in ((embedding.PairContrastiveLoss(), (x, [1])),
                       (embedding.CosineEmbeddingLoss(), (x, [1])),
                       (embedding.TripletLoss(), (x, x))):
        for method in (loss.value, loss.value_and_grad):
            with pytest.raises(MemoryError):
                method(x, *rest)
    with pytest.raises(MemoryError):
        embedding.SupConLoss().value(x, [0])


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int8])
def test_no_rows_of_any_length(dtype):
    x = np.empty((0, 2**58), dtype)
    none = np.empty(0)
    for loss, rest in ((embedding.PairContrastiveLoss(), (x, none)),
                       (embedding.TripletLoss(), (x, x))):
        value, grads = loss.value_and_grad(x, *rest)
        assert np.isnan(value)
        assert all(grad.shape == x.shape for grad in grads)
    for loss, second in ((embedding.SupConLoss(), []), (embedding.InfoNCELoss(), x),
                         (embedding.BatchTripletLoss(), [])):
        assert loss(x, second) == 0
        assert loss.value_and_grad(x, second)[0] == 0
