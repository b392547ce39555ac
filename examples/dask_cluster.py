"""Losses of data that lie on the workers of a Dask cluster, here two processes of this machine.

Logistic regression by gradient descent, on rows that no worker has all of; and a contrastive loss
of all pairs of rows, each of which meets each, block against block.
"""

import dask
import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

from fastloss import LogLoss, SupConLoss
from fastloss.integrations.dask import value_and_grad

ROWS, FEATURES, BLOCK = 16 * 8192, 8, 4 * 8192


def main() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=FEATURES)
    x = rng.normal(size=(ROWS, FEATURES))
    y = rng.random(ROWS) < 1 / (1 + np.exp(-x @ true))
    with (LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as
          cluster, Client(cluster)):
        rows, labels = dask.persist(da.from_array(x, (BLOCK, FEATURES)), da.from_array(y, BLOCK))
        w, loss = np.zeros(FEATURES), LogLoss(from_logits=True)
        for step in range(11):
            value, slopes = value_and_grad(loss, labels, rows @ w)
            # what comes back is a number and 8 slopes
            found, slope = dask.compute(value, rows.T @ slopes)
            if step % 5 == 0:
                print(f"step {step:2d}  loss {found:.4f}  off by {np.abs(w - true).max():.3f}")
            w = w - 8 * slope
        part = x[:1200], rng.integers(0, 10, 1200)
        blocks = [da.from_array(each, (400, *each.shape[1:])) for each in part]
        value, grad = value_and_grad(SupConLoss(), *blocks)
        found, by_rows = dask.compute(value, grad)
        here, expected = SupConLoss().value_and_grad(*part)
        print(f"all pairs of {len(by_rows)} rows: {found:.5f}, on one machine {here:.5f}, "
              f"gradients off by {np.abs(by_rows - expected).max() / np.abs(expected).max():.0e}")


if __name__ == "__main__":
    main()
