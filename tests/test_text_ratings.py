"""Ratings by group: values by a second route, limits by what they promise, findings by scorers that are known."""

from itertools import combinations

import numpy as np
import pytest

from equiray.metrics.intervals.limits import Limits
from equiray.metrics.text_ratings import Measured, Ratings, compared, difference, finding_of, group_mean, swap_change


def ratings(measure, values, families=None):
    """Of groups by name, families all apart unless told otherwise."""
    group = np.concatenate([np.full(len(v), name) for name, v in values.items()])
    value = np.concatenate([np.asarray(v, dtype=float) for v in values.values()])
    family = np.arange(len(value)).astype(str) if families is None else np.asarray(families).astype(str)
    return Ratings(measure=measure, value=value, group=group, family=family)


def test_values_are_means_and_net_is_the_difference_less_half_of_both_reactions():
    rng = np.random.default_rng(3)
    values = {name: rng.uniform(-1, 1, 40) for name in "ab"}
    of = ratings("sentiment", values)
    changes = {("sentiment", "a", "b"): rng.normal(0.1, 0.1, 40), ("sentiment", "b", "a"): rng.normal(0.3, 0.1, 40)}
    (pair,) = compared([of], changes, "ab", 0.95)
    there, back = (change.mean() for change in changes.values())
    apart = values["a"].mean() - values["b"].mean()
    assert pair.difference.value == pytest.approx(apart)
    assert (pair.there.value, pair.back.value) == pytest.approx((there, back))
    assert pair.net.value == pytest.approx(apart - (back - there) / 2)
    assert group_mean(of.of("a"), 0.95).value == pytest.approx(values["a"].mean())


def test_a_group_alone_has_the_same_mean_whichever_end_of_the_range_is_first():
    values = np.random.default_rng(0).uniform(-1, 1, 60)
    low, high = group_mean(ratings("sentiment", {"a": values}), 0.95).limits
    turned = group_mean(ratings("sentiment", {"a": -values}), 0.95).limits
    assert (-high, -low) == pytest.approx(tuple(turned))
    half = 1.96 * values.std(ddof=1) / np.sqrt(60)  # the normal interval, which is near in the middle of the range
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)


def test_families_count_and_not_their_texts():
    values = np.repeat(np.random.default_rng(1).uniform(0, 1, 30), 4)
    apart = group_mean(ratings("toxicity", {"a": values}), 0.95).limits
    together = group_mean(ratings("toxicity", {"a": values}, np.repeat(np.arange(30), 4)), 0.95).limits
    once = group_mean(ratings("toxicity", {"a": values[::4]}), 0.95).limits
    assert together.high - together.low > 1.8 * (apart.high - apart.low)
    assert tuple(together) == pytest.approx(tuple(once), abs=0.01)


def test_the_same_sentences_about_both_groups_are_compared_pair_by_pair():
    rng = np.random.default_rng(2)
    sentence, noise = rng.uniform(0.1, 0.9, 80), rng.normal(0, 0.01, 80)
    values = {"a": sentence + noise + 0.03, "b": sentence}
    shared, apart = (ratings("toxicity", values, f) for f in (np.tile(np.arange(80), 2), None))
    narrow, wide = (difference(of.of("a"), of.of("b"), 0.95).limits for of in (shared, apart))
    assert narrow.low > 0 > wide.low
    shuffled = rng.permutation(160)
    mixed = Ratings(
        measure="toxicity", value=shared.value[shuffled], group=shared.group[shuffled], family=shared.family[shuffled]
    )
    assert difference(mixed.of("a"), mixed.of("b"), 0.95).limits == pytest.approx(tuple(narrow))


@pytest.mark.parametrize("shared", [True, False])
def test_limits_hold_whatever_a_missing_rating_would_have_been(shared):
    rng = np.random.default_rng(4)
    values = {"a": rng.uniform(0, 1, 30), "b": rng.uniform(0, 1, 30)}
    families = np.tile(np.arange(30), 2) if shared else None
    for name, places in (("a", [0, 7]), ("b", [5])):
        values[name][places] = np.nan
    of = ratings("toxicity", values, families)
    found = difference(of.of("a"), of.of("b"), 0.95)
    assert not found.whole and found.n == 57
    for fill in np.ndindex(2, 2, 2):
        filled = of.value.copy()
        filled[np.isnan(filled)] = fill
        whole = Ratings(measure="toxicity", value=filled, group=of.group, family=of.family)
        inside = difference(whole.of("a"), whole.of("b"), 0.95).limits
        assert found.limits.low <= inside.low + 1e-12 and inside.high - 1e-12 <= found.limits.high
    nobody = ratings("toxicity", {"a": [np.nan] * 5, "b": [0.5] * 5})
    assert np.isnan(group_mean(nobody.of("a"), 0.95).value)
    assert np.isnan(difference(nobody.of("a"), nobody.of("b"), 0.95).limits.low)


def test_one_family_has_no_limits():
    found = group_mean(ratings("toxicity", {"a": [0.1, 0.4, 0.2]}, [0, 0, 0]), 0.95)
    assert found.value == pytest.approx(0.7 / 3) and np.isnan(found.limits.low)


def test_all_pairs_in_all_measures_hold_at_once():
    """Four groups alike: in a hundred draws, at most a few have any pair whose limits exclude 0."""
    rng = np.random.default_rng(5)
    wrong = 0
    for _ in range(100):
        toxicity = {name: rng.beta(0.6, 4, 60) for name in "abcd"}
        share = {name: (v > 0.3).astype(float) for name, v in toxicity.items()}
        pairs = compared([ratings("toxicity", toxicity), ratings("toxic_share", share)], {}, "abcd", 0.9)
        assert len(pairs) == 2 * len(list(combinations("abcd", 2)))
        wrong += any(p.difference.limits.low > 0 or p.difference.limits.high < 0 for p in pairs)
    assert wrong <= 17  # 10 are expected at most; 18 or more have probability .01


def test_a_difference_is_covered_as_often_as_promised():
    rng = np.random.default_rng(6)
    shared, apart = 0, 0
    for _ in range(200):
        base = rng.beta(1, 3, 50)
        one = np.clip(base + rng.normal(0.05, 0.1, 50), 0, 1)
        expected = np.clip(rng.beta(1, 3, 20_000) + rng.normal(0.05, 0.1, 20_000), 0, 1).mean() - 0.25
        of = ratings("toxicity", {"a": one, "b": base}, np.tile(np.arange(50), 2))
        low, high = difference(of.of("a"), of.of("b"), 0.95).limits
        shared += low <= expected <= high
        of = ratings("toxicity", {"a": one, "b": rng.beta(1, 3, 50)})
        low, high = difference(of.of("a"), of.of("b"), 0.95).limits
        apart += low <= expected <= high
    assert shared >= 183 and apart >= 183  # 190 expected; fewer have probability .02


def test_limits_of_texts_in_families_are_covered_as_often_as_promised():
    """30 entities of each group with 4 texts each, which resemble each other; those of rows would cover far less."""
    rng = np.random.default_rng(8)
    alone, apart, of_rows = 0, 0, 0
    for _ in range(200):
        values = {name: np.clip(np.repeat(rng.beta(2, 3, 30), 4) + rng.normal(0, 0.05, 120), 0, 1) for name in "ab"}
        of = ratings("toxicity", values, np.repeat(np.arange(60), 4))
        low, high = group_mean(of.of("a"), 0.95).limits
        alone += low <= 0.4 <= high
        low, high = group_mean(ratings("toxicity", {"a": values["a"]}), 0.95).limits
        of_rows += low <= 0.4 <= high
        low, high = difference(of.of("a"), of.of("b"), 0.95).limits
        apart += low <= 0 <= high
    assert alone >= 183 and apart >= 183 and of_rows < 160


def reacting(push: float, content: float, n: int = 60) -> tuple[Ratings, dict]:
    """Twin sentences; the scorer adds `push` for the words of group a, the model writes `content` more about it."""
    rng = np.random.default_rng(7)
    sentence = rng.uniform(0.1, 0.3, n)
    noise = rng.normal(0, 0.01, (2, n))
    values = {"a": sentence + push + content + noise[0], "b": sentence + noise[1]}
    changes = {("toxicity", "a", "b"): np.full(n, -push), ("toxicity", "b", "a"): np.full(n, push)}
    return ratings("toxicity", values, np.tile(np.arange(n), 2)), changes


@pytest.mark.parametrize(
    ("push", "content", "finding"),
    [
        (0.0, 0.0, "INCONCLUSIVE"),
        (0.0, 0.4, "higher"),
        (0.0, -0.09, "lower"),
        (0.4, 0.0, "within the scorer's error"),
        (0.2, 0.4, "higher"),
        (0.4, -0.4, "INCONCLUSIVE"),  # the scorer hides what the model does: no difference is seen at all
    ],
)
def test_a_difference_counts_only_beyond_the_scorers_own_reaction(push, content, finding):
    of, changes = reacting(push, content)
    (pair,) = compared([of], changes, "ab", 0.95)
    assert pair.finding == finding
    assert pair.net.value == pytest.approx(content, abs=0.01)


def test_a_scorer_that_could_not_be_tried_leaves_every_difference_inconclusive():
    of, changes = reacting(0.0, 0.4)
    (untried,) = compared([of], {}, "ab", 0.95)
    assert untried.difference.limits.low > 0 and np.isnan(untried.net.value) and untried.finding == "INCONCLUSIVE"
    (one_way,) = compared([of], {("toxicity", "a", "b"): changes[("toxicity", "a", "b")]}, "ab", 0.95)
    assert np.isnan(one_way.back.value) and one_way.finding == "higher"


def test_findings_need_both_on_one_side():
    def at(low, high):
        return Measured((low + high) / 2, Limits(low, high), 9, True)

    assert finding_of(at(0.1, 0.3), at(-0.3, -0.1)) == "within the scorer's error"
    assert finding_of(at(-0.3, -0.1), at(-0.2, -0.05)) == "lower"
    assert finding_of(at(0.0, 0.3), at(0.1, 0.2)) == "INCONCLUSIVE"


def test_texts_that_name_no_group_dilute_the_reaction():
    change = np.r_[np.full(10, 0.5), np.zeros(30), np.full(4, np.nan)]
    found = swap_change("toxicity", change, np.arange(44).astype(str), 0.95)
    assert found.value == pytest.approx(0.125) and found.n == 40
    assert found.limits.low > 0
