"""Calls of metrics at random: targets, predictions, weights and parameters of many forms."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

ERRORS = ["mean_absolute_error", "mean_squared_error", "root_mean_squared_error",
          "mean_squared_log_error", "root_mean_squared_log_error",
          "mean_absolute_percentage_error", "mean_pinball_loss"]
DEVIANCES = ["mean_tweedie_deviance", "mean_poisson_deviance", "mean_gamma_deviance"]
PROBABILITIES = ["log_loss", "d2_log_loss_score", "brier_score_loss"]

WIDTHS = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]
WORDS = ["ant", "bee", "cat", "dog", "eel"]


@dataclass
class Case:
    """A call, what it is made of, and what is wrong with it."""

    name: str
    args: list[Any]
    kwargs: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    fault: str = ""         # what is wrong, or ""
    y: Any = None           # plain targets, or the class numbers, or the indicator matrix
    p: Any = None           # plain predictions
    w: Any = None           # plain weights
    sound: Any = None       # the call without what is wrong

    def __str__(self):
        notes = [*self.notes, *([f"fault {self.fault}"] if self.fault else [])]
        return f"{self.name}({', '.join(notes)})"


def pick(rng, options):
    return options[int(rng.integers(len(options)))]


# ---- containers ------------------------------------------------------------------------------


def nullable(a):
    """Return a column of pandas' types that can miss values."""
    name = {"f": "Float", "i": "Int", "u": "UInt"}.get(a.dtype.kind)
    return pd.Series(a, dtype="boolean" if name is None else f"{name}{8 * a.dtype.itemsize}")


FORMS = {
    "array": lambda a: a,
    "reversed": lambda a: a[::-1].copy()[::-1],
    "swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "strided": lambda a: np.repeat(a, 2, axis=0)[::2],
    "fortran": np.asfortranarray,
    "list": lambda a: a.tolist(),
    "tuple": lambda a: tuple(a.tolist()),
    "object": lambda a: a.astype(object),
    "series": pd.Series,
    "frame": pd.DataFrame,
    "column": lambda a: a[:, None],
    "nullable": nullable,
    "unmasked": np.ma.array,
    "sublist": lambda a: [np.asarray(x)[()] for x in a],
}
ONLY_1D = {"series", "column", "nullable", "tuple", "sublist"}


def wrapped(rng, a, notes, *, but=()):
    """Return an array in some container; only some hold what has two columns or long doubles."""
    forms = [name for name in FORMS if name not in but and not (a.ndim == 2 and name in ONLY_1D)]
    if a.dtype.itemsize > 8 or a.dtype.char == "e":
        forms = [name for name in forms if name not in ("nullable", "series", "frame", "swapped")]
    form = pick(rng, forms) if rng.random() < 0.6 else "array"
    notes.append(f"{a.dtype} {form}")
    return FORMS[form](a)


def weights(rng, n):
    kind = pick(rng, ["float", "float", "f4", "int", "bool", "zeros", "negative", "f2", "g"])
    if kind == "int":
        return rng.integers(0, 5, n).astype(pick(rng, WIDTHS)) + 1, kind
    if kind == "bool":
        w = rng.random(n) < 0.6
        w[int(rng.integers(n))] = True
        return w, kind
    if kind == "zeros":
        w = rng.random(n) * (rng.random(n) < 0.5)
        w[int(rng.integers(n))] = 1
        return w, kind
    if kind == "negative":      # whole numbers, which cancel exactly or not at all
        return rng.integers(-3, 5, n).astype(float), kind
    dtype = {"float": "f8", "f4": "f4", "f2": "f2", "g": "g"}[kind]
    return (rng.random(n) + 0.1).astype(dtype), kind


# ---- predicted numbers -----------------------------------------------------------------------


def numbers(rng, shape, positive, wild):
    """Return numbers of some scale and dtype, as float64 where that holds them."""
    kind = pick(rng, ["unit", "unit", "counts", "binary", "gamma", "tiny", "huge", "whole"])
    if kind in ("counts", "whole"):
        a = rng.integers(0 if positive or kind == "counts" else -9, 10, shape).astype(float)
    elif kind == "binary":
        a = (rng.random(shape) < 0.5).astype(float)
    elif kind == "unit":
        a = rng.normal(size=shape)
    else:
        scale = {"gamma": 1, "tiny": 1e-12, "huge": 1e12}[kind]
        if wild and kind != "gamma":
            scale = {"tiny": 1e-170, "huge": 1e170}[kind]
        a = rng.gamma(2, size=shape) * scale
    if positive:
        a = np.abs(a) + (kind in ("counts", "binary", "whole"))
    return a


def cast(rng, a):
    """Return numbers in some dtype that holds them, if roughly."""
    top = np.abs(a).max()
    dtypes = ["f8", "f8", "f8", "f4", "g"]
    if top < 1e30 and np.abs(a).min() > 1e-30:
        dtypes += ["f4"]
    if top < 1e4:
        dtypes += ["f2"]
    if top < 120:
        dtypes += ["i8", "i4", "?", *WIDTHS] if a.min() >= 0 else ["i1", "i2", "i4", "i8"]
    dtype = pick(rng, dtypes)
    with np.errstate(over="ignore", under="ignore"):
        return a.astype(dtype)


def of_numbers(rng, name):
    """Return a call of an error or a deviance."""
    n = pick(rng, [1, 2, 3, 5, 17, 64])
    deviance = name in DEVIANCES
    k = 0 if deviance or rng.random() < 0.7 else pick(rng, [1, 2, 3])
    shape = (n, k) if k else (n,)
    valid = rng.random() < 0.9
    positive = valid and (deviance or "log" in name)
    y, p = (cast(rng, numbers(rng, shape, positive, not positive and rng.random() < 0.2))
            for _ in range(2))
    if rng.random() < 0.15:
        p = y.copy()
    case = Case(name, [], {}, y=y, p=p)
    case.args = [wrapped(rng, a, case.notes, but=("unmasked",) if k else ()) for a in (y, p)]
    if rng.random() < 0.5:
        w, kind = weights(rng, n)
        case.w = w
        case.notes.append(f"weights {kind}")
        case.kwargs["sample_weight"] = wrapped(rng, w, case.notes, but=("column", "frame"))
    if not deviance and rng.random() < 0.5:
        options = ["raw_values", "uniform_average"]
        if k > 1:
            options += [rng.random(k), rng.integers(0, 3, k) + 1, rng.random(k).tolist(),
                        rng.random(k).astype("f4"), np.ones(k, bool)]
        case.kwargs["multioutput"] = pick(rng, options)
        case.notes.append(f"multioutput {case.kwargs['multioutput']!r}")
    if name == "mean_pinball_loss":
        case.kwargs["alpha"] = pick(rng, [0, 1, 0.1, 0.5, np.float32(0.75), np.float64(0.9), True,
                                          1e-9, np.int8(1)])
    if name == "mean_tweedie_deviance":
        case.kwargs["power"] = pick(rng, [0, 1, 2, 3, 1.5, 1.25, 2.5, -1, -0.5, np.int64(2),
                                          np.float32(1.5), False])
    return case


# ---- classes ---------------------------------------------------------------------------------


def _strings(dtype):
    return lambda codes: np.array(WORDS, dtype)[codes]


LABELS = {
    **{width: (lambda codes, width=width: codes.astype(width)) for width in WIDTHS},
    "far": lambda codes: codes.astype("u8") + np.uint64(2**63 + 5),
    "low": lambda codes: codes - 2**62,
    "apart": lambda codes: np.array([-7, 0, 3, 10**12, 10**13])[codes],
    "signs": lambda codes: np.array([-1, 1, 2, 3, 4])[codes],
    "float": lambda codes: codes.astype(float),
    "f4": lambda codes: codes.astype("f4"),
    "f2": lambda codes: codes.astype("f2"),
    "long double": lambda codes: codes.astype("g"),
    "words": _strings("U"),
    "objects": _strings(object),
    "StringDType": _strings(np.dtypes.StringDType()),
    "bytes": _strings("S"),
    "object bytes": lambda codes: np.array([word.encode() for word in WORDS], object)[codes],
    "object numbers": lambda codes: codes.astype(object),
    "fractions": lambda codes: codes / 2,
    "dates": lambda codes: np.array("2020", "M8[D]") + codes,
    "list": lambda codes: codes.tolist(),
    "list of words": lambda codes: [WORDS[code] for code in codes],
    "series": pd.Series,
    "series of words": lambda codes: pd.Series(np.array(WORDS, object)[codes]),
    "string series": lambda codes: pd.Series(np.array(WORDS, object)[codes], dtype="string"),
    "category": lambda codes: pd.Series(np.array(WORDS, object)[codes], dtype="category"),
    "category of numbers": lambda codes: pd.Categorical(codes),
    "Int64": lambda codes: pd.Series(codes, dtype="Int64"),
    "UInt8": lambda codes: pd.Series(codes, dtype="UInt8"),
    "Float64": lambda codes: pd.Series(codes, dtype="Float64"),
    "index": pd.Index,
    "frame": lambda codes: pd.DataFrame({"y": codes}),
    "column": lambda codes: codes[:, None],
    "column of words": lambda codes: np.array(WORDS)[codes][:, None],
    "list of lists": lambda codes: codes[:, None].tolist(),
}
OF_TWO = {
    "bool": lambda codes: codes > 0,
    "boolean": lambda codes: pd.Series(codes > 0, dtype="boolean"),
    "list of bools": lambda codes: (codes > 0).tolist(),
}
INDICATORS = {
    "int": lambda m: m, "bool": lambda m: m > 0, "float": lambda m: m.astype(float),
    "u1": lambda m: m.astype("u1"), "five": lambda m: 5 * m, "list": lambda m: m.tolist(),
    "-1 and 1": lambda m: 2 * m - 1, "255": lambda m: 255 * m.astype("u1"),
    "2 and 3.0": lambda m: m + 2.0, "frame": pd.DataFrame, "i1": lambda m: m.astype("i1"),
}


def probabilities(rng, n, k, codes):
    """Return rows of k probabilities, or of the second of two classes."""
    kind = pick(rng, ["soft", "soft", "hard", "certain", "tiny"])
    if kind == "hard":
        q = np.eye(k)[rng.integers(0, k, n)]
    elif kind == "certain":
        q = np.eye(k)[codes] * 0.98 + 0.02 / k
    elif kind == "tiny":
        q = rng.dirichlet(np.full(k, 0.02), n)
    else:
        q = rng.dirichlet(np.ones(k), n)
    return q / q.sum(axis=1, keepdims=True)


def of_classes(rng, name):
    """Return a call of a metric of classes."""
    n, k = pick(rng, [2, 3, 5, 17, 64]), pick(rng, [2, 2, 2, 3, 4])
    codes = rng.integers(0, k, n)
    whole = rng.random() < 0.85 and n >= k
    if whole:
        codes[:k] = rng.permutation(k)
    case = Case(name, [], {}, y=codes)
    hinge = name == "hinge_loss"
    indicator = not hinge and rng.random() < 0.12
    if indicator:
        case.y = rng.integers(0, 2, (n, k))
        form = pick(rng, list(INDICATORS))
        target = INDICATORS[form](case.y)
        case.y = np.asarray(target).astype(float)
        case.notes.append(f"indicator {form}")
    else:
        forms = {**LABELS, **(OF_TWO if k == 2 else {})}
        form = pick(rng, list(forms))
        target = forms[form](codes)
        case.notes.append(f"labels {form}")
    dtype = pick(rng, ["f8", "f8", "f8", "f4", "f2", "g"])
    flat = k == 2 and rng.random() < (0.95 if hinge else 0.6)
    if hinge:
        p = (rng.normal(size=(n, k)) * pick(rng, [1, 1, 1e-8, 1e3])).astype(
            pick(rng, [dtype, dtype, "i4"]))
    else:
        p = probabilities(rng, n, k, codes).astype(dtype)
        if not flat and rng.random() < 0.15:
            p = p * p.dtype.type(0.75)
            case.notes.append("rows of 0.75")
    if flat:
        p = np.ascontiguousarray(p[:, 1])
    elif rng.random() < 0.04:
        p = p[:, :-1] if k > 2 else np.c_[p, p[:, :1]]
        case.notes.append("other number of columns")
    case.p = p
    case.args = [target, wrapped(rng, p, case.notes)]
    if rng.random() < 0.5:
        case.w, kind = weights(rng, n)
        case.notes.append(f"weights {kind}")
        case.kwargs["sample_weight"] = wrapped(rng, case.w, case.notes, but=("column", "frame"))
    if rng.random() < 0.3:
        order = pick(rng, ["sorted", "sorted", "reversed", "more", "less", "other type"])
        known = {"sorted": np.arange(k), "reversed": np.arange(k)[::-1], "more": np.arange(k + 1),
                 "less": np.arange(k - 1), "other type": np.arange(k)}[order]
        forms = {**LABELS, **(OF_TWO if order != "more" and k == 2 else {})}
        other = pick(rng, ["words", "i8", "objects", "list"]) if indicator or (
            order == "other type") else form
        case.kwargs["labels"] = forms.get(other, LABELS["i8"])(known)
        case.notes.append(f"labels={order} {other}")
    if name == "log_loss" and rng.random() < 0.4:
        case.kwargs["normalize"] = pick(rng, [True, False, np.True_, np.False_])
    if name == "brier_score_loss":
        if rng.random() < 0.5:
            case.kwargs["scale_by_half"] = pick(rng, [True, False, np.True_, np.False_, "auto"])
        if rng.random() < (0.8 if "word" in form or form in ("objects", "StringDType", "category")
                           else 0.2):
            case.kwargs["pos_label"] = pick(rng, ["bee", "ant", 0, 1, True, 1.0, np.int8(1),
                                                  np.str_("bee"), "zebra", 2**63 + 6, np.True_])
        case.notes.append(f"pos_label={case.kwargs.get('pos_label')!r}")
    return case


# ---- what is wrong ---------------------------------------------------------------------------


def missing(rng, a):
    """Return a 1-d array with a missing value, in one of its many forms, and its name."""
    a = np.array(a)
    if a.ndim != 1:
        return None, ""
    at = int(rng.integers(len(a)))
    values = a.tolist()
    words = bool(values) and isinstance(values[0], str)
    forms = {}

    def with_(value):
        return [value if i == at else each for i, each in enumerate(values)]

    forms["list with None"] = lambda: with_(None)
    forms["list with nan"] = lambda: with_(float("nan"))
    forms["list with NA"] = lambda: with_(pd.NA)
    forms["objects with None"] = lambda: np.array(with_(None), object)
    forms["objects with nan"] = lambda: np.array(with_(float("nan")), object)
    forms["objects with NA"] = lambda: np.array(with_(pd.NA), object)
    forms["objects with NaT"] = lambda: np.array(with_(pd.NaT), object)
    forms["series with None"] = lambda: pd.Series(with_(None), dtype=object)
    forms["masked"] = lambda: np.ma.array(a, mask=np.arange(len(a)) == at)
    if words:
        forms["string column"] = lambda: pd.Series(with_(None), dtype="string")
        forms["default column"] = lambda: pd.Series(with_(None))
        forms["category column"] = lambda: pd.Series(with_(None), dtype="category")
    elif a.dtype.kind in "iub":
        name = "boolean" if a.dtype.kind == "b" else "Int64"
        forms["nullable column"] = lambda: pd.Series(with_(None), dtype=name)
        forms["nullable array"] = lambda: pd.array(with_(None), dtype=name)
        forms["frame of nullable"] = lambda: pd.DataFrame({"y": pd.array(with_(None), dtype=name)})
    elif a.dtype.kind == "f":
        forms["nan"] = lambda: np.array(with_(float("nan")), a.dtype)
        forms["nullable floats"] = lambda: pd.Series(
            pd.array(with_(None), dtype="Float64"))
    form = pick(rng, list(forms))
    return forms[form](), form


FAULTS = {
    "infinite": lambda rng, a: np.r_[np.inf, np.arange(1.0, len(a))],
    "shorter": lambda rng, a: a[:-1],
    "complex": lambda rng, a: np.arange(len(a)) + 1j,
    "scalar": lambda rng, a: 1.0,
    "word": lambda rng, a: "abc",
    "none": lambda rng, a: None,
    "empty": lambda rng, a: [],
    "3-d": lambda rng, a: np.ones((len(a), 2, 2)),
    "matrix": lambda rng, a: np.matrix(np.ones((len(a), 1))),
    "sparse": lambda rng, a: scipy.sparse.csr_array(np.ones((len(a), 2))),
    "letters": lambda rng, a: ["x"] * len(a),
    "zeros": lambda rng, a: np.zeros(len(a)),
    "two columns": lambda rng, a: np.ones((len(a), 2)),
    "0-d": lambda rng, a: np.array(1.0),
    "dict": lambda rng, a: dict(enumerate(a)),
    "generator": lambda rng, a: (each for each in a),
    "ragged": lambda rng, a: [[1, 2], *([1] * (len(a) - 1))],
    "minus": lambda rng, a: np.full(len(a), -1.5),
    "above": lambda rng, a: np.full(len(a), 1.5),
}


def spoilt(rng, case):
    """Make something of a case wrong."""
    case.sound = replace(case, args=[*case.args], kwargs={**case.kwargs})
    places = [0, 1, "sample_weight"]
    if case.name in ERRORS:
        places.append("multioutput")
    elif case.name not in DEVIANCES:
        places.append("labels")
    place = pick(rng, places)
    source = {0: case.y, 1: case.p}.get(place)
    if place in ("sample_weight", "multioutput"):
        source = np.arange(1.0, len(case.y) + 1)
    if place == "labels" or (place == 0 and case.name in (*PROBABILITIES, "hinge_loss")):
        source = np.asarray(case.y) if np.ndim(case.y) == 1 else np.arange(len(case.y)) % 2
        source = np.array(WORDS)[source] if rng.random() < 0.4 else source
        source = source > 0 if rng.random() < 0.2 and source.dtype.kind == "i" else source
    if rng.random() < 0.6 and np.ndim(source) == 1:
        bad, kind = missing(rng, source)
        kind = f"missing: {kind}"
    else:
        kind = pick(rng, list(FAULTS))
        bad = FAULTS[kind](rng, np.asarray(source))
    if bad is None and place in ("sample_weight", "labels"):    # nothing is wrong with that
        case.w = None if place == "sample_weight" else case.w
        case.kwargs[place] = None
        return case
    if place == "sample_weight" and kind in ("minus", "above"):
        case.w = case.kwargs[place] = bad
        return case
    case.fault = f"{place}: {kind}"
    if place in (0, 1):
        case.args[place] = bad
    else:
        case.kwargs[place] = bad
    return case


def drawn(rng):
    """Return a call at random."""
    name = pick(rng, [*ERRORS, *DEVIANCES, *PROBABILITIES, *PROBABILITIES, "hinge_loss",
                      "hinge_loss"])
    case = (of_numbers if name in ERRORS or name in DEVIANCES else of_classes)(rng, name)
    return spoilt(rng, case) if rng.random() < 0.25 else case
