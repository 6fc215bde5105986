"""What is served and how: ``args`` of the application in serve/config.yaml (docs/contracts/serve.yaml)."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from equiray.specs.documents import Document, as_bad_input


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


class LiveSpec(Document):
    """Settings that are changed without a restart: the `user_config` of the deployment Decider."""

    threshold: float | None = Field(default=None, description="of decisions; null: the bundle's")
    gates: Mapping[str, float] = Field(default={}, description="thresholds of gates that are not to be the bundle's")


class ServeSpec(Document):
    """``equiray.serve/1``."""

    schema_: Literal["equiray.serve/1"] = Field(alias="schema")
    bundle: str = Field(min_length=1, description="directory that `equiray bundle` wrote")
    base: str | None = Field(default=None, description="where its base model lies here; null: as its manifest says")
    shadow: str | None = Field(default=None, description="a second bundle, asked the same and never heard")
    fallback: str | None = Field(default=None, description="an earlier bundle, for a policy that fails")
    audit: AuditSpec
    policy: str | None = Field(default=None, description="a policy's file or name that live decisions are held to")
    limits: RequestLimitsSpec = RequestLimitsSpec()
    batching: BatchingSpec = BatchingSpec()
    gateway: ReplicasSpec = ReplicasSpec()
    decider: ReplicasSpec = ReplicasSpec()

    @property
    def cpus(self) -> float:
        """Of all replicas at their most."""
        return sum(each.most * each.cpus for each in (self.gateway, self.decider))


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
