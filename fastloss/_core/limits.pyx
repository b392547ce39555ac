# cython: language_level=3
"""Derivatives of formulas where those of their operations have no limit of their own: at kinks."""
from libc.stdint cimport int32_t, uint8_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

cdef extern from "series.h" nogil:
    enum:
        Y, P, PARAMETER, NUMBER, TRUTH, ROUND, ADD, SUB, MUL, DIV, NEG, ABS, SQRT, POW, LT, LE, EQ
        NE, AND, OR, NOT, SELECT, SIGN, FLOOR, CEIL, TRUNC, EXP, EXPM1, LOG, LOG1P, LOG2, LOG10
        SIN, COS, TAN, SINH, COSH, ASIN, ACOS, ATAN, ASINH, ACOSH, ATANH, ERF, ERFC, LGAMMA, GAMMA
        DIRECTION, BESIDE_LT, BESIDE_EQ, BESIDE_DIV
    ctypedef struct step:
        int op, moves
        int args[3]
        double number
    ctypedef struct place:
        pass
    void limits_at(const step *steps, int n, place *found, double y, double p,
                   const double *parameters, int narrow, double *first, double *second)

OPERATIONS = {
    "y": Y, "p": P, "parameter": PARAMETER, "constant": NUMBER, "truth": TRUTH, "round": ROUND,
    "add": ADD, "sub": SUB, "mul": MUL, "div": DIV, "neg": NEG, "abs": ABS, "sqrt": SQRT,
    "pow": POW, "lt": LT, "le": LE, "eq": EQ, "ne": NE, "and": AND, "or": OR, "not": NOT,
    "select": SELECT, "sign": SIGN, "floor": FLOOR, "ceil": CEIL, "trunc": TRUNC, "exp": EXP,
    "expm1": EXPM1, "expm1_negative": EXPM1, "log": LOG, "log1p": LOG1P, "log2": LOG2,
    "log10": LOG10, "sin": SIN, "cos": COS, "tan": TAN, "sinh": SINH, "cosh": COSH, "asin": ASIN,
    "acos": ACOS, "atan": ATAN, "asinh": ASINH, "acosh": ACOSH, "atanh": ATANH, "erf": ERF,
    "erfc": ERFC, "lgamma": LGAMMA, "gamma": GAMMA,
    "direction": DIRECTION, "beside_lt": BESIDE_LT, "beside_eq": BESIDE_EQ,
    "beside_div": BESIDE_DIV}

ctypedef fused real:
    float
    double

# Bits of `wanted` and of marks: the first derivative, the second one.
cdef enum:
    FIRST = 1
    SECOND = 2


cdef void limits(const int32_t *codes, const double *numbers, Py_ssize_t length,
                 const double *parameters, double scale, Py_ssize_t n, const uint8_t *marks,
                 const real *y, const real *p, real *g, real *h, Py_ssize_t wanted) noexcept nogil:
    """Replace the derivatives of marked elements by the limits of those around them.

    A step is five codes: operation, whether it depends on p, arguments. Without memory for the
    steps derivatives stay those of the operations.
    """
    cdef step *steps = NULL
    cdef place *found = NULL
    cdef Py_ssize_t i = 0, last = -1
    cdef uint64_t eight
    cdef double first = 0, second = 0
    while i < n:
        if i + 8 <= n:      # nearly everywhere there is nothing to do
            memcpy(&eight, marks + i, 8)
            if eight == 0:
                i += 8
                continue
        if not marks[i]:
            i += 1
            continue
        if steps == NULL:
            steps = steps_of(codes, numbers, length)
            found = <place *>malloc(length * sizeof(place))
            if steps == NULL or found == NULL:
                break
        # where there are many, as of zeros, they follow each other
        if last < 0 or y[i] != y[last] or p[i] != p[last]:
            limits_at(steps, <int>length, found, y[i], p[i], parameters, real is float,
                      &first, &second)
            last = i
        if wanted & marks[i] & FIRST and first == first:
            g[i] = <real>scale * <real>first
        if wanted & marks[i] & SECOND and second == second:
            h[i] = <real>scale * <real>second
        i += 1
    free(steps)
    free(found)


cdef step *steps_of(const int32_t *codes, const double *numbers, Py_ssize_t length) noexcept nogil:
    cdef step *steps = <step *>malloc(length * sizeof(step))
    cdef Py_ssize_t i, k
    if steps != NULL:
        for i in range(length):
            steps[i].op, steps[i].moves = codes[5 * i], codes[5 * i + 1]
            for k in range(3):
                steps[i].args[k] = codes[5 * i + 2 + k]
            steps[i].number = numbers[i]
    return steps


# Where they are, for float32 and for float64.
ADDRESSES = (<uintptr_t><void *>limits[float], <uintptr_t><void *>limits[double])
