"""A picked point of a finished sweep: its trial, and how it was read on test rows."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from equiray.bundles.manifest import FAIRNET, OutputHashes, Provenance
from equiray.errors import BadInput, reading_back
from equiray.metrics.estimates import Estimate
from equiray.mitigation.fairnet.store import read_stored
from equiray.runs.bundling.fairnet import Trained, gates_of, hashes_of_subsets, versions
from equiray.runs.bundling.picking import pick_point
from equiray.search.storage import Storage
from equiray.specs.fairnet import FairNetSpec
from equiray.specs.goals import Kind
from equiray.specs.run import RunSpec
from equiray.specs.sweep import SweepSpec, load_sweep_spec

SEARCH, SCHEMA = "search.json", "equiray.search/1"


@dataclass(frozen=True, kw_only=True)
class Point:
    """A point of a sweep.

    Attributes
    ----------
    directory : Path
        Of the sweep.
    sweep : SweepSpec
    id, pick : str
        Its own, and what it was picked by.
    trial : int
    settings : mapping
        Key of the spec -> value that the trial had.
    thresholds : mapping of gate to float
    test : tuple of Estimate
        Limits hold for all points that the sweep read on test rows, at once.
    """

    directory: Path
    sweep: SweepSpec
    id: str
    pick: str
    trial: int
    settings: Mapping[str, Any]
    thresholds: Mapping[str, float]
    test: tuple[Estimate, ...]

    @property
    def kind(self) -> Kind:
        return self.sweep.kind

    @property
    def spec(self) -> FairNetSpec | RunSpec:
        """The trial's."""
        return self.sweep.with_settings(self.settings)

    @property
    def said_of_test(self) -> Path:
        """What the trial's model said of test rows, where the sweep kept it."""
        return self.directory / "said" / f"trial{self.trial}.test.safetensors"

    @contextmanager
    def trial_folder(self) -> Iterator[Path]:
        """What the trial left, from wherever the sweep keeps it."""
        storage = Storage(self.sweep.storage or str(self.directory))
        with storage.folder(f"trials/trial{self.trial}") as folder:
            yield folder

    def provenance(self) -> Provenance:
        """Where a bundle of this point comes from."""
        return Provenance(
            origin="sweep",
            name=self.sweep.name,
            point=self.id,
            pick=self.pick,
            settings=dict(self.settings),
            spec_sha256=self.spec.sha256(),
            spec=self.spec.model_dump(mode="json", by_alias=True),
            test=self.test,
            versions=versions(),
        )

    def trained(self, folder: Path) -> Trained:
        """The FairNet in a trial's folder.

        Raises
        ------
        BadInput
            There is none, or one with other gates; or what it put out for test rows is cut short.
        """
        spec = self.spec
        assert isinstance(spec, FairNetSpec)
        stored = read_stored(folder / FAIRNET)
        if stored.thresholds.keys() != self.thresholds.keys():
            known = ", ".join(stored.thresholds)
            problem = f"thresholds of {', '.join(self.thresholds) or 'nothing'}, gates of {known}"
            raise BadInput(problem, place=f"{self.directory / SEARCH}, {self.id}", fix="repeat the sweep")
        thresholds = {gate: self.thresholds[gate] for gate in stored.thresholds}  # in the order of a subset's bits
        return Trained(
            directory=self.directory,
            folder=folder / FAIRNET,
            task=spec.tasks[0],
            spec=spec,
            thresholds=thresholds,
            test_outputs=self._test_outputs(thresholds),
            gates=gates_of(stored),
            shared_layers=self._shared_layers(spec.tasks[0].name),
        )

    def _test_outputs(self, thresholds: Mapping[str, float]) -> OutputHashes | None:
        file = self.said_of_test
        if not file.is_file():
            return None
        with reading_back(file, fix="repeat the sweep's command"):
            arrays = load_file(file)
            return hashes_of_subsets(arrays["risk"], arrays["probability"], thresholds)

    def _shared_layers(self, task: str) -> int | None:
        """The layers that all trials share, which may be fewer than those that this one leaves as they are."""
        found = [file.name.split(".")[-2] for file in (self.directory / "lower").glob(f"{task}.layer*.safetensors")]
        return int(found[0].removeprefix("layer")) if len(found) == 1 else None


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
    sweep = load_sweep_spec(directory / "spec.yaml")
    with reading_back(file, fix="repeat the sweep's command"):
        search = json.loads(file.read_text(encoding="utf-8"))
        if search["schema"] != SCHEMA:
            raise BadInput(f"schema {search['schema']!r} is not {SCHEMA}", place=str(file), fix="repeat the sweep")
        found = pick_point(search, pick, place=str(file))
        if found["trial"] is None:
            fix = "pick a point of the front"
            raise BadInput(f"{pick!r} is the unmitigated model: there is nothing to bundle", place=str(file), fix=fix)
        return Point(
            directory=directory,
            sweep=sweep,
            id=found["id"],
            pick=pick,
            trial=found["trial"],
            settings=found["settings"],
            thresholds={gate: float(value) for gate, value in found["thresholds"].items()},
            test=tuple(Estimate(**each) for each in search["estimates"] if each["model"] == found["id"]),
        )
