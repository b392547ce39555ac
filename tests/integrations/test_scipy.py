"""Linear models by scipy.optimize: gradients, blocks, and the coefficients of scikit-learn."""

import pickle
import runpy
import sys
import tracemalloc

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.linear_model import (
    HuberRegressor,
    LogisticRegression,
    PoissonRegressor,
    QuantileRegressor,
    Ridge,
)
from sklearn.metrics import mean_pinball_loss
from sklearn.preprocessing import StandardScaler

import fastloss as fl

pytest.importorskip("scipy", reason="fastloss.integrations.scipy needs SciPy")
from scipy import sparse
from scipy.optimize import check_grad, minimize

from fastloss import reference
from fastloss.integrations import scipy as adapter
from fastloss.integrations.scipy import objective

LOGISTIC = fl.LogLoss(from_logits=True)


def fit(f, **options):
    """Return the minimum, having checked that the slope there is nearly 0."""
    found = minimize(f, f.initial(), jac=True, method="L-BFGS-B",
                     options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 20000, "maxfun": 40000,
                              **options})
    assert np.abs(f(found.x)[1]).max() < 1e-6, found.message
    return found.x


def assert_near(actual, expected, relative):
    """Check coefficients, relative to the largest."""
    assert np.shape(actual) == np.shape(expected)
    assert np.abs(actual - expected).max() <= relative * np.abs(expected).max()


@pytest.fixture(scope="module")
def tumours():
    x, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(x), y


@pytest.fixture(scope="module")
def patients():
    x, y = load_diabetes(return_X_y=True)
    return StandardScaler().fit_transform(x), y


def drawn(loss, n=200, d=4, seed=0):
    """Return X, y and weights."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    y = rng.integers(0, 3 if isinstance(loss, fl.CrossEntropyLoss) else 2, n)
    return x, y, rng.uniform(0.1, 2, n)


def textbook(loss, x, y, weight, intercept, l2, w, columns):
    """Return value and gradient with whole matrices, from the oracle."""
    design = np.c_[x, np.ones(len(x))] if intercept else x
    rows = w if columns is None else w.reshape(-1, columns)
    oracle = getattr(reference, type(loss).__name__)(**loss._parameters())
    value, slope = oracle.value_and_grad(y, design @ rows, weight)
    free = rows.copy()
    if intercept:
        free[-1] = 0
    return value + 0.5 * l2 * (free**2).sum(), (design.T @ slope + l2 * free).ravel()


LOSSES = [
    fl.SquaredLoss(), fl.HuberLoss(delta=0.7), fl.PinballLoss(quantile=0.9), LOGISTIC,
    fl.PoissonLoss(), fl.SquaredLoss(reduction="sum"),
    fl.PseudoHuberLoss(reduction="sum_over_batch_size"), fl.LogLoss(from_logits=True, pos_weight=3),
    fl.CrossEntropyLoss(), fl.CrossEntropyLoss(reduction="sum", label_smoothing=0.1),
    fl.CrossEntropyLoss(class_weight=(1.0, 2.0, 0.5)), fl.CrossEntropyLoss(ignore_index=0),
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_value_and_gradient_are_those_of_whole_matrices(loss, intercept, weighted, monkeypatch):
    monkeypatch.setattr(adapter, "BLOCK", 1)     # blocks of as few rows as there may be
    x, y, weight = drawn(loss, n=101)
    weight = weight if weighted else None
    f = objective(loss, x, y, weight, intercept, l2=0.3)
    w = np.random.default_rng(1).normal(size=f.n_parameters)
    value, gradient = f(w)
    expected, slopes = textbook(loss, x, y, weight, intercept, 0.3, w, f.n_classes)
    assert type(value) is float
    assert gradient.dtype == np.float64 and gradient.shape == w.shape
    assert value == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-11)
    assert gradient is not f(w)[1]
    value_again, again = f(list(w))
    assert value_again == value
    np.testing.assert_array_equal(again, gradient)


@pytest.mark.parametrize("loss", [LOGISTIC, fl.PoissonLoss(), fl.CrossEntropyLoss()], ids=repr)
def test_gradient_by_differences(loss):
    x, y, weight = drawn(loss)
    f = objective(loss, x, y, weight, l2=0.1)
    w = np.random.default_rng(1).normal(size=f.n_parameters)
    error = check_grad(lambda w: f(w)[0], lambda w: f(w)[1], w)
    assert error < 1e-6 * np.linalg.norm(f(w)[1])


FORMS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": lambda x: np.repeat(np.repeat(x, 2, 0), 3, 1)[::2, ::3],
    "reversed": lambda x: x[::-1].copy()[::-1],
    "big-endian": lambda x: x.astype(">f8"),
    "float32": lambda x: x.astype(np.float32),
    "float32 F": lambda x: np.asfortranarray(x, np.float32),
    "int8": lambda x: x.astype(np.int8),
    "list": np.ndarray.tolist,
    "csr_array": sparse.csr_array,
    "csr_matrix": sparse.csr_matrix,
    "csr float32": lambda x: sparse.csr_array(x.astype(np.float32)),
    "csr int64 indices": lambda x: _with_long_indices(sparse.csr_array(x)),
}


def _with_long_indices(x):
    x.indices, x.indptr = x.indices.astype(np.int64), x.indptr.astype(np.int64)
    return x


@pytest.mark.parametrize("rows", [16, 17, 64, 65, 1000])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("loss", [fl.HuberLoss(), fl.CrossEntropyLoss()], ids=repr)
def test_forms_of_x_and_edges_of_blocks(loss, form, rows, monkeypatch):
    x, y, weight = drawn(loss, n=65, d=3)
    x = np.round(4 * x) / 4     # exact in float32
    x[np.abs(x) < 0.6] = 0
    x = np.round(x) if form == "int8" else x
    x[20:40] = 0                # a block without entries
    expected = objective(loss, x, y, weight)
    w = np.random.default_rng(1).normal(size=expected.n_parameters)
    monkeypatch.setattr(adapter, "BLOCK", 0)
    monkeypatch.setattr(adapter, "LEAST_ROWS", rows)
    f = objective(loss, FORMS[form](x), y, weight)
    assert f._blocks.rows == min(rows, 65)
    assert f(w)[0] == pytest.approx(expected(w)[0], rel=1e-14)
    np.testing.assert_allclose(f(w)[1], expected(w)[1], rtol=1e-12)


def test_no_features_and_one_row():
    f = objective(fl.SquaredLoss(), np.empty((3, 0)), [1.0, 2.0, 6.0])
    assert f([2.0])[0] == pytest.approx(17 / 3)
    assert f([2.0])[1].tolist() == [-2.0]
    f = objective(fl.SquaredLoss(), [[2.0]], [1.0], fit_intercept=False)
    assert f([1.0])[0] == 1.0 and f([1.0])[1].tolist() == [4.0]


def test_it_pickles():
    x, y, weight = drawn(LOGISTIC)
    for matrix in (x, sparse.csr_array(x)):
        f = objective(LOGISTIC, matrix, y, weight, False, 0.5)
        copy = pickle.loads(pickle.dumps(f))
        w = np.arange(4.0)
        assert copy(w)[0] == f(w)[0]
        np.testing.assert_array_equal(copy(w)[1], f(w)[1])
        assert "LogLoss" in repr(copy)


@pytest.mark.parametrize("form", ["C", "F", "float32", "csr_array"])
def test_memory_is_a_small_part_of_x(form):
    n, d = 100_000, 20
    x = FORMS[form](np.random.default_rng(0).normal(size=(n, d)))
    size = x.nbytes if isinstance(x, np.ndarray) else x.data.nbytes + x.indices.nbytes
    y = np.arange(n) % 2
    tracemalloc.start()
    try:
        f = objective(LOGISTIC, x, y, l2=1.0)
        f(f.initial())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < size / 4, f"{peak} bytes beside {size}"


# ---- the same coefficients as scikit-learn ----------------------------------------------


@pytest.mark.parametrize("matrix", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
def test_logistic_regression(tumours, matrix):
    x, y = tumours
    weight = np.linspace(0.5, 2, len(y))
    theirs = LogisticRegression(C=0.1, tol=1e-10, solver="newton-cholesky").fit(x, y, weight)
    f = objective(LOGISTIC, matrix(x), y, weight, l2=1 / (0.1 * weight.sum()))
    coef, intercept = f.coef_and_intercept(fit(f))
    assert_near(coef, theirs.coef_[0], 1e-6)
    assert intercept == pytest.approx(theirs.intercept_[0], rel=1e-6)


def test_multinomial_regression():
    x, y = load_digits(return_X_y=True)
    x = x / 16
    theirs = LogisticRegression(C=1.0, tol=1e-12, max_iter=5000).fit(x, y)
    f = objective(fl.CrossEntropyLoss(), x, y, l2=1 / len(y))
    coef, intercept = f.coef_and_intercept(fit(f))
    assert_near(coef, theirs.coef_, 1e-4)
    # intercepts are free to move together
    assert_near(intercept - intercept.mean(), theirs.intercept_ - theirs.intercept_.mean(), 1e-4)


def test_poisson_regression(patients):
    x, y = patients
    theirs = PoissonRegressor(alpha=0.5, tol=1e-12, solver="newton-cholesky").fit(x, y)
    f = objective(fl.PoissonLoss(), x, y, l2=0.5)
    start = f.initial()
    start[-1] = np.log(y.mean())
    w = minimize(f, start, jac=True, options={"gtol": 1e-9}).x
    coef, intercept = f.coef_and_intercept(w)
    assert_near(coef, theirs.coef_, 1e-6)
    assert intercept == pytest.approx(theirs.intercept_, rel=1e-6)


def test_ridge(patients):
    x, y = patients
    weight = np.linspace(0.5, 2, len(y))
    theirs = Ridge(alpha=20.0).fit(x, y, weight)
    f = objective(fl.SquaredLoss(), x, y, weight, l2=2 * 20.0 / weight.sum())
    coef, intercept = f.coef_and_intercept(fit(f))
    assert_near(coef, theirs.coef_, 1e-7)
    assert intercept == pytest.approx(theirs.intercept_, rel=1e-7)


def test_huber_regression_at_its_scale(patients):
    x, y = patients
    theirs = HuberRegressor(epsilon=1.2, alpha=2.0, tol=1e-9, max_iter=5000).fit(x, y)
    f = objective(fl.HuberLoss(delta=1.2 * theirs.scale_, reduction="sum"), x, y,
                  l2=2.0 * theirs.scale_)
    w = minimize(f, f.initial(), jac=True, options={"gtol": 1e-6}).x
    coef, intercept = f.coef_and_intercept(w)
    assert_near(coef, theirs.coef_, 1e-4)
    assert intercept == pytest.approx(theirs.intercept_, rel=1e-4)


@pytest.mark.parametrize("quantile", [0.5, 0.9])
def test_quantile_regression_smoothed(patients, quantile):
    # pinball(r) = |r| / 2 + (quantile - 1/2) r, where |r| is smoothed; the rest is linear in w
    x, y = patients
    theirs = QuantileRegressor(quantile=quantile, alpha=0.0).fit(x, y)
    slope = (0.5 - quantile) * np.append(x.mean(0), 1.0)
    w = np.zeros(x.shape[1] + 1)
    for delta in (10.0, 1.0, 0.1):
        smooth = objective(fl.PseudoHuberLoss(delta=delta), x, y)

        def f(w, delta=delta, smooth=smooth):
            value, gradient = smooth(w)
            return value / (2 * delta) + slope @ w, gradient / (2 * delta) + slope

        w = minimize(f, w, jac=True, method="L-BFGS-B",
                     options={"maxiter": 5000, "ftol": 1e-14, "gtol": 1e-8}).x
    coef, intercept = smooth.coef_and_intercept(w)
    least = mean_pinball_loss(y, theirs.predict(x), alpha=quantile)
    reached = mean_pinball_loss(y, x @ coef + intercept, alpha=quantile)
    assert reached <= (1 + 1e-3) * least


def test_shapes_of_coefficients():
    x, y, _ = drawn(fl.CrossEntropyLoss())
    f = objective(fl.CrossEntropyLoss(), x, y, n_classes=5)
    assert f.n_parameters == 25 and f.n_classes == 5
    w = np.arange(25.0)
    coef, intercept = f.coef_and_intercept(w)
    assert coef.shape == (5, 4)
    assert coef[1].tolist() == [1.0, 6.0, 11.0, 16.0]
    assert intercept.tolist() == [20.0, 21.0, 22.0, 23.0, 24.0]
    coef[:], intercept[:] = 0, 0
    assert w[1] == 1.0
    f = objective(fl.CrossEntropyLoss(), x, y, fit_intercept=False)
    assert f.coef_and_intercept(np.arange(12.0))[1].tolist() == [0.0] * 3
    assert objective(LOGISTIC, x, y > 1, fit_intercept=False).coef_and_intercept(
        np.ones(4))[1] == 0.0
    soft = np.full((200, 3), 1 / 3)
    assert objective(fl.CrossEntropyLoss(), x, soft).n_classes == 3


# ---- bad input --------------------------------------------------------------------------


X = np.ones((4, 2))
Y = np.array([0, 1, 0, 1])


@pytest.mark.parametrize(("arguments", "error", "match"), [
    (("log", X, Y), TypeError, "loss must be a loss of elements"),
    ((fl.SupConLoss(), X, Y), TypeError, "loss must be a loss of elements"),
    ((LOGISTIC.replace(reduction="none"), X, Y), ValueError, "reduction='none'"),
    ((fl.LogLoss(), X, Y), ValueError, "from_logits=True takes scores"),
    ((fl.ContrastiveLoss(), X, Y), ValueError, "takes distances"),
    ((fl.PoissonLoss(log_input=False), X, Y), ValueError, "loss must take any real number"),
    ((fl.CrossEntropyLoss(from_logits=False), X, Y), ValueError, "takes probabilities"),
    ((LOGISTIC, X[0], Y), ValueError, "two dimensions"),
    ((LOGISTIC, X[:0], Y[:0]), ValueError, "at least one row"),
    ((LOGISTIC, X.astype(complex), Y), TypeError, "complex128"),
    ((LOGISTIC, X.astype(np.longdouble), Y), TypeError, "longdouble|float128"),
    ((LOGISTIC, X.astype(str).astype(object), Y), TypeError, r"X must .* index \(0, 0\) is '1.0'"),
    ((LOGISTIC, sparse.csr_array(X.astype(complex)), Y), TypeError, "a sparse X must .*complex128"),
    ((LOGISTIC, X, sparse.csr_array(Y[:, None])), TypeError, r"y is a sparse .*y.toarray"),
    ((LOGISTIC, sparse.csc_array(X), Y), TypeError, r"got CSC; pass X.tocsr\(\)"),
    ((LOGISTIC, X, Y[:3]), ValueError, r"shape \(4,\), got \(3,\)"),
    ((LOGISTIC, X, Y[:, None]), ValueError, r"shape \(4,\), got \(4, 1\)"),
    ((LOGISTIC, X, 2 * Y - 1), ValueError, "labels in"),
    ((LOGISTIC, X, Y, [1, 1]), ValueError, "sample_weight must hold a weight"),
    ((LOGISTIC, X, Y, [1, 1, 1, -1]), ValueError, "weights >= 0"),
    ((LOGISTIC, X, Y, [0, 0, 0, 0]), ValueError, "must not be 0"),
    ((LOGISTIC, X, Y, None, True, -1.0), ValueError, "l2 must be a finite number >= 0"),
    ((LOGISTIC, X, Y, None, True, np.inf), ValueError, "l2 must be a finite number >= 0"),
    ((LOGISTIC, X, Y, None, True, "1"), ValueError, "l2 must be a finite number >= 0"),
    ((LOGISTIC, X, Y, None, 1), ValueError, "fit_intercept must be True or False"),
    ((fl.CrossEntropyLoss(), X, Y * 0), ValueError, "two classes at least"),
    ((fl.CrossEntropyLoss(), X, np.ones((4, 1))), ValueError, "two classes at least"),
    ((fl.CrossEntropyLoss(), X, Y - 1), ValueError, "class numbers|two classes"),
    ((fl.CrossEntropyLoss(), X, np.array(list("abab"))), TypeError, "class numbers"),
    ((fl.CrossEntropyLoss(), X, Y[:3]), ValueError, "class number for each row"),
    ((fl.CrossEntropyLoss(), X, [0, 1, None, 1]), ValueError, "class numbers, but row 2 has nan"),
])
def test_bad_input(arguments, error, match):
    with pytest.raises(error, match=match):
        objective(*arguments)


def test_bad_numbers_of_classes_and_parameters():
    for n_classes in (1, 1.5, "3"):
        with pytest.raises(ValueError, match=r"n_classes|two classes"):
            objective(fl.CrossEntropyLoss(), X, Y, n_classes=n_classes)
    with pytest.raises(ValueError, match="from 0 to 1 of the 2 classes"):
        objective(fl.CrossEntropyLoss(class_weight=(1.0, 1.0)), X, Y + 1)
    with pytest.raises(ValueError, match="n_classes is for CrossEntropyLoss"):
        objective(LOGISTIC, X, Y, n_classes=2)
    f = objective(LOGISTIC, X, Y)
    for w in (np.ones(2), np.ones((3, 1)), 1.0):
        with pytest.raises(ValueError, match=r"w must hold 3 parameters"):
            f(w)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("matrix", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
def test_x_that_is_not_finite(bad, matrix):
    x = np.ones((100, 3))
    x[2] = 0
    x[70, 1] = bad
    with pytest.raises(ValueError, match="X must hold finite numbers, but row 70 does not"):
        objective(LOGISTIC, matrix(x), np.arange(100) % 2)


def test_sums_that_overflow_are_finite_numbers():
    f = objective(fl.SquaredLoss(), np.full((4, 2), 1e308), Y)
    assert f(f.initial())[0] == 0.5


def test_without_scipy(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(ImportError, match=r'pip install "fastloss\[scipy\]"'):
        runpy.run_path(adapter.__file__)
