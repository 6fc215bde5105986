"""Reward runs from the command line: figures by a second route, killed and resumed, refused before compute."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from chain_runs import HELD_OUT, finished_reward_run, reward_document, sampler_of, shape, start, tiny_lm, write_spec
from equiray.reports import verify_evidence
from equiray.runs.reward.planning import SIDES, plan_reward
from equiray.specs.reward_run import load_reward_spec

CONTRACTS = Path(__file__).parents[1] / "docs" / "contracts"


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., str]:
    """What a spec is refused with."""

    def run(document: dict[str, Any]) -> str:
        code = start("run", write_spec(tmp_path / "bad.yaml", document), "--out", tmp_path / "bad")
        assert code == 3
        return capsys.readouterr().err

    return run


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_lm(tmp_path_factory.mktemp("lm"))


@pytest.fixture(scope="module")
def whole(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; the cache of its chains is its own."""
    return finished_reward_run(tmp_path_factory.mktemp("reward"), model)


def read(out: Path, name: str) -> Any:
    return json.loads((out / name).read_text(encoding="utf-8"))


def test_the_contract_has_the_keys_of_a_real_document(whole: Path):
    contract = json.loads((CONTRACTS / "reward_results.json").read_text(encoding="utf-8"))
    assert shape(contract) == shape(read(whole, "reward.json"))


def test_every_file_is_there_and_witnessed(whole: Path):
    assert verify_evidence(whole) == []
    for name in ("results.json", "reward.json", "steps_to_check.csv", "process/model/reward.safetensors"):
        assert (whole / name).is_file()
    assert not [f for f in whole.rglob("*") if f.suffix in (".pkl", ".pt", ".bin")]
    with (whole / "steps_to_check.csv").open(newline="") as sheet:
        assert len(list(csv.DictReader(sheet))) == 10


def test_people_can_label_what_the_models_differ_on(whole: Path, tmp_path: Path):
    assert start("label", "write", whole / "scores.parquet", "--out", tmp_path / "sheet.csv", "--chains", 6) == 0
    with (tmp_path / "sheet.csv").open(newline="") as sheet:
        rows = list(csv.DictReader(sheet))
    validation = set(pq.read_table(whole / "chains/validation.parquet")["case_id"].to_pylist())
    assert {row["case_id"] for row in rows} <= validation and all(row["outcome"] for row in rows)


def test_people_can_check_what_the_gold_rule_says(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with (whole / "steps_to_check.csv").open(newline="") as sheet:
        rows = list(csv.DictReader(sheet))
    assert "gold" not in rows[0] and {row["checked"] for row in rows} == {""}
    said = {
        (row["case_id"], row["chain"], row["step"]): int(row["unbiased"])
        for side in SIDES
        for row in pq.read_table(whole / f"labels/gold.{side}.parquet").to_pylist()
        if row["unbiased"] is not None
    }
    hand = [said[row["case_id"], int(row["chain"]), int(row["step"])] for row in rows]
    assert hand.count(0) == hand.count(1) == 5
    hand[0] = 1 - hand[0]

    def write(checked: list[str]) -> Path:
        with (tmp_path / "checked.csv").open("w", newline="") as stream:
            table = csv.DictWriter(stream, rows[0])
            table.writeheader()
            table.writerows({**row, "checked": one} for row, one in zip(rows, checked, strict=True))
        return tmp_path / "checked.csv"

    sheet = write([str(one) for one in hand])
    assert start("label", "check", sheet, "--run", whole, "--out", tmp_path / "agreement.json") == 0
    told = capsys.readouterr().out
    assert f"10 steps of {len(said)} labelled ones" in told and "gold(scorer=" in told
    document = read(tmp_path, "agreement.json")
    of_all = next(e for e in document["estimates"] if e["metric"] == "judge_agreement" and e["group"] is None)
    counts = [list(said.values()).count(one) for one in (0, 1)]
    assert of_all["value"] == pytest.approx(1 - counts[1 - hand[0]] / 5 / len(said)) and of_all["n"] == 10
    assert document["schema"] == "equiray.results/1" and document["n_rows"] == 10
    assert start("label", "check", write(["", *map(str, hand[1:])]), "--run", whole) == 3
    assert "1 of 10 steps are not checked" in capsys.readouterr().err
    assert start("label", "check", sheet, "--run", tmp_path) == 3


def test_no_category_or_question_is_on_two_sides(whole: Path):
    document = read(whole, "reward.json")
    chains = {side: pq.read_table(whole / f"chains/{side}.parquet").to_pandas() for side in SIDES}
    assert set(chains["test"].category) == set(HELD_OUT)
    assert set(document["cases"]["learnt"]) == {"Religion", "Nationality"}
    ids = [set(part.case_id) for part in chains.values()]
    assert not ids[0] & ids[1] and not (ids[0] | ids[1]) & ids[2]
    asked = {case_id.rsplit("/", 1)[0] for case_id in ids[2]}
    assert not asked & set(document["learnt_families"])


def test_chains_that_were_there_are_kept_and_the_others_written(whole: Path):
    chains = pq.read_table(whole / "chains/train.parquet").to_pandas()
    assert (chains.groupby("case_id").chain.apply(list).apply(lambda found: found == [0, 1, 2])).all()
    invented = chains.text.str.contains("Answer|People|text|Everybody|judge", regex=True) | (chains.text == "")
    assert 0 < (~invented).sum() <= 6  # the model's own
    answered = chains[chains.outcome == "answered"]
    assert answered.answer.notna().all() and answered.steps.apply(len).min() > 0
    assert not answered.steps.apply(lambda steps: any("Answer:" in step for step in steps)).any()
    assert (chains[chains.outcome != "answered"].answer.isna()).all()


def test_figures_follow_from_labels_and_the_model(whole: Path, model: Path):
    from equiray.mitigation.reward.scoring import score_chains
    from equiray.mitigation.reward.steps import Chain, ReasonedCase, masked
    from equiray.mitigation.reward.store import load_reward_model
    from equiray.models.loading import load_causal_lm

    spec = load_reward_spec(whole / "spec.yaml")
    plan = plan_reward(spec)
    rows = pq.read_table(whole / "chains/test.parquet").to_pandas()
    labels = pq.read_table(whole / "labels/gold.test.parquet").to_pandas()
    questions = sampler_of(spec).questions(plan.parts["test"])
    cases = []
    for case in plan.parts["test"]:
        mine = rows[rows.case_id == case.case_id]
        chains = tuple(
            Chain(
                case_id=case.case_id,
                index=int(row.chain),
                steps=tuple(row.steps),
                answer=None if np.isnan(row.answer) else int(row.answer),
                outcome=row.outcome,
            )
            for row in mine.itertuples()
        )
        cases.append(ReasonedCase(case=case, question=questions[case.case_id].text, chains=chains))
    said = labels.unbiased.to_numpy()
    known = ~np.isnan(said)
    found = {(e["stage"], e["model"], e["metric"], e["group"]): e for e in read(whole, "results.json")["estimates"]}
    lm = load_causal_lm(str(model), dtype="float32")
    with load_reward_model(whole / "process/model", lm) as reward:
        for view, asked in (("unmasked", cases), ("masked", masked(cases))):
            scores = score_chains(reward, asked).probabilities
            area = roc_auc_score(said[known], scores[known])
            estimate = found[view, "reward_model", "step_auc", None]
            assert estimate["value"] == pytest.approx(area) and estimate["n"] == known.sum()
            bag = found[view, "bag_of_words", "step_auc", None]["value"]
            gap = found[f"{view} difference", "reward_model-bag_of_words", "step_auc", None]
            assert gap["value"] == pytest.approx(area - bag) and gap["low"] <= gap["value"] <= gap["high"]
            assert found[view, "reward_model", "ece", "Age"]["value"] <= 1


def test_the_same_command_computes_nothing_again(whole: Path, monkeypatch: pytest.MonkeyPatch):
    before = {path: path.read_bytes() for path in whole.rglob("*.parquet")}
    weights = (whole / "process/model/reward.safetensors").read_bytes()
    (whole / "results.json").unlink()
    monkeypatch.setenv("EQUIRAY_CACHE", "/dev/null/none")  # nothing may be sampled
    assert start("run", whole / "spec.yaml", "--out", whole) == 0
    assert {path: path.read_bytes() for path in whole.rglob("*.parquet")} == before
    assert (whole / "process/model/reward.safetensors").read_bytes() == weights
    assert verify_evidence(whole) == []


def test_what_cannot_work_is_refused_before_compute(refused: Callable[..., str], model: Path):
    good = reward_document(model)
    assert "no category 'Ages'" in refused(good | {"held_out": ["Ages"]})
    assert "no stereotyped option" in refused(good | {"cases": {"dataset": "compas"}})
    assert "an outcome model scores no steps" in refused(
        good | {"reward": {"source": str(model), "reading": "outcome"}}
    )
