"""Training of boosters with objectives by fastloss, by NumPy and with the built-in ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import fastloss as fl

Calls = dict[str, Callable[[], Any]]
LOGITS = fl.LogLoss(from_logits=True)
CLASSES = 10


class Seconds(float):
    """How long a call was in its objective."""


class Clock:
    """An objective of any of the libraries, and the seconds spent in it."""

    no_jit = True       # for CatBoost

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.seconds = function, 0.0

    def __call__(self, *arguments: Any) -> Any:
        start = time.perf_counter()
        result = self.function(*arguments)
        self.seconds += time.perf_counter() - start
        return result

    def __deepcopy__(self, memo: Any) -> Clock:
        return self         # LightGBM and CatBoost copy their parameters

    calc_ders_range = __call__


def data(n: int, columns: int, classes: int) -> tuple[Any, Any]:
    """Return made-up features and class numbers that depend on a few of them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, columns)).astype(np.float32)
    scores = x[:, :5] @ rng.normal(size=(5, classes)) + rng.gumbel(size=(n, classes))
    return x, scores.argmax(1).astype(np.float32)


def binary(y: Any, z: Any) -> tuple[Any, Any]:
    """Return the derivatives of the log loss, as one writes them in NumPy."""
    p = 1 / (1 + np.exp(-z))
    return p - y, p * (1 - p)


def softmax(y: Any, z: Any, factor: float) -> tuple[Any, Any]:
    """Return those of the cross entropy of rows of scores."""
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    hess = np.maximum(factor * p * (1 - p), 1e-16)
    p[np.arange(len(y)), y.astype(int)] -= 1
    return p, hess


def training(train: Callable[[Any], Any], objectives: dict[str, Any]) -> Calls:
    """Return trainings that give the seconds spent in objectives that are functions."""
    def call(objective: Any) -> Seconds | None:
        if not callable(objective):
            train(objective)
            return None
        clock = Clock(objective)
        train(clock)
        return Seconds(clock.seconds)

    return {name: partial(call, objective) for name, objective in objectives.items()}


def sizes(quick: bool, classes: int) -> tuple[int, int, int]:
    """Return rows, columns and rounds."""
    return (500, 5, 3) if quick else (200_000 if classes == 2 else 20_000, 20, 10)


def of_xgboost(quick: bool) -> Iterator[tuple[str, Calls]]:
    """Yield trainings of XGBoost, of two classes and of ten."""
    import xgboost as xgb

    from fastloss.integrations.xgboost import objective

    for classes, own, ours, numpy in (
        (2, {"objective": "binary:logistic", "base_score": 0.5}, objective(LOGITS), binary),
        (CLASSES, {"objective": "multi:softprob", "num_class": CLASSES},
         objective(fl.CrossEntropyLoss(), hessian="xgboost"), partial(softmax, factor=2.0)),
    ):
        n, columns, rounds = sizes(quick, classes)
        x, y = data(n, columns, classes)
        rows = xgb.DMatrix(x, y)
        options = {"nthread": fl.get_num_threads(), "base_score": 0.0, "max_depth": 6}
        if classes > 2:
            options["num_class"] = classes

        def train(loss: Any, options: Any = options, rows: Any = rows, rounds: int = rounds) -> Any:
            own = {} if callable(loss) else loss
            return xgb.train({**options, **own}, rows, rounds, obj=loss if callable(loss) else None)

        yield f"XGBoost, {n} × {columns}, {classes} classes, {rounds} rounds", training(train, {
            "fastloss": ours, "NumPy": lambda z, d, numpy=numpy: numpy(d.get_label(), z),
            "built-in": own})


def of_lightgbm(quick: bool) -> Iterator[tuple[str, Calls]]:
    """Yield trainings of LightGBM, of two classes and of ten."""
    import lightgbm as lgb

    from fastloss.integrations.lightgbm import objective

    for classes, own, ours, numpy in (
        (2, "binary", objective(LOGITS), binary),
        (CLASSES, "multiclass", objective(fl.CrossEntropyLoss(), hessian="lightgbm"),
         partial(softmax, factor=CLASSES / (CLASSES - 1))),
    ):
        n, columns, rounds = sizes(quick, classes)
        x, y = data(n, columns, classes)
        options = {"num_threads": fl.get_num_threads(), "verbosity": -1, "max_depth": 6,
                   "boost_from_average": False, "num_class": classes if classes > 2 else 1}
        rows = lgb.Dataset(x, y, free_raw_data=False).construct()

        def train(loss: Any, options: Any = options, rows: Any = rows, rounds: int = rounds) -> Any:
            return lgb.train({**options, "objective": loss}, rows, rounds)

        yield f"LightGBM, {n} × {columns}, {classes} classes, {rounds} rounds", training(train, {
            "fastloss": ours, "NumPy": lambda z, d, numpy=numpy: numpy(d.get_label(), z),
            "built-in": own})


def of_catboost(quick: bool) -> Iterator[tuple[str, Calls]]:
    """Yield calls for blocks of 1000 rows, and trainings of CatBoost."""
    import catboost as cb

    from fastloss.integrations.catboost import objective

    def numpy(z: Any, y: Any, w: Any) -> Any:
        grad, hess = binary(y, z)
        return np.column_stack([-grad, -hess])

    n, columns, rounds = sizes(quick, 2)
    x, y = data(n, columns, 2)
    rng = np.random.default_rng(0)
    blocks = 5 if quick else 1000     # so that a millisecond is a microsecond for each
    z, amounts = rng.normal(size=1000), rng.gamma(1.0, size=1000).astype(np.float32)
    labels = (amounts > 1).astype(np.float32)
    ready = np.zeros((2, 1000)).T
    numpys = {"NumPy": partial(numpy, z, labels, None)}
    for loss, target in ((LOGITS, labels), (fl.PoissonLoss(), amounts), (fl.HuberLoss(), amounts),
                         (fl.LogCoshLoss(), amounts), (fl.FocalLoss(), labels)):
        calls = {"fastloss": partial(objective(loss).calc_ders_range, z, target, None),
                 **(numpys if loss is LOGITS else {}), "a prepared array": lambda: ready}

        def often(call: Callable[[], Any]) -> None:
            for _ in range(blocks):
                call()

        yield (f"CatBoost, {blocks} blocks of 1000 rows, {type(loss).__name__}",
               {name: partial(often, call) for name, call in calls.items()})

    rows = cb.Pool(x, y)
    # leaves and start as with an objective of one's own; metrics are left out
    options = {"iterations": rounds, "thread_count": fl.get_num_threads(), "verbose": False,
               "allow_writing_files": False, "bootstrap_type": "No", "depth": 6,
               "boost_from_average": False, "leaf_estimation_method": "Newton",
               "leaf_estimation_iterations": 1, "eval_metric": "Logloss", "metric_period": 1000}

    def train(loss: Any) -> Any:
        return cb.train(rows, {**options, "loss_function": loss})

    first = np.zeros((2, 1000))
    yield f"CatBoost, {n} × {columns}, 2 classes, {rounds} rounds", training(train, {
        "fastloss": objective(LOGITS).calc_ders_range, "NumPy": numpy,
        "a prepared array": lambda z, y, w: first[:, :len(z)].T, "built-in": "Logloss"})
