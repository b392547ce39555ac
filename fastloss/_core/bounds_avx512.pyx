# cython: language_level=3
include "bounds.pyx"
