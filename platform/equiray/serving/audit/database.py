"""One log's database: its head, its transactions, its files.

Notable: a writer's transaction begins by taking the lock that orders all writers: SQLite's write lock by BEGIN
IMMEDIATE, PostgreSQL's lock on the head row by SELECT ... FOR UPDATE. Nothing after this module knows which it is.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, insert, inspect, select, update
from sqlalchemy.exc import SQLAlchemyError

from equiray.errors import BadInput
from equiray.serving.audit.chain import key_check
from equiray.serving.audit.engines import parse_url, postgresql_engine, sqlite_engine
from equiray.serving.audit.records import Head, LogNotReadable, LogNotWritable
from equiray.serving.audit.tables import SCHEMA, create_all, heads, payloads, tables

# Made once: SQLAlchemy takes longer to put a statement together than SQLite takes to run it.
_READ = select(heads.c.length, heads.c.mac)
_LOCK = _READ.with_for_update()
_MOVE = update(heads).values(length=bindparam("new_length"), mac=bindparam("new_mac"))
_CREATION_LOCK = 0x65717561  # any number, the same in every process that creates this log
_SCRUB_WAIT_MS = 200


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
    any_text : bool
        What somebody put into SQLite's file is read though it be no UTF-8. (Slower.)

    Raises
    ------
    BadInput
        The URL is none, or names another database or one in memory.
    """

    def __init__(self, url: str, *, lock_wait_s: float = 5.0, read_only: bool = False, any_text: bool = False) -> None:
        parsed = parse_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self.place = parsed.render_as_string(hide_password=True)
        self.file = Path(parsed.database or "").expanduser().absolute() if self.is_sqlite else None
        if self.file is None:
            make = partial(postgresql_engine, parsed, lock_wait_s)
        else:
            make = partial(sqlite_engine, self.file, lock_wait_s, read_only=read_only, any_text=any_text)
        self._engine, self._writing = make(writes=False), make(writes=True)

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
        with self._writing.begin() as connection:
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
        """A connection to keep: its transactions begin with the lock that orders all writers, or take it first."""
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
        except self._engine.dialect.loaded_dbapi.Error as error:
            raise LogNotWritable(f"deleted payloads are not overwritten yet: {said_by(error)}") from error
        finally:
            pooled.invalidate()

    def close(self) -> None:
        """Close every connection that nobody uses."""
        self._engine.dispose()


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
