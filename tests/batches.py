"""Batch losses: the table of the tests, their data, and what is close."""

from typing import NamedTuple

import numpy as np

from fastloss import embedding, reference

# Name, parameters: several sets for each loss.
TABLE = [
    ("BatchContrastiveLoss", {}),
    ("BatchContrastiveLoss", {"margin": 6.0}),
    ("BatchContrastiveLoss", {"margin": 40.0, "distance": "sqeuclidean", "pos_margin": 0.5}),
    ("BatchContrastiveLoss", {"margin": 0.7, "distance": "cosine"}),
    ("BatchContrastiveLoss", {"margin": 5.0, "form": "linear", "pos_margin": 0.3}),
    ("BatchContrastiveLoss", {"margin": 1.2, "form": "linear", "distance": "cosine",
                              "normalize": True}),
    ("BatchContrastiveLoss", {"margin": 1.3, "normalize": True}),
    ("SupConLoss", {}),
    ("SupConLoss", {"temperature": 0.005}),
    ("SupConLoss", {"temperature": 50.0}),
    ("SupConLoss", {"temperature": 3.0, "normalize": False}),
    ("NTXentLoss", {}),
    ("NTXentLoss", {"temperature": 0.005}),
    ("NTXentLoss", {"temperature": 8.0, "normalize": False}),
    ("InfoNCELoss", {}),
    ("InfoNCELoss", {"temperature": 0.005}),
    ("InfoNCELoss", {"temperature": 0.3, "symmetric": True}),
    ("InfoNCELoss", {"temperature": 0.005, "symmetric": True}),
    ("InfoNCELoss", {"temperature": 5.0, "normalize": False, "symmetric": True}),
    ("NPairsLoss", {}),
    ("NPairsLoss", {"normalize": True}),
    ("MultiSimilarityLoss", {}),
    ("MultiSimilarityLoss", {"alpha": 5.0, "beta": 10.0, "base": -0.2}),
    ("MultiSimilarityLoss", {"alpha": 1.0, "beta": 3.0, "base": 0.5, "normalize": False}),
    ("CircleLoss", {}),
    ("CircleLoss", {"margin": 0.25, "gamma": 10.0, "detach_weights": False}),
    ("CircleLoss", {"margin": 0.1, "gamma": 256.0}),
    ("CircleLoss", {"margin": 0.3, "gamma": 1.0, "normalize": False}),
    ("SigLIPLoss", {}),
    ("SigLIPLoss", {"scale": 2.0, "bias": 0.5}),
    ("SigLIPLoss", {"scale": 0.7, "bias": -1.0, "normalize": False}),
    ("LiftedStructureLoss", {}),
    ("LiftedStructureLoss", {"margin": 3.0, "normalize": True}),
    ("BatchTripletLoss", {}),
    ("BatchTripletLoss", {"mining": "semi-hard", "margin": 1.0}),
    ("BatchTripletLoss", {"mining": "all", "distance": "sqeuclidean", "margin": 3.0}),
    ("BatchTripletLoss", {"mining": "all", "distance": "cosine"}),
    ("BatchTripletLoss", {"mining": "semi-hard", "distance": "cosine", "soft_margin": True}),
    ("BatchTripletLoss", {"soft_margin": True, "normalize": True}),
]
# The package's batch losses, and their rows of the table; the oracle knows more than it.
NAMES = {name for name in embedding.__all__
         if name.endswith("Loss") and getattr(embedding, name).sample == "anchor"}
MADE = [row for row in TABLE if row[0] in NAMES]
REDUCTIONS = ["mean", "sum", "mean_nonzero"]
DTYPES = [np.float32, np.float64]


def label(row):
    """Return the name of a row of the table."""
    name, parameters = row
    return "-".join([name, *(f"{key}={value}" for key, value in parameters.items())])


def two_sided(name):
    """Whether a loss takes two batches with paired rows."""
    return not getattr(reference, name).takes("labels")


def both(row, **more):
    """Return the fused loss and its oracle."""
    name, parameters = row
    return (getattr(embedding, name)(**parameters, **more),
            getattr(reference, name)(**parameters, **more))


def drawn(rng, name, n, d, dtype, classes=None, refs=None, weighted=False):
    """Return arguments and keywords of a loss: rows, labels or rows, weights, refs."""
    x = rng.normal(size=(n, d)).astype(dtype)
    w = rng.uniform(0.1, 2, n).astype(np.float32) if weighted else None
    if two_sided(name):
        return (x, (x + rng.normal(size=(n, d))).astype(dtype), w), {}
    classes = classes or max(2, n // 4)
    options = {}
    if refs is not None:
        options = {"refs": rng.normal(size=(refs, d)).astype(dtype),
                   "ref_labels": rng.integers(0, classes, refs)}
    return (x, rng.integers(0, classes, n), w), options


def sides(grad):
    """Return gradients by all sides."""
    return grad if isinstance(grad, tuple) else (grad,)


class Expected(NamedTuple):
    """What the oracle says, and what a rounding of every term may cost, in units."""

    value: float
    grads: tuple
    learned: dict
    value_size: float     # sum of the terms' derivatives by v times v
    grad_sizes: list      # sums of the absolute terms of the rows
    longest: float        # a row, by the shortest if they are scaled


def middle_of(loss, arguments, options):
    """Return the square of the length of the mean row, 1 of unit rows."""
    rows = [np.asarray(arguments[0], float)]
    if two_sided(type(loss).__name__) or options:
        rows.append(np.asarray(options["refs"] if options else arguments[1], float))
    rows = np.concatenate(rows)
    return 1.0 if loss.normalize or not rows.size else float(np.sum(np.mean(rows, axis=0) ** 2))


def expected_of(oracle, arguments, options):
    """Return what the oracle says.

    A row of a gradient is a sum over pairs of a slope times a row, or times a difference of rows;
    a slope of a hinge is itself a difference, of a margin and a distance.
    """
    caught = []
    sums = oracle._sums

    def catch(pairs):
        found = sums(pairs)
        caught.append((np.abs(found.slope), pairs, abs(oracle._divide(found))))
        return found

    object.__setattr__(oracle, "_sums", catch)
    try:
        value, grad, learned = oracle.value_and_grad(*arguments, **options, parameters=True)
    finally:
        object.__delattr__(oracle, "_sums")
    slope, pairs, scale = caught[0]
    # products are rounded where rows are centred: to units of the centre's square, if not of v
    middle = middle_of(oracle, arguments, options) if oracle.measure == "product" else 0.0
    units = np.abs(pairs.v) + middle
    value_size = scale * float(np.sum(slope * units))
    x, z, grads = np.asarray(arguments[0], float), options.get("refs"), sides(grad)
    if two_sided(type(oracle).__name__):
        z = np.asarray(arguments[1], float)
        if len(slope) == 2 * len(x):
            x, z, grads = np.concatenate([x, z]), None, (np.concatenate(grads),)
    rows = [x] if z is None else [x, np.asarray(z, float)]
    norms = [np.linalg.norm(r, axis=1) if oracle.unit_rows else np.ones(len(r)) for r in rows]
    norms = [np.where(norm == 0, 1, norm) for norm in norms]
    rows = [r / norm[:, None] for r, norm in zip(rows, norms, strict=True)]
    if hasattr(oracle, "temperature"):
        # a slope is the difference of a softmax and a share, but for a single positive
        count = np.sum(pairs.same, axis=1, keepdims=True)
        slope = slope + pairs.same * (count > 1) / np.maximum(count, 1) * (
            pairs.w[:, None] / oracle.temperature)
    if oracle.measure != "product":
        d = np.sqrt(pairs.v) + oracle.unit_rows       # unit rows are rounded themselves
        by_d = {"sqeuclidean": 2 * d, "cosine": d}.get(getattr(oracle, "distance", ""), 1.0)
        cells = slope * 2 * d + (slope != 0) * pairs.weights * 2 * oracle.margin * by_d
        sizes = [np.sum(cells, axis=1), np.sum(cells, axis=0)]
    else:
        middle = middle_of(oracle, arguments, options) ** 0.5
        lengths = [np.linalg.norm(r, axis=1) + middle for r in rows]
        sizes = [slope @ lengths[-1], slope.T @ lengths[0]]
    if z is None:
        sizes = [sizes[0] + sizes[1]]
    sizes = [scale * size / norm for size, norm in zip(sizes, norms, strict=True)]
    longest = max(np.max(np.linalg.norm(r, axis=1), initial=1) for r in rows)
    shortest = min(np.min(norm, initial=1) for norm in norms)
    return Expected(value, grads, learned, value_size, sizes, float(longest / shortest))


def steepness(loss, arguments):
    """Return by how many units an exponent is off whose product of rows is off by one.

    Products are rounded, whatever they are multiplied by then; a temperature of 0.005 makes 200
    units of one, and so are the exponentials off.
    """
    slope = max(getattr(loss, "beta", 0.0), getattr(loss, "alpha", 0.0),
                getattr(loss, "scale", 0.0), 1.0)
    if hasattr(loss, "temperature"):
        slope = 1 / loss.temperature
    largest = 1.0
    if not loss.normalize and loss.measure == "product":
        largest = max((float(np.max(np.linalg.norm(np.asarray(rows, float), axis=1)))
                       for rows in arguments[:2] if np.ndim(rows) == 2 and len(rows)), default=1)**2
    if hasattr(loss, "gamma"):
        slope = 2 * loss.gamma * (largest + loss.margin)
    return slope * largest


def close_to(loss, arguments, options, expected):
    """Return errors of the value and of gradients by allowed ones, which are at most 1.

    Allowed is 1e-6 of the value and 1e-5 of the norm of each row of the gradient in float32, 1e-13
    and 1e-12 in float64; where terms cancel, some units of theirs; where exponents are steep, some
    units of them; and what the type's smallest number, as a slope of every pair, comes to.
    """
    value, grad = loss.value_and_grad(*arguments, **options)[:2]
    grads = sides(grad)
    if len(grads) != len(expected.grads):
        grads = (np.concatenate(grads),)
    single = grads[0].dtype == np.float32
    eps = float(np.finfo(grads[0].dtype).eps)
    by_value, by_row = (1e-6, 1e-5) if single else (1e-13, 1e-12)
    units = eps * (16 + 4 * steepness(loss, arguments))
    worst = 0.0
    floor = (float(np.finfo(grads[0].dtype).tiny) * steepness(loss, arguments)
             * expected.longest * (1 + len(arguments[0])))
    for g, g_0, size in zip(grads, expected.grads, expected.grad_sizes, strict=True):
        assert g.shape == g_0.shape
        assert g.dtype == grads[0].dtype
        off = np.linalg.norm(g.astype(float) - g_0, axis=1)
        allowed = np.maximum(by_row * np.linalg.norm(g_0, axis=1), units * size)
        allowed += floor + np.finfo(g.dtype).smallest_subnormal
        worst = max(worst, float(np.max(off / allowed, initial=0)))
    allowed = max(by_value * abs(expected.value), 8 * eps * expected.value_size) + 1e-300
    return abs(value - expected.value) / allowed, worst
