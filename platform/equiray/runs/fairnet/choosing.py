"""Which thresholds the gates get, from what the regime knows of validation rows (methods: section 2.4).

Notable: where the groups of a share of the rows are known, cells are those of that share and accuracy is that of all
rows, whose labels are known; where no group is, thresholds are chosen by accuracy alone.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from equiray.data.schema import MISSING_GROUP
from equiray.metrics.estimation import GroupedScores
from equiray.mitigation.fairnet.regimes import labelled
from equiray.mitigation.gating.choice import Choice, choose
from equiray.mitigation.gating.grid import sweep_grid
from equiray.mitigation.gating.outcomes import GatedOutcomes
from equiray.mitigation.gating.thresholds import sweep
from equiray.runs.fairnet.vulnerable import FEWEST_ROWS
from equiray.specs.fairnet import DetectorSpec, FairNetSpec

_NO_GROUPS = "no groups"


def known_rows(split: str, count: int, spec: DetectorSpec, seed: int) -> NDArray[np.bool_]:
    """Of which rows of a split the regime knows groups, bool [count]; every training draws its own share."""
    known = np.zeros(count, bool)
    if spec.regime != "unlabelled":
        known[labelled(count, spec, seed, f"labels of {split} rows")] = True
    return known


def known_outcomes(outcomes: GatedOutcomes, spec: DetectorSpec, seed: int) -> GatedOutcomes:
    """The same rows without the groups that the regime does not know: these are missing."""
    if spec.regime == "full":
        return outcomes
    known = known_rows(outcomes.split, outcomes.rows, spec, seed)
    return replace(outcomes, groups=tuple(_hidden(each, known) for each in outcomes.groups))


def groups_known(outcomes: GatedOutcomes, attribute: str) -> int:
    """How many rows have a known group."""
    grouped = outcomes.grouped(attribute)
    return int((np.array(grouped.groups)[grouped.code] != MISSING_GROUP).sum())


def chosen(outcomes: GatedOutcomes, steering: str, spec: FairNetSpec) -> Choice:
    """Thresholds of the gates, by validation outcomes with the groups that are known.

    By the worst cell; by accuracy where groups are known of no row, or of so few that no cell has enough rows.
    """
    if not groups_known(outcomes, steering):
        everybody = GroupedScores(_NO_GROUPS, ("all rows",), np.zeros(outcomes.rows, np.int64))
        outcomes, steering = replace(outcomes, groups=(everybody,)), _NO_GROUPS
    one = len(outcomes.attributes) == 1
    found = (sweep if one else sweep_grid)(outcomes, steering, fewest_rows=FEWEST_ROWS)
    uncounted = spec.detector.regime != "full" and bool(np.isnan(found.worst_cell).all())
    by_accuracy = steering == _NO_GROUPS or uncounted
    return choose(found, spec.threshold, by="accuracy" if by_accuracy else "worst_cell")


def _hidden(of: GroupedScores, known: NDArray[np.bool_]) -> GroupedScores:
    names = of.groups if MISSING_GROUP in of.groups else (*of.groups, MISSING_GROUP)
    return of._replace(groups=names, code=np.where(known, of.code, names.index(MISSING_GROUP)))
