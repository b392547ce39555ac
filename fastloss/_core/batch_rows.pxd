# cython: language_level=3
"""The rows of one side of a batch, and the arrays that they are kept in."""
cimport numpy as cnp

from fastloss._core.formulas.math cimport real
from fastloss._core.jobs cimport MAX_PANEL_ROWS, BLOCK_ROWS


cdef inline Py_ssize_t padded(Py_ssize_t n) noexcept nogil:
    return (n + MAX_PANEL_ROWS - 1) // MAX_PANEL_ROWS * MAX_PANEL_ROWS


cdef inline Py_ssize_t blocks_of(Py_ssize_t n) noexcept nogil:
    return (n + BLOCK_ROWS - 1) // BLOCK_ROWS


cdef inline double *numbers(cnp.ndarray a) noexcept:
    return <double *>cnp.PyArray_DATA(a)


cdef double total_of(const double *x, Py_ssize_t n) noexcept
cdef cnp.ndarray zeros(Py_ssize_t n, Py_ssize_t width, bint single)
cdef cnp.ndarray doubles(Py_ssize_t n)


cdef class Rows:
    cdef readonly Py_ssize_t n
    cdef readonly object dtype         # of the computation
    cdef readonly object sums          # of each row, by kind
    cdef cnp.ndarray source            # (n, dim), contiguous; kept of losses of distances
    cdef Py_ssize_t dim
    cdef Py_ssize_t width
    cdef bint single
    cdef bint normalize
    cdef bint distance
    cdef cnp.ndarray x
    cdef cnp.ndarray base
    cdef cnp.ndarray norm              # of rows times `lift`, a power of two
    cdef cnp.ndarray lift
    cdef cnp.ndarray labels
    cdef cnp.ndarray g
    cdef cnp.ndarray rest

    cdef void closest(self, const double *mean, double *found)
    cdef void closest_typed(self, const double *mean, double *found, real tag)
    cdef Py_ssize_t n_classes(self)
    cdef Py_ssize_t by_class(self, Py_ssize_t classes, Py_ssize_t *starts, Py_ssize_t *members)
    cdef double largest_base(self)
    cdef bint exact(self, double grid)
    cdef void measure(self, double *totals, int n_threads)
    cdef void measure_typed(self, double *totals, int n_threads, real tag)
    cdef pack(self, const double *center, bint cosine, int n_threads)
    cdef void pack_typed(self, const double *center, bint cosine, int n_threads, real tag)
    cdef start(self, bint gradient, bint largest, bint more, bint keep=*)
    cdef tuple gradient(self, cnp.ndarray center, double scale, int n_threads)
    cdef void finish_typed(self, const double *center, double scale, cnp.ndarray result,
                           double *along, int n_threads, real tag)
