"""The four-stage fairness evaluation of a language model (arXiv 2509.16462), from spec to report.

Reads top to bottom: everything that can be known to fail is checked first; then the model's intrinsic bias, its
unlearning, its bias afterwards; then, task by task, decisions at every stage; then results, report and evidence.
Every part is on disk when it is finished, so the same command takes up where a killed run stopped.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from equiray import __version__
from equiray.data.schema import Task
from equiray.data.tasks.load import load_task
from equiray.errors import BadInput
from equiray.metrics.estimates import Estimate
from equiray.models.loading import check_source
from equiray.policies import Judgement, NamedPolicy, apply_policy
from equiray.reports import print_summary
from equiray.runs.context import RunContext
from equiray.runs.decisions import CountingPlan, Reported, plan_counting
from equiray.runs.details import serialization_details, task_details
from equiray.runs.directory import RunDirectory
from equiray.runs.fine_tuning import check_fine_tuning, fine_tuning_details
from equiray.runs.intrinsic import AFTER, BEFORE, IntrinsicPlan, intrinsic_results, plan_intrinsic, score_stage
from equiray.runs.models import LanguageModels
from equiray.runs.policy_check import check_policy
from equiray.runs.predictions import PreparedTask, predict_task, prepare_twins, unlearns
from equiray.runs.publish import publish
from equiray.runs.results import TaskResults, all_evidence, task_results
from equiray.runs.results_document import RESULTS, results_document
from equiray.runs.run_frontiers import write_frontiers
from equiray.runs.serializing import fit_serializer
from equiray.runs.unlearning import UnlearningPlan, plan_unlearning, unlearn_folds, unlearning_details
from equiray.specs.run import RunSpec, TaskSpec

FULL_ROWS, FULL_FAMILIES = 500, 20
"""Below these a result is labelled ``smoke`` (docs/contracts)."""


def run_evaluation(
    spec: RunSpec, out: Path, *, policy: NamedPolicy | None = None, address: str | None = None, command: str
) -> Judgement | None:
    """Run a spec, or what is left of it, and leave results, report and evidence in a run directory.

    Parameters
    ----------
    spec : RunSpec
    out : Path
        Run directory; an unfinished run of the same spec is resumed.
    policy : NamedPolicy, optional
        Every model at every stage of every task is judged by it; the verdicts become part of the results.
    address : str, optional
        Ray cluster that embeds rows; None: this machine.
    command : str
        The command line, for the report.

    Returns
    -------
    Judgement or None
        None without a policy.

    Raises
    ------
    BadInput
        Anything wrong with spec, policy, data, model or templates, before compute starts wherever it can be known; or
        another process is writing to `out`.
    """
    checked = _check(spec)
    if policy is not None:
        check_policy(policy, checked.reported)
    with RunDirectory.open(out, spec) as directory:
        models = LanguageModels(spec=spec.language_model)
        run = RunContext(spec=spec, directory=directory, models=models, address=address)
        judgement = _evaluate(checked, run, policy, command)
        publish(out, spec)
        print_summary(out, directory.console)
    return judgement


def _evaluate(checked: "_Checked", run: RunContext, policy: NamedPolicy | None, command: str) -> Judgement | None:
    """Compute what is not on disk yet, in the order of the stages."""
    run.directory.hold_inputs(_inputs(checked, run))
    if checked.intrinsic is not None:
        score_stage(checked.intrinsic, BEFORE, run)
    if checked.unlearning is not None:
        run.models.adapters = unlearn_folds(checked.unlearning, run)
        if checked.intrinsic is not None:
            score_stage(checked.intrinsic, AFTER, run)
    prepared = [_prepare(task.spec, task.task, run) for task in checked.tasks]
    for task in prepared:
        predict_task(task, run)
    with run.directory.step("estimates and intervals"):
        results = [task_results(task.spec.name, task.plan, run) for task in checked.tasks]
        judgement = _write_results(checked, results, policy, run)
        tasks = {
            task.schema.name: task_details(task, found, seed=run.spec.seed)
            for task, found in zip(prepared, results, strict=True)
        }
    write_frontiers({task.spec.name: tuple(task.plan.groups) for task in checked.tasks}, run)
    details = _details(checked, prepared, run, command)
    run.directory.write_json("details.json", {**details, "tasks": tasks})
    return judgement


class _CheckedTask(NamedTuple):
    spec: TaskSpec
    task: Task
    plan: CountingPlan


@dataclass(frozen=True, kw_only=True)
class _Checked:
    """Everything a run reads, loaded and found good, before anything is computed."""

    tasks: tuple[_CheckedTask, ...]
    intrinsic: IntrinsicPlan | None
    unlearning: UnlearningPlan | None

    @property
    def reported(self) -> frozenset[Reported]:
        """Every metric that the results will hold, paired changes aside."""
        of_tasks = [task.plan.reported for task in self.tasks]
        return frozenset().union(*of_tasks, self.intrinsic.reported if self.intrinsic else ())


def _inputs(checked: _Checked, run: RunContext) -> dict[str, str]:
    """Digests of all that finished parts depend on beside the spec: a resumed run must read the same."""
    inputs = {"equiray": __version__}
    for task_spec, task, _ in checked.tasks:
        inputs[f"task {task_spec.name}"] = task.source_sha256
        inputs[f"schema {task_spec.name}"] = hashlib.sha256(repr(task.schema).encode()).hexdigest()
    if _needs_language_model(run.spec) and not run.spec.language_model.is_endpoint:
        inputs["language model"] = run.models.base().identity
    if checked.intrinsic is not None:
        inputs["held-out texts"] = checked.intrinsic.held_out.sha256
        inputs |= {f"templates {q.templates.name}": q.templates.sha256 for q in checked.intrinsic.questions}
    if checked.unlearning is not None:
        inputs["reference texts"] = checked.unlearning.reference.sha256
        inputs[f"templates {checked.unlearning.templates.name}"] = checked.unlearning.templates.sha256
    return inputs


def _check(spec: RunSpec) -> _Checked:
    names = [task.name for task in spec.tasks]
    for name in names:
        if names.count(name) > 1:
            raise BadInput(f"task {name!r} stands twice", place="tasks", fix="list each task once")
    endpoint = spec.language_model.is_endpoint
    if endpoint:
        _check_endpoint(spec)
    elif _needs_language_model(spec):
        check_source(spec.language_model.source)
    tasks = tuple(_check_task(task, spec) for task in spec.tasks)
    unlearning = any(unlearns(stage) for stage in spec.stages)
    return _Checked(
        tasks=tasks,
        intrinsic=None if spec.intrinsic is None or endpoint else plan_intrinsic(spec),
        unlearning=plan_unlearning(spec) if unlearning else None,
    )


def _check_task(task_spec: TaskSpec, spec: RunSpec) -> _CheckedTask:
    task = load_task(task_spec, spec.seed)
    prepare_twins(task_spec, task, spec.stages)
    if "lora" in spec.models:
        check_fine_tuning(task)
    return _CheckedTask(task_spec, task, plan_counting(task_spec, task))


def _check_endpoint(spec: RunSpec) -> None:
    """A black box can be asked, not opened."""
    if wrong := [model for model in spec.models if model == "embedding"]:
        raise BadInput(f"an endpoint gives no {wrong[0]}s", place="models", fix="use models: [raw, prompt]")
    if "lora" in spec.models:
        fix = "use models: [raw, prompt], or name the model's hub id or directory as language_model.source"
        raise BadInput("a model behind an endpoint cannot be fine-tuned (lora)", place="models", fix=fix)
    if wrong := [stage for stage in spec.stages if unlearns(stage)]:
        raise BadInput(f"an endpoint cannot run {wrong[0]}", place="stages", fix="use stages: [baseline, cda]")


def _needs_language_model(spec: RunSpec) -> bool:
    unlearning = any(unlearns(stage) for stage in spec.stages)
    return unlearning or spec.intrinsic is not None or any(model != "raw" for model in spec.models)


def _prepare(task_spec: TaskSpec, task: Task, run: RunContext) -> PreparedTask:
    flipped, augmented = prepare_twins(task_spec, task, run.spec.stages)
    serializer = None
    if any(model != "raw" for model in run.spec.models):
        with run.directory.step(f"{task.schema.name}: rank features, measure texts"):
            serializer = fit_serializer(task, run.spec, run.models.count_tokens)
    return PreparedTask(spec=task_spec, task=task, flipped=flipped, augmented=augmented, serializer=serializer)


def _write_results(
    checked: _Checked, results: Sequence[TaskResults], policy: NamedPolicy | None, run: RunContext
) -> Judgement | None:
    estimates: list[Estimate] = []
    if checked.intrinsic is not None:
        stages = (BEFORE,) if checked.unlearning is None else (BEFORE, AFTER)
        estimates += intrinsic_results(checked.intrinsic, stages, run)
    for task in results:
        estimates += task.estimates
    counted = [task.evidence for task in results]
    judgement = None if policy is None else apply_policy(policy, all_evidence(estimates, counted))
    rows = {task.task.schema.name: len(task.task.table) for task in checked.tasks}
    run.directory.write_json(RESULTS, results_document(run.spec.sha256(), rows, estimates, judgement))
    return judgement


def _details(checked: _Checked, prepared: list[PreparedTask], run: RunContext, command: str) -> dict[str, Any]:
    details: dict[str, Any] = {
        "name": run.spec.name,
        "language_model": run.models.details() if _needs_language_model(run.spec) else None,
        "serialization": {
            task.schema.name: found for task in prepared if (found := serialization_details(task)) is not None
        },
        "durations_s": run.directory.durations(),
        "command": command,
        "smoke": _is_smoke(checked, prepared),
    }
    if checked.unlearning is not None:
        details["unlearning"] = unlearning_details(checked.unlearning, run)
    if "lora" in run.spec.models:
        details["fine_tuning"] = fine_tuning_details(run)
    return details


def _is_smoke(checked: _Checked, prepared: list[PreparedTask]) -> bool:
    few_rows = any(len(task.task.table) < FULL_ROWS for task in prepared)
    if checked.intrinsic is None:
        return few_rows
    families = {prompt.family for fold in checked.intrinsic.prompts for part in fold for prompt in part}
    return few_rows or len(families) < FULL_FAMILIES
