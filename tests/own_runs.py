"""A run on an invented table: sensitive values that are missing, and a group that only the training split has."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

SCHEMA = """
schema: equiray.table/1
title: Invented people
features:
  - {name: income, label: income, kind: numeric}
  - {name: sex, label: sex, kind: categorical}
label: {column: paid, values: ['no', 'yes'], positive: 'yes'}
question: Does this person pay? Yes or no?
sensitive:
  - {name: sex, column: sex}
  - name: region
    column: region
    groups: {n: north, s: south, i: islands}
flips:
  - attribute: sex
    swaps: {sex: {female: male, male: female}}
split: split
"""


def rows(n: int = 900, seed: int = 0, *, islands: bool = True) -> dict[str, list[Any]]:
    """Men pay more often; a tenth of the regions is missing; `islands` are in the training split alone, if at all."""
    rng = np.random.default_rng(seed)
    split = rng.choice(["train", "validation", "test"], n, p=[0.4, 0.2, 0.4])
    sex, income = rng.choice(["female", "male"], n), rng.normal(2, 1, n)
    region = rng.choice(np.array(["n", "s"], object), n)
    region[(split == "train") & (rng.random(n) < 0.1) & islands] = "i"
    region[rng.random(n) < 0.1] = None
    paid = rng.random(n) < 1 / (1 + np.exp(2 - income - (sex == "male")))
    columns = {"income": income.round(3), "sex": sex, "region": region, "split": split}
    return {name: values.tolist() for name, values in columns.items()} | {"paid": np.where(paid, "yes", "no").tolist()}


def own_task(folder: Path, *, islands: bool = True) -> dict[str, Any]:
    """The task of a spec, its files written."""
    pq.write_table(pa.table(rows(islands=islands)), folder / "people.parquet")
    (folder / "schema.yaml").write_text(SCHEMA if islands else SCHEMA.replace(", i: islands", ""))
    return {
        "name": "people",
        "path": str(folder / "people.parquet"),
        "table_schema": str(folder / "schema.yaml"),
        "attributes": ["sex", "region", "sex*region"],
    }


def own_spec(folder: Path, **changes: Any) -> dict[str, Any]:
    """The spec of a run on raw columns alone, which takes a second."""
    document = {"schema": "equiray.run/1", "name": "own", "models": ["raw"], "stages": ["baseline", "cda"]}
    tasks = changes.pop("tasks", None) or [own_task(folder)]
    return document | {"tasks": tasks, "intrinsic": None} | changes


def write_spec(folder: Path, **changes: Any) -> Path:
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(own_spec(folder, **changes)))
    return path
