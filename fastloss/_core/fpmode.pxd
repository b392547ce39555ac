# cython: language_level=3
"""The default mode of floating-point arithmetic, entered and left; `fpmode.h` says why."""

cdef extern from "fpmode.h" nogil:
    ctypedef int Mode "fl_mode"
    Mode enter_default_mode "fl_enter_default_mode"()
    void leave_default_mode "fl_leave_default_mode"(Mode before)
    bint is_default_mode "fl_is_default_mode"(Mode mode)
    ctypedef int WideMode "fl_wide_mode"
    WideMode enter_wide_mode "fl_enter_wide_mode"()
    void leave_wide_mode "fl_leave_wide_mode"(WideMode before)
