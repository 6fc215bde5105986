"""docs/contracts/live_fairness.json is what a monitor says of a simulated stream, and its figures are the rows'."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from monitor_cases import example, example_records

CONTRACT = Path(__file__).parents[1] / "docs" / "contracts" / "live_fairness.json"


def rounded(value: Any) -> Any:
    """Six figures: the last bits of a sum depend on the machine."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def test_the_example_is_what_the_code_makes() -> None:
    document = json.loads(CONTRACT.read_text())
    assert document == rounded(example())
    (version,) = document["versions"]
    assert {one["verdict"] for one in version["series"]} == {"PASS", "FAIL", "INCONCLUSIVE"}
    statuses = {rate["status"] for a in version["attributes"] for group in a["groups"] for rate in group["rates"]}
    assert statuses == {"estimated", "partial", "bounds"}
    assert "imulated" in document["policy"]["name"] and "nobody" in document["policy"]["about"]


def test_its_figures_are_those_of_the_rows() -> None:
    (version,) = json.loads(CONTRACT.read_text())["versions"]
    rows: Counter[tuple[str, int | None]] = Counter()
    labels: Counter[str] = Counter()
    for record in example_records():
        if record.kind == "decision":
            for one, who in zip(record.body["decisions"], record.payload["attributes"], strict=True):
                rows[(who or {}).get("sex", "(missing)"), one["decision"]] += 1
        else:
            labels["outcomes"] += len(record.body["outcomes"])
    assert (version["decisions"], version["outcomes"]) == (rows.total(), labels["outcomes"])
    rate = {group: rows[group, 1] / (rows[group, 1] + rows[group, 0]) for group in ("f", "m")}
    gap, _, refusals = version["series"]
    assert gap["value"] == pytest.approx(rate["f"] - rate["m"], abs=1e-6)
    assert refusals["value"] == pytest.approx(sum(n for (_, made), n in rows.items() if made is None) / 2400, abs=1e-6)
    (by_sex,) = (one for one in version["attributes"] if one["attribute"] == "sex")
    assert [(one["group"], one["n"], one["compared"]) for one in by_sex["groups"]][-1] == (
        "(missing)", sum(n for (group, _), n in rows.items() if group == "(missing)"), False,
    )  # fmt: skip
    assert sum(one["decided"] for one in version["minutes"]) == 2400
    assert gap["alarm"]["e_value"] >= gap["e_needed"] == pytest.approx(1 / gap["alpha"])
