"""A trained FairNet as a bundle: its folder, the serializer that wrote its rows, and where both came from."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from equiray.bundles.deciding import above, output_of
from equiray.bundles.manifest import (
    FAIRNET,
    SERIALIZER,
    BackbonePart,
    DataSource,
    DecisionPart,
    FairNetPart,
    GateEvidence,
    Manifest,
    OutputHashes,
    Parts,
    Provenance,
    SerializerPart,
)
from equiray.bundles.serializers import serializer_document
from equiray.bundles.writing import Content, write_bundle
from equiray.data.schema import SPLITS
from equiray.errors import BadInput, reading_back
from equiray.mitigation.fairnet import set_thresholds
from equiray.mitigation.fairnet.store import StoredFairNet, read_stored
from equiray.mitigation.gating.outcomes import opened_gates
from equiray.models.backbones import Backbone, load_backbone
from equiray.models.classifiers import THRESHOLD
from equiray.models.token_counter import TokenCounter
from equiray.reports.environment import describe_environment
from equiray.runs.fairnet.planning import PlannedTask, plan_task
from equiray.specs.examples import AnyTaskSpec, reads_pictures
from equiray.specs.fairnet import FairNetSpec


@dataclass(frozen=True, kw_only=True)
class Trained:
    """One training that is to be bundled.

    Attributes
    ----------
    directory : Path
        Of the run or sweep.
    folder : Path
        What `save_fairnet` wrote.
    task, spec
        The spec is that of this training, searched settings filled in.
    thresholds : mapping of gate to float
    test_outputs : OutputHashes, optional
        None where nobody kept what it put out for test rows.
    gates : tuple of GateEvidence
        Those that are for a group.
    shared_layers : int, optional
        Lower layers that were run over all rows at once; default: all that nobody trains, reads or adapts.
    """

    directory: Path
    folder: Path
    task: AnyTaskSpec
    spec: FairNetSpec
    thresholds: Mapping[str, float]
    test_outputs: OutputHashes | None
    gates: tuple[GateEvidence, ...]
    shared_layers: int | None = None


class Origin(Protocol):
    """A run's training or a sweep's point, whichever it is."""

    def provenance(self) -> Provenance: ...


def gates_of(stored: StoredFairNet) -> tuple[GateEvidence, ...]:
    """Gates that are for a group; what their adapters change is not known here."""
    of_a_group = [gate for gate in stored.thresholds if gate in stored.vulnerable]
    return tuple(GateEvidence(gate=gate, vulnerable=stored.vulnerable[gate]) for gate in of_a_group)


def hashes_of(probability: NDArray[np.float64], positive: NDArray[np.bool_]) -> OutputHashes:
    """Hashes of outputs [N], the same on every machine."""
    return OutputHashes(
        rows=len(probability),
        probability_sha256=hashlib.sha256(probability.astype("<f8").tobytes()).hexdigest(),
        decision_sha256=hashlib.sha256(positive.astype(np.uint8).tobytes()).hexdigest(),
    )


def hashes_of_subsets(
    risk: NDArray[np.float32], probability: NDArray[np.float32], thresholds: Mapping[str, float]
) -> OutputHashes:
    """Hashes of what thresholds make of risks [N, A] and outputs of all subsets of open gates [N, 2^A]."""
    decided = output_of(probability, opened_gates(tuple(thresholds), risk, list(thresholds.values())))
    return hashes_of(decided, above(decided, THRESHOLD))


def versions() -> dict[str, str]:
    """Of the interpreter and the packages that make a bundle."""
    environment = describe_environment()
    return {"python": environment["python"], **environment["packages"]}


def bundle_fairnet(trained: Trained, origin: Origin, out: Path) -> Manifest:
    """Write a bundle of one training.

    Raises
    ------
    BadInput
        It reads pictures, or there is no FairNet there, or its data or backbone changed since; or `out` is not empty.
    Incomplete
        The disk is full or not writable.
    """
    if reads_pictures(trained.task):
        raise BadInput(
            f"task {trained.task.name} is about pictures, and a bundle decides texts",
            place=str(trained.directory),
            fix="name a run of a table or of texts",
        )
    backbone = load_backbone(trained.spec.backbone)
    assert backbone.tokenizer is not None, "the run was checked: its rows are texts"
    planned = plan_task(trained.task, trained.spec, TokenCounter(tokenizer=backbone.tokenizer))
    rows = planned.examples.source_sha256  # named as a run and as a sweep name it
    check_inputs(trained.directory, {f"task {planned.name}": rows, "data": rows, "backbone": backbone.identity})
    with TemporaryDirectory(prefix="equiray-") as scratch:
        copied = Path(scratch) / FAIRNET
        if not trained.folder.is_dir():
            raise BadInput("there is no FairNet", place=str(trained.folder), fix="finish the run: repeat its command")
        shutil.copytree(trained.folder, copied, symlinks=True)
        set_thresholds(copied, trained.thresholds)
        rows = {split: len(planned.rows(split)) for split in SPLITS}
        data = DataSource(task=planned.name, source_sha256=planned.examples.source_sha256, rows=rows)
        known = {"data": (data,), "test_outputs": trained.test_outputs, "gates": trained.gates}
        provenance = origin.provenance().model_copy(update=known)
        return write_bundle(out, out.name, _content(trained, planned, backbone, copied), provenance)


def _content(trained: Trained, planned: PlannedTask, backbone: Backbone, folder: Path) -> Content:
    spec, table = trained.spec.backbone, planned.table
    base = BackbonePart(
        kind="backbone",
        source=spec.source,
        name=backbone.name,
        identity=backbone.identity,
        pooling=read_stored(folder).pooling,
        dtype=spec.dtype,
        max_tokens=spec.max_tokens,
    )
    parts = Parts(
        base=base,
        serializer=None if table is None else SerializerPart(file=SERIALIZER),
        fairnet=FairNetPart(folder=FAIRNET, thresholds=dict(trained.thresholds), shared_layers=trained.shared_layers),
        decision=DecisionPart(threshold=THRESHOLD),
    )
    documents = {} if table is None else {SERIALIZER: serializer_document(table.serializer)}
    return Content(parts=parts, folders={FAIRNET: folder}, documents=documents)


def check_inputs(directory: Path, now: Mapping[str, str]) -> None:
    """The serializer is fitted anew: to the rows that the training saw, or it would write other texts.

    Parameters
    ----------
    directory : Path
        Of a run or sweep, which noted what it read.
    now : mapping from name to digest

    Raises
    ------
    BadInput
        Something that it read under one of the names is another now.
    """
    file = directory / "inputs.json"
    if not file.is_file():
        return
    with reading_back(file, fix="repeat the run in a new directory"):
        before = dict(json.loads(file.read_text(encoding="utf-8")))
    for name, digest in now.items():
        if before.get(name, digest) != digest:
            raise BadInput(
                f"{name} has changed since the training: it was {before[name]:.16}, it is {digest:.16}",
                place=str(file),
                fix="put the former one back, or repeat the run in a new directory",
            )
