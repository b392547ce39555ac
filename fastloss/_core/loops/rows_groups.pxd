# cython: language_level=3
"""Row-wise losses: what the rows of a group have one number of, before and after their sums."""
from libc.math cimport NAN
from libc.string cimport memcpy

from fastloss._core.formulas.math cimport real
from fastloss._core.jobs cimport LANES, MAX_TASKS, MAX_TURNED_CLASSES, RowJob, Sums
from fastloss._core.loops.layout cimport fetch, flush
from fastloss._core.loops.rows_passes cimport (BEND, INVERSE, LACK, SCALE, SLOPE, TOTAL, Group,
                                               settle, settle_dense, settle_label)
from fastloss._core.loops.sums cimport add, fold


cdef inline Py_ssize_t class_of(const RowJob *job, double label) noexcept nogil:
    """The class of a label, which is one as long as no other thread has changed it since."""
    cdef double last = job.classes - 1
    label = label if label > 0 else 0
    return <Py_ssize_t>(label if label < last else last)


cdef inline double share_of(const RowJob *job, Py_ssize_t label) noexcept nogil:
    return 1 if job.class_weights == NULL else job.class_weights[label]


cdef inline void open_group(const RowJob *job, Py_ssize_t start, Py_ssize_t n, real tag,
                            const double *labels, Group *rows) noexcept nogil:
    """Set the labels and the weights of n rows; `labels` is not read where targets are soft."""
    cdef real weight_block[LANES]
    cdef const real *w
    cdef Py_ssize_t k
    rows.any_ignored = False
    for k in range(LANES):
        rows.weight[k] = 1
        rows.share[k] = 1
        rows.at_label[k] = rows.low[k] = rows.ones[k] = rows.total[k] = rows.distance[k] = 0
    for k in range(n, LANES):
        rows.weight[k] = 0
    if job.vectors.w.data != NULL:
        w = fetch[real](&job.vectors, &job.vectors.w, start, n, weight_block)
        for k in range(n):
            rows.weight[k] = w[k]
    if job.soft:
        return
    for k in range(n):
        rows.label[k] = class_of(job, labels[k])
    if job.ignored == job.ignored:
        for k in range(n):
            rows.ignored[k] = labels[k] == job.ignored
            if rows.ignored[k]:
                rows.any_ignored = True
                rows.label[k] = 0
                rows.weight[k] = 0
    if job.class_weights != NULL and not job.dense:
        for k in range(n):
            rows.share[k] = job.class_weights[rows.label[k]]


cdef inline void make_targets(const RowJob *job, Py_ssize_t n, bint turned, const Group *rows,
                              real *t) noexcept nogil:
    """Class numbers as targets, or soft ones in place: smoothed, times the class weights."""
    cdef Py_ssize_t across = 1 if turned else job.classes     # from row to row
    cdef Py_ssize_t along = LANES if turned else 1
    cdef Py_ssize_t r, j
    cdef double keep = 1 - job.smoothing
    cdef double base = job.smoothing / job.classes
    cdef double v
    for r in range(n):
        if not job.soft:
            for j in range(job.classes):
                t[r * across + j * along] = <real>(base * share_of(job, j))
            j = rows.label[r]
            t[r * across + j * along] = <real>((keep + base) * share_of(job, j))
        elif job.class_weights != NULL or job.smoothing != 0:
            for j in range(job.classes):
                v = keep * t[r * across + j * along] + base
                t[r * across + j * along] = <real>(v * share_of(job, j))


cdef inline void label_slopes(const Group *rows, const double *scale, real *e) noexcept nogil:
    """Gradient by the score of the label: s - 1, or - (1 - s), from e of the label."""
    cdef Py_ssize_t k
    cdef double slope, v
    for k in range(LANES):
        v = e[k]
        slope = 0 - rows.rest[k] if v == 1 else v - (1 + rows.rest[k])
        e[k] = <real>(scale[k] * (slope * rows.inverse[k]))


cdef inline void close_group(const RowJob *job, Py_ssize_t start, Py_ssize_t n, const real *top,
                             Group *rows, Sums *sums) noexcept nogil:
    """Compute the losses of n rows from their sums; store them and add them up."""
    cdef Py_ssize_t k
    cdef double number[LANES]
    cdef real losses[LANES]
    if job.logits:
        settle[real](top, rows)
        if job.dense:
            settle_dense(rows)
        else:
            settle_label[real](top, rows)
    else:
        memcpy(rows.loss, rows.distance, sizeof(rows.loss))
    if rows.any_ignored:
        for k in range(n):
            rows.loss[k] = 0 if rows.ignored[k] else rows.loss[k]
    for k in range(LANES):
        number[k] = rows.weight[k] * rows.loss[k]
        losses[k] = <real>number[k]
    for k in range(n, LANES):
        number[k] = 0
    if job.vectors.f.data != NULL:
        flush[real](&job.vectors, &job.vectors.f, start, n, losses)
    if job.vectors.want_sum and job.classes <= MAX_TURNED_CLASSES:
        add(&sums.loss, fold(number), 0)
    elif job.vectors.want_sum:      # the rows of a group may be fewer in another layout
        for k in range(n):
            add(&sums.loss, number[k], 0)


cdef inline void make_factors(const RowJob *job, Group *rows, real *factors) noexcept nogil:
    cdef Py_ssize_t k
    cdef double scale = job.vectors.scale
    for k in range(LANES):
        rows.scale[k] = scale * rows.weight[k] * rows.share[k]
        if not job.logits:      # a row that is NaN is so as a whole
            rows.scale[k] = rows.scale[k] if rows.loss[k] == rows.loss[k] else NAN
    for k in range(LANES):
        factors[SCALE * LANES + k] = <real>rows.scale[k]
        factors[INVERSE * LANES + k] = <real>rows.inverse[k]
        factors[LACK * LANES + k] = <real>(rows.rest[k] * rows.inverse[k])
        factors[TOTAL * LANES + k] = <real>rows.total[k]
        factors[SLOPE * LANES + k] = <real>(rows.scale[k] * rows.inverse[k])
    for k in range(LANES):
        factors[BEND * LANES + k] = <real>(rows.scale[k] * (rows.total[k] if job.dense else 1))


cdef inline Py_ssize_t rows_of_task(const RowJob *job, Py_ssize_t least) noexcept nogil:
    """Return the number of rows of one task: whole tiles, from the shape alone."""
    cdef Py_ssize_t unit = LANES * max(<Py_ssize_t>1, least // LANES)
    cdef Py_ssize_t units = (job.vectors.size + unit - 1) // unit
    return (units + MAX_TASKS - 1) // MAX_TASKS * unit
