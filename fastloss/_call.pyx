# cython: language_level=3
"""The one path from the user's objects to the kernels.

Every method of every loss comes through `evaluate`: read the arguments as arrays, check
dtypes, then shapes, then outputs, all before anything is written; describe the arrays to
the kernels without copying them; run without the GIL.
"""
import sys

import numpy as np

cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.ref cimport PyObject
from libc.math cimport NAN
from libc.string cimport memcpy

from fastloss._job cimport (FLOAT16, FLOAT32, FLOAT64, GRAD, GRAD_HESS, INT8, INT16, INT32,
                            INT64, MAX_DIMS, UINT8, UINT16, UINT32, UINT64, UNSUPPORTED, VALUE,
                            VALUE_GRAD, Bound, ElementType, Job, Operand, Runner, Sums)
from fastloss._threads cimport team_size

from fastloss._level import kernels

cnp.import_array()

cdef Runner run = <Runner>PyCapsule_GetPointer(kernels.RUN, "fastloss.run")
cdef object shares_memory = np.shares_memory
cdef object TooHardError = np.exceptions.TooHardError

cdef enum Reduction:
    MEAN, SUM, NONE, SUM_OVER_BATCH_SIZE

REDUCTIONS = {"mean": MEAN, "sum": SUM, "none": NONE, "sum_over_batch_size": SUM_OVER_BATCH_SIZE}

# From NumPy's type numbers to ours; NumPy has several numbers for one width.
cdef ElementType element_types[32]


def _fill_element_types():
    for number in range(32):
        element_types[number] = UNSUPPORTED
    for letter, element_type in (
        ("?", UINT8), ("B", UINT8), ("b", INT8), ("e", FLOAT16), ("f", FLOAT32), ("d", FLOAT64),
    ):
        element_types[np.dtype(letter).num] = element_type
    unsigned = {2: UINT16, 4: UINT32, 8: UINT64}
    signed = {2: INT16, 4: INT32, 8: INT64}
    for letter in "HILQ":
        element_types[np.dtype(letter).num] = unsigned[np.dtype(letter).itemsize]
    for letter in "hilq":
        element_types[np.dtype(letter).num] = signed[np.dtype(letter).itemsize]


_fill_element_types()


cdef class Kernel:
    """A loss with its parameters, ready to run."""

    cdef Bound bound
    cdef int reduction

    def __init__(self, str loss, dict parameters, str reduction):
        cdef bytes bound = kernels.bind.__signatures__[loss](parameters)
        memcpy(&self.bound, <const char *>bound, sizeof(Bound))
        self.reduction = REDUCTIONS[reduction]


cdef cnp.ndarray read(object x, str name):
    """`x` as an array, not copied if it has one."""
    if cnp.PyArray_CheckExact(x):
        return x
    ma = sys.modules.get("numpy.ma")
    if ma is not None and ma.is_masked(x):
        raise TypeError(f"{name} is a masked array with masked elements, which have no value: "
                        "pass x.compressed(), or sample_weight=0 for them")
    if hasattr(x, "toarray") and hasattr(x, "nnz"):
        raise TypeError(f"{name} is a sparse {type(x).__name__}; pass {name}.toarray()")
    try:
        return np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name} cannot be read as an array: {error}") from error
    except Exception as error:
        raise TypeError(f"{name} cannot be read as an array: {error}") from error


cdef ElementType type_of(cnp.ndarray a):
    cdef int number = cnp.PyArray_TYPE(a)
    return element_types[number] if 0 <= number < 32 else UNSUPPORTED


cdef int check_dtype(cnp.ndarray a, str name) except -1:
    if type_of(a) == UNSUPPORTED:
        raise TypeError(f"{name} must hold real numbers: bool, an integer type, float16, float32 "
                        f"or float64, got dtype {a.dtype}")
    return 0


cdef bint same_shape(cnp.ndarray a, cnp.ndarray b):
    cdef int d
    if cnp.PyArray_NDIM(a) != cnp.PyArray_NDIM(b):
        return False
    for d in range(cnp.PyArray_NDIM(a)):
        if cnp.PyArray_DIM(a, d) != cnp.PyArray_DIM(b, d):
            return False
    return True


def _shape(cnp.ndarray a):
    return tuple([cnp.PyArray_DIM(a, d) for d in range(cnp.PyArray_NDIM(a))])


cdef int check_shape(cnp.ndarray a, str name, cnp.ndarray p) except -1:
    if same_shape(a, p):
        return 0
    message = (f"{name} and y_pred must have the same shape, got {_shape(a)} and {_shape(p)}; "
               "nothing is broadcast")
    if cnp.PyArray_SIZE(a) == cnp.PyArray_SIZE(p):
        message += f" (ravel() makes both 1-d, {name}.reshape(y_pred.shape) makes them equal)"
    raise ValueError(message)


cpdef tuple read_inputs(object y_true, object y_pred, object sample_weight):
    """The inputs as arrays of supported dtypes and one shape; None for absent weights."""
    cdef cnp.ndarray y = read(y_true, "y_true")
    cdef cnp.ndarray p = read(y_pred, "y_pred")
    cdef cnp.ndarray w = None if sample_weight is None else read(sample_weight, "sample_weight")
    check_dtype(y, "y_true")
    check_dtype(p, "y_pred")
    if w is not None:
        check_dtype(w, "sample_weight")
    check_shape(y, "y_true", p)
    if w is not None:
        check_shape(w, "sample_weight", p)
    return y, p, w


cdef cnp.ndarray output(object out, str name, cnp.ndarray p, bint single, bint fortran):
    """A new array for results, or the user's, checked."""
    cdef cnp.ndarray a
    if out is None:
        return cnp.PyArray_EMPTY(cnp.PyArray_NDIM(p), cnp.PyArray_DIMS(p),
                                 cnp.NPY_FLOAT if single else cnp.NPY_DOUBLE, fortran)
    if not cnp.PyArray_Check(out):
        raise TypeError(f"{name} must be a float32 or float64 ndarray, got {type(out).__name__}")
    a = out
    if type_of(a) != FLOAT32 and type_of(a) != FLOAT64:
        raise TypeError(f"{name} must be a float32 or float64 ndarray, got dtype {a.dtype}")
    if not same_shape(a, p):
        raise ValueError(f"{name} must have the shape of y_pred, {_shape(p)}, got {_shape(a)}")
    if not cnp.PyArray_ISWRITEABLE(a):
        raise ValueError(f"{name} is read-only; it must be writeable")
    if overlaps_itself(a):
        raise ValueError(f"{name} has elements that share memory, as broadcast views do; "
                         "each needs its own")
    return a


cdef bint overlaps_itself(cnp.ndarray a):
    """Whether elements may share memory. Dimensions by rising stride must clear what is inside."""
    cdef Py_ssize_t extent, d, reach = cnp.PyArray_ITEMSIZE(a)
    if cnp.PyArray_ISCONTIGUOUS(a) or cnp.PyArray_SIZE(a) <= 1:
        return False
    for stride, length in sorted([(abs(cnp.PyArray_STRIDE(a, d)), cnp.PyArray_DIM(a, d))
                                  for d in range(cnp.PyArray_NDIM(a))
                                  if cnp.PyArray_DIM(a, d) > 1]):
        if stride < reach:
            return True
        reach += stride * (length - 1)
    return False


cdef bint may_overlap(cnp.ndarray a, cnp.ndarray b):
    """Whether the address ranges of two arrays of one shape meet."""
    cdef Py_ssize_t step, a_low = 0, a_high = cnp.PyArray_ITEMSIZE(a)
    cdef Py_ssize_t b_low = 0, b_high = cnp.PyArray_ITEMSIZE(b)
    cdef int d
    for d in range(cnp.PyArray_NDIM(a)):
        step = cnp.PyArray_STRIDE(a, d) * (cnp.PyArray_DIM(a, d) - 1)
        a_low += min(step, <Py_ssize_t>0)
        a_high += max(step, <Py_ssize_t>0)
        step = cnp.PyArray_STRIDE(b, d) * (cnp.PyArray_DIM(b, d) - 1)
        b_low += min(step, <Py_ssize_t>0)
        b_high += max(step, <Py_ssize_t>0)
    return (cnp.PyArray_BYTES(a) + a_low < cnp.PyArray_BYTES(b) + b_high
            and cnp.PyArray_BYTES(b) + b_low < cnp.PyArray_BYTES(a) + a_high)


cdef bint identical(cnp.ndarray a, cnp.ndarray b):
    """Whether a and b are the same elements in the same places."""
    cdef int d
    if cnp.PyArray_DATA(a) != cnp.PyArray_DATA(b) or type_of(a) != type_of(b):
        return False
    if cnp.PyArray_ISNOTSWAPPED(a) != cnp.PyArray_ISNOTSWAPPED(b):
        return False
    for d in range(cnp.PyArray_NDIM(a)):
        if cnp.PyArray_DIM(a, d) > 1 and cnp.PyArray_STRIDE(a, d) != cnp.PyArray_STRIDE(b, d):
            return False
    return True


cdef int check_overlap(cnp.ndarray out, str out_name, cnp.ndarray a, str name) except -1:
    if not may_overlap(out, a) or cnp.PyArray_SIZE(a) == 0:
        return 0
    try:
        if not shares_memory(out, a, max_work=1_000_000):
            return 0
    except TooHardError:
        pass
    cure = "; it may be exactly y_pred, or apart from it" if name == "y_pred" else ""
    raise ValueError(f"{out_name} overlaps {name} in memory{cure}")


cdef void describe(Operand *operand, cnp.ndarray a):
    operand.data = cnp.PyArray_BYTES(a)
    operand.type = type_of(a)
    operand.itemsize = cnp.PyArray_ITEMSIZE(a)
    operand.swapped = not cnp.PyArray_ISNOTSWAPPED(a)
    operand.aligned = cnp.PyArray_ISALIGNED(a)


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


cdef tuple evaluate(Kernel kernel, object y_true, object y_pred, object sample_weight, int outputs,
                    bint per_element, object out_f, object out_g, object out_h,
                    object n_threads, tuple names):
    """Sums of loss and weight, and the arrays of loss, gradient and hessian that are wanted.

    `names` are what the user calls out_f, out_g and out_h.
    """
    cdef Job job
    cdef Sums sums
    cdef PyObject *arrays[6]
    cdef Operand *operands[6]
    cdef int first_output, i, k, count = 2
    cdef bint fortran
    cdef object f = None
    cdef object g = None
    cdef object h = None

    cdef cnp.ndarray y, p, w
    y, p, w = read_inputs(y_true, y_pred, sample_weight)
    job.n_threads = team_size(n_threads, cnp.PyArray_SIZE(p))
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
        f = output(out_f, names[0], p, job.single, fortran)
        arrays[count], operands[count] = <PyObject *>f, &job.f
        count += 1
    if outputs != VALUE:
        g = output(out_g, names[1], p, job.single, fortran)
        arrays[count], operands[count] = <PyObject *>g, &job.g
        count += 1
    if outputs == GRAD_HESS:
        h = output(out_h, names[2], p, job.single, fortran)
        arrays[count], operands[count] = <PyObject *>h, &job.h
        count += 1
    job.size = cnp.PyArray_SIZE(p)
    job.scale = 1
    if outputs != VALUE and job.size > 0:
        if kernel.reduction == MEAN and w is not None:
            # always in C order, so that the gradient has the same bits in every layout
            lay_out(&job, arrays, operands, count, False)
            job.loss = NULL
            job.outputs = VALUE
            job.want_sum = True
            with nogil:
                run(&job, &sums)
            job.scale = 1 / sums.weight.high if sums.weight.high != 0 else NAN
        elif kernel.reduction == MEAN or kernel.reduction == SUM_OVER_BATCH_SIZE:
            job.scale = 1 / <double>job.size
    lay_out(&job, arrays, operands, count, fortran)

    if out_f is not None or out_g is not None or out_h is not None:
        for i in range(first_output, count):
            a = <object>arrays[i]
            name = names[0] if a is f else names[1] if a is g else names[2]
            check_overlap(a, name, y, "y_true")
            if w is not None:
                check_overlap(a, name, w, "sample_weight")
            for k in range(first_output, i):
                check_overlap(a, name, <object>arrays[k], "the other output")
            if identical(a, p):
                operands[i].direct = False    # a block is read before it is overwritten
            else:
                check_overlap(a, name, p, "y_pred")

    job.outputs = outputs
    job.loss = &kernel.bound
    job.want_sum = not per_element and (outputs == VALUE or outputs == VALUE_GRAD)
    with nogil:
        run(&job, &sums)
    if w is None:
        sums.weight.high = job.size
    return sums.loss.high, sums.weight.high, job.size, f, g, h


cdef double reduced(int reduction, double loss, double weight, Py_ssize_t size):
    cdef double divisor = 1
    if reduction == MEAN:
        divisor = weight
    elif reduction == SUM_OVER_BATCH_SIZE:
        divisor = size
    return loss / divisor if divisor != 0 else NAN


def reduce(str reduction, double loss, double weight, Py_ssize_t size):
    """The reduced value from its sums."""
    return reduced(REDUCTIONS[reduction], loss, weight, size)


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
    result = evaluate(kernel, y_true, y_pred, sample_weight, VALUE, per_element,
                      out, None, None, n_threads, SINGLE)
    if per_element:
        return result[3]
    return reduced(kernel.reduction, result[0], result[1], result[2])


def grad(Kernel kernel, y_true, y_pred, sample_weight, out, n_threads):
    return evaluate(kernel, y_true, y_pred, sample_weight, GRAD, False,
                    None, out, None, n_threads, SINGLE)[4]


def value_and_grad(Kernel kernel, y_true, y_pred, sample_weight, out, n_threads):
    if kernel.reduction == NONE:
        out_f, out_g = pair(out, "(value, grad)")
        result = evaluate(kernel, y_true, y_pred, sample_weight, VALUE_GRAD, True,
                          out_f, out_g, None, n_threads, VALUE_AND_GRAD)
        return result[3], result[4]
    result = evaluate(kernel, y_true, y_pred, sample_weight, VALUE_GRAD, False,
                      None, out, None, n_threads, SINGLE)
    return reduced(kernel.reduction, result[0], result[1], result[2]), result[4]


def grad_and_hess(Kernel kernel, y_true, y_pred, sample_weight, out, n_threads):
    out_g, out_h = pair(out, "(grad, hess)")
    result = evaluate(kernel, y_true, y_pred, sample_weight, GRAD_HESS, False,
                      None, out_g, out_h, n_threads, GRAD_AND_HESS)
    return result[4], result[5]


def partial_sums(Kernel kernel, y_true, y_pred, sample_weight, n_threads):
    """Sum of the weighted losses, sum of the weights, number of elements."""
    return evaluate(kernel, y_true, y_pred, sample_weight, VALUE, False,
                    None, None, None, n_threads, SINGLE)[:3]
