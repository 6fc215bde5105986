"""The web application in this process, without Ray: a bundle, keys and a log in a folder."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient

from equiray.bundles.bundle import Bundle
from equiray.serving.audit import AuditLog
from equiray.serving.decisions.records import Asked, Decided
from equiray.serving.decisions.service import DecisionService
from equiray.serving.guard.keys import KeyStore
from equiray.serving.guard.refusals import Refused
from equiray.serving.services import Services
from equiray.serving.web import make_app
from equiray.specs.serving import RequestLimitsSpec
from guarded_app import NoLimits

KEY = bytes(range(32))
ALL = ("decide", "chat", "outcomes", "audit", "admin")


class Served:
    """An application with its parts, and a client for each key."""

    def __init__(self, app: FastAPI, log: AuditLog, keys: KeyStore, service: DecisionService) -> None:
        self.app, self.log, self.keys, self.service = app, log, keys, service

    def client(self, *scopes: str) -> TestClient:
        """With a fresh key."""
        _, secret = self.keys.create(name="test", scopes=scopes or ALL)
        self.keys._refresh()
        return TestClient(self.app, headers={"Authorization": f"Bearer {secret}"}, raise_server_exceptions=False)


@contextmanager
def served(bundle: Bundle, folder: Path, *, keep_rows: bool = False, **limits: Any) -> Iterator[Served]:
    """The application of a bundle."""
    url = f"sqlite:///{folder / 'serving.db'}"
    log, keys = AuditLog.open(url, key=KEY), KeyStore.open(url)
    service = DecisionService(bundle)

    async def decide(asked: Asked) -> Decided:
        (found,) = service.decide([asked])
        if isinstance(found, Refused):
            raise found
        return found

    async def models() -> list[Mapping[str, Any]]:
        return [{"id": service.model_version}]

    services = Services(log=log, request_key=KEY, keep_rows=keep_rows, decide=decide, models=models)
    try:
        yield Served(make_app(services, keys, NoLimits(), RequestLimitsSpec(**limits)), log, keys, service)
    finally:
        log.close()
        keys.close()


def rows_of(table: Any, names: Sequence[str]) -> list[dict[str, Any]]:
    """Rows as a client writes them."""
    return table.select(list(names)).to_pylist()
