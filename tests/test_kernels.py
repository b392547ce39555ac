"""The kernels against the oracle, over sizes, dtypes, weights, reductions, threads, layouts."""

import numpy as np
import pytest
from cases import CASES, DTYPES, REDUCTIONS, WEIGHTS, draw, seeded, weights
from numerics import all_results, assert_same_bits, assert_sum, assert_ulp

import fastloss as fl

# Blocks hold 1024 elements, partial sums 8192, lanes 16.
SMALL = [*range(19), 31, 32, 33, 47, 63, 64, 65, 95, 127, 128, 129, 130]
LARGE = [*(k + d for k in (1024, 2048, 8192, 16384) for d in (-1, 0, 1)), 8192 + 1023, 8192 + 1025,
         3 * 8192 + 7, 65535, 65536, 65537, 100_003]
LETTERS = ["?", "b", "B", "h", "H", "i", "I", "l", "L", "q", "Q", "e", "f", "d"]

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def compare(case, parameters, reduction, y, p, w, n_threads=None):
    """Check all results of a loss against the oracle."""
    loss = case.loss(**parameters, reduction=reduction)
    oracle = case.reference(**parameters, reduction=reduction)
    f, g, h = all_results(loss, y, p, w, n_threads=n_threads)
    with np.errstate(invalid="ignore"):     # inf - inf under negative weights
        f_0 = oracle.value(y, p, w)
        g_0, h_0 = oracle.grad_and_hess(y, p, w)
    dtype = p.dtype.type
    about = {"parameters": parameters, "reduction": reduction, "y": np.asarray(y), "p": p}
    if w is not None:
        about["w"] = np.asarray(w)
    sizes = {"mean": p.size if w is None else np.sum(w, dtype=float), "sum_over_batch_size": p.size}
    scale = 1 / sizes.get(reduction, 1) if p.size else 1
    weight = np.abs(scale) * (1 if w is None else np.abs(np.asarray(w, np.float64)))
    terms = case.terms(parameters, np.asarray(y).astype(dtype).astype(float), p.astype(float))
    with np.errstate(invalid="ignore"):
        terms = [weight * term for term in terms]
    ulps = case.ulps[dtype]
    assert_ulp(g, g_0, ulps[1], terms[1], **about)
    assert_ulp(h, h_0, ulps[2], terms[2], **about)
    if reduction == "none":
        assert_ulp(f, f_0, ulps[0], terms[0], **about)
    else:
        elements = np.abs(case.reference(**parameters, reduction="none").value(y, p, w))
        with np.errstate(invalid="ignore"):
            total = float(np.sum(elements)) * abs(scale)
        assert_sum(f, f_0, total, dtype, **about)


def test_the_drawn_data_reach_everything():
    # so that the comparisons below are not about zeros and NaN only
    for case in CASES.values():
        rng = seeded(case.name)
        parameters = case.parameters(rng)
        loss = case.loss(**parameters, reduction="none")
        f, _ = loss.value_and_grad(*draw(case, rng, 1000, np.float64, parameters))
        assert np.count_nonzero(f > 0) > 200
        assert not np.isnan(f).any()


@every_case
@every_dtype
@pytest.mark.parametrize("size", SMALL)
def test_small_sizes(case, dtype, size):
    rng = seeded(case.name, dtype, size)
    for kind in WEIGHTS:
        for reduction in REDUCTIONS:
            parameters = case.parameters(rng)
            soft = bool(rng.integers(2))
            y, p = draw(case, rng, size, dtype, parameters, soft)
            y = y.astype(rng.choice(["d", "f"]) if soft else rng.choice(["b", "l", "e", "f", "d"]))
            w = weights(rng, size, kind)
            if w is not None and size and np.sum(w) == 0:
                w[0] = 1
            compare(case, parameters, reduction, y, p, w)


@every_case
@every_dtype
@pytest.mark.parametrize("size", LARGE)
def test_large_sizes(case, dtype, size):
    rng = seeded(case.name, dtype, size)
    for reduction in REDUCTIONS:
        parameters = case.parameters(rng)
        soft = bool(rng.integers(2))
        y, p = draw(case, rng, size, dtype, parameters, soft)
        y = y.astype(rng.choice(["d", "f"]) if soft else rng.choice(["b", "l", "e", "f", "d"]))
        w = weights(rng, size, str(rng.choice(WEIGHTS)))
        compare(case, parameters, reduction, y, p, w, n_threads=int(rng.choice([1, 2, 3, 7])))


@every_case
@every_dtype
@pytest.mark.parametrize("seed", range(12))
def test_many_parameters(case, dtype, seed):
    rng = seeded(case.name, dtype, "parameters", seed)
    for _ in range(6):
        parameters = case.parameters(rng)
        y, p = draw(case, rng, 200, dtype, parameters)
        compare(case, parameters, "none", y, p, weights(rng, 200, str(rng.choice(WEIGHTS))))
        compare(case, parameters, str(rng.choice(REDUCTIONS)), y, p, None)


@pytest.mark.parametrize("name", ["ContrastiveLoss", "LogLoss"])
def test_more_than_a_task_of_chunks_each(name):
    # 1024 partial sums are kept: beyond 2**23 elements each is of several chunks
    case, size = CASES[name], 1024 * 8192 + 8193
    rng = seeded(name)
    y, p = np.tile(rng.random(1 << 16).astype(np.float32), (2, 130))[:, :size]
    y = np.round(y)
    results = [case.loss().value(y, p, n_threads=k) for k in (1, 2, 7)]
    elements = case.loss(reduction="none").value(y, p)
    assert_sum(results[0], elements.mean(dtype=np.float64), results[0], np.float32)
    assert results[1:] == results[:1] * 2


PROBABILITIES = {
    "usual": lambda rng, y: rng.random(y.size),
    "good": lambda rng, y: np.abs(1 - y - rng.random(y.size) * 10 ** -rng.uniform(2, 6)),
    "very good": lambda rng, y: np.abs(1 - y - 10 ** -rng.uniform(6, 15, size=y.size)),
    "perfect": lambda rng, y: y,
    "bad": lambda rng, y: np.abs(y - 10 ** -rng.uniform(6, 15, size=y.size)),
    "constant": lambda rng, y: np.full(y.size, rng.choice([0.5, 1e-3, 1 - 2**-10])),
    "denormal": lambda rng, y: np.full(y.size, 1e-310),
    "smallest float32": lambda rng, y: np.full(y.size, 1e-45),
    "one bad": lambda rng, y: np.where(np.arange(y.size) == y.size // 2, 1 - y, y),
    "clipped": lambda rng, y: np.abs(y - rng.choice([0.0, 1.0, -3.0, 1e-9], size=y.size)),
}


@pytest.mark.parametrize("kind", PROBABILITIES)
@every_dtype
@pytest.mark.parametrize("labels", ["classes", "ones", "zeros", "soft", "one soft"])
def test_log_loss_sums_of_every_kind_of_block(kind, dtype, labels):
    # the logs of a block may be summed as the log of a product: where that is accurate
    for n in (1, 15, 100, 1024, 2500, 9000):
        rng = seeded(kind, dtype, labels, n)
        y = {"ones": np.ones(n), "zeros": np.zeros(n), "soft": rng.random(n)}.get(
            labels, rng.integers(0, 2, n).astype(float))
        if labels == "one soft":
            y[int(rng.integers(n))] = 0.25
        y = y.astype(dtype).astype(float)
        p = PROBABILITIES[kind](rng, np.round(y)).astype(dtype)
        for eps in (1e-7, 0.0, "auto", 2.0**-6):
            loss = fl.LogLoss(eps=eps, reduction="sum")
            elements = fl.LogLoss(eps=eps, reduction="none").value(y, p).astype(float)
            expected = CASES["LogLoss"].reference(eps=eps, reduction="none").value(y, p)
            ulps = CASES["LogLoss"].ulps[dtype][0]
            assert_ulp(elements.astype(dtype), expected, ulps, eps=eps, y=y, p=p)
            total = np.sum(expected)
            for value in (loss(y, p), loss.value_and_grad(y, p)[0], loss.partial(y, p).result()):
                assert_sum(value, float(total), abs(total), dtype, eps=eps, n=n)


@every_case
@every_dtype
@pytest.mark.parametrize("size", [1, 17, 1025, 8193, 16384, 65537, 70_001])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_threads_and_outputs_give_the_same_bits(case, dtype, size, reduction):
    rng = seeded(case.name, dtype, size, reduction)
    parameters = case.parameters(rng)
    loss = case.loss(**parameters, reduction=reduction)
    y, p = draw(case, rng, size, dtype, parameters)
    for w in (None, weights(rng, size, "float64")):
        expected = all_results(loss, y, p, w, n_threads=1)
        for n_threads in (None, 2, 3, 7):
            assert_same_bits(all_results(loss, y, p, w, n_threads=n_threads), expected,
                             f"{n_threads} threads")
        f, g, h = np.full((3, size), 7, dtype)
        assert loss.grad(y, p, w, out=g) is g
        assert_same_bits(g, expected[1], "out")
        g[:] = 7
        grad, hess = loss.grad_and_hess(y, p, w, out=(g, h))
        assert grad is g
        assert hess is h
        assert_same_bits((g, h), expected[1:], "out of grad_and_hess")
        if reduction == "none":
            loss.value(y, p, w, out=f)
            assert_same_bits(f, expected[0], "out of value")
            f[:], g[:] = 7, 7
            loss.value_and_grad(y, p, w, out=(f, g))
            assert_same_bits((f, g), expected[:2], "out of value_and_grad")
        else:
            g[:] = 7
            value, grad = loss.value_and_grad(y, p, w, out=g)
            assert grad is g
            assert_same_bits((value, g), expected[:2], "out of value_and_grad")


@every_dtype
def test_threads_give_the_same_bits_of_sums_that_cancel(dtype):
    # sums that keep their rounding errors hide their order, but for these
    rng = seeded("cancel", dtype)
    for n in (20_000, 70_001, 300_000):
        third = n // 3
        p = rng.random(third).astype(dtype)
        large = rng.random(third) * 10.0 ** rng.uniform(10, 25, size=third)
        order = rng.permutation(3 * third)
        p = np.tile(p, 3)[order]
        w = np.concatenate([large, -large, rng.random(third)])[order]
        y = np.zeros(p.size)
        loss = fl.AbsoluteLoss(reduction="sum")
        expected = loss.partial(y, p, w, n_threads=1)
        assert expected.loss_sum != 0
        for n_threads in (2, 3, 5, 7, 1):
            part = loss.partial(y, p, w, n_threads=n_threads)
            assert part == expected
            for reduction in ("mean", "sum"):
                grads = [loss.replace(reduction=reduction).grad(y, p, w, n_threads=k)
                         for k in (1, n_threads)]
                assert_same_bits(grads[1], grads[0])


@every_case
@every_dtype
@pytest.mark.parametrize("size", [3, 1024, 8193])
def test_labels_of_all_dtypes_give_the_same_bits(case, dtype, size):
    rng = seeded(case.name, dtype, size)
    parameters = case.parameters(rng)
    p = case.draw_p(rng, size, parameters).astype(dtype)
    y = rng.integers(0, 2, size=size).astype(float)
    w = rng.integers(0, 2, size=size).astype(float)
    w[0] = 1
    loss = case.loss(**parameters, reduction=str(rng.choice(REDUCTIONS)))
    expected = all_results(loss, y, p)
    expected_w = all_results(loss, y, p, w)
    for letter in LETTERS:
        assert_same_bits(all_results(loss, y.astype(letter), p), expected, f"labels {letter}")
        got = all_results(loss, y, p, w.astype(letter))
        assert_same_bits(got, expected_w, f"weights {letter}")


@pytest.mark.parametrize("dtype", [np.float16, *DTYPES])
@pytest.mark.parametrize("letter", LETTERS)
def test_labels_are_rounded_once_as_numpy_does(dtype, letter):
    # |y - 0| shows the number that was read
    if letter in "efd":
        y = np.array([0.1, -0.1, 1 / 3, 6e-8, -6e-5, 65504, np.inf, -np.inf, np.nan, -0.0], letter)
        if letter == "d":
            y = np.append(y, [1 + 2**-24, 1 + 2**-24 + 2**-50, 1e39, 1e-46, 1e-40])
    elif letter == "?":
        y = np.array([True, False])
    else:
        low, high = np.iinfo(letter).min, np.iinfo(letter).max
        y = np.array([low, low + 1, 0, 1, 77, high // 3, high - 1, high], letter)
    p = np.zeros(y.size, dtype)
    with np.errstate(over="ignore"):
        expected = y.astype(np.float64 if dtype == np.float64 else np.float32)
    got = -fl.SquaredLoss(reduction="none").grad(y, p) / 2
    assert got.dtype == expected.dtype
    with np.errstate(over="ignore"):
        assert_same_bits(got + 0.0, 2 * expected / 2 + 0.0, letter)


def test_every_float16_is_read_exactly():
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    with np.errstate(invalid="ignore"):     # NumPy's, of signalling NaN
        expected = halves.astype(np.float32)
        doubled = -2 * expected.astype(np.float64) + 0.0
    for p in (halves, halves.astype(halves.dtype.newbyteorder()), np.repeat(halves, 2)[::2]):
        got = fl.AbsoluteLoss(reduction="none").value(np.zeros(p.size), p)
        assert_same_bits(got + 0.0, np.abs(expected))
        got = fl.SquaredLoss(reduction="none").grad(p, np.zeros(p.size))
        assert_same_bits(got, doubled)
