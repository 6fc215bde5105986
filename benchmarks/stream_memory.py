"""Does streaming hold its memory? Peak of all processes at 1,000,000 rows over the peak at 100,000.

    python benchmarks/stream_memory.py            # 1,000,000 against 100,000 rows, interleaved
    python benchmarks/stream_memory.py --quick    # once, 200,000 against 100,000: a look, not a result

Rows stream from a Parquet file through the whole Ray Data pipeline: read, serialize, embed, write. The model is a
stand-in that hashes a text to a short vector, so that what is measured is the pipeline; the rows are made up. Memory
is the resident set of the driver and every Ray process below it, summed and sampled; pages that processes share are
counted in each. Every run checks that all rows were written once.
"""

import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from harness import REPEATS, Rates, report, start

from equiray.data.schema import Feature, Schema, Task
from equiray.data.text import Serializer
from equiray.specs.run import StreamingSpec
from equiray.streaming.embed import embed_source
from equiray.streaming.kernel import Embedded
from equiray.streaming.sources import ParquetSource

CATEGORIES, NUMBERS, VALUES = 8, 4, 12
WIDTH = 32
SAMPLE_S = 0.2
ROW_GROUP = 50_000

FEATURES = tuple(
    Feature(name=f"feature_{i}", label=f"feature number {i}", kind="numeric" if i < NUMBERS else "categorical")
    for i in range(NUMBERS + CATEGORIES)
)
SCHEMA = Schema(
    name="made_up",
    title="Made-up rows",
    features=FEATURES,
    label="label",
    positive="yes",
    question="Yes or no?",
    answers=("Yes", "No"),
    sensitive=(),
)


@dataclass(frozen=True, kw_only=True)
class HashingStandIn:
    """Stands in for a language model: 32 numbers from a text's checksum."""

    def identity(self) -> dict[str, str]:
        """Names itself, so that its vectors are never taken for a model's."""
        return {"model": "hashing stand-in"}

    def load(self, threads: int | None) -> "HashingStandIn":
        """Nothing to load."""
        return self

    def __call__(self, texts: Sequence[str]) -> Embedded:
        """Vectors float32 [texts, 32]."""
        checksums = np.array([zlib.crc32(text.encode()) for text in texts], np.uint64)
        steps = np.arange(1, WIDTH + 1, dtype=np.uint64)
        vectors = (checksums[:, None] * steps % np.uint64(9973)).astype(np.float32)
        return Embedded(vectors, sum(map(len, texts)) // 4)


def made_up_rows(first: int, count: int, seed: int) -> pa.Table:
    """Rows `first` and following: numbers of 100 values, categories of 12."""
    draw = np.random.default_rng([seed, first])
    columns: dict[str, pa.Array] = {"row_id": pa.array(np.arange(first, first + count))}
    for feature in FEATURES:
        if feature.kind == "numeric":
            columns[feature.name] = pa.array(draw.integers(0, 100, count))
        else:
            codes = pa.array(draw.integers(0, VALUES, count))
            columns[feature.name] = pa.array([f"value {v} of {feature.name}" for v in range(VALUES)]).take(codes)
    return pa.table(columns)


def write_rows(path: Path, count: int) -> None:
    """Write a Parquet file of made-up rows, one row group after the other."""
    with pq.ParquetWriter(path, made_up_rows(0, 1, 0).schema) as writer:
        for first in range(0, count, ROW_GROUP):
            writer.write_table(made_up_rows(first, min(ROW_GROUP, count - first), 0))


def words(texts: Sequence[str]) -> list[int]:
    """A tokenizer's stand-in: one token a word."""
    return [len(text.split()) for text in texts]


def made_up_serializer() -> Serializer:
    """Turns made-up rows into texts."""
    sample = made_up_rows(0, 200, 0).append_column("split", pa.array(["train"] * 200))
    return Serializer.fit(
        Task(schema=SCHEMA, table=sample, source_sha256=""),
        template="text",
        order=[feature.name for feature in FEATURES],
        max_tokens=400,
        count_tokens=words,
    )


def stream(rows: Path, out: Path) -> None:
    """What the measured process does."""
    serializer = made_up_serializer()
    source = ParquetSource.of(str(rows), serializer.order)
    streaming = StreamingSpec(mode="ray", rows_per_block=4096)
    embed_source(source, serializer, HashingStandIn(), out, streaming, label=f"{source.rows} rows")


@dataclass(frozen=True, kw_only=True)
class Peak:
    """Highest memory of a process and all below it, and how long it ran."""

    megabytes: float
    seconds: float


def measure(script: str, count: int) -> Peak:
    """Stream that many rows in a process of its own, `script --stream ROWS OUT`, and watch its tree."""
    with tempfile.TemporaryDirectory() as folder:
        rows, out = Path(folder) / "rows.parquet", Path(folder) / "out"
        write_rows(rows, count)
        begun, peak = time.monotonic(), 0
        with subprocess.Popen([sys.executable, script, "--stream", str(rows), str(out)]) as process:
            watched = psutil.Process(process.pid)
            while process.poll() is None:
                peak = max(peak, resident_bytes(watched))
                time.sleep(SAMPLE_S)
        seconds = time.monotonic() - begun
        if process.returncode:
            raise SystemExit(f"streaming {count} rows failed with exit code {process.returncode}")
        check(out, count)
        return Peak(megabytes=peak / 2**20, seconds=seconds)


def resident_bytes(process: psutil.Process) -> int:
    """Resident set of a process and all below it."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        for each in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                total += each.memory_info().rss
    return total


def check(out: Path, count: int) -> None:
    """Every row was written, and once."""
    seen = np.zeros(count, np.int64)
    for block in (out / "blocks").iterdir():
        np.add.at(seen, pq.read_table(block, columns=["row_id"])["row_id"].to_numpy(), 1)
    if not (seen == 1).all():
        raise SystemExit(f"{(seen == 0).sum()} rows are missing, {(seen > 1).sum()} are doubled")


def compare(name: str, script: str, *, quick: bool) -> None:
    """Measure many and few rows in turn, check and report."""
    many, few = (200_000, 100_000) if quick else (1_000_000, 100_000)
    peaks = []
    for repeat in range(1 if quick else REPEATS):
        order = (many, few) if repeat % 2 == 0 else (few, many)
        peak = {count: measure(script, count) for count in order}
        for count in order:
            seen = peak[count]
            print(f"{count:,} rows: {seen.megabytes:,.0f} MB at the peak, {seen.seconds:.0f} s with start-up")
        peaks.append(Rates(ours=peak[many].megabytes, peer=peak[few].megabytes))
    report(name, peaks, unit="times the peak memory", peer=f"{few:,} rows", quick=quick)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--stream"]:  # the process that is measured
        stream(*map(Path, sys.argv[2:]))
    else:
        compare("stream_memory", __file__, quick=start(__doc__ or ""))
