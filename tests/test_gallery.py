"""The gallery shows each script of examples/, and the pages' links and numbers lead somewhere."""

import doctest
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
SCRIPTS = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
PAGES = ["differences.md", "gallery.md", "guide.md"]

if not DOCS.exists():
    pytest.skip("tests run without the checkout's docs/ folder", allow_module_level=True)


def sections():
    """Sections of the gallery, by the names of their scripts."""
    parts = re.split(r"(?m)^(?=## )", (DOCS / "gallery.md").read_text())[1:]
    return {re.search(r"`python examples/(\w+)\.py`", part)[1]: part for part in parts}


def test_every_script_has_a_section():
    assert len(SCRIPTS) >= 7
    assert sorted(sections()) == SCRIPTS
    drawn = runpy.run_path(str(ROOT / "tools" / "gallery.py"))["SECTIONS"]
    assert sorted(drawn) == SCRIPTS
    for name, (title, shown, _) in drawn.items():
        part = sections()[name]
        assert part.startswith(f"## {title}\n")
        assert " ".join(part.split()).endswith(shown)


@pytest.mark.parametrize("name", SCRIPTS)
def test_section_has_what_the_script_says_output_and_picture(name):
    part = sections()[name]
    first = (ROOT / "examples" / f"{name}.py").read_text().split('"""')[1].split("\n")[0]
    assert first in part
    printed = re.search(r"(?ms)^```\n(.+?)^```$", part)[1]
    assert len(printed.splitlines()) >= 3
    assert not re.search(r"\d m?s\b", printed), "a time: it is of one machine"
    assert f"](gallery/{name}.png)" in part
    picture = (DOCS / "gallery" / f"{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert 5_000 < len(picture) < 100_000


def test_no_picture_is_left_over():
    assert sorted(path.stem for path in (DOCS / "gallery").iterdir()) == SCRIPTS


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (DOCS / page).read_text())
    assert links or page == "differences.md"
    missing = [link for link in links
               if not link.startswith("https://") and not (DOCS / link).exists()]
    assert not missing


def test_anchors_of_the_guide_are_sections():
    pages = {"gallery.md": DOCS / "gallery.md", "../README.md": ROOT / "README.md"}
    links = re.findall(r"\]\(([^)#]+)#([^)]+)\)", (DOCS / "guide.md").read_text())
    assert len(links) >= 8
    for page, anchor in links:
        titles = re.findall(r"(?m)^#+ (.+)$", pages[page].read_text())
        assert anchor in [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-")
                          for title in titles], anchor


def test_numbers_of_the_guide_are_printed_by_something():
    guide = (DOCS / "guide.md").read_text()
    blocks = r"(?ms)^```.*?^```$"
    printed = "".join(re.findall(blocks, (DOCS / "gallery.md").read_text() + guide
                                 + (ROOT / "README.md").read_text()))
    # decimals and parts in per cent, but not those of parameters, as quantile=0.9
    prose = re.sub(r"`[^`]*`", "", re.sub(blocks, "", guide))
    numbers = set(re.findall(r"(?<![\w.])(?:\d+\.\d{2,}|\d+%|\d+\.\d+%)", prose))
    assert len(numbers) >= 25
    missing = [number for number in numbers
               if not re.search(rf"(?<![\d.]){re.escape(number)}(?!\d)", printed)]
    assert not missing


def test_guides_example():
    text = re.sub(r"(?m)^```.*$", "", (DOCS / "guide.md").read_text())
    test = doctest.DocTestParser().get_doctest(text, {}, "guide.md", "guide.md", 0)
    lines = []
    result = doctest.DocTestRunner().run(test, out=lines.append)
    assert result.attempted >= 3
    assert not result.failed, "".join(lines)
