"""What a FairNet run was made with, in lines: backbone, rows, gates."""

from equiray.reports.fairnet.record import FairnetFile, Gate, Task
from equiray.reports.provenance import Fact
from equiray.reports.words import attribute_words, count, enumerate_words

_OUTLYING = {
    "group": "rows unlike the others",
    "risk": "rows likely to be decided wrongly",
    "both": "rows unlike the others that are likely to be decided wrongly",
}


def backbone_facts(document: FairnetFile) -> list[Fact]:
    """What was corrected, and which of its layers do what."""
    b = document.backbone
    return [
        Fact("Backbone", f"{b.name} ({b.depth} layers, width {b.width}), {b.identity}"),
        Fact(
            "Layers",
            f"the lower {b.frozen_layers} frozen; the detector reads states after {b.detector_layer}; adapters from "
            f"layer {b.adapter_first_layer} up, counted from 0",
        ),
        Fact("Trained", f"{count(b.trained_parameters)} parameters, adapters {count(b.adapter_parameters)}"),
    ]


def task_facts(task: Task) -> list[Fact]:
    """The rows of each split, the cells, the gates and the seeds."""
    rows = task.rows
    return [
        Fact("Rows", f"{count(rows.train)} train, {count(rows.validation)} validation, {count(rows.test)} test"),
        Fact("Cells", f"{attribute_words(task.attribute)} × true label"),
        Fact("Gates", "; ".join(map(gate_words, task.gates)) or "none"),
        Fact("Seeds", enumerate_words([str(seed.seed) for seed in task.seeds])),
    ]


def gate_words(gate: Gate) -> str:
    """For whom a gate opens, and from which labels its detector learned that."""
    if gate.regime == "unlabelled":
        whom = _OUTLYING.get(gate.kind, gate.kind)
        return f"one, for {whom}; no group was known in training or in choosing its threshold"
    learned = {"full": "groups of all rows", "partial": "groups of some rows"}
    flags = {
        "group": "the group",
        "risk": "rows likely to be decided wrongly",
        "both": "rows of the group that are likely to be decided wrongly",
    }
    kind, regime = flags.get(gate.kind, gate.kind), learned.get(gate.regime, gate.regime)
    return f"{attribute_words(gate.attribute)}: opens for {gate.vulnerable}; detects {kind}, learned from {regime}"
