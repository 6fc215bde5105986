"""Estimates from tables: their values, their limits, and what a row that is left out may do to either."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from equiray.metrics.catalogue import METRICS
from equiray.metrics.clusters import Resampling
from equiray.metrics.counting import Attribute, Columns, Layout, count_table
from equiray.metrics.estimates import Estimate
from equiray.metrics.estimation import CountedEvidence, Labels, Setting, estimates_of, with_positive
from equiray.metrics.estimation.shapes import everyone
from equiray.metrics.intervals.binomial import rate_interval
from equiray.metrics.intervals.limits import Counted, Moments
from equiray.metrics.intervals.means import mean_interval
from equiray.metrics.intervals.scores import auc_interval
from equiray.metrics.intervals.simultaneous import projected
from equiray.metrics.tables import MISSING, GroupTable, Mass
from equiray.metrics.verdicts import Evidence, Unknown
from metric_tables import Scored, masses, random_mass, random_scored, score_counts, score_sums, table, target_sums

SETTING = Setting(labels=Labels("loans", "audit", "m"))
_CLOSE = 1e-9


def found(estimates: list[Estimate], metric: str, group: str | None = None, attribute: str | None = "g") -> Estimate:
    (one,) = [e for e in estimates if (e.metric, e.attribute, e.group) == (metric, attribute, group)]
    return one


def answered(seed: int, groups: int = 3, classes: int = 2) -> np.ndarray:
    counts = random_mass(seed, (groups, classes, classes + 2))
    counts[..., classes:] = 0
    return counts


def scored_table(rows: Scored, groups: int = 3, grid: int | None = None, unanswered: np.ndarray | None = None):
    """A table of scored rows, decided at .5, with rows [G, K] that have neither a decision nor a score."""
    counts, weights, squares = np.zeros((3, groups, 2, 4))
    weight = np.ones(len(rows.score)) if rows.weight is None else rows.weight
    place = (rows.group, rows.label, (rows.score >= 0.5).astype(int))
    for into, values in ((counts, 1), (weights, weight), (squares, weight**2)):
        np.add.at(into, place, values)
    if unanswered is not None:
        for into in (counts, weights, squares):
            into[..., 2] += unanswered
    weighted = (None, None) if rows.weight is None else (weights, squares)
    return table(
        counts.astype(np.int64),
        mass=Mass(counts.astype(np.int64), *weighted),
        scores=score_counts(rows, groups, grid),
        score_sums=score_sums(rows, groups),
    )


def test_limits_are_those_of_the_kind_that_the_metric_names():
    counts = answered(1)
    estimates = estimates_of([table(counts)], SETTING)
    tpr = Counted(counts[:, 1, 1], counts[:, 1].sum(-1))
    fpr = Counted(counts[:, 0, 1], counts[:, 0].sum(-1))
    for place, group in enumerate("abc"):
        one = found(estimates, "tpr", group)
        assert (one.value, one.n) == (tpr.events[place] / tpr.trials[place], tpr.trials[place])
        assert (one.low, one.high) == tuple(float(end[place]) for end in rate_interval(*tpr, 0.95))
    odds = found(estimates, "equalized_odds_difference_mean")
    assert (odds.low, odds.high) == tuple(map(float, projected("mean", [tpr, fpr], 0.95)))
    assert odds.n == counts[..., :2].sum() and odds.status == "estimated"
    assert found(estimates, "accuracy", attribute=None).value == np.trace(counts[..., :2].sum(0)) / counts.sum()


@given(masses(groups=(1, 4)))
@settings(max_examples=20)
def test_every_estimate_agrees_with_its_status(counts: np.ndarray):
    names = ("a", "b", "c", "d")[: len(counts)]
    for e in estimates_of([table(counts, groups=names)], SETTING):
        if e.status == "not_estimable":
            assert e.value is e.low is e.high is None
            continue
        assert e.value is not None and e.direction == METRICS[e.metric].direction
        if e.low is None or e.high is None:
            assert e.status == "partial" and e.metric == "impact_ratio" and len(counts) == 1
        else:
            low, high = METRICS[e.metric].range
            assert low <= e.low <= e.value + _CLOSE and e.value - _CLOSE <= e.high <= high


def test_a_group_without_a_denominator_is_not_estimable_and_neither_is_what_compares_it():
    counts = answered(2)
    counts[1, 1] = 0
    estimates = estimates_of([table(counts)], SETTING)
    assert found(estimates, "tpr", "b").status == "not_estimable" and found(estimates, "tpr", "b").n == 0
    assert found(estimates, "fpr", "b").status == "estimated"
    assert found(estimates, "equal_opportunity_difference").value is None
    assert found(estimates, "fpr_difference").status == "estimated"


@given(masses(most=3, groups=(2, 3)), st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=30)
def test_limits_hold_whatever_the_rows_are_that_are_left_out(counts: np.ndarray, seed: int, missing: bool):
    """Complete the table at random: what every metric then says lies within the limits said without knowing."""
    rng = np.random.default_rng(seed)
    names = (*"abc"[: len(counts) - 1], MISSING if missing else "z")
    estimates = estimates_of([table(counts, groups=names)], SETTING)
    complete = completed(counts, rng, assign=missing)
    for metric in METRICS.values():
        if metric.reads != "mass" or metric.id in ("refusal_rate", "parse_failure_rate"):
            continue
        if metric.scope == "group" and missing:
            continue  # of the rows known to be in the group, which the assignment mixes with others
        values = np.atleast_1d(metric.of(table(complete, groups=names[: len(complete)])))
        groups = (None,) if metric.scope == "attribute" else names[: len(complete)]
        for group, value in zip(groups, values.tolist(), strict=True):
            said = found(estimates, metric.id, group)
            if said.low is not None and said.high is not None and not np.isnan(value):
                assert said.low - _CLOSE <= value <= said.high + _CLOSE, (metric.id, group)


def completed(counts: np.ndarray, rng: np.random.Generator, *, assign: bool) -> np.ndarray:
    """Every unanswered row decided, and with `assign` every row of the last group given to another."""
    cells = np.indices(counts.shape).reshape(3, -1)
    group, label, prediction = np.repeat(cells, counts.ravel(), axis=1)
    groups = len(counts) - assign
    prediction = np.where(prediction >= 2, rng.integers(0, 2, len(group)), prediction)
    group = np.where(group >= groups, rng.integers(0, groups, len(group)), group)
    made = np.zeros((groups, 2, 4), np.int64)
    np.add.at(made, (group, label, prediction), 1)
    return made


def test_many_classes_take_little_memory():
    """A row of each label and prediction at once was the square of a table: 13 GB of 200 classes."""
    counts = np.zeros((2, 200, 202), np.int64)
    counts[:, np.arange(200), np.arange(200)] = 3
    counts[0, 7, 8], counts[1, 7, 201] = 2, 1
    tracemalloc.start()
    estimates = estimates_of([table(counts, groups=("a", "b"))], SETTING)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200e6
    first, second = found(estimates, "accuracy", "a"), found(estimates, "accuracy", "b")
    assert (first.value, second.value) == (600 / 602, 1) and (first.status, second.status) == ("estimated", "partial")
    assert found(estimates, "worst_group_accuracy_cells").value == 3 / 5


def test_partial_marks_what_rows_that_are_left_out_could_change_and_nothing_else():
    counts = answered(3)
    counts[0, 1, 2] = 4  # positives of the first group, refused
    estimates = estimates_of([table(counts)], SETTING)
    status = {(e.metric, e.group): e.status for e in estimates if e.attribute == "g"}
    assert status["tpr", "a"] == status["equal_opportunity_difference", None] == "partial"
    assert status["fpr", "a"] == status["tpr", "b"] == status["fpr_difference", None] == "estimated"
    assert status["refusal_rate", "a"] == "estimated"

    known = estimates_of([table(answered(3), groups=("a", "b", MISSING))], SETTING)
    assert found(known, "tpr", "a").status == "estimated"  # of the rows known to be in the group
    assert found(known, "equal_opportunity_difference").status == "partial"
    assert found(known, "impact_ratio", "b").status == "partial"
    assert found(known, "tpr", MISSING).value is not None
    assert not [e for e in known if e.metric == "impact_ratio" and e.group == MISSING]


def test_equal_weights_change_no_limit():
    rows = random_scored(14)
    plain = estimates_of([scored_table(rows)], SETTING)
    weighted = estimates_of([scored_table(rows._replace(weight=np.full(len(rows.score), 2.0)))], SETTING)
    for one, other in zip(plain, weighted, strict=True):
        assert (one.metric, one.group, one.n, one.status) == (other.metric, other.group, other.n, other.status)
        for ours, theirs in ((one.value, other.value), (one.low, other.low), (one.high, other.high)):
            assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)


def test_unequal_weights_widen_limits():
    rows = random_scored(5, weighted=True)
    assert rows.weight is not None
    plain, heavy = (
        estimates_of([scored_table(rows._replace(weight=weight))], SETTING)
        for weight in (np.ones(len(rows.score)), np.where(np.arange(len(rows.score)) % 10, 0.01, 10.0))
    )
    for metric in ("tpr", "auc", "brier", "mean_score", "ece", "scoring_rate"):
        narrow, wide = found(plain, metric, "a"), found(heavy, metric, "a")
        assert wide.high - wide.low > narrow.high - narrow.low, metric


def test_weighted_scores_have_the_limits_of_as_many_rows_as_vary_like_them():
    """Row by row: the linearised variance of each mean, and Kish's number where it is the smaller."""
    rows = random_scored(15, weighted=True, values=40)
    rows = rows._replace(weight=np.where(np.abs(rows.score - 0.5) > 0.35, 6.0, 1) * rows.weight)
    estimates = estimates_of([scored_table(rows)], SETTING)
    shrunk = 0
    for place, name in enumerate("abc"):
        mine = rows.group == place
        score, label, weight = rows.score[mine], rows.label[mine], rows.weight[mine]
        for metric, values in (("mean_score", score), ("brier", (score - label) ** 2)):
            n, kish = effective_rows(values, weight)
            shrunk += n < kish
            centre, squares = np.average([values, values**2], weights=weight, axis=1)
            expected = mean_interval(Moments(n, n * centre, n * squares, 0, 1), 0.95)
            said = found(estimates, metric, name)
            assert (said.low, said.high) == pytest.approx(tuple(expected), rel=1e-9)
        positive, negative = ((score[label == k], weight[label == k]) for k in (1, 0))
        below = [np.average((negative[0] < s) + (negative[0] == s) / 2, weights=negative[1]) for s in positive[0]]
        above = [np.average((positive[0] > s) + (positive[0] == s) / 2, weights=positive[1]) for s in negative[0]]
        sizes = [effective_rows(np.array(v), w)[0] for v, w in ((above, negative[1]), (below, positive[1]))]
        table_of = score_counts(rows, 3)
        share = np.array(sizes) / [negative[1].sum(), positive[1].sum()]
        alike = table_of._replace(count=table_of.weight[[place]] * share[:, None], weight=None, weight_squared=None)
        said = found(estimates, "auc", name)
        assert (said.low, said.high) == pytest.approx([limit[0] for limit in auc_interval(alike, 0.95)], rel=1e-9)
    assert shrunk


def effective_rows(values: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Rows without weights whose mean varies as much, and Kish's number."""
    centre, total = np.average(values, weights=weight), weight.sum()
    kish = total**2 / (weight**2).sum()
    variance = (weight**2 * (values - centre) ** 2).sum() / total**2
    return min(kish, np.average((values - centre) ** 2, weights=weight) / variance), kish


@pytest.mark.parametrize("seed", range(5))
def test_limits_of_scores_hold_whatever_the_unknown_ones_are(seed: int):
    rows, rng = random_scored(seed, n=90), np.random.default_rng(seed)
    unanswered = rng.integers(1, 4, (3, 2))
    estimates = estimates_of([scored_table(rows, unanswered=unanswered)], SETTING)
    group, label = (np.repeat(index, unanswered.ravel()) for index in np.indices((3, 2)).reshape(2, -1))
    for score in (np.zeros(len(group)), np.ones(len(group)), label * 1.0, 1.0 - label, rng.random(len(group))):
        more = Scored(np.append(rows.group, group), np.append(rows.label, label), np.append(rows.score, score))
        complete = scored_table(more)
        for name in ("auc", "brier", "ece", "mean_score", "mean_score_difference"):
            values = np.atleast_1d(METRICS[name].of(complete)).tolist()
            for who, value in zip((None,) if len(values) == 1 else "abc", values, strict=True):
                said = found(estimates, name, who)
                assert said.status == "partial" and said.low is not None and said.high is not None
                assert said.low - _CLOSE <= value <= said.high + _CLOSE, (name, who)
    assert found(estimates, "scoring_rate", "a").low is None  # unknown scores move the median


def test_scores_on_a_grid_leave_the_area_open_and_the_limits_hold_it():
    rows = random_scored(6)
    exact, coarse = (estimates_of([scored_table(rows, grid=grid)], SETTING) for grid in (None, 16))
    for group in "abc":
        one, other = found(exact, "auc", group), found(coarse, "auc", group)
        assert (one.status, other.status) == ("estimated", "partial")
        assert other.low < one.low + 1e-3 and one.high - 1e-3 < other.high
        assert found(coarse, "brier", group).value == found(exact, "brier", group).value


def gamma_limits(values: np.ndarray) -> tuple[float, float]:
    """Of the mean of values of at least 0, whose sum is taken to have a Gamma law."""
    n, mean, spread = len(values), values.mean(), values.var(ddof=1) / values.mean() ** 2
    shape = n / spread * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, max(n / (1 + 2 * spread) - 1, 3))) ** 2
    low, high = (mean / stats.gamma(shape, scale=1 / shape).ppf(chance) for chance in (0.975, 0.025))
    return low, high


def test_limits_of_predictions_are_students_and_those_of_errors_a_gamma_laws():
    rng = np.random.default_rng(20)
    group, y = rng.integers(0, 2, 120), rng.normal(50, 10, 120)
    f = y + rng.normal(1, 3, 120)
    sums = target_sums(group, y, f, groups=3)
    names = ("a", "b", MISSING)
    evidence = CountedEvidence(tables=[table(groups=("a", "b"), targets=target_sums(group, y, f, 2))], setting=SETTING)
    estimates = list(evidence.estimates)
    for name, place in (("a", 0), ("b", 1)):
        mine = group == place
        error = np.abs(f - y)[mine]
        for metric, expected in (
            ("mae", gamma_limits(error)),
            ("rmse", np.sqrt(gamma_limits(error**2))),
            ("mean_prediction", stats.ttest_1samp(f[mine], 0).confidence_interval(0.95)),
        ):
            said = found(estimates, metric, name)
            assert (said.n, said.status) == (mine.sum(), "estimated")
            assert (said.low, said.high) == pytest.approx(tuple(expected), rel=1e-9)
    gap = found(estimates, "mean_prediction_difference")
    assert gap.status == "estimated" and gap.low <= gap.value <= gap.high
    assert evidence.rows("g") == {"a": (group == 0).sum(), "b": (group == 1).sum()}

    again = estimates_of([table(groups=("a", "b", "c"), targets=sums)], SETTING)
    assert found(again, "mae", "c").status == found(again, "mean_prediction_difference").status == "not_estimable"
    open_ended = CountedEvidence(tables=[table(groups=names, targets=target_sums(group % 3, y, f, 3))], setting=SETTING)
    gap = open_ended.find("mean_prediction_difference", "g", None)
    assert gap is not None and (gap.status, gap.low) == ("partial", None)
    assert isinstance(open_ended.limits(gap, 0.9), Unknown)


def test_weights_of_targets_widen_limits_by_their_effective_number():
    rng = np.random.default_rng(21)
    y, f = rng.normal(0, 1, (2, 200)).tolist()
    w = (rng.uniform(0.1, 1, 200) + np.abs(np.array(f) - y)).tolist()
    data = pa.table({"g": ["a"] * 200, "y": y, "f": f, "w": w})
    layout = Layout(attributes=(Attribute(name="g"),), real_valued=True, weights=True)
    counts = count_table(data, layout, Columns(label="y", prediction="f", weight="w"), model="m")
    weight, error = np.array(w), np.abs(np.array(f) - y)
    said = found(estimates_of([counts.table("g")], SETTING), "mae", "a")
    mean, (n, kish) = np.average(error, weights=weight), effective_rows(error, weight)
    assert n < kish
    square = np.average(error**2, weights=weight)
    expected = mean_interval(Moments(n, n * mean, n * square, least=0), 0.95)
    assert said.n == 200 and said.value == pytest.approx(mean)
    assert (said.low, said.high) == pytest.approx(tuple(map(float, expected)))


def test_the_positive_class_may_be_the_first_or_one_of_several():
    counts = answered(7)
    swapped = estimates_of([with_positive(table(counts), "0")], SETTING)
    plain = estimates_of([table(counts)], SETTING)
    for group in "abc":
        assert found(swapped, "tpr", group).value == found(plain, "tnr", group).value
        assert found(swapped, "accuracy", group).value == found(plain, "accuracy", group).value
    rows = random_scored(8)
    auc = (
        found(estimates_of([t], SETTING), "auc", "a").value
        for t in (scored_table(rows), with_positive(scored_table(rows), "0"))
    )
    assert sum(auc) == pytest.approx(1)  # the same scores rank the other class the other way round

    several = table(answered(9, classes=3))
    estimates = estimates_of([several], replace(SETTING, positive="1"))
    binary = several.mass.count[0][:, :3]
    assert found(estimates, "tpr", "a").value == binary[1, 1] / binary[1].sum()
    assert found(estimates, "accuracy", "a").value == np.trace(binary) / binary.sum()
    assert not [e for e in estimates_of([several], SETTING) if e.metric == "tpr"]
    with pytest.raises(ValueError, match="positive class"):
        with_positive(several, "7")


def test_everyone_is_the_sum_of_all_groups():
    whole = everyone(scored_table(random_scored(10)))
    assert whole.mass.count.sum() == 300 and whole.scores.count.shape[0] == 1
    rows = random_scored(10)
    merged = scored_table(rows._replace(group=np.zeros_like(rows.group)), groups=1)
    np.testing.assert_array_equal(whole.scores.count, merged.scores.count)
    np.testing.assert_allclose(whole.score_sums.score, merged.score_sums.score)


def test_evidence_answers_at_any_confidence_and_for_any_groups():
    counts = answered(11)
    evidence: Evidence = CountedEvidence(tables=[table(counts)], setting=SETTING)
    for e in evidence.estimates:
        if e.low is not None:
            assert evidence.limits(e, 0.95) == (e.low, e.high)
            wider = evidence.limits(e, 0.999)
            assert not isinstance(wider, Unknown) and wider.low <= e.low and wider.high >= e.high
    gap = evidence.find("equal_opportunity_difference", "g", None)
    ratio = evidence.find("impact_ratio", "g", "a")
    rate = evidence.find("tpr", "g", "a")
    everybody = evidence.find("accuracy", None, None)
    positives = dict(zip("abc", counts[:, 1].sum(-1).tolist(), strict=True))
    assert evidence.denominators(gap) == positives
    assert evidence.denominators(rate) == {"a": positives["a"]}
    assert (
        evidence.denominators(ratio) == evidence.rows("g") == dict(zip("abc", counts.sum((1, 2)).tolist(), strict=True))
    )
    assert evidence.denominators(everybody) == {}
    both = evidence.find("equalized_odds_difference_max", "g", None)
    assert evidence.denominators(both) == dict(zip("abc", counts.sum(-1).min(-1).tolist(), strict=True))

    rest = evidence.without("g", frozenset("b"))
    assert rest is evidence.without("g", frozenset("b"))
    alone = CountedEvidence(tables=[table(counts[[0, 2]], groups=("a", "c"))], setting=SETTING)
    assert list(rest.estimates) == list(alone.estimates)


def test_at_equality_small_groups_differ_by_chance_alone():
    few, many = (np.zeros((2, 2, 4), np.int64) + [[size, size, 0, 0]] * 2 for size in (5, 5000))
    draws = Resampling(replicates=2000)
    at = [
        CountedEvidence(tables=[table(c, groups=("a", "b"))], setting=SETTING).at_equality(draws)["g"]
        for c in (few, many)
    ]
    # |p - q| of two normal rates has mean 2 / sqrt(pi) times the standard error of each
    for found_, size in zip(at, (20, 20_000), strict=True):
        expected = 2 / np.sqrt(np.pi) * np.sqrt(0.25 / size)
        assert found_["demographic_parity_difference"] == pytest.approx(expected, rel=0.06)
    assert "worst_group_accuracy_groups" not in at[0]
    assert set(at[0]) == {
        name for name, m in METRICS.items() if m.reads == "mass" and m.scope == "attribute" and m.interval != "minimum"
    }


def test_nobody_with_a_known_group_compares_nothing():
    lonely = GroupTable(attribute="g", groups=(MISSING,), classes=("0", "1"), mass=Mass(answered(12, groups=1)))
    estimates = estimates_of([lonely], SETTING)
    assert {e.status for e in estimates if e.group is None and e.attribute} == {"not_estimable"}


def test_no_group_at_all_compares_nothing():
    evidence = CountedEvidence(tables=[scored_table(random_scored(13))], setting=SETTING)
    rest = evidence.without("g", frozenset("abc"))
    compared = [e for e in rest.estimates if e.attribute is not None]
    assert {e.status for e in compared} == {"not_estimable"} and {e.group for e in compared} == {None}
