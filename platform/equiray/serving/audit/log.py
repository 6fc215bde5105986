"""The audit log: append and look up; nothing is ever changed."""

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple, Self

from sqlalchemy import Select, select
from sqlalchemy.exc import SQLAlchemyError

from equiray.errors import BadInput
from equiray.serving.audit.chain import seal
from equiray.serving.audit.checkpointing import RECORDS, SECONDS, Checkpointer
from equiray.serving.audit.checkpoints import Checkpoint, folder_at
from equiray.serving.audit.database import Database, read_head, said_by
from equiray.serving.audit.keys import KEY_BYTES
from equiray.serving.audit.records import Entry, Head, Kind, LogNotWritable, Record
from equiray.serving.audit.tables import record_of, records, stored_records
from equiray.serving.audit.writer import Writer
from equiray.serving.audit.writing import Item


class Status(NamedTuple):
    """How a process's log does: what it last wrote, and what is wrong now (None: nothing)."""

    head: Head
    problem: str | None
    checkpoint: Checkpoint | None
    checkpoint_problem: str | None


class AuditLog:
    """An append-only log; safe to use from many threads. A process opens one with `AuditLog.open`."""

    def __init__(self, database: Database, writer: Writer, checkpointer: Checkpointer | None) -> None:
        self._database, self._writer, self._checkpointer = database, writer, checkpointer

    @classmethod
    def open(
        cls,
        url: str,
        *,
        key: bytes,
        checkpoints: Path | None = None,
        checkpoint_key: bytes | None = None,
        lock_wait_s: float = 5.0,
        checkpoint_records: int = RECORDS,
        checkpoint_seconds: float = SECONDS,
    ) -> Self:
        """Open a log, or begin one where there is none.

        Parameters
        ----------
        url : str
            `sqlite:////absolute/path.db` or `postgresql://user@host/database`.
        key : bytes
            The chain's key, kept outside the database.
        checkpoints : Path, optional
            A folder for signed heads, of this log alone, on another disk or machine.
        checkpoint_key : bytes, optional
            The key that signs them, another one than the chain's.
        lock_wait_s : float
            How long a group waits for its turn among other processes before its entries are refused.
        checkpoint_records, checkpoint_seconds : int, float
            A checkpoint after so many records, or so long after the one before.

        Raises
        ------
        BadInput
            The URL, a key or the folder cannot be used; the log was started with another key; or it is not the log,
            or an older state of the log, that the last checkpoint signed.
        LogNotWritable
            The database cannot be reached or written.
        """
        _check_keys(key, checkpoints, checkpoint_key)
        database = Database(url, lock_wait_s=lock_wait_s)
        try:
            database.create(key)
        except (SQLAlchemyError, OSError) as error:
            raise LogNotWritable(
                f"the audit log cannot be opened: {said_by(error)}\n  where: {database.place}"
            ) from error
        log_id = database.check(key)
        with database.reading() as connection:
            head = read_head(connection)
        if checkpoints is None or checkpoint_key is None:
            return cls(database, Writer(database, key, head, lambda head: None), None)
        checkpointer = Checkpointer(
            folder_at(checkpoints), checkpoint_key, log_id, head, records=checkpoint_records, seconds=checkpoint_seconds
        )
        checkpointer.start(lambda seq: _mac_at(database, seq))
        return cls(database, Writer(database, key, head, checkpointer.wrote), checkpointer)

    def append(self, entry: Entry, *, erasing: Sequence[int] = ()) -> "Future[Record]":
        """Record an entry.

        Parameters
        ----------
        entry : Entry
            What shall be recorded.
        erasing : sequence of int
            Numbers of records whose payloads are deleted with it (see `retention`, which writes the fitting entry).

        Returns
        -------
        Future[Record]
            Done when the record is durably committed. Its exception is `LogNotWritable` where that is not known, and
            `IdempotencyConflict` where the entry's idempotency key was used for another request.

        Raises
        ------
        BadInput
            The entry is not JSON, or a name is too long.
        """
        return self._writer.submit(Item(seal(entry), erasing))

    def find(self, key_id: str, idempotency_key: str) -> Record | None:
        """The record that was written under an idempotency key."""
        of_key = records.c.key_id == key_id
        return self._one(stored_records().where(records.c.idempotency_key == idempotency_key, of_key))

    def by_id(self, record_id: str) -> Record | None:
        """The record of an id."""
        return self._one(stored_records().where(records.c.record_id == record_id))

    def records(
        self, *, after: int = 0, limit: int = 1000, key_id: str | None = None, kinds: Iterable[Kind] | None = None
    ) -> list[Record]:
        """Records after a sequence number, in order: those of a key, or of some kinds, where they are named.

        Raises
        ------
        LogNotReadable
            The database cannot be reached (so everything here that looks up).
        """
        query = stored_records().where(records.c.seq > after)
        if key_id is not None:
            query = query.where(records.c.key_id == key_id)
        if kinds is not None:
            query = query.where(records.c.kind.in_(list(kinds)))
        with self._database.reading() as connection:
            return [record_of(row) for row in connection.execute(query.order_by(records.c.seq).limit(limit))]

    def _one(self, query) -> Record | None:
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else record_of(row)

    def select(self, query: Select) -> list[Any]:
        """The first column of a query of the log's tables."""
        with self._database.reading() as connection:
            return list(connection.execute(query).scalars())

    def head(self) -> Head:
        """Where the log ends now, whoever wrote last."""
        with self._database.reading() as connection:
            return read_head(connection)

    def scrub(self) -> bool:
        """Overwrite what was deleted in the database's files; False where a reader keeps some of it for now."""
        return self._database.scrub()

    def status(self) -> Status:
        """What this process last wrote, and whether anything is wrong; asks no database."""
        writer, checkpointer = self._writer, self._checkpointer
        if checkpointer is None:
            return Status(writer.head, writer.problem, None, None)
        return Status(writer.head, writer.problem, checkpointer.last, checkpointer.problem)

    def close(self) -> None:
        """Commit what waits, and sign where the log ends. What is appended later is refused."""
        self._writer.close()
        if self._checkpointer is not None:
            self._checkpointer.close()
        self._database.close()


def _mac_at(database: Database, seq: int) -> str | None:
    with database.reading() as connection:
        return connection.execute(select(records.c.mac).where(records.c.seq == seq)).scalar_one_or_none()


def _check_keys(key: bytes, checkpoints: Path | None, checkpoint_key: bytes | None) -> None:
    if (checkpoints is None) != (checkpoint_key is None):
        raise BadInput(
            "checkpoints need a folder and a key", place="audit log", fix="give both checkpoints and checkpoint_key"
        )
    for name, each in (("key", key), ("checkpoint_key", checkpoint_key)):
        if each is not None and len(each) < KEY_BYTES:
            raise BadInput(f"{name} has {len(each)} bytes", place="audit log", fix=f"give at least {KEY_BYTES}")
    if key == checkpoint_key:
        raise BadInput(
            "one key for both: who can write the chain could sign it, too", place="audit log", fix="give two keys"
        )
