"""Files that cannot be read as a table, each with the line, the column and the way out."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from equiray.data.columns import as_numbers, as_text, name_rows
from equiray.data.reading import read_csv, read_parquet, read_table
from equiray.errors import BadInput


def csv_file(tmp_path, content: bytes):
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    return path


def test_cells_are_text_and_only_an_empty_cell_is_null(tmp_path):
    path = csv_file(tmp_path, b'\xef\xbb\xbfcode,country,note\n007,NA,"two\nlines, one cell"\n,null,""\n')
    table = read_table(path, ["note", "code", "country"])
    assert table.to_pylist() == [
        {"note": "two\nlines, one cell", "code": "007", "country": "NA"},
        {"note": None, "code": None, "country": "null"},
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"a,b\n1,2\n3\n4,5\n", "line 3 has 1 cells where the header has 2: '3'"),
        (b"a,b\n1,2\n3,4,5\n", "line 3 has 3 cells where the header has 2"),
        (b"a,b\n1,2\n1,M\xfcnchen\n", r"line 3 is not UTF-8: byte 0xfc"),
        (b"a,M\xfcnchen\n1,2\n", r"line 1 is not UTF-8: byte 0xfc"),
        (b"a,b,a\n1,2,3\n", "two columns are named 'a'"),
        (b"a;b\n1;2\n", "there is no column 'b'"),
        (b'a,b\n1,"2\n3,4\n5,6\n', "a quote is opened and never closed: 4 lines hold only 2 records"),
        (b'a,b\n1,"x\n2,y\n3,"z"\n4,w\n', "line 2 or later"),
    ],
)
def test_broken_csv_is_named(tmp_path, content, said):
    path = csv_file(tmp_path, content)
    with pytest.raises(BadInput) as error:
        read_table(path, ["b"])
    assert said in str(error.value)
    assert error.value.place.startswith(str(path))
    assert error.value.fix


def test_a_quote_within_a_value_is_no_open_quote(tmp_path):
    path = csv_file(tmp_path, b'a,b\n1,5" pipe\n\n2,"6"" pipe"\n')
    assert read_table(path, ["b"])["b"].to_pylist() == ['5" pipe', '6" pipe']


def test_a_row_longer_than_any_block_is_named(tmp_path):
    path = csv_file(tmp_path, b"a,b\n1," + b"x" * (40 << 20) + b"\n2,3\n")
    with pytest.raises(BadInput, match="a row is longer than 16 MB"):
        read_table(path, ["b"])


def test_a_huge_cell_of_a_parquet_file_is_named(tmp_path):
    pq.write_table(pa.table({"a": ["x", "y" * (10 << 20), "z"]}), tmp_path / "rows.parquet")
    with pytest.raises(BadInput, match=r"a cell holds 10\.0 MB[\s\S]*column 'a', row 2"):
        read_table(tmp_path / "rows.parquet", ["a"])


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_a_huge_cell_is_named_however_the_file_keeps_its_texts(tmp_path, kind):
    column = pa.array(["x", None, "y" * (10 << 20), "x"]).dictionary_encode()
    pq.write_table(
        pa.table({"a": column if pa.types.is_dictionary(kind) else column.cast(pa.string()).cast(kind)}),
        tmp_path / "rows.parquet",
    )
    with pytest.raises(BadInput, match=r"a cell holds 10\.0 MB[\s\S]*column 'a', row 3"):
        read_table(tmp_path / "rows.parquet", ["a"])


def parquet_bytes(tmp_path, **options) -> bytearray:
    table = pa.table({"a": [f"value {i * i}" for i in range(5000)], "b": list(range(5000))})
    pq.write_table(table, tmp_path / "good.parquet", **options)
    return bytearray((tmp_path / "good.parquet").read_bytes())


def refuse(tmp_path, content: bytes) -> str:
    path = tmp_path / "bad.parquet"
    path.write_bytes(content)
    with pytest.raises(BadInput) as error:
        read_table(path, ["a", "b"])
    assert error.value.place == str(path)
    return str(error.value)


def test_parquet_that_is_cut_short_or_no_parquet_is_refused(tmp_path):
    content = parquet_bytes(tmp_path)
    assert "not a readable Parquet file" in refuse(tmp_path, content[: len(content) // 2])
    assert "not a readable Parquet file" in refuse(tmp_path, b"a,b\n1,2\n")
    assert "not a readable Parquet file" in refuse(tmp_path, b"")


def test_a_corrupted_block_of_parquet_is_refused(tmp_path):
    content = parquet_bytes(tmp_path, compression="snappy")
    content[2000:2400] = bytes(400)
    assert "corrupted" in refuse(tmp_path, content)


def test_one_flipped_bit_is_found_where_the_file_has_page_checksums(tmp_path):
    content = parquet_bytes(tmp_path, compression="none", use_dictionary=False, write_page_checksum=True)
    content[content.index(b"value 1234321")] ^= 1
    assert "corrupted" in refuse(tmp_path, content)


def test_columns_of_one_name_in_parquet_are_refused(tmp_path):
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), tmp_path / "twice.parquet")
    with pytest.raises(BadInput, match="two columns are named 'a'"):
        read_parquet(tmp_path / "twice.parquet")


def test_files_that_are_absent_or_of_another_kind_are_refused(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        read_table(tmp_path / "absent.csv", [])
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(BadInput, match="is a folder"):
        read_table(tmp_path / "folder.parquet", [])
    (tmp_path / "rows.xlsx").write_bytes(b"PK")
    with pytest.raises(BadInput, match=r"its ending is '\.xlsx'"):
        read_table(tmp_path / "rows.xlsx", [])


def test_the_delimiter_and_quotes_can_be_others():
    table = read_csv(b"'a b' 2\n", place="here", names=["x", "y"], delimiter=" ", quote="'")
    assert table.to_pylist() == [{"x": "a b", "y": "2"}]


def test_numbers_are_int64_if_all_are_whole():
    def numbers(values, **options):
        return as_numbers(pa.chunked_array([pa.array(values)]), "n", "here", **options)

    assert numbers(["1", " 2 ", "3.0"]).equals(pa.array([1, 2, 3]))
    assert numbers(["1", "2.5"]).equals(pa.array([1.0, 2.5]))
    assert numbers([True, False]).equals(pa.array([1, 0]))
    assert numbers([2.0**60, 1.0]).type == pa.float64()
    assert numbers(["5", None, "?"], nulls=True).equals(pa.array([5, None, None]))
    with pytest.raises(BadInput, match="not numeric"):
        numbers([[1], [2]])


def test_codes_of_any_type_read_as_text():
    def text(values):
        return as_text(pa.chunked_array([values]), "n", "here").to_pylist()

    assert text(pa.array([1.0, None, float("nan"), 3.0])) == ["1", None, None, "3"]
    assert text(pa.array([1.5, 2.0])) == ["1.5", "2"]
    assert text(pa.array([float("inf"), 2.0])) == ["inf", "2"]
    assert text(pa.array([7, 8])) == ["7", "8"]
    assert text(pa.array([True, False])) == ["true", "false"]
    assert text(pa.array(["b", "a", "b"]).dictionary_encode()) == ["b", "a", "b"]
    with pytest.raises(BadInput, match="of type list"):
        text(pa.array([[1], [2]]))


def test_rows_are_counted_from_1_and_listed_up_to_5():
    assert name_rows(pa.array([False, True])) == "row 2"
    assert name_rows(pa.array([True] * 8)) == "rows 1, 2, 3, 4, 5 and 3 more"
