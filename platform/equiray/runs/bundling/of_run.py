"""A training of a finished FairNet run, by its seed."""

import json
import re
from pathlib import Path

from equiray.errors import BadInput, reading_back
from equiray.metrics.estimates import Estimate
from equiray.mitigation.fairnet.store import read_stored
from equiray.runs.bundling.fairnet import Trained
from equiray.runs.fairnet.predictions import model_name
from equiray.runs.results_document import RESULTS
from equiray.specs.examples import AnyTaskSpec
from equiray.specs.fairnet import FairNetSpec, load_fairnet_spec

_PICK = re.compile(r"(?:(?P<task>[A-Za-z0-9_-]+)\.)?seed(?P<seed>\d+)")


def trained_of_run(directory: Path, pick: str) -> Trained:
    """The training that ``seed0`` or, where a run has several tasks, ``compas.seed0`` names.

    Raises
    ------
    BadInput
        The run is not finished, or has no such task or seed.
    """
    spec = load_fairnet_spec(directory / "spec.yaml")
    task, seed = _named(spec, pick, directory)
    if not (directory / RESULTS).is_file():
        raise BadInput("the run is not finished", place=str(directory), fix="repeat its command")
    name = f"{task.name}.seed{seed}"
    stored = directory / "models" / name / "fairnet"
    with reading_back(stored / "fairnet.json", fix="repeat the run in a new directory"):
        document = json.loads((stored / "fairnet.json").read_text(encoding="utf-8"))
        model = model_name(document["backbone"]["name"], seed)
    return Trained(
        directory=directory,
        name=name,
        task=task,
        spec=spec,
        thresholds=read_stored(stored).thresholds,
        origin="run",
        of=spec.name,
        point=name,
        pick=pick,
        settings={},
        test=_estimates(directory, task.name, model),
    )


def _named(spec: FairNetSpec, pick: str, directory: Path) -> tuple[AnyTaskSpec, int]:
    known = [f"{task.name}.seed{seed}" for task in spec.tasks for seed in spec.seeds]
    found = _PICK.fullmatch(pick)
    tasks = [task for task in spec.tasks if found and found["task"] in (None, task.name)]
    if found is None or len(tasks) != 1 or int(found["seed"]) not in spec.seeds:
        problem = f"{pick!r} names no training of this run"
        raise BadInput(problem, place=str(directory), fix=f"pick one of: {', '.join(known)}")
    return tasks[0], int(found["seed"])


def _estimates(directory: Path, task: str, model: str) -> tuple[Estimate, ...]:
    """What results.json says of the training on test rows."""
    with reading_back(directory / RESULTS, fix="repeat the run in a new directory"):
        found = json.loads((directory / RESULTS).read_text(encoding="utf-8"))["estimates"]
        wanted = {"task": task, "stage": "fairnet", "model": model}
        return tuple(Estimate(**each) for each in found if wanted.items() <= each.items())
