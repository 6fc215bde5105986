"""A FairNet on disk: ``fairnet.safetensors`` with what was trained, ``fairnet.json`` with what it is; no pickle."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from equiray.errors import BadInput, reading_back, writing
from equiray.mitigation.fairnet.classifier import Classifier
from equiray.mitigation.fairnet.detector import Detector
from equiray.mitigation.fairnet.fairnet import FairNet, Layers
from equiray.mitigation.fairnet.gates import Adapter
from equiray.mitigation.fairnet.support import Support
from equiray.models.backbones import Backbone, Pooling

SCHEMA = "equiray.fairnet-model/1"
ABOUT, WEIGHTS = "fairnet.json", "fairnet.safetensors"
_FIX = "train it again, or copy the folder again"


def save_fairnet(directory: Path, fairnet: FairNet, about: Mapping[str, Any] | None = None) -> None:
    """Write a FairNet; `fairnet.json` comes last, so a directory that has it is complete.

    Parameters
    ----------
    directory : Path
        Made if it is absent.
    fairnet : FairNet
    about : mapping, optional
        What `fairnet.json` is to say besides, under ``about``.

    Raises
    ------
    Incomplete
        The disk is full or not writable.
    """
    file = directory / WEIGHTS
    with writing(file):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / ABOUT).unlink(missing_ok=True)
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in _tensors(fairnet).items()}, file)
    backbone, adapters = fairnet.classifier.backbone, fairnet.adapters
    document = {
        "schema": SCHEMA,
        "backbone": {"name": backbone.name, "identity": backbone.identity, "pooling": backbone.pooling},
        "layers": vars(fairnet.layers),
        "classes": fairnet.classifier.classes,
        "attributes": {
            name: {"rank": adapter.rank, "alpha": adapter.alpha, "threshold": _written(fairnet.threshold(name))}
            for name, adapter in adapters.items()
        },
        "support": fairnet.support is not None,
        "weights_sha256": _sha256(file),
        "about": dict(about or {}),
    }
    scratch = directory / f".{ABOUT}"
    with writing(directory / ABOUT):
        scratch.write_text(json.dumps(document, indent=1), encoding="utf-8")
        scratch.replace(directory / ABOUT)


def set_thresholds(directory: Path, thresholds: Mapping[str, float]) -> None:
    """Write the thresholds that were chosen for a saved FairNet; its weights stay as they are.

    Raises
    ------
    BadInput
        There is no FairNet there, or it has other gates.
    Incomplete
        The disk is full or not writable.
    """
    file = directory / ABOUT
    document = _document(file)
    if thresholds.keys() != document["attributes"].keys():
        raise BadInput(
            f"thresholds of {', '.join(thresholds)}, gates of {', '.join(document['attributes'])}",
            place=str(file),
            fix="give one threshold for each gate",
        )
    written = {name: _written(threshold) for name, threshold in thresholds.items()}
    if all(document["attributes"][name]["threshold"] == threshold for name, threshold in written.items()):
        return
    for name, threshold in written.items():
        document["attributes"][name]["threshold"] = threshold
    scratch = file.with_name(f".{file.name}")
    with writing(file):
        scratch.write_text(json.dumps(document, indent=1), encoding="utf-8")
        scratch.replace(file)


def _written(threshold: float) -> float | str:
    """JSON has no infinity, the threshold of a gate that stays shut."""
    return threshold if math.isfinite(threshold) else str(threshold)


class StoredFairNet(NamedTuple):
    """What ``fairnet.json`` says, the weights not read.

    Attributes
    ----------
    thresholds : dict
        Of each gate, by its attribute, in the order of a subset's bits.
    layers : Layers
    pooling : {"cls", "mean", "last"}
        Of its backbone.
    sha256 : str
        Of all that risks and outputs depend on: not of thresholds, nor of what is noted besides.
    vulnerable : dict
        Of each gate that is for a group, by its attribute: that group, where it was noted.
    """

    thresholds: dict[str, float]
    layers: Layers
    pooling: Pooling
    sha256: str
    vulnerable: dict[str, str]


def read_stored(directory: Path) -> StoredFairNet:
    """Read what a FairNet on disk is; raises BadInput where there is none, or a broken document."""
    file = directory / ABOUT
    document = _document(file)
    with reading_back(file, fix=_FIX):
        thresholds = {name: float(kept.pop("threshold")) for name, kept in document["attributes"].items()}
        decisive = json.dumps({key: value for key, value in document.items() if key != "about"})
        return StoredFairNet(
            thresholds=thresholds,
            layers=Layers(**document["layers"]),
            pooling=document["backbone"]["pooling"],
            sha256=hashlib.sha256(decisive.encode()).hexdigest(),
            vulnerable=dict(document["about"].get("vulnerable", {})),
        )


def load_fairnet(directory: Path, backbone: Backbone) -> FairNet:
    """Read what `save_fairnet` wrote.

    Parameters
    ----------
    directory : Path
    backbone : Backbone
        The one that it was trained on, pooled alike; its lower layers are shared, not copied.

    Raises
    ------
    BadInput
        No FairNet there, a torn one, one with weights that are not finite, or one of another backbone.
    """
    document = _document(directory / ABOUT)
    _check_backbone(document["backbone"], backbone, directory / ABOUT)
    file = directory / WEIGHTS
    if not file.is_file():
        raise BadInput("the weights are missing", place=str(file), fix=_FIX)
    if _sha256(file) != document["weights_sha256"]:
        raise BadInput(f"cut short or altered: not the weights that {ABOUT} names", place=str(file), fix=_FIX)
    with reading_back(file, fix=_FIX):
        made = _made(document, backbone)
        stored = load_file(file)
        wanted = _tensors(made)
        if stored.keys() != wanted.keys():
            raise KeyError(sorted(stored.keys() ^ wanted.keys())[0])
        broken = [name for name, tensor in stored.items() if not tensor.isfinite().all()]
        if broken:  # a risk that is NaN means a row out of support, nothing else
            raise BadInput(f"{broken[0]} has values that are not finite", place=str(file), fix="train it again")
        with torch.no_grad():
            for name, tensor in wanted.items():
                tensor.copy_(stored[name])
    return made


def _tensors(fairnet: FairNet) -> dict[str, Tensor]:
    """All that is not the frozen backbone's, by name."""
    parts: dict[str, nn.Module] = {f"detector.{name}": module for name, module in fairnet.detectors.items()}
    parts |= {f"adapter.{name}": module for name, module in fairnet.adapters.items()}
    if fairnet.support is not None:
        parts["support"] = fairnet.support
    named = {f"base.{name}": parameter.data for name, parameter in fairnet.classifier.trained().items()}
    return named | {f"{part}.{n}": t for part, module in parts.items() for n, t in module.state_dict().items()}


def _made(document: Mapping[str, Any], backbone: Backbone) -> FairNet:
    """A FairNet of the stored shape, its weights not yet the stored ones."""
    layers, attributes = Layers(**document["layers"]), document["attributes"]
    classifier = Classifier(backbone, frozen_layers=layers.frozen, classes=document["classes"])
    width, device = backbone.width, backbone.device
    empty = Support(torch.zeros(width), torch.zeros(width, width), torch.zeros(()))
    return FairNet(
        classifier=classifier,
        detectors={
            name: Detector(width, seed=0, stage="").to(device).requires_grad_(False).eval() for name in attributes
        },
        adapters={
            name: Adapter(
                classifier.backbone,
                first_layer=layers.adapter,
                rank=kept["rank"],
                alpha=kept["alpha"],
                seed=0,
                stage="",
            ).requires_grad_(False)
            for name, kept in attributes.items()
        },
        layers=layers,
        support=empty.to(device) if document["support"] else None,
        thresholds={name: float(kept["threshold"]) for name, kept in attributes.items()},
    )


def _document(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(
            f"no readable FairNet: {error}", place=str(file), fix="name the folder that it was saved in"
        ) from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        found = document.get("schema") if isinstance(document, dict) else type(document).__name__
        raise BadInput(f"schema {found!r} is not {SCHEMA}", place=str(file), fix=_FIX)
    missing = {"backbone", "layers", "classes", "attributes", "support", "weights_sha256"} - document.keys()
    if missing:
        raise BadInput(f"key {sorted(missing)[0]!r} is missing", place=str(file), fix=_FIX)
    return document


def _check_backbone(kept: Mapping[str, Any], backbone: Backbone, file: Path) -> None:
    if kept["identity"] != backbone.identity or kept["pooling"] != backbone.pooling:
        raise BadInput(
            f"trained on {kept['name']} ({kept['identity']:.12}, pooled by {kept['pooling']!r}), "
            f"not on {backbone.name} ({backbone.identity:.12}, pooled by {backbone.pooling!r})",
            place=str(file),
            fix="load the backbone that it was trained on",
        )


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
