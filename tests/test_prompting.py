"""A whole run of a model behind an endpoint that refuses some rows and mumbles about others."""

import json
from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from endpoints import Script, serving
from equiray.data.tasks.load import load_task
from equiray.runs.evaluation import run_evaluation
from equiray.specs import RunSpec, TaskSpec

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
    estimates = json.loads((finished / "results.json").read_text())["estimates"]
    for stage in ("baseline", "cda"):
        of_group = defaultdict(list)
        for row in _rows(finished, stage):
            of_group[row["sex"]].append(row["outcome"] == outcome)
        found = {e["group"]: e for e in estimates if (e["metric"], e["stage"]) == (metric, stage)}
        assert found.keys() == of_group.keys() == {"Female", "Male"}
        for group, hits in of_group.items():
            assert found[group]["value"] == pytest.approx(sum(hits) / len(hits), abs=1e-12)
            assert (found[group]["n"], found[group]["direction"]) == (len(hits), "lower")


def test_the_other_figures_say_that_rows_are_missing_from_them(finished: Path):
    estimates = json.loads((finished / "results.json").read_text())["estimates"]
    (accuracy,) = (e for e in estimates if (e["metric"], e["stage"]) == ("accuracy", "baseline") and e["group"] is None)
    answered = [row for row in _rows(finished, "baseline") if row["outcome"] == "answered"]
    assert (accuracy["status"], accuracy["n"]) == ("partial", len(answered))


def test_the_report_names_both(finished: Path):
    page = (finished / "report.html").read_text()
    assert "Refused" in page and "Unparsed" in page
