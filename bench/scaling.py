"""Files and clusters beside what bounds them: ``python -m bench.scaling files|cluster``.

Files: `fastloss eval` beside reading the same columns. Cluster: losses on Dask workers, processes
of this machine with a thread each, beside one call on it. Calls take turns, and each number is a
median.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import fastloss as fl
from bench.adapters import medians

Calls = dict[str, Callable[[], Any]]
COLUMNS = ["label", "score"]


# ---- files ------------------------------------------------------------------------------


def _readers(path: Path) -> Calls:
    """Return ways to read two columns of a file with pyarrow, and to do no more."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    if path.suffix == ".parquet":
        def read() -> int:
            with pa.parquet.ParquetFile(path) as file:
                return sum(len(batch) for batch in file.iter_batches(2**17, columns=COLUMNS))

        def read_groups() -> int:
            with pa.parquet.ParquetFile(path, read_dictionary=["team"]) as file:
                return sum(len(batch) for batch in file.iter_batches(
                    2**17, columns=[*COLUMNS, "team"]))

        return {"read in batches": read, "with groups": read_groups,
                "read_table": lambda: pa.parquet.read_table(path, columns=COLUMNS)}
    if path.suffix == ".csv":
        def read_text() -> int:
            options = pa.csv.ConvertOptions(include_columns=COLUMNS)
            with pa.csv.open_csv(path, convert_options=options) as reader:
                return sum(len(batch) for batch in reader)

        return {"read in batches": read_text}
    if path.suffix == ".arrow":
        def read_ipc() -> int:
            options = pa.ipc.IpcReadOptions(included_fields=[0, 1])
            with pa.OSFile(str(path)) as source, pa.ipc.open_file(
                    source, options=options) as reader:
                return sum(len(reader.get_batch(i)) for i in range(reader.num_record_batches))

        def touch() -> float:
            with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
                return sum(float(np.asarray(reader.get_batch(i)[name])[::1024].sum())
                           for i in range(reader.num_record_batches) for name in COLUMNS)

        return {"mapped, pages touched": touch, "copied from the page cache": read_ipc}
    return {"mapped, pages touched": lambda: np.load(path, mmap_mode="r")[::128].sum(),
            "copied from the page cache": lambda: np.load(path)}


def of_files(folder: Path, rows: int) -> Iterator[tuple[str, Calls]]:
    """Yield reading and evaluating files of each format."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    from fastloss.commands.columns import Columns
    from fastloss.commands.datafile import DataFile
    from fastloss.commands.evaluate import run

    rng = np.random.default_rng(0)
    table = pa.table({
        "label": (rng.random(rows) < 0.3).astype(np.int8),
        "score": rng.random(rows, np.float32), "other": rng.random(rows),
        "team": pa.array(rng.integers(0, 20, rows)).cast(pa.string())})
    pa.parquet.write_table(table, folder / "a.parquet")
    pa.csv.write_csv(table, folder / "a.csv")
    with pa.ipc.new_file(str(folder / "a.arrow"), table.schema) as writer:
        writer.write_table(table, max_chunksize=2**17)
    np.save(folder / "a.npy", np.column_stack(
        [np.asarray(table[name], np.float32) for name in COLUMNS]))
    for path in sorted(folder.iterdir()):
        names = ("0", "1") if path.suffix == ".npy" else COLUMNS

        def evaluate(by: str | None = None, path: Path = path, names: Any = names) -> Any:
            return run(DataFile(path, Columns(names[0], names[1], by=by)), [fl.LogLoss()])

        calls = {**_readers(path), "fastloss": evaluate}
        if path.suffix == ".parquet":
            calls["fastloss, 20 groups"] = partial(evaluate, "team")
        yield f"{path.suffix}, {rows:,} rows", calls


# ---- clusters -----------------------------------------------------------------------------


def of_cluster(workers: int, quick: bool) -> Iterator[tuple[str, Calls]]:
    """Yield losses of data that lie on workers, and of the same data here."""
    import dask.array as da
    from distributed import Client, LocalCluster, wait

    from fastloss.integrations.dask import value, value_and_grad

    rng = np.random.default_rng(0)
    with (LocalCluster(n_workers=workers, threads_per_worker=1, processes=True,
                       dashboard_address="127.0.0.1:0") as cluster, Client(cluster) as client):
        def lazy(array: Any, chunk: int) -> Any:
            found = client.persist(da.from_array(array, (chunk, *array.shape[1:])))
            wait(found)
            return found

        n = 2**20 if quick else 2**24
        y, p = (rng.random(n) < 0.5).astype(np.int8), rng.random(n, np.float32)
        dy, dp = lazy(y, n // 16), lazy(p, n // 16)
        loss = fl.LogLoss()

        def gradient() -> None:
            wait(client.persist(value_and_grad(loss, dy, dp)))

        yield f"log loss, {n:,} elements, {workers} workers", {
            "value here, one thread": lambda: loss.value(y, p, n_threads=1),
            "value": lambda: client.compute(value(loss, dy, dp), sync=True),
            "value and gradient here, one thread": lambda: loss.value_and_grad(y, p, n_threads=1),
            "value and gradient": gradient,
        }
        for m in [2048] if quick else [4096, 16384, 32768]:
            x, labels = rng.normal(size=(m, 128)).astype(np.float32), rng.integers(0, 100, m)
            dx, dl = lazy(x, m // workers), lazy(labels, m // workers)
            pairs = fl.SupConLoss()

            def meet(pairs: Any = pairs, dx: Any = dx, dl: Any = dl) -> None:
                wait(client.persist(value_and_grad(pairs, dx, dl)))

            yield f"SupCon, {m:,} × 128, {workers} workers", {
                "here, one thread": partial(pairs.value_and_grad, x, labels, n_threads=1),
                "value and gradient": meet,
            }
            before = sum(client.run(time.process_time).values())
            meet()
            print(f"  CPU time of all workers together: "
                  f"{sum(client.run(time.process_time).values()) - before:.2f} s")
        if workers > 1:
            block = np.ones(2**24, np.float32)
            first, second = sorted(client.has_what())[:2]

            def move() -> float:
                here = client.submit(lambda: np.ones(2**24, np.float32), workers=[first],
                                     pure=False)
                wait(here)
                start = time.perf_counter()
                wait(client.submit(len, here, workers=[second], pure=False))
                return time.perf_counter() - start

            seconds = sorted(move() for _ in range(9))[4]
            print(f"from worker to worker: {block.nbytes / seconds / 1e9:.2f} GB/s; an empty task "
                  f"takes {_empty(client):.2f} ms")


def _empty(client: Any) -> float:
    """Return milliseconds per task of a thousand that do nothing."""
    start = time.perf_counter()
    client.gather(client.map(abs, range(1000), pure=False))
    return time.perf_counter() - start


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark and print tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__)
    parser.add_argument("what", choices=["files", "cluster"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rows", type=int, default=8_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="small sizes, two rounds")
    arguments = parser.parse_args(argv)
    rounds = 2 if arguments.quick else arguments.rounds
    with tempfile.TemporaryDirectory() as folder:
        found = (of_files(Path(folder), 100_000 if arguments.quick else arguments.rows)
                 if arguments.what == "files" else of_cluster(arguments.workers, arguments.quick))
        for title, calls in found:
            print(title)
            times = medians(calls, rounds)
            base = next(iter(times.values()))
            for name, each in times.items():
                print(f"  {name:38s} {each:10.1f} ms  {base / each:6.2f}x")


if __name__ == "__main__":
    main()
