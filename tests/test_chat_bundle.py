"""A run of chains as a bundle: what was chosen and measured is what answers."""

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from chain_runs import finished_chains_run, finished_reward_run, sampler_of, start, tiny_lm
from chat_made import chat_bundle, scripted
from equiray.bundles.bundle import load_bundle
from equiray.bundles.checking import read_manifest, verify_bundle
from equiray.bundles.manifest import Manifest
from equiray.errors import BadInput
from equiray.mitigation.unlearning import load_adapter
from equiray.mitigation.unlearning.adapters import RECORD
from equiray.models.engines.asked import messages_of
from equiray.models.engines.records import Message, Request
from equiray.models.engines.transformers_engine import TransformersEngine
from equiray.models.loading import load_causal_lm
from equiray.models.training.adapters import in_training, save_adapter
from equiray.runs.bundling.bundle import bundle_directory
from equiray.runs.chains.planning import plan_cases
from equiray.runs.chains.reward_run import RewardRun
from equiray.runs.sampling.chains import sampling_of
from equiray.serving.chat.answering import ChatAnswerer
from equiray.serving.chat.records import Answered, Asked
from equiray.serving.chat.settings import ChatSettings
from equiray.specs.chains import load_chains_spec
from equiray.specs.run import LoraSpec


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = tiny_lm(tmp_path_factory.mktemp("lm"))
    reward = finished_reward_run(tmp_path_factory.mktemp("reward"), model)
    return finished_chains_run(tmp_path_factory.mktemp("chains"), model, reward)


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    """A run whose files may be changed."""
    return shutil.copytree(run, tmp_path / "run")


def document(run: Path, name: str) -> Any:
    return json.loads((run / name).read_text(encoding="utf-8"))


def test_a_bundle_holds_what_the_run_chose(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert start("bundle", run, "--pick", "bbq", "--out", tmp_path / "b") == 0
    said = capsys.readouterr().out
    assert verify_bundle(tmp_path / "b") == []
    manifest, spec = read_manifest(tmp_path / "b"), load_chains_spec(run / "spec.yaml")
    (task,) = (each for each in document(run, "chains.json")["tasks"] if each["task"] == "bbq")
    part, chosen = manifest.parts.reward, task["choice"]["chosen"]
    assert part is not None
    assert (part.tau, part.chains, part.aggregator) == (float(chosen["tau"]), chosen["chains"], "mean")
    assert "decision.aggregate=low" in said
    assert part.sampling.max_tokens == spec.sampling.max_tokens and part.separator == spec.separator
    assert set(part.baselines) == {"single", "majority", "fairness_prompt", "outcome"}
    mine = [each for each in document(run, "results.json")["estimates"] if each["task"] == "bbq"]
    told = [each.to_json() for each in manifest.provenance.test]
    assert sorted(map(str, told)) == sorted(map(str, mine))
    accuracy = next(each for each in mine if each["stage"] == "reward" and each["metric"] == "bbq_bias_ambiguous")
    assert f"{accuracy['value']:.4f}" in said
    (data,) = manifest.provenance.data
    assert data.rows == {side: of["cases"] for side, of in task["sides"].items()}


@pytest.mark.parametrize("task", ["bbq", "compas"])
def test_test_cases_are_answered_as_the_run_decided_them(run: Path, tmp_path: Path, task: str):
    """The chains that the run stored, put to the served model; its predictions are the second route."""
    bundle_directory(run, task, tmp_path / "b")
    bundle = load_bundle(tmp_path / "b")
    assert bundle.reward is not None
    spec = load_chains_spec(run / "spec.yaml")
    sampler = sampler_of(spec)
    (planned,) = (
        each for each in plan_cases(spec, RewardRun.read(Path(spec.reward_model)), sampler.engines) if each.name == task
    )
    questions = sampler.questions(planned.parts["test"])
    table = pq.read_table(run / f"chains/{task}.test.parquet").to_pandas().sort_values(["case_id", "chain"])
    texts = {questions[str(case)].text: of.text.tolist() for case, of in table.groupby("case_id")}
    declined = {text: of["finish"].eq("refusal").any() for text, of in table.groupby("text")}
    assert set(declined) >= {""}
    engine = scripted(bundle, lambda text: [each or "(declined)" for each in texts[text]])
    asked = [Asked(messages=messages_of(questions[case.case_id])) for case in planned.parts["test"]]
    with closing(ChatAnswerer(bundle, engine=engine, settings=ChatSettings(round_chains=1))) as answerer:
        found = answerer.answer(asked)
    (file,) = run.glob(f"predictions/{task}.*.reward.parquet")
    decided: dict[str, Any] = pq.read_table(file).to_pandas().set_index("row_id").prediction.to_dict()
    votes = 0
    for case, one in zip(planned.parts["test"], found, strict=True):
        assert isinstance(one, Answered) and one.vote.as_evaluated
        expected = decided[case.case_id]
        if pd.isna(expected):
            assert one.vote.rule == "best_chain"
            continue
        question = questions[case.case_id]
        option = question.order[question.letters.index(one.words.answers[0][0])]
        assert option == expected if task == "bbq" else (option == case.positive) == (expected == 1)
        votes += 1
    assert votes > 10


def test_the_unlearned_model_answers_where_it_wrote(copied: Path, tmp_path: Path):
    spec = load_chains_spec(copied / "spec.yaml")
    lm = load_causal_lm(spec.engine.source, dtype="float32")
    with in_training(lm, LoraSpec(rank=2), dtype="float32") as made:
        moved = {name: tensor + 0.3 for name, tensor in made.weights().items()}
        about = {"base_identity": lm.identity, "base_name": lm.name}
        save_adapter(tmp_path / "adapter", made.lora, moved, about, RECORD)
    edit_spec(copied, "engine", adapter=str(tmp_path / "adapter"))
    bundle_directory(copied, "bbq", tmp_path / "b")
    assert verify_bundle(tmp_path / "b") == []
    with closing(ChatAnswerer(load_bundle(tmp_path / "b"))) as answerer:
        (found,) = answerer.answer([Asked(messages=(Message("user", "Who ?"),), seed=0)])
    engine = TransformersEngine(lm=load_adapter(lm, tmp_path / "adapter"))
    request = Request(request_id="one", messages=(Message("user", "Who ?"),), n=spec.sampling.chains)
    own = {each.index: each.text for each in engine.generate([request], sampling_of(spec.sampling))}
    assert isinstance(found, Answered)
    assert found.words.texts == tuple(own[chain] for chain in found.vote.chosen)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda run: (run / "chains.json").unlink(), "not finished"),
        (lambda run: edit_spec(run, "decision", step_weights="causal"), "causal step weights"),
        (
            lambda run: edit_spec(run, "engine", backend="endpoint", source="http://127.0.0.1:1/v1", name="m"),
            "which weights those are",
        ),
        (lambda run: edit(run, "chains.json", lambda of: of["tasks"][0]["choice"].update(chosen=None)), "chose no"),
        (lambda run: edit(run, "chains.json", lambda of: of.update(schema="other/1")), "other/1"),
        (lambda run: edit(run, "inputs.json", lambda of: of.update(engine="f" * 64)), "engine has changed"),
        (lambda run: edit(run, "inputs.json", lambda of: of.update({"reward model": "f"})), "reward model has changed"),
    ],
)
def test_what_cannot_be_served_is_not_bundled(copied: Path, tmp_path: Path, change: Callable[[Path], None], said: str):
    change(copied)
    with pytest.raises(BadInput, match=said):
        bundle_directory(copied, "bbq", tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_data_set_that_the_run_has_not_is_named(run: Path, tmp_path: Path):
    with pytest.raises(BadInput, match=r"'adult' names no data set(.|\n)*bbq, compas"):
        bundle_directory(run, "adult", tmp_path / "b")


def edit(run: Path, name: str, change: Callable[[Any], None]) -> None:
    of = document(run, name)
    change(of)
    (run / name).write_text(json.dumps(of))


def edit_spec(run: Path, part: str, **changes: Any) -> None:
    of = yaml.safe_load((run / "spec.yaml").read_text())
    of[part].update(changes)
    (run / "spec.yaml").write_text(yaml.safe_dump(of))


def test_another_base_of_the_reward_model_is_refused(tmp_path: Path):
    bundle = chat_bundle(tmp_path)
    of = document(bundle, "manifest.json")
    of["parts"]["reward"]["base"]["identity"] = "f" * 64
    (bundle / "manifest.json").write_text(json.dumps(of))
    assert verify_bundle(bundle) == [
        f"contradiction: part reward was trained on {of['parts']['base']['identity']:.16}, the base is {'f' * 16}"
    ]
    with pytest.raises(BadInput, match="contradiction"):
        load_bundle(bundle)


def test_bases_may_lie_elsewhere(tmp_path: Path):
    bundle = chat_bundle(tmp_path)
    moved = shutil.move(tmp_path / "model", tmp_path / "moved")
    with pytest.raises(BadInput, match=r"parts\.base"):
        load_bundle(bundle)
    found = load_bundle(bundle, source=str(moved))  # one base of both
    assert found.reward is not None and found.language_model is not None
    with pytest.raises(BadInput, match="reward_source=PATH"):
        load_bundle(bundle, source=str(moved), reward_source=str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda parts: parts.update(base=None), "`reward` needs a `base`"),
        (lambda parts: parts["reward"].update(tau=-0.1), "greater than or equal to 0"),
        (lambda parts: parts["reward"].update(chains=0), "greater than or equal to 1"),
        (lambda parts: parts["reward"].update(aggregator="best"), "aggregator"),
        (lambda parts: parts["reward"].pop("separator"), "separator"),
    ],
)
def test_a_reward_part_that_is_none_is_named(tmp_path: Path, change: Callable[[Any], None], said: str):
    bundle = chat_bundle(tmp_path)
    of = document(bundle, "manifest.json")
    change(of["parts"])
    (bundle / "manifest.json").write_text(json.dumps(of))
    assert said in verify_bundle(bundle)[0]


def test_the_majority_s_temperature_is_written_as_inf(tmp_path: Path):
    bundle = chat_bundle(tmp_path, tau=float("inf"))
    of = document(bundle, "manifest.json")
    assert of["parts"]["reward"]["tau"] == "inf"
    part = Manifest.model_validate(of).parts.reward
    assert part is not None and part.tau == float("inf") and part.aggregator == "low"
