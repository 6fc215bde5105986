"""Whether a log is what was written: what was changed, and what cannot be seen.

Notable: the chain finds what somebody without its key changed. Somebody who has the key, or who cuts the tail off, or
puts an old backup in place, leaves a chain that fits: only the checkpoints, kept elsewhere and signed with another key,
tell. What they do not cover is said, not passed over.
"""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import exists, select

from equiray.errors import BadInput
from equiray.serving.audit.checkpoints import Checkpoint
from equiray.serving.audit.database import Database
from equiray.serving.audit.records import LogNotReadable
from equiray.serving.audit.runs import count, named, runs_of
from equiray.serving.audit.tables import heads, payloads, records, stored_records, tables
from equiray.serving.audit.walk import Change, Problem, Walk
from equiray.serving.audit.witness import Witness, read_witness

_ROWS_AT_ONCE = 2000
_UNDECODABLE = "Could not decode to UTF-8"
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_ORPHANS = select(payloads.c.seq).where(~exists().where(records.c.seq == payloads.c.seq)).order_by(payloads.c.seq)


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What `verify_log` found.

    Parameters
    ----------
    problems : tuple of Problem
        Empty where nothing was changed.
    unseen : tuple of str
        What could have been changed without a trace that this check sees.
    length : int
        Records read.
    erased : int
        Payloads that were erased, as the log itself says.
    checkpoints : int
        Signed heads that the log was compared with.
    last_checkpoint : Checkpoint or None
        The last one of them: if it is older than it should be, the checkpoints were cut, or are not written any more.
    """

    problems: tuple[Problem, ...]
    unseen: tuple[str, ...]
    length: int
    erased: int
    checkpoints: int
    last_checkpoint: Checkpoint | None


def verify_log(
    url: str, *, key: bytes, checkpoints: Path | None = None, checkpoint_key: bytes | None = None
) -> Verification:
    """Compare every record with its mac, its neighbours and its payload, and the whole with the checkpoints.

    The log is read as it is at one moment, and may be written meanwhile.

    Parameters
    ----------
    url : str
        As in `AuditLog.open`.
    key : bytes
        The chain's.
    checkpoints, checkpoint_key : Path, bytes, optional
        The folder with the signed heads, and the key that signed them.

    Raises
    ------
    BadInput
        There is no log there, or no folder.
    LogNotReadable
        The database cannot be reached.
    """
    try:
        return _verified(Database(url, read_only=True), key, checkpoints, checkpoint_key)
    except LogNotReadable as error:
        cause = getattr(error.__cause__, "orig", None)
        if getattr(cause, "sqlite_errorcode", None) in _DAMAGED:
            return _unreadable("altered", str(error))
        if _UNDECODABLE not in str(cause):
            raise
    return _verified(Database(url, read_only=True, any_text=True), key, checkpoints, checkpoint_key)


def _verified(database: Database, key: bytes, checkpoints: Path | None, checkpoint_key: bytes | None) -> Verification:
    missing = database.missing_tables()
    if len(missing) == len(tables):
        raise BadInput("no audit log", place=database.place, fix="name the database that the service writes")
    if missing:
        return _unreadable("removed", f"tables are missing: {', '.join(missing)}")
    # Before the log: a checkpoint that is added meanwhile would be ahead of what is read.
    witness = None if checkpoints is None or checkpoint_key is None else read_witness(checkpoints, checkpoint_key)
    with database.reading(frozen=True) as connection:
        walk = Walk(key, connection.execute(select(heads)).one_or_none(), {} if witness is None else witness.macs)
        query = stored_records().order_by(records.c.seq)
        for row in connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(query):
            walk.take(row)
        orphans = runs_of(connection.execute(_ORPHANS).scalars())
    database.close()
    problems = walk.end()
    if orphans:
        problems.append(Problem("payload", orphans[0][0], f"payloads without a record: {named(orphans, 'number')}"))
    if witness is not None:
        problems += witness.compare(walk)
    return Verification(
        problems=tuple(problems),
        unseen=tuple(_unseen(walk, witness)),
        length=walk.length,
        erased=count(walk.erased),
        checkpoints=0 if witness is None else len(witness.checkpoints),
        last_checkpoint=witness.checkpoints[-1] if witness is not None and witness.checkpoints else None,
    )


def _unreadable(change: Change, message: str) -> Verification:
    unseen = ("everything else: the log cannot be read",)
    return Verification(
        problems=(Problem(change, None, message),),
        unseen=unseen,
        length=0,
        erased=0,
        checkpoints=0,
        last_checkpoint=None,
    )


def _unseen(walk: Walk, witness: Witness | None) -> list[str]:
    if witness is None:
        return [
            "without checkpoints: a tail cut off together with the head row",
            "without checkpoints: an old backup put in the log's place",
            "without checkpoints: the whole log written anew by somebody who has its key",
        ]
    unseen = list(witness.unseen)
    if walk.last > witness.length:
        since = f"records {witness.length + 1:,} to {walk.last:,}, younger than the last checkpoint"
        unseen.append(f"{since}: cut off together with the head row, or written anew by somebody who has the log's key")
    unseen.append("both places put back to an earlier moment; or anything, by somebody who has both keys")
    return unseen
