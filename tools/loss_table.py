"""The tables of losses in README.md, from the docstrings of their functions.

Rewrites what stands between the marks in the file; tests/test_docs.py checks that it is up to
date.
"""

import dataclasses
from pathlib import Path

import fastloss

README = Path(__file__).resolve().parents[1] / "README.md"
# What a table is of, as its marks say, and whether a loss belongs there.
TABLES = {
    "losses": lambda cls: cls.takes("prediction"),
    "losses of embeddings": lambda cls: cls.takes("rows"),
}


def functions() -> dict[str, str]:
    """Return the first lines of the docstrings of functions, by the names of their classes."""
    found = {name.replace("_", ""): (getattr(fastloss, name).__doc__ or "").split("\n")[0]
             for name in fastloss.__all__ if name.endswith("_loss")}
    return {name: found[name.lower()] for name in fastloss.__all__
            if name.endswith("Loss") and name != "Loss"}


def table(what: str) -> str:
    """Return a table as Markdown, a row for each loss."""
    lines = ["| loss | value | parameters |", "|---|---|---|"]
    for name, summary in functions().items():
        cls = getattr(fastloss, name)
        if not TABLES[what](cls):
            continue
        formula = summary.split(": ", 1)[1].rstrip(".")
        parameters = ", ".join(f"{field.name}={field.default!r}"
                               for field in dataclasses.fields(cls) if field.name != "reduction")
        cells = [f"`{name}`", formula.replace("|", "\\|"), parameters]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def updated(text: str) -> str:
    """Return the README's text with the tables of now."""
    for what in TABLES:
        start, end = f"<!-- {what}, by tools/loss_table.py -->\n", f"<!-- end of {what} -->\n"
        before, rest = text.split(start)
        text = f"{before}{start}\n{table(what)}\n{end}{rest.split(end)[1]}"
    return text


if __name__ == "__main__":
    README.write_text(updated(README.read_text()))
