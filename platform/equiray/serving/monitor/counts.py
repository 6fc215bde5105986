"""`Counts`: rows of one model version by the groups of one attribute, as decisions and outcomes arrive."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.tables import MISSING
from equiray.serving.monitor.kinds import KINDS, UNANSWERED
from equiray.serving.monitor.settings import OTHER

Integers = NDArray[np.int64]
LONGEST_NAME = 200
FIRST = 2
"""Code of the first group; 0 is `MISSING` and 1 `OTHER`, which are compared with none."""


class Batch(NamedTuple):
    """Rows in their order, int64 [T]: codes of groups and decisions, labels, and the seq of each row's record.

    Where the rows are decisions whose outcome is not known, `label` is 0.
    """

    group: Integers
    label: Integers
    decision: Integers
    seq: Integers


class Tally(NamedTuple):
    """A rate's counts of each group, float64 [G]: as they are, and with what is not known all against it or all for it.

    `events` and `trials` are of rows whose event is known.
    """

    events: NDArray[np.float64]
    trials: NDArray[np.float64]
    low_events: NDArray[np.float64]
    low_trials: NDArray[np.float64]
    high_events: NDArray[np.float64]
    high_trials: NDArray[np.float64]

    @property
    def value(self) -> NDArray[np.float64]:
        """[G], NaN without trials."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.trials > 0, self.events / self.trials, np.nan)

    def take(self, groups: slice | Sequence[int]) -> "Tally":
        """Of some groups."""
        return Tally(*(part[groups] for part in self))

    def completed(self, unknown: "Tally") -> "Tally":
        """As if every row of `unknown`, whose group is not known, were of this group: against it, or for it."""
        against = unknown.low_trials - unknown.low_events
        return self._replace(
            low_trials=self.low_trials + against.sum(),
            high_events=self.high_events + unknown.high_events.sum(),
            high_trials=self.high_trials + unknown.high_events.sum(),
        )


@dataclass
class Counts:
    """Of one version and attribute; groups in the order in which they were first seen.

    Attributes
    ----------
    names : list of str
        G groups by code.
    decided : int64 [G, 3]
        Decisions, by the group as it was known then.
    settled : int64 [G, 3]
        Those of them whose outcome has come.
    labelled : int64 [G, 2, 3]
        By label; by the group as it was known when the outcome came.
    """

    most: int
    known: tuple[str, ...] = ()
    names: list[str] = field(default_factory=lambda: [MISSING, OTHER])
    decided: Integers = field(default_factory=lambda: np.zeros((FIRST, 3), np.int64))
    settled: Integers = field(default_factory=lambda: np.zeros((FIRST, 3), np.int64))
    labelled: Integers = field(default_factory=lambda: np.zeros((FIRST, 2, 3), np.int64))

    def __post_init__(self) -> None:
        self._codes = {name: code for code, name in enumerate(self.names)}

    @property
    def groups(self) -> list[str]:
        """Those that are compared."""
        return self.names[FIRST:]

    def code(self, group: str | None) -> int:
        """A group's code; a new group gets the next one, or that of `OTHER` if there are `most` or its name is long.

        `known` groups are counted apart in any case.

        Names are shown, exported and kept: what comes from outside must not make them grow.
        """
        if group is None:
            return 0
        found = self._codes.get(group)
        if found is not None:
            return found
        invented = [name for name in self.groups if name not in self.known]
        if group not in self.known and (len(invented) >= self.most or len(group) > LONGEST_NAME):
            return 1
        self.names.append(group)
        self._codes[group] = len(self.names) - 1
        self.decided, self.settled, self.labelled = (
            np.concatenate([part, np.zeros_like(part[:1])]) for part in (self.decided, self.settled, self.labelled)
        )
        return self._codes[group]

    def add_decisions(self, batch: Batch) -> None:
        np.add.at(self.decided, (batch.group, batch.decision), 1)

    def add_outcomes(self, batch: Batch, group_then: Integers) -> None:
        """`group_then` are the codes at the time of the decision."""
        np.add.at(self.labelled, (batch.group, batch.label, batch.decision), 1)
        np.add.at(self.settled, (group_then, batch.decision), 1)

    def tally(self, kind: str, *, unseen: bool = False) -> Tally:
        """Counts of one rate of all G groups.

        With `unseen`, decisions without an outcome count for and against it as far as any label of theirs would allow.
        """
        of = KINDS[kind]
        rows = self.labelled.astype(np.float64) if of.labelled else np.stack([self.decided, 0 * self.decided], axis=1)
        sums = np.zeros((6, len(rows)))
        for label in (0, 1):
            for decision, (low, high) in of.events[label].items():
                count = rows[:, label, decision]
                sums += np.array([low, 1, low, 1, high, 1])[:, None] * count
                if low != high:
                    sums[:2] -= np.array([low, 1])[:, None] * count
        if unseen:
            sums[2:] += self._unseen(kind)
        return Tally(*sums)

    def _unseen(self, kind: str) -> NDArray[np.float64]:
        """Events and trials, lowest and highest [4, G], that decisions without an outcome may add."""
        waiting = (self.decided - self.settled).astype(np.float64)
        sums = np.zeros((4, len(waiting)))
        for decision in range(UNANSWERED + 1):
            values = [table.get(decision) for table in KINDS[kind].events]
            known = [value for value in values if value is not None]
            least, most = (min(v[0] for v in known), max(v[1] for v in known)) if known else (None, None)
            avoidable = len(known) < len(values)  # under one of the labels the row does not count
            for place, worth, harmless in ((0, least, 1.0), (2, most, 0.0)):
                if worth is not None and not (avoidable and worth == harmless):
                    sums[place] += worth * waiting[:, decision]
                    sums[place + 1] += waiting[:, decision]
        return sums

    def to_json(self) -> dict[str, Any]:
        arrays = {name: getattr(self, name).tolist() for name in ("decided", "settled", "labelled")}
        return {"names": self.names, **arrays}

    @classmethod
    def from_json(cls, most: int, known: tuple[str, ...], document: Mapping[str, Any]) -> "Counts":
        arrays = {name: np.array(document[name], np.int64) for name in ("decided", "settled", "labelled")}
        return cls(most=most, known=known, names=list(document["names"]), **arrays)
