"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import fastloss
from bench import memory, pages, readme, report
from bench.case import OPERATIONS, Case, installed
from bench.losses import LOSSES, Loss, Shape
from bench.measure import Effort, machine, measure
from bench.peers import BATCH, PEERS

GROUPS = ("elements", "rows", "embeddings")
NAMES = tuple(entry.name for entry in LOSSES)
PEER_NAMES = tuple(peer.name for peer in PEERS)
DTYPES = ("float32", "float64")
SIZES = tuple(10**k for k in range(2, 8))
QUICK_SIZES = (100_000,)
EPILOG = """\
examples:
  python -m bench --quick
  python -m bench --losses log contrastive --sizes 1e6 1e7 --peers numpy numba
  python -m bench --losses embeddings --threads 2
  python -m bench --sizes 1e2 1e7 --output results.json --markdown results.md
  python -m bench --from results.json --chart chart.png --readme README.md

an older processor, and both side by side in the table of distances from the limit:
  FASTLOSS_SIMD=avx2 python -m bench --sizes 1e7 --peers --output avx2.json
  python -m bench --from results.json avx2.json --markdown results.md
"""


def whole(least: int) -> Callable[[str], int]:
    """Return a parser of whole numbers, also written like 1e6."""

    def parse(text: str) -> int:
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not number >= least or number != int(number):
            raise argparse.ArgumentTypeError(f"not a whole number >= {least}: {text!r}")
        return int(number)

    return parse


def matrix(text: str) -> Shape:
    """Parse a shape like 1e5x10."""
    rows, _, classes = text.partition("x")
    return whole(1)(rows), whole(2)(classes)


def shapes_of(group: str, *, products: bool = True) -> str:
    """Return the matrices that a group of losses is measured on."""
    found = report.distinct(
        "x".join(map(str, shape)) for entry in LOSSES for shape in entry.shapes
        if entry.group == group and (group == "rows" or bool(entry.products) == products))
    return ", ".join(found)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", epilog=EPILOG, usage="%(prog)s [options]",
        description="Time fastloss, other libraries and memory itself in the same rounds.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument_group("what to measure").add_argument
    add("--losses", nargs="+", choices=(*GROUPS, *NAMES), default=GROUPS, metavar="LOSS",
        help=f"which losses: {', '.join(map(repr, NAMES))}, or all of {', '.join(GROUPS)} "
        "(default: all)")
    add("--peers", nargs="*", choices=PEER_NAMES, metavar="PEER",
        help=f"what fastloss is compared with: {', '.join(map(repr, PEER_NAMES))}; none if no "
        "name follows (default: all, but 'reference' up to 1e5 elements only and 'torch compile' "
        "from 2e5 on: each case takes seconds to compile; of embeddings up to 1024 rows, in "
        "float32 all pairs and triplets, and batches up to 4096 rows for value and gradient)")
    add("--sizes", nargs="+", type=whole(1), metavar="N",
        help="numbers of elements of pointwise losses, like 100 or 1e6 (default: 1e2 to 1e7)")
    add("--shapes", nargs="+", type=matrix, metavar="ROWSxCLASSES",
        help=f"matrices of row-wise losses (default: {shapes_of('rows')})")
    add("--embeddings", nargs="+", type=matrix, metavar="ROWSxCOMPONENTS",
        help="matrices of losses of embeddings (default: pairs and triplets "
        f"{shapes_of('embeddings', products=False)}, batches {shapes_of('embeddings')}; values "
        "in float32 only, and the largest batch for value and gradient in float32 only)")
    add("--dtypes", nargs="+", choices=DTYPES, default=DTYPES,
        help="of the predictions (default: both)")
    add("--operations", nargs="+", choices=OPERATIONS, default=OPERATIONS,
        help="(default: both)")
    add = parser.add_argument_group("how to measure").add_argument
    add("--threads", type=whole(1), default=fastloss.get_num_threads(),
        help="threads of every library that can be told (default: %(default)s)")
    add("--seconds", type=float, metavar="S",
        help="measure the contenders of a case, in turn, again and again until S seconds have "
        "passed, at least 7 times (3 times those whose call takes more than 0.15 s); where other "
        "processes disturbed it, again, until 3 S have passed (default: 1)")
    add("--memory", type=float, metavar="GB", default=memory.LIMIT,
        help="of losses of embeddings peak memory is measured too, in another process, and who "
        "needs more than this does not take part; 0: neither (default: %(default)g)")
    add("--quick", action="store_true",
        help="one size, at least 3 rounds in 0.1 s: to see that everything works and agrees, not "
        "for its numbers (some minutes for all losses, most of them to compile)")
    add = parser.add_argument_group("results").add_argument
    add("--output", type=Path, metavar="FILE.json", help="write the results, after each case")
    add("--markdown", type=Path, metavar="FILE.md",
        help="write the tables: into an existing page between the marks of its parts, on elements "
        "and on embeddings")
    add("--chart", type=Path, metavar="FILE.png",
        help="draw times as multiples of the streaming limit at the largest size (Matplotlib)")
    add("--readme", type=Path, metavar="README.md",
        help="write the tables of chosen losses between the marks of its section on speed")
    add("--all-sizes", action="store_true", help="tables for all sizes, not the extremes only")
    add("--from", dest="sources", type=Path, nargs="+", metavar="FILE.json",
        help="measure nothing: read the results of an earlier run, restricted to --losses; more "
        "files, of other SIMD levels, add columns to the table of distances from the limit")
    options = parser.parse_args(argv)
    if options.sizes is None:
        options.sizes = QUICK_SIZES if options.quick else SIZES
    if options.seconds is None:
        options.seconds = 0.1 if options.quick else 1.0
    options.losses = tuple(
        entry.name for entry in LOSSES if {entry.name, entry.group} & set(options.losses))
    return options


def usual(shape: Shape, dtype: str, entry: Loss, operation: str) -> bool:
    """Tell whether a loss is measured so unless it is asked for."""
    special = (dtype != "float32", operation == "value", bool(entry.products) and shape[0] > BATCH)
    return entry.group != "embeddings" or sum(special) <= 1


def plan(options: argparse.Namespace) -> list[tuple[Shape, str, Loss, str]]:
    """Return what is measured: shape, dtype, loss and operation."""
    entries = [entry for entry in LOSSES if entry.name in options.losses]
    pointwise = [entry for entry in entries if not entry.shapes]
    sized: list[tuple[Shape, Loss]] = [
        ((n,), entry) for n in options.sizes for entry in pointwise]
    for entry in entries:
        if entry.shapes:
            asked = options.embeddings if entry.group == "embeddings" else options.shapes
            shapes = asked or (entry.quick_shapes if options.quick else entry.shapes)
            sized += [(shape, entry) for shape in shapes]
    cases = [(shape, dtype, entry, operation) for shape, entry in sized
             for dtype in options.dtypes for operation in options.operations]
    return cases if options.embeddings else [case for case in cases if usual(*case)]


def run(options: argparse.Namespace, command: str) -> dict[str, Any]:
    """Measure all cases and return the results."""
    chosen = PEER_NAMES if options.peers is None else options.peers
    wanted = [peer for peer in PEERS if peer.name in chosen]
    peers = [peer for peer in wanted if installed(peer.needs)]
    missing = [peer.name for peer in wanted if peer not in peers]
    results: dict[str, Any] = {
        "machine": machine(options.threads, command), "missing": missing, "cases": []
    }
    if missing:
        say(f"not installed, so not measured: {', '.join(missing)}")
    effort = Effort(options.seconds, 3 if options.quick else 7)
    cases, began = plan(options), time.perf_counter()
    gauge = memory.Gauge(options.memory) if options.memory and memory.available() else None
    try:
        for i, (shape, dtype, entry, operation) in enumerate(cases, 1):
            here = [peer for peer in peers if options.peers is not None
                    or peer.usual(entry, shape, dtype, operation)]
            drawn = Case.draw(entry, shape, dtype, operation, options.threads)
            case = measure(drawn, here, effort, gauge)
            results["cases"].append(case)
            say(f"[{i}/{len(cases)}, {time.perf_counter() - began:.0f} s] {summary(case)}")
            if options.output:
                write(options.output, json.dumps(results) + "\n")
    finally:
        if gauge is not None:
            gauge.close()
    return results


def summary(case: dict[str, Any]) -> str:
    """Describe a measured case in a line."""
    ours = case["times"]["fastloss"]
    line = (f"{case['loss']} {case['operation']} {case['dtype']} "
            f"{report.extent(case['shape'])}: "
            f"{ours['median'] * 1e6:.4g} µs, {report.to_limit(case):.2f}x {report.limit(case)}")
    peers = {k: v for k, v in case["times"].items() if not k.startswith("fastloss")}
    if peers:
        best = min(peers, key=lambda k: peers[k]["median"])
        line += f", {best} {peers[best]['to_fastloss']:.2f}x fastloss"
    if "fastloss" in case.get("memory", {}):
        line += f", {case['memory']['fastloss'] / 1e6:.1f} MB"
    line += ", DISTURBED" if case["disturbed"] else ""
    line += "".join(f"\n  refused {k}: {v}" for k, v in case.get("refused", {}).items())
    return line + "".join(f"\n  FAILED {k}: {v}" for k, v in case["errors"].items())


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def write(path: Path, text: str) -> None:
    """Replace a file as a whole, so that an interrupted run leaves a valid one."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def read(path: Path, losses: Sequence[str]) -> dict[str, Any]:
    """Return the results of an earlier run, of these losses."""
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    results["cases"] = [case for case in results["cases"] if case["loss"] in losses]
    return results


def main(argv: Sequence[str] | None = None) -> int:
    """Measure or read results and report them; 1 if a peer failed or disagreed."""
    options = parse(argv)
    if options.chart:
        from bench.chart import draw  # before measuring, should Matplotlib be missing
    others: list[dict[str, Any]] = []
    if options.sources:
        results, *others = (read(path, options.losses) for path in options.sources)
    else:
        words = sys.argv[1:] if argv is None else argv
        results = run(options, shlex.join(["python", "-m", "bench", *words]))
    report.show(results, others, everything=options.all_sizes)
    if options.markdown:
        text = options.markdown.read_text(encoding="utf-8") if options.markdown.exists() else ""
        write(options.markdown,
              pages.document(text, results, others, everything=options.all_sizes))
    if options.chart:
        draw(results, options.chart)
    if options.readme:
        text = options.readme.read_text(encoding="utf-8")
        write(options.readme, readme.updated(text, results))
    return 1 if any(case["errors"] for case in results["cases"]) else 0


if __name__ == "__main__":
    sys.exit(main())
