"""The tables of README.md, section Speed, from results."""

from __future__ import annotations

from bench import report
from bench.report import Results

MARKS = "<!-- speed, by python -m bench --readme -->\n", "<!-- end of speed -->\n"
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
    "numpy": "NumPy", "numexpr": "numexpr", "numba": "Numba", "torch": "torch", "jax": "JAX",
    "scikit-learn": "scikit-learn",
}


def row(case: Results) -> list[str]:
    """Return a row: milliseconds, multiple of the streaming limit, ratios of the others to it."""
    own = case["times"]["fastloss"]
    cells = [report.name(case), report.LABEL[case["operation"]],
             report.figure(own["median"] * 1e3),
             report.ratio(own["to_streaming"]) + (" *" if case["disturbed"] else "")]
    for peers in COLUMNS.values():
        ratios = [case["times"][peer]["to_fastloss"] for peer in peers if peer in case["times"]]
        cells.append(report.ratio(min(ratios)) + "×" if ratios else "")
    return cells


def tables(results: Results) -> str:
    """Return a table for each dtype, of the largest size and all matrices, and its origin."""
    cases = [case for case in results["cases"] if case["loss"] in LOSSES]
    if not cases:
        raise SystemExit("none of the README's losses is in the results")
    pointwise = [case for case in cases if not report.is_rowwise(case)]
    n = max((case["n"] for case in pointwise), default=0)
    shown = [case for case in cases if report.is_rowwise(case) or case["n"] == n]
    about = results["machine"]
    versions = ", ".join(f"{LIBRARIES[name]} {version}"
                         for name, version in about["versions"].items() if name in LIBRARIES)
    parts = [f"{about['processor']}, {about['cpus']} CPUs, {about['threads']} threads, "
             f"SIMD level {about['simd']}; {versions}."]
    for dtype in report.distinct(case["dtype"] for case in shown):
        rows = [row(case) for case in sorted(
            (case for case in shown if case["dtype"] == dtype),
            key=lambda case: LOSSES.index(case["loss"]))]
        header = [report.extent([n]) if pointwise else "", "", "ms", "× streaming", *COLUMNS]
        parts.append(f"**{dtype}**\n\n{report.grid(header, rows)}")
    if any(case["disturbed"] for case in shown):
        parts.append("(*) Disturbed by other processes.")
    return "\n\n".join(parts) + "\n"


def updated(text: str, results: Results) -> str:
    """Return the README's text with the tables of these results."""
    if MARKS[0] not in text or MARKS[1] not in text:
        raise SystemExit(f"no lines {MARKS[0].strip()} and {MARKS[1].strip()} to write between")
    before, rest = text.split(MARKS[0])
    return before + MARKS[0] + "\n" + tables(results) + "\n" + MARKS[1] + rest.split(MARKS[1])[1]
