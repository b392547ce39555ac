"""Data and losses for the tests of the boosters' adapters."""

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

import fastloss as fl

LOGITS = fl.LogLoss(from_logits=True)


def halves(load):
    """Training and test halves of a data set of scikit-learn's, and weights of the first."""
    x, y = load(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    x, y = x[order], y[order]
    return x[::2], y[::2], x[1::2], y[1::2], np.linspace(0.25, 2, len(y[::2]))


def cancer():
    return halves(load_breast_cancer)


def diabetes():
    return halves(load_diabetes)


def digits():
    return halves(load_digits)


def pairs(n=2000):
    """Features |a - b| of pairs of digits, and whether the two are the same digit, as half are."""
    x, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, len(y), (2, n))
    same = np.array([rng.choice(np.flatnonzero(y == label)) for label in y[a]])
    b = np.where(rng.random(n) < 0.45, same, b)
    return np.abs(x[a] - x[b]), (y[a] == y[b]).astype(float)


def scaled_diabetes():
    x, y, x_test, y_test, w = diabetes()
    mean, sd = y.mean(), y.std()
    return x, (y - mean) / sd, x_test, (y_test - mean) / sd, w


def spoiled_diabetes():
    """A tenth of the training labels is far too large."""
    x, y, x_test, y_test, w = scaled_diabetes()
    return x, np.where(np.arange(len(y)) % 10 == 0, y + 20, y), x_test, y_test, w


# losses that the libraries lack: (loss, options of the objective, data)
NEW = {
    # without pos_margin it would be the squared error against 1 - y for all scores below 1
    "contrastive": (fl.ContrastiveLoss(margin=1.0, pos_margin=0.25), {}, pairs),
    "focal": (fl.FocalLoss(), {"hess_floor": 1e-3}, cancer),
    "log-cosh": (fl.LogCoshLoss(), {"hess_floor": 0.1}, spoiled_diabetes),
    "expectile": (fl.ExpectileLoss(level=0.9), {}, scaled_diabetes),
}


def new_loss(name):
    """A loss, options, training and test data."""
    loss, options, data = NEW[name]
    found = data()
    if len(found) == 2:
        x, y = found
        found = x[::2], y[::2], x[1::2], y[1::2]
    return loss, options, found[:4]


def losses_of_scores():
    """Every pointwise loss that can be an objective, in the forms that matter."""
    found = []
    for name in fl.__all__:
        kind = getattr(fl, name)
        if (name.endswith("Loss") and name != "Loss" and kind.sample == "element"):
            found += [kind(from_logits=True) if name == "LogLoss" else kind()]
    found += [fl.ContrastiveLoss(form="linear", pos_margin=0.25),
              fl.EpsilonInsensitiveLoss(squared=True),
              fl.LogLoss(from_logits=True, pos_weight=3.0, label_smoothing=0.1),
              fl.PinballLoss(quantile=0.9),
              fl.HuberLoss(delta=0.25), fl.HingeLoss(labels=(-1, 1)),
              fl.FocalLoss(gamma=0.5, alpha=0.75)]
    return [loss for loss in found if (loss.takes_scores or loss.prediction == "distance")
            and not isinstance(loss, fl.HingeEmbeddingLoss)]


def labels_of(loss, n=101, seed=0):
    """Labels in the loss's domain."""
    rng = np.random.default_rng(seed)
    domain = loss._domains()[0]
    if domain.ends_only:
        return rng.choice([-1.0, 1.0], n, p=[0.4, 0.6])
    if domain.high == 1:
        return (rng.random(n) < 0.3).astype(float)
    return rng.gamma(2.0, 2.0, n) if domain.low > -np.inf else rng.normal(1.0, 2.0, n)
