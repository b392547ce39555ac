"""docs/differences.md: what it says is the same number is the same number."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "differences.md"
if not PAGE.exists():
    pytest.skip("tests run without the checkout's docs/ folder", allow_module_level=True)

TEXT = PAGE.read_text()
SETUP = {
    "scikit-learn": ("sklearn", "import sklearn.metrics as skm", 1e-12),
    "SciPy": ("scipy", "from scipy import special\nfrom scipy.optimize import least_squares",
              1e-12),
    "torch": ("torch", "import torch\nF, T = torch.nn.functional, torch.tensor", 1e-12),
    "pytorch-metric-learning": (
        "pytorch_metric_learning.losses",
        "import torch\nfrom pytorch_metric_learning import losses as pml\nT = torch.tensor", 1e-12),
    "Keras": ("keras", "import keras", 1e-6),
    "optax": ("optax", "import optax", 1e-6),
}


def rows():
    """(library, theirs, ours) of each row."""
    found = []
    for part in re.split(r"(?m)^## ", TEXT)[1:]:
        library = part.split("\n")[0]
        for table in re.findall(r"\| theirs \| ours \|\n\|---\|---\|\n((?:\|.*\n)+)", part):
            found += [(library, *re.fullmatch(r"\| `(.+)` \| `(.+)` \|", line).groups())
                      for line in table.splitlines()]
    return found


ROWS = rows()


def test_every_library_has_rows():
    assert {library for library, *_ in ROWS} == set(SETUP)
    assert len(ROWS) >= 60
    assert len(set(ROWS)) == len(ROWS)


@pytest.mark.filterwarnings("ignore")      # what the libraries say of themselves
@pytest.mark.parametrize(("library", "theirs", "ours"), ROWS)
def test_theirs_is_ours(library, theirs, ours, monkeypatch, tmp_path):
    module, imports, tolerance = SETUP[library]
    if library == "Keras":      # a formula written out needs no Keras
        monkeypatch.setenv("KERAS_BACKEND", "torch")
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))     # it writes its settings there
        if "keras." in theirs:
            pytest.importorskip("torch", reason="torch, a backend of Keras, is not installed")
    if library != "Keras" or "keras." in theirs:
        pytest.importorskip(module, reason=f"{library} is not installed", exc_type=ImportError)
    else:
        imports, tolerance = "", 1e-12
    names = {}
    exec(re.search(r"(?ms)^```python\n(.+?)^```$", TEXT)[1] + imports, names)
    expected, found = float(eval(theirs, names)), float(eval(ours, names))
    assert abs(expected) > 0.01
    assert abs(found - expected) <= tolerance * abs(expected)
