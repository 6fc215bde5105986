"""PASS, FAIL or INCONCLUSIVE: what estimates say about bounds, with every claim of the family correct at once.

Notable: a claim is decided by limits that hold for the whole family together (alpha is split evenly over its
members), never by its value; and what is missing, too small or not estimable blocks PASS and never causes FAIL.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from equiray.metrics.estimates import Estimate, Verdict
from equiray.metrics.intervals.limits import Limits
from equiray.metrics.looks import Look
from equiray.metrics.power import rows_needed

Answer = Literal["PASS", "FAIL", "INCONCLUSIVE"]
_NAMED_GROUPS = 5
NOT_ESTIMABLE = "not estimable from these rows: a denominator is empty, or only one group has rows"


class Unknown(NamedTuple):
    """What cannot be had from the evidence, in a sentence that says why and what would help."""

    reason: str


class Evidence(Protocol):
    """What is known about one subject (a task, a stage, a model): its estimates, and limits at any confidence."""

    @property
    def estimates(self) -> Sequence[Estimate]:
        """Every estimate, those that are not estimable included."""
        ...

    def find(self, metric: str, attribute: str | None, group: str | None) -> Estimate | None:
        """The estimate of that metric, None where there is none. Called for every claim: keep an index."""
        ...

    def limits(self, estimate: Estimate, confidence: float) -> Limits | Unknown:
        """Two-sided limits of an estimate that has a value; for a ``partial`` one they contain its bounds.

        A ``partial`` estimate leaves rows out (unanswered, without a sensitive value); its limits must hold whatever
        those rows would have been, on top of sampling error.
        """
        ...

    def denominators(self, estimate: Estimate) -> Mapping[str, int] | Unknown:
        """Rows, in the metric's denominator, of each group the estimate rests on; the smallest if it has several.

        A group's own rate rests on that group, a disparity on all groups, those without rows included (0); an
        estimate that knows no groups on none: an empty mapping.
        """
        ...

    def rows(self, attribute: str) -> Mapping[str, int]:
        """All rows of each group of an attribute, whatever their label."""
        ...

    def why_missing(self, estimate: Estimate) -> str:
        """Why an estimate has no value, `NOT_ESTIMABLE` if nothing closer is known."""
        ...

    def without(self, attribute: str, groups: frozenset[str]) -> "Evidence | Unknown":
        """The same subject, computed anew as if these groups had no row. Called for every claim: keep the last."""
        ...


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One member of the family: a metric, of one group or over groups, is at most (`max`) or at least (`min`) a bound.

    `found` is the estimate that answers it, or why there is none. `where` names the subject if there are several.
    """

    metric: str
    attribute: str | None
    group: str | None
    side: Literal["max", "min"]
    bound: float
    min_n: int
    found: Estimate | Unknown
    evidence: Evidence
    where: str = ""

    @property
    def text(self) -> str:
        """``tpr of female (sex) at least 0.8``."""
        who = f"{self.group} ({self.attribute})" if self.group is not None else self.attribute
        of = f" of {who}" if who is not None else ""
        prefix = f"{self.where}: " if self.where else ""
        return f"{prefix}{self.metric}{of} at {'most' if self.side == 'max' else 'least'} {self.bound:g}"

    def answer(self, limits: Limits) -> Answer:
        """What simultaneous limits say; NaN limits say nothing."""
        low, high = limits if self.side == "max" else (-limits.high, -limits.low)
        bound = self.bound if self.side == "max" else -self.bound
        return "PASS" if high <= bound else "FAIL" if low > bound else "INCONCLUSIVE"


def judge(claims: Sequence[Claim], look: Look) -> list[Verdict]:
    """Judge a family of claims, each at confidence 1 - alpha / len(claims).

    The probability that any PASS or FAIL is wrong is alpha at most (Bonferroni over the family; `Look` says how
    that reads on a growing table).

    Parameters
    ----------
    claims : the whole family: what is judged is fixed before results are seen
    look : alpha, and which look at the table this is
    """
    family = _Family(look, len(claims))
    return [_verdict(claim, family) for claim in claims]


def overall(verdicts: Sequence[Verdict]) -> Answer:
    """The answer of a whole policy: any FAIL is FAIL, else any INCONCLUSIVE is INCONCLUSIVE, else PASS.

    Raises
    ------
    ValueError
        There is no verdict: nothing was asked, so nothing passes.
    """
    if not verdicts:
        raise ValueError("no verdicts: a policy with nothing to judge does not pass")
    found = {verdict.verdict for verdict in verdicts}
    return "FAIL" if "FAIL" in found else "INCONCLUSIVE" if "INCONCLUSIVE" in found else "PASS"


class _Family(NamedTuple):
    look: Look
    size: int

    @property
    def confidence(self) -> float:
        return 1 - self.look.level / self.size


class _Finding(NamedTuple):
    """What becomes a verdict: `estimate` and `limits` as far as there are any."""

    answer: Answer
    reason: str
    estimate: Estimate | None = None
    limits: Limits | None = None
    n_needed: int | None = None


def _verdict(claim: Claim, family: _Family) -> Verdict:
    finding = _find(claim, family)
    estimate, limits = finding.estimate, finding.limits
    remark = family.look.remark
    return Verdict(
        rule=claim.text,
        metric=claim.metric,
        attribute=claim.attribute,
        group=claim.group,
        bound=claim.bound,
        value=estimate.value if estimate else None,
        low=limits.low if limits else None,
        high=limits.high if limits else None,
        alpha=family.look.level,
        family_size=family.size,
        n=estimate.n if estimate else 0,
        n_needed=finding.n_needed,
        verdict=finding.answer,
        reason=f"{finding.reason}; {remark}" if remark else finding.reason,
    )


def _find(claim: Claim, family: _Family) -> _Finding:
    found = claim.found
    if isinstance(found, Unknown):
        return _Finding("INCONCLUSIVE", found.reason)
    rests_on = claim.evidence.denominators(found)
    if isinstance(rests_on, Unknown):
        return _Finding("INCONCLUSIVE", rests_on.reason, found)
    short = {group: n for group, n in rests_on.items() if n < claim.min_n}
    if short:
        return _short_of_rows(claim, found, short, family)
    if not rests_on and found.n < claim.min_n:
        reason = f"{found.n} rows, fewer than the {claim.min_n} that the rule asks for"
        return _Finding("INCONCLUSIVE", reason, found, n_needed=claim.min_n)
    return _by_limits(claim, found, claim.evidence, family)


def _by_limits(claim: Claim, estimate: Estimate, evidence: Evidence, family: _Family) -> _Finding:
    if estimate.value is None:
        return _Finding("INCONCLUSIVE", evidence.why_missing(estimate), estimate)
    limits = evidence.limits(estimate, family.confidence)
    if isinstance(limits, Unknown):
        return _Finding("INCONCLUSIVE", limits.reason, estimate)
    if not (limits.low <= limits.high):
        return _Finding("INCONCLUSIVE", "its limits are not estimable", estimate)
    answer = claim.answer(limits)
    needed = rows_needed(estimate, limits, claim.bound, family.confidence)
    return _Finding(answer, _reason(claim, estimate, limits, answer, needed), estimate, limits, needed)


def _short_of_rows(claim: Claim, whole: Estimate, short: Mapping[str, int], family: _Family) -> _Finding:
    """Groups with too few rows block PASS; FAIL only where the other groups alone are beyond the bound.

    Whatever gets worse with every group that is compared is at least as bad over all groups as over some of them.
    """
    named = ", ".join(f"{group} ({n:,})" for group, n in list(short.items())[:_NAMED_GROUPS])
    more = f" and {len(short) - _NAMED_GROUPS:,} more" if len(short) > _NAMED_GROUPS else ""
    reason = f"fewer rows in the denominator than the {claim.min_n} that the rule asks for: {named}{more}"
    # Under the present mix of groups; a group without a row gives nothing to reckon with.
    needed = -(-whole.n * claim.min_n // min(short.values())) if min(short.values()) else None
    blocked = _Finding("INCONCLUSIVE", reason, whole, n_needed=needed)

    grows_worse = (claim.side, whole.direction) in (("max", "lower"), ("min", "higher"))
    if claim.group in short or claim.attribute is None or not grows_worse:
        return blocked
    rest = claim.evidence.without(claim.attribute, frozenset(short))
    if isinstance(rest, Unknown):
        return blocked
    smaller = rest.find(claim.metric, claim.attribute, claim.group)
    if smaller is None:
        return blocked
    finding = _by_limits(claim, smaller, rest, family)
    if finding.answer != "FAIL":
        return blocked
    return finding._replace(reason=f"{finding.reason}, even without the groups that have {reason}")


def _reason(claim: Claim, estimate: Estimate, limits: Limits, answer: Answer, needed: int | None) -> str:
    kind = "limit over all that the missing rows may be" if estimate.status == "partial" else "limit"
    upper = (claim.side == "max") == (answer == "PASS")
    limit = limits.high if upper else limits.low
    shown, bound = _figures(limit, claim.bound)
    if answer == "PASS":
        return f"the {'upper' if upper else 'lower'} {kind} {shown} is at {'most' if upper else 'least'} {bound}"
    if answer == "FAIL":
        return f"the {'upper' if upper else 'lower'} {kind} {shown} is {'below' if upper else 'above'} {bound}"
    (low, _), (high, _) = _figures(limits.low, claim.bound), _figures(limits.high, claim.bound)
    within = f"the bound {bound} lies within the simultaneous limits {low} to {high}"
    if estimate.status == "partial":
        return f"{within}, which allow for all that the missing rows may be: more rows alone may not decide"
    if needed is None:
        return f"{within}; the value lies on the bound, so no number of rows is known to decide"
    return f"{within}; about {needed - estimate.n:,} more rows would decide if the value stays"


def _figures(limit: float, bound: float) -> tuple[str, str]:
    """Both in four digits, in more where four would show two different numbers alike."""
    for digits in (4, 8, 17):
        shown, against = f"{limit:.{digits}g}", f"{bound:.{digits}g}"
        if shown != against or limit == bound:
            break
    return shown, against
