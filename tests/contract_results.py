"""The example of docs/contracts/results.json, made of invented rows by the code that makes real ones.

python tests/contract_results.py > docs/contracts/results.json
"""

import json
from typing import Any

import numpy as np
import pyarrow as pa

from equiray.metrics.counting import Attribute, Columns, Layout, count_table
from equiray.metrics.estimates import Estimate
from equiray.metrics.estimation import CountedEvidence, Labels, Setting, changes_of
from equiray.metrics.tables import JointTable, Mass
from equiray.policies import NamedPolicy, Policy, Subject, apply_policy

POLICY = {
    "schema": "equiray.policy/1",
    "rules": [{"metric": "demographic_parity_difference", "attribute": "sex", "max": 0.1}],
}
GROUPS = {"sex": ("female", "male"), "region": ("north", "south", "islands")}
_LAYOUT = Layout(
    attributes=tuple(Attribute(name=name, groups=groups) for name, groups in GROUPS.items()),
    classes=("0", "1"),
    scores=True,
)
_COLUMNS = Columns(label="label", prediction="prediction", score="score")

# what the example shows: levels at both stages, a paired change, a group of missing values and what it leaves open,
# and a group of three rows without a positive
_SHOWN = {
    ("baseline", "accuracy", None, None),
    ("cda", "accuracy", None, None),
    ("cda-baseline", "accuracy", None, None),
    ("baseline", "auc", None, None),
    ("baseline", "selection_rate", "sex", "female"),
    ("baseline", "selection_rate", "sex", "male"),
    ("baseline", "demographic_parity_difference", "sex", None),
    ("cda", "demographic_parity_difference", "sex", None),
    ("cda-baseline", "demographic_parity_difference", "sex", None),
    ("baseline", "disparate_impact_ratio", "sex", None),
    ("baseline", "worst_group_accuracy_cells", "sex", None),
    ("baseline", "selection_rate", "region", "(missing)"),
    ("baseline", "demographic_parity_difference", "region", None),
    ("baseline", "tpr", "region", "islands"),
    ("baseline", "equal_opportunity_difference", "region", None),
}
_INTRINSIC = {"task": "equiray", "stage": "baseline", "model": "example-lm", "attribute": "gender", "confidence": 0.95}
_INTRINSIC_ESTIMATES = [
    {"metric": "intrinsic_gap_signed", "group": None, "value": 0.08, "low": 0.02, "high": 0.14, "n": 120}
    | {"status": "estimated", "direction": "zero"},
    {"metric": "par", "group": "women", "value": 0.56, "low": 0.5, "high": 0.62, "n": 60}
    | {"status": "estimated", "direction": "half"},
]


def invented() -> dict[str, pa.Table]:
    """300 test rows at two stages: women are selected less often, CDA changes some decisions."""
    rng, n = np.random.default_rng(4), 300
    sex = rng.choice(["female", "male"], n, p=[0.3, 0.7])
    region = rng.choice(np.array(["north", "south"], object), n)
    label = rng.integers(0, 2, n)
    region[np.flatnonzero(label == 0)[:3]] = "islands"
    region[-12:] = None
    noise = rng.normal(0, 0.18, n)
    tables = {}
    for stage, shift in (("baseline", 0.16), ("cda", 0.1)):
        score = np.clip(0.38 + 0.2 * label + shift * (sex == "male") + noise, 0, 1).round(2)
        decided = {"label": label, "score": score, "prediction": (score > 0.5).astype(int)}
        tables[stage] = pa.table(decided | {"sex": sex.tolist(), "region": region.tolist()})
    return tables


def evidence(stage: str, rows: pa.Table) -> CountedEvidence:
    counts = count_table(rows, _LAYOUT, _COLUMNS, model="raw")
    labels = Labels("example", stage, "raw")
    return CountedEvidence(tables=list(counts.tables()), setting=Setting(labels=labels))


def changes(before: pa.Table, after: pa.Table) -> list[Estimate]:
    """Counted row by row."""
    tables = []
    for attribute, groups in GROUPS.items():
        names = (*groups, *(["(missing)"] if after[attribute].null_count else []))
        count = np.zeros((len(names), 2, 4, 4), np.int64)
        for one, other in zip(before.to_pylist(), after.to_pylist(), strict=True):
            place = names.index(other[attribute] or "(missing)")
            count[place, other["label"], one["prediction"], other["prediction"]] += 1
        tables.append(JointTable(attribute=attribute, groups=names, classes=("0", "1"), mass=Mass(count)))
    return changes_of(tables, Setting(labels=Labels("example", "cda-baseline", "raw")))


def example() -> dict[str, Any]:
    rows = invented()
    found = {Subject("example", stage, "raw"): evidence(stage, table) for stage, table in rows.items()}
    estimates = [e for one in found.values() for e in one.estimates] + changes(rows["baseline"], rows["cda"])
    policy = NamedPolicy(name="limits", place="limits.yaml", policy=Policy.model_validate(POLICY))
    shown = [e.to_json() for e in estimates if (e.stage, e.metric, e.attribute, e.group) in _SHOWN]
    keys = list(shown[0])
    intrinsic = [{key: (_INTRINSIC | each)[key] for key in keys} for each in _INTRINSIC_ESTIMATES]
    return {
        "schema": "equiray.results/1",
        "spec_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "task": ["example"],
        "n_rows": {"example": 1000},
        "estimates": [*map(_rounded, shown), *intrinsic],
        "verdicts": [_rounded(v.to_json()) for v in apply_policy(policy, found).verdicts],
    }


def _rounded(record: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 6) if isinstance(value, float) else value for key, value in record.items()}


def printed(document: dict[str, Any]) -> str:
    """A record a line."""
    lists = {name: document.pop(name) for name in ("estimates", "verdicts")}
    head = json.dumps(document, indent=1)[:-2]
    for name, records in lists.items():
        lines = ",\n".join("  " + json.dumps(record, ensure_ascii=False) for record in records)
        head += f',\n "{name}": [\n{lines}\n ]'
    return head + "\n}"


if __name__ == "__main__":
    print(printed(example()))
