/* Branch-free exponentials and logarithms, which the compiler vectorises in the loops that use
 * them.
 *
 * No tables, no calls, no early returns: integer operations on the bits of a number, a
 * polynomial, selections. Coefficients come from tools/derive_polynomials.py. Within 2 ULP of
 * the true value for every input, denormal inputs and results included. A NaN stays a NaN; the
 * logarithm of 0 is -inf, of a negative number NaN.
 */
#ifndef FASTLOSS_SIMD_H
#define FASTLOSS_SIMD_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__)
#define FL_INLINE static inline __attribute__((always_inline))
#else
#define FL_INLINE static __forceinline
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
/* Adding and subtracting it rounds to a whole number. */
#define ROUNDF 0x1.8p23f
#define ROUND 0x1.8p52

/* ---- logarithms ---------------------------------------------------------------------- */

/* k ln 2 + log(1 + f), sqrt(1/2) <= 1 + f < sqrt(2):  log(1 + f) = f - f^2/2 + f^3 P(f). */
FL_INLINE float fl_log_mantissaf(float f, float k)
{
    float r, z = f * f;
    r = LOGF_7;
    r = r * f + LOGF_6;
    r = r * f + LOGF_5;
    r = r * f + LOGF_4;
    r = r * f + LOGF_3;
    r = r * f + LOGF_2;
    r = r * f + LOGF_1;
    r = r * f + LOGF_0;
    r = r * f * z - 0.5f * z;
    r += k * LN2F_LOW;
    r = f + r;
    return r + k * LN2F_HIGH;
}

/* (log((1 + s) / (1 - s)) - 2 s) / s as a polynomial in z = s^2, |s| <= 0.1716. */
FL_INLINE double fl_log_tail(double z)
{
    double r = LOG_6;
    r = r * z + LOG_5;
    r = r * z + LOG_4;
    r = r * z + LOG_3;
    r = r * z + LOG_2;
    r = r * z + LOG_1;
    r = r * z + LOG_0;
    return r * z;
}

/* log(1 + f) = f - (f^2/2 - s (f^2/2 + R(s^2))), s = f / (2 + f), after P. T. P. Tang. */
FL_INLINE double fl_log_mantissa(double f, double k)
{
    double s = f / (2.0 + f);
    double h = 0.5 * f * f;
    double r = s * (h + fl_log_tail(s * s)) + k * LN2_LOW;
    r = f - (h - r);
    return r + k * LN2_HIGH;
}

FL_INLINE float fl_logf(float x)
{
    int32_t i, k;
    float f, r, scaled = x < 0x1p-126f ? x * 0x1p23f : x;
    memcpy(&i, &scaled, 4);
    k = (i - 0x3f3504f3) >> 23;
    i -= k * (1 << 23);
    memcpy(&f, &i, 4);
    k -= x < 0x1p-126f ? 23 : 0;
    r = fl_log_mantissaf(f - 1.0f, (float)k);
    r = x > 0.0f ? r : x == 0.0f ? -INFINITY : NAN;
    return x < INFINITY ? r : x;
}

FL_INLINE double fl_log(double x)
{
    int64_t i, k;
    double f, r, kd, scaled = x < 0x1p-1022 ? x * 0x1p54 : x;
    memcpy(&i, &scaled, 8);
    /* the exponent, by adding it to the bits of 2^52: no 64-bit shift or conversion is needed
     * that SSE2 and AVX2 lack */
    i -= 0x3fe6a09e667f3bcdLL;
    k = (int64_t)(((uint64_t)i + 0x4000000000000000ULL) >> 52);    /* k + 1024 */
    i -= (int64_t)((uint64_t)(k - 1024) << 52);
    i += 0x3fe6a09e667f3bcdLL;
    memcpy(&f, &i, 8);
    k |= 0x4330000000000000LL;
    memcpy(&kd, &k, 8);
    kd -= 0x1p52 + 1024.0;
    kd -= x < 0x1p-1022 ? 54.0 : 0.0;
    r = fl_log_mantissa(f - 1.0, kd);
    r = x > 0.0 ? r : x == 0.0 ? -INFINITY : NAN;
    return x < INFINITY ? r : x;
}

/* log(1 + x) = log(u) + c / u, u = 1 + x rounded and c what the rounding lost. */
FL_INLINE float fl_log1pf(float x)
{
    float u = 1.0f + x, c = x - (u - 1.0f);
    float r = fl_logf(u) + c / (u > 0.0f ? u : 1.0f);
    return u < INFINITY ? r : u;
}

FL_INLINE double fl_log1p(double x)
{
    double u = 1.0 + x, c = x - (u - 1.0);
    double r = fl_log(u) + c / (u > 0.0 ? u : 1.0);
    return u < INFINITY ? r : u;
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

/* ---- exponentials -------------------------------------------------------------------- */

/* e^r - 1 = r + r^2 P(r), |r| <= ln 2 / 2. */
FL_INLINE float fl_exp_tailf(float r)
{
    float y = EXPF_4;
    y = y * r + EXPF_3;
    y = y * r + EXPF_2;
    y = y * r + EXPF_1;
    y = y * r + EXPF_0;
    return r + y * (r * r);
}

FL_INLINE double fl_exp_tail(double r)
{
    double y = EXP_9;
    y = y * r + EXP_8;
    y = y * r + EXP_7;
    y = y * r + EXP_6;
    y = y * r + EXP_5;
    y = y * r + EXP_4;
    y = y * r + EXP_3;
    y = y * r + EXP_2;
    y = y * r + EXP_1;
    y = y * r + EXP_0;
    return r + y * (r * r);
}

/* 2^n for a whole n of the exponent's range. */
FL_INLINE float fl_pow2f(float n)
{
    int32_t i;
    float x = n + (ROUNDF + 127.0f);    /* n + 127 in the lowest bits */
    memcpy(&i, &x, 4);
    i = (int32_t)((uint32_t)i << 23);
    memcpy(&x, &i, 4);
    return x;
}

FL_INLINE double fl_pow2(double n)
{
    int64_t i;
    double x = n + (ROUND + 1023.0);
    memcpy(&i, &x, 8);
    i = (int64_t)((uint64_t)i << 52);
    memcpy(&x, &i, 8);
    return x;
}

/* y 2^n in two steps, so that results may be denormal or at the end of the range. */
FL_INLINE float fl_scalef(float y, float n)
{
    float half = (n * 0.5f + ROUNDF) - ROUNDF;
    return y * fl_pow2f(half) * fl_pow2f(n - half);
}

FL_INLINE double fl_scale(double y, double n)
{
    double half = (n * 0.5 + ROUND) - ROUND;
    return y * fl_pow2(half) * fl_pow2(n - half);
}

/* e^(x + more), |more| < 16, where x + more would round: what x rounds in e^x is x times as
 * much in the result. e^x = 2^n e^r, |r| <= ln 2 / 2. */
FL_INLINE float fl_exp_sumf(float x, float more)
{
    float n, r, c = x < -120.0f ? -120.0f : x;
    c = c > 105.0f ? 105.0f : c;
    more = c == x ? more : 0.0f * more;
    n = ((c + more) * 1.44269504f + ROUNDF) - ROUNDF;
    r = (c - n * LN2F_HIGH) + (more - n * LN2F_LOW);
    return fl_scalef(1.0f + fl_exp_tailf(r), n);
}

FL_INLINE double fl_exp_sum(double x, double more)
{
    double n, r, c = x < -762.0 ? -762.0 : x;
    c = c > 726.0 ? 726.0 : c;
    more = c == x ? more : 0.0 * more;
    n = ((c + more) * 1.44269504088896338700 + ROUND) - ROUND;
    r = (c - n * LN2_HIGH) + (more - n * LN2_LOW);
    return fl_scale(1.0 + fl_exp_tail(r), n);
}

FL_INLINE float fl_expf(float x)
{
    float n, r = x < -104.0f ? -104.0f : x;
    r = r > 89.0f ? 89.0f : r;
    n = (r * 1.44269504f + ROUNDF) - ROUNDF;
    r = r - n * LN2F_HIGH;
    r = r - n * LN2F_LOW;
    return fl_scalef(1.0f + fl_exp_tailf(r), n);
}

FL_INLINE double fl_exp(double x)
{
    double n, r = x < -746.0 ? -746.0 : x;
    r = r > 710.0 ? 710.0 : r;
    n = (r * 1.44269504088896338700 + ROUND) - ROUND;
    r = r - n * LN2_HIGH;
    r = r - n * LN2_LOW;
    return fl_scale(1.0 + fl_exp_tail(r), n);
}

/* e^x - 1 for x <= 0. */
FL_INLINE float fl_expm1_negativef(float x)
{
    float n, r, s;
    r = x < -30.0f ? -30.0f : x;
    n = (r * 1.44269504f + ROUNDF) - ROUNDF;
    r = r - n * LN2F_HIGH;
    r = r - n * LN2F_LOW;
    s = fl_pow2f(n);
    return fl_exp_tailf(r) * s + (s - 1.0f);
}

FL_INLINE double fl_expm1_negative(double x)
{
    double n, r, s;
    r = x < -60.0 ? -60.0 : x;
    n = (r * 1.44269504088896338700 + ROUND) - ROUND;
    r = r - n * LN2_HIGH;
    r = r - n * LN2_LOW;
    s = fl_pow2(n);
    return fl_exp_tail(r) * s + (s - 1.0);
}

/* e^(a x + more), |more| < 8, with the product to about twice the digits: both factors are
 * split so that the product of their upper halves is exact. `a` is a parameter, so its
 * splitting leaves the loop. */
FL_INLINE float fl_exp_productf(double a, float x, float more)
{
    uint32_t i;
    float a_high, a_low, x_high, c = x < -0x1p100f ? -0x1p100f : x;
    c = c > 0x1p100f ? 0x1p100f : c;
    a_high = (float)a;
    memcpy(&i, &a_high, 4);
    i &= 0xfffff000u;
    memcpy(&a_high, &i, 4);
    a_low = (float)(a - (double)a_high);
    memcpy(&i, &c, 4);
    i &= 0xfffff000u;
    memcpy(&x_high, &i, 4);
    return fl_exp_sumf(a_high * x_high, (a_high * (c - x_high) + a_low * c) + more);
}

FL_INLINE double fl_exp_product(double a, double x, double more)
{
    uint64_t i;
    double a_high, a_low, x_high, c = x < -0x1p500 ? -0x1p500 : x;
    c = c > 0x1p500 ? 0x1p500 : c;
    memcpy(&i, &a, 8);
    i &= 0xfffffffff8000000ULL;
    memcpy(&a_high, &i, 8);
    a_low = a - a_high;
    memcpy(&i, &c, 8);
    i &= 0xfffffffff8000000ULL;
    memcpy(&x_high, &i, 8);
    return fl_exp_sum(a_high * x_high, (a_high * (c - x_high) + a_low * c) + more);
}

#endif
