"""Decisions of the primary beside the shadow's on the same rows, read off an audit log and counted.

Notable: the log is read a page at a time, and only counts stay. Labels, which may come long after, wait in a temporary
SQLite database that spills to the disk and goes with the process.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, func, select

from equiray.errors import BadInput
from equiray.metrics.tables import MISSING, JointTable, Mass
from equiray.serving.audit import LogNotReadable, Record
from equiray.serving.audit.database import Database
from equiray.serving.audit.tables import record_of, records, stored_records
from equiray.serving.monitor.folding import Decided, Unreadable, decisions, group_of, outcomes

MOST_GROUPS = 50
"""Groups of an attribute: more are no groups, but names or numbers that somebody sends as one."""
UNLABELLED = 2
"""Place on the label axis of rows whose outcome has not come."""
_PAGE = 500
_CLASSES = ("0", "1")

_Joint = NDArray[np.int64]  # [label 0, 1 or none; primary's decision; shadow's decision]


class Versions(NamedTuple):
    """Model versions that are compared."""

    primary: str
    shadow: str


@dataclass(kw_only=True)
class LeftOut:
    """What was not compared, in records and in rows of decisions.

    `not_shadowed` counts decisions of the primary, since the first one that was, which the shadow was not asked or did
    not answer; `other_versions` those pairs of which one side is another model version.
    """

    erased_records: int = 0
    erased_rows: int = 0
    not_shadowed: int = 0
    other_versions: int = 0
    repeated: int = 0


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Counts of the rows that both decided, by label and by what either decided.

    Attributes
    ----------
    rows, records : int
    total : int64 [3, 4, 4]
        Label 0, 1, none; primary's decision 0, 1, refused, unparsed; shadow's.
    groups : mapping
        The same for each group of each attribute; rows of no known group are what `total` has beyond these.
    task : str
    length : int
        Records of the log when it was read.
    """

    versions: Versions
    task: str
    records: int
    length: int
    total: _Joint
    groups: Mapping[str, Mapping[str, _Joint]]
    left_out: LeftOut

    @property
    def rows(self) -> int:
        """Rows that both were asked about."""
        return int(self.total.sum())

    @property
    def labelled(self) -> int:
        """Those of them whose outcome has come."""
        return int(self.total[:UNLABELLED].sum())

    def tables(self, *, labelled: bool) -> list[JointTable]:
        """Joint tables: of the rows with a label, or of all rows, which then stand under the label 0."""
        return [self._table(attribute, by_group, labelled) for attribute, by_group in self.groups.items()]

    def overall(self, *, labelled: bool) -> JointTable:
        """All rows as one group."""
        return _joint_table("", {"(all)": self.total}, labelled)

    def _table(self, attribute: str, by_group: Mapping[str, _Joint], labelled: bool) -> JointTable:
        known = dict(sorted(by_group.items()))
        missing = self.total - sum(known.values(), np.zeros_like(self.total))
        if missing.any():
            known[MISSING] = missing
        return _joint_table(attribute, known, labelled)


def _joint_table(attribute: str, groups: Mapping[str, _Joint], labelled: bool) -> JointTable:
    count = np.stack(list(groups.values()))
    everyone = np.stack([count.sum(1), np.zeros_like(count[:, 0])], axis=1)
    count = count[:, :UNLABELLED] if labelled else everyone
    return JointTable(attribute=attribute, groups=tuple(groups), classes=_CLASSES, mass=Mass(count))


def pair_log(url: str, versions: Versions, attributes: Sequence[str] | None = None) -> Paired:
    """Count every decision of the primary that the shadow was asked, too.

    Parameters
    ----------
    url : str
        As in `AuditLog.open`.
    versions : Versions
        Records of others are counted and left out.
    attributes : sequence of str, optional
        Those to compare groups of, ``a*b`` for an intersection; default: all that the decisions name.

    Raises
    ------
    BadInput
        There is no log, no shadow record, none of these versions; an attribute has too many groups, or none.
    LogNotReadable
        The database cannot be reached, or a record is not what the service writes.
    """
    database = Database(url, read_only=True)
    try:
        if database.missing_tables():
            raise BadInput("no audit log", place=database.place, fix="name the database that the service writes")
        return _Pairing(database, versions, attributes).run()
    finally:
        database.close()


@dataclass
class _Pairing:
    """One reading of a log."""

    database: Database
    versions: Versions
    attributes: Sequence[str] | None
    total: _Joint = field(default_factory=lambda: np.zeros((3, 4, 4), np.int64))
    groups: dict[str, dict[str, _Joint]] = field(default_factory=dict)
    left_out: LeftOut = field(default_factory=LeftOut)
    count: int = 0
    tasks: dict[str, int] = field(default_factory=dict)
    others: dict[Versions, int] = field(default_factory=dict)
    first: int | None = None

    def run(self) -> Paired:
        with self.database.reading() as connection:
            length = connection.execute(select(func.coalesce(func.max(records.c.seq), 0))).scalar_one()
        with closing(sqlite3.connect("")) as scratch:  # "": a file that nobody else can open, removed by itself
            scratch.execute("CREATE TABLE label (id TEXT PRIMARY KEY, label INTEGER) WITHOUT ROWID")
            scratch.execute("CREATE TABLE paired (id TEXT PRIMARY KEY) WITHOUT ROWID")
            self._take_labels(scratch, length)
            shadows = 0
            for page in self._pages("shadow", length):
                shadows += len(page)
                self._take_page(scratch, page)
        self._check(shadows)
        self.left_out.not_shadowed = self._decisions(length) - self.count - self.left_out.erased_records
        return Paired(
            versions=self.versions,
            task=next(iter(self.tasks)),
            records=self.count,
            length=length,
            total=self.total,
            groups=self._known_groups(),
            left_out=replace(self.left_out),
        )

    def _pages(self, kind: str, length: int) -> Iterator[list[Record]]:
        """Each page is a transaction of its own: a service goes on writing meanwhile."""
        after = 0
        query = stored_records().where(records.c.kind == kind, records.c.seq <= length).order_by(records.c.seq)
        while page := self._read(query.where(records.c.seq > after).limit(_PAGE)):
            yield page
            after = page[-1].seq

    def _read(self, query: Select) -> list[Record]:
        with self.database.reading() as connection:
            return [record_of(row) for row in connection.execute(query)]

    def _take_labels(self, scratch: sqlite3.Connection, length: int) -> None:
        """The first label of a decision stays: the live monitor counts it so, too."""
        for page in self._pages("outcome", length):
            for record in page:
                seen = [(one.decision_id, one.label) for one in _rows(record, outcomes) if one.label is not None]
                scratch.executemany("INSERT OR IGNORE INTO label VALUES (?, ?)", seen)

    def _take_page(self, scratch: sqlite3.Connection, page: Sequence[Record]) -> None:
        ids = [str(record.body.get("shadow_of")) for record in page]
        primaries = {each.record_id: each for each in self._read(stored_records().where(records.c.record_id.in_(ids)))}
        for shadow, record_id in zip(page, ids, strict=True):
            primary = primaries.get(record_id)
            if primary is None or primary.kind != "decision":
                raise _not_written(shadow, f"shadow of {record_id}, which is no decision in the log")
            found = Versions(primary.model_version, shadow.model_version)
            self.others[found] = self.others.get(found, 0) + 1
            if found != self.versions:
                self.left_out.other_versions += len(_rows(primary, decisions))
            elif not scratch.execute("INSERT OR IGNORE INTO paired VALUES (?)", (record_id,)).rowcount:
                self.left_out.repeated += 1
            else:
                self._take_pair(scratch, primary, shadow)

    def _take_pair(self, scratch: sqlite3.Connection, primary: Record, shadow: Record) -> None:
        first, second = _rows(primary, decisions), _rows(shadow, decisions)
        if [one.id for one in first] != [one.id for one in second]:
            raise _not_written(shadow, f"other rows than record {primary.seq:,}, whose shadow it is")
        self.first = primary.seq if self.first is None else min(self.first, primary.seq)
        if primary.payload is None and primary.commitment is not None:
            self.left_out.erased_records += 1
            self.left_out.erased_rows += len(first)
            return
        task = str(primary.body.get("task"))
        self.tasks[task] = self.tasks.get(task, 0) + 1
        self.count += 1
        for one, other in zip(first, second, strict=True):
            found = scratch.execute("SELECT label FROM label WHERE id = ?", (one.id,)).fetchone()
            self._take_row(one, other, UNLABELLED if found is None else found[0])

    def _take_row(self, one: Decided, other: Decided, label: int) -> None:
        cell = (label, one.decision, other.decision)
        self.total[cell] += 1
        for attribute in one.attributes if self.attributes is None else self.attributes:
            group = group_of(attribute, one.attributes)
            by_group = self.groups.setdefault(attribute, {})
            if group is None:
                continue
            if group not in by_group:
                if len(by_group) == MOST_GROUPS:
                    problem = f"attribute {attribute!r} has more than {MOST_GROUPS} groups"
                    fix = "name those to compare: --attributes sex,race"
                    raise BadInput(problem, place=self.database.place, fix=fix)
                by_group[group] = np.zeros((3, 4, 4), np.int64)
            by_group[group][cell] += 1

    def _check(self, shadows: int) -> None:
        place = self.database.place
        if not shadows:
            fix = "name a `shadow` bundle in the serve config, and let it answer for a while"
            raise BadInput("no shadow record: nothing was decided by two bundles", place=place, fix=fix)
        if self.versions not in self.others:
            there = "; ".join(f"{v.shadow} beside {v.primary} ({n:,} records)" for v, n in self.others.items())
            problem = f"no record of {self.versions.shadow} as the shadow of {self.versions.primary}"
            fix = f"serve both for a while, or name the bundles that the log speaks of: {there}"
            raise BadInput(problem, place=place, fix=fix)
        if not self.count:
            problem = f"the payloads of all {self.left_out.erased_records:,} shadowed records were erased"
            raise BadInput(problem, place=place, fix="look before retention erases them, or wait for new decisions")
        if len(self.tasks) > 1:
            raise BadInput(f"more than one task: {', '.join(self.tasks)}", place=place, fix="a bundle decides one")

    def _known_groups(self) -> Mapping[str, Mapping[str, _Joint]]:
        found = {name: groups for name, groups in self.groups.items() if groups}
        wanted = list(self.attributes or [])
        missing = [name for name in wanted if name not in found]
        if missing or not found:
            problem = f"no decision names a group of {missing[0]!r}" if missing else "no decision names a group"
            named = f"--attributes: the log has {', '.join(found)}" if found else "send `attributes` with the rows"
            raise BadInput(problem, place=self.database.place, fix=named)
        return found if not wanted else {name: found[name] for name in wanted}

    def _decisions(self, length: int) -> int:
        """Records of the primary since the first one that the shadow answered."""
        mine = (records.c.kind == "decision", records.c.model_version == self.versions.primary)
        query = select(func.count()).where(*mine, records.c.seq >= (self.first or 0), records.c.seq <= length)
        with self.database.reading() as connection:
            return connection.execute(query).scalar_one()


def _rows(record: Record, read: Any) -> list[Any]:
    try:
        return list(read(record))
    except Unreadable as error:
        raise _not_written(record, str(error)) from error


def _not_written(record: Record, problem: str) -> LogNotReadable:
    return LogNotReadable(f"record {record.seq:,}: {problem}\n  fix:   run `equiray verify --audit`")
