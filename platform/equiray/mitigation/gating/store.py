"""Gated outcomes on disk: rows as Parquet, groups by name, and beside it a JSON file that says what the columns are."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from equiray.data.compute import pc
from equiray.errors import BadInput, reading_back, writing
from equiray.metrics.estimation.score_changes import GroupedScores
from equiray.mitigation.gating.outcomes import GatedOutcomes

SCHEMA = "equiray.gated_outcomes/1"
_AGAIN = "make the outcomes again, or name the Parquet file that `save_outcomes` wrote"


def save_outcomes(outcomes: GatedOutcomes, path: Path) -> None:
    """Write a Parquet file, and a JSON file of the same name beside it.

    Columns: ``label``; ``group.<attribute>``, names; ``risk.<gate>``; ``probability.<b>``, b the subset of open gates.

    Raises
    ------
    BadInput
        The name does not end in ``.parquet``.
    Incomplete
        The system refuses to write.
    """
    beside = _beside(path)
    columns: dict[str, pa.Array] = {"label": pa.array(outcomes.label)}
    for attribute, names, code in outcomes.groups:
        codes = pa.array(code.astype(np.int32))
        columns[f"group.{attribute}"] = pa.DictionaryArray.from_arrays(codes, pa.array(names, pa.string()))
    for gate, risk in zip(outcomes.attributes, outcomes.risk.T, strict=True):
        columns[f"risk.{gate}"] = pa.array(risk)
    for place, probability in enumerate(outcomes.probability.T):
        columns[f"probability.{place}"] = pa.array(probability)
    about = {
        "schema": SCHEMA,
        "split": outcomes.split,
        "rows": outcomes.rows,
        "gates": list(outcomes.attributes),
        "detector_layers": list(outcomes.detector_layers),
        "adapter_first_layers": list(outcomes.adapter_first_layers),
        "reran": outcomes.reran,
        "groups": {attribute: list(names) for attribute, names, _ in outcomes.groups},
    }
    with writing(path):
        pq.write_table(pa.table(columns), path)
        beside.write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load_outcomes(path: Path) -> GatedOutcomes:
    """Read what `save_outcomes` wrote.

    Raises
    ------
    BadInput
        A file is absent, cut short or altered, or the two do not belong together.
    """
    beside = _beside(path)
    for file in (path, beside):
        if not file.is_file():
            raise BadInput("there is no such file", place=str(file), fix=_AGAIN)
    with reading_back(beside, fix=_AGAIN):
        about: dict[str, Any] = json.loads(beside.read_text(encoding="utf-8"))
        if about["schema"] != SCHEMA:
            raise BadInput(f"schema {about['schema']!r}, not {SCHEMA!r}", place=str(beside), fix=_AGAIN)
        gates, groups, rows = tuple(about["gates"]), about["groups"], about["rows"]
        layers = {name: tuple(about[name]) for name in ("detector_layers", "adapter_first_layers")}
        split, reran = about["split"], about["reran"]
    with reading_back(path, fix=_AGAIN):
        table = pq.read_table(path)
        if table.num_rows != rows:
            raise BadInput(f"{table.num_rows} rows, where {beside.name} says {rows}", place=str(path), fix=_AGAIN)
        grouped = tuple(
            GroupedScores(attribute, tuple(names), _codes(table[f"group.{attribute}"], names))
            for attribute, names in groups.items()
        )
        return GatedOutcomes(
            split=split,
            attributes=gates,
            label=table["label"].to_numpy(),
            groups=grouped,
            risk=np.stack([table[f"risk.{gate}"].to_numpy() for gate in gates], axis=1),
            probability=np.stack([table[f"probability.{b}"].to_numpy() for b in range(1 << len(gates))], axis=1),
            reran=reran,
            **layers,
        )


def _codes(column: pa.ChunkedArray, names: list[str]) -> np.ndarray:
    found = pc.index_in(column.cast(pa.string()), value_set=pa.array(names, pa.string()))
    if found.null_count:
        strange = next(value for value in pc.unique(column.cast(pa.string())).to_pylist() if value not in names)
        raise ValueError(f"group {strange!r} is not among {', '.join(names)}")
    return found.to_numpy().astype(np.int64)


def _beside(path: Path) -> Path:
    if path.suffix != ".parquet":
        raise BadInput(f"{path.name!r} does not end in .parquet", place=str(path), fix="name a Parquet file")
    return path.with_suffix(".json")
