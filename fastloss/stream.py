"""Losses of data that come in batches: files larger than memory, queries, queues.

>>> from fastloss import LogLoss
>>> batches = ({"label": [0, 1], "score": [0.2, 0.9], "team": ["a", team]} for team in "abb")
>>> found = evaluate(batches, LogLoss(), y_true="label", y_pred="score", by="team")
>>> print(f"{found.overall.value:.6f}", found.groups["b"].count)
0.164252 2

Only sums are kept between batches, so memory does not grow with the data. `fastloss eval` does this
with a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastloss._base import Loss, Outside, Partial
from fastloss.commands.columns import Columns, Place, groups_of, naming, numbers_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["Evaluation", "Score", "evaluate"]


class DomainError(ValueError):
    """A column holds values that the loss is not meant for."""


@dataclass(frozen=True)
class Score:
    """A loss over some rows.

    Attributes
    ----------
    value : float
        The value of the loss; nan for the mean of nothing.
    count : int
        Number of rows; for `CrossEntropyLoss` the number of rows that are not ignored.
    weight : float
        Sum of their weights; the count if there are no weights.
    """

    value: float
    count: int
    weight: float


@dataclass(frozen=True)
class Evaluation:
    """The results of `evaluate`.

    Attributes
    ----------
    loss : Loss
        The loss.
    overall : Score
        The loss over all rows.
    groups : dict of Score
        The loss over the rows of each group, by the group's value, in the order of the values, or
        of their `repr` where values have no order; empty without `by`.
    """

    loss: Loss
    overall: Score
    groups: dict[Any, Score]


def evaluate(
    batches: Any,
    loss: Loss,
    *,
    y_true: str = "y_true",
    y_pred: str | Sequence[str] = "y_pred",
    sample_weight: str | None = None,
    by: str | Sequence[str] | None = None,
    check: bool = False,
    n_threads: int | None = None,
) -> Evaluation:
    """Return the value of a loss on rows, overall and by group.

    Parameters
    ----------
    batches : table of columns, iterable of tables, or path
        A table is anything that gives a column by ``table[name]``: a dict of arrays, a pandas or
        polars DataFrame, a pyarrow RecordBatch or Table, a structured array. Columns of Arrow and
        NumPy are read without a copy. A path, str or `os.PathLike`, names a file of a format that
        ``fastloss eval`` reads; it is read in batches.
    loss : Loss
        A pointwise loss or `CrossEntropyLoss`, with a reduction other than "none".
    y_true, y_pred : str
        Names of the columns. The scores of `CrossEntropyLoss` are a column of lists of equal
        length (Arrow), a column that is a matrix (dict), or several columns: a sequence of names.
    sample_weight : str, optional
        Name of the column of weights.
    by : str or sequence of str, optional
        Names of the columns of groups, with values of any type that can be hashed; dates and times
        are NumPy's where Python's are too coarse. For a sequence of names the groups are tuples.
        Missing values (None, NaT, pandas' NA and masked elements) are the group None; nan among
        floats is a group of its own.
    check : bool, default False
        Raise for values outside the loss's domain, as `Loss.check` does: labels 1 and 2 where 0 and
        1 are meant, per cent, nan. The default is False, as in the other functions: the check
        takes about as long as reading the columns once more. ``fastloss eval`` checks.
    n_threads : int, optional
        Number of threads, at least 1; by default `fastloss.get_num_threads`.

    Returns
    -------
    Evaluation
        The value equals the value for all rows in one array, up to the rounding of the last bit.
        It depends on where batches begin, and not on the number of threads.

    Raises
    ------
    TypeError
        If `loss` is not a loss of elements or of rows of scores, or a column does not hold numbers.
    ValueError
        If the reduction is "none", a column or a number (None, NaT, pandas' NA, masked) is
        missing, lengths differ, groups cannot be told apart, or the loss refuses a label. Messages
        name the batch, and rows in it, both from 0; of a file the row, from 0 below a header.

    Examples
    --------
    With pyarrow: ``evaluate(ParquetFile(path).iter_batches(columns=["y", "p"]), LogLoss(),
    y_true="y", y_pred="p")``.
    """
    columns = Columns(y_true, y_pred, sample_weight, by)
    sums = Sums([loss], columns, n_threads, check)
    for batch, place in _places(batches, columns):
        sums.add(batch, place)
    return sums.results()[0]


def _places(batches: Any, columns: Columns) -> Iterator[tuple[Any, Place]]:
    """Yield tables of columns, each with a function that says where a row of it is."""
    if isinstance(batches, (str, os.PathLike)):
        try:
            from fastloss.commands.datafile import DataFile
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "pyarrow":
                raise
            raise ModuleNotFoundError('a file is read with pyarrow: pip install "fastloss[eval]"',
                                      name=error.name) from error
        with DataFile(batches, columns) as data:
            for batch, place, _ in data:
                yield batch, place
        return
    if _is_table(batches):
        yield batches, lambda row: "the table" if row is None else f"row {row}"
        return
    for number, batch in enumerate(batches):
        def place(row: int | None, number: int = number) -> str:
            return f"batch {number}" + (f", row {row}" if row is not None else "")
        yield batch, place


def _is_table(data: Any) -> bool:
    """Return whether an object gives columns by name; an iterable of tables does not."""
    return (isinstance(data, Mapping) or getattr(getattr(data, "dtype", None), "names", None)
            is not None or all(hasattr(type(data), name) for name in ("__getitem__", "columns")))


@dataclass
class Sums:
    """The sums of losses over all batches so far."""

    losses: Sequence[Loss]
    columns: Columns
    n_threads: int | None = None
    check: bool = False
    rows: int = field(default=0, init=False)
    totals: list[Partial] = field(init=False)
    groups: dict[Any, list[Partial]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for loss in self.losses:
            if not (isinstance(loss, Loss) and loss.takes("prediction")):
                raise TypeError("loss must be a loss of elements or of rows of scores, as "
                                f"LogLoss() or CrossEntropyLoss(), got {loss!r}")
            if loss.reduction == "none":
                raise ValueError("loss must have a reduction, got reduction='none'")
        self.totals = [Partial(loss, 0.0, 0.0, 0) for loss in self.losses]

    def add(self, batch: Any, place: Place) -> None:
        """Add the rows of a batch; `place` says where they are."""
        names = self.columns
        y = numbers_of(batch, names.y_true, place)
        if isinstance(names.y_pred, str):
            p = numbers_of(batch, names.y_pred, place)
        else:
            scores = [numbers_of(batch, name, place) for name in names.y_pred]
            if len({each.shape for each in scores}) > 1:
                raise ValueError(f"{place(None)}: columns {list(names.y_pred)} must have the same "
                                 f"length, got {[len(each) for each in scores]}")
            p = np.column_stack(scores)
        w = None if names.sample_weight is None else numbers_of(batch, names.sample_weight, place)
        if y.shape[:1] == p.shape[:1] == (0,):
            return
        with naming(place):
            outside = [loss._outside(y, p, w) for loss in self.losses] if self.check else []
        for found in filter(None, outside):
            raise DomainError(f"{place(found.at[0] if found.at else None)}: column "
                              f"{self._name(found)!r} is {found.value!r}; it must hold "
                              f"{found.told} here do not{found.cure}")
        with naming(place):
            whole = self._partials(y, p, w)
        self.totals = _added(self.totals, whole)
        self.rows += len(p) if p.ndim else 1
        if not names.groups():
            return
        if not p.ndim:
            raise ValueError(f"{place(None)}: column {names.y_pred!r} must have rows, got one "
                             "number")
        codes, keys = groups_of(batch, names, len(p), place)
        if len(keys) == 1:
            self._add_to_group(keys[0], whole)
            return
        # put the rows of a group side by side, in their order; NumPy sorts 16 bits by counting
        order = np.argsort(codes.astype(np.min_scalar_type(len(keys))), kind="stable")
        y, p, w = y.take(order, 0), p.take(order, 0), None if w is None else w.take(order)
        stop = 0
        for key, count in zip(keys, np.bincount(codes).tolist(), strict=True):
            start, stop = stop, stop + count
            self._add_to_group(key, self._partials(y[start:stop], p[start:stop],
                                                   None if w is None else w[start:stop]))

    def _add_to_group(self, key: Any, parts: list[Partial]) -> None:
        before = self.groups.get(key)
        self.groups[key] = parts if before is None else _added(before, parts)

    def _partials(self, y: Array, p: Array, w: Array | None) -> list[Partial]:
        return [loss.partial(y, p, w, n_threads=self.n_threads) for loss in self.losses]

    def _name(self, found: Outside) -> str | None:
        """Return the name of the column that holds a value outside the domain."""
        if found.argument == "y_pred":
            scores = self.columns.scores()
            return scores[found.at[1] if len(scores) > 1 else 0]
        return self.columns.y_true if found.argument == "y_true" else self.columns.sample_weight

    def results(self) -> list[Evaluation]:
        """Return the values of each loss."""
        try:
            keys = sorted(self.groups, key=_order)
        except TypeError:  # values that have no order
            keys = sorted(self.groups, key=repr)
        return [Evaluation(loss, _score(self.totals[i]),
                           {key: _score(self.groups[key][i]) for key in keys})
                for i, loss in enumerate(self.losses)]


def _added(some: list[Partial], others: list[Partial]) -> list[Partial]:
    return [a + b for a, b in zip(some, others, strict=True)]


def _order(key: Any) -> tuple[Any, ...]:
    """Return a key to sort groups by: values of one type by value, nan behind them, None last."""
    if isinstance(key, tuple):
        return tuple(map(_order, key))
    return key is None, type(key).__name__, key != key, key


def _score(part: Partial) -> Score:
    return Score(part.result(), part.count, part.weight_sum)
