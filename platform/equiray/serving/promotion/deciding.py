"""PROMOTE, KEEP or INCONCLUSIVE: by limits, never by a value.

"Not worse" is a claim with a margin: a disparity may grow, and accuracy fall, by no more than that. It is proven where
the whole interval lies on the good side of the margin, and disproven where the whole interval lies beyond it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from equiray.metrics.estimates import Estimate, Verdict
from equiray.metrics.intervals.limits import Limits
from equiray.metrics.looks import Look
from equiray.metrics.power import rows_needed
from equiray.serving.promotion.comparing import Compared, OutcomesFor, compare
from equiray.serving.promotion.pairing import Paired

Answer = Literal["PROMOTE", "KEEP", "INCONCLUSIVE"]
RULE = "not worse"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What follows from a look.

    Attributes
    ----------
    verdicts : tuple of Verdict
        One for each change that decides.
    rows_needed : int, optional
        Paired rows in all with which the next look would decide, at its level and if the values stay; None where it is
        decided, or where no number of rows is known to help.
    """

    answer: Answer
    reason: str
    verdicts: tuple[Verdict, ...]
    compared: Compared
    look: Look
    margin: float
    rows_needed: int | None


def decide(paired: Paired, *, look: Look, margin: float, outcomes_for: OutcomesFor) -> Decision:
    """Judge every change that decides, all at once at the look's level."""
    compared = compare(paired, outcomes_for=outcomes_for, level=look.level)
    after = Look(alpha=look.alpha, number=look.number + 1, spend=look.spend)
    later = compare(paired, outcomes_for=outcomes_for, level=after.level)
    verdicts = tuple(
        _verdict(one, then, margin, look, compared.families.judged)
        for one, then in zip(compared.judged, later.judged, strict=True)
    )
    answer = _answer(verdicts)
    needed = _rows_in_all(verdicts, paired.rows) if answer == "INCONCLUSIVE" else None
    return Decision(
        answer=answer,
        reason=_reason(answer, verdicts, needed, paired.rows),
        verdicts=verdicts,
        compared=compared,
        look=look,
        margin=margin,
        rows_needed=needed,
    )


def _verdict(one: Estimate, then: Estimate, margin: float, look: Look, family: int) -> Verdict:
    lower_is_better = one.direction == "lower"
    bound = margin if lower_is_better else -margin
    side = "most" if lower_is_better else "least"
    verdict, needed = "INCONCLUSIVE", None
    if one.low is None or one.high is None:
        reason = "not estimable: a group has no rows in a denominator, or there is no second group"
    else:
        better, worse = (
            (one.high <= bound, one.low > bound) if lower_is_better else (one.low >= bound, one.high < bound)
        )
        shown = f"change within {one.low:+.4f} and {one.high:+.4f}"
        if better:
            verdict, reason = "PASS", f"{shown}: at {side} {bound:+.4g}"
        elif worse:
            verdict, reason = "FAIL", f"{shown}: worse than {bound:+.4g}"
        else:
            needed = _needed(one, then, bound)
            reason = f"{shown}: the bound {bound:+.4g} lies between" + (
                "; outcomes that are not known leave it open" if one.value is None else ""
            )
    return Verdict(
        rule=f"{RULE}: change of {one.metric} at {side} {bound:+.4g}",
        metric=one.metric,
        attribute=one.attribute,
        group=one.group,
        bound=bound,
        value=one.value,
        low=one.low,
        high=one.high,
        alpha=look.level,
        family_size=family,
        n=one.n,
        n_needed=needed,
        verdict=verdict,
        reason=reason,
    )


def _needed(one: Estimate, then: Estimate, bound: float) -> int | None:
    """The next look is made at a level of its own, so its limits are those that must clear the bound."""
    if one.value is None or then.low is None or then.high is None:
        return None
    return rows_needed(then, Limits(then.low, then.high), bound, then.confidence)


def _answer(verdicts: Sequence[Verdict]) -> Answer:
    if any(each.verdict == "FAIL" for each in verdicts):
        return "KEEP"
    return "PROMOTE" if all(each.verdict == "PASS" for each in verdicts) else "INCONCLUSIVE"


def _rows_in_all(verdicts: Sequence[Verdict], rows: int) -> int | None:
    """Paired rows that bring every open verdict the rows that it needs, if new rows fall as the present ones do."""
    open_ones = [each for each in verdicts if each.verdict == "INCONCLUSIVE"]
    if any(each.n_needed is None for each in open_ones):
        return None
    return max(-(-(each.n_needed or 0) * rows // max(1, each.n)) for each in open_ones)


def _reason(answer: Answer, verdicts: Sequence[Verdict], needed: int | None, rows: int) -> str:
    if answer == "PROMOTE":
        return "no disparity is worse" + (
            ", nor accuracy" if any(v.metric == "accuracy" for v in verdicts) else "; accuracy was not judged"
        )
    if answer == "KEEP":
        return "worse: " + ", ".join(_named(v) for v in verdicts if v.verdict == "FAIL")
    undecided = "undecided: " + ", ".join(_named(v) for v in verdicts if v.verdict == "INCONCLUSIVE")
    if needed is None:
        return f"{undecided}; no number of rows is known to decide"
    return f"{undecided}; about {needed - rows:,} more rows would decide ({needed:,} in all)"


def _named(of: Verdict) -> str:
    return of.metric if of.attribute is None else f"{of.metric} of {of.attribute}"
