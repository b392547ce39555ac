# cython: language_level=3
"""The user's objects as arrays: read, checked and described to the kernels, never copied."""
import numpy as np

cimport numpy as cnp
from cpython.ref cimport PyObject

from fastloss._core.jobs cimport (BOOL, FLOAT16, FLOAT32, FLOAT64, INT8, INT16, INT32, INT64,
                                  MAX_DIMS, UINT8, UINT16, UINT32, UINT64, UNSUPPORTED, ElementType,
                                  Operand)

from fastloss._values import array_of, is_masked

cnp.import_array()

cdef enum:
    MOST_WORK = 1_000_000  # to find out whether memory is shared; if it is not enough, it is

cdef object shares_memory = np.shares_memory
cdef object TooHardError = np.exceptions.TooHardError

# From NumPy's type numbers to ours; NumPy has several numbers for one width.
cdef ElementType element_types[32]


def _fill_element_types():
    for number in range(32):
        element_types[number] = UNSUPPORTED
    for letter, element_type in (
        ("?", BOOL), ("B", UINT8), ("b", INT8), ("e", FLOAT16), ("f", FLOAT32), ("d", FLOAT64),
    ):
        element_types[np.dtype(letter).num] = element_type
    unsigned = {2: UINT16, 4: UINT32, 8: UINT64}
    signed = {2: INT16, 4: INT32, 8: INT64}
    for letter in "HILQ":
        element_types[np.dtype(letter).num] = unsigned[np.dtype(letter).itemsize]
    for letter in "hilq":
        element_types[np.dtype(letter).num] = signed[np.dtype(letter).itemsize]


_fill_element_types()


cdef cnp.ndarray read(object x, str name):
    """`x` as an array of a supported dtype, not copied if it has one."""
    if cnp.PyArray_CheckExact(x) and type_of(<cnp.ndarray>x) != UNSUPPORTED:
        return <cnp.ndarray>x
    return array_of(x, name)


cdef ElementType type_of(cnp.ndarray a) noexcept:
    cdef int number = cnp.PyArray_TYPE(a)
    return element_types[number] if 0 <= number < 32 else UNSUPPORTED


cdef bint same_shape(cnp.ndarray a, cnp.ndarray b) noexcept:
    cdef int d
    if cnp.PyArray_NDIM(a) != cnp.PyArray_NDIM(b):
        return False
    for d in range(cnp.PyArray_NDIM(a)):
        if cnp.PyArray_DIM(a, d) != cnp.PyArray_DIM(b, d):
            return False
    return True


cdef tuple shape(cnp.ndarray a):
    return tuple([cnp.PyArray_DIM(a, d) for d in range(cnp.PyArray_NDIM(a))])


cdef int check_shape(cnp.ndarray a, str name, cnp.ndarray p) except -1:
    if same_shape(a, p):
        return 0
    message = (f"{name} and y_pred must have the same shape, got {shape(a)} and {shape(p)}; "
               "nothing is broadcast")
    if cnp.PyArray_SIZE(a) == cnp.PyArray_SIZE(p):
        message += f" (ravel() makes both 1-d, {name}.reshape(y_pred.shape) makes them equal)"
    raise ValueError(message)


cdef cnp.ndarray output(object out, str name, cnp.ndarray p, int ndim, bint single, bint fortran):
    """A new array for results, or the user's, checked: of the first `ndim` dimensions of p."""
    cdef cnp.ndarray a
    cdef int d
    cdef bint fits
    if out is None:
        return cnp.PyArray_EMPTY(ndim, cnp.PyArray_DIMS(p),
                                 cnp.NPY_FLOAT if single else cnp.NPY_DOUBLE, fortran)
    if not cnp.PyArray_Check(out):
        raise TypeError(f"{name} must be a float32 or float64 ndarray, got {type(out).__name__}")
    if not cnp.PyArray_CheckExact(out) and is_masked(out):
        raise TypeError(f"{name} is a masked array with masked elements; pass {name}.data")
    a = out
    if type_of(a) != FLOAT32 and type_of(a) != FLOAT64:
        raise TypeError(f"{name} must be a float32 or float64 ndarray, got dtype {a.dtype}")
    fits = cnp.PyArray_NDIM(a) == ndim
    for d in range(ndim):
        fits = fits and cnp.PyArray_DIM(a, d) == cnp.PyArray_DIM(p, d)
    if not fits:
        what = "of y_pred" if ndim == cnp.PyArray_NDIM(p) else "of the rows"
        raise ValueError(f"{name} must have the shape {what}, {shape(p)[:ndim]}, got {shape(a)}")
    if not cnp.PyArray_ISWRITEABLE(a):
        raise ValueError(f"{name} is read-only; it must be writeable")
    if overlaps_itself(a):
        raise ValueError(f"{name} has elements that share memory, as broadcast views do; "
                         "each needs its own")
    return a


cdef bint overlaps_itself(cnp.ndarray a):
    """Whether elements share memory. Most strides show that none do, the others are searched."""
    cdef Py_ssize_t d, k, reach = cnp.PyArray_ITEMSIZE(a), work = MOST_WORK
    cdef Py_ssize_t strides[MAX_DIMS]
    cdef Py_ssize_t lengths[MAX_DIMS]
    cdef bint apart = True
    if cnp.PyArray_ISCONTIGUOUS(a) or cnp.PyArray_SIZE(a) <= 1:
        return False
    k = 0
    # by rising stride, each dimension has to clear what is inside
    for stride, length in sorted([(abs(cnp.PyArray_STRIDE(a, d)), cnp.PyArray_DIM(a, d))
                                  for d in range(cnp.PyArray_NDIM(a))
                                  if cnp.PyArray_DIM(a, d) > 1]):
        if stride == 0:
            return True
        apart = apart and stride >= reach
        strides[k], lengths[k] = stride, length
        reach += stride * (length - 1)
        k += 1
    return not apart and meet(strides, lengths, k, 0, cnp.PyArray_ITEMSIZE(a), False, &work) != 0


cdef int meet(const Py_ssize_t *strides, const Py_ssize_t *lengths, Py_ssize_t n,
              Py_ssize_t distance, Py_ssize_t itemsize, bint differ, Py_ssize_t *work) noexcept:
    """Whether two elements may be less than an item apart; -1 if that takes too long to say.

    They are `distance` apart already, by steps along dimensions beyond the first n, of which some
    are not 0 if they `differ`. What is left is steps along the n, of rising strides.
    """
    cdef Py_ssize_t d, first, last, step, inside = itemsize - 1
    cdef int found
    work[0] -= 1
    if work[0] < 0:
        return -1
    if n == 0:
        return differ and abs(distance) < itemsize
    for d in range(n - 1):
        inside += strides[d] * (lengths[d] - 1)
    # steps after which the dimensions inside can still bring the elements together
    step = strides[n - 1]
    last = min(lengths[n - 1] - 1, floor_quotient(inside - distance, step))
    first = max(1 - lengths[n - 1], -floor_quotient(inside + distance, step))
    if not differ:
        first = max(first, <Py_ssize_t>0)       # the other sign is the same pair
    for d in range(first, last + 1):
        found = meet(strides, lengths, n - 1, distance + d * step, itemsize, differ or d != 0, work)
        if found:
            return found
    return 0


cdef Py_ssize_t floor_quotient(Py_ssize_t a, Py_ssize_t b) noexcept:
    return a // b if a >= 0 else -((b - 1 - a) // b)


cdef void extent(cnp.ndarray a, Py_ssize_t *low, Py_ssize_t *high) noexcept:
    """The addresses of an array that is not empty."""
    cdef Py_ssize_t step
    cdef int d
    low[0] = <Py_ssize_t>cnp.PyArray_BYTES(a)
    high[0] = low[0] + cnp.PyArray_ITEMSIZE(a)
    for d in range(cnp.PyArray_NDIM(a)):
        step = cnp.PyArray_STRIDE(a, d) * (cnp.PyArray_DIM(a, d) - 1)
        low[0] += min(step, <Py_ssize_t>0)
        high[0] += max(step, <Py_ssize_t>0)


cdef bint may_overlap(cnp.ndarray a, cnp.ndarray b) noexcept:
    """Whether the address ranges of two arrays meet."""
    cdef Py_ssize_t a_low = 0, a_high = 0, b_low = 0, b_high = 0
    extent(a, &a_low, &a_high)
    extent(b, &b_low, &b_high)
    return a_low < b_high and b_low < a_high


cdef bint identical(cnp.ndarray a, cnp.ndarray b) noexcept:
    """Whether a and b are the same elements in the same places."""
    cdef int d
    if cnp.PyArray_DATA(a) != cnp.PyArray_DATA(b) or type_of(a) != type_of(b):
        return False
    if cnp.PyArray_NDIM(a) != cnp.PyArray_NDIM(b):
        return False
    if cnp.PyArray_ISNOTSWAPPED(a) != cnp.PyArray_ISNOTSWAPPED(b):
        return False
    for d in range(cnp.PyArray_NDIM(a)):
        if cnp.PyArray_DIM(a, d) > 1 and cnp.PyArray_STRIDE(a, d) != cnp.PyArray_STRIDE(b, d):
            return False
    return True


cdef object plain(cnp.ndarray a):
    """Its memory as an array of no subclass, which may do what it likes in NumPy's functions."""
    return a if cnp.PyArray_CheckExact(a) else np.ndarray.view(a, np.ndarray)


cdef int check_overlap(cnp.ndarray out, str out_name, cnp.ndarray a, str name) except -1:
    if cnp.PyArray_SIZE(a) == 0 or cnp.PyArray_SIZE(out) == 0 or not may_overlap(out, a):
        return 0
    try:
        if not shares_memory(plain(out), plain(a), max_work=MOST_WORK):
            return 0
    except TooHardError:
        pass
    cure = "; it may be exactly y_pred, or apart from it" if name == "y_pred" else ""
    raise ValueError(f"{out_name} overlaps {name} in memory{cure}")


cdef bint replaces(PyObject **arrays, int first_output, int i, str name) except -1:
    """Whether output i is y_pred itself; it must be apart from all else.

    The arrays are y_pred, y_true, maybe sample_weight, and the outputs.
    """
    cdef int k
    cdef cnp.ndarray out = <cnp.ndarray>arrays[i]
    check_overlap(out, name, <cnp.ndarray>arrays[1], "y_true")
    if first_output > 2:
        check_overlap(out, name, <cnp.ndarray>arrays[2], "sample_weight")
    for k in range(first_output, i):
        check_overlap(out, name, <cnp.ndarray>arrays[k], "the other output")
    if identical(out, <cnp.ndarray>arrays[0]):
        return True
    check_overlap(out, name, <cnp.ndarray>arrays[0], "y_pred")
    return False


cdef void describe(Operand *operand, cnp.ndarray a) noexcept:
    operand.data = cnp.PyArray_BYTES(a)
    operand.type = type_of(a)
    operand.itemsize = cnp.PyArray_ITEMSIZE(a)
    operand.swapped = not cnp.PyArray_ISNOTSWAPPED(a)
    operand.aligned = cnp.PyArray_ISALIGNED(a)
