"""Batch losses once more, as loops over pairs and triplets of plain numbers."""

import math


def length(x):
    return math.sqrt(math.fsum(a * a for a in x))


def unit(x):
    norm = length(x)
    return [a / norm for a in x] if norm else list(x)


def dot(x, z):
    return math.fsum(a * b for a, b in zip(x, z, strict=True))


def distance(kind, x, z):
    if kind == "cosine":
        return 1 - dot(unit(x), unit(z))
    d = length([a - b for a, b in zip(x, z, strict=True)])
    return d * d if kind == "sqeuclidean" else d


def log1p_sum(exponents):
    return math.log(1 + math.fsum(math.exp(x) for x in exponents))


class Batch:
    """Rows, their classes and weights; `others` are the refs, or the rows once more."""

    def __init__(self, x, y, w, z=None, y_z=None, *, normalize=False):
        scaled = unit if normalize else list
        self.x, self.y, self.w = [scaled(row) for row in x], list(y), list(w)
        self.own = z is None
        self.z = self.x if z is None else [scaled(row) for row in z]
        self.y_z = self.y if z is None else list(y_z)

    def near(self, i):
        return [j for j in range(len(self.z))
                if self.y_z[j] == self.y[i] and not (self.own and i == j)]

    def far(self, i):
        return [j for j in range(len(self.z)) if self.y_z[j] != self.y[i]]

    def pairs(self):
        for i in range(len(self.x)):
            for j in range(i + 1 if self.own else 0, len(self.z)):
                yield i, j, (self.w[i] + self.w[j]) / 2 if self.own else self.w[i]


def batch_contrastive(b, q):
    for i, j, w in b.pairs():
        d = distance(q["distance"], b.x[i], b.z[j])
        same = b.y[i] == b.y_z[j]
        excess = max(0.0, d - (q["pos_margin"] or 0) if same else q["margin"] - d)
        yield w, excess if q["form"] == "linear" else excess * excess


def lifted_structure(b, q):
    pushes = {}
    for j in range(len(b.z)):
        pushes[j] = [k for k in range(len(b.x)) if b.y[k] != b.y_z[j]]
    for i, j, w in b.pairs():
        if b.y[i] != b.y_z[j] or not (b.far(i) or pushes[j]):
            continue
        total = (sum(math.exp(q["margin"] - distance("", b.x[i], b.z[k])) for k in b.far(i))
                 + sum(math.exp(q["margin"] - distance("", b.x[k], b.z[j])) for k in pushes[j]))
        yield w, max(0.0, math.log(total) + distance("", b.x[i], b.z[j]))**2 / 2


def batch_triplet(b, q):
    for i in range(len(b.x)):
        d = [distance(q["distance"], b.x[i], z) for z in b.z]
        near, far = b.near(i), b.far(i)
        chosen = []
        if near and far and q["mining"] == "hard":
            chosen = [(max(near, key=lambda p: d[p]), min(far, key=lambda n: d[n]))]
        elif far and q["mining"] == "semi-hard":
            for p in near:
                farther = [n for n in far if d[n] > d[p]]
                chosen.append((p, min(farther, key=lambda n: d[n]) if farther
                               else max(far, key=lambda n: d[n])))
        elif q["mining"] == "all":
            chosen = [(p, n) for p in near for n in far]
        for p, n in chosen:
            cost = (log1p_sum([d[p] - d[n]]) if q["soft_margin"]
                    else max(0.0, d[p] - d[n] + q["margin"]))
            if cost or q["mining"] != "all":
                yield b.w[i], cost


def sup_con(b, q):
    for i in range(len(b.x)):
        x = [dot(b.x[i], z) / q["temperature"] for z in b.z]
        near, all_ = b.near(i), b.near(i) + b.far(i)
        if near:
            yield b.w[i], sum(math.log(sum(math.exp(x[k] - x[p]) for k in all_))
                              for p in near) / len(near)


def multi_similarity(b, q):
    alpha, beta, base = q["alpha"], q["beta"], q["base"]
    for i in range(len(b.x)):
        s = [dot(b.x[i], z) for z in b.z]
        yield b.w[i], (log1p_sum(-alpha * (s[p] - base) for p in b.near(i)) / alpha
                       + log1p_sum(beta * (s[n] - base) for n in b.far(i)) / beta)


def circle(b, q, frozen=None):
    m, gamma = q["margin"], q["gamma"]
    frozen = frozen or b
    for i in range(len(b.x)):
        s = [dot(b.x[i], z) for z in b.z]
        t = [dot(frozen.x[i], z) for z in frozen.z]
        if b.near(i) and b.far(i):
            yield b.w[i], log1p_sum(
                gamma * (max(0, t[n] + m) * (s[n] - m) - max(0, 1 + m - t[p]) * (s[p] - 1 + m))
                for n in b.far(i) for p in b.near(i))


def sig_lip(b, q):
    for i in range(len(b.x)):
        for j in range(len(b.z)):
            z = q["scale"] * dot(b.x[i], b.z[j]) + q["bias"]
            yield b.w[i], log1p_sum([-z if i == j else z])


LABELLED = {"BatchContrastiveLoss": batch_contrastive, "LiftedStructureLoss": lifted_structure,
            "BatchTripletLoss": batch_triplet, "SupConLoss": sup_con,
            "MultiSimilarityLoss": multi_similarity, "CircleLoss": circle}


def reduced(terms, reduction, weight=None):
    """Reduce pairs of weight and cost."""
    terms = list(terms)
    total = math.fsum(w * c for w, c in terms)
    if reduction == "sum":
        return total
    if reduction == "mean_nonzero":
        terms, weight = [(w, c) for w, c in terms if c != 0], None
    weight = math.fsum(w for w, _ in terms) if weight is None else weight
    return total / weight if weight else 0.0


def labelled(name, q, x, y, w, z=None, y_z=None, frozen=None):
    """Value of a loss of one batch with labels, with all parameters in q."""
    scaled = q["normalize"] or q.get("distance") == "cosine"
    b = Batch(x, y, w, z, y_z, normalize=scaled)
    more = {} if frozen is None else {"frozen": Batch(frozen, y, w, z, y_z, normalize=scaled)}
    return reduced(LABELLED[name](b, q, **more), q["reduction"])


def two_sided(name, q, x, z, w):
    """Value of a loss of two batches."""
    numbers = list(range(len(x)))
    q = {"temperature": 1.0, **q}
    if name == "NTXentLoss":
        b = Batch([*x, *z], numbers * 2, [*w, *w], normalize=q["normalize"])
        return reduced(sup_con(b, q), q["reduction"])
    b = Batch(x, numbers, w, z, numbers, normalize=q["normalize"])
    if name == "SigLIPLoss":
        return reduced(sig_lip(b, q), q["reduction"], math.fsum(w))
    terms = list(sup_con(b, q))
    if q.get("symmetric"):
        terms += sup_con(Batch(z, numbers, w, x, numbers, normalize=q["normalize"]), q)
        terms = [(w / 2, c) for w, c in terms]
    return reduced(terms, q["reduction"])
