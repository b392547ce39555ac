"""Arrays on Dask, in blocks of rows, for tests."""

import dask
import dask.array as da
import numpy as np
from batches import sides


def compute(*lazy):
    return dask.compute(*lazy, scheduler="synchronous")


def lazy(chunks, *arrays):
    """Return arrays as Dask's, in blocks of rows."""
    return [None if each is None else da.from_array(
        each, (chunks, *each.shape[1:])) for each in arrays]


def close(found, expected, dtype):
    eps = np.finfo(dtype).eps
    return (abs(found[0] - expected[0]) <= 20 * eps * abs(expected[0])
            and all(g.dtype == dtype and np.linalg.norm(g - g_0) <= 50 * eps * np.linalg.norm(g_0)
                    for g, g_0 in zip(sides(found[1]), sides(expected[1]), strict=True)))
