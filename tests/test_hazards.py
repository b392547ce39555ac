"""What could end the process: arrays that change during a call, limits, small stacks, sizes."""

import os
import sys

import numpy as np
import pytest
from child import run_python

import fastloss as fl

needs_limits = pytest.mark.skipif(not sys.platform.startswith("linux"),
                                  reason="limits of address space are enforced on Linux")

# ---- arrays that change ----------------------------------------------------------------------

# Another thread writes labels, good and bad ones in turn, while this one computes.
HAMMERED = """
import sys, threading, time
import numpy as np, fastloss as fl
dtype, seconds = sys.argv[1:]
n, classes = 40_000, 7
rng = np.random.default_rng(0)
y, z, w = np.zeros(n, dtype), rng.normal(size=(n, classes)), rng.random(n)
worst = y.dtype.type(10**9)
stop = threading.Event()
def hammer():
    while not stop.is_set():
        y[:] = worst
        y[:] = 0
        time.sleep(1e-4)      # so that the check sees good ones
thread = threading.Thread(target=hammer)
thread.start()
losses = [fl.CrossEntropyLoss(class_weight=np.ones(classes)), fl.CrossEntropyLoss(),
          fl.CrossEntropyLoss(class_weight=np.ones(classes), label_smoothing=0.1),
          fl.CrossEntropyLoss(from_logits=False), fl.CrossEntropyLoss(ignore_index=3)]
computed = refused = 0
end = time.monotonic() + float(seconds)
while time.monotonic() < end:
    for loss in losses:
        try:
            loss.grad_and_hess(y, z, w)
            loss.value(y, z, n_threads=2)
            computed += 1
        except ValueError:
            refused += 1
stop.set()
thread.join()
assert computed > 0
print("done")
"""


@pytest.mark.parametrize("dtype", ["f8", "i8"])
def test_labels_that_another_thread_changes(dtype, tmp_path):
    assert run_python(HAMMERED, tmp_path, dtype, "2") == "done"


# An argument whose conversion gives an array's memory back.
RESIZED = """
import numpy as np, fastloss as fl
n = 1 << 21
class Shrinking:
    def __init__(self, array):
        self.array = array
    def __index__(self):
        self.array.resize((1,) * self.array.ndim, refcheck=False)
        return 1
    def __array__(self, dtype=None, copy=None):
        self.__index__()
        return np.zeros(n)
def refuses(call, *wrong):
    try:
        call()
    except (ValueError, *wrong):
        return
    raise AssertionError("an array of another shape was taken")
def element(): return np.full(n, 0.5)
def rows(): return np.zeros((n // 4, 4))
for k in range(3):
    a = [element() for _ in range(3)]
    for loss in (fl.SquaredLoss(), fl.LogLoss(reduction="none")):
        for method in (loss.value, loss.grad, loss.value_and_grad, loss.grad_and_hess):
            a[k] = element()
            refuses(lambda: method(*a, n_threads=Shrinking(a[k])))
    a[k] = element()
    refuses(lambda: fl.SquaredLoss().partial(*a, n_threads=Shrinking(a[k])))
y = element()
refuses(lambda: fl.SquaredLoss().value(y, Shrinking(y)))
y = element()
refuses(lambda: fl.SquaredLoss().value(y, element(), Shrinking(y)))
for k in range(3):
    a = [np.zeros(n // 4), rows(), np.ones(n // 4)]
    refuses(lambda: fl.CrossEntropyLoss().grad(*a, n_threads=Shrinking(a[k])))
for k in range(4):
    a = [rows(), rows(), np.ones(n // 4), np.ones(n // 4)]
    refuses(lambda: fl.PairContrastiveLoss().value_and_grad(*a, n_threads=Shrinking(a[k])))
print("done")
"""


def test_arguments_that_resize_others(tmp_path):
    assert run_python(RESIZED, tmp_path) == "done"


class Meddling(np.ndarray):
    """An array that does what it likes in NumPy's functions."""

    def __array_function__(self, function, types, args, kwargs):
        raise AssertionError(f"{function.__name__} was asked of a subclass")

    def view(self, *arguments):
        raise AssertionError("view was asked of a subclass")


def test_out_of_a_subclass_with_functions_of_its_own():
    table = np.zeros((50, 3)).view(Meddling)
    y, p = np.ones(50), np.asarray(np.zeros((50, 3)))[:, 1]
    out = table[:, 2]
    assert fl.SquaredLoss().grad(table[:, 0], p, out=out) is out
    both = fl.SquaredLoss().grad_and_hess(y, p, out=(table[:, 0], table[:, 1]))
    assert np.array_equal(np.array(both[0]), fl.SquaredLoss().grad(y, p))


# ---- limits ------------------------------------------------------------------------------------

LIMITED = """
import resource, sys
import numpy as np, fastloss as fl
rng = np.random.default_rng(0)
n = 2_000_000
y, p = rng.integers(0, 2, n), rng.random(n)
z = rng.normal(size=(n // 10, 10))
expected = fl.log_loss(y, p, n_threads=1), fl.cross_entropy_loss(y[::10] * 3, z, n_threads=1)
kind, room = sys.argv[1:]
if kind == "AS":
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    limit = used + int(room) * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
else:
    import os
    resource.setrlimit(resource.RLIMIT_NPROC, (int(room), int(room)))
    os.setgid(65534)
    os.setuid(65534)
for n_threads in (1000, 10**9, 40, 3, 2, None):
    assert fl.log_loss(y, p, n_threads=n_threads) == expected[0]
    assert fl.cross_entropy_loss(y[::10] * 3, z, n_threads=n_threads) == expected[1]
print("done")
"""


@needs_limits
@pytest.mark.parametrize("room", [2000, 200, 45, 10])      # MiB; a thread's stack is 8
def test_many_threads_in_a_small_address_space(room, tmp_path):
    assert run_python(LIMITED, tmp_path, "AS", str(room)) == "done"


@needs_limits
@pytest.mark.parametrize("stack", ["1G", "64M"])
def test_large_stacks_in_a_small_address_space(stack, tmp_path):
    assert run_python(LIMITED, tmp_path, "AS", "300", OMP_STACKSIZE=stack) == "done"


@needs_limits
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0,
                    reason="only root can become a user who runs nothing else")
def test_many_threads_where_few_are_allowed(tmp_path):
    # root itself may have any number
    most = 4 * len(os.sched_getaffinity(0)) + 8
    assert run_python(LIMITED, tmp_path, "NPROC", str(most)) == "done"


def test_more_threads_than_can_be_of_use(tmp_path):
    code = """
import os
import numpy as np, fastloss as fl
n = 10_000_000
y, p = np.ones(n), np.full(n, 0.5)
one = fl.log_loss(y, p, n_threads=1)
before = len(os.listdir("/proc/self/task"))
assert fl.log_loss(y, p, n_threads=5000) == one
cpus = len(os.sched_getaffinity(0))
print(len(os.listdir("/proc/self/task")) - before < 4 * cpus)
"""
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("threads are counted in /proc")
    assert run_python(code, tmp_path) == "True"


# ---- small stacks ------------------------------------------------------------------------------

STACK = """
import sys, threading
import numpy as np, fastloss as fl
n = 3000
rng = np.random.default_rng(0)
y, p, w = rng.integers(0, 2, n), rng.random(n) * 0.9 + 0.05, rng.random(n)
odd = lambda a: np.repeat(a, 2)[::-2].astype(a.dtype.newbyteorder())
z, few = rng.normal(size=(600, 400)), rng.normal(size=(n, 5))
x = rng.normal(size=(400, 7))
names = [name for name in fl.__all__ if name.endswith("Loss") and name != "Loss"]
def work(name):
    cls = getattr(fl, name)
    loss = cls()
    if name == "CrossEntropyLoss":
        for scores in (z, few, np.asfortranarray(z), few.astype(">f4"), z.T.copy().T):
            labels = rng.integers(0, 5, len(scores))
            for loss in (cls(), cls(label_smoothing=0.1), cls(reduction="none")):
                loss.value_and_grad(labels, scores)
                loss.grad_and_hess(odd(labels), scores, odd(rng.random(len(scores))), n_threads=2)
    elif hasattr(loss, "grad_and_hess"):
        for single in (np.float32, np.float64):
            for loss in (cls(), cls(reduction="none")):
                loss.value(y, p.astype(single), w)
                loss.value_and_grad(odd(y), odd(p.astype(single)), odd(w), n_threads=2)
                out = odd(w), odd(w)
                loss.grad_and_hess(y, odd(p.astype(single)), w, out=out)
    elif name.startswith(("Pair", "CosineE", "TripletLoss")):
        more = (x[::-1], ) if name == "TripletLoss" else (y[:400],)
        loss.value_and_grad(x, x + 1, *more)
        loss.value_and_grad(x.astype(">f4"), x[:, ::-1], *more, n_threads=2)
    elif loss.sample == "anchor":
        for rows in (x, x.astype(np.float32)):
            two = not loss.takes("labels")
            loss.value_and_grad(rows, rows + 1 if two else rng.integers(0, 9, 400))
def run():
    for name in names:
        work(name)
    print("done")
threading.stack_size(int(sys.argv[1]))
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""


def test_thread_with_a_small_stack(tmp_path):
    assert run_python(STACK, tmp_path, "65536") == "done"


# ---- sizes -------------------------------------------------------------------------------------

ROWS = [{}, {"label_smoothing": 0.1}, {"from_logits": False}]


@pytest.mark.parametrize("options", ROWS)
@pytest.mark.parametrize("power", [48, 57, 58, 59, 60, 61, 62])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_more_classes_than_memory(options, power, dtype):
    z = np.broadcast_to(dtype(0.5), (1, 2**power // np.dtype(dtype).itemsize))
    loss = fl.CrossEntropyLoss(**options)
    for n_threads in (1, 2, None):
        with pytest.raises(MemoryError):
            loss.value([1], z, n_threads=n_threads)
        with pytest.raises(MemoryError):
            loss.partial([1], z, [2.0], n_threads=n_threads)
    with pytest.raises(MemoryError):
        loss.value(z, z)


@pytest.mark.parametrize("options", ROWS)
@pytest.mark.parametrize("power", [20, 48, 58, 61, 62])
def test_no_rows_of_many_classes(options, power):
    z = np.broadcast_to(np.float64(1), (1, 2**power // 8))[:0]
    loss = fl.CrossEntropyLoss(**options)
    assert np.isnan(loss.value(np.zeros(0, int), z))
    assert np.isnan(loss.value(z, z, np.zeros(0)))
    assert loss.replace(reduction="sum").value(np.zeros(0, int), z) == 0
    assert loss.partial(np.zeros(0, int), z).count == 0


def test_rows_of_one_score_that_is_read_often():
    z = np.broadcast_to(np.float32(0.25), (20_000, 3))
    assert fl.cross_entropy_loss(np.zeros(20_000, int), z) == pytest.approx(np.log(3), rel=1e-6)
