"""Unlearning on tiny random models: what moves, what it computes, and that a killed run goes on as if unharmed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel

import tiny_models
from equiray.data.reference import ReferenceTexts
from equiray.data.templates import Fillers, Prompt
from equiray.errors import BadInput
from equiray.mitigation.unlearning import load_adapter, unlearn
from equiray.mitigation.unlearning import train as train_module
from equiray.mitigation.unlearning.adapters import trainable
from equiray.mitigation.unlearning.batches import encode_prompts, hidden_states, next_token_logits, step_batch
from equiray.mitigation.unlearning.diagnostics import Monitor, score_relevant, twin_units, warnings_of
from equiray.mitigation.unlearning.objective import Objective, gradient_cosine
from equiray.models.embedding import embed_texts
from equiray.models.scoring import Scorer
from equiray.models.tree_attention import tree_attention
from equiray.specs.run import UnlearningSpec

FILLERS = Fillers(poor=("age", "race White", "20"), rich=("sex", "race Black", "per week A"), irrelevant=())
SENTENCES = ("The {} is", "{} worked hours and", "Read about the {} . It", "Does {} earn more")
TEXTS = tuple(f"The {a} is {b} ." for a in ("age", "race", "question", "answer") for b in ("39", "40", "White", "Yes"))
REFERENCE = ReferenceTexts(name="tiny", texts=TEXTS, source="test", sha256="0")
every_architecture = pytest.mark.parametrize("architecture", sorted(tiny_models.CONFIGS))


def prompts(families=range(4), *, neutral=False):
    made = []
    for number in families:
        sides = [("Female", "disadvantaged"), ("Male", "advantaged"), *([("person", "neutral")] if neutral else [])]
        for word, side in sides:
            made.append(
                Prompt(
                    prefix=SENTENCES[number].format(word),
                    joiner=" ",
                    target=word,
                    group=word if side != "neutral" else "neutral",
                    side=side,
                    twin=f"{number}" if side != "neutral" else f"{number}n",
                    family=str(number),
                    template=str(number),
                )
            )
    return made


def settings(**changes):
    small = {
        "steps": 3,
        "warmup_steps": 0,
        "batch_prompts": 4,
        "batch_references": 2,
        "log_every": 2,
        "lora": {"rank": 4},
    }
    return UnlearningSpec(**{**small, "learning_rate": 1e-2, **changes})


def train(lm, out, spec, **kw):
    return unlearn(lm, prompts(range(3)), prompts([3]), FILLERS, REFERENCE, spec, out, **{"seed": 1, **kw})


def weights(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def logprob(lm, prefix, answer):
    """Mean log-probability of an answer by one plain forward over the whole sequence."""
    head, tail = (lm.tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prefix, " " + answer))
    lm.model.config._attn_implementation = "eager"
    table = lm.model(torch.tensor([head + tail])).logits[0].log_softmax(dim=-1)
    return torch.stack([table[len(head) + i - 1, token] for i, token in enumerate(tail)]).mean()


@every_architecture
@pytest.mark.parametrize("adapt", ["lora", "full"])
def test_every_trainable_parameter_moves_and_no_other(architecture, adapt, tmp_path):
    lm = tiny_models.tiny(architecture)
    before = weights(lm.model)
    result = train(lm, tmp_path, settings(adapt=adapt, log_every=1, steps=3))
    assert result.steps == 3 and result.stopped_by == "steps"
    for name, tensor in lm.model.named_parameters():
        assert torch.equal(tensor, before[name]) and tensor.requires_grad, name

    with trainable(lm, settings(adapt=adapt), 1) as model, tree_attention(model.lm.model):
        objective = Objective.of(model.lm, prompts(range(3)), FILLERS, TEXTS, settings(adapt=adapt), (1, 0))
        optimizer = torch.optim.AdamW(model.parameters.values(), lr=1e-2, weight_decay=0.0)
        start = weights(model.lm.model)
        for step in range(3):
            objective.loss(objective.terms(model.lm, step)).backward()
            optimizer.step()
            optimizer.zero_grad()
        for name, tensor in model.lm.model.named_parameters():
            # rows of tokens that never occur have no gradient, but the matrix as a whole has
            assert torch.equal(tensor, start[name]) == (name not in model.parameters), name
        if adapt == "lora":
            layers = {name.split(".lora_")[0] for name in model.parameters}
            linear = {
                n.removesuffix(".base_layer") for n, m in model.lm.model.named_modules() if n.endswith("base_layer")
            }
            assert layers == linear and len(layers) == LINEAR_PER_LAYER[architecture] * 3
        tied = model.lm.model.config.tie_word_embeddings
        head, embedding = model.lm.model.get_output_embeddings(), model.lm.model.get_input_embeddings()
        assert (head.weight is embedding.weight) == tied


LINEAR_PER_LAYER = {"llama": 7, "phi3": 4, "gemma2": 7, "qwen2": 7, "qwen3": 7, "gpt2": 4}


@every_architecture
def test_terms_equal_a_plain_computation(architecture):
    """One sequence at a time, no tree, no kept states."""
    lm, other = tiny_models.tiny(architecture), tiny_models.tiny(architecture, seed=1)
    spec = settings(ascent_bound=5.0, batch_prompts=12, gap_form="absolute")
    objective = Objective.of(other, prompts(range(3), neutral=True), FILLERS, TEXTS, spec, (0, 0))
    drawn, numbers = objective.draw(0)
    with torch.no_grad():
        terms = objective.terms(lm, 0)
        every = prompts(range(3), neutral=True)
        encoded = encode_prompts(lm, every, FILLERS)
        chosen = [every[encoded.index(prompt)] for prompt in drawn]
        assert {prompt.side for prompt in chosen} == {"disadvantaged", "advantaged", "neutral"}
        ascent, descent, gaps = [], [], []
        for prompt in chosen:
            poor, rich = (
                torch.stack([logprob(lm, prompt.prefix, w) for w in group]) for group in (FILLERS.poor, FILLERS.rich)
            )
            par = poor.exp().sum() / (poor.exp().sum() + rich.exp().sum())
            gaps.append((2 * par - 1).abs())
            if prompt.side != "neutral":
                stereotype, anti = (poor, rich) if prompt.side == "disadvantaged" else (rich, poor)
                ascent += [max(0.0, 5.0 + float(v)) for v in stereotype]
                descent += [-float(v) for v in anti]
        divergence = []
        for number in numbers:
            ids = torch.tensor([objective.texts[number]])
            for model in (lm.model, other.model):
                model.config._attn_implementation = "eager"
            p, p0 = (m.model(ids).logits[0, :-1].log_softmax(-1) for m in (lm, other))
            divergence += (p0.exp() * (p0 - p)).sum(-1).tolist()
    assert terms.unlearn.item() == pytest.approx(np.mean(ascent), abs=1e-4) and np.mean(ascent) > 0
    assert terms.learn.item() == pytest.approx(np.mean(descent), abs=1e-4)
    assert terms.gap.item() == pytest.approx(torch.stack(gaps).mean().item(), abs=1e-4)
    assert terms.kl.item() == pytest.approx(np.mean(divergence), abs=1e-4) and np.mean(divergence) > 1e-4
    weighted = 0.05 * terms.unlearn + 0.1 * terms.learn + 5 * terms.gap + terms.kl
    spec = spec.model_copy(update={"lambda_unlearn": 0.05, "lambda_learn": 0.1, "lambda_gap": 5.0, "lambda_kl": 1.0})
    assert replace(objective, spec=spec).loss(terms).item() == pytest.approx(weighted.item(), rel=1e-6)


@every_architecture
def test_kl_is_zero_at_the_start(architecture):
    lm = tiny_models.tiny(architecture)
    for adapt in ("lora", "full"):
        with trainable(lm, settings(adapt=adapt), 0) as model:
            terms = Objective.of(model.lm, prompts(), FILLERS, TEXTS, settings(), (0, 0)).terms(model.lm, 0)
            assert terms.kl.item() == pytest.approx(0, abs=1e-6)


@every_architecture
def test_merged_model_answers_as_the_one_in_training(architecture, tmp_path):
    lm = tiny_models.tiny(architecture)
    result = train(lm, tmp_path, settings())
    merged = load_adapter(lm, result.adapter)
    active = PeftModel.from_pretrained(tiny_models.tiny(architecture).model, str(result.adapter))
    unmerged = replace(lm, model=active.get_base_model())
    changed = embed_texts(merged, TEXTS)
    np.testing.assert_allclose(changed, embed_texts(unmerged, TEXTS), atol=1e-4)
    if result.best_step:
        assert np.abs(changed - embed_texts(lm, TEXTS)).max() > 1e-3
        assert merged.identity != lm.identity


def test_full_weights_come_back(tmp_path):
    lm = tiny_models.tiny("llama")
    seen = []
    result = train(lm, tmp_path, settings(adapt="full", log_every=1), say=seen.append)
    assert len(seen) == 4
    again = load_adapter(lm, result.adapter)
    gap = Monitor.of(prompts([3]), FILLERS, TEXTS, limits=(64, 40), seed=0).check(again).gaps
    assert gap.absolute == pytest.approx(result.best.validation_gap, abs=1e-5)
    head, embedding = again.model.get_output_embeddings(), again.model.get_input_embeddings()
    assert head.weight is embedding.weight


def test_fast_scores_equal_the_scorer():
    lm = tiny_models.tiny("qwen2")
    asked = prompts(neutral=True)
    slow = Scorer(lm=lm).mean_logprobs([p.prefix for p in asked], [p.continuations(FILLERS.relevant) for p in asked])
    np.testing.assert_allclose(score_relevant(lm, asked, FILLERS), np.array(slow), atol=1e-5)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_checkpointed_gradients_are_the_same(architecture):
    lm = tiny_models.tiny(architecture)
    gradients = []
    for checkpointing in (False, True):
        spec = settings(gradient_checkpointing=checkpointing)
        with trainable(lm, spec, 0) as model, tree_attention(model.lm.model):
            with torch.no_grad():
                for name, p in model.parameters.items():
                    p.add_(0.1 if "lora_B" in name else 0.0)
            objective = Objective.of(model.lm, prompts(), FILLERS, TEXTS, spec, (0, 0))
            objective.loss(objective.terms(model.lm, 0)).backward()
            gradients.append({n: p.grad.clone() for n, p in model.parameters.items()})
    for name, plain in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], plain, atol=1e-6, rtol=1e-4)


class _Killed(Exception):
    pass


@pytest.mark.parametrize("adapt", ["lora", "full"])
@pytest.mark.parametrize("kill_at", [3, 5])
def test_killed_run_resumes_exactly(adapt, kill_at, tmp_path, monkeypatch):
    spec = settings(adapt=adapt, steps=7, lora={"rank": 4, "dropout": 0.3})
    whole = train(tiny_models.tiny("llama"), tmp_path / "whole", spec)
    original = train_module._Training._update

    def killed(self, terms, step):
        if step == kill_at:
            raise _Killed
        original(self, terms, step)

    monkeypatch.setattr(train_module._Training, "_update", killed)
    lm = tiny_models.tiny("llama")
    untouched = weights(lm.model)
    with pytest.raises(_Killed):
        train(lm, tmp_path / "killed", spec)
    assert all(torch.equal(p, untouched[n]) for n, p in lm.model.named_parameters())
    monkeypatch.setattr(train_module._Training, "_update", original)
    resumed = train(tiny_models.tiny("llama"), tmp_path / "killed", spec)
    same = [replace(point, seconds=0) for point in whole.curve]
    assert [replace(point, seconds=0) for point in resumed.curve] == same
    file = "adapter_model.safetensors" if adapt == "lora" else "model.safetensors"
    assert (resumed.adapter / file).read_bytes() == (whole.adapter / file).read_bytes()
    assert not (tmp_path / "killed" / "checkpoints").exists()


def test_finished_run_is_read_not_repeated(tmp_path, monkeypatch):
    lm = tiny_models.tiny("llama")
    first = train(lm, tmp_path, settings())
    monkeypatch.setattr(train_module._Training, "_update", lambda *_: pytest.fail("trained again"))
    assert train(lm, tmp_path, settings()) == first
    with pytest.raises(BadInput, match="another training"):
        train(lm, tmp_path, settings(), seed=2)
    lines = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 2, 3]


@pytest.mark.parametrize("broken", ["state.json", "weights.safetensors", "best.safetensors"])
def test_a_broken_checkpoint_is_named(broken, tmp_path, monkeypatch):
    def killed(self, terms, step):
        raise _Killed

    monkeypatch.setattr(train_module._Training, "_update", killed)
    with pytest.raises(_Killed):
        train(tiny_models.tiny("llama"), tmp_path, settings())
    (file,) = tmp_path.glob(f"checkpoints/*/{broken}")
    file.write_bytes(file.read_bytes()[:7])
    with pytest.raises(BadInput, match=r"cut short or altered[\s\S]*step-000000[\s\S]*remove this folder"):
        train(tiny_models.tiny("llama"), tmp_path, settings())


@pytest.mark.parametrize("broken", ["result.json", "curve.jsonl", "adapter/adapter_model.safetensors"])
def test_a_finished_training_that_is_broken_is_named(broken, tmp_path):
    lm = tiny_models.tiny("llama")
    train(lm, tmp_path, settings())
    (tmp_path / broken).write_bytes((tmp_path / broken).read_bytes()[:7])
    with pytest.raises(BadInput, match=rf"cut short or altered[\s\S]*{Path(broken).name}[\s\S]*remove"):
        load_adapter(lm, train(lm, tmp_path, settings()).adapter)


def test_time_budget_stops_and_says_so(tmp_path):
    result = train(tiny_models.tiny("llama"), tmp_path, settings(steps=100000, time_budget_s=1.0))
    assert result.stopped_by == "time budget" and 0 < result.steps < 100000
    assert json.loads((tmp_path / "result.json").read_text())["stopped_by"] == "time budget"


def test_a_training_that_helps_nothing_keeps_nothing(tmp_path):
    lm = tiny_models.tiny("llama")
    result = train(lm, tmp_path, settings(learning_rate=1e-30))
    assert result.best_step == 0 and "nothing kept" in result.warnings[0]
    np.testing.assert_array_equal(embed_texts(load_adapter(lm, result.adapter), TEXTS), embed_texts(lm, TEXTS))


def test_gap_falls_on_training_prompts(tmp_path):
    lm = tiny_models.tiny("llama")
    spec = settings(steps=60, log_every=20, learning_rate=1e-2, batch_prompts=8)
    same = prompts()
    result = unlearn(lm, same, same, FILLERS, REFERENCE, spec, tmp_path, seed=0)
    assert result.curve[-1].validation_gap < 0.3 * result.before.validation_gap


def test_adapter_of_another_model_is_refused(tmp_path):
    result = train(tiny_models.tiny("llama"), tmp_path, settings())
    with pytest.raises(BadInput, match="trained on llama"):
        load_adapter(tiny_models.tiny("llama", seed=3), result.adapter)
    with pytest.raises(BadInput, match="no readable adapter"):
        load_adapter(tiny_models.tiny("llama"), tmp_path / "nowhere")


def test_unpaired_prompts_are_refused():
    with pytest.raises(ValueError, match="not followed by its twin"):
        twin_units(prompts()[1:])


def test_failure_signs():
    lm = tiny_models.tiny("llama")
    health = Monitor.of(prompts(), FILLERS, TEXTS, limits=(64, 40), seed=0).check(lm)
    estimate = health.signed[0]
    positive = replace(estimate, value=0.3, low=0.1, high=0.5)
    negative = replace(estimate, value=-0.3, low=-0.5, high=-0.1)
    start, turned = health._replace(signed=(positive,)), health._replace(signed=(negative,))
    assert warnings_of(start, start, [0.5, 0.4], 0.2) == ()
    assert "inversion" in warnings_of(start, turned, [0.5, 0.4], 0.2)[0]
    assert "stagnation" in warnings_of(start, start, [0.5, 0.4, 0.5, 0.5, 0.5, 0.5], 0.2)[0]
    assert "conflict" in warnings_of(start, start, [0.5, 0.4], -0.2)[0]
    worse = start._replace(perplexity=start.perplexity * 1.03)
    assert "perplexity: 3.0%" in warnings_of(start, worse, [0.5, 0.4], None)[0]


def test_cosine_is_none_where_ascent_is_done():
    lm = tiny_models.tiny("llama")
    for bound, some in ((1e-6, False), (50.0, True)):
        spec = settings(ascent_bound=bound)
        with trainable(lm, spec, 0) as model:
            terms = Objective.of(model.lm, prompts(), FILLERS, TEXTS, spec, (0, 0)).terms(model.lm, 0)
            cosine = gradient_cosine(terms, list(model.parameters.values()))
        assert (cosine is not None and -1 <= cosine <= 1) if some else cosine is None


def test_reference_nodes_predict_every_token_but_the_first():
    lm = tiny_models.tiny("phi3")
    ids = [tuple(lm.tokenizer(text)["input_ids"]) for text in TEXTS[:3]]
    batch = step_batch([], ids)
    with torch.no_grad():
        table = next_token_logits(lm, hidden_states(lm, batch)[torch.as_tensor(batch.reference)]).log_softmax(-1)
    targets = [token for text in ids for token in text[1:]]
    nll, count = Scorer(lm=lm).text_nll(TEXTS[:3])
    assert count.sum() == len(targets) == len(table)
    assert -table[range(len(targets)), targets].sum().item() == pytest.approx(nll.sum(), abs=1e-3)
