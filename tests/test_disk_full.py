"""A disk that fills up stops a run as incomplete, names the file, and leaves what was finished as it was."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from safetensors import SafetensorError

from equiray.errors import Incomplete, writing
from equiray.mitigation.unlearning.adapters import RECORD
from equiray.models.reply_cache import ReplyCache
from equiray.models.training.adapters import save_adapter
from equiray.models.training.checkpoints import Snapshot, load_checkpoint, save_checkpoint, write_whole

FIX = "fix:   free some space, then repeat the command: finished parts are kept"


@contextmanager
def full_disk() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # the system refuses, as it does on a full disk
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def snapshot(step: int, size: int) -> Snapshot:
    tensors = {"w": torch.full((size,), float(step))}
    return Snapshot({"run": "r", "step": step}, tensors, tensors, tensors)


def test_the_last_checkpoint_stays(tmp_path: Path):
    save_checkpoint(tmp_path, snapshot(1, 10))
    with full_disk(), pytest.raises(Incomplete, match=FIX) as caught:
        save_checkpoint(tmp_path, snapshot(2, 10_000))
    assert str(tmp_path / "step-000002" / "weights.safetensors") in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]
    kept = load_checkpoint(tmp_path, "r")
    assert kept is not None and torch.equal(kept.weights["w"], torch.ones(10))


@pytest.mark.parametrize(("lora", "file"), [(None, "model"), (LoraConfig(), "adapter_model")])
def test_half_an_adapter_does_not_say_it_is_whole(tmp_path: Path, lora: LoraConfig | None, file: str):
    with full_disk(), pytest.raises(Incomplete, match=FIX) as caught:
        save_adapter(tmp_path, lora, {"w": torch.zeros(10_000)}, {}, RECORD)
    assert str(tmp_path / f"{file}.safetensors") in str(caught.value)
    assert not (tmp_path / "unlearning.json").exists()


def test_a_text_file_stays_as_it_was(tmp_path: Path):
    write_whole(tmp_path / "curve.jsonl", "before")
    with full_disk(), pytest.raises(Incomplete, match=FIX) as caught:
        write_whole(tmp_path / "curve.jsonl", "x" * 10_000)
    assert str(tmp_path / "curve.jsonl") in str(caught.value)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"curve.jsonl": "before"}


def test_an_endpoints_replies_stay(tmp_path: Path):
    cache = ReplyCache(tmp_path)
    cache.put("aa1", {"text": "Yes"})
    with full_disk(), pytest.raises(Incomplete, match=FIX) as caught:
        cache.put("aa2", {"text": "x" * 10_000})
    assert str(tmp_path / "aa" / "aa2.json") in str(caught.value)
    assert cache.get("aa1") == {"text": "Yes"} and cache.get("aa2") is None
    assert len(list((tmp_path / "aa").iterdir())) == 1


def test_what_is_no_refusal_of_the_system_stays_an_internal_error(tmp_path: Path):
    with pytest.raises(Incomplete, match=FIX), writing(tmp_path):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    with pytest.raises(Incomplete, match="make the folder writable"), writing(tmp_path):
        raise PermissionError(13, "Permission denied")
    with pytest.raises(SafetensorError), writing(tmp_path):
        raise SafetensorError("tensors share memory")
