"""The YAML of a FairNet run (arXiv 2510.19421), as pydantic models."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from equiray.specs.documents import Distinct, Document, as_bad_input, read_mapping
from equiray.specs.examples import AnyTaskSpec
from equiray.specs.run import StreamingSpec, apply_overrides

DetectorKind = Literal["group", "risk", "both"]
Regime = Literal["full", "partial", "unlabelled"]
Outliers = Literal["lof", "isolation_forest"]
Baseline = Literal["group_dro", "jtt", "dfr", "cda", "thresholds", "gate_and_thresholds"]
Ablation = Literal[
    "no_detector",
    "true_group",
    "no_contrastive",
    "half_labels",
    "tenth_labels",
    "unlabelled",
    "prototypes",
    "hard_negatives",
    "augmentation",
]
Stress = Literal["label_noise", "temporal", "subpopulation"]


class RowsSpec(Document):
    """How many rows of each split are used, at most: every method trains, chooses and is tested on the same ones."""

    train: int = Field(default=10_000, ge=50)
    validation: int = Field(default=10_000, ge=50)
    test: int = Field(default=10_000, ge=50)


class BackboneSpec(Document):
    """The transformer that is corrected: where it comes from, how rows are read, and what of it is trained.

    `source` is ``minilm`` (the asset package), ``embedded`` (SmolLM2), ``tiny_vit`` (reads pictures, trained from
    scratch), a directory or a hub id.
    """

    source: str = "minilm"
    max_tokens: int = Field(default=64, ge=16, description="rows are cut to that many, least important features first")
    frozen_layers: int | None = Field(
        default=None,
        ge=0,
        description="lower layers that nobody trains: run once and cached; default: two thirds, none of `tiny_vit`; "
        "0: the embeddings are trained, too",
    )
    dtype: Literal["bfloat16", "float32"] = "float32"

    @property
    def from_scratch(self) -> bool:
        """Whether its weights are drawn from a run's seed and not read."""
        return self.source == "tiny_vit"

    @model_validator(mode="after")
    def _nothing_random_is_frozen(self) -> "BackboneSpec":
        if self.from_scratch and self.frozen_layers:
            raise ValueError(
                f"`frozen_layers` is {self.frozen_layers}, but {self.source} is trained from scratch and frozen layers "
                "would stay random; leave it out"
            )
        return self


class TrainingSpec(Document):
    """A budget of optimisation, and its step."""

    epochs: float = Field(default=1.0, gt=0, description="passes over the training rows; parts of one are allowed")
    learning_rate: float = Field(default=3e-4, gt=0)
    batch_rows: int = Field(default=64, ge=2)


class DetectorSpec(Document):
    """What flags a row, and what it learns that from (methods: sections 2.1 and 2.4)."""

    layer: int | None = Field(
        default=None, ge=0, description="whose states it reads; default: the last frozen layer, or halfway up"
    )
    kind: DetectorKind = Field(default="both", description="flag a group, rows likely to be decided wrongly, or both")
    regime: Regime = "full"
    label_share: float = Field(default=0.1, gt=0, le=1, description="`partial`: share of rows whose group is known")
    outliers: Outliers = Field(default="lof", description="`unlabelled`: what finds rows unlike the others")
    contamination: float = Field(default=0.1, gt=0, lt=0.5, description="`unlabelled`: share taken for outliers")
    high_loss: float = Field(default=0.2, gt=0, lt=1, description="share of rows with the highest loss, for `risk`")
    training: TrainingSpec = TrainingSpec(epochs=3, learning_rate=1e-4)
    support: float | None = Field(
        default=None, gt=0, lt=0.5, description="guard: gates stay closed beyond this quantile of distances in training"
    )


class AdapterSpec(Document):
    """Gated low-rank adapters and the contrastive loss that trains them (methods: sections 2.2 and 2.3)."""

    rank: int = Field(default=8, ge=1)
    alpha: int = Field(default=16, ge=1)
    first_layer: int | None = Field(
        default=None, ge=0, description="counted from 0; default: the first above the detector; as published: at it"
    )
    training: TrainingSpec = TrainingSpec(epochs=1, learning_rate=1e-4)
    lambda_contrastive: float = Field(default=0.5, ge=0)
    margin: float = Field(default=0.5, gt=0)
    prototypes: int = Field(default=1, ge=1, description="per class and group; more than one by k-means")
    hard_negatives: bool = Field(default=False, description="anchors are drawn more often where the loss is high")
    augmentation: bool = Field(
        default=False,
        description="half of the batches of anchors are counterfactual twins, which keep the label and have the "
        "sensitive attribute flipped: they read as rows of another group",
    )


class ThresholdSpec(Document):
    """How the gates' thresholds are chosen on validation rows."""

    max_accuracy_loss: float = Field(default=0.001, ge=0, description="share of validation rows that it may cost")
    max_open: float = Field(default=1.0, gt=0, le=1, description="activation budget: share of rows with an open gate")


class FairNetSpec(Document):
    """One YAML = one run."""

    schema_: Literal["equiray.fairnet/1"] = Field(alias="schema")
    name: str
    seeds: Distinct[int] = (0,)
    tasks: tuple[AnyTaskSpec, ...] = Field(min_length=1)
    rows: RowsSpec = RowsSpec()
    vulnerable: dict[str, str] = Field(
        default={}, description="attribute -> its vulnerable group; default: the worst on validation"
    )
    skew: float | None = Field(
        default=None, gt=0, lt=1, description="keep that share of the vulnerable group's positives in training only"
    )
    backbone: BackboneSpec = BackboneSpec()
    base: TrainingSpec = TrainingSpec()
    detector: DetectorSpec = DetectorSpec()
    adapter: AdapterSpec = AdapterSpec()
    threshold: ThresholdSpec = ThresholdSpec()
    baselines: tuple[Baseline, ...] = ("group_dro", "jtt", "dfr", "cda", "thresholds", "gate_and_thresholds")
    ablations: tuple[Ablation, ...] = Field(default=(), description="of the first task")
    stress: tuple[Stress, ...] = Field(default=(), description="conditions that FairNet was not made for, first seed")
    streaming: StreamingSpec = Field(
        default=StreamingSpec(), description="where validation and test rows go through FairNet; training is here"
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1)

    @property
    def needs_twins(self) -> bool:
        """Whether something of the run is trained on counterfactual twins."""
        return "cda" in self.baselines or self.adapter.augmentation or "augmentation" in self.ablations

    @model_validator(mode="after")
    def _true_groups_have_gates(self) -> "FairNetSpec":
        if "true_group" in self.ablations and self.detector.regime == "unlabelled":
            raise ValueError("`ablations: true_group` needs gates of groups, and the regime `unlabelled` has none")
        return self

    @model_validator(mode="after")
    def _groups_that_are_named_have_gates(self) -> "FairNetSpec":
        if self.vulnerable and self.detector.regime == "unlabelled":
            raise ValueError("`vulnerable` names a group, and the regime `unlabelled` knows none: remove it")
        return self

    @model_validator(mode="after")
    def _adapters_lie_above_the_detector(self) -> "FairNetSpec":
        layer, first = self.detector.layer, self.adapter.first_layer
        if layer is not None and first is not None and first < layer - 1:
            raise ValueError(f"`adapter.first_layer` {first} lies below the layer that the detector reads ({layer})")
        return self


def load_fairnet_spec(path: Path, overrides: tuple[str, ...] = ()) -> FairNetSpec:
    """Read and check a FairNet run's YAML, with ``key.path=value`` overrides applied first.

    Raises
    ------
    BadInput
        The file is absent or no YAML, a key is unknown, a value is out of range; names key and file.
    """
    document = read_mapping(path, "spec")
    apply_overrides(document, overrides)
    try:
        return FairNetSpec.model_validate(document)
    except ValidationError as error:
        place = " ".join([str(path), *(f"--set {override}" for override in overrides)])
        raise as_bad_input(error, place, "spec") from error
