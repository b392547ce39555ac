/* The mode in which a thread does floating-point arithmetic: rounding, what becomes of denormal
 * numbers, which exceptions trap. Other libraries change it for the thread that calls us, and
 * threads of a team have the mode of whoever started them. Kernels compute in the default mode,
 * each thread for itself, and leave the one they found. */
#ifndef FASTLOSS_FPMODE_H
#define FASTLOSS_FPMODE_H

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
typedef unsigned int fl_mode;
#define FL_CONTROL 0xFFC0u          /* all but the flags of what happened */
#define FL_DEFAULT 0x1F80u
static inline fl_mode fl_read_mode(void) { return _mm_getcsr() & FL_CONTROL; }
static inline void fl_write_mode(fl_mode mode) { _mm_setcsr((_mm_getcsr() & ~FL_CONTROL) | mode); }
#elif defined(__aarch64__) && defined(__GNUC__)
typedef unsigned long long fl_mode;
#define FL_DEFAULT 0ull
static inline fl_mode fl_read_mode(void) {
    fl_mode mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
static inline void fl_write_mode(fl_mode mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#else
typedef int fl_mode;
#define FL_DEFAULT 0
static inline fl_mode fl_read_mode(void) { return FL_DEFAULT; }
static inline void fl_write_mode(fl_mode mode) { (void)mode; }
#endif

/* No load or store, and so no arithmetic with what is loaded, is moved across. */
#if defined(__GNUC__)
#define FL_FENCE() __asm__ volatile("" : : : "memory")
#else
#define FL_FENCE() ((void)0)
#endif

static inline fl_mode fl_enter_default_mode(void) {
    fl_mode before = fl_read_mode();
    if (before != FL_DEFAULT)
        fl_write_mode(FL_DEFAULT);
    FL_FENCE();
    return before;
}

static inline int fl_is_default_mode(fl_mode mode) { return mode == FL_DEFAULT; }

static inline void fl_leave_default_mode(fl_mode before) {
    FL_FENCE();
    if (before != FL_DEFAULT)
        fl_write_mode(before);
}

/* Long doubles are computed by another unit of x86-64, with a rounding mode and a precision of its
 * own. */
#if (defined(__x86_64__) || defined(_M_X64)) && defined(__GNUC__)
typedef unsigned short fl_wide_mode;
static inline fl_wide_mode fl_enter_wide_mode(void)
{
    fl_wide_mode before, wanted = 0x037F;
    __asm__ volatile("fnstcw %0" : "=m"(before));
    if (before != wanted)
        __asm__ volatile("fldcw %0" : : "m"(wanted) : "memory");
    return before;
}
static inline void fl_leave_wide_mode(fl_wide_mode before)
{
    __asm__ volatile("fldcw %0" : : "m"(before) : "memory");
}
#else
typedef int fl_wide_mode;
static inline fl_wide_mode fl_enter_wide_mode(void) { return 0; }
static inline void fl_leave_wide_mode(fl_wide_mode before) { (void)before; }
#endif

#endif
