"""Results as tables: pure functions of what the JSON file holds."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Results = dict[str, Any]
LABEL = {"value": "value", "value_and_grad": "value+grad"}
LARGE = 100_000  # from here on memory is the limit, not the call
SLOWER = 0.95  # a peer within 5 % is no faster
# the order of columns
KNOWN = ("fastloss", "fastloss fresh", "reference", "numpy", "numexpr", "numba",
         "pytorch-metric-learning", "torch eager", "torch compile", "jax", "sklearn metric",
         "sklearn._loss")
LIMITS = {"streaming": "streaming limit", "products": "own products"}


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


def is_embedding(case: Results) -> bool:
    return case.get("group") == "embeddings"


def limit(case: Results) -> str:
    """Return what the loss is held against: "streaming" or "products"."""
    return str(case.get("limit", "streaming"))


def to_limit(case: Results, contender: str = "fastloss") -> float:
    """Return a contender's time as a multiple of the limit's."""
    return float(case["times"][contender][f"to_{limit(case)}"])


def label(case: Results, loss: str = "") -> str:
    """Return loss and operation, with a mark where the times were disturbed."""
    mark = " *" if case["disturbed"] else ""
    return f"{loss or name(case)}: {LABEL[case['operation']]}{mark}"


def figure(x: float) -> str:
    """Return three significant digits, without an exponent."""
    return f"{x:.3g}" if x < 1000 else f"{x:.0f}"


def ratio(x: float) -> str:
    """Return a multiple of 1: two decimals up to 2."""
    return f"{x:.2f}" if x < 2 else f"{x:.1f}" if x < 10 else f"{x:.0f}"


def groups(cases: Sequence[Results], *, everything: bool = False) -> list[list[Results]]:
    """Return the cases of each table: one size and dtype, and all matrices of a dtype.

    Losses of embeddings have a table for each matrix and dtype.
    """
    keys = [(c["dtype"], None if is_rowwise(c) and not is_embedding(c) else tuple(c["shape"]),
             limit(c)) for c in cases]
    sizes = sorted({c["n"] for c in cases if not is_rowwise(c)}, reverse=True)
    shown = sizes if everything else distinct([*sizes[:1], *sizes[-1:]])
    order = [(n,) for n in shown] + [None] + distinct(
        shape for _, shape, _ in keys if shape is not None and len(shape) > 1)
    found = [[c for c, key in zip(cases, keys, strict=True) if key == (dtype, shape, of)]
             for shape in order for dtype in distinct(c["dtype"] for c in cases)
             for of in LIMITS]
    return [group for group in found if group]


def times_table(chosen: Sequence[Results]) -> Table:
    """Losses by contenders: times, and for large arrays fastloss's distance from the limit."""
    first = chosen[0]
    large = max(c["n"] for c in chosen) >= LARGE
    unit, factor = ("ms", 1e3) if large else ("µs", 1e6)
    limited = large or is_embedding(first)
    found = distinct(key for c in chosen for key in (*c["times"], *c.get("refused", ())))
    names = [*(k for k in KNOWN if k in found), *(k for k in found if k not in KNOWN)]
    rows = []
    for case in chosen:
        row = [label(case, case["loss"] if is_embedding(case) else "")]
        if limited:
            row += [figure(case[limit(case)]["median"] * factor), ratio(to_limit(case))]
        row += [figure(case["times"][key]["median"] * factor) if key in case["times"]
                else refusal(case, key) for key in names]
        rows.append(row)
    matrices = is_rowwise(first) and not is_embedding(first)
    what = "rows × classes" if matrices else extent(first["shape"])
    header = ["", *([LIMITS[limit(first)], "fastloss / limit"] if limited else []), *names]
    return Table(f"{what}, {first['dtype']}, {unit}", header, rows)


def refusal(case: Results, contender: str) -> str:
    """Return why a contender did not take part, such as (> 4 GB); empty if nothing is known."""
    reason = case.get("refused", {}).get(contender)
    return f"({reason})" if reason else ""


def memory_table(cases: Sequence[Results]) -> Table:
    """Losses of batches by contenders: the most memory beside inputs and gradients."""
    chosen = [c for c in cases if limit(c) == "products" and c.get("memory")
              and c["operation"] == "value_and_grad" and c["n"] >= LARGE]
    found = {key for c in chosen for key in (*c["memory"], *c["refused"])}
    names = [key for key in KNOWN if key in found]
    rows = [[c["loss"], extent(c["shape"]), c["dtype"],
             *(figure(c["memory"][key] / 1e6) if key in c["memory"] else refusal(c, key)
               for key in names)] for c in chosen]
    return Table("Peak memory beside inputs and gradients, value+grad, MB",
                 ["", "rows × components", "", *names], rows)


def growth_table(cases: Sequence[Results]) -> Table:
    """How the time of a pair of rows changes from one size of a batch to the next."""
    times: dict[tuple[str, str, str], dict[Any, float]] = {}
    for c in cases:
        if limit(c) == "products" and c["n"] >= LARGE:
            at = times.setdefault((c["loss"], LABEL[c["operation"]], c["dtype"]), {})
            at[tuple(c["shape"])] = c["times"]["fastloss"]["median"]
    steps = distinct((small, big) for at in times.values() for small, big in pairwise(sorted(at))
                     if small[1] == big[1])
    rows = [[*key, *(ratio(at[big] / at[small] / (big[0] / small[0]) ** 2)
                     if small in at and big in at else "" for small, big in steps)]
            for key, at in times.items() if len(at) > 1]
    return Table("Time of fastloss per pair of rows, as a multiple of that in the smaller batch",
                 ["", "", "", *(f"{extent(big)} / {extent(small)}" for small, big in steps)], rows)


def simd(results: Results) -> str:
    return str(results["machine"]["simd"])


def limit_table(runs: Sequence[Results]) -> Table:
    """How far fastloss is from the streaming limit, at every large size, on every SIMD level."""
    found = {}
    for run in runs:
        for c in run["cases"]:
            if c["n"] >= LARGE and not is_embedding(c):
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
    found += [limit_table([results, *others]), memory_table(cases), growth_table(cases),
              slower_table(cases)]
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
        *products_notes(results["cases"], about.get("blas", ())),
    ]
    if any("jax" in case["times"] for case in results["cases"]):
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


def products_notes(cases: Sequence[Results], libraries: Sequence[str]) -> list[str]:
    """Say what the limit of losses of batches is, and how their memory was measured."""
    batches = [case for case in cases if limit(case) == "products"]
    if not batches:
        return []
    counts: dict[int, list[str]] = {}
    for case in batches:
        if case["operation"] == "value_and_grad":
            counts.setdefault(case["products"]["count"], []).append(case["loss"])
    of = "".join(f"; {count} for {', '.join(distinct(losses))}"
                 for count, losses in sorted(counts.items()))
    lines = [
        "Own products: those of n × d and d × n numbers, or of n × n and n × d, that a loss needs "
        f"(1 for a value{of}), at the faster of both rates of NumPy's BLAS in the same rounds"
        f"{''.join(f' ({library})' for library in libraries)}. n are the rows of both views of "
        "NT-Xent, and of one side of losses of two batches; classes have eight. fastloss makes new "
        "gradients of batches, as all do.",
    ]
    if any(case.get("memory") for case in batches):
        lines.append(
            "Memory: by how much a call, not the first, raises the resident memory of a process, "
            "less the gradients. In brackets: what did not take part, because it needs more.")
    lines.append("Empty: the library has no such loss, or was not measured on it; "
                 "`python -m bench --help` says when.")
    return lines


def markdown(
    results: Results, others: Sequence[Results] = (), *, everything: bool = False
) -> str:
    """Return the report as Markdown, without a heading."""
    parts = ["\n".join(f"- {line}" for line in notes(results, others))]
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
