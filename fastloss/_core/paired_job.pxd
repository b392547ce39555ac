# cython: language_level=3
"""What `paired.pyx` hands to the kernels: rows of pairs or triplets, described in plain C."""
from fastloss._core.jobs cimport Job, Operand, Sums

cdef enum:
    MAX_ROWS_TOGETHER = 256     # rows worked on together at most; no more than BLOCK_ELEMENTS
    MAX_BYTES_TOGETHER = 65536  # of one side, worked on together where rows are short
    MEASURED_ROWS = 16          # rows whose distances are computed together
    TASK_COMPONENTS = 65536     # components of one side that are one partial sum, or more

cdef enum Distance:
    EUCLIDEAN, SQEUCLIDEAN, COSINE

# A loss of distances of rows that belong together. `vectors` describes what there is one of per
# pair, labels, weights and element losses, and has the loss of the distance; `matrix` says how
# the rows lie, whose operands are x and g.
ctypedef struct PairJob:
    Job vectors
    Job matrix
    Operand x[3]           # a and b; or anchors, positives and negatives
    Operand g[3]
    int count              # 2 or 3
    int distance           # a Distance
    double sign            # of the difference of distances that is the loss's argument
    Py_ssize_t dim
    Py_ssize_t together    # rows worked on together
    char *scratch          # `scratch_size` bytes for each thread
    Py_ssize_t scratch_size

# 0, or -1 where there is no memory; then nothing was written.
ctypedef int (*PairRunner)(const PairJob *job, Sums *total) noexcept nogil
