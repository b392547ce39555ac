"""Dask's columns that can have nulls, objects and masked elements: as the losses read them."""

import numpy as np
import pytest
from cases import seeded
from numerics import assert_same_bits

import fastloss as fl

dask = pytest.importorskip("dask", reason="dask is not installed")
da = pytest.importorskip("dask.array", reason="dask.array is not installed")

from on_dask import close, compute, lazy  # noqa: E402

from fastloss.integrations.dask import value, value_and_grad  # noqa: E402

NULLABLE = ["Float64", "Float32", "Int64", "Int32", "UInt8", "boolean"]
ARROW = [f"{name}[pyarrow]" for name in ("double", "float", "int64", "uint8", "bool")]


@pytest.mark.parametrize("dtype", NULLABLE + ARROW)
def test_columns_that_can_have_nulls(dtype):
    frame = pytest.importorskip("dask.dataframe", reason="dask.dataframe is not installed")
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    if dtype in ARROW:
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    values = seeded("nulls", dtype).integers(0, 2, 50).tolist()
    full, other = pandas.Series(values, dtype=dtype), np.linspace(0.1, 0.9, 50)
    some = pandas.Series([None if 20 < i < 25 else v for i, v in enumerate(values)], dtype=dtype)
    loss = fl.SquaredLoss()
    for column in (full, some):
        for arrays in ((column, other), (other, column)):
            partitioned = [frame.from_pandas(pandas.Series(each), npartitions=5) for each in arrays]
            expected = loss.value_and_grad(*arrays)
            found = value_and_grad(loss, *partitioned)
            assert found[1].dtype == expected[1].dtype
            found = compute(*found)
            assert found[1].dtype == expected[1].dtype
            np.testing.assert_allclose(found[0], expected[0], rtol=1e-15)
            np.testing.assert_allclose(found[1], expected[1], rtol=1e-6)
            assert np.isnan(found[0]) == (column is some)


def test_class_numbers_scores_and_labels_that_can_have_nulls():
    frame = pytest.importorskip("dask.dataframe", reason="dask.dataframe is not installed")
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    rng = seeded("nulls of classes")
    z, y = rng.normal(size=(40, 3)).astype(np.float32), rng.integers(0, 3, 40)
    for dtypes, dtype in ((["Float32"] * 3, np.float32),
                          (["Float32", "Float64", "float32"], np.float64)):
        scores = pandas.DataFrame({f"z{k}": pandas.Series(z[:, k]).astype(each)
                                   for k, each in enumerate(dtypes)})
        found = value_and_grad(fl.CrossEntropyLoss(), *(
            frame.from_pandas(each, npartitions=4)
            for each in (pandas.Series(y, dtype="Int64"), scores)))
        assert found[1].dtype == dtype
        assert close(compute(*found), fl.CrossEntropyLoss().value_and_grad(y, z.astype(dtype)),
                     dtype)
    # numbers that no float64 tells apart
    labels = pandas.Series(2**60 + y, dtype="Int64")
    found = value_and_grad(fl.SupConLoss(), *lazy(10, z), frame.from_pandas(labels, npartitions=4))
    assert close(compute(*found), fl.SupConLoss().value_and_grad(z, y), np.float32)
    labels[7] = None
    with pytest.raises(ValueError, match=r"^labels must hold a label .*index 7 is missing"):
        compute(value(fl.SupConLoss(), *lazy(10, z), frame.from_pandas(labels, npartitions=4)))
    with pytest.raises(ValueError, match=r"^labels must hold a label .*index 7 is missing"):
        value(fl.SupConLoss(), *lazy(10, z), labels)
    with pytest.raises(TypeError, match=r"^labels is a masked array with masked elements"):
        value(fl.SupConLoss(), *lazy(10, z), np.ma.array(y, mask=y == 1))


def test_objects_and_masked_elements():
    y = da.from_array(np.array([1, None, 0, True, 2.5], object), 2)
    p = np.array([0.5, 0.25, 1.0, 2.0, 3.0])
    expected = fl.SquaredLoss(reduction="none").value_and_grad([1, np.nan, 0, 1, 2.5], p)
    loss = fl.SquaredLoss(reduction="none")
    assert_same_bits(compute(*value_and_grad(loss, y, p)), expected)
    assert_same_bits(compute(*value_and_grad(loss, y.compute().tolist(), da.from_array(p, 3))),
                     expected)
    masked = np.ma.array(p, mask=p > 2.5)
    for arguments in ((da.from_array(masked, 2), p), (p, da.from_array(masked, 2)),
                      (y, p, da.from_array(masked, 2)), (y, masked), (y, p, masked)):
        with pytest.raises(TypeError, match=r"^(y_true|y_pred|sample_weight) is a masked array"):
            compute(*value_and_grad(loss, *arguments))
