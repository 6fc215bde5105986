"""The official OpenAI client against a real server: what it sends is understood, what it gets it can read."""

from collections.abc import Iterator

import openai
import pytest

from chat_made import Served, loaded, served
from equiray.serving.chat.answering import ChatAnswerer
from equiray.serving.chat.replies import Fairness

ASK = [{"role": "user", "content": "Does this person earn more than 40 dollars ?"}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("chat")
    answerer = ChatAnswerer(loaded(folder))
    with served(answerer, folder) as running:
        yield running
    answerer.close()


@pytest.fixture(scope="module")
def client(server: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.url, api_key=server.secret, max_retries=0)


def test_a_chat_is_answered_by_the_weighted_vote(client: openai.OpenAI, server: Served):
    found = client.chat.completions.create(model="tiny", messages=ASK, seed=3)
    assert found.object == "chat.completion" and found.model == "tiny" and found.id.startswith("chatcmpl-")
    fairness = Fairness.model_validate(found.fairness)
    assert found.choices[0].message.content and found.choices[0].finish_reason in ("stop", "length")
    assert sum(each.share for each in fairness.vote_shares) == pytest.approx(1)
    assert fairness.chains_sampled == len(fairness.chains) <= fairness.chains_at_most == 6
    assert found.usage.completion_tokens == sum(chain.tokens for chain in fairness.chains)
    (chosen,) = fairness.chosen_chains
    details = found.usage.completion_tokens_details
    assert details.reasoning_tokens == found.usage.completion_tokens - fairness.chains[chosen].tokens
    record = server.log.by_id(fairness.record_id)
    assert record.kind == "chat" and record.payload["answer"] == found.choices[0].message.content
    assert record.model_version == found.system_fingerprint == fairness.model_version
