"""Losses of distances of all pairs on rows of integers, in 60 digits: what is equal is equal."""

import mpmath as mp
import numpy as np

from fastloss import embedding

SAME = mp.mpf(10) ** -40


def squares(x, z, kind, normalize=False):
    """Return the squares of all distances of rows of integers, or of their directions."""
    rows, others = ([[int(e) for e in row] for row in side] for side in (x, z))
    found = []
    with mp.workdps(60):
        for a in rows:
            found.append([])
            for b in others:
                if kind != "cosine" and not normalize:
                    found[-1].append(mp.mpf(sum((s - t) ** 2 for s, t in zip(a, b, strict=True))))
                    continue
                aa, bb = sum(s * s for s in a), sum(t * t for t in b)
                if aa and bb:
                    ab = sum(s * t for s, t in zip(a, b, strict=True))
                    v = 0 if ab > 0 and ab * ab == aa * bb else 2 - 2 * ab / mp.sqrt(aa * bb)
                else:
                    v = 2 if kind == "cosine" else (aa > 0) + (bb > 0)
                found[-1].append(mp.mpf(v))
    return found


def distance(v, kind):
    """Return the distance of its square."""
    return mp.sqrt(v) if kind == "euclidean" else v / 2 if kind == "cosine" else v


def more(a, b):
    """Return whether a number is larger than another, and not equal."""
    return a - b > SAME


def extreme(indices, v, sign):
    """Return the first of the indices whose number is the largest, or the least for -1."""
    best = indices[0]
    for j in indices:
        if more(sign * v[j], sign * v[best]):
            best = j
    return best


def chosen(loss, v, near, far):
    """Return the pairs of positives and negatives of an anchor."""
    if not near or not far:
        return []
    if loss.mining == "hard":
        return [(extreme(near, v, 1), extreme(far, v, -1))]
    if loss.mining == "all":
        return [(p, n) for p in near for n in far]
    found = []
    for p in near:
        farther = [n for n in far if more(v[n], v[p])]
        found.append((p, extreme(farther, v, -1) if farther else extreme(far, v, 1)))
    return found


class Total:
    """Sums of terms, and derivatives by squares of distances."""

    def __init__(self, n, m):
        self.total = self.weight = self.nonzero = mp.mpf(0)
        self.slope = [[mp.mpf(0)] * m for _ in range(n)]

    def result(self, loss, mined=False):
        """Return the value, what derivatives are multiplied by, and how many terms are added."""
        divisor = {"mean": self.weight, "mean_nonzero": self.nonzero}.get(loss.reduction, 1)
        if mined and loss.reduction == "mean":
            divisor = self.nonzero
        scale = 1 / divisor if divisor else 0
        return float(self.total * scale), scale, float(self.weight * scale)


def by_square(v, kind):
    """Return the derivative of a distance by its square, 0 at distance 0."""
    if kind == "euclidean":
        return 1 / (2 * mp.sqrt(v)) if v > SAME else mp.mpf(0)
    return mp.mpf(0.5 if kind == "cosine" else 1)


def triplet(loss, x, y, z=None, y_z=None):
    """Return the value of a BatchTripletLoss, its terms' weight, derivatives by squares."""
    own = z is None
    others, theirs = (x, y) if own else (z, y_z)
    v = squares(x, others, loss.distance, loss.normalize)
    with mp.workdps(60):
        sums = Total(len(x), len(others))
        for i, row in enumerate(v):
            near = [j for j in range(len(others)) if theirs[j] == y[i] and not (own and i == j)]
            far = [j for j in range(len(others)) if theirs[j] != y[i]]
            for p, n in chosen(loss, row, near, far):
                z_ = distance(row[p], loss.distance) - distance(row[n], loss.distance)
                if loss.soft_margin:
                    cost, slope, costs = mp.log1p(mp.exp(z_)), 1 / (1 + mp.exp(-z_)), True
                else:
                    excess = z_ + mp.mpf(loss.margin)
                    costs = more(excess, 0)
                    cost, slope = (excess, 1) if costs else (0, 0)
                sums.total += cost
                sums.weight += 1
                sums.nonzero += costs
                sums.slope[i][p] += slope * by_square(row[p], loss.distance)
                sums.slope[i][n] -= slope * by_square(row[n], loss.distance)
        value, scale, count = sums.result(loss, loss.mining == "all")
        return value, count, [[float(scale * s) for s in row] for row in sums.slope]


def contrastive(loss, x, y, z=None, y_z=None):
    """Return the value of a BatchContrastiveLoss, its terms' weight, derivatives by squares."""
    own = z is None
    others, theirs = (x, y) if own else (z, y_z)
    v = squares(x, others, loss.distance, loss.normalize)
    with mp.workdps(60):
        sums = Total(len(x), len(others))
        for i, row in enumerate(v):
            for j in range(i + 1 if own else 0, len(others)):
                same = y[i] == theirs[j]
                d = distance(row[j], loss.distance)
                excess = d - mp.mpf(loss.pos_margin or 0) if same else mp.mpf(loss.margin) - d
                sums.weight += 1
                if not more(excess, 0):
                    continue
                linear = loss.form == "linear"
                sums.nonzero += 1
                sums.total += excess if linear else excess**2
                slope = (1 if linear else 2 * excess) * by_square(row[j], loss.distance)
                sums.slope[i][j] += slope if same else -slope
        value, scale, count = sums.result(loss)
        return value, count, [[float(scale * s) for s in row] for row in sums.slope]


def gradients(slope, x, z, scaled):
    """Return gradients by both sides of derivatives by squares of distances, and their terms."""
    x, z, slope = np.asarray(x, float), np.asarray(z, float), np.reshape(slope, (len(x), len(z)))
    norms = [np.linalg.norm(rows, axis=1, keepdims=True) if scaled else np.ones((len(rows), 1))
             for rows in (x, z)]
    u, v = (np.where(norm == 0, 0.0, rows / np.where(norm == 0, 1, norm))
            for rows, norm in zip((x, z), norms, strict=True))
    found = []
    for mine, theirs, s, norm in ((u, v, slope, norms[0]), (v, u, slope.T, norms[1])):
        g = 2 * (s.sum(axis=1)[:, None] * mine - s @ theirs)
        size = 4 * np.abs(s) @ np.ones(len(theirs)) * np.max(
            [np.linalg.norm(rows, axis=1).max(initial=0) for rows in (u, v)])
        if scaled:
            length = np.where(norm == 0, 1, norm)
            g = (g - np.sum(g * mine, axis=1, keepdims=True) * mine) / length
            g[norm[:, 0] == 0] = 0
            size = size / length[:, 0]
        found.append((g, size))
    return found


def check_exactly(loss, x, y, dtype, z=None, y_z=None, scale=1.0, offset=0):
    """Check a loss on rows of integers, times a scale, against what they are exactly."""
    function = triplet if isinstance(loss, embedding.BatchTripletLoss) else contrastive
    value, count, slope = function(loss, x.tolist(), y.tolist(), None if z is None else z.tolist(),
                                   None if z is None else y_z.tolist())
    sides = gradients(slope, x, x if z is None else z, loss.unit_rows)
    if z is None:
        sides = [(sides[0][0] + sides[1][0], sides[0][1] + sides[1][1])]
    options = {} if z is None else {"refs": (z * scale + offset).astype(dtype), "ref_labels": y_z}
    found, grads = loss.value_and_grad((x * scale + offset).astype(dtype), y, **options)
    eps = np.finfo(dtype).eps
    what = f"{loss} of {x.tolist()}, {y.tolist()}, {dtype.__name__}, refs {z is not None}"
    # a cosine distance is a difference from 1, a hinge one of distances
    longest = 2 if loss.unit_rows else 2 * np.max(np.linalg.norm(x, axis=1), initial=1)
    longest = longest**2 if loss.distance == "sqeuclidean" else longest
    size = longest + abs(loss.margin)
    size = size**2 if getattr(loss, "form", "") == "squared" else size
    assert abs(found - value) <= 8 * eps * (abs(value) + count * size), (found, value, what)
    grads = grads if isinstance(grads, tuple) else (grads,)
    for g, (g_0, terms) in zip(grads, sides, strict=True):
        off = np.linalg.norm(g - g_0 / scale, axis=1)
        assert np.all(off <= 32 * eps * terms / scale), (g, g_0 / scale, what)
