"""A whole run of a model behind an endpoint that refuses some rows and mumbles about others."""

import json
from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from endpoints import Script, serving
from equiray.data.tasks.load import load_task
from equiray.runs.evaluation import run_evaluation
from equiray.specs.run import RunSpec, TaskSpec

TASK = {"name": "german", "rows": 300, "attributes": ["sex"]}


def say(prompt: str) -> str:
    """Refuses women who want a new car, mumbles about radios, else decides by housing; the flip moves only sex."""
    if "The sex is Female" in prompt and "The purpose is new car" in prompt:
        return "I'm sorry, I cannot judge people."
    if "The purpose is radio or television" in prompt:
        return "It depends."
    yes = "A" if "A. Yes" in prompt else "B"
    return yes if "The housing is owned" in prompt else {"A": "B", "B": "A"}[yes]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "out"
    with serving(Script(say)) as url:
        document = {
            "schema": "equiray.run/1",
            "name": "refusing",
            "tasks": [TASK],
            "models": ["prompt"],
            "stages": ["baseline", "cda"],
            "language_model": {"source": url, "name": "script", "prompt_logprobs": False},
            "serialization": {"max_tokens": 1000},
            "statistics": {"replicates": 100},
        }
        run_evaluation(RunSpec.model_validate(document), out, command="equiray run spec.yaml --out out")
    return out


def _rows(out: Path, stage: str) -> list[dict]:
    return pq.read_table(out / "predictions" / f"german.prompt.{stage}.parquet").to_pylist()


def test_each_row_says_whether_it_was_answered_refused_or_not_understood(finished: Path):
    people = {row["row_id"]: row for row in load_task(TaskSpec.model_validate(TASK), seed=0).table.to_pylist()}
    for stage in ("baseline", "cda"):
        found = set()
        for row in _rows(finished, stage):
            person = people[row["row_id"]]
            outcome, decision = "answered", int(person["housing"] == "owned")
            if person["purpose"] == "radio or television":
                outcome, decision = "unparsed", None
            # with CDA every man has a twin who is a woman
            elif person["purpose"] == "new car" and (person["sex"] == "Female" or stage == "cda"):
                outcome, decision = "refused", None
            assert (row["outcome"], row["prediction"]) == (outcome, decision)
            assert (row["score"] is None) == (outcome != "answered")
            found.add(outcome)
        assert found == {"answered", "refused", "unparsed"}


@pytest.mark.parametrize(("metric", "outcome"), [("refusal_rate", "refused"), ("parse_failure_rate", "unparsed")])
def test_refusals_and_parse_failures_are_counted_apart_in_each_group(finished: Path, metric: str, outcome: str):
    for stage in ("baseline", "cda"):
        of_group = defaultdict(list)
        for row in _rows(finished, stage):
            of_group[row["sex"]].append(row["outcome"] == outcome)
        found = {group: e for (of, _, group), e in _estimates(finished, stage).items() if of == metric and group}
        assert found.keys() == of_group.keys() == {"Female", "Male"}
        for group, hits in of_group.items():
            assert found[group]["value"] == pytest.approx(sum(hits) / len(hits), abs=1e-12)
            assert (found[group]["n"], found[group]["direction"]) == (len(hits), "lower")


def _estimates(out: Path, stage: str) -> dict[tuple, dict]:
    estimates = json.loads((out / "results.json").read_text())["estimates"]
    found = {(e["metric"], e["attribute"], e["group"]): e for e in estimates if e["stage"] == stage}
    assert len(found) == sum(e["stage"] == stage for e in estimates)
    return found


def test_figures_over_the_others_are_partial_and_bounded_by_any_decision(finished: Path):
    rows, found = _rows(finished, "baseline"), _estimates(finished, "baseline")
    answered = [row for row in rows if row["outcome"] == "answered"]
    accuracy = found["accuracy", None, None]
    assert (accuracy["status"], accuracy["n"]) == ("partial", len(answered))
    ends = {}
    for sex in ("Female", "Male"):
        mine = [row for row in rows if row["sex"] == sex]
        chosen, unknown = (sum(row["prediction"] == what for row in mine) for what in (1, None))
        rate = found["selection_rate", "sex", sex]
        assert (rate["status"], rate["n"]) == ("partial", len(mine) - unknown)
        assert rate["value"] == pytest.approx(chosen / (len(mine) - unknown), abs=1e-12)
        ends[sex] = (chosen / len(mine), (chosen + unknown) / len(mine))
        assert rate["low"] < ends[sex][0] and ends[sex][1] < rate["high"]
    widest = max(ends["Female"][1] - ends["Male"][0], ends["Male"][1] - ends["Female"][0])
    gap = found["demographic_parity_difference", "sex", None]
    assert gap["status"] == "partial" and gap["low"] <= gap["value"] <= widest < gap["high"]


def test_changes_are_bounded_by_any_decision_too(finished: Path):
    before, after = _rows(finished, "baseline"), _rows(finished, "cda")
    both = [(b, a) for b, a in zip(before, after, strict=True) if None not in (b["prediction"], a["prediction"])]
    change = _estimates(finished, "cda-baseline")["accuracy", None, None]
    right = [sum(row["prediction"] == row["label"] for row in of) for of in zip(*both, strict=True)]
    assert (change["status"], change["n"]) == ("partial", len(both))
    assert change["value"] == pytest.approx((right[1] - right[0]) / len(both), abs=1e-12)
    # had every row without an answer been decided wrongly before and rightly after
    gained = sum(
        b["prediction"] in (None, 1 - b["label"]) and a["prediction"] in (None, a["label"])
        for b, a in zip(before, after, strict=True)
    )
    lost = sum(
        b["prediction"] in (None, b["label"]) and a["prediction"] in (None, 1 - a["label"])
        for b, a in zip(before, after, strict=True)
    )
    assert change["low"] < -lost / len(before) and gained / len(before) < change["high"]


def test_the_report_names_both(finished: Path):
    page = (finished / "report.html").read_text()
    assert "Refused" in page and "Unparsed" in page
    unanswered = sum(row["prediction"] is None for row in _rows(finished, "cda"))
    assert f"{unanswered} rows of Language model, prompted, CDA have no prediction." in page
