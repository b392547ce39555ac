"""Losses of distances of all pairs on rows of integers, in 60 digits: what is equal is equal."""

import mpmath as mp

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
        """Return the value, and what derivatives are multiplied by."""
        divisor = {"mean": self.weight, "mean_nonzero": self.nonzero}.get(loss.reduction, 1)
        if mined and loss.reduction == "mean":
            divisor = self.nonzero
        scale = 1 / divisor if divisor else 0
        return float(self.total * scale), scale


def by_square(v, kind):
    """Return the derivative of a distance by its square, 0 at distance 0."""
    if kind == "euclidean":
        return 1 / (2 * mp.sqrt(v)) if v > SAME else mp.mpf(0)
    return mp.mpf(0.5 if kind == "cosine" else 1)


def triplet(loss, x, y, z=None, y_z=None):
    """Return the value of a BatchTripletLoss and derivatives by squares, as floats."""
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
        value, scale = sums.result(loss, loss.mining == "all")
        return value, [[float(scale * s) for s in row] for row in sums.slope]


def contrastive(loss, x, y, z=None, y_z=None):
    """Return the value of a BatchContrastiveLoss and derivatives by squares, as floats."""
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
        value, scale = sums.result(loss)
        return value, [[float(scale * s) for s in row] for row in sums.slope]
