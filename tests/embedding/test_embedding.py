"""Batch losses: against their oracle, at sizes around panels and blocks."""

import numpy as np
import pytest
from batches import (
    DTYPES,
    MADE,
    NAMES,
    REDUCTIONS,
    both,
    close_to,
    drawn,
    expected_of,
    label,
    sides,
    two_sided,
)
from cases import seeded
from numerics import assert_same_bits

from fastloss import embedding

# of panels of 16 and 32 rows and blocks of 256
SIZES = [0, 1, 2, 3, 31, 32, 33, 64, 255, 256, 257, 300, 520]
WIDTHS = [1, 2, 5, 16, 33, 64]
every_row = pytest.mark.parametrize("row", MADE, ids=label)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def check(row, reduction, arguments, options):
    """Check a fused loss against its oracle, and its entry points against each other."""
    loss, oracle = both(row, reduction=reduction)
    expected = expected_of(oracle, arguments, options)
    by_value, by_row = close_to(loss, arguments, options, expected)
    what = f"{loss} of {arguments[0].shape}, {arguments[0].dtype}, refs: {bool(options)}"
    assert by_value <= 1, f"value off by {by_value:.3g} times what is allowed: {what}"
    assert by_row <= 1, f"gradient off by {by_row:.3g} times what is allowed: {what}"
    value, grad, learned = loss.value_and_grad(*arguments, **options, parameters=True)
    assert type(value) is float
    assert_same_bits(loss.value(*arguments, **options), value, "value of value_and_grad")
    if not options:
        assert_same_bits(loss(*arguments), value, "value of a call")
    else:
        alone = loss.value_and_grad(*arguments, **options, ref_grad=False)
        assert_same_bits(alone[0], value, "value without a gradient by refs")
        assert close_to(loss, arguments, {**options, "ref_grad": False}, expected._replace(
            grads=expected.grads[:1], grad_sizes=expected.grad_sizes[:1]))[1] <= 1
    assert set(learned) == set(expected.learned)
    for key, slope in learned.items():
        size = expected.value_size / abs(getattr(loss, "scale", getattr(loss, "temperature", 1)))
        single = sides(grad)[0].dtype == np.float32
        allowed = (1e-4 if single else 1e-11) * abs(expected.learned[key])
        assert abs(slope - expected.learned[key]) <= allowed + (
            1e-5 if single else 1e-13) * size + (1e-30 if single else 1e-280), (key, what)
    return value, grad


@every_dtype
@every_row
def test_close_to_the_oracle(row, dtype):
    assert {name for name, _ in MADE} == NAMES
    for n in SIZES:
        rng = seeded("embedding", label(row), n)
        widths = rng.permutation(WIDTHS)[:2 if n < 100 else 1]
        for k, d in enumerate(widths):
            refs = None
            if not two_sided(row[0]) and (n + k) % 2:
                refs = int(rng.integers(1, n + 40))
            classes = int(rng.choice([2, 5, max(2, n // 3)]))
            arguments, options = drawn(rng, row[0], n, int(d), dtype, classes=classes, refs=refs,
                                       weighted=bool(rng.random() < 0.5))
            check(row, str(rng.choice(REDUCTIONS[:2])), arguments, options)


@every_dtype
@every_row
def test_mean_of_what_costs(row, dtype):
    for n in (2, 40, 270):
        rng = seeded("nonzero", label(row), n)
        for refs in [None] if two_sided(row[0]) else [None, 50]:
            arguments, options = drawn(rng, row[0], n, 8, dtype, refs=refs, weighted=True)
            check(row, "mean_nonzero", arguments, options)


@every_row
def test_nothing_to_compare(row):
    loss, oracle = both(row)
    for n, d in [(0, 3), (0, 0), (3, 0), (1, 4)]:
        arguments, _ = drawn(seeded("none", n, d), row[0], n, d, np.float64)
        value, grad = loss.value_and_grad(*arguments)
        value_0, grad_0 = oracle.value_and_grad(*arguments)
        assert abs(value - value_0) <= 1e-13 * abs(value_0)
        assert_same_bits([g.shape for g in sides(grad)], [g.shape for g in sides(grad_0)])
        if not two_sided(row[0]) and n <= 1:
            assert value == 0
            assert not np.any(grad)


@every_dtype
@every_row
def test_one_class_and_all_different(row, dtype):
    if two_sided(row[0]):
        pytest.skip("has no labels")
    for n in (2, 33, 270):
        rng = seeded("classes", label(row), n)
        (x, _, w), options = drawn(rng, row[0], n, 7, dtype, weighted=True, refs=n, classes=1)
        for y in (np.zeros(n, int), np.arange(n)):
            check(row, "mean", (x, y, w), {})
            check(row, "mean", (x, y, None), {**options, "ref_labels": y[::-1]})
        # no ref of any class of the rows, and none but those
        check(row, "sum", (x, y + n, w), {**options, "ref_labels": y})


@every_dtype
@every_row
def test_all_kinds_of_labels(row, dtype):
    if two_sided(row[0]):
        pytest.skip("has no labels")
    rng = seeded("labels", label(row))
    (x, y, _), options = drawn(rng, row[0], 70, 5, dtype, classes=6, refs=40)
    theirs = options.pop("ref_labels")
    names = np.array(["", "ä", "a", "b" * 30, "cat", "Cat"])
    loss = both(row)[0]
    plain = loss.value_and_grad(x, y)
    with_refs = loss.value_and_grad(x, y, **options, ref_labels=theirs)
    for turn in (lambda k: k - 3, lambda k: k * 2**40 - 2**62, lambda k: names[k],
                 lambda k: names[k].astype(object), lambda k: np.char.encode(names[k]),
                 lambda k: (k + 250).astype(np.uint8),
                 lambda k: (k - 3).astype(np.int8), lambda k: k.astype(">i8"),
                 lambda k: k.astype(np.uint64) + np.uint64(2**63), lambda k: k.tolist(),
                 lambda k: np.repeat(k, 2)[::2]):
        assert_same_bits(loss.value_and_grad(x, turn(y)), plain)
        assert_same_bits(loss.value_and_grad(x, turn(y), **options, ref_labels=turn(theirs)),
                         with_refs)
    for two in (lambda k: k == 0, lambda k: np.where(k == 0, 5, -7)):
        assert_same_bits(loss.value_and_grad(x, two(y)), loss.value_and_grad(x, (y != 0) * 1))


@every_dtype
@every_row
@pytest.mark.parametrize("kind", ["near", "far off", "duplicates", "zeros", "scaled"])
def test_awkward_rows(row, kind, dtype):
    for n in (3, 40, 300):
        rng = seeded("awkward", label(row), kind, n)
        refs = None if two_sided(row[0]) or n == 40 else 30
        (x, second, w), options = drawn(rng, row[0], n, 12, dtype, classes=4, refs=refs,
                                        weighted=True)

        def turn(x, rng=rng):
            if kind == "near":
                return (1 + 1e-4 * x).astype(dtype)
            if kind == "far off":
                return (1000 + 0.01 * x).astype(dtype)
            if kind == "duplicates":
                return x[rng.integers(0, max(2, len(x) // 8), len(x))]
            if kind == "zeros":
                return np.where(rng.random((len(x), 1)) < 0.3, 0, x).astype(dtype)
            return (x * 10.0 ** rng.integers(-6, 7, (len(x), 1))).astype(dtype)

        distance = getattr(both(row)[0], "_distance", False)
        if not both(row)[0].normalize and kind in ("far off", "scaled")[distance:]:
            continue      # products and distances of such rows are steeper than any exponent
        x = turn(x)
        second = turn(second) if two_sided(row[0]) else second
        options = {key: turn(value) if key == "refs" else value for key, value in options.items()}
        check(row, "mean", (x, second, w), options)


@every_dtype
@every_row
def test_nan_is_never_hidden(row, dtype):
    for n, at in [(5, 2), (40, 39), (300, 257)]:
        for refs in [None] if two_sided(row[0]) else [None, n]:
            rng = seeded("nan", label(row), n, refs)
            arguments, options = drawn(rng, row[0], n, 9, dtype, classes=2, refs=refs)
            names = [0, 1] if two_sided(row[0]) else [0] if refs is None else [0, "refs"]
            for side, name in enumerate(names):
                spoilt, more = list(arguments), dict(options)
                target = spoilt if name in (0, 1) else more
                target[name] = target[name].copy()
                target[name][at, 3] = np.nan
                loss, oracle = both(row)
                value, grad = loss.value_and_grad(*spoilt, **more)
                assert np.isnan(oracle.value(*spoilt, **more))
                assert np.isnan(value), (loss, name)
                assert np.isnan(loss.value(*spoilt, **more))
                assert np.isnan(sides(grad)[side][at]).all(), (loss, name)


@every_dtype
def test_anchors_whose_cost_vanishes_by_rounding(dtype):
    x = np.eye(6, dtype=dtype) * 100
    x[5] = x[4]              # two rows cost ln 2 each, the others e^-10000, which is more than 0
    for name, options in [("NPairsLoss", {}),
                          ("InfoNCELoss", {"symmetric": True, "normalize": False})]:
        loss = getattr(embedding, name)(**options)
        assert abs(loss.value(x, x) - 2 / 6 * np.log(2)) <= 1e-6
        assert abs(loss.replace(reduction="mean_nonzero").value(x, x) - 2 / 6 * np.log(2)) <= 1e-6
        check((name, options), "mean_nonzero", (x, x, np.arange(1.0, 7.0)), {})
