"""The loss of predictions in a Parquet file, overall and by group, in the memory of a few batches.

The file has the scores of two versions of a model in four countries; in one of them the new one is
worse, which the overall value does not show.
"""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow.parquet import ParquetFile, ParquetWriter

from fastloss import LogLoss
from fastloss.stream import evaluate

ROWS, PARTS = 250_000, 4
COUNTRIES = np.array(["at", "be", "ch", "dk"])


def write(path: Path) -> None:
    """Write the file part by part: it need never be in memory."""
    rng = np.random.default_rng(0)
    writer = None
    for _ in range(PARTS):
        country = rng.choice(4, ROWS, p=[0.4, 0.3, 0.25, 0.05])
        logit = rng.normal(size=ROWS)
        noise = rng.normal(size=ROWS)
        table = pa.table({
            "country": COUNTRIES[country],
            "label": rng.random(ROWS) < 1 / (1 + np.exp(-2 * logit)),
            "old": (logit + 0.8 * noise).astype(np.float32),
            "new": np.where(country == 3, -0.5, 2) * (logit + 0.3 * noise).astype(np.float32),
        })
        writer = writer or ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()


with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "scores.parquet")
    write(path)
    found = {}
    for name in ("old", "new"):
        batches = ParquetFile(path).iter_batches(columns=["country", "label", name])
        found[name] = evaluate(batches, LogLoss(from_logits=True), y_true="label", y_pred=name,
                               by="country")

print(f"{'':8s}{'rows':>10s}{'old':>8s}{'new':>8s}")
old, new = found["old"], found["new"]
print(f"{'all':8s}{old.overall.count:10,}{old.overall.value:8.4f}{new.overall.value:8.4f}")
for country, score in old.groups.items():
    print(f"{country:8s}{score.count:10,}{score.value:8.4f}{new.groups[country].value:8.4f}")
