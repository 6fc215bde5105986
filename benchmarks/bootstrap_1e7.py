"""How long do 1,000 bootstrap replicates and simultaneous intervals take, at 10,000,000 rows in 200 cells?

    python benchmarks/bootstrap_1e7.py [--quick]

Made-up rows in memory, as a Parquet file's dictionary and integer columns come: 50 groups (2 x 5 x 5) by label and
prediction. For independent rows without weights the row bootstrap of a table of counts is a multinomial draw over its
cells, so replicates cost what the table has cells, whatever the rows; what is timed is counting the rows, drawing
1,000 tables, percentile intervals of five rates of each group, limits of the same that hold for all groups at once,
and simultaneous limits of every difference and ratio over the 1,225 pairs of groups. Beside it stands numpy's share:
one bincount of codes combined by hand, and the same draws, with nothing checked, named or estimated.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
from decisions import ATTRIBUTES, ROW_GROUP, combined, decisions
from harness import Goal, Side, agree, measure, publish, start
from numpy.typing import NDArray

from equiray.metrics.catalogue import METRICS
from equiray.metrics.clusters import Resampling
from equiray.metrics.counting import Attribute, Columns, Layout, count_table
from equiray.metrics.estimation.figures import Figure
from equiray.metrics.estimation.read import Read
from equiray.metrics.intervals.bootstrap import cell_draws, percentile_interval
from equiray.metrics.tables import GroupTable

ROWS, QUICK_ROWS = 10_000_000, 1_000_000
RESAMPLING = Resampling(replicates=1000, seed=2026)
CONFIDENCE = 0.95
RATES = ("selection_rate", "tpr", "fpr", "ppv", "accuracy")
LAYOUT = Layout(attributes=tuple(Attribute(name=name) for name in ATTRIBUTES))
COLUMNS = Columns(label="label", prediction="prediction")
TARGET_S = 2.0


class Parts:
    """Seconds of each part, summed over runs."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.runs = 0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time what is inside."""
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0) + time.perf_counter() - start


def audit(table: pa.Table, parts: Parts) -> tuple[GroupTable, NDArray[np.int64]]:
    """From rows to all intervals; returns the counts and the replicates."""
    parts.runs += 1
    with parts.part("counting"):
        groups = count_table(table, LAYOUT, COLUMNS, model="made up").table("*".join(ATTRIBUTES))
    assert groups.mass is not None
    with parts.part("replicates"):
        draws = cell_draws(groups.mass.count, RESAMPLING)
    with parts.part("percentile intervals"):
        for name in RATES:
            percentile_interval(METRICS[name].function(draws), CONFIDENCE)
    with parts.part("simultaneous intervals"):
        for metric in METRICS.values():
            read = Read.of(metric, groups, None)
            if metric.reads != "mass" or read is None:
                continue
            figure = Figure(metric=metric, read=read)
            if metric.scope == "attribute":
                figure.limits(CONFIDENCE)
            elif metric.id in RATES:
                figure.limits(1 - (1 - CONFIDENCE) / len(groups.groups))
    return groups, draws


def bare(table: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Counts of the 200 cells, and as many tables drawn."""
    counts = np.zeros(200, np.int64)
    for batch in table.to_batches():
        counts += np.bincount(combined(batch), minlength=200)
    generator = np.random.default_rng(RESAMPLING.seed)
    return counts, generator.multinomial(counts.sum(), counts / counts.sum(), size=RESAMPLING.replicates)


def main() -> None:
    """Measure and report."""
    quick = start(__doc__ or "")
    rows = QUICK_ROWS if quick else ROWS
    table = pa.concat_tables([decisions(first, ROW_GROUP) for first in range(0, rows, ROW_GROUP)])
    parts = Parts()
    groups, draws = audit(table, parts)
    assert groups.mass is not None
    counts, drawn = bare(table)
    answered = len(groups.classes)
    agree("counts", groups.mass.count[..., :answered].reshape(-1), counts, 0)
    agree("mean replicate, in standard errors", *in_standard_errors(draws[..., :answered], drawn, counts), 6)

    def ours(chosen: range) -> float:
        audit(table, parts)
        return 1.0

    def peer(chosen: range) -> float:
        bare(table)
        return 1.0

    rates = measure(Side("equiray", ours), Side("numpy", peer), 1, quick=quick)
    for name, seconds in parts.seconds.items():
        print(f"  {name}: {seconds / parts.runs:.3f} s")
    alone = np.median([1 / rate.peer for rate in rates])
    print(f"{rows:,} rows; numpy's share {alone:.3f} s")
    publish(
        "bootstrap_1e7",
        [1 / rate.ours for rate in rates],
        unit="s",
        peer=f"bare bincount and multinomial draws: {alone:.3f} s",
        quick=quick,
        goal=Goal("at most", TARGET_S),
    )


def in_standard_errors(
    draws: NDArray[np.int64], drawn: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means of both sides' replicates, each cell in standard errors of their difference."""
    error = np.sqrt(2 * counts * (1 - counts / counts.sum()) / RESAMPLING.replicates)
    return draws.reshape(len(draws), -1).mean(0) / error, drawn.mean(0) / error


if __name__ == "__main__":
    sys.exit(main())
