# cython: language_level=3
"""Blocks of any array, as contiguous native ones: the one place for all layout rules.

`fetch` gives the kernels a pointer to n elements of an input, in the computation's type;
`flush` takes n results to wherever and in whatever float type the user wants them.
An element is converted on its own, rounded once, so a result does not depend on how
its inputs were laid out.
"""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fastloss._core.formulas.math cimport real
from fastloss._core.jobs cimport (BOOL, CACHE_LINE_BYTES, FLOAT16, FLOAT32, FLOAT64, INT8, INT16,
                                  INT32, INT64, MAX_DIMS, UINT8, UINT16, UINT32, UINT64,
                                  ElementType, Job, Operand)

cdef enum:
    PIECE_ELEMENTS = 256  # elements that are moved and converted at a time

ctypedef fused bits:
    uint8_t
    uint16_t
    uint32_t
    uint64_t

ctypedef fused number:
    uint8_t
    int8_t
    uint16_t
    int16_t
    uint32_t
    int32_t
    uint64_t
    int64_t
    float
    double


cdef inline bits reverse_bytes(bits v) noexcept nogil:
    if bits is uint16_t:
        return <uint16_t>((v >> 8) | (v << 8))
    elif bits is uint32_t:
        v = ((v >> 8) & <uint32_t>0x00FF00FF) | ((v & <uint32_t>0x00FF00FF) << 8)
        return (v >> 16) | (v << 16)
    elif bits is uint64_t:
        v = ((v >> 8) & <uint64_t>0x00FF00FF00FF00FF) | ((v & <uint64_t>0x00FF00FF00FF00FF) << 8)
        v = ((v >> 16) & <uint64_t>0x0000FFFF0000FFFF) | ((v & <uint64_t>0x0000FFFF0000FFFF) << 16)
        return (v >> 32) | (v << 32)
    else:
        return v


cdef inline void copy_bits(bits tag, bint swapped, Py_ssize_t n, const char *src,
                           Py_ssize_t src_stride, char *dst, Py_ssize_t dst_stride) noexcept nogil:
    cdef Py_ssize_t i
    cdef bits v
    for i in range(n):
        memcpy(&v, src + i * src_stride, sizeof(bits))   # may be misaligned
        if swapped:
            v = reverse_bytes[bits](v)
        memcpy(dst + i * dst_stride, &v, sizeof(bits))


cdef inline void copy_items(Py_ssize_t itemsize, bint swapped, Py_ssize_t n, const char *src,
                            Py_ssize_t src_stride, char *dst, Py_ssize_t dst_stride) noexcept nogil:
    """n items from one stride to another, native byte order on one side."""
    if itemsize == 1:
        copy_bits[uint8_t](0, swapped, n, src, src_stride, dst, dst_stride)
    elif itemsize == 2:
        copy_bits[uint16_t](0, swapped, n, src, src_stride, dst, dst_stride)
    elif itemsize == 4:
        copy_bits[uint32_t](0, swapped, n, src, src_stride, dst, dst_stride)
    else:
        copy_bits[uint64_t](0, swapped, n, src, src_stride, dst, dst_stride)


cdef inline void transfer(const Job *job, const Operand *a, Py_ssize_t start, Py_ssize_t n,
                          char *block, bint outward) noexcept nogil:
    """Elements start ... start + n of an array into a block, or outward from it."""
    cdef Py_ssize_t index[MAX_DIMS]
    cdef Py_ssize_t last = job.ndim - 1
    cdef Py_ssize_t size = a.itemsize
    cdef Py_ssize_t stride = a.strides[last]
    cdef Py_ssize_t rest = start
    cdef Py_ssize_t d, run
    cdef char *at = a.data
    for d in range(last, -1, -1):
        index[d] = rest % job.shape[d]
        rest = rest // job.shape[d]
        at += index[d] * a.strides[d]
    while n > 0:
        run = min(n, job.shape[last] - index[last])
        if outward:
            copy_items(size, a.swapped, run, block, size, at, stride)
        else:
            copy_items(size, a.swapped, run, at, stride, block, size)
        block += run * size
        n -= run
        at -= index[last] * stride      # to the first element of the next run
        index[last] = 0
        d = last - 1
        while d >= 0:
            index[d] += 1
            at += a.strides[d]
            if index[d] < job.shape[d]:
                break
            at -= index[d] * a.strides[d]
            index[d] = 0
            d -= 1


cdef inline void convert_number(number tag, Py_ssize_t n, const void *src,
                                real *dst) noexcept nogil:
    cdef Py_ssize_t i
    cdef const number *a = <const number *>src
    for i in range(n):
        dst[i] = <real>a[i]


cdef inline void convert_bool(Py_ssize_t n, const void *src, real *dst) noexcept nogil:
    """Any byte but 0 is true: a view of other data as bools has more of them than 1."""
    cdef Py_ssize_t i
    cdef const uint8_t *a = <const uint8_t *>src
    for i in range(n):
        dst[i] = <real><int>(a[i] != 0)


cdef inline void convert_half(Py_ssize_t n, const void *src, real *dst) noexcept nogil:
    # Exponent and fraction of a half, read as a float's, are 2**-112 of its value, also for
    # denormals; what has the largest exponent is inf or NaN and gets the float's largest. As
    # every thread computes in the default mode, a denormal float is not taken for 0 here.
    cdef Py_ssize_t i
    cdef const uint16_t *a = <const uint16_t *>src
    cdef uint32_t pattern
    cdef float v
    cdef float rescale = <float>(<double>(1 << 30) * (1 << 30) * (1 << 30) * (1 << 22))
    for i in range(n):
        pattern = (<uint32_t>a[i] & 0x7FFF) << 13
        memcpy(&v, &pattern, 4)
        v = v * rescale
        memcpy(&pattern, &v, 4)
        pattern |= <uint32_t>0x7F800000 if (a[i] & 0x7C00) == 0x7C00 else <uint32_t>0
        pattern |= (<uint32_t>a[i] & 0x8000) << 16
        memcpy(&v, &pattern, 4)
        dst[i] = v


cdef inline void convert(ElementType type, Py_ssize_t n, const void *src, real *dst) noexcept nogil:
    if type == BOOL:
        convert_bool[real](n, src, dst)
    elif type == UINT8:
        convert_number[uint8_t, real](0, n, src, dst)
    elif type == INT8:
        convert_number[int8_t, real](0, n, src, dst)
    elif type == UINT16:
        convert_number[uint16_t, real](0, n, src, dst)
    elif type == INT16:
        convert_number[int16_t, real](0, n, src, dst)
    elif type == UINT32:
        convert_number[uint32_t, real](0, n, src, dst)
    elif type == INT32:
        convert_number[int32_t, real](0, n, src, dst)
    elif type == UINT64:
        convert_number[uint64_t, real](0, n, src, dst)
    elif type == INT64:
        convert_number[int64_t, real](0, n, src, dst)
    elif type == FLOAT16:
        convert_half[real](n, src, dst)
    elif type == FLOAT32:
        convert_number[float, real](0, n, src, dst)
    else:
        convert_number[double, real](0, n, src, dst)


cdef inline bint lies_plain(const Job *job, const Operand *a) noexcept nogil:
    """Whether the elements lie one after the other, aligned, in native byte order."""
    return job.ndim == 1 and a.strides[0] == a.itemsize and a.aligned and not a.swapped


cdef inline const real *fetch(const Job *job, const Operand *a, Py_ssize_t start, Py_ssize_t n,
                              real *block) noexcept nogil:
    """Where elements start ... start + n stand as contiguous native `real`s."""
    cdef uint64_t raw[PIECE_ELEMENTS]
    cdef ElementType own = FLOAT32 if real is float else FLOAT64
    cdef bint plain = lies_plain(job, a)
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t count
    cdef const char *src
    if a.direct:
        return <const real *>(a.data + start * a.itemsize)
    if a.type == own and not plain:
        transfer(job, a, start, n, <char *>block, False)
        return block
    while at < n:
        count = n if plain else min(n - at, <Py_ssize_t>PIECE_ELEMENTS)
        src = <const char *>raw
        if plain:
            src = a.data + start * a.itemsize
        else:
            transfer(job, a, start + at, count, <char *>raw, False)
        convert[real](a.type, count, src, block + at)
        at += count
    return block


cdef inline void flush(const Job *job, const Operand *a, Py_ssize_t start, Py_ssize_t n,
                       const real *block) noexcept nogil:
    """Take a block of results to an output that is not written where it lies."""
    cdef uint64_t raw[PIECE_ELEMENTS]
    cdef ElementType own = FLOAT32 if real is float else FLOAT64
    cdef bint plain = lies_plain(job, a)
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t count
    cdef char *dst
    if a.type == own and not plain:
        transfer(job, a, start, n, <char *>block, True)
        return
    while at < n:
        count = n if plain else min(n - at, <Py_ssize_t>PIECE_ELEMENTS)
        dst = a.data + start * a.itemsize if plain else <char *>raw
        if a.type == FLOAT32:
            convert_number[real, float](0, count, block + at, <float *>dst)
        else:
            convert_number[real, double](0, count, block + at, <double *>dst)
        if not plain:
            transfer(job, a, start + at, count, <char *>raw, True)
        at += count


cdef inline real *target(const Operand *a, Py_ssize_t start, real *block) noexcept nogil:
    """Where a block of results is computed."""
    return <real *>(a.data + start * a.itemsize) if a.direct else block


cdef inline char *whole_lines(char *room) noexcept nogil:
    """The first whole cache line of a room."""
    return room + (CACHE_LINE_BYTES - <size_t>room % CACHE_LINE_BYTES) % CACHE_LINE_BYTES
