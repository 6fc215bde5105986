"""Prediction files: the same rows from any format, in blocks cut by row number and named by content."""

import gzip
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from counting_cases import COLUMNS, LAYOUT, rows, table
from equiray.data import text_rows
from equiray.data.prediction_files import open_files, read_span, spans
from equiray.data.stores import find_files
from equiray.errors import BadInput
from equiray.metrics.counting import Attribute, Columns, Layout, count_files, count_table
from equiray.metrics.counting.kernel import count_block

WANTED = COLUMNS.wanted(LAYOUT)
PER_BLOCK = 30


def write_parquet(data: pa.Table, path: Path, **options) -> Path:
    pq.write_table(data.append_column("more", pa.array(range(data.num_rows))), path, **options)
    return path


def write_csv(data: pa.Table, path: Path) -> Path:
    pa_csv.write_csv(data, path)
    return path


def write_json(data: pa.Table, path: Path) -> Path:
    lines = [json.dumps({k: v for k, v in row.items() if v is not None}) for row in data.to_pylist()]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def zipped(path: Path) -> Path:
    other = path.with_name(path.name + ".gz")
    other.write_bytes(gzip.compress(path.read_bytes()))
    return other


def counted(path: Path | str, **options):
    files = open_files([str(path)], WANTED)
    return count_files(files, LAYOUT, COLUMNS, model="m", rows_per_block=PER_BLOCK, threads=2, **options)


def payloads(counts):
    """What the blocks hold, apart from how their columns were stored."""
    names = ("levels", "classes")
    return [
        [getattr(b, n) for n in names] + [values.tolist() for values in b.arrays().values()]
        for b in counts.blocks.values()
    ]


@pytest.mark.parametrize("kind", ["parquet", "plain.parquet", "csv", "csv.gz", "jsonl", "jsonl.gz"])
def test_any_format_gives_the_blocks_of_the_table(tmp_path, kind):
    data = table(rows(100, 1))
    if kind.endswith("parquet"):
        path = write_parquet(data, tmp_path / f"x.{kind}", row_group_size=15, use_dictionary=kind == "parquet")
    else:
        path = (write_csv if kind.startswith("csv") else write_json)(data, tmp_path / f"x.{kind.removesuffix('.gz')}")
        path = zipped(path) if kind.endswith(".gz") else path
    found = counted(path)
    expected = count_table(data, LAYOUT, COLUMNS, model="m", rows_per_block=PER_BLOCK)
    assert [(b.start, b.stop) for b in found.blocks] == [(0, 30), (30, 60), (60, 90), (90, 100)]
    assert payloads(found) == payloads(expected)
    assert found.origins == {found_source(found): (str(path),)}


def found_source(counts) -> str:
    (source,) = {block.source for block in counts.blocks}
    return source


@pytest.mark.parametrize(
    ("group", "sizes", "spans_of"),
    [
        (7, [28] * 14 + [8], 15),  # four row groups a block
        (30, [30] * 13 + [10], 14),
        (31, [16, 15] * 12 + [28], 13),  # half a row group a block
        (64, [22, 22, 20] * 6 + [16], 7),
        (400, [29] * 13 + [23], 1),
    ],
)
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_blocks_are_whole_row_groups_or_even_parts_of_one(tmp_path, group, sizes, spans_of, scheme):
    data = table(rows(400, 2))
    path = write_parquet(data, tmp_path / "x.parquet", row_group_size=group)
    (file,) = open_files([f"{scheme}{path}"], WANTED)
    parts = spans([file], PER_BLOCK)
    read = [block for part in parts for block in read_span(part)]
    starts = np.cumsum([0, *sizes]).tolist()
    assert [(b.id.start, b.id.stop) for b in read] == list(pairwise(starts))
    assert [b.rows.num_rows for b in read] == sizes and all(b.rows.column_names == WANTED for b in read)
    for name in WANTED:
        assert [value for b in read for value in b.rows[name].to_pylist()] == data[name].to_pylist()
    assert len(parts) == spans_of
    whole = count_table(data, LAYOUT, COLUMNS, model="m").table("race*sex").mass.count
    assert counted(f"{scheme}{path}").table("race*sex").mass.count.tolist() == whole.tolist()


def test_row_groups_without_rows_make_no_blocks(tmp_path):
    data, path = table(rows(50, 2)), tmp_path / "x.parquet"
    with pq.ParquetWriter(path, data.schema) as writer:
        for part in (data.slice(0, 0), data.slice(0, 20), data.slice(0, 0), data.slice(20), data.slice(0, 0)):
            writer.write_table(part)
    assert [(b.start, b.stop) for b in counted(path).blocks] == [(0, 20), (20, 50)]


def test_a_file_that_breaks_while_its_columns_are_read_is_named(tmp_path):
    path = write_parquet(table(rows(100, 1)), tmp_path / "x.parquet")
    (block,) = read_span(spans(open_files([str(path)], WANTED))[0])
    path.write_bytes(b"PAR1" + bytes(500))
    with pytest.raises(BadInput, match="cannot read the file") as error:
        count_block(block.id, block.rows, LAYOUT, COLUMNS, place=block.origin)
    assert error.value.place == str(path)


def test_the_hash_is_of_what_is_counted(tmp_path):
    data = table(rows(50, 3))
    one, copy = write_parquet(data, tmp_path / "a.parquet"), tmp_path / "b.parquet"
    copy.write_bytes(one.read_bytes())
    other = write_parquet(data.slice(1), tmp_path / "c.parquet")
    first, second, third, fewer = (
        open_files([str(path)], columns)[0].sha256
        for path, columns in ((one, WANTED), (copy, WANTED), (other, WANTED), (one, WANTED[:1]))
    )
    assert first == second and len({first, third, fewer}) == 3
    with pytest.raises(BadInput, match=r"same content: .*b\.parquet is a copy"):
        open_files([str(one), str(copy)], WANTED)


def test_files_together_are_the_merge_of_each(tmp_path):
    paths = [write_parquet(table(rows(70, seed)), tmp_path / f"{seed}.parquet") for seed in (1, 2)]
    files = open_files([str(path) for path in paths], WANTED)
    both = count_files(files[::-1], LAYOUT, COLUMNS, model="m", rows_per_block=PER_BLOCK)
    one, two = (counted(path) for path in paths)
    assert both.sha256 == one.merge(two).sha256 and both.rows == 140


def test_files_folders_patterns_and_urls_are_found(tmp_path):
    for name in ("b.csv", "a.parquet", "sub/c.jsonl", "notes.txt", "_hidden.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    here = [str(tmp_path / name) for name in ("a.parquet", "b.csv", "sub/c.jsonl")]
    assert find_files([str(tmp_path)]) == here
    assert find_files([here[1], str(tmp_path / "*.csv")]) == [here[1], str(tmp_path / "_hidden.csv")]
    assert find_files([str(tmp_path / "**" / "*.jsonl")]) == here[2:]
    url = f"file://{tmp_path}"
    assert find_files([f"{url}/*.parquet", f"{url}/sub"]) == [f"file://{here[0]}", f"file://{here[2]}"]
    for wrong, problem in (
        (str(tmp_path / "none.csv"), "no such file"),
        (str(tmp_path / "notes.txt"), "cannot tell the format of notes.txt"),
        (f"{url}/*.pq", "no such file"),
        ("gopher://host/x.csv", "cannot look for files"),
    ):
        with pytest.raises(BadInput, match=problem):
            find_files([wrong])


def test_a_file_by_url_is_the_same_file(tmp_path):
    path = write_csv(table(rows(40, 1)), tmp_path / "x.csv")
    one, two = (open_files([p], WANTED) for p in (str(path), f"file://{path}"))
    assert one[0].sha256 == two[0].sha256
    assert next(read_span(spans(two)[0])).rows.num_rows == 40


@pytest.mark.parametrize("kind", ["csv", "jsonl", "csv.gz"])
def test_a_large_text_file_is_read_in_parts_that_are_the_blocks_of_the_whole(tmp_path, kind):
    data = table(rows(200, 4))
    race = [None if r is None else f'{r}, "so\ncalled"' for r in data["race"].to_pylist()]  # line breaks within quotes
    data = data.set_column(data.column_names.index("race"), "race", pa.array(race))
    path = (write_json if kind == "jsonl" else write_csv)(data, tmp_path / f"x.{kind.removesuffix('.gz')}")
    path = zipped(path) if kind.endswith(".gz") else path
    (whole,), (cut,) = (open_files([str(path)], WANTED, rows_per_cut=n) for n in (1 << 20, PER_BLOCK))
    starts = [(part.start, part.stop) for part in spans([cut], PER_BLOCK)]
    inside = [(start, start + PER_BLOCK) for start in range(0, 180, PER_BLOCK)] + [(180, None)]
    assert starts == ([(0, None)] if kind == "csv.gz" else inside)
    assert [part.start for part in spans([cut], 2 * PER_BLOCK)] == [start for start, _ in starts[::2]]
    one, other = (
        count_files([file], LAYOUT, COLUMNS, model="m", rows_per_block=PER_BLOCK, threads=3) for file in (whole, cut)
    )
    assert one.rows == 200 and one.sha256 == other.sha256


def test_json_lines_of_which_some_lack_a_key_are_divided_where_the_first_have_all(tmp_path):
    lines = ['{"sex": "f", "y": 1, "yhat": 0}'] * 5 + ['{"sex": "f", "y": 1}'] * 20
    layout, columns = Layout(attributes=(Attribute(name="sex"),)), Columns(label="y", prediction="yhat")
    for order, parts in ((lines, 5), (lines[::-1], 5), (lines[5:], 1)):
        path = tmp_path / "x.jsonl"
        path.write_text("\n".join(order) + "\n")
        files = open_files([str(path)], columns.wanted(layout), rows_per_cut=5)
        assert len(spans(files, 5)) == parts
        if parts > 1:
            counts = count_files(files, layout, columns, model="m", rows_per_block=5)
            assert counts.rows == 25 and counts.table("sex").mass.count[0, 1].tolist() == [5, 0, 0, 20]
        else:  # only the whole file tells that nobody has the key
            with pytest.raises(BadInput, match="no line has the key 'yhat'"):
                count_files(files, layout, columns, model="m", rows_per_block=5)


def test_a_row_that_is_named_in_an_error_is_numbered_in_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(text_rows, "_BLOCK_BYTES", 100)  # of the first lines, and at a time
    path = tmp_path / "x.jsonl"
    lines = ['{"sex": "f", "y": 1, "yhat": 0}'] * 20
    lines[13] = '{"sex": "f", "y": }'
    path.write_text("\n".join(lines) + "\n")
    layout, columns = Layout(attributes=(Attribute(name="sex"),)), Columns(label="y", prediction="yhat")
    files = open_files([str(path)], columns.wanted(layout), rows_per_cut=10)
    assert [part.start for part in spans(files, 10)] == [0, 10]
    with pytest.raises(BadInput, match="not readable as JSON") as error:
        count_files(files, layout, columns, model="m", rows_per_block=10)
    assert error.value.place == f"{path}, after row 13"


@pytest.mark.parametrize("spoil", [lambda b: b.replace(b"\nf,1,1\n", b"\nff1,1\nf,1,1\n"), lambda b: b[:40]])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, spoil):
    path = tmp_path / "x.csv"
    path.write_text("sex,y,yhat\n" + "f,1,1\nm,0,0\n" * 20)
    layout, columns = Layout(attributes=(Attribute(name="sex"),)), Columns(label="y", prediction="yhat")
    files = open_files([str(path)], columns.wanted(layout), rows_per_cut=10)
    assert len(spans(files, 10)) == 4
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(BadInput, match=r"rows where 10 lines were found|cells where the header has"):
        count_files(files, layout, columns, model="m", rows_per_block=10)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("x.csv", "sex,y\nf,1\n", "no column 'yhat'"),
        ("x.csv", "", "the CSV file is empty"),
        ("x.csv", "sex,y,y,yhat\nf,1,1,1\n", "two columns are named 'y'"),
        ("x.csv", "sex,y,yhat\nf,1,1\nf,1\n", "a line has 2 cells where the header has 3"),
        ("x.csv", 'sex,y,yhat\nf,1,1\nm,1,"1\nf,0,0\n', "a quote is opened and never closed"),
        ("x.csv", b"sex,y,yhat\nfe\xff,1,1\n", "not UTF-8"),
        ("x.csv", "sex,y,yhat\nf,1,1\n".encode("utf-16"), "not UTF-8"),
        ("x.csv", b"sex,y,yhat,qualit\xe9\nf,1,1,1\n", "not UTF-8"),
        ("x.csv", "sex;y;yhat\nf;1;1\n", "separated by ';', not by commas"),
        ("x.csv", "sex\ty\tyhat\nf\t1\t1\n", r"separated by '\\t', not by commas"),
        ("x.csv", "sex,y,yhat\n", "no rows to count"),
        ("x.jsonl", '{"sex": "f", "y": 1}\n', "no line has the key 'yhat'"),
        ("x.jsonl", '{"sex": "f", "y": 1, "yhat": 0}\n{"sex": "f", "y": "1", "yhat": 0}\n', "not readable as JSON"),
        ("x.jsonl", "[1, 2]\n", "not readable as JSON"),
        ("x.parquet", "PAR1", "cannot read the file"),
        ("x.csv.gz", "sex,y,yhat", "cannot read the file"),
    ],
)
def test_broken_files_are_named(tmp_path, name, content, problem):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    layout, columns = Layout(attributes=(Attribute(name="sex"),)), Columns(label="y", prediction="yhat")
    with pytest.raises(BadInput, match=problem) as error:
        count_files(open_files([str(path)], columns.wanted(layout)), layout, columns, model="m")
    assert str(path) in error.value.place


def test_a_bad_value_is_named_with_its_file_and_row(tmp_path):
    frame = rows(100, 1)
    frame.loc[77, "p"] = 1.5
    frame.loc[77, "yhat"] = 1
    frame.loc[77, "why"] = "answered"
    path = write_csv(table(frame), tmp_path / "x.csv")
    with pytest.raises(BadInput, match=r"score 1.5 is outside \[0, 1\]") as error:
        counted(path)
    assert error.value.place == f"{path}, column 'p', row 78"


def test_codes_and_dates_of_texts_stay_what_they_are(tmp_path):
    layout, columns = Layout(attributes=(Attribute(name="sex"),)), Columns(label="y", prediction="yhat")
    (tmp_path / "x.csv").write_text('sex,y,yhat\n007,1,0\n"a\nb",0,1\nNA,1,1\n')
    (tmp_path / "x.jsonl").write_text('{"sex": "2020-01-01", "y": 1, "yhat": 0}\n\n{"sex": null, "y": 0, "yhat": 1}\n')
    names = {"x.csv": ("007", "NA", "a\nb"), "x.jsonl": ("2020-01-01", "(missing)")}
    for name, groups in names.items():
        files = open_files([str(tmp_path / name)], columns.wanted(layout))
        assert count_files(files, layout, columns, model="m").table("sex").groups == groups
