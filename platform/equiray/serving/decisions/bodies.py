"""Bodies of ``POST /v1/decisions``, as pydantic models; the OpenAPI document shows them."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

Cell = StrictBool | StrictInt | StrictFloat | StrictStr | None
Name = Annotated[str, Field(min_length=1, max_length=200)]


class DecisionsRequest(BaseModel):
    """Rows to decide about."""

    model_config = ConfigDict(extra="forbid")

    task: Name = Field(description="the task that the model was trained for: /v1/models names it")
    rows: list[dict[str, Cell]] = Field(min_length=1, description="readable values by column; null: unknown")
    attributes: list[dict[str, StrictStr | None]] | None = Field(
        default=None,
        description="the groups that each row belongs to, for the live monitor; kept apart, and erasable. Those that "
        "the task makes of its own columns need not be said",
    )
    idempotency_key: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="the same key with the same body is answered as the first time, and decided once"
    )


class Gate(BaseModel):
    """A FairNet's gate: open where the risk lies above its threshold."""

    risk: float | None = Field(description="null: the row lies out of the support of training")
    open: bool


class Decision(BaseModel):
    """What one row is decided."""

    id: str = Field(description="for /v1/outcomes")
    decision: int | None = Field(description="1: the positive answer; null where refused")
    probability: float | None
    gates: dict[str, Gate]
    refused: bool


class DecisionsAnswer(BaseModel):
    """Decisions in the order of the rows."""

    id: str = Field(description="of the record in the audit log")
    model_version: str
    decisions: list[Decision]


def answer_of(record_id: str, model_version: str, body: Any) -> dict[str, Any]:
    """The answer that an audit record stands for: it is made of the record, also the first time."""
    return {"id": record_id, "model_version": model_version, "decisions": body["decisions"]}
