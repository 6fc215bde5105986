"""`run_fairnet`: from the spec of a FairNet run to results, report and evidence.

Reads top to bottom: everything that can be known to fail is checked first; then task by task and seed by seed the base,
FairNet and the baselines; then ablations and stress; then figures. Every part is on disk when it is finished, so the
same command takes up where a killed run stopped.
"""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from equiray import __version__
from equiray.metrics.estimation import Labels
from equiray.models.backbones import Backbone, load_backbone
from equiray.models.token_counter import TokenCounter
from equiray.policies import Judgement, NamedPolicy, Subject, apply_policy
from equiray.reports import print_summary
from equiray.runs.directory import RunDirectory
from equiray.runs.fairnet.checks import check_backbone, check_names, check_tasks
from equiray.runs.fairnet.documents import (
    Figures,
    details_document,
    fairnet_document,
    fairnet_results,
    task_document,
)
from equiray.runs.fairnet.kinds import check_kinds
from equiray.runs.fairnet.lower import TaskStates
from equiray.runs.fairnet.planning import PlannedTask, plan_task
from equiray.runs.fairnet.predictions import of_split, predicted, subject_of
from equiray.runs.fairnet.reported import reported
from equiray.runs.fairnet.results import BASE, Decided, effects_of, evidence_of
from equiray.runs.fairnet.seed import Seed
from equiray.runs.fairnet.variants import ablations_of, check_stress, stress_of
from equiray.runs.fairnet.words import methods_of
from equiray.runs.frontiers import frontiers_file, frontiers_of_predictions
from equiray.runs.policy_check import check_policy
from equiray.runs.publish import publish
from equiray.runs.results_document import RESULTS
from equiray.specs.fairnet import FairNetSpec


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
    check_kinds(spec, backbone, address)
    check_backbone(backbone, spec)
    count_tokens = None if backbone.tokenizer is None else TokenCounter(tokenizer=backbone.tokenizer)
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
    found = Figures()
    for number, task in enumerate(planned):
        states = TaskStates(task, backbone, spec, directory, address)
        seeds = _trained(states, spec, directory)
        tables = {subject_of(seed, m): predicted(seed, m) for seed in seeds for m in methods_of(spec)}
        if number == 0:
            found.ablations = ablations_of(states, seeds, spec, directory)
        found.stress += stress_of(states, seeds, spec, directory)
        with directory.step(f"{task.name}: figures"):
            _add_figures(found, task, seeds, tables, spec, directory)
        states.forget()
    judgement = None if policy is None else apply_policy(policy, dict(found.evidence))
    directory.write_json("frontiers.json", frontiers_file(found.frontiers))
    directory.write_json(RESULTS, fairnet_results(planned, found, judgement, spec))
    directory.write_json("fairnet.json", fairnet_document(planned, found, backbone, spec))
    directory.write_json("details.json", details_document(planned, spec, directory, command))
    return judgement


def _add_figures(
    found: Figures,
    task: PlannedTask,
    seeds: list[Seed],
    tables: Mapping[Subject, pa.Table],
    spec: FairNetSpec,
    directory: RunDirectory,
) -> None:
    decided = Decided(planned=task, tables={s: of_split(t, "test") for s, t in tables.items()})
    evidence = evidence_of(decided, spec.sha256(), spec.confidence, directory)
    found.evidence |= evidence
    found.effects += effects_of(decided, spec.confidence)
    found.tasks.append(task_document(task, seeds, tables, evidence, spec))
    for base in (subject_of(seed, BASE) for seed in seeds):
        labels = Labels(task=task.name, stage=BASE, model=base.model)
        found.frontiers += frontiers_of_predictions(tables[base], tuple(decided.groups), labels)


def _trained(states: TaskStates, spec: FairNetSpec, directory: RunDirectory) -> list[Seed]:
    """Every seed; the group that is worst with the first one's base is corrected in all of them."""
    first = Seed(states, spec.seeds[0], spec.vulnerable, spec, directory)
    return [first, *(Seed(states, seed, first.vulnerable, spec, directory) for seed in spec.seeds[1:])]


def _inputs(planned: list[PlannedTask], backbone: Backbone) -> dict[str, str]:
    tasks = {f"task {task.name}": task.examples.source_sha256 for task in planned}
    return {"equiray": __version__, "backbone": backbone.identity, **tasks}
