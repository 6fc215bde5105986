"""Counts on disk: a Parquet file with one row a block, its arrays as lists, and what was counted in its metadata."""

import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from equiray.data.row_blocks import BlockId
from equiray.errors import BadInput, writing
from equiray.metrics.counting.blocks import PARTS, Block
from equiray.metrics.counting.encoding import smallest
from equiray.metrics.counting.layout import SCHEMA, Layout

_KEY = b"equiray.counts"
_WHOLE = ("cell", "counts", "value")  # all other arrays are float64


class Stored(NamedTuple):
    """What a file of counts holds."""

    layout: Layout
    model: str
    blocks: Sequence[Block]
    origins: Mapping[str, Sequence[str]]


def write_stored(stored: Stored, sha256: str, path: Path) -> None:
    """Write the file whole or not at all; raises Incomplete where that fails."""
    head = {
        "schema": SCHEMA,
        "layout": stored.layout.to_json(),
        "layout_sha256": stored.layout.sha256,
        "model": stored.model,
        "origins": {source: list(names) for source, names in stored.origins.items()},
        "sha256": sha256,
    }
    table = blocks_to_table(stored.blocks).replace_schema_metadata({_KEY: json.dumps(head).encode()})
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            pq.write_table(table, scratch, compression="zstd", write_page_checksum=True)
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)


def read_stored(path: Path) -> tuple[Stored, str]:
    """What the file holds, and the hash that its writer gave it; raises BadInput where it is no file of counts."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
        head = json.loads((table.schema.metadata or {})[_KEY])
        if head["schema"] != SCHEMA:
            raise ValueError(f"its schema is {head['schema']!r}, not {SCHEMA!r}")
        layout = Layout.from_json(head["layout"])
        if layout.sha256 != head["layout_sha256"]:
            raise ValueError("the layout in it was altered")
        origins = {source: tuple(names) for source, names in head["origins"].items()}
        return Stored(layout, head["model"], table_to_blocks(table), origins), head["sha256"]
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = "it has no metadata of counts" if isinstance(error, KeyError) else str(error).splitlines()[0]
        raise BadInput(
            f"not a readable file of counts: {reason:.200}",
            place=str(path),
            fix="name a file that equiray saved counts to, or count again",
        ) from error


def blocks_to_table(blocks: Sequence[Block]) -> pa.Table:
    """One row a block, the same schema for any counts."""
    held = [block.arrays() for block in blocks]
    names = ["strata", *(f"{part}.{name}" for part, kind in PARTS.items() for name in kind._fields)]
    columns = {
        "source": pa.array([block.id.source for block in blocks], pa.string()),
        "start": pa.array([block.id.start for block in blocks], pa.int64()),
        "stop": pa.array([block.id.stop for block in blocks], pa.int64()),
        "levels": pa.array([block.levels for block in blocks], pa.list_(pa.list_(pa.string()))),
        "classes": pa.array([block.classes for block in blocks], pa.list_(pa.string())),
        "numeric": pa.array([block.numeric for block in blocks], pa.list_(pa.bool_())),
    }
    return pa.table(columns | {name: _lists([each.get(name) for each in held], _real(name)) for name in names})


def table_to_blocks(table: pa.Table) -> list[Block]:
    """The blocks that `blocks_to_table` took; raises KeyError, ValueError or TypeError on another table."""
    return [_block(table.slice(row, 1)) for row in range(table.num_rows)]


def _block(row: pa.Table) -> Block:
    def array(name: str) -> NDArray | None:
        (cell,) = row[name]
        values = None if not cell.is_valid else cell.values.to_numpy()
        return values if values is None or _real(name) else smallest(values)

    head = row.select(["source", "start", "stop", "levels", "classes", "numeric"]).to_pylist()[0]
    strata = array("strata")
    if strata is None:
        raise ValueError("a block has no strata")
    parts = {}
    for part, kind in PARTS.items():
        found = [array(f"{part}.{name}") for name in kind._fields]
        parts[part] = None if all(values is None for values in found) else kind(*found)
    return Block(
        id=BlockId(head["source"], head["start"], head["stop"]),
        levels=tuple(tuple(names) for names in head["levels"]),
        classes=tuple(head["classes"]),
        numeric=tuple(head["numeric"]),
        strata=strata.reshape(-1, len(head["levels"])),
        **parts,
    )


def _real(name: str) -> bool:
    return name != "strata" and name.rpartition(".")[2] not in _WHOLE


def _lists(arrays: Sequence[NDArray | None], real: bool) -> pa.Array:
    """Arrays of any shape as lists of one type, None as null."""
    kind = np.float64 if real else np.uint64
    flat = [np.empty(0, kind) if each is None else each.astype(kind).ravel() for each in arrays]
    ends = np.cumsum([0, *(len(each) for each in flat)])
    values = np.concatenate(flat) if flat else np.empty(0, kind)
    empty = pa.array([each is None for each in arrays], pa.bool_())
    return pa.LargeListArray.from_arrays(pa.array(ends, pa.int64()), pa.array(values), mask=empty)
