"""``manifest.json``: what a bundle holds, where each part came from, and the sha256 of every file.

Notable: the base model is named and never copied: its source says where to look, its identity what must be found
there. The manifest carries no signature: who can rewrite a file can rewrite it, too, so keep its own sha256 elsewhere.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, model_validator

from equiray.metrics.estimates import Estimate
from equiray.specs.chains import Aggregate
from equiray.specs.documents import Document, Number

SCHEMA = "equiray.bundle/1"
MANIFEST, SERIALIZER = "manifest.json", "serializer.json"
FAIRNET, UNLEARNING, CLASSIFIER, REWARD = "fairnet", "unlearning", "classifier", "reward"
SUFFIXES = (".json", ".safetensors", ".txt", ".yaml")
"""What may stand in a bundle: none of these formats can run code when it is read."""

Threshold = Annotated[
    Number, PlainSerializer(lambda value: value if math.isfinite(value) else str(value), when_used="json")
]
"""JSON has no infinity, such as the threshold of a gate that stays shut: it is written ``"inf"``."""


class BackbonePart(Document):
    """A transformer that is run layer by layer, as `equiray.models.backbones.load_backbone` finds it."""

    kind: Literal["backbone"]
    source: str = Field(description="as in a spec: `minilm`, `embedded`, a directory, a hub id")
    name: str
    identity: str = Field(description="names the weights exactly; others are refused")
    pooling: Literal["cls", "mean", "last"]
    dtype: Literal["bfloat16", "float32"]
    max_tokens: int = Field(ge=1, description="a text's further tokens are not read")


class LanguageModelPart(Document):
    """A causal language model, as `equiray.models.loading.load_causal_lm` finds it."""

    kind: Literal["language_model"]
    source: str
    name: str
    identity: str
    pooling: Literal["mean", "last"]
    dtype: Literal["bfloat16", "float32"]


class SerializerPart(Document):
    """What turns a row into the text that the model reads."""

    file: str


class FairNetPart(Document):
    """Detectors and adapters, as `equiray.mitigation.fairnet.save_fairnet` writes them."""

    folder: str
    thresholds: dict[str, Threshold] = Field(min_length=1, description="of each gate; it opens where risk > threshold")
    shared_layers: int | None = Field(
        default=None,
        ge=0,
        description="lower layers that are run over all rows of a call at once; default: all that nobody changes or "
        "reads. What a model puts out is the same with any number but for its last bits",
    )


class FolderPart(Document):
    """An unlearning adapter, or a logistic regression on embeddings."""

    folder: str


class DecisionPart(Document):
    """Positive where probability > threshold, both rounded to float32, in which thresholds are chosen."""

    threshold: Threshold = 0.5


class RewardBase(Document):
    """What a reward model was trained on; whether it is a language model or an encoder stands in ``reward.json``."""

    source: str
    name: str
    identity: str


class ChainSampling(Document):
    """How the chains were drawn that a temperature was chosen for."""

    temperature: float = Field(ge=0)
    top_p: float = Field(gt=0, le=1)
    max_tokens: int = Field(ge=1, description="of a chain")
    stop: tuple[str, ...] = ()


class RewardPart(Document):
    """A reward model (`equiray.mitigation.reward.save_reward_model`), and how its scores weigh chains."""

    folder: str
    base: RewardBase
    sampling: ChainSampling
    chains: int = Field(ge=1, description="an answer, at most")
    tau: Threshold = Field(ge=0, description="temperature of the weights; inf: the majority vote")
    aggregator: Aggregate = Field(default="low", description="a chain's score; low: no step that is added raises it")
    separator: str = Field(min_length=1, description="between the steps of a chain")
    baselines: tuple[str, ...] = Field(default=(), description="stages of `provenance.test` it was compared with")


class Parts(Document):
    """The combined model; every part may be left out, but what needs another part needs that one."""

    base: Annotated[BackbonePart | LanguageModelPart, Field(discriminator="kind")] | None = None
    serializer: SerializerPart | None = None
    fairnet: FairNetPart | None = None
    unlearning: FolderPart | None = None
    classifier: FolderPart | None = None
    decision: DecisionPart | None = None
    reward: RewardPart | None = None

    @model_validator(mode="after")
    def _belong_together(self) -> "Parts":
        if all(part is None for _, part in self):
            raise ValueError("a bundle has at least one part")
        kind = None if self.base is None else self.base.kind
        if self.fairnet is not None and kind != "backbone":
            raise ValueError("`fairnet` needs a `base` of kind backbone")
        if (self.unlearning is not None or self.classifier is not None) and kind != "language_model":
            raise ValueError("`unlearning` and `classifier` need a `base` of kind language_model")
        if self.reward is not None and kind != "language_model":
            raise ValueError("`reward` needs a `base` of kind language_model, which writes the chains")
        if self.fairnet is None and self.classifier is None and self.decision is not None:
            raise ValueError("`decision` needs something that decides: `fairnet` or `classifier`")
        return self

    @property
    def named(self) -> dict[str, str]:
        """The files and folders that parts name, by part."""
        found: dict[str, str] = {} if self.serializer is None else {"serializer": self.serializer.file}
        folders = {
            "fairnet": self.fairnet,
            "unlearning": self.unlearning,
            "classifier": self.classifier,
            "reward": self.reward,
        }
        return found | {name: part.folder for name, part in folders.items() if part is not None}


class DataSource(Document):
    """The rows that a point was trained, chosen and tested on."""

    task: str
    source_sha256: str = Field(description="of the bytes that they were read from")
    rows: dict[str, int] = Field(description="split -> how many were used")


class GateEvidence(Document):
    """Whom a gate is to open for, and what its adapter would change if it were always on, by validation rows.

    The two changes are the d_min and d_maj of FairNet's no-harm condition (`equiray.mitigation.gating.no_harm`).
    """

    gate: str = Field(description="named after its attribute")
    vulnerable: str = Field(description="group of that attribute")
    d_min: float | None = Field(default=None, description="of the group's accuracy, with it always on; None: not known")
    d_maj: float | None = Field(default=None, description="of the others' accuracy, without it less with it always on")


class OutputHashes(Document):
    """What the model put out for every test row, as sha256 of little-endian arrays in the order of the rows."""

    rows: int
    probability_sha256: str = Field(description="of float64 [rows]")
    decision_sha256: str = Field(description="of uint8 [rows], 1 where positive")


class Provenance(Document):
    """Where a bundle came from; nothing of it is needed to decide."""

    origin: Literal["run", "sweep"]
    name: str = Field(description="of the run or sweep")
    point: str = Field(description="of a sweep its id, of a run the training")
    pick: str = Field(description="the rule by which it was picked, or its name; by validation figures")
    settings: dict[str, Any] = Field(default={}, description="key of the spec -> value, where the search changed it")
    spec_sha256: str = Field(description="content hash of `spec`")
    spec: dict[str, Any] = Field(description="the spec of this training, settings filled in")
    data: tuple[DataSource, ...] = ()
    test: tuple[Estimate, ...] = Field(default=(), description="as in results.json")
    test_outputs: OutputHashes | None = None
    gates: tuple[GateEvidence, ...] = Field(default=(), description="those that are for a group")
    versions: dict[str, str] = Field(default={}, description="of what made the bundle")


class FileRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class Manifest(Document):
    """``manifest.json`` (docs/contracts/bundle_manifest.json)."""

    schema_: Literal["equiray.bundle/1"] = Field(alias="schema")
    name: str = Field(min_length=1)
    created_by: str = Field(description="equiray and its version")
    parts: Parts
    files: dict[str, FileRecord] = Field(description="every file but the manifest, by its path in the bundle")
    provenance: Provenance
