"""Derivatives where operations have kinks: the limit from both sides, or the convention."""

import math

import numpy as np
import pytest
from formulas import define
from numerics import all_results, assert_same_bits, assert_ulp

pytest.importorskip("numba", reason="Numba is not installed")

from generated import VERSIONS, functions_of, run

from fastloss.custom import _code, loss
from fastloss.custom._formula import formula_of

C, D = 3.0, 2.0
NAMES = {"math": math, "np": np}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTLOSS_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


def function_of(text):
    return define(f"def f(y, p, c={C}, d={D}):\n    e = p - y\n    return {text}", **NAMES)


def results_of(text, y, p):
    """Return value and derivatives as compiled code gives them, from the source it is made of."""
    names = functions_of(formula_of(function_of(text), frozenset()), (C, D))
    f = run(names, "value", y, p, (C, D))[0]
    return f, *run(names, "grad_and_hess", y, p, (C, D))[1:]


# smooth at e = 0, with this curvature, at a target of 7
SMOOTH = {
    "(abs(e) / 3) ** 2": 2 / 9,
    "(abs(e) / c) ** 2": 2 / 9,
    "(abs(e) / y) ** 2": 2 / 49,
    "abs(e) / c * (abs(e) / 7)": 2 / 21,
    "abs(0.3 * abs(e)) ** 2": 2 * 0.3**2,
    "(1 + abs(e) / 3) * (1 - abs(e) / 3)": -2 / 9,
    "c * c / 2 * math.log1p((abs(e) / c) ** 2)": 1,
    "math.tanh(abs(e) / c) ** 2": 2 / 9,
    "math.sqrt(1 + (abs(e) / c) ** 2)": 1 / 9,
    "1 - math.exp(-(abs(e) / c) ** 2)": 2 / 9,
    "abs(e) * math.tanh(abs(e) / 3)": 2 / 3,
    "c * (abs(e) - c * math.log1p(abs(e) / c))": 1,
    "abs(e) + math.log1p(math.exp(-2 * abs(e)))": 1,
    "math.sqrt(e * e / 7) ** 2": 2 / 7,
    "math.sqrt(e * e / 3 + abs(e) ** 2 / 2) ** 2": 5 / 3,
    "math.sqrt(math.sqrt(e ** 4 / 16)) ** 2": 1 / 2,
    "math.hypot(e, e / 2) ** 2": 2.5,
    "max(0, e * e)": 2,
    "max(0, abs(e) / 3) ** 2": 2 / 9,
    "min(2 * e * e, e * e)": 2,
    "np.maximum(e * e / 3, 0)": 2 / 3,
    "np.clip(e * e, 0, 1)": 2,
    "1 / (1 + abs(e) ** -2.0)": 2,
    "1 / (1 + 1 / (e * e))": 2,
    "abs(e) ** d": 2,
    "(abs(e) / 3) ** d": 2 / 9,
    "(abs(e) ** 1.5) ** (4 / 3)": 2,
    "((e * e) ** 0.75) ** (4 / 3)": 2,
    "0.0 if e == 0 else e ** 3 / e": 2,
    "(e * e if e > 0 else -3 * e) if e >= 0 else e * e": 2,
    "math.acosh(1 + e * e) ** 2": 4,
    "math.acos(1 / (1 + e * e)) ** 2": 4,
    "np.sign(e) * abs(e) * e / 3": 2 / 3,
    "(1 + np.sign(e) * abs(e) / 3) ** 2 - 2 * e / 3": 2 / 9,
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("text", SMOOTH)
def test_a_smooth_function_of_what_bends(text, dtype):
    y = np.full(4, 7, dtype)
    p = y.copy()
    _, grad, hess = results_of(text, y, p)
    assert (grad == 0).all()
    assert_ulp(hess, np.full(4, SMOOTH[text]), 2, text=text)


NEXT = [text for text in SMOOTH if "y" not in text and "acos" not in text and not any(
    part in text for part in ("math.sqrt(math", "1.5", "0.75", "log1p(math", "e ** 3", "/ (1 + 1",
                              "-2.0", "(abs(e) - c"))]      # the last: its third derivative is 2/3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("text", NEXT)
def test_next_to_it_squares_may_underflow(text, dtype):
    smallest = np.finfo(dtype).smallest_normal
    near = np.array([1e-8, 1e-10, 1e-20, smallest * 1e5 if dtype is np.float32 else 1e-200,
                     smallest], dtype)
    p = np.concatenate([near, -near])
    _, grad, hess = results_of(text, np.zeros_like(p), p)
    # that neither cancel nor have a value that underflows before it is squared
    if "1 +" not in text and "sqrt(e" not in text:
        assert_ulp(grad, SMOOTH[text] * np.float64(p), 8, text=text)
    assert_ulp(hess, np.full(p.shape, SMOOTH[text]), 4, text=text,
               terms=0 if dtype is np.float64 else 1e-7)


@pytest.mark.parametrize("text", ["math.sqrt(e * e / 7)", "math.sqrt(e * e / c)",
                                  "math.sqrt(e * e + abs(e) ** 2 / 3)", "((e / c) ** 2) ** 0.5",
                                  "math.sqrt(abs(e) ** 2 / y ** 2)"])
def test_the_root_of_a_square_has_no_curvature(text):
    e = np.array([1e-300, 1e-200, 1e-160, 1e-20, 1e-8, 1, 1e8, 1e160, 1e200])
    e = np.concatenate([e, -e])
    if "y" in text:
        y = np.full_like(e, 0.1)
        e = np.array([1e-17, 1e-10, 1, 1e9, 1e200] * 2 + [-1e-10, -1] * 4)
    else:
        y = np.zeros_like(e)
    _, grad, hess = results_of(text, y, y + e)
    slope = function_of(text)(float(y[0]), float(y[0]) + 1.0)
    assert_ulp(grad, np.sign((y + e) - y) * slope, 2, text=text)
    assert (hess == 0).all()


@pytest.mark.parametrize("text, slope, curvature", [
    ("abs(e)", 0, 0),
    ("abs(e) * e", 0, 0),
    ("abs(e) * e + (abs(e) / 3) ** 2", 0, 2 / 9),
    ("math.exp(abs(e) / 3)", 0, 1 / 9),
    ("max(e, 0)", 1, 0),
    ("max(0, e)", 0, 0),
    ("max(0, e) ** 2", 0, 0),
    ("max(e, 0) ** 2", 0, 2),
    ("(e if e > 0 else 0.5 * e) + e * e", 0.5, 2),
    ("(abs(e) if e > 0 else 2 * abs(e))", 0, 0),
    ("0.0 if e == 0 else abs(e)", 0, 0),
    ("abs(e) ** 1.5", 0, math.inf),
    ("abs(e) ** 1.5 - e", -1, math.inf),
    ("math.sqrt(abs(e))", 0, -math.inf),
    ("np.sign(e) * abs(e)", 1, 0),
    ("np.sign(e) + e", 1, 0),
    ("abs(abs(e) + e) - abs(e)", 1, 0),
    ("np.floor(e) * p", 0, 0),
    ("math.hypot(e, e / 2)", 0, 0),
    ("math.hypot(e + 2 * abs(e), abs(e))", (math.sqrt(10) - math.sqrt(2)) / 2, 0),
    ("math.hypot(abs(e), e + 2 * abs(e))", (math.sqrt(10) - math.sqrt(2)) / 2, 0),
    ("math.hypot(e + 2 * abs(e), e) ** 2", 0, 12),
    ("np.logaddexp(abs(e) + e, 2 * abs(e)) + max(0, e * e)", 0.5, 0.5),
    ("np.logaddexp(2 * abs(e), abs(e) + e) + max(0, e * e)", 0.5, 0.5),
])
def test_where_the_sides_differ_and_where_they_do_not(text, slope, curvature):
    _, grad, hess = results_of(text, *np.array([(0.0, 0.0), (0.5, 0.5)]).T)
    assert_ulp(grad, np.full(2, float(slope)), 1)
    assert_ulp(hess, np.full(2, curvature), 1) if math.isfinite(curvature) else (
        np.testing.assert_array_equal(hess, curvature))


@pytest.mark.parametrize("text", ["e * e / abs(e)", "1 / abs(e)", "math.log(abs(e))"])
def test_where_there_is_no_value_there_is_no_derivative(text):
    for result in results_of(text, np.zeros(1), np.zeros(1)):
        assert not np.isfinite(result).any()


@pytest.mark.parametrize("text, p, slope", [
    ("math.log(math.exp(0.5 * e) + math.sqrt(abs(e)) ** 4)", 0.0, 0.5),
    ("math.atan(1 / abs(e)) + abs(e)", 0.0, 0.0),
    ("math.erf(1 / (abs(e) + 0.0 * y)) + 2 * e", 0.0, 2.0),
    ("np.logaddexp(abs(e), -abs(e)) + 3 * e", 0.0, 3.0),
    ("max(0, math.asin(e) ** 2) + math.atanh(e)", 0.0, 1.0),
    ("max(0, math.sinh(e) * math.sin(e)) + math.cosh(e) * math.tan(e)", 0.0, 1.0),
    ("max(0, math.expm1(e) ** 2) + math.log2(1 + e) * math.log(2)", 0.0, 1.0),
    ("max(0, math.asinh(e) * math.atan(e)) + math.erfc(e)", 0.0, -2 / math.sqrt(math.pi)),
    ("max(0, (math.ceil(e + 0.5) - math.trunc(e + 1.5)) * e + e * e) + math.log10(10 + e)", 0.0,
     0.1 / math.log(10)),
    ("math.gamma(y + 3) * abs(e) ** 2 / 3 + math.lgamma(y + 3) * e", 0.0, math.log(2)),
    ("(p - 1) ** y * max(0, e * e) + e", 0.0, 1.0),
])
def test_all_functions_can_be_expanded(text, p, slope):
    grad = results_of(text, np.zeros(1), np.full(1, p))[1]
    assert_ulp(grad, np.full(1, slope), 4)


BOUNDS = [-math.inf, -2.0, -0.5, 0.0, 1.0, math.inf, math.nan]


def test_clip_and_logaddexp_are_those_of_numpy():
    pairs = np.array([(y, p) for y in BOUNDS for p in BOUNDS])
    y, p = pairs.T
    with np.errstate(all="ignore"):
        for text, expected in (
                ("np.logaddexp(y, p)", np.logaddexp(y, p)),
                ("np.logaddexp(p, 0)", np.logaddexp(p, 0)),
                ("np.clip(p, y, 0.5)", np.clip(p, y, 0.5)),
                ("np.clip(p, 1.5, -1)", np.clip(p, 1.5, -1)),
                ("np.clip(p, c, d - 4)", np.clip(p, C, D - 4)),
                ("np.clip(0.25 * p, p, y)", np.clip(0.25 * p, p, y)),
                ("np.clip(y, p, 2 * p + 1)", np.clip(y, p, 2 * p + 1))):
            value, grad, hess = results_of(text, y, p)
            np.testing.assert_allclose(value, expected, rtol=4e-16, err_msg=text)
            assert np.isnan(grad[np.isnan(value)]).all() and np.isnan(hess[np.isnan(value)]).all()
    _, grad, hess = results_of("np.clip(p, 1.5, -1)", np.zeros(3), np.array([-3.0, 0.5, 4.0]))
    assert (grad == 0).all() and (hess == 0).all()


def test_compiled_code_has_them():
    for text in ("(abs(e) / 3) ** 2", "c * c / 2 * np.log1p((abs(e) / c) ** 2)"):
        for dtype in (np.float32, np.float64):
            made = loss(function_of(text), reduction="none")
            y = np.repeat(np.array([0, 1, -2.5, 7], dtype), 700)
            p = y + np.tile(np.array([0, 0, 1e-3, 0], dtype), 700)
            expected = results_of(text, y, p)
            assert_same_bits(all_results(made, y, p), expected, text)
            (grad,), (hess,) = made.grad_and_hess(y[:1], p[:1])
            assert grad == 0 and hess == expected[2][0] > 0
            for n_threads in (1, 2):
                assert_same_bits(made.grad_and_hess(y, p, n_threads=n_threads), expected[1:])
            weighted = made.replace(reduction="sum").grad_and_hess(y, p, np.full_like(y, 0.5))
            assert_same_bits(weighted[1], expected[2] / 2)


@pytest.mark.parametrize("text", [
    "e * e", "math.sqrt(1 + e * e / 3)", "math.exp(p) - y * p", "np.logaddexp(0, p) - y * p",
    "math.tanh(e)", "math.log(math.cosh(e))", "math.hypot(1, e)", "e * e / (1 + p * p)",
    "p ** 3 / y + math.sin(p)"])
def test_formulas_without_kinks_have_loops_without_marks(text):
    made = formula_of(function_of(text), frozenset())
    assert made.kinks == (-1, -1)
    assert "marks" not in _code.source(made, (C, D), VERSIONS)


def test_what_is_right_anyway_is_not_looked_at():
    for text, first, second in (
            ("abs(e)", False, False), ("(e if e > 0 else c * e)", False, False),
            ("abs(e) * math.exp(p)", False, True), ("max(0, e * e)", True, True)):
        made = formula_of(function_of(text), frozenset())
        assert [i >= 0 for i in made.kinks] == [first, second], text


HUBER = "0.5 * e * e if abs(e) <= d else d * (abs(e) - 0.5 * d)"
TWO_PIECES = {   # with the kinks that there is nothing to look at in, whatever y and p are
    "max(0, 1 - y * p)": 0, "max(0, 1 - y * p) ** 2": 0, "np.maximum(0, 1 - y * p)": 0,
    "max(0, 1 - y * p) ** 2 if y * p >= -1 else -4 * y * p": 0, "np.clip(e, -1, 1) ** 2": 0,
    HUBER: 0, "max(d * e, (d - 1) * e)": 0, "max(0, abs(e) - d) ** 2": 0,
    "c * c / 6 * (1 - (1 - (e / c) ** 2) ** 3) if abs(e) <= c else c * c / 6": 0,
    "(abs(e) / 3) ** 2": 1, "max(0, e * e)": 1, "min(e * e, c)": 1,
    "max(0, e * e - 1) + min(e * e, 3 * abs(e))": 2,
}


@pytest.mark.parametrize("text", TWO_PIECES)
def test_loops_compare_no_more_than_they_need(text):
    made = formula_of(function_of(text), frozenset())
    *_, loop = _code.source(made, (C, D), VERSIONS).split("def grad_and_hess_float64")
    lines = [line for line in loop.splitlines() if line.lstrip().startswith("seen = seen")]
    assert sum(line.count("|") for line in lines) == TWO_PIECES[text]
    assert len(lines) == (TWO_PIECES[text] > 0)
    assert "\n        marks[i]" not in loop     # but where one of them is true


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("text, least, curvature", [
    (HUBER, 0.0, 0), (HUBER, 1e-60, None), ("max(0, abs(e) - d) ** 2", 0.0, 2),
    ("max(d * e, (d - 1e-9) * e) + e * e", 0.0, 2)])
def test_parameters_that_bring_kinks_together(text, least, curvature, dtype):
    names = functions_of(formula_of(function_of(text), frozenset()), (C, least))
    y = np.array([0.0, 1.0, 7.0, 0.5], dtype)
    _, _, hess = run(names, "grad_and_hess", y, y, (C, least))
    if curvature is None:   # 1 up to delta, which is 0 in single precision
        curvature = 1 if dtype is np.float64 else 0
    assert (hess == curvature).all()


@pytest.mark.parametrize("text", [
    "max(0, 1 - y * p) ** 2", "max(0, abs(e) - d) ** 2", HUBER, "np.clip(e, -1, 1) ** 2",
    "max(0, 1 - y * p) ** 2 if y * p >= -1 else -4 * y * p", "max(y, p) ** 2", "max(p, y) ** 2",
    "0.0 if y != y else e * e", "1.0 if p == p and y == y else e", "e if p == p or y == y else p",
    "p if y == y else p * e", "np.fmax(y, p) ** 2", "min(y * y, p) - p / 2",
    "y * y if e > 0 else p"])
def test_a_nan_makes_derivatives_nan_where_it_makes_the_value_nan(text):
    y, p = np.array([(a, b) for a in (math.nan, 0.5, -2.0, 3.0) for b in (math.nan, 1.0, -1.5)]).T
    value, grad, hess = results_of(text, y, p)
    lost = (np.isnan(y) | np.isnan(p)) & np.isnan(value)
    expected = [function_of(text)(float(a), float(b)) for a, b in zip(y, p, strict=True)]
    np.testing.assert_array_equal(np.isnan(value), np.isnan(expected))
    np.testing.assert_array_equal(np.isnan(grad), lost)
    np.testing.assert_array_equal(np.isnan(hess), lost)
