# cython: language_level=3
"""What `elements.pyx` and `rows.pyx` hand to the kernels: one job, described in plain C."""
from fastloss._core.formulas.probability cimport Log

cdef enum:
    BLOCK_ELEMENTS = 1024     # elements staged at a time: six blocks of doubles are 48 KiB
    CACHE_LINE_BYTES = 64
    MAX_STACK_BYTES = 16384   # bytes of blocks that are kept on the stack; more are allocated
    CHUNK_ELEMENTS = 8192     # elements of one partial sum
    LANES = 16                # accumulators of a partial sum
    DEPTH = 8                 # elements per accumulator; LANES * DEPTH divides BLOCK_ELEMENTS
    FACTORS = 32              # factors of one log; LANES * FACTORS divides BLOCK_ELEMENTS
    MAX_TASKS = 1024          # partial sums kept at a time, whatever the size
    MAX_DIMS = 64             # NumPy's own limit
    MAX_TURNED_CLASSES = 256  # classes up to which LANES rows are worked on side by side
    MAX_TILES = 8             # tiles that are worked on together
    SCORES_PER_GROUP = 8192   # scores worked on together; more for LANES rows of many classes
    PART_CLASSES = 64         # classes of a tile of many that are turned at a time
    PANEL_GROUPS = 64         # groups of LANES classes between two passes; a multiple of DEPTH

# Element types, by what reading them takes.
cdef enum ElementType:
    UNSUPPORTED = -1
    BOOL, UINT8, INT8, UINT16, INT16, UINT32, INT32, UINT64, INT64, FLOAT16, FLOAT32, FLOAT64

# Which results a block map writes.
cdef enum:
    VALUE, GRAD, VALUE_GRAD, GRAD_HESS, N_OUTPUTS

ctypedef void (*Map32)(const void *parameters, float scale, Py_ssize_t n, const float *y,
                       const float *p, float *f, float *g, float *h, int wanted) noexcept nogil
ctypedef void (*Map64)(const void *parameters, double scale, Py_ssize_t n, const double *y,
                       const double *p, double *f, double *g, double *h, int wanted) noexcept nogil

# One element: loss, first and second derivative.
ctypedef void (*Sample32)(const void *parameters, float y, float p, float *f, float *g,
                          float *h) noexcept nogil
ctypedef void (*Sample64)(const void *parameters, double y, double p, double *f, double *g,
                          double *h) noexcept nogil

# Sum of a block's losses by a way that does not suit every block; returns whether it does.
ctypedef bint (*Sum32)(const void *parameters, Py_ssize_t n, const float *y, const float *p,
                       double *total) noexcept nogil
ctypedef bint (*Sum64)(const void *parameters, Py_ssize_t n, const double *y, const double *p,
                       double *total) noexcept nogil

# A loss with its parameters, for one SIMD level.
ctypedef struct Bound:
    Map32 map32[N_OUTPUTS]
    Map64 map64[N_OUTPUTS]
    Sum32 sum32                    # NULL: element by element
    Sum64 sum64
    Sample32 sample32              # NULL: only blocks
    Sample64 sample64
    # Of losses that may overflow on the way to a result, else NULL. They compute infinite and NaN
    # results again, which the map of values does not.
    Map32 mend32
    Map64 mend64
    double parameters[12]

# An array of the user's. Strides are in bytes, in the job's order of dimensions.
ctypedef struct Operand:
    char *data                     # NULL: absent
    ElementType type
    Py_ssize_t itemsize
    bint swapped                   # the other byte order
    bint aligned
    bint direct                    # contiguous, of the computation's type: used where it lies
    Py_ssize_t strides[MAX_DIMS]

ctypedef struct Job:
    const Bound *loss              # NULL: sum the weights only
    int outputs
    bint single                    # compute in float32, else in float64
    bint want_sum
    double scale                   # of gradient and hessian
    int n_threads
    Py_ssize_t size
    int ndim
    Py_ssize_t shape[MAX_DIMS]
    Operand y
    Operand p
    Operand w
    Operand f
    Operand g
    Operand h

# A sum and what its roundings lost.
ctypedef struct Sum:
    double high
    double low

ctypedef struct Sums:
    Sum loss
    Sum weight

# 0; 1 where the caller does not compute in the default mode; -1 where there is no memory, and then
# nothing was written.
ctypedef int (*Runner)(const Job *job, Sums *total) noexcept nogil

# A row-wise loss. `vectors` describes what there is one of per row: labels, weights, element
# losses, by strides[0]; its p, g and h, and with `soft` y, are matrices: strides[0] is from row
# to row, strides[1] from class to class.
ctypedef struct RowJob:
    Job vectors
    Py_ssize_t classes
    bint soft                      # y holds targets of every class, not class numbers
    bint dense                     # every class has a target: soft ones, or smoothed
    bint logits                    # else probabilities
    double smoothing
    double ignored                 # a class number; NaN for none
    const double *class_weights    # NULL: all 1
    Log clip                       # of probabilities
    Py_ssize_t together            # rows staged at a time

# What the labels and weights alone say.
ctypedef struct Survey:
    Sum weight                     # of the rows that count, with the weights of their classes
    Py_ssize_t count               # rows that count
    Py_ssize_t bad                 # first row whose label is none; -1

ctypedef int (*RowRunner)(const RowJob *job, Sums *total) noexcept nogil
ctypedef int (*Surveyor)(const RowJob *job, Survey *survey) noexcept nogil

# ---- all pairs of rows -------------------------------------------------------------------

cdef enum:
    BLOCK_ROWS = 256         # rows of a block
    TILED_ANCHORS = 64       # anchors whose tiles lie side by side; a multiple of every panel's
    MAX_PANEL_ROWS = 32      # rows of a panel at most, and numbers of a vector of columns
    TERMS_PER_LANE_SUM = 64  # numbers that a lane adds up before it is rounded to double

# What a pass over all pairs does.
cdef enum:
    LARGEST            # the largest exponents of each row
    SUM                # the sums of exponentials of each row
    WEIGH              # the value of sums over pairs; the derivatives by pairs, and the gradient
    LIFT               # the same where a pair's cost depends on its rows' sums
    EXTREMES           # of each row the closest of another class, the farthest of its own
    STEPS

ctypedef struct BatchLoss

# Rows on one side of all pairs, or what there is one of per row; numbers of the computation's type
# unless said otherwise. Rows are padded to a multiple of MAX_PANEL_ROWS, x and g with columns of
# zeros too.
ctypedef struct BatchSide:
    Py_ssize_t n
    const void *x            # centred
    const void *base         # what v has from this row: |x|^2, or what centring took from a product
    const int *label
    const void *weight
    const void *shift[2]     # of exponents of pairs of different and of the same class
    const void *factor[3]    # derivatives by sums of exponentials of either, and of v
    double *sums[6]
    void *g                  # sums of weights times the other rows; NULL if not wanted
    double *rest             # sums of weights
    const void *source       # rows as they came, not padded; of losses of distances
    const double *norm       # of each; NULL if they are not scaled to unit length
    const double *lift       # what rows are multiplied by before they are squared

ctypedef struct BatchJob:
    bint single
    bint symmetric           # b is a: all unordered pairs of different rows
    bint columns             # whether b's sums are wanted too
    bint distance            # v is the square of a distance, else a product
    bint each                # shifts are not one number
    bint gradient
    int step
    int n_threads
    Py_ssize_t dim
    Py_ssize_t width         # of a padded row
    bint cosine
    double tolerance         # of v, relative to what it is a difference of; 0 if it is exact
    double largest           # square of a length
    int n_critical           # squares of distances where a cost begins or ends, and those distances
    double critical[2]
    double threshold[2]
    double factor            # of a square, 0 of distances themselves
    BatchSide a
    BatchSide b
    double *cost             # for each block of a
    double *counted
    const BatchLoss *loss
    char *scratch            # `scratch_size` bytes for each thread
    Py_ssize_t scratch_size

# Where the pairs of a panel and others are.
ctypedef struct Place:
    Py_ssize_t i             # first row of the panel
    Py_ssize_t lanes         # its rows
    Py_ssize_t j             # first of the others
    Py_ssize_t n
    bint own                 # of a block with itself
    Py_ssize_t first         # row of the panel's block

ctypedef struct Near:
    int j
    int l

ctypedef void (*Step32)(const void *parameters, const BatchJob *job, const Place *at, float *tile,
                        float *columns, int meeting, int shifts) noexcept nogil
ctypedef void (*Step64)(const void *parameters, const BatchJob *job, const Place *at, double *tile,
                        double *columns, int meeting, int shifts) noexcept nogil

# By step, and 2 (whether of a block with itself) + (whether each row has its shifts).
ctypedef struct BatchLoss:
    Step32 step32[STEPS][4]
    Step64 step64[STEPS][4]
    double parameters[12]

ctypedef void (*BatchRunner)(const BatchJob *job) noexcept nogil

# Which triplets count.
cdef enum:
    HARDEST            # of an anchor, the farthest positive and the closest negative
    SEMI_HARD          # of a positive, the closest negative farther away, else the farthest
    ALL

# A weight of a pair: the derivative of the value by the square of its distance.
ctypedef struct Entry:
    Py_ssize_t i
    Py_ssize_t j
    double weight

# A list that grows.
ctypedef struct Entries:
    Entry *at
    Py_ssize_t count
    Py_ssize_t room

# Triplets of anchors of side a with positives and negatives of side b.
ctypedef struct TripletJob:
    bint single
    bint symmetric
    bint gradient
    bint others                    # whether a gradient by side b is wanted
    bint euclidean                 # distances, else squares times `factor`
    double factor
    bint soft                      # softplus(d_ap - d_an), else [d_ap - d_an + margin]+
    double margin
    int mining
    int n_threads
    Py_ssize_t dim
    Py_ssize_t width
    Py_ssize_t pitch               # of rows of numbers of each of b's rows
    Py_ssize_t together            # anchors whose weights are kept; whole blocks of MAX_PANEL_ROWS
    bint cosine
    double tolerance               # as in BatchJob
    double largest
    BatchSide a
    BatchSide b
    const Py_ssize_t *members      # b's rows, class by class, in order
    const Py_ssize_t *starts       # where a class begins there
    double *cost                   # of each anchor
    double *terms
    double *nonzero
    char *weights                  # `together` rows of `pitch`
    Entries *lists                 # of each block kept
    bint *failed                   # whether there was no memory for a list
    char *scratch
    Py_ssize_t scratch_size

ctypedef void (*TripletRunner)(const TripletJob *job) noexcept nogil
