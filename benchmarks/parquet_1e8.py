"""How much longer than a bare scan does it take to count 100,000,000 rows of Parquet, and in how much memory?

    python benchmarks/parquet_1e8.py          # makes a file of 120 MB in a temporary folder
    python benchmarks/parquet_1e8.py --quick  # 10,000,000 rows once: a look, not a result

Made-up rows: three dictionary columns of groups, label and prediction int64, a million rows a row group. Ours is what
`equiray audit` does with them: the file is opened and the stored bytes of its columns hashed, then its row groups are
read, checked and counted on as many threads as there are cores. The bare scan reads the same columns, dictionaries as
such, on as many threads and drops them: of pyarrow's ways (batches of a file, of a data set, of 250,000 rows, row
groups on threads) the one that is fastest here. Seconds are those of the clock; CPU time stands beside them. Memory is
the highest resident set of `equiray audit` as a whole, reports included, in a process of its own.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from decisions import ATTRIBUTES, combined, write_decisions
from harness import Goal, Side, agree, measure, publish, start, usable_cores
from numpy.typing import NDArray

from equiray.data.prediction_files import open_files
from equiray.metrics.counting import Attribute, Columns, Counts, Layout, count_files

ROWS, QUICK_ROWS = 100_000_000, 10_000_000
LAYOUT = Layout(attributes=tuple(Attribute(name=name) for name in ATTRIBUTES))
COLUMNS = Columns(label="label", prediction="prediction")
NAMES, GROUPS = [*ATTRIBUTES, "label", "prediction"], list(ATTRIBUTES)
MOST, MOST_GB = 1.3, 2.0
SAMPLE_S = 0.01


def count(path: Path, threads: int) -> Counts:
    """As `equiray audit` counts."""
    files = open_files([str(path)], COLUMNS.wanted(LAYOUT))
    return count_files(files, LAYOUT, COLUMNS, model="made up", threads=threads)


def by_batches(path: Path, *, rows: int = 1 << 16) -> None:
    """`ParquetFile.iter_batches`, on Arrow's threads; 65,536 rows is its default."""
    with pq.ParquetFile(path, read_dictionary=GROUPS) as file:
        for _ in file.iter_batches(rows, columns=NAMES):
            pass


def by_dataset(path: Path) -> None:
    """`Dataset.to_batches`, on Arrow's threads."""
    for _ in pads.dataset(path, format=pads.ParquetFileFormat(dictionary_columns=GROUPS)).to_batches(columns=NAMES):
        pass


def by_row_groups(path: Path) -> None:
    """`ParquetFile.read_row_group`, several at a time."""
    with pq.ParquetFile(path, read_dictionary=GROUPS) as file:
        footer = file.metadata

    def read(number: int) -> None:
        with pq.ParquetFile(path, metadata=footer, read_dictionary=GROUPS) as file:
            file.read_row_group(number, columns=NAMES, use_threads=False)

    with ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(read, range(footer.num_row_groups)))


SCANS: Mapping[str, Callable[[Path], None]] = {
    "iter_batches": by_batches,
    "iter_batches of 250,000 rows": partial(by_batches, rows=250_000),
    "Dataset.to_batches": by_dataset,
    "read_row_group on threads": by_row_groups,
}


def fastest(path: Path) -> str:
    """The scan of them all that takes least, of three passes each."""
    seconds = {name: min(_seconds(scan, path).clock for _ in range(3)) for name, scan in SCANS.items()}
    for name, each in seconds.items():
        print(f"  bare scan, {name}: {each:.2f} s")
    return min(seconds, key=lambda name: seconds[name])


class Took(NamedTuple):
    """Seconds by the clock, and of all threads."""

    clock: float
    cpu: float


def _seconds(run: Callable[[Path], object], path: Path) -> Took:
    clock, cpu = time.perf_counter(), time.process_time()
    run(path)
    return Took(time.perf_counter() - clock, time.process_time() - cpu)


def cells(path: Path) -> NDArray[np.int64]:
    """Rows of each cell, the plain way."""
    counts = np.zeros(200, np.int64)
    with pq.ParquetFile(path, read_dictionary=GROUPS) as file:
        for batch in file.iter_batches(columns=NAMES):
            counts += np.bincount(combined(batch), minlength=200)
    return counts


def check(path: Path, threads: int) -> None:
    """The counts are those of the rows."""
    table = count(path, threads).table("*".join(ATTRIBUTES))
    assert table.mass is not None
    agree("counts", table.mass.count[..., : len(table.classes)].reshape(-1), cells(path), 0)


class Audited(NamedTuple):
    """Peak memory and seconds of a whole command."""

    gigabytes: float
    seconds: float


def audit_in_a_process(path: Path, out: Path) -> Audited:
    """Run `equiray audit` and watch how high its resident set has been."""
    options = ["--label", "label", "--prediction", "prediction", "--attributes", ",".join(GROUPS)]
    command = [sys.executable, "-m", "equiray", "audit", str(path), *options, "--intersections", "3", "--out", str(out)]
    begun, highest = time.perf_counter(), 0
    with tempfile.TemporaryFile() as said, subprocess.Popen(command, stdout=said, stderr=said) as process:
        while process.poll() is None:
            highest = max(highest, high_water_kb(process.pid))
            time.sleep(SAMPLE_S)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"equiray audit failed: {said.read().decode()}")
    return Audited(highest * 1024 / 1e9, time.perf_counter() - begun)


def high_water_kb(process: int) -> int:
    """The highest resident set of a process so far, 0 if it is no more (what `wait` tells begins with its parent's)."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


def main() -> None:
    """Measure and report."""
    quick = start(__doc__ or "")
    threads, rows = usable_cores(), QUICK_ROWS if quick else ROWS
    pa.set_cpu_count(threads)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "decisions.parquet"
        write_decisions(path, rows)
        print(f"{rows:,} rows, {path.stat().st_size / 1e6:.0f} MB, {threads} threads")
        check(path, threads)
        chosen = fastest(path)

        def ours(chosen_rows: range) -> float:
            count(path, threads)
            return 1.0

        def peer(chosen_rows: range) -> float:
            SCANS[chosen](path)
            return 1.0

        rates = measure(Side("equiray", ours), Side(chosen, peer), 1, quick=quick)
        for rate in rates:
            print(f"{1 / rate.ours:.2f} s against {1 / rate.peer:.2f} s")
        cpu = [_seconds(run, path).cpu for run in (partial(count, threads=threads), SCANS[chosen])]
        print(f"CPU time {cpu[0]:.2f} s against {cpu[1]:.2f} s: {cpu[0] / cpu[1]:.2f} times")
        ratios = [rate.peer / rate.ours for rate in rates]
        peer_name = f"bare scan of the same columns, {chosen}, {threads} threads"
        publish("parquet_1e8", ratios, unit="times", peer=peer_name, quick=quick, goal=Goal("at most", MOST))
        audits = [audit_in_a_process(path, Path(folder) / f"audit {repeat}") for repeat in range(1 if quick else 5)]
    print(f"`equiray audit`, start-up and report included: {', '.join(f'{each.seconds:.1f} s' for each in audits)}")
    goal = Goal("at most", MOST_GB)
    publish("parquet_1e8_peak", [each.gigabytes for each in audits], unit="GB", peer="none", quick=quick, goal=goal)


if __name__ == "__main__":
    sys.exit(main())
