"""Reward models on tiny models: what training moves, the loss by hand, resuming, packed scores one by one."""

import json
import math

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

import tiny_models
from equiray.errors import BadInput
from equiray.mitigation.reward.calibration import Calibration, fit_calibration
from equiray.mitigation.reward.labelled import Labelled, LabelledChains, loss_parts, sequences_of_step
from equiray.mitigation.reward.model import fresh_model
from equiray.mitigation.reward.scoring import score_chains
from equiray.mitigation.reward.steps import step_records
from equiray.mitigation.reward.store import ABOUT, WEIGHTS, load_reward_model, set_calibration
from equiray.mitigation.reward.training import train_reward_model
from equiray.models.backbones import Backbone, TokenBatch, as_backbone
from equiray.models.loading import CausalLM
from equiray.specs.reward_model import RewardModelSpec
from reward_cases import random_cases

SHORT = {"steps": 3, "batch_steps": 6, "warmup_steps": 0, "learning_rate": 1e-2, "validate_every": 2}
LORA = {"lora": {"rank": 2, "alpha": 4}}
WAYS = {
    "isolated, lora": {"reading": "isolated", **LORA},
    "in context, lora": {"reading": "in_context", **LORA},
    "outcome, upper layer": {"reading": "outcome", "last_layers": 1},
    "in context, head alone": {"reading": "in_context"},
    "encoder": {"kind": "encoder", "last_layers": 1},
    "encoder, outcome": {"kind": "encoder", "last_layers": 2, "reading": "outcome"},
}
every_way = pytest.mark.parametrize("way", sorted(WAYS))


def spec(way: str, **more) -> RewardModelSpec:
    return RewardModelSpec(**{**SHORT, **WAYS[way], **more})


def tiny_encoder() -> Backbone:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tiny_models.VOCABULARY + 2,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=64,
    )
    tokenizer = tiny_models.tokenizer()
    tokenizer.add_special_tokens({"cls_token": "[CLS]", "sep_token": "[SEP]"})
    return as_backbone(BertModel(config), name="bert", identity="bert-0", tokenizer=tokenizer, pooling="mean")


def base_of(way: str) -> CausalLM | Backbone:
    return tiny_encoder() if "encoder" in way else tiny_models.tiny("llama", bos=True)


def chains(way: str, count: int, seed: int) -> LabelledChains:
    cases = random_cases(count, seed=seed)
    readings = sum(len(one.chains) for one in cases) if "outcome" in way else len([*step_records(cases)])
    return LabelledChains(cases, np.random.default_rng(seed).integers(-1, 2, size=readings))


@every_way
def test_three_steps_move_every_trained_parameter(way, tmp_path):
    base = base_of(way)
    with fresh_model(base, spec(way), seed=5) as model:
        start = model.weights()
    made = train_reward_model(base, chains(way, 4, 1), chains(way, 3, 2), spec(way), tmp_path, seed=5)
    assert [point.step for point in made.curve] == [0, 2, 3]
    assert made.best_step in (2, 3)
    with load_reward_model(made.model, base) as model:
        trained = model.weights()
    assert trained.keys() == start.keys()
    kinds = {"lora": "lora_A", "upper": "layers.2", "head alone": "head", "encoder": "encoder.layers.2"}
    assert any(kind in name for word, kind in kinds.items() if word in way for name in trained)
    assert not any("layers.0" in name for name in trained if "lora" not in name)
    if made.best_step == 3:
        moved = {name: bool((trained[name] != start[name]).any()) for name in trained}
        # without padding of queries by a bias of their own: softmax does not see a shift of all keys
        still = {name for name, did in moved.items() if not did}
        assert not {name for name in still if "key.bias" not in name}


@every_way
def test_the_loss_by_hand(way):
    labelled = chains(way, 3, 1)
    with fresh_model(base_of(way), spec(way), seed=0) as model:
        part = Labelled.of(model, labelled, "here")
        weights = np.array([0.3, 2.0])
        loss = sum(term.item() for term in loss_parts(model, part.inputs, part.labels, weights))
        logits = model.logits(model.inputs(labelled.cases))
    known = labelled.labels != -1
    p, y = 1 / (1 + np.exp(-logits[known])), labelled.labels[known]
    by_hand = -np.mean(weights[y] * (y * np.log(p) + (1 - y) * np.log(1 - p)))
    assert loss == pytest.approx(by_hand, rel=1e-5)


def one_by_one(base: CausalLM, head: torch.nn.Linear, ids: list[int], places: list[int]) -> list[float]:
    base.model.config._attn_implementation = "eager"
    with torch.no_grad():
        hidden = base.backbone(torch.tensor([ids])).last_hidden_state[0]
        return [float(head(hidden[place])) for place in places]


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma2"])
@pytest.mark.parametrize("reading", ["isolated", "in_context", "outcome"])
@pytest.mark.parametrize("batch_tokens", [64, 2048])
def test_packed_scores_equal_plain_forwards_one_by_one(architecture, reading, batch_tokens):
    base = tiny_models.tiny(architecture, bos=True)
    cases = random_cases(3)
    made = RewardModelSpec(reading=reading, batch_tokens=batch_tokens)

    def ids(text: str) -> list[int]:
        return base.tokenizer(text)["input_ids"]

    with fresh_model(base, made, seed=1) as model:
        scores = score_chains(model, cases)
        expected, lengths = [], []
        for reasoned in cases:
            for one in reasoned.chains:
                texts = [reasoned.question, *one.steps]
                if reading == "isolated":
                    alone = [ids("\n\n".join(texts[:2])), *map(ids, one.steps[1:])] if one.steps else []
                    values = [one_by_one(base, model.head, row, [len(row) - 1])[0] for row in alone]
                else:
                    row = ids("\n\n".join(texts))
                    ends = [len(ids("\n\n".join(texts[: stop + 2]))) - 1 for stop in range(len(one.steps))]
                    values = one_by_one(base, model.head, row, [len(row) - 1] if reading == "outcome" else ends)
                expected += values
                lengths.append(len(values))
    np.testing.assert_allclose(scores.logits, expected, atol=2e-5)
    np.testing.assert_array_equal(np.diff(scores.first), lengths)
    np.testing.assert_allclose(scores.probabilities, 1 / (1 + np.exp(-scores.logits)))
    assert 0 in lengths or reading == "outcome"  # a chain without steps is among them


def test_an_encoder_reads_question_and_step_between_its_marks():
    base = tiny_encoder()
    cases = random_cases(3)
    with fresh_model(base, RewardModelSpec(kind="encoder", batch_tokens=64), seed=1) as model, torch.no_grad():
        scores = score_chains(model, cases)
        expected = []
        for step in step_records(cases):
            words = base.tokenizer(step.alone, add_special_tokens=False)["input_ids"]
            row = [base.tokenizer.cls_token_id, *words, base.tokenizer.sep_token_id]
            states = base.embed(_one(row))
            expected.append(float(model.head(base.run(states, 0, 3).mean())))
    np.testing.assert_allclose(scores.logits, expected, atol=2e-5)


def _one(row: list[int]):
    return TokenBatch(torch.tensor([row]), torch.ones(1, len(row), dtype=torch.bool))


def test_steps_share_the_question_and_equal_steps():
    base = tiny_models.tiny("llama")
    cases = random_cases(3)
    seen = []
    base.backbone.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    with fresh_model(base, RewardModelSpec(reading="in_context"), seed=0) as model:
        inputs = model.inputs(cases)
        score_chains(model, cases)
    assert sum(seen) == len({tuple(s[:n]) for s in inputs.sequences for n in range(1, len(s) + 1)})
    assert sum(seen) < sum(map(len, inputs.sequences))


@pytest.mark.parametrize("way", ["isolated, lora", "encoder"])
def test_a_killed_training_resumes_to_equal_bits(way, tmp_path):
    made = spec(way, steps=5, lora={"rank": 2, "alpha": 4, "dropout": 0.2} if "lora" in way else None)
    sides = chains(way, 4, 1), chains(way, 3, 2)
    whole = train_reward_model(base_of(way), *sides, made, tmp_path / "whole", seed=3)

    class Killed(Exception):
        pass

    def kill(line: str) -> None:
        if line.startswith("step 4"):
            raise Killed

    with pytest.raises(Killed):
        train_reward_model(base_of(way), *sides, made, tmp_path / "killed", seed=3, say=kill)
    said: list[str] = []
    again = train_reward_model(base_of(way), *sides, made, tmp_path / "killed", seed=3, say=said.append)
    assert len(said) == 1  # step 4 was measured before the kill, step 5 is left
    assert (tmp_path / "whole/model" / WEIGHTS).read_bytes() == (again.model / WEIGHTS).read_bytes()
    assert [point.log_loss for point in again.curve] == [point.log_loss for point in whole.curve]
    assert not (tmp_path / "killed/checkpoints").exists()
    assert train_reward_model(base_of(way), *sides, made, tmp_path / "killed", seed=3) == again
    with pytest.raises(BadInput, match="another training was completed here"):
        train_reward_model(base_of(way), *sides, made, tmp_path / "killed", seed=4)


def test_the_base_has_its_own_weights_again(tmp_path):
    base = base_of("isolated, lora")
    before = {name: tensor.clone() for name, tensor in base.model.state_dict().items()}
    made = train_reward_model(base, chains("", 4, 1), chains("", 3, 2), spec("isolated, lora"), tmp_path, seed=0)
    cases = random_cases(2)
    with load_reward_model(made.model, base) as model:
        scores = score_chains(model, cases)
        assert model.calibration == made.calibration
    with load_reward_model(made.model, base_of("isolated, lora")) as model:
        np.testing.assert_array_equal(score_chains(model, cases).logits, scores.logits)
    after = base.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_labels_that_are_learnable_are_learned(tmp_path):
    def learnable(count: int, seed: int) -> LabelledChains:
        cases = random_cases(count, seed=seed)
        return LabelledChains(cases, np.array([int(step.text.endswith("40 .")) for step in step_records(cases)]))

    made = train_reward_model(
        tiny_models.tiny("llama"),
        learnable(40, 1),
        learnable(15, 2),
        spec("isolated, lora", steps=60, batch_steps=32, validate_every=20, learning_rate=3e-3),
        tmp_path,
        seed=0,
    )
    assert made.best.auc > 0.98 > made.curve[0].auc
    assert made.best.log_loss < made.curve[0].log_loss
    lines = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 20, 40, 60]


def test_what_cannot_be_trained_is_refused(tmp_path):
    good = chains("", 3, 1)
    base = tiny_models.tiny("llama")

    def train(train: LabelledChains, validation: LabelledChains, **more) -> None:
        train_reward_model(base, train, validation, RewardModelSpec(**more), tmp_path, seed=0)

    with pytest.raises(BadInput, match="case 'case-1-0' is in both splits"):
        train(good, good)
    with pytest.raises(BadInput, match="unbiased\n  where: training chains"):
        train(good._replace(labels=np.zeros_like(good.labels)), chains("", 3, 2))
    with pytest.raises(BadInput, match=r"2 labels of \d+ readings\n  where: validation chains"):
        train(good, chains("", 3, 2)._replace(labels=np.array([0, 1])))
    with pytest.raises(BadInput, match="loaded as a language model"):
        train(good, chains("", 3, 2), kind="encoder")
    with pytest.raises(BadInput, match="4 layers of llama, which has 3"):
        train(good, chains("", 3, 2), last_layers=4)
    for wrong in (
        {"kind": "encoder", "lora": {}},
        {"lora": {}, "last_layers": 1},
        {"kind": "encoder", "reading": "in_context"},
        {"last_layers": 1, "dtype": "bfloat16"},
    ):
        with pytest.raises(ValueError, match=r"one|in place|needs a|rounds"):
            RewardModelSpec(**wrong)


def test_broken_or_foreign_models_are_refused(tmp_path):
    base = base_of("isolated, lora")
    made = train_reward_model(base, chains("", 4, 1), chains("", 3, 2), spec("isolated, lora"), tmp_path, seed=0)

    def load(lm: CausalLM) -> None:
        with load_reward_model(made.model, lm):
            pass

    with pytest.raises(BadInput, match="load the model that it was trained on"):
        load(tiny_models.tiny("llama", seed=1))
    set_calibration(made.model, Calibration(slope=2.0, intercept=-1.0), {"labels": 7})
    with load_reward_model(made.model, base) as model:
        assert model.calibration == Calibration(slope=2.0, intercept=-1.0)
    weights = (made.model / WEIGHTS).read_bytes()
    (made.model / WEIGHTS).write_bytes(weights[:-1])
    with pytest.raises(BadInput, match="cut short or altered"):
        load(base)
    (made.model / ABOUT).write_text('{"schema": "equiray.reward-model/0"}')
    with pytest.raises(BadInput, match=r"'equiray.reward-model/0' is not equiray.reward-model/1"):
        load(base)
    (made.model / ABOUT).unlink()
    with pytest.raises(BadInput, match="no reward model here"):
        load(base)


def test_an_update_sees_each_sequence_once_an_epoch():
    first = np.array([0, 3, 4, 9, 11, 12])
    epochs = [
        np.concatenate([sequences_of_step(first, step, 4, 7) for step in range(3 * e, 3 * e + 3)]) for e in (0, 1)
    ]
    assert [sorted(epoch) for epoch in epochs] == [[0, 1, 2, 3, 4]] * 2
    assert epochs[0].tolist() != epochs[1].tolist()


def test_calibration_recovers_how_scores_were_distorted():
    random = np.random.default_rng(0)
    z = random.normal(0.5, 1.5, 40_000)
    labels = (random.random(len(z)) < 1 / (1 + np.exp(-z))).astype(np.int64)
    temperature = fit_calibration(3 * z, labels, "temperature", place="here")
    assert temperature.slope == pytest.approx(1 / 3, rel=0.03)
    assert temperature.intercept == 0
    platt = fit_calibration(3 * z + 2, labels, "platt", place="here")
    assert (platt.slope, platt.intercept) == (pytest.approx(1 / 3, rel=0.03), pytest.approx(-2 / 3, abs=0.04))
    # a step that stands for two counts as two
    few = slice(0, 300)
    doubled = fit_calibration(np.tile(z[few], 2), np.tile(labels[few], 2), "platt", place="here")
    weighted = fit_calibration(z[few], labels[few], "platt", weights=np.full(300, 2.0), place="here")
    assert doubled.slope == pytest.approx(weighted.slope, rel=1e-4)
    separated = fit_calibration(np.array([-1.0, 1.0]), np.array([0, 1]), "temperature", place="here")
    assert math.isfinite(separated.slope) and separated.slope < 2
    with pytest.raises(BadInput, match="2 labels, all 1"):
        fit_calibration(np.array([-1.0, 1.0]), np.array([1, 1]), "platt", place="here")
