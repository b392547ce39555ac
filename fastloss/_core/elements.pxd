# cython: language_level=3
from fastloss._core.jobs cimport Bound, Sums

cdef enum Reduction:
    MEAN, SUM, NONE, SUM_OVER_BATCH_SIZE

cdef class Kernel:
    cdef Bound bound
    cdef object loops
    cdef int reduction
    cdef tuple evaluate(self, object y_true, object y_pred, object sample_weight, int outputs,
                        bint per_element, object out_f, object out_g, object out_h,
                        object n_threads, tuple names, object scale,
                        bint errors)

cdef double quotient(double a, double b) noexcept nogil
cdef double reduced(int reduction, double loss, double weight, Py_ssize_t size, bint other_mode)
cdef tuple part_of(const Sums *sums, Py_ssize_t count)
