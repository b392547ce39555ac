"""Formulas as Python source of eight loops over a block, for Numba.

What depends on parameters alone is computed before the loop, in double, and rounded once. In the
loop every operation is computed before one is chosen, so that there are no branches and LLVM
vectorises it. A constant is one of the computation's type: next to a float32, Numba would make
a double of any other.

Exponentials and logarithms are those of the kernels, of a whole block at a time: the loop is cut
at them, and what is needed again after them is computed again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from typing import Any

from fastloss._core.limits import OPERATIONS
from fastloss.custom._formula import Formula, Step
from fastloss.custom._graph import TRUTHS

IN_BOUND = 12  # parameters that are read at run time: those that there is room for
TYPES = ("float32", "float64")
OUTPUTS = {"value": "f", "grad": "g", "value_and_grad": "fg", "grad_and_hess": "gh"}
NAMES = tuple(f"{wanted}_{kind}" for kind in TYPES for wanted in OUTPUTS)

LEAVES = ("y", "p", "parameter", "constant", "truth")
VECTORS = ("exp", "log", "log1p", "expm1_negative")  # functions of whole blocks
MOST = 12  # of which a loop has so many, and room for their arguments and results

INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<=", "eq": "==",
         "ne": "!=", "beside_lt": "<", "beside_eq": "==", "beside_div": "/",
         "and": "&", "or": "|"}
TINY = {"float32": "1e-31", "float64": "1e-292"}  # below it a root has lost digits of its argument
FUNCTIONS = {"expm1_negative": "math.expm1",
             "floor": "np.floor", "ceil": "np.ceil", "trunc": "np.trunc", "log2": "np.log2"}

HEADER = '''\
"""Written by fastloss {version}, for Numba {numba}. It is written anew if it is lost."""
import math
import numpy as np
from numba import carray

float32, float64 = np.float32, np.float64
'''
STEPS = '''
# the formula, for derivatives that are limits: fastloss._core.limits
codes = np.array({codes}, np.int32)
numbers = np.array([{numbers}], np.float64)
none, first, second = np.uint8(0), np.uint8(1), np.uint8(2)
'''


def source(formula: Formula, values: Sequence[float], versions: dict[str, str]) -> str:
    """Return the source of the loops of `NAMES`, for these values of parameters without room."""
    text = HEADER.format(**versions)
    if max(formula.kinks) >= 0:
        text += _program(formula, values)
    for kind in TYPES:
        for wanted, outputs in OUTPUTS.items():
            text += "\n\n" + _loop(formula, values, f"{wanted}_{kind}", kind, outputs)
    return text


def _loop(formula: Formula, values: Sequence[float], name: str, kind: str, outputs: str) -> str:
    steps = formula.steps
    results = {letter: formula.outputs["fgh".index(letter)] for letter in outputs}
    # where derivatives are looked at from both sides: the first ones, the second ones
    kinks = {name: i for name, letter, i in zip(("first", "second"), "gh", formula.kinks,
                                                strict=True) if letter in outputs and i >= 0}
    needed = _needed(steps, [*results.values(), *kinks.values()], ())
    varies: list[bool] = []
    rounds: list[int] = []      # after how many rounds of calls of `VECTORS` a step can be computed
    called: list[int] = []
    for i, (op, *args) in enumerate(steps):
        inner = [] if op in LEAVES else args
        varies.append(op in ("y", "p") or any(varies[a] for a in inner))
        rounds.append(max([rounds[a] for a in inner], default=0))
        if op in VECTORS and i in needed and varies[i] and len(called) < MOST:
            called.append(i)
            rounds[i] += 1
    rounded = {a for i in needed if varies[i] for a in steps[i][1:]}.union(results.values())
    lines = [f"def {name}(at, scale, n, y_at, p_at, f_at, g_at, h_at, wanted):",
             "    narrow()",
             f"    parameter = carray(at, {IN_BOUND})",
             *(f"    {array} = carray({array}_at, n)" for array in ("y", "p", *outputs))]
    for i in sorted(needed):
        if not varies[i]:
            lines.append(f"    d{i} = {_uniform(steps[i][0], steps[i][1:], values)}")
            if i in rounded:
                exact = steps[i][0] in TRUTHS
                lines.append(f"    r{i} = d{i}" if exact else f"    r{i} = {kind}(d{i})")
    seen, uniform = _watched(steps, varies, kinks.values())
    for i in called:
        lines += [f"    {x}{i}_at = room({kind})\n    {x}{i} = carray({x}{i}_at, n)" for x in "xb"]

    def named(i: int) -> str:
        return f"v{i}" if varies[i] else f"r{i}"

    def over_block(wanted: dict[str, list[int]]) -> list[str]:
        lines = ["for i in range(n):"]
        for i in sorted(_needed(steps, chain(*wanted.values()), called)):
            if i in called:
                lines.append(f"    v{i} = b{i}[i]")
            elif varies[i]:
                names = [named(a) for a in steps[i][1:]]
                lines.append(f"    v{i} = {_operation(steps[i][0], names, kind)}")
        return [*lines, *(f"    {target.format(*map(named, ends))}"
                          for target, ends in wanted.items())]

    for last in range(max((rounds[i] for i in called), default=0) + 1):
        now = [i for i in called if rounds[i] == last + 1]
        wanted = {f"x{i}[i] = {{}}": [steps[i][1]] for i in now}
        if not now:
            wanted = {f"{letter}[i] = {'' if letter == 'f' else 'scale * '}{{}}": [i]
                      for letter, i in results.items()}
            if seen:
                lines.append("    seen = False")
                wanted["seen = seen" + " | {}" * len(seen)] = seen
        lines += [f"    {line}" for line in over_block(wanted)]
        lines += [f"    {steps[i][0]}_{kind}(n, 1.0, x{i}_at, x{i}_at, b{i}_at)" for i in now]
    if kinks:
        bits = sum({"first": 1, "second": 2}[name] for name in kinks)
        marks = " | ".join(f"({name} if {{}} else none)" for name in kinks)
        conditions = [*(["seen"] if seen else []), *(f"d{i}" for i in uniform)]
        rare = [
            "marks_at = room(np.uint8)", "marks = carray(marks_at, n)",
            *over_block({f"marks[i] = {marks}": [*kinks.values()]}),
            f"limits_{kind}(codes.ctypes, numbers.ctypes, len(numbers), at, scale, n, "
            f"marks_at, y_at, p_at, g_at, h_at, {bits})"]
        lines += [f"    if {' | '.join(conditions)}:", *(f"        {line}" for line in rare)]
    return "\n".join(lines) + "\n"


def _watched(
    steps: tuple[Step, ...], varies: list[bool], ends: Iterable[int]
) -> tuple[list[int], list[int]]:
    """Return conditions without which none of some others holds: of elements, of parameters.

    Of two that have to hold both one is enough: best one that does not change in the loop, one
    that is looked at anyway, or one comparison.
    """
    found: set[int] = set()
    todo = list(ends)
    pairs: list[int] = []
    while todo or pairs:
        if not todo:    # first those with less to choose from
            pairs.sort(key=lambda i: -sum(steps[a][0] == "eq" for a in steps[i][1:]))
            todo.append(min(steps[pairs.pop()][1:], key=lambda a: (
                varies[a], a not in found, steps[a][0] != "eq")))
        i = todo.pop()
        op, *args = steps[i]
        if op in ("and", "or") and varies[i]:
            pairs += [i] if op == "and" else []
            todo += args if op == "or" else []
        else:
            found.add(i)
    return sorted(i for i in found if varies[i]), sorted(i for i in found if not varies[i])


def _program(formula: Formula, values: Sequence[float]) -> str:
    """Return the steps of the loss itself as arrays: what `fastloss._core.limits` reads."""
    steps = formula.steps
    codes: list[int] = []
    numbers: list[float] = []
    varies: dict[int, bool] = {}
    moves: dict[int, bool] = {}
    place: dict[int, int] = {}
    rounded: dict[int, int] = {}

    def add(op: str, args: Sequence[int], moving: bool = False, value: float = 0.0) -> int:
        codes.extend((OPERATIONS[op], moving, *args, *[0] * (3 - len(args))))
        numbers.append(value)
        return len(numbers) - 1

    for i in sorted(_needed(steps, formula.outputs[:1], ())):
        op, *args = steps[i]
        inner = [] if op in LEAVES else args
        varies[i] = op in ("y", "p") or any(varies[a] for a in inner)
        moves[i] = op == "p" or any(moves[a] for a in inner)
        if op == "parameter" and args[0] >= IN_BOUND:
            op, args = "constant", [values[args[0]]]
        if varies[i]:       # what does not is rounded once
            for a in inner:
                if not varies[a] and a not in rounded:
                    exact = steps[a][0] in TRUTHS
                    rounded[a] = place[a] if exact else add("round", [place[a]])
        if op in ("y", "p", "constant"):
            place[i] = add(op, [], moves[i], args[0] if args else 0.0)
        elif op in LEAVES:
            place[i] = add(op, [int(args[0])])
        else:
            place[i] = add(op, [rounded[a] if varies[i] and not varies[a] else place[a]
                                for a in inner], moves[i])
    return STEPS.format(codes=codes, numbers=", ".join(map(_literal, numbers)))


def _needed(steps: tuple[Step, ...], ends: Iterable[int], known: Collection[int]) -> set[int]:
    """Return what is needed to compute some steps, without what only known ones need."""
    found: set[int] = set()
    todo = list(ends)
    while todo:
        i = todo.pop()
        if i not in found:
            found.add(i)
            if steps[i][0] not in LEAVES and i not in known:
                todo.extend(steps[i][1:])
    return found


def _uniform(op: str, args: Sequence[Any], values: Sequence[float]) -> str:
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
    if op == "vanishes":
        return f"abs({names[0]}) < {kind}({TINY[kind]})"
    if op == "alike":
        return f"float32({names[0]}) == float32({names[1]})"
    if op == "select":
        return f"{names[1]} if {names[0]} else {names[2]}"
    if op in ("sign", "direction"):  # 0 and NaN as they are
        x = names[0]
        zero = f"{kind}(0)"
        return f"{kind}(1) if {x} > {zero} else {kind}(-1) if {x} < {zero} else {x}"
    return f"{kind}({FUNCTIONS.get(op, f'math.{op}')}({', '.join(names)}))"
