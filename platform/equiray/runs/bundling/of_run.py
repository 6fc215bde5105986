"""A training of a finished FairNet run, by its seed."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from equiray.bundles.manifest import FAIRNET, GateEvidence, Provenance
from equiray.errors import BadInput, reading_back
from equiray.metrics.estimates import Estimate
from equiray.mitigation.fairnet.store import StoredFairNet, read_stored
from equiray.mitigation.gating.changes import number
from equiray.mitigation.gating.no_harm import condition
from equiray.mitigation.gating.store import load_outcomes
from equiray.runs.bundling.fairnet import Trained, gates_of, hashes_of_subsets, versions
from equiray.runs.fairnet.choosing import known_outcomes
from equiray.runs.results_document import RESULTS
from equiray.specs.examples import AnyTaskSpec
from equiray.specs.fairnet import FairNetSpec, load_fairnet_spec

_PICK = re.compile(r"(?:(?P<task>[A-Za-z0-9_-]+)\.)?seed(?P<seed>0|[1-9]\d*)")


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training of a run; `name` is that of its files, `pick` what it was asked for by."""

    directory: Path
    spec: FairNetSpec
    task: AnyTaskSpec
    seed: int
    pick: str

    @property
    def name(self) -> str:
        return f"{self.task.name}.seed{self.seed}"

    def trained(self) -> Trained:
        """Its FairNet, with the thresholds that were chosen on validation rows.

        Raises
        ------
        BadInput
            There is none, or what it put out for test rows is cut short.
        """
        folder = self.directory / "models" / self.name / FAIRNET
        stored = read_stored(folder)
        file = self.directory / "outcomes" / f"{self.name}.test.parquet"
        hashes = None
        if file.is_file():
            outcomes = load_outcomes(file)
            hashes = hashes_of_subsets(outcomes.risk, outcomes.probability, stored.thresholds)
        return Trained(
            directory=self.directory,
            folder=folder,
            task=self.task,
            spec=self.spec,
            thresholds=stored.thresholds,
            test_outputs=hashes,
            gates=self._gates(stored),
        )

    def provenance(self) -> Provenance:
        """Where a bundle of this training comes from."""
        return Provenance(
            origin="run",
            name=self.spec.name,
            point=self.name,
            pick=self.pick,
            spec_sha256=self.spec.sha256(),
            spec=self.spec.model_dump(mode="json", by_alias=True),
            test=self._estimates(),
            versions=versions(),
        )

    def _gates(self, stored: StoredFairNet) -> tuple[GateEvidence, ...]:
        """With what their adapters change on the validation rows whose group the training knew."""
        file = self.directory / "outcomes" / f"{self.name}.validation.parquet"
        if not file.is_file():
            return gates_of(stored)
        outcomes = known_outcomes(load_outcomes(file), self.spec.detector, self.seed)
        found = []
        for each in gates_of(stored):
            threshold = stored.thresholds[each.gate]
            changes = condition(outcomes.alone(each.gate), threshold, each.gate, each.vulnerable)
            found.append(each.model_copy(update={"d_min": number(changes.d_min), "d_maj": number(changes.d_maj)}))
        return tuple(found)

    def _estimates(self) -> tuple[Estimate, ...]:
        """What results.json says of the training on test rows."""
        with reading_back(self.directory / RESULTS, fix="repeat the run in a new directory"):
            found = json.loads((self.directory / RESULTS).read_text(encoding="utf-8"))["estimates"]
            mine = [each for each in found if (each["task"], each["stage"]) == (self.task.name, "fairnet")]
            return tuple(Estimate(**each) for each in mine if each["model"].endswith(f"_seed{self.seed}"))


def training_of_run(directory: Path, pick: str) -> Training:
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
    return Training(directory=directory, spec=spec, task=task, seed=seed, pick=pick)


def _named(spec: FairNetSpec, pick: str, directory: Path) -> tuple[AnyTaskSpec, int]:
    known = [f"{task.name}.seed{seed}" for task in spec.tasks for seed in spec.seeds]
    found = _PICK.fullmatch(pick)
    tasks = [task for task in spec.tasks if found and found["task"] in (None, task.name)]
    if found is None or len(tasks) != 1 or int(found["seed"]) not in spec.seeds:
        problem = f"{pick!r} names no training of this run"
        raise BadInput(problem, place=str(directory), fix=f"pick one of: {', '.join(known)}")
    return tasks[0], int(found["seed"])
