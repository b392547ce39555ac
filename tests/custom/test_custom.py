"""Losses of formulas: the numbers of the built-in ones, by the same path; vectorised loops."""

import math
import re
import sys
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
from formulas import define, results_of
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import misaligned, read_only, reverse, strided, swapped
from numerics import all_results, assert_same_bits, assert_ulp

numba = pytest.importorskip("numba", reason="Numba is not installed")
ROOT = Path(__file__).resolve().parents[2]
if not (ROOT / "bench").exists():
    pytest.skip("the formulas are those of the checkout's bench/ folder", allow_module_level=True)
sys.path.append(str(ROOT))

from bench.custom import ALGEBRAIC, OTHERS, main  # noqa: E402
from fastloss.custom import _code, _compile, loss  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTLOSS_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


RNG = np.random.default_rng(0)
NAMES = [f"{pair.name}, {i}" for i, pair in enumerate((*ALGEBRAIC, *OTHERS))]
CUSTOM = {}


def custom_of(pair, reduction="none"):
    """Return a formula as a loss, compiled once."""
    if pair not in CUSTOM:
        CUSTOM[pair] = pair.custom()
    return CUSTOM[pair].replace(reduction=reduction)


def samples(pair, rng, dtype):
    """Return targets and predictions with every kink of the losses, and numbers around it."""
    y, p = pair.data(rng, 3000, dtype)
    corners = np.array([0, -0.0, 0.5, 1, 1.5, 2, -1, -1.5, 3], dtype)
    corners = np.concatenate([corners, *(np.nextafter(corners, dtype(to)) for to in (-9, 9))])
    labels = np.unique(y) if pair.labels != "reals" else corners
    grid = np.array([(a, b) for a in labels for b in [*corners, *(a + corners), *(a - corners)]],
                    dtype)
    return np.concatenate([y, grid[:, 0]]), np.concatenate([p, grid[:, 1]])


def terms_of(pair, y, p):
    """Return of which size the terms are that value, gradient and hessian are the sum of."""
    e = np.abs(np.float64(p) - y)
    value = {"HuberLoss": lambda: 1.5 * e + 2, "PseudoHuberLoss": lambda: 1.5 * (e + 1.5),
             "PinballLoss": lambda: np.abs(y) + np.abs(p),
             "ContrastiveLoss": lambda: 1 + p * p}.get(pair.name, lambda: 0 * e)()
    return np.float64(value), 0, 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("pair", ALGEBRAIC, ids=NAMES[:len(ALGEBRAIC)])
def test_formulas_are_the_built_in_losses(pair, dtype):
    y, p = samples(pair, np.random.default_rng(1), dtype)
    ours = pair.ours.replace(reduction="none")
    expected = (*ours.value_and_grad(y, p), ours.grad_and_hess(y, p)[1])
    results = all_results(custom_of(pair), y, p)
    terms = terms_of(pair, y, p)
    for what, a, b, size in zip("fgh", results, expected, terms, strict=True):
        assert a.dtype == dtype
        assert_ulp(a, b, 4, terms=size, y=y, p=p, what=what)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("pair", OTHERS, ids=NAMES[len(ALGEBRAIC):])
def test_exponentials_and_logarithms(pair, dtype):
    y, p = pair.data(np.random.default_rng(2), 200, dtype)
    made = custom_of(pair)
    results = all_results(made, y, p)
    with mp.workdps(40):
        exact = [results_of(made.formula, yi, pi) for yi, pi in
                 zip(y.tolist(), p.tolist(), strict=True)]
    size = 1 + np.abs(p) + np.abs(y * p) + np.exp(p)
    for a, b in zip(results, zip(*exact, strict=True), strict=True):
        assert_ulp(a, np.array(b, float), 4, terms=size, y=y, p=p)


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(ALGEBRAIC), st.floats(-1e6, 1e6, width=32), st.floats(-1e6, 1e6, width=32),
       st.floats(0.01, 100))
def test_any_parameters_and_numbers(pair, y, p, parameter):
    if pair.labels != "reals":
        y = 1.0 if y > 0 else -1.0 if pair.labels == "signs" else 0.0
    value = {name: parameter if name not in ("quantile", "level") else parameter / 101
             for name in pair.parameters}
    results = all_results(custom_of(pair).replace(**value), [y], [p])
    ours = pair.ours.replace(reduction="none", **value)
    e = abs(p - y)
    delta = value.get("delta", 1)
    size = {"HuberLoss": delta * (e + delta), "PseudoHuberLoss": delta * (e + delta),
            "ContrastiveLoss": p * p + parameter**2}.get(pair.name, 0)
    expected = (*ours.value_and_grad([y], [p]), ours.grad_and_hess([y], [p])[1])
    for a, b, terms in zip(results, expected, (size, 0, 0), strict=True):
        assert_ulp(a, b, 6, terms=terms, y=y, p=p, value=value)


# ---- the path is that of every loss -----------------------------------------------------


@pytest.fixture(scope="module")
def huber():
    return custom_of(ALGEBRAIC[2], "mean")


@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "sum_over_batch_size"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_bits_in_every_layout_and_for_every_number_of_threads(huber, dtype, reduction):
    rng = np.random.default_rng(3)
    made = huber.replace(reduction=reduction)
    for n in (0, 1, 7, 130, 1025, 70_000):
        y, p, w = (rng.normal(size=n).astype(dtype) * 3 for _ in range(3))
        with np.errstate(all="raise"):
            expected = all_results(made, y, p, w)
        for change in (strided, reverse, swapped, misaligned, read_only):
            assert_same_bits(all_results(made, *map(change, (y, p, w))), expected, change)
        if n > 1000:
            for n_threads in (1, 2, 3, 7):
                assert_same_bits(made.value_and_grad(y, p, w, n_threads=n_threads), expected[:2])
        out = strided(np.zeros(n))
        assert made.grad(y, p, w, out=out) is out
        assert_same_bits(out.astype(dtype), expected[1])


def test_numbers_are_those_of_the_built_in_kernels_path(huber):
    rng = np.random.default_rng(4)
    ours = ALGEBRAIC[2].ours
    shape = 300, 200
    y, p, w = rng.integers(-3, 4, shape), rng.normal(size=shape) * 3, rng.random(shape)
    for reduction in ("mean", "sum", "none", "sum_over_batch_size"):
        for weight in (None, w):
            assert_same_bits(all_results(huber.replace(reduction=reduction), y, p, weight),
                             all_results(ours.replace(reduction=reduction), y, p, weight))
    parts = huber.partial(y[:9], p[:9], w[:9]) + huber.partial(y[9:], p[9:], w[9:])
    assert parts.result() == pytest.approx(huber(y, p, w), rel=1e-15)
    assert isinstance(huber([1], [2.0]), float)
    half = p.astype(np.float16)
    assert huber.grad(y, half).dtype == np.float32
    with pytest.raises(ValueError, match="y_true and y_pred must have the same shape"):
        huber(y[0], p)
    with pytest.raises(TypeError, match="y_pred"):
        huber(y, p.astype(complex))
    with pytest.raises(ValueError, match="out"):
        huber.grad(y, p, out=np.zeros(3))


@pytest.mark.parametrize("pair", ALGEBRAIC, ids=NAMES[:len(ALGEBRAIC)])
def test_nan_comes_out_where_the_formula_lets_it(pair):
    parameters = [getattr(pair.ours, name) for name in pair.parameters]
    for dtype in (np.float32, np.float64):
        y, p = np.array([(np.nan, 1), (1, np.nan), (0, np.nan), (np.nan, 0.5)], dtype).T
        with np.errstate(all="ignore"):
            expected = [pair.formula(*each, *parameters)
                        for each in zip(y.tolist(), p.tolist(), strict=True)]
        value, *derivatives = all_results(custom_of(pair), y, p)
        np.testing.assert_array_equal(value, np.array(expected, dtype))
        for result in derivatives:
            np.testing.assert_array_equal(np.isnan(result), np.isnan(value))


@pytest.mark.parametrize("text, value, slope, curvature", [
    ("0.0 if y != y else (p - y) ** 2", 0, 0, 0),
    ("0.0 if math.isnan(y) else abs(p - y) / 3", 0, 0, 0),
    ("np.where(np.isnan(y), p * p, (p - y) ** 2)", 4, 4, 2),
    ("(p - y) ** 2 if y == y else 0.5 * p * p", 2, 2, 1),
    ("(p - y) ** 2 if np.isfinite(y) else 1.0", 1, 0, 0),
    ("p if p > 0 else 0", 2, 1, 0),
    ("np.fmax(y, p * p)", 4, 4, 2),
    ("max(0, p - y)", 0, 0, 0),
    ("max(p - y, 0)", np.nan, np.nan, np.nan),
    ("np.maximum(0, p - y)", np.nan, np.nan, np.nan),
    ("np.clip(p, y, 3)", np.nan, np.nan, np.nan),
    ("np.clip(y, 0, 1) * p", np.nan, np.nan, np.nan),
    ("math.hypot(1, p - y)", np.nan, np.nan, np.nan),
    ("np.logaddexp(p, y)", np.nan, np.nan, np.nan),
    ("3 * (p - y)", np.nan, np.nan, np.nan),
])
def test_what_a_formula_makes_of_a_missing_target(text, value, slope, curvature):
    made = loss(define(f"lambda y, p: {text}", math=math, np=np), reduction="none")
    for dtype in (np.float32, np.float64):
        found = all_results(made, *np.array([(np.nan, 2)], dtype).T)
        np.testing.assert_array_equal(np.ravel(found), [value, slope, curvature])


def test_more_parameters_than_there_is_room_for():
    names = [f"k{i}" for i in range(15)]
    text = f"lambda y, p, {', '.join(names)}: p * ({' + '.join(names)}) + k13 * p * p"
    made = loss(define(text), **{name: 2.0**i for i, name in enumerate(names)})
    assert made.grad([0.0], [0.0]) == [2.0**15 - 1]
    other = made.replace(k14=0.0, k1=0.0)
    assert other.grad_and_hess([0.0], [1.0]) == (2.0**14 - 3 + 2.0**14, 2.0**14)
    assert made.grad([0.0], [0.0]) == [2.0**15 - 1]


def test_more_exponentials_than_are_called_for_blocks():
    terms = [f"math.exp({k / 8} * p) * math.log1p(math.exp({k / 8} * y))" for k in range(1, 12)]
    made = loss(define(f"lambda y, p: {' + '.join(terms)}", math=math), reduction="none")
    y, p = RNG.normal(size=(2, 1500))
    exact = [np.exp(k / 8 * p) * np.log1p(np.exp(k / 8 * y)) for k in range(1, 12)]
    for order, result in enumerate(all_results(made, y, p)):
        expected = sum((k / 8) ** order * term for k, term in enumerate(exact, 1))
        np.testing.assert_allclose(result, expected, rtol=4e-15)


def test_tanh_is_exact_far_out_and_close_to_0():
    made = loss(define("lambda y, p: math.tanh(p - y)", math=math), reduction="none")
    for dtype in (np.float32, np.float64):
        p = np.array([0, 1e-20, -1e-5, 0.3, -2, 8, -15, 30], dtype)
        with mp.workdps(60):
            slope = [mp.sech(x) ** 2 for x in map(mp.mpf, p.tolist())]
            exact = [list(map(mp.tanh, p.tolist())), slope,
                     [-2 * mp.tanh(x) * s for x, s in zip(p.tolist(), slope, strict=True)]]
        for a, b in zip(all_results(made, np.zeros_like(p), p), exact, strict=True):
            assert_ulp(a, np.array(b, float), 8, p=p)
    for result, value in zip(all_results(made, [0, 0], [np.inf, -np.inf]), (1, 0, 0), strict=True):
        assert (np.abs(result) == value).all()


def test_parameters_alone_are_computed_in_double():
    made = loss(define("lambda y, p, a, b: (a - b) * p"), a=1.0, b=1.0 - 2**-40)
    assert made.grad([0], np.float32([1])) == np.float32(2**-40)


def test_every_function_compiles_and_agrees():
    text = ("def f(y, p):\n    a = p * p + 0.5\n    s = np.floor(a) + np.ceil(a) + np.trunc(a)\n"
            + "".join(f"    s = s + {'np' if name == 'log2' else 'math'}.{name}(0.3 * a + 0.1)\n"
                      for name in ("sqrt", "exp", "expm1", "log", "log1p", "log2", "log10", "sin",
                                   "cos", "tan", "sinh", "cosh", "tanh", "asin", "acos", "atan",
                                   "asinh", "atanh", "erf", "erfc"))
            + "    s = s + math.acosh(a + 1.5) + a ** 1.7 + 2 ** a + math.lgamma(y) + np.sign(p)\n"
            "    s = s + math.gamma(y) * math.hypot(a, y) * math.isfinite(p) + np.isnan(p)\n"
            "    return s * np.logaddexp(a, y)")
    made = loss(define(text, math=math, np=np), reduction="none")
    for dtype, ulps in ((np.float32, 16), (np.float64, 16)):
        y, p = np.array([(2.5, 0.3), (1.25, -0.9), (0.5, 1.1)], dtype).T
        exact = [results_of(made.formula, *map(float, each)) for each in zip(y, p, strict=True)]
        for a, b in zip(all_results(made, y, p), zip(*exact, strict=True), strict=True):
            assert_ulp(a, np.array(b, float), ulps)


# ---- loops ------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", [pair for pair in (*ALGEBRAIC, *OTHERS) if pair.name in (
    "HuberLoss", "PseudoHuberLoss", "ModifiedHuberLoss", "AbsolutePercentageLoss",
    "ContrastiveLoss", "LogLoss")], ids=lambda pair: pair.name)
def test_loops_are_vectorised_and_float32_stays_float32(pair):
    made = custom_of(pair)
    source = _code.source(made.formula, made.values, {"version": "", "numba": ""})
    loops = _compile._with_numba(source, "test")
    assert len(loops._functions) == len(_code.NAMES) == len(loops.addresses) == 8
    for name, function in zip(_code.NAMES, loops._functions, strict=True):
        text = function._library.get_llvm_str()
        real = "float" if "32" in name else "double"
        stores = re.findall(rf"store <(\d+) x {real}>", text)
        assert stores and int(stores[0]) >= 2, f"{name} is not vectorised"
        assert max(map(int, stores)) * (4 if real == "float" else 8) <= 32, name
        computed = set(re.findall(r"= f(?:add|sub|mul|div|cmp \w+) <\d+ x (\w+)>", text))
        assert computed == {real}, name
        assert not re.search(r"call .*@(llvm\.)?(exp|log)", text), f"{name} calls the C library"


def test_the_bench_runs(capsys):
    main(["--size", "1000", "--rounds", "1", "--losses", "HuberLoss"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all(line.count("×") == 3 for line in lines[2:])
