"""The example of docs/contracts/results.json is what the code says about the rows it was made of."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from scipy.stats import norm

from contract_results import example, invented, printed
from equiray.reports.run_directory import ResultsFile

CONTRACT = Path(__file__).parents[1] / "docs" / "contracts" / "results.json"


def test_the_example_is_what_the_code_makes():
    document = json.loads(CONTRACT.read_text())
    assert document == json.loads(printed(example()))
    statuses = {e.status for e in ResultsFile.model_validate(document).estimates}
    assert statuses == {"estimated", "not_estimable", "partial"}


def test_its_figures_are_those_of_the_rows():
    document, rows = json.loads(CONTRACT.read_text()), {name: table.to_pandas() for name, table in invented().items()}
    found = {(e["stage"], e["metric"], e["attribute"], e["group"]): e for e in document["estimates"]}
    gaps, right = {}, {}
    for stage, frame in rows.items():
        rates = frame.groupby("sex")["prediction"].mean()
        gaps[stage], right[stage] = rates.max() - rates.min(), (frame["prediction"] == frame["label"]).mean()
        dp = found[stage, "demographic_parity_difference", "sex", None]
        assert (dp["value"], dp["n"]) == (pytest.approx(gaps[stage], abs=1e-6), len(frame))
    change = found["cda-baseline", "demographic_parity_difference", "sex", None]
    assert change["value"] == pytest.approx(gaps["cda"] - gaps["baseline"], abs=2e-6)
    assert found["cda-baseline", "accuracy", None, None]["value"] == pytest.approx(
        right["cda"] - right["baseline"], abs=2e-6
    )
    unknown = rows["baseline"][rows["baseline"]["region"].isna()]
    missing = found["baseline", "selection_rate", "region", "(missing)"]
    assert (missing["value"], missing["n"]) == (pytest.approx(unknown["prediction"].mean(), abs=1e-6), len(unknown))
    islands = rows["baseline"][rows["baseline"]["region"] == "islands"]
    assert found["baseline", "tpr", "region", "islands"]["n"] == int(islands["label"].sum()) == 0
    assert pd.notna(found["baseline", "demographic_parity_difference", "region", None]["high"])


def test_the_rows_needed_follow_from_the_figures_that_are_shown():
    """n (h / d)^2 ((z + z_.8) / z)^2, by hand, to what six decimals of the limits allow."""
    (verdict,) = (v for v in json.loads(CONTRACT.read_text())["verdicts"] if v["verdict"] == "INCONCLUSIVE")
    assert verdict["low"] < verdict["bound"] < verdict["value"]
    z = norm.isf(verdict["alpha"] / verdict["family_size"] / 2)
    ratio = (verdict["value"] - verdict["low"]) / (verdict["value"] - verdict["bound"]) * (z + norm.ppf(0.8)) / z
    assert verdict["n_needed"] == pytest.approx(math.ceil(verdict["n"] * ratio**2), abs=1)
    assert f"{verdict['n_needed'] - verdict['n']:,} more rows would decide" in verdict["reason"]
