"""The chat endpoints against their own OpenAPI document: whatever is sent, the answer is one that it names."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from chat_made import CountingLimiter, loaded, scripted
from equiray.serving.audit import Entry, Record
from equiray.serving.chat.answering import ChatAnswerer
from equiray.serving.chat.routes import ChatModel, chat_router
from equiray.serving.guard.admission import RequestLimits, guarded, protect
from equiray.serving.guard.keys import KeyStore

load_all_checks()


class Kept:
    """A log in memory."""

    def append(self, entry: Entry) -> "Future[Record]":
        found: Future[Record] = Future()
        names = ("record_id", "kind", "key_id", "model_version", "body", "payload", "idempotency_key", "request_sha256")
        told: dict[str, Any] = {name: getattr(entry, name) for name in names}
        now = datetime.now(UTC).isoformat()
        found.set_result(Record(seq=1, at=now, commitment="c", prev="p", mac="m", **told))
        return found

    def find(self, key_id: str, idempotency_key: str) -> Record | None:
        return None


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FastAPI, str]]:
    folder: Path = tmp_path_factory.mktemp("chat")
    bundle = loaded(folder)
    app = FastAPI()
    app.state.keys = KeyStore.open(f"sqlite:///{folder}/keys.db")
    app.state.limiter, app.state.request_limits = CountingLimiter(), RequestLimits(tokens=1 << 30)
    engine = scripted(bundle, ["Yes .\n\nAnswer: No"] * 6)
    with closing(ChatAnswerer(bundle, engine=replace(engine, plain=engine.chat))) as answerer:

        async def answer(asked: Any) -> Any:
            (found,) = await asyncio.to_thread(answerer.answer, [asked])
            return found

        model = ChatModel.of(bundle.path)
        app.include_router(chat_router(answer, guard=guarded("chat"), log=Kept(), model=model, request_key=b"k"))
        protect(app, open_paths=["/openapi.json"])
        _, secret = app.state.keys.create(name="tests", scopes=["chat"])
        yield app, secret


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_whatever_is_sent_is_answered_as_documented(app: tuple[FastAPI, str], path: str):
    served, secret = app
    operation = schemathesis.openapi.from_asgi("/openapi.json", served)[path]["POST"]
    statuses = set()

    @settings(max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def fuzz(case: Any) -> None:
        if isinstance(case.body, dict):
            case.body["model"] = "tiny"
        response = case.call(headers={"Authorization": f"Bearer {secret}"})
        statuses.add(response.status_code)
        case.validate_response(
            response,
            checks=[
                not_a_server_error,
                status_code_conformance,
                content_type_conformance,
                response_schema_conformance,
            ],
        )

    fuzz()
    assert {200, 400} <= statuses <= {200, 400, 404, 413}
