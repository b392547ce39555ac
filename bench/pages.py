"""Results in pages that hold other text too: between marks."""

from __future__ import annotations

from collections.abc import Sequence

from bench import report
from bench.report import Results

Marks = tuple[str, str]
HEADINGS = {"elements": "## Losses of elements and of class scores",
            "embeddings": "## Losses of embeddings"}


def marks(what: str, option: str) -> Marks:
    """Return the lines between which a part of a page is written."""
    return f"<!-- {what}, by python -m bench {option} -->\n", f"<!-- end of {what} -->\n"


def parts(results: Results) -> dict[str, Results]:
    """Return the results of each part of a page."""
    cases = {
        "elements": [case for case in results["cases"] if not report.is_embedding(case)],
        "embeddings": [case for case in results["cases"] if report.is_embedding(case)],
    }
    return {what: {**results, "cases": of} for what, of in cases.items() if of}


def replaced(text: str, between: Marks, new: str) -> str:
    """Return a page with new text between its marks."""
    if between[0] not in text or between[1] not in text:
        raise SystemExit(
            f"no lines {between[0].strip()} and {between[1].strip()} to write between")
    before, rest = text.split(between[0])
    return f"{before}{between[0]}\n{new}\n{between[1]}{rest.split(between[1])[1]}"


def document(
    text: str, results: Results, others: Sequence[Results] = (), *, everything: bool = False
) -> str:
    """Return a page with the report of these results; other parts of it stay as they are."""
    text = text or "# Benchmark\n"
    for what, part in parts(results).items():
        between = marks(what, "--markdown")
        if between[0] not in text:
            text += "\n".join(["", HEADINGS[what], "", *between])
        text = replaced(text, between, report.markdown(part, others, everything=everything))
    return text
