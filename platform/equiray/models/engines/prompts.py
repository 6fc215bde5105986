"""Conversations as tokens, the same for every backend that reads tokens."""

import hashlib
from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from equiray.models.engines.records import Message

_BETWEEN = "\n\n"


def encode_conversations(
    tokenizer: PreTrainedTokenizerBase, conversations: Sequence[tuple[Message, ...]]
) -> list[list[int]]:
    """Token ids of each conversation, opened for the assistant's turn.

    A last message of the assistant's is what it has begun to say: its turn stays open behind it. A tokenizer without
    a chat template reads the messages as plain text, a blank line between two.
    """
    if not conversations:
        return []
    if not tokenizer.chat_template:
        texts = [_BETWEEN.join(message.content for message in messages) for messages in conversations]
        return tokenizer(texts, add_special_tokens=True)["input_ids"]
    texts = [_chat(tokenizer, messages) for messages in conversations]
    return tokenizer(texts, add_special_tokens=False)["input_ids"]  # the template has written the special tokens


def prompts_sha256(tokenizer: PreTrainedTokenizerBase) -> str:
    """Hash of what decides how a conversation becomes tokens, and tokens text."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    words = backend.to_str() if backend is not None else repr(sorted(tokenizer.get_vocab().items()))
    return hashlib.sha256(repr((words, tokenizer.chat_template)).encode()).hexdigest()


def _chat(tokenizer: PreTrainedTokenizerBase, messages: tuple[Message, ...]) -> str:
    begun = messages[-1].role == "assistant"
    return str(
        tokenizer.apply_chat_template(
            [{"role": message.role, "content": message.content} for message in messages],
            tokenize=False,
            add_generation_prompt=not begun,
            continue_final_message=begun,
        )
    )
