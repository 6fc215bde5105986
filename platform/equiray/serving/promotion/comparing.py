"""What changes from the primary to the shadow on the same rows, shadow minus primary, with limits that hold at once.

Notable: changes that decide and changes that are only shown are two families, each with the look's whole error split
evenly over its members (Bonferroni), so that what is shown does not widen what decides.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from equiray.metrics.estimates import Estimate
from equiray.metrics.estimation import Labels, Setting, changes_of
from equiray.metrics.intervals.binomial import rate_interval
from equiray.metrics.intervals.curves import normal_quantile
from equiray.metrics.intervals.limits import Counted
from equiray.metrics.paired import factored_curves
from equiray.serving.promotion.pairing import UNLABELLED, Paired

OutcomesFor = Literal["accepted", "every"]
"""Whose outcomes come: of rows that were selected, or of any row, whatever was decided."""
STAGE = "shadow-primary"
FLIPS = "flip_share"
"""Share of rows about which the two do not say the same."""

_DECIDES, _DECIDES_LABELLED = "demographic_parity_difference", "equalized_odds_difference_max"
_SHOWN, _SHOWN_LABELLED = ("selection_rate",), ("accuracy", "tpr", "fpr")


class Families(NamedTuple):
    """How many changes hold at once: those that decide, and those that are shown."""

    judged: int
    shown: int


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Changes and what they rest on.

    Attributes
    ----------
    judged : tuple of Estimate
        Demographic parity difference of each attribute; with outcomes equalized odds of each, and accuracy.
    shown : tuple of Estimate
        Selection rate and share of flips, over all rows and by group; with outcomes accuracy, TPR, FPR.
    outcomes : "none", "selected", "labelled"
        Whether labels came, and whether labelled rows stand for all.
    """

    judged: tuple[Estimate, ...]
    shown: tuple[Estimate, ...]
    families: Families
    outcomes: Literal["none", "selected", "labelled"]


def compare(paired: Paired, *, outcomes_for: OutcomesFor, level: float) -> Compared:
    """Estimate every change; limits of either family all hold at once with probability 1 - `level`."""
    judged, shown = _judged(paired, outcomes_for), _shown(paired, outcomes_for)
    sizes = Families(len(judged(0.5)), len(shown(0.5)))  # the number of changes does not depend on the confidence
    return Compared(
        judged=tuple(judged(1 - level / sizes.judged)),
        shown=tuple(shown(1 - level / sizes.shown)),
        families=sizes,
        outcomes=outcomes_of(paired, outcomes_for),
    )


def outcomes_of(paired: Paired, outcomes_for: OutcomesFor) -> Literal["none", "selected", "labelled"]:
    """What labels there are: where only the selected have one, those with a label do not stand for all."""
    if not paired.labelled:
        return "none"
    return "labelled" if outcomes_for == "every" or paired.labelled == paired.rows else "selected"


def _judged(paired: Paired, outcomes_for: OutcomesFor) -> Callable[[float], list[Estimate]]:
    outcomes = outcomes_of(paired, outcomes_for)

    def at(confidence: float) -> list[Estimate]:
        found = [e for e in _changes(paired, confidence, labelled=False) if e.metric == _DECIDES]
        if outcomes == "labelled":
            labelled = _changes(paired, confidence, labelled=True)
            found += [e for e in labelled if e.metric == _DECIDES_LABELLED]
            found += [e for e in labelled if e.metric == "accuracy" and e.attribute is None]
        elif outcomes == "selected":
            found.append(_accuracy_whatever_comes(paired, confidence))
        return found

    return at


def _shown(paired: Paired, outcomes_for: OutcomesFor) -> Callable[[float], list[Estimate]]:
    labelled = outcomes_of(paired, outcomes_for) == "labelled"

    def at(confidence: float) -> list[Estimate]:
        found = [e for e in _changes(paired, confidence, labelled=False) if e.metric in _SHOWN]
        found += _flips(paired, confidence)
        if labelled:
            found += [
                e
                for e in _changes(paired, confidence, labelled=True)
                if e.metric in _SHOWN_LABELLED and (e.metric, e.attribute) != ("accuracy", None)  # that one decides
            ]
        return found

    return at


def _changes(paired: Paired, confidence: float, *, labelled: bool) -> list[Estimate]:
    return changes_of(paired.tables(labelled=labelled), _setting(paired, confidence))


def _setting(paired: Paired, confidence: float) -> Setting:
    labels = Labels(task=paired.task, stage=STAGE, model=paired.versions.shadow)
    return Setting(labels=labels, confidence=confidence)


def _flips(paired: Paired, confidence: float) -> list[Estimate]:
    """Of all rows, a refusal being an answer like another one."""
    found: list[Estimate] = []
    tables = paired.tables(labelled=False)
    for attribute, table in ((None, paired.overall(labelled=False)), *((each.attribute, each) for each in tables)):
        count = table.mass.count.sum(1)  # over labels
        rows = count.sum((-1, -2))
        flips = rows - np.trace(count, axis1=-2, axis2=-1)
        limits = rate_interval(flips, rows, confidence)
        for place, group in enumerate(table.groups):
            found.append(
                Estimate(
                    task=paired.task,
                    stage=STAGE,
                    model=paired.versions.shadow,
                    metric=FLIPS,
                    attribute=attribute,
                    group=None if attribute is None else group,
                    value=float(flips[place] / rows[place]),
                    low=float(limits.low[place]),
                    high=float(limits.high[place]),
                    confidence=confidence,
                    n=int(rows[place]),
                    status="estimated",
                    direction="none",
                )
            )
    return found


def _accuracy_whatever_comes(paired: Paired, confidence: float) -> Estimate:
    """Limits of accuracy's change that hold whatever the outcomes are that are not known; it has no value then.

    Rows about which both say the same change nothing, whatever their outcome. Of the others those without a label,
    or without an answer, are gains for the upper limit and losses for the lower one.
    """
    total, rows = paired.total, paired.rows
    flips = rows - int(np.trace(total.sum(0)))
    gained, lost = int(total[0, 1, 0] + total[1, 0, 1]), int(total[0, 0, 1] + total[1, 1, 0])
    z, differ = normal_quantile(confidence), Counted(flips, rows)
    low, high = (factored_curves(differ, Counted(up, flips), z) for up in (gained, flips - lost))
    known = total[:UNLABELLED].sum()
    return Estimate(
        task=paired.task,
        stage=STAGE,
        model=paired.versions.shadow,
        metric="accuracy",
        attribute=None,
        group=None,
        value=(gained - lost) / rows if gained + lost == flips else None,
        low=float(low.low[-1]),
        high=float(high.high[-1]),
        confidence=confidence,
        n=int(known),
        status="estimated" if gained + lost == flips else "partial",
        direction="higher",
    )
