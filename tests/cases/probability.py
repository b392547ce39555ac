"""Losses of labels 0 and 1, or between, and predicted probabilities or logits."""

import mpmath as mp
import numpy as np

from cases._case import DTYPES, Case, f32, mixed, neighbours, no_terms


def log_parameters(rng):
    from_logits = bool(rng.integers(2))
    eps = [0.0, "auto", float(f32(1e-7)), float(f32(10 ** rng.uniform(-12, -1))),
           float(f32(rng.uniform(0.001, 0.49)))]
    return {
        "eps": eps[rng.integers(5)],
        "from_logits": from_logits,
        "pos_weight": float(f32(rng.choice([1.0, 1.0, 0.0, rng.uniform(0.1, 10)]))),
        "label_smoothing": float(rng.choice([0.0, 0.0, 1.0, rng.integers(1, 64) / 64])),
    }


def log_eps(parameters, dtype=np.float64):
    return float(np.finfo(dtype).eps) if parameters["eps"] == "auto" else parameters["eps"]


def log_edges(parameters):
    if parameters["from_logits"]:
        return neighbours(0.0, 1.0, -1.0, 30.0, -30.0, -88.0, 88.5, -104.0)
    eps = [log_eps(parameters, dtype) for dtype in DTYPES]
    edges = neighbours(0.0, 1.0, 0.5, *eps, 1 - eps[0], 1 - eps[1])
    return [x for x in edges if 0 <= x <= 1]


def logits(rng, n, widest=30.0):
    """Return scores, most of them of a size of about 1, up to a largest one."""
    usual = rng.normal(size=n) * 10 ** rng.uniform(-3, 1, size=n)
    return np.clip(mixed(rng, n, usual, [0.0, 1.0, -1.0, widest, -widest]), -widest, widest)


def log_p(rng, n, parameters):
    if parameters["from_logits"]:
        return logits(rng, n)
    tails = 10 ** -rng.uniform(0, 16, size=n)     # 1/p^2 stays within float32
    kinds = [rng.random(n), tails, 1 - tails]
    edges = [x for x in log_edges(parameters) if x == 0 or x > 1e-15]
    return mixed(rng, n, np.choose(rng.integers(3, size=n), kinds), edges)


def log_textbook(parameters, y, p):
    c, smoothing = parameters["pos_weight"], parameters["label_smoothing"]
    y = y * (1 - mp.mpf(smoothing)) + mp.mpf(smoothing) / 2
    if parameters["from_logits"]:
        return (1 - y) * mp.log1p(mp.exp(p)) + c * y * mp.log1p(mp.exp(-p))
    eps = mp.mpf(log_eps(parameters))
    q = min(max(p, eps), 1 - eps)
    return (-c * y * mp.log(q) if c * y else 0) - ((1 - y) * mp.log(1 - q) if y != 1 else 0)


def log_terms(parameters, y, p):
    y = y * (1 - parameters["label_smoothing"]) + parameters["label_smoothing"] / 2
    c = parameters["pos_weight"]
    if parameters["from_logits"]:
        with np.errstate(all="ignore"):
            down = (1 - y) / (1 + np.exp(-p))
            return 0, np.abs(down) + np.abs(c * y / (1 + np.exp(p))), 0
    with np.errstate(all="ignore"):
        up = np.where(y == 1, 0, (1 - y) / (1 - p))
        return 0, np.abs(up) + np.abs(np.where(c * y == 0, 0, c * y / p)), 0


def log_kinks(parameters, y):
    if parameters["from_logits"]:
        return []
    eps = log_eps(parameters)
    return [eps, 1 - eps]


# ---- focal loss --------------------------------------------------------------------------


def focal_parameters(rng):
    gamma = [2.0, 2.0, 0.0, 0.5, float(f32(rng.uniform(0.1, 5)))]
    return {
        "gamma": gamma[rng.integers(5)],
        "alpha": float(rng.choice([0.25, 0.0, 1.0, rng.integers(1, 64) / 64])),
    }


def focal_textbook(parameters, y, p):
    gamma, alpha = mp.mpf(parameters["gamma"]), mp.mpf(parameters["alpha"])
    x = (2 * y - 1) * p
    weight = y * alpha + (1 - y) * (1 - alpha)
    return weight * mp.exp(-gamma * mp.log1p(mp.exp(x))) * mp.log1p(mp.exp(-x))


def focal_terms(parameters, y, p):
    # the hessian changes its sign; with a soft label the score is rounded
    gamma, alpha = parameters["gamma"], parameters["alpha"]
    with np.errstate(all="ignore"):
        s = 2 * y - 1
        x = np.where(s == 0, 0, s * p)
        chance, miss = 1 / (1 + np.exp(-x)), 1 / (1 + np.exp(x))
        cost = np.where(chance == 0, 0, chance * np.logaddexp(0, -x))
        weight = (y * alpha + (1 - y) * (1 - alpha)) * miss**gamma * s * s
        soft = np.where((y == 0) | (y == 1), 0, 1 + (gamma + 1) * np.abs(x))
        f = weight / (s * s) * np.logaddexp(0, -x)
        g = np.abs(weight / s) * (gamma * cost + miss)
        h = weight * (gamma * cost * (miss + gamma * chance) + chance * miss * (2 * gamma + 1))
        terms = soft * f, soft * g, (1 + soft) * h
        return tuple(np.where(np.isfinite(term), term, 0) for term in terms)


# ---- Kullback-Leibler divergence -----------------------------------------------------------


def share_p(rng, n, parameters):
    tails = 10 ** -rng.uniform(0, 12, size=n)
    return np.choose(rng.integers(2, size=n), [rng.random(n), tails])


def kl_textbook(parameters, y, p):
    return y * mp.log(y / p) if y else mp.mpf(0)


CASES = [
    Case(
        "LogLoss",
        parameters=log_parameters,
        draw_p=log_p,
        corners=log_edges,
        textbook=log_textbook,
        terms=log_terms,
        kinks=log_kinks,
        scale=lambda parameters: 1.0 if parameters["from_logits"] else np.inf,
        ulps={np.float32: (6, 6, 8), np.float64: (8, 8, 10)},
        algebraic=False,
        unclipped={"eps": 0.0},
        tame={"eps": 2.0**-7},
    ),
    Case(
        "FocalLoss",
        parameters=focal_parameters,
        draw_p=lambda rng, n, parameters: logits(rng, n, 10.0),
        corners=lambda parameters: neighbours(0.0, 1.0, -1.0),
        textbook=focal_textbook,
        terms=focal_terms,
        labels="hard",       # its score 2 y - 1 times z is rounded for others
        scale=lambda parameters: 0.2,
        ulps={np.float32: (16, 16, 16), np.float64: (20, 20, 20)},
        bounds=(8, 10, 10),
        convex=False,
        algebraic=False,
    ),
    Case(
        "KLDivergenceLoss",
        parameters=lambda rng: {},
        draw_p=share_p,
        corners=lambda parameters: neighbours(1.0, 0.5),
        textbook=kl_textbook,
        terms=no_terms,
        labels="shares",
        ulps={np.float32: (5, 4, 5), np.float64: (8, 5, 6)},
        positive=False,
        algebraic=False,
    ),
]
