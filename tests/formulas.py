"""Formulas for the tests: functions of a text, and what a formula's steps give in mpmath."""

import itertools
import linecache
import operator

import mpmath as mp

numbers = itertools.count()

OPERATIONS = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv,
    "neg": operator.neg, "abs": abs, "pow": mp.power, "lt": operator.lt, "le": operator.le,
    "eq": operator.eq, "ne": operator.ne, "and": lambda a, b: a and b, "or": lambda a, b: a or b,
    "not": operator.not_, "vanishes": lambda x: abs(x) < mp.mpf("1e-292"),
    "select": lambda c, a, b: a if c else b, "sign": mp.sign,
    "direction": mp.sign, "beside_lt": operator.lt, "beside_eq": operator.eq,
    "beside_div": operator.truediv,
    "floor": mp.floor, "ceil": mp.ceil, "trunc": lambda x: mp.sign(x) * mp.floor(abs(x)),
    "expm1_negative": mp.expm1, "log2": lambda x: mp.log(x, 2), "lgamma": mp.loggamma,
    **{name: getattr(mp, name) for name in (
        "sqrt", "exp", "expm1", "log", "log1p", "log10", "sin", "cos", "tan", "sinh", "cosh",
        "asin", "acos", "atan", "asinh", "acosh", "atanh", "erf", "erfc", "gamma")},
}


def define(text, /, **names):
    """Return the function `f` of a text, or that of a lambda, with its source."""
    file = f"<formula {next(numbers)}>"
    text = text if "def " in text else f"f = {text}"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    names["__name__"] = "formulas"
    exec(compile(text, file, "exec"), names)
    return names["f"]


def steps_of(formula, y, p, values=()):
    """Return all that the steps of a formula give, in mpmath; None for what has no value."""
    found = []
    for op, *args in formula.steps:
        if op in ("y", "p", "parameter"):
            result = mp.mpf({"y": y, "p": p}[op] if op in "yp" else values[args[0]])
        elif op in ("constant", "truth"):
            result = mp.mpf(args[0]) if op == "constant" else args[0]
        else:
            inner = [found[a] for a in args]
            if op == "select" and inner[0] is not None:
                result = inner[1] if inner[0] else inner[2]
            else:
                try:
                    result = None if None in inner else OPERATIONS[op](*inner)
                except (ZeroDivisionError, ValueError):
                    result = None
        found.append(result)
    return found


def results_of(formula, y, p, values=()):
    """Return the loss and its derivatives at one sample, as the steps give them."""
    found = steps_of(formula, y, p, values)
    return tuple(found[i] for i in formula.outputs)
