"""Losses of labelled distances of pairs."""

import mpmath as mp
import numpy as np

from cases._case import Case, f32, mixed, neighbours


def contrastive_parameters(rng):
    margin = [0.0, 1.0, float(f32(rng.uniform(0.01, 3))), float(f32(10 ** rng.uniform(-3, 3)))]
    pos_margin = [None, None, 0.0, float(f32(rng.uniform(0.001, 1)))]
    return {
        "margin": margin[rng.integers(4)],
        "similar_label": int(rng.integers(2)),
        "form": str(rng.choice(["squared", "half", "linear"])),
        "pos_margin": pos_margin[rng.integers(4)],
    }


def contrastive_edges(parameters):
    return neighbours(0.0, parameters["margin"], parameters["pos_margin"] or 0.0)


def contrastive_p(rng, n, parameters):
    scale = max(parameters["margin"], 0.1)
    edges = [x for x in contrastive_edges(parameters) if x == 0 or x > 1e-30]
    return mixed(rng, n, np.abs(rng.normal(size=n)) * scale, edges)


def contrastive_textbook(parameters, y, p):
    margin, floor = parameters["margin"], parameters["pos_margin"]
    if parameters["similar_label"] == 0:
        y = 1 - y
    similar = p if floor is None else max(p - floor, mp.mpf(0))
    dissimilar = max(margin - p, mp.mpf(0))
    if parameters["form"] == "linear":
        return y * similar + (1 - y) * dissimilar
    whole = y * similar**2 + (1 - y) * dissimilar**2
    return whole / 2 if parameters["form"] == "half" else whole


def contrastive_terms(parameters, y, p):
    near, far = (y, 1 - y) if parameters["similar_label"] == 1 else (1 - y, y)
    with np.errstate(invalid="ignore"):
        pull = np.where(near == 0, 0, np.abs(near * (p - (parameters["pos_margin"] or 0.0))))
        push = np.where(far == 0, 0, np.abs(far * (parameters["margin"] - p)))
    if parameters["form"] == "linear":      # its loss cancels for negative p
        return pull + push, np.abs(near) + np.abs(far), 0
    return 0, (1 if parameters["form"] == "half" else 2) * (pull + push), 0


def contrastive_kinks(parameters, y):
    return [parameters["margin"], parameters["pos_margin"] or 0.0]


def embedding_textbook(parameters, y, p):
    return (1 + y) / 2 * p + (1 - y) / 2 * max(parameters["margin"] - p, mp.mpf(0))


def embedding_terms(parameters, y, p):
    near, far = np.abs(1 + y) / 2, np.abs(1 - y) / 2
    with np.errstate(invalid="ignore"):
        pull = np.where(near == 0, 0, near * np.abs(p))
        push = np.where(far == 0, 0, far * np.abs(parameters["margin"] - p))
    return pull + push, near + far, 0


CONTRASTIVE = {
    "parameters": contrastive_parameters,
    "draw_p": contrastive_p,
    "corners": contrastive_edges,
    "textbook": contrastive_textbook,
    "terms": contrastive_terms,
    "kinks": contrastive_kinks,
    "ulps": {np.float32: (5, 5, 3), np.float64: (7, 7, 4)},
}

CASES = [
    Case("ContrastiveLoss", **CONTRASTIVE),
    Case("QualityLoss", **CONTRASTIVE),
    Case(
        "HingeEmbeddingLoss",
        parameters=lambda rng: {"margin": contrastive_parameters(rng)["margin"]},
        draw_p=lambda rng, n, parameters: contrastive_p(rng, n, {**parameters, "pos_margin": 0}),
        corners=lambda parameters: neighbours(0.0, parameters["margin"]),
        textbook=embedding_textbook,
        terms=embedding_terms,
        kinks=lambda parameters, y: [parameters["margin"]],
        labels="signs",
        ulps={np.float32: (5, 5, 3), np.float64: (7, 7, 4)},
    ),
]
