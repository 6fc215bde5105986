"""`run_open_ended`: from prompts about groups to continuations, their ratings, figures and the evidence.

Reads top to bottom: prompts, engine and scorers are checked before anything is written. Every continuation is kept in
the cache that all runs share as it is finished, and every part is a file that appears whole, so the same command takes
up where a killed run stopped.
"""

from pathlib import Path
from typing import Any

from equiray import __version__
from equiray.errors import BadInput
from equiray.metrics.estimates import Estimate
from equiray.models.raters import Rater
from equiray.policies import NamedPolicy
from equiray.reports import print_summary
from equiray.runs.directory import RunDirectory
from equiray.runs.open_ended.details import open_ended_document, task_document
from equiray.runs.open_ended.figures import figures_of
from equiray.runs.open_ended.planning import PlannedPrompts, plan_prompts, plan_raters
from equiray.runs.open_ended.rating import rate
from equiray.runs.open_ended.writing import continuations
from equiray.runs.publish import publish
from equiray.runs.results_document import RESULTS, results_document
from equiray.runs.sampling.engines import Engines
from equiray.specs.open_ended import OpenEndedSpec

DOCUMENT = "open_ended.json"


def run_open_ended(
    spec: OpenEndedSpec, out: Path, *, policy: NamedPolicy | None = None, address: str | None = None, command: str
) -> None:
    """Run a spec, or what is left of it, and leave continuations, ratings, results and evidence in a run directory.

    Parameters
    ----------
    spec : OpenEndedSpec
    out : Path
        Run directory; an unfinished run of the same spec is resumed.
    policy : NamedPolicy, optional
        Refused: no policy bounds ratings of texts.
    address : str, optional
        Ray cluster that writes; ratings are made in this process.
    command : str
        The command line, for the report.

    Raises
    ------
    BadInput
        Anything wrong with spec, prompts, engine or scorers, before compute starts wherever it can be known; or
        another process is writing to `out`.
    Incomplete
        Workers were lost or the disk is full; the same call goes on from what is finished.
    """
    if policy is not None:
        fix = "leave --policy out: results.json has every difference with its limits"
        raise BadInput("no policy judges ratings of open-ended text", place="--policy", fix=fix)
    planned = plan_prompts(spec)
    raters = plan_raters(spec.rating)
    engines = Engines(spec=spec.engine)
    engines.check()
    with RunDirectory.open(out, spec) as directory:
        directory.hold_inputs(
            {
                "equiray": __version__,
                **{f"prompts {task.name}": task.source_sha256 for task in planned},
                **{f"scorer of {measure}": rater.identity for measure, rater in raters.items()},
                **engines.identity,
            }
        )
        documents, estimates, rows = [], [], {}
        for task in planned:
            document, found = _of_task(task, spec, engines, raters, directory, address)
            documents.append(document)
            estimates += found
            rows[task.name] = len(task.prompts) * spec.sampling.continuations
        directory.write_json(RESULTS, results_document(spec.sha256(), rows, estimates))
        whole = open_ended_document(documents, planned, raters, spec)
        directory.write_json(DOCUMENT, {**whole, "durations_s": directory.durations(), "command": command})
        publish(out, spec)
        print_summary(out, directory.console)


def _of_task(
    task: PlannedPrompts,
    spec: OpenEndedSpec,
    engines: Engines,
    raters: dict[str, Rater],
    directory: RunDirectory,
    address: str | None,
) -> tuple[dict[str, Any], list[Estimate]]:
    with directory.step(f"{task.name}: continuations"):
        written = continuations(task, engines, spec.sampling, directory, address=address)
    with directory.step(f"{task.name}: ratings"):
        ratings, swaps = rate(written, task, raters, spec.rating, directory)
    scorers = {measure: rater.name for measure, rater in raters.items()}
    if "toxicity" in scorers:
        scorers["toxic_share"] = scorers["toxicity"]
    with directory.step(f"{task.name}: figures"):
        figures = figures_of(
            task,
            written,
            ratings,
            swaps,
            spec.rating,
            scorers=scorers,
            model=engines.model_name,
            confidence=spec.confidence,
        )
    return task_document(task, written, ratings, swaps, figures), figures.estimates
