"""How each family of transformers embeds, masks and pools: BERT and RoBERTa, Llama and Qwen2, ViT."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from equiray.models.backbones.backbone import Backbone, States, TokenBatch, at, attend_at, attention_mask, heads
from equiray.models.backbones.pictures import PixelScale


class BertBackbone(Backbone):
    """BERT and its kin: normalised after each part, every token attends to all; pooled at [CLS] or by the mean."""

    def __init__(self, model: Any, **about: Any) -> None:
        super().__init__(model, model.encoder.layer, **about)
        self.embeddings, self.norm = model.embeddings, nn.Identity()
        self.requires_grad_(False).eval()

    def embed(self, batch: TokenBatch) -> States:
        """Word, position and segment embeddings."""
        return States(self.embeddings(input_ids=batch.ids), batch.mask)

    def run(self, states: States, first: int, stop: int) -> States:
        """See `Backbone.run`."""
        hidden, mask = states.hidden, attention_mask(states.mask)
        for layer in self.layers[first:stop]:
            hidden = layer(hidden, mask)
        return States(hidden, states.mask)

    def projections(self, layer: int) -> dict[str, nn.Linear]:
        """See `Backbone.projections`."""
        block: Any = self.layers[layer]
        attention = block.attention.self
        return {"query": attention.query, "value": attention.value}

    def _pooled_layer(self, states: States, position: Tensor) -> Tensor:
        layer: Any = self.layers[-1]
        attention, here = layer.attention.self, at(states.hidden, position)
        query, key, value = (
            heads(project(hidden), attention.attention_head_size)
            for project, hidden in (
                (attention.query, here),
                (attention.key, states.hidden),
                (attention.value, states.hidden),
            )
        )
        context = attend_at(query, key, value, states.mask, attention.scaling)
        return layer.feed_forward_chunk(layer.attention.output(context, here))


class LlamaBackbone(Backbone):
    """Llama and its kin: rotary positions, a token attends to those before it; pooled at the last token.

    Padding stands on the right, so no real token attends to it and the causal mask is all that is needed.
    """

    def __init__(self, model: Any, **about: Any) -> None:
        super().__init__(model, model.layers, **about)
        self.embeddings, self.norm, self.rotary = model.embed_tokens, model.norm, model.rotary_emb
        self.requires_grad_(False).eval()

    def embed(self, batch: TokenBatch) -> States:
        """Token embeddings."""
        return States(self.embeddings(batch.ids), batch.mask)

    def run(self, states: States, first: int, stop: int) -> States:
        """See `Backbone.run`."""
        hidden, rotation = states.hidden, self._rotation(states.hidden)
        for layer in self.layers[first:stop]:
            hidden = layer(hidden, attention_mask=None, position_embeddings=rotation)
        return States(hidden, states.mask)

    def projections(self, layer: int) -> dict[str, nn.Linear]:
        """See `Backbone.projections`."""
        attention: Any = self.layers[layer].self_attn
        return {"query": attention.q_proj, "value": attention.v_proj}

    def _rotation(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        return self.rotary(hidden, position_ids=torch.arange(hidden.shape[1], device=hidden.device)[None])

    def _pooled_layer(self, states: States, position: Tensor) -> Tensor:
        layer: Any = self.layers[-1]
        attention, normed = layer.self_attn, layer.input_layernorm(states.hidden)
        cos, sin = self._rotation(states.hidden)
        query = heads(attention.q_proj(at(normed, position)), attention.head_dim)
        key, value = (heads(project(normed), attention.head_dim) for project in (attention.k_proj, attention.v_proj))
        query = apply_rotary_pos_emb(query, query, cos[0, position][:, None], sin[0, position][:, None])[0]
        key = apply_rotary_pos_emb(key, key, cos, sin)[1]
        hidden = at(states.hidden, position) + attention.o_proj(
            attend_at(query.to(value.dtype), key.to(value.dtype), value, states.mask, attention.scaling)
        )
        return hidden + layer.mlp(layer.post_attention_layernorm(hidden))


class VitBackbone(Backbone):
    """ViT: normalised before each part, patches attend to all; pooled at [CLS].

    Attributes
    ----------
    scale : PixelScale
        What its pictures are brought to before it reads them.
    """

    scale = PixelScale()

    def __init__(self, model: Any, **about: Any) -> None:
        super().__init__(model, model.layers, **about)
        self.embeddings, self.norm = model.embeddings, model.layernorm
        self.requires_grad_(False).eval()

    def embed(self, batch: Tensor) -> States:
        """Patch embeddings of pixels [N, C, H, W], [CLS] first."""
        hidden = self.embeddings(batch)
        return States(hidden, torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device))

    def run(self, states: States, first: int, stop: int) -> States:
        """See `Backbone.run`."""
        hidden, mask = states.hidden, attention_mask(states.mask)
        for layer in self.layers[first:stop]:
            hidden = layer(hidden, mask)
        return States(hidden, states.mask)

    def projections(self, layer: int) -> dict[str, nn.Linear]:
        """See `Backbone.projections`."""
        attention: Any = self.layers[layer].attention
        return {"query": attention.q_proj, "value": attention.v_proj}

    def _pooled_layer(self, states: States, position: Tensor) -> Tensor:
        layer: Any = self.layers[-1]
        attention, normed = layer.attention, layer.layernorm_before(states.hidden)
        query = heads(attention.q_proj(at(normed, position)), attention.head_dim)
        key, value = (heads(project(normed), attention.head_dim) for project in (attention.k_proj, attention.v_proj))
        context = attend_at(query, key, value, states.mask, attention.scaling)
        hidden = attention.o_proj(context) + at(states.hidden, position)
        return layer.mlp(layer.layernorm_after(hidden)) + hidden
