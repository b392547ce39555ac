"""What losses say of themselves: that they say it, and that it is true."""

import inspect
import typing

import batches
import numpy as np
import paired
import pytest
from cases import CASES, seeded

import fastloss as fl
from fastloss import _base, reference
from fastloss._base import DISTANCES, REALS, Input, Loss
from fastloss.embedding import _batch
from fastloss.embedding.blocks import Block

CLASSES = [getattr(fl, name) for name in fl.__all__ if name.endswith("Loss") and name != "Loss"]
every_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)

# which are no losses themselves
BASES = [Loss, _base.PredictionLoss, _base.ElementLoss, _base.RowwiseLoss, _batch.BatchLoss,
         _batch.LabelLoss, _batch.TwoSidedLoss]


def elements():
    """Return each loss of elements in those forms that differ in a fact."""
    made = [getattr(fl, name)() for name in CASES]
    made += [fl.ContrastiveLoss(form="linear"), fl.ContrastiveLoss(form="linear", pos_margin=0.25),
             fl.ContrastiveLoss(similar_label=0, form="half"), fl.HingeLoss(labels=(-1, 1)),
             fl.LogLoss(from_logits=True), fl.PoissonLoss(log_input=False),
             fl.PinballLoss(quantile=0.8), fl.EpsilonInsensitiveLoss(squared=True),
             *(fl.TweedieDevianceLoss(power=power) for power in (-1, 1, 1.5, 2, 3))]
    return [each.replace(reduction="none") for each in made]


every_element = pytest.mark.parametrize("loss", elements(), ids=repr)


def drawn(loss, n=4000):
    """Return targets and predictions of the loss's domains, and predictions near the targets."""
    rng = seeded(repr(loss), "facts")
    case = CASES[type(loss).__name__]
    parameters = loss._parameters()
    targets, predictions = loss._domains()

    def inside(domain, draw):
        if domain.high == 1:
            return rng.uniform(0.01, 0.99, n)
        return np.abs(draw) + 0.01 if domain.low > -np.inf else draw

    p = inside(predictions, 3 * rng.normal(size=n))
    if case.labels in ("classes", "hard", "signs"):
        y = rng.choice([targets.low, 1.0], n)
    else:
        y = inside(targets, 3 * rng.normal(size=n))
    assert parameters["reduction"] == "none"
    return y, p


# ---- every loss states each fact ---------------------------------------------------------


def options_of(fact):
    return set(typing.get_args(fact))


@every_class
def test_every_loss_states_its_facts(cls):
    loss = cls()
    assert isinstance(loss, Loss)
    assert loss.sample in ("element", "row", "pair", "triplet", "anchor")
    assert loss.curvature in options_of(_base.Curvature)
    assert {type(getattr(loss, name)) for name in
            ("convex", "bounded_below", "of_residual", "takes_scores")} == {bool}
    assert (loss.prediction in options_of(_base.Prediction)) == loss.takes("prediction")
    assert all(isinstance(each, _base.Interval) for each in loss._domains())
    assert loss._for_scores() or loss.takes_scores or loss.prediction == "distance"
    if loss.sample == "anchor":
        assert loss.sides in options_of(_batch.Sides)
        assert loss.measure in options_of(_batch.Measure)
        assert {type(getattr(loss, name)) for name in
                ("unit_rows", "keys_are_anchors", "blockwise")} == {bool}


@pytest.mark.parametrize("cls", [Loss, _batch.BatchLoss])
def test_public_facts_are_documented_where_they_are_declared(cls):
    facts = {name for name, item in vars(cls).items() if isinstance(item, property)}
    facts |= set(inspect.get_annotations(cls))
    text = inspect.getdoc(cls)
    for name in facts - {"reduction", "normalize"}:
        assert name.startswith("_") or f"\n{name} : " in text, f"{cls.__name__}.{name}"


@pytest.mark.parametrize("cls", BASES, ids=lambda cls: cls.__name__)
def test_a_base_class_says_that_it_is_one(cls):
    with pytest.raises(TypeError, match=rf"^{cls.__name__} is a base class; use a loss such as "):
        cls()


@every_class
def test_inputs_are_those_of_the_methods(cls):
    names = [each.name for each in cls.inputs]
    for method in ("__call__", "value", "value_and_grad", "partial"):
        taken = inspect.signature(getattr(cls, method)).parameters
        assert [name for name in taken if name in names] == names, method
        for each in cls.inputs:
            assert (taken[each.name].default is None) == each.optional
    roles = {each.role for each in cls.inputs}
    assert roles <= options_of(_base.Role)
    assert cls.inputs.count(Input("sample_weight", "weights", optional=True)) == 1
    assert {each.role for each in cls.inputs if each.gradient} <= {"rows", "prediction"}


def test_numbers_of_samples_and_gradients():
    rng = seeded("facts", "samples")
    for name in paired.LOSSES:
        loss = getattr(fl, name)(reduction="none")
        data = paired.drawn(rng, name, 6, 3, np.float64)
        value, grads = loss.value_and_grad(*data)
        assert value.shape == (6,) and len(grads) == len(loss._called("rows"))
        assert loss.sample == {3: "triplet", 2: "pair"}[len(grads)]
    scores = rng.normal(size=(6, 3))
    assert fl.CrossEntropyLoss(reduction="none")([0] * 6, scores).shape == (6,)
    assert fl.SquaredLoss(reduction="none")(scores, scores).shape == (6, 3)


# ---- of losses of elements: facts against derivatives ------------------------------------


@every_element
def test_curvature(loss):
    y, p = drawn(loss)
    grad, hess = loss.grad_and_hess(y, p)
    if loss.curvature == "flat":
        assert not hess[p != y].any() and grad[p != y].all()
    elif loss.curvature == "flat in parts":
        assert (hess == 0).sum() > 50
        assert hess.any() or not grad.all()
    else:
        assert hess.all()


@every_element
def test_convex(loss):
    y, p = drawn(loss)
    hess = loss.grad_and_hess(y, p)[1]
    if loss.convex:
        assert (hess >= 0).all()
        # the slope never falls, at kinks neither
        order = np.sort(p)
        for label in y[:20]:
            slopes = loss.grad(np.full(p.shape, label), order)
            assert (np.diff(slopes) >= -1e-9 * np.abs(slopes[1:])).all()
    elif getattr(loss, "power", 2) not in (0, 1):
        assert (hess < 0).any()


@every_element
def test_bounded_below(loss):
    y, _ = drawn(loss, 50)
    domain = REALS if loss._domains()[1] == DISTANCES else loss._domains()[1]
    far = np.geomspace(1, 1e4, 60)
    grid = np.concatenate([-far[::-1], [0], far]) if domain.low == -np.inf else far - 0.99
    grid = np.linspace(0.001, 0.999, 200) if domain.high == 1 else grid
    least, near = np.inf, np.inf
    with np.errstate(over="ignore"):
        for label in y:
            values = loss(np.full(grid.shape, label), grid)
            least = min(least, values.min())
            near = min(near, values[np.abs(grid) <= 100].min())
    assert (least > -1000) == loss.bounded_below, "bounded_below is not what it says"
    assert (least > near - 10) == loss.bounded_below


@every_element
def test_of_residual(loss):
    rng = seeded(repr(loss), "shift")
    y, p = rng.integers(0, 2, 200) * 1.0, rng.integers(1, 16, 200) / 16
    with np.errstate(all="ignore"):
        same = np.array_equal(loss(y, p), loss(y + 8, p + 8))
    assert same or not loss.of_residual
    assert loss.of_residual or not same or (
        type(loss) is fl.TweedieDevianceLoss and loss.power == 0)


@pytest.mark.parametrize("weighted", [False, True])
@every_element
def test_best_constant(loss, weighted):
    y, _ = drawn(loss, 301)
    w = seeded("facts", "weights").uniform(0.1, 2, y.shape) if weighted else None
    best = loss._best_constant(y, w)
    if best is None:
        assert loss._best_quantile is None
        return
    total = loss.replace(reduction="sum")

    def cost(constant):
        return total(y, np.full(y.shape, constant), w)

    low, high = loss._domains()[1][:2]
    others = [best + sign * step for step in (1e-4, 1e-2, 0.3) for sign in (-1, 1)]
    assert low <= best <= high
    assert all(cost(best) <= cost(other) * (1 + 1e-13) for other in others if low < other < high)
    if loss._best_quantile is not None:
        assert w is not None or np.mean(y <= best) == pytest.approx(loss._best_quantile, abs=0.01)


@every_element
def test_domains_are_what_check_refuses_beyond(loss):
    y, p = drawn(loss, 20)
    loss.check(y, p)
    for name, domain, data in zip(("y_true", "y_pred"), loss._domains(), (y, p), strict=True):
        outside = {domain.low - 1, domain.high + 1, np.nan, np.inf}
        for value in outside - {-np.inf}:
            wrong = data.copy()
            wrong[7] = value
            with pytest.raises(ValueError, match=rf"^{name} must hold .*index 7"):
                loss.check(*((wrong, p) if name == "y_true" else (y, wrong)))


@every_element
def test_scores(loss):
    assert loss.takes_scores == (loss._domains()[1] == REALS)
    assert bool(loss._score_option) == bool({"from_logits", "log_input"} & set(loss._parameters()))
    if loss._score_option:
        made = loss.replace(**{loss._score_option: True})
        assert made.takes_scores and made.prediction in ("logit", "log-rate")
        assert loss.takes_scores or loss._for_scores()
    if loss.prediction == "probability":
        assert loss._domains()[1][:2] == (0, 1)
    assert (loss.prediction == "distance") == (loss._domains()[1] == DISTANCES)
    if loss.prediction in ("logit", "log-rate", "score"):
        assert loss.takes_scores


@every_element
def test_scores_mean_what_they_are_said_to(loss):
    rng = seeded("facts", "links")
    if loss.prediction == "log-rate":       # the best constant is the logarithm of the mean
        y = rng.gamma(2, size=100)
        assert loss._best_constant(y, None) == pytest.approx(np.log(y.mean()), rel=1e-12)
    elif loss.prediction in ("logit", "score"):     # of one class and of the other, mirrored
        z, low = rng.normal(size=50), loss._domains()[0].low
        loss = loss.replace(alpha=0.5) if type(loss) is fl.FocalLoss else loss
        one, other = loss(np.ones(50), z), loss(np.full(50, low), -z)
        np.testing.assert_allclose(one, other, rtol=1e-12)
        assert loss([1.0], [5.0]) < loss([1.0], [-5.0])


def test_facts_of_row_losses():
    for loss in (fl.CrossEntropyLoss(), fl.CrossEntropyLoss(from_logits=False)):
        scores = seeded("facts", "rows").uniform(0.05, 0.9, (50, 4))
        y = np.arange(50) % 4
        _, hess = loss.grad_and_hess(y, scores)
        assert (hess >= 0).all() and loss.convex
        assert loss.takes_scores == loss.from_logits == (loss.prediction == "logit")
        with pytest.raises(ValueError, match="y_pred must hold"):
            loss.check(y, scores * np.inf if loss.from_logits else scores * 5)
    assert fl.CrossEntropyLoss().curvature == "curved" and hess.any()
    ignoring = fl.CrossEntropyLoss(ignore_index=3)
    assert ignoring._targets_weigh and ignoring._ignored(y).sum() == (y == 3).sum()
    assert ignoring._ignored(np.eye(4)) is None and fl.CrossEntropyLoss()._ignored(y) is None
    assert ignoring.partial(y, scores).count == (y != 3).sum()
    weighed = fl.CrossEntropyLoss(class_weight=[1, 2, 3])
    assert weighed._n_classes == 3 and weighed._targets_weigh
    assert not fl.CrossEntropyLoss()._targets_weigh and fl.CrossEntropyLoss()._n_classes is None


def test_facts_of_custom_losses():
    pytest.importorskip("numba", reason="Numba is not installed")
    from fastloss.custom import loss as custom

    assert custom(lambda y, p: abs(p - y)).curvature == "flat"
    assert custom(lambda y, p: (p - y) ** 2).curvature == "flat in parts"       # not known
    share = custom(lambda y, p: (p - y) ** 2, predictions=(0, 1))
    assert share.prediction == "probability" and not share.takes_scores
    assert share.replace(predictions=None).takes_scores
    with pytest.raises(TypeError, match="cannot be called 'curvature'"):
        custom(lambda y, p, curvature: curvature * (p - y))


# ---- of losses of rows of embeddings -----------------------------------------------------


@pytest.mark.parametrize("name", paired.LOSSES)
def test_measures_of_paired_rows(name):
    rng = seeded("facts", name)
    data = paired.drawn(rng, name, 30, 4, np.float64)
    kinds = ["cosine"] if name == "CosineEmbeddingLoss" else paired.DISTANCES
    for kind in kinds:
        loss = getattr(fl, name)() if kinds == ["cosine"] else getattr(fl, name)(distance=kind)
        assert loss.measure == kind
        scaled = loss(*(2 * x for x in data[:2]), *(data[2:] if loss.takes("labels")
                                                    else (2 * data[2],)))
        assert (scaled == pytest.approx(loss(*data), rel=1e-9)) == (kind == "cosine")
        assert loss.bounded_below and loss(*data) >= 0
    if loss.takes("labels"):
        loss.check(*data)
        with pytest.raises(ValueError, match="y must hold labels"):
            loss.check(*data[:2], np.full(30, loss._domains()[0].high + 1))


@pytest.mark.parametrize("row", batches.MADE, ids=batches.label)
def test_facts_of_batches(row):
    name, parameters = row
    loss = getattr(fl, name)(**parameters)
    assert getattr(reference, name)(**parameters).sides == loss.sides
    rng = seeded("facts", *row)
    x, z = rng.normal(size=(2, 12, 5))
    w, labels = np.ones(12), np.arange(12) % 4
    two = not loss.takes("labels")
    assert two == (loss.sides != "one batch")

    def cost(a, b):
        return loss(a, b if two else labels, w)

    scaled = cost(2 * x, 2 * z) == pytest.approx(cost(x, z), rel=1e-12)
    # a loss of which no triplet costs anything costs nothing of longer rows too
    assert scaled == loss.unit_rows or cost(x, z) == 0
    turned = cost(x + 1, z + 1) == pytest.approx(cost(x, z), rel=1e-9)
    assert turned == (loss.measure != "product" and not loss.unit_rows) or cost(x, z) == 0
    assert cost(x, z) >= 0 and loss.bounded_below
    if two:
        # of views and of anchors on both sides the sides can change places
        swapped = cost(z, x) == pytest.approx(cost(x, z), rel=1e-12)
        assert swapped == (loss.sides == "two views" or loss.keys_are_anchors
                           or name == "SigLIPLoss")
    rows = (x, z) if loss.sides == "two views" else x
    if not loss.blockwise:
        with pytest.raises(TypeError, match="sums of blocks"):
            Block(loss, rows, None if two else labels)
        return
    mine = Block(loss, rows, None if two else labels)
    other = Block(loss, z) if loss.sides == "queries and keys" else mine
    sums, other_sums = mine.sums(other)
    assert (other_sums is not None) == (other is not mine and loss.keys_are_anchors)
    parts = [mine.partial(sums), *([other.partial(other_sums)] if other_sums else [])]
    total = sum(parts)
    assert total.result() == pytest.approx(cost(x, z), rel=1e-12)
