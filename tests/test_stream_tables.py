"""`fastloss.stream.evaluate` of one table or file, by several columns, with checks."""

import datetime
import decimal
import math
from pathlib import Path

import numpy as np
import pytest
from child import run_python

import fastloss as fl
from fastloss import stream

N = 3000
rng = np.random.default_rng(14)
COLUMNS = {"y": rng.integers(0, 2, N), "p": rng.random(N), "w": rng.integers(1, 5, N) / 4,
           "g": rng.integers(0, 3, N), "h": np.array(["a", "b"])[rng.integers(0, 2, N)]}
NAMES = {"y_true": "y", "y_pred": "p", "sample_weight": "w", "by": ["g", "h"]}
EPS = np.finfo(float).eps


def squared(rows=slice(None)):
    """Return the weighted mean of the squared error over rows, by NumPy."""
    y, p, w = (COLUMNS[name][rows] for name in ("y", "p", "w"))
    return math.fsum(w * (y - p) ** 2) / math.fsum(w)


def library(name):
    return pytest.importorskip(name, reason=f"{name} is not installed")


TABLES = {
    "dict": lambda: COLUMNS,
    "dict of lists": lambda: {name: each.tolist() for name, each in COLUMNS.items()},
    "structured array": lambda: np.rec.fromarrays(list(COLUMNS.values()), names=list(COLUMNS)),
    "pandas": lambda: library("pandas").DataFrame(COLUMNS),
    "pandas, nullable": lambda: library("pandas").DataFrame(COLUMNS).convert_dtypes(),
    "pandas, odd index": lambda: library("pandas").DataFrame(COLUMNS, index=np.zeros(N)),
    "polars": lambda: library("polars").DataFrame(COLUMNS),
    "pyarrow Table": lambda: library("pyarrow").table(COLUMNS),
    "pyarrow RecordBatch": lambda: library("pyarrow").record_batch(
        list(map(library("pyarrow").array, COLUMNS.values())), list(COLUMNS)),
    "generator": lambda: ({name: each[i:i + 700] for name, each in COLUMNS.items()}
                          for i in range(0, N, 700)),
    "list of pandas": lambda: [library("pandas").DataFrame(COLUMNS)],
    "slices of polars": lambda: library("polars").DataFrame(COLUMNS).iter_slices(700),
    "pyarrow RecordBatchReader": lambda: library("pyarrow").RecordBatchReader.from_batches(
        library("pyarrow").table(COLUMNS).schema,
        library("pyarrow").table(COLUMNS).to_batches(700)),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables(kind):
    found = stream.evaluate(TABLES[kind](), fl.SquaredLoss(), **NAMES)
    assert abs(found.overall.value / squared() - 1) <= 4 * EPS
    assert (found.overall.count, found.overall.weight) == (N, COLUMNS["w"].sum())
    assert list(found.groups) == [(g, h) for g in range(3) for h in "ab"]
    for (g, h), each in found.groups.items():
        rows = (COLUMNS["g"] == g) & (COLUMNS["h"] == h)
        assert each.count == rows.sum()
        assert abs(each.value / squared(rows) - 1) <= 4 * EPS
    one = stream.evaluate(TABLES[kind](), fl.SquaredLoss(), **NAMES | {"by": "h"})
    assert list(one.groups) == ["a", "b"]
    assert one.overall == found.overall


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.feather"])
def test_paths(name, tmp_path):
    pandas = library("pandas")
    library("pyarrow")
    path = tmp_path / name
    frame = pandas.DataFrame(COLUMNS)
    frame.to_csv(path, index=False) if name == "a.csv" else getattr(frame, f"to_{name[2:]}")(path)
    for each in (path, str(path)):
        found = stream.evaluate(each, fl.SquaredLoss(), **NAMES)
        assert abs(found.overall.value / squared() - 1) <= 4 * EPS
        assert len(found.groups) == 6
    frame.loc[7, "p"] = None
    frame.to_csv(path.with_suffix(".csv"), index=False)
    with pytest.raises(ValueError, match=r"a.csv, row 7: column 'p' is null"):
        stream.evaluate(path.with_suffix(".csv"), fl.SquaredLoss(), **NAMES)
    with pytest.raises(ValueError, match=r"absent.csv cannot be read: No such file"):
        stream.evaluate(Path("absent.csv"), fl.SquaredLoss())


def test_a_path_without_pyarrow(tmp_path):
    assert run_python("""if 1:
        import sys
        sys.modules["pyarrow"] = None
        from fastloss import LogLoss
        from fastloss.stream import evaluate
        try:
            evaluate("a.csv", LogLoss())
        except ModuleNotFoundError as error:
            print(error)
        """, tmp_path).strip() == 'a file is read with pyarrow: pip install "fastloss[eval]"'


@pytest.mark.parametrize("kind", ["dict", "pandas", "polars", "pyarrow Table", "structured array"])
def test_what_a_table_lacks(kind):
    with pytest.raises(ValueError, match=r"^the table: there is no column 'q'$"):
        stream.evaluate(TABLES[kind](), fl.SquaredLoss(), y_true="q")
    with pytest.raises(ValueError, match=r"^the table: there is no column 'q'$"):
        stream.evaluate(TABLES[kind](), fl.SquaredLoss(), **NAMES | {"by": ["g", "q"]})


def test_a_sequence_of_one_name_gives_tuples_and_of_none_no_groups():
    found = stream.evaluate(COLUMNS, fl.SquaredLoss(), **NAMES | {"by": ["g"]})
    assert list(found.groups) == [(0,), (1,), (2,)]
    assert stream.evaluate(COLUMNS, fl.SquaredLoss(), **NAMES | {"by": []}).groups == {}


def test_what_is_missing_in_one_of_several_columns_is_none():
    days = np.array(["2026-01-02", "NaT", "2026-01-01", "NaT"], "datetime64[D]")
    batch = {"y_true": np.zeros(4), "y_pred": np.arange(4.0), "day": days,
             "team": ["x", None, "x", "x"], "size": [1.5, math.nan, 1.5, 1.5]}
    found = stream.evaluate(batch, fl.AbsoluteLoss(), by=["day", "team", "size"])
    first, second = (datetime.date(2026, 1, day) for day in (1, 2))
    assert [(*key[:2], str(key[2])) for key in found.groups] == [
        (first, "x", "1.5"), (second, "x", "1.5"), (None, "x", "1.5"), (None, None, "nan")]
    assert [each.value for each in found.groups.values()] == [2, 0, 3, 1]
    # nan is the same group in every batch
    assert len(stream.evaluate([batch, batch], fl.AbsoluteLoss(), by=["size", "team"]).groups) == 2


def test_large_integers_beside_nulls_stay_apart():
    polars = library("polars")
    frame = polars.DataFrame({"y_true": [0.0] * 3, "y_pred": [1.0, 2.0, 3.0],
                              "id": [2**53, 2**53 + 1, None]})
    assert list(stream.evaluate(frame, fl.AbsoluteLoss(), by="id").groups) == [
        2**53, 2**53 + 1, None]


@pytest.mark.parametrize("column", [
    [decimal.Decimal("0.1"), decimal.Decimal("0.7")], np.array([0.1, 0.7], object)])
def test_columns_of_objects_that_are_numbers(column):
    batch = {"y_true": [0, 1], "y_pred": column}
    assert stream.evaluate(batch, fl.LogLoss()).overall.value == fl.log_loss([0, 1], [0.1, 0.7])


def test_decimals_of_arrow_are_rounded_once():
    pa = library("pyarrow")
    texts = ["0.1", "0.30000000000000004440892098500626", "12345678901234567.891", "-7e-20"]
    exact = [decimal.Decimal(text) for text in texts]
    batch = pa.table({"y_true": pa.array(exact, pa.decimal256(60, 32)), "y_pred": [0.0] * 4})
    for row, text in enumerate(texts):
        found = stream.evaluate(batch[row:row + 1], fl.AbsoluteLoss(), y_pred="y_pred")
        assert found.overall.value == abs(float(text))


def test_dictionaries_of_numbers():
    pa = library("pyarrow")
    column = pa.array([0.5, 0.25, 0.5, 0.125]).dictionary_encode()
    batch = pa.table({"y_true": [1.0] * 4, "y_pred": column})
    assert stream.evaluate(batch, fl.AbsoluteLoss()).overall.value == 0.65625
    pandas = library("pandas")
    batch = pandas.DataFrame({"y_true": [1.0] * 4, "y_pred": column.to_pandas()})
    assert isinstance(batch["y_pred"].dtype, pandas.CategoricalDtype)
    assert stream.evaluate(batch, fl.AbsoluteLoss()).overall.value == 0.65625


# ---- checks -----------------------------------------------------------------------------------


def test_values_outside_the_domain_are_taken_unless_checked():
    batches = [{"y_true": [0, 1], "y_pred": [0.5, 0.5]}, {"y_true": [1, 2], "y_pred": [0.5, 0.25]}]
    y, p = ([*batches[0][name], *batches[1][name]] for name in ("y_true", "y_pred"))
    assert stream.evaluate(batches, fl.LogLoss()).overall.value == pytest.approx(
        fl.log_loss(y, p), rel=4 * EPS)
    with pytest.raises(ValueError, match=(
            r"^batch 1, row 1: column 'y_true' is 2.0; it must hold labels in \[0, 1\], where 0 "
            r"and 1 are the classes, but 1 of 2 values here do not; labels 1 and 2 become 0 and 1 "
            r"by y - 1$")):
        stream.evaluate(batches, fl.LogLoss(), check=True)
    with pytest.raises(ValueError, match=r"^row 1: column 'y_true' is 2.0; it must hold labels"):
        stream.evaluate(batches[1], fl.LogLoss(), check=True)
    checked = stream.evaluate(batches, fl.SquaredLoss(), check=True)
    assert checked == stream.evaluate(batches, fl.SquaredLoss())


@pytest.mark.parametrize("names, column", [("z", "z"), (["a", "b"], "b")])
def test_the_column_of_a_score_that_is_outside(names, column):
    z = np.array([[0.5, 0.5], [0.25, 1.5]])
    batch = {"y_true": [0, 1], "z": z, "a": z[:, 0], "b": z[:, 1]}
    with pytest.raises(ValueError, match=rf"^row 1: column '{column}' is 1.5; .* probabilities"):
        stream.evaluate(batch, fl.CrossEntropyLoss(from_logits=False), y_pred=names, check=True)


def test_scores_of_different_lengths():
    batch = {"y_true": [0, 1], "a": [0.5, 0.5], "b": [0.5]}
    with pytest.raises(ValueError, match=r"^the table: columns \['a', 'b'\] must have .*\[2, 1\]$"):
        stream.evaluate(batch, fl.CrossEntropyLoss(), y_pred=["a", "b"])


def test_rows_that_are_ignored_may_hold_anything():
    batch = {"y_true": [0, -1, 1], "y_pred": np.array([[0.0, 1], [np.nan, np.inf], [2, 0]]),
             "w": [1, -1, 1]}
    loss = fl.CrossEntropyLoss(ignore_index=-1)
    found = stream.evaluate(batch, loss, sample_weight="w", check=True).overall
    assert (found.count, found.value) == (2, loss([0, 1], [[0.0, 1], [2, 0]], [1, 1]))
    loss.check(*(batch[name] for name in ("y_true", "y_pred", "w")))
    with pytest.raises(ValueError, match=r"^row 2: column 'y_true' is 0.5; it must hold class"):
        stream.evaluate(batch | {"y_true": [0, -1, 0.5]}, loss, check=True)
    broken = batch | {"y_pred": np.array([[0.0, 1], [np.nan, np.inf], [2, np.nan]])}
    with pytest.raises(ValueError, match=r"^row 2: column 'y_pred' is nan; it must hold finite"):
        stream.evaluate(broken, loss, check=True)
    with pytest.raises(ValueError, match=r"index \(2, 1\): nan$"):
        loss.check(broken["y_true"], broken["y_pred"])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f8", np.int8, np.uint64,
                                   bool])
@pytest.mark.parametrize("layout", ["C", "F", "reversed", "strided"])
def test_the_quick_look_at_the_ends_misses_nothing(dtype, layout):
    values = np.ones((40, 3), dtype)
    if layout == "F":
        values = np.asfortranarray(values)
    elif layout == "reversed":
        values = values[::-1]
    elif layout == "strided":
        values = np.repeat(values, 2, axis=0)[::2]
    fl.LogLoss().check(values, values)
    kind = np.dtype(dtype).kind
    for wrong in {"f": (math.nan, math.inf, -math.inf, -1, 1.5), "i": (-1, 2), "u": (2,)}.get(
            kind, ()):
        for at in ((0, 0), (39, 2), (17, 1)):
            broken = values.copy(order="K")
            broken[at] = wrong
            with pytest.raises(ValueError, match=rf"but 1 of 120 .* \({at[0]}, {at[1]}\): "):
                fl.LogLoss().check(values, broken)
