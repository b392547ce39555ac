"""`fastloss.stream.evaluate`: a loss of batches, overall and by group."""

import math

import numpy as np
import pytest
from cases import seeded

import fastloss as fl
from fastloss import stream

N = 40_000


def data(dtype=np.float32, seed="stream"):
    rng = seeded(seed, dtype)
    return {"y": rng.integers(0, 2, N), "p": rng.random(N).astype(dtype), "w": rng.random(N),
            "g": rng.integers(-3, 4, N)}


def cut(columns, edges):
    return [{name: each[i:j] for name, each in columns.items()}
            for i, j in zip([0, *edges], [*edges, N], strict=True)]


def score(loss, columns, rows=slice(None), weighted=True):
    w = columns["w"][rows] if weighted else None
    return loss.partial(columns["y"][rows], columns["p"][rows], w)


NAMES = {"y_true": "y", "y_pred": "p", "sample_weight": "w", "by": "g"}


@pytest.mark.parametrize("loss", [fl.LogLoss(), fl.ContrastiveLoss(margin=0.5, reduction="sum"),
                                  fl.AbsoluteLoss(reduction="sum_over_batch_size")])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("edges", [[], [1, 1, 700, 30_001], [8192, 16384, 24576]])
def test_values_are_those_of_one_array(loss, dtype, edges):
    columns = data(dtype)
    found = stream.evaluate(cut(columns, edges), loss, **NAMES)
    assert found.loss == loss
    whole = score(loss, columns)
    assert abs(found.overall.value - whole.result()) <= 2e-15 * whole.result()
    assert found.overall.count == N
    assert found.overall.weight == pytest.approx(whole.weight_sum, rel=4e-16)
    assert list(found.groups) == [-3, -2, -1, 0, 1, 2, 3]
    for key, each in found.groups.items():
        part = score(loss, columns, columns["g"] == key)
        assert edges or each.value == part.result()     # rows stay in their order
        # a sum of logs is one of other products
        assert abs(each.value - part.result()) <= 2e-15 * part.result()
        assert each.count == part.count == np.sum(columns["g"] == key)
        assert each.weight == pytest.approx(part.weight_sum, rel=4e-16)


def test_results_do_not_depend_on_threads_and_groups_not_on_the_whole():
    columns = data()
    batches = cut(columns, [5000, 25_000])
    found = [stream.evaluate(batches, fl.LogLoss(), **NAMES, n_threads=n) for n in (1, 2, 3)]
    assert found[0] == found[1] == found[2]
    names = NAMES | {"by": None}
    alone = stream.evaluate(iter(batches), fl.LogLoss(), **names)
    assert (alone.overall, alone.groups) == (found[0].overall, {})


def test_without_weights_the_weight_is_the_count():
    found = stream.evaluate([{"y_true": [1, 0], "y_pred": [0.5, 1.0]}, {"y_true": [3],
                                                                       "y_pred": [1]}],
                            fl.AbsoluteLoss())
    assert found.overall == stream.Score(3.5 / 3, 3, 3.0)


@pytest.mark.parametrize("batches", [[], [{"y_true": [], "y_pred": []}]])
def test_nothing(batches):
    mean = stream.evaluate(batches, fl.LogLoss()).overall
    assert math.isnan(mean.value)
    assert (mean.count, mean.weight) == (0, 0)
    assert stream.evaluate(batches, fl.LogLoss(reduction="sum")).overall.value == 0


def test_structured_arrays_and_data_frames():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    columns = data()
    expected = stream.evaluate(cut(columns, [9000]), fl.LogLoss(), **NAMES)
    rows = np.rec.fromarrays(columns.values(), names=list(columns))
    assert stream.evaluate([rows[:9000], rows[9000:]], fl.LogLoss(), **NAMES) == expected
    frame = pandas.DataFrame(columns)
    assert stream.evaluate([frame[:9000], frame[9000:]], fl.LogLoss(), **NAMES) == expected


@pytest.mark.parametrize("convert, kind, keys", [
    (lambda g: np.array(list("zyxbcd"))[g], str, list("bcdxyz")),
    (lambda g: np.array(list("zyxbcd"), object)[g], str, list("bcdxyz")),
    (lambda g: (g > 2), bool, [False, True]),
    (lambda g: g.astype(np.int8), int, list(range(6))),
    (lambda g: np.where(g == 0, np.nan, g / 2), float, [0.5, 1, 1.5, 2, 2.5, None]),
], ids=["str", "object", "bool", "int8", "float"])
def test_kinds_of_groups(convert, kind, keys):
    columns = data()
    columns["g"] = convert(columns["g"] % 6)
    found = stream.evaluate(cut(columns, [3, 20_000]), fl.LogLoss(), **NAMES)
    assert [None if key != key else key for key in found.groups] == keys
    assert {type(key) for key in found.groups} == {kind}
    assert sum(each.count for each in found.groups.values()) == N
    for key, each in found.groups.items():
        rows = columns["g"] != columns["g"] if key != key else columns["g"] == key
        assert abs(each.value - score(fl.LogLoss(), columns, rows).result()) <= 4e-16 * each.value


def test_many_groups_in_a_batch():
    columns = data()
    columns["g"] = np.arange(N) % 10_000           # more than 8 bits
    groups = stream.evaluate([columns], fl.AbsoluteLoss(), **NAMES).groups
    for key in (0, 255, 256, 9999):
        part = score(fl.AbsoluteLoss(), columns, columns["g"] == key)
        assert groups[key].value == part.result()
    columns["g"] = np.arange(N) * 2                # more than 16 bits would be codes of rows
    names = NAMES | {"sample_weight": None}
    groups = stream.evaluate(cut(columns, [70]), fl.AbsoluteLoss(), **names).groups
    assert list(groups) == columns["g"].tolist()
    assert groups[2 * 777].value == abs(columns["y"][777] - columns["p"][777])


def test_cross_entropy_of_columns_or_of_a_matrix():
    rng = seeded("stream", "rows")
    z, y, g = rng.normal(size=(500, 3)), rng.integers(-1, 3, 500), rng.integers(0, 2, 500)
    loss = fl.CrossEntropyLoss(ignore_index=-1)
    whole = loss.partial(y, z)
    matrix = [{"y": y[i:j], "z": z[i:j], "g": g[i:j]} for i, j in ((0, 200), (200, 500))]
    columns = [{"y": b["y"], "g": b["g"], **{f"z{k}": b["z"][:, k] for k in range(3)}}
               for b in matrix]
    for batches, scores in ((matrix, "z"), (columns, ["z0", "z1", "z2"])):
        found = stream.evaluate(batches, loss, y_true="y", y_pred=scores, by="g")
        assert abs(found.overall.value - whole.result()) <= 4e-16 * whole.result()
        assert found.overall.count == whole.count == np.sum(y >= 0)
        part = loss.partial(y[g == 1], z[g == 1])
        assert abs(found.groups[1].value - part.result()) <= 4e-16 * part.result()


def test_nan_is_a_number():
    batches = [{"y_true": [1.0], "y_pred": [np.nan], "g": ["a"]},
               {"y_true": [1.0], "y_pred": [0.5], "g": ["b"]}]
    found = stream.evaluate(batches, fl.AbsoluteLoss(), by="g")
    assert math.isnan(found.overall.value)
    assert math.isnan(found.groups["a"].value)
    assert found.groups["b"].value == 0.5


GOOD = {"y_true": [0, 1], "y_pred": [0.5, 0.5], "g": ["a", "b"]}


@pytest.mark.parametrize("batch, options, error, message", [
    ({"y_true": [0, 1]}, {}, ValueError, r"^batch 1: there is no column 'y_pred'$"),
    (np.zeros(2, [("y_true", float)]), {}, ValueError, r"^batch 1: there is no column 'y_pred'$"),
    (GOOD | {"y_pred": [0.5]}, {}, ValueError, r"^batch 1: y_true and y_pred must have the same"),
    (GOOD | {"y_pred": ["a", "b"]}, {}, TypeError, r"^batch 1: column 'y_pred' must hold real "),
    (GOOD | {"y_pred": [None, 0.5]}, {}, ValueError, r"^batch 1, row 0: column 'y_pred' is null"),
    (GOOD | {"y_pred": np.array([0.5, None])}, {}, ValueError, r"^batch 1, row 1: .* in 1 of 2 "),
    (GOOD, {"sample_weight": "w"}, ValueError, r"^batch 1: there is no column 'w'$"),
    (GOOD | {"g": ["a"]}, {"by": "g"}, ValueError, r"^batch 1: column 'g' must .*\(2,\), got \(1,"),
])
def test_batches_that_are_refused(batch, options, error, message):
    good = GOOD | {"w": [1, 1]}
    with pytest.raises(error, match=message):
        stream.evaluate([good, batch], fl.LogLoss(), **options)


@pytest.mark.parametrize("name", ["y_true", "y_pred", "w"])
def test_masked_elements_are_nulls(name):
    batch = GOOD | {"w": np.ones(2), "y_pred": np.array([0.5, 0.5]), "g": [1, 2]}
    masked = batch | {name: np.ma.array(batch[name], mask=[False, True])}
    options = {"sample_weight": "w", "by": "g"}
    with pytest.raises(ValueError, match=rf"^batch 1, row 1: column '{name}' is null, .* 1 of 2"):
        stream.evaluate([batch, masked], fl.LogLoss(), **options)
    whole = batch | {name: np.ma.array(batch[name], mask=False)}     # as losses take it
    assert stream.evaluate([whole], fl.LogLoss(), **options) == stream.evaluate(
        [batch], fl.LogLoss(), **options)


def test_masked_elements_of_rows():
    z = np.ma.array(np.zeros((2, 3)), mask=[[0, 0, 0], [0, 1, 0]])
    with pytest.raises(ValueError, match=r"^batch 0, row 1: column 'y_pred' is null, .* 1 of 2"):
        stream.evaluate([{"y_true": [0, 1], "y_pred": z}], fl.CrossEntropyLoss())


def groups_of(column, **options):
    found = stream.evaluate([GOOD | {"g": column}], fl.LogLoss(), by="g", **options)
    assert all(each.count == 1 for each in found.groups.values())
    return list(found.groups)


@pytest.mark.parametrize("column", [
    ["a", None], np.array(["a", np.nan], object), np.array(["a", None]),
    np.ma.array(["a", "b"], mask=[0, 1]), np.ma.array(["a", "a"], mask=[0, 1])])
def test_what_is_missing_is_a_group(column):
    assert groups_of(column) == ["a", None]


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "boolean", "category", "str",
                                   "int64[pyarrow]", "datetime64[ns]", "datetime64[ns, UTC]",
                                   "timedelta64[s]"])
def test_nulls_of_pandas(dtype):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    frame = pandas.DataFrame(GOOD)
    frame["g"] = pandas.Series(["1", None] if dtype == "str" else [1, None]).astype(dtype)
    keys = groups_of(frame["g"])
    assert keys[1] is None
    assert keys[0] == (np.asarray(frame["g"][:1])[0] if dtype != "str" else "1")
    if dtype in ("Int64", "Float64", "int64[pyarrow]"):
        with pytest.raises(ValueError, match=r"^batch 0, row 1: column 'g' is null"):
            stream.evaluate([frame], fl.AbsoluteLoss(), y_pred="g")
    frame["g"] = [1, math.nan]
    assert math.isnan(stream.evaluate([frame], fl.AbsoluteLoss(), y_pred="g").overall.value)
    assert len(stream.evaluate([frame], fl.LogLoss(), by="g").groups) == 2


def test_groups_of_times():
    for kind in ("datetime64[s]", "datetime64[ns]", "timedelta64[us]", "timedelta64[ns]"):
        times = np.array([86_400 * 10**9, 0]).astype(kind.partition("[")[0] + "[ns]").astype(kind)
        groups = stream.evaluate([GOOD | {"g": times}], fl.LogLoss(), by="g").groups
        assert [str(key) for key in groups] == [str(key) for key in (
            times[::-1] if "ns" in kind else times[::-1].tolist())]
        assert all(np.array(key, times.dtype) in times for key in groups)
        assert not any(isinstance(key, int) for key in groups)
        keys = groups_of(np.array([times[0], "NaT"], times.dtype))
        assert keys[0] == times[0]
        assert keys[1] is None


def test_groups_that_have_no_order_or_cannot_be_told_apart():
    groups = stream.evaluate([GOOD | {"g": [2j, 1j]}], fl.LogLoss(), by="g").groups
    assert list(groups) == [1j, 2j]
    unhashable = np.array([[1], [1, 2]], object)
    with pytest.raises(ValueError, match=r"^batch 0: column 'g' has no groups that can be told"):
        stream.evaluate([GOOD | {"g": unhashable}], fl.LogLoss(), by="g")
    with pytest.raises(ValueError, match=r"^batch 0: column 'y_pred' must have rows"):
        stream.evaluate([{"y_true": 1.0, "y_pred": 1.0, "g": 1}], fl.AbsoluteLoss(), by="g")


def test_what_has_no_value():
    with pytest.raises(ValueError, match=r"^loss must have a reduction, got reduction='none'"):
        stream.evaluate([GOOD], fl.LogLoss(reduction="none"))
    with pytest.raises(TypeError, match=r"^loss must be .*got SupConLoss"):
        stream.evaluate([GOOD], fl.SupConLoss())
    with pytest.raises(ValueError, match=r"^batch 0: y_true must hold class .* row 1 has 3"):
        stream.evaluate([{"y_true": [0, 3], "y_pred": np.zeros((2, 3))}], fl.CrossEntropyLoss())
    with pytest.raises(ValueError, match=r"n_threads must"):
        stream.evaluate([GOOD], fl.LogLoss(), n_threads=0)


# ---- Arrow ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pa():
    return pytest.importorskip("pyarrow", reason="pyarrow is not installed")


def test_arrow_batches_and_tables(pa):
    columns = data()
    columns["g"] = np.array(list("abcdefg"))[columns["g"]]
    expected = stream.evaluate(cut(columns, [10_000]), fl.LogLoss(), **NAMES)
    table = pa.table({name: pa.array(each.tolist() if name == "g" else each)
                      for name, each in columns.items()})
    pieces = [table.slice(0, 10_000), pa.concat_tables([table[10_000:10_500], table[10_500:]])]
    assert stream.evaluate(pieces, fl.LogLoss(), **NAMES) == expected
    batches = [piece.combine_chunks().to_batches()[0] for piece in pieces]
    assert stream.evaluate(batches, fl.LogLoss(), **NAMES) == expected
    encoded = [piece.set_column(3, "g", piece["g"].dictionary_encode()) for piece in pieces]
    assert stream.evaluate(encoded, fl.LogLoss(), **NAMES) == expected
    with pytest.raises(ValueError, match=r"^batch 0: there is no column 'q'"):
        stream.evaluate(batches, fl.LogLoss(), **NAMES | {"y_true": "q"})


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64, np.float16, np.float32, float])
def test_arrow_columns_are_not_copied(pa, monkeypatch, dtype):
    array = pa.array(np.arange(3, 103).astype(dtype)).slice(10)
    seen = []
    monkeypatch.setattr(fl.AbsoluteLoss, "partial", lambda self, y, p, w, n_threads: (
        seen.append(p), fl.Partial(self, 1.0, 1.0, 1))[1])
    stream.evaluate([{"y_true": array, "y_pred": array}], fl.AbsoluteLoss())
    assert seen[0].ctypes.data == array.buffers()[1].address + 10 * seen[0].itemsize
    assert seen[0].dtype == dtype


@pytest.mark.parametrize("fixed", [True, False])
def test_arrow_lists_are_rows(pa, fixed):
    rng = seeded("stream", "lists")
    z, y = rng.normal(size=(60, 3)), rng.integers(0, 3, 60)
    kind = pa.list_(pa.float64(), 3) if fixed else pa.list_(pa.float64())
    lists = pa.array(z.tolist(), kind)
    batches = [{"y_true": y[i:j], "y_pred": lists[i:j]} for i, j in ((0, 0), (0, 25), (25, 60))]
    found = stream.evaluate(batches, fl.CrossEntropyLoss()).overall
    assert abs(found.value - fl.CrossEntropyLoss()(y, z)) <= 4e-16 * found.value
    broken = pa.array([[1.0, 2.0], [3.0, None]], pa.list_(pa.float64(), 2) if fixed else None)
    with pytest.raises(ValueError, match=r"^batch 0, row 1: a list of column 'y_pred'"):
        stream.evaluate([{"y_true": [0, 1], "y_pred": broken}], fl.CrossEntropyLoss())
    if not fixed:
        ragged = pa.array([[1.0, 2.0], [3.0, 4.0], [5.0]])
        with pytest.raises(ValueError, match=r"^batch 0, row 2: column 'y_pred' has a list of 1 "):
            stream.evaluate([{"y_true": [0, 1, 0], "y_pred": ragged}], fl.CrossEntropyLoss())


@pytest.mark.parametrize("name", ["y", "p", "w"])
def test_arrow_nulls(pa, name):
    columns = {key: pa.array(each) for key, each in data().items()}
    mask = np.arange(N) % 1000 == 321
    columns[name] = pa.array(np.asarray(columns[name]), mask=mask)
    batches = pa.table(columns).to_batches(300)
    with pytest.raises(ValueError, match=rf"^batch 1, row 21: column '{name}' is null, as it is in "
                                         "1 of 300 rows"):
        stream.evaluate(batches, fl.LogLoss(), **NAMES)


def test_arrow_nulls_are_a_group(pa):
    columns = {key: pa.array(each) for key, each in data().items()}
    mask = np.arange(N) % 1000 == 321
    columns["g"] = pa.array(np.asarray(columns["g"]), mask=mask)
    found = stream.evaluate(pa.table(columns).to_batches(300), fl.LogLoss(), **NAMES)
    assert list(found.groups) == [-3, -2, -1, 0, 1, 2, 3, None]
    part = score(fl.LogLoss(), data(), mask)
    assert found.groups[None].count == part.count == N // 1000
    assert abs(found.groups[None].value - part.result()) <= 1e-15 * part.result()


def test_a_null_in_a_dictionary_is_a_group(pa):
    groups = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0, None]), pa.array(["a", None]))
    batch = {"y_true": [0, 1, 0, 1], "y_pred": [0.5, 0.25, 0.5, 0.125], "g": groups}
    found = stream.evaluate([batch], fl.LogLoss(), by="g")
    assert list(found.groups) == ["a", None]
    assert found.groups[None].value == pytest.approx(math.log(32) / 2, rel=1e-15)
    unused = pa.DictionaryArray.from_arrays(pa.array([0, 2, 0, 2]), pa.array(["a", None, "a"]))
    found = stream.evaluate([batch | {"g": unused}], fl.LogLoss(), by="g")
    assert found.groups == {"a": found.overall}    # of both of its numbers


@pytest.mark.parametrize("view", ["list_view", "large_list_view"])
def test_views_of_lists(pa, view):
    kind = getattr(pa, view)(pa.float64())
    offset = pa.int32() if view == "list_view" else pa.int64()
    z = np.array([[1.0, 2.0], [3.0, 4.0], [6.0, 5.0]])
    kinds = {"list_view": pa.ListViewArray, "large_list_view": pa.LargeListViewArray}
    moved = kinds[view].from_arrays(pa.array([4, 0, 2], offset), pa.array([2, 2, 2], offset),
                                    pa.array(np.roll(z, -1, axis=0).ravel()))
    found = stream.evaluate([{"y_true": [0, 1, 1], "y_pred": moved}], fl.CrossEntropyLoss())
    assert found.overall.value == fl.CrossEntropyLoss()([0, 1, 1], z)
    ragged = pa.array([[1.0, 2.0], [3.0], [5.0, 1.0, 2.0]], kind)
    with pytest.raises(ValueError, match=r"^batch 0, row 1: column 'y_pred' has a list of 1 "):
        stream.evaluate([{"y_true": [0, 1, 0], "y_pred": ragged}], fl.CrossEntropyLoss())


def test_groups_that_arrow_cannot_tell_apart(pa):
    with pytest.raises(ValueError, match=r"^batch 0: column 'g' of list<.* has no groups"):
        stream.evaluate([GOOD | {"g": pa.array([[1], [2]])}], fl.LogLoss(), by="g")
