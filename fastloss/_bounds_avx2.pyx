# cython: language_level=3
include "_bounds.pyx"
