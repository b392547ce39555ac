"""Times of the adapters beside what they stand in for: ``python -m bench.adapters``.

The calls of one case take turns, and each number is a median, so that what else runs on the
machine disturbs all alike.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

import fastloss as fl
from bench import boosters
from bench.boosters import Seconds

Calls = dict[str, Callable[[], Any]]
ROUNDS = 15


def medians_and_parts(calls: Calls, rounds: int) -> dict[str, tuple[float, float | None]]:
    """Return the median time of each call, in milliseconds, and of which part in it a loss had.

    A call may return the seconds that its loss took of it.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    parts: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):      # the first is not counted
        for name, call in calls.items():
            start = time.perf_counter()
            inside = call()
            seconds = time.perf_counter() - start
            if turn:
                times[name].append(1e3 * seconds)
                if isinstance(inside, Seconds):
                    parts[name].append(inside / seconds)
    return {name: (statistics.median(each),
                   statistics.median(parts[name]) if parts[name] else None)
            for name, each in times.items()}


def medians(calls: Calls, rounds: int) -> dict[str, float]:
    """Return the median time of each call, in milliseconds."""
    return {name: each for name, (each, _) in medians_and_parts(calls, rounds).items()}


def of_scipy(quick: bool) -> Iterator[tuple[str, Calls]]:
    """Yield value and gradient of logistic regression, beside scikit-learn's solvers' own loss."""
    from scipy import sparse
    from sklearn._loss import HalfBinomialLoss
    from sklearn.linear_model._linear_loss import LinearModelLoss

    from fastloss.integrations.scipy import objective

    rng = np.random.default_rng(0)
    loss = fl.LogLoss(from_logits=True)
    theirs = LinearModelLoss(HalfBinomialLoss(), fit_intercept=True)
    threads = fl.get_num_threads()

    def whole(x: Any, y: Any, w: Any) -> tuple[float, Any]:
        value, slopes = loss.value_and_grad(y, x @ w[:-1] + w[-1])
        return value, np.append(x.T @ slopes, slopes.sum())

    for n, d in [(2000, 20)] if quick else [(2000, 20), (200_000, 50), (20_000, 500)]:
        dense = rng.normal(size=(n, d))
        y = (rng.random(n) < 0.5).astype(float)
        few = sparse.random_array((n, d), density=0.1, format="csr", rng=rng)
        w = rng.normal(size=d + 1) / 10
        for name, x in (("dense", dense), ("CSR, 10 % filled", few)):
            f = objective(loss, x, y)
            yield f"logistic regression, {n} × {d}, {name}", {
                "fastloss": partial(f, w),
                "whole matrices": partial(whole, x, y, w),
                "scikit-learn": partial(theirs.loss_gradient, w, x, y, n_threads=threads)}


def of_torch(quick: bool) -> Iterator[tuple[str, Calls]]:
    """Yield forward and backward pass of losses, beside torch's own or ones written in torch."""
    import torch
    from torch.nn import functional

    from fastloss.integrations.torch import Criterion

    torch.set_num_threads(fl.get_num_threads())

    def train(loss: Callable[[Any, Any], Any], x: Any, y: Any) -> None:
        x.grad = None
        loss(x, y).backward()

    def sup_con(x: Any, labels: Any) -> Any:
        z = functional.normalize(x)
        own = torch.eye(len(x), dtype=torch.bool)
        products = (z @ z.T / 0.1).masked_fill(own, -torch.inf)
        same = (labels[:, None] == labels) & ~own
        logs = products - products.logsumexp(1, keepdim=True)
        count = same.sum(1)
        return -(logs.masked_fill(~same, 0).sum(1)[count > 0] / count[count > 0]).mean()

    log, cross = Criterion(fl.LogLoss(from_logits=True)), Criterion(fl.CrossEntropyLoss())
    embedding = Criterion(fl.SupConLoss(temperature=0.1))
    for n in (1000,) if quick else (1000, 100_000, 1_000_000):
        x, y = torch.randn(n, requires_grad=True), (torch.rand(n) < 0.5).float()
        yield f"log loss of logits, {n}", {
            "fastloss": partial(train, log, x, y),
            "torch": partial(train, functional.binary_cross_entropy_with_logits, x, y)}
    for n, classes in ((128, 10),) if quick else ((128, 10), (4096, 1000)):
        x, y = torch.randn(n, classes, requires_grad=True), torch.randint(0, classes, (n,))
        yield f"cross entropy, {n} × {classes}", {
            "fastloss": partial(train, cross, x, y),
            "torch": partial(train, functional.cross_entropy, x, y)}
    for n, d in ((64, 16),) if quick else ((256, 64), (2048, 128)):
        x, y = torch.randn(n, d, requires_grad=True), torch.randint(0, n // 4, (n,))
        yield f"SupCon, {n} × {d}", {
            "fastloss": partial(train, embedding, x, y),
            "torch": partial(train, sup_con, x, y)}


ADAPTERS = {"scipy": of_scipy, "torch": of_torch, "xgboost": boosters.of_xgboost,
            "lightgbm": boosters.of_lightgbm, "catboost": boosters.of_catboost}


def line(case: str, found: dict[str, tuple[float, float | None]]) -> str:
    """Return a line of text on the medians of one case."""
    def part(share: float | None) -> str:
        return "" if share is None else f" ({share:.1%} in the objective)"

    (ours, (first, share)), *others = found.items()
    return f"{case}: {ours} {first:.3g} ms{part(share)}; " + ", ".join(
        f"{peer} {each / first:.2g} ×{part(share)}" for peer, (each, share) in others)


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(prog="python -m bench.adapters", description=__doc__)
    parser.add_argument("adapters", nargs="*", choices=[*ADAPTERS, []], metavar="ADAPTER",
                        help=f"which: {', '.join(ADAPTERS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="small data, to see that it works")
    arguments = parser.parse_args(argv)
    for name in arguments.adapters or ADAPTERS:
        for case, calls in ADAPTERS[name](arguments.quick):
            found = medians_and_parts(calls, 3 if arguments.quick else ROUNDS)
            print(line(case, found), flush=True)


if __name__ == "__main__":
    main()
