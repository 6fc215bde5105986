"""Frontiers of audits and runs: chosen on some rows, read on others, and shown beside what was audited."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from equiray.errors import BadInput
from equiray.metrics.counting import Attribute, Columns, Layout
from equiray.metrics.counting.stream import count_table
from equiray.metrics.estimation import Labels
from equiray.metrics.frontiers import FRONTIER_METRICS, Split, read_frontier, threshold_frontier
from equiray.metrics.frontiers.halves import CHOOSING, READING, halves
from equiray.metrics.tables import GroupTable
from equiray.reports.frontier_figures import FrontierRecord, FrontiersFile
from equiray.runs.frontiers import MOST_GROUPS, frontiers_of, frontiers_of_predictions, halved_frontiers_of
from score_tables import scored_rows, split_of
from test_audit import OPTIONS, audit, found, people, written

__all__ = ["audit"]  # a fixture

ROOT = Path(__file__).parent.parent
DP = "demographic_parity_difference"
LABELS = Labels(task="t", stage="audit", model="m")


def frontiers(directory: Path) -> list[FrontierRecord]:
    return FrontiersFile.model_validate_json((directory / "frontiers.json").read_bytes()).frontiers


def test_the_contract_is_read():
    document = (ROOT / "docs/contracts/frontiers.json").read_text(encoding="utf-8")
    records = FrontiersFile.model_validate_json(document).frontiers
    assert [record.reading.kind for record in records] == ["thresholds", "randomised"]
    assert records[0].reading.points[0].rule[0][0].threshold == np.inf
    with pytest.raises(ValueError, match="promised"):
        FrontiersFile.model_validate_json(document.replace('"read_on"', '"promised"'))


def test_halves_hold_every_row_once_and_half_of_every_group_and_label():
    table = split_of(scored_rows(3, 401, 3, 1), "all").table
    one, other = halves(table, seed=4)
    assert (one.name, other.name) == (CHOOSING, READING)
    np.testing.assert_array_equal(one.scores.count + other.scores.count, table.scores.count)
    np.testing.assert_array_equal(one.scores.count.sum(-1), table.scores.count.sum(-1) // 2)
    assert halves(table, seed=4)[0].fingerprint == one.fingerprint != halves(table, seed=5)[0].fingerprint
    with pytest.raises(BadInput, match="no scores"):
        halves(GroupTable(attribute="sex", groups=("f", "m"), classes=("0", "1")), 0)


def test_a_frontier_promises_more_than_it_keeps_where_nobody_set_rows_aside():
    table = split_of(scored_rows(5, 500, 4), "all").table
    promised, kept = [], []
    for seed in range(20):
        choice, read = halves(table, seed)
        point = read_frontier(threshold_frontier(choice, DP), read).points[-1]
        promised.append(point.on_choice.accuracy)
        kept.append(point.on_read.accuracy)
    assert np.mean(promised) > np.mean(kept) + 0.01


def test_weights_of_a_half_are_a_share_of_the_whole():
    weights = np.random.default_rng(1).uniform(0.5, 2, 300)
    table = split_of(scored_rows(6, 300, 2, 1), "all", weights=weights).table
    one, other = halves(table, seed=1)
    np.testing.assert_allclose(one.scores.weight + other.scores.weight, table.scores.weight, rtol=1e-12)
    mean = table.scores.weight / np.maximum(table.scores.count, 1)
    np.testing.assert_allclose(one.scores.weight, mean * one.scores.count, rtol=1e-12)
    squared = replace(table, scores=table.scores._replace(weight_squared=table.scores.weight * 2))
    parts = halves(squared, seed=1)
    np.testing.assert_allclose(parts[0].scores.weight_squared, one.scores.weight * 2, rtol=1e-12)


def test_an_audit_with_scores_shows_its_place_beside_the_frontier(tmp_path: Path, audit):
    frame, out = people(1200), tmp_path / "out"
    results = audit(written(frame, tmp_path / "rows.csv"), *OPTIONS, "--score", "p", "--out", out).result(out)
    records = frontiers(out)
    assert {(r.reading.metric, r.reading.attribute, r.reading.kind) for r in records} == {
        (metric, attribute, kind)
        for metric in FRONTIER_METRICS
        for attribute in ("sex", "race")
        for kind in ("thresholds", "randomised")
    }
    for record in records:
        reading = record.reading
        assert (reading.chosen_on, reading.read_on, reading.status) == (CHOOSING, READING, "estimated")
        assert abs(reading.n - 600) <= 4 and len(reading.points) > 1
    page = (out / "report.html").read_text()
    assert f"Rules were chosen on {CHOOSING}" in page and "too good to be true" in page
    point = found(results, DP, "sex")
    spoken = f"disparity {point['value']:.3f} [{point['low']:.3f}, {point['high']:.3f}], accuracy"
    assert spoken in page
    assert page.count('<figure class="frontier"') == 8
    assert "frontiers.json" in json.loads((out / "evidence.json").read_text())["files"]


def test_splits_say_who_chooses_and_who_is_audited(tmp_path: Path, audit):
    frame = people(1500).assign(part=np.repeat(["train", "validation", "test"], 500))
    path, out = written(frame, tmp_path / "rows.parquet"), tmp_path / "out"
    results = audit(path, *OPTIONS, "--score", "p", "--split", "part", "--out", out).result(out)
    test = frame[frame.part == "test"]
    assert results["n_rows"] == 500
    assert found(results, "accuracy")["value"] == pytest.approx((test.y == test.yhat).mean())
    alone = tmp_path / "alone"
    expected = audit(written(test, tmp_path / "test.parquet"), *OPTIONS, "--score", "p", "--out", alone).result(alone)
    assert results["estimates"] == expected["estimates"]

    table = pa.Table.from_pandas(frame, preserve_index=False)
    layout = Layout(attributes=(Attribute(name="sex"),), scores=True)
    columns = Columns(label="y", prediction="yhat", score="p")
    splits = [
        Split(name, count_table(table.filter(pa.array(frame.part == name)), layout, columns, model="m").table("sex"))
        for name in ("validation", "test")
    ]
    mine = next(r for r in frontiers(out) if (r.reading.metric, r.reading.attribute) == (DP, "sex"))
    assert mine.reading == read_frontier(threshold_frontier(splits[0], DP), splits[1])
    page = (out / "report.html").read_text()
    assert "left out are 500 train, 500 validation rows" in page and "chosen on validation" in page


def test_3_a_column_of_splits_without_test_rows(tmp_path: Path, audit):
    path = written(people(100).assign(part="holdout"), tmp_path / "rows.csv")
    done = audit(path, *OPTIONS, "--split", "part", "--out", tmp_path / "out")
    assert done.code == 3 and "no row says 'test'" in done.err and "holdout" in done.err


def test_without_scores_there_is_no_frontier(tmp_path: Path, audit):
    out = tmp_path / "out"
    audit(written(people(200), tmp_path / "rows.csv"), *OPTIONS, "--out", out)
    assert not (out / "frontiers.json").exists()
    assert "of its own for each group" not in (out / "report.html").read_text()


def test_why_there_is_none_is_said():
    many = split_of(scored_rows(7, 400, MOST_GROUPS + 1), "all").table
    records = halved_frontiers_of([many], 0, LABELS)
    assert len(records) == 2 * len(FRONTIER_METRICS)
    assert {r["reading"]["status"] for r in records} == {"not_estimable"}
    assert all(f"{MOST_GROUPS + 1} groups" in r["reading"]["reason"] for r in records)

    rows = scored_rows(8, 40, 2, 1)
    alike = rows._replace(score=rows.score * 0 + 0.5, label=np.arange(40) // 2 % 2, group=np.arange(40) // 20)
    (first, *_) = halved_frontiers_of([split_of(alike, "all").table], 0, LABELS)
    assert "the same counts" in first["reading"]["reason"]

    lost = rows._replace(group=rows.group * 0)
    (first, *_) = frontiers_of([split_of(rows, "validation")], [split_of(lost, "test")], LABELS)
    assert first["reading"]["status"] == "not_estimable" and "in test" in first["reading"]["reason"]


def test_rows_that_no_rule_decides_make_it_partial(tmp_path: Path, audit):
    frame, out = people(600), tmp_path / "out"
    frame["sex"] = frame.sex.where(np.arange(600) % 20 > 0)
    audit(written(frame, tmp_path / "rows.csv"), *OPTIONS, "--score", "p", "--out", out)
    reading = next(r.reading for r in frontiers(out) if r.reading.attribute == "sex")
    assert reading.status == "partial" and "30 of the audit's rows have no sex" in reading.reason


def test_predictions_of_a_run_choose_on_validation_and_are_read_on_test():
    frame = people(900).assign(split=np.repeat(["train", "validation", "test"], 300))
    named = frame.rename(columns={"y": "label", "yhat": "prediction", "p": "score"})
    table = pa.Table.from_pandas(named, preserve_index=False)
    records = frontiers_of_predictions(table, ["sex", "sex*race"], LABELS)
    assert {r["reading"]["attribute"] for r in records} == {"sex", "sex*race"}
    read = {(r["reading"]["chosen_on"], r["reading"]["read_on"], r["reading"]["n"]) for r in records}
    assert read == {("validation", "test", 300)}
    alone = table.filter(pa.array(np.repeat([False, False, True], 300)))
    assert frontiers_of_predictions(alone, ["sex"], LABELS) == []
