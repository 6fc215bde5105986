"""Audit logs that tests write, and read behind the log's back."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.engine import make_url

from equiray.serving.audit import AuditLog, Entry, Record

KEY = bytes(range(32))
CHECKPOINT_KEY = bytes(range(100, 132))


def url_in(folder: Path) -> str:
    return f"sqlite:///{folder / 'audit.db'}"


def decision(number: int, **named: Any) -> Entry:
    body: Mapping[str, Any] = {
        "task": "credit",
        "decisions": [{"id": number, "decision": number % 2, "p": 0.1 * number}],
    }
    payload = {"attributes": [{"sex": "female" if number % 3 else "male"}], "rows": [f"né en 19{number}"]}
    settings = {"kind": "decision", "key_id": "k1", "model_version": "v1", "body": body, "payload": payload}
    return Entry(**{**settings, **named})


def filled(url: str, count: int, **opening: Any) -> list[Record]:
    """A log of `count` records, closed again."""
    log = AuditLog.open(url, key=KEY, **opening)
    waiting = [log.append(decision(number)) for number in range(1, count + 1)]
    written = [future.result(30) for future in waiting]
    log.close()
    return written


@contextmanager
def behind_its_back(url: str) -> Iterator[Connection]:
    """A transaction of somebody who has the database and nothing else."""
    driver = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}[make_url(url).get_backend_name()]
    engine = create_engine(make_url(url).set(drivername=driver), poolclass=NullPool)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def change(url: str, *statements: str) -> None:
    with behind_its_back(url) as connection:
        for statement in statements:
            assert connection.execute(text(statement)).rowcount != 0, f"changed nothing: {statement}"
