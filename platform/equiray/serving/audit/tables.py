"""The log as three tables, the same on SQLite and PostgreSQL.

Notable: the head row carries the one order of all writers. Whoever holds its lock reads the last mac, adds records, and
moves it on; the lock goes with the transaction, so no two processes ever extend the same record.
"""

import json

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Row, Select, String, Table, Text, select

from equiray.serving.audit.chain import MAX_TEXT
from equiray.serving.audit.records import LogNotReadable, Record

SCHEMA = "equiray.audit/1"

_metadata = MetaData()
_big = BigInteger().with_variant(Integer, "sqlite")  # only an INTEGER PRIMARY KEY is SQLite's row number
_name = String(MAX_TEXT)

heads = Table(
    "audit_head",
    _metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("schema", String(64), nullable=False),
    Column("log_id", String(64), nullable=False),
    Column("key_check", String(64), nullable=False),
    Column("length", _big, nullable=False),
    Column("mac", String(64), nullable=False),
)
records = Table(
    "audit_records",
    _metadata,
    Column("seq", _big, primary_key=True, autoincrement=False),
    Column("record_id", _name, nullable=False, unique=True),
    Column("at", String(32), nullable=False),
    Column("kind", _name, nullable=False),
    Column("key_id", _name, nullable=False),
    Column("model_version", _name, nullable=False),
    Column("body", Text, nullable=False),
    Column("idempotency_key", _name),
    Column("request_sha256", _name, nullable=False),
    Column("commitment", String(64)),
    Column("prev", String(64), nullable=False),
    Column("mac", String(64), nullable=False),
    Index("audit_records_of_key", "key_id", "seq"),
)
_has_key = records.c.idempotency_key.is_not(None)
Index(
    "audit_records_idempotency",
    records.c.idempotency_key,
    records.c.key_id,
    unique=True,
    sqlite_where=_has_key,
    postgresql_where=_has_key,
)
payloads = Table(
    "audit_payloads",
    _metadata,
    Column("seq", _big, primary_key=True, autoincrement=False),
    Column("salt", String(32), nullable=False),
    Column("payload", Text, nullable=False),
)
tables = (heads, records, payloads)
create_all = _metadata.create_all


def stored_records() -> Select:
    """Records with their payloads, where they still have them."""
    beside = records.outerjoin(payloads, records.c.seq == payloads.c.seq)
    return select(records, payloads.c.salt, payloads.c.payload).select_from(beside)


def record_of(row: Row, *, repeated: bool = False) -> Record:
    """A row of `stored_records`.

    Raises
    ------
    LogNotReadable
        Its body or payload is no JSON any more.
    """
    try:
        body, payload = json.loads(row.body), None if row.payload is None else json.loads(row.payload)
    except ValueError as error:
        raise LogNotReadable(f"record {row.seq:,} is not what was written: run `equiray verify --audit`") from error
    return Record(
        seq=row.seq,
        record_id=row.record_id,
        at=row.at,
        kind=row.kind,
        key_id=row.key_id,
        model_version=row.model_version,
        body=body,
        idempotency_key=row.idempotency_key,
        request_sha256=row.request_sha256,
        commitment=row.commitment,
        prev=row.prev,
        mac=row.mac,
        payload=payload,
        repeated=repeated,
    )
