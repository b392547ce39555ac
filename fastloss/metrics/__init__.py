"""Drop-in replacements for scikit-learn's metrics; scikit-learn itself is not needed.

Signatures, results, errors and warnings equal scikit-learn 1.9's. Where scikit-learn computes in
float32, so do the loss kernels, but they sum in float64; float16 is computed in float32, long
doubles in float64. Errors are ValueError and TypeError; where scikit-learn raises or warns with a
class of its own, so do these functions if that class is imported, else with its builtin base. A
missing value or a masked element is an error that names the argument.
"""

from fastloss.metrics._classification import (
    brier_score_loss,
    d2_log_loss_score,
    hinge_loss,
    log_loss,
)
from fastloss.metrics._deviances import (
    mean_gamma_deviance,
    mean_poisson_deviance,
    mean_tweedie_deviance,
)
from fastloss.metrics._regression import (
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_pinball_loss,
    mean_squared_error,
    mean_squared_log_error,
    root_mean_squared_error,
    root_mean_squared_log_error,
)

__all__ = [
    "brier_score_loss",
    "d2_log_loss_score",
    "hinge_loss",
    "log_loss",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_gamma_deviance",
    "mean_pinball_loss",
    "mean_poisson_deviance",
    "mean_squared_error",
    "mean_squared_log_error",
    "mean_tweedie_deviance",
    "root_mean_squared_error",
    "root_mean_squared_log_error",
]
