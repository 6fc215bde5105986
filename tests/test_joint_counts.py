"""Counts of two models on the same rows, counts of one split, and rows side by side: against numpy and pandas."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from equiray.data.pairing import Pair, Source, in_order, match
from equiray.data.prediction_files import open_files
from equiray.data.row_blocks import BlockId, RowBlock
from equiray.errors import BadInput
from equiray.metrics.counting import Attribute, Columns, Counts, Layout
from equiray.metrics.counting.encoding import Place
from equiray.metrics.counting.joint import joint_layout, joint_table, shift_layout, tally_pair
from equiray.metrics.counting.kernel import read_rows
from equiray.metrics.counting.parts import rows_where
from equiray.metrics.counting.stream import count_table
from equiray.metrics.tables import MISSING
from test_audit import people, written

LAYOUT = Layout(attributes=(Attribute(name="sex"), Attribute(name="race")), scores=True, weights=True)
COLUMNS = Columns(label="y", prediction="yhat", score="p", weight="w")
CLASSES = ["0", "1", "(refused)", "(unparsed)"]


def two(n: int = 700, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows with missing groups and, under the second model, missing answers."""
    rng = np.random.default_rng(seed)
    first = people(n, seed)
    first["race"] = first.race.where(rng.random(n) > 0.1)
    second = first.assign(p=rng.random(n).round(2), yhat=rng.integers(0, 2, n)).astype({"yhat": "Int64"})
    second.loc[rng.random(n) < 0.05, ["yhat", "p"]] = [pd.NA, np.nan]
    return first, second


def tallied(first: pd.DataFrame, second: pd.DataFrame, start: int = 0):
    block = BlockId("source", start, start + len(first))
    tables = [pa.Table.from_pandas(frame, preserve_index=False) for frame in (first, second)]
    pair = Pair(block, *(RowBlock(block, table, name) for table, name in zip(tables, ("a", "b"), strict=True)))
    rows = [read_rows(table, LAYOUT, COLUMNS, Place(name, start)) for table, name in zip(tables, "ab", strict=True)]
    return tally_pair(pair, *rows, LAYOUT, None)


def test_joint_counts_are_those_of_pandas_merged_from_blocks_in_any_order():
    first, second = two()
    parts = [tallied(first[at : at + 100], second[at : at + 100], at) for at in range(0, 700, 100)]
    counts = [Counts.of(joint_layout(LAYOUT), "m", [part.joint]) for part in parts]
    merged = counts[3].merge(*counts[:3], *counts[4:])
    assert merged.sha256 == counts[0].merge(*counts[1:]).sha256 and merged.rows == 700
    said = second.yhat.map({0: "0", 1: "1"}).fillna("(unparsed)")
    for attribute, groups in (("sex", first.sex), ("race", first.race.fillna(MISSING))):
        table = joint_table(merged, attribute)
        assert table.groups == tuple(sorted(set(groups) - {MISSING})) + ((MISSING,) if MISSING in set(groups) else ())
        expected = np.zeros((len(table.groups), 2, 4, 4))
        weight = np.zeros_like(expected)
        places = (groups.map(table.groups.index), first.y, first.yhat, said.map(CLASSES.index))
        np.add.at(expected, tuple(places), 1)
        np.add.at(weight, tuple(places), first.w)
        np.testing.assert_array_equal(table.mass.count, expected)
        np.testing.assert_allclose(table.mass.weight, weight, rtol=1e-12)
    both = joint_table(merged, "sex*race")
    assert both.groups[-1] == MISSING and both.mass.count.sum() == 700
    assert len(both.groups) == 2 * first.race.nunique() + 1


def test_either_model_alone_is_counted_as_in_an_audit():
    first, second = two()
    part = tallied(first, second)
    for frame, block in ((first, part.first), (second, part.second)):
        alone = count_table(pa.Table.from_pandas(frame, preserve_index=False), LAYOUT, COLUMNS, model="m")
        (expected,) = alone.blocks.values()
        assert block.digest == expected.digest


def test_shifts_sum_what_each_row_changes():
    first, second = two()
    part = tallied(first, second)
    scored = second.p.notna()
    expected = {"mean_score": second.p - first.p, "brier": (second.p - second.y) ** 2 - (first.p - first.y) ** 2}
    for metric, values in expected.items():
        table = Counts.of(shift_layout(LAYOUT), "m", [part.shifts[metric]]).table("sex")
        sums = table.targets
        for place, sex in enumerate(table.groups):
            rows = scored & (first.sex == sex)
            assert sums.prediction[place] == pytest.approx((values * first.w)[rows].sum())
            assert sums.prediction_squared[place] == pytest.approx((values**2 * first.w)[rows].sum())
            assert sums.counted[place] == (first.sex == sex).sum()


def test_counts_of_a_split_are_counts_of_its_rows():
    frame, _ = two()
    frame["split"] = np.random.default_rng(1).choice(["train", "validation", "test"], len(frame))
    layout = Layout(attributes=(*LAYOUT.attributes, Attribute(name="split")), scores=True, weights=True)
    whole = [
        count_table(pa.Table.from_pandas(part, preserve_index=False), layout, COLUMNS, model="m", origin=str(at))
        for at, part in enumerate((frame[:300], frame[300:]))
    ]
    counts = whole[0].merge(whole[1])
    for split in ("test", "validation"):
        rows = pa.Table.from_pandas(frame[frame.split == split], preserve_index=False)
        alone, part = count_table(rows, LAYOUT, COLUMNS, model="m"), rows_where(counts, "split", split)
        for attribute in ("sex", "race", "sex*race"):
            expected, found = alone.table(attribute), part.table(attribute)
            assert (found.groups, found.classes) == (expected.groups, expected.classes)
            assert found.scores.exact and expected.scores.exact
            for name in ("mass", "scores", "score_sums"):
                pairs = zip(getattr(found, name), getattr(expected, name), strict=True)
                for ours, theirs in pairs:
                    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert not rows_where(counts, "split", "holdout").blocks
    with pytest.raises(BadInput, match="not counted"):
        rows_where(counts, "fold", "test")


def test_a_split_without_a_group_still_lists_it():
    frame = people(100).assign(split=lambda f: np.where(f.sex == "f", "train", "test"))
    layout = Layout(attributes=(Attribute(name="sex"), Attribute(name="split")))
    columns = Columns(label="y", prediction="yhat")
    counts = count_table(pa.Table.from_pandas(frame, preserve_index=False), layout, columns, model="m")
    table = rows_where(counts, "split", "test").table("sex")
    assert table.groups == ("f", "m") and table.mass.count.sum((1, 2)).tolist() == [0, (frame.sex == "m").sum()]


def opened(path: Path, *columns: str, **only: str) -> Source:
    return Source(files=open_files([str(path)], [*columns, *only]), only=only)


def test_rows_in_order_are_cut_where_either_side_ends_a_block(tmp_path: Path):
    frame = people(50).assign(who=range(50))
    one = Source(files=open_files([str(written(frame[:30], tmp_path / "1.parquet"))], ["who"]))
    rest = open_files([str(written(frame[30:], tmp_path / "2.csv"))], ["who"])
    other = opened(written(frame, tmp_path / "3.csv"), "who")
    pairs = list(in_order(Source(files=[*one.files, *rest]), other, rows_per_block=20))
    # The 30 rows of Parquet are one row group, which is cut evenly: at 15. The CSV is cut at 20 and 40.
    assert [pair.id.stop - pair.id.start for pair in pairs] == [15, 5, 10, 10, 10]
    for pair in pairs:
        assert (
            pair.first.rows["who"].cast(pa.string()).to_pylist()
            == pair.second.rows["who"].cast(pa.string()).to_pylist()
        )
    assert pairs[3].first.id.start == 0 and pairs[3].second.id.start == 30
    named = pairs[3].name(np.array([False, True, False, True] + [False] * 6))
    assert "2.csv, rows 2, 4 and" in named and named.endswith("3.csv, rows 32, 34")


def test_only_some_rows_may_count_and_ids_are_taken_for_what_they_are(tmp_path: Path):
    frame = people(40).assign(who=[f"{i:03d}" for i in range(40)], split=["train", "test"] * 20)
    one = opened(written(frame, tmp_path / "1.csv"), "who", split="test")
    two = opened(written(frame.sample(frac=1, random_state=2), tmp_path / "2.parquet"), "who", split="test")
    matched = match(one, two, ("who", "who"))
    (pair,) = matched.pairs()
    expected = [f"{i:03d}" for i in range(1, 40, 2)]
    assert [pair.ids.to_pylist(), pair.second.rows["who"].to_pylist()] == [expected, expected]
    assert matched.left_out == (0, 0)
    whole = opened(tmp_path / "2.parquet", "who")
    assert match(one, whole, ("who", "who")).left_out == (0, 20)
    floats = written(frame.assign(who=np.arange(40) + 0.5), tmp_path / "3.parquet")
    with pytest.raises(BadInput, match="not whole numbers"):
        match(one, opened(floats, "who"), ("who", "who"))
