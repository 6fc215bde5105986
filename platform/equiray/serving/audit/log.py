"""The audit log: append, look up, and nothing else.

Notable: one thread of a process writes. What waits while a transaction runs goes into the next one together, so a disk's
wait is shared by as many entries as came meanwhile, and a single entry waits for nobody. An entry's future is done when
its transaction is committed, never before.
"""

import contextlib
import logging
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Self

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from equiray.serving.audit.chain import seal
from equiray.serving.audit.database import Database, read_head, said_by, writing
from equiray.serving.audit.records import Entry, Head, Kind, LogNotWritable, LogUnavailable, Record
from equiray.serving.audit.tables import record_of, records, stored_records
from equiray.serving.audit.writing import Group, Item, Outcome

MAX_GROUP = 256
"""Entries of one transaction."""
MAX_WAITING = 10_000
"""Entries that wait for a transaction; more are refused at once."""

_logger = logging.getLogger(__name__)
_Waiting = tuple[Item, "Future[Record]"]


class AuditLog:
    """An append-only log; safe to use from many threads. Open one in a process with `AuditLog.open`."""

    def __init__(self, database: Database, key: bytes) -> None:
        self._database, self._key = database, key
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._connection: Connection | None = None
        with database.reading() as connection:
            self._seen = read_head(connection)
        self._thread = threading.Thread(target=self._write, name="audit log", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls,
        url: str,
        *,
        key: bytes,
        checkpoints: Path | None = None,
        checkpoint_key: bytes | None = None,
        lock_wait_s: float = 5.0,
    ) -> Self:
        """Open a log, or begin one where there is none.

        Parameters
        ----------
        url : str
            `sqlite:////absolute/path.db` or `postgresql://user@host/database`.
        key : bytes
            The chain's key, at least 32 bytes, kept outside the database.
        checkpoints : Path, optional
            A folder on another disk or machine for signed heads.
        checkpoint_key : bytes, optional
            The key that signs them, another one than the chain's.
        lock_wait_s : float
            How long a group waits for its turn among other processes before its entries are refused.

        Raises
        ------
        BadInput
            The URL or a key cannot be used, or the log was started with another key.
        LogNotWritable
            The database cannot be reached or written.
        """
        database = Database(url, lock_wait_s=lock_wait_s)
        try:
            database.create(key)
        except (SQLAlchemyError, OSError) as error:
            raise LogNotWritable(
                f"the audit log cannot be opened: {said_by(error)}\n  where: {database.place}"
            ) from error
        database.check(key)
        return cls(database, key)

    def append(self, entry: Entry) -> "Future[Record]":
        """Record an entry.

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
        return self._submit(Item(seal(entry)))

    def _submit(self, item: Item) -> "Future[Record]":
        future: Future[Record] = Future()
        with self._closing:
            if self._closed:
                future.set_exception(LogNotWritable("the audit log is closed"))
            elif self._queue.qsize() >= MAX_WAITING:
                future.set_exception(LogNotWritable(f"{MAX_WAITING:,} entries wait for the audit log already"))
            else:
                self._queue.put((item, future))
        return future

    def find(self, key_id: str, idempotency_key: str) -> Record | None:
        """The record that was written under an idempotency key."""
        found = self._read(
            stored_records().where(records.c.idempotency_key == idempotency_key, records.c.key_id == key_id)
        )
        return found[0] if found else None

    def by_id(self, record_id: str) -> Record | None:
        """The record of an id."""
        found = self._read(stored_records().where(records.c.record_id == record_id))
        return found[0] if found else None

    def records(
        self, *, after: int = 0, limit: int = 1000, key_id: str | None = None, kinds: Iterable[Kind] | None = None
    ) -> list[Record]:
        """Records after a sequence number, in order: those of a key, or of some kinds, where they are named."""
        query = stored_records().where(records.c.seq > after)
        if key_id is not None:
            query = query.where(records.c.key_id == key_id)
        if kinds is not None:
            query = query.where(records.c.kind.in_(list(kinds)))
        return self._read(query.order_by(records.c.seq).limit(limit))

    def _read(self, query) -> list[Record]:
        with self._database.reading() as connection:
            return [record_of(row) for row in connection.execute(query)]

    def head(self) -> Head:
        """Where the log ends now, whoever wrote last."""
        with self._database.reading() as connection:
            return read_head(connection)

    def close(self) -> None:
        """Commit what waits, and end the thread. What is appended later is refused."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._database.close()

    # What follows runs in the writer's thread.

    def _write(self) -> None:
        going_on = True
        while going_on:
            group, going_on = self._next_group()
            if group:
                self._commit(group)
        self._drop_connection()

    def _next_group(self) -> tuple[list[_Waiting], bool]:
        """Everything that waits now, at least one; False with what waited when the log was closed."""
        waiting = self._queue.get()
        group: list[_Waiting] = []
        with contextlib.suppress(Empty):
            while waiting is not None:
                if waiting[1].set_running_or_notify_cancel():  # from now on nobody can cancel it
                    group.append(waiting)
                if len(group) == MAX_GROUP:
                    return group, True
                waiting = self._queue.get_nowait()
        return group, waiting is not None

    def _commit(self, group: list[_Waiting]) -> None:
        items = [item for item, _ in group]
        try:
            outcomes = self._attempts(items)
        except Exception as error:  # whatever it was, nobody may wait for ever
            self._refuse(group, error)
            return
        for (_, future), outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, Record):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)

    def _attempts(self, items: Sequence[Item]) -> list[Outcome]:
        try:
            return self._attempt(items)
        except DBAPIError as error:
            self._drop_connection()
            if not _may_retry(error):
                raise
        # The lost connection may have been lost after the commit: this time ids are looked up first.
        return self._attempt(items, by_id=True)

    def _attempt(self, items: Sequence[Item], *, by_id: bool = False) -> list[Outcome]:
        if self._connection is None:
            self._connection = self._database.connect()
        with writing(self._connection):
            group = Group(self._connection, self._key, self._seen)
            group.look_up(items, by_id=by_id)
            outcomes = [group.add(item) for item in items]
            group.store()
        self._seen = group.head
        return outcomes

    def _refuse(self, group: list[_Waiting], error: Exception) -> None:
        self._drop_connection()
        said = str(error) if isinstance(error, LogUnavailable) else f"the audit log cannot be written: {said_by(error)}"
        _logger.error(
            "%s (%s)", said, self._database.place, exc_info=None if isinstance(error, SQLAlchemyError) else error
        )
        for _, future in [*group, *self._waiting()]:
            future.set_exception(LogNotWritable(said))

    def _waiting(self) -> list[_Waiting]:
        """What came while a transaction failed: it would only wait for the same failure."""
        came: list[_Waiting] = []
        for _ in range(self._queue.qsize()):
            waiting = self._queue.get()
            if waiting is None:
                self._queue.put(None)
            elif waiting[1].set_running_or_notify_cancel():
                came.append(waiting)
        return came

    def _drop_connection(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(Exception):
                self._connection.invalidate()
                self._connection.close()
            self._connection = None


def _may_retry(error: DBAPIError) -> bool:
    """Whether the connection was lost, or an entry's id is in the log already: not where the database said no."""
    state = getattr(error.orig, "sqlstate", None) or ""
    return error.connection_invalidated or isinstance(error, IntegrityError) or state[:2] in ("08", "57")
