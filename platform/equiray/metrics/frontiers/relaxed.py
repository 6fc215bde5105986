"""The frontier of randomised group thresholds: Hardt's derived predictor with slack, by linear programming."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import block_diag, csr_array, hstack, kron, vstack

from equiray.errors import BadInput
from equiray.metrics.disparities import Disparity
from equiray.metrics.frontiers.curves import GroupCurve, Split, disparity_of, group_curves, lacking
from equiray.metrics.frontiers.rules import Chosen, Frontier, Rule, Step, Trade

LEVELS = 41
_NONE = 1e-9  # a probability below this is rounding of the solver


def randomised_frontier(split: Split, metric: str, levels: Sequence[float] | int = LEVELS) -> Frontier:
    """The best accuracy at given levels of disparity if each group may draw between thresholds.

    The derived predictor of Hardt, Price and Srebro (arXiv 1610.02413) with slack, as error-parity (arXiv 2306.07261)
    relaxes it, solved from counts: a group may take any point in the convex hull of its ROC curve. With weight w[g,v]
    on vertex v of group g's upper hull, rates r[g,v] and correct rows c[g,v],

        maximise    sum w[g,v] c[g,v] / n
        subject to  sum_v w[g,v] = 1,   low[d] <= sum_v w[g,v] r[d,g,v] <= low[d] + level     for each rate d, group g

    The lower hull is left out: a point below the diagonal is no better than the diagonal's point above it, which is
    no farther from the other groups. Never below `threshold_frontier`; concave, so that straight lines between its
    points are attained too (by drawing one of two rules), though between levels the true frontier may bulge above.

    Cost: H vertices in all (of T thresholds some T^(1/3) lie on the hull), one sparse program of H variables a level.

    Parameters
    ----------
    split : Split
        The rows to choose on.
    metric : str
        One of `FRONTIER_METRICS`.
    levels : sequence of float or int
        Disparities allowed, each within 0..1; a number asks for that many, evenly from 0 to where slack no longer
        helps.

    Returns
    -------
    Frontier
        Kind ``randomised``; statuses as `threshold_frontier`.

    Raises
    ------
    BadInput
        Unknown metric; no scores, or not two classes; no level, or one outside 0..1.
    """
    if levels < 1 if isinstance(levels, int) else not levels or min(levels) < 0 or max(levels) > 1:
        raise BadInput(f"no levels of disparity: {levels!r}", place="levels", fix="give some within 0..1, or how many")
    disparity, curves = disparity_of(metric), group_curves(split)
    reason, caveats = lacking(split, curves, disparity), split.caveats
    points: tuple[Chosen, ...] = ()
    if not reason:
        program = _Program([curve.at(upper_hull(curve)) for curve in curves], disparity)
        asked = np.linspace(0, program.unbound().disparity, levels) if isinstance(levels, int) else np.sort(levels)
        points = _rising([program.solve(float(level)) for level in asked])
    return Frontier(
        metric=metric,
        attribute=split.table.attribute,
        groups=split.groups,
        kind="randomised",
        chosen_on=split.name,
        fingerprint=split.fingerprint,
        points=points,
        status="not_estimable" if reason else "partial" if caveats else "estimated",
        reason=reason or "; ".join(caveats),
    )


def upper_hull(curve: GroupCurve) -> NDArray[np.intp]:
    """The thresholds on the upper convex hull of a group's ROC curve, from nobody to everybody (monotone chain)."""
    kept: list[int] = []
    for i in range(len(curve.thresholds)):
        while len(kept) > 1 and _above_or_on(curve, kept[-2], i, kept[-1]):
            kept.pop()
        kept.append(i)
    return np.array(kept)


def _above_or_on(curve: GroupCurve, start: int, end: int, between: int) -> bool:
    """Whether the line from start to end passes above `between` or through it; exact for whole counts."""
    x, y = curve.mass[:, 0, 1], curve.mass[:, 1, 1]
    across = (x[end] - x[start]) * (y[between] - y[start])
    return bool(across <= (y[end] - y[start]) * (x[between] - x[start]))


class _Program:
    """The linear program of one split; only its right-hand side changes with the level."""

    def __init__(self, hulls: list[GroupCurve], disparity: Disparity) -> None:
        self._hulls, self._disparity = hulls, disparity
        self._rates = [np.stack([hull.rate(rate) for rate in disparity.rates]) for hull in hulls]  # each [D, V_g]
        self._rows = sum(hull.rows for hull in hulls)
        self._gain = np.concatenate([hull.correct for hull in hulls]) / self._rows
        at = csr_array(block_diag(self._rates))  # [G D, H]
        lows = kron(np.ones((len(hulls), 1)), np.eye(len(disparity.rates)))  # [G D, D]
        self._upper = vstack([hstack([at, -lows]), hstack([-at, lows])]).tocsr()
        ones = block_diag([np.ones((1, len(hull.thresholds))) for hull in hulls])
        self._whole = hstack([ones, csr_array((len(hulls), len(disparity.rates)))]).tocsr()

    def solve(self, level: float) -> Chosen:
        """The best rule whose disparity is at most `level`."""
        lows = np.zeros(len(self._disparity.rates))
        limits = np.repeat([level, 0.0], len(self._hulls) * len(lows))
        solved = linprog(
            np.append(-self._gain, lows),  # minimised, and where a window begins costs nothing
            A_ub=self._upper,
            b_ub=limits,
            A_eq=self._whole,
            b_eq=np.ones(len(self._hulls)),
            method="highs-ds",
            options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
        )
        assert solved.success, solved.message  # deciding everybody positively is always feasible
        weights = np.asarray(solved.x)[: len(self._gain)]
        weights = np.where(weights > _NONE, weights, 0.0)
        ends = np.cumsum([len(hull.thresholds) for hull in self._hulls])[:-1]
        return self._chosen([part / part.sum() for part in np.split(weights, ends)])

    def unbound(self) -> Trade:
        """The trade of each group's own most accurate threshold: no level beyond its disparity buys anything."""
        best = [np.eye(len(hull.thresholds))[hull.correct.argmax()] for hull in self._hulls]
        return self._chosen(best).on_choice

    def _chosen(self, weights: list[NDArray[np.float64]]) -> Chosen:
        """The rule and what it truly does, computed from its own probabilities."""
        at = np.stack([rates @ w for rates, w in zip(self._rates, weights, strict=True)], axis=-1)
        correct = sum(float(hull.correct @ w) for hull, w in zip(self._hulls, weights, strict=True))
        rule: Rule = tuple(
            tuple(Step(float(t), float(p)) for t, p in zip(hull.thresholds, w, strict=True) if p > 0)
            for hull, w in zip(self._hulls, weights, strict=True)
        )
        return Chosen(rule, Trade(float(self._disparity.of_rates(list(at))), correct / self._rows))


def _rising(points: list[Chosen]) -> tuple[Chosen, ...]:
    """Without the levels that bought nothing over the one before."""
    kept = points[:1]
    for point in points[1:]:
        if point.on_choice.accuracy > kept[-1].on_choice.accuracy + 1e-12:
            kept.append(point)
    return tuple(kept)
