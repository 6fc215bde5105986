"""What makes a FairNet run fail, found before anything is trained: each a clear error instead of a lost hour."""

from collections.abc import Sequence

import numpy as np

from equiray.data.schema import MISSING_GROUP
from equiray.errors import BadInput
from equiray.mitigation.baselines.dfr import balanced_rows
from equiray.mitigation.fairnet import Layers
from equiray.mitigation.gating.outcomes import MOST_CACHED
from equiray.models.backbones import Backbone, encode_texts
from equiray.runs.fairnet.choosing import known_rows
from equiray.runs.fairnet.planning import PlannedTask
from equiray.runs.fairnet.results import counted_cells
from equiray.runs.fairnet.vulnerable import check_candidates
from equiray.specs.fairnet import FairNetSpec


def check_backbone(backbone: Backbone, spec: FairNetSpec) -> None:
    """Raise BadInput where the backbone has not the layers or the positions that the spec names."""
    layers = Layers.of(spec, backbone.depth)
    if backbone.tokenizer is not None:
        encode_texts(backbone, (), spec.backbone.max_tokens)
    several = [task for task in spec.tasks if len({name for name in task.attributes if "*" not in name}) > 1]
    if layers.reran and several:
        raise BadInput(
            f"task {several[0].name} has several gates, and the adapters of one would change what the detector of "
            "another reads",
            place="adapter.first_layer",
            fix=f"adapt from layer {layers.detector} on, or name one attribute",
        )


def check_names(spec: FairNetSpec) -> None:
    """Raise BadInput where a task stands twice: its files would be one another's."""
    names = [task.name for task in spec.tasks]
    for name in names:
        if names.count(name) > 1:
            raise BadInput(f"task {name!r} stands twice", place="tasks", fix="list each task once")


def check_tasks(tasks: Sequence[PlannedTask], spec: FairNetSpec) -> None:
    """Raise BadInput where what the spec names is not there, or too few rows are."""
    gates = list(dict.fromkeys(gate for task in tasks for gate in task.gates))
    for attribute in spec.vulnerable:
        if attribute not in gates:
            raise BadInput(
                f"no task has a gate for {attribute!r}",
                place="vulnerable",
                fix=f"gates are those of the tasks' attributes: {', '.join(gates)}",
            )
    for task in tasks:
        _check_gates(task, spec)
        check_rows(task, spec)
        if "dfr" in spec.baselines:
            rows = task.rows("validation")
            balanced_rows(task.labels(rows), task.cells(rows))
        _check_known(task, spec)


def _check_gates(task: PlannedTask, spec: FairNetSpec) -> None:
    """Thresholds of all gates are chosen together, from the output of every subset of open gates."""
    gates = len(task.gates)
    if gates > MOST_CACHED and spec.detector.regime != "unlabelled":
        raise BadInput(
            f"{gates} gates ({', '.join(task.gates)}) have {1 << gates} outputs a row, and thresholds that are chosen "
            f"together need them all: that is done for {MOST_CACHED} gates at most",
            place=f"task {task.name}, attributes",
            fix=f"name {MOST_CACHED} attributes or fewer, or correct for the others in a second run",
        )


def _check_known(task: PlannedTask, spec: FairNetSpec) -> None:
    """Of the rows whose group a regime knows, enough must be left to find the worst group by."""
    if spec.detector.regime == "unlabelled":
        return
    sizes = {split: len(task.rows(split)) for split in ("train", "validation")}
    for seed in spec.seeds:
        known = {split: known_rows(split, n, spec.detector, seed) for split, n in sizes.items()}
        for gate in task.gates:
            if gate not in spec.vulnerable:
                check_candidates(task, gate, known)


def check_rows(task: PlannedTask, spec: FairNetSpec, place: str = "") -> None:
    """Raise BadInput where a vulnerable group has nothing to learn from, or no cell is large enough to be reported."""
    train, where = task.rows("train"), place or f"task {task.name}"
    labels = task.labels(train)
    for gate in task.gates:
        if gate in spec.vulnerable and spec.detector.regime != "unlabelled":
            groups = task.examples.attributes[gate][train]
            inside, outside = groups == spec.vulnerable[gate], ~np.isin(groups, (spec.vulnerable[gate], MISSING_GROUP))
            for rows, who in ((inside, spec.vulnerable[gate]), (outside, f"other than {spec.vulnerable[gate]}")):
                counts = np.bincount(labels[rows], minlength=2)
                if not counts.all():
                    raise BadInput(
                        f"of {gate} {who} {counts.tolist()} training rows have label 0 and 1: both are learnt from",
                        place=f"{where}, vulnerable",
                        fix="use more rows, name another group, or raise `skew`",
                    )
    sizes = np.bincount(task.cells(task.rows("test")))
    if not len(counted_cells(task)):
        raise BadInput(
            f"cells of {task.steering} have {sizes.tolist()} test rows: none has enough to be reported",
            place=f"{where}, attributes",
            fix="use more rows, or attributes with fewer groups",
        )
