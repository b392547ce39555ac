"""Arrays of the same numbers that lie otherwise in memory."""

import numpy as np


def strided(a):
    wide = np.full((*a.shape[:-1], 3 * a.shape[-1]), 77, a.dtype)
    wide[..., 1::3] = a
    return wide[..., 1::3]


def reverse(a):
    """All axes run backwards."""
    back = (slice(None, None, -1),) * a.ndim
    return a[back].copy()[back]


def swapped(a):
    return a.astype(a.dtype.newbyteorder())


def misaligned(a):
    raw = np.zeros(a.nbytes + 1, np.uint8)
    view = raw[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    assert a.dtype.itemsize == 1 or a.size == 0 or not view.flags.aligned
    return view


def read_only(a):
    copy = a.copy()
    copy.flags.writeable = False
    return copy


def rows_apart(a):
    """Other numbers between the rows of a matrix."""
    wide = np.zeros((2 * a.shape[0], a.shape[1] + 3), a.dtype)
    wide[::2, 1:-2] = a
    return wide[::2, 1:-2]


def columns_apart(a):
    return rows_apart(a.T.copy()).T


# of matrices
MATRICES = [np.asfortranarray, rows_apart, strided, reverse, swapped, misaligned, read_only]
