# cython: language_level=3
"""The way of losses of all pairs of rows from the user's arrays to the kernels and back.

Rows are copied once: padded, scaled to unit length if wanted, and centred at the mean of all of
them, which changes no distance and which products get back. What a loss does with the sums over
pairs of each row is a few operations on one number per row, and is left to its Python.
"""
import numpy as np

cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport INFINITY, fabs, frexp, ldexp, sqrt
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from fastloss._core.arrays cimport read
from fastloss._core.batch_rows cimport Rows, blocks_of, doubles, numbers, padded, total_of
from fastloss._core.formulas.math cimport real
from fastloss._core.jobs cimport (ALL, BLOCK_ROWS, CACHE_LINE_BYTES, EXTREMES, HARDEST, LARGEST,
                                  LIFT, MAX_PANEL_ROWS, SEMI_HARD, SUM, TILED_ANCHORS, WEIGH,
                                  BatchJob, BatchLoss, BatchRunner, BatchSide, Entries, Entry, Near,
                                  TripletJob, TripletRunner)
from fastloss._core.threads cimport team_size, wanted_threads

from fastloss._core.simd_level import kernels

cnp.import_array()

cdef BatchRunner run_batch = <BatchRunner>PyCapsule_GetPointer(kernels.RUN_BATCH,
                                                               "fastloss.run_batch")

cdef TripletRunner run_triplets = <TripletRunner>PyCapsule_GetPointer(kernels.RUN_TRIPLETS,
                                                                      "fastloss.run_triplets")

EXTREMES_LOSS = kernels.bind_extremes()

cdef enum:
    PAIR_LIST_BYTES = 1 << 20    # bytes of lists of pairs kept at a time, about
    KEPT_WEIGHT_BYTES = 1 << 22  # bytes of rows of weights
    NUMBERS_PER_ROW = 6          # weight, two shifts and three factors that a pass reads


cdef bint any_nan(cnp.ndarray a) noexcept:
    """Whether a vector of doubles has a NaN."""
    cdef Py_ssize_t i
    cdef bint found = False
    for i in range(cnp.PyArray_SIZE(a)):
        found |= numbers(a)[i] != numbers(a)[i]
    return found


def read_numbers(object x, str name):
    """`x` as an array of a supported dtype, not copied if it has one."""
    return read(x, name)


def small_labels(tuple sides):
    """Integers >= 0 that are not much larger than they are many, as int32, and a bound above them.

    None if they are not that.
    """
    cdef cnp.ndarray a
    cdef const cnp.int64_t *x
    cdef cnp.int64_t least = 0, most = -1
    cdef Py_ssize_t i, count = 0
    cdef list found = []
    for side in sides:
        # a copy, so that what is checked stays; large uint64 become negative
        a = np.array(side, np.int64, order="C")
        x = <const cnp.int64_t *>cnp.PyArray_DATA(a)
        count += cnp.PyArray_DIM(a, 0)
        for i in range(cnp.PyArray_DIM(a, 0)):
            least = min(least, x[i])
            most = max(most, x[i])
        found.append(a)
    if least < 0 or most >= 4 * count + 1024:
        return None
    return [a.astype(np.int32) for a in found], int(most + 1)


def total(cnp.ndarray a):
    """The sum of a vector of doubles."""
    return total_of(numbers(a), cnp.PyArray_SIZE(a))


def class_sizes(cnp.ndarray codes, cnp.ndarray others, Py_ssize_t n_codes, bint symmetric):
    """How many of the others are of each row's class, and how many not; int32 codes < n_codes.

    Of the same batch, if `symmetric`: a row is none of the others to itself.
    """
    cdef cnp.ndarray sizes = doubles(n_codes)
    cdef cnp.ndarray same = doubles(cnp.PyArray_DIM(codes, 0))
    cdef cnp.ndarray different = doubles(cnp.PyArray_DIM(codes, 0))
    cdef const int *mine = <const int *>cnp.PyArray_DATA(codes)
    cdef const int *theirs = <const int *>cnp.PyArray_DATA(others)
    cdef Py_ssize_t i, count = cnp.PyArray_DIM(others, 0)
    for i in range(count):
        numbers(sizes)[theirs[i]] += 1
    for i in range(cnp.PyArray_DIM(codes, 0)):
        numbers(same)[i] = numbers(sizes)[mine[i]]
        numbers(different)[i] = count - numbers(same)[i]
        numbers(same)[i] -= symmetric
    return same, different


cdef Py_ssize_t column_size(Rows rows) noexcept:
    """Bytes of a number per row, padded; the widest vector may be read from the last one on."""
    return (padded(rows.n) + MAX_PANEL_ROWS) * (4 if rows.single else 8)


cdef char *fill(Rows rows, char *column, value) except NULL:
    """A number of each row, or one for all, in the computation's type; returns the column."""
    if rows.single:
        fill_typed[float](rows, <float *>column, value)
    else:
        fill_typed[double](rows, <double *>column, value)
    return column


cdef fill_typed(Rows rows, real *column, value):
    cdef Py_ssize_t i
    cdef cnp.ndarray array
    cdef double number
    memset(column, 0, column_size(rows))
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value, np.float64)
        for i in range(rows.n):
            column[i] = <real>numbers(array)[i]
    else:
        number = value
        for i in range(rows.n):
            column[i] = <real>number


STEPS = {"largest": LARGEST, "sum": SUM, "weigh": WEIGH, "lift": LIFT, "extremes": EXTREMES}


cdef class Pairs:
    """All pairs of the rows of a batch, or of two: passes over them, and what they sum up to."""

    cdef readonly Rows a
    cdef readonly Rows b
    cdef bint symmetric
    cdef bint distance
    cdef bint single
    cdef int n_threads
    cdef Py_ssize_t dim
    cdef Py_ssize_t width
    cdef cnp.ndarray center
    cdef bint cosine
    cdef double tolerance
    cdef double largest            # square of a length, of losses of distances

    def __init__(self, x, labels, others, other_labels, *, bint distance, bint normalize,
                 bint cosine, n_threads):
        cdef Rows rows
        cdef Py_ssize_t i, k, count = 0, block = 0
        cdef double *totals
        cdef int wanted = wanted_threads(n_threads)
        self.symmetric = others is None
        self.distance = distance
        self.a = Rows(x, labels, normalize, distance)
        self.b = self.a if others is None else Rows(others, other_labels, normalize, distance)
        self.single = self.a.single
        # of no rows the length is of no use, and may be any
        self.dim = self.a.dim if self.a.n + self.b.n else 0
        self.width = padded(self.dim)
        self.n_threads = team_size(
            wanted, self.a.n * self.b.n * max(self.dim, <Py_ssize_t>1) // 16)
        # no more than there may be work for at a time
        count = padded(max(self.a.n, self.b.n, <Py_ssize_t>1)) // MAX_PANEL_ROWS
        self.n_threads = <int>min(<Py_ssize_t>self.n_threads, count)
        count = 0
        sums = doubles((blocks_of(self.a.n) + blocks_of(self.b.n)) * self.dim)
        totals = numbers(sums)
        for rows in self.sides():
            rows.measure(totals + block * self.dim, self.n_threads)
            block += blocks_of(rows.n)
            count += rows.n
        self.center = doubles(self.dim)
        for i in range(block):
            for k in range(self.dim):
                numbers(self.center)[k] += totals[i * self.dim + k]
        for k in range(self.dim if count else 0):
            numbers(self.center)[k] /= count
        if distance and not normalize:
            self.settle_center()
        for rows in self.sides():
            # 1 - cos is half the square of the distance of unit rows
            rows.pack(numbers(self.center), cosine, self.n_threads)
        self.cosine = cosine
        self.tolerance = self.find_tolerance() if distance else 0

    cdef void settle_center(self):
        """Replace the mean by numbers near it from which others may have exact differences."""
        cdef Rows rows
        cdef cnp.ndarray found = doubles(self.dim)      # 0: no center at all
        cdef Py_ssize_t k
        for rows in self.sides():
            rows.closest(numbers(self.center), numbers(found))
        for k in range(self.dim):
            # NaN and infinity stay
            if fabs(numbers(self.center)[k]) < INFINITY:
                numbers(self.center)[k] = numbers(found)[k]

    cdef double find_tolerance(self):
        """What squares of distances are off by at most, relative to the squares of both lengths."""
        cdef int digits = 24 if self.single else 53
        cdef int exponent = 0
        cdef double base = 0
        cdef double dim = self.dim
        self.largest = base = max(self.a.largest_base(), self.b.largest_base())
        if not self.a.normalize and base < INFINITY:
            # sums up to twice this are exact if they are of multiples of the square of the grid
            frexp(2 * base, &exponent)
            exponent += exponent % 2 - digits + digits % 2
            if (exponent > (-149 if self.single else -1074)
                    and self.a.exact(ldexp(1, exponent // 2))
                    and (self.symmetric or self.b.exact(ldexp(1, exponent // 2)))):
                return 0
        # Of sums of that many products that grow steadily, whose roundings go both ways, six times
        # what is to be expected.
        return ldexp(2 + sqrt(dim), 1 - digits)

    cdef tuple sides(self):
        return (self.a,) if self.symmetric else (self.a, self.b)

    cdef char *describe(self, BatchSide *side, Rows rows, char *columns, tuple shift, tuple factor,
                        weight) except NULL:
        """Describe a side, whose numbers per row go to `columns`; returns where those end."""
        cdef int k
        cdef Py_ssize_t stride = column_size(rows)
        memset(side, 0, sizeof(BatchSide))
        side.n = rows.n
        side.x = cnp.PyArray_DATA(rows.x)
        side.base = cnp.PyArray_DATA(rows.base)
        side.label = <int *>cnp.PyArray_DATA(rows.labels)
        side.weight = fill(rows, columns, weight)
        for k in range(2):
            side.shift[k] = fill(rows, columns + (1 + k) * stride, shift[k])
        for k in range(3):
            side.factor[k] = fill(rows, columns + (3 + k) * stride, factor[k])
        for k in range(6):
            side.sums[k] = numbers(rows.sums) + k * (padded(rows.n) + 1)
        if rows.g is not None:
            side.g = cnp.PyArray_DATA(rows.g)
        side.rest = numbers(rows.rest)
        if rows.source is not None:
            side.source = cnp.PyArray_DATA(rows.source)
        side.norm = numbers(rows.norm) if rows.normalize else NULL
        side.lift = numbers(rows.lift)
        return columns + NUMBERS_PER_ROW * stride

    def run(self, bytes loss, str step, *, bint gradient=False, bint others=True,
            bint columns=True, tuple shift=((0.0, 0.0), (0.0, 0.0)),
            tuple factor=((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)), tuple weight=(0.0, 0.0),
            bint each=False, bint more=False, tuple thresholds=(), double of_square=0):
        """Pass over all pairs.

        Parameters
        ----------
        loss : bytes
            What a `bind_*` of the kernels returned.
        step : {"largest", "sum", "weigh", "lift", "extremes"}
        gradient : bool
            Whether to make sums for gradients; of the other side too if `others`.
        columns : bool
            Whether the sums of the other side are wanted.
        shift, factor, weight
            For each side; see `BatchSide`. Numbers, or arrays of one number per row.
        each : bool
            Whether shifts differ from row to row.
        more : bool
            Whether to add to the sums for gradients that the last pass made.
        thresholds : tuple of float
            Distances at which the cost of a pair begins or ends.
        of_square : float
            What the square of a distance is multiplied by to be one; 0 for the distance itself.

        Returns
        -------
        cost, counted : float
            Of the step "weigh" of sums over pairs.
        """
        cdef BatchJob job
        cdef Py_ssize_t size = 4 if self.single else 8
        cdef Py_ssize_t blocks = blocks_of(self.a.n)
        cdef Py_ssize_t columns_size = NUMBERS_PER_ROW * (column_size(self.a) + column_size(self.b))
        cdef char *block
        cdef char *end
        cdef cnp.ndarray costs = doubles(2 * blocks)
        cdef Rows rows
        job.step = STEPS[step]
        for rows in self.sides():
            rows.start(gradient and (others or rows is self.a), job.step == LARGEST
                       or job.step == EXTREMES, more)
        job.single = self.single
        job.symmetric = self.symmetric
        job.columns = columns or self.symmetric
        job.distance = self.distance
        job.each = each
        job.cosine = self.cosine
        job.tolerance = self.tolerance
        job.largest = self.largest
        job.factor = of_square
        job.n_critical = 0
        for threshold in thresholds if self.tolerance > 0 else ():
            square = threshold / of_square if of_square else threshold * threshold
            if 0 < square < 5 * self.largest:     # else no distance is near
                job.threshold[job.n_critical] = threshold
                job.critical[job.n_critical] = square
                job.n_critical += 1
        job.gradient = gradient
        job.n_threads = <int>max(1, min(self.n_threads, blocks))
        job.dim = self.dim
        job.width = self.width
        job.cost = numbers(costs)
        job.counted = job.cost + blocks
        job.loss = <const BatchLoss *><const char *>loss
        job.scratch_size = (size * (MAX_PANEL_ROWS * (self.dim + 3 * BLOCK_ROWS)
                                    + TILED_ANCHORS * BLOCK_ROWS)
                            + MAX_PANEL_ROWS * BLOCK_ROWS * sizeof(Near))
        job.scratch_size += CACHE_LINE_BYTES - job.scratch_size % CACHE_LINE_BYTES
        block = <char *>malloc(job.scratch_size * job.n_threads + columns_size + CACHE_LINE_BYTES)
        if block == NULL:
            raise MemoryError
        try:
            job.scratch = block + CACHE_LINE_BYTES - <size_t>block % CACHE_LINE_BYTES
            end = job.scratch + job.scratch_size * job.n_threads
            end = self.describe(&job.a, self.a, end, shift[0], factor[0], weight[0])
            job.b = job.a
            if not self.symmetric:
                self.describe(&job.b, self.b, end, shift[1], factor[1], weight[1])
            with nogil:
                run_batch(&job)
        finally:
            free(block)
        return total_of(job.cost, blocks), total_of(job.counted, blocks)

    def triplets(self, str mining, double margin, bint soft, str distance, *, bint gradient,
                 bint others, weight):
        """Mine triplets of each row of side a, and make sums for gradients.

        Returns
        -------
        cost, terms, nonzero : float
            Weighted sums over anchors: of costs, of how many terms there are, of those not 0.
        """
        cdef TripletJob job
        cdef Py_ssize_t size = 4 if self.single else 8
        cdef Py_ssize_t most, block, n = self.a.n
        cdef bint failed = False
        cdef cnp.ndarray sums = doubles(3 * n)
        cdef Rows rows
        cdef Py_ssize_t classes = max(self.a.n_classes(), self.b.n_classes())
        cdef cnp.ndarray members = np.empty(self.b.n, np.intp)
        cdef cnp.ndarray starts = np.zeros(classes + 1, np.intp)
        cdef Py_ssize_t largest = self.b.by_class(
            classes, <Py_ssize_t *>cnp.PyArray_DATA(starts),
            <Py_ssize_t *>cnp.PyArray_DATA(members))
        if mining == "hard":
            self.run(EXTREMES_LOSS, "extremes", columns=False)
        for rows in self.sides():
            rows.start(gradient and (others or rows is self.a), False, False, mining == "hard")
        columns = np.empty(NUMBERS_PER_ROW * (column_size(self.a) + column_size(self.b)), np.uint8)
        none = (0.0, 0.0, 0.0)
        self.describe(&job.b, self.b,
                      self.describe(&job.a, self.a, cnp.PyArray_BYTES(columns), none, none, weight),
                      none, none, 0.0)
        if self.symmetric:
            job.b = job.a
        job.single = self.single
        job.symmetric = self.symmetric
        job.cosine = self.cosine
        job.tolerance = self.tolerance
        job.largest = self.largest
        job.gradient = gradient
        job.others = self.symmetric or others
        job.euclidean = distance == "euclidean"
        job.factor = 0.5 if distance == "cosine" else 1
        job.soft = soft
        job.margin = margin
        job.mining = {"hard": HARDEST, "semi-hard": SEMI_HARD, "all": ALL}[mining]
        job.dim = self.dim
        job.width = self.width
        job.pitch = padded(self.b.n)
        if any_nan(self.center):       # no distance is known, and so no order of them
            self.a.rest.fill(np.nan)
            self.b.rest.fill(np.nan)
            return np.nan, 1.0, 1.0
        if mining == "all":
            most = KEPT_WEIGHT_BYTES // max(<Py_ssize_t>1, job.pitch * size)
        else:       # two pairs, or two of each positive
            most = max(<Py_ssize_t>1, largest) if mining == "semi-hard" else 1
            most = PAIR_LIST_BYTES // (2 * sizeof(Entry) * most)
        job.together = padded(max(<Py_ssize_t>1, min(most, n)))
        job.n_threads = <int>max(1, min(self.n_threads, job.together // MAX_PANEL_ROWS))
        job.members = <const Py_ssize_t *>cnp.PyArray_DATA(members)
        job.starts = <const Py_ssize_t *>cnp.PyArray_DATA(starts)
        job.cost = numbers(sums)
        job.terms = job.cost + n
        job.nonzero = job.terms + n
        weights = np.empty((job.together if mining == "all" else 1) * job.pitch, self.a.dtype)
        lists = np.zeros(job.together // MAX_PANEL_ROWS * sizeof(Entries), np.uint8)
        job.weights = cnp.PyArray_BYTES(<cnp.ndarray>weights)
        job.lists = <Entries *>cnp.PyArray_DATA(<cnp.ndarray>lists)
        job.failed = &failed
        # distances in twice the precision, and which of them are known
        job.scratch_size = job.pitch * (2 * sizeof(double) + 1) if self.tolerance > 0 else 0
        job.scratch_size += size * MAX_PANEL_ROWS * self.dim
        if mining == "all":
            job.scratch_size += size * 2 * job.pitch
        else:
            job.scratch_size += size * (MAX_PANEL_ROWS + 1) * job.pitch
        job.scratch_size += CACHE_LINE_BYTES - job.scratch_size % CACHE_LINE_BYTES
        scratch = np.empty(job.scratch_size * job.n_threads, np.uint8)
        job.scratch = cnp.PyArray_BYTES(<cnp.ndarray>scratch)
        with nogil:
            run_triplets(&job)
            for block in range(job.together // MAX_PANEL_ROWS):
                free(job.lists[block].at)
        if failed:
            raise MemoryError
        return total_of(job.cost, n), total_of(job.terms, n), total_of(job.nonzero, n)

    def weight_sums(self):
        """The sum of weights of pairs of each row of the first side, of the last pass."""
        return self.a.rest[:self.a.n]

    def gradient(self, Rows rows, double scale):
        """The gradient by the rows of one side, and the sum of its products with the scaled rows.

        `scale` multiplies all that was summed, which it replaces where nothing is padded.
        """
        return rows.gradient(self.center, scale, self.n_threads)
