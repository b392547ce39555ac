"""Files as they are found: who wrote them, in which dialect, and what ``fastloss eval`` gives.

All of them hold the same numbers, which every type here can hold exactly.
"""

import decimal
import gzip
import io
import itertools
import math

import numpy as np
import pytest
from evaluating import EPS, feather, pa, parquet, record

N = 700
OPTIONS = ["--loss", "log", "--y-true", "label", "--y-pred", "score", "--weight", "weight"]
CODECS = [codec for codec in ("none", "snappy", "gzip", "zstd", "lz4", "brotli")
          if codec == "none" or pa.Codec.is_available(codec)]

rng = np.random.default_rng(11)
COLUMNS = {
    "note": np.array(["a", 'b "c", d', "e\nf"])[rng.integers(0, 3, N)],
    "label": rng.integers(0, 2, N), "score": rng.integers(1, 1024, N) / 1024,
    "weight": rng.integers(1, 9, N) / 4, "team": np.array(["x", "yy", "ż"])[rng.integers(0, 3, N)],
}


def log_loss(rows):
    """Return the weighted mean of the log loss over rows, by NumPy."""
    y, p, w = (COLUMNS[name][rows] for name in ("label", "score", "weight"))
    costs = np.where(y == 1, -np.log(p), -np.log1p(-p))
    return math.fsum(w * costs) / math.fsum(w)


# ---- who writes them ------------------------------------------------------------------------

WRITERS = {}


def writer(*names):
    """Say that a function writes files of these names."""
    def keep(write):
        for name in names:
            WRITERS[name] = write
        return write
    return keep


def option_of(path):
    """Return the word before the ending, as "zstd" of "polars zstd.parquet"."""
    return path.stem.rpartition(" ")[2]


def table(**changes):
    return pa.table({name: changes.get(name, pa.array(each)) for name, each in COLUMNS.items()})


@writer(*(f"pyarrow {codec}.parquet" for codec in CODECS))
def pyarrow_parquet(path):
    parquet.write_table(table(), path, compression=option_of(path), row_group_size=300)


@writer("pyarrow plain.parquet", "pyarrow plain.PARQUET", "pyarrow plain.pq")
def pyarrow_plain(path):
    parquet.write_table(table(), path, use_dictionary=False, data_page_version="2.0")


def decimals(name, kind):
    return pa.array([decimal.Decimal(each) for each in COLUMNS[name].tolist()], kind)


TYPES = {
    "int8": {"label": np.int8}, "uint64": {"label": np.uint64}, "bool": {"label": bool},
    "float": {"label": float},
    "decimal128": {"label": lambda: decimals("label", pa.decimal128(1, 0)),
                   "score": lambda: decimals("score", pa.decimal128(12, 10)),
                   "weight": lambda: decimals("weight", pa.decimal128(30, 20))},
    "decimal256": {"score": lambda: decimals("score", pa.decimal256(60, 40))},
    "dictionary": {"label": lambda: pa.array(COLUMNS["label"]).dictionary_encode(),
                   "score": lambda: pa.array(COLUMNS["score"]).dictionary_encode(),
                   "team": lambda: pa.array(COLUMNS["team"]).dictionary_encode()},
    "large_string": {"team": lambda: pa.array(COLUMNS["team"], pa.large_string())},
    "half": {"weight": np.float16, "label": np.float16},
}


@writer(*(f"types {name}.{suffix}" for name in TYPES for suffix in ("parquet", "arrow")))
def typed(path):
    changes = {name: pa.array(COLUMNS[name].astype(change)) if isinstance(change, type)
               else change() for name, change in TYPES[option_of(path)].items()}
    if path.suffix == ".parquet":
        parquet.write_table(table(**changes), path)
    else:
        with pa.ipc.new_file(str(path), table(**changes).schema) as out:
            out.write_table(table(**changes))


@writer(*(f"feather {codec}.feather" for codec in ("uncompressed", "lz4", "zstd")))
def pyarrow_feather(path):
    feather.write_feather(table(), str(path), compression=option_of(path), chunksize=300)


@writer(*(f"ipc {codec}.{suffix}" for codec in ("none", "lz4", "zstd")
          for suffix in ("arrow", "arrows", "ipc", "ARROW")))
def pyarrow_ipc(path):
    codec = option_of(path)
    options = pa.ipc.IpcWriteOptions(compression=None if codec == "none" else codec)
    new = pa.ipc.new_stream if path.suffix == ".arrows" else pa.ipc.new_file
    with new(str(path), table().schema, options=options) as out:
        out.write_table(table()[:100])
        out.write_batch(pa.record_batch([pa.array([], kind) for kind in table().schema.types],
                                        table().column_names))
        out.write_table(table()[100:])


@writer("pandas plain.parquet", "pandas nullable.parquet", "pandas category.parquet",
        "pandas arrow.parquet", "pandas plain.feather", "pandas nullable.feather",
        "pandas plain.csv", "pandas index.csv", "pandas plain.csv.gz", "pandas floats.csv")
def pandas_file(path):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(COLUMNS)
    option = path.name.partition(".")[0].rpartition(" ")[2]
    if option == "nullable":
        frame = frame.convert_dtypes()
    elif option == "category":
        frame = frame.astype({"label": "category", "team": "category", "score": "category"})
    elif option == "arrow":
        frame = frame.convert_dtypes(dtype_backend="pyarrow")
    elif option == "floats":
        frame = frame.astype({"label": float})
    if ".csv" in path.name:
        frame.to_csv(path, index=option == "index")
    else:
        getattr(frame, f"to_{path.suffix[1:]}")(path)


POLARS = {"parquet": ("uncompressed", "snappy", "gzip", "zstd", "lz4", "brotli"),
          "ipc": ("uncompressed", "lz4", "zstd")}


def polars_frame():
    polars = pytest.importorskip("polars", reason="polars is not installed")
    return polars.DataFrame({name: each.tolist() for name, each in COLUMNS.items()})


@writer(*(f"polars {codec}.parquet" for codec in POLARS["parquet"]))
def polars_parquet(path):
    polars_frame().write_parquet(path, compression=option_of(path), row_group_size=300)


@writer(*(f"polars{level} {codec}.{suffix}" for codec in POLARS["ipc"] for level in ("", " old")
          for suffix in ("arrow", "feather", "ipc")))
def polars_ipc(path):
    import polars
    level = polars.CompatLevel.oldest() if " old " in path.name else None
    polars_frame().write_ipc(path, compression=option_of(path), compat_level=level)


@writer(*(f"polars {codec}.arrows" for codec in POLARS["ipc"]))
def polars_stream(path):
    polars_frame().write_ipc_stream(path, compression=option_of(path))


@writer("polars enum.arrow", "polars categorical.arrow", "polars decimal.arrow",
        "polars float32.arrow", "polars enum.parquet", "polars decimal.parquet")
def polars_types(path):
    import polars
    casts = {"enum": {"team": polars.Enum(["x", "yy", "ż"])},
             "categorical": {"team": polars.Categorical()},
             "decimal": {"label": polars.Decimal(5, 0), "score": polars.Decimal(20, 10)},
             "float32": {"weight": polars.Float32, "label": polars.Boolean}}
    frame = polars_frame().cast(casts[option_of(path)])
    frame.write_ipc(path) if path.suffix == ".arrow" else frame.write_parquet(path)


@writer("polars plain.csv", "polars plain.tsv")
def polars_csv(path):
    polars_frame().write_csv(path, separator="\t" if path.suffix == ".tsv" else ",")


def lines(quoted="", space="", names=tuple(COLUMNS)):
    """Return lines of text, without those columns that hold line breaks."""
    kept = [name for name in names if name != "note"]
    rows = zip(*(COLUMNS[name].tolist() for name in kept), strict=True)
    return [(f",{space}").join(f"{quoted}{cell}{quoted}" for cell in row)
            for row in itertools.chain([[name for name in kept]], rows)]


BY_HAND = {
    "plain": lambda: "\n".join(lines()) + "\n",
    "no last line break": lambda: "\n".join(lines()),
    "BOM": lambda: "\ufeff" + "\n".join(lines()) + "\n",
    "CRLF": lambda: "\r\n".join(lines()) + "\r\n",
    "BOM and CRLF": lambda: "\ufeff" + "\r\n".join(lines()) + "\r\n",
    "CR": lambda: "\r".join(lines()) + "\r",
    "quoted": lambda: "\n".join(lines(quoted='"')) + "\n",
    "blank lines": lambda: "\n".join(lines()) + "\n\n\n",
    "blank lines first": lambda: "\n\n" + "\n".join(lines()) + "\n",
    "blank lines CRLF": lambda: "\r\n".join(lines()) + "\r\n\r\n",
    "other order": lambda: "\n".join(lines(names=("weight", "team", "score", "label"))) + "\n",
}


@writer(*(f"by hand {name}.{suffix}" for name in BY_HAND for suffix in ("csv", "csv.gz")),
        "by hand plain.CSV", "by hand plain.CSV.GZ")
def by_hand(path):
    text = BY_HAND[path.name.partition(".")[0].removeprefix("by hand ")]()
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix.lower() == ".gz" else data)


@writer("by hand parts.csv.gz")
def members(path):
    data = BY_HAND["plain"]().encode()
    path.write_bytes(gzip.compress(data[:5000]) + gzip.compress(data[5000:]))


@writer("by hand.tsv")
def tabs(path):
    path.write_text("\n".join(lines()).replace(",", "\t"))


@writer("numpy structured.npy", "numpy big-endian.npy")
def numpy_structured(path):
    names = ["label", "score", "weight", "team"]
    rows = np.rec.fromarrays([COLUMNS[name] for name in names], names=names)
    if "big" in path.name:
        rows = rows.astype(rows.dtype.newbyteorder(">"))
    np.save(path, rows)


@pytest.mark.parametrize("name", WRITERS)
def test_what_a_file_gives(name, tmp_path):
    path = tmp_path / name
    WRITERS[name](path)
    found = record(tmp_path, name, *OPTIONS, "--by", "team")
    assert found["overall"]["count"] == N
    assert found["overall"]["weight"] == COLUMNS["weight"].sum()
    assert abs(found["overall"]["value"] / log_loss(slice(None)) - 1) <= 8 * EPS
    assert [each["group"] for each in found["groups"]] == ["x", "yy", "ż"]
    for each in found["groups"]:
        rows = COLUMNS["team"] == each["group"]
        assert each["count"] == rows.sum()
        assert abs(each["value"] / log_loss(rows) - 1) <= 8 * EPS
    # the format of what comes without a name is known by its content
    (tmp_path / "nameless").write_bytes(path.read_bytes())
    assert record(tmp_path, "nameless", *OPTIONS)["overall"] == found["overall"]


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_matrix(order, tmp_path):
    matrix = np.column_stack([COLUMNS[name] for name in ("label", "score", "weight")])
    with open(tmp_path / "a.NPY", "wb") as out:
        np.save(out, np.asarray(matrix, order=order))
    found = record(tmp_path, "a.NPY", "--loss", "log", "--y-true", 0, "--y-pred", 1, "--weight", 2)
    assert abs(found["overall"]["value"] / log_loss(slice(None)) - 1) <= 8 * EPS


@pytest.mark.parametrize("dtype, suffix", list(itertools.product(
    (np.float16, np.float32), ("parquet", "arrow", "npy"))))
def test_scores_of_few_bits_are_computed_in_float32(dtype, suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    columns = {name: COLUMNS[name].astype(dtype if name == "score" else float)
               for name in ("label", "score", "weight")}
    if suffix == "parquet":
        parquet.write_table(pa.table(columns), path)
    elif suffix == "npy":
        np.save(path, np.rec.fromarrays(list(columns.values()), names=list(columns)))
    else:
        feather.write_feather(pa.table(columns), str(path))
    value = record(tmp_path, path.name, *OPTIONS)["overall"]["value"]
    assert abs(value / log_loss(slice(None)) - 1) <= 4 * np.finfo(np.float32).eps


NO_ROWS = {
    "a.csv": lambda path: path.write_text("label,score,weight,team\n"),
    "b.csv": lambda path: path.write_bytes(b"\xef\xbb\xbflabel,score,weight,team\r\n\r\n"),
    "c.csv": lambda path: path.write_text("label,score,weight,team"),
    "a.csv.gz": lambda path: path.write_bytes(gzip.compress(b"label,score,weight,team\n")),
    "a.parquet": lambda path: parquet.write_table(table()[:0], path),
    "a.feather": lambda path: feather.write_feather(table()[:0], str(path)),
    "a.arrows": lambda path: pa.ipc.new_stream(str(path), table().schema).close(),
    "a.arrow": lambda path: pa.ipc.new_file(str(path), table().schema).close(),
    "polars.arrow": lambda path: polars_frame()[:0].write_ipc(path),
    "a.npy": lambda path: np.save(path, np.zeros(0, [(name, float) for name in (
        "label", "score", "weight", "team")])),
}


@pytest.mark.parametrize("name", NO_ROWS)
def test_the_mean_of_no_rows_is_nan(name, tmp_path):
    NO_ROWS[name](tmp_path / name)
    found = record(tmp_path, name, *OPTIONS, "--by", "team")
    assert found["overall"] == {"value": "nan", "count": 0, "weight": 0.0}
    assert found["groups"] == []
    total = record(tmp_path, name, *OPTIONS, "--param", "reduction=sum")
    assert total["overall"]["value"] == 0


NULL_GROUPS = {
    "a.csv": lambda frame, path: frame.to_csv(path, index=False),
    "a.parquet": lambda frame, path: frame.to_parquet(path),
    "b.parquet": lambda frame, path: frame.astype({"team": "category"}).to_parquet(path),
    "c.parquet": lambda frame, path: frame.convert_dtypes().to_parquet(path),
    "a.feather": lambda frame, path: frame.to_feather(path),
    "b.feather": lambda frame, path: frame.astype({"team": "category"}).to_feather(path),
    "polars.arrow": lambda frame, path: pytest.importorskip(
        "polars", reason="polars is not installed").from_pandas(frame).write_ipc(path),
}


@pytest.mark.parametrize("name", NULL_GROUPS)
def test_rows_without_a_group_are_one(name, tmp_path):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    missing = np.arange(N) % 7 == 3
    frame = pandas.DataFrame(COLUMNS)
    frame.loc[missing, "team"] = None
    NULL_GROUPS[name](frame, tmp_path / name)
    found = record(tmp_path, name, *OPTIONS, "--by", "team")
    assert [each["group"] for each in found["groups"]] == ["x", "yy", "ż", None]
    assert found["groups"][3]["count"] == missing.sum()
    assert abs(found["groups"][3]["value"] / log_loss(missing) - 1) <= 8 * EPS
    assert sum(each["count"] for each in found["groups"]) == N


def test_nulls_of_numbers_are_a_group(tmp_path):
    group = pa.array(np.arange(N) % 3, mask=np.arange(N) % 3 == 1)
    for kind in (pa.int64(), pa.float32(), pa.date32(), pa.decimal128(25, 1)):
        cast = group.cast(pa.int32()).cast(kind) if pa.types.is_date(kind) else group.cast(kind)
        parquet.write_table(table().append_column("g", cast), tmp_path / "g.parquet")
        groups = record(tmp_path, "g.parquet", *OPTIONS, "--by", "g")["groups"]
        assert [each["group"] is None for each in groups] == [False, False, True]
        assert [each["count"] for each in groups] == [234, 233, 233]


def test_gzip_is_read_in_parts(tmp_path):
    with gzip.open(tmp_path / "a.csv.gz", "wt", compresslevel=1) as out:
        out.write("y_true,y_pred\n")
        for _ in range(30):
            out.write("1,0.5\n" * 10_000)
    found = record(tmp_path, "a.csv.gz", "--loss", "squared")["overall"]
    assert found == {"value": 0.25, "count": 300_000, "weight": 300_000.0}


def test_a_file_object_of_polars_streams(tmp_path):
    data = io.BytesIO()
    polars_frame().write_ipc_stream(data)
    (tmp_path / "a.arrow").write_bytes(data.getvalue())     # a stream under the name of a file
    assert record(tmp_path, "a.arrow", *OPTIONS)["overall"]["count"] == N
