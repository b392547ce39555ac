# cython: language_level=3
"""Losses of elements for other compiled code: what other packages may cimport.

`element_loss` needs Python; the other functions need neither Python nor the GIL, start no thread
and allocate nothing, so that any number of threads may call them with the same loss. What is
here stays: names, signatures and meanings. A later version may add functions, and then raises
API_VERSION. Importing a module that was compiled for functions that the installed fastloss does
not have is an error.

Numbers are float64, or float32 in the functions whose names say so; results are those of
the loss's methods for arrays of that type, to the bit. NULL stands for results and weights that
are not wanted. Any number may come in, NaN included. `total` computes in the default mode of
floating-point arithmetic, as the methods do; `sample` and `elements` in the one that the thread
is in, which is another only if it was set, say to take denormal numbers for 0.
"""

cdef extern from *:
    """
    typedef struct fastloss_element_loss fastloss_element_loss;
    """
    # A loss with its parameters. What it holds is not for others.
    ctypedef struct ElementLoss "fastloss_element_loss":
        pass

cdef enum:
    API_VERSION = 1

# That of the installed fastloss, which may be higher than the one compiled for.
cdef int api_version() noexcept nogil

# The loss in a fastloss.Loss of elements, such as fastloss.HuberLoss(); TypeError for others. It
# lives in that object: keep the object for as long as the pointer is used.
cdef const ElementLoss *element_loss(object loss) except NULL

# Value, derivative by p and second derivative at one sample.
cdef void sample64(const ElementLoss *loss, double y, double p,
                   double *value, double *grad, double *hess) noexcept nogil
cdef void sample32(const ElementLoss *loss, float y, float p,
                   float *value, float *grad, float *hess) noexcept nogil

# The same of n elements that lie one after another. A result may replace y or p: have the same
# address. Otherwise no array may overlap a result.
cdef void elements64(const ElementLoss *loss, Py_ssize_t n, const double *y, const double *p,
                     double *value, double *grad, double *hess) noexcept nogil
cdef void elements32(const ElementLoss *loss, Py_ssize_t n, const float *y, const float *p,
                     float *value, float *grad, float *hess) noexcept nogil

# The sum over n elements of weight times loss, weights 1 where NULL, in float64; and of each
# element, scale times the derivative of this sum: with 1 / n that of the mean.
cdef double total64(const ElementLoss *loss, Py_ssize_t n, const double *y, const double *p,
                    const double *weight, double scale, double *grad) noexcept nogil
cdef double total32(const ElementLoss *loss, Py_ssize_t n, const float *y, const float *p,
                    const float *weight, double scale, float *grad) noexcept nogil
