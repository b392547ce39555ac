"""The table of losses in README.md, from the docstrings of their functions.

Rewrites what stands between the marks in the file; tests/test_docs.py checks that it is up to
date.
"""

import dataclasses
import re
from pathlib import Path

import fastloss

README = Path(__file__).resolve().parents[1] / "README.md"
MARKS = "<!-- losses, by tools/loss_table.py -->\n", "<!-- end of losses -->\n"


def snake(name: str) -> str:
    """Return the name of the function of a class."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def table() -> str:
    """Return the table as Markdown, a row for each loss."""
    lines = ["| loss | value | parameters |", "|---|---|---|"]
    for name in fastloss.__all__:
        if not name.endswith("Loss") or name == "Loss":
            continue
        summary = (getattr(fastloss, snake(name)).__doc__ or "").split("\n")[0]
        formula = summary.split(": ", 1)[1].rstrip(".")
        parameters = ", ".join(f"{field.name}={field.default!r}"
                               for field in dataclasses.fields(getattr(fastloss, name))
                               if field.name != "reduction")
        cells = [f"`{name}`", formula.replace("|", "\\|"), parameters]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def updated(text: str) -> str:
    """Return the README's text with the table of now."""
    before, rest = text.split(MARKS[0])
    return before + MARKS[0] + "\n" + table() + "\n" + MARKS[1] + rest.split(MARKS[1])[1]


if __name__ == "__main__":
    README.write_text(updated(README.read_text()))
