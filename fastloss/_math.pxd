# cython: language_level=3
"""Functions of a float or double that vectorise, by one name for both."""
from libc.math cimport fabs, fabsf, sqrt, sqrtf

cdef extern from "_simd.h" nogil:
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


cdef inline real exp_(real x) noexcept nogil:
    return fl_expf(x) if real is float else fl_exp(x)


cdef inline real exp_negative(real x) noexcept nogil:
    """e^x for x <= 0."""
    return fl_exp_negativef(x) if real is float else fl_exp_negative(x)


cdef inline real exp_product(double a, real x, real more) noexcept nogil:
    """e^(a x + more), without rounding the exponent."""
    return fl_exp_productf(a, x, more) if real is float else fl_exp_product(a, x, more)


cdef inline real expm1_negative(real x) noexcept nogil:
    """e^x - 1 for x <= 0."""
    return fl_expm1_negativef(x) if real is float else fl_expm1_negative(x)


cdef inline real log_(real x) noexcept nogil:
    return fl_logf(x) if real is float else fl_log(x)


cdef inline real artanh_tail(real z) noexcept nogil:
    """(ln((1 + v) / (1 - v)) - 2 v) / v for z = v^2 <= 0.1."""
    return fl_artanh_tailf(z) if real is float else fl_artanh_tail(z)


cdef inline real log1p_(real x) noexcept nogil:
    return fl_log1pf(x) if real is float else fl_log1p(x)


cdef inline real log1p_unit(real x) noexcept nogil:
    """ln(1 + x) for 0 <= x <= 1."""
    return fl_log1p_unitf(x) if real is float else fl_log1p_unit(x)


cdef inline real log1m_half(real x) noexcept nogil:
    """ln(1 - x) for 0 <= x <= 1/2."""
    return fl_log1m_halff(x) if real is float else fl_log1m_half(x)


cdef inline real sqrt_(real x) noexcept nogil:
    return sqrtf(x) if real is float else sqrt(x)


cdef inline real magnitude(real x) noexcept nogil:
    return fabsf(x) if real is float else fabs(x)


cdef inline real sign(real x) noexcept nogil:
    """1, -1, or x itself where it is 0 or NaN."""
    cdef real zero = 0
    cdef real one = 1
    return one if x > zero else -one if x < zero else x


cdef inline real positive_part(real x) noexcept nogil:
    cdef real zero = 0
    return zero if x <= zero else x


cdef inline real times(real weight, real x) noexcept nogil:
    """weight x, and 0 for a weight of exactly 0, also where x is infinite."""
    cdef real zero = 0
    return weight * (zero if weight == zero else x)


cdef inline real keep_nan(real y, real p, real value) noexcept nogil:
    """`value`, or NaN where y or p is NaN."""
    return value if (y == y) & (p == p) else y + p
