"""How the two databases are opened, so that they lose nothing and wait for nobody for ever.

Notable: SQLite writes ahead and waits for the disk at every commit (synchronous=FULL); PostgreSQL does unless a server
says otherwise, which is overruled. The rest of the room speaks SQLAlchemy Core and does not know which of them it is.
"""

import os
import random
import sqlite3
from pathlib import Path
from time import monotonic, sleep
from typing import Any, cast
from urllib.parse import quote

from sqlalchemy import Connection, Engine, NullPool, Pool, QueuePool, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, OperationalError

from equiray.errors import BadInput

_ASK_AGAIN_S = (0.0002, 0.001)  # at random, so that no process is always the later one
_CONNECTING = {"connect_timeout": 3, "tcp_user_timeout": 10_000, "application_name": "equiray audit log"}
_FIX = "sqlite:////var/lib/equiray/audit.db, or postgresql://user@host/database"


def parse_url(url: str) -> URL:
    """A URL of SQLite's or PostgreSQL's.

    Raises
    ------
    BadInput
        It is none, or names another database or one in memory.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise BadInput(f"{url!r} is no database URL", place="audit log", fix=f"write {_FIX}") from error
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise BadInput(f"{parsed.get_backend_name()!r} is not supported", place="audit log", fix=f"write {_FIX}")
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise BadInput("a log in memory loses everything", place="audit log", fix=f"write {_FIX}")
    return parsed


def sqlite_engine(file: Path, lock_wait_s: float, *, writes: bool, read_only: bool, any_text: bool) -> Engine:
    """An engine on a file; one that `writes` begins every transaction with the write lock."""
    mode = "ro" if read_only else "rw"  # a file that somebody removed is an error, never a new, empty log

    def connect() -> sqlite3.Connection:
        name = f"file:{quote(str(file))}?mode={mode}"
        if read_only and not os.access(file.parent, os.W_OK) and not file.with_name(f"{file.name}-wal").exists():
            name += "&immutable=1"  # a copy on a medium where SQLite cannot make its other files
        connection = sqlite3.connect(name, uri=True, timeout=lock_wait_s, isolation_level=None, check_same_thread=False)
        if any_text:
            connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
        if not read_only:
            if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
                raise sqlite3.OperationalError("SQLite cannot write ahead on this file system")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")  # an erased payload's bytes are overwritten
        if writes:  # it waits by itself
            connection.execute("PRAGMA busy_timeout = 0")
        return connection

    engine = create_engine("sqlite+pysqlite://", creator=connect, poolclass=_pool(writes), hide_parameters=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:  # the driver would begin too late, and without the lock
        if writes:
            _wait_for_lock(cast(sqlite3.Connection, connection.connection.driver_connection), lock_wait_s)
        else:
            connection.exec_driver_sql("BEGIN")

    return engine


def _wait_for_lock(connection: sqlite3.Connection, lock_wait_s: float) -> None:
    """Begin with the write lock. SQLite itself would ask for it ever less often, up to 100 ms apart."""
    end = monotonic() + lock_wait_s
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() > end:
                raise OperationalError("BEGIN IMMEDIATE", None, error) from error
            sleep(random.uniform(*_ASK_AGAIN_S))
        else:
            return


def postgresql_engine(url: URL, lock_wait_s: float, *, writes: bool) -> Engine:
    """No commit returns before PostgreSQL's own log is on the disk, and no lock is waited for or held for ever."""
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        poolclass=_pool(writes),
        pool_pre_ping=not writes,  # a writer looks its records up before it tries again
        isolation_level="READ COMMITTED",
        hide_parameters=True,  # what is personal stands in no error
        connect_args={name: value for name, value in _CONNECTING.items() if name not in url.query},
    )

    @event.listens_for(engine, "connect")
    def settle(connection: Any, _: object) -> None:
        milliseconds = int(lock_wait_s * 1000)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {milliseconds}")
            if writes:  # one that is frozen while it holds the head's lock loses it
                cursor.execute(f"SET idle_in_transaction_session_timeout = {2 * milliseconds}")
            if cursor.execute("SHOW synchronous_commit").fetchone()[0] == "off":
                cursor.execute("SET synchronous_commit = on")
        connection.autocommit = False

    return engine


def _pool(writes: bool) -> type[Pool]:
    """A writer keeps its own connection, never one of the readers': when it is given up, those go on reading."""
    return NullPool if writes else QueuePool
