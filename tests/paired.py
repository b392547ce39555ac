"""Paired losses: their data, and bounds of their rounding errors."""

import numpy as np

from fastloss.reference import paired as reference

DISTANCES = ["euclidean", "sqeuclidean", "cosine"]
LOSSES = ["PairContrastiveLoss", "CosineEmbeddingLoss", "TripletLoss"]


def parameters_of(rng, name):
    margin = float(rng.choice([0, 0.3, 1, 2.5]))
    if name == "CosineEmbeddingLoss":
        return {"margin": min(margin, 1.0) - 0.5, "labels": (-int(rng.integers(2)), 1)}
    parameters = {"margin": margin, "distance": str(rng.choice(DISTANCES))}
    if name == "TripletLoss":
        return parameters | {"soft_margin": bool(rng.random() < 0.4)}
    return parameters | {"similar_label": int(rng.integers(2)),
                         "form": str(rng.choice(["squared", "linear"])),
                         "pos_margin": None if rng.random() < 0.6 else 0.2}


def drawn(rng, name, n, d, dtype, parameters=None):
    """Return rows, some of them near each other, and labels of any dtype for pairs."""
    rows = [(rng.normal(size=(n, d)) * rng.choice([0.1, 1, 3])).astype(dtype)
            for _ in range(3 if name == "TripletLoss" else 2)]
    near = rng.random(n) < 0.3
    rows[1][near] = rows[0][near] * dtype(1.1) + dtype(0.05)
    if name == "TripletLoss":
        return tuple(rows)
    low = -1 if (parameters or {}).get("labels", (0, 1) if name[0] == "P" else (-1, 1))[0] else 0
    y = np.where(rng.random(n) < 0.5, 1, low)
    kind = str(rng.choice(["int64", "int8", "float16", "float32", "float64", "bool", "soft"]))
    if kind == "soft":
        y = rng.uniform(low, 1, n)
    elif kind != "bool" or low == 0:
        y = y.astype(kind)
    return (*rows, y)


def inverse_lengths(x):
    """Return reciprocals of lengths of rows of any scale, 0 for rows of zeros."""
    largest = np.max(np.abs(x), axis=1, keepdims=True, initial=0)
    scale = np.where(largest == 0, 1, largest)
    return np.where(largest == 0, 0, 1 / np.sqrt(np.sum((x / scale) ** 2, axis=1, keepdims=True)
                                                + (largest == 0)) / scale)


def of_pair(kind, a, b, dtype):
    """Return distances, what rounding may cost them, and the sizes of their gradients' terms."""
    d, _, _ = reference.distances(kind, a, b)
    if kind != "cosine":
        size = np.abs(a - b)
        size = 2 * size if kind == "sqeuclidean" else size / np.where(d == 0, 1, d)[:, None]
        return d, d, [size, size]
    of_a, of_b = (inverse_lengths(x) for x in (a, b))
    of_a, of_b = of_a * (of_b > 0), of_b * (of_a > 0)
    size = np.abs(a) * of_a + np.abs(b) * of_b
    return d, d + (np.sqrt(d) if dtype == np.float64 else 0), [size * of_a, size * of_b]


def terms(loss, rows, y, w, dtype):
    """Return what one rounding of each term of value and gradients may cost."""
    rows = [x.astype(float) for x in rows]
    w = np.ones(len(rows[0])) if w is None else np.abs(w.astype(float))
    kind = getattr(loss, "distance", "cosine")
    d, error, sizes = of_pair(kind, rows[0], rows[1], dtype)
    if len(rows) == 3:
        far, far_error, far_sizes = of_pair(kind, rows[0], rows[2], dtype)
        f = d + error + far + far_error + loss.margin + 0.7
        slope = (1 + (d + error + far + far_error if loss.soft_margin else 0)) * np.ones(len(d))
        sizes = [sizes[0] + far_sizes[0], sizes[1], far_sizes[1]]
    else:
        y = np.asarray(y, float)
        near = (1 + y) / 2 if getattr(loss, "labels", None) == (-1, 1) else y
        near = 1 - near if getattr(loss, "similar_label", 1) == 0 else near
        margin = 2 + abs(loss.margin) if "Cosine" in type(loss).__name__ else loss.margin
        pulled = d + error + (getattr(loss, "pos_margin", None) or 0)
        pushed = np.where(d < margin, margin + d + error, 0)
        if getattr(loss, "form", "linear") == "linear":
            f, slope = near * pulled + (1 - near) * pushed, 1 + 0 * d
        else:
            left = np.maximum(margin - d, 0)
            f = near * pulled**2 + (1 - near) * (left * (margin + d + error) + left**2)
            slope = 2 * (near * pulled + (1 - near) * pushed)
    return w * f, [(w * slope)[:, None] * size for size in sizes]
