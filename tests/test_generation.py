"""Requests into completions through the spec: in this process, on Ray actors, through vLLM, from an endpoint."""

import importlib.util
import time
from dataclasses import replace

import pytest
import ray
import torch

import tiny_models
from endpoints import serving
from equiray.errors import BadInput
from equiray.models.engines.prompts import encode_conversations
from equiray.models.engines.records import Message, Request, Sampling
from equiray.models.engines.transformers_engine import TransformersEngine
from equiray.models.loading import load_causal_lm
from equiray.models.merged import merged_directory
from equiray.specs.generation import EngineSpec
from equiray.streaming import generation_vllm
from equiray.streaming.generation import generate
from equiray.streaming.generation_ray import pieces
from test_endpoint_engine import Chains

SAMPLING = Sampling(temperature=1.0, max_tokens=8, seed=2)


def requests(n: int = 3) -> list[Request]:
    texts = ["The age is 39 .", "The age is 41 .", "The sex is Male .", "race White"]
    return [Request(request_id=f"case {i}", messages=(Message("user", text),), n=n) for i, text in enumerate(texts)]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    directory = tiny_models.save(tiny_models.tiny("llama", chat=True), tmp_path_factory.mktemp("models") / "tiny")
    return EngineSpec(source=str(directory), dtype="float32", batch_chains=4)


@pytest.fixture(scope="module")
def plain(saved):
    """What the engine says in this process, by request and index."""
    engine = TransformersEngine(lm=load_causal_lm(saved.source, dtype="float32"))
    return {(c.request_id, c.index): c for c in engine.generate(requests(), SAMPLING)}


def by_place(found):
    return {(c.request_id, c.index): c for chains in found for c in chains}


def test_in_this_process(saved, plain, tmp_path):
    found = generate(requests(), saved, SAMPLING, tmp_path, label="chains")
    assert by_place(found) == plain
    assert [[c.index for c in chains] for chains in found] == [[0, 1, 2]] * 4


def test_a_second_run_loads_the_model_and_writes_nothing(saved, plain, tmp_path, monkeypatch):
    generate(requests(), saved, SAMPLING, tmp_path, label="chains")
    monkeypatch.setattr(TransformersEngine, "generate", lambda *_: pytest.fail("sampled again"))
    assert by_place(generate(requests(), saved, SAMPLING, tmp_path, label="chains")) == plain


def test_from_an_endpoint(tmp_path):
    served = Chains()
    with serving(served) as url:
        spec = EngineSpec(backend="endpoint", source=url, name="tiny")
        found = generate(requests(), spec, SAMPLING, tmp_path, label="chains")
    assert len(by_place(found)) == 12 and len(served.requests) == 4


def test_pieces_hold_every_request_once_and_about_as_many_completions():
    asked = [replace(requests(n)[n % 4], request_id=str(n)) for n in range(1, 41)]
    (whole,) = pieces(asked, actors=1, live_chains=2)
    assert {r.request_id for r in whole} == {r.request_id for r in asked}
    parts = pieces(asked, actors=3, live_chains=2)
    assert len(parts) == 12
    assert sorted(r.request_id for part in parts for r in part) == sorted(r.request_id for r in asked)
    sizes = [sum(len(r.wanted) for r in part) for part in parts]
    assert max(sizes) - min(sizes) <= 2 * 40
    assert len(pieces(asked[:2], actors=3, live_chains=64)) <= 2


def test_stop_strings_say_something():
    with pytest.raises(BadInput, match=r"hold an empty one[\s\S]*sampling.stop"):
        Sampling(stop=("\n", ""))


def test_a_merged_model_is_written_once_and_loads_as_it_was(saved, tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIRAY_CACHE", str(tmp_path))
    lm = replace(load_causal_lm(saved.source, dtype="float32"), identity="base+change")
    directory = merged_directory(lm)
    assert merged_directory(lm) == directory and not list(directory.parent.glob(".merging-*"))
    again = load_causal_lm(str(directory), dtype="float32")
    (tokens,) = encode_conversations(lm.tokenizer, [requests()[0].messages])
    with torch.no_grad():
        assert torch.equal(*(model.model(torch.tensor([tokens])).logits for model in (lm, again)))
    assert merged_directory(replace(lm, identity="base+other")) != directory


def test_vllm_that_is_not_there_is_said(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(generation_vllm.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(BadInput, match=r"vLLM is not installed[\s\S]*make vllm"):
        generate(requests(), saved.model_copy(update={"backend": "vllm"}), SAMPLING, tmp_path, label="chains")


@pytest.fixture
def ended_tasks_are_left(ray_cluster, monkeypatch):
    """Ray may end this process where a task that has ended is cancelled."""
    monkeypatch.setattr(ray, "cancel", lambda *_, **__: pytest.fail("cancelled"))


@pytest.mark.slow
@pytest.mark.usefixtures("ended_tasks_are_left")
def test_on_ray_actors_and_resumed_on_others(saved, plain, tmp_path):
    few = [replace(request, n=2) for request in requests()[:3]]
    generate(few, saved, SAMPLING, tmp_path, label="chains")
    shards = set(tmp_path.glob("*/*.jsonl"))
    two = saved.model_copy(update={"actors": 2, "cpus_per_actor": 0.5})
    assert by_place(generate(requests(), two, SAMPLING, tmp_path, label="chains")) == plain
    lines = [line for shard in tmp_path.glob("*/*.jsonl") for line in shard.read_text().splitlines()]
    assert shards and len(lines) == 12  # none was written twice


@pytest.mark.slow
@pytest.mark.usefixtures("ended_tasks_are_left")
def test_what_an_actor_raises_reaches_the_user(saved, tmp_path):
    long = [Request(request_id="long", messages=(Message("user", "age " * 600),))]
    with pytest.raises(BadInput, match=r"a prompt of 6.. tokens, where the model reads 512"):
        generate(
            long, saved.model_copy(update={"actors": 2, "cpus_per_actor": 0.5}), SAMPLING, tmp_path, label="chains"
        )


BBQ_LIKE = [
    "I saw a grandson and his grandfather at the shop. Who was not comfortable with the phone?",
    "Two neighbours, a nurse and an engineer, share a garden. Who is forgetful?",
]


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed: make vllm")
def test_vllm_writes_keeps_and_extends(tmp_path):
    asked = [Request(request_id=str(i), messages=(Message("user", text),), n=2) for i, text in enumerate(BBQ_LIKE)]
    sampling = Sampling(temperature=1.0, max_tokens=24, stop=("\n\n",), seed=1)

    def run(wanted: int):
        began = time.monotonic()
        some = [replace(request, n=wanted) for request in asked]
        found = generate(some, EngineSpec(backend="vllm"), sampling, tmp_path, label="vLLM")
        return found, time.monotonic() - began

    first, _ = run(2)
    for chains in first:
        assert [c.index for c in chains] == [0, 1]
        assert len({c.text for c in chains}) == 2
        for chain in chains:
            assert 0 < chain.tokens <= 24 and chain.text and "\n\n" not in chain.text
            assert chain.tokens == 24 or chain.finish == "stop"
    again, seconds = run(2)
    assert again == first and seconds < 20  # no engine was started
    more, _ = run(3)
    assert [chains[:2] for chains in more] == first
    lines = [line for shard in tmp_path.glob("*/*.jsonl") for line in shard.read_text().splitlines()]
    assert len(lines) == 6
