"""Row-wise losses: groups of rows through the passes of `rows_passes.pxd`.

Part of `_kernels.pyx`.
"""
from cpython.pycapsule cimport PyCapsule_New
from cpython.pyport cimport PY_SSIZE_T_MAX
from cython.parallel cimport prange, threadid
from libc.math cimport INFINITY
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from fastloss._core.formulas.math cimport real
from fastloss._core.fpmode cimport Mode, enter_default_mode, is_default_mode, leave_default_mode
from fastloss._core.jobs cimport (CACHE_LINE_BYTES, CHUNK_ELEMENTS, GRAD_HESS, LANES, MAX_TILES,
                                  MAX_TURNED_CLASSES, PANEL_GROUPS, PART_CLASSES, VALUE, Job,
                                  Operand, RowJob, Sums)
from fastloss._core.loops.layout cimport fetch, whole_lines
from fastloss._core.loops.row_tiles cimport move_rows
from fastloss._core.loops.rows_groups cimport (close_group, label_slopes, make_factors,
                                               make_targets, open_group, rows_of_task)
from fastloss._core.loops.rows_passes cimport (BEND, INVERSE, LACK, N_FACTORS, SCALE, SLOPE, TOTAL,
                                               Group, add_distances, add_logs, add_rest, curves,
                                               dense_slopes, exponentials, largest, log_slopes,
                                               slopes)
from fastloss._core.loops.sums cimport add, fold, round_once

# ---- one tile, one row -------------------------------------------------------------------


cdef inline void sum_groups(const RowJob *job, Py_ssize_t n, const real *z, real *e, const real *t,
                            const real *top, real *panel, Group *lanes) noexcept nogil:
    """Sums of n groups whose largest scores are known; without e the exponentials are lost.

    `panel` is room for PANEL_GROUPS groups.
    """
    cdef Py_ssize_t i, at, m
    if not job.logits:
        add_logs[real](&job.clip, n, z, t, lanes)
        if e != NULL and e != z:
            memcpy(e, z, n * LANES * sizeof(real))
        return
    if job.dense:
        add_distances[real](n, z, t, top, lanes)
    for i in range((n + PANEL_GROUPS - 1) // PANEL_GROUPS):
        at, m = i * PANEL_GROUPS * LANES, min(n - i * PANEL_GROUPS, <Py_ssize_t>PANEL_GROUPS)
        exponentials[real](m, z + at, top, e + at if e != NULL else panel)
        add_rest[real](m, e + at if e != NULL else panel, lanes)


cdef inline void sum_tile(const RowJob *job, Py_ssize_t n, real *z, const real *t, real *top,
                          real *panel, Group *rows) noexcept nogil:
    """Sums of a turned tile of n rows; the scores become exponentials."""
    cdef Py_ssize_t k
    for k in range(LANES):
        top[k] = -INFINITY
    largest[real](job.classes, z, top)
    if not job.dense:
        for k in range(n):
            rows.at_label[k] = z[rows.label[k] * LANES + k]
    sum_groups[real](job, job.classes, z, z, t, top, panel, rows)


cdef inline void fill_tail(const RowJob *job, const real *row, real filler,
                           real *tail) noexcept nogil:
    """Copy the classes beyond the last whole group of a row into a group of their own."""
    cdef Py_ssize_t main = job.classes // LANES * LANES
    cdef Py_ssize_t k
    for k in range(LANES):
        tail[k] = row[main + k] if k < job.classes - main else filler


cdef inline void sum_row(const RowJob *job, Py_ssize_t k, const real *z, real *e, const real *t,
                         real *top, real *panel, Group *rows) noexcept nogil:
    """Sums of row k of a group, LANES classes at a time, then over the lanes."""
    cdef Group lanes
    cdef real m[LANES]
    cdef real z_tail[LANES]
    cdef real e_tail[LANES]
    cdef real t_tail[LANES]
    cdef Py_ssize_t i
    cdef Py_ssize_t groups = job.classes // LANES
    cdef Py_ssize_t beyond = job.classes - groups * LANES
    cdef real filler = <real>(-INFINITY if job.logits else 0.5)
    for i in range(LANES):
        m[i] = -INFINITY
        lanes.low[i] = lanes.ones[i] = lanes.total[i] = lanes.distance[i] = 0
    fill_tail[real](job, z, filler, z_tail)
    if job.logits:
        largest[real](groups, z, m)
        largest[real](1, z_tail, m)
        for i in range(1, LANES):
            m[0] = m[i] if m[i] > m[0] else m[0]
        for i in range(1, LANES):
            m[i] = m[0]
    top[k] = m[0]
    if job.dense:
        fill_tail[real](job, t, 0, t_tail)
    else:
        rows.at_label[k] = z[rows.label[k]]
    sum_groups[real](job, groups, z, e, t, m, panel, &lanes)
    if beyond:
        sum_groups[real](job, 1, z_tail, e_tail, t_tail, m, panel, &lanes)
        if e != NULL:
            memcpy(e + groups * LANES, e_tail, beyond * sizeof(real))
    rows.low[k], rows.ones[k] = fold(lanes.low), fold(lanes.ones)
    rows.total[k], rows.distance[k] = fold(lanes.total), fold(lanes.distance)


cdef inline void derive(const RowJob *job, Py_ssize_t n, real *e, const real *t, real *h,
                        const real *lanes) noexcept nogil:
    """Turn the exponentials or probabilities of n groups into derivatives, in place."""
    cdef const real *scale = lanes + SCALE * LANES
    cdef const real *inverse = lanes + INVERSE * LANES
    cdef const real *lack = lanes + LACK * LANES
    if not job.logits:
        log_slopes[real](&job.clip, n, e, t, scale, h)
        return
    if h != NULL:
        curves[real](n, e, inverse, lack, lanes + BEND * LANES, h)
    if job.dense:
        dense_slopes[real](n, e, t, inverse, lack, lanes + TOTAL * LANES, scale)
    else:
        slopes[real](n, e, lanes + SLOPE * LANES)


cdef inline void derive_row(const RowJob *job, Py_ssize_t k, real *e, const real *t, real *h,
                            const real *factors) noexcept nogil:
    """Turn row k of a group into derivatives; its factors go into all lanes."""
    cdef real lanes[N_FACTORS * LANES]
    cdef real e_tail[LANES]
    cdef real t_tail[LANES]
    cdef real h_tail[LANES]
    cdef Py_ssize_t i
    cdef Py_ssize_t groups = job.classes // LANES
    cdef Py_ssize_t beyond = job.classes - groups * LANES
    for i in range(N_FACTORS * LANES):
        lanes[i] = factors[i // LANES * LANES + k]
    derive[real](job, groups, e, t, h, lanes)
    if beyond:
        fill_tail[real](job, e, 0, e_tail)
        if job.dense:
            fill_tail[real](job, t, 0, t_tail)
        derive[real](job, 1, e_tail, t_tail, h_tail if h != NULL else NULL, lanes)
        memcpy(e + groups * LANES, e_tail, beyond * sizeof(real))
        if h != NULL:
            memcpy(h + groups * LANES, h_tail, beyond * sizeof(real))


# ---- groups, tasks, threads --------------------------------------------------------------

# What a thread needs beside the rows themselves and is too large for a small stack. Doubles
# stand for numbers of either type.
cdef struct RowStage:
    double panel[PANEL_GROUPS * LANES]
    double parts[2 * LANES * PART_CLASSES]


cdef inline Py_ssize_t row_space(const RowJob *job) noexcept nogil:
    """Bytes of the rows worked on together, as tiles; a whole number of cache lines."""
    cdef Py_ssize_t size = (job.together * job.classes + LANES) * <Py_ssize_t>sizeof(double)
    return size // CACHE_LINE_BYTES * CACHE_LINE_BYTES + CACHE_LINE_BYTES


cdef const double *fetch_labels(const RowJob *job, Py_ssize_t start, Py_ssize_t n,
                                double *block) noexcept nogil:
    """Return the labels of n rows as doubles: one function for both types of scores."""
    return fetch[double](&job.vectors, &job.vectors.y, start, n, block)


cdef void carry_rows(const RowJob *job, const Operand *a, Py_ssize_t start, Py_ssize_t n,
                     bint turned, real *tiles, real *spare, RowStage *stage,
                     bint outward) noexcept nogil:
    """Move rows into tiles or outward from them.

    One function for all matrices: inlined at each, gcc runs out of registers where it turns tiles.
    """
    move_rows[real](job, a, start, n, turned, tiles, spare, stage.parts, outward)


cdef inline real *row_of(const RowJob *job, const Operand *a, bint direct, Py_ssize_t start,
                         Py_ssize_t k, real *block) noexcept nogil:
    """Where row k of the rows from start is worked on."""
    if direct:
        return <real *>(a.data + (start + k) * a.strides[0])
    return block + k * job.classes


cdef void run_rows_together(const RowJob *job, Py_ssize_t start, Py_ssize_t n, real tag,
                            char *scratch, Sums *sums) noexcept nogil:
    """Rows that are worked on together: pass by pass, so that passes of short rows overlap."""
    cdef RowStage *stage = <RowStage *>(scratch + 5 * row_space(job))
    cdef Group groups[MAX_TILES]
    cdef double label_block[LANES]
    cdef const double *labels = NULL
    cdef real top[MAX_TILES * LANES]
    cdef real label_slope[MAX_TILES * LANES]
    cdef real *spot[MAX_TILES * LANES]          # of the derivative by the score of the label
    cdef real factors[MAX_TILES * N_FACTORS * LANES]
    cdef real *panel = <real *>stage.panel
    cdef const Job *at = &job.vectors
    cdef bint turned = job.classes <= MAX_TURNED_CLASSES
    cdef bint has_g = at.outputs != VALUE
    cdef bint has_h = at.outputs == GRAD_HESS
    cdef bint direct_g = has_g and not turned and at.g.direct
    cdef bint direct_h = has_h and not turned and at.h.direct
    cdef bint direct_p = not turned and at.p.direct
    cdef Py_ssize_t size = LANES * job.classes          # of a tile
    cdef Py_ssize_t along = LANES if turned else 1      # from class to class
    cdef Py_ssize_t space = row_space(job)
    cdef real *z = <real *>scratch
    cdef real *spare = <real *>(scratch + space)
    cdef real *t = <real *>(scratch + 2 * space)
    cdef real *h = <real *>(scratch + 3 * space)
    cdef real *g = z if turned else <real *>(scratch + 4 * space)
    cdef real *to_g
    cdef real *to_h
    cdef Group *rows
    cdef Py_ssize_t tile, k, i, count, label
    cdef Py_ssize_t tiles = (n + LANES - 1) // LANES
    if not direct_p:
        carry_rows[real](job, &at.p, start, n, turned, z, spare, stage, False)
    if job.soft:
        carry_rows[real](job, &at.y, start, n, turned, t, spare, stage, False)
    for tile in range(tiles):
        count = min(n - tile * LANES, <Py_ssize_t>LANES)
        if not job.soft:
            labels = fetch_labels(job, start + tile * LANES, count, label_block)
        open_group[real](job, start + tile * LANES, count, 0, labels, &groups[tile])
        if job.dense:
            make_targets[real](job, count, turned, &groups[tile], t + tile * size)
    if turned:
        for tile in range(tiles):
            sum_tile[real](job, min(n - tile * LANES, <Py_ssize_t>LANES), z + tile * size,
                           t + tile * size, top + tile * LANES, panel, &groups[tile])
    else:
        for k in range(LANES):
            top[k] = 0
        for k in range(n):
            sum_row[real](job, k, row_of[real](job, &at.p, direct_p, start, k, z),
                          row_of[real](job, &at.g, direct_g, start, k, g) if has_g else NULL,
                          t + k * job.classes, top, panel, &groups[0])
    for tile in range(tiles):
        close_group[real](job, start + tile * LANES, min(n - tile * LANES, <Py_ssize_t>LANES),
                          top + tile * LANES, &groups[tile], sums)
    if not has_g:
        return
    for tile in range(tiles):
        make_factors[real](job, &groups[tile], factors + tile * N_FACTORS * LANES)
    if not job.dense:
        # apart from the passes: what was stored as numbers cannot soon be loaded as a vector
        for k in range(n):
            tile = k // LANES
            label = groups[tile].label[k % LANES]
            if turned:
                spot[k] = g + tile * size + label * LANES + k % LANES
            else:
                spot[k] = row_of[real](job, &at.g, direct_g, start, k, g) + label
            label_slope[k] = spot[k][0]
        for k in range(n, tiles * LANES):
            label_slope[k] = 0
        for tile in range(tiles):
            label_slopes[real](&groups[tile], groups[tile].scale, label_slope + tile * LANES)
    if turned:
        for tile in range(tiles):
            derive[real](job, job.classes, g + tile * size, t + tile * size,
                         h + tile * size if has_h else NULL, factors + tile * N_FACTORS * LANES)
    else:
        for k in range(n):
            derive_row[real](job, k, row_of[real](job, &at.g, direct_g, start, k, g),
                             t + k * job.classes,
                             row_of[real](job, &at.h, direct_h, start, k, h) if has_h else NULL,
                             factors)
    if not job.dense:
        for k in range(n):
            spot[k][0] = label_slope[k]
    for k in range(n):
        rows = &groups[k // LANES]
        if not (rows.any_ignored and rows.ignored[k % LANES]):
            continue
        if turned:
            to_g = g + k // LANES * size + k % LANES
            to_h = h + k // LANES * size + k % LANES
        else:
            to_g = row_of[real](job, &at.g, direct_g, start, k, g)
            to_h = row_of[real](job, &at.h, direct_h, start, k, h)
        for i in range(job.classes):
            to_g[i * along] = 0
            if has_h:
                to_h[i * along] = 0
    if not direct_g:
        carry_rows[real](job, &at.g, start, n, turned, g, spare, stage, True)
    if has_h and not direct_h:
        carry_rows[real](job, &at.h, start, n, turned, h, spare, stage, True)


cdef void run_rows_task(const RowJob *job, Py_ssize_t task, Py_ssize_t length, char *scratch,
                        Sums *sums) noexcept nogil:
    cdef Py_ssize_t start = task * length
    cdef Py_ssize_t stop = min(job.vectors.size, start + length)
    cdef Py_ssize_t i, at
    cdef Mode before = enter_default_mode()
    memset(sums, 0, sizeof(Sums))
    for i in range((stop - start + job.together - 1) // job.together):
        at = start + i * job.together
        if job.vectors.single:
            run_rows_together[float](job, at, min(stop - at, job.together), 0, scratch, sums)
        else:
            run_rows_together[double](job, at, min(stop - at, job.together), 0, scratch, sums)
    leave_default_mode(before)


cdef int run_rows(const RowJob *job, Sums *all) noexcept nogil:
    cdef Sums *sums
    cdef char *room
    cdef Py_ssize_t size = job.vectors.size
    cdef Py_ssize_t length = rows_of_task(job, CHUNK_ELEMENTS // max(job.classes, <Py_ssize_t>1))
    cdef Py_ssize_t tasks = (size + length - 1) // length if size else 0
    cdef Py_ssize_t task, scratch
    cdef int n_threads = <int>min(tasks, <Py_ssize_t>job.vectors.n_threads)
    cdef Mode before
    memset(all, 0, sizeof(Sums))
    if tasks == 0:
        return 0
    # what five spaces and the rest of each thread take has to be a number
    if job.classes > PY_SSIZE_T_MAX // (8 * <Py_ssize_t>sizeof(double) * n_threads) // job.together:
        return -1
    scratch = <Py_ssize_t>sizeof(RowStage) // CACHE_LINE_BYTES * CACHE_LINE_BYTES + CACHE_LINE_BYTES
    scratch += 5 * row_space(job)
    sums = <Sums *>malloc(tasks * sizeof(Sums) + n_threads * scratch + CACHE_LINE_BYTES)
    if sums == NULL:
        return -1
    room = whole_lines(<char *>(sums + tasks))
    before = enter_default_mode()
    if n_threads == 1:
        for task in range(tasks):
            run_rows_task(job, task, length, room, &sums[task])
    else:
        for task in prange(tasks, schedule="dynamic", num_threads=n_threads):
            run_rows_task(job, task, length, room + threadid() * scratch, &sums[task])
    for task in range(tasks):
        add(&all.loss, sums[task].loss.high, sums[task].loss.low)
    round_once(&all.loss)
    leave_default_mode(before)
    free(sums)
    return not is_default_mode(before)


RUN_ROWS = PyCapsule_New(<void *>run_rows, "fastloss.run_rows", NULL)
