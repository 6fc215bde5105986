"""Where a training stands, on disk: weights, moments, curve. A killed run goes on as if it had never stopped.

Every random draw of a step is made from the seed and the step, so no generator's state needs to be kept.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file

from equiray.errors import BadInput, reading_back, writing

CURVE, RESULT, ADAPTER, CHECKPOINTS = "curve.jsonl", "result.json", "adapter", "checkpoints"
"""What a training leaves in its directory; `CHECKPOINTS` while it lasts."""

_STATE, _WEIGHTS, _MOMENTS, _BEST = "state.json", "weights.safetensors", "moments.safetensors", "best.safetensors"
_GLOB = "step-*"
_MOMENT_NAMES = ("step", "exp_avg", "exp_avg_sq")


class Snapshot(NamedTuple):
    """All that a training needs to go on; tensors by parameter name (moments: ``name/moment``)."""

    state: dict[str, Any]
    weights: Mapping[str, torch.Tensor]
    moments: Mapping[str, torch.Tensor]
    best: Mapping[str, torch.Tensor]


def save_checkpoint(directory: Path, snapshot: Snapshot) -> None:
    """Write a snapshot beside the last one, then remove that: a kill at any moment leaves one whole snapshot.

    Raises
    ------
    Incomplete
        The disk is full or not writable; the last snapshot stays.
    """
    step = snapshot.state["step"]
    scratch, target = directory / f".writing-{step:06d}", directory / f"step-{step:06d}"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        with writing(target):
            scratch.mkdir(parents=True)
        for name, tensors in ((_WEIGHTS, snapshot.weights), (_MOMENTS, snapshot.moments), (_BEST, snapshot.best)):
            with writing(target / name):
                save_file(dict(tensors), scratch / name)
        with writing(target / _STATE):
            (scratch / _STATE).write_text(json.dumps(snapshot.state), encoding="utf-8")
            scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)  # a half snapshot must not keep a full disk full
    for old in directory.glob(_GLOB):
        if old != target:
            shutil.rmtree(old)


def load_checkpoint(directory: Path, run: str) -> Snapshot | None:
    """The last whole snapshot, None if there is none.

    Raises
    ------
    BadInput
        The snapshot belongs to another training (`run` differs: spec, seed, fold, model or data), or is broken.
    """
    steps = sorted(directory.glob(_GLOB))
    if not steps:
        return None
    remove = "remove this folder: the training starts over"
    with reading_back(steps[-1], fix=remove):
        state = json.loads((steps[-1] / _STATE).read_text(encoding="utf-8"))
        belongs_to = state["run"]
    if belongs_to != run:
        raise BadInput(
            "the checkpoint is of another training: spec, seed, fold, model or data differ",
            place=str(steps[-1]),
            fix="use another output folder, or remove this one to start over",
        )
    with reading_back(steps[-1], fix=remove):
        return Snapshot(state, *(load_file(steps[-1] / name) for name in (_WEIGHTS, _MOMENTS, _BEST)))


def moments_of(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, torch.nn.Parameter]
) -> dict[str, torch.Tensor]:
    """A copy of AdamW's state, on the CPU, as ``name/moment``; empty before the first update."""
    return {
        f"{name}/{key}": optimizer.state[parameter][key].cpu().clone()
        for name, parameter in parameters.items()
        for key in _MOMENT_NAMES
        if parameter in optimizer.state
    }


def restore_moments(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, torch.nn.Parameter],
    moments: Mapping[str, torch.Tensor],
) -> None:
    """Put back what `moments_of` returned."""
    for name, parameter in parameters.items():
        if f"{name}/step" in moments:
            # AdamW keeps its step count on the CPU whatever the parameter's device
            optimizer.state[parameter] = {
                key: moments[f"{name}/{key}"].to("cpu" if key == "step" else parameter.device) for key in _MOMENT_NAMES
            }


def finished_result(out_dir: Path, run: str) -> dict[str, Any] | None:
    """What `RESULT` of a completed training says, None if there is none.

    Raises
    ------
    BadInput
        Another training was completed there, or the file is broken.
    """
    file = out_dir / RESULT
    if not file.is_file():
        return None
    with reading_back(file, fix=f"remove {out_dir}: the training is made again"):
        result = json.loads(file.read_text(encoding="utf-8"))
        belongs_to = result["run"]
    if belongs_to != run:
        raise BadInput(
            "another training was completed here: spec, seed, fold, model or data differ",
            place=str(file),
            fix="use another output folder, or remove this one",
        )
    return result


def write_whole(file: Path, text: str) -> None:
    """Write a file whole or not at all: a reader never sees half a line.

    Raises
    ------
    Incomplete
        The disk is full or not writable; what was there before stays.
    """
    scratch = file.with_suffix(".writing")
    try:
        with writing(file):
            scratch.write_text(text, encoding="utf-8")
            scratch.replace(file)
    finally:
        scratch.unlink(missing_ok=True)
