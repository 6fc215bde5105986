"""GGUF files, made fit to load: dequantized once (20-30 s) and kept as bf16 safetensors, which load in a second.

The cache directory is ``EQUIRAY_CACHE``, else ``~/.cache/equiray``; its folders are named by the file's sha256.
"""

import os
import shutil
import tempfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from equiray.errors import BadInput
from equiray.models.sources import loading_from


def cache_directory() -> Path:
    """Where converted models are kept."""
    return Path(os.environ.get("EQUIRAY_CACHE") or Path.home() / ".cache" / "equiray")


def converted(gguf: Path, identity: str) -> Path:
    """The cached safetensors directory of a GGUF file, made if it is not there; safe under concurrent calls.

    Raises
    ------
    BadInput
        The file is torn, or the cache cannot be written.
    """
    target = cache_directory() / "models" / identity[:24]
    try:
        if not target.is_dir():
            _fill(target, gguf)
    except (OSError, SafetensorError) as error:
        raise BadInput(
            f"cannot keep the converted model: {error}",
            place=f"the cache {cache_directory()}",
            fix="set EQUIRAY_CACHE to a writable folder with space for the model's weights in bf16",
        ) from error
    return target


def _fill(target: Path, gguf: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".converting-", dir=target.parent))
    try:
        _convert(gguf, scratch)
        try:
            scratch.rename(target)
        except OSError:
            if not target.is_dir():  # another process may have finished the same conversion first
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _convert(gguf: Path, target: Path) -> None:
    options = {"gguf_file": gguf.name}
    with loading_from(str(gguf)):
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **options)
        quantized = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.bfloat16, **options)
    # save_pretrained refuses a model that says it is quantized, so its weights move into one that does not
    config = quantized.config
    delattr(config, "quantization_config")
    model = type(quantized)(config)
    torch.nn.Module.to(model, torch.bfloat16)
    model.load_state_dict(quantized.state_dict())
    model.tie_weights()
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
