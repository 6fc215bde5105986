"""The web application in a process of its own, with or without its guard, that notes how long each answer took.

    python benchmarks/guarded_server.py bare|guarded STORE FOLDER

The decider answers at once, so that what is left is the web application and its guard: keys, limits, the record that
is committed before the answer leaves, and (`watch` instead of a kind, as a process beside it) the live monitor. Prints
its port and a key's secret. `GET /durations` gives the seconds of the answers since it was asked last, each from the
request's arrival in the application to the answer's last byte.
"""

import json
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from equiray.policies import load_policy
from equiray.serving.audit import AuditLog, Entry, Record
from equiray.serving.audit.keys import ensure_key
from equiray.serving.decisions.records import Asked, Decided
from equiray.serving.decisions.routes import router
from equiray.serving.guard.admission import Caller, RequestLimits
from equiray.serving.guard.key_rows import Key
from equiray.serving.guard.keys import KeyStore
from equiray.serving.guard.leases import LeasingLimiter
from equiray.serving.guard.limiter import SharedLedger
from equiray.serving.guard.limits import Lease, Limits, Unit
from equiray.serving.guard.quotas import QuotaTable
from equiray.serving.guard.refusals import Refused
from equiray.serving.guard.tables import open_engine
from equiray.serving.monitor import Monitor, Settings, policy_bounds
from equiray.serving.process import settle_heap, stand_back
from equiray.serving.recorder import Recorder
from equiray.serving.services import Services
from equiray.serving.web import make_app
from equiray.specs.serving import RequestLimitsSpec

DURATIONS = "/durations"
_HIGH = Limits(requests_per_minute=10**7, rows_per_minute=10**9)  # so that limits are counted and never reached
_GATE = {"sex": {"risk": 0.25, "open": False}}
_POLL_S, _PAGE = 0.25, 2000  # as the deployed monitor reads


class Timed:
    """Notes how long each answer takes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app, self._taken = app, list[float]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == DURATIONS:
            said, self._taken = json.dumps(self._taken).encode(), []
            headers = [(b"content-length", str(len(said)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": said})
            return
        began = time.perf_counter()
        await self._app(scope, receive, send)
        self._taken.append(time.perf_counter() - began)


class AlwaysLetIn:
    """In place of the guard: everybody is the same caller, and nothing is counted."""

    def __init__(self, app: ASGIApp) -> None:
        key = Key(key_id="bare", name="bare", scopes=frozenset({"decide"}), limits=Limits(), created_at=cast(Any, None))
        self._app, self._caller = app, Caller(key=key, limiter=_NoLimits(), request_limits=RequestLimits())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["equiray.caller"] = self._caller
        await self._app(scope, receive, send)


class _NoLimits:
    async def take(self, key: Key, *, requests: int = 0, rows: int = 0, tokens: int = 0) -> int:
        return 0

    def give_back(self, key: Key, *, tokens: int, day: int) -> None:
        return None


class _NoRecorder(Recorder):
    async def recorded(self, entry: Entry) -> Record:
        names = ("record_id", "kind", "key_id", "model_version", "body", "payload", "idempotency_key", "request_sha256")
        told = {name: getattr(entry, name) for name in names}
        return Record(seq=1, at="", commitment=None, prev="", mac="", **told)


class _Unrecorded(Services):
    @property
    def recorder(self) -> Recorder:
        return _NoRecorder(log=self.log)


class _Here:
    """Leases from a ledger of this process: a replica asks for one about once in five seconds, and not per request."""

    def __init__(self, ledger: SharedLedger) -> None:
        self._ledger = ledger

    async def lease(self, key_id: str, unit: Unit, limit: int, need: int, left: Lease) -> Lease:
        answer = await self._ledger.lease(key_id, unit, limit, need, left)
        if isinstance(answer, Refused):
            raise answer
        return answer

    def give_back(self, key_id: str, unit: Unit, limit: int, left: Lease) -> None:
        self._ledger.give_back(key_id, unit, limit, left)


async def _decide(asked: Asked) -> Decided:
    said: dict[str, Any] = {"decision": 1, "probability": 0.75, "gates": _GATE, "refused": False}
    groups = [cast("dict[str, str | None]", {"sex": row["sex"]}) for row in asked.rows]
    return Decided(model_version="instant", decisions=[dict(said) for _ in asked.rows], groups=groups)


async def _models() -> list[Mapping[str, Any]]:
    return [{"id": "instant"}]


def guarded(store: str, folder: Path) -> tuple[ASGIApp, str]:
    """The application as it is served, and a key's secret."""
    secrets = folder / "secrets"
    key = ensure_key("audit", secrets)
    log = AuditLog.open(
        store, key=key, checkpoints=folder / "checkpoints", checkpoint_key=ensure_key("checkpoint", secrets)
    )
    keys = KeyStore.open(store)
    _, secret = keys.create(name="benchmark", scopes=["decide"], limits=_HIGH)
    services = Services(log=log, request_key=key, keep_rows=False, decide=_decide, models=_models)
    limiter = LeasingLimiter(_Here(SharedLedger(QuotaTable(open_engine(store)))))
    return make_app(services, keys, limiter, RequestLimitsSpec()), secret


def bare() -> ASGIApp:
    """The same routes without a guard: no key, no limit, no record."""
    app = FastAPI()
    app.state.services = _Unrecorded(
        log=cast(AuditLog, None), request_key=b"", keep_rows=False, decide=_decide, models=_models
    )
    app.include_router(router)
    return AlwaysLetIn(app)


def watch(store: str, folder: Path) -> None:
    """Follow the log, as the deployed monitor does, until killed."""
    stand_back()
    log = AuditLog.open(store, key=ensure_key("audit", folder / "secrets"))
    bounds, _ = policy_bounds(load_policy("four_fifths").policy, ("sex",))
    monitor = Monitor(Settings(attributes=("sex",), bounds=bounds))
    settle_heap()
    print("watching", flush=True)
    while True:
        found = log.records(after=monitor.seq, limit=_PAGE)
        monitor.take(found)
        if len(found) < _PAGE:
            time.sleep(_POLL_S)


def main(kind: str, store: str, folder: Path) -> None:
    """Serve until killed."""
    if kind == "watch":
        watch(store, folder)
    app, secret = (bare(), "none") if kind == "bare" else guarded(store, folder)
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        print(listening.getsockname()[1], secret, flush=True)
        settle_heap()  # as each deployment does
        config = uvicorn.Config(Timed(app), log_level="warning", access_log=False, lifespan="off")
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
