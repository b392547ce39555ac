"""Losses of elements in Numba's compiled code."""

import gc
import os
import re
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba", reason="Numba is not installed")

import numba
from cases import DTYPES
from child import run_python
from elements import SIZES, draws, results, sums, weights
from numba.core.errors import NumbaWarning, TypingError
from numba.experimental import jitclass
from numerics import assert_same_bits

import fastloss as fl
from fastloss import compiled
from fastloss._core import simd_level
from fastloss.compiled import _numba


@numba.njit
def sample_each(loss, y, p, value, grad, hess):
    for i in range(len(p)):
        value[i], grad[i], hess[i] = compiled.sample(loss, y[i], p[i])


@numba.njit
def elements(loss, y, p, value, grad, hess):
    compiled.elements(loss, y, p, value, grad, hess)


@numba.njit
def gradient(loss, y, p, grad):
    compiled.elements(loss, y, p, grad=grad)


@numba.njit
def total(loss, y, p, w, grad, scale):
    return compiled.total(loss, y, p, w, grad, scale)


@numba.njit(parallel=True)
def by_rows(loss, y, p, grad):
    for i in numba.prange(len(p)):
        compiled.elements(loss, y[i], p[i], None, grad[i])


@pytest.mark.parametrize("n", SIZES)
def test_arrays_and_samples_have_the_bits_of_the_methods(n):
    for loss, y, p in draws(n):
        expected = results(loss, y, p)
        for function in (sample_each, elements, compiled.elements):
            found = [np.full_like(p, 77) for _ in range(3)]
            function(loss, y, p, *found)
            for ours, theirs in zip(found, expected, strict=True):
                assert_same_bits(ours, theirs)
    assert len(elements.signatures) == len(sample_each.signatures) == len(DTYPES)


def test_any_set_of_results_also_in_place_of_the_inputs():
    for loss, y, p in draws(1100):
        expected = results(loss, y, p)
        for wanted in range(8):
            for replaced in range(3):
                # where one of the results replaces the predictions, the next the targets
                yours, prediction = y.copy(), p.copy()
                found = [np.full_like(p, 77), np.full_like(p, 77), np.full_like(p, 77)]
                found[replaced], found[(replaced + 1) % 3] = prediction, yours
                given = [each if wanted >> i & 1 else None for i, each in enumerate(found)]
                compiled.elements(loss, yours, prediction, *given)
                for i, each in enumerate(found):
                    if wanted >> i & 1:
                        assert_same_bits(each, expected[i])
                    elif i not in (replaced, (replaced + 1) % 3):
                        assert (each == 77).all()


def test_gradients_alone_and_rows_side_by_side():
    for loss, y, p in draws(1200):
        expected = results(loss, y, p)[1]
        grad = np.full_like(p, 77)
        gradient(loss, y, p, grad)
        assert_same_bits(grad, expected)
        grad = np.full_like(p, 77).reshape(30, 40)
        by_rows(loss, y.reshape(30, 40), p.reshape(30, 40), grad)
        assert_same_bits(grad.ravel(), expected)


@pytest.mark.parametrize("n", SIZES)
def test_sums_have_the_bits_of_the_methods(n):
    for loss, y, p in draws(n):
        w = weights(p)
        for weight in (None, w):
            value, slope = sums(loss, y, p, weight)
            for function in (total, compiled.total):
                grad = np.full_like(p, 77)
                assert_same_bits(function(loss, y, p, weight, grad, 1.0), value)
                assert_same_bits(grad, slope)
                assert_same_bits(function(loss, y, p, weight, None, 1.0),
                                 loss.replace(reduction="sum").value(y, p, weight, n_threads=1))


def test_the_gradient_of_a_sum_is_scaled_and_may_replace_an_input():
    for loss, y, p in draws(3000):
        w = weights(p)
        _, slope = loss.replace(reduction="sum_over_batch_size").value_and_grad(y, p, w)
        for target in range(3):
            inputs = [y.copy(), p.copy(), w.copy()]
            total(loss, *inputs, inputs[target], 1 / len(p))
            assert_same_bits(inputs[target], slope)


def test_numbers_are_of_the_type_of_the_prediction():
    @numba.njit
    def at(loss, y, p):
        return compiled.sample(loss, y, p)

    loss = fl.LogLoss(reduction="none")
    for function in (at, compiled.sample):
        for y in (1, True, np.float32(1), 1.0):
            for p in (np.float32(0.3), 0.3, np.float64(0.3)):
                dtype = np.float32 if isinstance(p, np.float32) else np.float64
                found = function(loss, y, p)
                expected = results(loss, np.ones(1), np.full(1, p, dtype))
                assert [float(x) for x in found] == [float(x[0]) for x in expected]
        assert function(loss, 1, 1) == function(loss, 1.0, 1.0)


def test_a_loss_that_code_was_compiled_with_stays():
    names = {"loss": fl.HuberLoss(delta=0.3), "sample": compiled.sample}
    exec("def f(y, p): return sample(loss, y, p)[0]", names)
    function = numba.njit(names["f"])
    assert function(0.0, 1.0) == pytest.approx(0.3 * (1 - 0.15), rel=1e-15)
    reference = weakref.ref(names["loss"])
    names["loss"] = None
    gc.collect()
    # Numba may hold it, and does not have to
    assert any(each is reference() for each in _numba._COMPILED_IN)
    assert function(0.0, 2.0) == pytest.approx(0.3 * (2 - 0.15), rel=1e-15)


# ---- how long losses live -------------------------------------------------------------------


@numba.njit
def values_at_three(loss, n):
    for _ in range(n):
        yield compiled.sample(loss, 3.0, 0.0)[0]


@numba.njit
def item_at_three(losses, n):
    return [compiled.sample(losses[0], 3.0, 0.0)[0] for _ in range(n)]


def in_a_list(loss, n):
    losses = numba.typed.List()
    losses.append(loss)
    return lambda: item_at_three(losses, n)


def in_a_dict(loss, n):
    losses = numba.typed.Dict.empty(numba.int64, numba.typeof(loss))
    losses[0] = loss
    return lambda: item_at_three(losses, n)


def in_a_class(loss, n):
    def __init__(self, loss):
        self.loss = loss

    def at_three(self, n):
        return [compiled.sample(self.loss, 3.0, 0.0)[0] for _ in range(n)]

    members = {"__init__": __init__, "at_three": at_three}
    kind = jitclass([("loss", numba.typeof(loss))])(type("Holder", (), members))
    holder = kind(loss)
    return lambda: holder.at_three(n)


def in_a_generator(loss, n):
    generator = values_at_three(loss, n)
    return lambda: list(generator)


@pytest.mark.parametrize("keep", [in_a_generator, in_a_list, in_a_dict, in_a_class])
def test_a_loss_lives_as_long_as_compiled_code_keeps_it(keep):
    loss = fl.HuberLoss(delta=0.5)
    reference = weakref.ref(loss)
    kept = keep(loss, 4)
    del loss
    gc.collect()
    assert reference() is not None
    assert kept() == [0.5 * (3 - 0.25)] * 4
    del kept
    gc.collect()
    assert reference() is None


USE_LATER = """
import numba, numpy as np, fastloss as fl
from fastloss import compiled
@numba.njit
def values(loss, y):
    for each in y:
        yield compiled.sample(loss, each, 0.0)[0]
y = np.full(3, 3.0)
list(values(fl.HuberLoss(), y))
later = values(fl.HuberLoss(delta=0.5), y)
others = [fl.AbsoluteLoss() for _ in range(50)]
for each in others:
    each.value([1.0], [2.0])
print(list(later))
"""


def test_memory_of_a_loss_in_a_generator_is_not_used_again(tmp_path):
    assert run_python(USE_LATER, tmp_path) == "[1.375, 1.375, 1.375]"


@numba.njit(nogil=True)
def value_at(loss, p):
    return compiled.sample(loss, 0.0, p)[0]


def test_calls_from_many_threads_give_back_every_reference():
    loss = fl.HuberLoss()
    before = sys.getrefcount(loss)
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda p: value_at(loss, p), [0.5] * 2000))
    assert found == {0.125}
    assert sys.getrefcount(loss) == before


# ---- what is refused ------------------------------------------------------------------------

Y, P = np.array([0.0, 1.0]), np.array([0.5, 0.25])
READ_ONLY = P.copy()
READ_ONLY.flags.writeable = False
STEPS = np.zeros(4)[::2]
BAD = {
    "y must be a contiguous array of one dimension, as np.ascontiguousarray .*, got":
        [{"y": STEPS}, {"y": 1.0}, {"y": None}, {"y": Y[:, None]}],
    "p must be a contiguous array": [{"p": STEPS}, {"p": 1.0}],
    "grad must be a contiguous array": [{"grad": STEPS}, {"grad": 1.0}],
    "p must hold float32 or float64, got int64": [{"p": np.zeros(2, np.int64)}],
    "y must hold float32 or float64, got bool": [{"y": np.zeros(2, bool)}],
    "y must have the dtype of p, float64, got float32": [{"y": Y.astype(np.float32)}],
    "grad must have the dtype of p, float64, got float32": [{"grad": np.zeros(2, np.float32)}],
    "grad must not be read-only": [{"grad": READ_ONLY}],
    r"loss must be a loss of elements, such as fastloss.HuberLoss\(\), got": [{"loss": 3}],
}


@numba.njit
def compiled_total(loss, y, p, sample_weight, grad):
    return compiled.total(loss, y, p, sample_weight, grad)


@numba.njit
def compiled_elements(loss, y, p, value, grad, hess):
    compiled.elements(loss, y, p, value, grad, hess)


@pytest.mark.parametrize("message, change", [
    (message, change) for message, changes in BAD.items() for change in changes])
def test_wrong_types_are_named(message, change):
    given = {"loss": fl.HuberLoss(), "y": Y, "p": P, "value": None, "grad": P.copy(), "hess": None}
    of_total = {name: given[name] for name in ("loss", "y", "p", "grad")} | {"sample_weight": None}
    for function, arguments in ((compiled_elements, given), (compiled_total, of_total)):
        arguments = arguments | change
        with pytest.raises(TypingError, match=message):
            function(**arguments)
        with pytest.raises(TypeError, match=message):
            getattr(compiled, function.__name__.removeprefix("compiled_"))(**arguments)
    assert compiled.total(fl.HuberLoss(), Y, P, READ_ONLY) > 0     # an input may be


@pytest.mark.parametrize("name", ["y", "value", "grad", "hess", "sample_weight"])
def test_lengths_are_compared_before_anything_is_written(name):
    grad = np.full(2, 77.0)
    given = {"loss": fl.HuberLoss(), "y": Y, "p": P, "value": None, "grad": grad, "hess": None}
    functions = [compiled_elements, compiled.elements]
    if name == "sample_weight":
        given = {each: given[each] for each in ("loss", "y", "p", "grad")}
        functions = [compiled_total, compiled.total]
    for function in functions:
        with pytest.raises(ValueError, match=f"{name} must be as long as p, 2, got 3"):
            function(**given | {name: np.zeros(3)})
    assert (grad == 77).all()


@pytest.mark.parametrize("name", ["y", "p", "grad"])
def test_arrays_that_are_not_aligned_are_named(name):
    grad = np.full(2, 77.0)
    given = {"loss": fl.HuberLoss(), "y": Y, "p": P, "grad": grad, "sample_weight": None}
    for function in (compiled_total, compiled.total):
        with pytest.raises(ValueError, match=f"{name} must be aligned, as {name}"):
            function(**given | {name: np.zeros(17, np.uint8)[1:].view(np.float64)})
    assert (grad == 77).all()


@pytest.mark.parametrize("name, bad", [
    ("y", P), ("p", 1j), ("y", "1"), ("scale", "2"), ("loss", 0.5)])
def test_wrong_numbers_are_named(name, bad):
    @numba.njit
    def at(loss, y, p):
        return compiled.sample(loss, y, p)

    @numba.njit
    def sum_of(loss, scale):
        return compiled.total(loss, Y, P, scale=scale)

    kind = "a loss of elements" if name == "loss" else "a real number"
    if name == "scale":
        calls = sum_of, lambda loss, scale: compiled.total(loss, Y, P, scale=scale)
        given = {"loss": fl.HuberLoss(), "scale": bad}
    else:
        calls, given = (at, compiled.sample), {"loss": fl.HuberLoss(), "y": 1.0, "p": 2.0}
    for function, error in zip(calls, (TypingError, TypeError), strict=True):
        with pytest.raises(error, match=f"{name} must be {kind}"):
            function(**given | {name: bad})


def test_losses_of_rows_are_refused():
    @numba.njit
    def at(loss, y, p):
        return compiled.sample(loss, y, p)

    for loss in (fl.CrossEntropyLoss(), fl.SupConLoss()):
        with pytest.raises(TypingError, match=f"Numba type of <class .*{type(loss).__name__}"):
            at(loss, 1.0, 2.0)
        with pytest.raises(TypeError, match=re.escape(
                f"loss must be a loss of elements, such as fastloss.HuberLoss(), got {loss}")):
            compiled.sample(loss, 1.0, 2.0)


def test_code_with_a_loss_compiled_in_is_not_kept_and_numba_says_so():
    loss = fl.HuberLoss()

    @numba.njit(cache=True)
    def at(y, p):
        return compiled.sample(loss, y, p)

    with pytest.warns(NumbaWarning, match="Cannot cache .* dynamic globals"):
        assert at(0.0, 0.5)[0] == 0.125


# ---- outside the checkout -------------------------------------------------------------------

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()
USER = re.search(r"\n## In Numba and Cython\n.*?\n```python\n(.*?)```", README, re.DOTALL)[1]
RUN = """
import sys, numpy as np, fastloss as fl
sys.path.insert(0, "")
import user
stream = np.random.default_rng(0).random(5000)
for level in 0.1, 0.9:
    p = user.follow(fl.PinballLoss(quantile=level), stream, 0.005)
    assert abs(p - level) < 0.1, p
print(sum(user.follow.stats.cache_hits.values()), len(user.follow.signatures))
"""


def test_the_readmes_function_is_compiled_once_and_kept_on_disk(tmp_path):
    (tmp_path / "user.py").write_text(USER)
    assert run_python(RUN, tmp_path, NUMBA_CACHE_DIR="") == "0 1"
    assert run_python(RUN, tmp_path, NUMBA_CACHE_DIR="") == "1 1"      # in another process


def test_functions_work_where_numba_does_not_compile(tmp_path):
    (tmp_path / "user.py").write_text(USER)
    code = RUN.partition("print")[0] + "print(type(user.follow).__name__)"
    assert run_python(code, tmp_path, NUMBA_DISABLE_JIT="1") == "function"


def test_without_numba_the_error_says_what_to_install(tmp_path):
    code = """
import sys
sys.modules["numba"] = None
try:
    import fastloss.compiled
except ImportError as error:
    print(error)
"""
    message = 'fastloss.compiled needs Numba: pip install "fastloss[custom]"'
    assert run_python(code, tmp_path) == message


EVERY_LEVEL = """
import sys
sys.path[:0] = sys.argv[1:]
import test_compiled
from fastloss._core import simd_level
test_compiled.test_arrays_and_samples_have_the_bits_of_the_methods(1025)
test_compiled.test_any_set_of_results_also_in_place_of_the_inputs()
test_compiled.test_the_gradient_of_a_sum_is_scaled_and_may_replace_an_input()
print(simd_level.LEVEL)
"""


@pytest.mark.parametrize(
    "level", [each for each in simd_level.AVAILABLE if each != simd_level.LEVEL])
def test_the_other_simd_levels(level, tmp_path):
    folder = os.path.dirname(__file__)
    assert run_python(EVERY_LEVEL, tmp_path, folder, FASTLOSS_SIMD=level, timeout=120) == level
