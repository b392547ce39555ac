/* Products of small matrices, from registers: what losses of all pairs of rows spend their time on.
 *
 * Every product is a sum over k of one number, spread over a vector, times VECTORS vectors; ROWS
 * such sums are made side by side, so that they stay in registers and a vector loaded is used ROWS
 * times. Sums go up in k, one fused multiply-add at a time where there are such, so the bits do not
 * depend on the width of a vector.
 *
 * Of a tile, the pairs of `n` rows with a panel of PANEL other rows, element (j, l) is at
 * tile[j PANEL + l]: what belongs to the rows of the panel lies in the lanes of vectors, and what
 * is summed over the others needs no sum across lanes.
 */
#ifndef FASTLOSS_TILE_H
#define FASTLOSS_TILE_H

#include <stddef.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#define FL_ROWS 8
#define FL_VECTORF __m512
#define FL_VECTOR __m512d
#define FL_LOADF _mm512_loadu_ps
#define FL_LOAD _mm512_loadu_pd
#define FL_STOREF _mm512_storeu_ps
#define FL_STORE _mm512_storeu_pd
#define FL_SPREADF _mm512_set1_ps
#define FL_SPREAD _mm512_set1_pd
#define FL_MULTIPLY_ADDF _mm512_fmadd_ps
#define FL_MULTIPLY_ADD _mm512_fmadd_pd
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define FL_ROWS 4
#define FL_VECTORF __m256
#define FL_VECTOR __m256d
#define FL_LOADF _mm256_loadu_ps
#define FL_LOAD _mm256_loadu_pd
#define FL_STOREF _mm256_storeu_ps
#define FL_STORE _mm256_storeu_pd
#define FL_SPREADF _mm256_set1_ps
#define FL_SPREAD _mm256_set1_pd
#define FL_MULTIPLY_ADDF _mm256_fmadd_ps
#define FL_MULTIPLY_ADD _mm256_fmadd_pd
#elif defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
#define FL_ROWS 4
#define FL_VECTORF __m128
#define FL_VECTOR __m128d
#define FL_LOADF _mm_loadu_ps
#define FL_LOAD _mm_loadu_pd
#define FL_STOREF _mm_storeu_ps
#define FL_STORE _mm_storeu_pd
#define FL_SPREADF _mm_set1_ps
#define FL_SPREAD _mm_set1_pd
#define FL_MULTIPLY_ADDF(a, b, c) _mm_add_ps(_mm_mul_ps(a, b), c)
#define FL_MULTIPLY_ADD(a, b, c) _mm_add_pd(_mm_mul_pd(a, b), c)
#elif defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>
#define FL_ROWS 8
#define FL_VECTORF float32x4_t
#define FL_VECTOR float64x2_t
#define FL_LOADF vld1q_f32
#define FL_LOAD vld1q_f64
#define FL_STOREF vst1q_f32
#define FL_STORE vst1q_f64
#define FL_SPREADF vdupq_n_f32
#define FL_SPREAD vdupq_n_f64
#define FL_MULTIPLY_ADDF(a, b, c) vfmaq_f32(c, a, b)
#define FL_MULTIPLY_ADD(a, b, c) vfmaq_f64(c, a, b)
#else
#define FL_ROWS 4
#define FL_VECTORF float
#define FL_VECTOR double
#define FL_LOADF(p) (*(p))
#define FL_LOAD(p) (*(p))
#define FL_STOREF(p, v) (*(p) = (v))
#define FL_STORE(p, v) (*(p) = (v))
#define FL_SPREADF(x) (x)
#define FL_SPREAD(x) (x)
#define FL_MULTIPLY_ADDF(a, b, c) ((a) * (b) + (c))
#define FL_MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif

#define FL_VECTORS 2
#define FL_LANESF ((int)(sizeof(FL_VECTORF) / sizeof(float)))
#define FL_LANES ((int)(sizeof(FL_VECTOR) / sizeof(double)))
#define FL_PANELF (FL_VECTORS * FL_LANESF)
#define FL_PANEL (FL_VECTORS * FL_LANES)
#define FL_MOST 32      /* rows and columns are padded to a multiple of this, at every level */

#if defined(__GNUC__)
#define FL_ALWAYS static inline __attribute__((always_inline))
#define FL_UNROLL _Pragma("GCC unroll 8")
#else
#define FL_ALWAYS static __forceinline
#define FL_UNROLL
#endif

/* The size of a panel, which loops over lanes go to. The compiler must not know one that it would
 * sooner unroll than make vectors of. */
FL_ALWAYS ptrdiff_t fl_hide(ptrdiff_t n)
{
#if defined(__GNUC__) && !defined(__AVX2__)
    __asm__("" : "+r"(n));
#endif
    return n;
}

/* FL_SQUARE rows of as many numbers, as columns: `x` and `out` have rows of `width` and `pitch`. */
#if defined(__SSE2__) || defined(_M_X64)
#define FL_SQUARE 4
FL_ALWAYS void fl_turn_squaref(const float *x, ptrdiff_t width, float *out, ptrdiff_t pitch)
{
    __m128 a = _mm_loadu_ps(x), b = _mm_loadu_ps(x + width);
    __m128 c = _mm_loadu_ps(x + 2 * width), d = _mm_loadu_ps(x + 3 * width);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps(out, a);
    _mm_storeu_ps(out + pitch, b);
    _mm_storeu_ps(out + 2 * pitch, c);
    _mm_storeu_ps(out + 3 * pitch, d);
}

FL_ALWAYS void fl_turn_square(const double *x, ptrdiff_t width, double *out, ptrdiff_t pitch)
{
    int k, l;
    for (k = 0; k < FL_SQUARE; k += 2)
        for (l = 0; l < FL_SQUARE; l += 2) {
            __m128d a = _mm_loadu_pd(x + l * width + k), b = _mm_loadu_pd(x + (l + 1) * width + k);
            _mm_storeu_pd(out + k * pitch + l, _mm_unpacklo_pd(a, b));
            _mm_storeu_pd(out + (k + 1) * pitch + l, _mm_unpackhi_pd(a, b));
        }
}
#else
#define FL_SQUARE 1
FL_ALWAYS void fl_turn_squaref(const float *x, ptrdiff_t width, float *out, ptrdiff_t pitch)
{
    *out = *x;
}

FL_ALWAYS void fl_turn_square(const double *x, ptrdiff_t width, double *out, ptrdiff_t pitch)
{
    *out = *x;
}
#endif

/* FL_DEFINE_TILE makes, for one type:
 *
 * multiply_add  sums[m][v] += sum over k < n of a[m row + k step] times vector v of b + k width.
 * similarities  <row j of x, row l of the panel> to out[j pitch + l], rows of x being `width` apart
 *               and the panel turned: its element k of row l is at turned[k PANEL + l]. n is padded
 *               up to a multiple of ROWS: x has those rows, and `out` room for them.
 * add_rows      row m of g += sum over j < n of a[m row + j step] times row j of x, for m < count,
 *               a multiple of ROWS.
 * add_columns   row j of g += sum over the rows l of `panels` panels, whose tiles lie n PANEL apart
 *               from each other and whose rows are x, of tile(j, l) times row l; n padded alike.
 * turn          makes `turned` of PANEL rows.
 *
 * Columns are padded to a multiple of PANEL in x, if add_* is used, and in g. */
#define FL_DEFINE_TILE(real, VECTOR, LANES, PANEL, LOAD, STORE, SPREAD, MULTIPLY_ADD, suffix)      \
                                                                                                   \
FL_ALWAYS void fl_multiply_add##suffix(ptrdiff_t n, const real *a, ptrdiff_t row, ptrdiff_t step,  \
                                       const real *b, ptrdiff_t width,                             \
                                       VECTOR sums[FL_ROWS][FL_VECTORS])                           \
{                                                                                                  \
    ptrdiff_t k;                                                                                   \
    for (k = 0; k < n; k++) {                                                                      \
        VECTOR b0 = LOAD(b + k * width), b1 = LOAD(b + k * width + LANES);                         \
        int m;                                                                                     \
        FL_UNROLL                                                                                  \
        for (m = 0; m < FL_ROWS; m++) {                                                            \
            VECTOR factor = SPREAD(a[m * row + k * step]);                                         \
            sums[m][0] = MULTIPLY_ADD(factor, b0, sums[m][0]);                                     \
            sums[m][1] = MULTIPLY_ADD(factor, b1, sums[m][1]);                                     \
        }                                                                                          \
    }                                                                                              \
}                                                                                                  \
                                                                                                   \
FL_ALWAYS void fl_load##suffix(const real *g, ptrdiff_t width, VECTOR sums[FL_ROWS][FL_VECTORS])   \
{                                                                                                  \
    int m;                                                                                         \
    FL_UNROLL                                                                                      \
    for (m = 0; m < FL_ROWS; m++) {                                                                \
        sums[m][0] = LOAD(g + m * width);                                                          \
        sums[m][1] = LOAD(g + m * width + LANES);                                                  \
    }                                                                                              \
}                                                                                                  \
                                                                                                   \
FL_ALWAYS void fl_store##suffix(real *g, ptrdiff_t width, VECTOR sums[FL_ROWS][FL_VECTORS])        \
{                                                                                                  \
    int m;                                                                                         \
    FL_UNROLL                                                                                      \
    for (m = 0; m < FL_ROWS; m++) {                                                                \
        STORE(g + m * width, sums[m][0]);                                                          \
        STORE(g + m * width + LANES, sums[m][1]);                                                  \
    }                                                                                              \
}                                                                                                  \
                                                                                                   \
static void fl_similarities##suffix(ptrdiff_t n, ptrdiff_t dim, const real *x, ptrdiff_t width,    \
                                    const real *turned, real *out, ptrdiff_t pitch)                \
{                                                                                                  \
    VECTOR sums[FL_ROWS][FL_VECTORS];                                                              \
    ptrdiff_t j;                                                                                   \
    int m;                                                                                         \
    for (j = 0; j < n; j += FL_ROWS) {                                                             \
        FL_UNROLL                                                                                  \
        for (m = 0; m < FL_ROWS; m++)                                                              \
            sums[m][0] = sums[m][1] = SPREAD(0);                                                   \
        fl_multiply_add##suffix(dim, x + j * width, width, 1, turned, PANEL, sums);                \
        fl_store##suffix(out + j * pitch, pitch, sums);                                            \
    }                                                                                              \
}                                                                                                  \
                                                                                                   \
FL_ALWAYS void fl_add_rows##suffix(ptrdiff_t count, ptrdiff_t n, ptrdiff_t dim, const real *x,     \
                                   ptrdiff_t width, const real *a, ptrdiff_t row, ptrdiff_t step,  \
                                   real *g)                                                        \
{                                                                                                  \
    VECTOR sums[FL_ROWS][FL_VECTORS];                                                              \
    ptrdiff_t c, m;                                                                                \
    for (c = 0; c < dim; c += PANEL)                                                               \
        for (m = 0; m < count; m += FL_ROWS) {                                                     \
            fl_load##suffix(g + m * width + c, width, sums);                                       \
            fl_multiply_add##suffix(n, a + m * row, row, step, x + c, width, sums);                \
            fl_store##suffix(g + m * width + c, width, sums);                                      \
        }                                                                                          \
}                                                                                                  \
                                                                                                   \
static void fl_add_columns##suffix(ptrdiff_t panels, ptrdiff_t n, ptrdiff_t dim, const real *x,    \
                                   ptrdiff_t width, const real *tiles, real *g)                    \
{                                                                                                  \
    VECTOR sums[FL_ROWS][FL_VECTORS];                                                              \
    ptrdiff_t c, j, p, room = (n + FL_ROWS - 1) / FL_ROWS * FL_ROWS;                               \
    for (c = 0; c < dim; c += PANEL)                                                               \
        for (j = 0; j < n; j += FL_ROWS) {                                                         \
            fl_load##suffix(g + j * width + c, width, sums);                                       \
            for (p = 0; p < panels; p++)                                                           \
                fl_multiply_add##suffix(PANEL, tiles + (p * room + j) * PANEL, PANEL, 1,           \
                                        x + p * PANEL * width + c, width, sums);                   \
            fl_store##suffix(g + j * width + c, width, sums);                                      \
        }                                                                                          \
}                                                                                                  \
                                                                                                   \
static void fl_turn##suffix(ptrdiff_t dim, const real *x, ptrdiff_t width, real *turned)           \
{                                                                                                  \
    ptrdiff_t k, j, l, whole = dim / FL_SQUARE * FL_SQUARE;                                        \
    for (k = 0; k < whole; k += FL_SQUARE)                                                         \
        for (l = 0; l < PANEL; l += FL_SQUARE)                                                     \
            fl_turn_square##suffix(x + l * width + k, width, turned + k * PANEL + l, PANEL);       \
    for (j = whole; j < dim; j++)                                                                  \
        for (l = 0; l < PANEL; l++)                                                                \
            turned[j * PANEL + l] = x[l * width + j];                                              \
}

/* The sum of a panel's numbers. */
#define FL_DEFINE_FOLD(real, LANES, suffix)                                                        \
FL_ALWAYS double fl_fold##suffix(const real *x)                                                    \
{                                                                                                  \
    double sums[LANES];                                                                            \
    int l, half;                                                                                   \
    for (l = 0; l < LANES; l++)                                                                    \
        sums[l] = (double)x[l] + x[l + LANES];                                                     \
    for (half = LANES / 2; half > 0; half /= 2)                                                    \
        for (l = 0; l < half; l++)                                                                 \
            sums[l] += sums[l + half];                                                             \
    return sums[0];                                                                                \
}

FL_DEFINE_FOLD(float, FL_LANESF, f)
FL_DEFINE_FOLD(double, FL_LANES, )

FL_DEFINE_TILE(float, FL_VECTORF, FL_LANESF, FL_PANELF, FL_LOADF, FL_STOREF, FL_SPREADF,
               FL_MULTIPLY_ADDF, f)
FL_DEFINE_TILE(double, FL_VECTOR, FL_LANES, FL_PANEL, FL_LOAD, FL_STORE, FL_SPREAD,
               FL_MULTIPLY_ADD, )

#endif
