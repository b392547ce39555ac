# cython: language_level=3
"""The way of row-wise losses from the user's objects to the kernels.

The methods are those of `elements.pyx`; this reads a matrix of scores with labels and weights of
its rows, and describes them to the kernels, matrices by the strides of rows and classes.
"""
import numpy as np

cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.ref cimport PyObject
from libc.math cimport NAN

from fastloss._core.arrays cimport check_shape, describe, output, read, replaces, shape, type_of
from fastloss._core.elements cimport MEAN, SUM_OVER_BATCH_SIZE, Kernel, part_of, quotient, reduced
from fastloss._core.jobs cimport (FLOAT16, FLOAT32, FLOAT64, GRAD_HESS, LANES, MAX_TASKS, MAX_TILES,
                                  MAX_TURNED_CLASSES, SCORES_PER_GROUP, VALUE, VALUE_GRAD, Log,
                                  Operand, RowJob, RowRunner, Sums, Survey, Surveyor)
from fastloss._core.threads cimport team_size, wanted_threads

from fastloss._core.elements import REDUCTIONS
from fastloss._core.simd_level import kernels

cnp.import_array()

cdef RowRunner run_rows = <RowRunner>PyCapsule_GetPointer(kernels.RUN_ROWS, "fastloss.run_rows")
cdef Surveyor survey_rows = <Surveyor>PyCapsule_GetPointer(kernels.SURVEY_ROWS,
                                                           "fastloss.survey_rows")


cpdef tuple read_rows(object y_true, object y_pred, object sample_weight):
    """The inputs as arrays of supported dtypes and fitting shapes; None for absent weights."""
    cdef cnp.ndarray y = read(y_true, "y_true")
    cdef cnp.ndarray p = read(y_pred, "y_pred")
    cdef cnp.ndarray w = None if sample_weight is None else read(sample_weight, "sample_weight")
    if cnp.PyArray_NDIM(p) != 2:
        raise ValueError(f"y_pred must have two dimensions, rows and classes, got {shape(p)}")
    if cnp.PyArray_NDIM(y) == 2:
        check_shape(y, "y_true", p)
    elif cnp.PyArray_NDIM(y) != 1 or cnp.PyArray_DIM(y, 0) != cnp.PyArray_DIM(p, 0):
        raise ValueError(f"y_true must hold a class number for each row of y_pred, shape "
                         f"{shape(p)[:1]}, or a target for each class, shape {shape(p)}, "
                         f"got {shape(y)}")
    if w is not None and (cnp.PyArray_NDIM(w) != 1
                          or cnp.PyArray_DIM(w, 0) != cnp.PyArray_DIM(p, 0)):
        raise ValueError(f"sample_weight must hold a weight for each row of y_pred, shape "
                         f"{shape(p)[:1]}, got {shape(w)}")
    return y, p, w


cdef void lay_out(RowJob *job, Operand *operand, cnp.ndarray a) noexcept:
    cdef int d
    describe(operand, a)
    for d in range(cnp.PyArray_NDIM(a)):
        operand.strides[d] = cnp.PyArray_STRIDE(a, d)
    operand.direct = (
        cnp.PyArray_NDIM(a) == 2 and operand.strides[1] == operand.itemsize
        and operand.aligned and not operand.swapped
        and operand.type == (FLOAT32 if job.vectors.single else FLOAT64))


cdef Py_ssize_t rows_together(RowJob *job, Operand **operands, PyObject **arrays, int count):
    """Return the number of rows worked on together: a limited number of scores, whole tiles."""
    cdef int k
    cdef Py_ssize_t rows = SCORES_PER_GROUP // max(job.classes, <Py_ssize_t>1)
    cdef bint columns = False
    for k in range(count):
        if (cnp.PyArray_NDIM(<cnp.ndarray>arrays[k]) == 2
                and abs(operands[k].strides[0]) < abs(operands[k].strides[1])):
            columns = True
    if job.classes > MAX_TURNED_CLASSES:
        return LANES if columns else max(<Py_ssize_t>1, min(rows, <Py_ssize_t>LANES))
    if not columns:     # else the longer the pieces of columns, the better
        rows //= 4
    return LANES * max(<Py_ssize_t>1, min(rows // LANES, <Py_ssize_t>MAX_TILES))


cdef class RowKernel(Kernel):
    """Cross entropy with its parameters, ready to run."""

    cdef Log clip
    cdef bint logits
    cdef double smoothing
    cdef double ignored
    cdef Py_ssize_t n_weights
    cdef double[::1] class_weights

    def __init__(self, bint logits, double smoothing, ignored, class_weight, dict clip,
                 str reduction):
        self.logits = logits
        self.smoothing = smoothing
        self.ignored = NAN if ignored is None else ignored
        self.n_weights = -1 if class_weight is None else len(class_weight)
        if self.n_weights > 0:
            self.class_weights = np.array(class_weight, float)
        self.clip = clip
        self.reduction = REDUCTIONS[reduction]

    cdef tuple evaluate(self, object y_true, object y_pred, object sample_weight, int outputs,
                        bint per_element, object out_f, object out_g, object out_h,
                        object n_threads, tuple names, object scale,
                        bint errors):
        """Evaluate the loss of rows; see `Kernel.evaluate`."""
        cdef RowJob job
        cdef Sums sums
        cdef Survey survey
        cdef PyObject *arrays[6]
        cdef Operand *operands[6]
        cdef int first_output, i, count = 2
        cdef bint fortran
        cdef int mode, failed = 0
        cdef double divisor = 1
        cdef object f = None
        cdef object g = None
        cdef object h = None
        cdef cnp.ndarray y, p, w
        # all that may run code of others comes before arrays are looked at
        cdef int wanted = wanted_threads(n_threads)
        y, p, w = read_rows(y_true, y_pred, sample_weight)
        job.classes = cnp.PyArray_DIM(p, 1)
        if self.n_weights >= 0 and self.n_weights != job.classes:
            raise ValueError(f"class_weight holds {self.n_weights} weights, but y_pred has "
                             f"{job.classes} classes")
        job.vectors.n_threads = team_size(wanted, cnp.PyArray_SIZE(p))
        # each thread gets scratch, so no more than there are tiles or tasks
        job.vectors.n_threads = <int>max(1, min(job.vectors.n_threads, MAX_TASKS,
                                                cnp.PyArray_DIM(p, 0) // LANES))
        job.vectors.single = type_of(p) == FLOAT16 or type_of(p) == FLOAT32
        fortran = not cnp.PyArray_IS_C_CONTIGUOUS(p) and cnp.PyArray_IS_F_CONTIGUOUS(p)

        arrays[0], operands[0] = <PyObject *>p, &job.vectors.p
        arrays[1], operands[1] = <PyObject *>y, &job.vectors.y
        job.vectors.w.data = NULL
        if w is not None:
            arrays[count], operands[count] = <PyObject *>w, &job.vectors.w
            count += 1
        first_output = count
        job.vectors.f.data = NULL
        if per_element:
            f = output(out_f, names[0], p, 1, job.vectors.single, False)
            arrays[count], operands[count] = <PyObject *>f, &job.vectors.f
            count += 1
        if outputs != VALUE:
            g = output(out_g, names[1], p, 2, job.vectors.single, fortran)
            arrays[count], operands[count] = <PyObject *>g, &job.vectors.g
            count += 1
        if outputs == GRAD_HESS:
            h = output(out_h, names[2], p, 2, job.vectors.single, fortran)
            arrays[count], operands[count] = <PyObject *>h, &job.vectors.h
            count += 1
        for i in range(count):
            lay_out(&job, operands[i], <cnp.ndarray>arrays[i])
        if out_f is not None or out_g is not None or out_h is not None:
            for i in range(first_output, count):
                a = <object>arrays[i]
                name = names[0] if a is f else names[1] if a is g else names[2]
                if replaces(arrays, first_output, i, name):
                    operands[i].direct = False    # a row is read before it is overwritten

        job.vectors.size = cnp.PyArray_DIM(p, 0)
        job.vectors.ndim = 1
        job.vectors.shape[0] = job.vectors.size
        job.vectors.outputs = outputs
        job.vectors.want_sum = not per_element and (outputs == VALUE or outputs == VALUE_GRAD)
        job.soft = cnp.PyArray_NDIM(y) == 2
        job.logits = self.logits
        job.dense = job.soft or self.smoothing != 0 or not self.logits
        job.smoothing = self.smoothing
        job.ignored = NAN if job.soft else self.ignored
        job.class_weights = &self.class_weights[0] if self.n_weights > 0 else NULL
        job.clip = self.clip
        survey.count = job.vectors.size
        survey.weight.high = survey.count
        survey.weight.low = 0
        if w is not None or not job.soft:
            with nogil:
                failed = survey_rows(&job, &survey)
            if failed:
                raise MemoryError
            if survey.bad >= 0:
                raise ValueError(
                    f"y_true must hold class numbers from 0 to {job.classes - 1} of the "
                    f"{job.classes} classes of y_pred, but row {survey.bad} has "
                    f"{y[survey.bad].item()!r}")
        if self.reduction == MEAN:
            divisor = survey.weight.high
        elif self.reduction == SUM_OVER_BATCH_SIZE:
            divisor = survey.count
        job.vectors.scale = scale if scale is not None else quotient(1, divisor)
        job.together = rows_together(&job, operands, arrays, count)
        with nogil:
            mode = run_rows(&job, &sums)
        if mode < 0:
            raise MemoryError
        sums.weight = survey.weight
        if errors:
            return part_of(&sums, survey.count), f, g, h
        value = reduced(self.reduction, sums.loss.high, sums.weight.high, survey.count, mode)
        return value, f, g, h
