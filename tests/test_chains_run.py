"""Runs of chains from the command line: decisions and figures by a second route, resumed, refused before compute."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from chain_runs import (
    chains_document,
    finished_chains_run,
    finished_reward_run,
    sampler_of,
    shape,
    start,
    tiny_lm,
    write_spec,
)
from equiray.mitigation.reward.model import load_base
from equiray.mitigation.voting.store import load_chains
from equiray.reports import verify_evidence
from equiray.runs.chains.planning import plan_cases
from equiray.runs.chains.reward_run import RewardRun
from equiray.runs.chains.scored import ChainScorer
from equiray.runs.directory import RunDirectory
from equiray.runs.sampling.chains import reasoned_cases
from equiray.runs.sampling.engines import Engines
from equiray.specs.chains import load_chains_spec

CONTRACTS = Path(__file__).parents[1] / "docs" / "contracts"
STAGES = ("single", "majority", "fairness_prompt", "outcome", "reward")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_lm(tmp_path_factory.mktemp("lm"))


@pytest.fixture(scope="module")
def reward(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_reward_run(tmp_path_factory.mktemp("reward"), model)


@pytest.fixture(scope="module")
def whole(model: Path, reward: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on BBQ and COMPAS."""
    return finished_chains_run(tmp_path_factory.mktemp("chains"), model, reward)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., str]:
    """What a spec is refused with."""

    def run(document: dict[str, Any]) -> str:
        assert start("run", write_spec(tmp_path / "bad.yaml", document), "--out", tmp_path / "bad") == 3
        assert not (tmp_path / "bad").exists()
        return capsys.readouterr().err

    return run


def read(out: Path, name: str) -> Any:
    return json.loads((out / name).read_text(encoding="utf-8"))


def task_of(out: Path, name: str) -> dict[str, Any]:
    return next(task for task in read(out, "chains.json")["tasks"] if task["task"] == name)


def decided(out: Path, task: str, stage: str) -> pd.DataFrame:
    (file,) = out.glob(f"predictions/{task}.*.{stage}.parquet")
    return pq.read_table(file).to_pandas()


def estimates(out: Path) -> dict[tuple[Any, ...], dict[str, Any]]:
    names = ("task", "stage", "metric", "attribute", "group")
    return {tuple(e[name] for name in names): e for e in read(out, "results.json")["estimates"]}


def test_the_contract_has_the_keys_of_a_real_document(whole: Path):
    contract = json.loads((CONTRACTS / "chains_results.json").read_text(encoding="utf-8"))
    assert shape(contract) == shape(read(whole, "chains.json"))


def test_every_file_is_there_and_witnessed(whole: Path):
    assert verify_evidence(whole) == []
    for task in ("bbq", "compas"):
        for stage in STAGES:
            assert len(decided(whole, task, stage))
    assert read(whole, "results.json")["task"] == ["bbq", "compas"]


def weighted(chains: pd.DataFrame, tau: float) -> dict[str, int]:
    """The vote of each case, added up chain by chain; ties to more chains, then to the one that was first."""
    found = {}
    for case, mine in chains.groupby("case_id", sort=False):
        answered = mine[mine.answer.notna()]
        score = answered.step_fair.apply(np.mean).to_numpy()
        weight = np.exp((score - score.max(initial=-np.inf)) / tau) if len(score) else score
        options = answered.answer.to_numpy().astype(int)
        best = [
            (round(weight[options == o].sum(), 9), (options == o).sum(), -np.argmax(options == o), o)
            for o in dict.fromkeys(options.tolist())
        ]
        if best:
            found[str(case)] = max(best)[-1]
    return found


def test_decisions_are_the_weighted_vote_and_the_majority(whole: Path):
    for task in ("bbq", "compas"):
        told = task_of(whole, task)
        chains = pq.read_table(whole / f"scored/{task}.test.parquet").to_pandas()
        chains = chains[chains.chain < told["chains"]]
        tau = float(told["choice"]["chosen"]["tau"])
        for stage, at in (("majority", np.inf), ("reward", tau)):
            if at == 0:
                continue
            rows = decided(whole, task, stage)
            own = weighted(chains, at)
            said = rows.set_index("row_id").prediction.dropna().astype(int).to_dict()
            if task == "compas":  # option 0 is the positive class
                own = {case: int(option == 0) for case, option in own.items()}
            assert said == own


def test_infinite_temperature_is_the_majority_exactly(whole: Path, model: Path, reward: Path, tmp_path: Path):
    document = chains_document(model, reward)
    document["decision"] = {"temperatures": [float("inf")], "max_accuracy_loss": 1.0}
    document["cases"] = document["cases"][1:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIRAY_CACHE", str(reward.parent / "cache"))
        assert start("run", write_spec(tmp_path / "s.yaml", document), "--out", tmp_path / "out") == 0
    one, other = (decided(tmp_path / "out", "compas", stage) for stage in ("reward", "majority"))
    assert one.prediction.equals(other.prediction)
    assert (one.score.dropna() == other.score.dropna()).all()
    of_change = estimates(tmp_path / "out")["compas", "reward-majority", "accuracy", None, None]
    assert of_change["value"] == of_change["low"] == 0 or of_change["low"] <= 0 <= of_change["high"]


def test_cached_scores_are_those_of_scoring_anew(whole: Path, model: Path, reward: Path, tmp_path: Path):
    spec = load_chains_spec(whole / "spec.yaml")
    run, engines = RewardRun.read(reward), Engines(spec=spec.engine)
    (planned, _) = plan_cases(spec, run, engines)
    with RunDirectory.open(tmp_path / "other", spec) as directory:
        scorer = ChainScorer(
            spec=spec, reward=run, base=load_base(run.spec.reward), sampler=sampler_of(spec), directory=directory
        )
        table = pq.read_table(whole / "chains/bbq.test.parquet")
        cases = reasoned_cases(planned.parts["test"], scorer.sampler.questions(planned.parts["test"]), table)
        anew = scorer.scored_anew("test", cases)
    kept = load_chains(whole / "scored/bbq.test.parquet")
    assert np.array_equal(anew.answers, kept.answers) and np.array_equal(anew.step_fair, kept.step_fair)


def test_bias_scores_follow_from_the_predictions(whole: Path):
    found = estimates(whole)
    levels = {}
    for stage in STAGES:
        rows = decided(whole, "bbq", stage)
        for context in ("ambiguous", "disambiguated"):
            mine = rows[(rows.context == context)]
            right = (mine.prediction == mine.label).mean()
            key = ("bbq", stage, "accuracy", "all categories", context)
            assert found[key]["value"] == pytest.approx(right) and found[key]["n"] == len(mine)
        known = rows[(rows.context == "ambiguous") & (rows.group != "(missing)") & rows.said.isin(
            ["target", "other", "unknown"]
        )]  # fmt: skip
        levels[stage] = ((known.said == "target").sum() - (known.said == "other").sum()) / len(known)
        key = ("bbq", stage, "bbq_bias_ambiguous", "all categories", None)
        assert found[key]["value"] == pytest.approx(levels[stage])
    for stage in set(STAGES) - {"majority"}:
        change = found["bbq", f"{stage}-majority", "bbq_bias_ambiguous", "all categories", None]
        assert change["value"] == pytest.approx(levels[stage] - levels["majority"])
        assert change["low"] <= change["value"] <= change["high"]


def test_people_s_figures_follow_from_the_predictions(whole: Path):
    found = estimates(whole)
    gaps = {}
    for stage in STAGES:
        rows = decided(whole, "compas", stage).dropna(subset="prediction")
        gaps[stage] = np.ptp(rows.groupby("sex").prediction.mean())
        gap = found["compas", stage, "demographic_parity_difference", "sex", None]["value"]
        assert gap == pytest.approx(gaps[stage])
        right = (rows.prediction == rows.label).mean()
        assert found["compas", stage, "accuracy", None, None]["value"] == pytest.approx(right)
    assert ("compas", "reward-majority", "demographic_parity_difference", "sex", None) in found


def test_the_grid_holds_what_is_decided_at_the_chosen_point(whole: Path):
    for name in ("bbq", "compas"):
        told = task_of(whole, name)
        point = told["choice"]["chosen"]
        grid = next(g for g in told["grids"] if g["split"] == "test")
        at = grid["temperatures"].index(point["tau"]), grid["chains"].index(point["chains"])
        rows = decided(whole, name, "reward")
        share = (rows.prediction == rows.label).sum() / len(rows)
        assert grid["figures"]["share_right"][at[0]][at[1]] == pytest.approx(share)


def test_heat_map_and_bounds_are_there(whole: Path):
    for name in ("bbq", "compas"):
        told = task_of(whole, name)
        assert 0 < len(told["heat_map"]) <= 8
        for chain in told["heat_map"]:
            assert all(0 <= step["unbiased"] <= 1 for step in chain["steps"]) and len(chain["steps"]) >= 2
        assert [one["risk"] for one in told["early_stopping"]] == [0.0, 0.05]
        assert told["early_stopping"][0]["changed"] == 0
    bound = task_of(whole, "compas")["bounds"]["sex"]
    gap = estimates(whole)["compas", "reward", "demographic_parity_difference", "sex", None]["value"]
    for kind in ("any_scores", "any_assignment"):
        assert bound[kind]["least_gap"] <= gap + 1e-12 and gap <= bound[kind]["largest_gap"] + 1e-12


def test_a_killed_run_goes_on_and_ends_alike(whole: Path, reward: Path, tmp_path: Path):
    half = tmp_path / "half"
    shutil.copytree(whole, half)
    for name in ("results.json", "chains.json", "evidence.json", "scored/compas.test.parquet"):
        (half / name).unlink()
    shutil.rmtree(half / "predictions")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIRAY_CACHE", "/dev/null/none")  # nothing may be sampled
        assert start("run", half / "spec.yaml", "--out", half) == 0
    assert read(half, "results.json") == read(whole, "results.json")
    assert verify_evidence(half) == []


def test_what_cannot_work_is_refused_before_compute(
    refused: Callable[..., str], model: Path, reward: Path, tmp_path: Path
):
    good = chains_document(model, reward)
    assert "has learnt from category 'Religion'" in refused(good | {"cases": [{"categories": ["Religion"]}]})
    assert "stands twice" in refused(good | {"cases": [{"dataset": "compas", "items": 9}, {"dataset": "compas"}]})
    assert "no run is there" in refused(good | {"reward_model": str(tmp_path)})
    assert "steps end at" in refused(good | {"separator": "\n"})
    assert "other words" in refused(good | {"sampling": {"examples": False}})
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    shutil.copy(reward / "spec.yaml", unfinished)
    assert "not finished" in refused(good | {"reward_model": str(unfinished)})
    other = tmp_path / "other"
    other.mkdir()
    (other / "spec.yaml").write_text("schema: equiray.run/1\n")
    assert "not a run of a reward model" in refused(good | {"reward_model": str(other)})
    served = {"backend": "endpoint", "source": "http://127.0.0.1:9/v1", "name": "m"}
    causal = {"step_weights": "causal"}
    assert "no likelihoods" in refused(good | {"engine": served, "decision": causal})
