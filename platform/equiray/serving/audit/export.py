"""The log as a Parquet file, a page of records at a time.

Notable: bodies are the texts that the macs cover, so whoever has the chain's key can verify the file itself.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import select

from equiray.errors import BadInput, writing
from equiray.serving.audit.chain import KINDS
from equiray.serving.audit.database import Database
from equiray.serving.audit.tables import SCHEMA, heads, records, stored_records, tables

_TEXTS = [column.name for column in records.c if column.name != "seq"]
COLUMNS = pa.schema([("seq", pa.int64()), *[(name, pa.string()) for name in (*_TEXTS, "salt", "payload")]])
PAGE = 5000
"""Records in memory at once, and in a row group."""


def export_log(
    url: str,
    out: Path,
    *,
    after: int = 0,
    key_id: str | None = None,
    kinds: Sequence[str] = (),
    with_payloads: bool = True,
    page: int = PAGE,
) -> int:
    """Write records to a new Parquet file, which has its name only once it is whole.

    Parameters
    ----------
    url : str
        As in `AuditLog.open`.
    out : Path
        A new file.
    after, key_id, kinds : int, str, sequence, optional
        Records after this number only, of this key, of these kinds.
    with_payloads : bool
        Whether what is personal goes into the file.
    page : int
        Records in memory at once.

    Returns
    -------
    int
        Records written.

    Raises
    ------
    BadInput
        The file exists, a kind is none, or there is no log.
    Incomplete
        The file cannot be written.
    LogNotReadable
        The database cannot be reached.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise BadInput(f"{kind!r} is no kind", place="kinds", fix=f"use one of {', '.join(KINDS)}")
    if out.exists():
        raise BadInput("exists already", place=str(out), fix="name a new file")
    database = Database(url, read_only=True)
    if len(database.missing_tables()) == len(tables):
        raise BadInput("no audit log", place=database.place, fix="name the database that the service writes")
    query = stored_records()
    if key_id is not None:
        query = query.where(records.c.key_id == key_id)
    if kinds:
        query = query.where(records.c.kind.in_(kinds))
    columns = COLUMNS if with_payloads else pa.schema([COLUMNS.field(name) for name in ("seq", *_TEXTS)])
    with database.reading() as connection:
        head = connection.execute(select(heads)).one()
    named = {"equiray.schema": SCHEMA, "equiray.log_id": head.log_id, "equiray.length": str(head.length)}
    count, part = 0, out.with_name(out.name + ".part")
    try:
        with writing(out), _private(part) as file:
            with pq.ParquetWriter(file, columns.with_metadata(named), compression="zstd") as table:
                for rows in _pages(database, query.where(records.c.seq <= head.length), after, page):
                    table.write_table(pa.Table.from_pylist([row._asdict() for row in rows], schema=table.schema))
                    count += len(rows)
            os.fsync(file.fileno())
            part.rename(out)
    finally:
        part.unlink(missing_ok=True)
        database.close()
    return count


def _private(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def _pages(database: Database, query, after: int, page: int) -> Iterator[Sequence]:
    """Each page is a transaction of its own: one over the whole log would keep the database from tidying up."""
    while True:
        with database.reading() as connection:
            rows = connection.execute(query.where(records.c.seq > after).order_by(records.c.seq).limit(page)).all()
        if not rows:
            return
        yield rows
        after = rows[-1].seq
