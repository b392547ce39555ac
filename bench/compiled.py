"""Times of losses in Numba's compiled code, beside formulas there: ``python -m bench.compiled``.

For each loss and type, nanoseconds per element on one thread: of `compiled.sample` in a loop that
adds up value and gradient, and of `compiled.elements` that writes both into arrays; beside it how
many times as long the same loop takes with the loss's formula written in Numba. The formula has
no second derivative, `sample` has. Then the microseconds of a call from Python. The calls of a case
take turns; medians.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

import fastloss as fl
from bench.adapters import ROUNDS, Calls, medians
from bench.losses import LOSSES, Entry
from bench.peers import numba_namespace

NAMES = ("contrastive", "huber", "log from_logits", "log-cosh", "focal", "poisson")
N = 10_000


def loops(entry: Entry, dtype: type) -> dict[str, tuple[Any, Any]]:
    """Return loops over samples and over arrays, of fastloss and of the formula."""
    import numba

    from fastloss import compiled

    terms, loss, slope = (numba.njit(f) for f in entry.formula(numba_namespace(), dtype))

    @numba.njit
    def samples(of: Any, y: Any, p: Any, f: Any, g: Any) -> Any:
        total = 0.0
        for i in range(len(p)):
            value, grad, _ = compiled.sample(of, y[i], p[i])
            total += value + grad
        return total

    @numba.njit
    def formulas(of: Any, y: Any, p: Any, f: Any, g: Any) -> Any:
        total = 0.0
        for i in range(len(p)):
            t = terms(y[i], p[i])
            total += loss(*t) + slope(*t)
        return total

    @numba.njit
    def elements(of: Any, y: Any, p: Any, f: Any, g: Any) -> None:
        compiled.elements(of, y, p, f, g)

    @numba.njit
    def formulas_of_elements(of: Any, y: Any, p: Any, f: Any, g: Any) -> None:
        for i in range(len(p)):
            t = terms(y[i], p[i])
            f[i] = loss(*t)
            g[i] = slope(*t)

    return {"sample": (samples, formulas), "elements": (elements, formulas_of_elements)}


def of_losses(n: int) -> Iterator[tuple[str, Calls]]:
    """Yield the calls of each loss, type and function."""
    for entry in LOSSES:
        if not isinstance(entry, Entry) or entry.name not in NAMES:
            continue
        for dtype in (np.float32, np.float64):
            y, p = (each.astype(dtype) for each in entry.data(np.random.default_rng(0), (n,)))
            f, g = np.empty_like(p), np.empty_like(p)
            for name, (ours, theirs) in loops(entry, dtype).items():
                yield f"{entry.name}, {dtype.__name__}, {name}", {
                    "fastloss": partial(ours, entry.loss, y, p, f, g),
                    "the formula in Numba": partial(theirs, entry.loss, y, p, f, g)}


def of_calls() -> Calls:
    """Return calls from Python of functions that do nothing else."""
    import numba

    from fastloss import compiled

    @numba.njit
    def nothing(y: Any, p: Any) -> Any:
        return y, p, y

    @numba.njit
    def argument(loss: Any, y: Any, p: Any) -> Any:
        return compiled.sample(loss, y, p)

    loss = fl.HuberLoss()

    @numba.njit
    def captured(y: Any, p: Any) -> Any:
        return compiled.sample(loss, y, p)

    def repeat(function: Any, *arguments: Any) -> None:
        for _ in range(1000):
            function(*arguments)

    return {"without a loss": partial(repeat, nothing, 1.0, 0.5),
            "with a loss as an argument": partial(repeat, argument, loss, 1.0, 0.5),
            "with a loss compiled in": partial(repeat, captured, 1.0, 0.5)}


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(prog="python -m bench.compiled", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="to see that it works")
    quick = parser.parse_args(argv).quick
    rounds, n = (3, 100) if quick else (5 * ROUNDS, N)
    for case, calls in of_losses(n):
        found = medians(calls, rounds)
        ours, (peer, theirs) = found["fastloss"], list(found.items())[1]
        print(f"{case}: fastloss {ours / n * 1e6:.2f} ns; {peer} {theirs / ours:.2g} ×")
    print("a call from Python, µs: " + ", ".join(
        f"{each:.2f} {name}" for name, each in medians(of_calls(), rounds).items()))


if __name__ == "__main__":
    main()
