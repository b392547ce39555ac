"""What `fastloss compare` hands over: a table, a picture, all numbers as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from fastloss.commands import output
from fastloss.commands.models import PairVerification
from fastloss.plot import MARGIN, STYLES, add_legend, draw_curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fastloss.commands.compare import Fit, Result

ENGINE_NAMES = {"fastloss": "fastloss", "reference": "NumPy reference"}
HEADERS = ("loss, data", "fitted with", "objective", "on\nheld-out data", "iter.", "ms in\nloss",
           "ms/call")
LEFT = (0, 1, 3)  # the columns of words
WIDE = 105  # columns of a terminal that has room for two metrics side by side
BEFORE, AFTER = "#BBBBBB", "#009E73"


# ---- table ------------------------------------------------------------------------------


def rows(result: Result, separator: str = ", ") -> list[tuple[str, ...]]:
    """Return the rows of the table that belong to a result, as text."""
    sizes = result.model.sizes
    unit = "pairs" if "train_pairs" in sizes else "samples"
    data = [
        type(result.loss).__name__.removesuffix("Loss").lower(),
        result.model.data + (", pairs" if unit == "pairs" else ""),
        f"train {sizes[f'train_{unit}']:,}",
        f"test {sizes[f'held_out_{unit}']:,}",
    ]

    def held_out(metrics: dict[str, float]) -> str:
        return separator.join(f"{metric} {value:.4f}" for metric, value in metrics.items())

    def small(difference: float) -> str:
        return f"{difference:.0e}" if difference else "0"

    start = result.start
    table: list[tuple[str, ...]] = [
        (data[0], "(start)", f"{start.objective:.7g}", held_out(start.metrics), "", "", "")
    ]
    for name, (engine, fit) in zip(data[1:], result.fits.items(), strict=False):
        table.append((
            name, ENGINE_NAMES[engine], f"{fit.objective:.7g}", held_out(fit.metrics),
            str(fit.iterations), f"{1e3 * fit.loss_seconds:.2f}",
            f"{1e3 * fit.seconds_per_call:.4f}",
        ))
    differences = result.metric_differences.items()
    table.append((data[3], "difference", f"rel. {small(result.objective_difference)}",
                  separator.join(f"{metric} {small(value)}" for metric, value in differences),
                  "", "", f"{result.speedup:.1f} x"))
    return table


NOTES = (
    "train, test: numbers of pairs or samples. objective: on the training data, with any penalty.",
    "accuracy on digits: pairs of the same and of different digits weigh equally. MAE: in points.",
    "(start): digits on principal components; elsewhere the best constant prediction.",
    "NumPy reference: fastloss.reference, which is a little more work than one bare expression.",
    "ms: in value and gradient of the loss, not the model around it; ms/call: the median, and how",
    "many times faster fastloss is.",
)


def print_table(results: Sequence[Result]) -> None:
    """Print the table: drawn on a terminal, else as aligned plain text."""
    styles = {"(start)": "dim", "fastloss": "bold", "difference": "italic"}
    output.print_table(
        HEADERS,
        lambda width: [rows(result, ", " if width >= WIDE else "\n") for result in results],
        NOTES, words=LEFT, wrapped=(0, 1), style=lambda row: styles.get(row[1], ""),
    )


# ---- numbers ----------------------------------------------------------------------------


def write_json(
    results: Sequence[Result], path: Path | None, *, seed: int, quick: bool
) -> None:
    """Write all numbers to a file or, for None, to the standard output."""
    output.write_record(path, seed=seed, quick=quick, results=[
        {
            "data": result.model.data,
            "loss": repr(result.loss),
            **result.model.sizes,
            "start": {
                "what": result.model.before,
                "objective": result.start.objective,
                "held_out": result.start.metrics,
            },
            "fits": {name: _numbers_of(fit) for name, fit in result.fits.items()},
            "speedup_per_call": result.speedup,
            "relative_difference_of_objectives": result.objective_difference,
            "differences_of_held_out": result.metric_differences,
        }
        for result in results
    ])


def _numbers_of(fit: Fit) -> dict[str, Any]:
    return {
        "objective": fit.objective,
        "held_out": fit.metrics,
        "iterations": fit.iterations,
        "calls": fit.calls,
        "loss_seconds": fit.loss_seconds,
        "median_seconds_per_call": fit.seconds_per_call,
    }


# ---- picture ----------------------------------------------------------------------------


def write_picture(results: Sequence[Result], path: Path) -> None:
    """Draw the losses beside their outcome: one row per loss."""
    contrastive, quality, log, absolute, squared = results
    layout = ConstrainedLayoutEngine(h_pad=0.09, w_pad=0.06)
    figure = Figure(figsize=(10.5, 12), layout=layout)
    grid = figure.subplots(4, 3, width_ratios=(1, 1, 1.45))
    for row, result in zip(grid, (contrastive, quality, log, absolute), strict=True):
        name = type(result.loss).__name__.removesuffix("Loss") + " loss"
        for axes, what in zip(row, ("value", "gradient"), strict=False):
            draw_curves(axes, result.loss, what)
            axes.set_title(f"{name}: {what}")
        add_legend(row[0])
    for axes, result in ((grid[0, 2], contrastive), (grid[1, 2], quality)):
        _draw_distances(axes, result)
    _draw_bars(grid[2, 2], "tumours", [
        ("log loss (nats)\nlower is better", log, "log loss", "{:.3f}"),
        ("accuracy\nhigher is better", log, "accuracy", "{:.3f}"),
    ], "metric of held-out data")
    _draw_bars(grid[3, 2], "patients", [
        ("fitted with\nabsolute loss", absolute, "MAE", "{:.1f}"),
        ("fitted with\nsquared loss", squared, "MAE", "{:.1f}"),
    ], "mean absolute error\n(points of disease score)")
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
    output.save(figure, path)


def _draw_distances(axes: Axes, result: Result) -> None:
    """Draw the distances of held-out pairs before and after the fit."""
    model = result.model
    assert isinstance(model, PairVerification)
    margin: float = result.loss.margin  # type: ignore[attr-defined]
    before, after = result.start, result.fits["fastloss"]
    edges = np.linspace(0, 2.5 * margin, 76)
    middles = (edges[1:] + edges[:-1]) / 2
    # the styles of the curves beside: label 1 is the same digit
    for fit, when in ((before, "before"), (after, "after")):
        p = model.distances(fit.w, held_out=True)
        for same, (color, style), name in ((True, STYLES[1], "same digit"),
                                           (False, STYLES[0], "different")):
            density, _ = np.histogram(p[model.same_held == same], edges, density=True)
            if fit is after:
                axes.fill_between(middles, density, color=color, alpha=0.18, linewidth=0)
            axes.plot(middles, density, color=color, label=f"{name}, {when}",
                      linestyle=style if fit is after else ":",
                      linewidth=2 if fit is after else 1.3)
    axes.axvline(margin, color=MARGIN, linestyle=":", linewidth=1.5)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0)
    axes.set_title(f"Held-out digits: ROC AUC {before.metrics['AUC']:.3f} → "
                   f"{after.metrics['AUC']:.3f}")
    axes.set_xlabel("distance of a pair")
    axes.set_ylabel("density of pairs (1 / distance)")
    add_legend(axes, 2)


def _draw_bars(
    axes: Axes, data: str, groups: Sequence[tuple[str, Result, str, str]], unit: str
) -> None:
    """Draw metrics of held-out data before and after a fit."""
    values = [[fit.metrics[metric] for fit in (result.start, result.fits["fastloss"])]
              for _, result, metric, _ in groups]
    for i, (when, color, hatch) in enumerate((
        ("before: best constant", BEFORE, "///"), ("after", AFTER, ""),
    )):
        at = np.arange(len(groups)) + 0.36 * (i - 0.5)
        bars = axes.bar(at, [pair[i] for pair in values], 0.34, color=color, hatch=hatch,
                        edgecolor="white" if hatch else color, label=when)
        texts = [form.format(pair[i]) for pair, (_, _, _, form) in zip(values, groups, strict=True)]
        axes.bar_label(bars, texts, padding=2)
    axes.set_xticks(range(len(groups)), [name for name, *_ in groups])
    axes.margins(y=0.12)
    axes.set_title(f"Held-out {data}, before and after")
    axes.set_ylabel(unit)
    add_legend(axes, 2)
