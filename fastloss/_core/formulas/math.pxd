# cython: language_level=3
"""Functions of a number, by one name for every type: of a float or double they vectorise.

`wide` adds the type that has a larger range where the processor or its library has one, a long
double. Losses are written in it, so that what overflows on the way in a double can be computed
again; its functions are the library's.
"""
from libc.float cimport DBL_MIN, FLT_MIN
from libc.math cimport fabs, fabsf, sqrt, sqrtf
from libc.stdint cimport uint32_t, uint64_t

cdef extern from "<math.h>" nogil:
    long double fabsl(long double x)
    long double sqrtl(long double x)
    long double expl(long double x)
    long double expm1l(long double x)
    long double logl(long double x)
    long double log1pl(long double x)

cdef extern from "simd/elementary.h" nogil:
    uint32_t fl_specialf(float x)
    uint64_t fl_special(double x)
    float fl_expf(float x)
    double fl_exp(double x)
    float fl_exp_negativef(float x)
    double fl_exp_negative(double x)
    float fl_exp_productf(double a, float x, float more)
    double fl_exp_product(double a, double x, double more)
    double fl_exp_rest(double x)
    float fl_expm1_negativef(float x)
    double fl_expm1_negative(double x)
    float fl_logf(float x)
    double fl_log(double x)
    double fl_log_rest(double x, double log)
    float fl_artanh_tailf(float z)
    double fl_artanh_tail(double z)
    float fl_log1pf(float x)
    double fl_log1p(double x)
    float fl_log1p_unitf(float x)
    double fl_log1p_unit(double x)
    float fl_log1m_halff(float x)
    double fl_log1m_half(double x)

ctypedef fused real:
    float
    double

ctypedef fused wide:
    float
    double
    long double


cdef inline wide exp_(wide x) noexcept nogil:
    if wide is float:
        return fl_expf(x)
    elif wide is double:
        return fl_exp(x)
    else:
        return expl(x)


cdef inline wide exp_negative(wide x) noexcept nogil:
    """e^x for x <= 0."""
    if wide is float:
        return fl_exp_negativef(x)
    elif wide is double:
        return fl_exp_negative(x)
    else:
        return expl(x)


cdef inline wide exp_product(double a, wide x, wide more) noexcept nogil:
    """e^(a x + more), without rounding the exponent."""
    if wide is float:
        return fl_exp_productf(a, x, more)
    elif wide is double:
        return fl_exp_product(a, x, more)
    else:
        return expl(a * x + more)


cdef inline wide expm1_negative(wide x) noexcept nogil:
    """e^x - 1 for x <= 0."""
    if wide is float:
        return fl_expm1_negativef(x)
    elif wide is double:
        return fl_expm1_negative(x)
    else:
        return expm1l(x)


cdef inline wide log_(wide x) noexcept nogil:
    if wide is float:
        return fl_logf(x)
    elif wide is double:
        return fl_log(x)
    else:
        return logl(x)


cdef inline wide artanh_tail(wide z) noexcept nogil:
    """(ln((1 + v) / (1 - v)) - 2 v) / v for z = v^2 <= 0.1."""
    if wide is float:
        return fl_artanh_tailf(z)
    elif wide is double:
        return fl_artanh_tail(z)
    else:
        return <wide>fl_artanh_tail(<double>z)


cdef inline wide log1p_(wide x) noexcept nogil:
    if wide is float:
        return fl_log1pf(x)
    elif wide is double:
        return fl_log1p(x)
    else:
        return log1pl(x)


cdef inline wide log1p_unit(wide x) noexcept nogil:
    """ln(1 + x) for 0 <= x <= 1."""
    if wide is float:
        return fl_log1p_unitf(x)
    elif wide is double:
        return fl_log1p_unit(x)
    else:
        return log1pl(x)


cdef inline wide log1m_half(wide x) noexcept nogil:
    """ln(1 - x) for 0 <= x <= 1/2."""
    if wide is float:
        return fl_log1m_halff(x)
    elif wide is double:
        return fl_log1m_half(x)
    else:
        return log1pl(-x)


cdef inline wide sqrt_(wide x) noexcept nogil:
    if wide is float:
        return sqrtf(x)
    elif wide is double:
        return sqrt(x)
    else:
        return sqrtl(x)


cdef inline wide magnitude(wide x) noexcept nogil:
    if wide is float:
        return fabsf(x)
    elif wide is double:
        return fabs(x)
    else:
        return fabsl(x)


cdef inline wide sign(wide x) noexcept nogil:
    """1, -1, or x itself where it is 0 or NaN."""
    cdef wide zero = 0
    cdef wide one = 1
    return one if x > zero else -one if x < zero else x


cdef inline wide positive_part(wide x) noexcept nogil:
    cdef wide zero = 0
    return zero if x <= zero else x


cdef inline wide times(wide weight, wide x) noexcept nogil:
    """weight x, and 0 for a weight of exactly 0, also where x is infinite."""
    cdef wide zero = 0
    return weight * (zero if weight == zero else x)


cdef inline wide least_normal(wide tag) noexcept nogil:
    """The least number with all its digits; 0 of the type that is not computed again."""
    if wide is float:
        return FLT_MIN
    elif wide is double:
        return DBL_MIN
    else:
        return 0


cdef inline bint is_finite(wide x) noexcept nogil:
    cdef wide zero = 0
    return x - x == zero


cdef inline bint any_special(Py_ssize_t n, const real *x) noexcept nogil:
    """Whether a number is infinite or NaN."""
    cdef uint32_t special32 = 0
    cdef uint64_t special64 = 0
    cdef Py_ssize_t i
    for i in range(n):
        if real is float:
            special32 |= fl_specialf(x[i])
        else:
            special64 |= fl_special(x[i])
    return (special32 | special64) != 0


cdef inline wide keep_nan(wide y, wide p, wide value) noexcept nogil:
    """`value`, or NaN where y or p is NaN."""
    return value if (y == y) & (p == p) else y + p
