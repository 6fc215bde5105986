"""One transaction: a group of entries goes into the log, whole or not at all."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Connection, Select, bindparam, delete, insert

from equiray.errors import BadInput, EquirayError
from equiray.serving.audit.chain import Sealed, canonical, mac_of, record_text
from equiray.serving.audit.database import lock_head, move_head
from equiray.serving.audit.records import Head, IdempotencyConflict, LogNotWritable, Record
from equiray.serving.audit.tables import payloads, record_of, records, stored_records

Outcome = Record | EquirayError

# Made once: SQLAlchemy takes longer to put a statement together than SQLite takes to run it.
_UNDER_KEYS = stored_records().where(records.c.idempotency_key.in_(bindparam("keys", expanding=True)))
_OF_IDS = stored_records().where(records.c.record_id.in_(bindparam("ids", expanding=True)))
_ERASE = delete(payloads).where(payloads.c.seq.in_(bindparam("seqs", expanding=True)))
_ADD, _ADD_PAYLOADS = insert(records), insert(payloads)


class Item:
    """One sealed entry, and the payloads that its record says are erased."""

    __slots__ = ("erases", "sealed")

    def __init__(self, sealed: Sealed, erases: Sequence[int] = ()) -> None:
        self.sealed, self.erases = sealed, erases


class Group:
    """What one transaction adds to the log.

    Parameters
    ----------
    connection : Connection
        Of `Database.connect`, in a transaction.
    key : bytes
        The chain's.
    seen : Head
        The last head that this process knows of: the log never ends before it.
    """

    def __init__(self, connection: Connection, key: bytes, seen: Head) -> None:
        self._connection, self._key = connection, key
        self.head = lock_head(connection)
        if self.head.length < seen.length or (self.head.length == seen.length and self.head.mac != seen.mac):
            raise LogNotWritable(
                f"the audit log ends at record {self.head.length:,}, and ended at {seen.length:,} before: an older copy"
                " was put in its place"
            )
        self._rows: list[dict] = []
        self._payloads: list[dict] = []
        self._by_id: dict[str, Record] = {}
        self._by_key: dict[tuple[str, str], Record] = {}

    def look_up(self, items: Sequence[Item], *, by_id: bool) -> None:
        """Find the records that are in the log already: under an idempotency key, and, `by_id`, under their ids."""
        keys = {item.sealed.entry.idempotency_key for item in items} - {None}
        if keys:
            self._find(_UNDER_KEYS, {"keys": list(keys)})
        if by_id:
            self._find(_OF_IDS, {"ids": [item.sealed.entry.record_id for item in items]})

    def _find(self, query: Select, values: dict) -> None:
        for row in self._connection.execute(query, values):
            self._know(record_of(row))

    def _know(self, record: Record) -> None:
        self._by_id[record.record_id] = record
        if record.idempotency_key is not None:
            self._by_key[record.key_id, record.idempotency_key] = record

    def add(self, item: Item) -> Outcome:
        """The record of an entry: a new one, or the one that is in the log already."""
        entry = item.sealed.entry
        known = self._by_id.get(entry.record_id)
        if known is not None:
            return _same_record(known, item.sealed)
        if entry.idempotency_key is not None:
            known = self._by_key.get((entry.key_id, entry.idempotency_key))
            if known is not None:
                return _first_record(known, entry.request_sha256)
        record = self._append(item.sealed)
        self._know(record)
        if item.erases:
            self._connection.execute(_ERASE, {"seqs": list(item.erases)})
        return record

    def _append(self, sealed: Sealed) -> Record:
        entry, seq = sealed.entry, self.head.length + 1
        names = {
            "record_id": entry.record_id,
            "at": now(),
            "kind": entry.kind,
            "key_id": entry.key_id,
            "model_version": entry.model_version,
            "idempotency_key": entry.idempotency_key,
            "request_sha256": entry.request_sha256,
            "commitment": sealed.commitment,
            "prev": self.head.mac,
        }
        mac = mac_of(self._key, record_text(seq=seq, body=sealed.body, **names))
        self._rows.append({"seq": seq, "body": sealed.body, "mac": mac, **names})
        if sealed.payload is not None:
            self._payloads.append({"seq": seq, "salt": sealed.salt, "payload": sealed.payload})
        self.head = Head(seq, mac)
        return Record(seq=seq, body=entry.body, mac=mac, payload=entry.payload, **names)

    def store(self) -> None:
        """Send everything that was added to the database."""
        if self._rows:
            self._connection.execute(_ADD, self._rows)
            move_head(self._connection, self.head)
        if self._payloads:
            self._connection.execute(_ADD_PAYLOADS, self._payloads)


def now() -> str:
    """UTC, ISO 8601, microseconds: texts that sort as the times do."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _same_record(known: Record, sealed: Sealed) -> Outcome:
    entry = sealed.entry
    same = (known.kind, known.key_id, canonical(known.body)) == (entry.kind, entry.key_id, sealed.body)
    if same:
        return known
    return BadInput(
        f"record id {entry.record_id!r} is that of another record",
        place=f"audit log, record {known.seq:,}",
        fix="give every entry an id of its own",
    )


def _first_record(known: Record, request_sha256: str) -> Outcome:
    if known.request_sha256 == request_sha256:
        return replace(known, repeated=True)
    return IdempotencyConflict(
        f"idempotency key {known.idempotency_key!r} was used for another request (record {known.record_id}):"
        " use a new key for a new request"
    )
