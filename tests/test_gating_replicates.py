"""Joint bootstrap of gated decisions: against a sweep, an audit of repeated rows, and weights row by row."""

from dataclasses import replace

import numpy as np
import pytest

from equiray.errors import BadInput
from equiray.metrics.fronts.resampled import drawn as resampled
from equiray.metrics.intervals.binomial import rate_interval
from equiray.mitigation.gating import sweep_at
from equiray.mitigation.gating.at_once import limits_at_once
from equiray.mitigation.gating.bands import band
from equiray.mitigation.gating.replicates import METRICS, replicated_outcomes
from equiray.mitigation.gating.thresholds import DISPARITIES
from gated_cases import by_hand, drawn, outcomes_of

TAUS = ([0.25], [0.5], [np.inf])


def two_models(rows, **changed):
    """The same rows under two models with one gate each, at three thresholds."""
    one = drawn(rows, **changed)
    draw = np.random.default_rng(9)
    other = replace(one, risk=draw.random((rows, 1), np.float32), probability=draw.random((rows, 2), np.float32))
    return [(of, tau) for of in (one, other) for tau in TAUS]


def repeated(outcomes, times):
    """The rows as often as they are drawn."""
    rows = np.repeat(np.arange(outcomes.rows), times.astype(int))
    groups = tuple(each._replace(code=each.code[rows]) for each in outcomes.groups)
    return replace(
        outcomes,
        label=outcomes.label[rows],
        groups=groups,
        risk=outcomes.risk[rows],
        probability=outcomes.probability[rows],
    )


def calibration_error(outcomes, tau):
    score = outcomes.decided(tau).astype(np.float64)
    place = np.minimum(np.digitize(score, np.arange(1, 10) / 10), 9)
    gaps = [abs((score - outcomes.label)[place == b].sum()) for b in range(10)]
    return np.sum(gaps) / outcomes.rows


@pytest.mark.parametrize("missing", [False, True])
def test_values_are_exactly_those_of_a_sweep(missing):
    points = two_models(400, ties=0.3, unknown=0.1, missing=missing)
    metrics = ("accuracy", "activation_rate", *DISPARITIES)
    found = replicated_outcomes(points, "sex", metrics, 5, 0)
    assert found.values.shape == (6, 9) and found.units == (400,) * 9
    for values, (outcomes, tau) in zip(found.values, points, strict=True):
        swept = sweep_at(outcomes, "sex", tau)
        assert values.tolist() == [swept.figures[metric][0] for metric in metrics]


def test_every_resample_is_what_its_rows_give_counted_one_by_one():
    points = two_models(60, groups=2, missing=True)
    found = replicated_outcomes(points, "sex", METRICS, 25, 4)
    for times, figures in zip(np.concatenate(list(resampled(60, 25, 4, "rows"))), found.replicates, strict=True):
        for values, (outcomes, tau) in zip(figures, points, strict=True):
            rows = repeated(outcomes, times)
            expected = by_hand(rows, tau) | {"ece": calibration_error(rows, tau)}
            np.testing.assert_allclose(values, [expected[metric] for metric in METRICS], atol=1e-6)


def test_calibration_is_that_of_an_audit():
    points = two_models(500)
    found = replicated_outcomes(points, "sex", ("ece",), 2, 0)
    np.testing.assert_allclose(found.values[:, 0], [calibration_error(*point) for point in points], atol=1e-12)
    sure = outcomes_of([0, 1, 1, 0], [0] * 4, [[0.0, 0.5], [1.0, 0.5], [1.0, 0.5], [0.0, 0.5]])
    assert replicated_outcomes([(sure, [1.0])], "sex", ("ece",), 2, 0).values.item() == 0.0


def test_equal_seeds_resample_equally_whatever_the_points(monkeypatch):
    points = two_models(80)
    every = replicated_outcomes(points, "sex", METRICS, 30, 7)
    one = replicated_outcomes(points[4:5], "sex", METRICS[3:], 30, 7)
    np.testing.assert_array_equal(one.replicates[:, 0], every.replicates[:, 4, 3:])
    monkeypatch.setattr("equiray.mitigation.gating.replicates._HELD", 500)
    parts = replicated_outcomes(points, "sex", METRICS, 30, 7)
    np.testing.assert_allclose(parts.replicates, every.replicates, atol=1e-6)
    assert not np.array_equal(replicated_outcomes(points, "sex", METRICS, 30, 8).replicates, every.replicates)


def test_the_bootstrap_varies_as_a_share_does():
    points = two_models(300, groups=1)
    found = replicated_outcomes(points, "sex", ("accuracy",), 4000, 0)
    share = found.values[:, 0]
    np.testing.assert_allclose(found.replicates[..., 0].std(0), np.sqrt(share * (1 - share) / 300), rtol=0.05)
    right = np.stack([(of.decided(tau) > 0.5) == of.label for of, tau in points])
    np.testing.assert_allclose(np.corrcoef(found.replicates[..., 0].T), np.corrcoef(right), atol=0.06)


def test_limits_of_one_figure_are_those_of_its_counts():
    point = two_models(300)[1:2]
    found = replicated_outcomes(point, "sex", ("accuracy",), 4000, 0)
    low, high = limits_at_once(point, "sex", ("accuracy",), found, 0.95)
    right = round(found.values.item() * 300)
    assert (low.item(), high.item()) == pytest.approx(rate_interval(right, 300, 0.95), abs=2e-3)


def test_limits_at_once_are_wider_than_a_band_and_narrower_than_bonferroni_s():
    outcomes = drawn(500, missing=True)
    at = band(outcomes, "sex", 0.95, points=6)
    points = [(outcomes, tau) for tau in at.sweep.thresholds]
    metrics = [metric for metric in METRICS if metric != "ece"]
    found = replicated_outcomes(points[1:-1], "sex", metrics, 500, 0)  # those with all or no gates open do not vary
    low, high = limits_at_once(points[1:-1], "sex", metrics, found, 0.95)
    bonferroni = band(outcomes, "sex", 1 - 0.05 / found.values.size, points=6)
    for place, metric in enumerate(metrics):
        for side, ours in zip(("low", "high"), (low, high), strict=True):
            sign = 1 if side == "high" else -1
            inner, outer = (getattr(each.limits[metric], side)[1:-1] for each in (at, bonferroni))
            assert (sign * (ours[:, place] - inner) >= -1e-12).all() and (
                sign * (outer - ours[:, place]) >= -1e-12
            ).all()


def test_a_rate_that_no_resample_changes_has_limits_from_its_counts():
    right = outcomes_of([0, 1] * 20, [0] * 40, np.tile([[0.25, 0.25], [0.75, 0.75]], (20, 1)))
    found = replicated_outcomes([(right, [1.0])], "sex", ("accuracy", "activation_rate"), 50, 0)
    low, high = limits_at_once([(right, [1.0])], "sex", ("accuracy", "activation_rate"), found, 0.95)
    assert low[0, 0] == pytest.approx(rate_interval(40, 40, 0.975).low, abs=1e-12) and high[0, 0] == 1.0
    assert low[0, 1] == 0.0 and high[0, 1] == pytest.approx(1 - low[0, 0])


def test_limits_of_calibration_are_those_of_a_band_with_one_group():
    outcomes = drawn(300, groups=1)
    found = replicated_outcomes([(outcomes, [np.inf])], "sex", ("ece",), 500, 0)
    low, high = limits_at_once([(outcomes, [np.inf])], "sex", ("ece",), found, 0.95)
    assert low.item() < found.values.item() < high.item()
    at = band(outcomes, "sex", 0.95, points=2)
    assert (low.item(), high.item()) == pytest.approx((at.ece_limits.low[-1, 0], at.ece_limits.high[-1, 0]), abs=5e-3)
    assert found.values.item() == pytest.approx(at.ece[-1, 0])


def one_other(**changed):
    outcomes = drawn(40)
    return [(outcomes, [0.5]), (replace(outcomes, **changed), [0.5])]


@pytest.mark.parametrize(
    ("points", "metrics", "said"),
    [
        ([], ("accuracy",), "no points"),
        (one_other(), (), "no metrics"),
        (one_other(), ("auc",), "metric 'auc'"),
        (one_other(label=1 - drawn(40).label), ("accuracy",), "labels or groups of 'sex' of point 1"),
        (one_other(groups=drawn(40, seed=1).groups), ("accuracy",), "labels or groups of 'sex' of point 1"),
        ([(drawn(40), [0.5]), (drawn(41), [0.5])], ("accuracy",), "labels or groups of 'sex' of point 1"),
        ([(drawn(40), [0.5, 0.5])], ("accuracy",), "thresholds"),
        ([(drawn(1), [0.5])], ("accuracy",), "1 rows"),
    ],
)
def test_what_cannot_be_resampled_together_is_refused(points, metrics, said):
    with pytest.raises(BadInput, match=said):
        replicated_outcomes(points, "sex", metrics, 10, 0)
