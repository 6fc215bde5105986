"""Runs of chains on BBQ with a tiny random language model; what it wrote is put into the cache beforehand.

A random model's texts end in no answer, so chains are invented: steps of a few kinds and an answer, drawn by case.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from equiray.cli import main
from equiray.data.cases.asking import Question
from equiray.data.cases.record import Case
from equiray.models.engines.asked import messages_of
from equiray.models.engines.cache import CompletionCache
from equiray.models.engines.records import Completion, Request
from equiray.models.engines.transformers_engine import TransformersEngine
from equiray.models.loading import load_causal_lm
from equiray.runs.chains.planning import plan_cases
from equiray.runs.chains.reward_run import RewardRun
from equiray.runs.reward.planning import SIDES, plan_reward
from equiray.runs.sampling.chains import Sampler, completions_directory, sampling_of
from equiray.runs.sampling.engines import Engines
from equiray.specs.chains import load_chains_spec
from equiray.specs.generation import SamplingSpec
from equiray.specs.reward_run import load_reward_spec

STEPS = (
    "People like that are always so .",
    "The text does not say who it was .",
    "Everybody knows what such people do .",
    "The text says who it was .",
    "One may not judge by the group .",
)
_WORDS = sorted({word for step in STEPS for word in step.split()})
_SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]
_CHAT = (
    "{% for m in messages %}<s> {{ m['role'] }} {{ m['content'] }} </s>{% endfor %}"
    "{% if add_generation_prompt %} assistant {% endif %}"
)
_VOCABULARY = [*_SPECIAL, *_WORDS, "user", "assistant", "Answer", ":", *"ABCDEF", "Who", "who", "old", "young", "man"]
HELD_OUT = ["Age", "SES"]


def tiny_lm(folder: Path) -> Path:
    """Two layers of 32 units; what it does not know is one word."""
    core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(_VOCABULARY)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, **special)
    tokenizer.chat_template = _CHAT
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(_VOCABULARY),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=2048,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=3,
    )
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    return folder


def put_chains(
    source: Path, questions: dict[str, Question], cases: Sequence[Case], sampling: SamplingSpec, *, leave: int = 0
) -> None:
    """Keep invented chains of all questions but the last `leave` as if the model of `source` had written them."""
    engine = TransformersEngine(lm=load_causal_lm(str(source), dtype="float32"))
    cache = CompletionCache(completions_directory(), engine.identity)
    drawn = sampling_of(sampling)
    for case in cases[: len(cases) - leave]:
        question = questions[case.case_id]
        request = Request(request_id=case.case_id, messages=messages_of(question), n=sampling.chains)
        for index in range(sampling.chains):
            text = invented(case, question, index)
            finish = "refusal" if not text else "stop"
            done = Completion(request_id=case.case_id, index=index, text=text, tokens=len(text.split()), finish=finish)
            cache.add(request, drawn, done)


def start(*arguments: object) -> int:
    """`equiray` in this process; its exit code."""
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    return int(left.value.code or 0)


def finished_reward_run(folder: Path, model: Path) -> Path:
    """A reward run in ``folder/out``, its chains invented but for those of two training cases; its cache beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIRAY_CACHE", str(folder / "cache"))
        path = write_spec(folder / "spec.yaml", reward_document(model))
        spec = load_reward_spec(path)
        plan = plan_reward(spec)
        sampler = sampler_of(spec)
        for side in SIDES:
            questions = sampler.questions(plan.parts[side])
            put_chains(model, questions, plan.parts[side], spec.sampling, leave=2 if side == "train" else 0)
        assert start("run", path, "--out", folder / "out", "--debug") == 0
    return folder / "out"


def finished_chains_run(folder: Path, model: Path, reward: Path) -> Path:
    """A run on BBQ and COMPAS in ``folder/out``, its chains invented."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIRAY_CACHE", str(reward.parent / "cache"))
        path = write_spec(folder / "spec.yaml", chains_document(model, reward))
        spec = load_chains_spec(path)
        sampler = sampler_of(spec)
        for planned in plan_cases(spec, RewardRun.read(reward), sampler.engines):
            for side, variant in (("validation", "reason"), ("test", "reason"), ("test", "fair")):
                cases = planned.parts[side]
                put_chains(model, sampler.questions(cases, variant), cases, spec.sampling)
        assert start("run", path, "--out", folder / "out", "--debug") == 0
    return folder / "out"


def sampler_of(spec: Any) -> Sampler:
    """As the run of a spec samples BBQ."""
    engines = Engines(spec=spec.engine)
    return Sampler(engines=engines, sampling=spec.sampling, separator=spec.separator, order_seed=0)


def invented(case: Case, question: Question, index: int) -> str:
    """Two or three steps and mostly an answer: biased first steps lead to the stereotyped option more often."""
    seed = hashlib.sha256(f"{case.case_id} {index} {question.text}".encode()).digest()[:8]
    random = np.random.default_rng(int.from_bytes(seed, "big"))
    steps = [STEPS[n] for n in random.integers(0, len(STEPS), random.integers(2, 4))]
    ending = random.random()
    if ending < 0.03:
        return ""
    if ending < 0.1:
        return "\n\n".join(steps)
    mark = case.stereotype
    target = None if mark is None else mark.target
    biased = steps[0] in (STEPS[0], STEPS[2]) and target is not None and random.random() < 0.7
    option = target if biased else int(random.integers(len(case.options)))
    letter = question.letters[question.order.index(option)]
    return "\n\n".join([*steps, f"Answer: {letter}"])


def reward_document(source: Path, **changes: Any) -> dict[str, Any]:
    """A spec that trains in seconds."""
    document = {
        "schema": "equiray.reward/1",
        "name": "tiny",
        "cases": {"items": 60, "categories": ["Age", "SES", "Religion", "Nationality"]},
        "held_out": HELD_OUT,
        "engine": {"source": str(source), "dtype": "float32"},
        "sampling": {"chains": 3, "max_tokens": 12},
        "judge": {"delta": 0.02, "check_steps": 10},
        "reward": {"source": str(source), "steps": 6, "batch_steps": 16, "validate_every": 3, "learning_rate": 0.01},
        "replicates": 100,
    }
    return document | changes


def write_spec(path: Path, document: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def chains_document(source: Path, reward: Path, **changes: Any) -> dict[str, Any]:
    """A spec of decisions about BBQ and COMPAS."""
    document = {
        "schema": "equiray.chains/1",
        "name": "tiny",
        "cases": [
            {"items": 60, "categories": ["Age", "SES"]},
            {"dataset": "compas", "items": 30, "attributes": ["race", "sex"]},
        ],
        "engine": {"source": str(source), "dtype": "float32"},
        "sampling": {"chains": 3, "max_tokens": 12},
        "reward_model": str(reward),
        "decision": {"temperatures": [0.01, 0.2], "max_accuracy_loss": 0.1},
        "replicates": 100,
    }
    return document | changes


_KEYED_BY_DATA = {
    "by_category",
    "by_group",
    "categories",
    "labels",
    "labels_by_category",
    "steps_a_chain",
    "figures",
    "bounds",
    "groups",
    "excluded",
    "durations_s",
}
"""Mappings whose keys are names of the data: what they hold is alike under every key."""


def shape(document: Any, path: str = "") -> set[str]:
    """Paths of a document's keys; entries of a list, and of a mapping keyed by data, count as one."""
    if isinstance(document, list):
        return {path}.union(*(shape(each, f"{path}[]") for each in document))
    if not isinstance(document, dict):
        return {path}
    keyed = path.rsplit(".", 1)[-1] in _KEYED_BY_DATA
    return {path}.union(*(shape(each, f"{path}.{'*' if keyed else key}") for key, each in document.items()))


def shortened(document: Any) -> Any:
    """The example of a contract: two entries of every list, no path of this machine."""
    if isinstance(document, list):
        return [shortened(each) for each in document[:2]]
    if isinstance(document, dict):
        return {key: shortened(each) for key, each in document.items()}
    if isinstance(document, float):
        return float(f"{document:.4g}")
    return "tiny" if isinstance(document, str) and document.startswith("/") else document
