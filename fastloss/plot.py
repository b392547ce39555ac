"""Draw pictures of losses with Matplotlib, without pyplot: no state, no window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

import fastloss
from fastloss._base import DISTANCES, PROBABILITIES, Loss
from fastloss._values import array_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

__all__ = ["plot_losses"]

# Colours of Okabe and Ito, which stay apart for every kind of colour vision, each with a line
# style of its own: the first is label 0, the second label 1.
STYLES: list[tuple[str, Any]] = [
    ("#D55E00", (0, (4, 1.5))), ("#0072B2", "-"), ("#009E73", "-."), ("#CC79A7", ":"),
    ("#56B4E9", (0, (6, 1, 1, 1, 1, 1))), ("#E69F00", (0, (1, 1))),
]
MARGIN = "#555555"
POINTS = 801


def plot_losses(
    losses: Loss | Sequence[Loss] | None = None,
    *,
    labels: Sequence[float] = (0, 1),
    predictions: ArrayLike | None = None,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Draw value and gradient of losses against the prediction, one column per loss.

    Parameters
    ----------
    losses : Loss or sequence of Loss, optional
        What to draw; by default `ContrastiveLoss`, `QualityLoss`, `LogLoss` and `AbsoluteLoss`
        with their default parameters. Their reduction does not matter.
    labels : sequence of float, default (0, 1)
        One curve for each of these targets.
    predictions : array_like of shape (n,), optional
        Predictions to evaluate, ascending, in the units of the loss's margin or target. By
        default [0, 1] for losses of probabilities, [0, 2 margin] for losses of distances and
        [-1, 2] for others.
    figsize : (float, float), optional
        Width and height in inches; by default 3 per loss, and 5.

    Returns
    -------
    matplotlib.figure.Figure
        Two rows of axes: values, and below them gradients. A dotted line marks the margin of a
        loss that has one. Save it with ``figure.savefig(...)``.

    Raises
    ------
    TypeError
        If `losses` holds something that is not a loss.
    ValueError
        If there are no losses, no labels, or fewer than two predictions, or a number is not finite.

    Examples
    --------
    >>> import fastloss as fl
    >>> figure = plot_losses([fl.ContrastiveLoss(margin=2), fl.SquaredLoss()])
    >>> [axes.get_title() for axes in figure.axes[:2]]
    ['ContrastiveLoss', 'SquaredLoss']
    """
    if losses is None:
        losses = [fastloss.ContrastiveLoss(), fastloss.QualityLoss(), fastloss.LogLoss(),
                  fastloss.AbsoluteLoss()]
    losses = [losses] if isinstance(losses, Loss) else list(losses)
    for loss in losses:
        if not (isinstance(loss, Loss) and loss.takes("prediction")):
            raise TypeError(f"losses must hold Loss objects, got {loss!r}")
    if not losses:
        raise ValueError("losses must hold at least one loss, got none")
    targets = _numbers("labels", labels, 1)
    points = None if predictions is None else _numbers("predictions", predictions, 2)

    figure = Figure(figsize=figsize or (3 * len(losses), 5), layout="constrained")
    grid = figure.subplots(2, len(losses), sharex="col", squeeze=False)
    for (top, bottom), loss in zip(grid.T, losses, strict=True):
        draw_curves(top, loss, "value", targets, points)
        draw_curves(bottom, loss, "gradient", targets, points)
        top.set_title(loss._title)
        top.set_xlabel("")
        add_legend(top)
    return figure


def _numbers(name: str, values: Any, least: int) -> Array:
    array = array_of(values, name).astype(float)
    if array.ndim != 1 or array.size < least or not np.isfinite(array).all():
        raise ValueError(f"{name} must be a sequence of at least {least} finite "
                         f"number{'s' * (least > 1)}, got {values!r}")
    return array


def draw_curves(
    axes: Axes, loss: Loss, what: str, labels: ArrayLike = (0, 1), predictions: Any = None
) -> None:
    """Draw one curve per label, the margin, and the axis labels.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        The axes to draw on.
    loss : Loss
        The loss; its reduction does not matter.
    what : {"value", "gradient"}
        The quantity to draw against the prediction.
    labels : array_like of shape (k,)
        The targets.
    predictions : ndarray of shape (n,), optional
        Predictions to evaluate; by default from the loss's domain.
    """
    loss = loss.replace(reduction="none")
    if predictions is None:
        low, high = _default_range(loss)
        p = np.linspace(low, high, POINTS)
        if loss._domains()[1][:2] == PROBABILITIES[:2]:
            p = p[1:-1]  # at the ends a log loss is clipped, and its gradient jumps
    else:
        p, low, high = predictions, predictions.min(), predictions.max()
    curves = []
    for i, label in enumerate(np.asarray(labels, dtype=float)):
        y = np.full(p.shape, label)
        curve = loss.value(y, p) if what == "value" else loss.grad(y, p)
        curve = np.where(np.isfinite(curve), curve, np.nan)
        color, style = STYLES[i % len(STYLES)]
        axes.plot(p, curve, color=color, linestyle=style, linewidth=2,
                  label=_name_of_label(loss, label))
        curves.append(curve)
    margin = loss._margin
    if margin is not None:
        axes.axvline(margin, color=MARGIN, linestyle=":", linewidth=1.5,
                     label=f"margin {margin:g}")
    if what == "gradient":
        axes.axhline(0, color="#BBBBBB", linewidth=0.8, zorder=0)
    limits = _limits(np.array(curves))
    if limits is not None:
        axes.set_ylim(*limits)
    axes.set_xlim(low, high)
    quantity, *units = _units(loss)
    unit = units[what == "gradient"]
    axes.set_xlabel(quantity)
    axes.set_ylabel(f"{what} ({unit})" if unit else what)


def add_legend(axes: Axes, columns: int = 1) -> None:
    """Add a legend above the curves: the axes grow upwards to make room."""
    low, high = axes.get_ylim()
    lines = -(-len(axes.get_legend_handles_labels()[0]) // columns)
    # the height of a line of small type, and of the frame, in inches
    height = axes.get_position().height * axes.figure.get_figheight()  # type: ignore[union-attr]
    part = min((0.16 * lines + 0.16) / height, 0.6)
    axes.set_ylim(low, high + (high - low) * part / (1 - part))
    axes.legend(fontsize="small", framealpha=1.0, loc="upper center", ncols=columns)


def _name_of_label(loss: Loss, label: float) -> str:
    """Return the words for a label, such as "label 1 (similar)"."""
    name = loss._label_names.get(label)
    return f"label {label:g} ({name})" if name else f"label {label:g}"


def _default_range(loss: Loss) -> tuple[float, float]:
    if loss._domains()[1][:2] == PROBABILITIES[:2]:
        return 0.0, 1.0
    if loss._domains()[1][:2] == DISTANCES[:2]:
        return 0.0, 2 * (loss._margin or 0.0) or 1.0
    return -1.0, 2.0


def _limits(curves: Array) -> tuple[float, float] | None:
    """Return limits that leave out ends far above the middle, such as the ends of a log loss."""
    inner = curves[:, curves.shape[1] // 20 : -(curves.shape[1] // 20) or None]
    if not np.isfinite(inner).any() or np.nanmax(np.abs(curves)) < 3 * np.nanmax(np.abs(inner)):
        return None
    low, high = float(np.nanmin(inner)), float(np.nanmax(inner))
    space = 0.1 * (high - low)
    return low - space, high + space


def _units(loss: Loss) -> tuple[str, str, str]:
    """Return the label of the prediction's axis and the units of value and gradient, if any."""
    quantities = {"probability": "probability p of label 1", "distance": "distance p"}
    return quantities.get(str(loss.prediction), "prediction p (unit of y)"), *loss._units
