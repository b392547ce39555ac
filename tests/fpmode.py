"""Modes of floating-point arithmetic that other libraries leave a thread in."""

import ctypes
import ctypes.util
import platform
from contextlib import contextmanager

import numpy as np

# where fenv_t of glibc has the register, and its bits for denormals: results and operands
REGISTERS = {"x86_64": (28, 0x8040), "aarch64": (0, 1 << 24)}
ROUNDINGS = {"x86_64": 0x800, "aarch64": 0x400000}
TINY = np.float64(5e-324)


def environment():
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    room = (ctypes.c_char * 64)()
    libm.fegetenv(room)
    return libm, room


@contextmanager
def flushed():
    """Denormal operands and results are 0 for this thread, as torch.set_flush_denormal(True)."""
    libm, before = environment()
    changed = (ctypes.c_char * 64)(*before)
    offset, bits = REGISTERS[platform.machine()]
    register = ctypes.c_uint32.from_buffer(changed, offset)
    register.value |= bits
    libm.fesetenv(changed)
    try:
        yield
    finally:
        libm.fesetenv(before)


@contextmanager
def rounded_up():
    """Results are rounded upwards for this thread."""
    libm, _ = environment()
    before = libm.fegetround()
    libm.fesetround(ROUNDINGS[platform.machine()])
    try:
        yield
    finally:
        libm.fesetround(before)


def flushes():
    """Return whether denormal numbers are 0 for this thread."""
    return bool(TINY * np.float64(1) == 0)


def rounds_up():
    return bool(np.float64(1) + np.float64(1e-30) > 1)


def is_known():
    """Return whether this platform's modes can be changed here."""
    return platform.machine() in REGISTERS and platform.libc_ver()[0] == "glibc"
