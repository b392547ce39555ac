"""fastloss.metrics against scikit-learn at random: values, errors and warnings.

A difference is an error unless one of `DELIBERATE` knows it; docs/differences.md lists these.
"""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from fuzz import metric_values
from fuzz.metric_cases import DEVIANCES, ERRORS, drawn

from fastloss import metrics

NUMBERS = (*ERRORS, *DEVIANCES)


def outcome(module, case):
    """Return the result or the exception, and the kinds of warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = getattr(module, case.name)(*case.args, **case.kwargs)
        except Exception as error:
            result = error
    return result, {w.category.__name__ for w in caught}


def raised(result):
    return isinstance(result, Exception)


def given(case):
    return [*case.args, *case.kwargs.values()]


# ---- differences that are meant --------------------------------------------------------------


def masked(case, theirs, ours):
    """Masked elements, which scikit-learn takes for values, are refused."""
    return any(np.ma.is_masked(x) for x in given(case)) and (
        isinstance(ours, ValueError) and isinstance(ours, TypeError) and "masked" in str(ours))


def missing(case, theirs, ours):
    """Missing values are refused by name; scikit-learn may fail by accident, or take them."""
    return "missing" in case.fault and isinstance(ours, (ValueError, TypeError)) and (
        "NaN" in str(ours) or not (raised(theirs) and "NaN" in str(theirs)))


def two_faults(case, theirs, ours):
    """Which of two things that are wrong is found first."""
    wrong = bool(case.fault) and raised(outcome(sklearn.metrics, case.sound)[0])
    wrong = wrong or "bytes" in str(case)       # with other labels beside them
    return wrong and raised(theirs) and isinstance(ours, (ValueError, TypeError))


def string_dtype(case, theirs, ours):
    """Labels of StringDType are strings."""
    if not isinstance(theirs, TypeError) or "StringDType" not in str(theirs):
        return False
    same = drawn_again(case, lambda x: x.astype(object) if getattr(
        getattr(x, "dtype", None), "char", "") == "T" else x)
    check(same)
    return repr(outcome(metrics, same)[0]) == repr(ours)


def rows_of_labels(case, theirs, ours):
    """Lists of lists of one label, and frames of labels, are columns; there they cannot be."""
    if "unhashable" not in str(theirs) and "Unable to coerce" not in str(theirs):
        return False
    same = drawn_again(case, lambda x: np.asarray(x).reshape(-1) if isinstance(
        x, (list, pd.DataFrame)) and np.ndim(x) == 2 and np.shape(x)[1] == 1 else x)
    again = outcome(metrics, same)[0]
    return repr(again) == repr(ours) or (raised(ours) and isinstance(ours, ValueError))


def labels_of_another_type(case, theirs, ours):
    """Labels are compared as they are; scikit-learn may cast the targets to the type of labels."""
    other = "labels=other type" in str(case) or case.fault.startswith("labels")
    return other and isinstance(ours, ValueError) and "not belonging" in str(ours)


def more_classes_than_labels(case, theirs, ours):
    """The hinge loss of more classes than `labels` has is refused."""
    return case.name == "hinge_loss" and "labels=less" in str(case) and isinstance(
        ours, ValueError) and "not belonging" in str(ours)


def object_weights(case, theirs, ours):
    """Weights that are objects weigh; scikit-learn's D² fails on them."""
    return isinstance(theirs, AttributeError) and "ObjectDType" in str(theirs)


def beyond_their_dtype(case, theirs, ours):
    """Numbers beyond float16 and float32 need not be rounded to that dtype, to infinity or 0."""
    return isinstance(theirs, ValueError) and (
        case.name in NUMBERS and computed_in(case).itemsize < 8 and not raised(ours)) and (
        "too large for" in str(theirs) or "can only be used on" in str(theirs))


def cancelling(case, theirs, ours):
    """Sums that cancel are 0 or not as they are rounded."""
    zero = (isinstance(theirs, ZeroDivisionError), isinstance(ours, ZeroDivisionError))
    if case.name == "d2_log_loss_score":
        share = metric_values.shares(case)[0]
        return not ((share > 1e-12) & (share < 1 - 1e-12)).all()
    return any(zero) and "weights negative" in str(case) and computed_in(case).itemsize < 8


def labels_that_are_not_used(case, theirs, ours):
    """Labels that cannot be read are refused where scikit-learn does not look at them."""
    return case.name == "hinge_loss" and case.fault.startswith("labels") and (
        isinstance(ours, (ValueError, TypeError)) and str(ours).startswith("labels"))


def words_as_weights(case, theirs, ours):
    """Words are no weights, which NumPy says in several ways."""
    return case.fault == "sample_weight: letters" and isinstance(ours, TypeError)


def positive_label_of_many_bits(case, theirs, ours):
    """A positive label that no bool can be is just none of the labels."""
    return isinstance(theirs, OverflowError) and case.kwargs.get("pos_label") == 2**63 + 6


def complex_weights(case, theirs, ours):
    """Complex weights are refused; scikit-learn may take the real parts."""
    return "complex" in case.fault and "Complex data" in str(ours)


def numpy_levels(case, theirs, ours):
    """A level that is of NumPy does not widen the dtype of the results."""
    level = case.kwargs.get("alpha")
    return isinstance(level, np.floating) and (ours.dtype, theirs.dtype) == (
        computed_in(case), np.result_type(computed_in(case), level))


def bools_as_decisions(case, theirs, ours):
    """Decisions that are bools are numbers."""
    return case.name == "hinge_loss" and "boolean subtract" in str(theirs)


def overflowed(case, theirs, ours):
    """What overflows on the way is finite in a wider type, theirs or ours."""
    return not (np.isfinite(theirs).all() and np.isfinite(ours).all()) and (
        computed_in(case).itemsize != 8)


DELIBERATE = [masked, missing, two_faults, string_dtype, rows_of_labels, labels_of_another_type,
              more_classes_than_labels, object_weights, beyond_their_dtype, cancelling,
              labels_that_are_not_used, positive_label_of_many_bits, complex_weights,
              words_as_weights, bools_as_decisions]


def computed_in(case):
    return metric_values.computed_in(*case.args, case.kwargs.get("sample_weight"))


def drawn_again(case, change):
    """Return a case whose arguments are changed."""
    return type(case)(case.name, [change(x) for x in case.args],
                      {k: change(v) for k, v in case.kwargs.items()}, case.notes, case.fault,
                      case.y, case.p, case.w)


# ---- the comparison --------------------------------------------------------------------------


def check(case):
    theirs, their_warnings = outcome(sklearn.metrics, case)
    ours, our_warnings = outcome(metrics, case)
    if raised(theirs) or raised(ours):
        public = TypeError if isinstance(theirs, TypeError) else type(theirs)
        if raised(theirs) and isinstance(ours, public):
            return
        assert any(meant(case, theirs, ours) for meant in DELIBERATE), (theirs, ours)
        return
    assert type(ours) is type(theirs)
    if isinstance(ours, np.ndarray):
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype or numpy_levels(case, theirs, ours)
    if cancelling(case, theirs, ours):
        return
    if not case.fault and "labels=other type" not in str(case):
        check_values(case, ours, theirs)
    else:
        size = min(np.asarray(case.p).dtype.itemsize, computed_in(case).itemsize)
        rtol = {2: 0.1, 4: 1e-3}.get(size, 1e-6)
        np.testing.assert_allclose(ours, theirs, rtol=rtol)
    if not overflowed(case, theirs, ours):
        assert our_warnings - {"RuntimeWarning"} == their_warnings - {"RuntimeWarning"}
        finite = np.isfinite(ours).all()
        assert finite == ("RuntimeWarning" not in our_warnings) or case.fault, our_warnings
        assert finite == np.isfinite(theirs).all()


def check_values(case, ours, theirs):
    if case.name in NUMBERS:
        exact, slack, off, dtype = metric_values.of_numbers(case)
    else:
        exact, slack, off, dtype = metric_values.of_classes(case)
    with np.errstate(over="ignore", invalid="ignore"):
        exact = np.asarray(exact).astype(float)     # what is too large is infinite
        close = np.abs(ours - exact) <= slack
        theirs_close = np.abs(theirs - exact) <= off
    same = np.isnan(ours) & np.isnan(exact) | (np.asarray(ours) == exact)
    # a sum may overflow, whose parts and mean do not
    infinite = ~np.isfinite(ours) & (~np.isfinite(theirs) | (computed_in(case).itemsize != 8))
    assert (close | same | infinite).all(), (ours, theirs, exact, slack)
    if dtype.itemsize == 8 and computed_in(case).itemsize == 8:
        assert (theirs_close | same | infinite).all(), (theirs, exact, off)


def run(seed, cases):
    for i in range(cases):
        case = drawn(np.random.default_rng([seed, i]))
        try:
            check(case)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, case {i}: {case}: {error}") from error


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_metrics_agree_with_scikit_learn():
    run(0, 2000)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("seed", range(1, 11))
def test_metrics_agree_with_scikit_learn_at_length(seed):
    run(seed, 10_000)
