# cython: language_level=3
"""Rows as the kernels of all pairs want them, and gradients by rows from what those sum up."""
import numpy as np

cimport numpy as cnp
from cython.parallel cimport prange
from libc.math cimport INFINITY, fabs, sqrt

from fastloss._core.formulas.batch cimport lift_of, squares_fit
from fastloss._core.formulas.math cimport real
from fastloss._core.fpmode cimport Mode, enter_default_mode, leave_default_mode
from fastloss._core.jobs cimport CACHE_LINE_BYTES, BLOCK_ROWS

cnp.import_array()

cdef enum:
    CANDIDATE_ROWS = 8  # rows of a side whose components may be the center's


cdef double total_of(const double *x, Py_ssize_t n) noexcept:
    """The sum, with what its roundings lost."""
    cdef double total = 0, lost = 0, t
    cdef Py_ssize_t i
    for i in range(n):
        t = total + x[i]
        lost += (total - t) + x[i] if abs(total) >= abs(x[i]) else (x[i] - t) + total
        total = t
    return total + lost if lost == lost else total       # what an infinite sum lost is NaN


cdef inline double square_of(const real *x, Py_ssize_t dim, double lift) noexcept nogil:
    cdef Py_ssize_t k
    cdef double t, square = 0
    for k in range(dim):
        t = x[k] * lift
        square += t * t
    return square


cdef void measure_rows(const real *x, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t dim,
                       bint normalize, double *norm, double *lift, double *total) noexcept nogil:
    """Lengths of rows, and the sum of the rows as they will be scaled.

    Rows whose squares leave the range of doubles, or come close, are multiplied by powers of two
    first; so are their lengths.
    """
    cdef Py_ssize_t i, k
    cdef double square, length, power
    cdef Mode before = enter_default_mode()
    for i in range(start, stop):
        if normalize:
            power = 1
            square = square_of[real](x + i * dim, dim, power)
            if not squares_fit(square):
                power = lift_of[real](dim, x + i * dim)
                square = square_of[real](x + i * dim, dim, power)
            norm[i] = sqrt(square)
            lift[i] = power
            length = norm[i] if norm[i] != 0 else 1
        if normalize:
            for k in range(dim):
                total[k] += x[i * dim + k] * power / length
        else:
            for k in range(dim):
                total[k] += x[i * dim + k]
    leave_default_mode(before)


cdef void pack_rows(const real *x, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t dim,
                    Py_ssize_t width, bint normalize, const double *norm, const double *lift,
                    const double *center, bint distance, bint cosine, real *out,
                    real *base) noexcept nogil:
    cdef Py_ssize_t i, k
    cdef double length, power, total, e, offset = 0
    cdef Mode before = enter_default_mode()
    for k in range(dim):
        offset += center[k] * center[k]
    for i in range(start, stop):
        if normalize:
            # Dividing, not multiplying by a reciprocal, keeps more rows of one direction equal.
            power = lift[i]
            length = norm[i] if norm[i] != 0 else 1
            for k in range(dim):
                out[i * width + k] = <real>(x[i * dim + k] * power / length - center[k])
        else:
            for k in range(dim):
                out[i * width + k] = <real>(x[i * dim + k] - center[k])
        total = 0 if distance else 0.5 * offset
        for k in range(dim):
            e = out[i * width + k]
            total += e * (e if distance else center[k])
        if cosine and norm[i] == 0:
            total += 1              # the cosine to a row without a direction is 0
        base[i] = <real>total
    leave_default_mode(before)


cdef double largest_of(const real *x, Py_ssize_t n) noexcept nogil:
    """The largest number, at least 0."""
    cdef double found = 0
    cdef Py_ssize_t i
    for i in range(n):
        found = x[i] if x[i] > found else found
    return found


cdef bint on_grid(const real *x, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t dim,
                  Py_ssize_t width, double grid) noexcept nogil:
    """Whether all numbers are multiples of a power of two."""
    cdef Py_ssize_t i, k
    # what has no digits below the grid, and takes them from a number that is added to it
    cdef real magic = <real>(grid * (3 << 22 if real is float else <long long>3 << 51))
    cdef real t
    cdef int off = 0
    for i in range(start, stop):
        for k in range(dim):
            t = x[i * width + k] + magic
            off |= t - magic != x[i * width + k]
        if off:
            return False
    return True


cdef double finish_rows(const real *x, const real *g, const double *rest, Py_ssize_t start,
                        Py_ssize_t stop, Py_ssize_t dim, Py_ssize_t width, bint normalize,
                        const double *norm, const double *lift, const double *center,
                        bint distance, double scale, double *row, real *out) noexcept nogil:
    """Gradients of rows from sums over pairs; returns the sum of their products with the rows."""
    cdef Py_ssize_t i, k
    cdef double along, total = 0
    cdef Mode before = enter_default_mode()
    for i in range(start, stop):
        along = 0
        for k in range(dim):
            if distance:
                # "+ 0" is for -0
                row[k] = 2 * scale * (rest[i] * x[i * width + k] - g[i * width + k]) + 0
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
                                          / norm[i] * lift[i])
        else:
            for k in range(dim):
                out[i * dim + k] = 0
    leave_default_mode(before)
    return total


cdef cnp.ndarray zeros(Py_ssize_t n, Py_ssize_t width, bint single):
    """A matrix of zeros whose first element is at a whole cache line."""
    cdef cnp.npy_intp shape[2]
    cdef cnp.npy_intp size = n * width * (4 if single else 8) + CACHE_LINE_BYTES
    cdef cnp.ndarray room = cnp.PyArray_ZEROS(1, &size, cnp.NPY_UINT8, False)
    cdef size_t start = <size_t>cnp.PyArray_DATA(room)
    cdef cnp.ndarray matrix
    start += (CACHE_LINE_BYTES - start % CACHE_LINE_BYTES) % CACHE_LINE_BYTES
    shape[0] = n
    shape[1] = width
    matrix = cnp.PyArray_SimpleNewFromData(2, shape, cnp.NPY_FLOAT if single else cnp.NPY_DOUBLE,
                                           <void *>start)
    cnp.set_array_base(matrix, room)
    return matrix


cdef cnp.ndarray doubles(Py_ssize_t n):
    """Return a vector of zeros."""
    cdef cnp.npy_intp size = n
    return cnp.PyArray_ZEROS(1, &size, cnp.NPY_DOUBLE, False)


cdef class Rows:
    """The rows of one side, as the kernels want them."""

    def __init__(self, cnp.ndarray source, labels, bint normalize, bint distance):
        self.source = source
        self.dtype = source.dtype
        self.n = cnp.PyArray_DIM(source, 0)
        self.dim = cnp.PyArray_DIM(source, 1)
        self.width = padded(self.dim)
        self.single = cnp.PyArray_TYPE(source) == cnp.NPY_FLOAT
        self.normalize = normalize
        self.distance = distance
        self.labels = np.zeros(padded(self.n), np.int32)
        self.labels[:self.n] = labels
        self.norm = doubles(self.n if normalize else 0)
        self.lift = doubles(self.n if normalize else 0)

    cdef void closest(self, const double *mean, double *found):
        """Of some rows, the components that are closest to a mean, if closer than what is there.

        Differences of numbers that are multiples of one power of two are exact, those to their mean
        are not.
        """
        if self.single:
            self.closest_typed[float](mean, found, 0)
        else:
            self.closest_typed[double](mean, found, 0)

    cdef void closest_typed(self, const double *mean, double *found, real tag):
        cdef const real *x = <const real *>cnp.PyArray_DATA(self.source)
        cdef Py_ssize_t r, i, k, count = min(self.n, <Py_ssize_t>CANDIDATE_ROWS)
        cdef double t
        for r in range(count):
            i = r * self.n // count * self.dim
            for k in range(self.dim):
                t = x[i + k]
                found[k] = t if fabs(t - mean[k]) < fabs(found[k] - mean[k]) else found[k]

    cdef Py_ssize_t n_classes(self):
        """One more than the largest label."""
        cdef const int *label = <const int *>cnp.PyArray_DATA(self.labels)
        cdef Py_ssize_t i
        cdef int largest = -1
        for i in range(self.n):
            largest = max(largest, label[i])
        return largest + 1

    cdef Py_ssize_t by_class(self, Py_ssize_t classes, Py_ssize_t *starts, Py_ssize_t *members):
        """Put rows together by class, in order, and return the size of the largest class.

        All `starts` have to be 0 before.
        """
        cdef const int *label = <const int *>cnp.PyArray_DATA(self.labels)
        cdef Py_ssize_t i, start = 0, size, largest = 0
        for i in range(self.n):
            starts[label[i]] += 1
        for i in range(classes):
            size = starts[i]
            starts[i] = start
            start += size
            largest = max(largest, size)
        for i in range(self.n):
            members[starts[label[i]]] = i
            starts[label[i]] += 1
        # each has become the start of the next
        for i in range(classes, 0, -1):
            starts[i] = starts[i - 1]
        starts[0] = 0
        return largest

    cdef double largest_base(self):
        """The largest square of a length."""
        if self.single:
            return largest_of[float](<const float *>cnp.PyArray_DATA(self.base), self.n)
        return largest_of[double](<const double *>cnp.PyArray_DATA(self.base), self.n)

    cdef bint exact(self, double grid):
        """Whether all packed numbers are multiples of a power of two."""
        if self.single:
            return on_grid[float](<const float *>cnp.PyArray_DATA(self.x), 0, self.n, self.dim,
                                  self.width, grid)
        return on_grid[double](<const double *>cnp.PyArray_DATA(self.x), 0, self.n, self.dim,
                               self.width, grid)

    cdef void measure(self, double *totals, int n_threads):
        """Lengths, and the sums of the rows of each block."""
        if self.single:
            self.measure_typed[float](totals, n_threads, 0)
        else:
            self.measure_typed[double](totals, n_threads, 0)

    cdef void measure_typed(self, double *totals, int n_threads, real tag):
        cdef Py_ssize_t block, n = self.n, dim = self.dim
        cdef const real *x = <const real *>cnp.PyArray_DATA(self.source)
        cdef bint normalize = self.normalize
        cdef double *norm = numbers(self.norm)
        cdef double *lift = numbers(self.lift)
        for block in prange(blocks_of(n), nogil=True, schedule="static", num_threads=n_threads):
            measure_rows[real](x, block * BLOCK_ROWS, min(n, (block + 1) * BLOCK_ROWS), dim,
                               normalize, norm, lift, totals + block * dim)

    cdef pack(self, const double *center, bint cosine, int n_threads):
        """Copy the rows, scaled and centred."""
        self.x = zeros(padded(self.n), self.width, self.single)
        self.base = zeros(1, padded(self.n), self.single)
        if self.dim == 0 and cosine:
            self.base.fill(1)          # of rows without components all cosines are 0
        if self.single:
            self.pack_typed[float](center, cosine, n_threads, 0)
        else:
            self.pack_typed[double](center, cosine, n_threads, 0)
        if not self.distance:
            self.source = None

    cdef void pack_typed(self, const double *center, bint cosine, int n_threads, real tag):
        cdef Py_ssize_t block, n = self.n if self.dim else 0, dim = self.dim, width = self.width
        cdef const real *x = <const real *>cnp.PyArray_DATA(self.source)
        cdef real *out = <real *>cnp.PyArray_DATA(self.x)
        cdef real *base = <real *>cnp.PyArray_DATA(self.base)
        cdef bint normalize = self.normalize, distance = self.distance
        cdef double *norm = numbers(self.norm)
        cdef double *lift = numbers(self.lift)
        for block in prange(blocks_of(n), nogil=True, schedule="static", num_threads=n_threads):
            pack_rows[real](x, block * BLOCK_ROWS, min(n, (block + 1) * BLOCK_ROWS), dim, width,
                            normalize, norm, lift, center, distance, cosine, out, base)

    cdef start(self, bint gradient, bint largest, bint more, bint keep=False):
        """Room for what a pass sums up; `more` and `keep` say which sums the next goes on with."""
        cdef Py_ssize_t k, i, count = padded(self.n) + 1
        cdef cnp.npy_intp shape[2]
        if not keep:
            shape[0] = 6
            shape[1] = count
            self.sums = cnp.PyArray_ZEROS(2, shape, cnp.NPY_DOUBLE, False)
            for k in (0, 1, 4, 5) if largest else ():
                for i in range(count):
                    numbers(self.sums)[k * count + i] = -INFINITY
        if not more:
            self.rest = doubles(padded(self.n) + 1)
            self.g = zeros(padded(self.n), self.width, self.single) if gradient else None

    cdef tuple gradient(self, cnp.ndarray center, double scale, int n_threads):
        cdef cnp.ndarray out = self.g
        cdef Py_ssize_t blocks = blocks_of(self.n)
        cdef cnp.ndarray along = doubles(blocks)
        if cnp.PyArray_DIM(out, 0) != self.n or self.width != self.dim:
            out = np.empty((self.n, self.dim), self.dtype)
        if self.n == 0 or self.dim == 0:
            return out, 0.0
        if self.single:
            self.finish_typed[float](numbers(center), scale, out, numbers(along), n_threads, 0)
        else:
            self.finish_typed[double](numbers(center), scale, out, numbers(along), n_threads, 0)
        return out, total_of(numbers(along), blocks)

    cdef void finish_typed(self, const double *center, double scale, cnp.ndarray result,
                           double *along, int n_threads, real tag):
        cdef Py_ssize_t block, n = self.n, dim = self.dim, width = self.width
        cdef cnp.ndarray rows = doubles(blocks_of(n) * dim)
        cdef double *row = numbers(rows)
        cdef const real *x = <const real *>cnp.PyArray_DATA(self.x)
        cdef const real *g = <const real *>cnp.PyArray_DATA(self.g)
        cdef const double *rest = numbers(self.rest)
        cdef real *out = <real *>cnp.PyArray_DATA(result)
        cdef bint normalize = self.normalize, distance = self.distance
        cdef double *norm = numbers(self.norm)
        cdef double *lift = numbers(self.lift)
        for block in prange(blocks_of(n), nogil=True, schedule="static", num_threads=n_threads):
            along[block] = finish_rows[real](x, g, rest, block * BLOCK_ROWS,
                                             min(n, (block + 1) * BLOCK_ROWS), dim, width,
                                             normalize, norm, lift, center, distance, scale,
                                             row + block * dim, out)
