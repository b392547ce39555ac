"""Columns that ``fastloss eval`` cannot read, or reads in an odd shape."""

from functools import partial

import evaluating
import numpy as np
import pytest
from evaluating import COLUMNS, FORMATS, SQUARED, pa, parquet, saved, write_all


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_all(tmp_path_factory.mktemp("files"))


@pytest.fixture
def run(folder):
    """Run ``fastloss eval`` in the folder of files; return status, output and errors."""
    return partial(evaluating.run, folder)


@pytest.mark.parametrize("name", FORMATS)
def test_a_group_that_is_missing_is_an_argument(run, name):
    status, printed, errors = run(name, "--loss", "log", *COLUMNS, "--by", "nowhere")
    assert (status, printed) == (2, "")
    assert f"argument DATA: {name} has no column 'nowhere'; it has " in errors


NESTED = {
    "struct": pa.array([{"a": 1}, {"a": 2}]),
    "list": pa.array([[1], [2]]),
    "list_view": pa.array([[1], [2]], pa.list_view(pa.int64())),
    "map": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
    "run_end_encoded": pa.RunEndEncodedArray.from_arrays([2], ["a"]),
}


@pytest.mark.parametrize("suffix, kind", [
    *(("parquet", kind) for kind in ("struct", "list", "map")),
    *(("arrow", kind) for kind in NESTED)])
def test_groups_that_are_nested(run, folder, suffix, kind):
    path = folder / f"nested.{suffix}"
    saved(pa.table({"y": [1.0, 2.0], "p": [1.0, 2.0], "g": NESTED[kind]}), path)
    status, printed, errors = run(path.name, *SQUARED, "--by", "g")
    assert (status, printed) == (2, "")
    assert f"argument DATA: {path.name}: column 'g' of {kind}<" in errors
    assert "has no groups that can be told apart" in errors


@pytest.mark.parametrize("suffix", ["parquet", "csv", "arrow", "arrows"])
def test_two_columns_of_one_name(run, folder, suffix):
    path = folder / f"two.{suffix}"
    columns = [pa.array([value]) for value in (1.0, 2.0, 3.0, 4.0, 5.0)]
    saved(pa.Table.from_arrays(columns, ["y", "p", "p", "x", "x"]), path)
    status, printed, errors = run(path.name, *SQUARED)
    assert (status, printed) == (2, "")
    assert f"{path.name} has 2 columns 'p'; the name of a column that is used" in errors
    saved(pa.Table.from_arrays(columns, ["y", "p", "q", "x", "x"]), path)
    assert run(path.name, *SQUARED)[1].split()[4:6] == ["all", "1"]     # others may


def test_line_breaks_inside_quotes(run, folder):
    (folder / "lines.csv").write_text("y,p,note\n" + '2,0.5,"one\ntwo, three"\n' * 100_000)
    status, text, errors = run("lines.csv", *SQUARED)
    assert (status, errors) == (0, "")
    assert text.split()[4:7] == ["all", "2.25", "100,000"]


def test_groups_of_text_that_are_numbers_too(run, folder):
    (folder / "same.csv").write_text("y,p\n1,0.5\n1,2\n0,1\n")
    status, text, errors = run("same.csv", *SQUARED, "--by", "y")
    assert (status, errors) == (0, "")
    assert [line.split()[:5] for line in text.splitlines()[4:6]] == [
        ["y", "=", "0.0", "1", "1"], ["y", "=", "1.0", "0.625", "2"]]


def test_a_page_whose_checksum_is_wrong(run, folder):
    path = folder / "sum.parquet"
    parquet.write_table(pa.table({"y": np.zeros(1000), "p": np.ones(1000)}), path,
                        use_dictionary=False, compression="none", write_page_checksum=True)
    data = bytearray(path.read_bytes())
    data[data.index(np.ones(8).tobytes()) + 4000] ^= 1
    path.write_bytes(data)
    status, printed, errors = run(path.name, *SQUARED)
    assert (status, printed) == (1, "")
    assert "CRC" in errors


def test_an_archive_named_npy(run, folder):
    np.savez(folder / "some.npz", y=np.zeros(3))
    data = (folder / "some.npz").read_bytes()
    for content in (data, data[:100]):
        (folder / "zip.npy").write_bytes(content)
        status, printed, errors = run("zip.npy", *SQUARED)
        assert (status, printed) == (2, "")
        assert "argument DATA: zip.npy holds a .npz archive; save its arrays as one" in errors
