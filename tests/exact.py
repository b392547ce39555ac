"""Element losses and derivatives in mpmath's numbers, and how far computed ones are from them."""

import mpmath as mp
import numpy as np

DIGITS = 150


def of_dtype(parameters, dtype):
    """Return the parameters with a number for eps="auto"."""
    auto = {"eps": float(np.finfo(dtype).eps)} if parameters.get("eps") == "auto" else {}
    return {**parameters, **auto}


def exact_sums(case, parameters, y, p, dtype):
    """Return the sums of the element losses and of their sizes."""
    parameters = of_dtype(parameters, dtype)
    with mp.workdps(60):
        f = [case.textbook(parameters, mp.mpf(yi), mp.mpf(pi))
             for yi, pi in zip(y.tolist(), p.tolist(), strict=True)]
        return float(mp.fsum(f)), float(mp.fsum(f, absolute=True))


def exact_results(case, parameters, y, p, dtype):
    """Return loss, gradient and hessian of each element, None where there is none.

    Derivatives are differences of the textbook formula: with a step of 1e-30 of the size of p, and
    150 digits, they are right to 40 digits, unless a kink is close to p.
    """
    parameters = of_dtype(parameters, dtype)
    found = []
    with mp.workdps(DIGITS):
        for yi, pi in zip(y.tolist(), p.tolist(), strict=True):
            at, step = mp.mpf(pi), mp.mpf("1e-30") * (abs(pi) or 1)
            try:
                low, mid, high = (case.textbook(parameters, mp.mpf(yi), x)
                                  for x in (at - step, at, at + step))
            except (ZeroDivisionError, ValueError):     # ln 0
                found.append((None, None, None))
                continue
            f = mid if isinstance(mid, mp.mpf) else None
            near = [k for k in case.kinks(parameters, yi)
                    if abs(pi - k) <= 8 * np.finfo(dtype).eps * max(abs(pi), abs(k))]
            smooth = not near and all(isinstance(x, mp.mpf) for x in (low, mid, high))
            g, h = (None, None) if not smooth else (
                (high - low) / (2 * step), (high - 2 * mid + low) / step**2)
            if smooth:      # nothing but the differences' own error
                size = abs(at) or 1
                g = g if abs(g) > mp.mpf("1e-50") * size * abs(h) else mp.mpf(0)
                least = mp.mpf("1e-50") * abs(g) + mp.mpf("1e-80") * abs(f) / size
                h = h if abs(h) * size > least else mp.mpf(0)
            found.append((f, g, h))
    return list(zip(*found, strict=True))


def errors_in_ulp(actual, exact, terms):
    """Return errors in ULP of the exact number, or of the sum of terms if that is larger.

    Where there is no exact number, or one beyond the range of the dtype, the error is 0.
    """
    largest = float(np.finfo(actual.dtype).max)
    errors = np.zeros(actual.shape)
    terms = np.broadcast_to(terms, actual.shape)
    with mp.workdps(40), np.errstate(over="ignore"):
        for i, number in enumerate(exact):
            if number is None or abs(number) > largest * 0.99:
                continue
            size = np.fmax(abs(float(number)), np.abs(terms[i]))
            unit = float(np.spacing(actual.dtype.type(min(size, largest))))
            far = abs(mp.mpf(float(actual[i])) - number) if np.isfinite(actual[i]) else mp.inf
            errors[i] = float(far / unit)
    return errors
