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


@dataclass(frozen=True)
class Table:
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def distinct(items: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(items))


def label(case: Results) -> str:
    """Return loss and operation, with a mark where the times were disturbed."""
    return f"{case['loss']} {LABEL[case['operation']]}" + (" *" if case["disturbed"] else "")


def size(n: int) -> str:
    """Return 10⁷ for 10000000, and numbers that are no power of ten as they are."""
    digits = str(n)
    if n >= 10 and digits.strip("0") == "1":
        return "10" + str(len(digits) - 1).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return digits


def figure(x: float) -> str:
    """Return three significant digits, without an exponent."""
    return f"{x:.3g}" if x < 1000 else f"{x:.0f}"


def times_table(cases: Sequence[Results], n: int, dtype: str) -> Table:
    """Contenders by losses: times, and for large arrays the ratio to the streaming limit."""
    chosen = [c for c in cases if c["n"] == n and c["dtype"] == dtype]
    unit, factor = ("ms", 1e3) if n >= LARGE else ("µs", 1e6)
    header = ["", *(label(c) for c in chosen)]
    rows = [["streaming limit", *(figure(c["streaming"]["median"] * factor) for c in chosen)]]
    names = distinct(name for c in chosen for name in c["times"])
    for name in sorted(names, key=lambda name: not name.startswith("fastloss")):
        row = [name]
        for case in chosen:
            result = case["times"].get(name)
            if result is None:
                row.append("")
                continue
            cell = figure(result["median"] * factor)
            row.append(f"{cell} ({figure(result['to_streaming'])}×)" if n >= LARGE else cell)
        rows.append(row)
    title = f"n = {size(n)}, {dtype}, {unit}"
    if n >= LARGE:
        title += " (and times the streaming limit)"
    else:
        rows = rows[1:]
    return Table(title, header, rows)


def limit_table(cases: Sequence[Results]) -> Table:
    """How far fastloss is from the streaming limit, at every large size."""
    large = [c for c in cases if c["n"] >= LARGE]
    sizes = distinct(c["n"] for c in large)
    found = {(c["loss"], c["operation"], c["dtype"], c["n"]): c for c in large}
    rows = []
    for loss, operation, dtype in distinct(key[:3] for key in found):
        row = [f"{loss} {LABEL[operation]}", dtype]
        for n in sizes:
            case = found.get((loss, operation, dtype, n))
            ratio = case and case["times"]["fastloss"]["to_streaming"]
            mark = "*" if case and case["disturbed"] else ""
            row.append(f"{ratio:.2f}{mark}" if ratio else "")
        rows.append(row)
    return Table("fastloss (out reused) / streaming limit",
                 ["", "dtype", *(f"n = {size(n)}" for n in sizes)], rows)


def slower_table(cases: Sequence[Results]) -> Table:
    """Where a peer is faster than fastloss, the worst first."""
    worst = []
    for case in cases:
        peers = {k: v for k, v in case["times"].items() if not k.startswith("fastloss")}
        if not peers:
            continue
        name = min(peers, key=lambda k: peers[k]["median"])
        ratio = peers[name]["to_fastloss"]
        if ratio < SLOWER:
            worst.append((ratio, [
                label(case), case["dtype"], size(case["n"]), name, f"{1 / ratio:.2f}×"]))
    worst.sort(key=lambda item: item[0])
    return Table("Where fastloss is slower than a peer",
                 ["", "dtype", "n", "fastest peer", "fastloss takes"],
                 [row for _, row in worst])


def tables(results: Results, *, everything: bool = False) -> list[Table]:
    """Return the tables of a report: the largest and the smallest size, or every size."""
    cases = results["cases"]
    sizes = sorted({c["n"] for c in cases}, reverse=True)
    shown = sizes if everything else distinct([*sizes[:1], *sizes[-1:]])
    found = [times_table(cases, n, dtype)
             for n in shown for dtype in distinct(c["dtype"] for c in cases if c["n"] == n)]
    found += [limit_table(cases), slower_table(cases)]
    return [table for table in found if table.rows]


def notes(results: Results) -> list[str]:
    """Say where and how the numbers were taken, and what is missing."""
    about = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    lines = [
        f"{about['processor']}, {about['cpus']} CPUs, {about['threads']} threads, "
        f"{about['system']}; {about['date']}",
        versions,
        *(" ".join(line.split()) for line in about["config"] if line.startswith("SIMD")),
        f"Command: `{about['command']}`",
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
        for name, message in case["errors"].items():
            lines.append(f"Failed: {name} on {case['loss']} {LABEL[case['operation']]}, "
                         f"{case['dtype']}, n = {size(case['n'])}: {message.splitlines()[0]}")
    return lines


def markdown(results: Results, *, everything: bool = False) -> str:
    """Return the report as Markdown."""
    parts = ["\n".join(f"- {line}" for line in notes(results))]
    for table in tables(results, everything=everything):
        lines = [f"**{table.title}**", "", "| " + " | ".join(table.header) + " |",
                 "|---" + "|---:" * (len(table.header) - 1) + "|"]
        lines += ["| " + " | ".join(row) + " |" for row in table.rows]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def text(results: Results, *, everything: bool = False) -> str:
    """Return the report as plain text, in columns."""
    parts = ["\n".join(notes(results))]
    for table in tables(results, everything=everything):
        grid = [list(table.header), *(list(row) for row in table.rows)]
        widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
        lines = [table.title]
        for row in grid:
            cells = [row[0].ljust(widths[0])]
            cells += [cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)]
            lines.append("  ".join(cells).rstrip())
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def show(results: Results, *, everything: bool = False) -> None:
    """Print the report, with rich where it is installed."""
    try:
        console = importlib.import_module("rich.console").Console()
        make_table = importlib.import_module("rich.table").Table
    except ImportError:
        console = None
    if console is None or not console.is_terminal:
        print(text(results, everything=everything))
        return
    for line in notes(results):
        console.print(line, markup=False, highlight=False)
    for table in tables(results, everything=everything):
        grid = make_table(title=table.title, title_justify="left")
        for i, name in enumerate(table.header):
            grid.add_column(name, justify="right" if i else "left")
        for row in table.rows:
            grid.add_row(*row)
        console.print(grid)
