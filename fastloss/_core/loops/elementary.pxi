# The functions of elementary.h, with the instructions of this SIMD level: for the tests, and for
# loops that are compiled elsewhere. They are not part of the public interface.
from cpython.buffer cimport (PyBUF_FORMAT, PyBUF_ND, PyBUF_WRITABLE, PyBuffer_Release,
                             PyObject_GetBuffer)
from libc.stdint cimport uintptr_t

cdef extern from "simd/elementary_table.h" nogil:
    ctypedef struct fl_function:
        const char *name
        void (*apply32)(Py_ssize_t n, double a, const float *x, const float *more,
                        float *out) noexcept nogil
        void (*apply64)(Py_ssize_t n, double a, const double *x, const double *more,
                        double *out) noexcept nogil
    const fl_function fl_functions[]


def mathematics(str name, x, out, more=None, double a=1):
    """Apply a function to contiguous native float32 or float64 arrays, without the GIL.

    exp_product gives e^(a x + more); the other functions ignore `a` and `more`.
    """
    cdef Py_buffer views[3]
    cdef int taken = 0
    cdef int k
    cdef Py_ssize_t n
    cdef const fl_function *function = fl_functions
    cdef bytes wanted = name.encode()
    while function.name != NULL and function.name != wanted:
        function += 1
    if function.name == NULL:
        raise ValueError(f"no function {name!r}")
    try:
        for array in (x, x if more is None else more, out):
            PyObject_GetBuffer(array, &views[taken], PyBUF_FORMAT | PyBUF_ND
                               | (PyBUF_WRITABLE if taken == 2 else 0))
            taken += 1
            kind = <bytes>views[taken - 1].format
            if kind not in (b"f", b"d"):
                raise TypeError("float32 or float64 arrays only")
            if kind != <bytes>views[0].format or views[taken - 1].len != views[0].len:
                raise ValueError("arrays of one type and size only")
        n = views[0].len // views[0].itemsize
        with nogil:
            if views[0].itemsize == 4:
                function.apply32(n, a, <const float *>views[0].buf, <const float *>views[1].buf,
                                 <float *>views[2].buf)
            else:
                function.apply64(n, a, <const double *>views[0].buf, <const double *>views[1].buf,
                                 <double *>views[2].buf)
    finally:
        for k in range(taken):
            PyBuffer_Release(&views[k])


def mathematics_addresses():
    """Where each function is, of float32 and of float64: the addresses of apply32 and apply64."""
    cdef const fl_function *function = fl_functions
    found = {}
    while function.name != NULL:
        found[function.name.decode()] = (<uintptr_t>function.apply32, <uintptr_t>function.apply64)
        function += 1
    return found
