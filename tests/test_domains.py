"""What parameters and data each loss takes, and what it says of others."""

import math

import pytest
from cases import CASES, snake

import fastloss as fl

NUMBERS = ["1", None, math.nan, math.inf, True, 1j]
AT_LEAST_0 = ([-1, -1e-300], [0, 1, 1e10], ">= 0")
ABOVE_0 = ([0, -1], [1e-300, 1], "> 0")
SHARE = ([-1e-9, 1.0001], [0, 0.5, 1], ">= 0 and <= 1")
INSIDE = ([0, 1, 50], [1e-9, 0.5, 1 - 2**-53], "> 0 and < 1")
# (loss, parameter, bad values, good ones, what a finite number has to be)
RANGES = [
    ("AbsolutePercentageLoss", "eps", *ABOVE_0),
    ("EpsilonInsensitiveLoss", "epsilon", *AT_LEAST_0),
    ("ExpectileLoss", "level", *INSIDE),
    ("FocalLoss", "alpha", *SHARE),
    ("FocalLoss", "gamma", *AT_LEAST_0),
    ("HingeEmbeddingLoss", "margin", *AT_LEAST_0),
    ("HuberLoss", "delta", *ABOVE_0),
    ("LogLoss", "label_smoothing", *SHARE),
    ("LogLoss", "pos_weight", *AT_LEAST_0),
    ("PinballLoss", "quantile", *INSIDE),
    ("PseudoHuberLoss", "delta", *ABOVE_0),
    ("TweedieDevianceLoss", "power", [0.5, 1e-9, 1 - 2**-53], [0, 1, -3, 2.5], "<= 0 or >= 1"),
    ("TweedieLoss", "power", [1, 2, 0, 2.5], [1 + 2**-52, 1.5], "> 1 and < 2"),
]


@pytest.mark.parametrize(("name", "parameter", "bad", "good", "wanted"), RANGES)
def test_ranges_of_parameters(name, parameter, bad, good, wanted):
    for value in [*bad, *NUMBERS]:
        message = f"{parameter} must be a finite number {wanted}, got {value!r}"
        for make in (lambda p: getattr(fl, name)(**p),
                     lambda p: getattr(fl, snake(name))([1.0], [0.5], **p)):
            with pytest.raises(ValueError, match="must be") as error:
                make({parameter: value})
            assert str(error.value) == message
    for value in good:
        assert getattr(getattr(fl, name)(**{parameter: value}), parameter) == value


@pytest.mark.parametrize(("name", "parameter"), [
    ("LogLoss", "from_logits"), ("PoissonLoss", "log_input"),
    ("EpsilonInsensitiveLoss", "squared")])
def test_flags(name, parameter):
    for value in (1, 0, "yes", None):
        message = f"^{parameter} must be True or False, got {value!r}$"
        with pytest.raises(ValueError, match=message):
            getattr(fl, name)(**{parameter: value})


MARGIN_LOSSES = ["HingeLoss", "SquaredHingeLoss", "ModifiedHuberLoss", "ExponentialLoss"]
# (loss, good targets, a bad one, good predictions, a bad one, what messages name)
DOMAINS = [
    *((getattr(fl, name)(), [0, 1, 0.5], -1, [-7, 7, 0], None, ["labels=(0, 1)", ""])
      for name in MARGIN_LOSSES),
    *((getattr(fl, name)(labels=(-1, 1)), [-1, 1, -1], 0, [-7, 7, 0], None, ["labels=(-1, 1)", ""])
      for name in MARGIN_LOSSES),
    (fl.LogLoss(), [0, 1, 0.5], -1, [0, 1, 0.5], 1.5, ["[0, 1]", "from_logits=True"]),
    (fl.LogLoss(from_logits=True), [0, 1, 0.5], 2, [-7, 7, 0], None, ["[0, 1]", ""]),
    (fl.FocalLoss(), [0, 1, 0.5], -1, [-7, 7, 0], None, ["[0, 1]", ""]),
    (fl.KLDivergenceLoss(), [0, 1, 0.5], 1.5, [0, 1, 0.5], -0.1, ["target prob", "probabilities"]),
    (fl.PoissonLoss(), [0, 1, 2.5], -1, [-7, 7, 0], None, [">= 0", ""]),
    (fl.PoissonLoss(log_input=False), [0, 1, 2.5], -1, [0, 7, 0.5], -0.5, [">= 0", ">= 0"]),
    (fl.GammaLoss(), [1, 2, 0.5], 0, [-7, 7, 0], None, ["> 0", ""]),
    (fl.TweedieLoss(), [0, 1, 2.5], -1, [-7, 7, 0], None, [">= 0", ""]),
    (fl.TweedieDevianceLoss(), [-1, 0, 1], None, [-1, 0, 1], None, ["", ""]),
    (fl.TweedieDevianceLoss(power=-1), [-1, 0, 1], None, [1, 2, 3], 0, ["", "> 0"]),
    (fl.TweedieDevianceLoss(power=1), [0, 1, 2], -1, [1, 2, 3], 0, [">= 0", "> 0"]),
    (fl.TweedieDevianceLoss(power=1.5), [0, 1, 2], -1, [1, 2, 3], 0, [">= 0", "> 0"]),
    (fl.TweedieDevianceLoss(power=2), [1, 2, 3], 0, [1, 2, 3], 0, ["> 0", "> 0"]),
    (fl.SquaredLogLoss(), [0, 1, -0.5], -1, [0, 1, -0.5], -1, ["> -1", "> -1"]),
    (fl.HingeEmbeddingLoss(), [-1, 1, -1], 0, [0, 1, 2], -1, ["labels -1 and 1", "distances"]),
    *((getattr(fl, name)(), [-1, 0, 1e9], None, [-1, 0, 1e9], None, ["", ""])
      for name in ("AbsoluteLoss", "SquaredLoss", "HuberLoss", "PseudoHuberLoss", "LogCoshLoss",
                   "PinballLoss", "ExpectileLoss", "EpsilonInsensitiveLoss",
                   "AbsolutePercentageLoss")),
]


@pytest.mark.parametrize(("loss", "y", "bad_y", "p", "bad_p", "named"), DOMAINS,
                         ids=[str(row[0]) for row in DOMAINS])
def test_check_knows_the_domain(loss, y, bad_y, p, bad_p, named):
    assert loss.check(y, p) is None
    for bad, arguments, name, what in (
            (bad_y, ([*y[:2], bad_y], p), "y_true", named[0]),
            (bad_p, (y, [*p[:2], bad_p]), "y_pred", named[1])):
        if bad is not None:
            message = rf"^{name} must hold .* 1 of 3 .* index 2"
            with pytest.raises(ValueError, match=message) as error:
                loss.check(*arguments)
            assert what in str(error.value)


def test_every_loss_has_a_domain_here():
    assert {type(row[0]).__name__ for row in DOMAINS} | {"ContrastiveLoss", "QualityLoss"} == set(
        CASES)
