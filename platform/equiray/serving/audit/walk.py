"""Along the chain, record by record: what fits, what does not, and what was erased."""

import json
from collections.abc import Mapping
from typing import Literal, NamedTuple

from sqlalchemy import Row

from equiray.serving.audit import runs
from equiray.serving.audit.chain import commitment, key_check, mac_of, record_text
from equiray.serving.audit.runs import Run, named

Change = Literal["altered", "removed", "reordered", "cut", "rewritten", "head", "payload", "checkpoint"]
ERASING = ("erase", "retain")
"""Actions of admin records that delete payloads: their bodies name the records as `seqs`, runs of numbers."""
_KEPT = 200  # altered records that are tried in each other's place


class Problem(NamedTuple):
    """One thing that is not as it was written; `seq` is the first record that it is about, if it is about one."""

    change: Change
    seq: int | None
    message: str


class Walk:
    """Takes every record of a log in order.

    Parameters
    ----------
    key : bytes
        The chain's.
    head : Row or None
        The head row.
    signed : Mapping[int, str]
        Macs that checkpoints have signed, by the number of their record.
    """

    def __init__(self, key: bytes, head: Row | None, signed: Mapping[int, str]) -> None:
        self._key, self._head, self._signed = key, head, signed
        self.log_id: str | None = None if head is None else head.log_id
        self.length, self.last = 0, 0
        self.erased: list[Run] = []
        self.unlike: list[int] = []  # records that have another mac than was signed
        self._mac, self._fits = self.log_id or "", True
        self._problems: list[Problem] = []
        self._altered: list[Run] = []
        self._kept: dict[int, Row] = {}
        self._altered_payloads: list[Run] = []
        self._gone: list[Run] = []
        self._there: list[Run] = []
        self._said_erased: list[Run] = []

    def take(self, row: Row) -> None:
        """The next record, with its payload."""
        self.length += 1
        seq, mac = row.seq, row.mac
        follows = seq == self.last + 1
        if seq > self.last + 1:
            missing = [[self.last + 1, seq - 1]]
            self._note("removed", self.last + 1, f"{named(missing)} {_are(missing)} missing")
        fits = self._fit(row, seq)
        if not fits:
            runs.add(self._altered, seq)
            if len(self._kept) < _KEPT:
                self._kept[seq] = row
        elif follows and self._fits and row.prev != self._mac:
            self._note("rewritten", seq, f"record {seq:,} was not written after record {seq - 1:,} as it is now")
        elif row.kind == "admin":
            self._take_admin(row)
        self._take_payload(row)
        if self._signed.get(seq, mac) != mac:
            self.unlike.append(seq)
        self.last, self._mac, self._fits = max(seq, self.last), mac, fits

    def _fit(self, row: Row, seq: int) -> bool:
        """Whether the row's mac is that of a record with this number."""
        _, *fields, mac, _, _ = row  # the columns stand in the order of record_text's parameters
        try:
            return mac_of(self._key, record_text(seq, *fields)) == mac
        except (TypeError, ValueError, AttributeError):  # SQLite keeps anything in any column
            return False

    def _take_payload(self, row: Row) -> None:
        payload = row.payload
        if payload is None:
            if row.commitment is not None:
                runs.add(self._gone, row.seq)
            return
        runs.add(self._there, row.seq)
        try:
            fits = commitment(row.salt, payload) == row.commitment
        except (TypeError, ValueError, AttributeError):
            fits = False
        if not fits:
            runs.add(self._altered_payloads, row.seq)

    def _take_admin(self, row: Row) -> None:
        body = json.loads(row.body)
        if body.get("action") in ERASING and isinstance(body.get("seqs"), list):
            self._said_erased += [[first, min(last, row.seq - 1)] for first, last in body["seqs"]]

    def end(self) -> list[Problem]:
        """Everything that does not fit, once the last record was taken."""
        self._judge_altered()
        self._judge_payloads()
        self._judge_head()
        return self._problems

    def _judge_altered(self) -> None:
        for seq, row in self._kept.items():
            written_as = [n for n in self._kept if n != seq and self._fit(row, n)]
            if written_as:
                self._note("reordered", seq, f"record {seq:,} was written as record {written_as[0]:,}")
                self._altered = runs.without(self._altered, [[seq, seq]])
        if self._altered:
            where = self._altered[0][0]
            self._note("altered", where, f"{named(self._altered)} {_are(self._altered)} not what was written")

    def _judge_payloads(self) -> None:
        said = runs.union(self._said_erased)
        self.erased = runs.common(self._gone, said)
        unsaid, still = runs.without(self._gone, said), runs.common(self._there, said)
        for found, problem in (
            (self._altered_payloads, "not what was written"),
            (unsaid, "gone, and no record says that they were erased"),
            (still, "there, though a record says that they were erased"),
        ):
            if found:
                self._note("payload", found[0][0], f"payloads of {named(found)}: {problem}")

    def _judge_head(self) -> None:
        head = self._head
        if head is None:
            self._note("head", None, "the head row is missing")
            return
        if head.key_check != key_check(self._key, head.log_id):
            self._note("head", None, "this is not the log's key, or the head row was altered")
        if isinstance(head.length, int) and head.length > self.last:
            missing = [[self.last + 1, head.length]]
            self._note("cut", self.last + 1, f"the tail was cut: {named(missing)} {_are(missing)} missing")
        elif (head.length, head.mac) != (self.last, self._mac):
            self._note("head", None, f"the head row names record {head.length}, and the last one is {self.last:,}")

    def _note(self, change: Change, seq: int | None, message: str) -> None:
        self._problems.append(Problem(change, seq, message))


def _are(found: list[Run]) -> str:
    return "is" if runs.count(found) == 1 else "are"
