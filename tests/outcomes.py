"""What ours and scikit-learn's metrics do with the same arguments."""

import warnings

import numpy as np
import sklearn.metrics

from fastloss import metrics


def outcome(function, *args, **kwargs):
    """Return the exception's type or the value, and the kinds of warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            result = type(error)
    return result, sorted(w.category.__name__ for w in caught
                          if not issubclass(w.category, RuntimeWarning))


def assert_same_outcome(name, *args, raises=True, **kwargs):
    theirs, their_warnings = outcome(getattr(sklearn.metrics, name), *args, **kwargs)
    ours, our_warnings = outcome(getattr(metrics, name), *args, **kwargs)
    if isinstance(theirs, type):
        # NumPy's private kinds of TypeError, and pandas', are that
        public = TypeError if "_UFunc" in theirs.__name__ else theirs
        assert ours is public, f"{theirs} is raised there, {ours} here"
    else:
        assert not raises, f"scikit-learn raises nothing: {theirs}"
        np.testing.assert_allclose(ours, theirs, rtol=3e-7)
    assert our_warnings == their_warnings
