"""Batch losses: threads, levels, memory, and what errors say."""

import itertools
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from batches import DTYPES, MADE, both, drawn, label, sides, two_sided
from cases import seeded
from child import run_python
from layouts import MATRICES, columns_apart, swapped
from numerics import assert_same_bits

from fastloss import embedding, reference
from fastloss._core import simd_level
from fastloss.embedding.blocks import Block

every_row = pytest.mark.parametrize("row", MADE, ids=label)
LABELLED = sorted({name for name, _ in MADE if not two_sided(name)})
PAIRED = sorted({name for name, _ in MADE if two_sided(name)})


@pytest.mark.parametrize("dtype", DTYPES)
@every_row
def test_any_number_of_threads_gives_the_same_bits(row, dtype):
    for n, refs in [(40, None), (700, None), (1100, 900), (300, 1500)]:
        if refs is not None and two_sided(row[0]):
            continue
        arguments, options = drawn(seeded("threads", label(row), n), row[0], n, 24, dtype,
                                   classes=9, refs=refs, weighted=True)
        loss = both(row)[0]
        alone = loss.value_and_grad(*arguments, **options, parameters=True, n_threads=1)
        for n_threads in (2, 3, 7, None):
            again = loss.value_and_grad(*arguments, **options, parameters=True,
                                        n_threads=n_threads)
            assert_same_bits(again[:2], alone[:2], f"{n_threads} threads")
            assert again[2] == alone[2]
            value = loss.value(*arguments, **options, n_threads=n_threads)
            assert_same_bits(value, alone[0], f"value, {n_threads} threads")


@every_row
def test_more_threads_than_there_is_work_for(row):
    for n in (1, 250):
        arguments, options = drawn(seeded("most", label(row), n), row[0], n, 8, np.float32)
        loss = both(row)[0]
        assert_same_bits(loss.value_and_grad(*arguments, **options, n_threads=10**9),
                         loss.value_and_grad(*arguments, **options, n_threads=1))


def test_calls_from_many_threads_give_the_same_bits():
    jobs = []
    for row in MADE:
        arguments, options = drawn(seeded("concurrent", label(row)), row[0], 300, 16, np.float32,
                                   classes=9)
        loss = both(row)[0]
        jobs.append((loss, arguments, options, loss.value_and_grad(*arguments, **options)))
    wrong = []

    def work(start):
        for k in range(len(jobs)):
            loss, arguments, options, expected = jobs[(start + k) % len(jobs)]
            found = loss.value_and_grad(*arguments, **options, n_threads=1 + k % 3)
            try:
                assert_same_bits(found, expected)
            except AssertionError as error:
                wrong.append((loss, error))

    threads = [threading.Thread(target=work, args=(5 * k,)) for k in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong


def changed(turn, arguments, options):
    """Return arguments and options whose matrices are turned, and the others turned as columns."""
    def apply(x):
        if x is None or x.ndim == 2:
            return x if x is None else turn(x)
        return turn(x[:, None])[:, 0]
    return [apply(x) for x in arguments], {key: apply(x) for key, x in options.items()}


@every_row
@pytest.mark.parametrize("dtype", [np.float16, *DTYPES])
def test_layouts_give_the_same_bits(row, dtype):
    loss = both(row)[0]
    for refs in [None] if two_sided(row[0]) else [None, 31]:
        (x, second, w), options = drawn(seeded("layouts", label(row), dtype), row[0], 50, 6, dtype,
                                        classes=5, weighted=True, refs=refs)
        expected = loss.value_and_grad(x, second, w, **options)
        for layout in [*MATRICES, columns_apart, lambda a: swapped(columns_apart(a)),
                       lambda a: np.ascontiguousarray(a).view(type("Rows", (np.ndarray,), {}))]:
            arguments, more = changed(layout, (x, second, w), options)
            before = [array.tobytes() for array in arguments]
            assert_same_bits(loss.value_and_grad(*arguments, **more), expected, str(layout))
            assert_same_bits(loss.value(*arguments, **more), expected[0], str(layout))
            assert [array.tobytes() for array in arguments] == before, "inputs were written to"
        if dtype == np.float16:
            arguments, more = changed(
                lambda a: a.astype(np.float32) if a.dtype == np.float16 else a, (x, second, w),
                options)
            assert_same_bits(loss.value_and_grad(*arguments, **more), expected)
        listed, more = changed(lambda a: a, (x, second, w), options)
        if dtype == np.float64:
            assert_same_bits(loss.value_and_grad(
                *(array.tolist() for array in listed),
                **{key: array.tolist() for key, array in more.items()}), expected)


@every_row
@pytest.mark.parametrize("dtype", ["?", "b", "B", "h", "H", "i", "I", "q", "Q", ">i4", ">u2"])
def test_integers_are_computed_in_double(row, dtype):
    loss = both(row)[0]
    rng = seeded("integers", label(row), dtype)
    for refs in [None] if two_sided(row[0]) else [None, 31]:
        (x, second, w), options = drawn(rng, row[0], 40, 6, np.float64, classes=5, refs=refs)
        turns = [lambda a: np.abs(np.round(a)).astype(dtype) if a.dtype == np.float64 else a,
                 lambda a: a.astype(np.float64) if a.ndim == 2 and a.shape[1] > 1 else a]
        arguments, more = changed(turns[0], (x, second, w), options)
        value, grad = loss.value_and_grad(*arguments, **more)
        assert {g.dtype for g in sides(grad)} == {np.dtype(np.float64)}
        arguments, more = changed(turns[1], arguments, more)
        assert_same_bits(loss.value_and_grad(*arguments, **more), (value, grad))


def test_the_wider_side_decides():
    rng = seeded("mixed")
    x, z = rng.normal(size=(2, 30, 4)).astype(np.float32)
    y = rng.integers(0, 4, 30)
    for first, second in itertools.product((x, x.astype(np.float16), x.astype(float), x > 0),
                                           (z, z.astype(float))):
        double = first.dtype in (float, bool) or second.dtype == float
        for found in (embedding.InfoNCELoss().value_and_grad(first, second),
                      embedding.SupConLoss().value_and_grad(first, y, refs=second, ref_labels=y)):
            assert {g.dtype for g in found[1]} == {np.dtype(float if double else np.float32)}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted({name for name, _ in MADE}))
def test_memory_is_linear(name, dtype):
    n, d = 4096, 64
    arguments, options = drawn(seeded("memory"), name, n, d, dtype, classes=100)
    loss = getattr(embedding, name)()
    loss.value_and_grad(*arguments, **options)
    tracemalloc.start()
    try:
        loss.value_and_grad(*arguments, **options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    size = n * d * np.dtype(dtype).itemsize * (2 if two_sided(name) else 1)
    assert peak < 8 * size + 4e6, f"{peak / size:.1f} times the rows"
    assert peak < n * n * 4 / 2


@pytest.mark.parametrize("name", LABELLED)
def test_errors_of_labels_and_refs(name):
    loss = getattr(embedding, name)()
    x, y = np.zeros((4, 3)), [0, 0, 1, 1]
    for arguments, options, kind, match in [
        ((np.zeros(4), y), {}, ValueError, r"^embeddings must have two dimensions.* \(4,\)"),
        ((np.zeros((2, 2, 1)), y), {}, ValueError, r"^embeddings must have two .* \(2, 2, 1\)"),
        ((x, y[:3]), {}, ValueError, r"^labels must hold one label .*\(4,\), got \(3,\)"),
        ((x, [y]), {}, ValueError, r"^labels must hold one label .*\(4,\), got \(1, 4\)"),
        ((x, [0.0, 1, 1, 0]), {}, TypeError, r"^labels must hold integers or strings.* float64"),
        ((x, [0, None, 1, "a"]), {}, TypeError, r"^labels must hold integers or strings"),
        ((x * 1j, y), {}, TypeError, r"^embeddings must .*complex128"),
        ((x.astype(str), y), {}, TypeError, r"^embeddings must "),
        ((x.astype(str).astype(object), y), {}, TypeError, r"^embeddings must .*index \(0, 0\) is"),
        ((x, y, [1, 2, 3]), {}, ValueError, r"^sample_weight must .*\(4,\), got \(3,\)"),
        ((x, y, ["a"] * 4), {}, TypeError, r"^sample_weight must "),
        ((x, y), {"refs": x}, ValueError, r"^refs and ref_labels go together.*ref_labels is miss"),
        ((x, y), {"ref_labels": y}, ValueError, r"^refs and ref_labels go together.*refs is miss"),
        ((x, y), {"refs": x[:, :2], "ref_labels": y}, ValueError, r"\(4, 3\) and \(4, 2\)"),
        ((x, y), {"refs": x[:3], "ref_labels": y}, ValueError, r"^ref_labels must .*\(3,\), got"),
        ((x, y), {"refs": x[0], "ref_labels": y}, ValueError, r"^refs must have two dim.*\(3,\)"),
        ((x, y), {"refs": x, "ref_labels": [0.5] * 4}, TypeError, r"^ref_labels must hold int"),
        ((x, y), {"n_threads": 0}, ValueError, r"^n_threads must be .*got 0"),
        ((x, y), {"n_threads": 1.5}, (TypeError, ValueError), r"n_threads"),
    ]:
        for method in (loss.value, loss.value_and_grad):
            with pytest.raises(kind, match=match):
                method(*arguments, **options)
    with pytest.raises(TypeError, match=r"^labels and ref_labels must hold .*got dtypes int64 and"):
        loss.value(x, y, refs=x, ref_labels=list("0011"))


@pytest.mark.parametrize("name", PAIRED)
def test_errors_of_two_sides(name):
    loss = getattr(embedding, name)()
    first, second = loss._called("rows")
    x = np.zeros((4, 3))
    for arguments, options, kind, match in [
        ((np.zeros(4), x), {}, ValueError, rf"^{first} must have two dimensions.* \(4,\)"),
        ((x, np.zeros(3)), {}, ValueError, rf"^{second} must have two dimensions.* \(3,\)"),
        ((x, x[:3]), {}, ValueError, rf"^{first} and {second} must .*\(4, 3\) and \(3, 3\)"),
        ((x, x[:, :2]), {}, ValueError, rf"{first} and {second} must .*\(4, 3\) and \(4, 2\)"),
        ((x, x * 1j), {}, TypeError, rf"^{second} must .*complex128"),
        ((x, x, np.ones(3)), {}, ValueError, r"^sample_weight must .*\(4,\), got \(3,\)"),
        ((x, x), {"n_threads": 0}, ValueError, r"^n_threads must be .*got 0"),
    ]:
        for method in (loss.value, loss.value_and_grad):
            with pytest.raises(kind, match=match):
                method(*arguments, **options)


BAD = {"temperature": [0, -1, np.nan, np.inf, "1", None, True, 1e-320],
       "margin": [np.nan, "1", None],
       "distance": ["manhattan", None, 2], "form": ["half", None], "pos_margin": [-1, np.nan],
       "alpha": [0, -1, 1e38], "beta": [0, np.inf], "base": [np.nan], "gamma": [0, -3, 1e31],
       "scale": [0, 1e300],
       "bias": [np.inf], "symmetric": [1, "yes"], "detach_weights": [0], "normalize": [1, None],
       "reduction": ["none", "sum_over_batch_size", None], "mining": ["easy"],
       "soft_margin": ["yes"]}


@pytest.mark.parametrize("name", LABELLED + PAIRED)
def test_parameters_are_checked(name):
    cls = getattr(embedding, name)
    for key in cls()._parameters():
        for value in BAD[key]:
            with pytest.raises(ValueError, match=rf"^{key} must be .*got "):
                cls(**{key: value})
    loss = cls(normalize=True)
    assert eval(repr(loss), {name: cls}) == loss
    assert loss.replace(reduction="sum") == cls(normalize=True, reduction="sum")


@pytest.mark.parametrize("labels", [
    pd.Series([0, 1, None, 1], dtype="Int64"), pd.Series([0, 1, None, 1]), [0, 1, None, 1],
    pd.Series(["a", "b", None, "b"]), ["a", "b", np.nan, "b"], np.array([0, 1, np.nan, 1]),
    pd.Series([True, False, None, True], dtype="boolean"), pd.Categorical(["a", "b", None, "b"]),
], ids=lambda labels: f"{type(labels).__name__} {getattr(labels, 'dtype', '')}")
def test_a_missing_label_is_named(labels):
    x = np.eye(4)
    loss = embedding.SupConLoss()
    says = "labels must hold a label for each row, but the label at index 2 is missing"
    for call in (lambda: loss(x, labels), lambda: loss.value_and_grad(x, labels),
                 lambda: loss.partial(x, labels), lambda: Block(loss, x, labels),
                 lambda: reference.SupConLoss().value(x, labels),
                 lambda: loss(x, [0, 1, 0, 1], refs=x, ref_labels=labels)):
        with pytest.raises(ValueError, match=says):
            call()


def test_labels_of_both_signs_that_no_type_holds():
    rng = seeded("uint64")
    x, y = rng.normal(size=(6, 3)), np.array([0, 1, 2, 0, 1, 2])
    loss = embedding.SupConLoss()
    expected = loss.value_and_grad(x, y, refs=x, ref_labels=y[::-1])
    mine = np.where(y == 0, -1, y + 2**62)
    theirs = np.where(y[::-1] == 0, 2**63, y[::-1] + 2**62).astype(np.uint64)
    value = loss.value(x, mine, refs=x, ref_labels=theirs)
    assert value == loss.value(x, y, refs=x, ref_labels=np.where(y[::-1] == 0, 9, y[::-1]))
    assert value != expected[0]


LEVELS = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from batches import MADE, both, close_to, drawn, expected_of
from fastloss._core import simd_level
assert simd_level.kernels.__name__.endswith(sys.argv[2]), simd_level.kernels.__name__
for row in MADE:
    for dtype in (np.float32, np.float64):
        arguments, options = drawn(np.random.default_rng(5), row[0], 300, 19, dtype, classes=7)
        loss, oracle = both(row)
        expected = expected_of(oracle, arguments, options)
        assert max(close_to(loss, arguments, options, expected)) <= 1, (row, dtype)
print("close")
"""


@pytest.mark.parametrize("level, module", [("baseline", "_kernels"), ("avx2", "_kernels_avx2"),
                                           ("avx512", "_kernels_avx512")])
def test_every_level_is_close_to_the_oracle(level, module, tmp_path):
    if level not in simd_level.AVAILABLE:
        pytest.skip(f"this machine has no {level}")
    folder = str(Path(__file__).parents[1])
    assert run_python(LEVELS, tmp_path, folder, module, FASTLOSS_SIMD=level) == "close"
