"""Losses of data that come in batches: files larger than memory, queries, queues.

>>> from fastloss import LogLoss
>>> batches = ({"label": [0, 1], "score": [0.2, 0.9], "team": ["a", team]} for team in "abb")
>>> found = evaluate(batches, LogLoss(), y_true="label", y_pred="score", by="team")
>>> print(f"{found.overall.value:.6f}", found.groups["b"].count)
0.164252 2

What is kept between batches are sums, so memory does not grow with the data. `fastloss eval` does
this with a file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastloss._base import Loss, Partial

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["Evaluation", "Score", "evaluate"]

Place = Callable[[int | None], str]  # says where a row of a batch is, or the batch


@dataclass(frozen=True)
class Score:
    """A loss over some rows.

    Attributes
    ----------
    value : float
        Of the loss; nan for the mean of nothing.
    count : int
        Number of rows; for `CrossEntropyLoss` of those that are not ignored.
    weight : float
        Sum of their weights, which is the count if there are none.
    """

    value: float
    count: int
    weight: float


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Attributes
    ----------
    loss : Loss
        The loss.
    overall : Score
        Of all rows.
    groups : dict of Score
        Of the rows of each group, by its value, in sorted order, or that of their `repr` where
        values have none; empty without `by`.
    """

    loss: Loss
    overall: Score
    groups: dict[Any, Score]


def evaluate(
    batches: Iterable[Any],
    loss: Loss,
    *,
    y_true: str = "y_true",
    y_pred: str | Sequence[str] = "y_pred",
    sample_weight: str | None = None,
    by: str | None = None,
    n_threads: int | None = None,
) -> Evaluation:
    """Return the value of a loss on batches of rows, overall and by group.

    Parameters
    ----------
    batches : iterable
        Of anything that gives a column by ``batch[name]``: a dict of arrays, a pandas or polars
        DataFrame, a pyarrow RecordBatch or Table, a structured array. Columns of Arrow and NumPy
        are read where they lie.
    loss : Loss
        Pointwise, or `CrossEntropyLoss`, whose reduction is not "none".
    y_true, y_pred : str
        Names of the columns. The scores of `CrossEntropyLoss` are a column of lists of equal
        length (Arrow), a column that is a matrix (dict), or several columns: a sequence of names.
    sample_weight, by : str, optional
        Names of the columns of weights and of groups. Groups are values of any type that can be
        hashed, as date and time of NumPy's where Python's are too coarse; nan is one, null is none.
    n_threads : int, optional
        Number of threads, at least 1; by default `fastloss.get_num_threads`.

    Returns
    -------
    Evaluation
        The value is that of all rows in one array, but for the rounding of the last bit. It
        depends on where batches begin, and not on the number of threads.

    Raises
    ------
    TypeError
        If `loss` is no loss of elements or of rows of scores, or a column does not hold numbers.
    ValueError
        If the reduction is "none", a column is missing or holds nulls (NaT, pandas' NA and masked
        elements are such), lengths differ, groups cannot be told apart, or the loss refuses a
        label. Messages name the batch, and rows in it, both from 0.

    Examples
    --------
    With pyarrow: ``evaluate(ParquetFile(path).iter_batches(columns=["y", "p"]), LogLoss(),
    y_true="y", y_pred="p")``.
    """
    sums = Sums(loss, Columns(y_true, y_pred, sample_weight, by), n_threads)
    for number, batch in enumerate(batches):
        def place(row: int | None, number: int = number) -> str:
            return f"batch {number}" + (f", row {row}" if row is not None else "")
        sums.add(batch, place)
    return sums.result()


class Columns(NamedTuple):
    """Names of columns."""

    y_true: str
    y_pred: str | Sequence[str]
    sample_weight: str | None = None
    by: str | None = None

    def numbers(self) -> list[str]:
        """Return the names of the columns that hold numbers."""
        scores = [self.y_pred] if isinstance(self.y_pred, str) else self.y_pred
        names = [self.y_true, *scores, *([self.sample_weight] if self.sample_weight else [])]
        return list(dict.fromkeys(names))


@dataclass
class Sums:
    """The sums over all batches so far."""

    loss: Loss
    columns: Columns
    n_threads: int | None = None
    total: Partial = field(init=False)
    groups: dict[Any, Partial] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.loss, Loss):
            raise TypeError("loss must be a loss of elements or of rows of scores, as LogLoss() or "
                            f"CrossEntropyLoss(), got {self.loss!r}")
        if self.loss.reduction == "none":
            raise ValueError("loss must have a reduction, got reduction='none'")
        self.total = Partial(self.loss, 0.0, 0.0, 0)

    def add(self, batch: Any, place: Place) -> None:
        """Add the rows of a batch; `place` says where they are."""
        names = self.columns
        y = _numbers(batch, names.y_true, place)
        if isinstance(names.y_pred, str):
            p = _numbers(batch, names.y_pred, place)
        else:
            p = np.column_stack([_numbers(batch, name, place) for name in names.y_pred])
        w = None if names.sample_weight is None else _numbers(batch, names.sample_weight, place)
        if y.shape[:1] == p.shape[:1] == (0,):
            return
        try:
            self.total += self.loss.partial(y, p, w, n_threads=self.n_threads)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{place(None)}: {error}") from error
        if names.by is None:
            return
        if not p.ndim:
            raise ValueError(f"{place(None)}: column {names.y_pred!r} must have rows, got one "
                             "number")
        codes, keys = _groups(batch, names.by, place)
        if p.shape[:1] != codes.shape:
            raise ValueError(f"{place(None)}: column {names.by!r} must have a group for each row "
                             f"of y_pred, shape {p.shape[:1]}, got {codes.shape}")
        # rows of a group side by side, in their order; 16 bits are sorted by counting
        order = np.argsort(codes.astype(np.min_scalar_type(len(keys))), kind="stable")
        y, p, w = y[order], p[order], None if w is None else w[order]
        stop = 0
        for key, count in zip(keys, np.bincount(codes, minlength=len(keys)).tolist(), strict=True):
            start, stop = stop, stop + count
            if count:
                part = self.loss.partial(y[start:stop], p[start:stop],
                                         None if w is None else w[start:stop],
                                         n_threads=self.n_threads)
                self.groups[key] = self.groups[key] + part if key in self.groups else part

    def result(self) -> Evaluation:
        """Return the values."""
        # of one type in the order of its values, nan last
        try:
            keys = sorted(self.groups, key=lambda key: (type(key).__name__, key != key, key))
        except TypeError:  # values that have no order
            keys = sorted(self.groups, key=repr)
        return Evaluation(self.loss, _score(self.total),
                          {key: _score(self.groups[key]) for key in keys})


def _score(part: Partial) -> Score:
    return Score(part.result(), part.count, part.weight_sum)


# ---- columns ----------------------------------------------------------------------------


def _column(batch: Any, name: str, place: Place) -> Any:
    """Return a column, which holds no nulls; an Arrow one in one piece."""
    try:
        found = batch[name]
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{place(None)}: there is no column {name!r}") from error
    if hasattr(found, "combine_chunks"):
        found = found.combine_chunks()
    _refuse_nulls(found, name, place)
    return found


def _refuse_nulls(found: Any, name: str, place: Place) -> None:
    nulls = _nulls(found)
    if nulls is not None and nulls.any():
        # a row of a matrix has several
        rows = np.asarray(nulls.reshape(nulls.shape[0] if nulls.ndim else 1, -1).any(axis=1))
        raise ValueError(f"{place(int(np.argmax(rows)))}: column {name!r} is null, as it is in "
                         f"{np.count_nonzero(rows)} of {len(rows)} rows here; a null is no number")


def _nulls(found: Any) -> Array | None:
    """Return which elements of a column are null, or None if none is; nan is a number."""
    count = getattr(found, "null_count", 0)
    if count() if callable(count) else count:  # of polars, of Arrow
        return np.asarray(found.is_null())
    if isinstance(found, np.ma.MaskedArray):
        return np.ma.getmaskarray(found)
    dtype: Any = getattr(found, "dtype", None)
    if hasattr(dtype, "na_value") and not (dtype.kind == "f" and isinstance(dtype.na_value, float)):
        return np.asarray(found.isna())  # of pandas' own types
    if getattr(dtype, "kind", "") in ("m", "M"):
        missing: Array = np.isnat(np.asarray(found))
        return missing
    return None


def _numbers(batch: Any, name: str, place: Place) -> Array:
    """Return a column as an array, of two dimensions if it is an Arrow one of lists."""
    found = _column(batch, name, place)
    if not hasattr(getattr(found, "type", None), "value_field"):
        return np.asarray(found)
    lengths = np.asarray(found.value_lengths())
    if lengths.size and lengths.min() != lengths.max():
        row = int(np.argmax(lengths != lengths[0]))
        raise ValueError(f"{place(row)}: column {name!r} has a list of {lengths[row]} numbers, "
                         f"other rows one of {lengths[0]}; each needs a score for each class")
    values, rows = found.flatten(), len(found)
    if values.null_count:
        row = int(np.argmax(np.asarray(values.is_null()))) * rows // len(values)
        raise ValueError(f"{place(row)}: a list of column {name!r} holds a null")
    return np.asarray(values).reshape(rows, len(values) // rows if rows else 0)


def _groups(batch: Any, name: str, place: Place) -> tuple[Array, list[Any]]:
    """Return numbers of the groups of rows, and what they stand for."""
    found = _column(batch, name, place)
    if hasattr(found, "dictionary_encode"):
        try:
            found = found.dictionary_encode()
        except NotImplementedError as error:  # of lists, say
            raise ValueError(f"{place(None)}: column {name!r} of {found.type} has no groups that "
                             "can be told apart") from error
        codes, keys = np.asarray(found.indices), found.dictionary.to_pylist()
        nulls = [number for number, key in enumerate(keys) if key is None]
    elif (array := np.asarray(found)).dtype != object:
        values, codes = np.unique(array, return_inverse=True)
        keys, nulls = values.tolist(), []
        if values.dtype.kind in "mM" and any(isinstance(key, int) for key in keys):
            keys = list(values)  # of nanoseconds, which Python's dates and times cannot hold
    else:
        seen: dict[Any, int] = {}
        try:
            codes = np.array([seen.setdefault(key, len(seen)) for key in array.tolist()], np.intp)
        except TypeError as error:  # lists, say
            raise ValueError(f"{place(None)}: column {name!r} has no groups that can be told "
                             f"apart: {error}") from error
        keys = list(seen)
        nulls = [number for number, key in enumerate(keys) if _is_missing(key)]
    for number in nulls:
        rows = np.flatnonzero(codes == number)
        if rows.size:
            raise ValueError(f"{place(int(rows[0]))}: column {name!r} is null, which is no group")
    return codes, [math.nan if isinstance(key, float) and math.isnan(key) else key for key in keys]


def _is_missing(key: Any) -> bool:
    """Return whether an object is None, nan or pandas' NA, whose comparisons have no truth."""
    try:
        return key is None or bool(key != key)
    except TypeError:
        return True
