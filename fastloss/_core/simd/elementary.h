/* Branch-free exponentials and logarithms, which the compiler vectorises in the loops that use
 * them.
 *
 * No tables, no calls, no early returns: integer operations on the bits of a number, a
 * polynomial, selections. Coefficients come from tools/derive_polynomials.py; polynomials add
 * pairs of terms, which takes no more operations than Horner's scheme and half the time to wait
 * for. A NaN stays a NaN; the logarithm of 0 is -inf, of a negative number NaN.
 *
 * Denormal inputs and results included, errors are at most
 *
 *                                                  float ULP   double ULP
 *     exp(x)                                       1.04        1.05
 *     exp(x), x <= 0                               1.02        1.05
 *     exp(x) - 1, x <= 0                           0.99        1.17
 *     exp(a x + more), |more| < 8                  1.06        1.06
 *     log(x)                                       0.96        0.87
 *     log(1 + x)                                   1.53        1.42
 *     log(1 + x), 0 <= x <= 1                      1.53        1.42
 *     log(1 - x), 0 <= x <= 1/2                    0.96        0.89
 *
 * the largest seen, rounded up, with and without fused multiply-add, in all of float (of exp(a x +
 * more) 10^8 random ones) and in 10^8 random doubles: `pytest -m slow` looks again.
 */
#ifndef FASTLOSS_SIMD_H
#define FASTLOSS_SIMD_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) \
    || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "NaN, infinities and the order of operations matter here: compile without -ffast-math"
#endif

#if defined(__GNUC__)
#define FL_INLINE static inline __attribute__((always_inline))
#else
#define FL_INLINE static __forceinline
#endif

/* a b + c: in one rounding where the processor has an instruction for it, as those with AVX2 do. So
 * results of exponentials and logarithms may differ in the last bits from those without. */
#if defined(__FMA__)
#define FL_FMAF(a, b, c) __builtin_fmaf(a, b, c)
#define FL_FMA(a, b, c) __builtin_fma(a, b, c)
#else
#define FL_FMAF(a, b, c) ((a) * (b) + (c))
#define FL_FMA(a, b, c) ((a) * (b) + (c))
#endif

/* largest relative error 5.83e-9 */
#define LOGF_0 0.3333333171227107885f
#define LOGF_1 -0.2500082108416650838f
#define LOGF_2 0.2000122639824862477f
#define LOGF_3 -0.1662335537333076779f
#define LOGF_4 0.1420176822216249412f
#define LOGF_5 -0.1316021128429856949f
#define LOGF_6 0.1276151598463989503f
#define LOGF_7 -0.07634344301392083501f
/* largest relative error 2.46e-18 */
#define LOG_0 0.6666666666666734416
#define LOG_1 0.3999999999941465997
#define LOG_2 0.28571428742391058
#define LOG_3 0.2222219857287635845
#define LOG_4 0.1818356434048492148
#define LOG_5 0.1531405021649812931
#define LOG_6 0.1479595280762267266

/* largest relative error 3.08e-9 */
#define EXPF_0 0.4999999341197654358f
#define EXPF_1 0.1666652010273596913f
#define EXPF_2 0.0416683943162289804f
#define EXPF_3 0.008368780883117688981f
#define EXPF_4 0.001381446202632838326f
/* largest relative error 3.66e-18 */
#define EXP_0 0.5000000000000010723
#define EXP_1 0.1666666666666641021
#define EXP_2 0.04166666666652917451
#define EXP_3 0.0083333333334956304
#define EXP_4 0.001388888894392606804
#define EXP_5 0.0001984126950476504696
#define EXP_6 0.00002480149275950685513
#define EXP_7 2.75575873340164147e-6
#define EXP_8 2.763037971158179647e-7
#define EXP_9 2.499996985484477453e-8

/* ln 2 in two parts: a small whole number times the upper one is exact. */
#define LN2F_HIGH 0.693359375f
#define LN2F_LOW -2.12194440e-4f
#define LN2_HIGH 6.93147180369123816490e-01
#define LN2_LOW 1.90821492927058770002e-10
#define LOG2_EF 1.44269504f
#define LOG2_E 1.44269504088896338700
/* Adding and subtracting one rounds to a whole number n. The lowest bits of the sum hold n and the
 * bias of an exponent, that and 64, or twice the bias. */
#define ROUNDF (0x1.8p23f + 127.0f)
#define ROUND (0x1.8p52 + 1023.0)
#define ROUND_UPF (0x1.8p23f + 127.0f + 64.0f)
#define ROUND_UP (0x1.8p52 + 1023.0 + 64.0)
#define ROUND_TWICEF (0x1.8p23f + 254.0f)
#define ROUND_TWICE (0x1.8p52 + 2046.0)

/* Not 0 if x is infinite or NaN. */
FL_INLINE uint32_t fl_specialf(float x)
{
    uint32_t i;
    x -= x;
    memcpy(&i, &x, 4);
    return i;
}

FL_INLINE uint64_t fl_special(double x)
{
    uint64_t i;
    x -= x;
    memcpy(&i, &x, 8);
    return i;
}

/* ---- logarithms ---------------------------------------------------------------------- */

/* k ln 2 + log(1 + f), sqrt(1/2) <= 1 + f < sqrt(2):  log(1 + f) = f - f^2/2 + f^3 P(f). */
FL_INLINE float fl_log_mantissaf(float f, float k)
{
    float z = f * f;
    float r = FL_FMAF(LOGF_7, f, LOGF_6);
    r = FL_FMAF(r, z, FL_FMAF(LOGF_5, f, LOGF_4));
    r = FL_FMAF(r, z, FL_FMAF(LOGF_3, f, LOGF_2));
    r = FL_FMAF(r, z, FL_FMAF(LOGF_1, f, LOGF_0));
    r = FL_FMAF(FL_FMAF(r, f, -0.5f), z, k * LN2F_LOW);
    r = f + r;
    return FL_FMAF(k, LN2F_HIGH, r);
}

/* (log((1 + s) / (1 - s)) - 2 s) / s as a polynomial in z = s^2, |s| <= 0.1716. */
FL_INLINE double fl_log_tail(double z)
{
    double w = z * z;
    double r = LOG_6;
    r = FL_FMA(r, w, FL_FMA(LOG_5, z, LOG_4));
    r = FL_FMA(r, w, FL_FMA(LOG_3, z, LOG_2));
    r = FL_FMA(r, w, FL_FMA(LOG_1, z, LOG_0));
    return r * z;
}

/* log(1 + f) = f - (f^2/2 - s (f^2/2 + R(s^2))), s = f / (2 + f), after P. T. P. Tang. */
FL_INLINE double fl_log_mantissa(double f, double k)
{
    double s = f / (2.0 + f);
    double h = 0.5 * f * f;
    double r = FL_FMA(s, h + fl_log_tail(s * s), k * LN2_LOW);
    r = f - (h - r);
    return FL_FMA(k, LN2_HIGH, r);
}

/* r, the logarithm of a positive finite x, or what the logarithm of another x is. */
FL_INLINE float fl_log_specialf(float x, float r)
{
    float special = x == 0.0f ? -INFINITY : NAN;
    special = x == INFINITY ? x : special;
    return ((x > 0.0f) & (x < INFINITY)) ? r : special;
}

FL_INLINE float fl_logf(float x)
{
    uint32_t i;
    int32_t k;
    float f, r, scaled = x < 0x1p-126f ? x * 0x1p23f : x;
    memcpy(&i, &scaled, 4);
    i -= 0x3f3504f3u;
    k = ((int32_t)i >> 23) - (x < 0x1p-126f ? 23 : 0);
    i = (i & 0x7fffffu) + 0x3f3504f3u;
    memcpy(&f, &i, 4);
    r = fl_log_mantissaf(f - 1.0f, (float)k);
    return fl_log_specialf(x, r);
}

/* (log((1 + v) / (1 - v)) - 2 v) / v in z = v^2 <= 0.1: the series 2 z/3 + 2 z^2/5 + ... */
FL_INLINE float fl_artanh_tailf(float z)
{
    float r = 2.0f / 17.0f;
    r = FL_FMAF(r, z, 2.0f / 15.0f);
    r = FL_FMAF(r, z, 2.0f / 13.0f);
    r = FL_FMAF(r, z, 2.0f / 11.0f);
    r = FL_FMAF(r, z, 2.0f / 9.0f);
    r = FL_FMAF(r, z, 2.0f / 7.0f);
    r = FL_FMAF(r, z, 2.0f / 5.0f);
    r = FL_FMAF(r, z, 2.0f / 3.0f);
    return r * z;
}

FL_INLINE double fl_artanh_tail(double z)
{
    double r = 2.0 / 31.0;
    r = FL_FMA(r, z, 2.0 / 29.0);
    r = FL_FMA(r, z, 2.0 / 27.0);
    r = FL_FMA(r, z, 2.0 / 25.0);
    r = FL_FMA(r, z, 2.0 / 23.0);
    r = FL_FMA(r, z, 2.0 / 21.0);
    r = FL_FMA(r, z, 2.0 / 19.0);
    r = FL_FMA(r, z, 2.0 / 17.0);
    r = FL_FMA(r, z, 2.0 / 15.0);
    r = FL_FMA(r, z, 2.0 / 13.0);
    r = FL_FMA(r, z, 2.0 / 11.0);
    r = FL_FMA(r, z, 2.0 / 9.0);
    r = FL_FMA(r, z, 2.0 / 7.0);
    r = FL_FMA(r, z, 2.0 / 5.0);
    r = FL_FMA(r, z, 2.0 / 3.0);
    return r * z;
}

/* k of the bits of 2^(k + 1024), by adding it to the bits of 2^52: no 64-bit shift or
 * conversion is needed that SSE2 and AVX2 lack. */
FL_INLINE double fl_exponent(uint64_t i)
{
    double k;
    i = (i >> 52) | 0x4330000000000000ULL;
    memcpy(&k, &i, 8);
    return k - (0x1p52 + 1024.0);
}

FL_INLINE double fl_log_special(double x, double r)
{
    double special = x == 0.0 ? -INFINITY : NAN;
    special = x == INFINITY ? x : special;
    return ((x > 0.0) & (x < INFINITY)) ? r : special;
}

FL_INLINE double fl_log(double x)
{
    uint64_t i;
    double f, r, k, scaled = x < 0x1p-1022 ? x * 0x1p54 : x;
    memcpy(&i, &scaled, 8);
    i += 0x4000000000000000ULL - 0x3fe6a09e667f3bcdULL;
    k = fl_exponent(i);
    i = (i & 0x000fffffffffffffULL) + 0x3fe6a09e667f3bcdULL;
    memcpy(&f, &i, 8);
    k -= x < 0x1p-1022 ? 54.0 : 0.0;
    r = fl_log_mantissa(f - 1.0, k);
    return fl_log_special(x, r);
}

/* What log = fl_log(x) lacks: the same sum, less what it came to. */
FL_INLINE double fl_log_rest(double x, double log)
{
    uint64_t i;
    double f, h, s, r, k, scaled = x < 0x1p-1022 ? x * 0x1p54 : x;
    memcpy(&i, &scaled, 8);
    i += 0x4000000000000000ULL - 0x3fe6a09e667f3bcdULL;
    k = fl_exponent(i);
    i = (i & 0x000fffffffffffffULL) + 0x3fe6a09e667f3bcdULL;
    memcpy(&f, &i, 8);
    f -= 1.0;
    k -= x < 0x1p-1022 ? 54.0 : 0.0;
    s = f / (2.0 + f);
    h = 0.5 * f * f;
    r = s * (h + fl_log_tail(s * s)) + k * LN2_LOW;
    r = ((k * LN2_HIGH - log) + f) - (h - r);
    return ((x > 0.0) & (x < INFINITY)) ? r : 0.0;
}

/* 1 + x rounded is u = 2^k m; the c that it lost goes into m - 1 as c / 2^k. As 2^-k may be too
 * small for a number, 2^(1 - k) is made. */
FL_INLINE float fl_log1pf(float x)
{
    uint32_t i, power;
    float f, p, r, u = 1.0f + x, c = x - (u - 1.0f);
    memcpy(&i, &u, 4);
    i -= 0x3f3504f3u;
    power = 0x40000000u - (i & 0xff800000u);
    memcpy(&p, &power, 4);
    power = (i & 0x7fffffu) + 0x3f3504f3u;
    memcpy(&f, &power, 4);
    r = fl_log_mantissaf((f - 1.0f) + 0.5f * (c * p), (float)((int32_t)i >> 23));
    return fl_log_specialf(u, r);
}

FL_INLINE double fl_log1p(double x)
{
    uint64_t i, power;
    double f, p, r, u = 1.0 + x, c = x - (u - 1.0);
    memcpy(&i, &u, 8);
    i += 0x4000000000000000ULL - 0x3fe6a09e667f3bcdULL;
    power = 0x8000000000000000ULL - (i & 0xfff0000000000000ULL);
    memcpy(&p, &power, 8);
    power = (i & 0x000fffffffffffffULL) + 0x3fe6a09e667f3bcdULL;
    memcpy(&f, &power, 8);
    r = fl_log_mantissa((f - 1.0) + 0.5 * (c * p), fl_exponent(i));
    return fl_log_special(u, r);
}

/* log(1 + x) for 0 <= x <= 1: halved where 1 + x > sqrt(2), there is no exponent to find. */
FL_INLINE float fl_log1p_unitf(float x)
{
    float f = x > 0.41421354f ? 0.5f * (x - 1.0f) : x;
    return fl_log_mantissaf(f, x > 0.41421354f ? 1.0f : 0.0f);
}

FL_INLINE double fl_log1p_unit(double x)
{
    double f = x > 0.4142135623730950 ? 0.5 * (x - 1.0) : x;
    return fl_log_mantissa(f, x > 0.4142135623730950 ? 1.0 : 0.0);
}

/* log(1 - x) for 0 <= x <= 1/2. */
FL_INLINE float fl_log1m_halff(float x)
{
    float f = x > 0.29289323f ? (0.5f - x) + (0.5f - x) : -x;
    return fl_log_mantissaf(f, x > 0.29289323f ? -1.0f : 0.0f);
}

FL_INLINE double fl_log1m_half(double x)
{
    double f = x > 0.2928932188134524 ? (0.5 - x) + (0.5 - x) : -x;
    return fl_log_mantissa(f, x > 0.2928932188134524 ? -1.0 : 0.0);
}

/* ---- exponentials -------------------------------------------------------------------- */

/* (e^r - 1 - r) / r^2, and e^r - 1, for |r| <= ln 2 / 2. */
FL_INLINE float fl_exp_quadraticf(float r)
{
    float z = r * r;
    float y = FL_FMAF(EXPF_4, z, FL_FMAF(EXPF_3, r, EXPF_2));
    return FL_FMAF(y, z, FL_FMAF(EXPF_1, r, EXPF_0));
}

FL_INLINE double fl_exp_quadratic(double r)
{
    double z = r * r;
    double y = FL_FMA(EXP_9, r, EXP_8);
    y = FL_FMA(y, z, FL_FMA(EXP_7, r, EXP_6));
    y = FL_FMA(y, z, FL_FMA(EXP_5, r, EXP_4));
    y = FL_FMA(y, z, FL_FMA(EXP_3, r, EXP_2));
    return FL_FMA(y, z, FL_FMA(EXP_1, r, EXP_0));
}

/* The same for |x| <= 1, to a relative 1e-18: the series 1/2 + x/6 + ... + x^17/19!. */
FL_INLINE double fl_exp_rest(double x)
{
    double r = 1.0;
    r = FL_FMA(r, x * (1.0 / 19), 1.0);
    r = FL_FMA(r, x * (1.0 / 18), 1.0);
    r = FL_FMA(r, x * (1.0 / 17), 1.0);
    r = FL_FMA(r, x * (1.0 / 16), 1.0);
    r = FL_FMA(r, x * (1.0 / 15), 1.0);
    r = FL_FMA(r, x * (1.0 / 14), 1.0);
    r = FL_FMA(r, x * (1.0 / 13), 1.0);
    r = FL_FMA(r, x * (1.0 / 12), 1.0);
    r = FL_FMA(r, x * (1.0 / 11), 1.0);
    r = FL_FMA(r, x * (1.0 / 10), 1.0);
    r = FL_FMA(r, x * (1.0 / 9), 1.0);
    r = FL_FMA(r, x * (1.0 / 8), 1.0);
    r = FL_FMA(r, x * (1.0 / 7), 1.0);
    r = FL_FMA(r, x * (1.0 / 6), 1.0);
    r = FL_FMA(r, x * (1.0 / 5), 1.0);
    r = FL_FMA(r, x * (1.0 / 4), 1.0);
    r = FL_FMA(r, x * (1.0 / 3), 1.0);
    return 0.5 * r;
}

FL_INLINE float fl_exp_tailf(float r)
{
    return FL_FMAF(fl_exp_quadraticf(r), r * r, r);
}

FL_INLINE double fl_exp_tail(double r)
{
    return FL_FMA(fl_exp_quadratic(r), r * r, r);
}

/* y 2^n, n in the lowest bits of shifted = ROUND_TWICE + n: in two factors, so that results may be
 * denormal or at the end of the range. */
FL_INLINE float fl_scalef(float y, float shifted)
{
    uint32_t i, half;
    float a, b;
    memcpy(&i, &shifted, 4);
    half = i >> 1;
    i = (i - half) << 23;
    half <<= 23;
    memcpy(&a, &half, 4);
    memcpy(&b, &i, 4);
    return y * a * b;
}

FL_INLINE double fl_scale(double y, double shifted)
{
    uint64_t i, half;
    double a, b;
    memcpy(&i, &shifted, 8);
    half = i >> 1;
    i = (i - half) << 52;
    half <<= 52;
    memcpy(&a, &half, 8);
    memcpy(&b, &i, 8);
    return y * a * b;
}

/* e^(high + low + more), low far below high. What rounds in an exponent x is x times as much in
 * the result, so what high + more rounds is kept (Knuth's TwoSum). e^x = 2^n e^r, |r| <= ln 2 / 2.
 * Whatever is computed beyond the range is replaced: a clamped x would be no cheaper. */
FL_INLINE float fl_exp_sumf(float high, float low, float more)
{
    float x = high + more, back = x - high;
    /* low is up to 2^-11 high, in doubles too little to matter to n */
    float shifted = FL_FMAF(x + low, LOG2_EF, ROUND_TWICEF), n = shifted - ROUND_TWICEF;
    float r, y;
    low += (high - (x - back)) + (more - back);
    r = FL_FMAF(n, -LN2F_HIGH, x) + FL_FMAF(n, -LN2F_LOW, low);
    y = fl_scalef(1.0f + fl_exp_tailf(r), shifted);
    y = x > 89.0f ? INFINITY : y;
    return x < -104.0f ? 0.0f : y;
}

FL_INLINE double fl_exp_sum(double high, double low, double more)
{
    double x = high + more, back = x - high;
    double shifted = FL_FMA(x, LOG2_E, ROUND_TWICE), n = shifted - ROUND_TWICE;
    double r, y;
    low += (high - (x - back)) + (more - back);
    r = FL_FMA(n, -LN2_HIGH, x) + FL_FMA(n, -LN2_LOW, low);
    y = fl_scale(1.0 + fl_exp_tail(r), shifted);
    y = x > 710.0 ? INFINITY : y;
    return x < -746.0 ? 0.0 : y;
}

FL_INLINE float fl_expf(float x)
{
    float shifted = FL_FMAF(x, LOG2_EF, ROUND_TWICEF), n = shifted - ROUND_TWICEF;
    float y, r = FL_FMAF(n, -LN2F_HIGH, x);
    r = FL_FMAF(n, -LN2F_LOW, r);
    y = fl_scalef(1.0f + fl_exp_tailf(r), shifted);
    y = x > 89.0f ? INFINITY : y;
    return x < -104.0f ? 0.0f : y;
}

FL_INLINE double fl_exp(double x)
{
    double shifted = FL_FMA(x, LOG2_E, ROUND_TWICE), n = shifted - ROUND_TWICE;
    double y, r = FL_FMA(n, -LN2_HIGH, x);
    r = FL_FMA(n, -LN2_LOW, r);
    y = fl_scale(1.0 + fl_exp_tail(r), shifted);
    y = x > 710.0 ? INFINITY : y;
    return x < -746.0 ? 0.0 : y;
}

/* e^x for x <= 0: 2^(n + 64) is a number for every n, so one factor and a constant do. */
FL_INLINE float fl_exp_negativef(float x)
{
    uint32_t i;
    float s, shifted, n, r;
    x = x < -104.0f ? -104.0f : x;
    shifted = FL_FMAF(x, LOG2_EF, ROUND_UPF);
    n = shifted - ROUND_UPF;
    r = FL_FMAF(n, -LN2F_HIGH, x);
    r = FL_FMAF(n, -LN2F_LOW, r);
    memcpy(&i, &shifted, 4);
    i <<= 23;
    memcpy(&s, &i, 4);
    return (1.0f + fl_exp_tailf(r)) * s * 0x1p-64f;
}

FL_INLINE double fl_exp_negative(double x)
{
    uint64_t i;
    double s, shifted, n, r;
    x = x < -746.0 ? -746.0 : x;
    shifted = FL_FMA(x, LOG2_E, ROUND_UP);
    n = shifted - ROUND_UP;
    r = FL_FMA(n, -LN2_HIGH, x);
    r = FL_FMA(n, -LN2_LOW, r);
    memcpy(&i, &shifted, 8);
    i <<= 52;
    memcpy(&s, &i, 8);
    return (1.0 + fl_exp_tail(r)) * s * 0x1p-64;
}

/* e^x - 1 for x <= 0. */
FL_INLINE float fl_expm1_negativef(float x)
{
    uint32_t i;
    float s, shifted = FL_FMAF(x, LOG2_EF, ROUNDF), n = shifted - ROUNDF;
    float r = FL_FMAF(n, -LN2F_HIGH, x);
    r = FL_FMAF(n, -LN2F_LOW, r);
    memcpy(&i, &shifted, 4);
    i <<= 23;
    memcpy(&s, &i, 4);
    r = FL_FMAF(fl_exp_tailf(r), s, s - 1.0f);
    return x < -30.0f ? -1.0f : r;
}

FL_INLINE double fl_expm1_negative(double x)
{
    uint64_t i;
    double s, shifted = FL_FMA(x, LOG2_E, ROUND), n = shifted - ROUND;
    double r = FL_FMA(n, -LN2_HIGH, x);
    r = FL_FMA(n, -LN2_LOW, r);
    memcpy(&i, &shifted, 8);
    i <<= 52;
    memcpy(&s, &i, 8);
    r = FL_FMA(fl_exp_tail(r), s, s - 1.0);
    return x < -60.0 ? -1.0 : r;
}

/* e^(a x + more), |more| < 8, with the product to about twice the digits: both factors are
 * split so that the product of their upper halves is exact. `a` is a parameter, so its
 * splitting leaves the loop. */
FL_INLINE float fl_exp_productf(double a, float x, float more)
{
    uint32_t i;
    float a_high = (float)a, a_low, x_high, y;
    memcpy(&i, &a_high, 4);
    i &= 0xfffff000u;
    memcpy(&a_high, &i, 4);
    a_low = (float)(a - (double)a_high);
    memcpy(&i, &x, 4);
    i &= 0xfffff000u;
    memcpy(&x_high, &i, 4);
    y = fl_exp_sumf(a_high * x_high, a_high * (x - x_high) + a_low * x, more);
    return x == x ? y : x;
}

FL_INLINE double fl_exp_product(double a, double x, double more)
{
    uint64_t i;
    double a_high, a_low, x_high, y;
    memcpy(&i, &a, 8);
    i &= 0xfffffffff8000000ULL;
    memcpy(&a_high, &i, 8);
    a_low = a - a_high;
    memcpy(&i, &x, 8);
    i &= 0xfffffffff8000000ULL;
    memcpy(&x_high, &i, 8);
    y = fl_exp_sum(a_high * x_high, a_high * (x - x_high) + a_low * x, more);
    return x == x ? y : x;
}

#endif
