"""Batch losses in parts: sums of batches that add up, and a batch in blocks of rows."""

import itertools
import pickle

import numpy as np
import pytest
from batches import (
    DTYPES,
    MADE,
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

import fastloss as fl
from fastloss.embedding.blocks import Block, Sums

every_row = pytest.mark.parametrize("row", MADE, ids=label)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
IN_BLOCKS = [row for row in MADE if row[0] not in ("BatchTripletLoss", "LiftedStructureLoss")]
every_row_in_blocks = pytest.mark.parametrize("row", IN_BLOCKS, ids=label)


# ---- sums that add up ------------------------------------------------------------------------


@every_row
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_sums_of_parts_are_the_whole(row, reduction):
    loss, oracle = both(row, reduction=reduction)
    for refs in [None] if two_sided(row[0]) else [None, 300]:
        rng = seeded("partial", label(row), reduction, refs)
        (x, second, w), options = drawn(rng, row[0], 60, 5, np.float64, classes=4, refs=refs,
                                        weighted=True)
        whole = loss.partial(x, second, w, **options)
        assert_same_bits(whole.result(), loss.value(x, second, w, **options))
        grad_of_sum = loss.replace(reduction="sum").value_and_grad(x, second, w, **options)[1]
        grad = loss.value_and_grad(x, second, w, **options)[1]
        for g, g_0 in zip(sides(grad), sides(grad_of_sum), strict=True):
            assert np.linalg.norm(whole.scale * g_0 - g) <= 1e-14 * np.linalg.norm(g)
        cuts = [slice(0, 0), slice(0, 1), slice(1, 42), slice(42, None)]
        parts = [loss.partial(x[s], second[s], w[s], **options, n_threads=2) for s in cuts]
        total = sum(parts)
        expected = sum(oracle.partial(x[s], second[s], w[s], **options) for s in cuts)
        for name in ("loss_sum", "weight_sum", "nonzero_sum"):
            found, wanted = getattr(total, name), getattr(expected, name)
            assert abs(found - wanted) <= 1e-11 * abs(wanted), (loss, name)
        assert abs(total.result() - expected.result()) <= 1e-11 * abs(expected.result())
        if refs is not None and row[0] != "LiftedStructureLoss":
            # each anchor has the same refs, in whatever part it is
            assert abs(total.result() - whole.result()) <= 1e-13 * abs(whole.result())


def test_sums_of_nothing_and_of_other_losses():
    part = fl.SupConLoss().partial(np.zeros((0, 3)), np.zeros(0, int))
    assert part == fl.BatchPartial(fl.SupConLoss(), 0.0, 0.0, 0.0)
    assert part.result() == part.scale == 0
    assert fl.SupConLoss(reduction="sum").partial(np.zeros((0, 3)), []).scale == 1
    with pytest.raises(ValueError, match=r"parts of different losses: SupConLoss\(temp.*=0\.2"):
        part + fl.SupConLoss(temperature=0.2).partial(np.zeros((2, 3)), [0, 0])
    for other in (1.0, fl.ContrastiveLoss().partial([1], [1.0]), None):
        with pytest.raises(TypeError):
            part + other


# ---- blocks ----------------------------------------------------------------------------------


class InBlocks:
    """A loss, computed in blocks between cuts; for two batches, of either between its own."""

    def __init__(self, loss, cuts, key_cuts, carry=lambda x: x):
        self.loss, self.cuts, self.key_cuts, self.carry = loss, cuts, key_cuts, carry

    def __getattr__(self, name):
        return getattr(self.loss, name)

    def blocks(self, cuts, rows, labels, w):
        found = []
        for i, j in itertools.pairwise(cuts):
            part = tuple(x[i:j] for x in rows) if isinstance(rows, tuple) else rows[i:j]
            block = Block(self.loss, part, None if labels is None else labels[i:j], start=i,
                          sample_weight=None if w is None else w[i:j])
            assert len(block) == j - i
            found.append(self.carry(block))
        return found

    def value_and_grad(self, x, second, w=None, parameters=False, n_threads=None):
        labels = None if two_sided(type(self.loss).__name__) else second
        views = type(self.loss).__name__ == "NTXentLoss"
        rows = (x, second) if views else x
        mine = self.blocks(self.cuts, rows, labels, w)
        one = labels is not None or views
        theirs = mine if one else self.blocks(self.key_cuts, second, None, w)
        meetings = list(itertools.combinations_with_replacement(range(len(mine)), 2) if one else
                        itertools.product(range(len(mine)), range(len(theirs))))
        sums = [0] * len(mine)
        other_sums = sums if one else [0] * len(theirs)
        for i, j in meetings:
            of_i, of_j = self.carry(mine[i].sums(theirs[j], n_threads=n_threads))
            sums[i] += of_i
            if of_j is not None:
                other_sums[j] += of_j
            assert (of_j is None) == ((one and i == j) or (
                not one and not getattr(self.loss, "symmetric", False)))
        other_sums = [found or None for found in other_sums]
        total = sum(block.partial(found) for block, found in zip(mine, sums, strict=True))
        if not one and other_sums[0] is not None:
            total += sum(block.partial(found)
                         for block, found in zip(theirs, other_sums, strict=True))
        grads = [0] * len(mine)
        other_grads = grads if one else [0] * len(theirs)
        learned = {}
        for i, j in meetings:
            by_i, by_j, more = mine[i].grad(
                theirs[j], sums[i], other_sums[j], scale=total.scale, parameters=True,
                n_threads=n_threads)
            grads[i] += np.array(by_i)
            if not (one and i == j):
                other_grads[j] += np.array(by_j)
            learned = {key: learned.get(key, 0.0) + slope for key, slope in more.items()}
        if views:
            result = tuple(np.concatenate([g[k] for g in grads]) for k in (0, 1))
        else:
            result = np.concatenate(grads)
            result = result if one else (result, np.concatenate(other_grads))
        return (total.result(), result, learned) if parameters else (total.result(), result)


@every_row_in_blocks
@every_dtype
def test_blocks_are_the_whole_batch(row, dtype):
    for n, reduction, cuts, key_cuts in [
            (5, "sum", [0, 5], [0, 5]), (40, "mean", [0, 1, 7, 7, 40], [0, 33, 40]),
            (41, "sum", [0, 7, 40, 41], [0, 33, 41]), (420, "mean", [0, 290, 420], [0, 60, 420])]:
        rng = seeded("blocks", label(row), n)
        arguments, _ = drawn(rng, row[0], n, 9, dtype, classes=5, weighted=n in (40, 41))
        loss, oracle = both(row, reduction=reduction)
        in_blocks = InBlocks(loss, cuts, key_cuts)
        expected = expected_of(oracle, arguments, {})
        by_value, by_row = close_to(in_blocks, arguments, {}, expected)
        assert by_value <= 1, f"value off by {by_value:.3g} times what is allowed: {loss}"
        assert by_row <= 1, f"gradient off by {by_row:.3g} times what is allowed: {loss}"
        learned = in_blocks.value_and_grad(*arguments, parameters=True)[2]
        whole = loss.value_and_grad(*arguments, parameters=True)[2]
        assert set(learned) == set(whole)
        for key, slope in whole.items():
            assert abs(learned[key] - slope) <= (
                1e-5 if dtype == np.float32 else 1e-11) * abs(slope), (loss, key)


@every_row_in_blocks
def test_mean_of_what_costs_in_blocks(row):
    loss = both(row, reduction="mean_nonzero")[0]
    arguments, _ = drawn(seeded("nonzero", label(row)), row[0], 60, 5, np.float64, weighted=True)
    value, grad = loss.value_and_grad(*arguments)
    found, grads = InBlocks(loss, [0, 13, 60], [0, 50, 60]).value_and_grad(*arguments)
    assert abs(found - value) <= 1e-13 * abs(value)
    for g, g_0 in zip(sides(grads), sides(grad), strict=True):
        assert np.linalg.norm(g - g_0) <= 1e-11 * np.linalg.norm(g_0)


@every_row_in_blocks
def test_blocks_travel_and_threads_do_not_matter(row):
    loss = both(row)[0]
    arguments, _ = drawn(seeded("travel", label(row)), row[0], 620, 7, np.float32, weighted=True)
    expected = InBlocks(loss, [0, 300, 620], [0, 620]).value_and_grad(
        *arguments, parameters=True, n_threads=1)
    for n_threads in (2, 3):
        found = InBlocks(loss, [0, 300, 620], [0, 620],
                         carry=lambda x: pickle.loads(pickle.dumps(x))).value_and_grad(
            *arguments, parameters=True, n_threads=n_threads)
        assert_same_bits(found[:2], expected[:2])
        assert found[2] == expected[2]


def test_labels_of_blocks():
    rng = seeded("labels of blocks")
    x, y = rng.normal(size=(50, 4)), rng.integers(0, 4, 50)
    loss = fl.SupConLoss()
    expected = InBlocks(loss, [0, 20, 50], None).value_and_grad(x, y)
    names = np.array(["", "cat", "ä" * 30, "dog"])
    y[20:] = np.where(y[20:] == 3, 2, y[20:])        # a class that one block alone has
    expected = InBlocks(loss, [0, 20, 50], None).value_and_grad(x, y)
    for turned in (names[y], names[y].astype(object), y.astype(np.int8) - 2, y + 2**60, y.tolist()):
        assert_same_bits(InBlocks(loss, [0, 20, 50], None).value_and_grad(x, turned), expected)


@every_row_in_blocks
def test_nan_in_a_block_is_not_hidden(row):
    arguments, _ = drawn(seeded("nan in blocks", label(row)), row[0], 30, 5, np.float32, classes=2)
    arguments[0][17, 2] = np.nan
    value, grad = InBlocks(both(row)[0], [0, 10, 20, 30], [0, 15, 30]).value_and_grad(*arguments)
    assert np.isnan(value)
    assert np.isnan(sides(grad)[0][17]).all()


def test_numbers_beyond_32_bits():
    rng = seeded("far")
    q, k = rng.normal(size=(2, 20, 3))
    loss = fl.InfoNCELoss()
    for start in (0, 2**31 - 10, 2**40):
        first, second = Block(loss, q, start=start), Block(loss, k, start=start)
        sums = first.sums(second)[0]
        assert first.partial(sums).result() == loss(q, k)
        # keys of other queries
        apart = first.sums(Block(loss, k, start=start + 20))[0]
        assert not apart.same.any()
        assert np.isneginf(apart.logs.same).all()


# ---- what blocks refuse ------------------------------------------------------------------------

X = np.arange(12.0).reshape(4, 3)


@pytest.mark.parametrize("arguments, options, error, message", [
    ((fl.BatchTripletLoss(), X, [0] * 4), {}, TypeError, r"^loss must be a batch loss "
     r"with sums of blocks, got BatchTripletLoss\("),
    ((fl.LiftedStructureLoss(), X, [0] * 4), {}, TypeError, r"^loss must be .*got Lifted"),
    ((fl.LogLoss(), X), {}, TypeError, r"^loss must be .*got LogLoss"),
    ((fl.SupConLoss(), X), {}, ValueError, r"^labels are missing: SupConLoss compares classes"),
    ((fl.InfoNCELoss(), X, [0] * 4), {}, ValueError, r"^labels are given, but InfoNCELoss takes"),
    ((fl.SupConLoss(), X, [0] * 3), {}, ValueError, r"^labels must hold one label.*\(4,\), got"),
    ((fl.SupConLoss(), X, [0.5] * 4), {}, TypeError, r"^labels must hold integers or strings"),
    ((fl.InfoNCELoss(), X[0]), {}, ValueError, r"^rows must have two dimensions"),
    ((fl.InfoNCELoss(), X * 1j), {}, TypeError, r"^rows must .*complex128"),
    ((fl.NTXentLoss(), X), {}, TypeError, r"^rows must be a pair of arrays, .* got ndarray"),
    ((fl.NTXentLoss(), (X, X[:2])), {}, ValueError, r"^rows\[0\] and rows\[1\] .*\(4, 3\) and "),
    ((fl.InfoNCELoss(), X), {"start": -1}, ValueError, r"^start must be an integer >= 0, got -1"),
    ((fl.InfoNCELoss(), X), {"start": 0.5}, TypeError, r"float"),
    ((fl.InfoNCELoss(), X), {"sample_weight": [1, 2]}, ValueError, r"^sample_weight must hold"),
])
def test_blocks_that_are_refused(arguments, options, error, message):
    with pytest.raises(error, match=message):
        Block(*arguments, **options)


def test_meetings_that_are_refused():
    loss = fl.SupConLoss()
    block, y = Block(loss, X, [0, 1, 0, 1], start=4), [0, 1, 0, 1]
    sums = block.sums(block)[0]
    for other, message in [
        (Block(loss, X, y, start=2), r"^blocks must have the same rows or none in common, got rows "
                                     r"4 to 7 and 2 to 5$"),
        (Block(loss, X[:2], y[:2], start=4), r"got rows 4 to 7 and 4 to 5$"),
        (Block(loss.replace(temperature=1), X, y, start=8), r"^blocks of different losses: "),
        (Block(loss, X[:, :2], y, start=8), r"^rows of a block and another must be equally long"),
    ]:
        with pytest.raises(ValueError, match=message):
            block.sums(other)
        with pytest.raises(ValueError, match=message):
            block.grad(other, sums, sums)
    far = Block(loss, X, y, start=8)
    with pytest.raises(ValueError, match=r"^n_threads must be"):
        block.sums(far, n_threads=0)
    with pytest.raises(TypeError, match=r"^other_sums must be the Sums of a block, got NoneType"):
        block.grad(far, sums)
    with pytest.raises(TypeError, match=r"^sums must be the Sums of a block, got tuple"):
        block.grad(block, block.sums(far))
    short = Block(loss, X[:2], y[:2], start=0)
    with pytest.raises(ValueError, match=r"^sums are not of this block: SupConLoss.* of 2 rows, "):
        block.partial(short.sums(short)[0])
    with pytest.raises(ValueError, match=r"^sums of blocks of 4 and 2 rows"):
        sums + short.sums(short)[0]
    with pytest.raises(ValueError, match=r"^sums of different losses"):
        sums + Sums(fl.InfoNCELoss(), sums.same, sums.different)
    with pytest.raises(TypeError):
        sums + 1.0


def test_two_empty_blocks_with_one_start_are_two():
    rng = seeded("empty blocks")
    x, y = rng.normal(size=(6, 3)), np.array([0, 1, 0, 1, 0, 1])
    loss = fl.SupConLoss()
    blocks = [Block(loss, x[:0], y[:0], start=0), Block(loss, x[:0], y[:0], start=0),
              Block(loss, x, y, start=0)]
    sums = [0] * 3
    for i, j in itertools.combinations_with_replacement(range(3), 2):
        mine, theirs = blocks[i].sums(blocks[j])
        assert (theirs is None) == (i == j)
        sums[i] += mine
        sums[j] += theirs if i != j else 0
    total = sum(block.partial(found) for block, found in zip(blocks, sums, strict=True))
    assert total.result() == loss(x, y)
    for i, j in ((0, 1), (1, 2)):
        by_i, by_j = blocks[i].grad(blocks[j], sums[i], sums[j], scale=total.scale)
        assert by_i.shape == (0, 3)
        assert by_j.shape == blocks[j].rows.shape
