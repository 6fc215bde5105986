"""A picked point of a finished sweep: the training that it is of, and how it was read on test rows."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors.numpy import load_file

from equiray.bundles.manifest import FAIRNET, DataSource, OutputHashes, Provenance
from equiray.errors import BadInput, reading_back
from equiray.metrics.catalogue import METRICS
from equiray.metrics.estimates import Direction, Estimate
from equiray.mitigation.fairnet.store import read_stored
from equiray.runs.bundling.fairnet import Trained, hashes_of_subsets, versions
from equiray.runs.bundling.picking import pick_point
from equiray.specs.documents import as_bad_input, read_mapping
from equiray.specs.fairnet import FairNetSpec
from equiray.specs.run import RunSpec

SEARCH, SCHEMA = "search.json", "equiray.search/1"


@dataclass(frozen=True, kw_only=True)
class Point:
    """A point of a sweep.

    Attributes
    ----------
    directory : Path
        Of the sweep.
    kind : {"fairnet", "unlearning", "combined"}
    sweep : str
        Its name.
    id, pick : str
    trial : int
    settings : mapping
        Key of the spec -> value that the search chose.
    thresholds : mapping of gate to float
    spec : mapping
        Of the trial: the sweep's `run`, settings filled in.
    test : tuple of Estimate
    """

    directory: Path
    kind: str
    sweep: str
    id: str
    pick: str
    trial: int
    settings: Mapping[str, Any]
    thresholds: Mapping[str, float]
    spec: FairNetSpec | RunSpec
    test: tuple[Estimate, ...]

    @property
    def trial_name(self) -> str:
        """Of the trial's files."""
        return f"trial{self.trial}"

    def provenance(self, *, data: tuple[DataSource, ...] = (), test_outputs: OutputHashes | None = None) -> Provenance:
        """Where a bundle of this point comes from."""
        return Provenance(
            origin="sweep",
            name=self.sweep,
            point=self.id,
            pick=self.pick,
            settings=dict(self.settings),
            spec_sha256=self.spec.sha256(),
            spec=self.spec.model_dump(mode="json", by_alias=True),
            data=data,
            test=self.test,
            test_outputs=test_outputs,
            versions=versions(),
        )

    def trained(self) -> Trained:
        """The FairNet of the point's trial, in a sweep of that kind.

        Raises
        ------
        BadInput
            There is none, or one with other gates; or what it put out for test rows is cut short.
        """
        assert isinstance(self.spec, FairNetSpec)
        task = self.spec.tasks[0]
        name = f"{task.name}.seed{self.spec.seeds[0]}.{self.trial_name}"
        gates = read_stored(self.directory / "models" / name / FAIRNET).thresholds
        if gates.keys() != self.thresholds.keys():
            problem = f"thresholds of {', '.join(self.thresholds) or 'nothing'}, gates of {', '.join(gates)}"
            raise BadInput(problem, place=f"{self.directory / SEARCH}, {self.id}", fix="repeat the sweep")
        thresholds = {gate: self.thresholds[gate] for gate in gates}  # in the order of a subset's bits
        return Trained(
            directory=self.directory,
            name=name,
            task=task,
            spec=self.spec,
            thresholds=thresholds,
            test_outputs=self._test_outputs(thresholds),
        )

    def _test_outputs(self, thresholds: Mapping[str, float]) -> OutputHashes | None:
        file = self.directory / "test" / f"{self.trial_name}.safetensors"
        if not file.is_file():
            return None
        with reading_back(file, fix="repeat the sweep's command"):
            arrays = load_file(file)
            return hashes_of_subsets(arrays["risk"], arrays["probability"], thresholds)


def point_of_sweep(directory: Path, pick: str) -> Point:
    """The point of a finished sweep that `pick` means; see `pick_point`.

    Raises
    ------
    BadInput
        The sweep is not finished, or has no such point; or the point is the unmitigated model.
    """
    file = directory / SEARCH
    if not file.is_file():
        raise BadInput("the sweep is not finished", place=str(file), fix="repeat its command, which resumes it")
    with reading_back(file, fix="repeat the sweep's command"):
        search = json.loads(file.read_text(encoding="utf-8"))
        if search["schema"] != SCHEMA:
            raise BadInput(f"schema {search['schema']!r} is not {SCHEMA}", place=str(file), fix="repeat the sweep")
        found = pick_point(search, pick, place=str(file))
        if found["trial"] is None or found["trial"] < 0:
            fix = "pick a point of the front"
            raise BadInput(f"{pick!r} is the unmitigated model: there is nothing to bundle", place=str(file), fix=fix)
        document = read_mapping(directory / "spec.yaml", "spec")
        spec = _spec(document, found["settings"], directory / "spec.yaml")
        task = spec.tasks[0].name
        return Point(
            directory=directory,
            kind=search["kind"],
            sweep=document["name"],
            id=found["id"],
            pick=pick,
            trial=found["trial"],
            settings=found["settings"],
            thresholds={gate: float(value) for gate, value in (found["thresholds"] or {}).items()},
            spec=spec,
            test=_estimates(search, found, task),
        )


def _spec(sweep: Mapping[str, Any], settings: Mapping[str, Any], file: Path) -> FairNetSpec | RunSpec:
    document = copy.deepcopy(sweep["run"])
    for key, value in settings.items():
        *parents, last = key.split(".")
        node = document
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    try:
        return (FairNetSpec if sweep["kind"] == "fairnet" else RunSpec).model_validate(document)
    except ValidationError as error:
        raise as_bad_input(error, str(file), "sweep's run") from error


def _estimates(search: Mapping[str, Any], point: Mapping[str, Any], task: str) -> tuple[Estimate, ...]:
    """The point's figures on test rows; their limits hold for all points of the front at once."""
    directions: dict[str, Direction] = {each["metric"]: each["direction"] for each in search["objectives"]}
    directions |= {name: metric.direction for name, metric in METRICS.items() if name in point["test"]}
    return tuple(
        Estimate(
            task=task,
            stage=search["kind"],
            model=point["id"],
            metric=metric,
            attribute=search["attribute"] if _compares(metric) else None,
            group=None,
            value=said["value"],
            low=said["low"],
            high=said["high"],
            confidence=search["confidence"],
            n=search["rows"]["test"],
            status="not_estimable" if said["value"] is None else "estimated",
            direction=directions.get(metric, "none"),
        )
        for metric, said in point["test"].items()
    )


def _compares(metric: str) -> bool:
    """Whether a metric compares the groups of an attribute."""
    return metric in METRICS and METRICS[metric].scope == "attribute"
