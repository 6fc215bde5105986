"""Backbones in pieces compute what the whole model computes, by transformers' own forward pass."""

import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    BertModel,
    LlamaConfig,
    LlamaModel,
    Qwen2Config,
    Qwen2Model,
    RobertaConfig,
    RobertaModel,
    ViTConfig,
    ViTModel,
)

from equiray.errors import BadInput
from equiray.models.backbones import TokenBatch, as_backbone, encode_texts, load_backbone, padded
from equiray.specs.fairnet import BackboneSpec

SHAPE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
WORDS = {**SHAPE, "vocab_size": 50, "max_position_embeddings": 64, "pad_token_id": 0}
LENGTHS = (9, 4, 1, 7)


def made(family, **changes):
    torch.manual_seed(0)
    models = {
        "bert": lambda: BertModel(BertConfig(**WORDS)),
        "roberta": lambda: RobertaModel(RobertaConfig(**WORDS)),
        "llama": lambda: LlamaModel(LlamaConfig(**WORDS, num_key_value_heads=2)),
        "qwen2": lambda: Qwen2Model(Qwen2Config(**WORDS, num_key_value_heads=2)),
        "vit": lambda: ViTModel(ViTConfig(**SHAPE, image_size=16, patch_size=4)),
    }
    model = models[family]().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model, as_backbone(model, name=family, identity=family, **changes)


def tokens():
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    drawn = torch.randint(3, 50, mask.shape, generator=torch.Generator().manual_seed(1))
    return TokenBatch(drawn.masked_fill(~mask, 0), mask)


def inputs(family):
    if family == "vit":
        return torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    return tokens()


def whole(family, model, batch):
    """The model's own last hidden state, and which of its positions are real."""
    if family == "vit":
        states = model(batch).last_hidden_state
        return states, torch.ones(states.shape[:2], dtype=torch.bool)
    return model(input_ids=batch.ids, attention_mask=batch.mask.long()).last_hidden_state, batch.mask


@pytest.mark.parametrize("pooling", [None, "mean"])
@pytest.mark.parametrize("family", ["bert", "roberta", "llama", "qwen2", "vit"])
@torch.no_grad()
def test_pieces_are_the_whole(family, pooling):
    model, backbone = made(family, pooling=pooling)
    expected, mask = whole(family, model, inputs(family))
    lower = backbone.run(backbone.embed(inputs(family)), 0, 2)
    last = backbone.run(lower, 2, backbone.depth)
    assert torch.equal(last.mask, mask)
    torch.testing.assert_close(backbone.norm(last.hidden)[mask], expected[mask], rtol=1e-4, atol=1e-5)
    rows = [row[keep] for row, keep in zip(expected, mask, strict=True)]
    pooled = {"cls": lambda row: row[0], "last": lambda row: row[-1], "mean": lambda row: row.mean(0)}
    features = torch.stack([pooled[backbone.pooling](row) for row in rows])
    torch.testing.assert_close(backbone.features(last), features, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(backbone.features_from(lower, 2), features, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(backbone.features_from(last, 3), features, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "llama", "vit"])
def test_a_copy_above_shares_what_lies_below(family):
    _, backbone = made(family)
    copied = backbone.copied_above(2)
    with torch.no_grad():
        for parameter in copied.layers[2].parameters():
            parameter.zero_()
    assert copied.layers[1] is backbone.layers[1] and copied.embeddings is backbone.embeddings
    assert all(bool(linear.weight.any()) for linear in backbone.projections(2).values())
    assert not any(bool(linear.weight.any()) for linear in copied.projections(2).values())


@torch.no_grad()
def test_minilm_is_the_package_s_model():
    backbone = load_backbone(BackboneSpec(source="minilm"))
    texts = ["The age is 39.", "The sex is Female. The hours worked per week is 40. The race is White.", "Yes"]
    batch = padded(backbone, encode_texts(backbone, texts, 16))
    directory = backbone.config.name_or_path
    expected = AutoModel.from_pretrained(directory, attn_implementation="eager")(
        input_ids=batch.ids, attention_mask=batch.mask.long()
    ).last_hidden_state
    features = backbone.features_from(backbone.embed(batch), 0)
    torch.testing.assert_close(features, expected[:, 0], rtol=1e-3, atol=1e-4)
    assert (backbone.depth, backbone.width, len(backbone.identity)) == (6, 384, 64)


def test_texts_are_cut_and_counted():
    backbone = load_backbone(BackboneSpec(source="minilm"))
    short, cut = encode_texts(backbone, ["Yes", "The age is 39. " * 20], 16)
    separator = backbone.tokenizer.sep_token_id
    assert len(short) == 3 and len(cut) == 16 and short[-1] == cut[-1] == separator
    with pytest.raises(BadInput, match="512 positions"):
        encode_texts(backbone, ["Yes"], 1000)


def test_a_model_of_no_known_family_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"backbone\.source"):
        load_backbone(BackboneSpec(source=str(tmp_path / "absent")))
    model, _ = made("bert")
    model.config.model_type = "xlnet"
    with pytest.raises(BadInput, match="'xlnet'"):
        as_backbone(model, name="x", identity="x")
    model.config.model_type = "bert"
    with pytest.raises(BadInput, match="not pooled by 'last'"):
        as_backbone(model, name="x", identity="x", pooling="last")


def test_pictures_have_no_tokens():
    _, backbone = made("vit")
    with pytest.raises(BadInput, match="no tokenizer"):
        encode_texts(backbone, ["a"], 16)
