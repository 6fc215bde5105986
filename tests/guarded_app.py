"""An app behind the guard, and real servers on loopback that run it."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import uvicorn
from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from equiray.serving.guard.admission import Caller, RequestLimits, guarded, protect
from equiray.serving.guard.bodies import StrictRoute
from equiray.serving.guard.errors import REFUSALS
from equiray.serving.guard.keys import Key, KeyStore

OPEN = "/healthz"


class NoLimits:
    """A limiter that lets everything through, and remembers it."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, int, int, int]] = []

    async def take(self, key: Key, *, requests: int = 0, rows: int = 0, tokens: int = 0) -> int:
        self.taken.append((key.key_id, requests, rows, tokens))
        return 0

    def give_back(self, key: Key, *, tokens: int, day: int) -> None:
        self.taken.append((key.key_id, 0, 0, -tokens))


class Ask(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    task: str
    rows: list[dict[str, Any]] = Field(default_factory=list)


def make_app(
    keys: KeyStore, limiter: Any, *, body_bytes: int = 10_000, timeout_s: float = 2, rows: int = 100
) -> FastAPI:
    app = FastAPI()
    router = APIRouter(route_class=StrictRoute, responses=REFUSALS)

    @router.get(OPEN)
    async def health() -> dict:
        return {}

    @router.get("/any")
    async def any_key(caller: Annotated[Caller, Depends(guarded())]) -> dict:
        return {"key": caller.key.key_id}

    @router.post("/decide")
    async def decide(ask: Ask, caller: Annotated[Caller, Depends(guarded("decide"))]) -> dict:
        await caller.take(rows=len(ask.rows))
        json.dumps(ask.model_dump(), ensure_ascii=False, allow_nan=False).encode()  # as the audit log will
        return {"n": len(ask.rows), "key": caller.key.key_id}

    @router.post("/chat")
    async def chat(caller: Annotated[Caller, Depends(guarded("chat"))]) -> dict:
        await caller.take(tokens=10)
        caller.give_back(tokens=4)
        return {}

    @router.get("/forgotten")
    async def forgotten() -> dict:
        return {"secret": "of the server"}

    @router.get("/slow")
    async def slow() -> dict:
        await asyncio.sleep(60)
        return {}

    @router.get("/broken")
    async def broken() -> dict:
        password = "hunter2"
        raise KeyError(f"the password is {password}")

    @router.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"half of it"
            raise RuntimeError("hunter2")

        return StreamingResponse(parts())

    app.include_router(router)
    protect(app, open_paths=[OPEN], body_bytes=body_bytes, timeout_s=timeout_s)
    app.state.keys, app.state.limiter, app.state.request_limits = keys, limiter, RequestLimits(rows=rows)
    return app


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """A real server on a free port of loopback; yields its URL."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen(128)
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=10)
