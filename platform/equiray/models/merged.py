"""A model with its adapter merged in as a directory that other engines load."""

import hashlib
import shutil
import tempfile
from pathlib import Path

from equiray.errors import writing
from equiray.models.gguf import cache_directory
from equiray.models.loading import CausalLM


def merged_directory(lm: CausalLM) -> Path:
    """The directory of a model's weights and tokenizer in the cache, written if it is not there.

    Raises
    ------
    Incomplete
        The cache cannot be written.
    """
    named = hashlib.sha256(f"{lm.identity} {lm.model.dtype}".encode()).hexdigest()
    target = cache_directory() / "models" / f"merged-{named[:24]}"
    if target.is_dir():
        return target
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".merging-", dir=target.parent))
        try:
            lm.model.save_pretrained(scratch)
            lm.tokenizer.save_pretrained(scratch)
            try:
                scratch.rename(target)
            except OSError:
                if not target.is_dir():  # another process may have been first
                    raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return target
