"""Formulas are read as Python runs them, and differentiated exactly: in mpmath, not compiled."""

import functools
import inspect
import math
import os
import random
import subprocess
import sys

import mpmath as mp
import numpy as np
import pytest
from formulas import define, results_of

pytest.importorskip("numba", reason="Numba is not installed")

from fastloss.custom import _functions
from fastloss.custom._derivatives import FUNCTIONS, STEPS
from fastloss.custom._formula import formula_of, text_of

NAMES = {"math": math, "np": np}


def formula(text, **names):
    return formula_of(define(text, **NAMES, **names), frozenset({"reduction"}))


def differences(formula, y, p, values=()):
    """Return value and derivatives of the formula's value, by differences in 150 digits."""
    with mp.workdps(150):
        step = mp.mpf("1e-40")
        low, mid, high = (results_of(formula, y, mp.mpf(p) + k * step, values)[0]
                          for k in (-1, 0, 1))
        return mid, (high - low) / (2 * step), (high - 2 * mid + low) / step**2


def assert_derivatives(made, y, p, values=()):
    with mp.workdps(150):
        ours = results_of(made, y, p, values)
        expected = differences(made, y, p, values)
        for name, a, b in zip("fgh", ours, expected, strict=True):
            # the formula's constants, 2 / sqrt(pi) say, are rounded to double
            assert abs(a - b) <= 1e-14 * abs(b) + 1e-30, (name, y, p, float(a), float(b))


# ---- derivatives ------------------------------------------------------------------------

# (x, dx/dp, d²x/dp²) is anything: x is bent, so that the chain rule is needed in full
RANGES = {
    "log": (0.1, 5), "log2": (0.1, 5), "log10": (0.1, 5), "log1p": (-0.9, 5), "sqrt": (0.1, 5),
    "asin": (-0.9, 0.9), "acos": (-0.9, 0.9), "atanh": (-0.9, 0.9), "acosh": (1.1, 5),
}
MORE = ["np.sqrt", "np.square", "np.abs", "np.fabs", "math.fabs", "np.exp2", "np.negative",
        "np.reciprocal", "abs", "float", "np.floor", "math.ceil", "np.trunc", "np.sign",
        "math.sqrt", "math.tanh"]


@pytest.mark.parametrize("name", [f"math.{name}" for name in FUNCTIONS if hasattr(math, name)]
                         + MORE)
def test_derivatives_of_functions(name):
    made = formula(f"lambda y, p: {name}(y + 0.3 * p + 0.1 * p * p) * (1 + p)")
    low, high = RANGES.get(name.rpartition(".")[2], (0.2, 2.5))
    for x, p in [(low + t * (high - low), q) for t in (0.02, 0.37, 0.98) for q in (-0.7, 0.6)]:
        assert_derivatives(made, x - 0.3 * p - 0.1 * p * p, p)


def test_all_functions_are_known():
    primitive = {*FUNCTIONS, *STEPS, "sqrt"}
    primitive -= {"expm1_negative", "direction"}    # of tanh, of derivatives
    known = {f.__name__ for f in _functions.FUNCTIONS}
    arc = {name: name.replace("a", "arc", 1) for name in primitive if name[0] == "a"}
    assert {name for name in primitive if name not in known and arc.get(name) not in known} == set()


@pytest.mark.parametrize("text", [
    "a + b", "a - b", "a * b", "a / b", "-a", "+a", "a ** 2", "a ** 3", "a ** -2", "a ** 0.5",
    "a ** -0.5", "a ** 1.7", "a ** y", "y ** a", "a ** b", "2 ** a", "pow(a, 2.5)",
    "math.hypot(a, b)", "math.hypot(a, y)", "np.hypot(0, a)", "np.logaddexp(a, b)",
    "np.logaddexp(0, a)", "min(a, b)", "max(a, b, y)", "np.maximum(a, b)", "np.minimum(b, a)",
    "np.fmax(a, b)", "np.fmin(a, b)", "np.clip(a, 0.5, 1.5)", "np.where(a > b, a, b * b)",
    "a if a > b else b * b", "abs(a) ** 1.5", "abs(a - b) ** 2", "abs(a) * abs(b)",
    "math.sqrt(1 + (a / y) ** 2)", "math.sqrt(y + 3 * p * p)", "math.sqrt(2 + (p - y) ** 2 / y)",
    "np.power(a, 2)", "a * (p > 0.2)", "math.pow(a, 4)", "math.lgamma(y) * a",
    "(1.0 if a > 1 and not b > 3 or y < 0 else 2.0) * a", "a * True", "a + (0.1 < b <= 9 != a)",
])
def test_derivatives_of_operations(text):
    made = formula(f"def f(y, p):\n    a = y + 0.5 * p + p * p / 7\n    b = 2 - p * y\n"
                   f"    return {text}")
    for y, p in [(0.7, 0.3), (1.9, -0.4), (0.4, 1.3), (2.3, 0.45)]:
        assert_derivatives(made, y, p)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0, 2.5])
def test_power_with_a_parameter_for_exponent(exponent):
    made = formula("lambda y, p, k: (p - y) ** k + p")
    assert_derivatives(made, 0.5, 1.25, [exponent])
    if exponent < 2:        # 0 times an infinite power
        assert results_of(made, 0.5, 0.5, [exponent])[1:] == (1 + (exponent == 1), 0)


@pytest.mark.parametrize("exponent", [math.inf, -math.inf, math.nan])
def test_powers_that_are_not_finite(exponent):
    function = define("lambda y, p: (p - y) ** EXPONENT + p", EXPONENT=exponent)
    value = results_of(formula_of(function, frozenset()), 0.25, 0.75)[0]
    assert float(value) == pytest.approx(function(0.25, 0.75), nan_ok=True)


def random_text(draw, depth):
    if depth == 0:
        return draw.choice(["y", "p", "p", "k", str(round(draw.uniform(0.2, 3), 2))])
    a, b, c = (random_text(draw, draw.randrange(depth)) for _ in range(3))
    return draw.choice([
        f"({a} + {b})", f"({a} - {b})", f"({a} * {b})", f"({a} / (1.5 + {b} ** 2))", f"abs({a})",
        f"max({a}, {b})", f"min({b}, {a})", f"({a} if {b} > {c} else {b})", f"-{a}",
        f"math.sqrt(1 + ({a}) ** 2)", f"math.exp(-abs({a}))", f"math.tanh({a})",
        f"np.log1p(({a}) ** 2)", f"math.hypot({a}, {b})", f"({a}) ** 2", f"math.atan({a})",
        f"np.logaddexp({a}, {b})", f"helper({a}, {b})"])


@pytest.mark.parametrize("seed", range(60))
def test_random_formulas(seed):
    draw = random.Random(seed)
    body = f"p * {random_text(draw, 4)}"
    helper = define("def f(a, b=0.5):\n    if a > b:\n        a = a - b\n    return a * b",)
    function = define(f"lambda y, p, k: {body}", **NAMES, helper=helper)
    made = formula_of(function, frozenset())
    for _ in range(3):
        y, p, k = (draw.uniform(-2, 2) for _ in range(3))
        expected = function(y, p, k)
        assert float(results_of(made, y, p, [k])[0]) == pytest.approx(expected, rel=1e-11), body
        assert_derivatives(made, y, p, [k])


# ---- kinks ------------------------------------------------------------------------------


@pytest.mark.parametrize("text, p, slope, curvature", [
    ("abs(p)", 0, 0, 0),
    ("abs(p) ** 2", 0, 0, 2),
    ("abs(p) * abs(-3 * p)", 0, 0, 6),
    ("abs(p) + p", 0, 1, 0),
    ("math.sqrt(p ** 2)", 0, 0, 0),
    ("math.sqrt((2 * p) ** 2)", -1, -2, 0),
    ("math.sqrt(4 * p ** 2)", 0, 0, 0),
    ("math.sqrt(p ** 2 * 4)", -1, -2, 0),
    ("max(0, p)", 0, 0, 0),
    ("max(p, 0)", 0, 1, 0),
    ("min(p, 2 * p)", 0, 1, 0),
    ("np.maximum(2 * p, p * p)", 2, 2, 0),
    ("np.clip(p, 0, 1)", 1, 1, 0),
    ("np.clip(p, 0, 1)", 0, 1, 0),
    ("p * p if p > 1 else p", 1, 1, 0),
    ("p * p if p >= 1 else p", 1, 2, 2),
    ("math.hypot(p, 0.0 * p)", 0, 0, 0),
    ("np.logaddexp(p, 0)", 0, 0.5, 0.25),
    ("math.floor(p) * p", 2, 2, 0),
    ("np.sign(p) * p", 0, 0, 0),
    ("np.sign(p) * abs(p)", 0, 1, 0),
    ("np.sign(p) ** 2 + p", 0, 1, 0),
])
def test_kinks(text, p, slope, curvature):
    assert results_of(formula(f"lambda y, p: {text}"), 1.0, p)[1:] == (slope, curvature)


@pytest.mark.parametrize("text", ["np.sign(p - y) ** 2 + p", "p + np.sign(p) * np.sign(p) * y"])
def test_the_square_of_a_sign_is_0_at_0(text):
    function = define(f"lambda y, p: {text}", **NAMES)
    for p in (0.0, 1.0, 2.0):
        assert float(results_of(formula_of(function, frozenset()), 1.0, p)[0]) == function(1.0, p)


@pytest.mark.parametrize("text", [
    "math.hypot(1, p - y)", "math.sqrt(1 + (p - y) ** 2)", "math.sqrt(1 + ((p - y) / k) ** 2)",
    "math.sqrt(k * (p - y) ** 2 + k)", "math.sqrt(k + (p - y) ** 2 / k)"])
def test_far_out_the_curvature_does_not_cancel(text):
    made = formula(f"lambda y, p, k: {text}")
    x = mp.mpf(123456.7)
    with mp.workdps(16):        # as float64
        found = results_of(made, 0.0, x, [1.0])[2]
    assert float(found * (1 + x * x) ** 1.5) == pytest.approx(1, rel=1e-13)


# ---- statements -------------------------------------------------------------------------

CENTRE = 0.5
STATEMENTS = {
    "early return": "if p > y:\n    return p * p\nreturn y * p",
    "elif": "if p > 1:\n    a = p\nelif p > 0:\n    a = p * p\nelse:\n    a = -p\nreturn a",
    "one branch": "a = p\nif y > 0:\n    a = 2 * a\nreturn a * p",
    "nested": "if y > 0:\n    if p > y:\n        return 2 * p\n    b = 3.0\nelse:\n    b = p\n"
              "return b * p",
    "several names": "a, (b, c) = p - y, (p + y, 2.0)\nreturn a * b * c",
    "augmented": "a = p\na *= a\na -= y\na += 1\nreturn a",
    "annotated": "a: float = p * p\nb: float\nb = 2.0\nreturn a * b",
    "docstring and pass": "'''It squares.'''\npass\nreturn p * p",
    "inner function": "def g(x, k=2.0, *, t=1.0):\n    return k * x * t\n"
                      "return g(p) + g(p, 3.0) + g(k=y, x=p, t=2.0)",
    "inner lambda": "g = lambda x: x * x + y\nreturn g(p) + g(2 * p)",
    "tuple result": "def g(x):\n    return x, 2 * x\na, b = g(p)\nreturn a * b",
    "choice of tuples": "a, b = (p, y) if p > y else (y, 2 * p)\nreturn a * a + b * p",
    "truths": "high = p > y\nlow = not high\nreturn p * p if high and not low else -p",
    "choice of truths": "c = (p > 0) if y > 0 else (p < 0)\nreturn p * p if c else p",
    "truth of a number": "return p * p if y else p",
    "numbers by or": "return (p - 1.5) ** 2 / (y or 0.5) + (y and p) + (y and p > 0 or 3 and p)",
    "truths and numbers": "a = p > 0.5 and p * p or y > 0\nreturn p * (a + (y > 1 or 0.25))",
    "truths by or in a condition": "return p * p if y or p > 1 and not (y and p) else p",
    "outside": "return (p - CENTRE) ** 2 * scale + helper(y, b=p) + math.pi * p",
    "known condition": "if CENTRE > 0.2:\n    return p * y\nreturn undefined",
    "shadowed": "abs_ = abs(p)\nCENTRE = 2.0\nreturn abs_ * CENTRE",
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_statements_are_what_python_does(name):
    body = "".join(f"    {line}\n" for line in STATEMENTS[name].splitlines())
    helper = define("def f(a, b):\n    return a * b - MORE", MORE=np.float64(0.25))
    function = define(f"def f(y, p):\n{body}", **NAMES, CENTRE=CENTRE, scale=np.int64(3),
                      helper=helper)
    made = formula_of(function, frozenset())
    for y, p in [(0.7, 0.3), (1.9, -0.4), (-0.4, 1.3), (0.0, 2.5), (-1.1, -0.3)]:
        assert float(results_of(made, y, p)[0]) == pytest.approx(function(y, p), rel=1e-14)
        assert_derivatives(made, y, p)


def test_each_statement_is_read_once_whatever_returns_before_it():
    lines = ["def f(y, p):", "    a = p"]
    for k in range(40):
        lines += [f"    if p > {k}:", f"        a = a + {k}", f"        if y > {k + 0.5}:",
                  f"            if y < {k + 0.75}:", f"                return a * {k + 2}",
                  "            a = a - y", "        else:", "            a = a * 0.5"]
    text = "\n".join([*lines, "    return a * a"])
    function = define(text)
    made = formula_of(function, frozenset())
    assert len(made.steps) < 40 * 60
    for y, p in [(3.6, 20.5), (0.2, 0.5), (10.6, 30.25), (39.7, 45.0), (5.5, -1.0)]:
        assert float(results_of(made, y, p)[0]) == pytest.approx(function(y, p), rel=1e-13)


@pytest.mark.parametrize("body", [
    "if p > y:\n    if y > 0:\n        return p\n    b = 2 * p\nelse:\n    b = y\nreturn b * p",
    "if p > y:\n    b = p\nelse:\n    return y * p\nreturn b * b",
    "if p > y:\n    return y * p\nelif p > 0:\n    b = 3.0\nelse:\n    return p\nreturn b * p",
    "b = p\nif p > 0:\n    if y > p:\n        return 7 * b\n    b = b * b\nb += 1\nif b > 3:\n"
    "    return b\nreturn b * p",
    "if p > 0:\n    if y > 0:\n        return p, y\n    return y, p\nreturn p, 1.0",
])
def test_early_returns(body):
    text = "".join(f"        {line}\n" for line in body.splitlines())
    tail = "a, b = g()\n    return a * b + b" if ", " in body.splitlines()[-1] else "return g()"
    function = define(f"def f(y, p):\n    def g(y=y, p=p):\n{text}    {tail}")
    made = formula_of(function, frozenset())
    for y, p in [(0.7, 0.3), (1.9, -0.4), (-0.4, 1.3), (0.5, 2.5), (-1.1, -0.3), (3.0, 2.0)]:
        assert float(results_of(made, y, p)[0]) == pytest.approx(function(y, p), rel=1e-14)
        assert_derivatives(made, y, p)


def test_lambdas_on_one_line_are_told_apart():
    text = ("def f(): return [(lambda y, p: p * p), (lambda y, p: 3 * p), "
            "(lambda y, p: (lambda y, p: p + 7)(y, p) * p),\n"
            "    lambda y, p: 5 * p, lambda p, y: y]")
    functions = define(text)()
    found = [float(results_of(formula_of(each, frozenset()), 2.0, 10.0)[0]) for each in functions]
    assert found == [100, 30, 170, 50, 10]


def test_lambdas_on_one_line_without_columns(tmp_path):
    (tmp_path / "some.py").write_text(
        "k = 1.0\n"
        "fs = [lambda y, p: (p - y) ** 2, lambda y, p: (p - y) ** 4, lambda y, p: (p - y) * -0.0,\n"
        "      lambda y, p: p + 0 if False else p]\n")
    script = ("from some import fs\nfrom fastloss.custom._formula import text_of\n"
              "print(*map(text_of, fs), sep=';')")
    run = subprocess.run([sys.executable, "-X", "no_debug_ranges", "-c", script], cwd=tmp_path,
                         capture_output=True, text=True, check=True,
                         env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert run.stdout.strip().split(";") == [
        "lambda y, p: (p - y) ** 2", "lambda y, p: (p - y) ** 4", "lambda y, p: (p - y) * -0.0",
        "lambda y, p: p + 0 if False else p"]


def test_closures_and_functions_that_numba_compiled():
    import numba

    def outer(k):
        square = numba.njit(lambda x: x * x)
        return lambda y, p: k * square(p - y)

    assert results_of(formula_of(outer(3.0), frozenset()), 1.0, 3.0) == (12, 12, 6)


def test_a_decorator_is_read_not_what_it_wraps():
    @functools.wraps(lambda: None)
    def twice(prediction, target, k=2.0):
        return k * (target - 3 * prediction)

    twice.__signature__ = inspect.signature(lambda target, prediction, k=9.0: None)
    made = formula_of(twice, frozenset())
    assert made.parameters == ("k",)
    assert results_of(made, 5.0, 7.0, [2.0])[:2] == (2 * (7 - 15), 2)
    assert text_of(twice) == "twice"


def test_what_is_the_same_is_computed_once():
    made = formula("def f(y, p):\n    return (p - y) * (p - y) + 0.5 * (p - y) ** 2 - (y - p)")
    assert sum(op == "sub" for op, *_ in made.steps) <= 1
    squares = formula("lambda y, p: 0.5 * (p - y) ** 2")
    assert [op for op, *_ in squares.steps].count("mul") == 2       # the gradient is p - y
    assert squares.steps[squares.outputs[1]][0] == "sub"
