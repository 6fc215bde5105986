"""Embed a table or Parquet files into a directory of blocks: in this process, or on Ray Data actors.

Both ways call the same kernel on the same blocks, so with equally many threads they write equal files, and a run
begun the one way can be finished the other way.
"""

import hashlib
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from equiray.data.text import Serializer
from equiray.models.loading import CausalLM, load_causal_lm
from equiray.models.token_counter import TokenCounter
from equiray.specs.run import LanguageModelSpec, StreamingSpec
from equiray.streaming.blocks import BlockStore, Manifest
from equiray.streaming.cluster import ray_cluster
from equiray.streaming.kernel import Embedder, EmbedderRecipe, EmbedJob, embed_block, rows_to_texts
from equiray.streaming.language_model import LanguageModelRecipe
from equiray.streaming.progress import RowProgress
from equiray.streaming.sources import ParquetSource, RowSource, TableSource

RAY_FROM_ROWS = 5000
"""Rows above which `auto` uses Ray for several actors: below, starting it takes longer than it saves."""
STALL_S = 1800.0


def embed_table(
    rows: pa.Table | Path,
    texts_of: Serializer,
    lm_spec: LanguageModelSpec,
    adapter: Path | None,
    out: Path,
    streaming: StreamingSpec,
    *,
    address: str | None = None,
    lm: CausalLM | None = None,
    label: str,
    stall_s: float = STALL_S,
) -> Path:
    """Embed rows with a language model; run again after an interruption, it computes what is missing.

    Parameters
    ----------
    rows : pyarrow.Table or Path
        Rows laid out as in `Task.table`, twins with their column ``counterfactual``; or a Parquet file, a folder of
        them or a pattern, which are streamed: memory does not grow with the rows. Rows of one row id are embedded in
        one block where the table is in memory; files are cut as they stand.
    texts_of : Serializer
        Turns rows into texts; tokens are counted by the model's own tokenizer.
    lm_spec : LanguageModelSpec
    adapter : Path, optional
        Directory of an unlearning adapter, merged into the weights.
    out : Path
        Directory of the blocks (layout: `equiray.streaming.blocks`). On a cluster, one that all nodes see.
    streaming : StreamingSpec
        ``auto`` is Ray where `address` is given, or where several actors are asked for over 5,000 rows; else this
        process: one actor on this machine is no faster than that.
    address : str, optional
        Ray cluster; else Ray is started here if it is needed.
    lm : CausalLM, optional
        The base model of `lm_spec`, if it is loaded already; without `adapter`'s change. Local mode computes with it.
    label : str
        Names the work in the progress bar.
    stall_s : float
        On Ray: seconds without a finished block after which the run is given up.

    Returns
    -------
    Path
        `out`, to be read by `equiray.streaming.blocks.read_embeddings`.

    Raises
    ------
    BadInput
        The rows, the model or the adapter cannot be used, or `out` holds embeddings of something else.
    Incomplete
        Workers were lost or the disk is full; the same call goes on from the blocks that are finished.
    """
    source = TableSource.of(rows) if isinstance(rows, pa.Table) else ParquetSource.of(str(rows), texts_of.order)
    lm = lm or load_causal_lm(lm_spec.source, dtype=lm_spec.dtype)
    # the caller's counter may hold a whole model, which would travel to every worker
    texts_of = replace(texts_of, count_tokens=TokenCounter(tokenizer=lm.tokenizer))
    recipe = LanguageModelRecipe(spec=lm_spec, model=lm.identity, adapter=adapter)
    embedder = None if uses_ray(streaming, address, source.rows) else recipe.with_model(lm)
    return embed_source(
        source, texts_of, recipe, out, streaming, address=address, label=label, embedder=embedder, stall_s=stall_s
    )


def embed_source(
    source: RowSource,
    serializer: Serializer,
    recipe: EmbedderRecipe,
    out: Path,
    streaming: StreamingSpec,
    *,
    address: str | None = None,
    label: str,
    embedder: Embedder | None = None,
    stall_s: float = STALL_S,
) -> Path:
    """`embed_table` for any source of rows and any embedder; `embedder` is what `recipe` loads, if it is at hand."""
    store = BlockStore(directory=out)
    blocks = source.blocks(streaming.rows_per_block)
    store.open(
        Manifest(
            embedder=recipe.identity(),
            texts_sha256=serializer_sha256(serializer),
            input_sha256=source.sha256(),
            rows=source.rows,
            rows_per_block=streaming.rows_per_block,
        )
    )
    finished = store.finished(blocks)
    job = EmbedJob(source=source, serializer=serializer, store=store, blocks=[b for b in blocks if b not in finished])
    done = sum(block.last - block.first + 1 for block in finished)
    if job.blocks:
        with RowProgress(label, total=source.rows, done=done) as progress:
            if uses_ray(streaming, address, source.rows):
                with ray_cluster(address, cpus=streaming.actors * streaming.cpus_per_actor):
                    from equiray.streaming.ray_pipeline import run_on_ray  # imports ray: settings come first

                    run_on_ray(job, recipe, streaming, progress, stall_s=stall_s)
            else:
                run_here(job, embedder or recipe.load(None), progress)
    store.tidy()
    return out


def run_here(job: EmbedJob, embedder: Embedder, progress: RowProgress) -> None:
    """Embed a job's blocks one after the other in this process."""
    for span in job.source.spans(job.blocks):
        for block, rows in job.source.read(span):
            done = embed_block(block, rows_to_texts(rows, job.serializer), embedder, job.store)
            progress.advance(done.rows, done.tokens)


def serializer_sha256(serializer: Serializer) -> str:
    """Hash of all that decides a row's text but the tokenizer, which belongs to the model."""
    s = serializer
    return hashlib.sha256(repr((s.schema, s.template, s.order, s.max_tokens, s.base, s.margin)).encode()).hexdigest()


def uses_ray(streaming: StreamingSpec, address: str | None, rows: int) -> bool:
    """Whether so many rows go to Ray: as `mode` says; ``auto``, where an address or several actors make it pay."""
    if streaming.mode == "auto":
        return address is not None or (rows > RAY_FROM_ROWS and streaming.actors > 1)
    return streaming.mode == "ray"
