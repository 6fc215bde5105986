"""What streaming costs: rows per second of the Ray Data pipeline over those of the bare engine loop.

    python benchmarks/embed_vs_engine.py [--quick]

Ours reads a Parquet file of Adult rows and serializes, tokenizes, embeds and writes it with one actor; the peer is one
call of `embed_texts` on the same texts in memory. Both have the embedded model in bf16, all cores as threads and the
same batch settings. The peer sees all rows at once, so it shares prefixes over all of them, ours within a block.
Start-up is in neither: ours counts from the first finished block to the last, by their time stamps; it is printed by
itself. Each repeat checks that the vectors agree.
"""

import math
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from harness import QUICK_SECONDS, REPEATS, SECONDS, Rates, agree, report, start, usable_cores
from rows import embedded_model

from equiray.data.importance import feature_importance
from equiray.data.tasks.load import load_task
from equiray.data.text import Serializer
from equiray.models.embedding import embed_texts
from equiray.models.loading import CausalLM
from equiray.models.token_counter import TokenCounter
from equiray.specs.run import LanguageModelSpec, StreamingSpec, TaskSpec
from equiray.streaming.blocks import read_block, read_embeddings
from equiray.streaming.cluster import ray_cluster
from equiray.streaming.embed import embed_table

MODEL = LanguageModelSpec()
BLOCK_ROWS, QUICK_BLOCK_ROWS = 256, 16
PACE_ROWS = 32


@dataclass(frozen=True, kw_only=True)
class Work:
    """Rows in a file and as texts in memory, and the model of the bare loop."""

    rows: Path
    serializer: Serializer
    texts: list[str]
    lm: CausalLM
    rows_per_block: int


@dataclass(frozen=True, kw_only=True)
class Run:
    """Rows per second after start-up, seconds of start-up, and float32 [rows, hidden] that was computed."""

    rows_per_s: float
    start_s: float
    vectors: np.ndarray


def prepare(folder: Path, *, quick: bool) -> Work:
    """As many of Adult's test rows as keep the engine busy for a repeat after the first block, in whole blocks."""
    lm, task = embedded_model(), load_task(TaskSpec(name="adult"), 0)
    serializer = Serializer.fit(
        task,
        template="text",
        order=feature_importance(task, seed=0).order,
        max_tokens=256,
        count_tokens=TokenCounter(tokenizer=lm.tokenizer),
    )
    table, block_rows = task.split("test"), QUICK_BLOCK_ROWS if quick else BLOCK_ROWS
    few = serializer.texts(table.slice(0, PACE_ROWS))
    embed_texts(lm, few)
    began = time.perf_counter()
    embed_texts(lm, few)
    pace = PACE_ROWS / (time.perf_counter() - began)
    blocks = 1 + max(2, math.ceil(1.2 * pace * (QUICK_SECONDS if quick else SECONDS) / block_rows))
    table = table.slice(0, blocks * block_rows)
    pq.write_table(table, folder / "rows.parquet")
    print(f"{table.num_rows} rows in blocks of {block_rows}")
    texts = serializer.texts(table)
    return Work(rows=folder / "rows.parquet", serializer=serializer, texts=texts, lm=lm, rows_per_block=block_rows)


def streaming(work: Work) -> Run:
    """The whole pipeline."""
    settings = StreamingSpec(mode="ray", actors=1, cpus_per_actor=usable_cores(), rows_per_block=work.rows_per_block)
    with tempfile.TemporaryDirectory() as folder:
        out, began = Path(folder) / "out", time.time()
        embed_table(work.rows, work.serializer, MODEL, None, out, settings, lm=work.lm, label="streaming")
        blocks = sorted((out / "blocks").iterdir(), key=lambda path: path.stat().st_mtime_ns)
        first, last = blocks[0].stat().st_mtime, blocks[-1].stat().st_mtime
        in_first = read_block(blocks[0]).num_rows
        rate = (len(work.texts) - in_first) / (last - first)
        return Run(rows_per_s=rate, start_s=first - began - in_first / rate, vectors=read_embeddings(out).vectors)


def bare(work: Work) -> Run:
    """The engine alone."""
    began = time.perf_counter()
    vectors = embed_texts(work.lm, work.texts, pooling=MODEL.pooling)
    return Run(rows_per_s=len(work.texts) / (time.perf_counter() - began), start_s=0.0, vectors=vectors)


def main() -> None:
    """Measure, check and report."""
    quick, rates = start(__doc__ or ""), []
    with tempfile.TemporaryDirectory() as folder, ray_cluster(None, cpus=usable_cores()):
        work = prepare(Path(folder), quick=quick)
        for repeat in range(1 if quick else REPEATS):
            order = (streaming, bare) if repeat % 2 == 0 else (bare, streaming)  # neither always runs second
            run = {side: side(work) for side in order}
            ours, peer = run[streaming], run[bare]
            cosines = (ours.vectors * peer.vectors).sum(1)
            cosines /= np.linalg.norm(ours.vectors, axis=1) * np.linalg.norm(peer.vectors, axis=1)
            agree("embeddings (cosine)", cosines.tolist(), np.ones(len(cosines)).tolist(), 0.001)
            print(
                f"ours {ours.rows_per_s:.2f} rows/s (start-up {ours.start_s:.1f} s), bare {peer.rows_per_s:.2f} rows/s"
            )
            rates.append(Rates(ours=ours.rows_per_s, peer=peer.rows_per_s))
    peer_name = "embed_texts on the same rows in memory"
    report("embed_vs_engine", rates, unit="times the rows per second", peer=peer_name, quick=quick, target=0.9)


if __name__ == "__main__":
    sys.exit(main())
