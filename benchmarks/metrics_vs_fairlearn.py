"""How much less CPU time than Fairlearn's MetricFrame do four metrics of ten groups take, at a million rows?

    python benchmarks/metrics_vs_fairlearn.py [--quick]

Selection rate, true- and false-positive rate and accuracy of each group, and the largest difference of each; made-up
rows. Fairlearn begins with a pandas data frame, equiray with an Arrow table of plain (not dictionary-encoded) columns,
both in memory. Groups are texts; labels and predictions are whole numbers (`metrics_vs_fairlearn`), then texts as well
(`metrics_vs_fairlearn_strings`). Fairlearn gives no intervals; ours is measured with the limits of all 44 figures, and
what it takes without them, and from the pandas data frame, stands beside it. Seconds are those of all threads.
"""

import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
from fairlearn_rates import PEER, by_equiray, by_fairlearn
from harness import Side, agree, measure, report, start
from numpy.typing import NDArray

from equiray.metrics.counting import Attribute, Columns, Layout, count_table

ROWS, GROUPS = 1_000_000, 10
LAYOUT = Layout(attributes=(Attribute(name="group"),))
COLUMNS = Columns(label="label", prediction="prediction")
BESIDE_S = 5.0


def made_up_rows(*, strings: bool) -> pa.Table:
    """Ten groups whose rates differ."""
    draw = np.random.default_rng(2026)
    group = draw.integers(0, GROUPS, ROWS)
    label = draw.random(ROWS) < 0.3 + 0.02 * group
    prediction = draw.random(ROWS) < np.where(label, 0.6, 0.2) + 0.01 * group
    names = pa.array([f"group {number}" for number in range(GROUPS)])
    decisions = {"label": label.astype(np.int64), "prediction": prediction.astype(np.int64)}
    if strings:
        words = pa.array(["no", "yes"])
        decisions = {name: words.take(pa.array(values)) for name, values in decisions.items()}
    return pa.table({"group": names.take(pa.array(group)), **decisions})


def audit(table: pa.Table, *, limits: bool = True) -> NDArray[np.float64]:
    """From Arrow columns to rates, differences and their limits."""
    counts = count_table(table, LAYOUT, COLUMNS, model="made up")
    return by_equiray(counts.table("group"), limits=limits)


def compare(name: str, *, strings: bool, target: float, quick: bool) -> None:
    """Check that both compute the same, measure and report."""
    table = made_up_rows(strings=strings)
    frame = table.to_pandas()
    kinds = ", ".join(f"{column} {kind}" for column, kind in frame.dtypes.items())
    print(f"{name}: {ROWS:,} rows; {kinds}")
    positive = "yes" if strings else 1

    def ours(chosen: range) -> float:
        audit(table)
        return 1.0

    def peer(chosen: range) -> float:
        by_fairlearn(frame, ["group"], positive)
        return 1.0

    agree("rates and differences", audit(table), by_fairlearn(frame, ["group"], positive), 1e-12)
    rates = measure(Side("equiray", ours), Side("Fairlearn", peer), 1, quick=quick, clock=time.process_time)
    for rate in rates:
        print(f"{1e3 * 1 / rate.ours:.1f} ms against {1 / rate.peer:.2f} s of CPU time")
    report(name, rates, unit="times less CPU time", peer=PEER, quick=quick, target=target)
    beside("without limits", lambda: audit(table, limits=False))
    beside("from the pandas data frame, with limits", lambda: audit(from_pandas(frame)))


def from_pandas(frame: pd.DataFrame) -> pa.Table:
    """The data frame's columns as Arrow's."""
    return pa.Table.from_pandas(frame, preserve_index=False)


def beside(what: str, run: Callable[[], object]) -> None:
    """Print the CPU time of something that is not compared."""
    run()
    passes, start = 0, time.process_time()
    while time.process_time() - start < BESIDE_S:
        run()
        passes += 1
    print(f"  {what}: {1e3 * (time.process_time() - start) / passes:.1f} ms of CPU time")


def main() -> None:
    """Measure and report both."""
    quick = start(__doc__ or "")
    compare("metrics_vs_fairlearn", strings=False, target=300, quick=quick)
    compare("metrics_vs_fairlearn_strings", strings=True, target=250, quick=quick)


if __name__ == "__main__":
    sys.exit(main())
