"""The frontiers of group thresholds: brute force, exact fractions and error-parity."""

import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiray.errors import BadInput
from equiray.metrics.disparities import EQUALIZED_ODDS_DIFFERENCE_MAX
from equiray.metrics.frontiers import (
    FRONTIER_METRICS,
    Split,
    Trade,
    exact,
    randomised_frontier,
    read_frontier,
    threshold_frontier,
)
from equiray.metrics.intervals.binomial import rate_interval
from equiray.metrics.intervals.limits import Counted
from equiray.metrics.intervals.simultaneous import largest_difference
from equiray.metrics.rates import FPR, TPR
from equiray.metrics.tables import MISSING, ScoreCounts
from score_tables import ScoredRows, decide, scored_rows, split_of

METRICS = tuple(FRONTIER_METRICS)
RATES = {
    "demographic_parity_difference": ["selection_rate"],
    "equal_opportunity_difference": ["tpr"],
    "fpr_difference": ["fpr"],
    "equalized_odds_difference_max": ["tpr", "fpr"],
}
DP, EODDS = "demographic_parity_difference", "equalized_odds_difference_max"


@st.composite
def small_tables(draw: st.DrawFn) -> ScoredRows:
    """Two or three groups, at most eight distinct scores, both labels in each group."""
    groups = draw(st.sampled_from([2, 3]))
    cell = st.tuples(st.integers(0, 7 if groups == 2 else 4), st.integers(0, 1))
    rows = [(g, draw(st.integers(0, 4)), label) for g in range(groups) for label in (0, 1)]
    for g in range(groups):
        rows += [(g, score, label) for score, label in draw(st.lists(cell, max_size=9))]
    group, score, label = (np.array(column) for column in zip(*rows, strict=True))
    return ScoredRows(score / 8, label, group, groups)


def brute_force(rows: ScoredRows, metric: str) -> list[tuple[Fraction, Fraction]]:
    """Every combination of thresholds, row by row and in fractions; the best accuracy of each disparity, if new."""
    options = [
        [_outcome(rows, g, t, metric) for t in [math.inf, *sorted(set(rows.score[rows.group == g]))]]
        for g in range(rows.groups)
    ]
    best: dict[Fraction, int] = {}
    for combination in product(*options):
        rates = list(zip(*(rate for rate, _ in combination), strict=True))
        disparity = max(max(rate) - min(rate) for rate in rates)
        best[disparity] = max(best.get(disparity, -1), sum(right for _, right in combination))
    front, reached = [], -1
    for disparity, right in sorted(best.items()):
        if right > reached:
            front.append((disparity, Fraction(right, len(rows.score))))
            reached = right
    return front


def _outcome(rows: ScoredRows, g: int, threshold: float, metric: str) -> tuple[list[Fraction], int]:
    chosen = [(s >= threshold, y) for s, y, at in zip(rows.score, rows.label, rows.group, strict=True) if at == g]
    pools = {"selection_rate": chosen, "tpr": [c for c in chosen if c[1]], "fpr": [c for c in chosen if not c[1]]}
    rates = [pools[name] for name in RATES[metric]]
    return [Fraction(sum(bool(d) for d, _ in pool), len(pool)) for pool in rates], sum(d == y for d, y in chosen)


def trades(points: Sequence) -> list[tuple[float, float]]:
    return [tuple(point.on_choice) for point in points]


@pytest.mark.parametrize("metric", METRICS)
@settings(max_examples=40)
@given(rows=small_tables())
def test_the_exact_frontier_is_that_of_all_combinations(metric: str, rows: ScoredRows) -> None:
    found = threshold_frontier(split_of(rows, "validation"), metric)
    expected = brute_force(rows, metric)
    assert found.status == "estimated"
    assert [len(trades(found.points)), *sum(trades(found.points), ())] == pytest.approx(
        [len(expected), *map(float, sum(expected, ()))], abs=1e-12
    )


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("groups", [2, 3])
def test_each_rule_does_what_its_point_says(metric: str, groups: int) -> None:
    rows = scored_rows(5, 150, groups, decimals=2)
    split = split_of(rows, "validation")
    for frontier in (threshold_frontier(split, metric), randomised_frontier(split, metric, levels=6)):
        assert len(frontier.points) > 2
        for point in frontier.points:
            positive = decide(rows, point.rule)
            accuracy = np.where(rows.label == 1, positive, 1 - positive).mean()
            pools = {"selection_rate": rows.label >= 0, "tpr": rows.label == 1, "fpr": rows.label == 0}
            rates = [
                [positive[pools[name] & (rows.group == g)].mean() for g in range(groups)] for name in RATES[metric]
            ]
            disparity = max(max(rate) - min(rate) for rate in rates)
            assert point.on_choice == pytest.approx((disparity, accuracy), abs=1e-9)


def test_hundreds_of_thresholds_agree_with_all_windows() -> None:
    """Three groups of some 80 rows without ties: the frontier by every window [t, u] of two rates, cumulatively."""
    rows = scored_rows(2, 240, 3)
    found = threshold_frontier(split_of(rows, "validation"), DP)
    paths = []
    for g in range(3):
        order = np.argsort(-rows.score[rows.group == g])
        label = rows.label[rows.group == g][order]
        right = (label == 0).sum() + np.concatenate([[0], np.cumsum(2 * label - 1)])
        paths.append((np.arange(len(label) + 1) / len(label), right))
    merged = np.unique(np.concatenate([rates for rates, _ in paths]))
    best: dict[float, int] = {}
    for low in merged:
        running = [-(10**9)] * 3
        for high in merged[merged >= low]:
            for g, (rates, right) in enumerate(paths):
                at = np.searchsorted(rates, high)
                if at < len(rates) and rates[at] == high:
                    running[g] = max(running[g], right[at])
            width = round(high - low, 12)
            best[width] = max(best.get(width, -1), sum(running))
    front, reached = [], -1
    for width, right in sorted(best.items()):
        if right > reached:
            front.append((width, right / 240))
            reached = right
    assert np.array(trades(found.points)) == pytest.approx(np.array(front), abs=1e-11)


@given(rows=small_tables(), level=st.floats(0, 0.6))
@settings(max_examples=30)
def test_randomised_parity_is_the_best_window_of_concave_hulls(rows: ScoredRows, level: float) -> None:
    """One rate: the best accuracy is concave in where the window begins, so it begins at a vertex, or ends at one."""
    (point,) = randomised_frontier(split_of(rows, "validation"), DP, levels=[level]).points
    hulls = []
    for g in range(rows.groups):
        curve = {}
        for t in [math.inf, *set(rows.score[rows.group == g])]:
            (rate,), right = _outcome(rows, g, t, DP)
            curve[float(rate)] = right
        hulls.append(sorted(curve.items()))
    starts = {x for hull in hulls for x, _ in hull} | {x - level for hull in hulls for x, _ in hull}
    best = max(sum(_majorant(hull, t, t + level) for hull in hulls) for t in starts if 0 <= t <= 1)
    assert point.on_choice.accuracy == pytest.approx(best / len(rows.score), abs=1e-9)
    assert point.on_choice.disparity <= level + 1e-9


def _majorant(points: list[tuple[float, int]], low: float, high: float) -> float:
    """The most that a mixture of two points reaches between two rates."""
    best = -math.inf
    for (x, a), (y, b) in product(points, points):
        for rate in (x, y, low, high):
            if min(x, y) <= rate <= max(x, y) and low - 1e-12 <= rate <= high + 1e-12:
                best = max(best, a if x == y else a + (b - a) * (rate - x) / (y - x))
    return best


@pytest.mark.parametrize("metric", METRICS)
def test_drawing_between_thresholds_never_does_worse(metric: str) -> None:
    split = split_of(scored_rows(3, 400, 3, decimals=2), "validation")
    certain = trades(threshold_frontier(split, metric).points)
    levels = [disparity for disparity, _ in certain]
    drawn = randomised_frontier(split, metric, levels=levels)
    for disparity, accuracy in certain:
        reached = max(p.on_choice.accuracy for p in drawn.points if p.on_choice.disparity <= disparity + 1e-9)
        assert reached >= accuracy - 1e-9
    slopes = np.diff([a for _, a in trades(drawn.points)]) / np.diff([d for d, _ in trades(drawn.points)])
    assert (np.diff(slopes) < 1e-6).all(), "concave"


CONSTRAINTS = {
    DP: "demographic_parity",
    "equal_opportunity_difference": "true_positive_rate_parity",
    "fpr_difference": "false_positive_rate_parity",
    EODDS: "equalized_odds",
}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("groups", "level"), [(2, 0.0), (2, 0.05), (3, 0.02), (4, 0.1)])
def test_the_linear_program_agrees_with_error_parity(metric: str, groups: int, level: float) -> None:
    pytest.importorskip("ecos", reason="error-parity solves with ECOS")
    peer = pytest.importorskip("error_parity", reason="error-parity is not installed")
    rows = scored_rows(groups, 500, groups, decimals=2)
    (ours,) = randomised_frontier(split_of(rows, "validation"), metric, levels=[level]).points
    theirs = peer.RelaxedThresholdOptimizer(
        predictor=lambda X: X[:, 0], constraint=CONSTRAINTS[metric], tolerance=level, max_roc_ticks=None
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.fit(rows.score[:, None], rows.label, group=rows.group)
        violation = theirs.constraint_violation()
    # its solver stops at 1e-9 from the optimum of its own formulation
    assert ours.on_choice.accuracy == pytest.approx(1 - theirs.cost(1.0, 1.0), abs=1e-8)
    assert violation <= level + 1e-7
    assert ours.on_choice.disparity <= level + 1e-9


def test_weights_count_rows_several_times() -> None:
    rows = scored_rows(9, 120, 2, decimals=2)
    times = np.random.default_rng(1).integers(1, 4, 120)
    repeated = ScoredRows(*(np.repeat(column, times) for column in rows[:3]), rows.groups)
    weighted = threshold_frontier(split_of(rows, "validation", weights=times / 2), EODDS)
    whole = threshold_frontier(split_of(repeated, "validation"), EODDS)
    assert np.array(trades(weighted.points)) == pytest.approx(np.array(trades(whole.points)), abs=1e-12)
    other = split_of(scored_rows(10, 120, 2), "test", weights=np.ones(120))
    assert {(p.low, p.high) for p in read_frontier(weighted, other).points} == {(None, None)}


def test_a_rule_is_read_as_the_engine_reads_any_decision() -> None:
    """Rules chosen on one split, applied row by row to another, and counted like the predictions of a model."""
    chosen = threshold_frontier(split_of(scored_rows(11, 300, 2, decimals=2), "validation"), EODDS)
    rows = scored_rows(12, 500, 2, decimals=3)
    reading = read_frontier(chosen, split_of(rows, "test"), confidence=0.9)
    assert reading.n == 500 and len(reading.points) == len(chosen.points) > 3
    for point in reading.points:
        positive = decide(rows, point.rule).astype(np.int64)
        mass = np.zeros((2, 2, 2), dtype=np.int64)
        np.add.at(mass, (rows.group, rows.label, positive), 1)
        counted = [Counted(rate.events(mass), rate.trials(mass)) for rate in (TPR, FPR)]
        apart = largest_difference(counted, 0.9)
        right = int((positive == rows.label).sum())
        among = rate_interval(right, 500, 0.9)
        assert point.on_read == pytest.approx((float(EQUALIZED_ODDS_DIFFERENCE_MAX.of(mass)), right / 500))
        assert point.low == pytest.approx((float(apart.low), float(among.low)))
        assert point.high == pytest.approx((float(apart.high), float(among.high)))


def test_groups_are_matched_by_name() -> None:
    rows = scored_rows(13, 300, 2)
    chosen = threshold_frontier(split_of(rows, "validation"), DP)
    other = split_of(scored_rows(14, 300, 2), "test")
    counts = other.table.scores
    assert counts is not None
    turned = replace(other.table, groups=other.table.groups[::-1], scores=counts._replace(count=counts.count[::-1]))
    straight, reversed_ = read_frontier(chosen, other), read_frontier(chosen, Split("test", turned))
    assert [p.on_read for p in straight.points] == [p.on_read for p in reversed_.points]
    renamed = replace(other.table, groups=("group 0", "someone"))
    with pytest.raises(BadInput, match="someone"):
        read_frontier(chosen, Split("test", renamed))


def test_on_noise_a_frontier_looks_better_where_it_was_chosen() -> None:
    optimism = []
    for seed in range(12):
        choice, other = (
            rows._replace(label=np.random.default_rng(seed).permutation(rows.label))
            for rows in (scored_rows(100 + seed, 60, 2), scored_rows(200 + seed, 400, 2))
        )
        reading = read_frontier(threshold_frontier(split_of(choice, "validation"), DP), split_of(other, "test"))
        optimism.append(np.mean([p.on_choice.accuracy - p.on_read.accuracy for p in reading.points]))
    assert np.mean(optimism) > 0.03


@pytest.mark.parametrize("find", [threshold_frontier, randomised_frontier])
def test_a_group_without_a_denominator_has_no_frontier(find) -> None:
    rows = scored_rows(20, 200, 2)
    one_class = ScoredRows(rows.score, np.where(rows.group == 1, 0, rows.label), rows.group, 2)
    for metric in ("equal_opportunity_difference", EODDS):
        found = find(split_of(one_class, "validation"), metric)
        assert (found.status, found.points) == ("not_estimable", ())
        assert found.reason == "group 'group 1' has no positive rows with a score in validation"
        reading = read_frontier(found, split_of(rows, "test"))
        assert (reading.status, reading.reason, reading.points) == ("not_estimable", found.reason, ())
    assert find(split_of(one_class, "validation"), DP).status == "estimated"
    whole = find(split_of(rows, "validation"), EODDS)
    reading = read_frontier(whole, split_of(one_class._replace(score=rows.score / 2), "test"))
    assert (reading.status, reading.points) == ("not_estimable", ())
    alone = ScoredRows(rows.score, rows.label, np.zeros_like(rows.group), 1)
    assert find(split_of(alone, "validation"), DP).reason.startswith("sex has fewer than the two groups")
    empty = ScoredRows(rows.score, rows.label, np.zeros_like(rows.group), 2)
    assert find(split_of(empty, "validation"), DP).status == "not_estimable"


def test_what_is_left_out_or_rounded_makes_the_frontier_partial() -> None:
    rows = scored_rows(21, 300, 2, decimals=1)
    found = threshold_frontier(split_of(rows, "validation", unscored=7), DP)
    assert (found.status, found.reason) == ("partial", "7 of validation's rows have no score and are left out")
    reading = read_frontier(found, split_of(scored_rows(22, 200, 2), "test", unscored=2))
    assert reading.status == "partial" and "7 of validation's" in reading.reason and "2 of test's" in reading.reason
    split = split_of(rows, "validation")
    assert split.table.scores is not None
    on_grid = replace(split.table, scores=split.table.scores._replace(exact=False))
    assert "on a grid" in threshold_frontier(Split("validation", on_grid), DP).reason


def test_rows_of_no_group_have_no_rule() -> None:
    rows = scored_rows(25, 300, 3, decimals=2)
    split = split_of(rows, "validation")
    gapped = Split("validation", replace(split.table, groups=("group 0", "group 1", MISSING)))
    found = threshold_frontier(gapped, DP)
    known = rows.group < 2
    two = split_of(ScoredRows(rows.score[known], rows.label[known], rows.group[known], 2), "validation")
    assert (found.groups, found.points) == (("group 0", "group 1"), threshold_frontier(two, DP).points)
    assert found.status == "partial"
    assert found.reason == f"{(~known).sum()} of validation's rows have no sex and are left out"


@pytest.mark.parametrize(("most", "short"), [(100, False), (900, False), (90, True), (4, False)])
def test_a_search_that_is_cut_short_says_so_and_by_how_much(monkeypatch: pytest.MonkeyPatch, most: int, short: bool):
    rows = scored_rows(23, 90, 3)
    if short:  # two negatives a group: few false positive rates beside many true ones
        first = np.concatenate([np.flatnonzero((rows.group == g) & (rows.label == 0))[:2] for g in range(3)])
        kept = np.isin(np.arange(len(rows.label)), first) | (rows.label == 1)
        rows = ScoredRows(rows.score[kept], rows.label[kept], rows.group[kept], 3)
    split = split_of(rows, "validation")
    whole = threshold_frontier(split, EODDS)
    assert (whole.status, whole.reason) == ("estimated", "")
    monkeypatch.setattr(exact, "MOST_STARTS", most)
    found = threshold_frontier(split, EODDS)
    assert found.status == "partial"
    said = re.fullmatch(r"only ([\d,]+) of ([\d,]+) pairs of rates were searched: .* by up to (\S+)", found.reason)
    assert said and int(said[1].replace(",", "")) <= most < int(said[2].replace(",", ""))
    for step_rule, (disparity, accuracy) in found.points:
        fairest = min(p.on_choice.disparity for p in whole.points if p.on_choice.accuracy >= accuracy - 1e-12)
        assert fairest - 1e-12 <= disparity <= fairest + float(said[3]) * 1.01
        thresholds = [step.threshold for (step,) in step_rule]
        assert _trade(rows, thresholds) == pytest.approx((disparity, accuracy), abs=1e-12), "attained"
    reading = read_frontier(found, split_of(scored_rows(24, 90, 3), "test"))
    assert reading.status == "partial" and found.reason in reading.reason
    assert threshold_frontier(split, DP).status == "estimated", "one rate needs no pairs"


def _trade(rows: ScoredRows, thresholds: Sequence[float]) -> tuple[float, float]:
    """Equalized odds and accuracy of thresholds, row by row."""
    said = rows.score >= np.array(thresholds)[rows.group]
    rates = [[said[(rows.group == g) & (rows.label == y)].mean() for g in range(rows.groups)] for y in (0, 1)]
    return max(max(rate) - min(rate) for rate in rates), float((said == rows.label).mean())


def test_bad_input_is_refused_with_its_place() -> None:
    split = split_of(scored_rows(23, 90, 3), "validation")
    with pytest.raises(BadInput, match="accuracy_parity_difference") as caught:
        threshold_frontier(split, "accuracy_parity_difference")
    assert DP in caught.value.fix
    for table in (replace(split.table, scores=None), replace(split.table, classes=("a", "b", "c"))):
        with pytest.raises(BadInput, match=r"no scores|3 classes"):
            randomised_frontier(Split("validation", table), DP)
    for levels in ([1.5], [0.1, -0.1], [], 0):
        with pytest.raises(BadInput, match=re.escape(repr(levels))):
            randomised_frontier(split, DP, levels=levels)


def test_a_constant_score_leaves_everybody_or_nobody() -> None:
    rows = ScoredRows(np.full(8, 0.5), np.array([0, 0, 0, 1, 1, 1, 1, 0]), np.repeat([0, 1], 4), 2)
    found = threshold_frontier(split_of(rows, "validation"), DP)
    assert trades(found.points) == [Trade(0.0, 0.5), Trade(1.0, 0.75)]
    assert [step.threshold for (step,) in found.points[1].rule] == [math.inf, -math.inf]
    (all_equal,) = randomised_frontier(split_of(rows, "validation"), DP, levels=[0.5]).points
    assert all_equal.on_choice == pytest.approx((0.5, 0.625))


def test_a_frontier_of_counts_is_that_of_its_rows_only() -> None:
    """Scores that no row of a group has add no threshold to it."""
    rows = scored_rows(24, 100, 2, decimals=1)
    split = split_of(rows, "validation")
    scores = split.table.scores
    assert scores is not None
    padded = ScoreCounts(np.append(scores.values, 2.0), True, np.pad(scores.count, ((0, 0), (0, 0), (0, 1))))
    wider = Split("validation", replace(split.table, scores=padded))
    assert threshold_frontier(wider, EODDS).points == threshold_frontier(split, EODDS).points
