"""The documents of a FairNet run: ``results.json``, ``fairnet.json`` and ``details.json``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from equiray.metrics.estimates import Estimate
from equiray.metrics.estimation import CountedEvidence
from equiray.mitigation.fairnet import Layers
from equiray.models.backbones import Backbone
from equiray.policies import Judgement, Subject
from equiray.runs.directory import RunDirectory
from equiray.runs.fairnet.details import seed_document
from equiray.runs.fairnet.planning import PlannedTask
from equiray.runs.fairnet.predictions import subject_of
from equiray.runs.fairnet.results import ASKED, BASE, change_of
from equiray.runs.fairnet.seed import Seed
from equiray.runs.fairnet.words import gates_of, methods_of
from equiray.runs.results_document import results_document
from equiray.specs.fairnet import FairNetSpec

SCHEMA = "equiray.fairnet-results/2"
FULL_ROWS = 500


@dataclass(kw_only=True)
class Figures:
    """What the tasks of a run have shown so far."""

    tasks: list[dict[str, Any]] = field(default_factory=list)
    ablations: list[dict[str, Any]] = field(default_factory=list)
    stress: list[dict[str, Any]] = field(default_factory=list)
    evidence: dict[Subject, CountedEvidence] = field(default_factory=dict)
    effects: list[Estimate] = field(default_factory=list)
    frontiers: list[Any] = field(default_factory=list)


def fairnet_results(
    planned: list[PlannedTask], found: Figures, judgement: Judgement | None, spec: FairNetSpec
) -> dict[str, Any]:
    """What outsiders rely on: every estimate, every verdict."""
    rows = {task.name: len(task.examples) for task in planned}
    levels = [estimate for one in found.evidence.values() for estimate in one.estimates]
    return results_document(spec.sha256(), rows, (*levels, *found.effects), judgement)


def fairnet_document(
    planned: list[PlannedTask], found: Figures, backbone: Backbone, spec: FairNetSpec
) -> dict[str, Any]:
    """What only a FairNet run's report shows."""
    return {
        "schema": SCHEMA,
        "name": spec.name,
        "smoke": is_smoke(planned),
        "asked": ASKED,
        "backbone": _backbone_document(backbone, spec),
        "methods": list(methods_of(spec).values()),
        "tasks": found.tasks,
        "ablations": found.ablations,
        "stress": found.stress,
    }


def is_smoke(planned: list[PlannedTask]) -> bool:
    """Whether a task has too few test rows to be quoted."""
    return any(len(task.rows("test")) < FULL_ROWS for task in planned)


def task_document(
    task: PlannedTask,
    seeds: list[Seed],
    tables: Mapping[Subject, Any],
    evidence: Mapping[Subject, CountedEvidence],
    spec: FairNetSpec,
) -> dict[str, Any]:
    """One entry of ``tasks`` in ``fairnet.json``."""
    methods = list(methods_of(spec))
    by_method = {m: [tables[subject_of(seed, m)] for seed in seeds] for m in methods}
    return {
        "task": task.name,
        "title": task.examples.title,
        "synthetic": task.examples.synthetic,
        "warnings": list(task.examples.warnings),
        "rows": {split: len(task.rows(split)) for split in ("train", "validation", "test")},
        "attribute": task.steering,
        "gates": gates_of(spec, seeds[0].vulnerable, task.gates),
        "changes": [change_of(task, m, by_method[BASE], by_method[m], spec.confidence) for m in methods if m != BASE],
        "seeds": [
            seed_document(
                seed,
                {m: evidence[subject_of(seed, m)].estimates for m in methods},
                {m: tables[subject_of(seed, m)] for m in methods},
            )
            for seed in seeds
        ],
    }


def _backbone_document(backbone: Backbone, spec: FairNetSpec) -> dict[str, Any]:
    layers = Layers.of(spec, backbone.depth)
    trained = [backbone.norm, *backbone.layers[layers.frozen :], *([] if layers.frozen else [backbone.embeddings])]
    sizes = [parameter.numel() for module in trained for parameter in module.parameters()]
    per_layer = [sum(p.weight.shape) * spec.adapter.rank for p in backbone.projections(layers.adapter).values()]
    return {
        "name": backbone.name,
        "identity": backbone.identity,
        "depth": backbone.depth,
        "width": backbone.width,
        "frozen_layers": layers.frozen,
        "detector_layer": layers.detector,
        "adapter_first_layer": layers.adapter,
        "trained_parameters": sum(sizes) + 2 * (backbone.width + 1),
        "adapter_parameters": sum(per_layer) * (backbone.depth - layers.adapter),
    }


def details_document(
    planned: list[PlannedTask], spec: FairNetSpec, directory: RunDirectory, command: str
) -> dict[str, Any]:
    """Where the run's rows come from, and how long it took."""
    return {
        "name": spec.name,
        "tasks": {
            task.name: {
                "title": task.examples.title,
                "rows": len(task.examples),
                "splits": {split: len(task.rows(split)) for split in ("train", "validation", "test")},
                "warnings": list(task.examples.warnings),
                "source": task.about.source,
                "source_sha256": task.examples.source_sha256,
                "licence": task.about.licence,
            }
            for task in planned
        },
        "durations_s": directory.durations(),
        "command": command,
        "smoke": is_smoke(planned),
    }
