"""What a formula cannot have is named, with its line; so is every wrong argument."""

import functools
import linecache
import math

import numpy as np
import pytest
from formulas import define

pytest.importorskip("numba", reason="Numba is not installed")

from fastloss.custom import loss
from fastloss.custom._formula import formula_of

TABLE = np.arange(3.0)
NAMES = {"math": math, "np": np, "TABLE": TABLE, "loss": loss, "text": "a", "functools": functools,
         "huge": 10**400}



@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTLOSS_CACHE_DIR", str(tmp_path))


# the lines of a formula, the number of the wrong one, and what is wrong
REFUSED = [
    ("s = 0\nfor i in range(3):\n    s += p\nreturn s", 2, "a loop"),
    ("while p > y:\n    p = p - 1\nreturn p", 1, "a loop"),
    ("return sum(x * p for x in (1, 2))", 1, "a loop"),
    ("return sum([p, y])", 1, "a list"),
    ("k = TABLE\nreturn k * p", 2, "k is of type ndarray, not a number"),
    ("return p * TABLE", 1, "TABLE is of type ndarray, not a number"),
    ("return p * TABLE[0]", 1, "an index"),
    ("return p * TABLE.mean()", 1, "TABLE is not a module"),
    ("return np.mean(p)", 1, "np.mean is not a function"),
    ("return np.nothing(p)", 1, "numpy has no 'nothing'"),
    ("return nothing * p", 1, "the name 'nothing' is not defined"),
    ("return p.real", 1, "p is not a module"),
    ("return p * text", 1, "text is of type str, not a number"),
    ("return p if text == 'a' else y", 1, "text is of type str"),
    ("return p if y in (0, 1) else y", 1, "is of type tuple"),
    ("return p // y", 1, "the operator //"),
    ("return p % 2", 1, "the operator %"),
    ("return p if (y > 0) & (p > 0) else y", 1, "use and"),
    ("if p > y:\n    return p\n", 1, "may end without a return"),
    ("p * y", 1, "it has Expr"),
    ("return", 1, "it returns nothing"),
    ("pass", 0, "may end without a return"),
    ("assert p > 0\nreturn p", 1, "assert"),
    ("try:\n    return p\nexcept ValueError:\n    return y", 1, "try"),
    ("if p > y:\n    a = 1.0\nreturn a * p", 3, "'a' has a value in one branch only"),
    ("a, b = p, y, y\nreturn a", 1, "3 values for 2 names"),
    ("a[0] = p\nreturn p", 1, "not a name"),
    ("a.x += p\nreturn p", 1, "not a name"),
    ("def g(x):\n    return g(x)\nreturn g(p)", 2, "not defined|'g' from around"),
    ("k = 1.0\ng = lambda: k\nk = 2.0\nreturn g() * p", 2, "'k' from around it, which may change"),
    ("return math.hypot(p)", 1, "hypot takes 2 arguments, got 1"),
    ("return max(p)", 1, "max needs two numbers at least"),
    ("return np.clip(p, 0, a_max=1)", 1, "takes no arguments by name"),
    ("return max(*(p, y))", 1, r"\* and \*\*"),
    ("g = lambda x: x\nreturn g(p, y)", 2, "the call of g has 2 arguments, not 1"),
    ("g = lambda x, z: x\nreturn g(p)", 2, "the call of g has no value for 'z'"),
    ("g = lambda x: x\nreturn g(p, z=y)", 2, "the call of g has no use for 'z'"),
    ("g = lambda *x: p\nreturn g(p)", 2, "any number of arguments"),
    ("return math.gamma(p)", 1, "there is no derivative of gamma"),
    ("a = math.lgamma(p * p)\nreturn a * y", 1, "there is no derivative of lgamma"),
    ("return y * y", 0, "does not depend on 'p'"),
    ("return 1 if p > y else 0, p", 0, "what it returns is of type tuple"),
    ("return 'a'", 1, "the constant 'a'"),
    (f"a = p\nreturn a * 1{400 * '0'}", 2, "a number that is too large for float64"),
    ("return p * huge", 1, "a number that is too large for float64"),
    ("return p * 1j", 1, "the constant 1j"),
    ("return functools.partial(max, p)(y)", 1, "not a function"),
    ("return (lambda: p)", 0, "what it returns is of type function"),
]


@pytest.mark.parametrize("body, line, message", REFUSED)
def test_what_is_refused_shows_its_line(body, line, message):
    text = "def f(y, p):\n" + "".join(f"    {each}\n" for each in body.splitlines())
    function = define(text, **NAMES)
    with pytest.raises(ValueError, match=message) as caught:
        loss(function)
    shown = str(caught.value).splitlines()
    file = function.__code__.co_filename
    assert f'  File "{file}", line {line + 1}, in f' in shown
    assert "    " + text.splitlines()[line].strip() in shown
    assert shown[-1].startswith("A formula may hold numbers")


def test_a_line_of_a_helper_is_shown():
    helper = define("def f(a):\n    b = a\n    return b @ a")
    with pytest.raises(ValueError, match=r"line 3, in f\n    return b @ a") as caught:
        loss(define("lambda y, p: helper(p)", helper=helper))
    assert helper.__code__.co_filename in str(caught.value)


def test_endless_calls_are_refused():
    functions = {}
    functions["f"] = define("def f(y, p):\n    return g(y, p)", g=lambda y, p: p)
    functions["f"].__globals__["g"] = functions["f"]
    with pytest.raises(ValueError, match="g calls itself"):
        loss(functions["f"])


def test_too_deep_a_formula_is_refused():
    with pytest.raises(ValueError, match="nested too deeply"):
        loss(define(f"lambda y, p: {'+'.join(['math.sin(p)'] * 900)}", **NAMES))


def test_no_source():
    names = {}
    exec("def f(y, p): return p * p", names)
    with pytest.raises(ValueError, match="the source of f is not available"):
        loss(names["f"])


def test_a_source_that_changed():
    function = define("def f(y, p):\n    return p * p")
    function.__code__ = function.__code__.replace(co_firstlineno=2)
    with pytest.raises(ValueError, match=r"not at line 2 of .*has the file changed"):
        loss(function)


@pytest.mark.parametrize("old, new", [
    ("p * p", "p * y"), ("p * 2.0", "p * 3.0"), ("p * 1", "p * 1.0"), ("p + 0.0", "p + -0.0"),
    ("p * A", "p * B"), ("(lambda x: x * 2)(p)", "(lambda x: x * 3)(p)"), ("p if y else p", "p"),
])
@pytest.mark.parametrize("form", ["def f(y, p):\n    return {}", "lambda y, p: {}",
                                  "@same\ndef f(y, p):\n    return {}"])
def test_another_formula_in_its_place(form, old, new):
    function = define(form.format(old), A=1, B=2, same=lambda f: f)
    made = formula_of(function, frozenset())
    file = function.__code__.co_filename
    lines = linecache.cache[file][2]
    text = [line.replace(old, new) for line in lines]
    linecache.cache[file] = (1, None, text, file)
    with pytest.raises(ValueError, match=r"is not the function any more; has the file"):
        loss(function)
    linecache.cache[file] = (1, None, [*lines, "\n", "g = 1\n"], file)
    assert formula_of(function, frozenset()) == made


@pytest.mark.parametrize("f", [None, "p * p", abs, np.exp, functools.partial(max, 1), dict().get])
def test_what_is_no_function(f):
    with pytest.raises(TypeError, match=r"^f must be a Python function or lambda"):
        loss(f)


@pytest.mark.parametrize("text, message", [
    ("lambda p: p", "^f must be a function of y_true, y_pred and parameters by name"),
    ("lambda y, *, p: p", "^f must be"),
    ("lambda y, p, *rest: p", r"without \* and"),
    ("lambda y, p, **rest: p", r"without \* and"),
    ("lambda y, p=1: p", "p has a default"),
    ("lambda y, p, k, /: p", "k has none"),
    ("lambda y, p, reduction: p", "cannot be called 'reduction'"),
    ("lambda y, p, value: p", "cannot be called 'value'"),
    ("lambda y, p, _k: p", "cannot be called '_k'"),
])
def test_wrong_signatures(text, message):
    with pytest.raises(TypeError, match=message):
        loss(define(text))


def test_wrong_parameters():
    def scaled(y, p, k, m=1.0):
        return k * m * (p - y) ** 2

    with pytest.raises(TypeError, match="scaled needs a value for its parameter 'k'"):
        loss(scaled)
    with pytest.raises(TypeError, match="scaled has no parameter 'delta'; it has k, m"):
        loss(scaled, delta=1)
    for value in ("1", None, math.inf, math.nan, True, 1j):
        with pytest.raises((ValueError, TypeError), match="k"):
            loss(scaled, k=value)
        with pytest.raises(ValueError, match=r"^k must be a finite number, got"):
            loss(scaled, k=2).replace(k=value)
    with pytest.raises(ValueError, match=r"^reduction must be"):
        loss(scaled, k=2, reduction="median")
    with pytest.raises(TypeError, match="scaled has no parameter 'z'; it has k, m, targets"):
        loss(scaled, k=2).replace(z=3)
    for wrong in (1, (1,), (2, 1), (0, math.nan), "ab"):
        with pytest.raises(ValueError, match=r"^predictions must be None or a pair"):
            loss(scaled, k=2, predictions=wrong)
    with pytest.raises(AttributeError, match="no attribute 'delta'"):
        loss(scaled, k=2).delta  # noqa: B018
    with pytest.raises(AttributeError):
        loss(scaled, k=2).k = 3


def test_a_parameter_called_self():
    made = loss(lambda y, p, self: self * (p - y) ** 2, self=2.0)
    assert made.replace(self=3.0).values == (3.0,)


def test_domains_are_checked():
    counts = loss(lambda y, p: (p - y) ** 2, targets=(0, math.inf), predictions=(-1, 1))
    with pytest.raises(ValueError, match="y_true must hold numbers >= 0"):
        counts.check([-1.0], [0.0])
    with pytest.raises(ValueError, match="y_pred must hold numbers from -1 to 1"):
        counts.check([1.0], [2.0])
    counts.check([1.0], [1.0])
    with pytest.raises(ValueError, match="y_pred must hold finite numbers"):
        loss(lambda y, p: (p - y) ** 2).check([1.0], [np.inf])
