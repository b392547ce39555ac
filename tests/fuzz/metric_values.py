"""Metrics in long double, each with the error that its computation in one precision may have."""

import numpy as np

LONG = np.longdouble
ULP = 16        # units in the last place of a loss of one element that its kernel may be off
TINY = LONG(np.finfo(np.float64).eps)


def long(a):
    return np.asarray(a).astype(LONG)


def computed_in(*arrays):
    """Return the dtype of the widest float array, float64 where there is none."""
    floats = [np.asarray(a).dtype for a in arrays if hasattr(a, "dtype")]
    floats = [dtype for dtype in floats if dtype.kind == "f"]
    return np.result_type(*floats) if floats else np.dtype(float)


def kernel_dtype(dtype, p):
    """Return what the kernels compute in where scikit-learn computes in a dtype."""
    single = dtype.itemsize <= 4 and np.asarray(p).dtype.kind == "f"
    return np.dtype(np.float32 if single else np.float64)


def eps(dtype):
    return LONG(np.finfo(dtype).eps)


def elements(name, y, p, kwargs):
    """Return losses of numbers, and the size of what they are the difference of."""
    if name in ("mean_absolute_error",):
        return abs(y - p), 0 * y
    if name in ("mean_squared_error", "root_mean_squared_error"):
        return (y - p) ** 2, 0 * y
    if "log" in name:
        a, b = np.log1p(y), np.log1p(p)
        size = abs(a) + abs(b)
        return (a - b) ** 2, 2 * abs(a - b) * size + TINY * size**2
    if name == "mean_absolute_percentage_error":
        return abs(y - p) / np.maximum(abs(y), TINY), 0 * y
    if name == "mean_pinball_loss":
        level = LONG(float(kwargs.get("alpha", 0.5)))
        return np.where(y >= p, level * (y - p), (1 - level) * (p - y)), 0 * y
    power = {"mean_poisson_deviance": 1.0, "mean_gamma_deviance": 2.0}.get(
        name, float(kwargs.get("power", 0)))
    k = LONG(power)
    if power == 0:
        return (y - p) ** 2, 0 * y
    if power == 1:
        terms = np.where(y > 0, y * np.log(np.where(y > 0, y, 1) / p), 0), -y, p
    elif power == 2:
        terms = np.log(p / y), y / p, -np.ones_like(y)
    else:
        terms = (np.maximum(y, 0) ** (2 - k) / ((1 - k) * (2 - k)), -y * p ** (1 - k) / (1 - k),
                 p ** (2 - k) / (2 - k))
    return 2 * sum(terms), 2 * sum(map(abs, terms))


def mean(values, slack, w, normalize=True):
    """Return a weighted mean, or sum, along the first axis, with its error and that of a sum."""
    w = np.ones(len(values), LONG) if w is None else long(w)
    total = w.sum() if normalize else LONG(1)
    size = abs(w) @ abs(values)
    return w @ values / total, (abs(w) @ slack + len(w) * eps(float) * size) / abs(total)


def of_numbers(case):
    """Return the exact result of an error or a deviance, how far off ours and theirs may be."""
    dtype = computed_in(*case.args, case.kwargs.get("sample_weight"))
    inner = kernel_dtype(dtype, case.args[1])
    y, p = (long(a.astype(inner)).reshape(len(a), -1) for a in (case.y, case.p))
    with np.errstate(all="ignore"):
        values, parts = elements(case.name, y, p, case.kwargs)
    # the long double formula loses digits of differences, too
    slack = ULP * eps(inner) * values + 64 * eps(LONG) * parts + LONG(np.finfo(inner).tiny)
    theirs = (8 + len(y)) * eps(dtype) * (values + parts) + LONG(np.finfo(dtype).tiny)
    result, slack = mean(values, slack, case.w)
    theirs = mean(values, theirs, case.w)[1]
    if case.name.startswith("root"):
        with np.errstate(all="ignore"):
            root = np.sqrt(result)
            slack, theirs = (np.where(e < abs(result) / 2, e / root, np.sqrt(e))
                             + eps(inner) * root for e in (slack, theirs))
        result = root
    multioutput = case.kwargs.get("multioutput", "uniform_average")
    if isinstance(multioutput, str) and multioutput == "raw_values":
        slack = slack + eps(dtype) * abs(result) + LONG(np.finfo(dtype).tiny)
        return result, slack, theirs, dtype
    share = None if isinstance(multioutput, str) else long(multioutput)
    theirs, slack, size = (np.average(a, weights=share) for a in (theirs, slack, abs(result)))
    return np.average(result, weights=share), slack + 4 * eps(float) * size, theirs, dtype


def log_elements(hot, q, dtype):
    """Return log losses of rows, whose probabilities are q, of which `hot` count."""
    edge = eps(dtype)
    with np.errstate(all="ignore"):
        losses = -np.log(np.clip(q, edge, 1 - edge))
    return (hot * losses).sum(axis=1), (abs(hot) * losses).sum(axis=1)


def classes_of(case):
    """Return a row for each sample: what counts of its classes."""
    codes = case.y
    if codes.ndim == 2:
        return long(codes)
    if case.kwargs.get("labels") is None:
        codes = np.unique(codes, return_inverse=True)[1]
    return long(np.eye(max(case.p.shape[1] if case.p.ndim == 2 else 2, codes.max() + 1))[codes])


def shares(case):
    """Return the shares of the classes, and how far off they may be."""
    hot = classes_of(case)
    return mean(hot, eps(float) * abs(hot), case.w)


def positive(case):
    """Return which targets are positive where predictions are of two classes."""
    labels = np.asarray(case.args[0]).ravel().tolist()
    found = sorted(set(labels))
    label = case.kwargs.get("pos_label")
    label = label.item() if isinstance(label, np.generic) else label
    if case.name == "hinge_loss":
        label = found[1] if len(found) > 1 else None
    elif label is None:
        label = 1 if found in ([0, 1], [-1, 1], [0], [-1], [1]) else found[-1]
    return np.array([each == label for each in labels])


def of_classes(case):
    """Return the same for a metric of classes."""
    given = np.asarray(case.args[1])
    typed = hasattr(case.args[1], "shape") and given.dtype.char in "efd" and isinstance(
        getattr(case.args[1], "dtype", given.dtype), np.dtype)
    typed = typed and (given.dtype.isnative or case.name == "hinge_loss")
    p = case.p.astype(given.dtype.newbyteorder("=") if typed else float)
    dtype = p.dtype
    inner = np.dtype(np.float32 if dtype.itemsize <= 4 else np.float64)
    hot = classes_of(case)
    flat = p.ndim == 1 or p.shape[1] == 1
    if flat and case.name in ("brier_score_loss", "hinge_loss"):
        hot = long(np.eye(2)[positive(case).astype(int)])
    w = case.w
    if case.name == "hinge_loss":
        if flat:
            margins = (2 * hot[:, 1] - 1) * long(p).reshape(-1)
        else:
            own = (long(p) * hot).sum(axis=1)
            margins = own - np.where(hot > 0, -np.inf, long(p)).max(axis=1)
        values = np.maximum(1 - margins, 0)
        slack = ULP * eps(float) * (1 + abs(margins))
        result, slack = mean(values, slack, w)
        return result, slack, (len(p) + 16) * eps(dtype) * (
            abs(result) + mean(abs(margins), values, None if w is None else abs(w))[0] + 1), dtype
    q = np.stack((1 - long(p), long(p)), axis=1) if p.ndim == 1 else long(p)
    if q.shape[1] == 1:
        q = np.concatenate((1 - q, q), axis=1)
    if case.name == "brier_score_loss":
        values = ((hot - q) ** 2).sum(axis=1)
        half = case.kwargs.get("scale_by_half", "auto")
        half = q.shape[1] < 3 if isinstance(half, str) else half
        values = values / 2 if half else values
        result, slack = mean(values, ULP * eps(inner) * values + LONG(np.finfo(inner).tiny), w)
        return result, slack, (len(p) + 16) * eps(dtype) * (1 + abs(result)), dtype
    values, sizes = log_elements(hot, q, dtype)
    normalize = case.name == "log_loss" and bool(case.kwargs.get("normalize", True))
    result, slack = mean(values, ULP * eps(inner) * sizes, w, normalize)
    theirs = (len(p) + 16) * eps(dtype) * mean(sizes + 1, sizes, w, normalize)[0]
    if case.name == "d2_log_loss_score":
        share, rounding = shares(case)
        null, sizes = log_elements(hot, np.broadcast_to(share, hot.shape), np.dtype(float))
        sizes = ULP * eps(float) * sizes + abs(hot) @ (rounding / abs(share))
        null, off = mean(null, sizes, w, False)
        ratio = result / null
        slack = (slack + abs(ratio) * off) / abs(null) + 4 * eps(float) * (1 + abs(ratio))
        theirs = (abs(theirs) + abs(ratio) * off * 64) / abs(null)
        result = 1 - ratio
    return result, slack, abs(theirs), dtype
