"""Errors of real-valued predictions by group: against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from equiray.metrics.regression import mae, mean_prediction, mean_prediction_difference, rmse
from metric_tables import target_sums


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_errors_by_group_equal_scikit_learn(seed):
    generator = np.random.default_rng(seed)
    group, target = generator.integers(0, 3, 60), generator.normal(3, 10, 60)
    prediction = target + generator.normal(1, 2, 60)
    sums = target_sums(group, target, prediction, groups=4)
    for place in range(3):
        mine = group == place
        if not mine.any():
            continue
        y, f = target[mine], prediction[mine]
        assert mae(sums)[place] == pytest.approx(mean_absolute_error(y, f), abs=1e-12)
        assert rmse(sums)[place] == pytest.approx(root_mean_squared_error(y, f), abs=1e-12)
        assert mean_prediction(sums)[place] == pytest.approx(f.mean(), abs=1e-12)
    assert np.isnan([mae(sums)[3], rmse(sums)[3], mean_prediction(sums)[3], mean_prediction_difference(sums)]).all()


def test_the_difference_is_between_the_groups_farthest_apart():
    sums = target_sums(np.array([0, 0, 1, 2]), np.zeros(4), np.array([1.0, 3, -5, 0]), groups=3)
    assert mean_prediction_difference(sums) == 7
