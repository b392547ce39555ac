"""What `fastloss train-embedding` hands over: a table, a picture, all numbers as JSON."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from fastloss.commands import output
from fastloss.commands.train_embedding import BATCH, DIMENSIONS, Outcome, Result, principal
from fastloss.plot import MARGIN, STYLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Array = NDArray[Any]

NAMES = {"BatchContrastiveLoss": "contrastive", "BatchTripletLoss": "triplet",
         "NTXentLoss": "NT-Xent", "SupConLoss": "SupCon"}
NOTHING = "(untrained)"
HEADERS = ("embedding of", "trained with", "recall@1\nbefore", "recall@1\nafter", "train\ns",
           "in the\nloss", "ms per\ncall")
# Of the digits: Okabe and Ito's, and three more that stay apart from them and from each other for
# every kind of colour vision.
COLORS = (*(color for color, _ in STYLES), "#000000", "#002288", "#664422", "#8844EE")
SHAPES = (("#888888", "s"), ("#000000", "o"))  # of the recalls of each kind of features
TICKS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0)


def name_of(result: Result) -> str:
    """Return what the loss is called."""
    return NAMES[type(result.loss).__name__]


# ---- table ------------------------------------------------------------------------------


def rows(outcome: Outcome) -> list[list[output.Row]]:
    """Return the rows of the table as text: those without training, then for each features."""
    groups: list[list[output.Row]] = [[
        (what, NOTHING, "", f"{recall:.3f}", "", "", "")
        for what, recall in outcome.baselines.items()
    ]]
    for features, results in groupby(outcome.results, lambda result: result.features):
        groups.append([
            (features, name_of(result), f"{result.recall_before:.3f}",
             f"{result.recall_after:.3f}", f"{result.seconds:.2f}",
             f"{result.loss_seconds / result.seconds:.0%}", f"{1e3 * result.seconds_per_call:.3f}")
            for result in results
        ])
    return groups


def notes(outcome: Outcome) -> list[str]:
    """Return what there is to say below the table."""
    n = len(outcome.digits)
    error = 2 * np.sqrt(0.03 * 0.97 / n)
    return [
        f"recall@1: part of the {n} held-out images whose nearest other one is the same digit (two",
        f"standard errors are {error:.3f} at 0.97). before: with the W that training starts from.",
        f"pixels, random features: {DIMENSIONS} numbers, W applied to these, trained on "
        f"{outcome.n_train} images in {outcome.epochs}",
        f"epochs of batches of at most {BATCH}. NT-Xent sees no labels, but two noisy views each.",
        "in the loss: part of the training time in its value and gradient; ms per call: median.",
    ]


def print_table(outcome: Outcome) -> None:
    """Print the table: drawn on a terminal, else as aligned plain text."""
    output.print_table(HEADERS, lambda width: rows(outcome), notes(outcome), words=(0, 1),
                        style=lambda row: "dim" if row[1] == NOTHING else "")


# ---- numbers ----------------------------------------------------------------------------


def write_json(
    outcome: Outcome, path: Path | None, *, seed: int, quick: bool
) -> None:
    """Write all numbers to a file or, for None, to the standard output."""
    output.write_record(
        path, seed=seed, quick=quick, dimensions=DIMENSIONS,
        train_images=outcome.n_train, held_out_images=len(outcome.digits), epochs=outcome.epochs,
        baselines=outcome.baselines,
        results=[
            {
                "features": result.features,
                "n_features": len(result.w),
                "loss": repr(result.loss),
                "rate": result.rate,
                "recall_at_1": {"before": result.recall_before, "after": result.recall_after},
                "seconds": result.seconds,
                "calls": result.calls,
                "loss_seconds": result.loss_seconds,
                "median_seconds_per_call": result.seconds_per_call,
            }
            for result in outcome.results
        ],
    )


# ---- picture ----------------------------------------------------------------------------


def write_picture(outcome: Outcome, path: Path) -> None:
    """Draw held-out images before and after the training, and their recalls."""
    groups = [list(group) for _, group in groupby(outcome.results, lambda result: result.features)]
    figure = Figure(figsize=(10.5, 8), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(2.6, 1))
    top, bottom = parts
    grid = top.subplots(len(groups), 1 + len(groups[0]), squeeze=False)
    for row, results in zip(grid, groups, strict=True):
        first = results[0]
        _draw_digits(row[0], first.before, outcome.digits, f"random W: {first.recall_before:.3f}")
        row[0].set_ylabel(f"W on {len(first.w)} {first.features}")
        for axes, result in zip(row[1:], results, strict=True):
            _draw_digits(axes, result.after, outcome.digits,
                         f"{name_of(result)}{', no labels' * result.two_views}: "
                         f"{result.recall_after:.3f}")
    top.suptitle(f"{len(outcome.digits)} held-out digits before and after training, in the plane "
                 f"where they vary most (2 of {DIMENSIONS} dimensions); recall@1 in all "
                 f"{DIMENSIONS}", fontsize="medium")
    handles = [Patch(color="white", label="digit"),
               *(Patch(color=color, label=str(digit)) for digit, color in enumerate(COLORS))]
    top.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize="small",
               handlelength=1)
    _draw_recalls(bottom.subplots(), outcome, groups)
    output.save(figure, path)


def _draw_digits(axes: Axes, rows: Array, digits: Array, title: str) -> None:
    """Draw images, in the plane in which they vary most, as the digits they are."""
    points = principal(rows, rows, 2)
    for digit, color in enumerate(COLORS):
        x, y = points[digits == digit].T
        axes.scatter(x, y, s=16, marker=f"${digit}$", color=color,
                     linewidths=0.2)
    axes.set_title(title, fontsize="medium")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[["top", "right"]].set_visible(False)


def _draw_recalls(axes: Axes, outcome: Outcome, groups: list[list[Result]]) -> None:
    """Draw recalls before and after the training, and those without."""
    for results, (color, marker), shift in zip(groups, SHAPES, (0.16, -0.16), strict=True):
        at = np.arange(len(results))[::-1] + shift
        before, after = (np.array([getattr(result, f"recall_{when}") for result in results])
                         for when in ("before", "after"))
        axes.hlines(at, before, after, color=color, linewidth=1.5)
        axes.plot(before, at, marker, color=color, markerfacecolor="white",
                  label=f"{results[0].features}, before")
        axes.plot(after, at, marker, color=color, label=f"{results[0].features}, after")
    for (what, recall), style in zip(outcome.baselines.items(), ("--", ":"), strict=True):
        axes.axvline(recall, color=MARGIN, linestyle=style, linewidth=1.5, zorder=0, label=what)
    # the errors on a scale of their logarithms, but for a little that leaves room for none
    axes.set_xscale("function", functions=(lambda x: -np.log(1.005 - x),
                                           lambda y: 1.005 - np.exp(-y)))
    low = min(result.recall_before for result in outcome.results)
    axes.set_xlim(low - 0.02, 1.0)
    ticks = [tick for tick in TICKS if tick > low]
    axes.set_xticks(ticks, map("{:g}".format, ticks))
    axes.set_yticks(range(len(groups[0]))[::-1], map(name_of, groups[0]))
    axes.set_xlabel("recall@1 of held-out images (scale stretched towards 1)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.01, 0.5))
