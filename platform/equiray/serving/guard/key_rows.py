"""A key, and its row in the table: everything but the secret, of which a salted hash stands there."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine, Row, select

from equiray.serving.guard.limits import Limits
from equiray.serving.guard.tables import KEYS


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key without its secret."""

    key_id: str
    name: str
    scopes: frozenset[str]
    limits: Limits
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def status(self, now: datetime) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


@dataclass(frozen=True)
class Stored:
    """A key and what its secret is checked against."""

    key: Key
    salt: bytes
    digest: bytes


def read_keys(
    engine: Engine, known: Mapping[str, Stored], rows: Mapping[str, Row]
) -> tuple[dict[str, Stored], dict[str, Row]]:
    """The table as keys and as rows; a row that is as before keeps its key, for this runs every second."""
    with engine.connect() as connection:
        now = {row.key_id: row for row in connection.execute(select(KEYS).order_by(KEYS.c.created_at))}
    return {key_id: known[key_id] if rows.get(key_id) == row else stored_key(row) for key_id, row in now.items()}, now


def stored_key(row: Row) -> Stored:
    """The key of a row."""
    key = Key(
        key_id=row.key_id, name=row.name, scopes=frozenset(row.scopes.split(",")), limits=Limits.from_row(row),
        created_at=_utc(row.created_at), expires_at=row.expires_at and _utc(row.expires_at),
        revoked_at=row.revoked_at and _utc(row.revoked_at),
    )  # fmt: skip
    return Stored(key, row.salt, row.digest)


def _utc(stored: datetime) -> datetime:
    return stored.replace(tzinfo=UTC) if stored.tzinfo is None else stored.astimezone(UTC)  # SQLite keeps no zone


def digest_of(salt: bytes, secret: str) -> bytes:
    """What stands in the table for a secret: SHA-256 of the key's salt and it."""
    return hashlib.sha256(salt + secret.encode()).digest()
