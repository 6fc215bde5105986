"""Fine-tuned classifiers on tiny random models: what is computed, what moves, what is kept, and what a kill costs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

import tiny_models
from equiray.data.text import Prompts
from equiray.errors import BadInput
from equiray.models import answers as answers_module
from equiray.models.answers import Variant, score_answers
from equiray.models.lora_classifier import LabelledPrompts, fine_tune, fine_tuned
from equiray.models.lora_classifier import train as train_module
from equiray.models.lora_classifier.loss import class_weights, loss_parts
from equiray.models.training.adapters import in_training
from equiray.models.tree_attention import tree_attention
from equiray.specs.run import LoraClassifierSpec

every_architecture = pytest.mark.parametrize("architecture", sorted(tiny_models.CONFIGS))
START = "Read the description and answer the question about it . "
QUESTION = "\nDoes this person earn more than 40 dollars per year ? Yes or no ?\n"
BODIES = tuple(
    f"The sex is {sex} . The age is {age} . The hours worked per week is {hours} ."
    for age in (20, 39, 40, 41)
    for hours in (20, 40)
    for sex in ("Male", "Female")
)


def rows(numbers=range(16)) -> LabelledPrompts:
    """Those who work 40 hours earn more: the text says it, so it can be learned."""
    bodies = [BODIES[number] for number in numbers]
    prompts = Prompts(START, bodies, f"{QUESTION}Answer:", (" Yes", " No"))
    return LabelledPrompts(prompts, np.array([int("per week is 40" in body) for body in bodies]))


def settings(**changes) -> LoraClassifierSpec:
    small = {"lora": {"rank": 4}, "steps": 3, "warmup_steps": 0, "batch_rows": 4, "validate_every": 2}
    return LoraClassifierSpec(**{**small, "learning_rate": 1e-2, "dtype": "float32", **changes})


def train(lm, out: Path, spec: LoraClassifierSpec, **more):
    return fine_tune(lm, rows(range(12)), rows(range(12, 16)), spec, out, **{"seed": 1, **more})


def weights(model) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


@every_architecture
def test_every_adapter_moves_and_nothing_else(architecture, tmp_path, monkeypatch):
    lm, moved = tiny_models.tiny(architecture), {}
    before = weights(lm.model)
    finish = train_module._Training._finish

    def look(self, step):
        moved.update(weights(self.model.lm.model))
        assert set(self.model.parameters) == {name for name in moved if ".lora_" in name}
        return finish(self, step)

    monkeypatch.setattr(train_module._Training, "_finish", look)
    result = train(lm, tmp_path, settings())
    assert (result.curve[-1].step, result.stopped_by) == (3, "steps")
    spec = settings()
    with in_training(tiny_models.tiny(architecture), spec.lora, dtype="float32", seed=1) as start:
        for name, parameter in start.lm.model.named_parameters():
            assert torch.equal(moved[name], parameter) == (".lora_" not in name), name
    for name, parameter in lm.model.named_parameters():
        assert torch.equal(parameter, before[name]) and parameter.requires_grad, name


def plain_loss(lm, data: LabelledPrompts, of_class) -> torch.Tensor:
    """One prompt at a time through the model's own attention, full logits."""
    lm.model.config._attn_implementation = "eager"
    total = torch.zeros(())
    for body, label in zip(data.prompts.row_bodies, data.labels, strict=True):
        for first, second in (("Yes", "No"), ("No", "Yes")):
            ids = lm.tokenizer(f"{START}{body}{QUESTION}A. {first}\nB. {second}\nAnswer:")["input_ids"]
            right = "A" if (first == "Yes") == bool(label) else "B"
            answer = lm.tokenizer.convert_tokens_to_ids(right)
            logits = lm.model(torch.tensor([[*ids, answer]])).logits[0]
            total = total + of_class[label] * torch.nn.functional.cross_entropy(
                logits[len(ids) - 1], torch.tensor(answer)
            )
    return total / (2 * len(data.labels))


@every_architecture
@pytest.mark.parametrize("batch_tokens", [100_000, 70])
def test_loss_and_gradients_are_those_of_a_plain_loop_over_the_answers(architecture, batch_tokens):
    data, of_class = rows([0, 3, 6, 9, 14]), np.array([0.7, 1.9])
    found = []
    for one_by_one in (False, True):
        lm = tiny_models.tiny(architecture, bos=True)
        with in_training(lm, settings().lora, dtype="float32", seed=3) as model:
            with torch.no_grad():
                for name, parameter in model.parameters.items():
                    parameter.add_(0.05 if "lora_B" in name else 0)
            if one_by_one:
                total = plain_loss(model.lm, data, of_class)
                total.backward()
            else:
                total = torch.zeros(())
                parts = 0
                with tree_attention(model.lm.model):
                    for part in loss_parts(model.lm, *data, of_class, batch_tokens=batch_tokens):
                        part.backward()
                        total, parts = total + part.detach(), parts + 1
                assert (parts == 1) == (batch_tokens > 1000)
            found.append((total.item(), {name: p.grad.clone() for name, p in model.parameters.items()}))
    (loss, gradients), (expected, plain) = found
    assert loss == pytest.approx(expected, rel=1e-5)
    for name, gradient in plain.items():
        torch.testing.assert_close(gradients[name], gradient, atol=1e-6, rtol=1e-3, msg=name)


def test_of_an_answer_of_several_tokens_the_mean_counts(monkeypatch):
    """As it is scored: else the longer answer would lose whatever the row says."""
    lm, data = tiny_models.tiny("llama"), rows([1, 2])
    one_way = (Variant(f"{QUESTION}Answer:", "per week A", "B"),)
    monkeypatch.setattr(answers_module, "variants", lambda prompts: one_way)
    with torch.no_grad():
        loss = sum(part.item() for part in loss_parts(lm, *data, np.ones(2), batch_tokens=10_000))
        lm.model.config._attn_implementation = "eager"
        expected = []
        for body, label in zip(data.prompts.row_bodies, data.labels, strict=True):
            ids = lm.tokenizer(f"{START}{body}{QUESTION}Answer:")["input_ids"]
            answer = lm.tokenizer("per week A" if label else "B", add_special_tokens=False)["input_ids"]
            assert len(answer) == (3 if label else 1)
            table = lm.model(torch.tensor([ids + answer])).logits[0].log_softmax(-1)
            expected.append(-np.mean([table[len(ids) + i - 1, token].item() for i, token in enumerate(answer)]))
    assert set(data.labels.tolist()) == {0, 1}
    assert loss == pytest.approx(np.mean(expected), rel=1e-5)


def test_balanced_weights_make_both_classes_count_alike():
    labels = np.array([1] * 7 + [0] * 3)
    assert class_weights(labels, "none").tolist() == [1, 1]
    balanced = class_weights(labels, "balanced")
    assert balanced[labels].mean() == pytest.approx(1)
    assert balanced[labels][labels == 1].sum() == pytest.approx(balanced[labels][labels == 0].sum())


def test_a_step_weighs_classes_as_the_spec_says(tmp_path, monkeypatch):
    data = rows([0, 1, 4, 5, 2])  # four who do not earn more, one who does
    seen = {}

    def note(lm, prompts, labels, of_class, **more):
        seen.update(zip(("negative", "positive"), of_class.tolist(), strict=True))
        return loss_parts(lm, prompts, labels, of_class, **more)

    monkeypatch.setattr(train_module, "loss_parts", note)
    fine_tune(tiny_models.tiny("llama"), data, rows(), settings(steps=1, class_weights="balanced"), tmp_path, seed=0)
    assert data.labels.tolist() == [0, 0, 0, 0, 1] and seen == {"negative": 5 / 8, "positive": 5 / 2}


def test_all_rows_are_seen_before_any_is_seen_again(tmp_path, monkeypatch):
    drawn = []
    take = LabelledPrompts.take
    monkeypatch.setattr(LabelledPrompts, "take", lambda self, rows: drawn.extend(rows.tolist()) or take(self, rows))
    spec = settings(steps=None, epochs=2.5, batch_rows=5)
    result = train(tiny_models.tiny("llama"), tmp_path, spec)
    assert result.curve[-1].step == 6  # 2.5 passes over 12 rows, five a step
    assert sorted(drawn[:12]) == sorted(drawn[12:24]) == list(range(12)) and drawn[:12] != drawn[12:24]
    twins = fine_tune(tiny_models.tiny("llama"), rows(), rows(), spec, tmp_path / "twins", people=12, seed=1)
    assert twins.curve[-1].step == 6  # with twins as many updates as without


def test_what_the_text_says_is_learned(tmp_path):
    said = []
    spec = settings(steps=150, batch_rows=8, validate_every=50, learning_rate=3e-3)
    result = train(tiny_models.tiny("qwen3"), tmp_path, spec, say=said.append)
    assert result.before.accuracy == 0.5 and result.best.accuracy == 1
    assert result.best.log_loss < 0.5 < result.before.log_loss
    assert result.warnings == () and len(said) == 4
    assert "step 150 of 150" in said[-1] and f"zero-shot {result.before.accuracy:.3f}" in said[-1]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_kept_classifier_answers_as_validation_saw_it(dtype, tmp_path):
    lm = tiny_models.tiny("qwen2")
    lm = replace(lm, model=lm.model.to(getattr(torch, dtype)))
    before, spec = weights(lm.model), settings(steps=6, dtype=dtype)
    result = train(lm, tmp_path, spec)
    data = rows(range(12, 16))
    with fine_tuned(lm, result.adapter, spec) as classifier:
        positive = score_answers(classifier, data.prompts)
    right = np.where(data.labels == 1, positive, 1 - positive)
    assert -np.log(right).mean() == pytest.approx(result.best.log_loss, abs=1e-9)
    assert np.mean(right > 0.5) == result.best.accuracy
    assert all(torch.equal(parameter, before[name]) for name, parameter in lm.model.named_parameters())
    assert np.abs(score_answers(lm, data.prompts) - positive).max() > 1e-4
    with safe_open(result.adapter / "adapter_model.safetensors", "pt") as kept:
        names = list(kept.keys())
        assert all(kept.get_tensor(name).dtype == torch.float32 for name in names)
    assert len(names) == 2 * 7 * 3
    assert {file.suffix for file in result.adapter.iterdir()} <= {
        ".safetensors",
        ".json",
        ".md",
    }


@pytest.mark.parametrize(
    ("measured", "kept"),
    [
        # (accuracy of four rows, how sure it is of the right answer) at steps 0, 1, 2, 3; step 0 is no candidate
        ([(4, 0.9), (2, 0.6), (3, 0.6), (2, 0.9)], 2),
        ([(0, 0.9), (3, 0.6), (3, 0.75), (3, 0.7)], 2),
        ([(0, 0.9), (3, 0.7), (3, 0.7), (3, 0.7)], 1),
    ],
)
def test_the_most_accurate_checkpoint_is_kept(measured, kept, tmp_path, monkeypatch):
    labels, points, seen = rows(range(12, 16)).labels, iter(measured), []

    def scripted(lm, prompts):
        right, sure = next(points)
        positive = np.where(labels == 1, sure, 1 - sure)
        positive[right:] = 1 - positive[right:]
        seen.append({n: p.detach().clone() for n, p in lm.model.named_parameters() if ".lora_" in n})
        return positive

    monkeypatch.setattr(train_module, "score_answers", scripted)
    result = train(tiny_models.tiny("llama"), tmp_path, settings(validate_every=1))
    assert result.best_step == kept
    assert [point.accuracy for point in result.curve] == [right / 4 for right, _ in measured]
    helped = measured[kept][0] > measured[0][0]
    assert bool(result.warnings) == (not helped)
    with safe_open(result.adapter / "adapter_model.safetensors", "pt") as file:
        for name, parameter in seen[kept].items():
            assert torch.equal(file.get_tensor("base_model.model." + name.replace(".default.", ".")), parameter), name


def test_memory_may_be_saved_without_another_result(tmp_path):
    plain, saving = (
        train(tiny_models.tiny("llama"), tmp_path / str(n), settings(gradient_checkpointing=n)) for n in (False, True)
    )
    for one, other in zip(plain.curve, saving.curve, strict=True):
        assert (one.step, one.accuracy) == (other.step, other.accuracy)
        assert one.log_loss == pytest.approx(other.log_loss, abs=1e-5)


class _Killed(Exception):
    pass


@pytest.mark.parametrize("kill_at", [1, 3, 5])
def test_a_killed_training_resumes_to_equal_bits(kill_at, tmp_path, monkeypatch):
    spec = settings(steps=7, warmup_steps=2, lora={"rank": 4, "dropout": 0.3})
    whole = train(tiny_models.tiny("llama"), tmp_path / "whole", spec)
    update = train_module._Training._update

    def killed(self, step):
        if step == kill_at:
            raise _Killed
        return update(self, step)

    monkeypatch.setattr(train_module._Training, "_update", killed)
    with pytest.raises(_Killed):
        train(tiny_models.tiny("llama"), tmp_path / "killed", spec)
    monkeypatch.setattr(train_module._Training, "_update", update)
    resumed = train(tiny_models.tiny("llama"), tmp_path / "killed", spec)
    assert [replace(p, seconds=0) for p in resumed.curve] == [replace(p, seconds=0) for p in whole.curve]
    file = "adapter_model.safetensors"
    assert (resumed.adapter / file).read_bytes() == (whole.adapter / file).read_bytes()
    assert not (tmp_path / "killed" / "checkpoints").exists()


def test_a_finished_training_is_read_and_no_other_is_taken_for_it(tmp_path, monkeypatch):
    lm = tiny_models.tiny("llama")
    first = train(lm, tmp_path, settings())
    monkeypatch.setattr(train_module._Training, "_update", lambda *_: pytest.fail("trained again"))
    assert train(lm, tmp_path, settings()) == first
    for changed in ({"seed": 2}, {"people": 3}):
        with pytest.raises(BadInput, match="another training"):
            train(lm, tmp_path, settings(), **changed)
    with pytest.raises(BadInput, match="another training"):
        fine_tune(lm, rows(range(11)), rows(range(12, 16)), settings(), tmp_path, seed=1)
    with (
        pytest.raises(BadInput, match=r"trained on llama[\s\S]*classifier\.json"),
        fine_tuned(tiny_models.tiny("llama", seed=5), first.adapter, settings()),
    ):
        pass
    file = first.adapter / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:9])
    with pytest.raises(BadInput, match=r"cut short or altered[\s\S]*remove"), fine_tuned(lm, first.adapter, settings()):
        pass


def test_a_time_budget_ends_it_after_one_step_at_least(tmp_path):
    long = train(tiny_models.tiny("llama"), tmp_path / "some", settings(steps=100_000, time_budget_s=0.7))
    assert long.stopped_by == "time budget" and 0 < long.best_step <= long.curve[-1].step < 100_000
    short = train(tiny_models.tiny("llama"), tmp_path / "one", settings(steps=100_000, time_budget_s=1e-9))
    assert (short.curve[-1].step, short.best_step) == (1, 1)
    assert json.loads((tmp_path / "one" / "result.json").read_text())["stopped_by"] == "time budget"


def test_rows_that_teach_nothing_are_refused(tmp_path):
    lm, same = tiny_models.tiny("llama"), rows([0, 1, 4])
    with pytest.raises(BadInput, match="all 3 training rows have the label 0"):
        fine_tune(lm, same, rows(), settings(), tmp_path, seed=0)
    with pytest.raises(BadInput, match="validation split has no rows"):
        fine_tune(lm, rows(), rows([]), settings(), tmp_path, seed=0)
    assert not list(tmp_path.iterdir())
