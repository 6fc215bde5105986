"""Group thresholds against all combinations of thresholds, tried one by one."""

from itertools import product

import numpy as np
import pytest

from equiray.mitigation.baselines.group_thresholds import fit_group_thresholds


def outcome(decided, label, group, groups):
    right = decided == (label == 1)
    cells = [right[(group == g) & (label == y)].mean() for g in range(groups) for y in (0, 1)]
    return min(cells), int(right.sum())


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("slack", [0.0, 0.05, 1.0])
def test_no_combination_of_thresholds_is_better(seed: int, slack: float):
    rng = np.random.default_rng(seed)
    group = np.arange(24) % 2
    label = (np.arange(24) // 2) % 2
    score = np.round(np.clip(0.3 + 0.3 * label - 0.1 * group + rng.normal(0, 0.2, 24), 0, 1), 1)
    found = fit_group_thresholds(score, label, group, 2, slack)
    worst, right = outcome(found.decide(score, group), label, group, 2)
    base = int(((score > 0.5) == (label == 1)).sum())
    tried = [
        outcome(score > np.array(pair)[group], label, group, 2)
        for pair in product(np.concatenate([[-1], np.unique(score)]), repeat=2)
    ]
    possible = [one for one in tried if one[1] >= base - slack * 24]
    assert right >= base - slack * 24
    assert (worst, right) == max(possible)


def test_a_group_of_one_class_keeps_its_threshold():
    score, label, group = np.array([0.4, 0.6, 0.7]), np.array([0, 1, 1]), np.array([0, 0, 1])
    found = fit_group_thresholds(score, label, group, 3, 1.0)
    assert found.thresholds[1] == found.thresholds[2] == 0.5
    assert found.thresholds[0] == pytest.approx(0.5)
