"""Results as tables: pure functions of what the JSON file holds."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Results = dict[str, Any]
LABEL = {"value": "value", "value_and_grad": "value+grad"}
LARGE = 100_000  # from here on memory is the limit, not the call
SLOWER = 0.95  # a peer within 5 % is no faster
# the order of columns
KNOWN = ("fastloss", "fastloss fresh", "reference", "numpy", "numexpr", "numba", "torch eager",
         "torch compile", "jax", "sklearn metric", "sklearn._loss")


@dataclass(frozen=True)
class Table:
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def distinct(items: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(items))


def size(n: int) -> str:
    """Return 10⁷ for 10000000, and numbers that are no power of ten as they are."""
    digits = str(n)
    if n >= 1000 and digits.strip("0") == "1":
        return "10" + str(len(digits) - 1).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return digits


def extent(shape: Sequence[int]) -> str:
    """Return n = 10⁷, or 10⁵ × 10 for rows and classes."""
    return " × ".join(map(size, shape)) if len(shape) > 1 else f"n = {size(shape[0])}"


def name(case: Results) -> str:
    """Return the loss, with the matrix if it is one of rows."""
    return str(case["loss"]) + (f", {extent(case['shape'])}" if is_rowwise(case) else "")


def is_rowwise(case: Results) -> bool:
    return len(case["shape"]) > 1


def label(case: Results) -> str:
    """Return loss and operation, with a mark where the times were disturbed."""
    return f"{name(case)}: {LABEL[case['operation']]}" + (" *" if case["disturbed"] else "")


def figure(x: float) -> str:
    """Return three significant digits, without an exponent."""
    return f"{x:.3g}" if x < 1000 else f"{x:.0f}"


def ratio(x: float) -> str:
    """Return a multiple of 1: two decimals up to 2."""
    return f"{x:.2f}" if x < 2 else f"{x:.1f}" if x < 10 else f"{x:.0f}"


def groups(cases: Sequence[Results], *, everything: bool = False) -> list[list[Results]]:
    """Return the cases of each table: one size and dtype, and all matrices of a dtype."""
    sizes = sorted({c["n"] for c in cases if not is_rowwise(c)}, reverse=True)
    shown = sizes if everything else distinct([*sizes[:1], *sizes[-1:]])
    dtypes = distinct(c["dtype"] for c in cases)
    found = [[c for c in cases if not is_rowwise(c) and (c["n"], c["dtype"]) == (n, dtype)]
             for n in shown for dtype in dtypes]
    found += [[c for c in cases if is_rowwise(c) and c["dtype"] == dtype] for dtype in dtypes]
    return [group for group in found if group]


def times_table(chosen: Sequence[Results]) -> Table:
    """Losses by contenders: times, and for large arrays fastloss's distance from the limit."""
    large = max(c["n"] for c in chosen) >= LARGE
    unit, factor = ("ms", 1e3) if large else ("µs", 1e6)
    found = distinct(key for c in chosen for key in c["times"])
    names = [*(k for k in KNOWN if k in found), *(k for k in found if k not in KNOWN)]
    rows = []
    for case in chosen:
        row = [label(case)]
        if large:
            row += [figure(case["streaming"]["median"] * factor),
                    ratio(case["times"]["fastloss"]["to_streaming"])]
        row += [figure(case["times"][key]["median"] * factor) if key in case["times"] else ""
                for key in names]
        rows.append(row)
    what = "rows × classes" if is_rowwise(chosen[0]) else extent(chosen[0]["shape"])
    header = ["", *(["streaming limit", "fastloss / limit"] if large else []), *names]
    return Table(f"{what}, {chosen[0]['dtype']}, {unit}", header, rows)


def simd(results: Results) -> str:
    return str(results["machine"]["simd"])


def limit_table(runs: Sequence[Results]) -> Table:
    """How far fastloss is from the streaming limit, at every large size, on every SIMD level."""
    found = {}
    for run in runs:
        for c in run["cases"]:
            if c["n"] >= LARGE:
                row = (name(c), LABEL[c["operation"]], "" if is_rowwise(c) else size(c["n"]))
                cell = ratio(c["times"]["fastloss"]["to_streaming"])
                found[row, (c["dtype"], simd(run))] = cell + ("*" if c["disturbed"] else "")
    rows, columns = distinct(key[0] for key in found), distinct(key[1] for key in found)
    columns.sort(key=lambda column: column[0])
    return Table(
        "fastloss (out reused) / streaming limit",
        ["", "", "n", *(" ".join(column) for column in columns)],
        [[*row, *(found.get((row, column), "") for column in columns)] for row in rows])


def slower_table(cases: Sequence[Results]) -> Table:
    """Where a peer is faster than fastloss, the worst first."""
    worst = []
    for case in cases:
        peers = {k: v for k, v in case["times"].items() if not k.startswith("fastloss")}
        if not peers:
            continue
        fastest = min(peers, key=lambda k: peers[k]["median"])
        times = peers[fastest]["to_fastloss"]
        if times < SLOWER:
            worst.append((times, [
                label(case), case["dtype"], "" if is_rowwise(case) else size(case["n"]), fastest,
                f"{1 / times:.2f}×"]))
    worst.sort(key=lambda item: item[0])
    return Table("Where fastloss is slower than a peer",
                 ["", "dtype", "n", "fastest peer", "fastloss takes"],
                 [row for _, row in worst])


def tables(
    results: Results, others: Sequence[Results] = (), *, everything: bool = False
) -> list[Table]:
    """Return the tables of a report: the largest and the smallest size, or every size."""
    cases = results["cases"]
    found = [times_table(group) for group in groups(cases, everything=everything)]
    found += [limit_table([results, *others]), slower_table(cases)]
    return [table for table in found if table.rows]


def notes(results: Results, others: Sequence[Results] = ()) -> list[str]:
    """Say where and how the numbers were taken, and what is missing."""
    about = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    lines = [
        f"{about['processor']}, {about['cpus']} CPUs, {about['threads']} threads, "
        f"{about['system']}; {about['date']}",
        versions,
        *(" ".join(line.split()) for line in about["config"] if line.startswith("SIMD")),
        f"Command: `{about['command']}`",
        *(f"Command of the columns {simd(run)}: `{run['machine']['command']}`, "
          f"{run['machine']['processor']}, {run['machine']['date']}" for run in others),
        "Medians over interleaved rounds. fastloss reuses its output; the streaming limit is "
        "the fastest way found to read (and write) the same bytes.",
    ]
    if "jax" in about["versions"]:
        lines.append("JAX chooses its own number of threads.")
    disturbed = sum(bool(case["disturbed"]) for case in results["cases"])
    if disturbed:
        lines.append(f"(*) {disturbed} of {len(results['cases'])} cases were disturbed: other "
                     "processes or idle threads held a CPU, and threads waited for it.")
    if results.get("missing"):
        lines.append(f"Not installed, so not measured: {', '.join(results['missing'])}.")
    for case in results["cases"]:
        for peer, message in case["errors"].items():
            lines.append(f"Failed: {peer} on {case['loss']} {LABEL[case['operation']]}, "
                         f"{case['dtype']}, {extent(case['shape'])}: {message.splitlines()[0]}")
    return lines


def markdown(
    results: Results, others: Sequence[Results] = (), *, everything: bool = False
) -> str:
    """Return the report as Markdown."""
    parts = ["# Benchmark", "\n".join(f"- {line}" for line in notes(results, others))]
    parts += [
        f"**{table.title}**\n\n{grid(table.header, table.rows)}"
        for table in tables(results, others, everything=everything)]
    return "\n\n".join(parts) + "\n"


def grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown: words to the left, numbers to the right."""
    lines = ["| " + " | ".join(header) + " |",
             "|" + "|".join("---" if is_text(column) else "---:"
                            for column in zip(*rows, strict=True)) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def is_text(column: Sequence[str]) -> bool:
    return any(cell[:1].isalpha() for cell in column)


def text(
    results: Results, others: Sequence[Results] = (), *, everything: bool = False
) -> str:
    """Return the report as plain text, in columns."""
    parts = ["\n".join(notes(results, others))]
    for table in tables(results, others, everything=everything):
        columns = [
            [cell.ljust(width) if is_text(cells) else cell.rjust(width) for cell in (head, *cells)]
            for head, *cells in zip(table.header, *table.rows, strict=True)
            for width in [max(map(len, (head, *cells)))]]
        lines = [table.title, *("  ".join(row).rstrip() for row in zip(*columns, strict=True))]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def show(
    results: Results, others: Sequence[Results] = (), *, everything: bool = False
) -> None:
    """Print the report, with rich where it is installed."""
    try:
        console = importlib.import_module("rich.console").Console()
        make_table = importlib.import_module("rich.table").Table
    except ImportError:
        console = None
    if console is None or not console.is_terminal:
        print(text(results, others, everything=everything))
        return
    for line in notes(results, others):
        console.print(line, markup=False, highlight=False)
    for table in tables(results, others, everything=everything):
        shown = make_table(title=table.title, title_justify="left")
        for head, *cells in zip(table.header, *table.rows, strict=True):
            shown.add_column(head, justify="left" if is_text(cells) else "right")
        for row in table.rows:
            shown.add_row(*row)
        console.print(shown)
