/* The functions of elementary.h over arrays, by name: what elementary.pxi applies. */
#ifndef FASTLOSS_SIMD_TABLE_H
#define FASTLOSS_SIMD_TABLE_H

#include <stddef.h>
#include "simd/elementary.h"

#if defined(_MSC_VER)
#define FL_RESTRICT __restrict
#else
#define FL_RESTRICT __restrict__
#endif

/* a and more: of exp_product only */
#define FL_ARGUMENTS(real) \
    (ptrdiff_t n, double a, const real *FL_RESTRICT x, const real *FL_RESTRICT more, \
     real *FL_RESTRICT out)
#define FL_APPLY(name, call32, call64) \
    static void apply_##name##f FL_ARGUMENTS(float) \
    { (void)a; (void)more; for (ptrdiff_t i = 0; i < n; i++) out[i] = call32; } \
    static void apply_##name FL_ARGUMENTS(double) \
    { (void)a; (void)more; for (ptrdiff_t i = 0; i < n; i++) out[i] = call64; }
#define FL_APPLY_ONE(name) FL_APPLY(name, fl_##name##f(x[i]), fl_##name(x[i]))

FL_APPLY_ONE(exp)
FL_APPLY_ONE(exp_negative)
FL_APPLY_ONE(expm1_negative)
FL_APPLY_ONE(log)
FL_APPLY_ONE(log1p)
FL_APPLY_ONE(log1p_unit)
FL_APPLY_ONE(log1m_half)
FL_APPLY(exp_product, fl_exp_productf(a, x[i], more[i]), fl_exp_product(a, x[i], more[i]))

typedef struct {
    const char *name;
    void (*apply32) FL_ARGUMENTS(float);
    void (*apply64) FL_ARGUMENTS(double);
} fl_function;

#define FL_ENTRY(name) {#name, apply_##name##f, apply_##name}

static const fl_function fl_functions[] = {
    FL_ENTRY(exp), FL_ENTRY(exp_negative), FL_ENTRY(expm1_negative), FL_ENTRY(log),
    FL_ENTRY(log1p), FL_ENTRY(log1p_unit), FL_ENTRY(log1m_half),
    FL_ENTRY(exp_product), {NULL, NULL, NULL},
};

#endif
