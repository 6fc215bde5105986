"""Axes, panels and curves: where a value stands on the page."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equiray.metrics.estimates import Estimate
from equiray.reports.axes import axis_over
from equiray.reports.curves import charts_of
from equiray.reports.figures import Figures
from equiray.reports.panels import panels_of
from equiray.reports.words import count, duration, number, stage_words
from report_run import estimate, synthetic_curve

VALUES = st.lists(st.floats(-1e3, 1e3, allow_nan=False).filter(lambda v: v == 0 or abs(v) > 1e-6), min_size=1)


@given(values=VALUES, symmetric=st.booleans())
def test_an_axis_holds_its_values_in_order_and_labels_what_it_marks(values: list[float], symmetric: bool) -> None:
    axis = axis_over(values, symmetric=symmetric)
    assert all(0 <= axis.at(v) <= 100 for v in values)
    assert [axis.at(v) for v in sorted(values)] == sorted(axis.at(v) for v in values)
    if symmetric:
        assert axis.at(0) == pytest.approx(50)
    assert 2 <= len(axis.ticks) <= 12
    for tick in axis.ticks:
        labelled = float(tick.label.replace("−", "-"))
        assert axis.at(labelled) == pytest.approx(tick.at, abs=0.02 + 1e-9 / axis.step)
    assert "−0" not in {tick.label.rstrip(".0") for tick in axis.ticks}


def test_a_panel_draws_the_interval_on_the_axis_it_labels() -> None:
    records = [
        Estimate(**estimate("t", stage, "raw", "demographic_parity_difference", value, attribute="sex"))
        for stage, value in (("baseline", 0.3), ("cda", 0.1), ("cda_unlearning", None))
    ]
    (panel,) = panels_of(Figures(records), "t", ["demographic_parity_difference"], "sex", effects=False)
    ticks = {float(tick.label): tick.at for tick in panel.ticks}
    per_unit = (ticks[0.3] - ticks[0.0]) / 0.3
    baseline, cda, missing = panel.blocks[0].rows
    assert baseline.dot == pytest.approx(ticks[0.0] + 0.3 * per_unit, abs=0.02)
    assert cda.low == pytest.approx(ticks[0.0] + 0.07 * per_unit, abs=0.02)
    assert cda.high == pytest.approx(ticks[0.0] + 0.13 * per_unit, abs=0.02)
    assert cda.reference == baseline.dot
    assert baseline.reference is None
    assert (missing.dot, missing.low, missing.value) == (None, None, "not estimable")


def test_the_signed_gap_stands_on_an_axis_of_its_own_around_zero() -> None:
    levels = {"intrinsic_gap": 0.8, "intrinsic_gap_signed": -0.01}
    records = [Estimate(**estimate("t", "baseline", "lm", m, v, 0.004, attribute="sex")) for m, v in levels.items()]
    (shared,) = panels_of(Figures(records), "t", ["intrinsic_gap"], "sex", effects=False)
    (signed,) = panels_of(Figures(records), "t", ["intrinsic_gap_signed"], "sex", effects=False)
    (row,) = signed.blocks[0].rows
    assert signed.zero == pytest.approx(50)
    assert row.low is not None and 0 < row.low < 10, "the axis is fitted to the data"
    assert row.dot is not None and row.low < row.dot < 50
    assert signed.sides == ("against the stereotype", "towards it")
    assert (shared.zero, shared.sides) == (None, None)


def test_curves_hold_one_point_per_logged_value_and_fold_higher_values_higher() -> None:
    curve = synthetic_curve(folds=2)
    charts = {chart.title: chart for chart in charts_of(curve)}
    gap = charts["Gap on held-out prompts"]
    logged = [row["validation_gap"] for row in curve if row["fold"] == 1 and row["validation_gap"] is not None]
    assert len(gap.lines) == 4
    heights = [-float(point.split(",")[1]) for point in gap.lines[1].points.split()]
    assert len(heights) == len(logged) == 13
    assert sorted(range(13), key=heights.__getitem__) == sorted(range(13), key=logged.__getitem__)
    assert f"{logged[-1]:.3g} at step 120" in gap.spoken
    assert len(charts["Loss terms"].legend) == 4


def test_what_was_never_logged_leaves_no_chart() -> None:
    curve = [{"step": 0, "fold": 0, "perplexity": None, "kl": 0.1, "gap": "broken"}]
    (only,) = charts_of(curve)
    assert [series.key for series in only.legend] == ["kl"]
    assert charts_of([]) == []
    json.dump([line.points for line in only.lines], io.StringIO(), allow_nan=False)


def test_words() -> None:
    assert [number(v) for v in (-0.0004, 0.0005, -0.25, None)] == ["0.000", "0.001", "−0.250", "not estimable"]
    assert [count(1, "row"), count(1200, "row"), count(0)] == ["1 row", "1,200 rows", "0"]
    assert [duration(s) for s in (9.84, 252, 3599.7, 7500)] == ["9.8 s", "4 min 12 s", "1 h 00 min", "2 h 05 min"]
    assert [stage_words(s) for s in ("cda_unlearning-baseline", "cda", "own")] == [
        "CDA + unlearning − baseline",
        "CDA",
        "own",
    ]
