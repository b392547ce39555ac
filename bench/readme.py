"""The tables of README.md, section Speed, from results."""

from __future__ import annotations

from typing import Any

from bench import pages, report
from bench.report import Results

OPTION = "--readme"
LOSSES = (
    "contrastive", "log", "log from_logits", "absolute", "squared", "huber", "log-cosh", "focal",
    "poisson", "cross entropy",
)
COLUMNS = {
    "NumPy": ["numpy"], "numexpr": ["numexpr"], "Numba": ["numba"], "torch": ["torch eager"],
    "torch.compile": ["torch compile"], "JAX": ["jax"],
    "scikit-learn": ["sklearn metric", "sklearn._loss"],
}
LIBRARIES = {
    "numpy": "NumPy", "numexpr": "numexpr", "numba": "Numba", "torch": "torch",
    "pytorch-metric-learning": "pytorch-metric-learning", "jax": "JAX",
    "scikit-learn": "scikit-learn",
}
# of losses of embeddings: the batches of the table, those of its last columns, and peers
BATCH, SMALL, BIG = (4096, 128), (64, 32), (16_384, 128)
PEERS = {"pytorch-metric-learning": "pytorch-metric-learning", "torch": "torch eager",
         "torch.compile": "torch compile"}


def row(case: Results) -> list[str]:
    """Return a row: milliseconds, multiple of the streaming limit, ratios of the others to it."""
    own = case["times"]["fastloss"]
    cells = [report.name(case), report.LABEL[case["operation"]],
             report.figure(own["median"] * 1e3),
             report.ratio(report.to_limit(case)) + (" *" if case["disturbed"] else "")]
    for peers in COLUMNS.values():
        ratios = [case["times"][peer]["to_fastloss"] for peer in peers if peer in case["times"]]
        cells.append(report.ratio(min(ratios)) + "×" if ratios else "")
    return cells


def origin(results: Results) -> str:
    """Say on what machine, and with which libraries, the numbers were taken."""
    about = results["machine"]
    versions = ", ".join(f"{LIBRARIES[name]} {version}"
                         for name, version in about["versions"].items() if name in LIBRARIES)
    return (f"{about['processor']}, {about['cpus']} CPUs, {about['threads']} threads, "
            f"SIMD level {about['simd']}; {versions}")


def finished(parts: list[str]) -> str:
    if any(" *" in part for part in parts):
        parts.append("(*) Disturbed by other processes.")
    return "\n\n".join(parts) + "\n"


def elements(results: Results) -> str:
    """Return a table for each dtype, of the largest size and all matrices, and its origin."""
    cases = [case for case in results["cases"] if case["loss"] in LOSSES]
    if not cases:
        raise SystemExit("none of the README's losses is in the results")
    pointwise = [case for case in cases if not report.is_rowwise(case)]
    n = max((case["n"] for case in pointwise), default=0)
    shown = [case for case in cases if report.is_rowwise(case) or case["n"] == n]
    parts = [f"{origin(results)}."]
    for dtype in report.distinct(case["dtype"] for case in shown):
        rows = [row(case) for case in sorted(
            (case for case in shown if case["dtype"] == dtype),
            key=lambda case: LOSSES.index(case["loss"]))]
        header = [report.extent([n]) if pointwise else "", "", "ms", "× streaming", *COLUMNS]
        parts.append(f"**{dtype}**\n\n{report.grid(header, rows)}")
    return finished(parts)


def times(case: Results | None, peer: str) -> str:
    """Return how many times as long a peer takes, or why it did not take part."""
    if case is None or peer not in case["times"]:
        return report.refusal(case, peer) if case else ""
    return report.ratio(case["times"][peer]["to_fastloss"]) + "×"


def own(case: Results | None, factor: float) -> str:
    """Return the time of fastloss, with a mark where it was disturbed."""
    if case is None:
        return ""
    time = report.figure(case["times"]["fastloss"]["median"] * factor)
    return time + (" *" if case["disturbed"] else "")


def megabytes(case: Results | None, contender: str) -> str:
    """Return the memory that a contender needs beside inputs and gradients."""
    found = case.get("memory", {}) if case else {}
    if contender not in found:
        return ""
    return report.figure(found[contender] / 1e6) if found[contender] >= 1e5 else "< 0.1"


def is_shown(case: Results, found: dict[Any, Results]) -> bool:
    """Tell whether a case has a row: also the small batch of what was refused the large one."""
    shape, peer = tuple(case["shape"]), PEERS["pytorch-metric-learning"]
    return shape == BATCH or report.limit(case) == "streaming" or (
        SMALL < shape < BATCH and peer in case["times"]
        and peer in found.get((case["loss"], BATCH), {}).get("refused", {}))


def embeddings(results: Results) -> str:
    """Return a table of value and gradient in float32, and its origin."""
    found = {(case["loss"], tuple(case["shape"])): case for case in results["cases"]
             if (case["dtype"], case["operation"]) == ("float32", "value_and_grad")}
    shown = [case for case in found.values() if is_shown(case, found)]
    if not shown:
        raise SystemExit(f"no batches of {report.extent(BATCH)} numbers are in the results")
    rows = []
    for case in shown:
        batch = tuple(case["shape"]) == BATCH
        small, big = (found.get((case["loss"], shape)) if batch else None
                      for shape in (SMALL, BIG))
        rows.append([
            case["loss"] if batch else report.name(case), own(case, 1e3),
            report.ratio(report.to_limit(case)),
            *(times(case, peer) for peer in PEERS.values()),
            *(megabytes(case, contender) for contender in ("fastloss", "torch compile")),
            own(small, 1e6), times(small, "torch eager"),
            own(big, 1e3), megabytes(big, "fastloss"),
        ])
    header = [report.extent(BATCH), "ms", "× limit", *PEERS, "MB", "torch.compile MB",
              f"{report.extent(SMALL)}: µs", "torch", f"{report.extent(BIG)}: ms", "MB"]
    libraries = "".join(f"; {library}" for library in results["machine"].get("blas", ()))
    return finished([f"{origin(results)}{libraries}.", report.grid(header, rows)])


# what a page has of a part of the results
PARTS = {"elements": ("speed", elements), "embeddings": ("speed of embeddings", embeddings)}
MARKS = {what: pages.marks(title, OPTION) for what, (title, _) in PARTS.items()}


def updated(text: str, results: Results) -> str:
    """Return the README's text with the tables of these results."""
    for what, part in pages.parts(results).items():
        text = pages.replaced(text, MARKS[what], PARTS[what][1](part))
    return text
