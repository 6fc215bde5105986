"""Individual fairness: twins, who differ in the sensitive attribute alone, and neighbours, who resemble each other.

Notable: a twin is a copy of a row whose sensitive attribute, and every feature that states it, is changed consistently.
A row with several twins stands in as many pairs, so intervals must resample rows, not pairs.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiray.metrics.rates import divide

NEIGHBOURS = 5


class TwinDecisions(NamedTuple):
    """Decisions of N pairs: class codes [N], negative where the model gave none; `weight` [N] of the pairs."""

    row: NDArray[np.integer]
    twin: NDArray[np.integer]
    weight: NDArray[np.floating] | None = None


class TwinScores(NamedTuple):
    """Scores of the positive class of N pairs, [N], NaN where the model gave none; `weight` [N] of the pairs."""

    row: NDArray[np.floating]
    twin: NDArray[np.floating]
    weight: NDArray[np.floating] | None = None


class Flips(NamedTuple):
    """Pairs, or sums of their weights: decided differently, decided at all, and with an unanswered half."""

    events: float
    trials: float
    unanswered: float


class Neighbourhood(NamedTuple):
    """Rows among which neighbours are sought: `features` [N, D], `decision` codes 0/1 [N], negative where none."""

    features: ArrayLike
    decision: NDArray[np.integer]


def counterfactual_flips(twins: TwinDecisions) -> Flips:
    """The counts behind `counterfactual_flip_rate`: its events and trials, and the pairs it leaves out."""
    answered = (twins.row >= 0) & (twins.twin >= 0)
    weight = _weights(twins)
    flipped = answered & (twins.row != twins.twin)
    return Flips(*(float(weight[which].sum()) for which in (flipped, answered, ~answered)))


def counterfactual_flip_rate(twins: TwinDecisions) -> float:
    """P(ŷ(twin) ≠ ŷ(row)). Range 0..1; lower is better; 0 = no decision changes with the sensitive attribute.

    Over pairs with two answers; NaN where there are none. With several classes any change of class is a flip.
    """
    flips = counterfactual_flips(twins)
    return float(divide(np.asarray(flips.events), np.asarray(flips.trials)))


def counterfactual_score_shift(twins: TwinScores) -> float:
    """Mean (s(twin) - s(row)). Range -1..1; nearest 0 is best; 0 = scores do not move, or moves cancel.

    Give it the rows of one group at a time: over both directions of a flip, what one twin gains the other loses. Pairs
    without two scores are left out; NaN where there are none.
    """
    return _mean_shift(twins, twins.twin - twins.row)


def counterfactual_score_shift_absolute(twins: TwinScores) -> float:
    """Mean |s(twin) - s(row)|. Range 0..1; lower is better; 0 = no score moves with the sensitive attribute.

    Pairs without two scores are left out; NaN where there are none.
    """
    return _mean_shift(twins, np.abs(twins.twin - twins.row))


def consistency(rows: Neighbourhood, neighbours: int = NEIGHBOURS) -> float:
    """1 - mean |ŷ - mean ŷ of the k nearest neighbours|. Range 0..1; higher is better; 0 = all differ from all theirs.

    Zemel et al. 2013 (yNN). A row is not its own neighbour: counting it, as some libraries do, raises the value. Rows
    without a decision are nobody's neighbours.

    Parameters
    ----------
    rows : Neighbourhood
        Distances are Euclidean in the raw columns as given: scale them to one unit, and encode categories as 0/1.
        Among equally near neighbours scikit-learn takes whichever it meets first.
    neighbours : int
        k.

    Returns
    -------
    float
        NaN with no more than k rows that have a decision.

    Raises
    ------
    ValueError
        `neighbours` is below 1, or decisions are not two classes.
    """
    from sklearn.neighbors import NearestNeighbors  # slow to import, and every verdict imports this module

    if neighbours < 1:
        raise ValueError(f"{neighbours} neighbours: at least 1 is needed")
    if rows.decision.max(initial=0) > 1:
        raise ValueError(f"decision {rows.decision.max()}: a mean of decisions needs the two classes 0 and 1")
    decided = rows.decision >= 0
    decision = rows.decision[decided].astype(np.float64)
    if len(decision) <= neighbours:
        return float("nan")
    search = NearestNeighbors(n_neighbors=neighbours).fit(np.asarray(rows.features)[decided])
    nearest: Any = search.kneighbors(return_distance=False)  # without an argument: of the rows, themselves left out
    return float(1 - np.abs(decision - decision[nearest].mean(1)).mean())


def _mean_shift(twins: TwinScores, shift: NDArray[np.floating]) -> float:
    scored = ~np.isnan(shift)
    weight = _weights(twins)[scored]
    return float(divide((weight * shift[scored]).sum(), weight.sum()))


def _weights(twins: TwinDecisions | TwinScores) -> NDArray[np.floating]:
    return np.ones(len(twins.row)) if twins.weight is None else twins.weight
