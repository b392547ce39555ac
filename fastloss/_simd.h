/* Branch-free logarithms, which the compiler vectorises in the loops that use them.
 *
 * No tables, no calls, no early returns: integer operations on the bits of a number, a
 * polynomial, selections. Coefficients come from tools/derive_log.py. Within 2 ULP of the
 * true value for every input, denormals included; NaN for negative numbers and NaN, -inf for 0.
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

/* log(x) = k ln 2 + log(1 + f), sqrt(1/2) <= 1 + f < sqrt(2), and
 * log(1 + f) = f - f^2/2 + f^3 P(f). ln 2 is split so that k times its upper part is exact. */
FL_INLINE float fl_logf(float x)
{
    int32_t i, k;
    float f, z, r, scaled = x < 0x1p-126f ? x * 0x1p23f : x;
    memcpy(&i, &scaled, 4);
    k = (i - 0x3f3504f3) >> 23;
    i -= k * (1 << 23);
    memcpy(&f, &i, 4);
    f -= 1.0f;
    k -= x < 0x1p-126f ? 23 : 0;
    z = f * f;
    r = LOGF_7;
    r = r * f + LOGF_6;
    r = r * f + LOGF_5;
    r = r * f + LOGF_4;
    r = r * f + LOGF_3;
    r = r * f + LOGF_2;
    r = r * f + LOGF_1;
    r = r * f + LOGF_0;
    r = r * f * z - 0.5f * z;
    r += (float)k * -2.12194440e-4f;
    r = f + r;
    r += (float)k * 0.693359375f;
    r = x > 0.0f ? r : x == 0.0f ? -INFINITY : NAN;
    return x < INFINITY ? r : x;
}

/* log(1 + f) = f - (f^2/2 - s (f^2/2 + R(s^2))), s = f / (2 + f), after P. T. P. Tang. */
FL_INLINE double fl_log(double x)
{
    int64_t i, k;
    double f, s, z, h, r, kd, scaled = x < 0x1p-1022 ? x * 0x1p54 : x;
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
    f -= 1.0;
    s = f / (2.0 + f);
    z = s * s;
    r = LOG_6;
    r = r * z + LOG_5;
    r = r * z + LOG_4;
    r = r * z + LOG_3;
    r = r * z + LOG_2;
    r = r * z + LOG_1;
    r = r * z + LOG_0;
    r = r * z;
    h = 0.5 * f * f;
    r = s * (h + r) + kd * 1.90821492927058770002e-10;
    r = f - (h - r);
    r += kd * 6.93147180369123816490e-01;
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

#endif
