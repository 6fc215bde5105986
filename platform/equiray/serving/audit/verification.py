"""Whether a log is what was written: what was changed, and what cannot be seen.

Notable: the chain finds what somebody without its key changed. Somebody who has the key, or who cuts the tail off, or
puts an old backup in place, leaves a chain that fits: only the checkpoints, kept elsewhere and signed with another key,
tell. What they do not cover is said, not passed over.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from sqlalchemy import select

from equiray.errors import BadInput
from equiray.serving.audit.chain import commitment, key_check, mac_of, record_text
from equiray.serving.audit.database import Database
from equiray.serving.audit.tables import heads, records, stored_records

Change = Literal["altered", "removed", "reordered", "cut", "rewritten", "head", "payload", "checkpoint"]
_ROWS_AT_ONCE = 2000


class Problem(NamedTuple):
    """One thing that is not as it was written; `seq` is the record it is about, where it is about one."""

    change: Change
    seq: int | None
    message: str


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What `verify_log` found.

    Parameters
    ----------
    problems : tuple of Problem
        In the order of the records; empty where nothing was changed.
    unseen : tuple of str
        What could have been changed without a trace that this check sees.
    length : int
        Records read.
    checkpoints : int
        Signed heads that the log was compared with.
    """

    problems: tuple[Problem, ...]
    unseen: tuple[str, ...]
    length: int
    checkpoints: int


def verify_log(
    url: str, *, key: bytes, checkpoints: Path | None = None, checkpoint_key: bytes | None = None
) -> Verification:
    """Compare every record with its mac, its neighbours and its payload, and the whole with the checkpoints.

    Raises
    ------
    BadInput
        There is no log there, or a key or a folder cannot be used.
    LogNotReadable
        The database cannot be reached.
    """
    database = Database(url, read_only=True)
    if not database.has_log():
        raise BadInput("no audit log", place=database.place, fix="name the database that the service writes")
    walk = _Walk(key)
    with database.reading(frozen=True) as connection:
        head = connection.execute(select(heads)).one_or_none()
        walk.begin(head)
        query = stored_records().order_by(records.c.seq)
        for row in connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(query):
            walk.take(row)
        walk.end(head)
    database.close()
    return Verification(problems=tuple(walk.problems), unseen=(), length=walk.count, checkpoints=0)


class _Walk:
    """Along the chain, record by record."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.problems: list[Problem] = []
        self.count = 0
        self._last, self._mac = 0, ""

    def begin(self, head) -> None:
        if head is None:
            self._note("head", None, "the head row is missing")
            return
        self._mac = head.log_id
        if head.key_check != key_check(self._key, head.log_id):
            self._note("head", None, "the key is not the log's own, or the head row was altered")

    def take(self, row) -> None:
        self.count += 1
        seq, prev, mac, body = row.seq, row.prev, row.mac, row.body
        if seq != self._last + 1:
            self._note("removed", self._last + 1, f"records {self._last + 1:,} to {seq - 1:,} are missing")
        elif prev != self._mac:
            self._note("reordered", seq, f"record {seq:,} does not follow the record before it")
        text = record_text(
            seq,
            row.record_id,
            row.at,
            row.kind,
            row.key_id,
            row.model_version,
            body,
            row.idempotency_key,
            row.request_sha256,
            row.commitment,
            prev,
        )
        if mac_of(self._key, text) != mac:
            self._note("altered", seq, f"record {seq:,} is not what was written")
        if row.payload is not None and commitment(row.salt, row.payload) != row.commitment:
            self._note("payload", seq, f"the payload of record {seq:,} is not what was written")
        self._last, self._mac = seq, mac

    def end(self, head) -> None:
        if head is not None and (head.length, head.mac) != (self._last, self._mac):
            self._note("cut", None, f"the head row says {head.length:,} records, and the last one is {self._last:,}")

    def _note(self, change: Change, seq: int | None, message: str) -> None:
        self.problems.append(Problem(change, seq, message))
