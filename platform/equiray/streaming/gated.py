"""A saved FairNet over rows of any number, block by block: every gate's risk and every setting's output, of each row.

Blocks, resume and Ray actors are those of `equiray.streaming.embed`, the vectors those of `equiray.streaming.fairnet`;
so thresholds are moved afterwards without a model.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equiray.data.text import Serializer
from equiray.errors import BadInput, Incomplete
from equiray.mitigation.fairnet.store import read_stored
from equiray.mitigation.gating.outcomes import opened_gates
from equiray.models.backbones import Backbone, load_backbone
from equiray.models.token_counter import TokenCounter
from equiray.specs.fairnet import BackboneSpec
from equiray.specs.run import StreamingSpec
from equiray.streaming.blocks import BlockStore, read_block, read_embeddings, vectors_of
from equiray.streaming.embed import STALL_S, embed_source
from equiray.streaming.fairnet import FairNetRecipe
from equiray.streaming.sources import ParquetSource, TableSource


@dataclass(frozen=True, kw_only=True, eq=False)
class GatedRows:
    """What a FairNet would decide about N rows under any thresholds.

    Attributes
    ----------
    attributes : tuple of str
        The gates, A of them.
    row_id : int64 [N]
    counterfactual : list of str
        The new value of a twin, "" for an original.
    risk : float32 [N, A]
        NaN out of the support of training.
    probability : float32 [N, 2^A]
        Of the positive class with exactly a subset of gates open: bit a of the place is gate a.
    """

    attributes: tuple[str, ...]
    row_id: NDArray[np.int64]
    counterfactual: list[str]
    risk: NDArray[np.float32]
    probability: NDArray[np.float32]

    def decided(self, thresholds: Mapping[str, float]) -> NDArray[np.float32]:
        """The probability [N] of the output that each row gets; with all its gates closed, the base model's.

        Parameters
        ----------
        thresholds : mapping
            Of each gate, by its attribute: it opens where risk > threshold, strictly, and never where risk is NaN.

        Raises
        ------
        BadInput
            A gate has no threshold, or a threshold no gate.
        """
        if set(thresholds) != set(self.attributes):
            fix = f"give one for each of {', '.join(self.attributes)}"
            raise BadInput(f"thresholds of {', '.join(thresholds) or 'nothing'}", place="thresholds", fix=fix)
        opened = opened_gates(self.attributes, self.risk, [thresholds[name] for name in self.attributes])
        subset = opened @ (1 << np.arange(len(self.attributes)))
        return np.take_along_axis(self.probability, subset[:, None], axis=1)[:, 0]


def gate_table(
    rows: pa.Table | Path,
    texts_of: Serializer,
    backbone_spec: BackboneSpec,
    fairnet_dir: Path,
    out: Path,
    streaming: StreamingSpec,
    *,
    address: str | None = None,
    backbone: Backbone | None = None,
    label: str,
    stall_s: float = STALL_S,
) -> Path:
    """Apply a saved FairNet to rows; run again after an interruption, it computes what is missing.

    Parameters
    ----------
    rows, out, streaming, address, label, stall_s
        As for `equiray.streaming.embed.embed_table`; `out` and `fairnet_dir` are to be seen by all nodes of a cluster.
    texts_of : Serializer
        Turns rows into texts; tokens are counted by the backbone's own tokenizer.
    backbone_spec : BackboneSpec
        What the FairNet was trained on.
    fairnet_dir : Path
        What `save_fairnet` wrote.
    backbone : Backbone, optional
        That of `backbone_spec`, if it is loaded already. Local mode computes with it.

    Returns
    -------
    Path
        `out`, to be read by `read_gated` or `gated_blocks`.

    Raises
    ------
    BadInput
        The rows or the FairNet cannot be used, it is another backbone's, it has more than three gates, or `out` holds
        something else's blocks.
    Incomplete
        Workers were lost or the disk is full; the same call goes on from the blocks that are finished.
    """
    source = TableSource.of(rows) if isinstance(rows, pa.Table) else ParquetSource.of(str(rows), texts_of.order)
    stored = read_stored(fairnet_dir)
    backbone = backbone or load_backbone(backbone_spec, pooling=stored.pooling)
    recipe = FairNetRecipe(spec=backbone_spec, backbone=backbone.identity, directory=fairnet_dir, stored=stored)
    embedder = recipe.with_backbone(backbone)  # loaded for Ray, too: what cannot be used is refused before it starts
    if backbone.tokenizer is not None:
        texts_of = replace(texts_of, count_tokens=TokenCounter(tokenizer=backbone.tokenizer))
    return embed_source(
        source, texts_of, recipe, out, streaming, address=address, label=label, embedder=embedder, stall_s=stall_s
    )


def read_gated(out: Path) -> GatedRows:
    """All rows of a directory that `gate_table` finished, in the order of the table.

    Raises
    ------
    BadInput
        No FairNet's blocks are there, or one is broken.
    Incomplete
        Blocks are still missing.
    """
    gates = _gates(out)
    row_id, counterfactual, vectors = read_embeddings(out)
    return _gated(gates, row_id, counterfactual, vectors)


def gated_blocks(out: Path) -> Iterator[GatedRows]:
    """The same block by block, in block order: memory does not grow with the rows."""
    gates, rows = _gates(out), BlockStore(directory=out).manifest().rows
    files = sorted((out / "blocks").glob("[0-9]*.parquet"))
    found = sum(int(last) - int(first) + 1 for first, last in (file.stem.split("-") for file in files))
    if found != rows:
        raise Incomplete(f"{found} of {rows} rows are finished in {out}: run the same command again to go on")
    for file in files:
        block = read_block(file)
        yield _gated(gates, block["row_id"].to_numpy(), block["counterfactual"].to_pylist(), vectors_of(block))


def _gates(out: Path) -> tuple[str, ...]:
    embedder = BlockStore(directory=out).manifest().embedder
    if "gates" not in embedder:
        raise BadInput("these blocks are not of a FairNet", place=str(out), fix="name what `gate_table` wrote")
    return tuple(json.loads(embedder["gates"]))


def _gated(
    gates: tuple[str, ...], row_id: NDArray[np.int64], counterfactual: list[str], vectors: NDArray[np.float32]
) -> GatedRows:
    probability, risk, inside = np.split(vectors, [1 << len(gates), vectors.shape[1] - 1], axis=1)
    return GatedRows(
        attributes=gates,
        row_id=row_id,
        counterfactual=counterfactual,
        risk=np.where(inside == 1, risk, np.float32(np.nan)),
        probability=probability,
    )
