/* Prints a digest of what elementary.h gives for half a million inputs of each function, so that
 * compilers and processors can be compared. */
#include <stdio.h>
#include "simd/elementary.h"

#define N 8192

static uint64_t state = 88172645463325252u, digest = 14695981039346656037u;

static uint64_t bits(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static double between(double low, double high)
{
    return low + (high - low) * ((double)(bits() >> 11) * 0x1p-53);
}

/* NaNs have many bit patterns, and which one comes out is the processor's choice. */
#define ADD(result) \
    for (long i = 0; i < N; i++) { \
        uint64_t word = 0; \
        memcpy(&word, &result[i], sizeof(result[i])); \
        digest = (digest ^ (result[i] == result[i] ? word : 1)) * 1099511628211u; \
    }

static float x32[N], more32[N], result32[N];
static double x64[N], more64[N], result64[N];

#define RUN(name) \
    for (long i = 0; i < N; i++) result32[i] = fl_##name##f(x32[i]); \
    ADD(result32) \
    for (long i = 0; i < N; i++) result64[i] = fl_##name(x64[i]); \
    ADD(result64)

int main(void)
{
    for (int round = 0; round < 64; round++) {
        for (long i = 0; i < N; i++) {
            uint64_t any = bits();
            uint32_t upper = (uint32_t)(any >> 32);
            memcpy(&x32[i], &upper, 4);
            memcpy(&x64[i], &any, 8);
            if (round % 4 == 1) {
                x64[i] = between(-750, 710);
                x32[i] = (float)(x64[i] / 7);
            }
            if (round % 4 == 2)
                x32[i] = (float)(x64[i] = between(0, 1));
            more32[i] = (float)(more64[i] = between(-8, 8));
        }
        RUN(exp) RUN(expm1_negative) RUN(log) RUN(log1p) RUN(log1p_unit) RUN(log1m_half)
        for (long i = 0; i < N; i++)
            result32[i] = fl_exp_productf(1.4426950408889634, x32[i], more32[i]);
        ADD(result32)
        for (long i = 0; i < N; i++)
            result64[i] = fl_exp_product(1.4426950408889634, x64[i], more64[i]);
        ADD(result64)
    }
    printf("%016llx\n", (unsigned long long)digest);
    return 0;
}
