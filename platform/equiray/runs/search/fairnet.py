"""Trials that correct one base by FairNet: states of the frozen layers, base and what it says are made once.

Notable: the states come to every process through Ray's object store and are read where they lie, so ten workers of a
node hold them once; a trial trains a detector and an adapter, and all thresholds are swept from its outputs.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from equiray.mitigation.fairnet import (
    Classifier,
    FairNet,
    Layers,
    LowerStates,
    Readings,
    TrainingRows,
    correct,
    load_fairnet,
    read_base,
    save_fairnet,
    subset_probabilities,
)
from equiray.mitigation.gating.outcomes import GatedOutcomes
from equiray.models.backbones import load_backbone
from equiray.runs.search.gated import People, figures_of_sweep
from equiray.runs.search.judged import judged
from equiray.runs.search.points import Arrays
from equiray.search.storage import Storage
from equiray.search.study import Outcome, Trial
from equiray.specs.fairnet import FairNetSpec
from equiray.specs.sweep import SweepSpec

FOLDER = "fairnet"


@dataclass(frozen=True, kw_only=True)
class StateArrays:
    """`LowerStates` as arrays, which the object store shares without a copy; `bits` are those of the floats."""

    bits: NDArray[np.int16] | NDArray[np.int32]
    offsets: NDArray[np.int64]
    layer: int
    identity: str

    @classmethod
    def of(cls, states: LowerStates) -> "StateArrays":
        """Of states in bfloat16 or float32."""
        same = torch.int16 if states.tokens.dtype == torch.bfloat16 else torch.int32
        return cls(
            bits=states.tokens.view(same).numpy(), offsets=states.offsets, layer=states.layer, identity=states.identity
        )

    def states(self) -> LowerStates:
        """The same, where they lie."""
        whole = torch.frombuffer(self.bits, dtype=torch.bfloat16 if self.bits.dtype == np.int16 else torch.float32)
        return LowerStates(
            tokens=whole.view(self.bits.shape), offsets=self.offsets, layer=self.layer, identity=self.identity
        )


@dataclass(frozen=True, kw_only=True)
class FairNetStudy:
    """Everything that a worker needs; states, rows and people by split.

    Attributes
    ----------
    spec : SweepSpec
    people : mapping from split to People
    states : StateArrays
        Of every row of the task.
    rows : mapping from split to int64 [n]
        Places in the states.
    vulnerable, grouped : mapping from gate to bool [n]
        Of the training rows.
    groups : mapping from gate to str
        Each gate's vulnerable group, noted with what is trained.
    base : mapping from name to array
        What the base was trained to.
    steering : str
        The attribute whose cells are compared.
    base_figures : mapping of metric to float
        Of the base on validation rows.
    storage : Storage
    """

    spec: SweepSpec
    people: Mapping[str, People]
    states: StateArrays
    rows: Mapping[str, NDArray[np.int64]]
    vulnerable: Mapping[str, NDArray[np.bool_]]
    grouped: Mapping[str, NDArray[np.bool_]]
    groups: Mapping[str, str]
    base: Mapping[str, NDArray[np.float32]]
    steering: str
    base_figures: Mapping[str, float]
    storage: Storage

    @property
    def shared_bytes(self) -> int:
        """Of the states and of the base."""
        return self.states.bits.nbytes + sum(values.nbytes for values in self.base.values())

    def worker(self) -> "FairNetWorker":
        """Loads the backbone, and reads the training rows with the base."""
        self.storage.check()
        return FairNetWorker(self)


class FairNetWorker:
    """One process with the base; what it says of the training rows is read once for each layer that detectors read."""

    def __init__(self, study: FairNetStudy) -> None:
        self.study = study
        spec = self._settings({})
        self.backbone = load_backbone(spec.backbone)
        self.states = study.states.states()
        self.classifier = self._base(spec)
        self._readings: dict[int, Readings] = {}
        self._shut: dict[str, NDArray[np.float32]] = {}
        labels = study.people["train"].label.astype(np.int64)
        self.training = TrainingRows(
            lower=self.states.take(study.rows["train"]),
            labels=labels,
            vulnerable=study.vulnerable,
            grouped=study.grouped,
        )
        self.readings(Layers.of(spec, self.backbone.depth))

    def run(self, trial: Trial) -> Iterator[Outcome]:
        """Train detectors and adapters, and sweep every threshold on validation rows."""
        spec, study = self._settings(trial.settings), self.study
        with study.storage.folder(f"trials/trial{trial.number}") as folder:
            file = folder / "outcome.json"
            if file.is_file():
                yield Outcome.of_json(json.loads(file.read_text(encoding="utf-8")))
                return
            layers = Layers.of(spec, self.backbone.depth)
            made = correct(self.classifier, self.training, spec, spec.seeds[0], self.readings(layers)).fairnet
            save_fairnet(folder / FOLDER, made, {"spec_sha256": spec.sha256(), "vulnerable": dict(study.groups)})
            outcomes = outcomes_of(study, "validation", self._said(made, "validation"), layers)
            figures, thresholds = figures_of_sweep(study.spec, outcomes, study.steering)
            found = judged(study.spec, figures, thresholds, study.base_figures)
            file.write_text(json.dumps(found.to_json()), encoding="utf-8")
        yield found

    def read(self, trial: Trial | None, split: str) -> Arrays:
        """Risks and outputs of a trial's model; the base's outputs are those of any model with every gate shut."""
        if trial is None:
            score = self.classifier.predict(self.states.take(self.study.rows[split])).softmax(1)[:, 1]
            return {"score": score.numpy()}
        with self.study.storage.folder(f"trials/trial{trial.number}") as folder:
            return self._said(load_fairnet(folder / FOLDER, self.backbone), split)

    def readings(self, layers: Layers) -> Readings:
        """What the base says of the training rows."""
        if layers.detector not in self._readings:
            spec = self._settings({})
            self._readings[layers.detector] = read_base(self.classifier, self.training, layers, spec.base.batch_rows)
        return self._readings[layers.detector]

    def _said(self, fairnet: FairNet, split: str) -> Arrays:
        """Risks and outputs; those with every gate shut are the base's, the same for all trials."""
        lower = self.states.take(self.study.rows[split])
        if split not in self._shut:
            self._shut[split] = subset_probabilities(fairnet, lower, subsets=(0,)).probability
        found = subset_probabilities(fairnet, lower, subsets=range(1, 1 << len(fairnet.attributes)))
        return {"risk": found.risk, "probability": np.concatenate([self._shut[split], found.probability], axis=1)}

    def _settings(self, settings: Mapping[str, object]) -> FairNetSpec:
        spec = self.study.spec.with_settings(settings)
        assert isinstance(spec, FairNetSpec)
        return spec

    def _base(self, spec: FairNetSpec) -> Classifier:
        layers = Layers.of(spec, self.backbone.depth)
        made = Classifier(self.backbone, frozen_layers=layers.frozen, seed=spec.seeds[0])
        with torch.no_grad():
            for name, parameter in made.trained().items():
                parameter.copy_(torch.from_numpy(np.array(self.study.base[name])))
                parameter.requires_grad_(False)
        return made


def outcomes_of(study: FairNetStudy, split: str, arrays: Arrays, layers: Layers | None = None) -> GatedOutcomes:
    """A trial's risks and outputs with labels and groups of the rows."""
    people, gates = study.people[split], tuple(study.vulnerable)
    above = (0, 0, False) if layers is None else (layers.detector, layers.adapter, layers.reran)
    return GatedOutcomes(
        split=split,
        attributes=gates,
        label=people.label,
        groups=people.groups,
        risk=arrays["risk"],
        probability=arrays["probability"],
        detector_layers=(above[0],) * len(gates),
        adapter_first_layers=(above[1],) * len(gates),
        reran=above[2],
    )
