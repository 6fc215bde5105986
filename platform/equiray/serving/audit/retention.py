"""Erasing payloads: after a time, or on request. The chain stays whole, and says what was erased.

Notable: a payload goes in the same transaction in which an `admin` record says so, so a log is never found with one
and without the other. Many payloads go in several transactions, so that answers need not wait for all of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, select

from equiray.errors import BadInput
from equiray.serving.audit.log import AuditLog
from equiray.serving.audit.records import Entry
from equiray.serving.audit.runs import runs_of
from equiray.serving.audit.tables import payloads, records

AT_ONCE = 1000
"""Payloads of one transaction."""
OPERATOR = "operator"
"""The key id of what is done at the command line."""
_IDS_AT_ONCE = 500


@dataclass(frozen=True, kw_only=True)
class Erased:
    """What was erased.

    Parameters
    ----------
    payloads : int
        How many.
    said_by : tuple of int
        The numbers of the records that say so.
    overwritten : bool
        Nothing of them is in the database's files any more. (Backups are another matter.)
    """

    payloads: int
    said_by: tuple[int, ...]
    overwritten: bool


def retain(log: AuditLog, days: float, *, now: datetime | None = None) -> Erased:
    """Erase the payloads of records that are older than some days.

    Raises
    ------
    BadInput
        The number of days is negative.
    LogNotWritable
        Some may be erased already, and are recorded as such: repeat the command.
    """
    if not days >= 0:
        raise BadInput(f"{days} days", place="--days", fix="give 0 or more")
    before = ((now or datetime.now(UTC)) - timedelta(days=days)).isoformat(timespec="microseconds")
    return _erase(log, records.c.at < before, {"action": "retain", "days": days, "before": before})


def erase_records(log: AuditLog, record_ids: Sequence[str]) -> Erased:
    """Erase the payloads of named records.

    Raises
    ------
    BadInput
        A record is not in the log; nothing is erased then.
    LogNotWritable
        As `retain`.
    """
    known: set[str] = set()
    for ids in _parts(sorted(set(record_ids)), _IDS_AT_ONCE):
        known.update(log.select(select(records.c.record_id).where(records.c.record_id.in_(ids))))
    unknown = sorted(set(record_ids) - known)
    if unknown:
        raise BadInput(
            f"{len(unknown):,} records are not in the log: {', '.join(unknown[:5])}",
            place="record ids",
            fix="give ids as the service answered them, without the part of a decision's number",
        )
    done = [
        _erase(log, records.c.record_id.in_(ids), {"action": "erase"}) for ids in _parts(sorted(known), _IDS_AT_ONCE)
    ]
    return Erased(
        payloads=sum(each.payloads for each in done),
        said_by=tuple(seq for each in done for seq in each.said_by),
        overwritten=all(each.overwritten for each in done),
    )


def erase_key(log: AuditLog, key_id: str) -> Erased:
    """Erase the payloads of all records of a key that there are now."""
    return _erase(log, records.c.key_id == key_id, {"action": "erase", "key_id": key_id})


def _erase(log: AuditLog, which: ColumnElement[bool], why: dict[str, Any]) -> Erased:
    last, count, said_by = 0, 0, []
    end = log.head().length
    beside = payloads.join(records, payloads.c.seq == records.c.seq)
    query = select(payloads.c.seq).select_from(beside).where(which, payloads.c.seq <= end).order_by(payloads.c.seq)
    while seqs := log.select(query.where(payloads.c.seq > last).limit(AT_ONCE)):
        body = {**why, "payloads": len(seqs), "seqs": runs_of(seqs)}
        entry = Entry(kind="admin", key_id=OPERATOR, model_version="", body=body)
        said_by.append(log.append(entry, erasing=seqs).result().seq)
        last, count = seqs[-1], count + len(seqs)
    return Erased(payloads=count, said_by=tuple(said_by), overwritten=log.scrub())


def _parts(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]
