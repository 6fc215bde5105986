"""`Monitor`: a fold over the audit log's records, in their one order, each exactly once."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from typing import Any, NamedTuple

from equiray.errors import BadInput
from equiray.serving.monitor.actions import Action, OnFail, action_for
from equiray.serving.monitor.describing import describe
from equiray.serving.monitor.exporting import exported
from equiray.serving.monitor.folding import LogRecord, Unreadable, decisions, outcomes
from equiray.serving.monitor.memory import Memory
from equiray.serving.monitor.series import Series
from equiray.serving.monitor.settings import Settings
from equiray.serving.monitor.watch import Watch

SNAPSHOT = "equiray.monitor/1"
_UNREAD_SHOWN = 20


class Failed(NamedTuple):
    """An alarm that has just gone off; `id` is the same however often the log is read."""

    id: str
    version: str
    rule: str
    at: str
    seq: int
    row: int
    e_value: float
    alpha: float


class Monitor:
    """Counts, bets and verdicts of every model version, from the audit log's records.

    Not thread-safe: one actor owns it. A monitor that starts anew goes on from a snapshot, or reads the log from its
    first record: with equal settings both give the same figures, unless payloads have been erased in between. Groups
    stand in payloads only, so a log whose payloads are erased no longer says who was decided how: keep snapshots.

    Parameters
    ----------
    settings : Settings
    on_fail : OnFail
    on_alarm : callable, optional
        Called with each alarm as it goes off; it must return at once (`alerts.Webhook.send` does).
    """

    def __init__(
        self, settings: Settings, *, on_fail: OnFail | None = None, on_alarm: Callable[[Failed], None] | None = None
    ) -> None:
        self.settings, self.on_fail, self.on_alarm = settings, on_fail or OnFail(), on_alarm
        self.seq, self.at = 0, ""
        self.watches: dict[str, Watch] = {}
        self.memory = Memory(settings.remembered)
        self.unwatched: dict[str, int] = {"decisions": 0, "late": 0, "repeated": 0, "unlabelled": 0, "unreadable": 0}
        self.unread: list[dict[str, Any]] = []
        self.accepted: set[str] = set()

    def take(self, records: Sequence[LogRecord]) -> None:
        """Read further records; those that have been read are passed over.

        Raises
        ------
        ValueError
            A record is missing between those read and these, or they are out of order: nothing of it is read.
        """
        new = [record for record in records if record.seq > self.seq]
        for expected, record in enumerate(new, self.seq + 1):
            if record.seq != expected:
                due = f"record {record.seq} came where record {expected} was due"
                raise ValueError(f"{due}: read the log after {self.seq}, records of all kinds")
        for record in new:
            try:
                self._read(record)
            except Unreadable as error:
                self.unwatched["unreadable"] += 1
                self.unread = [*self.unread, {"seq": record.seq, "problem": str(error)}][-_UNREAD_SHOWN:]
            self.seq, self.at = record.seq, record.at
        for watch in self.watches.values():
            for series in watch.flush():
                self._alarm(watch, series)

    def action(self, version: str) -> Action:
        """What the gateway must do with requests that `version` would answer."""
        return action_for(version, self.on_fail, self.failures(), self.accepted)

    def failures(self) -> dict[str, str]:
        """Versions with a FAIL, and which bounds."""
        found = {
            version: "; ".join(series.bound.rule for series in watch.series if series.alarm is not None)
            for version, watch in self.watches.items()
        }
        return {version: rules for version, rules in found.items() if rules}

    def document(self, *, serving: str | None = None, audit: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """``GET /v1/fairness`` (docs/contracts/live_fairness.json).

        Parameters
        ----------
        serving : str, optional
            The version that is deployed; default: the one that decided last.
        audit : mapping, optional
            What the gateway knows of the log: ``{"length", "checkpoint_at", "problems"}``.
        """
        return describe(self, serving, audit)

    def prometheus(self) -> str:
        """The document's numbers in Prometheus' text format."""
        return exported(self.document())

    def snapshot(self) -> dict[str, Any]:
        """All of it as JSON; about 100 bytes for each remembered decision."""
        return {
            "schema": SNAPSHOT,
            "settings_sha256": settings_hash(self.settings),
            "seq": self.seq,
            "at": self.at,
            "watches": [watch.to_json() for watch in self.watches.values()],
            "memory": self.memory.to_json(),
            "unwatched": dict(self.unwatched),
            "unread": list(self.unread),
            "accepted": sorted(self.accepted),
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot.

        Raises
        ------
        BadInput
            It is none, or of a monitor with other settings: what was bet under those does not count under these.
        """
        fix = "read the log from its first record instead"
        if snapshot.get("schema") != SNAPSHOT:
            raise BadInput(f"schema {snapshot.get('schema')!r}", place="snapshot of the live monitor", fix=fix)
        if snapshot["settings_sha256"] != settings_hash(self.settings):
            raise BadInput("it was taken under other settings", place="snapshot of the live monitor", fix=fix)
        self.seq, self.at = snapshot["seq"], snapshot["at"]
        self.watches = {one["version"]: Watch.from_json(self.settings, one) for one in snapshot["watches"]}
        self.memory = Memory.from_json(self.settings.remembered, snapshot["memory"])
        self.unwatched, self.unread = dict(snapshot["unwatched"]), list(snapshot["unread"])
        self.accepted = set(snapshot["accepted"])

    def _read(self, record: LogRecord) -> None:
        if record.kind == "decision":
            watch, rows = self._watch(record.model_version), list(decisions(record))
            if watch is None:
                self.unwatched["decisions"] += len(rows)
                return
            for one in rows:
                self.memory.add(one.id, watch.decide(record.seq, record.at, one))
        elif record.kind == "outcome":
            self._settle(record)
        elif record.kind == "admin" and record.body.get("monitor") == "accept":
            self.accepted.add(str(record.body.get("model_version", record.model_version)))

    def _settle(self, record: LogRecord) -> None:
        for outcome in list(outcomes(record)):
            of = self.memory.find(outcome.decision_id)
            if of is None:
                self.unwatched["late"] += 1
            elif outcome.label is None:
                self.unwatched["unlabelled"] += 1
            elif of.settled:
                self.unwatched["repeated"] += 1
            else:
                self.watches[of.version].settle(record.seq, record.at, of, outcome)

    def _watch(self, version: str) -> Watch | None:
        if version not in self.watches and len(self.watches) < self.settings.versions_at_most:
            self.watches[version] = Watch(self.settings, version, len(self.watches) + 1)
        return self.watches.get(version)

    def _alarm(self, watch: Watch, series: Series) -> None:
        assert series.alarm is not None
        row, seq, at, e_value = series.alarm
        name = sha256(f"{watch.version}\n{series.bound.rule}\n{seq}".encode()).hexdigest()[:32]
        if self.on_alarm is not None:
            self.on_alarm(Failed(name, watch.version, series.bound.rule, at, seq, row, e_value, series.bets_alpha))


def settings_hash(settings: Settings) -> str:
    """Content hash of settings."""
    return sha256(json.dumps(asdict(settings), sort_keys=True).encode()).hexdigest()
