# cython: language_level=3
"""Tiles: up to LANES rows of a matrix, read from any layout and written back to any.

A tile lies by rows or turned, class by class with LANES rows side by side. Turning moves
every element without arithmetic, so results do not depend on the layout.
"""
from libc.string cimport memcpy, memset
from fastloss._job cimport FLOAT32, FLOAT64, LANES, Operand, RowJob
from fastloss._math cimport real
from fastloss._staging cimport convert, convert_number, copy_items


cdef inline bint by_columns(const Operand *a) noexcept nogil:
    """Whether neighbours in a column lie closer than neighbours in a row."""
    cdef Py_ssize_t down = a.strides[0] if a.strides[0] >= 0 else -a.strides[0]
    cdef Py_ssize_t right = a.strides[1] if a.strides[1] >= 0 else -a.strides[1]
    return down < right


# A perfect shuffle of four quarters moves the two highest bits of a row's number to the lowest
# place of the position. Two of them turn LANES = 16 rows of any length.
cdef inline void shuffle(Py_ssize_t quarter, const real *a, real *b) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(quarter):
        b[4 * i] = a[i]
        b[4 * i + 1] = a[quarter + i]
        b[4 * i + 2] = a[2 * quarter + i]
        b[4 * i + 3] = a[3 * quarter + i]


cdef inline void unshuffle(Py_ssize_t quarter, const real *a, real *b) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(quarter):
        b[i] = a[4 * i]
        b[quarter + i] = a[4 * i + 1]
        b[2 * quarter + i] = a[4 * i + 2]
        b[3 * quarter + i] = a[4 * i + 3]


cdef inline void turn(Py_ssize_t classes, const real *rows, real *spare, real *tile) noexcept nogil:
    shuffle[real](LANES // 4 * classes, rows, spare)
    shuffle[real](LANES // 4 * classes, spare, tile)


cdef inline void turn_back(Py_ssize_t classes, const real *tile, real *spare,
                           real *rows) noexcept nogil:
    unshuffle[real](LANES // 4 * classes, tile, spare)
    unshuffle[real](LANES // 4 * classes, spare, rows)


cdef inline void move(const RowJob *job, const Operand *a, Py_ssize_t start, Py_ssize_t n,
                      char *block, bint columns, bint outward) noexcept nogil:
    """Elements of n rows, as they are, into a block by rows or turned, or outward from it."""
    cdef Py_ssize_t size = a.itemsize
    cdef Py_ssize_t lines = job.classes if columns else n
    cdef Py_ssize_t length = n if columns else job.classes
    cdef Py_ssize_t pitch = LANES * size if columns else job.classes * size
    cdef Py_ssize_t across = a.strides[1] if columns else a.strides[0]
    cdef Py_ssize_t along = a.strides[0] if columns else a.strides[1]
    cdef char *at = a.data + start * a.strides[0]
    cdef Py_ssize_t i
    for i in range(lines):
        if outward:
            copy_items(size, a.swapped, length, block + i * pitch, size, at + i * across, along)
        else:
            copy_items(size, a.swapped, length, at + i * across, along, block + i * pitch, size)


cdef inline bint whole(const RowJob *job, const Operand *a, Py_ssize_t n) noexcept nogil:
    """Whether n rows lie next to each other and are a whole tile."""
    return a.direct and n == LANES and a.strides[0] == job.classes * a.itemsize


cdef inline void read_tile(const RowJob *job, const Operand *a, Py_ssize_t start,
                           Py_ssize_t n, bint turned, real *tile, real *spare) noexcept nogil:
    """n rows as a tile; what a turned tile has beyond them is 0."""
    cdef Py_ssize_t size = LANES * job.classes
    cdef bint columns = by_columns(a)
    cdef bint native = a.type == (FLOAT32 if job.vectors.single else FLOAT64)
    cdef real *raw = tile if native else spare
    if turned and whole(job, a, n):
        turn[real](job.classes, <const real *>(a.data + start * a.strides[0]), spare, tile)
        return
    if turned and n < LANES:
        memset(raw, 0, size * sizeof(double))
    move(job, a, start, n, <char *>raw, columns, False)
    if not turned and not columns:
        size = n * job.classes
    if not native:
        convert[real](a.type, size, spare, tile)
    if turned and not columns:
        turn[real](job.classes, tile, spare, tile)
    elif columns and not turned:
        turn_back[real](job.classes, tile, spare, tile)


cdef inline void write_tile(const RowJob *job, const Operand *a, Py_ssize_t start, Py_ssize_t n,
                            bint turned, real *tile, real *spare) noexcept nogil:
    """Take a tile of results to an output; the tile is overwritten."""
    cdef Py_ssize_t size = LANES * job.classes
    cdef bint columns = by_columns(a)
    cdef bint native = a.type == (FLOAT32 if job.vectors.single else FLOAT64)
    if turned and whole(job, a, n):
        turn_back[real](job.classes, tile, spare, <real *>(a.data + start * a.strides[0]))
        return
    if turned and not columns:
        turn_back[real](job.classes, tile, spare, tile)
    elif columns and not turned:
        turn[real](job.classes, tile, spare, tile)
    if not turned and not columns:
        size = n * job.classes
    if native:
        move(job, a, start, n, <char *>tile, columns, True)
        return
    if a.type == FLOAT32:
        convert_number[real, float](0, size, tile, <float *>spare)
    else:
        convert_number[real, double](0, size, tile, <double *>spare)
    move(job, a, start, n, <char *>spare, columns, True)
