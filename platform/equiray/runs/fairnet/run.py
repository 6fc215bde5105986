"""`run_fairnet`: from the spec of a FairNet run to results, report and evidence.

Reads top to bottom: everything that can be known to fail is checked first; then task by task and seed by seed the base,
FairNet and the baselines; then ablations and stress; then figures. Every part is on disk when it is finished, so the
same command takes up where a killed run stopped.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from equiray import __version__
from equiray.fairnet_spec import FairNetSpec
from equiray.metrics.estimation import CountedEvidence, Labels
from equiray.mitigation.fairnet import Layers
from equiray.models.backbones import Backbone, load_backbone
from equiray.policies import Judgement, NamedPolicy, Subject, apply_policy
from equiray.reports import print_summary
from equiray.runs.directory import RunDirectory
from equiray.runs.fairnet.checks import check_backbone, check_names, check_tasks, reported
from equiray.runs.fairnet.details import seed_document
from equiray.runs.fairnet.lower import TaskStates
from equiray.runs.fairnet.planning import PlannedTask, plan_task
from equiray.runs.fairnet.predictions import of_split, predicted, subject_of
from equiray.runs.fairnet.results import ASKED, BASE, Decided, change_of, effects_of, evidence_of
from equiray.runs.fairnet.seed import Seed
from equiray.runs.fairnet.variants import ablations_of, check_stress, stress_of
from equiray.runs.fairnet.words import gates_of, methods_of
from equiray.runs.frontiers import frontiers_file, frontiers_of_predictions
from equiray.runs.policy_check import check_policy
from equiray.runs.publish import publish
from equiray.streaming.language_model import TokenCounter

SCHEMA = "equiray.fairnet-results/2"
FULL_ROWS = 500


def run_fairnet(
    spec: FairNetSpec, out: Path, *, policy: NamedPolicy | None = None, address: str | None = None, command: str
) -> Judgement | None:
    """Run a spec, or what is left of it, and leave results, report and evidence in a run directory.

    Parameters
    ----------
    spec : FairNetSpec
    out : Path
        Run directory; an unfinished run of the same spec is resumed.
    policy : NamedPolicy, optional
        Every method of every seed is judged by it.
    address : str, optional
        Ray cluster that FairNet's outputs are computed on; training is in this process.
    command : str
        The command line, for the report.

    Raises
    ------
    BadInput
        Anything wrong with spec, policy, data or backbone, before compute starts wherever it can be known; or another
        process is writing to `out`.
    Incomplete
        Ray lost actors, or the disk is full; the same call goes on from what is finished.
    """
    check_names(spec)
    backbone = load_backbone(spec.backbone)
    check_backbone(backbone, spec)
    assert backbone.tokenizer is not None, "it was just checked"
    count_tokens = TokenCounter(tokenizer=backbone.tokenizer)
    planned = [plan_task(task, spec, count_tokens) for task in spec.tasks]
    check_tasks(planned, spec)
    for task in planned:
        check_stress(task, spec)
    if policy is not None:
        check_policy(policy, reported(planned))
    with RunDirectory.open(out, spec) as directory:
        directory.hold_inputs(_inputs(planned, backbone))
        judgement = _work(planned, backbone, spec, directory, policy, address, command)
        publish(out, spec)
        print_summary(out, directory.console)
    return judgement


def _work(
    planned: list[PlannedTask],
    backbone: Backbone,
    spec: FairNetSpec,
    directory: RunDirectory,
    policy: NamedPolicy | None,
    address: str | None,
    command: str,
) -> Judgement | None:
    tasks, ablations, stress = [], [], []
    evidence: dict[Subject, CountedEvidence] = {}
    effects, frontiers = [], []
    for number, task in enumerate(planned):
        states = TaskStates(task, backbone, spec, directory, address)
        seeds = _trained(states, spec, directory)
        tables = {subject_of(seed, m): predicted(seed, m) for seed in seeds for m in methods_of(spec)}
        if number == 0:
            ablations = ablations_of(states, seeds, spec, directory)
        stress += stress_of(states, seeds, spec, directory)
        with directory.step(f"{task.name}: figures"):
            decided = Decided(planned=task, tables={s: of_split(t, "test") for s, t in tables.items()})
            found = evidence_of(decided, spec.sha256(), spec.confidence, directory)
            evidence |= found
            effects += effects_of(decided, spec.confidence)
            tasks.append(_task_document(task, seeds, tables, found, spec))
            for base in (subject_of(seed, BASE) for seed in seeds):
                labels = Labels(task=task.name, stage=BASE, model=base.model)
                frontiers += frontiers_of_predictions(tables[base], tuple(decided.groups), labels)
        states.forget()
    judgement = None if policy is None else apply_policy(policy, dict(evidence))
    directory.write_json("frontiers.json", frontiers_file(frontiers))
    rows = {task.name: len(task.examples) for task in planned}
    levels = [estimate for one in evidence.values() for estimate in one.estimates]
    directory.write_json(
        "results.json",
        {
            "schema": "equiray.results/1",
            "spec_sha256": spec.sha256(),
            "task": list(rows) if len(rows) > 1 else next(iter(rows)),
            "n_rows": rows if len(rows) > 1 else next(iter(rows.values())),
            "estimates": [estimate.to_json() for estimate in (*levels, *effects)],
            "verdicts": [verdict.to_json() for verdict in judgement.verdicts] if judgement else [],
        },
    )
    smoke = any(len(task.rows("test")) < FULL_ROWS for task in planned)
    directory.write_json(
        "fairnet.json",
        {
            "schema": SCHEMA,
            "name": spec.name,
            "smoke": smoke,
            "asked": ASKED,
            "backbone": _backbone_document(backbone, spec),
            "methods": list(methods_of(spec).values()),
            "tasks": tasks,
            "ablations": ablations,
            "stress": stress,
        },
    )
    directory.write_json("details.json", _details(planned, spec, directory, command, smoke))
    return judgement


def _trained(states: TaskStates, spec: FairNetSpec, directory: RunDirectory) -> list[Seed]:
    """Every seed; the group that is worst with the first one's base is corrected in all of them."""
    first = Seed(states, spec.seeds[0], spec.vulnerable, spec, directory)
    return [first, *(Seed(states, seed, first.vulnerable, spec, directory) for seed in spec.seeds[1:])]


def _inputs(planned: list[PlannedTask], backbone: Backbone) -> dict[str, str]:
    tasks = {f"task {task.name}": task.examples.source_sha256 for task in planned}
    return {"equiray": __version__, "backbone": backbone.identity, **tasks}


def _task_document(
    task: PlannedTask,
    seeds: list[Seed],
    tables: Mapping[Subject, Any],
    evidence: Mapping[Subject, CountedEvidence],
    spec: FairNetSpec,
) -> dict[str, Any]:
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
    sizes = [p.numel() for layer in range(layers.frozen, backbone.depth) for p in backbone.layers[layer].parameters()]
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


def _details(
    planned: list[PlannedTask], spec: FairNetSpec, directory: RunDirectory, command: str, smoke: bool
) -> dict[str, Any]:
    return {
        "name": spec.name,
        "tasks": {
            task.name: {
                "title": task.examples.title,
                "rows": len(task.examples),
                "splits": {split: len(task.rows(split)) for split in ("train", "validation", "test")},
                "warnings": list(task.examples.warnings),
                "source": task.task.schema.source,
                "source_sha256": task.examples.source_sha256,
                "licence": task.task.schema.licence,
            }
            for task in planned
        },
        "durations_s": directory.durations(),
        "command": command,
        "smoke": smoke,
    }
