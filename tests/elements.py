"""What calls from compiled code are held against: the methods of each loss."""

import numpy as np
from cases import CASES, DTYPES, draw, f32, seeded

# Blocks hold 1024 elements, panels of sums 128.
SIZES = [0, 1, 2, 17, 1023, 1024, 2500]


def draws(n):
    """Yield each loss with targets and predictions of a dtype, nan and infinities among them."""
    for case in CASES.values():
        for dtype in DTYPES:
            rng = seeded("elements", case.name, dtype)
            parameters = case.parameters(rng)
            y, p = draw(case, rng, n, dtype, parameters)
            p[5:n:99] = np.nan
            p[6:n:101] = np.inf
            y[7:n:97] = np.nan
            yield case.loss(**parameters, reduction="none"), y.astype(dtype), p


def results(loss, y, p):
    """Return value, gradient and hessian of each element, by the methods."""
    value = loss.value(y, p, n_threads=1)
    return value, *loss.grad_and_hess(y, p, n_threads=1)


def weights(p):
    """Return weights of the elements of p, without nan."""
    return f32(np.random.default_rng(3).random(p.size)).astype(p.dtype)


def sums(loss, y, p, w):
    """Return the weighted sum and its gradient, by the methods."""
    return loss.replace(reduction="sum").value_and_grad(y, p, w, n_threads=1)
