"""The figures of a run: every metric that its predictions allow, from the counts of its test rows."""

import json
import re
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from equiray.errors import BadInput
from equiray.metrics.catalogue import METRICS
from equiray.metrics.counting import Counts
from equiray.metrics.tables import MISSING
from equiray.reports.figures import TABLE_METRICS
from equiray.reports.words import number
from equiray.runs.audit import run_audit
from equiray.runs.audit_spec import AuditSpec
from equiray.runs.evaluation import run_evaluation
from equiray.runs.gate import Chosen, read_evidence
from equiray.specs.run import RunSpec
from own_runs import own_spec, own_task
from test_report import Page

COMMAND = "equiray run spec.yaml --out out"
CELLS = [("raw", "baseline"), ("raw", "cda"), ("raw_unaware", "baseline")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    run_evaluation(RunSpec.model_validate(own_spec(folder)), folder / "out", command=COMMAND)
    return folder / "out"


def estimates(out: Path, model: str, stage: str) -> dict[tuple, dict]:
    found = [e for e in json.loads((out / "results.json").read_text())["estimates"] if e["task"] == "people"]
    mine = [e for e in found if (e["model"], e["stage"]) == (model, stage)]
    by_key = {(e["metric"], e["attribute"], e["group"]): e for e in mine}
    assert len(by_key) == len(mine) > 0
    return by_key


def decided_rows(out: Path, model: str, stage: str) -> pd.DataFrame:
    frame = pq.read_table(out / "predictions" / f"people.{model}.{stage}.parquet").to_pandas()
    return frame[frame["split"] == "test"]


@pytest.mark.parametrize(("model", "stage"), CELLS)
def test_an_audit_of_the_same_predictions_says_the_same(finished: Path, tmp_path: Path, model: str, stage: str):
    rows = decided_rows(finished, model, stage)
    rows.to_parquet(tmp_path / "rows.parquet", index=False)
    spec = AuditSpec(
        files=(str(tmp_path / "rows.parquet"),),
        label="label",
        prediction="prediction",
        score="score",
        outcome="outcome",
        attributes=("sex", "region"),
        intersections=2,
    )
    run_audit(spec, tmp_path / "out", command="equiray audit")
    audited = json.loads((tmp_path / "out" / "results.json").read_text())["estimates"]
    ours = estimates(finished, model, stage)
    shared = ("value", "low", "high", "confidence", "n", "status", "direction")
    compared = 0
    for e in audited:
        mine = ours[e["metric"], e["attribute"], e["group"]]
        same_groups = e["attribute"] in (None, "sex")  # of region a run knows the islands too
        if same_groups or METRICS[e["metric"]].scope == "group":
            assert {key: mine[key] for key in shared} == {key: e[key] for key in shared}
            compared += 1
    assert compared > 100


def test_every_metric_of_decisions_and_scores_is_exported(finished: Path):
    wanted = {name for name, metric in METRICS.items() if metric.reads in ("mass", "scores", "score_sums")}
    for model, stage in CELLS:
        assert {metric for metric, _, _ in estimates(finished, model, stage)} == wanted
    changed = {metric for metric, _, _ in estimates(finished, "raw", "cda-baseline")}
    of_decisions = {name for name in wanted if METRICS[name].reads == "mass"} - {"impact_ratio"}
    assert changed == of_decisions | {"auc", "brier", "mean_score"}


def test_missing_values_are_a_group_and_bound_what_compares_the_others(finished: Path, tmp_path: Path):
    rows, found = decided_rows(finished, "raw", "baseline"), estimates(finished, "raw", "baseline")
    unknown = rows[rows["region"].isna()]
    rate = found["selection_rate", "region", MISSING]
    assert (rate["n"], rate["status"]) == (len(unknown), "estimated") and len(unknown) > 20
    assert rate["value"] == pytest.approx(unknown["prediction"].mean(), abs=1e-12)
    assert found["demographic_parity_difference", "sex", None]["status"] == "estimated"
    two = own_task(tmp_path, islands=False)  # every group has test rows
    run_evaluation(RunSpec.model_validate(own_spec(tmp_path, tasks=[two])), tmp_path / "out", command=COMMAND)
    out = tmp_path / "out"
    rows, found = decided_rows(out, "raw", "baseline"), estimates(out, "raw", "baseline")
    known, missing = rows.dropna(subset="region"), rows[rows["region"].isna()]
    gap = found["demographic_parity_difference", "region", None]
    rates = known.groupby("region")["prediction"].mean()
    assert (gap["status"], gap["n"]) == ("partial", len(known))
    assert gap["value"] == pytest.approx(rates.max() - rates.min(), abs=1e-12)
    ends = {}
    for region, mine in known.groupby("region"):
        chosen, others = mine["prediction"].sum(), (1 - mine["prediction"]).sum()
        joining = missing["prediction"].sum(), (1 - missing["prediction"]).sum()
        ends[region] = chosen / (chosen + others + joining[1]), (chosen + joining[0]) / (chosen + joining[0] + others)
    assert gap["high"] > max(ends["north"][1] - ends["south"][0], ends["south"][1] - ends["north"][0])


def test_a_group_without_a_test_row_is_listed_and_nothing_is_claimed_of_the_attribute(finished: Path):
    for stage in ("baseline", "cda-baseline"):
        found = estimates(finished, "raw", stage)
        for attribute, group in (("region", "islands"), ("sex*region", "female*islands")):
            rate = found["selection_rate", attribute, group]
            assert (rate["value"], rate["low"], rate["n"], rate["status"]) == (None, None, 0, "not_estimable")
            assert found["demographic_parity_difference", attribute, None]["status"] == "not_estimable"
    names = {group for _, attribute, group in found if attribute == "sex*region"} - {None, MISSING}
    assert names == {f"{sex}*{region}" for sex in ("female", "male") for region in ("north", "south", "islands")}


def test_effects_are_after_minus_before_on_the_same_rows(finished: Path):
    before, after = (decided_rows(finished, "raw", stage) for stage in ("baseline", "cda"))
    assert before["row_id"].tolist() == after["row_id"].tolist()
    effects = estimates(finished, "raw", "cda-baseline")
    apart = [rows.groupby("sex")["prediction"].mean() for rows in (before, after)]
    gap = effects["demographic_parity_difference", "sex", None]
    assert gap["value"] == pytest.approx(
        (apart[1].max() - apart[1].min()) - (apart[0].max() - apart[0].min()), abs=1e-12
    )
    assert gap["low"] <= gap["value"] <= gap["high"] and gap["n"] == len(before)
    right = [(rows["prediction"] == rows["label"]).mean() for rows in (before, after)]
    accuracy = effects["accuracy", None, None]
    assert accuracy["value"] == pytest.approx(right[1] - right[0], abs=1e-12)
    ranked = [roc_auc_score(rows["label"], rows["score"]) for rows in (before, after)]
    assert effects["auc", None, None]["value"] == pytest.approx(ranked[1] - ranked[0], abs=1e-12)
    unknown = [rows[rows["region"].isna()]["score"].mean() for rows in (before, after)]
    assert effects["mean_score", "region", MISSING]["value"] == pytest.approx(unknown[1] - unknown[0], abs=1e-12)
    assert effects["tpr", "sex", "female"]["n"] == ((before["sex"] == "female") & (before["label"] == 1)).sum()


def test_counts_are_kept_and_gate_reads_them_at_any_confidence(finished: Path):
    for subject, evidence in read_evidence(finished, Chosen()).items():
        counts = Counts.load(finished / "counts" / f"people.{subject.model}.{subject.stage}.parquet")
        assert counts.rows == len(decided_rows(finished, subject.model, subject.stage))
        ours = estimates(finished, subject.model, subject.stage)
        for e in evidence.estimates:
            assert e.to_json() == ours[e.metric, e.attribute, e.group]
        gap = evidence.find("demographic_parity_difference", "sex", None)
        assert gap is not None and gap.high is not None
        assert evidence.limits(gap, 0.999)[1] > gap.high
    assert len(read_evidence(finished, Chosen())) == len(CELLS)


def test_gate_names_counts_that_results_were_not_made_of(finished: Path, tmp_path: Path):
    results = json.loads((finished / "results.json").read_text())
    results["estimates"] = [e for e in results["estimates"] if e["group"] != "north"]
    (tmp_path / "results.json").write_text(json.dumps(results))
    (tmp_path / "counts").symlink_to(finished / "counts")
    with pytest.raises(BadInput, match=r"groups \['north'\] of region") as caught:
        read_evidence(tmp_path, Chosen())
    assert "people.raw.baseline.parquet" in caught.value.place


def test_the_page_shows_the_headlines_and_folds_the_rest(finished: Path):
    page = (finished / "report.html").read_text()
    shown = re.sub("[▲▼]", "", Page(page).text)
    folded = 0
    for e in json.loads((finished / "results.json").read_text())["estimates"]:
        compares = e["group"] is None and e["metric"] not in ("refusal_rate", "parse_failure_rate")
        headline = e["group"] is not None and e["metric"] in ("selection_rate", "tpr", "fpr", "ppv", "accuracy")
        if e["value"] is not None and (compares or headline):
            value, low, high = (number(e[key]) for key in ("value", "low", "high"))
            assert f"{value} [{low}, {high}]" in shown, e
            folded += e["metric"] not in TABLE_METRICS
    # all rows, three tables an attribute, the spec, and the attributes after the first
    assert folded > 200 and page.count("<details") == 1 + 3 * 3 + 1 + 2
    assert "Of each group, results.json also holds: True-negative rate, False-negative rate, Refusal rate" in shown
    assert "Refused" not in shown  # nobody was
    details = json.loads((finished / "details.json").read_text())["tasks"]["people"]
    alike = details["at_equality_of"]["raw.baseline"]["sex"]["demographic_parity_difference"]
    assert 0 < alike < 0.1 and f"alike {alike:.3f}" in shown
    missing = decided_rows(finished, "raw", "baseline")["region"].isna().sum()
    assert f"Of {missing} rows region is not known." in shown


def test_predictions_of_earlier_versions_without_an_outcome_were_answered(finished: Path, tmp_path: Path):
    folder = finished.parent
    old = tmp_path / "old"
    spec = RunSpec.model_validate(own_spec(folder))
    run_evaluation(spec, old, command=COMMAND)
    new = json.loads((old / "results.json").read_text())
    for file in (old / "predictions").iterdir():
        table = pq.read_table(file)
        pq.write_table(table.drop_columns("outcome"), file)
    run_evaluation(spec, old, command=COMMAND)
    assert json.loads((old / "results.json").read_text())["estimates"] == new["estimates"]


def test_predictions_of_other_rows_are_refused(finished: Path, tmp_path: Path):
    spec, out = RunSpec.model_validate(own_spec(finished.parent)), tmp_path / "out"
    run_evaluation(spec, out, command=COMMAND)
    file = out / "predictions" / "people.raw.cda.parquet"
    table = pq.read_table(file)
    pq.write_table(table.slice(1), file)
    with pytest.raises(BadInput, match="not about the same rows") as caught:
        run_evaluation(spec, out, command=COMMAND)
    assert "people.raw.cda.parquet" in caught.value.place and "remove both" in caught.value.fix


@pytest.mark.parametrize(
    ("attributes", "named"),
    [(["sex*sex"], "names no attribute, or one twice"), (["sex*shoe"], "'shoe' is not declared")],
)
def test_attributes_that_cannot_be_counted_are_named_before_compute(tmp_path: Path, attributes: list[str], named: str):
    task = own_task(tmp_path) | {"attributes": attributes}
    with pytest.raises(BadInput, match=named):
        run_evaluation(RunSpec.model_validate(own_spec(tmp_path, tasks=[task])), tmp_path / "out", command=COMMAND)
    assert not (tmp_path / "out").exists()
