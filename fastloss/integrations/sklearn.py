"""Scorers for scikit-learn's model selection."""

from __future__ import annotations

from typing import Any

from fastloss import metrics

try:
    from sklearn.metrics import make_scorer
except ImportError as error:
    raise ImportError(
        'fastloss.integrations.sklearn needs scikit-learn: pip install "fastloss[sklearn]"'
    ) from error

__all__ = ["scorer"]

_PROBABILITIES = {"log_loss", "brier_score_loss", "d2_log_loss_score"}
_DECISIONS = {"hinge_loss"}
# scikit-learn's names of scorings that are not "neg_" and the name of the function
_SCORINGS = {"neg_brier_score": "brier_score_loss"}


def scorer(name: str, **kwargs: Any) -> Any:
    """Return a scorer that computes a metric of `fastloss.metrics`.

    Losses and errors are negated, so that greater is better; `d2_log_loss_score` is not.

    Parameters
    ----------
    name : str
        A function of `fastloss.metrics`, as "log_loss", or scikit-learn's name of the scoring,
        as "neg_log_loss".
    **kwargs
        Parameters of the metric, as ``labels``, ``pos_label`` or ``alpha``.

    Returns
    -------
    scorer
        What ``sklearn.metrics.make_scorer`` makes: for `cross_val_score`, `GridSearchCV` and so
        on. It takes ``sample_weight`` by metadata routing (``set_score_request``).

    Raises
    ------
    ValueError
        If there is no metric of that name.
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
    return make_scorer(getattr(metrics, function), response_method=response,
                       greater_is_better=function.endswith("_score"), **kwargs)
