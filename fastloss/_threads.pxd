cdef int team_size(object n_threads, Py_ssize_t size) except -1
