"""Limits and calibration along a gate's thresholds, against what an audit of the decisions says at each."""

import numpy as np
import pyarrow as pa
import pytest

from equiray.errors import BadInput
from equiray.metrics.catalogue import METRICS
from equiray.metrics.counting import Attribute, Columns, Layout, count_table
from equiray.metrics.estimation.figures import Figure
from equiray.metrics.estimation.read import Read
from equiray.metrics.estimation.shapes import everyone
from equiray.metrics.intervals.binomial import rate_interval
from equiray.metrics.tables import MISSING
from equiray.mitigation.gating.bands import band
from gated_cases import drawn, outcomes_of


def audited(outcomes, tau):
    """The decisions at a threshold, counted like anybody's predictions."""
    names, code = outcomes.groups[0].groups, outcomes.groups[0].code
    score = outcomes.decided(tau).astype(np.float64)
    rows = pa.table(
        {
            "label": outcomes.label.astype(np.int64),
            "prediction": (score > 0.5).astype(np.int64),
            "score": score,
            "sex": pa.array([None if names[each] == MISSING else names[each] for each in code]),
        }
    )
    known = tuple(name for name in names if name != MISSING)
    layout = Layout(attributes=(Attribute(name="sex", groups=known),), scores=True)
    columns = Columns(label="label", prediction="prediction", score="score")
    return count_table(rows, layout, columns, model="made up").table("sex")


def figure(metric, table):
    read = Read.of(METRICS[metric], table, None)
    assert read is not None
    return Figure(metric=METRICS[metric], read=read)


@pytest.mark.parametrize(
    "outcomes",
    [
        drawn(600, ties=0.3, unknown=0.1),
        drawn(300, groups=4, missing=True, seed=2),
        drawn(60, groups=1, seed=3),
        outcomes_of(
            [0] * 30 + [1] * 30, np.linspace(0, 1, 60), np.full((60, 2), 0.75), {"sex": (("a", "b"), [0] * 60)}
        ),
    ],
    ids=["three groups", "some of no known group", "one group", "a group without rows"],
)
def test_values_and_limits_are_those_of_an_audit_at_each_threshold(outcomes):
    found = band(outcomes, "sex", 0.9, points=9)
    for place, tau in enumerate(found.sweep.thresholds):
        table = audited(outcomes, tau)
        for metric, values in found.sweep.figures.items():
            if metric == "activation_rate":
                opened = np.count_nonzero(outcomes.opened(tau))
                low, high, value = *rate_interval(opened, outcomes.rows, 0.9), opened / outcomes.rows
            else:
                theirs = figure(metric, everyone(table) if metric == "accuracy" else table)
                (value,), ((low,), (high,)) = theirs.values, theirs.limits(0.9)
            ours = (values[place], found.limits[metric].low[place], found.limits[metric].high[place])
            np.testing.assert_allclose(ours, (value, low, high), atol=1e-9, err_msg=f"{metric} at {tau}")
        calibration = figure("ece", table)
        at_once = calibration.limits(1 - 0.1 / len(found.groups))
        assert found.groups == calibration.groups
        np.testing.assert_allclose(found.ece[place], calibration.values, atol=1e-9)
        for ours, theirs in zip(found.ece_limits, at_once, strict=True):
            np.testing.assert_allclose(ours[place], theirs, atol=1e-9)


def test_bands_of_several_gates_are_refused():
    with pytest.raises(BadInput, match="2 gates"):
        band(drawn(20, gates=2), "sex", 0.95)


def test_the_default_is_200_thresholds():
    found = band(drawn(2000), "sex", 0.95)
    assert len(found.sweep.thresholds) == 200 and found.ece.shape == (200, 3)
