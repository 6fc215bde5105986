"""`load_causal_lm`: a causal language model ready to run, from any source that `equiray.models.sources` finds."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from equiray.models.freed_memory import keep_freed_memory
from equiray.models.gguf import converted
from equiray.models.packed_linears import pack_linears
from equiray.models.sources import find_source, hub_answers, loading_from


@dataclass(frozen=True, kw_only=True)
class CausalLM:
    """A language model ready to run, in evaluation mode.

    `identity` names the weights exactly: the sha256 of a GGUF file or of a directory's weight files, or the hub's
    commit; predictions and caches are keyed by it.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    identity: str

    @property
    def backbone(self) -> torch.nn.Module:
        """The model without its language-model head; adapters inside."""
        return self.model.base_model

    @property
    def parameters(self) -> int:
        """Number of parameters, tied ones once."""
        return sum(p.numel() for p in self.model.parameters())

    @property
    def pad_id(self) -> int:
        """Token that fills batches: the tokenizer's own, else its end-of-text token; it is always masked."""
        pad = self.tokenizer.pad_token_id
        return cast(int, self.tokenizer.eos_token_id if pad is None else pad)


def default_device() -> torch.device:
    """A GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_causal_lm(source: str, *, dtype: str = "bfloat16", device: torch.device | None = None) -> CausalLM:
    """Load a causal LM with its tokenizer.

    Parameters
    ----------
    source : str
        ``embedded``, a directory, a ``.gguf`` file, or a hub id.
    dtype : {"bfloat16", "float32"}
        bf16 is two to three times as fast as fp32 on CPUs with bf16 instructions; fp16 is very slow there.
    device : torch.device, optional
        Default: a GPU where there is one.

    Raises
    ------
    BadInput
        No such file or hub id, a directory without tokenizer or weights or with broken ones, a file that is no GGUF,
        a cache that cannot be written.
    """
    directory, name, identity = locate(source)
    offline = identity is not None or not hub_answers(source)
    with loading_from(source):
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=offline)
        model = AutoModelForCausalLM.from_pretrained(directory, dtype=getattr(torch, dtype), local_files_only=offline)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    torch.nn.Module.to(model, device or default_device())
    keep_freed_memory()
    pack_linears(model)
    return CausalLM(
        model=model.eval(),
        tokenizer=tokenizer,
        name=name,
        identity=identity or str(getattr(model.config, "_commit_hash", None) or source),
    )


def check_source(source: str) -> None:
    """Fail before any compute where it can be known that `load_causal_lm` would."""
    path, _ = find_source(source)
    if path is None:
        hub_answers(source)
    elif path.is_dir():
        with loading_from(source):
            AutoTokenizer.from_pretrained(path, local_files_only=True)
            AutoConfig.from_pretrained(path, local_files_only=True)


class Located(NamedTuple):
    """What transformers and vLLM load: a directory or a hub id. `identity` is None for what only the hub names."""

    directory: str
    name: str
    identity: str | None


def locate(source: str) -> Located:
    """Find a source's files, a GGUF file's converted on the way.

    Raises
    ------
    BadInput
        As `load_causal_lm` does for what is not there.
    """
    path, name = find_source(source)
    if path is None:
        return Located(source, name, None)
    if path.is_dir():
        return Located(str(path), name, weights_sha256(path))
    identity = _sha256([path])
    return Located(str(converted(path, identity)), name, identity)


def weights_sha256(directory: Path) -> str:
    """Sha256 over a model directory's weight files, in the order of their names."""
    return _sha256(sorted(directory.glob("*.safetensors")) or sorted(directory.glob("*.bin")))


def _sha256(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 22):
                digest.update(chunk)
    return digest.hexdigest()
