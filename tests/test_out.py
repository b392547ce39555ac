"""Results written where the user wants them, and what is refused before anything is written."""

import numpy as np
import pytest
from cases import CASES, DTYPES, draw, seeded
from numerics import all_results, assert_same_bits

import fastloss as fl

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
LOSS = fl.ContrastiveLoss()
NONE = fl.ContrastiveLoss(reduction="none")
N = 50


def data(dtype=np.float64, n=N):
    rng = np.random.default_rng(n)
    return rng.integers(0, 2, n), rng.random(n).astype(dtype), rng.random(n)


# each is called with (out, y, p, w) and names `out` as the user gave it
SINGLE = {
    "value": lambda out, y, p, w: NONE.value(y, p, w, out=out),
    "grad": lambda out, y, p, w: LOSS.grad(y, p, w, out=out),
    "value_and_grad": lambda out, y, p, w: LOSS.value_and_grad(y, p, w, out=out),
}
PAIRS = {
    "value_and_grad of none": lambda out, y, p, w: NONE.value_and_grad(y, p, w, out=out),
    "grad_and_hess": lambda out, y, p, w: LOSS.grad_and_hess(y, p, w, out=out),
}


def calls():
    """Return (call with one out, what it is called) of every place for one."""
    other = np.zeros(N)
    yield from ((call, "out") for call in SINGLE.values())
    for call in PAIRS.values():
        yield lambda out, y, p, w, call=call: call((out, other), y, p, w), r"out\[0\]"
        yield lambda out, y, p, w, call=call: call((other, out), y, p, w), r"out\[1\]"


def places(make):
    """Return what `make` gives with the numbers it must still hold after a refused call."""
    a = make()
    return a, np.array(a, copy=True)


# ---- written ---------------------------------------------------------------------------------


def outputs(dtype, n):
    """Return arrays of a dtype and n elements, in many layouts."""
    yield np.zeros(n, dtype)
    yield np.zeros(2 * n, dtype)[::2]
    yield np.zeros(n, dtype)[::-1]
    yield np.zeros((n, 3), dtype)[:, 1]
    yield np.zeros(n, np.dtype(dtype).newbyteorder())
    yield np.zeros(2 * n, np.dtype(dtype).newbyteorder())[::-2]
    raw = np.zeros(n * np.dtype(dtype).itemsize + 1, np.uint8)[1:]
    yield raw.view(dtype)
    record = np.zeros(n, [("a", "u1"), ("g", dtype)])
    yield record["g"]
    yield np.zeros(n, dtype).view(type("Array", (np.ndarray,), {}))


@every_case
@pytest.mark.parametrize("dtype", [np.float16, *DTYPES])
@pytest.mark.parametrize("out_dtype", DTYPES)
def test_every_layout_of_out(case, dtype, out_dtype):
    rng = seeded(case.name, dtype, out_dtype)
    for n in (1, 63, 1025, 9000):
        parameters = case.parameters(rng)
        if "eps" in parameters:
            parameters["eps"] = 0.01        # float32 holds its hessian
        y, p = draw(case, rng, n, dtype, parameters)
        w = rng.random(n)
        loss = case.loss(**parameters, reduction="none")
        f, g, h = all_results(loss, y, p, w)
        f, g, h = f.astype(out_dtype), g.astype(out_dtype), h.astype(out_dtype)
        for a, b in zip(outputs(out_dtype, n), outputs(out_dtype, n), strict=True):
            assert loss.value(y, p, w, out=a) is a
            assert_same_bits(np.array(a), f.astype(a.dtype))
            assert loss.grad(y, p, w, out=a) is a
            assert_same_bits(np.array(a), g.astype(a.dtype))
            got = loss.value_and_grad(y, p, w, out=(a, b))
            assert got[0] is a
            assert got[1] is b
            assert_same_bits((np.array(a), np.array(b)), (f.astype(a.dtype), g.astype(a.dtype)))
            got = loss.grad_and_hess(y, p, w, out=[a, b])
            assert got[0] is a
            assert got[1] is b
            assert_same_bits((np.array(a), np.array(b)), (g.astype(a.dtype), h.astype(a.dtype)))
            got = case.loss(**parameters, reduction="sum").value_and_grad(y, p, w, out=b)
            assert got[1] is b
            assert_same_bits(np.array(b), g.astype(b.dtype))


def test_what_lies_between_is_left_alone():
    y, p, w = data()
    table = np.full((N, 5), 7.0, np.float32)
    LOSS.grad_and_hess(y, p, w, out=(table[:, 1], table[:, 3]))
    assert (table[:, [0, 2, 4]] == 7).all()
    g, h = LOSS.grad_and_hess(y, p, w)
    assert_same_bits(np.ascontiguousarray(table[:, [1, 3]]),
                     np.stack([g, h], axis=1).astype(np.float32))


@every_case
@pytest.mark.parametrize("n", [3, 5000])
def test_interleaved_columns(case, n):
    # outputs of one table overlap in address, not in memory, also with the inputs' columns
    y, p, w = data(n=n)
    g, h = case.loss(reduction="none").grad_and_hess(y, p, w)
    table = np.stack([p, w, p, p], axis=1)
    got = case.loss(reduction="none").grad_and_hess(
        y, table[:, 0], table[:, 1], out=(table[:, 2], table[:, 3]))
    assert_same_bits((np.array(got[0]), np.array(got[1])), (g, h))


@every_case
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 100, 1025, 20_000])
def test_in_place_of_y_pred(case, dtype, n):
    rng = seeded(case.name, dtype, n, "in place")
    parameters = case.parameters(rng)
    y, p = draw(case, rng, n, dtype, parameters)
    w = rng.random(n)
    layouts = [lambda a: a.copy(), lambda a: np.repeat(a, 2)[::2], lambda a: a[::-1].copy()[::-1],
               lambda a: a.astype(a.dtype.newbyteorder())]
    for reduction in ("mean", "none"):
        loss = case.loss(**parameters, reduction=reduction)
        f, g, h = all_results(loss, y, p, w)
        for layout in layouts:
            a = layout(p)
            assert loss.grad(y, a, w, out=a) is a
            assert_same_bits(np.array(a), g)
            a, b = layout(p), np.zeros(n, dtype)
            loss.grad_and_hess(y, a, w, out=(a, b))
            assert_same_bits((np.array(a), b), (g, h))
            a, b = layout(p), np.zeros(n, dtype)
            loss.grad_and_hess(y, a, w, out=(b, a))
            assert_same_bits((b, np.array(a)), (g, h))
            a = layout(p)
            if reduction == "none":
                b = np.zeros(n, dtype)
                loss.value_and_grad(y, a, w, out=(b, a))
                assert_same_bits((b, np.array(a)), (f, g))
                a = layout(p)
                loss.value(y, a, w, out=a)
                assert_same_bits(np.array(a), f)
            else:
                assert loss.value_and_grad(y, a, w, out=a)[0] == f or np.isnan(f)
                assert_same_bits(np.array(a), g)


def test_in_place_in_two_dimensions():
    y, p, w = (a.reshape(5, 10) for a in data())
    loss = LOSS.replace(reduction="sum")
    expected = loss.grad(y, p, w)
    for a in (p.copy(), p.T.copy().T, np.repeat(p, 3, axis=1)[:, ::3]):
        loss.grad(y, a, w, out=a)
        assert_same_bits(np.ascontiguousarray(a), expected)


# ---- refused ---------------------------------------------------------------------------------

WRONG_TYPE = {
    "list": lambda: [0.0] * N,
    "float": lambda: 0.0,
    "int array": lambda: np.zeros(N, int),
    "float16": lambda: np.zeros(N, np.float16),
    "complex": lambda: np.zeros(N, complex),
    "object": lambda: np.zeros(N, object),
    "bool": lambda: np.zeros(N, bool),
    "bytearray": lambda: bytearray(8 * N),
    "memoryview": lambda: memoryview(np.zeros(N)),
}


def locked():
    a = np.zeros(N)
    a.flags.writeable = False
    return a


WRONG_VALUE = {
    "shorter": lambda: np.zeros(N - 1),
    "longer": lambda: np.zeros(N + 1),
    "column": lambda: np.zeros((N, 1)),
    "row": lambda: np.zeros((1, N)),
    "scalar": lambda: np.zeros(()),
    "empty": lambda: np.zeros(0),
    "read-only": locked,
    "broadcast": lambda: np.lib.stride_tricks.as_strided(np.zeros(1), (N,), (0,)),
    "sliding": lambda: np.lib.stride_tricks.as_strided(np.zeros(N), (N,), (4,)),
}


@pytest.mark.parametrize("what", WRONG_TYPE)
def test_out_of_a_wrong_type(what):
    y, p, w = data()
    for call, name in calls():
        with pytest.raises(TypeError, match=rf"^{name} "):
            call(WRONG_TYPE[what](), y, p, w)


@pytest.mark.parametrize("what", WRONG_VALUE)
def test_out_of_a_wrong_kind(what):
    y, p, w = data()
    for call, name in calls():
        out, before = places(WRONG_VALUE[what])
        with pytest.raises(ValueError, match=rf"^{name} "):
            call(out, y, p, w)
        assert_same_bits(np.array(out), before)


def test_nothing_is_written_when_the_second_output_is_wrong():
    y, p, w = data()
    for call in PAIRS.values():
        for bad in (np.zeros(N, int), np.zeros(N + 1), locked()):
            good = np.full(N, 7.0)
            for out in ((good, bad), (bad, good)):
                with pytest.raises((TypeError, ValueError), match="out"):
                    call(out, y, p, w)
                assert (good == 7).all()
                assert (bad == 0).all()


def test_nothing_is_written_on_other_errors():
    y, p, w = data()
    for bad in ((y[:-1], p, w), (y, p.astype(complex), w), (y, p, w[:-1]), (None, p, w)):
        for call in SINGLE.values():
            out = np.full(N, 7.0)
            with pytest.raises((TypeError, ValueError)):
                call(out, *bad)
            assert (out == 7).all()
    out = np.full(N, 7.0)
    with pytest.raises(ValueError, match="n_threads"):
        LOSS.grad(y, p, w, out=out, n_threads=0)
    assert (out == 7).all()


@pytest.mark.parametrize("shift", [1, -1, 3, 25, 49, -49])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_partial_overlap_with_an_input(shift, position):
    for call, name in calls():
        arguments = [a.astype(np.float64) for a in data()]
        buffer = np.tile(arguments[position], 3)
        arguments[position] = buffer[N:2 * N]
        out = buffer[N + shift:2 * N + shift]
        before = buffer.copy()
        with pytest.raises(ValueError, match=rf"^{name} overlaps "
                           f"{['y_true', 'y_pred', 'sample_weight'][position]}"):
            call(out, *arguments)
        assert_same_bits(buffer, before)


@pytest.mark.parametrize("make", [
    lambda a: a[::-1], lambda a: a.view(np.float64), lambda a: a.view(a.dtype.newbyteorder())],
    ids=["reversed", "exactly", "other byte order"])
def test_overlap_that_is_exact_but_for_something(make):
    y, p, w = (a.astype(np.float64) for a in data())
    for call, name in calls():
        for a in (y, w):
            with pytest.raises(ValueError, match=rf"^{name} overlaps"):
                call(make(a), y, p, w)
        if make(p).strides != p.strides or make(p).dtype != p.dtype:
            with pytest.raises(ValueError, match=rf"^{name} overlaps y_pred"):
                call(make(p), y, p, w)


def test_overlap_with_y_pred_of_another_dtype():
    y, _, w = data()
    buffer = np.zeros(N)
    p = buffer.view(np.float32)[:N]
    with pytest.raises(ValueError, match="out overlaps y_pred"):
        LOSS.grad(y, p, w, out=buffer)
    with pytest.raises(ValueError, match="out overlaps y_pred"):
        LOSS.grad(y, buffer, w, out=p)


@pytest.mark.parametrize("call", PAIRS.values(), ids=PAIRS)
def test_two_outputs_that_overlap(call):
    y, p, w = data()
    buffer = np.zeros(3 * N)
    for a, b in [(buffer[:N], buffer[:N]), (buffer[:N], buffer[1:N + 1]),
                 (buffer[:N], buffer[N - 1::-1]), (buffer[0:2 * N:2], buffer[N:2 * N])]:
        with pytest.raises(ValueError, match=r"out.*overlaps"):
            call((a, b), y, p, w)
        assert (buffer == 0).all()
    both = p.copy()
    with pytest.raises(ValueError, match=r"out.*overlaps"):
        call((both, both), y, both, w)
    assert_same_bits(both, p)


def test_same_array_as_both_inputs_and_out():
    a = np.array([0.0, 1.0, 0.5])
    with pytest.raises(ValueError, match="out overlaps y_true"):
        LOSS.grad(a, a, out=a)


@pytest.mark.parametrize("call", PAIRS.values(), ids=PAIRS)
def test_out_must_be_a_pair(call):
    y, p, w = data()
    a = np.zeros(N)
    for bad in (a, (a,), (a, a.copy(), a.copy()), [], {}, np.zeros((2, N)), 1.0):
        with pytest.raises(TypeError, match=r"^out must be a pair"):
            call(bad, y, p, w)


def test_out_pair_where_one_is_meant():
    y, p, w = data()
    for call in SINGLE.values():
        with pytest.raises(TypeError, match=r"^out must"):
            call((np.zeros(N), np.zeros(N)), y, p, w)


@pytest.mark.parametrize("reduction", ["mean", "sum", "sum_over_batch_size"])
def test_out_for_a_float(reduction):
    y, p, w = data()
    with pytest.raises(ValueError, match=r"^out "):
        LOSS.replace(reduction=reduction).value(y, p, w, out=np.zeros(N))


@every_case
def test_empty_out(case):
    a, b = np.zeros((2, 0, 3))
    got = case.loss().grad_and_hess(np.zeros((0, 3)), np.zeros((0, 3)), out=(a, b))
    assert got[0] is a
    assert got[1] is b
    assert case.loss().grad(a, a, out=a) is a


@every_case
@pytest.mark.parametrize("shape", [(), (1,) * 64, (1,) * 63 + (3,)])
def test_out_of_none_and_of_most_dimensions(case, shape):
    y, p = np.ones(shape), np.full(shape, 0.25)
    expected = all_results(case.loss(reduction="none"), y, p)
    g, h = np.zeros(shape), np.zeros(shape)
    got = case.loss(reduction="none").grad_and_hess(y, p, out=(g, h))
    assert got[0] is g
    assert got[1] is h
    assert_same_bits(got, expected[1:])


# ---- strides that interleave -------------------------------------------------------------------


def shares_with_itself(a):
    """Return whether elements share memory, by looking at each byte."""
    steps = np.zeros(1, np.int64)
    for length, stride in zip(a.shape, a.strides, strict=True):
        steps = (steps[:, None] + np.arange(length) * stride).ravel()
    steps = np.add.outer(steps, np.arange(a.itemsize)).ravel()
    return np.unique(steps).size != steps.size


def test_strides_that_interleave():
    loss = LOSS.replace(reduction="sum")
    rng = np.random.default_rng(5)
    buffer = np.zeros(3000)
    taken = refused = 0
    for _ in range(3000):
        shape = tuple(int(k) for k in rng.integers(1, 6, rng.integers(1, 5)))
        strides = tuple(int(k) * int(rng.choice([8, 8, 8, 4])) for k in rng.integers(-20, 21, 4))
        out = np.ndarray(shape, np.float64, buffer, 12_000, strides[:len(shape)])
        y, p = rng.random((2, *shape))
        if shares_with_itself(out):
            refused += 1
            with pytest.raises(ValueError, match=r"^out has elements that share memory"):
                loss.grad(y, p, out=out)
        else:
            taken += 1
            assert loss.grad(y, p, out=out) is out
            assert_same_bits(np.array(out), loss.grad(y, p))
    assert min(taken, refused) > 500


def test_strides_that_interleave_far_apart():
    # 3 i + 7 j for i < 7 and j < 3000 meet nowhere, but each column lies among the others
    buffer = np.zeros(3 * 7 + 7 * 3000)
    out = np.lib.stride_tricks.as_strided(buffer, (7, 3000), (3 * 8, 7 * 8))
    y, p = np.random.default_rng(0).random((2, 7, 3000))
    assert_same_bits(np.array(LOSS.grad(y, p, out=out)), LOSS.grad(y, p))
    meeting = np.lib.stride_tricks.as_strided(buffer, (8, 2000), (3 * 8, 7 * 8))
    with pytest.raises(ValueError, match="share memory"):
        LOSS.grad(*np.zeros((2, 8, 2000)), out=meeting)
