"""A full audit of ACS Income, 332,900 real people, by sex and race together: what does it take, against Fairlearn?

    python benchmarks/acs_income.py [--quick]   # rows from the folder that EQUIRAY_DATA names

Does a person earn more than 50,000 dollars? Predictions are a gradient-boosted classifier's, of rows that it was not
fitted on, written to a Parquet file with the label, SEX and RAC1P as the source has them. Ours reads the file, counts
it and computes every metric of SEX, of RAC1P and of both together, with limits. Fairlearn reads it into pandas and
computes four metrics of each of the three and their differences, without limits. Seconds are CPU time; what the whole
command `equiray audit` takes, start-up and report included, stands beside them.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from fairlearn_rates import DIFFERENCES, PEER, by_equiray, by_fairlearn
from harness import Side, agree, measure, report, start
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import cross_val_predict

from equiray.data.prediction_files import open_files
from equiray.data.sources import DataFile, locate
from equiray.metrics.counting import Attribute, Columns, Layout, count_files
from equiray.metrics.estimates import Estimate
from equiray.metrics.estimation import Labels, Setting, estimates_of
from equiray.metrics.tables import GroupTable

INCOME = DataFile(
    name="ACSIncome.test.parquet",
    mirror_folder="acs",
    sha256=("050a84d27232b70c14992ce996c9cd04fa1c6eccc8e1394760b6de3e01de9fc5",),
)
FEATURES = ["SCHL", "POBP", "OCCP", "RELP", "COW", "MAR", "WKHP", "AGEP"]
ATTRIBUTES = ("SEX", "RAC1P")
LAYOUT = Layout(attributes=tuple(Attribute(name=name) for name in ATTRIBUTES))
COLUMNS = Columns(label="label", prediction="prediction")
SETTING = Setting(labels=Labels(task="income", stage="audit", model="gradient boosting"))


def write_predictions(path: Path) -> int:
    """Predict every row and write what an audit needs; returns the rows."""
    found = locate([(INCOME,)], folder=None, download=False)
    if found is None:
        raise SystemExit(f"ACS Income is not here: set EQUIRAY_DATA to a folder with acs/{INCOME.name}")
    people = pq.read_table(found.paths[0]).to_pandas()
    label = people["PINCP"].astype(np.int64)
    model = HistGradientBoostingClassifier(random_state=0)
    prediction = cross_val_predict(model, people[FEATURES], label, cv=2)
    columns = {name: pa.array(people[name]) for name in ATTRIBUTES}
    pq.write_table(pa.table({**columns, "label": pa.array(label), "prediction": pa.array(prediction)}), path)
    return len(people)


def tables(path: Path) -> list[GroupTable]:
    """Counts of SEX, RAC1P and both."""
    files = open_files([str(path)], COLUMNS.wanted(LAYOUT))
    return list(count_files(files, LAYOUT, COLUMNS, model="gradient boosting").tables(2))


def audit(path: Path) -> list[Estimate]:
    """Every metric with limits."""
    return estimates_of(tables(path), SETTING)


def by_peer(path: Path) -> list[np.ndarray]:
    """Four metrics of the same groups, and their differences."""
    frame = pd.read_parquet(path)
    return [by_fairlearn(frame, attributes) for attributes in (["SEX"], ["RAC1P"], ["SEX", "RAC1P"])]


def check(path: Path) -> None:
    """Both compute the same, wherever we call it estimable."""
    for table, theirs in zip(tables(path), by_peer(path), strict=True):
        ours = by_equiray(table, limits=False)
        known = ~np.isnan(ours)
        where = f"rates and differences of {table.attribute}, {known.sum()} of {known.size} estimable"
        agree(where, ours[known], theirs[known], 1e-12)


def main() -> None:
    """Measure and report."""
    quick = start(__doc__ or "")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "income.parquet"
        rows = write_predictions(path)
        check(path)
        print(f"{rows:,} rows; ours: {len(audit(path))} estimates, Fairlearn: {len(DIFFERENCES)} metrics")

        def ours(chosen: range) -> float:
            audit(path)
            return 1.0

        def peer(chosen: range) -> float:
            by_peer(path)
            return 1.0

        rates = measure(Side("equiray", ours), Side("Fairlearn", peer), 1, quick=quick, clock=time.process_time)
        for rate in rates:
            print(f"{1e3 / rate.ours:.1f} ms against {1 / rate.peer:.2f} s of CPU time")
        for name, run in (("equiray", audit), ("Fairlearn", by_peer)):
            begun = time.perf_counter()
            run(path)
            print(f"  {name}: {time.perf_counter() - begun:.3f} s by the clock")
        begun = time.perf_counter()
        options = ["--label", "label", "--prediction", "prediction", "--attributes", ",".join(ATTRIBUTES)]
        command = [sys.executable, "-m", "equiray", "audit", str(path), *options, "--intersections", "2"]
        subprocess.run([*command, "--out", f"{folder}/audit"], check=True, capture_output=True)
        print(f"  `equiray audit` with start-up and report: {time.perf_counter() - begun:.1f} s by the clock")
    report("acs_income", rates, unit="times less CPU time", peer=f"{PEER}, four metrics", quick=quick)


if __name__ == "__main__":
    sys.exit(main())
