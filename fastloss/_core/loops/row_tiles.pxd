# cython: language_level=3
"""Tiles: up to LANES rows of a matrix, read from any layout and written back to any.

A tile lies by rows or turned, class by class with LANES rows side by side. Turning moves
every element without arithmetic, so results do not depend on the layout.
"""
from libc.string cimport memcpy, memset
from fastloss._core.jobs cimport FLOAT32, FLOAT64, LANES, PART_CLASSES, Operand, RowJob
from fastloss._core.formulas.math cimport real
from fastloss._core.loops.layout cimport convert, convert_number, copy_items


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


cdef inline void transpose(Py_ssize_t classes, const real *rows, real *spare,
                           real *tile) noexcept nogil:
    shuffle[real](LANES // 4 * classes, rows, spare)
    shuffle[real](LANES // 4 * classes, spare, tile)


cdef inline void transpose_back(Py_ssize_t classes, const real *tile, real *spare,
                                real *rows) noexcept nogil:
    unshuffle[real](LANES // 4 * classes, tile, spare)
    unshuffle[real](LANES // 4 * classes, spare, rows)


cdef inline bint in_vectors(Py_ssize_t size, Py_ssize_t stride, bint swapped) noexcept nogil:
    """Whether elements of this size can be copied as floats or doubles that lie together."""
    return stride == size and not swapped and (size == 4 or size == 8)


cdef inline void move_columns(real tag, Py_ssize_t classes, Py_ssize_t tiles, char *block, char *at,
                              Py_ssize_t stride, bint outward) noexcept nogil:
    """Columns of whole tiles. The length is constant, so that a copy is a few vectors."""
    cdef Py_ssize_t length = LANES * sizeof(real)
    cdef Py_ssize_t i, j
    cdef char *column
    cdef char *part
    for i in range(classes):
        for j in range(tiles):
            column = at + i * stride + j * length
            part = block + (j * classes + i) * length
            if outward:
                memcpy(column, part, LANES * sizeof(real))
            else:
                memcpy(part, column, LANES * sizeof(real))


cdef inline void move(const Operand *a, Py_ssize_t start, Py_ssize_t n, Py_ssize_t first,
                      Py_ssize_t classes, char *block, bint columns, bint outward) noexcept nogil:
    """Elements of n rows, as they are, into a block by rows or turned, or outward from it."""
    cdef Py_ssize_t size = a.itemsize
    cdef Py_ssize_t lines = classes if columns else n
    cdef Py_ssize_t length = n if columns else classes
    cdef Py_ssize_t pitch = LANES * size if columns else classes * size
    cdef Py_ssize_t across = a.strides[1] if columns else a.strides[0]
    cdef Py_ssize_t along = a.strides[0] if columns else a.strides[1]
    cdef char *at = a.data + start * a.strides[0] + first * a.strides[1]
    cdef Py_ssize_t i
    if n == LANES and in_vectors(size, along, a.swapped) and (columns or across == pitch):
        # rows without gaps are one stream through memory, where turning would read four short ones
        across = across if columns else LANES * size
        if size == 4:
            move_columns[float](0, classes, 1, block, at, across, outward)
        else:
            move_columns[double](0, classes, 1, block, at, across, outward)
        return
    for i in range(lines):
        if outward:
            copy_items(size, a.swapped, length, block + i * pitch, size, at + i * across, along)
        else:
            copy_items(size, a.swapped, length, at + i * across, along, block + i * pitch, size)


cdef inline bint is_native(const RowJob *job, const Operand *a) noexcept nogil:
    return a.type == (FLOAT32 if job.vectors.single else FLOAT64)


cdef inline void read_part(const RowJob *job, const Operand *a, Py_ssize_t start, Py_ssize_t n,
                           Py_ssize_t first, Py_ssize_t classes, bint turned, real *tile,
                           real *spare) noexcept nogil:
    """Some classes of n rows as a tile of their own; what a turned tile has beyond them is 0."""
    cdef Py_ssize_t size = LANES * classes
    cdef bint columns = by_columns(a)
    cdef bint native = is_native(job, a)
    cdef real *raw = tile if native else spare
    if turned and n < LANES:
        memset(raw, 0, size * sizeof(double))
    move(a, start, n, first, classes, <char *>raw, columns, False)
    if not turned and not columns:
        size = n * classes
    if not native:
        convert[real](a.type, size, spare, tile)
    if turned and not columns:
        transpose[real](classes, tile, spare, tile)
    elif columns and not turned:
        transpose_back[real](classes, tile, spare, tile)


cdef inline void write_part(const RowJob *job, const Operand *a, Py_ssize_t start, Py_ssize_t n,
                            Py_ssize_t first, Py_ssize_t classes, bint turned, real *tile,
                            real *spare) noexcept nogil:
    """Take such a tile of results to an output; the tile is overwritten."""
    cdef Py_ssize_t size = LANES * classes
    cdef bint columns = by_columns(a)
    if turned and not columns:
        transpose_back[real](classes, tile, spare, tile)
    elif columns and not turned:
        transpose[real](classes, tile, spare, tile)
    if not turned and not columns:
        size = n * classes
    if is_native(job, a):
        move(a, start, n, first, classes, <char *>tile, columns, True)
        return
    if a.type == FLOAT32:
        convert_number[real, float](0, size, tile, <float *>spare)
    else:
        convert_number[real, double](0, size, tile, <double *>spare)
    move(a, start, n, first, classes, <char *>spare, columns, True)


cdef inline void move_rows(const RowJob *job, const Operand *a, Py_ssize_t start, Py_ssize_t n,
                           bint turned, real *tiles, real *spare, double *parts,
                           bint outward) noexcept nogil:
    """n rows as tiles, one after the other, or outward from them; those are overwritten then.

    `parts` is room for two tiles of PART_CLASSES classes.
    """
    cdef real *part = <real *>parts
    cdef real *part_spare = <real *>(parts + LANES * PART_CLASSES)
    cdef Py_ssize_t size = LANES * job.classes
    cdef Py_ssize_t i, k, first, count
    cdef Py_ssize_t done = 0
    if (turned and by_columns(a) and is_native(job, a)
            and in_vectors(a.itemsize, a.strides[0], a.swapped)):
        done = n // LANES
        move_columns[real](0, job.classes, done, <char *>tiles, a.data + start * a.strides[0],
                           a.strides[1], outward)
    if not turned and by_columns(a):
        # a few classes at a time, so that what is turned stays close
        for i in range((job.classes + PART_CLASSES - 1) // PART_CLASSES):
            first = i * PART_CLASSES
            count = min(job.classes - first, <Py_ssize_t>PART_CLASSES)
            if outward:
                for k in range(n):
                    memcpy(part + k * count, tiles + k * job.classes + first, count * sizeof(real))
                write_part[real](job, a, start, n, first, count, False, part, part_spare)
            else:
                read_part[real](job, a, start, n, first, count, False, part, part_spare)
                for k in range(n):
                    memcpy(tiles + k * job.classes + first, part + k * count, count * sizeof(real))
        return
    for i in range(done, (n + LANES - 1) // LANES):
        count = min(n - i * LANES, <Py_ssize_t>LANES)
        if outward:
            write_part[real](job, a, start + i * LANES, count, 0, job.classes, turned,
                             tiles + i * size, spare)
        else:
            read_part[real](job, a, start + i * LANES, count, 0, job.classes, turned,
                            tiles + i * size, spare)
