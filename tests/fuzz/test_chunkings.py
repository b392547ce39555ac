"""Drawn data in drawn batches: `fastloss.stream.evaluate` gives the loss of all of it at once."""

import datetime
import importlib.util
import math
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

import fastloss as fl
from fastloss import stream

EPS = np.finfo(float).eps
CHUNK = 8192      # rows that are summed together, wherever they lie

LABELS, SIGNS, REALS = "labels", "signs", "reals"
PROBABILITIES, AMOUNTS = "probabilities", "amounts"
LOSSES = [  # and what targets and predictions are
    (fl.SquaredLoss(), REALS, REALS), (fl.AbsoluteLoss(), REALS, REALS),
    (fl.HuberLoss(delta=0.5), REALS, REALS), (fl.PinballLoss(quantile=0.3), REALS, REALS),
    (fl.LogCoshLoss(), REALS, REALS), (fl.ContrastiveLoss(margin=0.75), LABELS, AMOUNTS),
    (fl.HingeLoss(), LABELS, REALS), (fl.HingeEmbeddingLoss(), SIGNS, AMOUNTS),
    (fl.LogLoss(), LABELS, PROBABILITIES), (fl.LogLoss(from_logits=True), LABELS, REALS),
    (fl.FocalLoss(), LABELS, REALS), (fl.PoissonLoss(), AMOUNTS, REALS),
    (fl.GammaLoss(), AMOUNTS, REALS), (fl.SquaredLogLoss(), AMOUNTS, AMOUNTS),
    (fl.CrossEntropyLoss(), "classes", "scores"),
    (fl.CrossEntropyLoss(ignore_index=1, class_weight=[1, 0.5, 2]), "classes", "scores"),
]
FORMATS = ("dict", "dict", "lists", "structured", "pandas", "Table", "RecordBatch", "polars")


# ---- what is drawn --------------------------------------------------------------------------


def numbers(rng, kind, n):
    """Return n numbers of a kind, in a type that holds such: with ties, or of odd scales."""
    if kind == "classes":
        return rng.integers(0, 3, n).astype(rng.choice(["i1", "u8", "f4", "f8"]))
    if kind in (LABELS, SIGNS):
        found = rng.integers(0, 2, n)
        types = ["i1", "i8", "f2", "f4", "f8"] + (["?", "u1"] if kind == LABELS else [])
        return (found if kind == LABELS else 2 * found - 1).astype(rng.choice(types))
    shape = (n, 3) if kind == "scores" else n
    dtype = rng.choice(["f2", "f4", "f4", "f8", "f8", "f8", ">f8"])
    if kind == PROBABILITIES:
        found = rng.integers(1, 64, shape) / 64 if rng.random() < 0.3 else rng.random(shape)
        return found.astype(dtype)
    found = rng.integers(-3, 4, shape) if rng.random() < 0.4 else rng.normal(size=shape)
    if kind == AMOUNTS:
        found = abs(found) + 0.125
    elif rng.random() < 0.2:
        return found.astype(rng.choice(["i2", "i8"]))
    if kind in (REALS, AMOUNTS) and dtype == "f8" and rng.random() < 0.2:
        found = found * rng.choice([1e-150, 1e-9, 1e9])
    return found.astype(dtype)


def weights(rng, n):
    choice = rng.integers(0, 5)
    if choice < 2:
        return None
    found = rng.random(n) + 0.25 if choice == 2 else rng.integers(0, 4, n) + (choice == 3)
    return found.astype(rng.choice(["f4", "f8", "u1"]) if choice > 2 else rng.choice(["f4", "f8"]))


def groups(rng, n):
    """Return values of groups, some of them missing, and what each is as a key."""
    few = rng.integers(0, rng.integers(1, 6), n)
    kind = rng.integers(0, 6)
    if kind == 0:
        return few, few.tolist()
    if kind == 1:
        found = np.array(list("abcde"))[few]
        return found, found.tolist()
    if kind == 2:
        found = np.where(few == 0, np.nan, few / 2)
        return found, [math.nan if key != key else key for key in found.tolist()]
    if kind == 3:
        found = np.array(["x", None, "y", "z", "u"], object)[few]
        return found, found.tolist()
    if kind == 4:
        found = np.array(["2026-01-02", "NaT", "2026-02-01", "1969-12-31", "2026-01-01"],
                         "datetime64[us]")[few]
        return found, [None if key is None else key for key in found.tolist()]
    return few % 2 == 0, (few % 2 == 0).tolist()


def edges(rng, n):
    """Return where batches begin and end: some are empty, some of one row."""
    kind = rng.integers(0, 5)
    if kind == 0:
        return [0, n]
    if kind == 1 and n < 60:
        return list(range(n + 1))
    if kind == 2:
        return [*range(0, n, CHUNK), n]
    cuts = np.sort(rng.integers(0, n + 1, rng.integers(1, 9)))
    return [0, *(np.repeat(cuts, 2) if kind == 3 else cuts).tolist(), n]


@cache
def installed(library):
    return importlib.util.find_spec(library) is not None


def batch_of(kind, columns):
    """Return columns as a batch; None where a format has none for them."""
    if kind == "dict":
        return columns
    if kind == "lists":     # without the types of columns
        return columns | {name: each.tolist() for name, each in columns.items() if name in "gh"}
    if any(each.ndim > 1 for each in columns.values()) or not installed(
            {"pandas": "pandas", "polars": "polars", "structured": "numpy"}.get(kind, "pyarrow")):
        return None
    if kind == "structured":
        return np.rec.fromarrays(list(columns.values()), names=list(columns))
    native = {name: each.astype(each.dtype.newbyteorder("=")) for name, each in columns.items()}
    if kind == "pandas":
        return importlib.import_module("pandas").DataFrame(native)
    if kind == "polars":
        if any(each.dtype in (np.dtype("f2"), np.dtype(object)) for each in native.values()):
            return None
        return importlib.import_module("polars").DataFrame(native)
    arrow = importlib.import_module("pyarrow")
    table = arrow.table({name: arrow.array(each.tolist() if each.dtype == object else each)
                         for name, each in native.items()})
    return table if kind == "Table" else table.combine_chunks().to_batches()[0] if len(
        table) else table


# ---- what must come out ---------------------------------------------------------------------


def same(found, expected, bound, *, exact, case):
    """Compare two scores: counts, weights, values but for the rounding of a sum."""
    assert found.count == expected.count, case
    assert math.isclose(found.weight, expected.weight_sum, rel_tol=4 * EPS), case
    value = expected.result()
    if not math.isfinite(value) or exact:
        assert found.value == value or (found.value != found.value and value != value), (
            found.value, value, case)
    else:
        assert abs(found.value - value) <= bound, (found.value, value, bound, case)


def bound_of(loss, y, p, w, rows):
    """Return how far sums of the same elements may differ: in units of their absolute sum."""
    costs = loss.replace(reduction="none")(y[rows], p[rows], None if w is None else w[rows])
    part = loss.partial(y[rows], p[rows], None if w is None else w[rows])
    total = 4 * EPS * math.fsum(abs(costs).astype(float).ravel().tolist())
    divisor = {"sum": 1.0, "mean": part.weight_sum, "sum_over_batch_size": part.count}[
        loss.reduction]
    return total / divisor if divisor else 0.0


def one_case(seed, number):
    case = f"seed {seed}, case {number}"
    rng = np.random.default_rng([11, seed, number])
    loss, target, prediction = LOSSES[rng.integers(len(LOSSES))]
    loss = loss.replace(reduction=rng.choice(["mean", "sum", "sum_over_batch_size"]))
    n = int(rng.choice([rng.integers(0, 6), rng.integers(0, 300), rng.integers(0, 4 * CHUNK)],
                       p=[0.3, 0.67, 0.03]))
    y, p, w = numbers(rng, target, n), numbers(rng, prediction, n), weights(rng, n)
    if n and prediction == REALS and p.dtype.kind == "f" and rng.random() < 0.05:
        p[rng.integers(n)] = np.nan
    columns, names = {"y": y, "p": p}, {"y_true": "y", "y_pred": "p"}
    if p.ndim == 2 and rng.random() < 0.5:
        columns = {"y": y, **{f"p{k}": p[:, k] for k in range(3)}}
        names["y_pred"] = ["p0", "p1", "p2"]
    if w is not None:
        columns["w"], names["sample_weight"] = w, "w"
    by = int(rng.integers(0, 3))
    keys = [() for _ in range(n)]
    for name in "gh"[:by]:
        columns[name], more = groups(rng, n)
        keys = [(*key, each) for key, each in zip(keys, more, strict=True)]
    if by:
        names["by"] = "g" if by == 1 else ["g", "h"]
        keys = [key[0] for key in keys] if by == 1 else keys
    cuts = edges(rng, n)
    kinds = rng.choice(FORMATS, len(cuts) - 1)
    batches = []
    for start, stop, kind in zip(cuts[:-1], cuts[1:], kinds, strict=True):
        part = {name: each[start:stop] for name, each in columns.items()}
        found = batch_of(kind, part)
        batches.append(part if found is None else found)
    found = stream.evaluate(batches, loss, **names)

    whole = loss.partial(y, p, w)
    in_chunks = all(cut % CHUNK == 0 for cut in cuts[:-1])
    same(found.overall, whole, bound_of(loss, y, p, w, slice(None)), exact=in_chunks, case=case)
    if not by:
        assert found.groups == {}, case
    else:
        rows = {}
        for row, key in enumerate(keys):
            rows.setdefault(key, []).append(row)
        assert set(found.groups) == set(rows), case
        for key, of_group in rows.items():
            part = loss.partial(y[of_group], p[of_group], None if w is None else w[of_group])
            same(found.groups[key], part, bound_of(loss, y, p, w, of_group),
                 exact=sum(b > a for a, b in pairwise(cuts)) == 1,
                 case=f"{case}, group {key!r}")
        assert sum(each.count for each in found.groups.values()) == found.overall.count, case
        assert math.isclose(math.fsum(each.weight for each in found.groups.values()),
                            found.overall.weight, rel_tol=4 * EPS), case
        if loss.reduction == "sum" and math.isfinite(found.overall.value):
            total = math.fsum(each.value for each in found.groups.values())
            bound = bound_of(loss, y, p, w, slice(None))
            assert abs(total - found.overall.value) <= 2 * bound, case
    # the same on other threads, and by one table where it can be
    assert repr(stream.evaluate(batches, loss, **names, n_threads=3)) == repr(found), case
    if len(batches) == 1:
        assert repr(stream.evaluate(batches[0], loss, **names)) == repr(found), case


def cases(seed, count):
    for number in range(count):
        one_case(seed, number)


@pytest.mark.parametrize("seed", range(4))
def test_batches_give_the_value_of_the_whole(seed):
    cases(seed, 500)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_many_batches_give_the_value_of_the_whole(seed):
    cases(seed, 10_000)


def test_days_are_keys():
    groups = np.array(["2026-01-01", "NaT"], "datetime64[s]")
    found = stream.evaluate({"y_true": [0.0, 1.0], "y_pred": [0.0, 0.0], "g": groups},
                            fl.SquaredLoss(), by="g")
    assert list(found.groups) == [datetime.datetime(2026, 1, 1), None]
