"""The kernels against exact numbers: elements within their bounds, sums of small losses."""

import inspect
import re

import numpy as np
import pytest
from cases import CASES, DTYPES, draw, seeded
from exact import errors_in_ulp, exact_results, exact_sums

import fastloss as fl
from fastloss import reference

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def drawn(case, rng, n, dtype, soft):
    """Return parameters, labels as the kernel reads them, and predictions."""
    parameters = case.parameters(rng)
    y, p = draw(case, rng, n, dtype, parameters, soft)
    return parameters, y.astype(dtype).astype(float), p


@every_case
@every_dtype
@pytest.mark.parametrize("soft", [False, True])
def test_elements_are_within_their_bounds(case, dtype, soft):
    rng = seeded(case.name, dtype, soft, "accuracy")
    compared = np.zeros(3, int)
    for _ in range(12):
        parameters, y, p = drawn(case, rng, 40, dtype, soft)
        loss = case.loss(**parameters, reduction="none")
        results = loss.value(y, p), *loss.grad_and_hess(y, p)
        expected = exact_results(case, parameters, y, p, dtype)
        terms = case.terms(parameters, y, p.astype(float))
        for k, bound in enumerate(case.bounds):
            errors = errors_in_ulp(results[k], expected[k], terms[k])
            i = int(np.argmax(errors))
            assert errors[i] <= bound, ("fgh"[k], errors[i], parameters, y[i], p[i])
            compared[k] += sum(number is not None for number in expected[k])
    assert compared.min() > 240     # of 480


@every_case
def test_bounds_are_stated_where_users_look(case):
    cls = type(case.loss())
    text = " ".join((inspect.getdoc(cls) or "").split())
    stated = re.findall(r"l, g and h are within (\d+), (\d+) and (\d+) ULP", text)
    bounds = tuple(map(str, case.bounds))
    assert stated == ([bounds] if max(case.bounds) > 4 else []), case.bounds


@every_dtype
@pytest.mark.parametrize("power", [
    1 + 2.0**-30, 1 + 2.0**-10, 1.25, 1.499, 1.75, 2 - 2.0**-10, 2 + 2.0**-10, -0.001, -3.0, 4.0])
def test_deviances_of_any_power_and_distance(power, dtype):
    # the textbook's terms cancel close to the powers 1 and 2, and where y is close to p
    case, rng = CASES["TweedieDevianceLoss"], seeded(power, dtype)
    p = (10 ** rng.uniform(-3, 3, 200)).astype(dtype)
    off = np.append(10 ** rng.uniform(-8, 0, 100), rng.uniform(0, 8, 100))
    y = (p * np.exp(off * rng.choice([-1, 1], 200))).astype(dtype).astype(float)
    y[:5] = 0 if 1 < power < 2 else y[:5]
    loss = case.loss(power=power, reduction="none")
    expected = exact_results(case, {"power": power}, y, p, dtype)
    slope = 2 * p.astype(float) ** -power * (1 + np.abs(power * (y - p) / p))
    for got, wanted, terms, bound in zip(
            (loss.value(y, p), *loss.grad_and_hess(y, p)), expected, (0, 0, slope), case.bounds,
            strict=True):
        assert errors_in_ulp(got, wanted, terms).max() <= bound


@every_dtype
def test_squared_log_loss_beyond_its_domain(dtype):
    y, p = np.array([-2, -1, -1, 0, -2, 0, -3]), np.array([-2, -1, 0, -1, 0, -2, -2], dtype)
    for module in (fl, reference):
        loss = module.SquaredLogLoss(reduction="none")
        for got in (loss.value(y, p), *loss.grad_and_hess(y, p)):
            assert np.array_equal(np.isnan(got), [True, True, False, False, True, True, True])
        assert np.array_equal(loss.value(y, p)[2:4], [np.inf, np.inf])


# ---- sums ------------------------------------------------------------------------------------


def nearly_perfect(case, rng, n, parameters):
    """Return labels and predictions close to the best ones."""
    y = case.draw_y(rng, n, np.ones(n), False, parameters)
    off = 10 ** rng.uniform(-7, -3) * rng.choice([-1, 1], size=n)
    sure = rng.uniform(10, 80, size=n)
    name, positive = case.name, y > 0
    if "margin" in parameters:
        similar = positive == bool(parameters.get("similar_label", 1))
        return y, np.where(similar, np.abs(off), parameters["margin"] * (1 - off))
    if "labels" in parameters and name != "ExponentialLoss":
        return y, np.where(positive, 1.0, -1.0) * (1 + off)
    if "epsilon" in parameters:
        return y, y + np.where(np.abs(y) < 8, 0, np.sign(y) * parameters["epsilon"] * (1 + off))
    if "labels" in parameters or parameters.get("from_logits") or name == "FocalLoss":
        return y, np.where(positive, sure, -sure)
    if name == "LogLoss":
        return y, np.abs(y - np.abs(off))
    if name in ("GammaLoss", "TweedieLoss") or parameters.get("log_input"):
        return y, np.where(positive, np.log(np.maximum(y, 1)) + off, -sure)
    return y, np.where(y == 0, np.abs(off), y * (1 + off))


@every_case
@every_dtype
def test_sums_of_nearly_perfect_predictions(case, dtype):
    rng = seeded(case.name, dtype, "perfect")
    relative = 3e-7 if dtype == np.float32 else 1e-13
    losses = 0
    for n in (7, 100, 100, 1100):
        parameters = case.parameters(rng)
        y, p = nearly_perfect(case, rng, n, parameters)
        y, p = y.astype(dtype).astype(float), p.astype(dtype)
        expected, size = exact_sums(case, parameters, y, p, dtype)
        loss = case.loss(**parameters, reduction="sum")
        for value in (loss(y, p), loss.value_and_grad(y, p)[0], loss.partial(y, p).result()):
            assert abs(value - expected) <= relative * size, (
                parameters, n, value, expected, abs(value - expected) / size)
        losses += size > 0
    assert losses >= 2
