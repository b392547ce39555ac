# cython: language_level=3
cimport numpy as cnp

from cpython.ref cimport PyObject

from fastloss._core.jobs cimport ElementType, Operand

cdef cnp.ndarray read(object x, str name)
cdef ElementType type_of(cnp.ndarray a) noexcept
cdef bint same_shape(cnp.ndarray a, cnp.ndarray b) noexcept
cdef tuple shape(cnp.ndarray a)
cdef int check_shape(cnp.ndarray a, str name, cnp.ndarray p) except -1
cdef cnp.ndarray output(object out, str name, cnp.ndarray p, int ndim, bint single, bint fortran)
cdef bint overlaps_itself(cnp.ndarray a)
cdef void extent(cnp.ndarray a, Py_ssize_t *low, Py_ssize_t *high) noexcept
cdef bint may_overlap(cnp.ndarray a, cnp.ndarray b) noexcept
cdef bint identical(cnp.ndarray a, cnp.ndarray b) noexcept
cdef int check_overlap(cnp.ndarray out, str out_name, cnp.ndarray a, str name) except -1
cdef void describe(Operand *operand, cnp.ndarray a) noexcept
cdef bint replaces(PyObject **arrays, int first_output, int i, str name) except -1
