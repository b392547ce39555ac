"""Every function of elementary.h, with the instructions of every SIMD level of this machine."""

import importlib
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mpmath
import numpy as np
import pytest
from numerics import assert_same_bits

from fastloss._core import simd_level

KERNELS = {level: importlib.import_module(f"fastloss.{simd_level.MODULES[level]}")
           for level in simd_level.AVAILABLE}

# What the error may be at most, in units of the last place of the true value.
BOUNDS = {
    "exp": (1.04, 1.05),
    "exp_negative": (1.02, 1.05),
    "expm1_negative": (0.99, 1.17),
    "exp_product": (1.06, 1.06),
    "log": (0.96, 0.87),
    "log1p": (1.53, 1.42),
    "log1p_unit": (1.53, 1.42),
    "log1m_half": (0.96, 0.89),
}
UNARY = [name for name in BOUNDS if name != "exp_product"]
NUMPY = {"exp": np.exp, "exp_negative": np.exp, "expm1_negative": np.expm1, "log": np.log,
         "log1p": np.log1p, "log1p_unit": np.log1p, "log1m_half": lambda x: np.log1p(-x)}
EXACT = {"exp": mpmath.exp, "exp_negative": mpmath.exp, "expm1_negative": mpmath.expm1,
         "log": mpmath.log, "log1p": mpmath.log1p, "log1p_unit": mpmath.log1p,
         "log1m_half": lambda x: mpmath.log1p(-x)}
# factors of exp_product: ln 2, 1 / ln 2, simple and odd ones, either sign
FACTORS = [np.log(2), 1 / np.log(2), 1.0, -0.5, 2.0, 1 / 3, 5.25, -1.0000001, -np.pi]
ALL_FLOATS = 1 << 32
CHUNK = 1 << 20

needs_long_double = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="long double is no wider than double here")


def apply(level, name, x, more=None, a=1.0):
    out = np.empty_like(x)
    KERNELS[level].mathematics(name, x, out, more, a)
    return out


@pytest.fixture(autouse=True, params=["without", "with"])
def levels(request, monkeypatch):
    """The levels without and with fused multiply-add, whose last bits may differ."""
    chosen = [level for level in KERNELS if (level == "baseline") == (request.param == "without")]
    if not chosen:
        pytest.skip("this processor has no level with fused multiply-add")
    monkeypatch.setattr(sys.modules[__name__], "LEVELS", chosen)


LEVELS: list[str] = []


def apply_everywhere(name, x, more=None, a=1.0):
    """Result of all levels that are tested: the same bits."""
    expected = apply(LEVELS[0], name, x, more, a)
    for level in LEVELS[1:]:
        actual = apply(level, name, x, more, a)
        # cheap, and of the millions of equal results it says nothing wrong
        if actual.tobytes() != expected.tobytes():
            assert_same_bits(actual, expected, f"{name} at {level}")
    return expected


def bound(name, dtype):
    return BOUNDS[name][0 if dtype == np.float32 else 1]


def in_domain(name, x):
    if name in ("exp_negative", "expm1_negative"):
        return x[~(x > 0)]
    if name == "log1p_unit":
        return x[(x >= 0) & (x <= 1)]
    if name == "log1m_half":
        return x[(x >= 0) & (x <= 0.5)]
    return x


def worst_error(name, x, actual, expected):
    """Check errors against the bound; `expected` has more digits than `actual`."""
    with np.errstate(all="ignore"):
        rounded = expected.astype(actual.dtype)
        off = (actual != rounded) & ~(np.isnan(actual) & np.isnan(rounded))
        error = np.abs(actual[off] - expected[off]) / np.spacing(np.abs(rounded[off]))
    bad = ~(error <= bound(name, actual.dtype))     # also where only one of two is NaN, or inf
    if bad.any():
        i = np.flatnonzero(off)[np.argmax(np.where(np.isnan(error), np.inf, error))]
        raise AssertionError(f"{name}({float(x[i])!r}) = {float(actual[i])!r}, expected "
                             f"{float(expected[i])!r}; {np.count_nonzero(bad)} off by more than "
                             f"{bound(name, actual.dtype)} ULP, the worst by {np.nanmax(error)}")


def float32_with_bits(start, stop, step=1):
    return np.arange(start, stop, step, dtype=np.uint64).astype(np.uint32).view(np.float32)


def check_float32(name, x):
    x = in_domain(name, x)
    with np.errstate(all="ignore"):
        expected = NUMPY[name](x.astype(np.float64))
    expected[np.abs(expected) < 2.0**-151] = 0      # what rounds to 0, slowly
    worst_error(name, x, apply_everywhere(name, x), expected)


@pytest.mark.parametrize("name", UNARY)
def test_a_million_of_all_float32(name):
    check_float32(name, float32_with_bits(0, ALL_FLOATS, 4099))


@pytest.mark.slow
@pytest.mark.parametrize("name", UNARY)
def test_all_float32(name):
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda at: check_float32(name, float32_with_bits(at, at + CHUNK)),
                      range(0, ALL_FLOATS, CHUNK)))


def random_float64(name, rng, count):
    """Doubles where the function does something, and at the edges of what it does."""
    small = 10.0 ** rng.uniform(-308, 0, count)
    unit = rng.random(count)
    x = {
        "exp": [rng.uniform(-746, 710, count), rng.normal(size=count), small, -small],
        "exp_negative": [-746 * unit, -unit, -small],
        "expm1_negative": [-unit, -60 * unit, -small, -(10.0 ** rng.uniform(-3, 2, count))],
        "log": [10.0 ** rng.uniform(-323, 308, count), 3 * unit, small,
                1 + rng.normal(size=count) * 10.0 ** rng.uniform(-16, -1, count)],
        "log1p": [10.0 ** rng.uniform(-16, 308, count), 3 * unit, small,
                  -(10.0 ** rng.uniform(-17, 0, count)), -unit],
        "log1p_unit": [unit, small, 10.0 ** rng.uniform(-16, 0, count)],
        "log1m_half": [unit / 2, small / 2, 10.0 ** rng.uniform(-16, -0.31, count)],
    }[name]
    return np.concatenate(x)


def check_float64(name, seed, count):
    x = random_float64(name, np.random.default_rng(seed), count)
    with np.errstate(all="ignore"):
        expected = NUMPY[name](x.astype(np.longdouble))
    worst_error(name, x, apply_everywhere(name, x), expected)
    return x.size


@needs_long_double
@pytest.mark.parametrize("name", UNARY)
def test_random_float64_against_long_double(name):
    assert check_float64(name, 5, 50_000) >= 150_000


@pytest.mark.slow
@needs_long_double
@pytest.mark.parametrize("name", UNARY)
def test_a_hundred_million_float64_against_long_double(name):
    with ThreadPoolExecutor(2) as pool:
        sizes = pool.map(lambda seed: check_float64(name, seed, 250_000), range(135))
        assert sum(sizes) > 100_000_000


@pytest.mark.parametrize("name", UNARY)
def test_float64_against_mpmath(name):
    x = random_float64(name, np.random.default_rng(6), 100)
    near = np.array([np.sqrt(0.5), np.sqrt(2), np.sqrt(0.5) - 1, np.sqrt(2) - 1, np.log(2) / 2,
                     -np.log(2) / 2, 1.5 * np.log(2), 5e-324, 2.2250738585072014e-308, 1.0])
    near = np.concatenate([near, np.nextafter(near, 0), np.nextafter(near, 2), -near])
    x = in_domain(name, np.concatenate([x, near]))
    x = x[x > 0] if name == "log" else x[x > -1] if name == "log1p" else x
    check_exactly(name, x, apply_everywhere(name, x), lambda i: EXACT[name](mpmath.mpf(x[i])))


def check_exactly(name, x, actual, exact):
    with mpmath.workdps(60):
        for i, result in enumerate(actual.tolist()):
            expected = exact(i)
            unit = np.spacing(np.abs(actual.dtype.type(expected))).item()
            error = float(abs(result - expected) / unit)
            assert error <= bound(name, actual.dtype), (name, x[i], result, error)


def product_inputs(seed, dtype, count):
    rng = np.random.default_rng(seed)
    a = FACTORS[seed % len(FACTORS)]
    low, high = (-104, 80) if dtype == np.float32 else (-745, 700)
    x = np.concatenate([rng.uniform(low, high, count),
                        rng.normal(size=count) * 10.0 ** rng.uniform(-10, 1, count)]) / a
    more = rng.uniform(-8, 8, x.size)
    return a, x.astype(dtype), more.astype(dtype)


def exact_product(a, x):
    """Product of doubles as the sum of two (Dekker)."""
    def halves(v):
        t = 134217729.0 * v
        high = t - (t - v)
        return high, v - high
    a_high, a_low = halves(a)
    x_high, x_low = halves(x)
    product = a * x
    rest = ((a_high * x_high - product) + a_high * x_low) + a_low * x_high
    return product, rest + a_low * x_low


def check_product(seed, dtype, count):
    a, x, more = product_inputs(seed, dtype, count)
    high, low = (v.astype(np.longdouble) for v in exact_product(a, x.astype(np.float64)))
    # the sum would round, twice as much as the bound allows
    expected = np.exp(high) * np.exp(low + more)
    worst_error("exp_product", x, apply_everywhere("exp_product", x, more, a), expected)
    return x.size


@needs_long_double
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exp_product_against_long_double(dtype):
    assert sum(check_product(seed, dtype, 10_000) for seed in range(len(FACTORS))) >= 180_000


@pytest.mark.slow
@needs_long_double
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_hundred_million_of_exp_product_against_long_double(dtype):
    with ThreadPoolExecutor(2) as pool:
        sizes = pool.map(lambda seed: check_product(seed, dtype, 250_000), range(201))
        assert sum(sizes) > 100_000_000


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(len(FACTORS)))
def test_exp_product_against_mpmath(seed, dtype):
    a, x, more = product_inputs(seed, dtype, 50)
    check_exactly("exp_product", x, apply_everywhere("exp_product", x, more, a),
                  lambda i: mpmath.exp(mpmath.mpf(a) * float(x[i]) + float(more[i])))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "x", "expected"), [
    ("exp", [0.0, -0.0, np.inf, -np.inf, 1e30, -1e30], [1, 1, np.inf, 0, np.inf, 0]),
    ("exp_negative", [0.0, -0.0, -np.inf, -1e30, -1e-30], [1, 1, 0, 0, 1]),
    ("expm1_negative", [0.0, -0.0, -np.inf, -1e30, -1e-30], [0, 0, -1, -1, -1e-30]),
    ("exp_product", [0.0, np.inf, -np.inf, 1e30, -1e30], [1, np.inf, 0, np.inf, 0]),
    ("log", [0.0, -0.0, 1.0, np.inf, -np.inf, -1.0, -1e-30, -1e30],
     [-np.inf, -np.inf, 0, np.inf] + 4 * [np.nan]),
    ("log1p", [-1.0, 0.0, np.inf, -np.inf, -2.0, -1e30, 1e-30], [-np.inf, 0, np.inf]
     + 3 * [np.nan] + [1e-30]),
    ("log1p_unit", [0.0, 1e-30], [0, 1e-30]),
    ("log1m_half", [0.0, 1e-30], [0, -1e-30]),
])
def test_special_values(name, x, expected, dtype):
    x = np.array(x, dtype)
    actual = apply_everywhere(name, x, np.zeros_like(x), 2.0)
    np.testing.assert_array_equal(actual, np.array(expected, dtype))


@pytest.mark.parametrize("name", ["exp", "exp_negative", "expm1_negative", "exp_product", "log",
                                  "log1p"])
def test_nan_of_any_payload_stays_nan(name):
    bits32 = np.array([0x7fc00000, 0xffc00000, 0x7f800001, 0xff800001, 0x7fffffff], np.uint32)
    bits64 = np.array([0x7ff8 << 48, 0xfff8 << 48, (0x7ff0 << 48) + 1, (0xfff0 << 48) + 1,
                       (1 << 63) - 1], np.uint64)
    for x in (bits32.view(np.float32), bits64.view(np.float64)):
        assert np.isnan(apply_everywhere(name, x, np.zeros_like(x), 0.7)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", BOUNDS)
def test_the_rest_of_a_vector_is_computed_alike(name, dtype):
    x = np.linspace(-0.5, -0.1, 80, dtype=dtype) * (1 if name.endswith("negative") else -1)
    whole = apply_everywhere(name, x)
    for size in range(x.size):
        assert_same_bits(apply_everywhere(name, x[:size]), whole[:size], f"{name}, {size}")
    assert np.unique(whole).size == x.size


def test_smallest_denormal_results():
    for dtype, low in ((np.float32, -103.5), (np.float64, -744.9)):
        least = np.finfo(dtype).smallest_subnormal
        x = np.full(3, low, dtype)
        np.testing.assert_array_equal(apply_everywhere("exp", x), least)
        np.testing.assert_array_equal(apply_everywhere("exp_negative", x), least)
        np.testing.assert_array_equal(apply_everywhere("exp_product", x / 2, 0 * x, 2.0), least)
        np.testing.assert_array_equal(apply_everywhere("log1p", np.full(3, least)), least)


@pytest.mark.parametrize(("arguments", "error", "message"), [
    (("sin", np.ones(3), np.ones(3)), ValueError, "no function 'sin'"),
    (("exp", np.ones(3), np.ones(4)), ValueError, "one type and size"),
    (("exp", np.ones(3, "f"), np.ones(3)), ValueError, "one type and size"),
    (("exp", np.ones(3, ">f8"), np.ones(3)), TypeError, "float32 or float64"),
    (("exp", np.ones(6)[::2], np.ones(3)), ValueError, "contiguous"),
])
def test_unsuitable_arrays_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        KERNELS["baseline"].mathematics(*arguments)


def test_the_header_states_the_bounds():
    header = Path(__file__).resolve().parents[1] / "fastloss/_core/simd/elementary.h"
    if not header.exists():
        pytest.skip("tests run without the checkout's sources")
    stated = re.findall(r"^ \* {5}\S.* ([\d.]+) +([\d.]+)$", header.read_text(), re.MULTILINE)
    assert [(float(a), float(b)) for a, b in stated] == list(BOUNDS.values())
