"""One training of one task: base and FairNet, each part on disk when it is finished.

Notable: what a method decides with is fixed before the test rows are read: checkpoints, thresholds and balanced last
layers come from validation rows, and only figures come from test rows.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiray.data.schema import MISSING_GROUP
from equiray.mitigation.fairnet import (
    Classifier,
    FairNet,
    Layers,
    Lower,
    TrainingRows,
    Validation,
    correct,
    load_fairnet,
    save_fairnet,
    set_thresholds,
    subset_probabilities,
    train_base,
)
from equiray.mitigation.gating.choice import Choice
from equiray.mitigation.gating.outcomes import GatedOutcomes
from equiray.mitigation.gating.store import load_outcomes, save_outcomes
from equiray.models.backbones import Backbone, load_backbone
from equiray.runs.directory import RunDirectory
from equiray.runs.fairnet.choosing import chosen, known_outcomes, known_rows
from equiray.runs.fairnet.lower import TaskStates
from equiray.runs.fairnet.steps import Step
from equiray.runs.fairnet.streamed import streamed
from equiray.runs.fairnet.vulnerable import worst_group
from equiray.runs.fairnet.weights import load_classifier, save_classifier
from equiray.specs.fairnet import FairNetSpec
from equiray.streaming.embed import uses_ray

Scores = NDArray[np.float64]
Rows = NDArray[np.int64]

EVALUATED = ("validation", "test")


class Seed:
    """Trainings of one task that start from one seed; `methods.scores` gives any method's.

    A `condition` is another base (other rows or labels), a `variant` another correction of the same base.
    """

    def __init__(
        self,
        states: TaskStates,
        seed: int,
        vulnerable: Mapping[str, str] | None,
        spec: FairNetSpec,
        directory: RunDirectory,
        *,
        condition: str = "",
        variant: str = "",
    ) -> None:
        self.states, self.planned, self.seed = states, states.planned, seed
        self.spec, self.directory = spec, directory
        self.base_name = ".".join(filter(None, (self.planned.name, f"seed{seed}", condition)))
        self.name = ".".join(filter(None, (self.base_name, variant)))
        self._vulnerable = vulnerable

    @cached_property
    def backbone(self) -> Backbone:
        """The run's; one that is trained from scratch has this seed's own first weights."""
        spec = self.spec.backbone
        return load_backbone(spec, seed=self.seed) if spec.from_scratch else self.states.backbone

    @cached_property
    def vulnerable(self) -> Mapping[str, str]:
        """Each gate's group: as the spec says, else the one with the base's worst validation cell, if any is known."""
        found, file = dict(self._vulnerable or {}), f"training/{self.base_name}.vulnerable.json"
        open_ones = [gate for gate in self._gates if gate not in found]
        if open_ones and (self.directory.path / file).is_file():
            return found | json.loads((self.directory.path / file).read_text(encoding="utf-8"))
        if open_ones:
            score = positive(self.base, self.validation.lower)
            sizes = {split: len(self.planned.rows(split)) for split in ("train", "validation")}
            known = {split: known_rows(split, n, self.spec.detector, self.seed) for split, n in sizes.items()}
            found |= {gate: worst_group(self.planned, gate, score, known) for gate in open_ones}
            self.directory.write_json(file, found)
        return found

    @property
    def _gates(self) -> tuple[str, ...]:
        """Gates of a group each; the regime `unlabelled` has one gate, of no group."""
        return () if self.spec.detector.regime == "unlabelled" else self.planned.gates

    @cached_property
    def base(self) -> Classifier:
        """The ERM base; one that an earlier run finished is read back."""
        file = self.directory.path / "models" / self.base_name / "base.safetensors"
        layers = Layers.of(self.spec, self.backbone.depth)
        made = Classifier(self.backbone, frozen_layers=layers.frozen, seed=self.seed)
        if file.is_file():
            load_classifier(made, file)
            return made
        rows = self.training_rows({})
        with self.step("base", round(self.spec.base.epochs * len(rows.labels))) as progress:
            made, fitted = train_base(
                self.backbone, rows, self.validation, self.spec, self.seed, progress=lambda n: progress.advance(n, 0)
            )
        save_classifier(made, file)
        self._note("base", {"losses": _thinned(fitted.losses), "checks": [list(check) for check in fitted.checks]})
        return made

    @cached_property
    def fairnet(self) -> FairNet:
        """The corrected model."""
        place = self._fairnet_place
        if (place / "fairnet.json").is_file():
            return load_fairnet(place, self.backbone)
        groups = {gate: self.planned.examples.attributes[gate][self.train] for gate in self._gates}
        members = {gate: groups[gate] == self.vulnerable[gate] for gate in self._gates}
        rows = replace(
            self.training_rows(members), grouped={gate: names != MISSING_GROUP for gate, names in groups.items()}
        )
        base = self.base
        with self.directory.step(f"{self.name}: detector and adapter"):
            found = correct(base, rows, self.spec, self.seed)
        hinges = {name: [step.open_hinges for step in log.steps] for name, log in found.adapters.items()}
        self._note(
            "fairnet",
            {
                "detector_losses": {name: _thinned(losses) for name, losses in found.detector_losses.items()},
                "open_hinges": {name: _thinned(each) for name, each in hinges.items()},
                "warnings": list(found.warnings),
                "detector_s": round(found.detector_s, 1),
                "adapter_s": round(found.adapter_s, 1),
            },
        )
        save_fairnet(place, found.fairnet, {"spec_sha256": self.spec.sha256(), "vulnerable": dict(self.vulnerable)})
        return found.fairnet

    @property
    def _fairnet_place(self) -> Path:
        return self.directory.path / "models" / self.name / "fairnet"

    def outcomes(self, split: str) -> GatedOutcomes:
        """Risks, and the output of every subset of open gates, of a split's rows."""
        file = self.directory.path / "outcomes" / f"{self.name}.{split}.parquet"
        if not file.is_file():
            found, part = self._outcomes(split), file.with_stem(f"part-{file.stem}")
            file.parent.mkdir(parents=True, exist_ok=True)
            save_outcomes(found, part)
            part.with_suffix(".json").replace(file.with_suffix(".json"))
            part.replace(file)
        return load_outcomes(file)

    @cached_property
    def choice(self) -> Choice:
        """Thresholds of the gates, chosen on validation rows; the saved model decides by them from then on."""
        found = chosen(self.choosing, self.planned.steering, self.spec)
        set_thresholds(self._fairnet_place, dict(zip(self.choosing.attributes, found.thresholds, strict=True)))
        return found

    @cached_property
    def choosing(self) -> GatedOutcomes:
        """Validation outcomes with the groups that the regime knows."""
        return known_outcomes(self.outcomes("validation"), self.spec.detector, self.seed)

    def _outcomes(self, split: str) -> GatedOutcomes:
        rows, fairnet, stage = self.planned.rows(split), self.fairnet, f"outputs of every gate, {split}"
        if self.planned.table is not None and uses_ray(self.spec.streaming, self.states.address, len(rows)):
            with self.directory.step(f"{self.name}: {stage}"):
                found = streamed(self.states, rows, self._fairnet_place, f"{self.name}.{split}")
        else:
            with self.step(stage, len(rows)) as progress:
                found = subset_probabilities(fairnet, self.states.of(rows), progress=lambda n: progress.advance(n, 0))
        gates = fairnet.attributes
        return GatedOutcomes(
            split=split,
            attributes=gates,
            label=self.planned.examples.label[rows],
            groups=self.planned.grouped(rows),
            risk=found.risk,
            probability=found.probability,
            detector_layers=(fairnet.layers.detector,) * len(gates),
            adapter_first_layers=(fairnet.layers.adapter,) * len(gates),
            reran=fairnet.layers.reran,
        )

    @cached_property
    def train(self) -> Rows:
        return self.planned.rows("train")

    @cached_property
    def validation(self) -> Validation:
        rows = self.planned.rows("validation")
        return Validation(self.states.of(rows), self.planned.labels(rows))

    def training_rows(self, members: Mapping[str, NDArray[np.bool_]]) -> TrainingRows:
        twins = self.states.twin_of_each(self.train) if self.spec.adapter.augmentation else None
        lower = self.states.of(self.train)
        return TrainingRows(lower=lower, labels=self.planned.labels(self.train), vulnerable=members, twins=twins)

    def predicted(self, classifier: Classifier) -> dict[str, Scores]:
        """A classifier's scores of the rows that are evaluated."""
        return {split: positive(classifier, self.states.of(self.planned.rows(split))) for split in EVALUATED}

    def step(self, stage: str, rows: int) -> Step:
        """A step of this training, over so many rows."""
        return Step(self.directory, self.name, stage, rows)

    def _note(self, name: str, document: Mapping[str, Any]) -> None:
        self.directory.write_json(f"training/{self.name}.{name}.json", document)


def positive(classifier: Classifier, lower: Lower) -> Scores:
    """Probability of the positive class, float64 [N]."""
    return classifier.predict(lower).softmax(1)[:, 1].numpy().astype(np.float64)


def _thinned(values: Sequence[float], most: int = 100) -> list[float]:
    """At most so many of a curve's values, evenly."""
    places = np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).astype(int))
    return [round(float(values[place]), 5) for place in places]
