"""The gallery, docs/gallery.md and its pictures: each script of examples/, run, shown and drawn.

    python tools/gallery.py [SCRIPT ...]

runs all scripts, or those named, and writes their sections anew. A picture is made of the script's
own variables and of what it printed. tests/test_gallery.py checks that no script is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import runpy
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

import fastloss as fl
from fastloss.commands.compare_report import AFTER, BEFORE
from fastloss.plot import MARGIN, STYLES, add_legend

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES, PAGE = ROOT / "examples", ROOT / "docs" / "gallery.md"
PICTURES = ROOT / "docs" / "gallery"

Names = dict[str, Any]
Numbers = list[list[float]]

HEAD = """\
# Gallery

A script for each library that fastloss works in, with what it printed and a picture of that. The
scripts are in `examples/` (`pip install ".[examples]"` brings what they need), run as they are
(`python examples/NAME.py`) and are run by the tests. `python tools/gallery.py` makes this page; the
last digits may be others on another machine or with other versions of the libraries.
"""


# ---- parts of pictures ------------------------------------------------------------------


def curves(axes: Axes, losses: Sequence[tuple[str, Any, float]], x: Any, xlabel: str) -> None:
    """Draw values of losses: (name, loss, target), against predictions."""
    for (name, loss, y), (color, style) in zip(losses, STYLES[1:] + STYLES[:1], strict=False):
        value = loss.replace(reduction="none").value(np.full(x.shape, y), x)
        axes.plot(x, value, color=color, linestyle=style, linewidth=2, label=name)
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(bottom=0)
    axes.set_xlabel(xlabel)
    axes.set_ylabel("loss")
    axes.locator_params(nbins=6)
    axes.set_title("The losses" if len(losses) > 1 else "The loss")


def bars(axes: Axes, groups: Sequence[str], series: dict[str, Sequence[float]], form: str) -> None:
    """Draw groups of bars, the first of each grey, with their numbers on them."""
    looks = [(BEFORE, "///"), (AFTER, "")]
    width = 0.8 / len(series)
    for i, (name, heights) in enumerate(series.items()):
        color, hatch = looks[i if len(series) > 1 else 1]
        at = np.arange(len(groups)) + width * (i - (len(series) - 1) / 2)
        drawn = axes.bar(at, heights, 0.95 * width, color=color, hatch=hatch, label=name,
                         edgecolor="white" if hatch else color)
        for text in axes.bar_label(drawn, [form.format(height) for height in heights], padding=2):
            text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})
    axes.set_xticks(range(len(groups)), groups)
    axes.margins(y=0.12)


# ---- the pictures -----------------------------------------------------------------------


def xgboost_objective(left: Axes, right: Axes, names: Names, printed: Numbers) -> None:
    """Draw the loss of expectiles, and its values with and without it."""
    error = np.linspace(-1, 1, 401)
    curves(left, [(f"level {level}", fl.ExpectileLoss(level=level), 0.0)
                  for level in (0.9, 0.5, 0.1)], error, "prediction - label")
    add_legend(left)
    levels = printed[1:4]
    bars(right, [f"level {level}" for level, *_ in levels], {
        "trained with squared error": [row[3] for row in levels],
        "with the expectile loss": [row[2] for row in levels]}, "{:.0f}")
    right.set_ylabel("expectile loss")
    right.set_title("Held-out patients: less is better")
    add_legend(right)


def lightgbm_objective(left: Axes, right: Axes, names: Names, printed: Numbers) -> None:
    """Draw focal loss beside log loss, and what models trained with them reach."""
    scores = np.linspace(-4, 4, 401)
    curves(left, [("log loss", fl.LogLoss(from_logits=True), 1.0),
                  ("focal loss", fl.FocalLoss(), 1.0)], scores, "score of a sample of label 1")
    add_legend(left)
    log_loss, focal = printed[1:3]
    bars(right, ["log loss\nless is better", "average precision\nmore is better"], {
        "trained with log loss": log_loss[1:], "with focal loss": focal[1:]}, "{:.3f}")
    right.set_ylabel("metric of held-out images")
    right.set_title("One digit against nine")
    add_legend(right)


def catboost_objective(left: Axes, right: Axes, names: Names, printed: Numbers) -> None:
    """Draw log-cosh beside squares, and predictions against labels."""
    error = np.linspace(-4, 4, 401)
    curves(left, [("half the squared error", fl.ExpectileLoss(), 0.0),
                  ("log-cosh", fl.LogCoshLoss(), 0.0)], error, "prediction - label")
    add_legend(left)
    y, x = names["y_test"], names["X_test"]
    robust = names["start"] + names["robust"].predict(x)
    for name, predicted, (color, _), marker in (
        ("trained with squared error", names["squares"].predict(x), STYLES[0], "x"),
        ("with log-cosh", robust, STYLES[1], "o"),
    ):
        right.scatter(y, predicted, s=22, color=color, marker=marker, label=name, alpha=0.8,
                      linewidths=1)
    ends = [min(y), max(y)]
    right.plot(ends, ends, color=MARGIN, linestyle=":", linewidth=1.5, label="equal")
    right.set_xlabel("label (standard deviations)")
    right.set_ylabel("prediction")
    right.set_title("Held-out patients, a tenth of labels wrong")
    add_legend(right)


def record_linkage(left: Axes, right: Axes, names: Names, printed: Numbers) -> None:
    """Draw the contrastive loss, and the distances that it led to."""
    loss, distance = names["loss"], names["distance"]
    curves(left, [("linked", loss, 1.0), ("not linked", loss, 0.0)], np.linspace(0, 1.5, 401),
           "distance of a pair")
    left.lines[1].set(color=STYLES[0][0], linestyle=STYLES[0][1])
    edges = np.linspace(0, 1.5, 61)
    middles = (edges[1:] + edges[:-1]) / 2
    for linked, (color, style), name in ((1, STYLES[1], "linked"), (0, STYLES[0], "not linked")):
        density, _ = np.histogram(distance[names["linked_test"] == linked], edges, density=True)
        right.fill_between(middles, density, color=color, alpha=0.18, linewidth=0)
        right.plot(middles, density, color=color, linestyle=style, linewidth=2, label=name)
    for axes in (left, right):
        axes.axvline(0.625, color=MARGIN, linestyle=":", linewidth=1.5, label="0.625")
        axes.set_ylim(bottom=0)
        add_legend(axes, 3)
    right.set_xlim(0, 1.5)
    right.set_xlabel("distance of a pair")
    right.set_ylabel("density of pairs")
    right.set_title(f"Held-out pairs: AUC {printed[3][1]:.3f}, of the pixels {printed[2][0]:.3f}")


def sklearn_claims(left: Axes, right: Axes, names: Names, printed: Numbers) -> None:
    """Draw the sums of predicted costs, and costs against predictions."""
    rows = printed[-4:]
    bars(left, list(names["predicted"]), {"share": [row[0] for row in rows]}, "{:.0f} %")
    left.axhline(100, color=MARGIN, linestyle=":", linewidth=1.5, zorder=0)
    left.set_ylabel("predicted of what was paid (%)")
    left.set_title("The sum of held-out policies")
    years, cost = names["years_test"], names["cost_test"]
    for (name, p), (color, style) in zip(names["predicted"].items(), STYLES[1:], strict=False):
        parts = np.array_split(np.argsort(p), 8)
        means = np.array([[np.average(part[rows], weights=years[rows]) for rows in parts]
                          for part in (p, cost)])
        right.plot(*means, color=color, linestyle=style, linewidth=2, marker=".", label=name)
    right.plot([0, 2.7], [0, 2.7], color=MARGIN, linestyle=":", linewidth=1.2, label="equal",
               zorder=0)
    right.set_xlabel("mean prediction of an eighth of the policies")
    right.set_ylabel("mean cost")
    right.set_title("Held-out policies, from low to high")
    add_legend(right, 2)


def scipy_linear_models(left: Axes, right: Axes, names: Names, printed: Numbers) -> None:
    """Draw errors, and the part of targets below predictions."""
    groups = ["squared", "log-cosh", "expectile\n0.9", "pinball\n0.9"]
    rows = [row[-2:] for row in printed[-4:]]
    bars(left, groups, {"error": [row[0] for row in rows]}, "{:.1f}")
    left.set_ylabel("mean absolute error")
    left.set_title("Held-out patients: error")
    bars(right, groups, {"share": [row[1] for row in rows]}, "{:.0f} %")
    for level in (50, 90):
        right.axhline(level, color=MARGIN, linestyle=":", linewidth=1.5, zorder=0)
    right.set_ylim(0, 104)
    right.set_ylabel("targets below the prediction (%)")
    right.set_title("What the loss estimates")


def torch_embedding(left: Axes, right: Axes, names: Names, printed: Numbers) -> None:
    """Draw recall by epoch, and the embedding of held-out digits."""
    color, style = STYLES[1]
    at = [0, *(row[0] for row in printed[1:])]
    left.plot(at, [row[-1] for row in printed], color=color, linestyle=style,
              linewidth=2, marker="o")
    left.set_xticks(at)
    left.set_xlabel("epoch")
    left.set_ylabel("recall@1 of held-out digits")
    left.set_title("The nearest image is the same digit")
    torch, digits = names["torch"], names["digits"][names["held_out"]]
    with torch.no_grad():
        rows = torch.nn.functional.normalize(names["network"](names["x"])).numpy()
    rows = rows[names["held_out"]]
    _, _, axes = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    plane = (rows - rows.mean(0)) @ axes[:2].T
    for digit in range(10):
        # each image is drawn as its digit: colours alone would be hard to tell apart
        for point in plane[digits == digit]:
            right.text(*point, str(digit), color=STYLES[digit % len(STYLES)][0], fontsize=7,
                       ha="center", va="center")
    low, high = plane.min(0) - 0.08, plane.max(0) + 0.08
    right.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    right.set_xlabel("first principal component")
    right.set_ylabel("second")
    right.set_title("Held-out digits after training")

def custom_cost(left: Axes, right: Axes, names: Names, printed: Numbers) -> None:
    """Draw what a day costs, and what the loaves of two models cost."""
    cost = names["cost"]
    curves(left, [("flour 1 euro a loaf", cost, 100.0),
                  ("flour 3 euro a loaf", cost.replace(flour=3.0), 100.0)],
           np.linspace(80, 140, 401), "loaves baked for a demand of 100")
    left.set_ylabel("euros a day")
    left.set_title("The loss")
    add_legend(left)
    rows = [row[-2:] for row in printed[1:3]]
    bars(right, ["euros a day", "days sold out (%)"], {
        "trained with squared loss": rows[0], "with the cost": rows[1]}, "{:.1f}")
    right.set_ylabel("mean of held-out days")
    right.set_title("Held-out days: less is better")
    add_legend(right)


def custom_robust_pairs(left: Axes, right: Axes, names: Names, printed: Numbers) -> None:
    """Draw the loss of pairs, and learned distances against the true ones."""
    robust = names["robust"]
    curves(left, [("squared / 2, rated 3", fl.ExpectileLoss(), 3.0),
                  ("robust, rated 3", robust, 3.0), ("robust, rated 10", robust, 10.0)],
           np.linspace(0, 13, 521), "distance of a pair")
    left.set_xticks(range(0, 13, 2))
    left.set_ylim(0, 1)
    add_legend(left, 2)
    true, shown = names["rating_test"], slice(0, 400)
    for goal, (color, _), marker, name in (
        (fl.SquaredLoss(), STYLES[0], "x", "squared loss"), (robust, STYLES[1], "o", "robust loss"),
    ):
        # the script keeps only its last model
        ours = names["objective"](goal, hess_floor=0.1)
        start = np.full(len(names["rating"]), names["start"])
        model = names["LGBMRegressor"](**names["options"], objective=ours)
        model.fit(names["X"], names["rating"], init_score=start)
        distance = np.minimum(names["start"] + model.predict(names["X_test"]), 10)
        right.scatter(true[shown], distance[shown], s=14, color=color, marker=marker, label=name,
                      alpha=0.7, linewidths=0.8)
    right.plot([3, 10], [3, 10], color="black", linewidth=1.2, label="equal", zorder=3)
    right.set_xlabel("true distance, beyond 10 drawn as 10")
    right.set_ylabel("learned distance")
    right.set_title("Held-out pairs")
    add_legend(right, 3)


def cython_quantiles(left: Axes, right: Axes, names: Names, printed: Numbers) -> None:
    """Draw a stream with estimates of its quantiles, and the part of it below them."""
    times, window = names["times"], 500
    at = np.arange(98_000, 104_001)
    left.plot(at[::5], times[at[::5]], ".", color="#999999", markersize=2.5, label="stream")
    for level, (color, style) in zip((0.99, 0.9, 0.5), STYLES, strict=False):
        estimates = np.empty_like(times)
        names["quantiles"].follow(fl.PinballLoss(quantile=level), times, estimates, 0.5)
        left.plot(at, estimates[at], color=color, linestyle=style, linewidth=2,
                  label=f"quantile {level}")
        below = (times < estimates)[at[0]:at[-1]].reshape(-1, window).mean(axis=1)
        right.plot(at[:-1:window] + window / 2, 100 * below, color=color, linestyle=style,
                   linewidth=2, marker=".")
        right.axhline(100 * level, color=MARGIN, linestyle=":", linewidth=1.2, zorder=0)
    left.set_ylim(0, 320)
    left.set_ylabel("response time (ms)")
    left.set_title("Estimates around the change")
    add_legend(left, 2)
    right.set_ylim(0, 103)
    right.set_yticks([0, 50, 90, 99])
    right.set_ylabel("of 500 numbers, below (%)")
    right.set_title("The part below the estimate")
    for axes in (left, right):
        axes.axvline(100_000, color=MARGIN, linewidth=0.8, zorder=0)
        axes.set_xlim(at[0], at[-1])
        axes.set_xticks([98_000, 100_000, 102_000, 104_000])
        axes.set_xlabel("number in the stream")


def numba_online_regression(left: Axes, right: Axes, names: Names, printed: Numbers) -> None:
    """Draw four losses, and what they led to."""
    losses = [("squared", fl.SquaredLoss(), 0.0), ("Huber", fl.HuberLoss(delta=0.5), 0.0),
              ("log-cosh", fl.LogCoshLoss(), 0.0), ("absolute", fl.AbsoluteLoss(), 0.0)]
    curves(left, losses, np.linspace(-3, 3, 401), "prediction - target")
    left.set_ylim(0, 4)
    add_legend(left, 2)
    bars(right, [name for name, *_ in losses], {"error": [row[-1] for row in printed[1:5]]},
         "{:.1f}")
    right.set_ylabel("mean absolute error")
    right.set_title("Held-out patients: less is better")

def eval_large_file(left: Axes, right: Axes, names: Names, printed: Numbers) -> None:
    """Draw the loss of all rows and of groups, and each group's part in the difference."""
    old, new = names["old"], names["new"]
    scores = {"all": old.overall, **old.groups}
    after = {"all": new.overall, **new.groups}
    bars(left, list(scores), {"old": [score.value for score in scores.values()],
                              "new": [after[group].value for group in scores]}, "{:.2f}")
    left.set_ylabel("log loss")
    left.set_title("All rows, and those of a country")
    for text in left.texts:
        text.set_fontsize("small")
    add_legend(left, 2)
    shares = {group: score.count / old.overall.count for group, score in old.groups.items()}
    parts = [share * (new.groups[group].value - old.groups[group].value)
             for group, share in shares.items()]
    bars(right, [f"{group}\n{share:.0%}" for group, share in shares.items()],
         {"part": parts}, "{:+.3f}")
    right.axhline(0, color="black", linewidth=0.8)
    right.set_xlabel("share of rows")
    right.set_ylabel("(new - old) x share of rows")
    right.set_title(f"Parts of the overall difference, {sum(parts):+.3f}")


def dask_cluster(left: Axes, right: Axes, names: Names, printed: Numbers) -> None:
    """Draw gradient descent in the cluster, and the same in one process."""
    rng, size = np.random.default_rng(0), (names["ROWS"], names["FEATURES"])
    true = rng.normal(size=size[1])
    x = rng.normal(size=size)
    y = rng.random(size[0]) < 1 / (1 + np.exp(-x @ true))
    w, here = np.zeros(size[1]), []
    for _ in range(11):
        value, slopes = fl.LogLoss(from_logits=True).value_and_grad(y, x @ w)
        here.append((value, np.abs(w - true).max()))
        w = w - 8 * (x.T @ slopes)
    color, style = STYLES[1]
    for axes, name, column in ((left, "log loss", 0), (right, "largest error of a coefficient", 1)):
        axes.plot([row[column] for row in here], color=color, linestyle=style, linewidth=2,
                  label="one process")
        axes.plot([row[0] for row in printed[:3]], [row[column + 1] for row in printed[:3]], "o",
                  color=STYLES[0][0], markersize=8, label="two workers, printed")
        axes.set_xlabel("step")
        axes.set_ylabel(name)
    add_legend(left)
    left.set_title("The loss")
    right.set_title("The coefficients")


# how a section is called, what its picture shows, and what draws it
SECTIONS: dict[str, tuple[str, str, Callable[..., None]]] = {
    "xgboost_objective": (
        "XGBoost: expectiles", "Trained with the loss that it is measured by, a model is better "
        "at the outer levels; level 0.5 is half the squared error.", xgboost_objective),
    "lightgbm_objective": (
        "LightGBM: a rare class", "Focal loss costs less for samples that are right by far. It "
        "ranks the images as well as log loss does here, but its scores are no log-odds: as "
        "probabilities they cost about twice as much.", lightgbm_objective),
    "catboost_objective": (
        "CatBoost: wrong labels", "A tenth of the training labels is 20 standard deviations too "
        "large. Squared error follows them, log-cosh does not.", catboost_objective),
    "sklearn_claims": (
        "scikit-learn: costs of policies", "Squared, Poisson and Tweedie loss estimate means, "
        "the absolute loss medians, which are near 0 for almost everyone.", sklearn_claims),
    "scipy_linear_models": (
        "SciPy: linear models", "At this scale log-cosh is nearly the absolute loss; it and "
        "squared error end close together. The expectile lies above most targets, the quantile "
        "above nearly nine of ten.",
        scipy_linear_models),
    "torch_embedding": (
        "torch: an embedding", "Eight numbers are learned for each image; the two that vary most "
        "are drawn.", torch_embedding),
    "record_linkage": (
        "Record linkage", "The contrastive loss pulls linked pairs nearer than 0.25 and pushes "
        "others beyond 1; the line is half way between.", record_linkage),
    "custom_cost": (
        "A loss of one's own: money", "A loaf too few costs more than one too many, so the model "
        "trained with the cost bakes more: it sells out on fewer than half as many days, and a day "
        "costs a third less.", custom_cost),
    "custom_robust_pairs": (
        "A loss of one's own: careless ratings", "Far from the rating the robust loss is nearly "
        "flat, and beyond a rating of 10 it is 0. Careless ratings draw what squared loss learns "
        "towards the middle; the robust loss stays with the others.", custom_robust_pairs),
    "cython_quantiles": (
        "Cython: quantiles of a stream", "After the times became three times larger, each estimate "
        "climbs until the part of the stream that is below it is what it was: dotted.",
        cython_quantiles),
    "numba_online_regression": (
        "Numba: online regression", "The slope of squared loss grows with the error, so wrong "
        "targets move its coefficients far; that of the others is bounded.",
        numba_online_regression),
    "eval_large_file": (
        "A large file: loss by group", "The new version is better in three countries, which have "
        "19 of 20 rows; what it loses in the fourth is hidden in the sum.", eval_large_file),
    "dask_cluster": (
        "Dask: rows on several workers", "Workers send a value and eight slopes, not rows; the "
        "steps are those of one process that has all rows.", dask_cluster),
}


# ---- the page ---------------------------------------------------------------------------


def numbers(text: str) -> Numbers:
    """Return the numbers in each printed line."""
    number = r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])"
    return [[float(found) for found in re.findall(number, line)] for line in text.splitlines()]


def section(name: str) -> str:
    """Run a script, draw its picture, and return its section."""
    title, shown, draw = SECTIONS[name]
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        names = runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    printed = output.getvalue()
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw(left, right, names, numbers(printed))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    PICTURES.mkdir(exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=120)
    Image.open(drawn).convert("RGB").quantize(64).save(PICTURES / f"{name}.png", optimize=True)
    about = "\n\n".join(part for part in names["__doc__"].strip().split("\n\n")
                        if not part.startswith(("Needs", "Run")))
    caption = textwrap.fill(shown, 100, break_on_hyphens=False)
    return (f"## {title}\n\n`python examples/{name}.py`\n\n{about}\n\n"
            f"```\n{printed.rstrip()}\n```\n\n"
            f"![{title}](gallery/{name}.png)\n\n{caption}\n")


def main(argv: Sequence[str] | None = None) -> None:
    """Write the page, with the sections of the scripts that are named, or of all, anew."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("scripts", nargs="*", choices=[*SECTIONS, []], metavar="SCRIPT")
    wanted = parser.parse_args(argv).scripts or list(SECTIONS)
    old = {}
    for part in re.split(r"(?m)^(?=## )", PAGE.read_text())[1:] if PAGE.exists() else ():
        old[re.findall(r"`python examples/(\w+)\.py`", part)[0]] = part.strip() + "\n"
    parts = [section(name) if name in wanted or name not in old else old[name]
             for name in SECTIONS]
    PAGE.write_text("\n".join([HEAD, *parts]))


if __name__ == "__main__":
    main()
