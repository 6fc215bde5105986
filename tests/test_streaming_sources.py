"""Cutting rows into blocks: every row once, twins together, and Parquet read as if it lay in memory."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import streaming_cases as cases
from equiray.errors import BadInput
from equiray.streaming.sources import ParquetSource, TableSource


@given(ids=st.lists(st.integers(0, 12), min_size=1, max_size=40), rows_per_block=st.integers(1, 9))
@settings(deadline=None)
def test_a_table_is_cut_into_whole_row_ids(ids, rows_per_block):
    source = TableSource.of(pa.table({"row_id": pa.array(ids, pa.int64())}))
    blocks = source.blocks(rows_per_block)
    parts = [part for span in source.spans(blocks) for _, part in source.read(span)]
    positions = np.concatenate([part["position"].to_numpy() for part in parts])
    assert sorted(positions) == list(range(len(ids)))
    assert np.concatenate([part["row_id"].to_numpy() for part in parts]).tolist() == [ids[p] for p in positions]
    met = [set(part["row_id"].to_pylist()) for part in parts]
    assert sum(map(len, met)) == len(set(ids)), "a row id stands in one block only"
    for part, row_ids in zip(parts, met, strict=True):
        assert part.num_rows <= rows_per_block or len(row_ids) == 1
    for (first, last), part in zip(blocks, parts, strict=True):
        assert part.num_rows == last - first + 1
    assert [block.first for block in blocks] == [0, *(block.last + 1 for block in blocks[:-1])]


def test_a_twin_follows_its_original():
    table = cases.rows_and_twins(10)
    source = TableSource.of(table)
    (block,) = source.blocks(1000)
    ((_, ordered),) = source.read([block])
    assert ordered["row_id"].to_pylist() == [i for i in range(10) for _ in range(2)]
    assert [bool(value) for value in ordered["counterfactual"].to_pylist()] == [False, True] * 10


def test_the_hash_is_of_the_rows_and_not_of_their_chunks():
    table = cases.rows(40)
    parts = pa.concat_tables([table.slice(0, 7), table.slice(7)])
    assert parts["age"].num_chunks == 2
    assert TableSource.of(parts).sha256() == TableSource.of(table).sha256()
    other = table.set_column(table.column_names.index("age"), "age", pa.array([20] * 40))
    assert TableSource.of(other).sha256() != TableSource.of(table).sha256()


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=3),
    row_group=st.integers(1, 11),
    rows_per_block=st.integers(1, 13),
    data=st.data(),
)
@settings(deadline=None, max_examples=40)
def test_files_are_read_as_one_table(tmp_path_factory, sizes, row_group, rows_per_block, data):
    folder = tmp_path_factory.mktemp("files")
    whole = cases.rows(sum(sizes))
    for i, start in enumerate(np.cumsum([0, *sizes[:-1]])):
        pq.write_table(whole.slice(start, sizes[i]), folder / f"{i}.parquet", row_group_size=row_group)
    source = ParquetSource.of(str(folder), ["age", "hours"])
    assert source.rows == sum(sizes)
    blocks = source.blocks(rows_per_block)
    wanted = [block for block in blocks if data.draw(st.booleans())]  # the others were finished before
    got = [each for span in source.spans(wanted) for each in source.read(span)]
    assert [block for block, _ in got] == wanted
    for block, part in got:
        expected = whole.slice(block.first, block.last - block.first + 1).select(["row_id", "age", "hours"])
        assert part.drop_columns(["position"]).equals(expected)
        assert part["position"].to_pylist() == list(range(block.first, block.last + 1))


def test_more_rows_than_one_read_holds(tmp_path):
    whole = pa.table({"row_id": np.arange(10_000), "x": np.arange(10_000) % 7})
    pq.write_table(whole, tmp_path / "one.parquet", row_group_size=6_000)
    source = ParquetSource.of(str(tmp_path / "*.parquet"), ["x"])
    blocks = source.blocks(4_500)
    parts = [part for span in source.spans(blocks) for _, part in source.read(span)]
    assert pa.concat_tables(parts).select(["row_id", "x"]).combine_chunks().equals(whole)


def _write(folder: Path, table: pa.Table) -> Path:
    pq.write_table(table, folder / "rows.parquet")
    return folder / "rows.parquet"


def test_bad_files_are_named(tmp_path):
    with pytest.raises(BadInput, match="no such file"):
        ParquetSource.of(str(tmp_path / "none.parquet"), [])
    path = _write(tmp_path, cases.rows(20))
    with pytest.raises(BadInput, match="'income' is missing") as error:
        ParquetSource.of(str(path), ["age", "income"])
    assert error.value.place == str(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BadInput, match="cannot read it as Parquet") as error:
        ParquetSource.of(str(path), ["age"])
    assert error.value.place == str(path)


def test_tables_without_rows_or_row_ids_are_refused():
    with pytest.raises(BadInput, match="'row_id' is missing"):
        TableSource.of(pa.table({"age": [1]}))
    with pytest.raises(BadInput, match="no rows"):
        TableSource.of(cases.rows(3).slice(0, 0))
