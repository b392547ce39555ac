"""How the tests compare numbers: in units of the last place, or bit for bit."""

import numpy as np


def assert_ulp(actual, expected, ulps, terms=None, **inputs):
    """Check that results are within `ulps` units of the last place of what is expected.

    The unit of an element is the spacing of its dtype at the expected value or, where the
    value is a difference, at the sum of the absolute terms (`terms`): what rounding one
    operation may cost. There is no absolute floor but the smallest denormal number. NaN must be
    NaN and an infinity the same infinity; a value beyond the dtype's range must be infinite.
    """
    actual = np.asarray(actual)
    expected = np.asarray(expected, np.float64)
    assert actual.dtype in (np.float32, np.float64), f"dtype {actual.dtype}"
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    with np.errstate(all="ignore"):
        rounded = expected.astype(actual.dtype)
        size = np.abs(expected) if terms is None else np.fmax(np.abs(expected), np.abs(terms))
        size = np.minimum(size, np.finfo(actual.dtype).max).astype(actual.dtype)
        unit = np.spacing(size).astype(np.float64)
        error = np.abs(actual.astype(np.float64) - expected) / unit
        # beyond the range or at its very end, where the sum of terms may be infinite
        largest = float(np.finfo(actual.dtype).max)
        beyond = np.abs(expected) > largest * (1 - 2 * ulps * float(np.finfo(actual.dtype).eps))
        special = ~np.isfinite(rounded) | (beyond & np.isinf(actual))
        same = (np.isnan(expected) & np.isnan(actual)) | (
            np.isinf(actual) & (np.signbit(actual) == np.signbit(expected)))
        error = np.where(special, np.where(same, 0.0, np.inf), error)
        error = np.where(np.isnan(error), np.inf, error)
    if error.size and error.max() > ulps:
        i = np.unravel_index(np.argmax(error), error.shape)
        at = {name: _at(value, error.shape, i) for name, value in inputs.items()}
        raise AssertionError(
            f"{np.count_nonzero(error > ulps)} of {error.size} elements are off by more than "
            f"{ulps} ULP of {actual.dtype}; the worst, by {error[i]:.3g} ULP, at {i}: "
            f"{float(actual[i])!r}, expected {float(expected[i])!r}, for {at}")


def _at(value, shape, i):
    """Return element i of an input that is an array, else the input."""
    if isinstance(value, np.ndarray) and value.shape == shape:
        return value[i].item()
    return value


def assert_sum(actual, expected, absolute_sum, dtype, **inputs):
    """Check a reduced value: its error against the sum of the absolute weighted losses."""
    assert type(actual) is float
    if not np.isfinite(expected):
        same = actual == expected or (np.isnan(actual) and np.isnan(expected))
        assert same, f"{actual!r}, expected {expected!r}, for {inputs}"
        return
    relative = 3e-7 if dtype == np.float32 else 1e-13
    assert abs(actual - expected) <= relative * absolute_sum, (
        f"{actual!r}, expected {expected!r}: off by {abs(actual - expected) / absolute_sum:.3g} "
        f"of the sum of absolute losses, allowed {relative}, for {inputs}")


def assert_same_bits(actual, expected, what=""):
    """Check that two results, arrays or tuples of them, have the same bits; NaN is NaN."""
    if isinstance(expected, tuple):
        assert isinstance(actual, tuple)
        assert len(actual) == len(expected)
        for a, b in zip(actual, expected, strict=True):
            assert_same_bits(a, b, what)
        return
    a, b = np.asarray(actual), np.asarray(expected)
    assert a.shape == b.shape, f"{what}: shape {a.shape}, expected {b.shape}"
    a, b = a.astype(a.dtype.newbyteorder("=")), b.astype(b.dtype.newbyteorder("="))
    assert a.dtype == b.dtype, f"{what}: dtype {a.dtype}, expected {b.dtype}"
    differs = ~(((a == b) & (np.signbit(a) == np.signbit(b))) | (np.isnan(a) & np.isnan(b)))
    if differs.any():
        i = np.unravel_index(np.argmax(differs), differs.shape)
        raise AssertionError(f"{what}: {np.count_nonzero(differs)} of {a.size} elements differ, "
                             f"the first at {i}: {a[i].item()!r}, expected {b[i].item()!r}")


def all_results(loss, y, p, w=None, **options):
    """Return value, gradient and hessian of a loss, having checked that entry points agree."""
    value = loss.value(y, p, w, **options)
    value_2, grad_2 = loss.value_and_grad(y, p, w, **options)
    grad_3, hess = loss.grad_and_hess(y, p, w, **options)
    grad = loss.grad(y, p, w, **options)
    assert_same_bits(value_2, value, "value of value_and_grad")
    assert_same_bits(grad_2, grad, "gradient of value_and_grad")
    assert_same_bits(grad_3, grad, "gradient of grad_and_hess")
    assert_same_bits(loss(y, p, w), value, "value of a call")
    if loss.reduction != "none":
        partial = loss.partial(y, p, w, **options)
        assert_same_bits(partial.result(), value, "value of partial")
        assert partial.count == np.asarray(p).size
    return value, grad, hess
