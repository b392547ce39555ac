"""Results as a picture: every contender as a multiple of the streaming limit."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from bench import report
from bench.report import Results

# Okabe and Ito's colours, and a shape for each: told apart without colours too
STYLES = {
    "fastloss": ("#000000", "o"),
    "numpy": ("#0072B2", "s"),
    "numexpr": ("#56B4E9", "D"),
    "numba": ("#009E73", "^"),
    "torch eager": ("#D55E00", "v"),
    "torch compile": ("#E69F00", "<"),
    "jax": ("#CC79A7", ">"),
    "sklearn metric": ("#8C6D31", "P"),
    "sklearn._loss": ("#7F7F7F", "X"),
}
WIDTH, ROW, DPI = 9.0, 0.21, 200  # inches, shown at 900 pixels


def largest(results: Results) -> list[list[Results]]:
    """Return the cases of each dtype that are drawn: the largest size, and all class scores."""
    cases = [c for c in results["cases"] if not report.is_embedding(c)]
    n = max((c["n"] for c in cases if not report.is_rowwise(c)), default=0)
    shown = [c for c in cases
             if (c["n"] >= report.LARGE if report.is_rowwise(c) else c["n"] == n)]
    return [[c for c in shown if c["dtype"] == dtype]
            for dtype in report.distinct(c["dtype"] for c in shown)]


def draw(results: Results, path: Path) -> None:
    """Draw the picture."""
    panels = largest(results)
    if not panels:
        raise SystemExit("no results to draw")
    keys = report.distinct((report.name(c), c["operation"]) for panel in panels for c in panel)
    at = {key: i for i, key in enumerate(keys)}
    figure = Figure((WIDTH, ROW * len(keys) + 1.6), layout="constrained")
    axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for axis, panel in zip(axes, panels, strict=True):
        for case in panel:
            y, times = at[report.name(case), case["operation"]], case["times"]
            span = [times[k]["to_streaming"] for k in STYLES if k in times]
            axis.plot([min(span), max(span)], [y, y], color="0.85", linewidth=1, zorder=1)
        for contender, (color, marker) in STYLES.items():
            points = [(c["times"][contender]["to_streaming"],
                       at[report.name(c), c["operation"]])
                      for c in panel if contender in c["times"]]
            ours = contender == "fastloss"
            axis.scatter(*zip(*points, strict=True) if points else ([], []), label=contender,
                         color=color, marker=marker, s=34 if ours else 22, linewidths=0,
                         zorder=3 if ours else 2)
        axis.axvline(1, color="0.3", linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(10))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axis.grid(axis="x", which="major", color="0.92", linewidth=0.8)
        axis.set_axisbelow(True)
        axis.tick_params(axis="x", labelsize=10, top=True, labeltop=True)
        axis.tick_params(axis="y", length=0, labelsize=9.5)
        axis.set_title(panel[0]["dtype"], fontsize=12, fontweight="bold")
        for side in ("left", "right"):
            axis.spines[side].set_visible(False)
    first = axes[0]
    first.set_yticks(range(len(keys)),
                     [f"{name}  {report.LABEL[operation]}" for name, operation in keys])
    first.set_ylim(len(keys) - 0.4, -0.6)
    for i in range(1, len(keys)):
        if keys[i][0] != keys[i - 1][0]:
            for axis in axes:
                axis.axhline(i - 0.5, color="0.92", linewidth=0.8, zorder=0)
    handles, labels = first.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=5, frameon=False,
                  fontsize=10, columnspacing=1.2, handletextpad=0.2)
    n = max((c["n"] for panel in panels for c in panel if not report.is_rowwise(c)), default=None)
    of = f", n = {report.size(n)}" if n else ""
    figure.supxlabel(f"time as a multiple of streaming the same bytes{of}; dashed: that limit",
                     fontsize=11)
    figure.savefig(path, dpi=DPI)
