"""Built-in losses beside the same losses as formulas: ``python -m bench.custom``.

Both take turns, and each number is a median, so that what else runs on the machine disturbs
both alike. Below the algebraic ones are some with exponentials and logarithms, and a power, which
is a call of the C library, beside the squared loss.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import fastloss as fl
from bench.adapters import medians
from fastloss.custom import CustomLoss, loss

ROUNDS = 25


@dataclass(frozen=True)
class Pair:
    """A built-in loss, the same as a formula, and what targets are.

    Attributes
    ----------
    ours : Loss
    formula : function
        Of target, prediction and the loss's parameters.
    labels : {"reals", "classes", "signs"}
    parameters : tuple of str
        Those of the built-in loss that are the formula's.
    """

    ours: Any
    formula: Callable[..., Any]
    labels: str = "reals"
    parameters: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the built-in loss."""
        return type(self.ours).__name__

    def custom(self) -> CustomLoss:
        """Return the formula as a loss."""
        values = {name: getattr(self.ours, name) for name in self.parameters}
        return loss(self.formula, **values)

    def data(self, rng: np.random.Generator, n: int, dtype: str) -> tuple[Any, Any]:
        """Return targets and predictions."""
        classes = rng.integers(0, 2, n)
        y: Any = {"reals": rng.normal(size=n), "classes": classes, "signs": 2 * classes - 1}[
            self.labels]
        return y.astype(dtype), (2 * rng.normal(size=n)).astype(dtype)


ALGEBRAIC = [
    Pair(fl.AbsoluteLoss(), lambda y, p: abs(p - y)),
    Pair(fl.SquaredLoss(), lambda y, p: (p - y) ** 2),
    Pair(fl.HuberLoss(delta=1.5),
         lambda y, p, delta: (delta * (abs(p - y) - delta / 2) if abs(p - y) > delta
                              else (p - y) ** 2 / 2),
         parameters=("delta",)),
    Pair(fl.PseudoHuberLoss(delta=1.5),
         lambda y, p, delta: delta**2 * (math.sqrt(1 + ((p - y) / delta) ** 2) - 1),
         parameters=("delta",)),
    Pair(fl.PinballLoss(quantile=0.9),
         lambda y, p, quantile: (1 - quantile if p > y else quantile) * abs(p - y),
         parameters=("quantile",)),
    Pair(fl.ExpectileLoss(level=0.9),
         lambda y, p, level: (1 - level if p > y else level) * (p - y) ** 2,
         parameters=("level",)),
    Pair(fl.EpsilonInsensitiveLoss(epsilon=0.5),
         lambda y, p, epsilon: max(0, abs(p - y) - epsilon), parameters=("epsilon",)),
    Pair(fl.EpsilonInsensitiveLoss(epsilon=0.5, squared=True),
         lambda y, p, epsilon: max(0, abs(p - y) - epsilon) ** 2, parameters=("epsilon",)),
    Pair(fl.AbsolutePercentageLoss(), lambda y, p, eps: abs(p - y) / max(abs(y), eps),
         parameters=("eps",)),
    Pair(fl.HingeLoss(), lambda y, p: max(0, 1 - (2 * y - 1) * p), "classes"),
    Pair(fl.SquaredHingeLoss(), lambda y, p: max(0, 1 - (2 * y - 1) * p) ** 2, "classes"),
    Pair(fl.ModifiedHuberLoss(labels=(-1, 1)),
         lambda y, p: -4 * y * p if y * p < -1 else max(0, 1 - y * p) ** 2, "signs"),
    Pair(fl.ContrastiveLoss(margin=1.0),
         lambda y, p, margin: y * p**2 + (1 - y) * max(0, margin - p) ** 2, "classes",
         ("margin",)),
    Pair(fl.HingeEmbeddingLoss(margin=1.0),
         lambda y, p, margin: p if y == 1 else max(0, margin - p), "signs", ("margin",)),
]
OTHERS = [
    Pair(fl.LogLoss(from_logits=True), lambda y, p: np.logaddexp(0, p) - y * p, "classes"),
    Pair(fl.PoissonLoss(), lambda y, p: math.exp(p) - y * p, "classes"),
    Pair(fl.LogCoshLoss(),
         lambda y, p: abs(p - y) + math.log1p(math.exp(-2 * abs(p - y))) - math.log(2)),
]
POWER = Pair(fl.SquaredLoss(), lambda y, p: abs(p - y) ** 2.5)
OPERATIONS = ("value", "value_and_grad", "grad_and_hess")


def calls(
    pair: Pair, y: Any, p: Any, operation: str, threads: int
) -> dict[str, Callable[[], Any]]:
    """Return a call of each, into outputs that they share."""
    out: Any = {"value": None, "value_and_grad": np.empty_like(p),
                "grad_and_hess": (np.empty_like(p), np.empty_like(p))}[operation]
    return {name: partial(getattr(each, operation), y, p, out=out, n_threads=threads)
            for name, each in (("built-in", pair.ours), ("formula", pair.custom()))}


def title(pair: Pair) -> str:
    """Return what names a row."""
    name = repr(pair.ours).replace("reduction='mean'", "").replace(", )", ")").replace("()", "")
    return name[:37] if pair is not POWER else "|p - y|^2.5 beside the squared loss"


def main(argv: Sequence[str] | None = None) -> None:
    """Print a row for each loss and type."""
    parser = argparse.ArgumentParser(prog="python -m bench.custom", description=__doc__)
    parser.add_argument("--size", type=int, default=1_000_000, help="of the arrays")
    parser.add_argument("--threads", type=int, default=1, help="of each call")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="calls of each")
    parser.add_argument("--losses", nargs="*", metavar="NAME", help="of which (default: all)")
    arguments = parser.parse_args(argv)
    print(f"n = {arguments.size}, {arguments.threads} thread(s): ms of the built-in loss, and "
          "how many times as long the formula takes")
    print(f"{'':46}" + "".join(f"{name:>18}" for name in OPERATIONS))
    rng = np.random.default_rng(0)
    for pair in (*ALGEBRAIC, *OTHERS, POWER):
        if arguments.losses and pair.name not in arguments.losses:
            continue
        for dtype in ("float32", "float64"):
            y, p = pair.data(rng, arguments.size, dtype)
            row = f"{title(pair):38}{dtype:8}"
            for operation in OPERATIONS:
                found = medians(calls(pair, y, p, operation, arguments.threads),
                                arguments.rounds)
                row += f"{found['built-in']:10.3f}{found['formula'] / found['built-in']:7.2f}×"
            print(row, flush=True)


if __name__ == "__main__":
    main()
