"""`Read`: the rows that a metric compares, and those that might be among them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.disparities import without_missing
from equiray.metrics.estimation.shapes import missing_rows, with_positive
from equiray.metrics.metric import Metric
from equiray.metrics.rates import amounts, divide
from equiray.metrics.tables import GroupTable

_Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Read:
    """What a metric reads of a table.

    `table` holds the groups it is about, a binary metric's with two classes, the positive one last. `joining` holds
    the rows whose sensitive value is missing, as one group, where they may belong to any of the groups; None where
    there are none, or where each figure is about the rows known to be in its group.
    """

    metric: Metric
    table: GroupTable
    joining: GroupTable | None

    @classmethod
    def of(cls, metric: Metric, table: GroupTable, positive: str | None) -> "Read | None":
        """None where the table has not what the metric needs: scores, targets, or a positive class."""
        if getattr(table, metric.reads, None) is None:
            return None
        if metric.binary and len(table.classes) > 2:
            if positive is None:
                return None
            table = with_positive(table, positive)
        if metric.scope == "group":
            return cls(metric=metric, table=table, joining=None)
        return cls(metric=metric, table=without_missing(table), joining=missing_rows(table))

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows in each denominator of each group, int [D, G]; of TPR and FPR, say, D is 2."""
        return self._denominators(weighted=False)

    @property
    def weightless(self) -> NDArray[np.bool_]:
        """Groups [G] of which a denominator has rows, and all of them have weight 0."""
        return ((self.rows > 0) & (self._denominators(weighted=True) == 0)).any(0)

    def _denominators(self, *, weighted: bool) -> _Array:
        """As `rows`, or the sums of their weights where they have some."""
        table = self.table
        if table.targets is not None:
            return (table.targets.rows if weighted else table.targets.counted)[None]
        if self.metric.reads == "mass":
            assert table.mass is not None
            mass = amounts(table.mass) if weighted else table.mass.count
            return np.concatenate([_by_group(rate.trials(mass), table) for rate in self.metric.rates])
        assert table.scores is not None
        held = table.scores.weight if weighted and table.scores.weight is not None else table.scores.count
        by_label = held.sum(-1)
        if self.metric.id == "auc":  # pairs of a positive and a negative row
            return np.stack([by_label[:, -1], by_label[:, :-1].sum(-1)])
        return by_label.sum(-1)[None]

    @property
    def unscored(self) -> NDArray[np.int64]:
        """Rows of each group and label without a score, and all of those that may belong to the group, int [G, K]."""
        table = self.table
        assert table.mass is not None and table.scores is not None
        found = table.mass.count.sum(-1) - table.scores.count.sum(-1)
        if self.joining is not None and self.joining.mass is not None:
            found = found + self.joining.mass.count.sum(-1)
        return found

    def known_share(self, *, by_label: bool = False) -> NDArray[np.float64]:
        """Of the (weighted) rows of each group, and of those that may be in it, the share whose score is known.

        [G], or [G, K] `by_label`; exactly 1 where all are, and where there are none.
        """
        table = self.table
        assert table.mass is not None and table.scores is not None
        all_rows = amounts(table.mass).sum(-1)
        if self.joining is not None and self.joining.mass is not None:
            all_rows = all_rows + amounts(self.joining.mass).sum(-1)
        scores = table.scores
        scored = (scores.count if scores.weight is None else scores.weight).sum(-1)
        unscored = self.unscored
        if not by_label:
            all_rows, scored, unscored = all_rows.sum(-1), scored.sum(-1), unscored.sum(-1)
        share = divide(scored, all_rows)
        return np.where((unscored == 0) | np.isnan(share), 1.0, np.minimum(share, 1))


def _by_group(trials: _Array, table: GroupTable) -> _Array:
    """Denominators [G], or [G * C] with those of a group side by side, -> [C, G]."""
    groups = len(table.groups)
    return trials.reshape(groups, -1).T if groups else np.zeros((1, 0), trials.dtype)
