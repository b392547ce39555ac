"""Pictures of losses: what is drawn is the loss."""

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

import fastloss as fl
from fastloss import reference
from fastloss.plot import plot_losses


def curves(axes):
    """The drawn curves by label."""
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def test_default_is_the_four_losses_value_above_gradient():
    figure = plot_losses()
    assert isinstance(figure, Figure)
    assert len(figure.axes) == 8
    names = [axes.get_title() for axes in figure.axes[:4]]
    assert names == ["ContrastiveLoss", "QualityLoss", "LogLoss", "AbsoluteLoss"]
    assert all(axes.get_ylabel().startswith("value") for axes in figure.axes[:4])
    assert all(axes.get_ylabel().startswith("gradient") for axes in figure.axes[4:])
    assert all(axes.get_xlabel() for axes in figure.axes[4:])
    assert all(axes.get_legend() for axes in figure.axes[:4])


@pytest.mark.parametrize("name", ["ContrastiveLoss", "QualityLoss", "LogLoss", "AbsoluteLoss",
                                  "SquaredLoss"])
def test_curves_are_the_reference(name):
    top, bottom = plot_losses(getattr(fl, name)(reduction="sum")).axes
    oracle = getattr(reference, name)(reduction="none")
    for axes, method in ((top, oracle.value), (bottom, oracle.grad)):
        drawn = [line for text, line in curves(axes).items() if text.startswith("label")]
        assert len(drawn) == 2
        for label, line in enumerate(drawn):
            p = line.get_xdata()
            assert len(p) > 100
            np.testing.assert_allclose(line.get_ydata(), method(np.full(p.shape, label), p),
                                       rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("loss", "low", "high"), [
    (fl.ContrastiveLoss(margin=2), 0, 4), (fl.QualityLoss(), 0, 1), (fl.LogLoss(), 0, 1),
    (fl.AbsoluteLoss(), -1, 2), (fl.ContrastiveLoss(margin=0), 0, 1),
])
def test_default_range_is_the_domain(loss, low, high):
    for axes in plot_losses([loss]).axes:
        assert axes.get_xlim() == (low, high)


@pytest.mark.parametrize("margin", [0.25, 1, 3])
def test_margin_is_marked_where_there_is_one(margin):
    figure = plot_losses([fl.ContrastiveLoss(margin=margin), fl.LogLoss()])
    for axes in figure.axes[::2]:
        line = curves(axes)[f"margin {margin:g}"]
        assert list(line.get_xdata()) == [margin, margin]
    for axes in figure.axes[1::2]:
        assert not any("margin" in text for text in curves(axes))


@pytest.mark.parametrize(("similar", "names"), [
    (1, ["label 0 (dissimilar)", "label 1 (similar)"]),
    (0, ["label 0 (similar)", "label 1 (dissimilar)"]),
])
def test_legend_says_which_label_is_similar(similar, names):
    axes = plot_losses(fl.ContrastiveLoss(similar_label=similar)).axes[0]
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts[:2] == names


def test_labels_and_predictions_are_used():
    p = [0.5, 1.0, 4.0]
    top, bottom = plot_losses([fl.SquaredLoss()], labels=(0.5, 2, 3), predictions=p).axes
    assert list(curves(top)) == ["label 0.5", "label 2", "label 3"]
    line = curves(bottom)["label 3"]
    assert list(line.get_xdata()) == p
    assert list(line.get_ydata()) == [-5, -4, 2]
    assert top.get_xlim() == (0.5, 4)


def test_styles_of_the_labels_differ_without_colour():
    axes = plot_losses(fl.SquaredLoss(), labels=range(6)).axes[0]
    lines = [line for text, line in curves(axes).items() if text.startswith("label")]
    assert len({str(line._unscaled_dash_pattern) for line in lines}) == 6
    assert len({line.get_color() for line in lines}) == 6


def test_infinite_losses_are_left_out(tmp_path):
    figure = plot_losses(fl.LogLoss(eps=0), predictions=[0, 0.5, 1])
    line = curves(figure.axes[0])["label 1"]
    np.testing.assert_array_equal(np.isnan(line.get_ydata()), [True, False, False])
    figure.savefig(tmp_path / "log.png")


def test_nothing_drawn_is_covered(tmp_path):
    figure = plot_losses()
    figure.savefig(tmp_path / "losses.png")
    for axes in figure.axes[:4]:
        box = axes.get_legend().get_window_extent()
        for text, line in curves(axes).items():
            if text.startswith("label"):
                points = axes.transData.transform(line.get_xydata())
                inside = ((points > [box.x0, box.y0]) & (points < [box.x1, box.y1])).all(1)
                assert not inside.any(), (axes.get_title(), text)


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ({"losses": [fl.LogLoss]}, TypeError, "losses must hold Loss objects, got <class"),
    ({"losses": ["log"]}, TypeError, "losses must hold Loss objects, got 'log'"),
    ({"losses": []}, ValueError, "losses must hold at least one loss"),
    ({"labels": ()}, ValueError, "labels must be a sequence of at least 1 finite number"),
    ({"labels": (0, np.nan)}, ValueError, "labels must be"),
    ({"predictions": [1.0]}, ValueError, "predictions must be a sequence of at least 2 finite"),
    ({"predictions": [[0, 1]]}, ValueError, "predictions must be"),
    ({"predictions": [0, np.inf]}, ValueError, "predictions must be"),
    ({"labels": np.ma.array([0, 1], mask=[0, 1])}, TypeError, "labels is a masked array"),
    ({"labels": ["a"]}, TypeError, r"labels must hold real numbers"),
])
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        plot_losses(**arguments)


def test_import_leaves_pyplot_and_fastloss_leaves_matplotlib_alone():
    code = (
        "import sys, fastloss, fastloss.cli\n"
        "heavy = {'matplotlib', 'scipy', 'sklearn', 'rich', 'fastloss.plot',\n"
        "         'fastloss.commands.compare'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "from fastloss.plot import plot_losses\n"
        "plot_losses()\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
