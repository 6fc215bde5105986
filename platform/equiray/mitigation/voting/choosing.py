"""Choose temperature and number of chains on validation cases, by a policy and never by hand.

Notable: a decision is piecewise constant in the temperature, and the temperatures looked at are those that are given:
the choice is the best of them, and between two of them a better one may lie. It has seen its cases, so it is optimistic
on them. `Choice.checks` says what the cases can bear out at all: a limit that holds in the sample, but not over the
whole of its interval, makes the choice inconclusive. Whether a limit holds is then a matter of the test split, read
once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiray.errors import BadInput
from equiray.metrics.catalogue import METRICS
from equiray.metrics.estimates import Estimate
from equiray.metrics.estimation import Labels, Setting
from equiray.mitigation.voting.cases import ValidationCases
from equiray.mitigation.voting.comparison import Ballot, vote_changes, vote_estimates
from equiray.mitigation.voting.deciding import decide
from equiray.mitigation.voting.sweep import SHARE_RIGHT, VoteSweep, sweep

_ROUNDING = 1e-12  # of a difference of two shares
_SHOWN = 5

Status = Literal["chosen", "inconclusive", "infeasible"]


class Limit(NamedTuple):
    """A swept figure must be at least, or at most, this."""

    metric: str
    side: Literal["least", "most"]
    bound: float

    def kept(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Where values keep it; NaN does not."""
        over = values - self.bound if self.side == "least" else self.bound - values
        return over >= -_ROUNDING


@dataclass(frozen=True, kw_only=True)
class VotePolicy:
    """What is wanted of a vote.

    Attributes
    ----------
    limits : tuple of Limit
    best : str
        The swept figure that decides among what keeps the limits, in the direction in which it is better.
    max_accuracy_loss : float, optional
        How much of `SHARE_RIGHT` it may cost against the majority vote of as many chains.
    """

    limits: tuple[Limit, ...] = ()
    best: str = SHARE_RIGHT
    max_accuracy_loss: float | None = None


FOUR_FIFTHS = VotePolicy(limits=(Limit("disparate_impact_ratio", "least", 0.8),))
"""The 80 % rule, with the most cases decided rightly."""


class Candidate(NamedTuple):
    """A point that keeps all limits, and its figures."""

    tau: float
    chains: int
    figures: dict[str, float]


class Check(NamedTuple):
    """A limit of the policy at the chosen point: its value and simultaneous limits on the cases that chose."""

    metric: str
    side: Literal["least", "most"]
    bound: float
    value: float | None
    low: float | None
    high: float | None

    @property
    def holds(self) -> bool:
        """Whether it holds over the whole interval."""
        end, sign = (self.low, 1) if self.side == "least" else (self.high, -1)
        return end is not None and sign * (end - self.bound) >= -_ROUNDING


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen, among what, and why.

    Attributes
    ----------
    status : {"chosen", "inconclusive", "infeasible"}
        ``inconclusive``: it keeps the policy in the sample, but the cases do not bear that out; or nothing can be said
        because a figure is not estimable anywhere.
    attribute : str
    chosen : Candidate or None
        None where no point keeps the policy: there is no fallback, majority vote is `majority`'s point.
    majority : Candidate
        The plain vote of as many chains as chosen, or of the most, whether it keeps the limits or not.
    next_best : tuple of Candidate
        Those after the chosen one, best first.
    candidates, feasible : int
        Points looked at, and those that keep the policy.
    excluded : dict of str to int
        Points that each part of the policy excludes.
    checks : tuple of Check
    reason : str
    """

    status: Status
    attribute: str
    chosen: Candidate | None
    majority: Candidate
    next_best: tuple[Candidate, ...]
    candidates: int
    feasible: int
    excluded: dict[str, int]
    checks: tuple[Check, ...]
    reason: str

    def to_json(self) -> dict[str, Any]:
        """The record; JSON has neither infinity nor NaN: τ of the majority vote is ``"inf"``, not estimable null."""

        def plain(value: Any) -> Any:
            if isinstance(value, float) and not math.isfinite(value):
                return None if math.isnan(value) else str(value)
            if isinstance(value, Candidate | Check):
                return plain(value._asdict())
            if isinstance(value, dict):
                return {key: plain(each) for key, each in value.items()}
            return [plain(each) for each in value] if isinstance(value, tuple) else value

        return plain(vars(self))


def choose(
    cases: ValidationCases,
    attribute: str,
    taus: ArrayLike,
    counts: Sequence[int],
    policy: VotePolicy,
    *,
    confidence: float = 0.95,
) -> Choice:
    """The best point of the grid that keeps the policy; ties go to fewer chains, then to the higher temperature.

    Parameters
    ----------
    cases : ValidationCases
    attribute : str
        Whose groups are compared.
    taus : [T]
        Majority vote (inf) is always looked at too.
    counts : sequence of int
        Numbers of chains, ascending.
    policy : VotePolicy
    confidence : float
        Of all `Choice.checks` together.

    Raises
    ------
    BadInput
        The cases are not validation cases, or the policy names a figure that they do not have.
    """
    if not isinstance(cases, ValidationCases):
        raise BadInput(
            f"{type(cases).__name__} of the {cases.split!r} split would choose",
            place="cases",
            fix="choose on ValidationCases, and read HeldOutCases at the chosen point",
        )
    found = sweep(cases, attribute, np.union1d(np.asarray(taus, dtype=np.float64), [math.inf]), counts)
    keeps = _kept(found, policy)
    feasible = np.logical_and.reduce([np.ones(found.figures[policy.best].shape, bool), *keeps.values()])
    feasible &= ~np.isnan(found.figures[policy.best])
    order = _ordered(found, policy, feasible)
    best = [_candidate(found, *place) for place in order[: _SHOWN + 1]]
    chosen = best[0] if best else None
    checks = () if chosen is None else _checks(cases, attribute, chosen, policy, confidence)
    status, reason = _judged(found, policy, chosen, checks)
    column = found.counts.index(chosen.chains) if chosen else len(found.counts) - 1
    return Choice(
        status=status,
        attribute=attribute,
        chosen=chosen,
        majority=_candidate(found, len(found.taus) - 1, column),
        next_best=tuple(best[1:]),
        candidates=feasible.size,
        feasible=int(feasible.sum()),
        excluded={name: int((~kept).sum()) for name, kept in keeps.items()},
        checks=checks,
        reason=reason,
    )


def _kept(found: VoteSweep, policy: VotePolicy) -> dict[str, NDArray[np.bool_]]:
    """By part of the policy, the points [T, M] that keep it."""
    for name in (policy.best, *(limit.metric for limit in policy.limits)):
        if name not in found.figures:
            known = ", ".join(found.figures)
            raise BadInput(f"no figure {name!r}", place="policy of the vote", fix=f"name one of: {known}")
    kept = {
        f"{limit.metric} at {limit.side} {limit.bound:g}": limit.kept(found.figures[limit.metric])
        for limit in policy.limits
    }
    if policy.max_accuracy_loss is not None:
        right = found.figures[SHARE_RIGHT]
        lost = Limit(SHARE_RIGHT, "most", policy.max_accuracy_loss).kept(right[-1] - right)  # taus ascend to inf
        kept[f"accuracy loss at most {policy.max_accuracy_loss:g}"] = lost
    return kept


def _ordered(found: VoteSweep, policy: VotePolicy, feasible: NDArray[np.bool_]) -> list[tuple[int, int]]:
    rows, columns = np.nonzero(feasible)
    sign = 1 if _higher_is_better(policy.best) else -1
    value = np.round(sign * found.figures[policy.best][rows, columns], 12)
    order = np.lexsort((-found.taus[rows], columns, -value))
    return [(int(rows[place]), int(columns[place])) for place in order]


def _higher_is_better(name: str) -> bool:
    return name == SHARE_RIGHT or (name in METRICS and METRICS[name].direction == "higher")


def _candidate(found: VoteSweep, row: int, column: int) -> Candidate:
    figures = {name: float(values[row, column]) for name, values in found.figures.items()}
    return Candidate(float(found.taus[row]), found.counts[column], figures)


def _checks(
    cases: ValidationCases, attribute: str, chosen: Candidate, policy: VotePolicy, confidence: float
) -> tuple[Check, ...]:
    claims = len(policy.limits) + (policy.max_accuracy_loss is not None)
    setting = Setting(labels=Labels("", "", ""), confidence=1 - (1 - confidence) / max(1, claims))
    kept = replace(cases, groups=(cases.grouped(attribute),))
    ours, plain = (
        Ballot(decide(cases.votes, tau, chosen.chains).answer, chosen.chains) for tau in (chosen.tau, math.inf)
    )
    found = []
    estimates = {e.metric: e for e in vote_estimates(kept, ours, setting) if e.group is None}
    for limit in policy.limits:
        found.append(_check(limit, estimates.get(limit.metric), chosen.figures[limit.metric]))
    if policy.max_accuracy_loss is not None:
        changes = vote_changes(kept, plain, ours, setting)
        change = next(e for e in changes if e.metric == "accuracy" and e.attribute is None)
        found.append(_check(Limit("accuracy", "least", -policy.max_accuracy_loss), change, change.value))
    return tuple(found)


def _check(limit: Limit, estimate: Estimate | None, value: float | None) -> Check:
    low, high = (None, None) if estimate is None else (estimate.low, estimate.high)
    return Check(*limit, value, low, high)


def _judged(
    found: VoteSweep, policy: VotePolicy, chosen: Candidate | None, checks: tuple[Check, ...]
) -> tuple[Status, str]:
    if chosen is None:
        unknown = [limit.metric for limit in policy.limits if np.isnan(found.figures[limit.metric]).all()]
        if unknown or np.isnan(found.figures[policy.best]).all():
            named = ", ".join(unknown or [policy.best])
            return "inconclusive", f"{named} is not estimable at any point: a group lacks the cases it is made of"
        return "infeasible", "no temperature and number of chains keeps the policy; " + _nearest(found, policy)
    open_ = [check for check in checks if not check.holds]
    why = f"the best {policy.best} of what keeps the policy"
    if open_:
        named = "; ".join(f"{check.metric}: {_limits(check)}, {check.side} {check.bound:g}" for check in open_)
        return "inconclusive", f"{why} in the sample, but {found.cases} cases do not bear it out ({named})"
    return "chosen", why


def _nearest(found: VoteSweep, policy: VotePolicy) -> str:
    parts = []
    for limit in policy.limits:
        values = found.figures[limit.metric]
        best = np.nanmax(values) if limit.side == "least" else np.nanmin(values)
        parts.append(f"{limit.metric} reaches {best:.3f}, {limit.side} {limit.bound:g} is asked")
    return "; ".join(parts) or "the accuracy loss is too large everywhere"


def _limits(check: Check) -> str:
    return "no limits" if check.low is None or check.high is None else f"{check.low:.3f} to {check.high:.3f}"
