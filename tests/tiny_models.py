"""Tiny random language models of five architectures, with a word-level tokenizer: made in a second, no download."""

import copy
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    Phi3Config,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from equiray.models.loading import CausalLM

_TEXT = """
The age sex is Male Female Husband Wife hours worked per week race White Black Read the description and answer
question about it Does this person earn more than dollars year Yes No or no A B Answer user assistant 20 39 40 41 . ? :
"""
WORDS = _TEXT.split()
SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]
VOCABULARY = len(SPECIAL) + len(WORDS)
CHAT = (
    "{% for m in messages %}<s> user {{ m['content'] }} </s>{% endfor %}"
    "{% if add_generation_prompt %} assistant {% endif %}"
)

_SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "pad_token_id": SPECIAL.index("<pad>"),
    "bos_token_id": SPECIAL.index("<s>"),
    "eos_token_id": SPECIAL.index("</s>"),
}
CONFIGS: dict[str, PreTrainedConfig] = {
    "llama": LlamaConfig(**_SHAPE, tie_word_embeddings=True),
    "phi3": Phi3Config(**_SHAPE, tie_word_embeddings=False),
    # caps far below their usual 30 and 50, so that leaving them out shows
    "gemma2": Gemma2Config(
        **_SHAPE, head_dim=8, attn_logit_softcapping=0.05, final_logit_softcapping=0.1, sliding_window=256
    ),
    "qwen2": Qwen2Config(**_SHAPE, tie_word_embeddings=True),
    "qwen3": Qwen3Config(**_SHAPE, head_dim=8, tie_word_embeddings=False),
    "gpt2": GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=3, n_head=4, n_positions=512, bos_token_id=1, eos_token_id=2
    ),
}


def tokenizer(*, chat: bool = False, bos: bool = False, pad: bool = True) -> PreTrainedTokenizerFast:
    """One token per word; what the words do not hold is `<unk>`."""
    vocabulary = {word: index for index, word in enumerate([*SPECIAL, *WORDS])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    if bos:
        core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    made = PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>" if pad else None
    )
    if chat:
        made.chat_template = CHAT
    return made


def tiny(architecture: str, *, seed: int = 0, chat: bool = False, bos: bool = False) -> CausalLM:
    """A random model, float32, with weights large enough that every part of it shows in its output."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(copy.deepcopy(CONFIGS[architecture]))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.tie_weights()
    return CausalLM(
        model=model.eval(),
        tokenizer=tokenizer(chat=chat, bos=bos),
        name=architecture,
        identity=f"{architecture}-{seed}",
    )


def save(lm: CausalLM, directory: Path) -> Path:
    """Write model and tokenizer as save_pretrained does."""
    lm.model.save_pretrained(directory)
    lm.tokenizer.save_pretrained(directory)
    return directory
