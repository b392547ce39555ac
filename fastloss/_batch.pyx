# cython: language_level=3
"""The way of losses of all pairs of rows from the user's arrays to the kernels and back.

Rows are copied once: padded, scaled to unit length if wanted, and centred at the mean of all of
them, which changes no distance and which products get back. What a loss does with the sums over
pairs of each row is a few operations on one number per row, and is left to its Python.
"""
import numpy as np

cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer
from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from fastloss._arrays cimport check_dtype, read
from fastloss._job cimport (ALL, EXTREMES, HARDEST, LARGEST, LIFT, MOST, SEMI_HARD, SIDE, SUM,
                            TILED, WEIGH, BatchJob, BatchLoss, BatchRunner, BatchSide, Entry, Near,
                            TripletJob, TripletRunner)
from fastloss._math cimport real
from fastloss._threads cimport team_size

from fastloss._level import kernels

cnp.import_array()

cdef BatchRunner run_batch = <BatchRunner>PyCapsule_GetPointer(kernels.RUN_BATCH,
                                                               "fastloss.run_batch")

cdef TripletRunner run_triplets = <TripletRunner>PyCapsule_GetPointer(kernels.RUN_TRIPLETS,
                                                                      "fastloss.run_triplets")

EXTREMES_LOSS = kernels.bind_extremes()

cdef enum:
    KEPT = 1 << 20     # bytes of rows of weights and lists of pairs kept at a time, about
    ALIGNED = 64       # bytes: whole cache lines, and the widest vector


cdef inline Py_ssize_t padded(Py_ssize_t n) noexcept nogil:
    return (n + MOST - 1) // MOST * MOST


def read_numbers(object x, str name):
    """`x` as an array of a supported dtype, not copied if it has one."""
    cdef cnp.ndarray a = read(x, name)
    check_dtype(a, name)
    return a


cdef void measure_rows(const real *x, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t dim,
                       bint normalize, double *norm, double *total) noexcept nogil:
    """Lengths of rows, and the sum of the rows as they will be scaled."""
    cdef Py_ssize_t i, k
    cdef double square, length
    for i in range(start, stop):
        length = 1
        if normalize:
            square = 0
            for k in range(dim):
                square += <double>x[i * dim + k] * x[i * dim + k]
            norm[i] = sqrt(square)
            length = norm[i] if norm[i] != 0 else 1
        for k in range(dim):
            total[k] += x[i * dim + k] / length


cdef void pack_rows(const real *x, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t dim,
                    Py_ssize_t width, bint normalize, const double *norm, const double *center,
                    bint distance, bint cosine, real *out, real *base) noexcept nogil:
    cdef Py_ssize_t i, k
    cdef double length, total, e, offset = 0
    for k in range(dim):
        offset += center[k] * center[k]
    for i in range(start, stop):
        # divided, not multiplied by a reciprocal: rows of one direction stay the same more often
        length = 1
        if normalize:
            length = norm[i] if norm[i] != 0 else 1
        total = 0 if distance else 0.5 * offset
        for k in range(dim):
            out[i * width + k] = <real>(x[i * dim + k] / length - center[k])
        for k in range(dim):
            e = out[i * width + k]
            total += e * (e if distance else center[k])
        if cosine and norm[i] == 0:
            total += 1              # the cosine to a row without a direction is 0
        base[i] = <real>total


cdef double finish_rows(const real *x, const real *g, const double *rest, Py_ssize_t start,
                        Py_ssize_t stop, Py_ssize_t dim, Py_ssize_t width, bint normalize,
                        const double *norm, const double *center, bint distance, double scale,
                        double *row, real *out) noexcept nogil:
    """Gradients of rows from sums over pairs; returns the sum of their products with the rows."""
    cdef Py_ssize_t i, k
    cdef double along, total = 0
    for i in range(start, stop):
        along = 0
        for k in range(dim):
            if distance:
                row[k] = 2 * scale * (rest[i] * x[i * width + k] - g[i * width + k])
            else:
                row[k] = scale * (g[i * width + k] + rest[i] * center[k])
            along += row[k] * (x[i * width + k] + center[k])
        total += along
        if not normalize:
            for k in range(dim):
                out[i * dim + k] = <real>row[k]
        elif norm[i] != 0:
            for k in range(dim):
                out[i * dim + k] = <real>((row[k] - along * (x[i * width + k] + center[k]))
                                          / norm[i])
        else:
            for k in range(dim):
                out[i * dim + k] = 0
    return total


cdef cnp.ndarray zeros(tuple shape, dtype):
    """An array of zeros whose first element is at a whole cache line."""
    cdef Py_ssize_t size = np.dtype(dtype).itemsize
    for length in shape:
        size *= length
    cdef cnp.ndarray room = np.zeros(size + ALIGNED, np.uint8)
    cdef Py_ssize_t start = -<Py_ssize_t>cnp.PyArray_DATA(room) % ALIGNED
    if start < 0:
        start += ALIGNED
    return room[start:start + size].view(dtype).reshape(shape)


cdef class Rows:
    """The rows of one side, as the kernels want them."""

    cdef readonly Py_ssize_t n
    cdef readonly object source        # (n, dim), contiguous
    cdef object x
    cdef object base
    cdef object norm
    cdef object labels
    cdef readonly object sums          # of each row, by kind
    cdef object g
    cdef object rest

    def __init__(self, source, labels):
        self.source = source
        self.n = source.shape[0]
        self.labels = np.zeros(padded(self.n), np.int32)
        self.labels[:self.n] = labels
        self.sums = None


cdef class Pairs:
    """All pairs of the rows of a batch, or of two: passes over them, and what they sum up to."""

    cdef readonly Rows a
    cdef readonly Rows b
    cdef bint symmetric
    cdef bint distance
    cdef bint normalize
    cdef bint cosine                   # distances are 1 - cos, half the squares of those of rows
    cdef bint single
    cdef int n_threads
    cdef Py_ssize_t dim
    cdef Py_ssize_t width
    cdef object center
    cdef object dtype

    def __init__(self, x, labels, others, other_labels, *, bint distance, bint normalize,
                 bint cosine, n_threads):
        self.symmetric = others is None
        self.distance = distance
        self.normalize = normalize
        self.cosine = cosine
        self.dtype = x.dtype
        self.single = x.dtype == np.float32
        self.dim = x.shape[1]
        self.width = padded(self.dim)
        self.a = Rows(x, labels)
        self.b = self.a if others is None else Rows(others, other_labels)
        work = self.a.n * self.b.n * max(self.dim, <Py_ssize_t>1) // 16
        self.n_threads = team_size(n_threads, work)
        self.pack()

    cdef pack(self):
        cdef Rows rows
        cdef double[::1] norm
        cdef double[::1] center
        cdef double[:, ::1] totals
        cdef Py_ssize_t count = self.a.n + (0 if self.symmetric else self.b.n)
        total = np.zeros(self.dim)
        for rows in (self.a,) if self.symmetric else (self.a, self.b):
            blocks = (rows.n + SIDE - 1) // SIDE
            rows.norm = np.zeros(rows.n if self.normalize else 0)
            totals = np.zeros((max(blocks, 1), self.dim))
            norm = rows.norm
            if rows.n and self.dim:
                if self.single:
                    self.measure[float](rows, norm, totals, 0)
                else:
                    self.measure[double](rows, norm, totals, 0)
            total += np.asarray(totals).sum(axis=0)
        center = self.center = total / max(count, 1)
        for rows in (self.a,) if self.symmetric else (self.a, self.b):
            rows.x = zeros((padded(rows.n), self.width), self.dtype)
            # without components all rows are of length 0, and their cosines 0
            rows.base = np.full(padded(rows.n), float(self.cosine and not self.dim), self.dtype)
            norm = rows.norm
            if rows.n and self.dim:
                if self.single:
                    self.copy[float](rows, norm, center, 0)
                else:
                    self.copy[double](rows, norm, center, 0)

    cdef void measure(self, Rows rows, double[::1] norm, double[:, ::1] totals, real tag):
        cdef Py_ssize_t block, n = rows.n, dim = self.dim, blocks = (n + SIDE - 1) // SIDE
        cdef const real *x = <const real *>cnp.PyArray_DATA(<cnp.ndarray>rows.source)
        cdef bint normalize = self.normalize
        cdef double *norms = &norm[0] if normalize else NULL
        cdef int n_threads = self.n_threads
        for block in prange(blocks, nogil=True, schedule="static", num_threads=n_threads):
            measure_rows[real](x, block * SIDE, min(n, (block + 1) * SIDE), dim, normalize, norms,
                               &totals[block, 0])

    cdef void copy(self, Rows rows, double[::1] norm, double[::1] center, real tag):
        cdef Py_ssize_t block, n = rows.n, dim = self.dim, blocks = (n + SIDE - 1) // SIDE
        cdef Py_ssize_t width = self.width
        cdef const real *x = <const real *>cnp.PyArray_DATA(<cnp.ndarray>rows.source)
        cdef real *out = <real *>cnp.PyArray_DATA(<cnp.ndarray>rows.x)
        cdef real *base = <real *>cnp.PyArray_DATA(<cnp.ndarray>rows.base)
        cdef bint normalize = self.normalize, distance = self.distance, cosine = self.cosine
        cdef double *norms = &norm[0] if normalize else NULL
        cdef double *middle = &center[0]
        cdef int n_threads = self.n_threads
        for block in prange(blocks, nogil=True, schedule="static", num_threads=n_threads):
            pack_rows[real](x, block * SIDE, min(n, (block + 1) * SIDE), dim, width, normalize,
                            norms, middle, distance, cosine, out, base)

    cdef void describe(self, BatchSide *side, Rows rows, list keep, tuple shift, tuple factor,
                       weight) except *:
        cdef int k
        cdef double[:, ::1] sums
        memset(side, 0, sizeof(BatchSide))
        side.n = rows.n
        side.x = cnp.PyArray_DATA(<cnp.ndarray>rows.x)
        side.base = cnp.PyArray_DATA(<cnp.ndarray>rows.base)
        side.label = <int *>cnp.PyArray_DATA(<cnp.ndarray>rows.labels)
        side.weight = self.column(weight, rows.n, keep)
        for k in range(2):
            side.shift[k] = self.column(shift[k], rows.n, keep)
        for k in range(3):
            side.factor[k] = self.column(factor[k], rows.n, keep)
        sums = rows.sums
        for k in range(4):
            side.sums[k] = &sums[k, 0]
        if rows.g is not None:
            side.g = cnp.PyArray_DATA(<cnp.ndarray>rows.g)
        side.rest = <double *>cnp.PyArray_DATA(<cnp.ndarray>rows.rest)

    cdef void *column(self, value, Py_ssize_t n, list keep) except NULL:
        """A number of each row, padded, or one for all."""
        array = np.zeros(padded(n) + MOST, self.dtype)
        array[:n] = value
        keep.append(array)
        return cnp.PyArray_DATA(<cnp.ndarray>array)

    def run(self, bytes loss, str step, *, bint gradient=False, bint others=True,
            bint columns=True, shift=((0, 0), (0, 0)), factor=((0, 0, 0), (0, 0, 0)),
            weight=(0, 0), bint each=False, bint more=False):
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

        Returns
        -------
        cost, counted : float
            Of the step "weigh" of sums over pairs.
        """
        cdef BatchJob job
        cdef list keep = []
        cdef Py_ssize_t size = 4 if self.single else 8
        cdef Py_ssize_t blocks = (self.a.n + SIDE - 1) // SIDE
        cdef char *block
        cdef double[::1] cost = np.zeros(blocks + 1)
        cdef double[::1] counted = np.zeros(blocks + 1)
        cdef Rows rows
        for rows in (self.a, self.b):
            rows.sums = np.zeros((4, padded(rows.n) + 1))
            if step in ("largest", "extremes"):
                rows.sums[:2] = -np.inf
            if not more:
                rows.rest = np.zeros(padded(rows.n) + 1)
                rows.g = None
        if gradient and not more:
            self.a.g = zeros((padded(self.a.n), self.width), self.dtype)
            if others and not self.symmetric:
                self.b.g = zeros((padded(self.b.n), self.width), self.dtype)
        job.single = self.single
        job.symmetric = self.symmetric
        job.columns = columns or self.symmetric
        job.distance = self.distance
        job.each = each
        job.gradient = gradient
        job.step = {"largest": LARGEST, "sum": SUM, "weigh": WEIGH, "lift": LIFT,
                    "extremes": EXTREMES}[step]
        job.n_threads = <int>max(1, min(self.n_threads, blocks))
        job.dim = self.dim
        job.width = self.width
        self.describe(&job.a, self.a, keep, shift[0], factor[0], weight[0])
        if self.symmetric:
            job.b = job.a
        else:
            self.describe(&job.b, self.b, keep, shift[1], factor[1], weight[1])
        job.cost = &cost[0]
        job.counted = &counted[0]
        job.loss = <const BatchLoss *><const char *>loss
        job.scratch_size = (size * (MOST * self.dim + 4 * SIDE * MOST + TILED * SIDE)
                            + MOST * SIDE * sizeof(Near))
        job.scratch_size += ALIGNED - job.scratch_size % ALIGNED
        block = <char *>malloc(job.scratch_size * job.n_threads + ALIGNED)
        if block == NULL:
            raise MemoryError
        job.scratch = block + ALIGNED - <size_t>block % ALIGNED
        with nogil:
            run_batch(&job)
        free(block)
        return float(np.sum(cost)), float(np.sum(counted))

    def triplets(self, str mining, double margin, bint soft, str distance, *, bint gradient,
                 bint others, weight):
        """Mine triplets of each row of side a, and make sums for gradients.

        Returns
        -------
        cost, terms, nonzero : float
            Weighted sums over anchors: of costs, of how many terms there are, of those not 0.
        """
        cdef TripletJob job
        cdef list keep = []
        cdef Py_ssize_t size = 4 if self.single else 8
        cdef Py_ssize_t most, anchor
        cdef double[::1] cost = np.zeros(self.a.n + 1)
        cdef double[::1] terms = np.zeros(self.a.n + 1)
        cdef double[::1] nonzero = np.zeros(self.a.n + 1)
        cdef Rows rows
        theirs = self.b.labels[:self.b.n]
        classes = int(max(self.a.labels.max(initial=0), self.b.labels.max(initial=0))) + 1
        sizes = np.bincount(theirs, minlength=classes)
        cdef Py_ssize_t[::1] members = np.append(np.argsort(theirs, kind="stable"), 0)
        cdef Py_ssize_t[::1] starts = np.append(0, np.cumsum(sizes))
        none = (0, 0, 0)
        if mining == "hard":
            self.run(EXTREMES_LOSS, "extremes", columns=False)
        for rows in (self.a, self.b):
            rows.rest = np.zeros(padded(rows.n) + 1)
            rows.g = None
            if mining != "hard":
                rows.sums = np.zeros((4, 1))
        if gradient:
            self.a.g = zeros((padded(self.a.n), self.width), self.dtype)
            if others and not self.symmetric:
                self.b.g = zeros((padded(self.b.n), self.width), self.dtype)
        self.describe(&job.a, self.a, keep, none, none, weight)
        if self.symmetric:
            job.b = job.a
        else:
            self.describe(&job.b, self.b, keep, none, none, 0)
        job.single = self.single
        job.symmetric = self.symmetric
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
        if np.isnan(self.center).any():       # no distance is known, and so no order of them
            self.a.rest.fill(np.nan)
            self.b.rest.fill(np.nan)
            return np.nan, 1.0, 1.0
        most = max(1, int(sizes.max()))
        job.room = 2 if mining == "hard" else 2 * most if mining == "semi-hard" else most + self.b.n
        anchor = job.room * sizeof(Entry) + (job.pitch * size if mining == "all" else 0)
        job.together = padded(max(<Py_ssize_t>1, min(KEPT // anchor, self.a.n)))
        job.n_threads = <int>max(1, min(self.n_threads, job.together // MOST))
        job.members = &members[0]
        job.starts = &starts[0]
        job.cost = &cost[0]
        job.terms = &terms[0]
        job.nonzero = &nonzero[0]
        weights = np.empty((job.together if mining == "all" else 1) * job.pitch, self.dtype)
        entries = np.empty(job.together * job.room * sizeof(Entry), np.uint8)
        counts = np.zeros(job.together, np.intp)
        job.weights = cnp.PyArray_BYTES(<cnp.ndarray>weights)
        job.entries = <Entry *>cnp.PyArray_DATA(<cnp.ndarray>entries)
        job.counts = <Py_ssize_t *>cnp.PyArray_DATA(<cnp.ndarray>counts)
        job.scratch_size = 0
        if mining != "hard":
            job.scratch_size = size * (MOST * self.dim + (MOST + 1) * job.pitch)
        job.scratch_size += ALIGNED - job.scratch_size % ALIGNED
        scratch = np.empty(job.scratch_size * job.n_threads, np.uint8)
        job.scratch = cnp.PyArray_BYTES(<cnp.ndarray>scratch)
        with nogil:
            run_triplets(&job)
        return float(np.sum(cost)), float(np.sum(terms)), float(np.sum(nonzero))

    def weight_sums(self):
        """The sum of weights of pairs of each row of the first side, of the last pass."""
        return self.a.rest[:self.a.n]

    def gradient(self, Rows rows, double scale):
        """The gradient by the rows of one side, and the sum of its products with the scaled rows.

        `scale` multiplies all that was summed, which it replaces where nothing is padded.
        """
        out = rows.g
        if out.shape != (rows.n, self.dim):
            out = np.empty((rows.n, self.dim), self.dtype)
        cdef double[::1] center = self.center
        cdef double[::1] norm = rows.norm
        cdef double[::1] along = np.zeros((rows.n + SIDE - 1) // SIDE + 1)
        cdef double[:, ::1] row = np.zeros((len(along), max(self.dim, <Py_ssize_t>1)))
        if rows.n == 0 or self.dim == 0:
            return out, 0.0
        if self.single:
            self.finish[float](rows, norm, center, along, row, scale, out, 0)
        else:
            self.finish[double](rows, norm, center, along, row, scale, out, 0)
        return out, float(np.sum(along))

    cdef void finish(self, Rows rows, double[::1] norm, double[::1] center, double[::1] along,
                     double[:, ::1] row, double scale, cnp.ndarray result, real tag):
        cdef Py_ssize_t block, n = rows.n, dim = self.dim, blocks = (n + SIDE - 1) // SIDE
        cdef Py_ssize_t width = self.width
        cdef const real *x = <const real *>cnp.PyArray_DATA(<cnp.ndarray>rows.x)
        cdef const real *g = <const real *>cnp.PyArray_DATA(<cnp.ndarray>rows.g)
        cdef const double *rest = <const double *>cnp.PyArray_DATA(<cnp.ndarray>rows.rest)
        cdef real *out = <real *>cnp.PyArray_DATA(result)
        cdef bint normalize = self.normalize, distance = self.distance
        cdef double *norms = &norm[0] if normalize else NULL
        cdef double *middle = &center[0]
        cdef int n_threads = self.n_threads
        for block in prange(blocks, nogil=True, schedule="static", num_threads=n_threads):
            along[block] = finish_rows[real](x, g, rest, block * SIDE, min(n, (block + 1) * SIDE),
                                             dim, width, normalize, norms, middle, distance, scale,
                                             &row[block, 0], out)
