"""The thread that signs where a log ends, every so many records and seconds, and at the end.

Notable: it signs the head that this process itself wrote or read, never one that it would have to ask the database for
later. A place that cannot be written stops no answers: the problem is said in `AuditLog.status` and in the program's
log, and the next turn tries again.
"""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from equiray.errors import BadInput
from equiray.serving.audit.checkpoints import Checkpoint, Place, signed
from equiray.serving.audit.records import Head
from equiray.serving.audit.writing import now

RECORDS = 1000
"""A checkpoint after this many records ..."""
SECONDS = 60.0
"""... or this long after the one before, where there are new records."""

_TURNS = 4  # looks at the clock between two checkpoints
_PAUSE_S = 1.0  # after a failure, however many records come

_CLOSING_S = 15.0

_logger = logging.getLogger(__name__)


class Checkpointer:
    """Keeps a place up with a log.

    Parameters
    ----------
    place : Place
        Where checkpoints go.
    key : bytes
        What signs them.
    log_id : str
        Which log it is.
    head : Head
        The last head that this process knows of, until `wrote` says another.
    records, seconds : int, float
        How often.
    """

    def __init__(self, place: Place, key: bytes, log_id: str, head: Head, *, records: int, seconds: float) -> None:
        self._place, self._key, self._log_id, self._head = place, key, log_id, head
        self._records, self._seconds = records, seconds
        self.last: Checkpoint | None = None
        self.problem: str | None = None
        self._woken, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep_up, name="audit checkpoints", daemon=True)

    def start(self, mac_at: Callable[[int], str | None]) -> None:
        """Compare the log with the last checkpoint, add one, and go on in a thread.

        Parameters
        ----------
        mac_at : callable
            The mac of a record of the log; None where there is none.

        Raises
        ------
        BadInput
            The log is not the one that was signed last, or an older state of it; or the place cannot be used.
        """
        try:
            self._advance(lambda last: self._first(last, mac_at))
        except OSError as error:
            raise BadInput(
                f"a checkpoint cannot be kept: {error}", place="checkpoints", fix="name a folder that can be written"
            ) from error
        self._thread.start()

    def wrote(self, head: Head) -> None:
        """The log ends there now; costs nothing unless a checkpoint is due."""
        self._head = head
        if self.last is None or head.length - self.last.length >= self._records:
            self._woken.set()

    def close(self) -> None:
        """Sign where the log ends, and end the thread; a place that does not answer is not waited for for ever."""
        self._closed.set()
        self._woken.set()
        self._thread.join(_CLOSING_S)

    def _first(self, last: Checkpoint | None, mac_at: Callable[[int], str | None]) -> Checkpoint | None:
        if last is not None:
            self._check_signature(last)
            if last.log_id != self._log_id:
                raise _not_that_log("the checkpoints are another log's: somebody put this one in its place")
            mac = mac_at(last.length) if last.length else self._log_id
            if mac is None:
                raise _not_that_log(
                    f"the log ends at record {self._head.length:,}, and had {last.length:,} at {last.at}: its tail was"
                    " cut, or an old backup restored"
                )
            if mac != last.mac:
                raise _not_that_log(f"record {last.length:,} is not the one that was signed at {last.at}")
        return self._following(last, due=True)

    def _keep_up(self) -> None:
        while not self._closed.is_set():
            self._woken.wait(self._seconds / _TURNS)
            self._woken.clear()
            self._turn(due=False)
        self._turn(due=True)

    def _turn(self, *, due: bool) -> None:
        if self.last is not None and self.last.length == self._head.length:
            return
        try:
            self._advance(lambda last: self._following(last, due=due))
            self.problem = None
        except Exception as error:  # whatever it is, the next turn may do better
            if str(error) != self.problem:
                _logger.error("no checkpoint of the audit log: %s", error)
            self.problem = str(error)
            self._closed.wait(_PAUSE_S)

    def _advance(self, following: Callable[[Checkpoint | None], Checkpoint | None]) -> None:
        self.last = self._place.advance(following) or self.last

    def _following(self, last: Checkpoint | None, *, due: bool) -> Checkpoint | None:
        head = self._head
        if last is not None:
            self._check_signature(last)
            self.last = last  # another process may have added it
            new = head.length - last.length
            if new <= 0 or not (due or new >= self._records or self._is_old(last)):
                return None
        return signed(self._key, log_id=self._log_id, length=head.length, mac=head.mac, at=now(), previous=last)

    def _check_signature(self, last: Checkpoint) -> None:
        if not last.is_signed(self._key):
            raise BadInput(
                f"the last checkpoint (record {last.length:,}) was altered, or signed with another key",
                place="checkpoints",
                fix="give the key that signed it; if it was altered, keep the file as evidence and name a new folder",
            )

    def _is_old(self, last: Checkpoint) -> bool:
        age_s = (datetime.now(UTC) - datetime.fromisoformat(last.at)).total_seconds()
        # Before the next turn it would be too old; and another process's clock may be ahead.
        return not 0 <= age_s < self._seconds * (1 - 1 / _TURNS)


def _not_that_log(problem: str) -> BadInput:
    return BadInput(
        problem,
        place="audit log",
        fix="run `equiray verify --audit` with these checkpoints; to go on with the log as it is, keep their folder as"
        " evidence and name a new one",
    )
