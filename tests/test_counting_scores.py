"""Scores: exact while they are few, on a grid that agrees with numpy's bins beyond; sums to the last bits."""

import math
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiray.metrics.counting import Attribute, Columns, Counts, Layout, count_table
from equiray.metrics.counting import scores as module
from equiray.metrics.counting.scores import GRID, bin_of, on_grid
from equiray.metrics.counting.summing import exact_sums

LAYOUT = Layout(attributes=(Attribute(name="g"),), scores=True)
COLUMNS = Columns(label="y", prediction="yhat", score="p")
EDGES = np.arange(1, 10) / 10


def rows(score: np.ndarray, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    g, y, yhat = rng.choice(["a", "b"], len(score)), rng.integers(0, 2, len(score)), rng.integers(0, 2, len(score))
    return pa.table({"g": g, "y": y, "yhat": yhat, "p": score})


def count(score: np.ndarray, seed: int = 0) -> Counts:
    return count_table(rows(score, seed), LAYOUT, COLUMNS, model="m")


def near_edges() -> np.ndarray:
    """All edges of the grid with their neighbours."""
    edges = np.concatenate([GRID, np.arange(11) / 10])
    return np.clip(np.concatenate([edges, np.nextafter(edges, 0), np.nextafter(edges, 1)]), 0, 1)


def test_the_grid_is_ascending_and_begins_each_bin_at_its_float():
    assert len(GRID) == 65_530 and (np.diff(GRID) > 0).all()
    assert GRID[::6553].tolist() == [k / 10 for k in range(10)]


def test_scores_fall_where_a_search_finds_them():
    score = near_edges()
    assert (on_grid(score) == np.searchsorted(GRID, score, side="right") - 1).all()
    assert (bin_of(on_grid(score)) == np.digitize(score, EDGES)).all()


@given(st.lists(st.floats(0, 1), min_size=1))
def test_bins_are_those_of_numpy(score):
    assert bin_of(on_grid(np.array(score))).tolist() == np.digitize(score, EDGES).tolist()


def test_few_scores_are_kept_as_they_are():
    score = np.array([0.0, -0.0, 0.3, 0.1 + 0.2, 1.0, 0.3])
    found = count(score).table("g").scores
    assert found.exact and found.values.tolist() == [0.0, 0.3, 0.1 + 0.2, 1.0]
    assert found.count.sum((0, 1)).tolist() == [2, 2, 1, 1]


@pytest.mark.parametrize("distinct", [65_536, 65_537])
def test_the_limit_is_65536_distinct_scores(distinct):
    score = np.arange(distinct) / distinct
    found = count(score).table("g").scores
    assert found.exact == (distinct == 65_536)
    assert found.values.tolist() == (score if found.exact else GRID).tolist()
    assert found.count.sum() == distinct


def test_scores_on_the_grid_are_counted_as_a_histogram_counts_them():
    score = np.random.default_rng(1).random(150_000)
    table = rows(score)
    found = count_table(table, LAYOUT, COLUMNS, model="m").table("g")
    mine = (table["g"].to_numpy() == "b") & (table["y"].to_numpy() == 1)
    expected, _ = np.histogram(score[mine], np.append(GRID, 1.0))
    assert found.scores.count[1, 1].tolist() == expected.tolist()
    for power, sums in enumerate(found.score_sums):
        expected, _ = np.histogram(score[mine], np.arange(11) / 10, weights=score[mine] ** power)
        np.testing.assert_allclose(sums[1, 1], expected, rtol=1e-12)


def test_a_gridded_block_makes_the_total_gridded_in_any_order(monkeypatch):
    monkeypatch.setattr(module, "MAX_DISTINCT", 50)
    monkeypatch.setattr("equiray.metrics.counting.score_margins.MAX_DISTINCT", 50)
    coarse, fine, other = (count(s) for s in (np.arange(40) / 40, np.arange(60) / 60, np.arange(41) / 41))
    assert coarse.table("g").scores.exact and not fine.table("g").scores.exact
    expected = np.bincount(on_grid(np.arange(40) / 40), minlength=len(GRID))
    for more, scores in ((fine, np.arange(60) / 60), (other, np.arange(41) / 41)):
        both = [one.merge(two).table("g").scores for one, two in ((coarse, more), (more, coarse))]
        assert not both[0].exact and both[0].values.tolist() == GRID.tolist()
        added = np.bincount(on_grid(scores), minlength=len(GRID))
        assert both[0].count.sum((0, 1)).tolist() == (expected + added).tolist()
        assert both[0].count.tobytes() == both[1].count.tobytes()


def test_grid_cells_are_joined_where_groups_are_many(monkeypatch):
    score = np.arange(65_537) / 65_537
    fine = count(score).table("g").scores
    monkeypatch.setattr("equiray.metrics.counting.score_margins._MOST_CELLS", 4 * 1_000)
    joint = count(score).table("g").scores
    assert len(joint.values) == 1_000 and not joint.exact
    assert joint.values[::100].tolist() == [k / 10 for k in range(10)]
    starts = np.searchsorted(GRID, joint.values)
    assert joint.count.tolist() == np.add.reduceat(fine.count, starts, axis=-1).tolist()


def test_float32_scores_count_with_the_values_they_have():
    score = np.array([0.1, 0.7], np.float32)
    found = count(score).table("g")
    assert found.scores.values.tolist() == [float(each) for each in score]
    assert np.flatnonzero(found.score_sums.rows.sum((0, 1))).tolist() == np.digitize(score, EDGES).tolist()


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(-1e150, 1e150, allow_nan=False)), min_size=1, max_size=40),
    st.randoms(use_true_random=False),
)
def test_sums_are_exact_and_do_not_depend_on_order(pairs, random):
    def sums(rows):
        return exact_sums(np.array([p for p, _ in rows]), np.array([x for _, x in rows]), 3)

    found = sums(pairs)
    random.shuffle(pairs)
    assert sums(pairs).tobytes() == found.tobytes()
    for place in range(3):
        mine = [x for p, x in pairs if p == place]
        exact = sum((Fraction(x) for x in mine), Fraction(0))
        # every slice is exact; only the few slices' sums are rounded
        assert abs(Fraction(float(found[place])) - exact) <= Fraction(2, 2**52) * abs(exact) + Fraction(5e-324)
        assert math.isclose(found[place], math.fsum(mine), rel_tol=1e-15)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e308, -1e308])
def test_what_cannot_be_summed_is_refused_not_summed_for_ever(value):
    with pytest.raises(ValueError, match="cannot be summed"):
        exact_sums(np.zeros(3, np.int64), np.array([1.0, value, value]), 1)


def test_sums_of_many_rows_in_pieces_are_those_of_fsum():
    rng = np.random.default_rng(0)
    place, values = rng.integers(0, 2, 70_000), np.exp(rng.normal(0, 20, 70_000))
    found = exact_sums(place.astype(np.uint8), values, 2)
    for each in range(2):
        assert math.isclose(found[each], math.fsum(values[place == each]), rel_tol=2e-16)
