"""Timing: all contenders of a case in the same rounds, in random order; medians."""

from __future__ import annotations

import gc
import importlib.metadata
import io
import os
import platform
import random
import statistics
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import fastloss
from bench import products, streaming
from bench.case import Call, Case, Contender
from bench.memory import Gauge
from bench.peers import OURS, Peer, use_threads
from fastloss._core import simd_level

SAMPLE = 200e-6  # seconds that a sample takes at least: calls are repeated in it
LONG = 20e-3  # seconds of a call that is not repeated to calibrate
SLOW, SLOW_ROUNDS = 0.15, 3  # a call that takes longer is part of fewer rounds
ENOUGH = 10.0  # seconds after which so few rounds do
SMALL, SMALL_SAMPLE = 10_000, 1e-3
PAUSE, PAUSE_FROM = 2e-3, 100_000  # the threads of the last contender spin for a while
STEP, MOST = 5e-3, 0.5  # those of BLAS for a tenth of a second: seconds between looks, and in all
WARM_TO = 1_000_000  # to here data may stay in cache: a first call is not timed, for anyone
DISTURBED, ATTEMPTS = 0.1, 3  # CPUs that other processes hold while a case is measured
STALL = 4.0  # a median this far above the minimum: threads waited for one off its CPU
TOLERANCE = {"float32": 1e-3, "float64": 1e-6}
LIBRARIES = ("fastloss", "numpy", "scikit-learn", "numexpr", "numba", "torch",
             "pytorch-metric-learning", "jax")


@dataclass(frozen=True)
class Effort:
    """How long to measure a case: for some seconds, but within these numbers of rounds."""

    seconds: float = 1.0
    least: int = 7
    most: int = 200

    @property
    def patience(self) -> float:
        """Seconds after which a disturbed case is not measured again."""
        return 3 * self.seconds


def take_sample(call: Call, number: int) -> float:
    """Return the seconds of one call, over `number` of them."""
    start = time.perf_counter()
    for _ in range(number):
        call()
    return (time.perf_counter() - start) / number


def calibrate(call: Call, wanted: float) -> int:
    """Return how many calls a sample takes."""
    number = 1
    while True:
        each = take_sample(call, number)
        if each * number < LONG:  # short enough to try again: a disturbed sample misleads
            each = min(each, *(take_sample(call, number) for _ in range(4)))
        if each * number >= wanted:
            return number
        number = int(min(10 * number, 1.2 * wanted / max(each, 1e-9))) + 1


def wait_until_idle() -> None:
    """Wait until no thread of this process takes CPU time."""
    for _ in range(round(MOST / STEP)):
        before = time.process_time()
        time.sleep(STEP)
        if time.process_time() - before < 0.1 * STEP:
            return


def wanted_more(rounds: int, seconds: float, effort: Effort) -> bool:
    """Tell whether there is to be another round."""
    if rounds < effort.least:
        return rounds < SLOW_ROUNDS or seconds < max(ENOUGH, effort.seconds)
    return rounds < effort.most and seconds < effort.seconds


def interleave(
    contenders: Sequence[Contender], n: int, effort: Effort
) -> dict[str, dict[str, Any]]:
    """Return median and minimum of each contender, all measured in the same rounds.

    Where a call takes long, it does not matter what is in cache.
    """
    wanted = SMALL_SAMPLE if n <= SMALL else SAMPLE
    numbers = {c.name: calibrate(c.call, wanted) for c in contenders}
    times: dict[str, list[float]] = {c.name: [] for c in contenders}
    order, shuffle = list(contenders), random.Random(0).shuffle
    pauses = n >= PAUSE_FROM or any(c.spins for c in contenders)
    pause = partial(time.sleep, PAUSE) if pauses else lambda: None
    rest = wait_until_idle if any(c.spins for c in contenders) else pause
    rounds, start, collecting = 0, time.perf_counter(), gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        while wanted_more(rounds, time.perf_counter() - start, effort):
            shuffle(order)
            for contender in order:
                slow = rounds > 0 and min(times[contender.name]) > SLOW
                if slow and rounds >= SLOW_ROUNDS and contender is not contenders[0]:
                    continue
                rest()
                if n <= WARM_TO and not slow:
                    contender.call()
                times[contender.name].append(take_sample(contender.call, numbers[contender.name]))
                rest = wait_until_idle if contender.spins else pause
            rounds += 1
    finally:
        if collecting:
            gc.enable()
    return {
        name: {"median": statistics.median(t), "min": min(t), "rounds": len(t),
               "calls": numbers[name]}
        for name, t in times.items()
    }


def cpu_seconds() -> tuple[float, float]:
    """Return CPU seconds: all that was used or stolen on this machine, and ours."""
    own = time.process_time()
    try:
        ticks = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return own, own
    idle, waiting = 3, 4
    busy = sum(int(t) for i, t in enumerate(ticks) if i not in (idle, waiting))
    return busy / os.sysconf("SC_CLK_TCK"), own


def undisturbed(contenders: Sequence[Contender], n: int, effort: Effort) -> dict[str, Any]:
    """Measure until nothing is disturbed; after some attempts, take the best.

    Where other processes, or the idle threads of another library, hold a CPU, every parallel
    region may wait for milliseconds. All contenders count alike.
    """
    best: dict[str, Any] = {}
    began = time.perf_counter()
    for attempt in range(1, ATTEMPTS + 1):
        (busy, own), start = cpu_seconds(), time.perf_counter()
        times = interleave(contenders, n, effort)
        (busy2, own2), seconds = cpu_seconds(), time.perf_counter() - start
        others = max(0.0, busy2 - busy - (own2 - own)) / seconds
        stalls = sum(t["median"] > STALL * t["min"] for t in times.values())
        if not best or (stalls, others) < (best["stalls"], best["others"]):
            best = {"times": times, "others": others, "stalls": stalls}
        best["attempts"] = attempt
        best["disturbed"] = best["others"] >= DISTURBED or best["stalls"] > 0
        if not best["disturbed"] or time.perf_counter() - began > effort.patience:
            break
    return best


def difference(case: Case, ours: Contender, peer: Contender) -> str:
    """Say how a peer's result differs from that of fastloss; empty if it does not."""
    rtol = TOLERANCE[case.p.dtype.name]
    (value, grads), (other, other_grads) = ours.result(case.gradient), peer.result(case.gradient)
    if not np.isclose(value, other, rtol=rtol, atol=0):
        return f"value {other!r}, but fastloss {value!r}"
    if case.gradient:
        largest = max(float(np.abs(grad).max()) for grad in grads)
        errors = np.concatenate([
            np.abs(theirs - grad).reshape(len(grad), -1).max(axis=1)
            for grad, theirs in zip(grads, other_grads, strict=True)]) / largest
        if np.count_nonzero(~(errors <= rtol)) > case.entry.ambiguous * errors.size:
            return f"a gradient that differs by {errors.max():.2g} of its maximum"
    return ""


def admitted(
    case: Case, peers: Sequence[Peer], gauge: Gauge | None
) -> tuple[list[Peer], dict[str, Any]]:
    """Return the peers that take part, and what was found of memory."""
    if gauge is None or case.entry.group != "embeddings":
        return list(peers), {}
    found = gauge.measure(case, [OURS.name, *(peer.name for peer in peers)])
    known = {name: answer["bytes"] for name, answer in found.items() if "bytes" in answer}
    refused = {name: answer["reason"] for name, answer in found.items() if "reason" in answer}
    return ([peer for peer in peers if peer.name not in refused],
            {"memory": known, "refused": refused})


def measure(
    case: Case, peers: Sequence[Peer], effort: Effort, gauge: Gauge | None = None
) -> dict[str, Any]:
    """Check and time fastloss, its peers and the limit on one case."""
    errors: dict[str, str] = {}
    limit = products if case.entry.products else streaming
    with use_threads(case.threads):
        peers, memory = admitted(case, peers, gauge)
        ours = Contender(OURS.name, OURS.make(case))  # type: ignore[arg-type]
        contenders = [ours]
        for peer in peers:
            try:
                contender = peer.contender(case)
                if contender is None:
                    continue
                problem = difference(case, ours, contender)
            except Exception as error:  # a peer's failure is a result, and the rest go on
                problem = f"{type(error).__name__}: {str(error).strip() or 'no message'}"
            if problem:
                errors[peer.name] = problem
            elif contender is not None:
                contenders.append(contender)
        bounds = limit.contenders(case)
        measured = undisturbed([*contenders, *bounds], case.size, effort)
    times = measured.pop("times")
    kernels = {contender.name: times.pop(contender.name) for contender in bounds}
    for result in kernels.values():
        result["median"] *= limit.count(case)
        result["min"] *= limit.count(case)
    fastest = min(kernels, key=lambda k: kernels[k]["median"])
    for result in (*times.values(), *kernels.values()):
        result["to_fastloss"] = result["median"] / times[ours.name]["median"]
        result[f"to_{limit.NAME}"] = result["median"] / kernels[fastest]["median"]
    return {
        "loss": case.entry.name, "group": case.entry.group, "n": case.size,
        "shape": case.shape, "dtype": case.p.dtype.name, "operation": case.operation,
        "bytes": case.bytes, "limit": limit.NAME, "times": times,
        limit.NAME: {"kernel": fastest, "count": limit.count(case), **kernels[fastest]},
        f"{limit.NAME}_kernels": kernels, "errors": errors, **memory, **measured,
    }


def processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def machine(threads: int, command: str) -> dict[str, Any]:
    """Describe what the numbers depend on."""
    versions = {"python": platform.python_version(), "fastloss": fastloss.__version__}
    for name in LIBRARIES[1:]:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    with redirect_stdout(io.StringIO()) as config:
        fastloss.show_config()
    return {
        "processor": processor(), "cpus": os.cpu_count(), "threads": threads,
        "system": f"{platform.system()} {platform.machine()}", "versions": versions,
        "simd": simd_level.LEVEL, "blas": products.library(),
        "config": config.getvalue().splitlines(), "command": command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
