# cython: language_level=3
"""C functions of losses of elements, for Cython and Numba; `api.pxd` says what they do."""
from cpython.pycapsule cimport PyCapsule_GetPointer
from cython cimport floating
from libc.string cimport memcpy

from fastloss._core.elements cimport Kernel
from fastloss._core.jobs cimport (BLOCK_ELEMENTS, FLOAT32, FLOAT64, GRAD, GRAD_HESS, VALUE,
                                  VALUE_GRAD, Bound, Job, Operand, Runner, Sums)
from fastloss._core.formulas.pointwise cimport mend_values

from fastloss._core.simd_level import kernels

cdef Runner run = <Runner>PyCapsule_GetPointer(kernels.RUN, "fastloss.run")


cdef int api_version() noexcept nogil:
    return API_VERSION


cdef const ElementLoss *element_loss(object loss) except NULL:
    kernel = getattr(loss, "_kernel", None)
    # that of a loss of rows has none for elements
    if not isinstance(kernel, Kernel) or (<Kernel>kernel).bound.map64[VALUE] == NULL:
        raise TypeError("loss must be a loss of elements, such as fastloss.HuberLoss(), got "
                        f"{loss!r}")
    return <const ElementLoss *>&(<Kernel>kernel).bound


cdef inline void run_map(const Bound *bound, int outputs, Py_ssize_t n, const floating *y,
                         const floating *p, floating *f, floating *g, floating *h) noexcept nogil:
    if floating is float:
        bound.map32[outputs](bound.parameters, 1, n, y, p, f, g, h, 0)
    else:
        bound.map64[outputs](bound.parameters, 1, n, y, p, f, g, h, 0)
    if outputs == VALUE or outputs == VALUE_GRAD:
        mend_values[floating](bound, n, y, p, f)


cdef inline void sample(const ElementLoss *loss, floating y, floating p, floating *value,
                        floating *grad, floating *hess) noexcept nogil:
    cdef const Bound *bound = <const Bound *>loss
    cdef floating f, g, h       # three: what is written may be read again
    value = &f if value == NULL else value
    grad = &g if grad == NULL else grad
    hess = &h if hess == NULL else hess
    if bound.sample64 == NULL:          # loops that were compiled elsewhere
        run_map[floating](bound, VALUE, 1, &y, &p, value, NULL, NULL)
        run_map[floating](bound, GRAD_HESS, 1, &y, &p, NULL, grad, hess)
    elif floating is float:
        bound.sample32(bound.parameters, y, p, value, grad, hess)
    else:
        bound.sample64(bound.parameters, y, p, value, grad, hess)


cdef void elements(const ElementLoss *loss, Py_ssize_t n, const floating *y, const floating *p,
                   floating *value, floating *grad, floating *hess) noexcept nogil:
    cdef const Bound *bound = <const Bound *>loss
    cdef floating f_block[BLOCK_ELEMENTS]
    cdef floating g_block[BLOCK_ELEMENTS]
    cdef floating h_block[BLOCK_ELEMENTS]
    cdef Py_ssize_t block, at, count
    # by way of blocks: a loop may read its inputs again, which a result may replace
    for block in range((n + BLOCK_ELEMENTS - 1) // BLOCK_ELEMENTS):
        at = block * BLOCK_ELEMENTS
        count = min(n - at, <Py_ssize_t>BLOCK_ELEMENTS)
        # no loop makes all three
        if hess != NULL:
            run_map[floating](bound, GRAD_HESS, count, y + at, p + at, NULL, g_block, h_block)
        if value != NULL and (grad == NULL or hess != NULL):
            run_map[floating](bound, VALUE, count, y + at, p + at, f_block, NULL, NULL)
        elif grad != NULL and hess == NULL:
            run_map[floating](bound, GRAD if value == NULL else VALUE_GRAD, count, y + at, p + at,
                              f_block, g_block, NULL)
        if value != NULL:
            memcpy(value + at, f_block, count * sizeof(floating))
        if grad != NULL:
            memcpy(grad + at, g_block, count * sizeof(floating))
        if hess != NULL:
            memcpy(hess + at, h_block, count * sizeof(floating))


cdef inline void describe(Operand *operand, const floating *a, bint direct) noexcept nogil:
    operand.data = <char *>a
    operand.type = FLOAT32 if floating is float else FLOAT64
    operand.itemsize = sizeof(floating)
    operand.strides[0] = sizeof(floating)
    operand.swapped = False
    operand.aligned = True
    operand.direct = direct


cdef double total(const ElementLoss *loss, Py_ssize_t n, const floating *y, const floating *p,
                  const floating *weight, double scale, floating *grad) noexcept nogil:
    cdef Job job
    cdef Sums sums
    job.loss = <const Bound *>loss
    job.outputs = VALUE if grad == NULL else VALUE_GRAD
    job.single = floating is float
    job.want_sum = True
    job.scale = scale
    job.n_threads = 1
    job.size = max(n, <Py_ssize_t>0)
    job.ndim = 1
    job.shape[0] = job.size
    describe[floating](&job.y, y, True)
    describe[floating](&job.p, p, True)
    describe[floating](&job.w, weight, True)
    describe[floating](&job.f, NULL, False)
    # weights are read after the loop that writes here: a block is read before it is overwritten;
    # two blocks of doubles are kept on the stack, so no memory is asked for
    describe[floating](&job.g, grad, grad != weight)
    describe[floating](&job.h, NULL, False)
    run(&job, &sums)
    return sums.loss.high


# ---- the functions of api.pxd, in its order --------------------------------------------------


cdef void sample64(const ElementLoss *loss, double y, double p,
                   double *value, double *grad, double *hess) noexcept nogil:
    sample[double](loss, y, p, value, grad, hess)


cdef void sample32(const ElementLoss *loss, float y, float p,
                   float *value, float *grad, float *hess) noexcept nogil:
    sample[float](loss, y, p, value, grad, hess)


cdef void elements64(const ElementLoss *loss, Py_ssize_t n, const double *y, const double *p,
                     double *value, double *grad, double *hess) noexcept nogil:
    elements[double](loss, n, y, p, value, grad, hess)


cdef void elements32(const ElementLoss *loss, Py_ssize_t n, const float *y, const float *p,
                     float *value, float *grad, float *hess) noexcept nogil:
    elements[float](loss, n, y, p, value, grad, hess)


cdef double total64(const ElementLoss *loss, Py_ssize_t n, const double *y, const double *p,
                    const double *weight, double scale, double *grad) noexcept nogil:
    return total[double](loss, n, y, p, weight, scale, grad)


cdef double total32(const ElementLoss *loss, Py_ssize_t n, const float *y, const float *p,
                    const float *weight, double scale, float *grad) noexcept nogil:
    return total[float](loss, n, y, p, weight, scale, grad)
