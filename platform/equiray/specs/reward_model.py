"""The YAML of a reward model (arXiv 2507.11344), as pydantic models."""

from typing import Literal

from pydantic import Field, model_validator

from equiray.specs.documents import Document
from equiray.specs.run import LoraSpec

Reading = Literal["isolated", "in_context", "outcome"]
"""``isolated``: the first step with its question, later ones alone (the paper); ``in_context``: each step after all
before it; ``outcome``: whole chains."""

CalibrationMethod = Literal["temperature", "platt"]
"""``temperature``: one slope; ``platt``: slope and intercept, which a class-balanced loss moves away from 0."""


class RewardModelSpec(Document):
    """A language model or an encoder with one logit a step, and the budget of its training (methods: section 3.1).

    `source` is ``embedded`` (SmolLM2), ``minilm``, a directory or a hub id. What is trained besides the logit's layer:
    low-rank adapters on every linear layer (`lora`, of language models), or the upper `last_layers`; neither leaves
    the model frozen.
    """

    source: str = "embedded"
    kind: Literal["lm", "encoder"] = "lm"
    reading: Reading = "isolated"
    lora: LoraSpec | None = None
    last_layers: int = Field(default=0, ge=0)
    learning_rate: float = Field(default=2e-5, gt=0)
    warmup_steps: int = Field(default=10, ge=0, description="the rate rises over them, then falls as a cosine to 0")
    epochs: float = Field(default=2.0, gt=0, description="passes over the labelled steps")
    steps: int | None = Field(default=None, ge=1, description="updates; in place of `epochs`")
    time_budget_s: float | None = Field(default=None, gt=0, description="stop after that long; labelled `short run`")
    batch_steps: int = Field(default=128, ge=1, description="labelled steps of an update")
    batch_tokens: int = Field(default=2048, ge=64, description="tokens of a forward pass, which memory grows with")
    validate_every: int = Field(default=50, ge=1, description="updates between measurements, which are checkpoints")
    dtype: Literal["bfloat16", "float32"] = Field(default="float32", description="of frozen weights")
    calibration: CalibrationMethod = "temperature"

    @model_validator(mode="after")
    def _one_way(self) -> "RewardModelSpec":
        if self.lora is not None and self.last_layers:
            raise ValueError("lora and last_layers are two ways to train: name one")
        if self.kind == "encoder" and self.lora is not None:
            raise ValueError("an encoder's upper layers are trained: name last_layers in place of lora")
        if self.kind == "encoder" and self.reading == "in_context":
            raise ValueError("an encoder sees later steps, too: in_context needs a language model")
        if self.kind == "lm" and self.last_layers and self.dtype == "bfloat16":
            raise ValueError("bfloat16 rounds most updates of whole layers away: name dtype float32, or lora")
        return self
