"""Keys: made once, stored as hashes, checked in memory.

Notable: a request asks no database. A thread of each process reads the whole table every second, so an unknown key
costs what a known one does, and a flood of them reaches no database. A process whose copy is older than
`REVOKED_WITHIN_S` answers nobody: that is the bound on how long a revoked key still works, database down or not.

A secret is 256 bits from the system's generator. No dictionary holds such secrets, so a slow password hash (bcrypt,
argon2) would add nothing but a milliseconds-long lever for denial of service: SHA-256, with a salt of each key's own so
that equal digests in two stores tell nothing.
"""

import hmac
import logging
import re
import secrets
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, Engine, Row, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from equiray.errors import BadInput
from equiray.serving.guard.key_rows import Key, Stored, digest_of, read_keys, stored_key
from equiray.serving.guard.limits import Limits
from equiray.serving.guard.refusals import RETRY_SOON_S, Refused
from equiray.serving.guard.tables import KEYS, create_tables, open_engine, unreachable

SCOPES = ("decide", "chat", "outcomes", "audit", "admin")
"""What a key may be allowed. Each allows itself alone: `admin` decides nothing."""

REFRESH_S = 1.0
"""Seconds between two looks at the table: a new key works after as long, at the latest."""

REVOKED_WITHIN_S = 5.0
"""Seconds after which a revoked key is refused by every replica, at the latest."""

_LOG = logging.getLogger(__name__)
_SECRET = re.compile(r"eqr_([0-9a-f]{12})_([0-9a-f]{64})", re.ASCII)
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,200}")

# What a secret of an unknown key is compared with: the work is the same, and no digest equals it.
_NOBODY = (bytes(16), bytes(32))


class KeyStore:
    """The keys of one database. Thread-safe; one per process.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        Of `tables.open_engine`.
    refresh_s : float
        Seconds between two looks at the table.
    """

    def __init__(self, engine: Engine, *, refresh_s: float = REFRESH_S) -> None:
        self._engine, self._refresh_s = engine, refresh_s
        self._known: Mapping[str, Stored] = {}
        self._rows: Mapping[str, Row] = {}
        self._read_at = -float("inf")  # monotonic seconds, taken before the table was read
        self._starting, self._stopped = threading.Lock(), threading.Event()
        self._watcher: threading.Thread | None = None

    @classmethod
    def open(cls, url: str, *, create: bool = True, refresh_s: float = REFRESH_S) -> "KeyStore":
        """The keys of a database, whose tables are created unless told otherwise.

        Raises
        ------
        BadInput
            The database cannot be used, or has no keys and none are to be created.
        """
        engine = open_engine(url)
        if create:
            create_tables(engine)
        else:
            _check_has_keys(engine)
        return cls(engine, refresh_s=refresh_s)

    def create(
        self,
        *,
        name: str,
        scopes: Iterable[str],
        limits: Limits | None = None,
        expires_in: timedelta | None = None,
    ) -> tuple[Key, str]:
        """Make a key; its secret is returned here and nowhere else.

        Returns
        -------
        tuple of (Key, str)
            The key, and the secret `eqr_<key id>_<64 hexadecimal digits>`.

        Raises
        ------
        BadInput
            A scope is unknown, none is given, or the name is empty or has control characters.
        """
        allowed = _checked_scopes(scopes)
        if not _NAME.fullmatch(name):
            raise BadInput(f"no name for a key: {name[:50]!r}", place="--name", fix="use 1 to 200 printable characters")
        now = datetime.now(UTC)
        key = Key(
            key_id=secrets.token_hex(6), name=name, scopes=allowed, limits=limits or Limits(), created_at=now,
            expires_at=None if expires_in is None else now + expires_in,
        )  # fmt: skip
        secret, salt = secrets.token_hex(32), secrets.token_bytes(16)
        row = {
            "key_id": key.key_id, "name": name, "scopes": ",".join(sorted(allowed)),
            "salt": salt, "digest": digest_of(salt, secret), **key.limits.as_row(),
            "created_at": now, "expires_at": key.expires_at,
        }  # fmt: skip
        with _writing(self._engine) as connection:
            connection.execute(KEYS.insert().values(row))
        return key, f"eqr_{key.key_id}_{secret}"

    def list(self) -> "list[Key]":
        """Every key that was ever made, oldest first."""
        try:
            return [stored.key for stored in read_keys(self._engine, {}, {})[0].values()]
        except SQLAlchemyError as error:
            raise unreachable(self._engine, error) from error

    def revoke(self, key_id: str) -> Key:
        """End a key for good: every replica refuses it after `REVOKED_WITHIN_S` seconds at the latest.

        Raises
        ------
        BadInput
            There is no such key.
        """
        with _writing(self._engine) as connection:
            ours = KEYS.c.key_id == key_id
            # the first revocation's time stays
            end = KEYS.update().where(ours, KEYS.c.revoked_at.is_(None)).values(revoked_at=datetime.now(UTC))
            connection.execute(end)
            row = connection.execute(select(KEYS).where(ours)).one_or_none()
        if row is None:
            raise BadInput(f"no key has the id {key_id!r}", place="KEY_ID", fix="`equiray keys list` lists the ids")
        return stored_key(row).key

    def authenticate(self, secret: str) -> Key:
        """The key whose secret this is.

        Raises
        ------
        Refused
            401: no such key, a wrong secret, expired or revoked. 503: the table could not be read for too long.
        """
        self._need_fresh_keys()
        parts = _SECRET.fullmatch(secret)
        key_id, hidden = parts.groups() if parts else ("", "")
        stored = self._known.get(key_id)
        salt, digest = (stored.salt, stored.digest) if stored else _NOBODY
        # always hashed and compared: neither time nor answer tells an unknown id from a wrong secret
        equal = hmac.compare_digest(digest_of(salt, hidden), digest)
        if stored is None or not equal:
            raise Refused(401, "invalid_api_key", "the key is unknown or wrong; send `Authorization: Bearer eqr_...`")
        status = stored.key.status(datetime.now(UTC))
        if status != "active":  # told only to whoever holds the secret
            raise Refused(401, f"{status}_api_key", f"the key {key_id} is {status}; ask for a new one")
        return stored.key

    def close(self) -> None:
        """Stop watching the table and let go of its connections."""
        self._stopped.set()
        if self._watcher is not None:
            self._watcher.join(timeout=1)
        self._engine.dispose()

    def _need_fresh_keys(self) -> None:
        if self._watcher is None:
            with self._starting:
                if self._watcher is None:  # the first request of this process
                    self._refresh()
                    self._watcher = threading.Thread(target=self._watch, name="equiray-keys", daemon=True)
                    self._watcher.start()
        if time.monotonic() - self._read_at > REVOKED_WITHIN_S:
            raise Refused(503, "keys_unavailable", "keys cannot be checked now; try again", retry_after=RETRY_SOON_S)

    def _watch(self) -> None:
        while not self._stopped.wait(self._refresh_s):
            self._refresh()

    def _refresh(self) -> None:
        began = time.monotonic()
        try:
            self._known, self._rows = read_keys(self._engine, self._known, self._rows)
        except Exception as error:  # whatever it is: a thread that ends says nothing, and the copy grows too old
            _LOG.warning("keys cannot be read: %s", type(error).__name__)  # its text may hold the database's address
        else:
            self._read_at = began


def _checked_scopes(scopes: Iterable[str]) -> frozenset[str]:
    allowed = frozenset(scopes)
    unknown = sorted(allowed - set(SCOPES))
    if unknown or not allowed:
        problem = f"no such scope: {unknown[0]!r}" if unknown else "a key without a scope opens nothing"
        raise BadInput(problem, place="--scope", fix=f"name some of {', '.join(SCOPES)}")
    return allowed


def _check_has_keys(engine: Engine) -> None:
    try:
        absent = not (_exists(engine) and inspect(engine).has_table(KEYS.name))
    except SQLAlchemyError as error:
        raise unreachable(engine, error) from error
    if absent:
        place = engine.url.render_as_string(hide_password=True)
        raise BadInput("no key was ever made there", place=place, fix="check --store, or make one: equiray keys create")


def _exists(engine: Engine) -> bool:
    """Looking into a SQLite file that is not there would create it."""
    return engine.dialect.name != "sqlite" or Path(str(engine.url.database)).is_file()


@contextmanager
def _writing(engine: Engine) -> Iterator[Connection]:
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise unreachable(engine, error) from error
