"""How much memory a call takes beside its inputs and gradients: in a process of its own.

That process refuses a call more than a limit, so that one that would take all memory of the
machine ends as a line in a table. Linux only: elsewhere nothing is known.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.case import Case, Contender
from bench.losses import LOSSES
from bench.peers import OURS, PEERS, fastloss_fresh, use_threads

LIMIT = 4.0  # GB
PATIENCE = 60.0  # seconds of two calls, and of compiling
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
# the allocator gives back at once what is freed, and the compiler starts no processes
ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072",
               "TORCHINDUCTOR_COMPILE_THREADS": "1"}


def available() -> bool:
    return STATUS.exists() and RESET.exists()


def status(field: str) -> int:
    """Return a number of bytes from the kernel's account of this process."""
    for line in STATUS.read_text().splitlines():
        if line.startswith(field + ":"):
            return 1024 * int(line.split()[1])
    raise OSError(f"{STATUS} has no {field}")


def is_of_memory(error: Exception) -> bool:
    """Tell whether an exception says that there was not enough memory."""
    return isinstance(error, MemoryError) or any(
        words in str(error) for words in ("allocate memory", "not enough memory", "bad_alloc"))


def peak(contender: Contender) -> int:
    """Return by how much memory grows during a call; not during the first one."""
    contender.call()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before = status("VmRSS")
    RESET.write_text("5")
    result = contender.call()
    grown = status("VmHWM") - before
    del result
    return grown


def contender_of(case: Case, name: str) -> Contender | None:
    if name == OURS.name:  # with new outputs, as all others
        call = fastloss_fresh(case)
        return Contender(name, call) if call else OURS.contender(case)
    return next(peer for peer in PEERS if peer.name == name).contender(case)


def answer(case: Case, name: str, limit: int) -> dict[str, Any]:
    """Return the bytes of a contender, or the reason why it is not to be run."""
    import resource  # not on Windows

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (status("VmData") + limit, hard))
    try:
        contender = contender_of(case, name)
        if contender is None:
            return {}
        grads = sum(x.nbytes for x in case.inputs) if case.gradient else 0
        return {"bytes": max(peak(contender) - grads, 0)}
    except Exception as error:  # of memory, or one that will come again where it is timed
        return {"reason": f"> {limit / 1e9:g} GB"} if is_of_memory(error) else {}
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def serve(connection: Connection, limit: int) -> None:
    """Answer requests of the other process until it closes the connection."""
    entries = {entry.name: entry for entry in LOSSES}
    with suppress(EOFError, ConnectionError):
        while True:
            loss, shape, dtype, operation, threads, names = connection.recv()
            case = Case.draw(entries[loss], shape, dtype, operation, threads)
            with use_threads(threads):
                for name in names:
                    connection.send(answer(case, name, limit))
            del case
            gc.collect()


class Gauge:
    """A process that measures memory; a new one when it dies."""

    def __init__(self, limit: float = LIMIT) -> None:
        self.limit = int(limit * 1e9)
        self._process: Any = None
        self._connection: Any = None

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would inherit memory and threads
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, self.limit), daemon=True)
        before = {key: os.environ.get(key) for key in ENVIRONMENT}
        os.environ.update(ENVIRONMENT)
        try:
            self._process.start()
        finally:
            for key, value in before.items():
                os.environ.pop(key) if value is None else os.environ.update({key: value})
        theirs.close()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._connection.close()
            self._process.kill()
            self._process.join()
        self._process = self._connection = None

    def _next(self) -> dict[str, Any]:
        """Return the next answer, or why there is none."""
        try:
            if self._connection.poll(PATIENCE):
                found: dict[str, Any] = self._connection.recv()
                return found
            reason = f"> {PATIENCE:g} s"
        except (EOFError, ConnectionError):
            self._process.join()
            reason = f"exit {self._process.exitcode}"
        self.close()
        return {"reason": reason}

    def measure(self, case: Case, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return what is known of each contender: its "bytes", or a "reason" not to run it."""
        found: dict[str, dict[str, Any]] = {}
        while rest := [name for name in names if name not in found]:
            if self._process is None or not self._process.is_alive():
                self.close()
                self._start()
            self._connection.send((case.entry.name, case.shape, case.p.dtype.name,
                                   case.operation, case.threads, rest))
            for name in rest:
                found[name] = self._next()
                if self._process is None:
                    break
        return found
