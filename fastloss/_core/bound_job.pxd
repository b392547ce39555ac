# cython: language_level=3
"""What `boosting.pyx` hands to the loops of `bounds.pyx`: one job, described in plain C."""

# What a bound is; see `fastloss._curvature`.
cdef enum Kind:
    GIVEN              # the numbers themselves, in the place of targets
    REACH              # no bound, but the distances that `reach` returns
    OVER_RESIDUAL, OVER_LOG, HALF_JUMP, SHARE

# A matrix of floats or doubles; strides are in bytes.
ctypedef struct Numbers:
    char *data                 # NULL: all 1
    bint single
    Py_ssize_t row
    Py_ssize_t column

ctypedef struct Work:
    Kind kind
    double factor
    double least
    double unit
    bint straight
    Py_ssize_t rows
    Py_ssize_t columns
    Py_ssize_t chunks          # of a column
    Numbers y
    Numbers p
    Numbers w
    Numbers g
    Numbers out                # second derivatives, or distances

ctypedef int (*Bounder)(const Work *job, int n_threads) noexcept nogil
