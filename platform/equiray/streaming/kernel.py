"""What is done to a block of rows, the same function in this process and on a Ray actor: texts, vectors, one file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equiray.data.text import Serializer
from equiray.errors import BadInput
from equiray.streaming.blocks import Block, BlockStore
from equiray.streaming.sources import COUNTERFACTUAL, POSITION, ROW_ID, RowSource

TEXT = "text"


class Embedded(NamedTuple):
    """Vectors float32 [texts, d] and how many tokens they took."""

    vectors: NDArray[np.float32]
    tokens: int


class Embedder(Protocol):
    """A model in memory. Equal calls give equal bits."""

    def __call__(self, texts: Sequence[str]) -> Embedded:
        """Embed texts."""
        ...


class EmbedderRecipe(Protocol):
    """How to load an embedder, small enough to be sent to a worker."""

    def identity(self) -> dict[str, str]:
        """What the vectors depend on, for the manifest."""
        ...

    def load(self, threads: int | None) -> Embedder:
        """Load it, to compute on that many threads (None: as this process is set)."""
        ...


@dataclass(frozen=True, kw_only=True)
class EmbedJob:
    """What is left to do: blocks of a source to be turned into texts, embedded and stored."""

    source: RowSource
    serializer: Serializer
    store: BlockStore
    blocks: Sequence[Block]


class BlockDone(NamedTuple):
    """What finishing a block took."""

    rows: int
    tokens: int


def rows_to_texts(rows: pa.Table, serializer: Serializer) -> pa.Table:
    """A block's rows as `position`, `row_id`, `counterfactual` and `text`."""
    originals = pa.repeat(pa.scalar("", pa.string()), rows.num_rows)
    named = rows[COUNTERFACTUAL].fill_null("") if COUNTERFACTUAL in rows.column_names else originals
    texts = pa.array(serializer.texts(rows), pa.string())
    return pa.table({POSITION: rows[POSITION], ROW_ID: rows[ROW_ID], COUNTERFACTUAL: named, TEXT: texts})


def embed_block(block: Block, texts: pa.Table, embedder: Embedder, store: BlockStore) -> BlockDone:
    """Embed a block's texts and write the block.

    Raises
    ------
    BadInput
        The model gives a vector that is not finite.
    Incomplete
        The block cannot be written.
    """
    vectors, tokens = embedder(texts[TEXT].to_pylist())
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(broken):
        raise BadInput(
            f"the model gives a vector with NaN or infinite values ({len(broken)} of {len(vectors)} rows)",
            place=f"row_id {texts[ROW_ID][int(broken[0])]}, text {texts[TEXT][int(broken[0])].as_py()[:60]!r}",
            fix="check the model's weights and the adapter; try language_model.dtype: float32",
        )
    values = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    embedding = pa.FixedSizeListArray.from_arrays(values, vectors.shape[1])
    store.write(block, texts.drop_columns([TEXT]).append_column("embedding", embedding))
    return BlockDone(len(vectors), tokens)
