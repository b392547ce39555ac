# cython: language_level=3
"""How many threads a call uses."""
import operator
import os

cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    #define FL_OPENMP _OPENMP
    #else
    static int omp_get_max_threads(void) { return 1; }
    #define FL_OPENMP 0
    #endif
    """
    int omp_get_max_threads() nogil
    const int FL_OPENMP

cdef extern from "threads.h" nogil:
    int room_for_threads "fl_room_for_threads"(int wanted)

cdef enum:
    MIN_TEAM_ELEMENTS = 1 << 18  # below, a team takes longer to wake than to work
    MAX_THREADS_PER_CPU = 4      # threads that are started at most, however many are asked for
    UNCHECKED_THREADS = 4        # so many are, without looking at the CPUs

cdef object chosen = None        # set_num_threads
cdef bint forked = False
OPENMP = FL_OPENMP               # date of the OpenMP specification; 0: built without


def _read(path):
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""


def _quota():
    """CPUs that the control group of this process may use, rounded up, or None."""
    limits = []
    for line in _read("/proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            while True:      # version 2: every ancestor may set a limit
                limits.append(_read(f"/sys/fs/cgroup{group}/cpu.max").split())
                if group in ("/", ""):
                    break
                group = os.path.dirname(group)
        elif "cpu" in controllers.split(","):
            # inside a container the group's own folder is mounted at the root
            for folder in (f"/sys/fs/cgroup/cpu{group}", "/sys/fs/cgroup/cpu"):
                limits.append([_read(f"{folder}/cpu.cfs_quota_us"),
                               _read(f"{folder}/cpu.cfs_period_us")])
    cpus = [-(-int(limit[0]) // int(limit[1])) for limit in limits
            if len(limit) == 2 and limit[0].isdecimal() and limit[1].isdecimal()]
    return max(1, min(cpus)) if cpus else None


cdef object QUOTA = _quota()


def cpu_count():
    """CPUs this process may use: affinity and control group."""
    if hasattr(os, "sched_getaffinity"):
        cpus = len(os.sched_getaffinity(0))
    else:
        cpus = os.cpu_count() or 1
    return cpus if QUOTA is None else min(cpus, QUOTA)


cdef object checked(object n_threads):
    if not isinstance(n_threads, bool):
        try:
            n = operator.index(n_threads)
        except TypeError:
            pass
        else:
            if n >= 1:
                return n
    raise ValueError(f"n_threads must be None or an integer >= 1, got {n_threads!r}")


def set_num_threads(n_threads):
    """Set the number of threads that calls use which do not say `n_threads`.

    Parameters
    ----------
    n_threads : int or None
        At least 1; no more threads than CPUs that the process may use are taken.
        None returns to the default: ``FASTLOSS_NUM_THREADS``, else what OpenMP says.

    Raises
    ------
    ValueError
        If `n_threads` is neither None nor an integer >= 1.
    """
    global chosen
    chosen = None if n_threads is None else checked(n_threads)


def get_num_threads():
    """Return the number of threads that calls use which do not say `n_threads`.

    In this order: `set_num_threads`, the environment variable ``FASTLOSS_NUM_THREADS``
    (read at import), what OpenMP says now (``OMP_NUM_THREADS``, ``threadpoolctl``); never
    more than the CPUs that affinity and control group leave to the process. 1 in a forked
    child.
    """
    if forked:
        return 1
    if chosen is not None:
        wanted = chosen
    elif FROM_ENVIRONMENT is not None:
        wanted = FROM_ENVIRONMENT
    else:
        wanted = omp_get_max_threads()
    return max(1, min(wanted, cpu_count()))


cdef int wanted_threads(object n_threads) except -1:
    """The argument of a call as a number, 0 for None.

    It may be any object with an `__index__`, which may do anything: convert it before arrays are
    looked at.
    """
    return 0 if n_threads is None else <int>min(checked(n_threads), 1 << 16)


cdef int team_size(int wanted, Py_ssize_t size) except -1:
    """Threads for one call on `size` elements.

    More than a few per CPU only wait for each other, and OpenMP ends the process if one cannot be
    started.
    """
    cdef int n = wanted
    # A forked child inherits OpenMP's bookkeeping but not its threads, and would wait
    # for them for ever.
    if n == 1 or forked or (n == 0 and size < MIN_TEAM_ELEMENTS):
        return 1
    if n == 0:
        n = get_num_threads()
    elif n > UNCHECKED_THREADS:
        n = min(n, max(UNCHECKED_THREADS, MAX_THREADS_PER_CPU * <int>cpu_count()))
    return room_for_threads(n) if n > 1 else 1


def _after_fork():
    global forked
    forked = True


def _from_environment():
    text = os.environ.get("FASTLOSS_NUM_THREADS")
    if not text:
        return None
    if text.strip().isdecimal() and int(text) >= 1:
        return int(text)
    raise ValueError(f"FASTLOSS_NUM_THREADS must be an integer >= 1, got {text!r}")


FROM_ENVIRONMENT = _from_environment()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
