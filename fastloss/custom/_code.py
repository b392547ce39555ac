"""Formulas as Python source of eight loops over a block, for Numba.

What depends on parameters alone is computed before the loop, in double, and rounded once. In the
loop every operation is computed before one is chosen, so that there are no branches and LLVM
vectorises it. A constant is one of the computation's type: next to a float32, Numba would make
a double of any other.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastloss.custom._formula import Formula
from fastloss.custom._graph import TRUTHS

IN_BOUND = 12  # parameters that are read at run time: those that there is room for
TYPES = ("float32", "float64")
OUTPUTS = {"value": "f", "grad": "g", "value_and_grad": "fg", "grad_and_hess": "gh"}
NAMES = tuple(f"{wanted}_{kind}" for kind in TYPES for wanted in OUTPUTS)

INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<=", "eq": "==",
         "ne": "!=", "and": "&", "or": "|"}
FUNCTIONS = {"floor": "np.floor", "ceil": "np.ceil", "trunc": "np.trunc", "log2": "np.log2"}

HEADER = '''\
"""Written by fastloss {version}, for Numba {numba}. It is written anew if it is lost."""
import math
import numpy as np
from numba import carray

float32, float64 = np.float32, np.float64
'''


def source(formula: Formula, values: Sequence[float], versions: dict[str, str]) -> str:
    """Return the source of the loops of `NAMES`, for these values of parameters without room."""
    text = HEADER.format(**versions)
    for kind in TYPES:
        for wanted, outputs in OUTPUTS.items():
            text += "\n\n" + _loop(formula, values, f"{wanted}_{kind}", kind, outputs)
    return text


def _loop(formula: Formula, values: Sequence[float], name: str, kind: str, outputs: str) -> str:
    steps = formula.steps
    results = {letter: formula.outputs["fgh".index(letter)] for letter in outputs}
    needed = set(results.values())
    varies: list[bool] = []
    for op, *args in steps:
        inner = [] if op in ("parameter", "constant", "truth") else args
        varies.append(op in ("y", "p") or any(varies[a] for a in inner))
    for i in range(len(steps) - 1, -1, -1):
        if i in needed and steps[i][0] not in ("parameter", "constant", "truth"):
            needed.update(steps[i][1:])
    before, within = [], []
    rounded = set(results.values())
    for i in sorted(needed):
        if varies[i]:
            rounded.update(a for a in steps[i][1:])
    for i in sorted(needed):
        op, *args = steps[i]
        if varies[i]:
            names = [f"v{a}" if varies[a] else f"r{a}" for a in args]
            within.append(f"v{i} = {_operation(op, names, kind)}")
            continue
        before.append(f"d{i} = {_uniform(op, args, values)}")
        if i in rounded:
            before.append(f"r{i} = d{i}" if op in TRUTHS else f"r{i} = {kind}(d{i})")
    for letter, i in results.items():
        result = f"v{i}" if varies[i] else f"r{i}"
        within.append(f"{letter}[i] = {result if letter == 'f' else 'scale * ' + result}")
    arrays = ["y", "p", *outputs]
    lines = [f"def {name}(at, scale, n, y_at, p_at, f_at, g_at, h_at, wanted):",
             f"    parameter = carray(at, {IN_BOUND})",
             *(f"    {array} = carray({array}_at, n)" for array in arrays),
             *(f"    {line}" for line in before),
             "    for i in range(n):",
             *(f"        {line}" for line in within)]
    return "\n".join(lines) + "\n"


def _uniform(op: str, args: list[int], values: Sequence[float]) -> str:
    """Return an operation on what does not change in the loop, in double."""
    if op == "parameter":
        k = args[0]
        return f"parameter[{k}]" if k < IN_BOUND else f"float64({values[k]!r})"
    if op == "constant":
        return f"float64({_literal(args[0])})"
    if op == "truth":
        return str(args[0])
    return _operation(op, [f"d{a}" for a in args], "float64")


def _literal(value: float) -> str:
    text = repr(value)
    return text if text[-1].isdigit() else f"np.{text}" if text[0] != "-" else f"-np.{text[1:]}"


def _operation(op: str, names: list[str], kind: str) -> str:
    if op in ("y", "p"):
        return f"{op}[i]"
    if op in INFIX:
        return f"{names[0]} {INFIX[op]} {names[1]}"
    if op == "neg":
        return f"-{names[0]}"
    if op == "not":
        return f"not {names[0]}"
    if op == "abs":
        return f"abs({names[0]})"
    if op == "select":
        return f"{names[1]} if {names[0]} else {names[2]}"
    if op == "sign":  # 0 and NaN as they are
        x = names[0]
        zero = f"{kind}(0)"
        return f"{kind}(1) if {x} > {zero} else {kind}(-1) if {x} < {zero} else {x}"
    return f"{kind}({FUNCTIONS.get(op, f'math.{op}')}({', '.join(names)}))"
