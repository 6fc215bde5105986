"""The examples of chats in docs/contracts are what the endpoints take and give."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from chain_runs import shape
from chat_made import KEY, loaded
from equiray.bundles.manifest import Manifest
from equiray.serving.audit import AuditLog
from equiray.serving.chat.answering import ChatAnswerer
from equiray.serving.chat.bodies import ChatCompletionRequest, CompletionRequest
from equiray.serving.chat.recording import Origin, answered_of, entry_of
from equiray.serving.chat.replies import ChatCompletion, Fairness, TextCompletion
from equiray.serving.chat.replying import chat_completion, text_completion
from equiray.specs.chains import ChainsSpec

CONTRACTS = Path(__file__).parents[1] / "docs" / "contracts"


def example(name: str) -> Any:
    return json.loads((CONTRACTS / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("name", "model"), [("chat_request", ChatCompletionRequest), ("text_request", CompletionRequest)]
)
def test_requests_are_read(name: str, model: type[ChatCompletionRequest | CompletionRequest]):
    body = model.model_validate(example(name))
    assert body.model_dump(mode="json", exclude_unset=True) == example(name)
    assert body.asked.seed == 7 and body.asked.likeliest == 1


@pytest.mark.parametrize(("name", "model"), [("chat_completion", ChatCompletion), ("text_completion", TextCompletion)])
def test_replies_have_every_field(name: str, model: type[ChatCompletion | TextCompletion]):
    found = model.model_validate(example(name), extra="forbid")
    assert found.model_dump(mode="json") == example(name)
    assert found.model == "chat-bbq" and found.fairness.chains_sampled == len(found.fairness.chains)


def test_a_real_reply_has_the_shape_of_the_example(tmp_path: Path):
    bundle = loaded(tmp_path)
    log = AuditLog.open(f"sqlite:///{tmp_path}/audit.db", key=KEY)
    pairs: list[Any] = [
        ("chat", ChatCompletionRequest, chat_completion, "chat_completion"),
        ("text", CompletionRequest, text_completion, "text_completion"),
    ]
    with closing(ChatAnswerer(bundle)) as answerer, closing(log):
        for endpoint, body, reply, name in pairs:
            plain = {"messages": [{"role": "user", "content": "Yes or No ?"}]} if endpoint == "chat" else {}
            asked = body.model_validate(example(f"{endpoint}_request") | {"max_tokens": 12, **plain}).asked
            (answered,) = answerer.answer([asked])
            origin = Origin(key_id="k", endpoint=endpoint, asked=asked)
            record = log.append(entry_of(answered, origin, plain_prompts=False)).result()
            assert answered_of(record) == answered
            made = reply(answered, record).model_dump(mode="json")
            assert keys(made) == keys(example(name))


def keys(document: Any) -> set[str]:
    """Paths of keys; likeliest tokens are keyed by their text."""
    return {path.split(".top_logprobs[].")[0] for path in shape(document)}


def test_the_manifest_is_one_of_a_run_of_chains():
    manifest = Manifest.model_validate(example("bundle_manifest_chat"))
    assert json.loads(manifest.model_dump_json(by_alias=True)) == example("bundle_manifest_chat")
    spec = ChainsSpec.model_validate(manifest.provenance.spec)
    assert spec.sha256() == manifest.provenance.spec_sha256
    part = manifest.parts.reward
    assert part is not None and part.sampling.max_tokens == spec.sampling.max_tokens
    assert part.aggregator == spec.decision.aggregate and manifest.provenance.test[0].stage == "reward"


def test_the_page_names_every_field_of_the_record_and_every_rule():
    page = (CONTRACTS / "chat.md").read_text(encoding="utf-8")
    for name in ("rule", "stopped"):
        schema = Fairness.model_json_schema()["properties"][name]
        for value in schema["enum"]:
            assert f"`{value}`" in page
