"""Connections to the log's database, on SQLite and on PostgreSQL.

Notable: nothing after this module knows which of the two it is. A writer's transaction begins by taking the lock that
orders all writers: SQLite's write lock by BEGIN IMMEDIATE, PostgreSQL's lock on the head row by SELECT ... FOR UPDATE.
Both lose nothing that was committed: SQLite writes ahead and waits for the disk at every commit (synchronous=FULL),
PostgreSQL waits for its own log's write.
"""

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from sqlalchemy import (
    Connection,
    Engine,
    NullPool,
    Pool,
    QueuePool,
    bindparam,
    create_engine,
    event,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from equiray.errors import BadInput
from equiray.serving.audit.chain import key_check
from equiray.serving.audit.records import Head, LogNotReadable, LogNotWritable
from equiray.serving.audit.tables import SCHEMA, create_all, heads, payloads, tables

# Made once: SQLAlchemy takes longer to put a statement together than SQLite takes to run it.
_READ = select(heads.c.length, heads.c.mac)
_LOCK = _READ.with_for_update()
_MOVE = update(heads).values(length=bindparam("new_length"), mac=bindparam("new_mac"))
_CREATION_LOCK = 0x65717561  # any number, the same in every process that creates this log
_SCRUB_WAIT_MS = 200
_FIX = "sqlite:////var/lib/equiray/audit.db, or postgresql://user@host/database"


class Database:
    """One log's database.

    Parameters
    ----------
    url : str
        `sqlite:////absolute/path.db` or `postgresql://user@host/database`.
    lock_wait_s : float
        How long a transaction waits for its turn.
    read_only : bool
        SQLite's file is opened for reading.

    Raises
    ------
    BadInput
        The URL is none, or names another database or one in memory.
    """

    def __init__(self, url: str, *, lock_wait_s: float = 5.0, read_only: bool = False) -> None:
        parsed = _parse(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self.place = parsed.render_as_string(hide_password=True)
        self.file = Path(parsed.database or "").expanduser().absolute() if self.is_sqlite else None
        # The writer's connection is never one of the readers': when it is given up, those go on reading.
        self._engine, self._writing = (
            _sqlite(self.file, lock_wait_s, read_only, pool)
            if self.file is not None
            else _postgresql(parsed, lock_wait_s, pool)
            for pool in (QueuePool, NullPool)
        )

    def create(self, key: bytes) -> None:
        """Create the tables and the head of an empty log, where there are none.

        Raises
        ------
        SQLAlchemyError, OSError
            The database cannot be reached or written.
        """
        if self.file is not None:  # SQLite gives its other files the same permissions
            self.file.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600))
        with self._writing.connect() as connection, writing(connection):
            if not self.is_sqlite:  # two processes at once would both find no tables
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_CREATION_LOCK})")
            if inspect(connection).has_table(heads.name):
                return
            create_all(connection)
            log_id = secrets.token_hex(32)
            values = {"id": 1, "schema": SCHEMA, "log_id": log_id, "length": 0, "mac": log_id}
            connection.execute(insert(heads).values(key_check=key_check(key, log_id), **values))

    def check(self, key: bytes) -> str:
        """The log's id, once its schema and key are found to be ours.

        Raises
        ------
        BadInput
            The log is of another version, or was started with another key.
        """
        with self.reading() as connection:
            row = connection.execute(select(heads)).one()
        if row.schema != SCHEMA:
            raise BadInput(f"schema {row.schema!r}", place=self.place, fix=f"use the equiray that writes {SCHEMA}")
        if row.key_check != key_check(key, row.log_id):
            raise BadInput(
                "the log was started with another key", place=self.place, fix="give the key that it was started with"
            )
        return row.log_id

    def connect(self) -> Connection:
        """A connection to keep, for `writing`."""
        return self._writing.connect()

    def files(self) -> list[tuple[int, int]]:
        """Which files SQLite's are now; empty on PostgreSQL.

        Raises
        ------
        OSError
            One was removed.
        """
        if self.file is None:
            return []
        found = [self.file.stat(), self.file.with_name(f"{self.file.name}-wal").stat()]
        return [(each.st_dev, each.st_ino) for each in found]

    @contextmanager
    def reading(self, *, frozen: bool = False) -> Iterator[Connection]:
        """A transaction that reads; `frozen`: all its statements see the log at one moment.

        Raises
        ------
        LogNotReadable
            The database cannot be reached.
        """
        options = {} if self.is_sqlite or not frozen else {"isolation_level": "REPEATABLE READ"}
        try:
            with self._engine.connect().execution_options(**options) as connection, connection.begin():
                yield connection
        except SQLAlchemyError as error:
            raise LogNotReadable(f"the audit log cannot be read: {said_by(error)}\n  where: {self.place}") from error

    def missing_tables(self) -> list[str]:
        """The log's tables that are not there.

        Raises
        ------
        LogNotReadable
            The database cannot be reached.
        """
        names = [table.name for table in tables]
        if self.file is not None and not self.file.is_file():
            return names
        with self.reading() as connection:
            there = inspect(connection).get_table_names()
        return [name for name in names if name not in there]

    def scrub(self) -> bool:
        """Let nothing of deleted rows stay in the database's files; False where a reader keeps some for now.

        SQLite overwrites deleted rows where they stood, but keeps earlier states of a page in its write-ahead log until
        that begins anew; PostgreSQL keeps deleted rows until a vacuum. Backups are the operator's.
        """
        pooled = self._engine.raw_connection()
        connection: Any = pooled.driver_connection
        try:
            if self.is_sqlite:
                connection.execute(f"PRAGMA busy_timeout = {_SCRUB_WAIT_MS}")  # writers wait meanwhile
                return connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
            connection.autocommit = True
            connection.execute(f"VACUUM {payloads.name}")
            return True
        except (sqlite3.Error, psycopg.Error) as error:
            raise LogNotWritable(f"deleted payloads are not overwritten yet: {said_by(error)}") from error
        finally:
            pooled.invalidate()

    def close(self) -> None:
        """Close every connection that nobody uses."""
        self._engine.dispose()


@contextmanager
def writing(connection: Connection) -> Iterator[None]:
    """A transaction that writes: on SQLite it has the lock from its beginning."""
    connection.execution_options(begin="BEGIN IMMEDIATE")
    with connection.begin():
        yield


def lock_head(connection: Connection) -> Head:
    """Take the lock that orders all writers, until the transaction ends, and say where the log ends."""
    return Head(*connection.execute(_LOCK).one())


def read_head(connection: Connection) -> Head:
    """Where the log ends."""
    return Head(*connection.execute(_READ).one())


def move_head(connection: Connection, head: Head) -> None:
    """Say where the log ends now."""
    connection.execute(_MOVE, {"new_length": head.length, "new_mac": head.mac})


def said_by(error: Exception) -> str:
    """The database's own first line, without the statement and its values (they may be personal)."""
    text = str(getattr(error, "orig", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise BadInput(f"{url!r} is no database URL", place="audit log", fix=f"write {_FIX}") from error
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise BadInput(f"{parsed.get_backend_name()!r} is not supported", place="audit log", fix=f"write {_FIX}")
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise BadInput("a log in memory loses everything", place="audit log", fix=f"write {_FIX}")
    return parsed


def _sqlite(file: Path, lock_wait_s: float, read_only: bool, pool: type[Pool]) -> Engine:
    def connect() -> sqlite3.Connection:
        # mode=rw: a file that somebody removed is an error, never a new, empty log.
        name = f"file:{quote(str(file))}?mode={'ro' if read_only else 'rw'}"
        if read_only and not os.access(file.parent, os.W_OK) and not file.with_name(f"{file.name}-wal").exists():
            name += "&immutable=1"  # a copy on a medium where SQLite cannot make its other files
        connection = sqlite3.connect(name, uri=True, timeout=lock_wait_s, isolation_level=None, check_same_thread=False)
        if read_only:  # whatever somebody put there is read, and found not to fit
            connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
        else:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")  # an erased payload's bytes are overwritten
        return connection

    engine = create_engine("sqlite+pysqlite://", creator=connect, poolclass=pool)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:  # the driver would begin too late, and without the lock
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    return engine


def _postgresql(url: URL, lock_wait_s: float, pool: type[Pool]) -> Engine:
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        poolclass=pool,
        isolation_level="READ COMMITTED",
        connect_args={"connect_timeout": 3, "tcp_user_timeout": 10_000, "application_name": "equiray audit log"},
    )

    @event.listens_for(engine, "connect")
    def settle(connection, _) -> None:
        milliseconds = int(lock_wait_s * 1000)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {milliseconds}")
            # a writer that is frozen while it holds the head's lock loses it
            cursor.execute(f"SET idle_in_transaction_session_timeout = {2 * milliseconds}")
            cursor.execute("SHOW synchronous_commit")
            if cursor.fetchone()[0] == "off":
                cursor.execute("SET synchronous_commit = on")
        connection.autocommit = False

    return engine
