"""Every random draw of a stage of training comes from (seed, stage, step), so that stages do not disturb each other."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def drawing(seed: int, stage: str, step: int = 0) -> np.random.Generator:
    """The generator of one step of a stage."""
    return np.random.default_rng([seed, zlib.crc32(stage.encode()), step])


def torch_drawing(seed: int, stage: str, step: int = 0) -> torch.Generator:
    """The same for torch's own draws, on the CPU."""
    return torch.Generator().manual_seed(int(drawing(seed, stage, step).integers(1 << 62)))


@contextmanager
def dropping_out(seed: int, stage: str, step: int) -> Iterator[None]:
    """Around a forward pass with dropout, which knows torch's global generator only; that is as it was afterwards."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(int(drawing(seed, stage, step).integers(1 << 62)))
        yield
