"""Losses on Dask: block by block, the result of one machine."""

import pickle
import re

import numpy as np
import pytest
from batches import drawn, label, sides, two_sided
from cases import CASES, DTYPES, seeded
from numerics import assert_same_bits

import fastloss as fl
from fastloss._base import Partial

dask = pytest.importorskip("dask", reason="dask is not installed")
da = pytest.importorskip("dask.array", reason="dask.array is not installed")
distributed = pytest.importorskip("distributed", reason="distributed is not installed")

from on_dask import close, compute, lazy  # noqa: E402

from fastloss.integrations.dask import value, value_and_grad  # noqa: E402

CHUNK = 8192


@pytest.fixture(scope="module")
def client():
    """A cluster of two processes, on which data stay where they are."""
    with (dask.config.set({"distributed.scheduler.work-stealing": False}),
          distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True,
                                   dashboard_address="127.0.0.1:0") as cluster,
          distributed.Client(cluster) as client):
        yield client


# ---- losses of elements -----------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_whole_chunks_give_the_bits_of_one_machine(name):
    case = CASES[name]
    rng = seeded("dask", name)
    parameters = case.parameters(rng)
    for i, reduction in enumerate(["mean", "sum", "sum_over_batch_size", "none"]):
        dtype = DTYPES[i % 2]
        n = int(rng.integers(5 * CHUNK, 9 * CHUNK))
        p = rng.permutation(np.resize(case.draw_p(rng, 500, parameters), n)).astype(dtype)
        y = np.resize(case.draw_y(rng, 500, p[:500], False, parameters), n)
        y, p = (np.where(np.isfinite(each), each, 1) for each in (y, p))
        loss = case.loss(**parameters, reduction=reduction)
        for w in (None, rng.random(n)):
            expected = loss.value_and_grad(y, p, w)
            found = value_and_grad(loss, *lazy(2 * CHUNK, y, p, w))
            assert all(isinstance(each, da.Array) for each in found)
            assert [each.dtype for each in found] == [np.asarray(each).dtype for each in expected]
            assert_same_bits(compute(*found), expected, name)
            alone, = compute(value(loss, *lazy(2 * CHUNK, y, p, w)))
            assert_same_bits(alone, expected[0])


def test_a_sum_of_parts_keeps_what_rounding_took():
    rng = seeded("low parts")
    loss, differ = fl.SquaredLoss(reduction="sum"), 0
    for _ in range(200):
        y, p = rng.normal(size=(2, 12 * CHUNK)) * 10.0 ** rng.integers(-3, 4)
        parts = [loss.partial(y[i:i + CHUNK], p[i:i + CHUNK]) for i in range(0, y.size, CHUNK)]
        whole = loss.partial(y, p)
        for order in (parts, parts[::-1], rng.permutation(np.array(parts, object)).tolist(),
                      [sum(parts[i:i + 5]) for i in range(0, 12, 5)]):
            assert_same_bits(sum(order).result(), whole.result())
        differ += sum(part.loss_sum for part in parts) != whole.loss_sum
        assert abs(whole.loss_error) <= np.spacing(whole.loss_sum) / 2
    assert differ > 20, "rounded sums would have been the same"


def test_parts_of_pairs_of_rows_and_of_weights_keep_it_too():
    rng = seeded("low parts of rows")
    a, b, y, w = *rng.normal(size=(2, 40_000, 4)), rng.integers(0, 2, 40_000), rng.random(40_000)
    for loss, arrays in ((fl.PairContrastiveLoss(reduction="sum"), (a, b, y)),
                         (fl.CrossEntropyLoss(), (y, a)), (fl.AbsoluteLoss(), (y, w))):
        part = loss.partial(*arrays, sample_weight=w)
        assert part.loss_error != 0 != part.weight_error
        again = Partial(loss, 0.0, 0.0, 0) + part
        assert again == part
        assert (part + part).loss_error == 2 * part.loss_error


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_sums_that_are_not_finite(bad):
    loss = fl.AbsoluteLoss(reduction="sum")
    parts = [loss.partial([0.0, 1.0], [x, 0.1]) for x in (0.3, bad, 0.7)]
    for total in (sum(parts), sum(parts[::-1])):
        assert_same_bits(total.result(), bad)
        assert total.loss_error == 0
    huge = fl.SquaredLoss(reduction="sum").partial([0.0], [1.2e154])
    assert sum([huge] * 2).result() == np.inf


@pytest.mark.parametrize("chunks", [(7, 1, 60, 932), (1000,), (1,) * 1000, (0, 500, 0, 500)])
@pytest.mark.parametrize("weighted", [False, True])
def test_uneven_blocks(chunks, weighted):
    rng = seeded("uneven", chunks)
    y, p, w = rng.integers(0, 2, 1000), rng.random(1000), rng.random(1000)
    w = w if weighted else None
    for loss in (fl.LogLoss(), fl.HuberLoss(reduction="sum_over_batch_size")):
        expected = loss.value_and_grad(y, p, w)
        found = compute(*value_and_grad(loss, *lazy(chunks, y, p, w)))
        assert abs(found[0] - expected[0]) <= 1e-15 * expected[0]
        assert np.abs(found[1] / expected[1] - 1).max() <= 3e-16
        # blocks of their own, and NumPy's
        found = compute(*value_and_grad(loss, y, *lazy(300, p), *lazy(170, w)))
        assert abs(found[0] - expected[0]) <= 1e-15 * expected[0]


def test_predictions_of_numpy_have_the_blocks_of_targets():
    rng = seeded("NumPy's predictions")
    z, y, soft, w = rng.normal(size=(90, 3)), rng.integers(0, 3, 90), *rng.random((2, 90, 3))
    for loss, target, p in ((fl.SquaredLoss(), w[:, 0], z[:, 0]), (fl.SquaredLoss(), w, z),
                            (fl.CrossEntropyLoss(), y, z), (fl.CrossEntropyLoss(), soft, z)):
        weights = None if target is w else w[:, 0]
        expected = loss.value_and_grad(target, p, weights)
        for predictions in (p, p.tolist()):
            found = value_and_grad(loss, *lazy((40, 50), target), predictions, weights)
            assert found[1].chunks[0] == (40, 50)
            found = compute(*found)
            assert abs(found[0] - expected[0]) <= 1e-15 * expected[0]
            np.testing.assert_allclose(found[1], expected[1], rtol=1e-14)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_no_elements_in_blocks_of_other_sizes(reduction):
    """Dask's rechunk leaves an array whose axes all have length 0 as it is."""
    loss = fl.SquaredLoss(reduction=reduction)
    one, three = da.zeros(0, chunks=0), da.zeros(0, chunks=((0, 0, 0),))
    expected = loss.value_and_grad([], [])
    for arguments in ((one, three), (three, one), (one, one, three), (three, three, one),
                      ([], three), (three, [], [])):
        assert_same_bits(compute(*value_and_grad(loss, *arguments)), expected)
        assert_same_bits(compute(value(loss, *arguments))[0], expected[0])
    z = da.zeros((0, 0), chunks=((0,), (0, 0)))
    loss = fl.CrossEntropyLoss(reduction=reduction)
    for y in (z, z.rechunk(-1), np.zeros((0, 0))):
        found = compute(*value_and_grad(loss, y, z))
        assert_same_bits(found, loss.value_and_grad(np.zeros((0, 0)), np.zeros((0, 0))))


def test_targets_of_rows_in_blocks_of_columns_and_unknown_sizes():
    rng = seeded("targets in blocks")
    y, z = rng.random((40, 4)), rng.normal(size=(40, 4))
    keep = y[:, 0] > 0.5
    mask = da.from_array(keep, 10)
    found = value_and_grad(fl.CrossEntropyLoss(), *(
        da.from_array(each, (10, size))[mask] for each, size in ((y, 3), (z, 2))))
    expected = fl.CrossEntropyLoss().value_and_grad(y[keep], z[keep])
    found = compute(*found)
    assert found[0] == pytest.approx(expected[0], rel=1e-15)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-14)


def test_any_dimensions():
    rng = seeded("dimensions")
    y, p, w = rng.random((3, 6, 10, 4))
    loss = fl.SquaredLoss()
    for chunks in ((4, 3, 2), (6, 10, 4), (1, 10, 3)):
        arrays = [da.from_array(each, chunks) for each in (y, p, w)]
        found = value_and_grad(loss, *arrays)
        assert found[1].chunks == arrays[1].chunks
        expected = loss.value_and_grad(y, p, w)
        found = compute(*found)
        assert abs(found[0] - expected[0]) <= 1e-15 * expected[0]
        assert np.abs(found[1] / expected[1] - 1).max() <= 3e-16
    scalar = da.from_array(np.array(3.0))
    assert compute(*value_and_grad(loss, scalar, scalar + 1)) == (1.0, 2.0)


def test_nothing_is_computed_before_it_is_asked_for():
    def fail(block):
        raise RuntimeError("computed")

    y = da.ones(100, chunks=30)
    broken = y.map_blocks(fail, dtype=float, meta=np.empty(0))
    for loss in (fl.LogLoss(), fl.LogLoss(reduction="none")):
        found = value_and_grad(loss, y, broken, y)
        with pytest.raises(RuntimeError, match="computed"):
            compute(found[1])


def test_a_pass_over_predictions_is_one():
    rng, calls = seeded("passes"), []

    def count(block, block_info=None):
        calls.append(len(block))
        return block

    y, p, w = lazy(100, rng.random(400), rng.random(400), rng.random(400))
    p = p.map_blocks(count, dtype=float, meta=np.empty(0))
    compute(*value_and_grad(fl.SquaredLoss(), y, p, w))
    assert calls == [100] * 4
    # the divisor of a mean is known without predictions
    broken = p.map_blocks(lambda block: block[:1], dtype=float, meta=np.empty(0))
    _, grad = value_and_grad(fl.SquaredLoss(), y, broken, w)
    with pytest.raises(ValueError, match=r"^y_true and y_pred must have the same shape"):
        compute(grad)


@pytest.mark.parametrize("reduction", ["mean", "sum", "sum_over_batch_size", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_unknown_sizes(reduction, weighted):
    rng = seeded("unknown", reduction)
    y, p, w = rng.integers(0, 2, 900), rng.random(900).astype(np.float32), rng.random(900)
    keep = rng.random(900) < 0.7
    parts = [each[da.from_array(keep, 250)] for each in lazy(250, y, p, w)]
    assert np.isnan(parts[0].shape[0])
    loss = fl.LogLoss(reduction=reduction)
    expected = loss.value_and_grad(y[keep], p[keep], w[keep] if weighted else None)
    found = compute(*value_and_grad(loss, *parts[:2], parts[2] if weighted else None))
    for each, wanted in zip(found, expected, strict=True):
        assert np.max(np.abs(each / wanted - 1)) <= 2e-7
    with pytest.raises(ValueError, match=r"^y_true has \(9,\) blocks and y_pred \(4,\), of"):
        value(loss, da.from_array(y, 100), parts[1])
    with pytest.raises(ValueError, match=r"^y_true cannot be cut into the blocks of y_pred, whose"):
        value(loss, y, parts[1])
    with pytest.raises(ValueError, match=r"^y_pred cannot be cut into the blocks of y_true, whose"):
        value(loss, parts[0], p)


def test_columns_of_a_data_frame():
    frame = pytest.importorskip("dask.dataframe", reason="dask.dataframe is not installed")
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    rng = seeded("frame")
    table = pandas.DataFrame({"y": rng.integers(0, 3, 700), "w": rng.random(700),
                              **{f"z{k}": rng.normal(size=700) for k in range(3)}})
    lazy_table = frame.from_pandas(table, npartitions=5)
    scores = ["z0", "z1", "z2"]
    for loss, pick in ((fl.CrossEntropyLoss(class_weight=[1, 2, 3]), scores),
                       (fl.SquaredLoss(), "z1")):
        expected = loss.value_and_grad(table["y"], table[pick].to_numpy(), table["w"])
        found = compute(*value_and_grad(loss, lazy_table["y"], lazy_table[pick], lazy_table["w"]))
        assert abs(found[0] - expected[0]) <= 1e-15 * expected[0]
        assert np.abs(found[1] - expected[1]).max() <= 1e-15 * np.abs(expected[1]).max()


# ---- rows -------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [
    {}, {"ignore_index": 1}, {"class_weight": [0.5, 1, 2, 3]}, {"reduction": "sum_over_batch_size",
                                                               "ignore_index": 0},
    {"reduction": "sum"}, {"reduction": "none"}, {"from_logits": False, "label_smoothing": 0.1}])
@pytest.mark.parametrize("soft", [False, True])
def test_cross_entropy_has_the_bits_of_one_machine(options, soft):
    rng = seeded("dask rows", str(options), soft)
    for dtype in DTYPES:
        z = rng.random((9001, 4)).astype(dtype)
        y = rng.random((9001, 4)) if soft else rng.integers(0, 4, 9001)
        loss = fl.CrossEntropyLoss(**({} if soft and "ignore_index" in options else options))
        for w in (None, rng.random(9001)):
            expected = loss.value_and_grad(y, z, w)
            found = value_and_grad(loss, *lazy(2048, y), da.from_array(z, (2048, 3)), w)
            assert found[1].chunks == ((2048,) * 4 + (809,), (4,))
            assert_same_bits(compute(*found), expected, str(loss))
            assert_same_bits(compute(value(loss, *lazy(2048, y, z, w)))[0], expected[0])


def test_a_class_that_does_not_exist():
    y, z = lazy(10, np.arange(30) // 10, np.zeros((30, 2)))
    for found in value_and_grad(fl.CrossEntropyLoss(), y, z):
        with pytest.raises(ValueError, match=r"^y_true must hold class numbers .*row 0 has 2"):
            compute(found)


# ---- all pairs --------------------------------------------------------------------------------

PAIRS = [("BatchContrastiveLoss", {}), ("SupConLoss", {"temperature": 0.5}), ("NTXentLoss", {}),
         ("InfoNCELoss", {}), ("InfoNCELoss", {"symmetric": True}), ("NPairsLoss", {}),
         ("MultiSimilarityLoss", {}), ("CircleLoss", {}), ("SigLIPLoss", {})]


@pytest.mark.parametrize("row", PAIRS, ids=label)
@pytest.mark.parametrize("dtype", DTYPES)
def test_all_pairs_block_against_block(row, dtype):
    loss = getattr(fl, row[0])(**row[1])
    (x, second, w), _ = drawn(seeded("dask pairs", *row), row[0], 150, 6, dtype, weighted=True)
    for weights in (None, w):
        expected = loss.value_and_grad(x, second, weights)
        for cuts, others in (((150,), (150,)), ((40, 1, 109), (40, 1, 109)), ((90, 60), (30, 120))):
            chunks = ((others, 6) if two_sided(row[0]) else (others,))
            arguments = (da.from_array(x, (cuts, 3)), da.from_array(second, chunks))
            found = value_and_grad(loss, *arguments, weights)
            assert all(g.chunks[1] == (6,) for g in sides(found[1]))
            found = compute(*found)
            assert close(found, expected, dtype)
            assert_same_bits(compute(value(loss, *arguments, weights))[0], found[0])


def test_parts_of_many_blocks_are_added_in_steps():
    rng = seeded("many blocks")
    x, y = rng.normal(size=(60, 3)), rng.integers(0, 3, 60)
    loss = fl.SupConLoss(temperature=0.5)
    found = compute(*value_and_grad(loss, *lazy(3, x, y)))      # 20 blocks, 8 at a time
    assert close(found, loss.value_and_grad(x, y), np.float64)


@pytest.mark.parametrize("row", PAIRS, ids=label)
def test_blocks_without_rows(row):
    loss = getattr(fl, row[0])(**row[1])
    (x, second, w), _ = drawn(seeded("no rows", *row), row[0], 30, 4, np.float64, weighted=True)
    expected = loss.value_and_grad(x, second, w)
    for cuts, others in (((0, 30), (0, 30)), ((0, 0, 10, 0, 20, 0), (30,)), ((30,), (0, 9, 0, 21))):
        found = value_and_grad(loss, *lazy(cuts, x), *lazy(others, second, w))
        assert [g.chunks[0] for g in sides(found[1])] == (
            [cuts, cuts if row[0] == "NTXentLoss" else others][:len(sides(found[1]))])
        assert close(compute(*found), expected, np.float64)
    found = compute(*value_and_grad(loss, *lazy((0, 0), x[:0], second[:0])))
    assert found[0] == loss.value(x[:0], second[:0])
    assert all(g.shape == (0, 4) for g in sides(found[1]))


@pytest.mark.parametrize("row", PAIRS, ids=label)
def test_rows_of_no_components_in_several_blocks(row):
    loss = getattr(fl, row[0])(**row[1])
    x = da.zeros((0, 0), chunks=((0, 0), (0, 0)))
    second = x if two_sided(row[0]) or row[0] == "NTXentLoss" else da.zeros(0, dtype=int)
    found = value_and_grad(loss, x, second)
    assert all(g.chunks == ((0, 0), (0,)) for g in sides(found[1]))
    assert compute(found[0])[0] == loss.value(np.zeros((0, 0)), second.compute())


@pytest.mark.parametrize("row", PAIRS, ids=label)
def test_pairs_of_which_one_side_is_numpys(row):
    loss = getattr(fl, row[0])(**row[1])
    (x, second, w), _ = drawn(seeded("NumPy's", *row), row[0], 30, 4, np.float32, weighted=True)
    other = second.astype(float) if two_sided(row[0]) else second
    for arrays in ((x, other), (other, x))[:1 + two_sided(row[0])]:
        expected = loss.value_and_grad(*arrays, w)
        for first, numbers in ((0, arrays[1]), (0, arrays[1].tolist()), (1, arrays[0]),
                               (1, arrays[0].tolist())):
            mixed = [*lazy((7, 23), arrays[first]), numbers]
            found = value_and_grad(loss, *mixed[::-1 if first else 1], w)
            assert all(g.chunks == ((7, 23), (4,)) for g in sides(found[1]))
            found = compute(*found)
            assert all(g.dtype == h.dtype or isinstance(numbers, list)
                       for g, h in zip(sides(found[1]), sides(expected[1]), strict=True))
            assert abs(found[0] - expected[0]) <= 2e-6 * abs(expected[0])
            for g, h in zip(sides(found[1]), sides(expected[1]), strict=True):
                assert np.linalg.norm(g - h) <= 1e-5 * np.linalg.norm(h)


# ---- what is refused ----------------------------------------------------------------------------

D = da.zeros(6, chunks=3)
M = da.zeros((6, 2), chunks=3)


@pytest.mark.parametrize("arguments, error, message", [
    (("log", D, D), TypeError, r"^loss must be .*got 'log'"),
    ((fl.LogLoss(), np.zeros(6), np.zeros(6)), TypeError, r"^y_pred must be a Dask .*got ndarray"),
    ((fl.LogLoss(), D[:5], np.zeros(6)), ValueError, r"^y_true must have the shape \(6,\), as"),
    ((fl.InfoNCELoss(), M[:4], np.ones((6, 2))), ValueError, r"^keys must have the shape of quer"),
    ((fl.LogLoss(), D[:5], D), ValueError, r"^y_true must have the shape \(6,\), as y_pred has, "
     r"got \(5,\)"),
    ((fl.LogLoss(), D, D, np.zeros(5)), ValueError, r"^sample_weight must .*got \(5,\)"),
    ((fl.LogLoss(), M, D), ValueError, r"^y_true must have the shape \(6,\).*\(6, 2\)"),
    ((fl.CrossEntropyLoss(), D, D), ValueError, r"^y_pred must have two dimensions"),
    ((fl.BatchTripletLoss(), M, D), TypeError, r"^loss must be a batch loss with sums"),
    ((fl.LiftedStructureLoss(), M, D), TypeError, r"^loss must be a batch loss with sums"),
    ((fl.TripletLoss(), M, M), TypeError, r"^loss must be a loss of elements .*got TripletLoss"),
    ((fl.SupConLoss(), np.zeros((6, 2)), np.zeros(6)), TypeError, r"^embeddings must be a Dask"),
    ((fl.SupConLoss(), M, D[:5]), ValueError, r"^labels must have the shape \(6,\), as embed"),
    ((fl.InfoNCELoss(), M, M[:4]), ValueError, r"^keys must have the shape of queries, \(6, 2\)"),
    ((fl.InfoNCELoss(), M[D > 0], M), ValueError, r"^queries must have blocks of known sizes"),
])
def test_what_is_refused(arguments, error, message):
    for function in (value, value_and_grad):
        with pytest.raises(error, match=message):
            function(*arguments)


# ---- a cluster of processes ---------------------------------------------------------------------


def gather(client, found):
    """Return what is computed on the cluster; pairs of gradients are one."""
    value, grad = found
    pair = isinstance(grad, tuple)
    value, *grads = client.compute([value, *(grad if pair else [grad])], sync=True)
    return value, tuple(grads) if pair else grads[0]


def test_processes_give_the_bits_of_one(client):
    rng = seeded("cluster")
    y, p, w = rng.integers(0, 2, 100_000), rng.random(100_000), rng.random(100_000)
    loss = fl.LogLoss()
    found = gather(client, value_and_grad(loss, *lazy(2 * CHUNK, y, p, w)))
    assert_same_bits(found, loss.value_and_grad(y, p, w))
    z, t = rng.normal(size=(9000, 8)).astype(np.float32), rng.integers(0, 8, 9000)
    loss = fl.CrossEntropyLoss(ignore_index=3)
    found = gather(client, value_and_grad(loss, *lazy(1024, t, z)))
    assert_same_bits(found, loss.value_and_grad(t, z))


@pytest.mark.parametrize("row", [("BatchContrastiveLoss", {}), ("SupConLoss", {}),
                                 ("InfoNCELoss", {"symmetric": True})], ids=label)
def test_processes_meet_block_by_block(client, row):
    loss = getattr(fl, row[0])(**row[1])
    (x, second, w), _ = drawn(seeded("cluster", *row), row[0], 400, 16, np.float32, weighted=True)
    found = gather(client, value_and_grad(loss, *lazy(150, x, second, w)))
    assert close(found, loss.value_and_grad(x, second, w), np.float32)


def test_both_workers_take_part(client):
    y = da.from_array(np.zeros(40 * CHUNK), CHUNK)
    grad = client.persist(value_and_grad(fl.SquaredLoss(), y, y + 1)[1])
    distributed.wait(grad)
    assert [bool(keys) for keys in client.has_what().values()] == [True, True]


def regression(client):
    """Targets, features and targets on the cluster, the same on both workers.

    What the boosters make of the data depends on which worker has them, and that is not always one.
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 5))
    y = 2 * x[:, 0] + rng.normal(size=1000)
    halves = [client.persist(lazy(1000, x, y), workers=[worker]) for worker in client.has_what()]
    distributed.wait(halves)
    return np.tile(y, 2), *(da.concatenate(parts) for parts in zip(*halves, strict=True))


def test_xgboost_on_the_cluster(client):
    pytest.importorskip("xgboost", reason="xgboost is not installed")
    from xgboost import dask as xgb_dask

    from fastloss.integrations.xgboost import metric, objective

    y, dx, dy = regression(client)
    start = float(np.mean(y))
    settings = {"max_depth": 3, "verbosity": 0, "nthread": 1}
    data = xgb_dask.DaskDMatrix(client, dx, dy)
    squares, median = objective(fl.ExpectileLoss()), objective(fl.PinballLoss(quantile=0.9))
    ours = xgb_dask.train(client, settings | {"base_score": start}, data, 8, obj=squares,
                          custom_metric=metric(fl.ExpectileLoss()), evals=[(data, "train")],
                          verbose_eval=False)
    theirs = xgb_dask.train(client, settings | {"base_score": start,
                                                "objective": "reg:squarederror"}, data, 8)
    found, expected = (xgb_dask.predict(client, model["booster"], dx).compute()
                       for model in (ours, theirs))
    assert_same_bits(found, expected)
    history = ours["history"]["train"]["expectile_loss"]
    assert history[-1] == pytest.approx(fl.ExpectileLoss()(y, found), rel=1e-5)
    model = xgb_dask.DaskXGBRegressor(n_estimators=60, objective=median, max_depth=3, n_jobs=1,
                                      learning_rate=0.2, base_score=median.init_score(y))
    model.client = client
    predicted = model.fit(dx, dy).predict(dx).compute()
    assert 0.85 < np.mean(y < predicted) < 0.98
    assert median.loss(y, predicted) < 0.75 * median.loss(y, np.full(2000, median.init_score(y)))


@pytest.mark.filterwarnings("ignore:Parameter n_jobs will be ignored")
def test_lightgbm_on_the_cluster(client):
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed")
    from fastloss.integrations.lightgbm import objective

    _, dx, dy = regression(client)
    settings = {"n_estimators": 8, "num_leaves": 7, "verbose": -1, "client": client}
    squares = objective(fl.ExpectileLoss())
    assert pickle.loads(pickle.dumps(squares)) == squares
    ours = lightgbm.DaskLGBMRegressor(objective=squares, **settings).fit(dx, dy)
    theirs = lightgbm.DaskLGBMRegressor(objective="regression", boost_from_average=False,
                                        **settings).fit(dx, dy)
    assert_same_bits(ours.predict(dx).compute(), theirs.predict(dx).compute())


def test_without_dask(tmp_path):
    from child import run_python

    code = """if 1:
        import sys
        sys.modules["dask"] = None
        try:
            import fastloss.integrations.dask
        except ImportError as error:
            print(error)"""
    assert re.search(r'pip install "fastloss\[dask\]"', run_python(code, tmp_path))
