cdef int wanted_threads(object n_threads) except -1
cdef int team_size(int wanted, Py_ssize_t size) except -1
