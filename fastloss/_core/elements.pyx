# cython: language_level=3
"""The one path from the user's objects to the kernels.

Every method of every loss comes through `evaluate`: read the arguments as arrays, check
dtypes, then shapes, then outputs, all before anything is written; describe the arrays to
the kernels without copying them; run without the GIL.
"""
cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.ref cimport PyObject
from libc.math cimport NAN
from libc.stdint cimport uintptr_t
from libc.string cimport memcpy, memset

from fastloss._core.arrays cimport check_shape, describe, output, read, replaces, type_of
from fastloss._core.jobs cimport (FLOAT16, FLOAT32, FLOAT64, GRAD, GRAD_HESS, N_OUTPUTS, VALUE,
                                  VALUE_GRAD, Bound, Job, Map32, Map64, Operand, Runner, Sums)
from fastloss._core.fpmode cimport Mode, enter_default_mode, leave_default_mode
from fastloss._core.threads cimport team_size, wanted_threads

from fastloss._core.simd_level import kernels

cnp.import_array()

cdef Runner run = <Runner>PyCapsule_GetPointer(kernels.RUN, "fastloss.run")

REDUCTIONS = {"mean": MEAN, "sum": SUM, "none": NONE, "sum_over_batch_size": SUM_OVER_BATCH_SIZE}


cpdef tuple read_inputs(object y_true, object y_pred, object sample_weight):
    """The inputs as arrays of supported dtypes and one shape; None for absent weights."""
    cdef cnp.ndarray y = read(y_true, "y_true")
    cdef cnp.ndarray p = read(y_pred, "y_pred")
    cdef cnp.ndarray w = None if sample_weight is None else read(sample_weight, "sample_weight")
    check_shape(y, "y_true", p)
    if w is not None:
        check_shape(w, "sample_weight", p)
    return y, p, w


cdef double quotient(double a, double b) noexcept nogil:
    """a / b, NaN by 0, whatever becomes of denormal numbers where the caller computes."""
    cdef Mode before = enter_default_mode()
    cdef double result = a / b if b != 0 else NAN
    leave_default_mode(before)
    return result


cdef int run_job(const Job *job, Sums *sums) except -1:
    """Run the kernels without the GIL; 1 where the caller's mode is not the default one."""
    cdef int mode
    with nogil:
        mode = run(job, sums)
    if mode < 0:
        raise MemoryError
    return mode


cdef void lay_out(Job *job, PyObject **arrays, Operand **operands, int count, bint fortran):
    """Walk all arrays in one order of dimensions, neighbours merged where all allow it."""
    cdef cnp.ndarray p = <cnp.ndarray>arrays[0]
    cdef int ndim = cnp.PyArray_NDIM(p)
    cdef int i, k, d, used = 0
    cdef Py_ssize_t length
    cdef bint merges
    for k in range(count):
        describe(operands[k], <cnp.ndarray>arrays[k])
        operands[k].strides[0] = operands[k].itemsize
    job.shape[0] = 1
    for i in range(ndim):
        d = ndim - 1 - i if fortran else i
        length = cnp.PyArray_DIM(p, d)
        if length == 1:
            continue
        merges = used > 0
        for k in range(count):
            if merges and (operands[k].strides[used - 1]
                           != length * cnp.PyArray_STRIDE(<cnp.ndarray>arrays[k], d)):
                merges = False
        if not merges:
            job.shape[used] = 1
            used += 1
        job.shape[used - 1] *= length
        for k in range(count):
            operands[k].strides[used - 1] = cnp.PyArray_STRIDE(<cnp.ndarray>arrays[k], d)
    job.ndim = max(used, 1)
    for k in range(count):
        operands[k].direct = (
            job.ndim == 1 and operands[k].strides[0] == operands[k].itemsize
            and operands[k].aligned and not operands[k].swapped
            and operands[k].type == (FLOAT32 if job.single else FLOAT64))


cdef class Kernel:
    """A loss with its parameters, ready to run.

    `loss` is a name in the list of losses, with its parameters by name; or loops that were compiled
    elsewhere, which live as long as the kernel: an object with the `addresses` of a map for each
    set of outputs, those of float32 and then those of float64. `parameters` are then numbers.
    """

    def __init__(self, object loss, object parameters, str reduction):
        cdef bytes bound
        cdef Py_ssize_t i
        if isinstance(loss, str):
            bound = kernels.bind.__signatures__[loss](parameters)
            memcpy(&self.bound, <const char *>bound, sizeof(Bound))
        else:
            if len(parameters) > <Py_ssize_t>(sizeof(self.bound.parameters) // sizeof(double)):
                raise ValueError(f"a loss has at most 12 parameters, got {len(parameters)}")
            memset(&self.bound, 0, sizeof(Bound))
            for i in range(N_OUTPUTS):
                self.bound.map32[i] = <Map32><uintptr_t>loss.addresses[i]
                self.bound.map64[i] = <Map64><uintptr_t>loss.addresses[N_OUTPUTS + i]
            for i in range(len(parameters)):
                self.bound.parameters[i] = parameters[i]
            self.loops = loss
        self.reduction = REDUCTIONS[reduction]

    cdef tuple evaluate(self, object y_true, object y_pred, object sample_weight, int outputs,
                        bint per_element, object out_f, object out_g, object out_h,
                        object n_threads, tuple names, object scale, bint errors):
        """The reduced value, and the arrays of loss, gradient and hessian that are wanted.

        `names` are what the user calls out_f, out_g and out_h; `scale` is that of the gradient, if
        it is not what the reduction says. With `errors`, sums of loss and weight, the number of
        elements, and what rounding took from the sums take the place of the value.
        """
        cdef Job job
        cdef Sums sums
        cdef PyObject *arrays[6]
        cdef Operand *operands[6]
        cdef int first_output, i, count = 2
        cdef bint fortran, other_mode
        cdef object f = None
        cdef object g = None
        cdef object h = None

        cdef cnp.ndarray y, p, w
        # all that may run code of others comes before arrays are looked at
        cdef int wanted = wanted_threads(n_threads)
        y, p, w = read_inputs(y_true, y_pred, sample_weight)
        job.n_threads = team_size(wanted, cnp.PyArray_SIZE(p))
        job.single = type_of(p) == FLOAT16 or type_of(p) == FLOAT32
        fortran = (cnp.PyArray_NDIM(p) > 1 and not cnp.PyArray_IS_C_CONTIGUOUS(p)
                   and cnp.PyArray_IS_F_CONTIGUOUS(p))

        arrays[0], operands[0] = <PyObject *>p, &job.p
        arrays[1], operands[1] = <PyObject *>y, &job.y
        job.w.data = NULL
        if w is not None:
            arrays[count], operands[count] = <PyObject *>w, &job.w
            count += 1
        first_output = count
        job.f.data = NULL
        job.f.direct = False
        job.g.direct = False
        job.h.direct = False
        if per_element:
            f = output(out_f, names[0], p, cnp.PyArray_NDIM(p), job.single, fortran)
            arrays[count], operands[count] = <PyObject *>f, &job.f
            count += 1
        if outputs != VALUE:
            g = output(out_g, names[1], p, cnp.PyArray_NDIM(p), job.single, fortran)
            arrays[count], operands[count] = <PyObject *>g, &job.g
            count += 1
        if outputs == GRAD_HESS:
            h = output(out_h, names[2], p, cnp.PyArray_NDIM(p), job.single, fortran)
            arrays[count], operands[count] = <PyObject *>h, &job.h
            count += 1
        job.size = cnp.PyArray_SIZE(p)
        job.scale = 1
        if scale is not None:
            job.scale = scale
        elif outputs != VALUE and job.size > 0:
            if self.reduction == MEAN and w is not None:
                # always in C order, so that the gradient has the same bits in every layout
                lay_out(&job, arrays, operands, count, False)
                job.loss = NULL
                job.outputs = VALUE
                job.want_sum = True
                run_job(&job, &sums)
                job.scale = quotient(1, sums.weight.high)
            elif self.reduction == MEAN or self.reduction == SUM_OVER_BATCH_SIZE:
                job.scale = quotient(1, <double>job.size)
        lay_out(&job, arrays, operands, count, fortran)

        if out_f is not None or out_g is not None or out_h is not None:
            for i in range(first_output, count):
                a = <object>arrays[i]
                name = names[0] if a is f else names[1] if a is g else names[2]
                if replaces(arrays, first_output, i, name):
                    operands[i].direct = False    # a block is read before it is overwritten

        job.outputs = outputs
        job.loss = &self.bound
        job.want_sum = not per_element and (outputs == VALUE or outputs == VALUE_GRAD)
        other_mode = run_job(&job, &sums)
        if w is None:
            sums.weight.high = job.size
            sums.weight.low = 0
        if errors:
            return part_of(&sums, job.size), f, g, h
        value = reduced(self.reduction, sums.loss.high, sums.weight.high, job.size, other_mode)
        return value, f, g, h


cdef tuple part_of(const Sums *sums, Py_ssize_t count):
    """What a `Partial` holds: sums of loss and weight, the count, and what rounding took."""
    return sums.loss.high, sums.weight.high, count, sums.loss.low, sums.weight.low


cdef double reduced(int reduction, double loss, double weight, Py_ssize_t size, bint other_mode):
    cdef double divisor = 1
    if reduction == MEAN:
        divisor = weight
    elif reduction == SUM_OVER_BATCH_SIZE:
        divisor = size
    if other_mode:      # else asking for the mode again is a tenth of a small call
        return quotient(loss, divisor)
    return loss / divisor if divisor != 0 else NAN


def reduce(str reduction, double loss, double weight, Py_ssize_t size):
    """The reduced value from its sums."""
    return reduced(REDUCTIONS[reduction], loss, weight, size, True)


cdef tuple SINGLE = ("out", "out", "out")
cdef tuple VALUE_AND_GRAD = ("out[0]", "out[1]", "")
cdef tuple GRAD_AND_HESS = ("", "out[0]", "out[1]")


cdef tuple pair(object out, str what):
    if out is None:
        return None, None
    if isinstance(out, (tuple, list)) and len(out) == 2:
        return tuple(out)
    got = f"{len(out)} of them" if isinstance(out, (tuple, list)) else type(out).__name__
    raise TypeError(f"out must be a pair of arrays, {what}, got {got}")


def value(Kernel kernel, y_true, y_pred, sample_weight, out, n_threads):
    cdef bint per_element = kernel.reduction == NONE
    if out is not None and not per_element:
        raise ValueError("out is for reduction='none': any other value is a float")
    result = kernel.evaluate(y_true, y_pred, sample_weight, VALUE, per_element, out, None, None,
                             n_threads, SINGLE, None, False)
    return result[1] if per_element else result[0]


def grad(Kernel kernel, y_true, y_pred, sample_weight, out, n_threads):
    return kernel.evaluate(y_true, y_pred, sample_weight, GRAD, False, None, out, None, n_threads,
                           SINGLE, None, False)[2]


def value_and_grad(Kernel kernel, y_true, y_pred, sample_weight, out, n_threads):
    if kernel.reduction == NONE:
        out_f, out_g = pair(out, "(value, grad)")
        result = kernel.evaluate(y_true, y_pred, sample_weight, VALUE_GRAD, True, out_f, out_g,
                                 None, n_threads, VALUE_AND_GRAD, None, False)
        return result[1], result[2]
    result = kernel.evaluate(y_true, y_pred, sample_weight, VALUE_GRAD, False, None, out, None,
                             n_threads, SINGLE, None, False)
    return result[0], result[2]


def grad_and_hess(Kernel kernel, y_true, y_pred, sample_weight, out, n_threads):
    out_g, out_h = pair(out, "(grad, hess)")
    result = kernel.evaluate(y_true, y_pred, sample_weight, GRAD_HESS, False, None, out_g, out_h,
                             n_threads, GRAD_AND_HESS, None, False)
    return result[2], result[3]


def partial_sums(Kernel kernel, y_true, y_pred, sample_weight, n_threads):
    """Sum of the weighted losses, sum of the weights, number of elements; roundings of the sums."""
    return kernel.evaluate(y_true, y_pred, sample_weight, VALUE, False,
                           None, None, None, n_threads, SINGLE, None, True)[0]


def partial_sums_and_grad(Kernel kernel, y_true, y_pred, sample_weight, double scale, n_threads):
    """The same, and the gradient of the sum times a scale."""
    result = kernel.evaluate(y_true, y_pred, sample_weight, VALUE_GRAD, False,
                             None, None, None, n_threads, SINGLE, scale, True)
    return result[0], result[2]
