"""What the YAML of a run may say, as pydantic models: tasks, stages, models, and how each is trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from equiray.errors import BadInput
from equiray.specs.documents import Distinct, Document, as_bad_input, read_mapping

Stage = Literal["baseline", "cda", "unlearning", "cda_unlearning"]
ModelType = Literal["raw", "embedding", "prompt", "lora"]
TemplateSetName = Literal["poor_or_rich", "equiray", "equiray_es", "equiray_fr", "equiray_zh"]


class TaskSpec(Document):
    """One table and what is asked of it: a built-in task by name, or the user's own table with a schema file."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$", description="names the task's files, too")
    path: str | None = Field(default=None, description="the user's own CSV or Parquet; with `table_schema`")
    table_schema: str | None = Field(default=None, description="YAML file that describes the columns of `path`")
    attributes: tuple[str, ...] = Field(default=(), description="sensitive attributes to report; empty = all declared")
    flip: tuple[str, ...] = Field(
        default=(), description="attributes flipped together by CDA; empty = the first declared flip"
    )
    rows: int | None = Field(default=None, ge=50, description="stratified subsample of that many rows")

    @model_validator(mode="after")
    def _own_table_needs_both(self) -> "TaskSpec":
        if (self.path is None) != (self.table_schema is None):
            raise ValueError("`path` and `table_schema` go together")
        return self


class SerializationSpec(Document):
    """How a row becomes text (methods: section 1.1)."""

    template: Literal["text", "list", "json"] = "text"
    max_tokens: int = Field(default=256, ge=16)


class LanguageModelSpec(Document):
    """The language model: where it comes from and how it is run.

    `source` is ``embedded``, a hub id, a directory, a ``.gguf`` file, or the base URL of an OpenAI-compatible
    endpoint (then `name` is the model's name there and only prompt stages can run).
    """

    source: str = "embedded"
    name: str | None = None
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    pooling: Literal["mean", "last"] = "mean"
    prompt_logprobs: bool = Field(
        default=True, description="endpoint only: read answer probabilities, else parse its text"
    )

    @model_validator(mode="after")
    def _endpoint_needs_a_name(self) -> "LanguageModelSpec":
        if self.is_endpoint and not self.name:
            raise ValueError("`language_model.name` is missing: an endpoint needs the model's name there")
        return self

    @property
    def is_endpoint(self) -> bool:
        """Whether the model is a black box behind an OpenAI-compatible HTTP endpoint."""
        return self.source.startswith(("http://", "https://"))


class LoraSpec(Document):
    rank: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)


class UnlearningSpec(Document):
    """The four-term loss of arXiv 2509.16462 and its budget (methods: section 1.2)."""

    templates: TemplateSetName = "equiray"
    attributes: Distinct[str] = ("gender",)
    reference: Literal["truthfulqa", "targeted"] = "truthfulqa"
    lambda_unlearn: float = Field(default=0.05, ge=0)
    lambda_learn: float = Field(default=0.1, ge=0)
    lambda_gap: float = Field(default=2.0, ge=0)
    lambda_kl: float = Field(default=1.0, ge=0)
    ascent_bound: float = Field(
        default=8.0, gt=0, description="nats: ascent stops where the stereotype's CE exceeds it"
    )
    gap_form: Literal["absolute", "log_odds"] = Field(
        default="log_odds", description="the gap term: log odds, or the metric itself"
    )
    learning_rate: float = Field(default=1e-3, gt=0)
    warmup_steps: int = Field(default=10, ge=0, description="the rate rises over them, then falls as a cosine to 0")
    steps: int = Field(default=180, ge=1)
    time_budget_s: float | None = Field(
        default=None, gt=0, description="stop training after that long; labelled `short run`"
    )
    batch_prompts: int = Field(default=16, ge=1, description="prompts a step, each with all its answers")
    batch_references: int = Field(default=4, ge=1)
    kl_texts: int = Field(default=128, ge=1, description="reference texts the KL term draws from")
    log_every: int = Field(default=30, ge=1, description="steps between measurements, which are also checkpoints")
    validation_prompts: int = Field(default=64, ge=2, description="prompts a measurement, at most; twins together")
    validation_texts: int = Field(default=40, ge=1, description="held-out texts of the watched perplexity, at most")
    keep: Literal["best", "last"] = Field(
        default="best",
        description="which checkpoint: the smallest validation gap that keeps perplexity within 2 %, or, to see what a "
        "setting comes to, the last",
    )
    adapt: Literal["lora", "full"] = "lora"
    lora: LoraSpec = LoraSpec()
    dtype: Literal["bfloat16", "float32"] = "float32"
    gradient_checkpointing: bool = False
    folds: int = Field(default=1, ge=1, le=10, description="1: families split 30/8/12; k: k-fold over families, too")


class LoraClassifierSpec(Document):
    """A language model fine-tuned to answer a task's question (the model type ``lora``; methods: section 1.1).

    Adapters sit on every linear layer. Every stage makes equally many updates: CDA changes what is trained on, not for
    how long.
    """

    lora: LoraSpec = LoraSpec()
    learning_rate: float = Field(default=5e-4, gt=0)
    warmup_steps: int = Field(default=10, ge=0, description="the rate rises over them, then falls as a cosine to 0")
    epochs: float = Field(default=2.0, gt=0, description="passes over the training rows, counted without twins")
    steps: int | None = Field(default=None, ge=1, description="updates; in place of `epochs`")
    time_budget_s: float | None = Field(
        default=None, gt=0, description="stop each training after that long; labelled `short run`"
    )
    batch_rows: int = Field(default=16, ge=1, description="rows a step")
    batch_tokens: int = Field(
        default=2048, ge=64, description="tokens of a forward and backward pass, which memory grows with"
    )
    train_rows: int | None = Field(default=None, ge=2, description="people to train on, at most; twins come along")
    answered_in: Literal["words", "letters"] = Field(
        default="words",
        description="words: the two answers themselves; letters: A or B in both orders, as zero-shot prompting asks, "
        "which a small model hardly learns",
    )
    class_weights: Literal["none", "balanced"] = Field(default="none", description="balanced: n / (2 n_class)")
    validate_every: int = Field(default=20, ge=1, description="steps between measurements, which are also checkpoints")
    validation_rows: int = Field(default=300, ge=2, description="validation rows of a measurement, at most")
    dtype: Literal["bfloat16", "float32"] = Field(
        default="bfloat16", description="of the frozen weights, in training and in use; adapters are float32"
    )
    gradient_checkpointing: bool = False


class IntrinsicSpec(Document):
    """Intrinsic bias of the language model, before and after unlearning (methods: section 1.3)."""

    templates: Distinct[TemplateSetName] = ("equiray",)
    attributes: Distinct[str] = ("gender",)
    families: int | None = Field(
        default=None, ge=2, description="evaluate on that many held-out families; none = all held out"
    )
    variants_per_family: int | None = Field(default=None, ge=1)
    dtype: Literal["bfloat16", "float32"] = Field(
        default="float32", description="rounding to bf16 moves a filler's log-odds by more than a small gap"
    )


class StreamingSpec(Document):
    """Where rows are embedded: in this process, or on Ray Data actors."""

    mode: Literal["auto", "local", "ray"] = "auto"
    actors: int = Field(default=1, ge=1)
    cpus_per_actor: float = Field(default=1, ge=0)
    gpus_per_actor: float = Field(default=0, ge=0)
    rows_per_block: int = Field(default=256, ge=1)


class StatisticsSpec(Document):
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    replicates: int = Field(default=2000, ge=100)


class RunSpec(Document):
    """One YAML = one run."""

    schema_: Literal["equiray.run/1"] = Field(alias="schema")
    name: str
    seed: int = 0
    tasks: tuple[TaskSpec, ...] = Field(min_length=1)
    stages: Distinct[Stage] = ("baseline", "cda", "unlearning", "cda_unlearning")
    models: Distinct[ModelType] = ("raw", "embedding")
    language_model: LanguageModelSpec = LanguageModelSpec()
    serialization: SerializationSpec = SerializationSpec()
    unlearning: UnlearningSpec = UnlearningSpec()
    fine_tuning: LoraClassifierSpec = LoraClassifierSpec()
    intrinsic: IntrinsicSpec | None = IntrinsicSpec()
    streaming: StreamingSpec = StreamingSpec()
    statistics: StatisticsSpec = StatisticsSpec()

    @model_validator(mode="after")
    def _folds_hold_out_every_family(self) -> "RunSpec":
        if self.unlearning.folds > 1 and self.intrinsic is not None and self.intrinsic.families is not None:
            raise ValueError(
                "`intrinsic.families` would be ignored: with `unlearning.folds` above 1 every family is held out once; "
                "remove one of the two"
            )
        return self


def load_run_spec(path: Path, overrides: tuple[str, ...] = ()) -> RunSpec:
    """Read and check a run's YAML, with ``key.path=value`` overrides applied first.

    Raises
    ------
    BadInput
        The file is absent or no YAML, a key is unknown, a value is out of range; names key and file.
    """
    document = read_mapping(path, "spec")
    apply_overrides(document, overrides)
    try:
        return RunSpec.model_validate(document)
    except ValidationError as error:
        place = " ".join([str(path), *(f"--set {override}" for override in overrides)])
        raise as_bad_input(error, place, "spec") from error


def apply_overrides(document: dict[str, Any], overrides: Sequence[str]) -> None:
    """Write ``key.path=value`` overrides into a document; raises BadInput where one cannot be."""
    for override in overrides:
        _apply_override(document, override)


def _apply_override(document: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise BadInput(f"override {override!r} is not key=value", place="--set", fix="write --set unlearning.steps=40")
    *parents, last = key.split(".")
    node: Any = document
    try:
        for part in parents:
            node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
        node[int(last) if isinstance(node, list) else last] = yaml.safe_load(value)
    except (AttributeError, TypeError) as error:  # on the way stands a plain value, which has no keys
        raise BadInput(f"{key} goes through a plain value", place=f"--set {override}", fix="name a key") from error
    except (IndexError, ValueError) as error:
        raise BadInput(
            f"{key} names an entry that the list does not have",
            place=f"--set {override}",
            fix="count entries from 0: --set tasks.0.rows=500",
        ) from error
    except yaml.YAMLError as error:
        raise BadInput(f"{value!r} is no YAML value", place=f"--set {override}", fix="quote it") from error
