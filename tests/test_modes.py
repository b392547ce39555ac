"""Results do not depend on the mode of floating-point arithmetic that a thread was left in."""

import numpy as np
import pytest
from cases import CASES, draw, seeded
from fpmode import flushed, flushes, is_known, rounded_up, rounds_up
from layouts import swapped
from numerics import all_results, assert_same_bits
from rows import all_of_rows

import fastloss as fl

pytestmark = pytest.mark.skipif(not is_known(), reason="modes are changed through glibc's fenv_t")
MODES = {"flushed": (flushed, flushes), "rounded up": (rounded_up, rounds_up)}
every_mode = pytest.mark.parametrize("mode", MODES)

HALVES = np.arange(1 << 16, dtype=np.uint16).view(np.float16)


def same_in(mode, compute):
    """Check that a computation gives the same bits in a mode, and leaves the mode as it is."""
    enter, is_so = MODES[mode]
    expected = compute()
    with enter():
        assert is_so()
        got = compute()
        assert is_so(), "the caller's mode was changed"
    assert not is_so()
    assert_same_bits(got, expected)
    return expected


@every_mode
@pytest.mark.parametrize("layout", [np.array, swapped])
def test_halves(mode, layout):
    # the result in float32 is the half itself; in float64 too
    loss = fl.AbsoluteLoss(reduction="none")
    zero = np.zeros(HALVES.size, np.float16)
    halves = layout(HALVES)
    f = same_in(mode, lambda: loss.value(zero, halves))
    assert_same_bits(f, np.abs(HALVES.astype(np.float32)))
    f = same_in(mode, lambda: loss.value(halves, zero.astype(np.float64)))
    assert_same_bits(f, np.abs(HALVES.astype(np.float64)))
    f = same_in(mode, lambda: loss.value(zero, np.ones_like(zero), halves))
    assert_same_bits(f, HALVES.astype(np.float32))


@every_mode
def test_log_loss_of_a_small_half(mode):
    value = same_in(mode, lambda: fl.log_loss([1], np.array([3e-5], np.float16)))
    assert value == pytest.approx(-np.log(float(np.float16(3e-5))), rel=1e-6)


@every_mode
@pytest.mark.parametrize("dtypes", ["eee", "fff", "ddd", "fdf", "dfe", "edd"])
@pytest.mark.parametrize("name", ["SquaredLoss", "AbsoluteLoss", "ContrastiveLoss", "LogLoss",
                                  "GammaLoss", "TweedieDevianceLoss"])
def test_denormal_numbers_and_results(mode, dtypes, name):
    rng = seeded(mode, dtypes, name)
    n = 30_000                   # tasks for a team
    parameters = CASES[name].parameters(rng)
    y, p = draw(CASES[name], rng, n, np.float64, parameters)
    arrays = []
    for array, kind in zip((y, p, rng.random(n)), dtypes, strict=True):
        least = float(np.finfo(kind).smallest_subnormal)
        some = rng.random(n) < 0.2
        array[some] = (rng.integers(1, 2000, n) * least)[some]
        with np.errstate(over="ignore"):
            arrays.append(array.astype(kind))
    for reduction in ("mean", "none"):
        loss = CASES[name].loss(**parameters, reduction=reduction)
        by_count = [same_in(mode, lambda loss=loss, k=k: all_results(loss, *arrays, n_threads=k))
                    for k in (1, 2, 3)]
        assert_same_bits(by_count[1], by_count[0], "two threads")
        assert_same_bits(by_count[2], by_count[0], "three threads")


@every_mode
def test_a_mean_that_is_a_denormal_number(mode):
    tiny = np.full(1000, 1e-310)
    value = same_in(mode, lambda: fl.absolute_loss(np.zeros(1000), tiny))
    assert value == pytest.approx(1e-310, rel=1e-12, abs=0)
    grad = same_in(mode, lambda: fl.AbsoluteLoss().grad(np.zeros(1000), np.ones(1000), tiny))
    assert grad == pytest.approx(np.full(1000, 1e-3), rel=1e-10, abs=0)


@every_mode
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("classes", [3, 400])
def test_rows(mode, dtype, classes):
    rng = seeded(mode, dtype, classes)
    n = 2 * 8192 // classes + 50
    z = rng.normal(size=(n, classes)) * 30
    z[rng.random(z.shape) < 0.2] = np.finfo(dtype).smallest_subnormal
    y, w = rng.integers(0, classes, n), rng.random(n)
    w[::3] = np.finfo(dtype).smallest_subnormal
    z, w = z.astype(dtype), w.astype(dtype)
    for reduction in ("mean", "none"):
        loss = fl.CrossEntropyLoss(reduction=reduction)
        same_in(mode, lambda loss=loss: all_of_rows(loss, y, z, w, n_threads=2))


@every_mode
def test_rows_that_belong_together(mode):
    rng = seeded(mode)
    a, b = (rng.normal(size=(2, 3000, 40)) * 1e-5).astype(np.float16)
    y, w = rng.integers(0, 2, 3000), rng.random(3000).astype(np.float16)
    loss = fl.PairContrastiveLoss()
    for k in (1, 2):
        value, grads = same_in(mode, lambda k=k: loss.value_and_grad(a, b, y, w, n_threads=k))
        assert value > 0
        assert len(grads) == 2


@every_mode
@pytest.mark.parametrize("name", ["BatchContrastiveLoss", "BatchTripletLoss", "SupConLoss"])
def test_batches_of_every_number_of_threads(mode, name):
    rng = seeded(mode, name)
    x = rng.normal(size=(700, 20)).astype(np.float32)
    x[rng.random(x.shape) < 0.3] *= np.float32(1e-40)
    labels = rng.integers(0, 9, 700)
    loss = getattr(fl, name)()
    with MODES[mode][0]():
        by_count = [loss.value_and_grad(x, labels, n_threads=k) for k in (1, 2, 3)]
    assert by_count[0][0] > 0
    assert_same_bits(by_count[1], by_count[0], "two threads")
    assert_same_bits(by_count[2], by_count[0], "three threads")
