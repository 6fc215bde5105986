"""Embeddings on disk: a directory of Parquet blocks and a manifest that says what they were made from.

    manifest.json                          what the vectors depend on; another one is refused, never mixed in
    blocks/<first>-<last>.parquet          rows first..last in block order, both included

Columns: ``position`` (int64, the row's place in the input), ``row_id`` (int64), ``counterfactual`` (string, empty for
an original) and ``embedding`` (fixed-size list of float32). A block appears under its name only when it is whole: it
is written beside it and renamed, so any number of tries at one block leave one block. Pages carry checksums, because
a machine that loses power can leave a renamed file without its content.
"""

import json
import logging
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from equiray.errors import BadInput, Incomplete

SCHEMA = "equiray.embeddings/1"
_log = logging.getLogger(__name__)


class Block(NamedTuple):
    """Rows `first` to `last`, both included, of the input in block order."""

    first: int
    last: int


class Embeddings(NamedTuple):
    """Vectors of a table's rows, in the order of the table.

    `row_id` is int64 [N], `counterfactual` the N twins' new values ("" for an original), `vectors` float32 [N, d].
    """

    row_id: NDArray[np.int64]
    counterfactual: list[str]
    vectors: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything that the vectors of a directory depend on.

    Attributes
    ----------
    embedder : dict
        What made the vectors: the weights' identity, the adapter's sha256, pooling, dtype.
    texts_sha256 : str
        How rows became texts.
    input_sha256 : str
        The rows.
    rows, rows_per_block : int
    """

    embedder: dict[str, str]
    texts_sha256: str
    input_sha256: str
    rows: int
    rows_per_block: int

    def to_json(self) -> dict[str, Any]:
        """The document that is kept as manifest.json."""
        return {"schema": SCHEMA} | asdict(self)


@dataclass(frozen=True, kw_only=True)
class BlockStore:
    """The blocks of one directory. Holds the path alone, so it can be sent to a worker."""

    directory: Path

    def open(self, manifest: Manifest) -> None:
        """Make the directory, or check that what it holds was made from the same things.

        Raises
        ------
        BadInput
            It cannot be written to, or its manifest differs; names what differs.
        """
        try:
            (self.directory / "blocks").mkdir(parents=True, exist_ok=True)
            if not self._manifest.exists():
                scratch = self._scratch(self._manifest)
                scratch.write_text(json.dumps(manifest.to_json(), indent=1) + "\n", encoding="utf-8")
                scratch.replace(self._manifest)
        except OSError as error:
            raise BadInput(
                f"cannot write embeddings there: {error.strerror or error}",
                place=str(self.directory),
                fix="name a folder that can be written to, on a disk with space left",
            ) from error
        self._check(manifest)

    def path(self, block: Block) -> Path:
        """Where that block is once it is finished."""
        return self.directory / "blocks" / f"{block.first:012d}-{block.last:012d}.parquet"

    def finished(self, blocks: Sequence[Block]) -> set[Block]:
        """Those of the blocks that are whole on disk; a broken one is removed with a warning, to be made again."""
        whole = set()
        for block in blocks:
            path = self.path(block)
            if not path.exists():
                continue
            try:
                rows = read_block(path).num_rows
                problem = None if rows == block.last - block.first + 1 else f"it has {rows} rows"
            except BadInput as error:
                problem = error.problem
            if problem is None:
                whole.add(block)
                continue
            _log.warning("%s is broken (%s): its rows are embedded again", path, problem)
            path.unlink()
        return whole

    def write(self, block: Block, table: pa.Table) -> None:
        """Write a block whole or not at all.

        Raises
        ------
        Incomplete
            The disk is full or read-only; blocks finished before stay readable.
        """
        path = self.path(block)
        scratch = self._scratch(path)
        try:
            # random mantissas neither repeat nor shrink: a dictionary or a codec only costs time
            pq.write_table(table, scratch, use_dictionary=False, compression="none", write_page_checksum=True)
            scratch.replace(path)
        except OSError as error:
            scratch.unlink(missing_ok=True)
            raise Incomplete(
                f"cannot write a block of embeddings: {error}\n  where: {path}\n"
                "  fix:   make space or mend the permissions, then run the same command: finished blocks are kept"
            ) from error

    def tidy(self) -> None:
        """Remove what killed runs left half written."""
        for scratch in self.directory.rglob(".*.tmp"):
            scratch.unlink(missing_ok=True)

    def manifest(self) -> Manifest:
        """The directory's manifest.

        Raises
        ------
        BadInput
            There is none, or it is not of this format.
        """
        try:
            document = json.loads(self._manifest.read_text(encoding="utf-8"))
            if document.pop("schema") != SCHEMA:
                raise ValueError(f"its schema is not {SCHEMA}")
            return Manifest(**document)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadInput(
                f"no readable manifest of embeddings: {error}",
                place=str(self._manifest),
                fix="name a directory that embed_table wrote, or another one to embed into",
            ) from error

    @property
    def _manifest(self) -> Path:
        return self.directory / "manifest.json"

    def _check(self, wanted: Manifest) -> None:
        there, new = self.manifest().to_json(), wanted.to_json()
        differing = [key for key in new if there[key] != new[key]]
        if differing:
            key = differing[0]
            raise BadInput(
                f"the embeddings there were made from another {', '.join(differing)}: "
                f"{key} was {there[key]!s:.200}, is now {new[key]!s:.200}",
                place=str(self._manifest),
                fix="embed into another directory, or delete this one",
            )

    def _scratch(self, path: Path) -> Path:
        return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")


def read_block(path: Path) -> pa.Table:
    """A block's rows, its checksums verified.

    Raises
    ------
    BadInput
        The file is truncated or altered, or has other columns.
    """
    try:
        table = pq.ParquetFile(path, page_checksum_verification=True).read()
        return table.select(["position", "row_id", "counterfactual", "embedding"])
    except (OSError, pa.ArrowException, KeyError) as error:
        raise BadInput(
            f"not a whole block of embeddings: {str(error).splitlines()[0]}",
            place=str(path),
            fix="run the command that embeds again: it makes broken blocks anew",
        ) from error


def read_embeddings(directory: Path) -> Embeddings:
    """All vectors of a directory, in the order of the table that was embedded.

    Raises
    ------
    BadInput
        The directory holds no embeddings, or a block is broken.
    Incomplete
        Blocks are still missing.
    """
    store = BlockStore(directory=directory)
    rows = store.manifest().rows
    found, row_id, counterfactual = 0, np.empty(rows, np.int64), np.empty(rows, object)
    vectors = np.empty((rows, 0), np.float32)
    for path in sorted((directory / "blocks").glob("[0-9]*.parquet")):
        block = read_block(path)
        position = block["position"].to_numpy()
        embedding = vectors_of(block)
        if not found:
            vectors = np.empty((rows, embedding.shape[1]), np.float32)
        row_id[position], vectors[position] = block["row_id"].to_numpy(), embedding
        counterfactual[position] = block["counterfactual"].to_pylist()
        found += len(position)
    if found != rows:
        raise Incomplete(f"{found} of {rows} rows are embedded in {directory}: run the same command again to go on")
    return Embeddings(row_id, counterfactual.tolist(), vectors)


def vectors_of(block: pa.Table) -> NDArray[np.float32]:
    """The embeddings of a block as float32 [rows, d]."""
    column = block["embedding"].combine_chunks()
    return column.flatten().to_numpy().reshape(len(column), -1)
