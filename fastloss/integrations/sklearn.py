"""Scorers for scikit-learn's model selection, and losses for its gradient boosting."""

from __future__ import annotations

from typing import Any

from fastloss import metrics

try:
    import sklearn
    from sklearn.metrics import make_scorer
except ImportError as error:
    raise ImportError(
        'fastloss.integrations.sklearn needs scikit-learn: pip install "fastloss[sklearn]"'
    ) from error

__all__ = ["hist_gradient_boosting_loss", "scorer"]

# versions whose private interface of losses is known
_BOOSTING = ("1.9",)

_PROBABILITIES = {"log_loss", "brier_score_loss", "d2_log_loss_score"}
_DECISIONS = {"hinge_loss"}
# scikit-learn's names of scorings that are not "neg_" and the name of the function
_SCORINGS = {"neg_brier_score": "brier_score_loss"}


def scorer(name: str, **kwargs: Any) -> Any:
    """Return a scorer that computes a metric of `fastloss.metrics`.

    Losses and errors are negated, so that greater is better, with and without "neg_" in the name;
    `d2_log_loss_score` is only with it.

    Parameters
    ----------
    name : str
        A function of `fastloss.metrics`, such as "log_loss", or scikit-learn's name of the scoring,
        such as "neg_log_loss".
    **kwargs
        Parameters of the metric, such as ``labels``, ``pos_label`` or ``alpha``.

    Returns
    -------
    scorer
        An object made by ``sklearn.metrics.make_scorer``, for `cross_val_score`, `GridSearchCV` and
        so on. It takes ``sample_weight`` by metadata routing (``set_score_request``).

    Raises
    ------
    ValueError
        If no metric has that name.
    ImportError
        On import of this module, if scikit-learn is not installed.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.dummy import DummyClassifier
    >>> from sklearn.model_selection import cross_val_score
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> scores = cross_val_score(DummyClassifier(), X, y, scoring=scorer("log_loss"))
    >>> print(f"{scores.mean():.4f}")
    -0.6603
    """
    function = _SCORINGS.get(str(name), str(name).removeprefix("neg_"))
    if function not in metrics.__all__:
        raise ValueError(f"no metric {name!r}; there are {', '.join(metrics.__all__)}, each also "
                         "with 'neg_' before it")
    response = ("predict_proba" if function in _PROBABILITIES
                else "decision_function" if function in _DECISIONS else "predict")
    is_score = function.endswith("_score")
    return make_scorer(getattr(metrics, function), response_method=response,
                       greater_is_better=is_score and function == str(name), **kwargs)


def hist_gradient_boosting_loss(loss: Any) -> Any:
    """Return a loss for `HistGradientBoostingRegressor` or `HistGradientBoostingClassifier`.

    Experimental: ``HistGradientBoostingRegressor(loss=...)`` takes such objects, but scikit-learn
    does not promise to. Two classes only.

    Parameters
    ----------
    loss : Loss
        For regressors: `SquaredLoss`, `ExpectileLoss`, `AbsoluteLoss`, `PinballLoss`,
        `EpsilonInsensitiveLoss`, `HuberLoss`, `PseudoHuberLoss`, `LogCoshLoss`; `PoissonLoss`,
        `GammaLoss` and `TweedieLoss`, which then predict means. For classifiers: `LogLoss` and
        `FocalLoss`. `LogLoss` needs ``from_logits=True``; the reduction does not matter.

    Returns
    -------
    sklearn._loss.BaseLoss
        Picklable.

    Raises
    ------
    TypeError
        If `loss` is none of these.
    ValueError
        If it takes neither scores nor logarithms; in `fit`, if a target is out of its range.
    NotImplementedError
        If the version of scikit-learn is not one this was tested with.

    Notes
    -----
    Where a loss has no curvature far from the target (from `AbsoluteLoss` to `LogCoshLoss` above)
    second derivatives are replaced by 1, and leaves then get the constant that is best for their
    samples: for `AbsoluteLoss` and `PinballLoss` the quantile that scikit-learn takes, so that
    models equal those of its own "absolute_error" and "quantile". Second derivatives of the focal
    loss, which is not convex, lose their sign; its ``predict_proba`` is the inverse
    logit of the scores, which are not calibrated.

    Examples
    --------
    >>> from fastloss import ExpectileLoss
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.ensemble import HistGradientBoostingRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> loss = hist_gradient_boosting_loss(ExpectileLoss(level=0.9))
    >>> model = HistGradientBoostingRegressor(loss=loss, max_iter=20).fit(X, y)
    >>> bool((y < model.predict(X)).mean() > 0.7)
    True
    """
    if not sklearn.__version__.startswith(tuple(f"{version}." for version in _BOOSTING)):
        raise NotImplementedError(
            "hist_gradient_boosting_loss uses a private interface of scikit-learn and is tested "
            f"with {', '.join(_BOOSTING)} only; this is {sklearn.__version__}")
    from fastloss.integrations._hist_gradient_boosting import boosting_loss
    return boosting_loss(loss)
