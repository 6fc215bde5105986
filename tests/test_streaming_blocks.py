"""Embeddings on disk: what is refused, what is noticed, what stays readable."""

import dataclasses
import json
import resource
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from equiray.errors import BadInput, Incomplete
from equiray.streaming.blocks import Block, BlockStore, Manifest, read_block, read_embeddings

MANIFEST = Manifest(
    embedder={"model": "m", "dtype": "float32"}, texts_sha256="t", input_sha256="i", rows=6, rows_per_block=4
)
FIRST, SECOND = Block(0, 3), Block(4, 5)
ORDER = np.array([0, 5, 1, 2, 4, 3])  # block order of the six rows: row 5 is row 0's twin


def table(block: Block, width: int = 3) -> pa.Table:
    position = ORDER[block.first : block.last + 1]
    vectors = pa.array(np.repeat(position, width).astype(np.float32))
    return pa.table(
        {
            "position": position,
            "row_id": np.where(position == 5, 100, 100 + position),
            "counterfactual": ["sex=Female" if p == 5 else "" for p in position],
            "embedding": pa.FixedSizeListArray.from_arrays(vectors, width),
        }
    )


@pytest.fixture
def store(tmp_path: Path) -> BlockStore:
    store = BlockStore(directory=tmp_path / "out")
    store.open(MANIFEST)
    store.write(FIRST, table(FIRST))
    store.write(SECOND, table(SECOND))
    return store


def test_vectors_come_back_in_the_order_of_the_table(store):
    row_id, counterfactual, vectors = read_embeddings(store.directory)
    assert row_id.tolist() == [100, 101, 102, 103, 104, 100]
    assert counterfactual == ["", "", "", "", "", "sex=Female"]
    assert vectors.dtype == np.float32 and vectors[:, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_blocks_are_named_by_their_rows_and_nothing_else_is_left(store):
    names = [path.name for path in sorted((store.directory / "blocks").iterdir())]
    assert names == ["000000000000-000000000003.parquet", "000000000004-000000000005.parquet"]
    columns = read_block(store.path(FIRST)).schema
    assert columns.field("embedding").type == pa.list_(pa.float32(), 3) and columns.field("row_id").type == pa.int64()


@pytest.mark.parametrize(
    "change",
    [
        {"embedder": {"model": "other", "dtype": "float32"}},
        {"texts_sha256": "other"},
        {"input_sha256": "other"},
        {"rows": 7},
        {"rows_per_block": 5},
    ],
)
def test_embeddings_of_something_else_are_refused_by_name(store, change):
    with pytest.raises(BadInput, match=f"another {next(iter(change))}") as error:
        store.open(dataclasses.replace(MANIFEST, **change))
    assert "manifest.json" in error.value.place
    store.open(MANIFEST)  # and what was there is as it was
    assert store.finished([FIRST, SECOND]) == {FIRST, SECOND}


def _truncate(content: bytearray) -> bytes:
    return bytes(content[: len(content) // 2])


def _flip_a_bit(content: bytearray) -> bytes:
    place = content.find(np.full(3, 2, np.float32).tobytes())  # in the vectors of the row at position 2
    assert place > 0
    content[place] ^= 1
    return bytes(content)


@pytest.mark.parametrize("damage", [_truncate, _flip_a_bit, lambda _: b""])
def test_a_broken_block_is_noticed_and_made_again(store, damage, caplog):
    path = store.path(FIRST)
    path.write_bytes(damage(bytearray(path.read_bytes())))
    with pytest.raises(BadInput, match="not a whole block") as error:
        read_embeddings(store.directory)
    assert error.value.place == str(path)
    assert store.finished([FIRST, SECOND]) == {SECOND}
    assert path.name in caplog.text and "embedded again" in caplog.text
    assert not path.exists()


def test_a_block_of_other_rows_is_not_finished(store):
    store.path(SECOND).rename(store.path(FIRST))
    assert store.finished([FIRST, SECOND]) == set()


def test_missing_blocks_are_counted(store):
    store.path(SECOND).unlink()
    with pytest.raises(Incomplete, match="4 of 6 rows"):
        read_embeddings(store.directory)


def test_a_write_that_fails_leaves_no_block_and_keeps_the_others(store):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    wide = table(Block(0, 3), width=10_000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # the system refuses, as it does on a full disk
    try:
        with pytest.raises(Incomplete, match="finished blocks are kept") as error:
            store.write(Block(6, 9), wide)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "000000000006-000000000009.parquet" in str(error.value)
    assert len(list((store.directory / "blocks").iterdir())) == 2
    assert len(read_embeddings(store.directory).vectors) == 6


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(BadInput, match="cannot write embeddings there"):
        BlockStore(directory=tmp_path / "file" / "out").open(MANIFEST)


def test_a_folder_without_manifest_holds_no_embeddings(tmp_path):
    with pytest.raises(BadInput, match="no readable manifest"):
        read_embeddings(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"schema": "other/1"}))
    with pytest.raises(BadInput, match="schema is not"):
        read_embeddings(tmp_path)
