"""Paired losses: against their oracle, and on numbers that are hard."""

import numpy as np
import pytest
from cases import DTYPES, seeded, weights
from numerics import assert_same_bits, assert_sum, assert_ulp
from paired import DISTANCES, LOSSES, drawn, parameters_of, terms

from fastloss import embedding
from fastloss.reference import paired as reference

REDUCTIONS = ["mean", "sum", "none"]
DIMS = [*range(1, 20), 31, 32, 33, 47, 63, 64, 65, 100, 127, 128, 130, 1023, 1024, 1100]


def all_of(loss, *arguments, **options):
    """Return value and gradients, having checked that the entry points agree."""
    value = loss.value(*arguments, **options)
    value_2, grads = loss.value_and_grad(*arguments, **options)
    assert_same_bits(value_2, value, "value of value_and_grad")
    assert_same_bits(loss(*arguments), value, "value of a call")
    if loss.reduction != "none":
        partial = loss.partial(*arguments, **options)
        assert_same_bits(partial.result(), value, "value of partial")
        assert partial.count == len(arguments[0])
    return value, grads


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("d", DIMS)
def test_close_to_the_oracle(d, name, dtype):
    block = max(16, min(256, 4096 // d // 16 * 16))
    for n in (1, 2, 17, block - 1, block, block + 1, 3 * block + 5):
        rng = seeded("paired", d, name, dtype, n)
        parameters = parameters_of(rng, name)
        data = drawn(rng, name, n, d, dtype, parameters)
        w = weights(rng, n, str(rng.choice(["none", "float64", "float32", "counts"])))
        oracle = getattr(reference, name)(**parameters, reduction="none")
        loss = getattr(embedding, name)(**parameters, reduction="none")
        count = len(loss._called("rows"))
        f, grads = all_of(loss, *data, w)
        f_0, grads_0 = oracle.value_and_grad(*data, w)
        f_terms, g_terms = terms(loss, data[:count], None if count == 3 else data[2], w, dtype)
        assert f.dtype == dtype
        assert_ulp(f, f_0, 12, terms=f_terms)
        for g, g_0, t in zip(grads, grads_0, g_terms, strict=True):
            assert g.dtype == dtype
            assert_ulp(g, g_0, 16, terms=t)
        for reduction in ("mean", "sum"):
            value, grads = all_of(loss.replace(reduction=reduction), *data, w)
            expected, grads_0 = oracle.replace(reduction=reduction).value_and_grad(*data, w)
            total = n if w is None else np.sum(w.astype(float)) or np.nan
            divisor = 1.0 if reduction == "sum" else total
            assert_sum(value, expected, np.sum(f_terms + np.abs(f_0)) / divisor, dtype)
            for g, g_0, t in zip(grads, grads_0, g_terms, strict=True):
                assert_ulp(g, g_0, 18, terms=t / divisor)


# ---- the oracle --------------------------------------------------------------------------


def brute_force(loss, rows, y):
    """Return the losses, pair by pair, by the textbook."""
    def distance(u, v):
        if getattr(loss, "distance", "cosine") == "cosine":
            lengths = np.sqrt(sum(x * x for x in u)) * np.sqrt(sum(x * x for x in v))
            return 1 - sum(x * z for x, z in zip(u, v, strict=True)) / lengths
        square = sum((x - z) ** 2 for x, z in zip(u, v, strict=True))
        return square if loss.distance == "sqeuclidean" else square**0.5

    found = []
    for i, u in enumerate(rows[0]):
        d = distance(u, rows[1][i])
        if len(rows) == 3:
            z = d - distance(u, rows[2][i])
            found.append(np.log(1 + np.exp(z)) if loss.soft_margin else max(z + loss.margin, 0))
        elif type(loss).__name__ == "CosineEmbeddingLoss":
            found.append(d if y[i] == 1 else max(1 - d - loss.margin, 0))
        else:
            near = y[i] if loss.similar_label == 1 else 1 - y[i]
            pull, push = max(d - (loss.pos_margin or 0), 0), max(loss.margin - d, 0)
            power = 1 if loss.form == "linear" else 2
            found.append(near * pull**power + (1 - near) * push**power)
    return np.array(found)


@pytest.mark.parametrize("name", LOSSES)
def test_oracle_by_brute_force_and_differences(name):
    for case in range(60):
        rng = seeded("oracle", name, case)
        parameters = parameters_of(rng, name)
        data = drawn(rng, name, 9, 5, np.float64, parameters)
        y = None
        if len(data) == 3 and name != "TripletLoss":
            y = np.where(np.asarray(data[2], float) > 0.5, 1, parameters.get("labels", (0, 1))[0])
            data = (*data[:2], y)
        loss = getattr(reference, name)(**parameters, reduction="none")
        rows = data if y is None else data[:2]
        f, grads = loss.value_and_grad(*data)
        np.testing.assert_allclose(f, brute_force(loss, rows, y), rtol=1e-11, atol=1e-14)
        total = loss.replace(reduction="sum")
        step = 1e-4
        for side, g in enumerate(grads):
            for at in ((0, 0), (3, 4), (8, 2)):
                moved = []
                for k in (-2, -1, 1, 2):
                    x = [row.copy() for row in rows]
                    x[side][at] += k * step
                    moved.append(total.value(*x, *data[len(rows):]))
                slope = (moved[0] - 8 * moved[1] + 8 * moved[2] - moved[3]) / (12 * step)
                assert abs(slope - g[at]) <= 1e-7 * max(1, np.abs(g).max()), (case, side, at)


# ---- numbers that are hard ----------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_near_rows_keep_their_digits(dtype):
    rng = seeded("near", dtype)
    for gap in (1e-2, 1e-4, 1e-6):
        a = (100 + rng.normal(size=(40, 33))).astype(dtype)
        b = (a + (gap * rng.normal(size=a.shape))).astype(dtype)
        exact = np.linalg.norm(a.astype(np.longdouble) - b.astype(np.longdouble), axis=1)
        loss = embedding.PairContrastiveLoss(form="linear", reduction="none")
        f, (g, _) = loss.value_and_grad(a, b, np.ones(40))
        assert_ulp(f, exact.astype(float), 4)
        unit = (a.astype(np.longdouble) - b) / np.where(exact == 0, 1, exact)[:, None]
        assert_ulp(g, unit.astype(float), 6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("angle", [1.0, 0.8, 0.5, 0.1, 1e-2, 1e-3, 1e-4, 1e-6])
def test_nearly_parallel_rows(angle, dtype):
    rng = seeded("parallel", angle, dtype)
    a = rng.normal(size=(50, 40))
    aside = rng.normal(size=a.shape)
    aside -= a * np.sum(a * aside, 1, keepdims=True) / np.sum(a * a, 1, keepdims=True)
    aside *= np.linalg.norm(a, axis=1, keepdims=True) / np.linalg.norm(aside, axis=1, keepdims=True)
    b = (3 * (np.cos(angle) * a + np.sin(angle) * aside)).astype(dtype)
    a = a.astype(dtype)
    x, z = a.astype(np.longdouble), b.astype(np.longdouble)
    u, v = (r / np.sqrt(np.sum(r * r, 1, keepdims=True)) for r in (x, z))
    d = 0.5 * np.sum((u - v) ** 2, 1)
    exact = ((u - v) - d[:, None] * u) / np.sqrt(np.sum(x * x, 1, keepdims=True))
    f, (g, _) = embedding.PairContrastiveLoss(
        distance="cosine", form="linear", reduction="none").value_and_grad(a, b, np.ones(50))
    theta = np.sqrt(2 * d.astype(float))
    # float rows to a few units in the last place; double ones to those of the unit rows
    bound = 8 * (1 + 1e-9 / theta) if dtype == np.float32 else 8 * (1 + 2 / theta)
    eps = np.finfo(dtype).eps
    assert np.all(np.abs(f - d) <= bound * eps * d.astype(float))
    size = np.sqrt(np.sum(exact * exact, 1))
    assert np.all(np.sqrt(np.sum((g - exact) ** 2, 1)) <= bound * eps * size)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_distance_and_rows_of_zeros(dtype, distance):
    a = np.array([[1, 2, 3], [0, 0, 0], [0, 0, 0], [1, 1, 1]], dtype)
    b = np.array([[1, 2, 3], [0, 0, 0], [1, 2, 0], [0, 0, 0]], dtype)
    for form in ("squared", "linear"):
        for y in (0, 1):
            loss = embedding.PairContrastiveLoss(distance=distance, form=form, reduction="none",
                                                 margin=2)
            f, grads = loss.value_and_grad(a, b, np.full(4, y))
            expected, _ = reference.PairContrastiveLoss(
                **loss._parameters()).value_and_grad(a, b, np.full(4, y))
            assert_ulp(f, expected, 4)
            for g in grads:
                assert np.all(g[0] == 0)
                assert np.all(g[1] == 0)
                if distance == "cosine":
                    assert np.all(g == 0)
                    assert np.all(f[1:] == 1)
    f, grads = embedding.TripletLoss(distance=distance, reduction="none").value_and_grad(a, a, a)
    assert np.all(f == 1)
    assert all(np.all(g == 0) for g in grads)


@pytest.mark.parametrize("scale", [1e-44, 1e-40, 1e-30, 1e-22, 1e-18, 1e18, 1e30, 1e37])
def test_squares_beyond_the_range_of_float(scale):
    rng = seeded("range", scale)
    a, b = (np.float32(scale) * rng.normal(size=(2, 30, 21))).astype(np.float32)
    for loss in (embedding.PairContrastiveLoss(form="linear", reduction="none"),
                 embedding.CosineEmbeddingLoss(reduction="none")):
        f, grads = loss.value_and_grad(a, b, np.ones(30))
        f_0, grads_0 = getattr(reference, type(loss).__name__)(
            **loss._parameters()).value_and_grad(a, b, np.ones(30))
        assert_ulp(f, f_0, 4)
        for g, g_0 in zip(grads, grads_0, strict=True):
            assert_ulp(g, g_0, 6, terms=np.abs(g_0).max(1, keepdims=True))


@pytest.mark.parametrize("power", [-1070, -1000, -600, 600, 1000])
def test_squares_beyond_the_range_of_double(power):
    rng = seeded("range", power)
    a, b = np.ldexp(rng.integers(-8, 8, (2, 30, 21)).astype(float), power)
    a[:, 0] = b[:, 1] = np.ldexp(1.0, power)
    at_one = np.ldexp(a, -power), np.ldexp(b, -power)
    for loss, order in ((embedding.PairContrastiveLoss(form="linear", reduction="none"), 1),
                        (embedding.CosineEmbeddingLoss(reduction="none"), 0)):
        f, grads = loss.value_and_grad(a, b, np.ones(30))
        f_0, grads_0 = loss.value_and_grad(*at_one, np.ones(30))
        with np.errstate(all="ignore"):
            assert_ulp(f, np.ldexp(f_0, order * power), 4)
            for g, g_0 in zip(grads, grads_0, strict=True):
                g_0 = np.ldexp(g_0, (order - 1) * power)
                beyond = np.isinf(g_0)
                np.testing.assert_array_equal(g[beyond], g_0[beyond])
                terms = np.where(beyond, 0, np.abs(g_0)).max(1, keepdims=True)
                assert_ulp(g[~beyond], g_0[~beyond], 6,
                           terms=np.broadcast_to(terms, g_0.shape)[~beyond])


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_stays(dtype, name):
    for distance in DISTANCES:
        for where in range(3):
            rng = seeded("nan", name, dtype)
            data = list(drawn(rng, name, 40, 20, dtype))
            data[2] = data[2].astype(dtype)
            data[where][(7, 3) if data[where].ndim == 2 else 7] = np.nan
            loss = getattr(embedding, name)(reduction="none")
            loss = loss if name == "CosineEmbeddingLoss" else loss.replace(distance=distance)
            f, grads = loss.value_and_grad(*data)
            assert np.isnan(f[7])
            assert np.isfinite(np.delete(f, 7)).all()
            # a negative row that is NaN makes the anchor's gradient NaN too
            assert all(np.isnan(g[7]).any() for g in grads)
            assert all(np.isfinite(np.delete(g, 7, 0)).all() for g in grads)
            assert np.isnan(loss.replace(reduction="mean").value(*data))


@pytest.mark.parametrize("name", LOSSES)
def test_threads_give_the_same_bits(name):
    for n, d in ((3000, 64), (40000, 7), (500, 1000), (100, 3)):
        rng = seeded("threads", name, n, d)
        data = drawn(rng, name, n, d, np.float32)
        w = rng.random(n)
        for reduction in REDUCTIONS:
            loss = getattr(embedding, name)(reduction=reduction)
            expected = all_of(loss, *data, w, n_threads=1)
            for n_threads in (2, 3, 7):
                assert_same_bits(loss.value_and_grad(*data, w, n_threads=n_threads), expected)


def test_partials_add_up():
    rng = seeded("partials")
    a, b, y = drawn(rng, "PairContrastiveLoss", 100, 8, np.float64)
    w = rng.random(100)
    for reduction in ("mean", "sum"):
        loss = embedding.PairContrastiveLoss(reduction=reduction)
        parts = [loss.partial(a[i:i + 30], b[i:i + 30], y[i:i + 30], w[i:i + 30])
                 for i in range(0, 100, 30)]
        assert sum(parts).result() == pytest.approx(loss.value(a, b, y, w), rel=1e-14)
    with pytest.raises(ValueError, match="partial needs a reduction"):
        loss.replace(reduction="none").partial(a, b, y)
