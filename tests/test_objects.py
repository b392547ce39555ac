"""Losses as objects: parameters, identity, reductions, parts, checks of the data."""

import copy
import dataclasses
import math
import pickle
import re
from fractions import Fraction

import numpy as np
import pytest
from cases import CASES, REDUCTIONS, draw, seeded, snake, weights
from numerics import assert_same_bits, assert_ulp

import fastloss as fl

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


# ---- parameters ------------------------------------------------------------------------------

BAD_PARAMETERS = [
    ("ContrastiveLoss", "margin", [-1, -1e-300, math.inf, -math.inf, math.nan, "1", None, 1j, [1],
                                   True, 10**400, np.ones(1)],
     r"margin must be a finite number >= 0, got "),
    ("QualityLoss", "margin", [-1, math.nan], r"margin must be a finite number >= 0, got "),
    ("ContrastiveLoss", "similar_label", [2, -1, 0.5, "1", None, True, math.nan, np.ones(2)],
     r"similar_label must be 0 or 1, got |similar_label must be 1 or 0, got "),
    ("ContrastiveLoss", "form", ["square", "", None, 1, b"half"],
     r"form must be 'squared', 'half' or 'linear', got "),
    ("ContrastiveLoss", "pos_margin", [-1, math.nan, math.inf, "0", True],
     r"pos_margin must be None or a finite number >= 0, got "),
    ("LogLoss", "eps", [-1e-9, 0.5, 1, math.nan, "automatic", None, math.inf, True],
     r"eps must be 'auto' or a finite number >= 0 and < 0.5, got "),
    *((name, "reduction", ["average", None, 1, "", "Mean"],
       r"reduction must be 'mean', 'sum', 'none' or 'sum_over_batch_size', got ")
      for name in CASES),
]


@pytest.mark.parametrize(("name", "parameter", "values", "message"), BAD_PARAMETERS)
def test_parameters_are_checked(name, parameter, values, message):
    function = getattr(fl, snake(name))
    for value in values:
        wanted = f"^({message}){re.escape(repr(value))}$"
        with pytest.raises(ValueError, match=wanted):
            getattr(fl, name)(**{parameter: value})
        with pytest.raises(ValueError, match=wanted):
            getattr(fl, name)().replace(**{parameter: value})
        with pytest.raises(ValueError, match=wanted):
            function([1.0], [0.5], **{parameter: value})


def test_parameters_of_numpy_and_other_numbers():
    expected = fl.ContrastiveLoss(margin=2.0, similar_label=0, pos_margin=0.5)
    for margin in (2, np.float32(2), np.int8(2), np.float64(2), np.longdouble(2), np.array(2),
                   np.array(2.0, np.float16), np.ma.array(2.0), Fraction(2)):
        loss = fl.ContrastiveLoss(margin=margin, similar_label=np.int64(0), pos_margin=0.5)
        assert loss == expected
        assert hash(loss) == hash(expected)
        assert repr(loss) == repr(expected)
        assert pickle.dumps(loss) == pickle.dumps(expected)
        assert type(loss.margin) is float
    assert fl.ContrastiveLoss(similar_label=1.0) == fl.ContrastiveLoss()
    assert fl.LogLoss(eps=0).eps == 0
    assert fl.LogLoss(eps=np.nextafter(0.5, 0)).eps < 0.5


@pytest.mark.parametrize(("loss", "python", "numpy"), [
    (fl.LogLoss, {"from_logits": True}, [np.True_, np.array(True)]),
    (fl.LogLoss, {"eps": "auto"}, [np.str_("auto"), np.array("auto")]),
    (fl.LogLoss, {"reduction": "sum"}, [np.str_("sum"), np.array("sum")]),
    (fl.ContrastiveLoss, {"similar_label": 0}, [np.int8(0), np.float32(0), np.array(0)]),
    (fl.HingeLoss, {"labels": (-1, 1)}, [[-1, 1], np.array([-1, 1]), np.unique([1.0, -1, 1]),
                                         (np.int8(-1), np.array(1))]),
    (fl.CosineEmbeddingLoss, {"labels": (0, 1)}, [[0, 1], np.array([False, True])]),
    (fl.SupConLoss, {"temperature": 0.25}, [np.array(0.25), np.float16(0.25)]),
    (fl.CrossEntropyLoss, {"ignore_index": 3}, [np.int8(3), np.array(3)]),
    (fl.CrossEntropyLoss, {"class_weight": (1.0, 2.0)}, [np.array([1, 2], np.int8)]),
])
def test_what_numpy_makes_of_a_parameter_is_the_parameter(loss, python, numpy):
    expected = loss(**python)
    for value in numpy:
        same = loss(**dict.fromkeys(python, value))
        assert same == expected
        assert (hash(same), repr(same)) == (hash(expected), repr(expected))
        assert pickle.dumps(same) == pickle.dumps(expected)


@pytest.mark.parametrize("value", [
    np.True_, np.array(True), np.timedelta64(1), np.timedelta64(1, "s"), np.ma.masked,
    np.array([0.5]), np.array("0.5"), 0.5j])
def test_what_is_no_number_is_no_parameter(value):
    with pytest.raises(ValueError, match="delta must be a finite number > 0, got"):
        fl.HuberLoss(delta=value)
    with pytest.raises(ValueError, match="similar_label must be 0 or 1, got"):
        fl.ContrastiveLoss(similar_label=value)


@pytest.mark.parametrize("labels", [np.eye(2), (np.eye(2), 1), [0, 1, 2], "01", 1, ("0", "1")])
def test_what_is_no_pair_of_labels_is_refused_by_name(labels):
    for loss in (fl.HingeLoss, fl.CosineEmbeddingLoss):
        with pytest.raises(ValueError, match=r"labels must be .*, got"):
            loss(labels=labels)


@every_case
def test_unknown_and_positional_parameters(case):
    with pytest.raises(TypeError):
        case.loss(surprise=1)
    with pytest.raises(TypeError, match="surprise"):
        case.loss().replace(surprise=1)
    with pytest.raises(TypeError):
        getattr(fl, case.name)(1.0)
    with pytest.raises(TypeError):
        getattr(fl, case.name)().value([1.0], [1.0], None, np.zeros(1))


@every_case
def test_objects_are_values(case):
    rng = seeded(case.name, "values")
    seen = {}
    for _ in range(30):
        parameters = case.parameters(rng) | {"reduction": str(rng.choice(REDUCTIONS))}
        loss = case.loss(**parameters)
        same = case.loss(**parameters)
        assert loss == same
        assert hash(loss) == hash(same)
        seen[loss] = parameters
        for key, value in parameters.items():
            assert getattr(loss, key) == value
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(loss, key, value)
            with pytest.raises(dataclasses.FrozenInstanceError):
                delattr(loss, key)
        with pytest.raises(AttributeError):
            loss.anything = 1
        assert eval(repr(loss), vars(fl)) == loss
        y, p = draw(case, rng, 20, np.float32, parameters)
        result = loss.value_and_grad(y, p)
        copies = [copy.copy(loss), copy.deepcopy(loss), loss.replace()]
        copies += [pickle.loads(pickle.dumps(loss, n)) for n in range(pickle.HIGHEST_PROTOCOL + 1)]
        for other in copies:
            assert other == loss
            assert type(other) is type(loss)
            assert_same_bits(other.value_and_grad(y, p), result)
    for loss, parameters in seen.items():
        assert loss == case.loss(**parameters)
    assert case.loss() != case.loss(reduction="sum")
    assert case.loss() != "loss"


def test_losses_of_other_classes_differ():
    assert fl.QualityLoss(margin=1.0) != fl.ContrastiveLoss(margin=1.0)
    assert fl.AbsoluteLoss() != fl.SquaredLoss()
    assert fl.ContrastiveLoss().replace(margin=2).margin == 2.0
    assert fl.ContrastiveLoss().replace(margin=2)([0.0], [0.0]) == 4.0


def test_functions_do_not_mix_up_their_cached_losses():
    y, p = [1.0, 0.0], [0.5, 0.25]
    for margin in (1, 1.0, 2, True, 2.0):
        if margin is True:
            with pytest.raises(ValueError, match="margin"):
                fl.contrastive_loss(y, p, margin=margin)
        else:
            assert fl.contrastive_loss(y, p, margin=margin) == fl.ContrastiveLoss(margin=margin)(
                y, p)
    assert fl.contrastive_loss(y, p, similar_label=0) != fl.contrastive_loss(y, p)
    assert fl.contrastive_loss(y, p) != fl.quality_loss(y, p)
    for i in range(1000):       # more than the cache holds
        assert fl.contrastive_loss([0.0], [0.0], margin=float(i)) == float(i) ** 2


# ---- reductions ------------------------------------------------------------------------------


@every_case
@pytest.mark.parametrize("kind", ["none", "float64", "counts", "signed"])
@pytest.mark.parametrize("n", [1, 50, 1500])
def test_reductions_are_those_of_the_table(case, kind, n):
    rng = seeded(case.name, kind, n, "table")
    parameters = case.parameters(rng) | ({"eps": 0.0625} if case.name == "LogLoss" else {})
    y, p = draw(case, rng, n, np.float64, parameters)
    w = weights(rng, n, kind)
    if w is not None and not w.sum():
        w[0] = 1
    v = np.ones(n) if w is None else w.astype(float)
    plain = case.loss(**parameters, reduction="none")
    f, g = plain.value_and_grad(y, p)
    h = plain.grad_and_hess(y, p)[1]
    assert_ulp(plain.value(y, p, w), v * f, 0)
    assert_ulp(plain.grad(y, p, w), v * g, 0)
    for reduction, divisor in [("mean", v.sum()), ("sum", 1), ("sum_over_batch_size", n)]:
        loss = case.loss(**parameters, reduction=reduction)
        value, grad = loss.value_and_grad(y, p, w)
        expected = math.fsum(v * f) / divisor
        assert abs(value - expected) <= 1e-13 * math.fsum(np.abs(v * f)) / abs(divisor)
        assert_ulp(grad, v * g / divisor, 3)
        assert_ulp(loss.grad_and_hess(y, p, w)[1], v * h / divisor, 3)


# ---- parts -----------------------------------------------------------------------------------


@every_case
@pytest.mark.parametrize("reduction", ["mean", "sum", "sum_over_batch_size"])
def test_parts_add_up(case, reduction):
    rng = seeded(case.name, reduction, "parts")
    parameters = case.parameters(rng) | case.tame
    loss = case.loss(**parameters, reduction=reduction)
    y, p = draw(case, rng, 3000, np.float64, parameters)
    w = rng.random(3000)
    for weight in (None, w):
        parts = [loss.partial(y[s], p[s], None if weight is None else weight[s])
                 for s in (slice(0, 1), slice(1, 1), slice(1, 1700), slice(1700, None))]
        total = parts[0] + parts[1] + parts[2] + parts[3]
        whole = loss.partial(y, p, weight)
        assert total.count == whole.count == 3000
        assert abs(total.weight_sum - whole.weight_sum) <= 1e-13 * whole.weight_sum
        size = np.abs(loss.replace(reduction="none")(y, p, weight)).sum()
        size /= {"mean": total.weight_sum, "sum": 1, "sum_over_batch_size": 3000}[reduction]
        assert abs(total.result() - loss(y, p, weight)) <= 1e-13 * size
        assert total.loss == loss
        assert sum(parts[1:], parts[0]) == total
        assert pickle.loads(pickle.dumps(total)) == total


def test_parts_that_do_not_fit():
    part = fl.AbsoluteLoss().partial([1.0], [0.0])
    with pytest.raises(ValueError, match="different losses"):
        part + fl.SquaredLoss().partial([1.0], [0.0])
    with pytest.raises(ValueError, match="different losses"):
        part + fl.AbsoluteLoss(reduction="sum").partial([1.0], [0.0])
    with pytest.raises(TypeError):
        part + 1.0
    with pytest.raises(ValueError, match="none"):
        fl.AbsoluteLoss(reduction="none").partial([1.0], [0.0])
    with pytest.raises(dataclasses.FrozenInstanceError):
        part.count = 3
    empty = fl.AbsoluteLoss().partial([], [])
    assert np.isnan(empty.result())
    assert (empty + part).result() == 1.0


# ---- check -----------------------------------------------------------------------------------

GOOD = {"y": np.array([0.0, 1.0, 0.5, 1.0]), "p": np.array([0.0, 1.0, 0.25, 0.5])}
SUSPICIOUS = [
    ("ContrastiveLoss", "y_true", [1, -1, -1, 1], r"y_true .*2 of 4 .* index 1: -1\.0"),
    ("LogLoss", "y_true", [1, 0, 2, 0], r"y_true .*1 of 4 .* index 2: 2\.0"),
    ("LogLoss", "y_pred", [0.5, 0.1, 1.5, -0.5], r"y_pred .*\[0, 1\].* 2 of 4 .*index 2: 1\.5"),
    ("QualityLoss", "y_pred", [0.5, -0.25, 7, 0], r"y_pred .*distances.* 1 of 4 .*index 1: -0\.25"),
    *((name, where, [0.5, bad, bad, 0.5], rf"{where} .*2 of 4 .*index 1: {bad}")
      for name in CASES for where in ("y_true", "y_pred", "sample_weight")
      for bad in (np.nan, np.inf, -np.inf)),
    *((name, "sample_weight", [1, 2, 3, -0.5], r"sample_weight .*1 of 4 .*index 3: -0\.5")
      for name in CASES),
]


@pytest.mark.parametrize(("name", "where", "values", "message"), SUSPICIOUS)
def test_check_names_what_is_suspicious(name, where, values, message):
    loss = getattr(fl, name)()
    y = {"labels -1 and 1": 2 * np.round(GOOD["y"]) - 1, "numbers > 0": GOOD["y"] + 1}
    arguments = {"y_true": y.get(loss._domains()[0].what, GOOD["y"]), "y_pred": GOOD["p"],
                 "sample_weight": np.ones(4)}
    assert loss.check(**arguments) is None
    if where == "y_true" and loss._domains()[0].what == "labels -1 and 1":
        values = [1, values[1], values[2], -1]
    for array in (np.array(values), np.repeat(np.array(values), 2)[::2],
                  np.array(values)[::-1].copy()[::-1], np.array(values).astype(">f8"), values):
        with pytest.raises(ValueError, match=message):
            loss.check(**arguments | {where: array})


def test_check_beyond_its_first_block_and_in_more_dimensions():
    y = np.zeros((300, 100))
    y[251, 7] = y[251, 8] = y[299, 99] = 3
    p = np.full(y.shape, 0.5)
    for order in "CF":
        with pytest.raises(ValueError, match=r"3 of 30000 .*index \(251, 7\): 3\.0"):
            fl.LogLoss().check(np.asarray(y, order=order), p)
    with pytest.raises(ValueError, match=r"1 of 1 .*-1\.0"):
        fl.LogLoss().check(-1.0, 0.5)
    assert fl.LogLoss().check([], []) is None
    assert fl.LogLoss().check(True, np.float16(0.5)) is None
    assert fl.AbsoluteLoss().check([-1.0, 1e300], [5.0, -1e300]) is None
    with pytest.raises(ValueError, match=r"y_true .*index 0: 255"):
        fl.LogLoss().check(np.array([255], np.uint8), [0.5])
