"""The thread that commits.

Notable: what waits while a transaction runs goes into the next one together, so a disk's wait is shared by as many
entries as came meanwhile, and a single entry waits for nobody. A future is done when its transaction is committed,
never before. A transaction that fails refuses everything that waits, and the next one begins with a new connection.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from equiray.serving.audit.database import Database, said_by
from equiray.serving.audit.records import Head, LogNotWritable, LogUnavailable, Record
from equiray.serving.audit.writing import Group, Item, Outcome

MAX_GROUP = 256
"""Entries of one transaction."""
MAX_WAITING = 10_000
"""Entries that wait for a transaction; more are refused at once."""

_logger = logging.getLogger(__name__)
_Waiting = tuple[Item, "Future[Record]"]


class Writer:
    """Writes what is submitted, in groups.

    Parameters
    ----------
    database : Database
        Has a log.
    key : bytes
        The chain's.
    head : Head
        The last head that this process knows of.
    wrote : callable
        Is told the new head after every commit.
    """

    def __init__(self, database: Database, key: bytes, head: Head, wrote: Callable[[Head], None]) -> None:
        self._database, self._key, self._wrote = database, key, wrote
        self.head = head
        self.problem: str | None = None
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._closing, self._closed = threading.Lock(), False
        self._connection: Connection | None = None
        self._files: list[tuple[int, int]] = []
        self._thread = threading.Thread(target=self._run, name="audit log", daemon=True)
        self._thread.start()

    def submit(self, item: Item) -> "Future[Record]":
        """Put an entry into one of the next transactions."""
        future: Future[Record] = Future()
        with self._closing:
            if self._closed:
                future.set_exception(LogNotWritable("the audit log is closed"))
            elif self._queue.qsize() >= MAX_WAITING:
                future.set_exception(LogNotWritable(f"{MAX_WAITING:,} entries wait for the audit log already"))
            else:
                self._queue.put((item, future))
        return future

    def close(self) -> None:
        """Commit what waits, and end the thread."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
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
        try:
            outcomes = self._attempts([item for item, _ in group])
        except Exception as error:  # whatever it was, nobody may wait for ever
            self._refuse(group, error)
            return
        self.problem = None
        self._wrote(self.head)
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
        # The connection may have been lost after the commit: this time ids are looked up first.
        return self._attempt(items, by_id=True)

    def _attempt(self, items: Sequence[Item], *, by_id: bool = False) -> list[Outcome]:
        new = self._connection is None
        if self._connection is None:
            self._connection = self._database.connect()
        with self._connection.begin():
            if new:
                self._files = self._database.files()
            group = Group(self._connection, self._key, self.head)
            group.look_up(items, by_id=by_id)
            outcomes = [group.add(item) for item in items]
            group.store()
        if self._database.files() != self._files:  # SQLite would go on writing to files that nobody finds any more
            raise LogNotWritable("the audit log's file was removed, or another one put in its place")
        self.head = group.head
        return outcomes

    def _refuse(self, group: list[_Waiting], error: Exception) -> None:
        self._drop_connection()
        known = isinstance(error, LogUnavailable)
        said = str(error) if known else f"the audit log cannot be written: {said_by(error)}"
        if said != self.problem:
            unforeseen = None if known or isinstance(error, SQLAlchemyError) else error
            _logger.error("%s (%s)", said, self._database.place, exc_info=unforeseen)
        self.problem = said
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
