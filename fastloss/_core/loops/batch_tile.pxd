# cython: language_level=3
"""The products of `batch_tile.h`, made for each SIMD level."""
from fastloss._core.formulas.math cimport real

cdef extern from "simd/batch_tile.h" nogil:
    enum:
        ROWS "FL_ROWS"
        PANELF "FL_PANELF"
        PANELD "FL_PANEL"
    Py_ssize_t fl_hide(Py_ssize_t n)
    void fl_similaritiesf(Py_ssize_t n, Py_ssize_t dim, const float *x, Py_ssize_t width,
                          const float *turned, float *out, Py_ssize_t pitch)
    void fl_similarities(Py_ssize_t n, Py_ssize_t dim, const double *x, Py_ssize_t width,
                         const double *turned, double *out, Py_ssize_t pitch)
    void fl_add_rowsf(Py_ssize_t count, Py_ssize_t n, Py_ssize_t dim, const float *x,
                      Py_ssize_t width, const float *a, Py_ssize_t row, Py_ssize_t step, float *g)
    void fl_add_rows(Py_ssize_t count, Py_ssize_t n, Py_ssize_t dim, const double *x,
                     Py_ssize_t width, const double *a, Py_ssize_t row, Py_ssize_t step, double *g)
    void fl_add_columnsf(Py_ssize_t panels, Py_ssize_t n, Py_ssize_t dim, const float *x,
                         Py_ssize_t width, const float *tiles, float *g)
    void fl_add_columns(Py_ssize_t panels, Py_ssize_t n, Py_ssize_t dim, const double *x,
                        Py_ssize_t width, const double *tiles, double *g)
    double fl_foldf(const float *x)
    double fl_fold(const double *x)
    void fl_turnf(Py_ssize_t dim, const float *x, Py_ssize_t width, float *turned)
    void fl_turn(Py_ssize_t dim, const double *x, Py_ssize_t width, double *turned)


cdef inline Py_ssize_t panel_size(real tag) noexcept nogil:
    return fl_hide(PANELF if real is float else PANELD)
