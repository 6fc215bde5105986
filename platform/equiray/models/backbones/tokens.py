"""Texts as ragged token ids, and ragged token ids as padded batches."""

from collections.abc import Sequence

import torch
from torch.nn.utils.rnn import pad_sequence

from equiray.errors import BadInput
from equiray.models.backbones.backbone import Backbone, TokenBatch


def encode_texts(backbone: Backbone, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
    """Token ids of each text with the tokenizer's special tokens, at most `max_tokens` of them.

    Raises
    ------
    BadInput
        The backbone reads pictures, or fewer positions than `max_tokens`; or a text has no token.
    """
    if backbone.tokenizer is None:
        raise BadInput(
            f"{backbone.name} reads pictures and has no tokenizer", place="backbone.source", fix="name a text model"
        )
    most = getattr(backbone.config, "max_position_embeddings", max_tokens)
    if max_tokens > most:
        raise BadInput(
            f"{max_tokens} tokens a row, but {backbone.name} has {most} positions",
            place="backbone.max_tokens",
            fix=f"ask for at most {most}",
        )
    if not texts:
        return []
    encoded = backbone.tokenizer(list(texts), truncation=True, max_length=max_tokens)["input_ids"]
    empty = next((row for row, ids in enumerate(encoded) if not ids), None)
    if empty is not None:
        raise BadInput(f"text {texts[empty]!r} has no token", place=f"text {empty}", fix="leave out empty texts")
    return encoded


def padded(backbone: Backbone, sequences: Sequence[Sequence[int]]) -> TokenBatch:
    """Token ids padded on the right to the longest, on the backbone's device."""
    rows = [torch.as_tensor(sequence, dtype=torch.long) for sequence in sequences]
    ids = pad_sequence(rows, batch_first=True, padding_value=getattr(backbone.tokenizer, "pad_token_id", None) or 0)
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(ids.shape[1]) < lengths[:, None]
    return TokenBatch(ids.to(backbone.device), mask.to(backbone.device))
