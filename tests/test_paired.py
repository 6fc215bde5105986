"""Two models on the same rows: coverage by summing the multinomial distribution, and changes of disparities."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from equiray.metrics import disparities, rates
from equiray.metrics.intervals.binomial import rate_interval
from equiray.metrics.intervals.curves import normal_quantile
from equiray.metrics.intervals.limits import Counted, rate
from equiray.metrics.intervals.simultaneous import projected
from equiray.metrics.paired import PairedRate, paired_rate
from equiray.metrics.paired_disparities import disparity_change
from equiray.metrics.tables import Mass


def by_label(gained, lost, trials) -> PairedRate:
    """Of one group, from what `paired_rate` would count."""
    nothing = np.zeros(np.shape(gained))
    return PairedRate(
        first=Counted(lost, trials),
        second=Counted(gained, trials),
        discordant=Counted(gained + lost, trials),
        gained=Counted(gained, gained + lost),
        correlation=nothing,
        rows=np.asarray(trials),
        left_out=nothing,
    )


def errors(trials, gain, loss):
    """How often either limit of the change is beyond gain - loss."""
    differ = gain + loss
    reach = 7 * np.sqrt(trials * differ * (1 - differ)) + 12
    discordant = np.arange(max(0, int(trials * differ - reach)), min(trials, int(trials * differ + reach)) + 1)
    gained, discordant = (part.ravel() for part in np.meshgrid(np.arange(discordant[-1] + 1), discordant))
    chance = binom.pmf(discordant, trials, differ) * binom.pmf(gained, discordant, gain / differ)
    some = chance > 1e-10
    gained, discordant, chance = gained[some], discordant[some], chance[some]
    low, high = by_label(gained, discordant - gained, np.full(len(gained), trials)).interval(0.95)
    return (chance * (low > gain - loss)).sum(), (chance * (high < gain - loss)).sum()


def joint_counts(generator, trials, chances, size):
    """Counts [size, G, 2, 4, 4] of independent rows; `chances` [G, 2, 2, 2] of label and both predictions."""
    counts = np.zeros((size, len(trials), 2, 4, 4), dtype=np.int64)
    for group, (n, chance) in enumerate(zip(trials, chances, strict=True)):
        counts[:, group, :, :2, :2] = generator.multinomial(n, np.ravel(chance), size).reshape(size, 2, 2, 2)
    return counts


def chances(positive, tpr, fpr, agreement=0.7):
    """Of label and both predictions [2, 2, 2], with the models' pairs of TPR and of FPR."""
    found = []
    for share, (p, q) in ((1 - positive, fpr), (positive, tpr)):
        together = min(p * q + agreement * np.sqrt(p * (1 - p) * q * (1 - q)), p, q)
        found.append(share * np.array([[1 - p - q + together, q - together], [p - together, together]]))
    return np.array(found)


@pytest.mark.parametrize("trials", [5, 12, 20, 49, 50, 150])
def test_a_change_is_covered_as_often_as_promised(trials):
    for gain in (0.004, 0.02, 0.1, 0.3, 0.45):
        for loss in (0.0, 0.004, 0.02, 0.1, 0.3, 0.45):
            below, above = errors(trials, gain, loss)
            assert below + above <= 0.05 and max(below, above) <= 0.035, (gain, loss)
            if trials >= 50 and trials * min(gain, loss) >= 10:
                assert below + above >= 0.03, (gain, loss)


def test_counts_are_those_of_the_rows():
    generator = np.random.default_rng(0)
    label, first, second = generator.integers(0, [2, 4, 4], (500, 3)).T
    joint = np.zeros((1, 2, 4, 4), dtype=np.int64)
    np.add.at(joint, (0, label, first, second), 1)
    both = (first < 2) & (second < 2)
    paired = paired_rate(rates.TPR, Mass(joint))
    among = both & (label == 1)
    assert (paired.first.events, paired.first.trials) == ((first[among] == 1).sum(), among.sum())
    assert (paired.second.events, paired.second.trials) == ((second[among] == 1).sum(), among.sum())
    assert (paired.discordant.events, paired.discordant.trials) == ((first != second)[among].sum(), among.sum())
    assert paired.gained.events == (second > first)[among].sum()
    assert paired.left_out == ((label == 1) & ((first < 2) != (second < 2))).sum()
    assert paired.rows == among.sum()
    precise = paired_rate(rates.PPV, Mass(joint))
    assert precise.rows == (both & ((first == 1) | (second == 1))).sum()
    errors_of = [model[among] == 1 for model in (first, second)]
    assert paired.correlation == pytest.approx(np.corrcoef(errors_of)[0, 1])


def test_a_rate_of_refusals_leaves_no_row_out():
    joint = np.random.default_rng(1).integers(0, 20, (3, 2, 4, 4))
    paired = paired_rate(rates.REFUSAL_RATE, Mass(joint))
    np.testing.assert_array_equal(paired.second.events, joint[..., 2].sum((1, 2)))
    np.testing.assert_array_equal(paired.second.trials, joint.sum((1, 2, 3)))
    assert not paired.left_out.any()


def test_cells_of_a_group_stand_side_by_side():
    joint = np.random.default_rng(2).integers(0, 20, (3, 2, 4, 4))
    joint[:, :, 2:] = joint[:, :, :, 2:] = 0
    paired = paired_rate(rates.CELL_ACCURACY, Mass(joint))
    np.testing.assert_array_equal(rate(paired.first), rates.CELL_ACCURACY.of(joint.sum(-1)))
    np.testing.assert_array_equal(rate(paired.second), rates.CELL_ACCURACY.of(joint.sum(-2)))


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_limits_enclose_the_change_and_turn_round_with_the_models(gained, lost, same):
    trials = gained + lost + same
    if not trials:
        assert np.isnan(by_label(gained, lost, trials).interval(0.95)).all()
        return
    low, high = by_label(gained, lost, trials).interval(0.95)
    change = (gained - lost) / trials
    assert -1 <= low <= change + 1e-12 and change - 1e-12 <= high <= 1
    turned = by_label(lost, gained, trials).interval(0.95)
    assert (-turned.high, -turned.low) == pytest.approx((low, high), abs=1e-12)


def test_models_that_agree_on_every_row_still_leave_doubt():
    low, high = by_label(0, 0, 100).interval(0.95)
    most = rate_interval(0, 100, 0.95).high
    assert (low, high) == pytest.approx((-most, most), rel=0.04)


def test_pairing_narrows_a_change_of_precision_and_covers_it():
    generator = np.random.default_rng(3)
    of_group = chances(0.4, (0.7, 0.75), (0.2, 0.25))
    joint = joint_counts(generator, [800], [of_group], 600)
    paired = paired_rate(rates.PPV, Mass(joint))
    assert paired.discordant is None and (paired.correlation > 0.3).mean() > 0.95
    truth = float(np.diff([of_group[1].sum(axis)[1] / of_group.sum((0, axis + 1))[1] for axis in (1, 0)])[0])
    low, high = paired.interval(0.95)
    assert ((low <= truth) & (truth <= high)).mean() >= 0.93
    apart = np.hypot(*(np.diff(rate_interval(*of, 0.95), axis=0) for of in (paired.first, paired.second)))
    assert ((high - low) < 0.9 * apart[0]).mean() > 0.9


def test_equal_weights_count_rows():
    joint = np.random.default_rng(4).integers(0, 20, (3, 2, 4, 4))
    for of in (rates.TPR, rates.PPV):
        plain = paired_rate(of, Mass(joint))
        weighted = paired_rate(of, Mass(joint, joint * 2.5, joint * 6.25))
        np.testing.assert_allclose(weighted.interval(0.95), plain.interval(0.95), atol=1e-9)


DISPARITIES = {
    "gap": disparities.DEMOGRAPHIC_PARITY_DIFFERENCE,
    "odds_max": disparities.EQUALIZED_ODDS_DIFFERENCE_MAX,
    "odds_mean": disparities.EQUALIZED_ODDS_DIFFERENCE_MEAN,
    "ppv": disparities.PREDICTIVE_PARITY_DIFFERENCE,
    "ratio": disparities.DISPARATE_IMPACT_RATIO,
    "worst": disparities.WORST_GROUP_ACCURACY_GROUPS,
    "worst_cell": disparities.WORST_GROUP_ACCURACY_CELLS,
}
SITUATIONS = {
    "all equal, nothing changes": ([300] * 3, [((0.6, 0.6), (0.2, 0.2))] * 3),
    "one group catches up": ([500, 200, 900], [((0.8, 0.8), (0.2, 0.2)), ((0.4, 0.7), (0.1, 0.2)), ((0.8, 0.8),) * 2]),
    "alike, then apart": ([800, 1500], [((0.6, 0.6), (0.2, 0.2)), ((0.6, 0.45), (0.2, 0.1))]),
    "a small group": (
        [60, 1500, 1200],
        [((0.6, 0.5), (0.2, 0.1)), ((0.6, 0.55), (0.2, 0.2)), ((0.5, 0.5), (0.25, 0.2))],
    ),
    "clear and reversed": ([3000, 3000], [((0.8, 0.4), (0.5, 0.1)), ((0.4, 0.9), (0.1, 0.3))]),
}


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("name", DISPARITIES)
def test_changes_of_disparities_are_covered(name, situation):
    of = DISPARITIES[name]
    trials, groups = SITUATIONS[situation]
    each = np.array([chances(0.4, *group) for group in groups])
    joint = joint_counts(np.random.default_rng(5), trials, each, 150)
    low, high = disparity_change(of.combined, [paired_rate(r, Mass(joint)) for r in of.rates], 0.95)
    expected = np.zeros((len(trials), 2, 4, 4))
    expected[..., :2, :2] = each
    truth = of.of(expected.sum(-2)) - of.of(expected.sum(-1))
    assert ((low <= truth) & (truth <= high)).mean() >= 0.93
    observed = of.of(joint.sum(-2)) - of.of(joint.sum(-1))
    assert (low <= observed + 1e-9).all() and (observed - 1e-9 <= high).all()


def test_where_two_groups_clearly_differ_most_limits_are_nearly_theirs():
    each = [
        chances(0.4, (0.9, 0.85), (0.5, 0.4)),
        chances(0.4, (0.3, 0.4), (0.1, 0.1)),
        chances(0.4, *[(0.5, 0.5)] * 2),
    ]
    joint = joint_counts(np.random.default_rng(6), [2000] * 3, each, 1)
    paired = paired_rate(rates.SELECTION_RATE, Mass(joint))
    low, high = disparity_change("max_difference", [paired], 0.95)
    alone = [np.diff(limits)[0] / 2 for limits in zip(*(limit[0] for limit in paired.interval(0.95)), strict=True)]
    assert (high - low)[0] / 2 == pytest.approx(np.hypot(*alone[:2]), rel=0.1)


def test_a_gap_that_opens_between_groups_that_were_alike_is_told():
    each = [chances(0.4, (0.6, 0.6), (0.2, 0.2)), chances(0.4, (0.6, 0.4), (0.2, 0.1))]
    joint = joint_counts(np.random.default_rng(9), [1500, 2500], each, 50)
    of = disparities.DEMOGRAPHIC_PARITY_DIFFERENCE
    there = disparity_change(of.combined, [paired_rate(of.rates[0], Mass(joint))], 0.95)
    assert (there.low > 0).all(), "whichever group was ahead before"
    back = disparity_change(of.combined, [paired_rate(of.rates[0], Mass(np.swapaxes(joint, -1, -2)))], 0.95)
    np.testing.assert_allclose((-back.high, -back.low), there, atol=1e-9)


def test_a_small_group_widens_a_change_no_more_than_either_model_by_itself():
    rng = np.random.default_rng(10)
    each = [chances(0.4, (0.5, 0.5), (0.2, 0.2)), *[chances(0.4, (0.9, 0.6), (0.7, 0.3))] * 2]
    joint = joint_counts(rng, [10, 4000, 4000], each, 1)
    of = disparities.DEMOGRAPHIC_PARITY_DIFFERENCE
    (low,), (high,) = disparity_change(of.combined, [paired_rate(of.rates[0], Mass(joint))], 0.95)
    levels = (Counted(of.rates[0].events(m), of.rates[0].trials(m)) for m in (joint.sum(-1), joint.sum(-2)))
    own = [projected("max_difference", [counted], 0.95) for counted in levels]
    assert high - low < 1.5 * sum(float(each.high[0] - each.low[0]) for each in own)


def test_sums_of_two_rates_are_covered_and_say_what_both_are():
    rng = np.random.default_rng(12)
    of_group = chances(0.4, (0.7, 0.5), (0.2, 0.3))
    joint = joint_counts(rng, [150], [of_group], 2000)
    z = normal_quantile(0.95)
    for of in (rates.TPR, rates.PPV):
        paired = paired_rate(of, Mass(joint))
        found = paired.sums(z)
        mass = np.zeros((2, 4, 4))
        mass[:, :2, :2] = of_group
        truth = sum(float(of.of(mass.sum(axis)[None])[0]) for axis in (1, 2)) - 1
        np.testing.assert_allclose(found.low[0], rate(paired.first) + rate(paired.second) - 1, atol=1e-12)
        assert ((found.low[-1] <= truth) & (truth <= found.high[-1])).mean() >= 0.94


def test_what_cannot_be_compared_has_no_limits():
    joint = np.random.default_rng(7).integers(1, 20, (3, 2, 4, 4))
    joint[1, 1] = 0
    paired = paired_rate(rates.TPR, Mass(joint))
    assert np.isnan([*paired.interval(0.95)]).any(0).tolist() == [False, True, False]
    for combined in disparities.COMBINED:
        assert np.isnan(disparity_change(combined, [paired], 0.95)).all()
    alone = paired_rate(rates.TPR, Mass(joint[:1]))
    assert np.isnan(disparity_change("max_difference", [alone], 0.95)).all()
    assert not np.isnan(disparity_change("minimum", [alone], 0.95)).any()


def test_more_confidence_never_narrows_a_change():
    joint = np.random.default_rng(8).integers(1, 40, (4, 2, 4, 4))
    for name, of in DISPARITIES.items():
        paired = [paired_rate(r, Mass(joint)) for r in of.rates]
        found = [disparity_change(of.combined, paired, level) for level in (0.8, 0.95, 0.999)]
        for narrow, wide in pairwise(found):
            assert wide.low <= narrow.low + 1e-9 and narrow.high <= wide.high + 1e-9, name
