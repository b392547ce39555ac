"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import fastloss
from bench import report
from bench.losses import LOSSES
from bench.measure import Effort, machine, measure
from bench.peers import OPERATIONS, PEERS, Case, installed

NAMES = tuple(entry.name for entry in LOSSES)
PEER_NAMES = tuple(peer.name for peer in PEERS)
SIZES = tuple(10**k for k in range(2, 8))
QUICK_SIZES = (100, 10**6)
EPILOG = """\
examples:
  python -m bench --quick
  python -m bench --losses log contrastive --sizes 1e6 1e7 --peers numpy numba
  python -m bench --output results.json --markdown results.md
  python -m bench --from results.json --markdown results.md
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


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", epilog=EPILOG,
        description="Time fastloss, other libraries and memory itself in the same rounds.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--losses", nargs="+", choices=NAMES, default=NAMES, metavar="LOSS",
        help=f"which losses: {', '.join(NAMES)} (default: all)")
    add("--peers", nargs="*", choices=PEER_NAMES, default=PEER_NAMES, metavar="PEER",
        help=f"what fastloss is compared with: {', '.join(map(repr, PEER_NAMES))} (default: all)")
    add("--sizes", nargs="+", type=whole(1), metavar="N",
        help="numbers of elements, like 100 or 1e6 (default: 1e2 to 1e7)")
    add("--dtypes", nargs="+", choices=("float32", "float64"), default=("float32", "float64"))
    add("--operations", nargs="+", choices=OPERATIONS, default=OPERATIONS)
    add("--threads", type=whole(1), default=fastloss.get_num_threads(),
        help="threads of every library that can be told (default: %(default)s)")
    add("--seconds", type=float,
        help="time for the rounds of one case, which has at least 7 (default: 2)")
    add("--quick", action="store_true",
        help="two sizes and at least 3 rounds in 0.2 s, to see that everything works")
    add("--output", type=Path, metavar="FILE.json", help="write the results, after each case")
    add("--markdown", type=Path, metavar="FILE.md", help="write the tables")
    add("--all-sizes", action="store_true", help="tables for all sizes, not the extremes only")
    add("--from", dest="source", type=Path, metavar="FILE.json",
        help="measure nothing: read the results of an earlier run")
    options = parser.parse_args(argv)
    if options.sizes is None:
        options.sizes = QUICK_SIZES if options.quick else SIZES
    if options.seconds is None:
        options.seconds = 0.2 if options.quick else 2.0
    return options


def run(options: argparse.Namespace, command: str) -> dict[str, Any]:
    """Measure all cases and return the results."""
    wanted = [peer for peer in PEERS if peer.name in options.peers]
    peers = [peer for peer in wanted if installed(peer.needs)]
    missing = [peer.name for peer in wanted if peer not in peers]
    results: dict[str, Any] = {
        "machine": machine(options.threads, command), "missing": missing, "cases": []
    }
    if missing:
        say(f"not installed, so not measured: {', '.join(missing)}")
    effort = Effort(options.seconds, 3 if options.quick else 7)
    plan = [
        (n, dtype, entry, operation)
        for n in options.sizes for dtype in options.dtypes
        for entry in LOSSES if entry.name in options.losses for operation in options.operations
    ]
    for i, (n, dtype, entry, operation) in enumerate(plan, 1):
        case = measure(Case.draw(entry, n, dtype, operation, options.threads), peers, effort)
        results["cases"].append(case)
        say(f"[{i}/{len(plan)}] {summary(case)}")
        if options.output:
            write(options.output, json.dumps(results, indent=1) + "\n")
    return results


def summary(case: dict[str, Any]) -> str:
    """Describe a measured case in a line."""
    ours = case["times"]["fastloss"]
    line = (f"{case['loss']} {case['operation']} {case['dtype']} n={case['n']}: "
            f"{ours['median'] * 1e6:.4g} µs, {ours['to_streaming']:.2f}x streaming")
    peers = {k: v for k, v in case["times"].items() if not k.startswith("fastloss")}
    if peers:
        best = min(peers, key=lambda k: peers[k]["median"])
        line += f", {best} {peers[best]['to_fastloss']:.2f}x fastloss"
    line += ", DISTURBED" if case["disturbed"] else ""
    return line + "".join(f"\n  FAILED {k}: {v}" for k, v in case["errors"].items())


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def write(path: Path, text: str) -> None:
    """Replace a file as a whole, so that an interrupted run leaves a valid one."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure or read results and report them; 1 if a peer failed or disagreed."""
    options = parse(argv)
    if options.source:
        results = json.loads(options.source.read_text(encoding="utf-8"))
    else:
        words = sys.argv[1:] if argv is None else argv
        results = run(options, shlex.join(["python", "-m", "bench", *words]))
    report.show(results, everything=options.all_sizes)
    if options.markdown:
        write(options.markdown, report.markdown(results, everything=options.all_sizes))
    return 1 if any(case["errors"] for case in results["cases"]) else 0


if __name__ == "__main__":
    sys.exit(main())
