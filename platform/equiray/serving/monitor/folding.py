"""What of the audit log's records concerns the monitor: decisions and outcomes, read row by row."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from equiray.serving.monitor.kinds import REJECTED, SELECTED, UNANSWERED
from equiray.serving.monitor.settings import EVERYBODY, SEPARATOR


class LogRecord(Protocol):
    """A record of the audit log, as far as it is read here."""

    @property
    def seq(self) -> int: ...
    @property
    def record_id(self) -> str: ...
    @property
    def at(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def model_version(self) -> str: ...
    @property
    def body(self) -> Mapping[str, Any]: ...
    @property
    def payload(self) -> Mapping[str, Any] | None: ...


class Unreadable(ValueError):
    """A record that does not have the shape that its kind has."""


class Decided(NamedTuple):
    """One decision: its code, its row's values of attributes, and whether each gate was open."""

    id: str
    decision: int
    attributes: Mapping[str, Any]
    gates: Mapping[str, bool]


class Seen(NamedTuple):
    """One outcome: `label` is None where only attributes have come."""

    decision_id: str
    label: int | None
    attributes: Mapping[str, Any]


def decisions(record: LogRecord) -> Iterator[Decided]:
    """Rows of a decision record.

    Raises
    ------
    Unreadable
        It has no list of decisions, or one of them is none.
    """
    found = _list(record, "decisions")
    for number, (one, attributes) in enumerate(zip(found, _attributes(record, len(found)), strict=True)):
        if not isinstance(one, Mapping) or one.get("decision") not in (0, 1, None):
            raise Unreadable(f"decisions.{number} is no decision of 0, 1 or null")
        refused = one.get("refused") is True or one["decision"] is None
        code = UNANSWERED if refused else SELECTED if one["decision"] == 1 else REJECTED
        gates = one.get("gates") or {}
        if not isinstance(gates, Mapping) or not all(isinstance(gate, Mapping) for gate in gates.values()):
            raise Unreadable(f"decisions.{number}.gates is no mapping of gates")
        opened = {str(name): gate.get("open") is True for name, gate in gates.items()}
        yield Decided(str(one.get("id", f"{record.record_id}-{number}")), code, attributes, opened)


def outcomes(record: LogRecord) -> Iterator[Seen]:
    """Rows of an outcome record.

    Raises
    ------
    Unreadable
        It has no list of outcomes, or one of them is none.
    """
    found = _list(record, "outcomes")
    for number, (one, attributes) in enumerate(zip(found, _attributes(record, len(found)), strict=True)):
        if not isinstance(one, Mapping) or one.get("label") not in (0, 1, None) or "decision_id" not in one:
            raise Unreadable(f"outcomes.{number} is no outcome with a decision_id and a label of 0, 1 or null")
        label = one.get("label")
        yield Seen(str(one["decision_id"]), None if label is None else int(label), attributes)


def group_of(attribute: str, values: Mapping[str, Any]) -> str | None:
    """A row's group; None where it is missing, in an intersection in one of its parts."""
    if attribute == EVERYBODY:
        return EVERYBODY
    parts = [values.get(name) for name in attribute.split(SEPARATOR)]
    if any(part is None or part == "" for part in parts):
        return None
    return SEPARATOR.join(str(part) for part in parts)


def _list(record: LogRecord, name: str) -> Sequence[Any]:
    found = record.body.get(name)
    if not isinstance(found, list):
        raise Unreadable(f"the body has no list of {name}")
    return found


def _attributes(record: LogRecord, rows: int) -> Sequence[Mapping[str, Any]]:
    """Of each row; none where the payload has been erased or never had any."""
    found = (record.payload or {}).get("attributes") or [None] * rows
    if not isinstance(found, list) or len(found) != rows:
        raise Unreadable(f"the payload has attributes of another number of rows than {rows}")
    return [one if isinstance(one, Mapping) else {} for one in found]
