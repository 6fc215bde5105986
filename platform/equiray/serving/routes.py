"""Routes beside the models' own: outcomes, the log, live fairness, what is served, health."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import HTMLResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field, StrictStr

from equiray.serving.audit import Entry, LogUnavailable, Record
from equiray.serving.guard.admission import Caller, guarded
from equiray.serving.guard.bodies import StrictRoute
from equiray.serving.guard.errors import REFUSALS, ErrorDocument
from equiray.serving.guard.refusals import RETRY_SOON_S, Refused
from equiray.serving.monitor.page import dashboard_page
from equiray.serving.services import Services, services_of

OPEN_PATHS = ("/healthz", "/readyz", "/openapi.json", "/dashboard")
"""Without a key: they say nothing about anybody."""

router = APIRouter(route_class=StrictRoute)
_ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorDocument"}}}
_WATCHED: dict[int | str, dict[str, Any]] = REFUSALS | {
    404: {"model": ErrorDocument, "description": "Nothing is monitored here."}
}
# A refusal is JSON where the answer is text, too; FastAPI would document a `model` as text there.
_WATCHED_TEXT: dict[int | str, dict[str, Any]] = {
    status: {name: value for name, value in said.items() if name != "model"} | {"content": _ERROR}
    for status, said in _WATCHED.items()
}
_OPEN: dict[int | str, dict[str, Any]] = {status: _WATCHED_TEXT[status] for status in (400, 413, 503)}
_Services = Annotated[Services, Depends(services_of)]
_PAGE = 1000  # records of one answer


class Outcome(BaseModel):
    """What became of a decision."""

    model_config = ConfigDict(extra="forbid")

    decision_id: Annotated[str, Field(min_length=3, max_length=80)]
    label: Annotated[int, Field(ge=0, le=1, strict=True)] | None = Field(
        default=None, description="1: the positive answer was right; null: not known"
    )
    attributes: dict[str, StrictStr | None] | None = Field(default=None, description="as of /v1/decisions")


class OutcomesRequest(BaseModel):
    """Outcomes that became known, in any order, for decisions of any age."""

    model_config = ConfigDict(extra="forbid")

    outcomes: list[Outcome] = Field(min_length=1)


class OutcomesAnswer(BaseModel):
    """How many were taken, and where they stand in the log."""

    id: str
    taken: int


class AuditRecord(BaseModel):
    """One record of the log; `payload` is null where there was none, or where it was erased."""

    seq: int
    record_id: str
    at: str
    kind: str
    key_id: str
    model_version: str
    body: dict[str, Any]
    payload: dict[str, Any] | None
    commitment: str | None
    prev: str
    mac: str


class AuditAnswer(BaseModel):
    """Records in their order; `next_after` is null at the end."""

    records: list[AuditRecord]
    next_after: int | None


class ModelsAnswer(BaseModel):
    """What is served, in the shape of OpenAI's list."""

    object: str = "list"
    data: list[dict[str, Any]]


@router.post(
    "/v1/outcomes",
    response_model=OutcomesAnswer,
    responses=REFUSALS,
    tags=["outcomes"],
    summary="Say what became of decisions",
)
async def outcomes(
    said: OutcomesRequest, caller: Annotated[Caller, Depends(guarded("outcomes"))], services: _Services
) -> dict[str, Any]:
    """Outcomes are recorded as they come; the monitor takes each decision's first."""
    await caller.take(rows=len(said.outcomes))
    body = {"outcomes": [{"decision_id": one.decision_id, "label": one.label} for one in said.outcomes]}
    groups = [one.attributes for one in said.outcomes]
    entry = Entry(
        kind="outcome",
        key_id=caller.key.key_id,
        model_version="",
        body=body,
        payload={"attributes": groups} if any(groups) else None,
    )
    record = await services.recorder.recorded(entry)
    return {"id": record.record_id, "taken": len(said.outcomes)}


@router.get("/v1/audit", response_model=AuditAnswer, responses=REFUSALS, tags=["audit"], summary="Read the log")
async def audit(
    caller: Annotated[Caller, Depends(guarded("audit", "admin"))],
    services: _Services,
    after: Annotated[int, Query(ge=0, le=2**62)] = 0,
    limit: Annotated[int, Query(ge=1, le=_PAGE)] = 100,
) -> dict[str, Any]:
    """A key reads its own records; one with the scope admin reads all."""
    own = None if "admin" in caller.key.scopes else caller.key.key_id
    try:
        found = await asyncio.to_thread(services.log.records, after=after, limit=limit, key_id=own)
    except LogUnavailable as error:
        message = "the audit log cannot be read; try again"
        raise Refused(503, "log_not_readable", message, retry_after=RETRY_SOON_S) from error
    return {
        "records": [_shown(record) for record in found],
        "next_after": found[-1].seq if len(found) == limit else None,
    }


@router.get("/v1/models", response_model=ModelsAnswer, responses=REFUSALS, tags=["models"], summary="What is served")
async def models(caller: Annotated[Caller, Depends(guarded())], services: _Services) -> dict[str, Any]:
    """Models with their versions, and the tasks or chats that they answer."""
    return {"object": "list", "data": await services.models()}


@router.get("/v1/fairness", responses=_WATCHED, tags=["audit"], summary="Live estimates and verdicts")
async def fairness(
    caller: Annotated[Caller, Depends(guarded("audit", "admin"))], services: _Services
) -> Mapping[str, Any]:
    """docs/contracts/live_fairness.json shows the document."""
    if services.monitor is None:
        raise Refused(404, "no_monitor", "nothing is monitored here")
    return await services.monitor.document()


@router.get(
    "/metrics", tags=["audit"], response_class=PlainTextResponse, responses=_WATCHED_TEXT, summary="For Prometheus"
)
async def metrics(
    caller: Annotated[Caller, Depends(guarded("audit", "admin"))], services: _Services
) -> PlainTextResponse:
    """Text format; its series are bounded in number."""
    if services.monitor is None:
        raise Refused(404, "no_monitor", "nothing is monitored here")
    return PlainTextResponse(await services.monitor.prometheus(), media_type="text/plain; version=0.0.4")


@router.get(
    "/dashboard", tags=["audit"], response_class=HTMLResponse, responses=_OPEN, summary="Live fairness for people"
)
async def dashboard() -> HTMLResponse:
    """The page has no figures of its own: it asks /v1/fairness with a key that its reader types in."""
    return HTMLResponse(dashboard_page())


@router.get(
    "/healthz",
    tags=["health"],
    response_class=PlainTextResponse,
    responses=_OPEN,
    summary="Whether this process runs",
)
async def healthz() -> str:
    """Says nothing about models and database: see /readyz."""
    return "ok"


@router.get(
    "/readyz",
    tags=["health"],
    response_class=PlainTextResponse,
    responses=_OPEN,
    summary="Whether requests can be answered",
)
async def readyz(services: _Services) -> str:
    """The audit log answers, the limiter of the keys, and the model."""
    try:
        await asyncio.to_thread(services.log.head)
    except LogUnavailable as error:
        raise Refused(503, "log_not_readable", "the audit log cannot be read", retry_after=RETRY_SOON_S) from error
    if services.check_limits is not None:
        await services.check_limits()
    await services.models()
    return "ready"


def _shown(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in AuditRecord.model_fields}
