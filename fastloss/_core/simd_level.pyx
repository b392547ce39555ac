# cython: language_level=3
"""The kernels for this CPU: one compiled module per SIMD level, chosen once at import."""
import importlib
import importlib.util
import os

cdef extern from *:
    """
    /* What the operating system saves counts too; the builtin asks both. */
    #if defined(__x86_64__) && defined(__GNUC__)
    static int has_avx2(void) {
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    }
    static int has_avx512(void) {
        return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")
            && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
    }
    #else
    static int has_avx2(void) { return 0; }
    static int has_avx512(void) { return 0; }
    #endif
    """
    bint has_avx2()
    bint has_avx512()

MODULES = {"baseline": "_kernels", "avx2": "_kernels_avx2", "avx512": "_kernels_avx512"}


def _available():
    runs = {"baseline": True, "avx2": has_avx2(), "avx512": has_avx512()}
    return [level for level, module in MODULES.items()
            if runs[level] and importlib.util.find_spec(f"fastloss.{module}") is not None]


def _chosen():
    wanted = os.environ.get("FASTLOSS_SIMD") or AVAILABLE[-1]
    if wanted not in MODULES:
        raise ValueError(f"FASTLOSS_SIMD must be one of {', '.join(MODULES)}, got {wanted!r}")
    if wanted not in AVAILABLE:
        raise ValueError(f"FASTLOSS_SIMD={wanted} is not available on this machine, only "
                         f"{', '.join(AVAILABLE)}")
    return wanted


AVAILABLE = _available()
LEVEL = _chosen()
kernels = importlib.import_module(f"fastloss.{MODULES[LEVEL]}")
bounds = importlib.import_module(f"fastloss.{MODULES[LEVEL].replace('_kernels', '_core.bounds')}")
