"""Row-wise losses: what the labels and weights alone say. Part of `_kernels.pyx`."""
from cpython.pycapsule cimport PyCapsule_New
from cython.parallel cimport prange
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from fastloss._core.formulas.math cimport real
from fastloss._core.fpmode cimport Mode, enter_default_mode, leave_default_mode
from fastloss._core.jobs cimport CHUNK_ELEMENTS, RowJob, Survey
from fastloss._core.loops.layout cimport fetch
from fastloss._core.loops.rows_groups cimport rows_of_task
from fastloss._core.loops.sums cimport accumulate, add, round_once

cdef enum:
    SURVEYED_ROWS = 256  # rows looked at together; whole panels of a sum


cdef void survey_block(const RowJob *job, Py_ssize_t start, Py_ssize_t n, real tag,
                       const double *labels, Survey *survey) noexcept nogil:
    """Add n rows to a survey; `labels` is NULL where targets are soft."""
    cdef real weight_block[SURVEYED_ROWS]
    cdef double share[SURVEYED_ROWS]
    cdef const real *w = NULL
    cdef Py_ssize_t i
    cdef Py_ssize_t wrong = 0
    cdef double classes = job.classes
    cdef double whole = <double>(1 << 26) * (1 << 26)
    cdef double ignored = job.ignored
    cdef double v
    if job.vectors.w.data != NULL:
        w = fetch[real](&job.vectors, &job.vectors.w, start, n, weight_block)
    if not job.soft:
        for i in range(n):
            v = labels[i]
            # adding and taking off 2^52 rounds to a whole number
            wrong += 0 if ((v >= 0) & (v < classes) & ((v + whole) - whole == v)
                           | (v == ignored)) else 1
        if wrong:
            for i in range(n):
                v = labels[i]
                if not ((v >= 0 and v < classes and (v + whole) - whole == v) or v == job.ignored):
                    survey.bad = start + i
                    return
    for i in range(n):
        share[i] = 1 if w == NULL else w[i]
    survey.count += n
    if not job.soft:
        for i in range(n):
            if labels[i] == job.ignored:
                survey.count -= 1
                share[i] = 0
            elif job.class_weights != NULL:
                share[i] *= job.class_weights[<Py_ssize_t>labels[i]]
    accumulate[double](n, share, &survey.weight)


cdef void survey_task(const RowJob *job, Py_ssize_t task, Py_ssize_t length,
                      Survey *survey) noexcept nogil:
    cdef Py_ssize_t at = task * length
    cdef Py_ssize_t stop = min(job.vectors.size, at + length)
    cdef Py_ssize_t n
    cdef double label_block[SURVEYED_ROWS]
    cdef const double *labels = NULL
    cdef Mode before = enter_default_mode()
    memset(survey, 0, sizeof(Survey))
    survey.bad = -1
    while at < stop and survey.bad < 0:
        n = min(stop - at, <Py_ssize_t>SURVEYED_ROWS)
        if not job.soft:
            labels = fetch[double](&job.vectors, &job.vectors.y, at, n, label_block)
        if job.vectors.single:
            survey_block[float](job, at, n, 0, labels, survey)
        else:
            survey_block[double](job, at, n, 0, labels, survey)
        at += SURVEYED_ROWS
    leave_default_mode(before)


cdef inline void add_survey(Survey *all, const Survey *part) noexcept nogil:
    add(&all.weight, part.weight.high, part.weight.low)
    all.count += part.count
    if all.bad < 0:
        all.bad = part.bad


cdef int survey_rows(const RowJob *job, Survey *all) noexcept nogil:
    """Find the first invalid label, and add up the weights and the number of rows that count."""
    cdef Survey alone
    cdef Survey *surveys
    cdef Py_ssize_t size = job.vectors.size
    cdef Py_ssize_t length = rows_of_task(job, CHUNK_ELEMENTS)
    cdef Py_ssize_t tasks = (size + length - 1) // length if size else 0
    cdef Py_ssize_t task
    cdef int n_threads = <int>min(tasks, <Py_ssize_t>job.vectors.n_threads)
    cdef Mode before
    memset(all, 0, sizeof(Survey))
    all.bad = -1
    before = enter_default_mode()
    if n_threads <= 1:
        for task in range(tasks):
            survey_task(job, task, length, &alone)
            add_survey(all, &alone)
    else:
        surveys = <Survey *>malloc(tasks * sizeof(Survey))
        if surveys == NULL:
            leave_default_mode(before)
            return -1
        for task in prange(tasks, schedule="dynamic", num_threads=n_threads):
            survey_task(job, task, length, &surveys[task])
        for task in range(tasks):
            add_survey(all, &surveys[task])
        free(surveys)
    round_once(&all.weight)
    leave_default_mode(before)
    return 0


SURVEY_ROWS = PyCapsule_New(<void *>survey_rows, "fastloss.survey_rows", NULL)
