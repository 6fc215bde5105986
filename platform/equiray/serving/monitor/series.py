"""`Series`: bets against one bound, for one model version, and what they have come to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

import numpy as np

from equiray.metrics.sequential import (
    NO_CELL,
    Claims,
    Least,
    Rows,
    Wealth,
    advance,
    at_least,
    at_most,
    begin,
    differences,
    extended,
    ratios,
)
from equiray.metrics.sequential.wealth import STAKES
from equiray.serving.monitor.counts import FIRST, Batch, Counts
from equiray.serving.monitor.estimating import Figure, figure, judged_groups, seen
from equiray.serving.monitor.kinds import KINDS, WATCHED
from equiray.serving.monitor.settings import Bound

Answer = Literal["PASS", "FAIL", "INCONCLUSIVE"]


class Alarm(NamedTuple):
    """The first row at which the e-value reached 1 / alpha: its number in the series, its record, its time."""

    row: int
    seq: int
    at: str
    e_value: float


class Judged(NamedTuple):
    """What is known about a bound, and why; `figure` has limits at 1 - `alpha`."""

    answer: Answer
    reason: str
    figure: Figure


@dataclass
class Series:
    """A bound of one version, its share of alpha, and the capital of the bets against it.

    `wealth` is None before there is a claim to bet against: fewer groups than it compares.
    """

    bound: Bound
    alpha: float
    wealth: Wealth | None = None
    e_value: float = 1.0
    alarm: Alarm | None = None

    @property
    def bets_alpha(self) -> float:
        """What is left for bets where a part pays for the error of the bound itself."""
        return self.alpha / 2 if self.bound.spends else self.alpha

    def take(self, counts: Counts, batch: Batch, at: Mapping[int, str]) -> None:
        """Bet on further rows of the attribute, `at` the times of their records by seq."""
        watched = WATCHED[self.bound.metric]
        cell, low, high = _cells(watched.kinds, batch)
        mine = cell != NO_CELL
        claims = claims_of(self.bound, counts.names)
        if not mine.any() or not len(claims.up):
            return
        wealth = begin(claims) if self.wealth is None else self.wealth
        if wealth.rows.shape[1] != claims.cells or wealth.level.shape[1] != len(claims.up):
            wealth = extended(wealth, claims)
        rows = Rows(*(of[mine][:, None] for of in (cell, low, high)))
        before = wealth.clock
        least = Least(self.bound.min_n, self.bound.min_share)
        self.wealth, path = advance(claims, wealth, rows, least=least)
        self.e_value = float(path[-1, 0])
        reached = path[:, 0] >= 1 / self.bets_alpha
        if self.alarm is None and reached.any():
            first = int(reached.argmax())
            seq = int(batch.seq[mine][first])
            self.alarm = Alarm(before + first + 1, seq, at.get(seq, ""), float(path[first, 0]))

    def judge(self, counts: Counts, outcomes_for: str) -> Judged:
        """FAIL once the bets have won, PASS where the limits say so, else INCONCLUSIVE."""
        found = figure(self.bound, counts, self.bets_alpha)
        hidden = [kind for kind in WATCHED[self.bound.metric].kinds if not seen(kind, outcomes_for)]
        if hidden:
            found = found._replace(value=np.nan, low=np.nan, high=np.nan, status="not_estimable")
            why = f"outcomes are seen for selected rows only, which bounds {' and '.join(hidden)} and no more"
            return Judged("INCONCLUSIVE", why, found)
        if self.alarm is not None:
            e_value, row = self.alarm.e_value, self.alarm.row
            why = f"bets against it had multiplied their stake by {e_value:,.0f} at row {row:,}"
            return Judged("FAIL", f"{why}; were it kept, that has probability {self.bets_alpha:.3g} at most", found)
        return self._from_limits(counts, found)

    def _from_limits(self, counts: Counts, found: Figure) -> Judged:
        bound, groups = self.bound, judged_groups(self.bound, counts)
        if found.status == "not_estimable":
            return Judged("INCONCLUSIVE", _why_not(bound, counts, groups), found)
        if found.least < bound.min_n:
            why = f"the smallest group has {found.least:,} rows in the denominator, fewer than {bound.min_n:,}"
            return Judged("INCONCLUSIVE", why, found)
        kept = found.high <= bound.value if bound.side == "max" else found.low >= bound.value
        if kept:
            return Judged("PASS", "the limits, which hold at every row at once, lie within the bound", found)
        part = f", {found.unknown:,} rows without a group or an answer taken for the worst" if found.unknown else ""
        return Judged("INCONCLUSIVE", f"the limits do not lie within the bound{part}", found)

    def to_json(self) -> dict[str, Any]:
        wealth = None if self.wealth is None else {f.name: _plain(getattr(self.wealth, f.name)) for f in fields(Wealth)}
        return {"wealth": wealth, "e_value": self.e_value, "alarm": None if self.alarm is None else list(self.alarm)}

    @classmethod
    def from_json(cls, bound: Bound, alpha: float, document: Mapping[str, Any]) -> "Series":
        stored = document["wealth"]
        alarm = None if document["alarm"] is None else Alarm(*document["alarm"])
        return cls(
            bound=bound,
            alpha=alpha,
            wealth=None if stored is None else _wealth(stored),
            e_value=document["e_value"],
            alarm=alarm,
        )


def claims_of(bound: Bound, names: Sequence[str]) -> Claims:
    """What a bound says of the groups so far; with more groups, cells and claims are appended."""
    kinds, form = WATCHED[bound.metric]
    groups = range(len(names) - FIRST)
    cells = len(groups) * len(kinds)
    if form == "rate":
        judged = [group for group in groups if bound.group in (None, names[group + FIRST])]
        return (at_most if bound.side == "max" else at_least)(cells, judged, bound.value)
    compared = [
        (one * len(kinds) + kind, other * len(kinds) + kind)
        for other in groups
        for one in range(other)
        for kind in range(len(kinds))
    ]
    return (differences if form == "difference" else ratios)(cells, compared, bound.value)


def _cells(kinds: Sequence[str], batch: Batch) -> tuple[Any, Any, Any]:
    cell = np.full(len(batch.group), NO_CELL)
    low, high = np.zeros(len(cell)), np.zeros(len(cell))
    for place, kind in enumerate(kinds):
        for label, table in enumerate(KINDS[kind].events):
            for decision, (least, most) in table.items():
                here = (batch.label == label) & (batch.decision == decision) & (batch.group >= FIRST)
                cell[here] = (batch.group[here] - FIRST) * len(kinds) + place
                low[here], high[here] = least, most
    return cell, low, high


def _why_not(bound: Bound, counts: Counts, groups: Sequence[int]) -> str:
    if bound.group is not None and not groups:
        return f"no row of the group {bound.group!r} has been seen"
    needed = 1 if WATCHED[bound.metric].form == "rate" else 2
    if len(groups) < needed:
        return f"{len(groups)} groups have been seen, and it takes {needed}"
    kinds = WATCHED[bound.metric].kinds
    empty = [counts.names[code] for code in groups if any(counts.tally(kind).trials[code] == 0 for kind in kinds)]
    return f"no rows in the denominator of {', '.join(empty[:5])}" if empty else "nothing to compare: every rate is 0"


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def _wealth(stored: Mapping[str, Any]) -> Wealth:
    """Arrays as `begin` would make them: an empty list alone does not say what it is empty of."""
    shape = (1, len(stored["level"][0]))
    kinds = {"level": np.int64, "step_up": np.int64, "step_down": np.int64, "blocked": np.int64, "rows": np.int64}
    arrays = {
        name: np.array(value, kinds.get(name, bool if name == "betting" else np.float64))
        for name, value in stored.items()
        if name != "clock"
    }
    arrays["parts"] = arrays["parts"].reshape(*shape, len(STAKES))
    return Wealth(clock=stored["clock"], **arrays)
