"""``POST /v1/decisions``."""

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from pydantic_core import to_json

from equiray.serving.audit import Entry, Record
from equiray.serving.audit.chain import canonical
from equiray.serving.audit.records import new_record_id
from equiray.serving.decisions.bodies import DecisionsAnswer, DecisionsRequest, answer_of
from equiray.serving.decisions.records import Asked
from equiray.serving.guard.admission import Caller, guarded
from equiray.serving.guard.bodies import StrictRoute
from equiray.serving.guard.errors import REFUSALS, ErrorDocument
from equiray.serving.recorder import IdempotencyKey
from equiray.serving.services import Services, services_of

router = APIRouter(route_class=StrictRoute, tags=["decisions"])
_OWN: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorDocument, "description": "There is no model for this task here."},
    409: {"model": ErrorDocument, "description": "The idempotency key was used for another request."},
}


@router.post(
    "/v1/decisions", response_model=DecisionsAnswer, responses=REFUSALS | _OWN, summary="Decide rows of a table"
)
async def decide(
    asked: DecisionsRequest,
    caller: Annotated[Caller, Depends(guarded("decide"))],
    services: Annotated[Services, Depends(services_of)],
    header: IdempotencyKey = None,
) -> Response:
    """One row or thousands: serialized, decided by the combined model, recorded, and only then answered."""
    await caller.take(rows=len(asked.rows))
    key, name = asked.idempotency_key or header, ""
    if key is not None:
        name = services.request_sha256(asked.model_dump(exclude={"idempotency_key"}))
    earlier = await services.recorder.earlier(caller.key.key_id, key, name)
    if earlier is not None:
        return _answer(earlier)
    assert services.decide is not None, "the route is there where something decides"
    question = Asked(task=asked.task, rows=asked.rows, attributes=asked.attributes)
    decided = await services.decide(question)
    record_id = new_record_id()
    body = {
        "task": asked.task,
        "decisions": [{"id": f"{record_id}-{place}"} | said for place, said in enumerate(decided.decisions)],
    }
    payload: dict[str, Any] = {"attributes": decided.groups}
    if services.keep_rows:
        payload["rows"] = asked.rows
    else:
        payload["rows_sha256"] = hashlib.sha256(canonical({"rows": asked.rows}).encode()).hexdigest()
    record = await services.recorder.recorded(
        Entry(
            kind="decision",
            key_id=caller.key.key_id,
            model_version=decided.model_version,
            body=body,
            payload=payload,
            idempotency_key=key,
            request_sha256=name,
            record_id=record_id,
        )
    )
    if services.shadow is not None and not record.repeated:
        services.shadow(question, caller.key.key_id, record.record_id)
    return _answer(record)


def _answer(record: Record) -> Response:
    """Written once, from what the record says: its thousands of decisions pass no model of pydantic's again."""
    said = answer_of(record.record_id, record.model_version, record.body)
    return Response(to_json(said), media_type="application/json")
