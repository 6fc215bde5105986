"""Stress: populations that shift, time that passes, labels that are wrong."""

import numpy as np
import pytest

from equiray.data.tasks.load import load_task
from equiray.errors import BadInput
from equiray.mitigation.gating.stress import bands, noisy_labels, only, over_time, screening_dates, without
from equiray.specs.run import TaskSpec

STATES = np.array(["CA", "NY", "CA", "TX"])


def test_a_population_keeps_or_loses_a_part():
    assert only(STATES, {"CA"}).tolist() == [0, 2]
    assert without(STATES, {"CA"}).tolist() == [1, 3]
    assert sorted([*only(STATES, {"CA", "TX"}), *without(STATES, {"CA", "TX"})]) == [0, 1, 2, 3]


def test_a_part_that_does_not_occur_is_refused():
    for shift in (only, without):
        with pytest.raises(BadInput, match=r"no row of 'WA'[\s\S]*CA, NY, TX"):
            shift(STATES, {"CA", "WA"})
    with pytest.raises(BadInput, match="no row is left"):
        without(STATES, set(STATES.tolist()))


def test_ages_fall_into_bands_whose_lower_edge_they_hold():
    found = bands(np.array([24.9, 25, 44, 45, 99]), [25, 45])
    assert found.tolist() == ["under 25", *["25 to under 45"] * 2, *["45 and over"] * 2]
    assert bands(np.array([1, 9]), [5]).tolist() == ["under 5", "5 and over"]


@pytest.mark.parametrize(
    ("values", "edges", "said"), [([1.0], [], "edges"), ([1.0], [3, 3], "ascend"), ([1.0, np.nan], [2], "row 1")]
)
def test_bands_that_cannot_be_are_refused(values, edges, said):
    with pytest.raises(BadInput, match=said):
        bands(np.array(values), edges)


def test_time_splits_rows_at_a_day():
    dates = np.array(["2013-05-01", "2014-01-01", "2013-12-31"], dtype="datetime64[D]")
    before, after = over_time(dates, np.datetime64("2014-01-01"))
    assert (before.tolist(), after.tolist()) == ([0, 2], [1])
    for outside in ("2013-05-01", "2014-01-02"):
        with pytest.raises(BadInput, match=r"one side of [\s\S]*from 2013-05-01 to 2014-01-01"):
            over_time(dates, np.datetime64(outside))
    with pytest.raises(BadInput, match="no date in row 0"):
        over_time(np.array(["NaT", "2014-01-01"], dtype="datetime64[D]"), np.datetime64("2014-01-01"))


def test_compas_rows_have_their_screening_date():
    task = load_task(TaskSpec(name="compas"), seed=0)
    ids, label = task.table["row_id"].to_numpy(), task.table["label"].to_numpy()
    dates = screening_dates(ids)
    assert str(dates.min()) == "2013-01-01" and str(dates.max()) == "2014-12-31"
    np.testing.assert_array_equal(screening_dates(ids[::-7]), dates[::-7])
    early, late = over_time(dates, np.datetime64("2014-04-02"))
    assert label[late].mean() > 0.9 > 0.5 > label[early].mean()  # the cohort defect, not time


def test_a_row_that_compas_does_not_have_is_refused():
    with pytest.raises(BadInput, match="no row 7214"):
        screening_dates(np.array([0, 7214]))


def test_noise_turns_its_share_of_labels_whatever_other_rows_there_are():
    ids = np.arange(20_000)
    label = (ids % 3 == 0).astype(np.int8)
    noisy = noisy_labels(label, ids, 0.1, seed=1)
    turned = noisy != label
    assert noisy.dtype == np.int8 and set(noisy.tolist()) == {0, 1}
    assert abs(turned.mean() - 0.1) < 4 * np.sqrt(0.09 / len(ids))
    assert abs(turned[label == 1].mean() - turned[label == 0].mean()) < 0.02
    np.testing.assert_array_equal(noisy_labels(label[::-3], ids[::-3], 0.1, seed=1), noisy[::-3])
    assert (noisy_labels(label, ids, 0.1, seed=2) != noisy).any()
    more = noisy_labels(label, ids, 0.2, seed=1) != label
    assert more[turned].all()
    np.testing.assert_array_equal(noisy_labels(label, ids, 0, seed=1), label)
    np.testing.assert_array_equal(noisy_labels(label, ids, 1, seed=1), 1 - label)


@pytest.mark.parametrize(("label", "share", "said"), [([0, 1], 1.1, "share 1.1"), ([0, 2], 0.1, "label 2")])
def test_noise_that_cannot_be_is_refused(label, share, said):
    with pytest.raises(BadInput, match=said):
        noisy_labels(np.array(label), np.arange(2), share, seed=0)
