"""A reward model on disk: ``reward.safetensors`` with what was trained, ``reward.json`` with what it is; no pickle."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from equiray.errors import BadInput, reading_back, writing
from equiray.mitigation.reward.calibration import Calibration
from equiray.mitigation.reward.model import Base, RewardModel, fresh_model
from equiray.models.training.checkpoints import write_whole
from equiray.specs.reward_model import RewardModelSpec

SCHEMA = "equiray.reward-model/1"
ABOUT, WEIGHTS = "reward.json", "reward.safetensors"
_FIX = "train it again, or copy the folder again"


def save_reward_model(
    directory: Path,
    model: RewardModel,
    weights: Mapping[str, torch.Tensor],
    calibration: Calibration,
    spec: RewardModelSpec,
    about: Mapping[str, Any],
) -> None:
    """Write a reward model; `reward.json` comes last, so a directory that has it is complete.

    Raises
    ------
    Incomplete
        The disk is full or not writable.
    """
    with writing(directory / WEIGHTS):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / ABOUT).unlink(missing_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, directory / WEIGHTS)
    document = {
        "schema": SCHEMA,
        "base_name": model.reader.name,
        "base_identity": model.reader.identity,
        "spec": spec.model_dump(mode="json"),
        "calibration": asdict(calibration),
        "weights_sha256": _sha256(directory / WEIGHTS),
        "about": dict(about),
    }
    write_whole(directory / ABOUT, json.dumps(document, indent=1, sort_keys=True))


def read_about(directory: Path) -> dict[str, Any]:
    """What `reward.json` says, the weights not read.

    Raises
    ------
    BadInput
        There is none, or it is not of this schema.
    """
    file = directory / ABOUT
    if not file.is_file():
        raise BadInput("no reward model here", place=str(file), fix="name the folder that training wrote")
    with reading_back(file, fix=_FIX):
        document = json.loads(file.read_text(encoding="utf-8"))
        found = document["schema"]
        if found == SCHEMA:
            Calibration(**document["calibration"])
            RewardModelSpec(**document["spec"])
    if found != SCHEMA:
        raise BadInput(f"schema {found!r} is not {SCHEMA}", place=str(file), fix="train it again")
    return document


def set_calibration(directory: Path, calibration: Calibration, about: Mapping[str, Any]) -> None:
    """Replace the calibration of a saved model, and note `about` beside it; its weights stay as they are.

    Raises
    ------
    BadInput
        No reward model there.
    Incomplete
        The disk is full or not writable.
    """
    document = read_about(directory)
    document["calibration"] = asdict(calibration)
    document["about"]["recalibrated"] = dict(about)
    write_whole(directory / ABOUT, json.dumps(document, indent=1, sort_keys=True))


@contextmanager
def load_reward_model(directory: Path, base: Base) -> Iterator[RewardModel]:
    """A saved reward model for the length of a block.

    Parameters
    ----------
    directory : Path
    base : CausalLM or Backbone
        What it was trained on.

    Raises
    ------
    BadInput
        No reward model there, a torn one, or one of another base.
    """
    document = read_about(directory)
    if document["base_identity"] != base.identity:
        raise BadInput(
            f"trained on {document['base_name']} ({document['base_identity']:.12}), "
            f"not on {base.name} ({base.identity:.12})",
            place=str(directory / ABOUT),
            fix="load the model that it was trained on",
        )
    file, spec = directory / WEIGHTS, RewardModelSpec(**document["spec"])
    if not file.is_file() or _sha256(file) != document["weights_sha256"]:
        raise BadInput(f"missing, cut short or altered: not the weights of {ABOUT}", place=str(file), fix=_FIX)
    with fresh_model(base, spec, seed=0) as model:
        with reading_back(file, fix=_FIX):
            stored = load_file(file)
            if stored.keys() != model.parameters.keys():
                raise KeyError(sorted(stored.keys() ^ model.parameters.keys())[0])
            model.set_weights(stored)
        for parameter in model.parameters.values():
            parameter.requires_grad_(False)
        yield replace(model, calibration=Calibration(**document["calibration"]))


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
