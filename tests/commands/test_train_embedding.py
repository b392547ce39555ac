"""`fastloss train-embedding`: what it writes, what it learns, and from what gradient."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from pictures import png_size
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_info, threadpool_limits

from fastloss import cli
from fastloss.commands import embedding_report, output, train_embedding
from fastloss.commands.train_embedding import recall_at_1, train
from fastloss.embedding import (
    BatchContrastiveLoss,
    BatchTripletLoss,
    InfoNCELoss,
    NTXentLoss,
    SupConLoss,
)

LOSSES = ["BatchContrastiveLoss", "BatchTripletLoss", "NTXentLoss", "SupConLoss"]
SIZE = (1575, 1200)

# ---- the command ------------------------------------------------------------------------


def run_command(folder, *arguments, **environment):
    command = [sys.executable, "-m", "fastloss", "train-embedding", "--quick", "--seed", "3",
               "--output", "out.png", "--json", "out.json", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120,
                          env=os.environ | environment)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """Exit status, output and files of one quick training."""
    folder = tmp_path_factory.mktemp("train")
    return run_command(folder), folder


@pytest.fixture(scope="module")
def record(quick):
    done, folder = quick
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "out.json").read_text())


@pytest.fixture(scope="module")
def outcome():
    return train_embedding.run(3, quick=True)


def test_command_writes_its_files_and_nothing_else(quick):
    done, folder = quick
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(folder)) == ["out.json", "out.png"]
    assert png_size(folder / "out.png") == SIZE
    assert "picture: out.png" in done.stdout
    assert "numbers: out.json" in done.stdout


def test_plain_output_has_no_control_characters_and_no_progress(quick):
    done, _ = quick
    assert done.stderr == ""
    assert done.stdout.isascii()
    assert not [c for c in done.stdout if not c.isprintable() and c != "\n"]
    for word in ("contrastive", "triplet", "NT-Xent", "SupCon", "recall@1 after", "64 pixels"):
        assert word in done.stdout


def test_json_names_everything(record):
    assert (record["seed"], record["quick"], record["epochs"]) == (3, True, 10)
    assert record["train_images"] + record["held_out_images"] == 1797
    assert list(record["baselines"]) == ["64 pixels", "PCA to 8 numbers"]
    assert [row["loss"].partition("(")[0] for row in record["results"]] == LOSSES * 2
    assert [row["n_features"] for row in record["results"]] == [64] * 4 + [256] * 4
    for row in record["results"]:
        assert row["calls"] == 10 * 5
        assert 0 < row["median_seconds_per_call"] < row["loss_seconds"] < row["seconds"]
        assert row["rate"] > 0


def test_the_table_is_the_json(quick, record):
    lines = quick[0].stdout.splitlines()
    for row in record["results"]:
        name = embedding_report.NAMES[row["loss"].partition("(")[0]]
        before, after = row["recall_at_1"].values()
        line = next(line for line in lines if line.startswith(row["features"]) and name in line)
        assert f"{before:.3f}  " in line
        assert f"  {after:.3f}  " in line


def test_held_out_recall_improves(record):
    components = record["baselines"]["PCA to 8 numbers"]
    for row in record["results"]:
        before, after = row["recall_at_1"].values()
        assert after > before + 0.05, row["loss"]
        if not row["loss"].startswith("NTXent"):
            assert after > components, row["loss"]


def test_same_numbers_for_every_number_of_threads(record, tmp_path):
    done = run_command(tmp_path, "--threads", "3", OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="3")
    assert done.returncode == 0, done.stderr
    other = json.loads((tmp_path / "out.json").read_text())
    for a, b in zip(record["results"], other["results"], strict=True):
        assert a["recall_at_1"] == b["recall_at_1"]
    assert other["baselines"] == record["baselines"]


def test_main_in_this_process(tmp_path, monkeypatch, capsys, outcome):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train_embedding, "run", lambda *arguments, **options: outcome)
    assert cli.main(["train-embedding", "--quick"]) == 0
    assert png_size(tmp_path / "embedding.png") == SIZE
    assert "picture: embedding.png" in capsys.readouterr().out


@pytest.mark.parametrize("columns", [80, 120])
def test_table_on_a_terminal(tmp_path, monkeypatch, capsys, columns):
    monkeypatch.setattr(train_embedding, "FEATURES", 64)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    arguments = ["train-embedding", "--quick", "--output", str(tmp_path / "a.png")]
    assert cli.main(arguments) == 0
    out, err = capsys.readouterr()
    out = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out)
    assert "─" in out
    assert "…" not in out  # nothing is cut off
    table = out[:out.index("recall@1: part")]
    assert table.count("SupCon") == 2
    assert max(map(len, table.splitlines())) <= columns
    assert "loading data" in err
    assert "done" in err


# ---- the picture ------------------------------------------------------------------------


@pytest.fixture
def figure(outcome, monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr(output, "save", lambda figure, path: drawn.append(figure))
    embedding_report.write_picture(outcome, tmp_path / "a.png")
    drawn[0].draw_without_rendering()       # lays it out
    return drawn[0]


def test_every_held_out_digit_is_drawn_once_in_each_panel(figure, outcome):
    panels = [axes for axes in figure.axes if axes.collections and axes.get_title()]
    assert len(panels) == 10
    for axes in panels:
        counts = [len(points.get_offsets()) for points in axes.collections]
        np.testing.assert_array_equal(counts, np.bincount(outcome.digits))
    for axes, result in zip(panels[1:5] + panels[6:], outcome.results, strict=True):
        assert f"{result.recall_after:.3f}" in axes.get_title()
        drawn = np.concatenate([points.get_offsets() for points in axes.collections])
        # a projection: no larger than the embedding, and at least two of its eight parts
        total = np.var(result.after, axis=0).sum()
        assert total / 4 < np.var(drawn, axis=0).sum() < total


def test_no_text_of_the_picture_overlaps(figure):
    texts = [text for part in (figure, *figure.subfigs) for text in (part._suptitle,) if text]
    for axes in figure.axes:
        texts += [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.get_xticklabels(),
                  *axes.get_yticklabels()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text()]
    assert len(boxes) > 20
    assert [name for name, box in boxes
            if box.x0 < 0 or box.y0 < 0 or box.x1 > figure.bbox.x1 or box.y1 > figure.bbox.y1] == []
    assert [(a, b) for i, (a, first) in enumerate(boxes) for b, second in boxes[:i]
            if first.overlaps(second)] == []


# ---- the training -----------------------------------------------------------------------


class OnThreads:
    """A loss that is called with a number of threads."""

    def __init__(self, loss, n_threads):
        self.loss, self.n_threads = loss, n_threads

    def value_and_grad(self, *arguments):
        return self.loss.value_and_grad(*arguments, n_threads=self.n_threads)


def noisy(rows, rng):
    return rows + np.float32(0.1) * rng.standard_normal(rows.shape, np.float32)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 20)).astype(np.float32)
    return x, rng.integers(0, 4, 300), rng.standard_normal((20, 5)).astype(np.float32)


@pytest.mark.parametrize("loss", [
    BatchContrastiveLoss(), BatchTripletLoss(mining="semi-hard", normalize=True), NTXentLoss(),
    SupConLoss(),
])
def test_same_bits_for_every_number_of_threads(loss, data):
    view = noisy if isinstance(loss, NTXentLoss) else None
    alone, *others = (
        train(OnThreads(loss, n), *data, rate=0.1, epochs=3, view=view, seed=1) for n in (1, 2, 3)
    )
    assert not np.array_equal(alone, data[2])
    for w in others:
        np.testing.assert_array_equal(w, alone)


def test_run_repeats_itself_and_depends_on_the_seed(outcome):
    with threadpool_limits(limits=2, user_api="blas"):
        limits = {info["filepath"]: info["num_threads"] for info in threadpool_info()}
        again = train_embedding.run(3, quick=True)
        # and leaves the BLAS as it was
        assert {i["filepath"]: i["num_threads"] for i in threadpool_info()} == limits
    other = train_embedding.run(4, quick=True)
    for a, b, c in zip(outcome.results, again.results, other.results, strict=True):
        np.testing.assert_array_equal(a.w, b.w)
        np.testing.assert_array_equal(a.after, b.after)
        assert not np.array_equal(a.w, c.w)


@pytest.mark.parametrize("loss", [BatchContrastiveLoss(), SupConLoss(), NTXentLoss(),
                                  InfoNCELoss()])
def test_a_step_follows_the_gradient(loss, data):
    x, labels, w = (array[:40].astype(np.float64) for array in data)
    labels = labels.astype(int)
    two = isinstance(loss, NTXentLoss | InfoNCELoss)
    views = iter([x, x[:, ::-1]])
    step = train(loss, x, labels, w, rate=1.0, epochs=1, seed=5,
                 view=(lambda rows, rng: next(views)) if two else None) - w

    def value(w):
        return loss.value(x @ w, x[:, ::-1] @ w) if two else loss.value(x @ w, labels)

    numeric = np.zeros_like(w)
    for at in np.ndindex(w.shape):
        h = np.zeros_like(w)
        h[at] = 1e-6
        numeric[at] = (value(w + h) - value(w - h)) / 2e-6
    np.testing.assert_allclose(-step, numeric, rtol=1e-6, atol=1e-7 * np.abs(numeric).max())


def test_momentum_and_rate_are_those_of_the_docstring(data):
    class Constant:
        def value_and_grad(self, rows, labels):
            return 0.0, np.full_like(rows, 1 / len(rows))

    x = np.ones((7, 1))
    # the gradient by w is 1; the rate falls from 0.4 to 0.2, two batches of each
    w = train(Constant(), x, np.zeros(7), np.zeros((1, 1)), rate=0.4, epochs=2, batch=5,
              momentum=0.5)
    velocities = [-0.4]
    for rate in (0.4, 0.2, 0.2):
        velocities.append(0.5 * velocities[-1] - rate)
    assert w.item() == pytest.approx(sum(velocities), rel=1e-12)


def test_each_epoch_sees_each_row_once_in_batches_of_even_size(data):
    seen = []

    class Watched(SupConLoss):
        def value_and_grad(self, rows, labels):
            seen.append(labels)
            return 0.0, np.zeros_like(rows)

    x, _, w = data
    train(Watched(), x, np.arange(300), w, rate=1.0, epochs=2, batch=100)
    assert [len(rows) for rows in seen] == [75] * 8
    for epoch in (seen[:4], seen[4:]):
        np.testing.assert_array_equal(np.sort(np.concatenate(epoch)), np.arange(300))
    assert not np.array_equal(seen[0], seen[4])


def test_two_views_need_no_labels(data):
    x, labels, w = data
    with_labels, without = (train(NTXentLoss(), x, y, w, rate=1.0, epochs=2, view=noisy)
                            for y in (labels, None))
    np.testing.assert_array_equal(with_labels, without)


def test_progress_rises_from_0_to_1_on_one_thread_of_the_blas(monkeypatch):
    monkeypatch.setattr(train_embedding, "LOSSES", train_embedding.LOSSES[:2])
    calls = []

    def progress(what, done):
        calls.append((what, done))
        if len(calls) == 10:
            threads.extend(info["num_threads"] for info in threadpool_info()
                           if info["user_api"] == "blas")

    threads = []
    train_embedding.run(quick=True, progress=progress)
    assert set(threads) == {1}
    done = [part for _, part in calls]
    assert (done[0], done[-1]) == (0.0, 1.0)
    assert done == sorted(done)
    assert len(set(done)) == 2 * 2 * 50 + 1
    assert calls[0][0] == "pixels, BatchContrastiveLoss"


def test_random_features_stand_for_the_gaussian_kernel():
    x = (load_digits().data[:50] / 16).astype(np.float32)
    features = train_embedding._feature_maps(x, np.random.default_rng(0), 40_000)[
        "random features"](x)
    squares = ((x[:, None] - x) ** 2).sum(2)
    kernel = np.exp(-train_embedding.GAMMA * squares)
    # of independent terms between -2 and 2 the mean has a deviation of less than 2 / sqrt(n)
    assert np.abs(features @ features.T - kernel).max() < 5 * 2 / np.sqrt(40_000)


# ---- recall@1 ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_recall_is_that_of_scikit_learns_neighbour(seed):
    rng = np.random.default_rng(seed)
    x, digits = load_digits(return_X_y=True)
    chosen = rng.permutation(len(x))[:150]
    rows, digits = x[chosen] @ rng.standard_normal((64, 3)), digits[chosen]
    hits = []
    for i in range(150):
        others = np.arange(150) != i
        nearest = KNeighborsClassifier(1, algorithm="brute").fit(rows[others], digits[others])
        hits.append(nearest.predict(rows[i : i + 1])[0] == digits[i])
    assert 0.2 < np.mean(hits) < 0.95
    assert recall_at_1(rows, digits) == np.mean(hits)
    assert recall_at_1(rows, [f"digit {digit}" for digit in digits]) == np.mean(hits)


def test_recall_by_hand():
    assert recall_at_1([[0], [1], [3], [4]], [1, 1, 2, 2]) == 1.0
    assert recall_at_1([[0], [1], [3], [4]], [1, 2, 1, 2]) == 0.0
    assert recall_at_1([[0], [0], [5], [6]], [1, 1, 2, 3]) == 0.5
    # rows far from the origin keep their distances
    assert recall_at_1(np.array([[0], [1], [3], [4]]) * 1e-3 + 1e9, [1, 1, 2, 2]) == 1.0
    # 1 is as near to 0 as to 2: the first counts
    assert recall_at_1([[0], [1], [2]], [1, 1, 2]) == pytest.approx(2 / 3)


@pytest.mark.parametrize(("rows", "labels"), [
    ([[1.0]], [1]), (np.zeros((0, 2)), []), ([1.0, 2.0], [1, 2]), (np.zeros((3, 2)), [1, 2]),
    (np.zeros((3, 2)), np.zeros((3, 1))),
])
def test_recall_refuses_what_has_no_neighbours(rows, labels):
    with pytest.raises(ValueError, match=r"rows and labels must have shapes \(n, d\) and \(n,\)"):
        recall_at_1(rows, labels)
