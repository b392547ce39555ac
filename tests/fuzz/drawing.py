"""What fuzzers draw: sizes, numbers, dtypes and places in memory; and how a failure is named."""

from typing import Any, NamedTuple

import numpy as np

CASES = 2_000            # of a fuzzer by default
SLOW_SEEDS = range(1, 11)
SLOW_CASES = 10_000      # for each of them, with -m slow

FLOATS = ["f2", "f4", "f8"]
INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]


def run_cases(check, seed, count):
    """Call `check(rng)` with a generator of each case; name seed and case of one that fails."""
    for case in range(count):
        replay(check, seed, case)


def replay(check, seed, case):
    """Call `check` for one case."""
    try:
        check(np.random.default_rng([seed, case]))
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise AssertionError(f"seed {seed}, case {case}: {what}") from error


# ---- sizes and shapes --------------------------------------------------------------------------


def size_of(rng, edges=(1024, 8192), most=130):
    """Return a size: mostly small, sometimes next to an edge of a block."""
    if edges and rng.random() < 0.03:
        return int(rng.choice(edges)) * int(rng.integers(1, 3)) + int(rng.integers(-2, 3))
    return int(rng.integers(0, most + 1))


def shape_of(rng, n):
    """Return a shape of about n elements: of one dimension mostly, of up to four."""
    if n == 0 or rng.random() < 0.5:
        return (n,)
    if n == 1 and rng.random() < 0.5:
        return (1,) * int(rng.integers(0, 4))
    shape = []
    for _ in range(int(rng.integers(1, 4))):
        shape.append(int(rng.integers(1, max(2, round(n ** 0.5) + 1))))
        n = max(1, n // shape[-1])
    shape.append(n)
    return tuple(int(length) for length in rng.permutation(shape))


# ---- numbers -----------------------------------------------------------------------------------


def reals(rng, n):
    """Return n real numbers: of one scale, of all, small integers with ties, zeros and ones."""
    kind = rng.integers(6)
    if kind == 0:
        return rng.normal(size=n) * 10.0 ** rng.integers(-4, 5)
    if kind == 1:
        return rng.normal(size=n) * 10.0 ** rng.uniform(-30, 30, size=n)
    if kind == 2:
        return rng.integers(-3, 4, size=n).astype(float)
    if kind == 3:
        return rng.integers(0, 2, size=n).astype(float)
    if kind == 4:
        return np.full(n, float(rng.normal()))
    return np.round(rng.normal(size=n) * 4) / 4


def with_specials(rng, values, share=0.05):
    """Return the values, some replaced by NaN, infinities, zeros of both signs and denormals."""
    specials = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-310, -1e-310, 1e-40, 1e-7, 1e38, 1e308]
    some = rng.random(values.shape) < share
    return np.where(some, rng.choice(specials, size=values.shape), values)


def dtypes_for(values, kinds=(*FLOATS, *INTEGERS, "?")):
    """Return the dtypes that hold the values exactly."""
    found = []
    with np.errstate(all="ignore"):
        for kind in kinds:
            whole = np.isfinite(values) & (values == np.round(values))
            if kind == "?":
                fits = (values == 0) | (values == 1)
            elif kind[0] in "iu":
                limits = np.iinfo(kind)
                fits = whole & (values >= limits.min) & (values < float(limits.max))
            else:
                fits = (values.astype(kind).astype(float) == values) | np.isnan(values)
            if fits.all():
                found.append(kind)
    return found


def in_some_dtype(rng, values, kinds=(*FLOATS, *INTEGERS, "?")):
    """Return the values in a drawn dtype that holds them, bools with bytes other than 1 too."""
    kind = str(rng.choice(dtypes_for(values, kinds) or ["f8"]))
    if kind == "?" and rng.random() < 0.5:
        return np.where(values == 1, rng.integers(1, 256, values.shape), 0).astype(np.uint8).view(
            bool)
    return values.astype(kind)


# ---- places in memory --------------------------------------------------------------------------


class Placed(NamedTuple):
    """An array, and the bytes in which it lies."""

    array: Any
    arena: Any

    def image(self):
        """Return a copy of all bytes."""
        return self.arena.copy()

    def beside_is(self, image):
        """Return whether all bytes that are not of the array are as they were."""
        now = image.copy()
        array = self.array
        at = array.__array_interface__["data"][0] - self.arena.__array_interface__["data"][0]
        same = np.ndarray(array.shape, array.dtype, now, at, array.strides)
        same[...] = array
        # a byte pattern of NaN may change in a copy
        same.view(f"u{array.itemsize}")[...] = array.view(f"u{array.itemsize}")
        return bool((now == self.arena).all())


def place(rng, values, plain=0.25, writeable=False):
    """Return the same numbers somewhere in memory: drawn strides, order, alignment, byte order.

    Axes along which all numbers are equal may get stride 0, unless it is to be `writeable`.
    """
    values = np.asarray(values)
    shape, size = values.shape, values.dtype.itemsize
    swapped = rng.random() < 0.2 * (1 - plain)
    dtype = values.dtype.newbyteorder() if swapped else values.dtype
    is_plain = rng.random() < plain
    apart = 0 if is_plain or rng.random() < 0.3 else int(rng.integers(0, 4)) * size
    odd = 0 if is_plain or rng.random() < 0.8 else int(rng.integers(1, 8))
    order = list(range(len(shape)))[::-1]
    if not is_plain and rng.random() < 0.5:
        order = [int(axis) for axis in rng.permutation(order)]
    strides, reach, offset = [0] * len(shape), size, 0
    for axis in order:
        length = shape[axis]
        constant = not writeable and values.size and rng.random() < 0.5 and not is_plain and bool(
            (values == values.take([0], axis)).all())
        if constant:
            continue
        step = reach + (apart if rng.random() < 0.7 else 0) + (odd if rng.random() < 0.5 else 0)
        strides[axis] = step
        if not is_plain and rng.random() < 0.3 and length:
            strides[axis] = -step
            offset += step * (length - 1)
        reach = step * max(length, 1)
    start = int(rng.integers(0, 3)) * size + (int(rng.integers(0, size)) if odd else 0)
    arena = rng.integers(0, 256, start + reach + 2 * size, dtype=np.uint8)
    array = np.ndarray(shape, dtype, arena, start + offset, strides)
    if values.dtype.kind == "b":       # as they are, also bytes other than 0 and 1
        array.view(np.uint8)[...] = values.view(np.uint8)
    else:
        array[...] = values
    if not writeable and rng.random() < 0.2:
        array.flags.writeable = False
    return Placed(array, arena)


def room(rng, shape, dtype):
    """Return a place for results."""
    return place(rng, np.zeros(shape, dtype), writeable=True)


def contiguous(array):
    """Return the same numbers as a new contiguous native array; bools are True or False."""
    if array.dtype.kind == "b":
        return np.array(array, order="C").view(np.uint8) != 0
    return np.array(array, array.dtype.newbyteorder("="), order="C")
