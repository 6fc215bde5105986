"""Made-up decisions about people: what the benchmarks of counting run on, as rows in memory or as a Parquet file.

Three sensitive attributes (2 x 5 x 5 groups), and a label and a prediction that depend on them and on each other: 200
cells.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

ATTRIBUTES = {
    "sex": ("female", "male"),
    "race": ("asian", "black", "latino", "other", "white"),
    "age": ("18-29", "30-44", "45-59", "60-74", "75 and more"),
}
ROW_GROUP = 1_000_000


def decisions(first: int, count: int) -> pa.Table:
    """Rows `first` and following, the same whoever asks: attributes as dictionaries, label and prediction int64."""
    draw = np.random.default_rng([2026, first])
    codes = {name: draw.integers(0, len(groups), count, dtype=np.int8) for name, groups in ATTRIBUTES.items()}
    qualified = 0.3 + 0.03 * codes["race"] + 0.05 * codes["sex"] + 0.02 * codes["age"]
    label = draw.random(count, np.float32) < qualified
    prediction = draw.random(count, np.float32) < np.where(label, 0.65, 0.2) + 0.02 * codes["race"]
    columns: dict[str, pa.Array] = {
        name: pa.DictionaryArray.from_arrays(pa.array(codes[name].astype(np.int32)), pa.array(groups))
        for name, groups in ATTRIBUTES.items()
    }
    return pa.table(columns | {"label": label.astype(np.int64), "prediction": prediction.astype(np.int64)})


def combined(rows: pa.RecordBatch) -> NDArray[np.int64]:
    """Each row's cell, 0 to 199: attributes in their order, then label, then prediction."""
    key = np.zeros(len(rows), np.int64)
    for name, groups in ATTRIBUTES.items():
        key = key * len(groups) + rows.column(name).indices.to_numpy()
    for name in ("label", "prediction"):
        key = key * 2 + rows.column(name).to_numpy()
    return key


def write_decisions(path: Path, count: int) -> None:
    """Write a Parquet file of them, as pyarrow does unless told otherwise, a million rows a row group."""
    with pq.ParquetWriter(path, decisions(0, 1).schema) as writer:
        for first in range(0, count, ROW_GROUP):
            writer.write_table(decisions(first, min(ROW_GROUP, count - first)))
