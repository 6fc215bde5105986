"""What is served and how: ``args`` of the application in serve/config.yaml (docs/contracts/serve.yaml)."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from equiray.specs.documents import Document, Number, as_bad_input


class RequestLimitsSpec(Document):
    """What one request may ask for, whoever sends it; a key's own limits are `equiray keys create`'s."""

    body_mib: float = Field(default=8, gt=0, le=256)
    rows: int = Field(default=5_000, ge=1)
    tokens: int = Field(default=65_536, ge=1)
    timeout_s: float = Field(default=60, gt=0, description="until a request is given up with 503")


class ReplicasSpec(Document):
    """How many processes a part runs in, grown and shrunk with its load, and what each takes of the cluster."""

    least: int = Field(default=1, ge=1)
    most: int = Field(default=1, ge=1)
    cpus: float = Field(default=1, ge=0)
    gpus: float = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _is_a_range(self) -> "ReplicasSpec":
        if self.most < self.least:
            raise ValueError(f"`most` ({self.most}) is below `least` ({self.least})")
        return self


class BatchingSpec(Document):
    """Requests that come together are decided together."""

    rows: int = Field(default=256, ge=1, description="of one batch, beyond which no further request joins")
    wait_ms: float = Field(default=2, ge=0, description="how long a request waits for others")
    deterministic: bool = Field(
        default=False, description="every row is decided alone: equal bits whatever it comes with, at its cost"
    )


class AuditSpec(Document):
    """The log of every answer, the keys and the quotas."""

    store: str = Field(description="sqlite:////absolute/path.db, or postgresql://user@host/database")
    secrets: str = Field(description="folder of the keys that the database must not hold; made at the first start")
    checkpoints: str | None = Field(default=None, description="folder of signed checkpoints, on another disk")
    rows: Literal["hashed", "plain"] = Field(default="hashed", description="whether rows and prompts are kept")


class OnFailSpec(Document):
    """What follows when a live bound has failed; every alarm is logged and sent."""

    do: Literal["log", "fall_back", "refuse"] = "log"
    webhook: str | None = Field(default=None, description="http(s) address that alarms are posted to")


class ChatSpec(Document):
    """Answers in words, by the weighted vote of several chains."""

    bundle: str = Field(min_length=1, description="made of a run of chains")
    base: str | None = None
    round_chains: int = Field(default=4, ge=1, description="drawn at a time")
    risk: float = Field(default=0.0, ge=0, lt=1, description="that stopping early changes the answer; 0: it cannot")
    latency_budget_s: float | None = Field(default=None, gt=0, description="no round is begun that would end later")
    most_tokens: int = Field(default=1024, ge=1, description="of a chain, that a caller may ask for")
    replicas: ReplicasSpec = ReplicasSpec()


class LiveChatSpec(Document):
    """The `user_config` of the deployment Chat."""

    tau: float | None = Field(default=None, ge=0, description="temperature of the vote; null: the bundle's")


class LiveSpec(Document):
    """Settings that are changed without a restart: the `user_config` of the deployment Decider."""

    threshold: Number | None = Field(default=None, description="of decisions; null: the bundle's")
    gates: Mapping[str, Number] = Field(default={}, description="thresholds of gates that are not to be the bundle's")


class ServeSpec(Document):
    """``equiray.serve/1``."""

    schema_: Literal["equiray.serve/1"] = Field(alias="schema")
    bundle: str | None = Field(default=None, min_length=1, description="decides; a directory of `equiray bundle`")
    base: str | None = Field(default=None, description="where its base model lies here; null: as its manifest says")
    chat: ChatSpec | None = None
    shadow: str | None = Field(default=None, description="a second bundle, asked the same and never heard")
    fallback: str | None = Field(default=None, description="an earlier bundle, for a policy that fails")
    audit: AuditSpec
    policy: str | None = Field(default=None, description="a policy's file or name that live decisions are held to")
    outcomes_for: Literal["accepted", "every"] = Field(
        default="accepted", description="whose outcomes come to be known: of positive decisions alone, or of all"
    )
    on_fail: OnFailSpec = OnFailSpec()
    limits: RequestLimitsSpec = RequestLimitsSpec()
    batching: BatchingSpec = BatchingSpec()
    gateway: ReplicasSpec = ReplicasSpec()
    decider: ReplicasSpec = ReplicasSpec()

    @model_validator(mode="after")
    def _serves_something(self) -> "ServeSpec":
        if self.bundle is None and self.chat is None:
            raise ValueError("there is nothing to serve: name a `bundle`, or a `chat` with one")
        if self.bundle is None and (self.shadow or self.fallback):
            raise ValueError("`shadow` and `fallback` stand beside a `bundle`")
        if (self.on_fail.do == "fall_back") != (self.fallback is not None):
            raise ValueError("`on_fail: {do: fall_back}` and `fallback` need each other")
        return self

    @property
    def cpus(self) -> float:
        """Of all replicas at their most."""
        deciders = sum(path is not None for path in (self.bundle, self.shadow, self.fallback))
        chat = 0.0 if self.chat is None else self.chat.replicas.most * self.chat.replicas.cpus
        return self.gateway.most * self.gateway.cpus + deciders * self.decider.most * self.decider.cpus + chat


def serve_spec(args: Mapping[str, Any], *, place: str = "args") -> ServeSpec:
    """Read the arguments of the application.

    Raises
    ------
    BadInput
        Unknown or wrong keys, each named.
    """
    try:
        return ServeSpec.model_validate(dict(args))
    except ValidationError as error:
        raise as_bad_input(error, place, "serving spec") from error
