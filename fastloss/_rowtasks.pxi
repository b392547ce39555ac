"""Row-wise losses: groups of rows through the passes of `_rowwise.pxi`.

Part of `_kernels.pyx`.
"""

# ---- groups of rows ----------------------------------------------------------------------


cdef inline double share_of(const RowJob *job, Py_ssize_t label) noexcept nogil:
    return 1 if job.class_weights == NULL else job.class_weights[label]


cdef inline void open_group(const RowJob *job, Py_ssize_t start, Py_ssize_t n, real tag,
                            Group *rows) noexcept nogil:
    """Labels and weights of n rows."""
    cdef double label_block[BLOCK]
    cdef real weight_block[BLOCK]
    cdef const double *labels
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
    labels = fetch[double](&job.vectors, &job.vectors.y, start, n, label_block)
    for k in range(n):
        rows.label[k] = <Py_ssize_t>labels[k]
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


# ---- one tile, one row -------------------------------------------------------------------


cdef inline void sum_groups(const RowJob *job, Py_ssize_t n, const real *z, real *e, const real *t,
                            const real *top, Group *lanes) noexcept nogil:
    """Sums of n groups whose largest scores are known; without e the exponentials are lost."""
    cdef real panel[PANEL * LANES]
    cdef Py_ssize_t i, at, m
    if not job.logits:
        add_logs[real](&job.clip, n, z, t, lanes)
        if e != NULL and e != z:
            memcpy(e, z, n * LANES * sizeof(real))
        return
    if job.dense:
        add_distances[real](n, z, t, top, lanes)
    for i in range((n + PANEL - 1) // PANEL):
        at, m = i * PANEL * LANES, min(n - i * PANEL, <Py_ssize_t>PANEL)
        exponentials[real](m, z + at, top, e + at if e != NULL else panel)
        add_rest[real](m, e + at if e != NULL else panel, lanes)


cdef inline void sum_tile(const RowJob *job, Py_ssize_t n, real *z, const real *t, real *top,
                          Group *rows) noexcept nogil:
    """Sums of a turned tile of n rows; the scores become exponentials."""
    cdef Py_ssize_t k
    for k in range(LANES):
        top[k] = -INFINITY
    largest[real](job.classes, z, top)
    if not job.dense:
        for k in range(n):
            rows.at_label[k] = z[rows.label[k] * LANES + k]
    sum_groups[real](job, job.classes, z, z, t, top, rows)


cdef inline void fill_tail(const RowJob *job, const real *row, real filler, real *tail) noexcept nogil:
    """What is beyond the last whole group of a row, as a group."""
    cdef Py_ssize_t main = job.classes // LANES * LANES
    cdef Py_ssize_t k
    for k in range(LANES):
        tail[k] = row[main + k] if k < job.classes - main else filler


cdef inline void sum_row(const RowJob *job, Py_ssize_t k, const real *z, real *e, const real *t,
                         real *top, Group *rows) noexcept nogil:
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
    sum_groups[real](job, groups, z, e, t, m, &lanes)
    if beyond:
        sum_groups[real](job, 1, z_tail, e_tail, t_tail, m, &lanes)
        if e != NULL:
            memcpy(e + groups * LANES, e_tail, beyond * sizeof(real))
    rows.low[k], rows.ones[k] = fold(lanes.low), fold(lanes.ones)
    rows.total[k], rows.distance[k] = fold(lanes.total), fold(lanes.distance)


cdef inline void derive(const RowJob *job, Py_ssize_t n, real *e, const real *t, real *h,
                        const real *lanes) noexcept nogil:
    """From exponentials, or probabilities, to derivatives, in place: n groups."""
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
    """The same for row k of a group, whose factors go into all lanes."""
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


# ---- what the rows of a group have one number of -----------------------------------------


cdef inline void close_group(const RowJob *job, Py_ssize_t start, Py_ssize_t n, const real *top,
                             Group *rows, Sums *sums) noexcept nogil:
    """From the sums of n rows to their losses, and where those go."""
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
    if job.vectors.want_sum and job.classes <= TURNED:
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


# ---- groups, tasks, threads --------------------------------------------------------------


cdef inline real *row_of(const RowJob *job, const Operand *a, bint direct, Py_ssize_t start,
                         Py_ssize_t k, real *block) noexcept nogil:
    """Where row k of the rows from start is worked on."""
    if direct:
        return <real *>(a.data + (start + k) * a.strides[0])
    return block + k * job.classes


cdef void run_rows_together(const RowJob *job, Py_ssize_t start, Py_ssize_t n, real tag,
                            char *scratch, Sums *sums) noexcept nogil:
    """Rows that are worked on together: pass by pass, so that passes of short rows overlap."""
    cdef Group groups[TILES]
    cdef real top[TILES * LANES]
    cdef real label_slope[LANES]
    cdef real factors[N_FACTORS * LANES]
    cdef const Job *at = &job.vectors
    cdef bint turned = job.classes <= TURNED
    cdef bint has_g = at.outputs != VALUE
    cdef bint has_h = at.outputs == GRAD_HESS
    cdef bint direct_g = has_g and not turned and at.g.direct
    cdef bint direct_h = has_h and not turned and at.h.direct
    cdef bint direct_p = not turned and at.p.direct
    cdef Py_ssize_t size = LANES * job.classes          # of a tile
    cdef Py_ssize_t space = (job.together * job.classes + LANES) * sizeof(double)
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
    for tile in range(tiles):
        count = min(n - tile * LANES, <Py_ssize_t>LANES)
        open_group[real](job, start + tile * LANES, count, 0, &groups[tile])
        if not direct_p:
            read_tile[real](job, &at.p, start + tile * LANES, count, turned, z + tile * size, spare)
        if job.soft:
            read_tile[real](job, &at.y, start + tile * LANES, count, turned, t + tile * size, spare)
        if job.dense:
            make_targets[real](job, count, turned, &groups[tile], t + tile * size)
    if turned:
        for tile in range(tiles):
            sum_tile[real](job, min(n - tile * LANES, <Py_ssize_t>LANES), z + tile * size,
                           t + tile * size, top + tile * LANES, &groups[tile])
    else:
        for k in range(LANES):
            top[k] = 0
        for k in range(n):
            sum_row[real](job, k, row_of[real](job, &at.p, direct_p, start, k, z),
                          row_of[real](job, &at.g, direct_g, start, k, g) if has_g else NULL,
                          t + k * job.classes, top, &groups[0])
    for tile in range(tiles):
        close_group[real](job, start + tile * LANES, min(n - tile * LANES, <Py_ssize_t>LANES),
                          top + tile * LANES, &groups[tile], sums)
    if not has_g:
        return
    for tile in range(tiles):
        rows = &groups[tile]
        count = min(n - tile * LANES, <Py_ssize_t>LANES)
        make_factors[real](job, rows, factors)
        if turned:
            to_g = g + tile * size
            to_h = h + tile * size
            if not job.dense:
                for k in range(count):
                    label_slope[k] = to_g[rows.label[k] * LANES + k]
                for k in range(count, LANES):
                    label_slope[k] = 0
                label_slopes[real](rows, rows.scale, label_slope)
            derive[real](job, job.classes, to_g, t + tile * size, to_h if has_h else NULL, factors)
            if not job.dense:
                for k in range(count):
                    to_g[rows.label[k] * LANES + k] = label_slope[k]
            if rows.any_ignored:
                for k in range(count):
                    if rows.ignored[k]:
                        for i in range(job.classes):
                            to_g[i * LANES + k] = 0
                            to_h[i * LANES + k] = 0
            write_tile[real](job, &at.g, start + tile * LANES, count, True, to_g, spare)
            if has_h:
                write_tile[real](job, &at.h, start + tile * LANES, count, True, to_h, spare)
            continue
        if not job.dense:
            for k in range(count):
                to_g = row_of[real](job, &at.g, direct_g, start, k, g)
                label_slope[k] = to_g[rows.label[k]]
            for k in range(count, LANES):
                label_slope[k] = 0
            label_slopes[real](rows, rows.scale, label_slope)
        for k in range(count):
            to_g = row_of[real](job, &at.g, direct_g, start, k, g)
            to_h = row_of[real](job, &at.h, direct_h, start, k, h) if has_h else NULL
            derive_row[real](job, k, to_g, t + k * job.classes, to_h, factors)
            if not job.dense:
                to_g[rows.label[k]] = label_slope[k]
            if rows.any_ignored and rows.ignored[k]:
                memset(to_g, 0, job.classes * sizeof(real))
                if has_h:
                    memset(to_h, 0, job.classes * sizeof(real))
        if not direct_g:
            write_tile[real](job, &at.g, start, count, False, g, spare)
        if has_h and not direct_h:
            write_tile[real](job, &at.h, start, count, False, h, spare)


cdef Py_ssize_t rows_of_task(const RowJob *job, Py_ssize_t least) noexcept nogil:
    """Rows of one task: whole tiles, from the shape alone."""
    cdef Py_ssize_t unit = LANES * max(<Py_ssize_t>1, least // LANES)
    cdef Py_ssize_t units = (job.vectors.size + unit - 1) // unit
    return (units + MAX_TASKS - 1) // MAX_TASKS * unit


cdef void run_rows_task(const RowJob *job, Py_ssize_t start, Py_ssize_t stop, int thread,
                        Sums *sums) noexcept nogil:
    cdef char *scratch = job.scratch + thread * job.scratch_size
    cdef Py_ssize_t i, at
    memset(sums, 0, sizeof(Sums))
    for i in range((stop - start + job.together - 1) // job.together):
        at = start + i * job.together
        if job.vectors.single:
            run_rows_together[float](job, at, min(stop - at, job.together), 0, scratch, sums)
        else:
            run_rows_together[double](job, at, min(stop - at, job.together), 0, scratch, sums)


cdef void run_rows(const RowJob *job, Sums *all) noexcept nogil:
    cdef Sums sums[MAX_TASKS]
    cdef Py_ssize_t size = job.vectors.size
    cdef Py_ssize_t length = rows_of_task(job, CHUNK // max(job.classes, <Py_ssize_t>1))
    cdef Py_ssize_t tasks = (size + length - 1) // length if size else 0
    cdef Py_ssize_t task
    cdef int n_threads = <int>min(tasks, <Py_ssize_t>job.vectors.n_threads)
    memset(all, 0, sizeof(Sums))
    if n_threads <= 1:
        for task in range(tasks):
            run_rows_task(job, task * length, min(size, (task + 1) * length), 0, &sums[task])
    else:
        for task in prange(tasks, schedule="dynamic", num_threads=n_threads):
            run_rows_task(job, task * length, min(size, (task + 1) * length), threadid(),
                          &sums[task])
    for task in range(tasks):
        add(&all.loss, sums[task].loss.high, sums[task].loss.low)
    all.loss.high += all.loss.low if all.loss.low == all.loss.low else 0


# ---- labels and weights alone ------------------------------------------------------------


cdef void survey_block(const RowJob *job, Py_ssize_t start, Py_ssize_t n, real tag,
                       Survey *survey) noexcept nogil:
    cdef double label_block[BLOCK]
    cdef real weight_block[BLOCK]
    cdef double share[BLOCK]
    cdef const double *labels = label_block
    cdef const real *w = NULL
    cdef Py_ssize_t i
    cdef Py_ssize_t wrong = 0
    cdef double classes = job.classes
    cdef double whole = <double>(1 << 26) * (1 << 26)
    cdef double v
    if job.vectors.w.data != NULL:
        w = fetch[real](&job.vectors, &job.vectors.w, start, n, weight_block)
    if not job.soft:
        labels = fetch[double](&job.vectors, &job.vectors.y, start, n, label_block)
        for i in range(n):
            v = labels[i]
            # adding and taking off 2^52 rounds to a whole number
            wrong += 0 if ((v >= 0 and v < classes and (v + whole) - whole == v)
                           or v == job.ignored) else 1
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


cdef void survey_task(const RowJob *job, Py_ssize_t start, Py_ssize_t stop,
                      Survey *survey) noexcept nogil:
    cdef Py_ssize_t at = start
    memset(survey, 0, sizeof(Survey))
    survey.bad = -1
    while at < stop and survey.bad < 0:
        if job.vectors.single:
            survey_block[float](job, at, min(stop - at, <Py_ssize_t>BLOCK), 0, survey)
        else:
            survey_block[double](job, at, min(stop - at, <Py_ssize_t>BLOCK), 0, survey)
        at += BLOCK


cdef void survey_rows(const RowJob *job, Survey *all) noexcept nogil:
    """Find a label that is none, and sum up what weighs."""
    cdef Survey surveys[MAX_TASKS]
    cdef Py_ssize_t size = job.vectors.size
    cdef Py_ssize_t length = rows_of_task(job, CHUNK)
    cdef Py_ssize_t tasks = (size + length - 1) // length if size else 0
    cdef Py_ssize_t task
    cdef int n_threads = <int>min(tasks, <Py_ssize_t>job.vectors.n_threads)
    memset(all, 0, sizeof(Survey))
    all.bad = -1
    if n_threads <= 1:
        for task in range(tasks):
            survey_task(job, task * length, min(size, (task + 1) * length), &surveys[task])
    else:
        for task in prange(tasks, schedule="dynamic", num_threads=n_threads):
            survey_task(job, task * length, min(size, (task + 1) * length), &surveys[task])
    for task in range(tasks):
        add(&all.weight, surveys[task].weight.high, surveys[task].weight.low)
        all.count += surveys[task].count
        if all.bad < 0:
            all.bad = surveys[task].bad
    all.weight.high += all.weight.low if all.weight.low == all.weight.low else 0


RUN_ROWS = PyCapsule_New(<void *>run_rows, "fastloss.run_rows", NULL)
SURVEY_ROWS = PyCapsule_New(<void *>survey_rows, "fastloss.survey_rows", NULL)
