"""The edges of single losses' domains that the table of losses does not reach."""

import numpy as np
import pytest
from cases import DTYPES
from numerics import all_results, assert_ulp

import fastloss as fl

every_dtype = pytest.mark.parametrize("dtype", DTYPES)


@every_dtype
def test_poisson_deviance_of_no_counts(dtype):
    # 2 p: it has a derivative at p = 0 too
    p = np.array([0.0, -0.0, 1e-30, 3.0, np.inf], dtype)
    f, g, h = all_results(fl.TweedieDevianceLoss(power=1, reduction="none"), np.zeros(5), p)
    assert_ulp(f, 2 * p.astype(float), 0)
    assert_ulp(g, np.full(5, 2.0), 0)
    assert_ulp(h, np.zeros(5), 0)


@every_dtype
@pytest.mark.parametrize("power", [1.25, 1.5, 1.75])
def test_deviance_of_no_amount(dtype, power):
    p = np.array([1e-3, 1.0, 3.0, 1e3], dtype)
    f, g, h = all_results(fl.TweedieDevianceLoss(power=power, reduction="none"), np.zeros(4), p)
    q = p.astype(float)
    assert_ulp(f, 2 * q ** (2 - power) / (2 - power), 4)
    assert_ulp(g, 2 * q ** (1 - power), 4)
    assert_ulp(h, 2 * (1 - power) * q**-power, 4)


@every_dtype
def test_kl_divergence_from_tiny_probabilities(dtype):
    # where t / p may overflow, also where the scaled ratio is close to 1
    p = np.array([1e-30, 3e-31, 1e-31, 1e-35, 1e-38, 1e-40, 1e-45], dtype)
    for t in (1.0, 0.75, 1e-6, *(p.astype(float) * 2.0**100).clip(max=1)):
        y = np.full(p.size, t).astype(dtype).astype(float)
        f = fl.KLDivergenceLoss(reduction="none").value(y, p)
        assert_ulp(f, y * (np.log(y) - np.log(p.astype(float))), 6, y * 100)


@every_dtype
def test_gamma_loss_of_amount_zero(dtype):
    # no amount to be off by, also where e^-z is infinite
    z = np.array([-np.inf, -1e4, 0.0, 1e4, np.inf], dtype)
    f, g, h = all_results(fl.GammaLoss(reduction="none"), np.zeros(5), z)
    assert_ulp(f, z.astype(float), 0)
    assert_ulp(g, np.ones(5), 0)
    assert_ulp(h, np.zeros(5), 0)


@every_dtype
def test_pseudo_huber_loss_of_residuals_whose_square_overflows(dtype):
    for delta, e in [(2.0**16, 2.0**66), (2.0**16, 2.0**80)] if dtype == np.float32 else [
            (2.0**465, 2.0**520), (2.0**400, 2.0**600)]:
        loss = fl.PseudoHuberLoss(delta=delta, reduction="none")
        f, g, h = all_results(loss, np.zeros(2), np.array([e, -e], dtype))
        assert_ulp(f, np.full(2, delta * e), 2)
        assert_ulp(g, np.array([delta, -delta]), 2)
        assert_ulp(h, np.full(2, (delta / e) ** 3), 4)
