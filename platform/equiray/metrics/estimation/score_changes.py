"""How figures made of scores change from one model to another on the same rows, as `Estimate` records."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.catalogue import METRICS
from equiray.metrics.estimates import Estimate
from equiray.metrics.estimation.records import Columns, Setting, to_estimates
from equiray.metrics.paired_scores import ScoreChange, ScoredRows, auc_change, brier_change, mean_score_change

_CHANGES: Mapping[str, Callable[[ScoredRows], ScoreChange]] = {
    "auc": auc_change,
    "brier": brier_change,
    "mean_score": mean_score_change,
}


class GroupedScores(NamedTuple):
    """Rows and the groups of an attribute: `code` [N] is each row's place in `groups`."""

    attribute: str
    groups: tuple[str, ...]
    code: NDArray[np.int64]


def score_changes_of(rows: ScoredRows, grouped: Sequence[GroupedScores], setting: Setting) -> list[Estimate]:
    """The change, second model minus first, of AUC, Brier score and mean score.

    First over all rows (attribute None), then of each group of every attribute. `n` counts rows that both scored; where
    there are others the status is ``partial``, and the limits allow for whatever scores these would have had.
    """
    found = list(_estimates(None, (None,), [rows], setting))
    for attribute, groups, code in grouped:
        order = np.argsort(code, kind="stable")
        ends = np.searchsorted(code[order], np.arange(len(groups) + 1))
        parts = [_taken(rows, order[start:stop]) for start, stop in pairwise(ends)]
        found += _estimates(attribute, groups, parts, setting)
    return found


def _estimates(
    attribute: str | None, groups: Sequence[str | None], parts: Sequence[ScoredRows], setting: Setting
) -> Iterator[Estimate]:
    for metric, change_of in _CHANGES.items():
        changes = [change_of(part) for part in parts]
        limits = [change.interval(setting.confidence) for change in changes]
        columns = Columns(
            np.array([change.value for change in changes]),
            np.array([float(low) for low, _ in limits]),
            np.array([float(high) for _, high in limits]),
            np.array([change.rows for change in changes]),
            np.array([change.known < 1 for change in changes]),
        )
        yield from to_estimates(METRICS[metric], attribute, groups, columns, setting)


def _taken(rows: ScoredRows, places: NDArray[np.int64]) -> ScoredRows:
    return ScoredRows(label=rows.label[places], first=rows.first[places], second=rows.second[places])
