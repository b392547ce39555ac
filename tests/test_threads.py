"""How many threads are used, from how many at once, and what a fork does to them."""

import multiprocessing
import os
import threading

import numpy as np
import pytest
from cases import CASES, DTYPES, seeded
from child import run_python
from numerics import all_results, assert_same_bits

import fastloss as fl

CPUS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
needs_affinity = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"),
                                    reason="this platform has no affinity")
needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/task"),
                                reason="threads are counted in /proc")

# ---- fork ------------------------------------------------------------------------------------

FORK = """
import os, sys
import numpy as np, fastloss as fl
rng = np.random.default_rng(0)
y, p = rng.integers(0, 2, 1_000_000), rng.random(1_000_000)
loss = fl.LogLoss()
expected = loss.value_and_grad(y, p, n_threads=4)
def same():
    for n_threads in (None, 4):
        value, grad = loss.value_and_grad(y, p, n_threads=n_threads)
        assert value == expected[0] and (grad == expected[1]).all()
    assert fl.get_num_threads() == 1
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        try:
            same()
            grandchild = os.fork()
            if grandchild == 0:
                same()
                os._exit(0)
            os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
value, grad = loss.value_and_grad(y, p, n_threads=4)        # the parent still can
assert value == expected[0] and (grad == expected[1]).all()
print("done")
"""


@needs_fork
def test_fork_after_use_does_not_hang(tmp_path):
    assert run_python(FORK, tmp_path) == "done"


POOL = """
import multiprocessing, numpy as np, fastloss as fl
def work(seed):
    rng = np.random.default_rng(seed)
    y, p = rng.integers(0, 2, 300_000), rng.random(300_000)
    return fl.log_loss(y, p), fl.LogLoss().grad(y, p).sum()
if __name__ == "__main__":
    expected = [work(seed) for seed in range(4)]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(work, range(4)) == expected
    print("done")
"""


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_fork_pool_after_use(tmp_path):
    assert run_python(POOL, tmp_path) == "done"


# ---- threads ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_many_python_threads_at_once(dtype):
    n = 70_000
    jobs = []
    for case in CASES.values():
        rng = seeded(case.name, dtype, "threads")
        p, y = case.draw_p(rng, n, case.parameters(rng)).astype(dtype), rng.integers(0, 2, n)
        jobs.append((case.loss(), y, p, rng.random(n), np.empty(n, dtype)))
    expected = [all_results(*job[:4]) for job in jobs]
    failures = []
    start = threading.Barrier(8)

    def work(k):
        try:
            start.wait()
            for i in range(6):
                job = jobs[(i + k) % len(jobs)]
                got = all_results(*job[:4], n_threads=(None, 1, 2, 3)[(i + k) % 4])
                assert_same_bits(got, expected[(i + k) % len(jobs)])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]


@needs_proc
def test_import_starts_no_thread_and_small_calls_need_none(tmp_path):
    code = """
import os
import numpy as np
before = len(os.listdir("/proc/self/task"))
import fastloss as fl
assert len(os.listdir("/proc/self/task")) == before
fl.log_loss(np.ones(1000), np.full(1000, 0.5))
assert len(os.listdir("/proc/self/task")) == before
n = 1_000_000
fl.log_loss(np.ones(n), np.full(n, 0.5), n_threads=1)
assert len(os.listdir("/proc/self/task")) == before
fl.log_loss(np.ones(n), np.full(n, 0.5), n_threads=3)
print(len(os.listdir("/proc/self/task")) - before)
"""
    assert run_python(code, tmp_path) in ("2", "0")     # 0: built without OpenMP


def count(tmp_path, code="", **environment):
    return int(run_python(f"import fastloss as fl\n{code}\nprint(fl.get_num_threads())", tmp_path,
                          **environment))


def test_order_of_the_settings(tmp_path):
    assert count(tmp_path) == count(tmp_path, OMP_NUM_THREADS="")
    assert 1 <= count(tmp_path) <= CPUS
    assert count(tmp_path, OMP_NUM_THREADS="1") == 1
    assert count(tmp_path, FASTLOSS_NUM_THREADS="1") == 1
    assert count(tmp_path, "fl.set_num_threads(1)") == 1
    most = count(tmp_path, FASTLOSS_NUM_THREADS="1000")
    assert most <= CPUS, "never more than the CPUs"
    assert count(tmp_path, "fl.set_num_threads(10**6)") == most
    assert count(tmp_path, OMP_NUM_THREADS="1000") <= most
    # the earlier of the list wins
    assert count(tmp_path, FASTLOSS_NUM_THREADS="1000", OMP_NUM_THREADS="1") == most
    assert count(tmp_path, "fl.set_num_threads(1)", FASTLOSS_NUM_THREADS="1000") == 1
    assert count(tmp_path, "fl.set_num_threads(1000)", FASTLOSS_NUM_THREADS="1") == most
    assert count(tmp_path, "fl.set_num_threads(1000); fl.set_num_threads(None)",
                 FASTLOSS_NUM_THREADS="1") == 1
    assert count(tmp_path, FASTLOSS_NUM_THREADS="") == count(tmp_path)


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "\N{SUPERSCRIPT TWO}"])
def test_invalid_environment_is_named(value, tmp_path):
    code = """
try:
    import fastloss
except ValueError as error:
    print(error)
"""
    message = run_python(code, tmp_path, FASTLOSS_NUM_THREADS=value)
    assert "FASTLOSS_NUM_THREADS must be an integer >= 1" in message
    assert repr(value) in message


@pytest.mark.parametrize("bad", [0, -1, 1.0, "2", True, [1]])
def test_invalid_number_of_threads(bad):
    before = fl.get_num_threads()
    with pytest.raises(ValueError, match="n_threads must be None or an integer >= 1, got "):
        fl.set_num_threads(bad)
    assert fl.get_num_threads() == before


def test_threadpoolctl_limits_the_default(tmp_path):
    pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    code = """
import fastloss as fl, threadpoolctl
before = fl.get_num_threads()
with threadpoolctl.threadpool_limits(1):
    assert fl.get_num_threads() == 1
assert fl.get_num_threads() == before
print("done")
"""
    assert run_python(code, tmp_path) == "done"


@needs_affinity
@needs_proc
def test_affinity_and_an_explicit_count(tmp_path):
    code = """
import os
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
import numpy as np, fastloss as fl
assert fl.get_num_threads() == 1
fl.set_num_threads(8)
assert fl.get_num_threads() == 1
n = 1_000_000
y, p = np.ones(n), np.full(n, 0.5)
before = len(os.listdir("/proc/self/task"))
value = fl.log_loss(y, p)
assert len(os.listdir("/proc/self/task")) == before
assert fl.log_loss(y, p, n_threads=2) == value       # obeyed as given
print(len(os.listdir("/proc/self/task")) - before)
"""
    assert run_python(code, tmp_path) in ("1", "0")     # 0: built without OpenMP


@needs_affinity
def test_affinity_changed_after_import(tmp_path):
    one = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])"
    assert count(tmp_path, one, FASTLOSS_NUM_THREADS="4") == 1


def test_show_config_says_what_is_used(capsys):
    fl.show_config()
    text = capsys.readouterr().out
    for part in (fl.__version__, np.__version__, "SIMD", "OpenMP", str(fl.get_num_threads())):
        assert part in text
