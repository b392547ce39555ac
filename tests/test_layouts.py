"""However arrays lie in memory, the results have the same bits, and nothing is copied whole."""

import numpy as np
import pytest
from cases import CASES, DTYPES, REDUCTIONS, draw, seeded
from child import run_python
from layouts import misaligned, read_only, strided, swapped
from numerics import all_results, assert_same_bits

import fastloss as fl

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def reversed_view(a):
    return a[..., ::-1].copy()[..., ::-1]


def reversed_outside(a):
    return a[::-1].copy()[::-1]


def field(a):
    record = np.zeros(a.shape, [("x", "u1"), ("value", a.dtype), ("z", "u2")])
    record["value"] = a
    return record["value"]


def everything(a):
    return swapped(field(strided(reversed_view(a))))


def subclass(a):
    return np.ascontiguousarray(a).view(type("Array", (np.ndarray,), {}))


LAYOUTS = [strided, reversed_view, reversed_outside, swapped, misaligned, read_only, field,
           everything, subclass]


@every_case
@pytest.mark.parametrize("dtype", [np.float16, *DTYPES])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_dimension(case, dtype, layout, request):
    for size in (1, 5, 100, 1025, 8193):
        rng = seeded(case.name, dtype, layout, size)
        parameters = case.parameters(rng)
        y, p = draw(case, rng, size, dtype, parameters, soft=bool(rng.integers(2)))
        w = rng.random(size)
        loss = case.loss(**parameters, reduction=str(rng.choice(REDUCTIONS)))
        expected = all_results(loss, y, p)
        assert_same_bits(all_results(loss, layout(y), layout(p)), expected)
        expected = all_results(loss, y, p, w)
        for mask in (1, 2, 4, 7):       # which of the three lie otherwise
            arrays = [layout(a) if mask >> i & 1 else a for i, a in enumerate((y, p, w))]
            assert_same_bits(all_results(loss, *arrays), expected)


def scrambled(rng, a):
    """Return the same array with other strides."""
    axes = rng.permutation(a.ndim)
    parent = np.zeros([2 * n + 1 for n in np.array(a.shape)[axes]], a.dtype)
    view = parent[tuple(slice(int(rng.integers(2)), None, 2) for _ in a.shape)]
    view = view[tuple(slice(0, n) for n in np.array(a.shape)[axes])]
    view = view[tuple(slice(None, None, int(rng.choice([1, -1]))) for _ in a.shape)]
    view = view.transpose(np.argsort(axes))
    view[...] = a
    return view


@every_case
@pytest.mark.parametrize("shape", [(2, 3), (7, 11, 5), (1, 9), (9, 1), (1, 1, 1), (33, 65),
                                   (2, 3, 4, 5, 6), (129, 67), (3, 1, 700), (2,) * 12])
def test_many_dimensions(case, shape):
    rng = seeded(case.name, shape)
    size = int(np.prod(shape))
    for dtype in DTYPES:
        parameters = case.parameters(rng)
        y, p = (a.reshape(shape) for a in draw(case, rng, size, dtype, parameters))
        y = y.astype(dtype)
        w = rng.random(shape)
        reduction = str(rng.choice(REDUCTIONS))
        loss = case.loss(**parameters, reduction=reduction)
        expected = all_results(loss, y, p, w)
        flat = all_results(loss, y.ravel(), p.ravel(), w.ravel())
        assert_same_bits(tuple(np.reshape(a, -1) for a in expected),
                         tuple(np.reshape(a, -1) for a in flat), "of the flat arrays")
        for _ in range(4):
            arrays = [scrambled(rng, a) for a in (y, p, w)]
            got = all_results(loss, *arrays)
            assert_same_bits(got[1:], expected[1:], "scrambled strides")
            assert got[1].flags.c_contiguous or arrays[1].flags.f_contiguous
            if reduction == "none":
                assert_same_bits(got[0], expected[0], "scrambled strides")
            out = scrambled(rng, p)
            assert loss.grad(*arrays, out=out) is out
            assert_same_bits(np.ascontiguousarray(out), expected[1], "scrambled out")


@every_case
@pytest.mark.parametrize("shape", [(2, 3), (100, 37), (11, 7, 9)])
def test_fortran_order(case, shape):
    rng = seeded(case.name, shape, "fortran")
    size = int(np.prod(shape))
    parameters = case.parameters(rng)
    y, p = (a.reshape(shape) for a in draw(case, rng, size, np.float64, parameters))
    w = rng.random(shape)
    for reduction in REDUCTIONS:
        loss = case.loss(**parameters, reduction=reduction)
        expected = all_results(loss, y, p, w)
        for order_y, order_w in ("FF", "CF", "FC", "CC"):
            got = all_results(loss, np.asarray(y, order=order_y), np.asarray(p, order="F"),
                              np.asarray(w, order=order_w))
            if reduction != "mean":     # that has a test of its own below
                assert_same_bits(got[1:], expected[1:])
            for a in got[1:] if reduction != "none" else got:
                assert a.flags.f_contiguous
            if reduction == "none":
                assert_same_bits(got[0], expected[0])
            elif np.isfinite(expected[0]):
                assert abs(got[0] - expected[0]) <= 2 * np.spacing(abs(expected[0]))
        # the order of y_pred alone decides
        for a in all_results(loss, np.asarray(y, order="F"), p)[1:]:
            assert a.flags.c_contiguous


@pytest.mark.parametrize("shape", [(100, 37), (11, 7, 9)])
def test_fortran_order_of_the_gradient_of_a_weighted_mean(shape):
    # element results do not depend on the layout, whatever order the weights are summed in
    for seed in range(5):
        rng = np.random.default_rng(seed)
        y, p, w = rng.random((3, *shape))
        loss = fl.SquaredLoss()
        got = loss.grad(np.asfortranarray(y), np.asfortranarray(p), np.asfortranarray(w))
        assert_same_bits(got, loss.grad(y, p, w))


@every_case
@pytest.mark.parametrize("dtype", DTYPES)
def test_broadcast_views(case, dtype):
    rng = seeded(case.name, dtype, "broadcast")
    for shape in [(1500,), (40, 30), (3, 5, 7)]:
        parameters = case.parameters(rng)
        loss = case.loss(**parameters, reduction=str(rng.choice(REDUCTIONS)))
        y, p = draw(case, rng, shape[-1], dtype, parameters)
        y, p, w = (np.broadcast_to(a, shape) for a in (y, p, rng.random()))
        expected = all_results(loss, y.copy(), p.copy(), w.copy())
        assert_same_bits(all_results(loss, y, p, w), expected, "rows")
        if len(shape) > 1:
            column = np.broadcast_to(p[0, :, None] if len(shape) == 2 else p[0, 0, :, None, None],
                                     (shape[-1], *([4] * (len(shape) - 1))))
            labels = np.ones(column.shape)
            expected = all_results(loss, labels, column.copy())
            assert_same_bits(all_results(loss, labels, column)[1:], expected[1:], "columns")
        one = np.broadcast_to(dtype(0.25), shape)
        label = np.broadcast_to(np.uint8(1), shape)
        expected = all_results(loss, label.copy(), one.copy())
        assert_same_bits(all_results(loss, label, one), expected, "a scalar")


def test_memory_mapped_files(tmp_path):
    rng = np.random.default_rng(6)
    p, y = rng.random(5000).astype(np.float32), rng.integers(0, 2, 5000).astype(np.int8)
    p.tofile(tmp_path / "p")
    y.tofile(tmp_path / "y")
    mapped_p = np.memmap(tmp_path / "p", np.float32, "r")
    mapped_y = np.memmap(tmp_path / "y", np.int8, "c")
    for name in CASES:
        loss = getattr(fl, name)()
        got = all_results(loss, mapped_y, mapped_p)
        assert_same_bits(got, all_results(loss, y, p))
        assert type(got[1]) is np.ndarray
    out = np.memmap(tmp_path / "g", np.float32, "w+", shape=5000)
    assert fl.LogLoss().grad(mapped_y, mapped_p, out=out) is out
    out.flush()
    assert_same_bits(np.fromfile(tmp_path / "g", np.float32), fl.LogLoss().grad(y, p))


@pytest.mark.parametrize("name", CASES)
def test_more_than_2_to_the_31_elements(name):
    n = 2**31 + 12345
    y, p = np.broadcast_to(np.uint8(1), n), np.broadcast_to(np.float32(0.25), n)
    loss = getattr(fl, name)(reduction="sum")
    one = float(loss.replace(reduction="none")(np.ones(1), np.full(1, 0.25, np.float32))[0])
    partial = loss.partial(y, p)
    assert partial.count == n
    assert partial.weight_sum == n
    assert abs(partial.loss_sum / n - one) <= 3e-7 * one


MEASURE = """
import resource, sys, tracemalloc
import numpy as np, fastloss as fl
n = 10**7
kind, name = sys.argv[1:]
y = np.zeros(n, np.int8)
p = np.full(n, 0.25, np.float16 if kind == "half" else np.float32)
w = None
if kind == "strided":
    y, p = np.zeros((n, 2), np.int8)[:, 0], np.full((n, 2), 0.25, np.float32)[:, 1]
elif kind == "swapped":
    p = p.astype(">f4")
elif kind == "subclass":        # as memmap, Series and tensors: arrays that are not exactly one
    y, p = (a.view(type("Array", (np.ndarray,), {})) for a in (y, p))
elif kind == "weights":
    w = np.full(n, 2, np.uint16)
elif kind == "fortran":
    y, p = np.zeros((n // 100, 100)), np.full((100, n // 100), 0.25, np.float32).T
    y[...] = 1
loss = getattr(fl, name)()
out = np.empty(p.shape, np.float32)
out[...] = 0
loss.value_and_grad(y[:10], p[:10], None if w is None else w[:10])
tracemalloc.start()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
loss.value_and_grad(y, p, w, out=out)
loss.value(y, p, w)
loss.partial(y, p, w)
peak = tracemalloc.get_traced_memory()[1]
print(peak, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.parametrize("kind", ["plain", "half", "strided", "swapped", "weights", "fortran",
                                  "subclass"])
@pytest.mark.parametrize("name", ["ContrastiveLoss", "LogLoss"])
def test_nothing_is_copied_whole(kind, name, tmp_path):
    pytest.importorskip("resource", reason="peak memory is not measured on this platform")
    # one thread: stacks of others are not the library's to keep small
    traced, resident = map(int, run_python(
        MEASURE, tmp_path, kind, name, FASTLOSS_NUM_THREADS="1").split())
    assert traced < 1e6
    assert resident < 1e6
