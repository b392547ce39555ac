"""The loss of a linear model as the objective that `scipy.optimize.minimize` asks for."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastloss._base import Loss
from fastloss._parameters import flag, number
from fastloss._values import NUMBERS, array_of

try:
    from scipy import sparse
except ImportError as error:
    raise ImportError(
        'fastloss.integrations.scipy needs SciPy: pip install "fastloss[scipy]"'
    ) from error

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

__all__ = ["LinearObjective", "objective"]

# Bytes of X, scores and slopes that are worked on together: they stay in a core's L2 cache, so X
# comes from memory once for both of its products.
BLOCK = 1 << 19
# Products with sparse rows do not wait for memory, but each block costs some 50 µs.
SPARSE_BLOCKS = 8
LEAST_ROWS = 16     # of very long rows, so that a block is more than the gradient it adds to


def objective(
    loss: Loss,
    X: Any,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    fit_intercept: bool = True,
    l2: float = 0.0,
    *,
    n_classes: int | None = None,
) -> LinearObjective:
    r"""Return the loss of a linear model, as a function of its coefficients, with its gradient.

    .. math:: f(w, b) = L(y, X w + b) + \tfrac{1}{2} l_2 |w|^2

    for ``scipy.optimize.minimize(f, f.initial(), jac=True)``. One sweep over blocks of rows of X
    computes scores, loss and gradient; beside X only a block is in memory.

    Parameters
    ----------
    loss : Loss
        A loss of elements that takes any real number for a prediction, such as ``SquaredLoss()``,
        ``LogLoss(from_logits=True)`` or ``PoissonLoss()``, or ``CrossEntropyLoss()``; with the
        reduction of L, which must not be "none".
    X : ndarray or CSR matrix (n, d) of real numbers
        Features. Any layout and any type of integers or floats, up to float64; computed in
        float64. Neither X nor y nor the weights are copied: do not change them.
    y : array_like (n,)
        Targets. For `CrossEntropyLoss` class numbers, or targets (n, K).
    sample_weight : array_like (n,), optional
        Weights >= 0.
    fit_intercept : bool, default True
        Whether the model has an intercept b; it is not penalised.
    l2 : float, default 0
        Weight of the penalty, l2 >= 0. The notes give its values in terms of other libraries.
    n_classes : int, optional
        K of `CrossEntropyLoss` with class numbers, where `y` may lack the last; by default the
        length of `class_weight`, or one more than the largest class number.

    Returns
    -------
    LinearObjective
        Picklable: ``f(w)`` is the pair (value, gradient).

    Raises
    ------
    TypeError
        If `loss` is not a loss of elements or rows, or X neither a matrix of real numbers nor CSR.
    ValueError
        If shapes do not fit, X holds a number that is not finite, `Loss.check` refuses y or the
        weights, all weights are 0, `l2` is negative, the loss does not take every score, or its
        reduction is "none".
    ImportError
        On import of this module, if SciPy is not installed.

    Notes
    -----
    With n rows, weights s (1 if absent) and ``reduction="mean"``, the minimum is the one of
    scikit-learn's

    - ``LogisticRegression(C=C)``: ``LogLoss(from_logits=True)``, or ``CrossEntropyLoss()`` for
      several classes, and ``l2 = 1 / (C * s.sum())``;
    - ``PoissonRegressor(alpha=a)``, ``GammaRegressor``, ``TweedieRegressor`` (log link):
      ``PoissonLoss()``, ``GammaLoss()``, ``TweedieLoss()`` and ``l2 = a``;
    - ``Ridge(alpha=a)``: ``SquaredLoss()`` and ``l2 = 2 * a / s.sum()``;
    - ``HuberRegressor(epsilon=e, alpha=a)``, which fits a scale σ too: at its ``scale_``, with
      ``HuberLoss(delta=e * scale_)`` and ``l2 = a * scale_ / s.sum()``.

    With ``reduction="sum"``, multiply `l2` by the sum of the weights. A loss with kinks (absolute,
    pinball) stops a quasi-Newton method: smooth it, for example by ``PseudoHuberLoss`` with a
    small `delta`.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.optimize import minimize
    >>> from fastloss import SquaredLoss
    >>> X, y = np.array([[0.0], [1.0], [2.0]]), [1.0, 3.0, 5.0]
    >>> f = objective(SquaredLoss(), X, y)
    >>> coef, intercept = f.coef_and_intercept(minimize(f, f.initial(), jac=True).x)
    >>> print(coef.round(4), round(intercept, 4))
    [2.] 1.0
    """
    return LinearObjective(loss, X, y, sample_weight, fit_intercept, l2, n_classes)


class LinearObjective:
    """Value and gradient of the loss of a linear model; see `objective`, which makes it.

    Attributes
    ----------
    n_features : int
        Columns of X.
    n_classes : int or None
        K for `CrossEntropyLoss`; the coefficients are (d + 1, K), flattened.
    n_parameters : int
        Length of `w`: the coefficients and, last, the intercept.
    """

    def __init__(
        self, loss: Loss, X: Any, y: Any, sample_weight: Any, fit_intercept: Any, l2: Any,
        n_classes: Any,
    ) -> None:
        self._arguments = (loss, X, y, sample_weight, fit_intercept, l2, n_classes)
        _check_loss(loss)
        x = X if sparse.issparse(X) else array_of(X, "X")
        _check_matrix(x)
        self._x, self._y = x, _targets(loss, y)
        self._weight = (None if sample_weight is None
                        else array_of(sample_weight, "sample_weight"))
        n, self.n_features = x.shape
        self.n_classes = _class_count(loss, self._y, n, n_classes)
        if self._weight is not None and self._weight.shape != (n,):
            raise ValueError(f"sample_weight must hold a weight for each row of X, shape ({n},), "
                             f"got {self._weight.shape}")
        self._intercept = flag("fit_intercept", fit_intercept)
        self._l2: float = number(low=0)("l2", l2)
        columns = self.n_classes or 1
        self.n_parameters = (self.n_features + self._intercept) * columns

        scores = np.broadcast_to(0.0, (n,) if self.n_classes is None else (n, columns))
        loss.check(self._y, scores, self._weight)
        sums = loss.partial(self._y, scores, self._weight)
        self._divisor = {"sum": 1.0, "mean": sums.weight_sum}.get(loss.reduction, sums.count)
        if self._divisor == 0:
            raise ValueError("sample_weight must not be 0 for every row that counts")
        self._loss = loss.replace(reduction="sum")
        self._blocks = _SparseBlocks(x, columns) if sparse.issparse(x) else _Blocks(x, columns)
        for start, block in self._blocks.parts():
            _check_finite(start, block)

    def __reduce__(self) -> tuple[Any, ...]:
        return LinearObjective, self._arguments

    def __repr__(self) -> str:
        return f"<LinearObjective of {self._arguments[0]!r}, X {self._x.shape}, l2={self._l2:g}>"

    def initial(self) -> Array:
        """Return parameters to start from: zeros."""
        return np.zeros(self.n_parameters)

    def _matrix(self, w: ArrayLike) -> Array:
        """Return the parameters as a row for each feature and, last, for the intercept."""
        rows = array_of(w, "w").astype(np.float64, copy=False)
        if rows.shape != (self.n_parameters,):
            raise ValueError(f"w must hold {self.n_parameters} parameters, shape "
                             f"({self.n_parameters},), got {rows.shape}")
        return rows if self.n_classes is None else rows.reshape(-1, self.n_classes)

    def coef_and_intercept(self, w: ArrayLike) -> tuple[Array, Any]:
        """Return the parameters as scikit-learn's linear models have them.

        Parameters
        ----------
        w : array_like (n_parameters,)
            Parameters, such as the minimum.

        Returns
        -------
        coef : ndarray (d,), or (K, d) for `CrossEntropyLoss`
        intercept : float, or ndarray (K,); 0 without one
        """
        rows = self._matrix(w).copy()
        coef = rows[: self.n_features].T
        if self.n_classes is not None:
            return coef, rows[-1] if self._intercept else np.zeros(self.n_classes)
        return coef, float(rows[-1]) if self._intercept else 0.0

    def __call__(self, w: ArrayLike) -> tuple[float, Array]:
        """Return the value of the objective and its gradient.

        Parameters
        ----------
        w : array_like (n_parameters,)
            Coefficients and, last, the intercept; for `CrossEntropyLoss` (d + 1, K), flattened.

        Returns
        -------
        value : float
        gradient : ndarray (n_parameters,) of float64
            A new array.

        Raises
        ------
        ValueError
            If `w` has not that shape.
        """
        rows = self._matrix(w)
        d = self.n_features
        coef = np.ascontiguousarray(rows[:d])
        gradient = np.zeros(rows.shape)
        scores = np.empty((self._blocks.rows, *rows.shape[1:]))
        slopes, added = np.empty_like(scores), np.empty_like(coef)
        total = 0.0
        with np.errstate(over="ignore", invalid="ignore"):  # line searches try large steps
            for start, block in self._blocks.parts():
                stop = start + block.shape[0]
                z, g = scores[: stop - start], slopes[: stop - start]
                self._blocks.multiply(block, coef, z)
                if self._intercept:
                    z += rows[-1]
                weight = None if self._weight is None else self._weight[start:stop]
                value, _ = self._loss.value_and_grad(self._y[start:stop], z, weight, out=g)
                total += value
                self._blocks.multiply(block.T, g, added)
                gradient[:d] += added
                if self._intercept:
                    gradient[d:] += g.sum(0)
        value = total / self._divisor
        gradient /= self._divisor
        if self._l2:
            value += 0.5 * self._l2 * float(np.vdot(coef, coef))
            gradient[:d] += self._l2 * coef
        return value, gradient.ravel()


class _Blocks:
    """Rows of a dense matrix, a block at a time, in float64."""

    def __init__(self, x: Array, columns: int) -> None:
        self._x = x
        rows = BLOCK // (8 * (x.shape[1] + 2 * columns))
        self.rows = min(max(rows, LEAST_ROWS), x.shape[0])

    def parts(self) -> Iterator[tuple[int, Array]]:
        """Return the first row and the rows of each block; a block is good until the next."""
        x = self._x
        n, d = x.shape
        buffer = None if x.dtype == np.float64 else np.empty((self.rows, d))
        for start in range(0, n, self.rows):
            block = x[start : start + self.rows]
            if buffer is not None:
                converted = buffer[: len(block)]
                np.copyto(converted, block)
                block = converted
            yield start, block

    def multiply(self, a: Array, b: Array, out: Array) -> None:
        """Write a @ b."""
        np.matmul(a, b, out=out)


class _SparseBlocks:
    """Rows of a CSR matrix, a block at a time, that share its memory."""

    def __init__(self, x: Any, columns: int) -> None:
        self._x = x
        n = x.shape[0]
        entry = x.data.itemsize + x.indices.itemsize
        per_row = entry * x.nnz // n + 16 * columns
        self.rows = int(min(max(SPARSE_BLOCKS * BLOCK // per_row, LEAST_ROWS), n))

    def parts(self) -> Iterator[tuple[int, Any]]:
        """Return the first row and the rows of each block."""
        x = self._x
        n, d = x.shape
        if self.rows == n:
            yield 0, x
            return
        for start in range(0, n, self.rows):
            stop = min(start + self.rows, n)
            ends = x.indptr[start : stop + 1]
            block = sparse.csr_array((stop - start, d), dtype=x.dtype)
            # set so, the arrays are taken as they are: the constructor may copy the indices
            block.data = x.data[ends[0] : ends[-1]]
            block.indices = x.indices[ends[0] : ends[-1]]
            block.indptr = ends - ends[0]
            yield start, block

    def multiply(self, a: Any, b: Array, out: Array) -> None:
        """Write a @ b."""
        out[...] = a @ b


def _check_loss(loss: Any) -> None:
    if not (isinstance(loss, Loss) and loss.takes("prediction")):
        raise TypeError("loss must be a loss of elements or CrossEntropyLoss, as "
                        f"fastloss.SquaredLoss(), got {loss!r}")
    if loss.reduction == "none":
        raise ValueError("loss must have a reduction, got reduction='none'")
    if not loss.takes_scores:
        cure = f"; {loss._score_option}=True takes scores" if loss._score_option else ""
        raise ValueError(f"loss must take any real number for a prediction, as X @ w is one, but "
                         f"{loss} takes {loss._domains()[1].what}{cure}")


def _check_matrix(x: Any) -> None:
    if sparse.issparse(x) and x.format != "csr":
        raise TypeError(f"a sparse X must be CSR, got {x.format.upper()}; pass X.tocsr()")
    if x.dtype.char not in NUMBERS:
        raise TypeError(f"a sparse X must hold real numbers, up to float64, got dtype {x.dtype}")
    if x.ndim != 2 or x.shape[0] == 0:
        raise ValueError("X must have two dimensions, at least one row and columns, "
                         f"got shape {x.shape}")


def _check_finite(start: int, block: Any) -> None:
    """Raise ValueError if a block of X holds a number that is not finite."""
    if sparse.issparse(block):
        if np.isfinite(block.data).all():
            return
        first = np.searchsorted(block.indptr, np.argmin(np.isfinite(block.data)), "right") - 1
    else:
        # a sum is finite only if all are; that of finite ones may overflow
        if math.isfinite(_quiet_sum(block)) or np.isfinite(block).all():
            return
        first = np.argmin(np.isfinite(block).all(1))
    raise ValueError(f"X must hold finite numbers, but row {start + int(first)} does not")


def _quiet_sum(block: Array) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return float(block.sum())


def _targets(loss: Loss, y: Any) -> Array:
    """Return the targets, or class numbers, as an array."""
    try:
        return array_of(y, "y")
    except TypeError as error:
        if loss.sample == "row":
            raise TypeError(f"y must hold class numbers or targets: {error}") from error
        raise


def _class_count(loss: Loss, y: Array, n: int, n_classes: Any) -> int | None:
    """Return the number of classes of a loss of rows, having checked the shape of y."""
    if loss.sample != "row":
        if n_classes is not None:
            raise ValueError(f"n_classes is for CrossEntropyLoss, got {n_classes!r} with {loss}")
        if y.shape != (n,):
            raise ValueError(f"y must hold a target for each row of X, shape ({n},), "
                             f"got {y.shape}")
        return None
    if y.shape[:1] != (n,) or y.ndim > 2:
        raise ValueError(f"y must hold a class number for each row of X, shape ({n},), or a "
                         f"target for each class, shape ({n}, K), got {y.shape}")
    if n_classes is not None:
        try:
            count = operator.index(n_classes)
        except TypeError:
            raise ValueError(f"n_classes must be an integer, got {n_classes!r}") from None
    elif y.ndim == 2:
        count = y.shape[1]
    elif loss._n_classes is not None:
        count = loss._n_classes
    else:
        if not np.isfinite(y).all():
            first = int(np.argmin(np.isfinite(y)))
            raise ValueError(f"y must hold class numbers, but row {first} has {y[first]}")
        ignored = loss._ignored(y)
        counted = y if ignored is None else y[~ignored]
        count = int(counted.max()) + 1 if counted.size else 0
    if count < 2 or (y.ndim == 2 and count != y.shape[1]):
        raise ValueError(f"CrossEntropyLoss needs two classes at least, and a column of y for "
                         f"each if it has columns, got {count} and y of shape {y.shape}")
    return count
