"""Two halves of rows that nobody divided: rules are chosen on one, and what they are worth is read on the other.

Notable: rows of one group, label and score are alike to any rule, so a random half of the rows is a draw from the
counts (multivariate hypergeometric), and no row is read again.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from equiray.errors import BadInput
from equiray.metrics.frontiers.curves import Split
from equiray.metrics.tables import GroupTable, ScoreCounts

CHOOSING, READING = "a random half of the rows", "the other half"


def halves(table: GroupTable, seed: int) -> tuple[Split, Split]:
    """Halve the rows of every group and label at random; of an odd number the other half has one more.

    Parameters
    ----------
    table : GroupTable
        With scores. Weights of rows with one score in one group and label are shared out evenly.
    seed : int

    Raises
    ------
    BadInput
        The table has no scores, or not two classes.
    """
    if table.scores is None or len(table.classes) != 2:
        problem = "no scores were counted" if table.scores is None else f"{len(table.classes)} classes, not 2"
        fix = "count predictions with a score of the positive class; a threshold decides between two classes"
        raise BadInput(problem, place=f"attribute {table.attribute}", fix=fix)
    whole = table.scores
    generator = np.random.default_rng(seed)
    chosen = np.zeros_like(whole.count)
    for group, label in np.ndindex(*whole.count.shape[:2]):
        rows = whole.count[group, label]
        chosen[group, label] = generator.multivariate_hypergeometric(rows, rows.sum() // 2)

    def split(name: str, rows: NDArray[np.int64]) -> Split:
        return Split(name, replace(table, mass=None, scores=_part(whole, rows), score_sums=None))

    return split(CHOOSING, chosen), split(READING, whole.count - chosen)


def _part(scores: ScoreCounts, rows: NDArray[np.int64]) -> ScoreCounts:
    share = rows / np.maximum(scores.count, 1)
    weight, squared = (None if part is None else part * share for part in (scores.weight, scores.weight_squared))
    return scores._replace(count=rows, weight=weight, weight_squared=squared)
