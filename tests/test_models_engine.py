"""The tree's hidden states and embeddings, on five architectures, against one plain forward per sequence."""

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

import tiny_models
from equiray.errors import BadInput
from equiray.models.embedding import embed_texts, tokenize
from equiray.models.loading import CausalLM
from equiray.models.prefix_tree import tree_batches
from equiray.models.tree_attention import tree_hidden_states

TASK = "Read the description and answer the question about it . The description is about a person . The question is the"
TEXTS = [
    "The age is 39 . The sex is Male .",
    "The age is 39 . The sex is Female .",
    "The age is 39 . The sex is Female . The race is Black .",
    "The hours worked per week is 40 .",
    "The",
    "The age is 39 . The sex is Male .",
]
every_architecture = pytest.mark.parametrize("architecture", sorted(tiny_models.CONFIGS))


@torch.no_grad()
def plain_states(lm: CausalLM, ids: list[int]) -> torch.Tensor:
    """Hidden states of one sequence by the architecture's own eager attention."""
    lm.model.config._attn_implementation = "eager"
    return lm.backbone(input_ids=torch.tensor([ids])).last_hidden_state[0]


@every_architecture
@pytest.mark.parametrize("task", ["", TASK], ids=["no shared prefix", "shared prefix"])
@pytest.mark.parametrize("batch_tokens", [12, 100, 400])
def test_tree_states_equal_plain_forwards(architecture, task, batch_tokens):
    lm = tiny_models.tiny(architecture)
    ids = tokenize(lm, [f"{task} {text}" for text in TEXTS])
    for batch in tree_batches(ids, batch_tokens=batch_tokens):
        with torch.no_grad():
            hidden = tree_hidden_states(lm.model, lm.backbone, batch)
        for index, path in zip(batch.sequences, batch.paths, strict=True):
            torch.testing.assert_close(hidden[path], plain_states(lm, ids[index]), atol=1e-5, rtol=1e-5)


@every_architecture
def test_a_tree_longer_than_a_tile_of_attention(architecture):
    lm = tiny_models.tiny(architecture)
    long = [1 + (i * 7) % 40 for i in range(150)]
    ids = [long, [*long[:100], 5, 6, 7], [*long[:30], 8]]
    (batch,) = tree_batches(ids, batch_tokens=400)
    with torch.no_grad():
        hidden = tree_hidden_states(lm.model, lm.backbone, batch)
    for index, path in zip(batch.sequences, batch.paths, strict=True):
        torch.testing.assert_close(hidden[path], plain_states(lm, ids[index]), atol=1e-5, rtol=1e-5)


@every_architecture
@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_embeddings_are_pooled_states_in_the_order_of_the_texts(architecture, pooling):
    lm = tiny_models.tiny(architecture)
    vectors = embed_texts(lm, TEXTS, pooling=pooling, batch_tokens=24)
    for text, vector in zip(TEXTS, vectors, strict=True):
        states = plain_states(lm, tokenize(lm, [text])[0])
        expected = states.mean(dim=0) if pooling == "mean" else states[-1]
        np.testing.assert_allclose(vector, expected.numpy(), atol=1e-5, rtol=1e-5)
    np.testing.assert_array_equal(vectors[0], vectors[5])


def test_embedding_nothing_and_progress():
    lm = tiny_models.tiny("llama")
    assert embed_texts(lm, []).shape == (0, 32)
    seen = []
    embed_texts(lm, TEXTS, batch_tokens=8, progress=lambda rows, tokens: seen.append((rows, tokens)))
    distinct = set(TEXTS)
    assert sum(rows for rows, _ in seen) == len(distinct)
    assert sum(tokens for _, tokens in seen) == sum(len(ids) for ids in tokenize(lm, sorted(distinct)))


@every_architecture
def test_adapters_move_the_states_and_receive_gradients(architecture):
    lm = tiny_models.tiny(architecture)
    ids = tokenize(lm, TEXTS)
    (batch,) = tree_batches(ids, batch_tokens=400)
    with torch.no_grad():
        before = tree_hidden_states(lm.model, lm.backbone, batch)
    get_peft_model(lm.model, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    after = tree_hidden_states(lm.model, lm.backbone, batch)
    assert (after - before).abs().max() > 1e-3
    after.pow(2).sum().backward()
    adapters = {name: p.grad for name, p in lm.model.named_parameters() if "lora_" in name}
    assert adapters
    assert all(grad is not None and grad.abs().max() > 0 for grad in adapters.values())


@pytest.mark.parametrize(
    ("architecture", "tokens", "limit"),
    [("gpt2", 513, "max_position_embeddings is 512"), ("gemma2", 257, "sliding_window is 256")],
)
def test_a_text_longer_than_the_model_reads(architecture, tokens, limit):
    lm = tiny_models.tiny(architecture)
    embed_texts(lm, ["age " * (tokens - 1)])
    with pytest.raises(BadInput, match=f"a text of {tokens} tokens, where the model's {limit}"):
        embed_texts(lm, ["The age is 39 .", "age " * tokens])


def test_the_model_keeps_its_own_attention_afterwards():
    lm = tiny_models.tiny("llama")
    lm.model.config._attn_implementation = "sdpa"
    embed_texts(lm, TEXTS[:2])
    assert lm.model.config._attn_implementation == "sdpa"
