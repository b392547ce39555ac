# cython: language_level=3
"""The way of losses of rows that belong together from the user's objects to the kernels.

The rows are matrices of one shape, two or three of them; labels and weights are one per row. All is
read and checked before anything is written; nothing is copied but blocks of rows that do not lie
contiguous in the computation's type.
"""
cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.pyport cimport PY_SSIZE_T_MAX
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from fastloss._core.arrays cimport (check_overlap, describe, identical, overlaps_itself, read,
                                    same_shape, shape, type_of)
from fastloss._core.elements cimport quotient
from fastloss._core.jobs cimport (CACHE_LINE_BYTES, FLOAT16, FLOAT32, FLOAT64, LANES, VALUE,
                                  VALUE_GRAD, Bound, Operand, Runner, Sums)
from fastloss._core.paired_job cimport (COSINE, EUCLIDEAN, MAX_BYTES_TOGETHER, MAX_ROWS_TOGETHER,
                                        SQEUCLIDEAN, PairJob, PairRunner)
from fastloss._core.threads cimport team_size, wanted_threads

from fastloss._core.simd_level import kernels
from fastloss._values import is_masked

cnp.import_array()

cdef Runner run = <Runner>PyCapsule_GetPointer(kernels.RUN, "fastloss.run")
cdef PairRunner run_pairs = <PairRunner>PyCapsule_GetPointer(kernels.RUN_PAIRS,
                                                             "fastloss.run_pairs")

DISTANCES = {"euclidean": EUCLIDEAN, "sqeuclidean": SQEUCLIDEAN, "cosine": COSINE}


cdef bint is_single(cnp.ndarray a) noexcept:
    return type_of(a) == FLOAT16 or type_of(a) == FLOAT32


cpdef cnp.ndarray read_column(object x, str name, str what, cnp.ndarray rows):
    """One number of each row."""
    cdef cnp.ndarray a = read(x, name)
    if cnp.PyArray_NDIM(a) != 1 or cnp.PyArray_DIM(a, 0) != cnp.PyArray_DIM(rows, 0):
        raise ValueError(f"{name} must hold one {what} for each row, shape "
                         f"({cnp.PyArray_DIM(rows, 0)},), got {shape(a)}")
    return a


cpdef list read_rows(tuple names, tuple rows):
    """Matrices of numbers, of one shape."""
    cdef cnp.ndarray a
    cdef list found = []
    for name, value in zip(names, rows):
        found.append(read(value, name))
    for name, array in zip(names, found):
        a = array
        if cnp.PyArray_NDIM(a) != 2:
            raise ValueError(f"{name} must have two dimensions, rows and components, got shape "
                             f"{shape(a)}")
        if not same_shape(a, found[0]):
            raise ValueError(f"{names[0]} and {name} must have the same shape, got "
                             f"{shape(found[0])} and {shape(a)}; nothing is broadcast")
    return found


cdef cnp.ndarray output(object out, str name, str like, cnp.ndarray rows, int ndim, bint single):
    """A new array for results, or the user's, checked."""
    cdef cnp.ndarray a
    cdef int d
    cdef bint fits
    if out is None:
        return cnp.PyArray_EMPTY(ndim, cnp.PyArray_DIMS(rows),
                                 cnp.NPY_FLOAT if single else cnp.NPY_DOUBLE, False)
    if not cnp.PyArray_Check(out):
        raise TypeError(f"{name} must be a float32 or float64 ndarray, got {type(out).__name__}")
    if not cnp.PyArray_CheckExact(out) and is_masked(out):
        raise TypeError(f"{name} is a masked array with masked elements; pass {name}.data")
    a = out
    if type_of(a) != FLOAT32 and type_of(a) != FLOAT64:
        raise TypeError(f"{name} must be a float32 or float64 ndarray, got dtype {a.dtype}")
    fits = cnp.PyArray_NDIM(a) == ndim
    for d in range(ndim):
        fits = fits and cnp.PyArray_DIM(a, d) == cnp.PyArray_DIM(rows, d)
    if not fits:
        what = f"the shape of {like}" if ndim == 2 else f"an element for each row of {like}, shape"
        raise ValueError(f"{name} must have {what}{',' if ndim == 2 else ''} "
                         f"{shape(rows)[:ndim]}, got {shape(a)}")
    if not cnp.PyArray_ISWRITEABLE(a):
        raise ValueError(f"{name} is read-only; it must be writeable")
    if overlaps_itself(a):
        raise ValueError(f"{name} has elements that share memory, as broadcast views do; "
                         "each needs its own")
    return a


cdef void lay_out(Operand *operand, cnp.ndarray a, bint single) noexcept:
    cdef int d
    describe(operand, a)
    for d in range(cnp.PyArray_NDIM(a)):
        operand.strides[d] = cnp.PyArray_STRIDE(a, d)
    operand.direct = (
        cnp.PyArray_IS_C_CONTIGUOUS(a) and operand.aligned and not operand.swapped
        and operand.type == (FLOAT32 if single else FLOAT64))


cdef class PairKernel:
    """A loss of distances of rows with its parameters, ready to run."""

    cdef Bound bound
    cdef int distance
    cdef double sign
    cdef tuple names
    cdef bint mean
    cdef bint each

    def __init__(self, str loss, dict parameters, str distance, tuple names, double sign,
                 str reduction):
        cdef bytes bound = kernels.bind.__signatures__[loss](parameters)
        memcpy(&self.bound, <const char *>bound, sizeof(Bound))
        self.distance = DISTANCES[distance]
        self.names = names
        self.sign = sign
        self.mean = reduction == "mean"
        self.each = reduction == "none"

    cdef tuple unpack(self, object out, bint gradient):
        """What the user wants values and gradients written to."""
        cdef Py_ssize_t count = len(self.names)
        grads = ", ".join([f"grad_{name}" for name in self.names])
        value = None
        if not gradient:
            if out is not None and not self.each:
                raise ValueError("out is for reduction='none': any other value is a float")
            return out, (None,) * count
        if out is None:
            return None, (None,) * count
        if self.each:
            if not isinstance(out, (tuple, list)) or len(out) != 2:
                got = (f"{len(out)} of them" if isinstance(out, (tuple, list))
                       else type(out).__name__)
                raise TypeError(f"out must be a pair, (value, ({grads})), got {got}")
            value, out = out
            if out is None:
                return value, (None,) * count
        if not isinstance(out, (tuple, list)) or len(out) != count:
            got = f"{len(out)} of them" if isinstance(out, (tuple, list)) else type(out).__name__
            name = "out[1]" if self.each else "out"
            raise TypeError(f"{name} must be {count} arrays, ({grads}), got {got}")
        return value, tuple(out)

    cdef tuple evaluate(self, tuple rows, object y_true, object sample_weight, bint gradient,
                        bint each, object out, object n_threads):
        """Sums of loss and weight, the number of pairs, and the arrays that are wanted."""
        cdef PairJob job
        cdef Sums sums
        cdef int k, i, count = len(self.names)
        cdef bint staged = False
        cdef int failed = 0
        cdef char *block = NULL
        cdef Py_ssize_t threads
        cdef cnp.ndarray a
        cdef cnp.ndarray y = None
        cdef cnp.ndarray w = None
        # all that may run code of others comes before arrays are looked at
        cdef int wanted = wanted_threads(n_threads)
        out_f, out_g = self.unpack(out, gradient)
        cdef list found = read_rows(self.names, rows)
        cdef list inputs = list(zip(self.names, found))
        cdef list outputs = []
        cdef cnp.ndarray first = found[0]
        if y_true is not None:
            y = read_column(y_true, "y", "label", first)
            inputs.append(("y", y))
        if sample_weight is not None:
            w = read_column(sample_weight, "sample_weight", "weight", first)
            inputs.append(("sample_weight", w))
        job.vectors.single = True
        for k in range(count):
            job.vectors.single = job.vectors.single and is_single(<cnp.ndarray>found[k])
        job.vectors.n_threads = team_size(wanted, cnp.PyArray_SIZE(first) * (count - 1))
        prefix = "out[1]" if self.each else "out"
        if each:
            name = "out[0]" if gradient else "out"
            outputs.append((name, output(out_f, name, self.names[0], first, 1,
                                         job.vectors.single)))
        for k in range(count if gradient else 0):
            name = f"{prefix}[{k}]" if out_g[k] is not None else ""
            outputs.append((name, output(out_g[k], name, self.names[k], first, 2,
                                         job.vectors.single)))

        job.count = count
        # of no rows the length is of no use, and may be any
        job.dim = cnp.PyArray_DIM(first, 1) if cnp.PyArray_DIM(first, 0) else 0
        for k in range(count):
            lay_out(&job.x[k], found[k], job.vectors.single)
            staged = staged or not job.x[k].direct
        job.vectors.y.data = NULL
        job.vectors.w.data = NULL
        job.vectors.f.data = NULL
        job.vectors.f.direct = False
        if y is not None:
            lay_out(&job.vectors.y, y, job.vectors.single)
        if w is not None:
            lay_out(&job.vectors.w, w, job.vectors.single)
        if each:
            lay_out(&job.vectors.f, outputs[0][1], job.vectors.single)
        for k in range(count if gradient else 0):
            lay_out(&job.g[k], outputs[k + each][1], job.vectors.single)
            staged = staged or not job.g[k].direct
        if out is not None:
            for i in range(len(outputs)):
                name, a = outputs[i]
                for k in range(i):
                    check_overlap(a, name, outputs[k][1], outputs[k][0] or "the other output")
                # a block of rows is read before it is overwritten
                for k in range(len(inputs)):
                    if i >= each and k == i - each and identical(a, <cnp.ndarray>inputs[k][1]):
                        job.g[k].direct = False
                        staged = True
                    else:
                        check_overlap(a, name, inputs[k][1], inputs[k][0])

        job.vectors.size = cnp.PyArray_DIM(first, 0)
        job.vectors.ndim = 1
        job.vectors.shape[0] = job.vectors.size
        job.matrix.ndim = 2
        job.matrix.shape[0] = job.vectors.size
        job.matrix.shape[1] = job.dim
        job.vectors.scale = 1
        if gradient and self.mean and job.vectors.size:
            sums.weight.high = job.vectors.size
            if w is not None:
                job.vectors.loss = NULL
                job.vectors.outputs = VALUE
                job.vectors.want_sum = True
                with nogil:
                    failed = run(&job.vectors, &sums) < 0
                if failed:
                    raise MemoryError
            job.vectors.scale = quotient(1, sums.weight.high)
        job.vectors.loss = &self.bound
        job.vectors.outputs = VALUE_GRAD if gradient else VALUE
        job.vectors.want_sum = not each
        job.distance = self.distance
        job.sign = self.sign
        job.together = MAX_BYTES_TOGETHER // (4 if job.vectors.single else 8)
        job.together = job.together // max(job.dim, <Py_ssize_t>1) // LANES * LANES
        job.together = max(<Py_ssize_t>LANES, min(job.together, <Py_ssize_t>MAX_ROWS_TOGETHER))
        job.scratch = NULL
        job.scratch_size = 0
        if staged and job.vectors.size:
            threads = (job.vectors.size + job.together - 1) // job.together
            job.vectors.n_threads = <int>max(1, min(threads, job.vectors.n_threads))
            # rows may be views of one number: their size is none that memory ever held
            if (2.0 * count * job.together * sizeof(double) * job.dim * job.vectors.n_threads
                    > <double>(PY_SSIZE_T_MAX // 2)):
                raise MemoryError("rows are too long")
            # in whole cache lines
            job.scratch_size = 2 * count * job.together * job.dim * sizeof(double)
            job.scratch_size += CACHE_LINE_BYTES - job.scratch_size % CACHE_LINE_BYTES
            block = <char *>malloc(job.scratch_size * job.vectors.n_threads + CACHE_LINE_BYTES)
            if block == NULL:
                raise MemoryError
            job.scratch = block + CACHE_LINE_BYTES - <size_t>block % CACHE_LINE_BYTES
        with nogil:
            failed = run_pairs(&job, &sums)
        free(block)
        if failed:
            raise MemoryError
        if w is None:
            sums.weight.high = job.vectors.size
            sums.weight.low = 0
        return (sums.loss.high, sums.weight.high, job.vectors.size,
                outputs[0][1] if each else None,
                tuple([array for _, array in outputs[1 if each else 0:]]), sums.loss.low,
                sums.weight.low)

    def value(self, tuple rows, y, sample_weight, out, n_threads):
        """Return the value, or the value of each pair."""
        result = self.evaluate(rows, y, sample_weight, False, self.each, out, n_threads)
        return result[3] if self.each else self.reduced(result)

    def value_and_grad(self, tuple rows, y, sample_weight, out, n_threads):
        """Return the value, or the value of each pair, and the gradients by all rows."""
        result = self.evaluate(rows, y, sample_weight, True, self.each, out, n_threads)
        return result[3] if self.each else self.reduced(result), result[4]

    def partial_sums(self, tuple rows, y, sample_weight, n_threads):
        """Return the sums of weighted losses and of weights, the number of pairs, and roundings."""
        result = self.evaluate(rows, y, sample_weight, False, False, None, n_threads)
        return result[:3] + result[5:]

    cdef double reduced(self, tuple result):
        cdef double divisor = result[1] if self.mean else 1
        return quotient(result[0], divisor)
