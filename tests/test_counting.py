"""Counts: equal to pandas, and to themselves however their blocks are cut, encoded, merged and kept."""

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counting_cases import COLUMNS, LAYOUT, mass_by_pandas, rows, table
from equiray.data.row_blocks import BlockId
from equiray.errors import BadInput
from equiray.metrics.counting import Attribute, Columns, Counts, Layout, count_table
from equiray.metrics.counting.kernel import count_block
from equiray.metrics.tables import MISSING

DECISIONS = Columns(label="y", prediction="yhat")
PLAIN = Layout(attributes=(Attribute(name="sex"),))


@cache
def counted(n: int, seed: int, *, per_block: int = 25, digits: int | None = 2) -> Counts:
    return count_table(table(rows(n, seed, digits=digits)), LAYOUT, COLUMNS, model="m", rows_per_block=per_block)


def parts(counts: Counts) -> list[Counts]:
    """Counts of each block alone."""
    return [Counts.of(counts.layout, counts.model, [block], counts.origins) for block in counts.blocks.values()]


def bits(counts: Counts) -> list[bytes]:
    """Every array of every table."""
    found = []
    for each in counts.tables(order=2):
        for part in (each.mass, each.scores, each.score_sums):
            found += [np.asarray(values).tobytes() for values in part]
    return found


@pytest.mark.parametrize("attribute", ["race", "sex", "race*sex", "sex*race"])
def test_equal_to_pandas(attribute):
    frame = rows(3_000)
    found = count_table(table(frame), LAYOUT, COLUMNS, model="m", rows_per_block=700).table(attribute)
    expected = mass_by_pandas(frame, found.groups, attribute.split("*"))
    assert found.mass.count.tolist() == expected[0].astype(int).tolist()
    assert found.mass.count.sum() == 3_000
    np.testing.assert_allclose(found.mass.weight, expected[1], rtol=1e-12)
    np.testing.assert_allclose(found.mass.weight_squared, expected[2], rtol=1e-12)


def test_groups_and_classes_in_order():
    found = list(counted(400, 1).tables(order=2))
    assert [each.attribute for each in found] == ["race", "sex", "race*sex"]
    assert found[0].groups == ("black", "other", "white", MISSING)
    assert found[2].groups[:2] == ("black*female", "black*male") and found[2].groups[-1] == MISSING
    assert {each.classes for each in found} == {("0", "1")}


def test_declared_groups_keep_their_order_and_are_listed_without_rows():
    layout = Layout(attributes=(Attribute(name="sex", groups=("other", "male", "female")),), classes=("no", "yes"))
    found = count_table(
        pa.table({"sex": ["female", "male"], "y": ["yes", "yes"], "yhat": ["yes", None]}), layout, DECISIONS, model="m"
    ).table("sex")
    assert found.groups == ("other", "male", "female") and found.classes == ("no", "yes")
    assert found.mass.count[0].sum() == 0
    assert found.mass.count[1, 1].tolist() == [0, 0, 0, 1]
    assert found.mass.count[2, 1].tolist() == [0, 1, 0, 0]


def test_several_classes_numbers_in_their_order():
    layout = Layout(attributes=(Attribute(name="sex"),))
    data = pa.table({"sex": ["a"] * 4, "y": [10, 9, 2, 2], "yhat": [10, 2, 2, 9]})
    found = count_table(data, layout, DECISIONS, model="m").table("sex")
    assert found.classes == ("2", "9", "10")
    assert found.mass.count[0].tolist() == [[1, 1, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 1, 0, 0]]


@pytest.mark.parametrize(
    "labels",
    [
        pa.array([0, 1, 1, 0]),
        pa.array([0, 1, 1, 0], pa.int8()),
        pa.array([0, 1, 1, 0], pa.uint64()),
        pa.array([0.0, 1.0, 1.0, 0.0]),
        pa.array([False, True, True, False]),
        pa.array(["0", "1", "1", "0"]),
        pa.array(["0", "1", "1", "0"], pa.large_string()),
        pa.array(["0", "1", "1", "0"]).dictionary_encode(),
        pa.array([0, 1, 1, 0]).dictionary_encode(),
        pa.chunked_array([pa.array(["0"]).dictionary_encode(), pa.array(["1", "1", "0"]).dictionary_encode()]),
        pa.DictionaryArray.from_arrays([3, 0, 2, 1], ["1", "0", "1", "0"]),
    ],
    ids=lambda labels: str(labels.type),
)
def test_the_same_rows_in_any_encoding_are_the_same_counts(labels):
    predictions = pa.array([1, 1, 0, 0])
    plain = pa.table({"sex": ["f", "m", None, "f"], "y": [0, 1, 1, 0], "yhat": predictions})
    other = pa.table({"sex": pa.array(["f", "m", "", "f"]).dictionary_encode(), "y": labels, "yhat": predictions})
    one, two = (count_table(each, PLAIN, DECISIONS, model="m") for each in (plain, other))
    assert list(one.blocks) == list(two.blocks)  # the rows' content hash
    assert one.table("sex").mass.count.tolist() == two.table("sex").mass.count.tolist()


def test_attributes_with_many_levels_take_the_sparse_way():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 3_000, (4, 5_000))
    layout = Layout(attributes=tuple(Attribute(name=name) for name in "abc"))
    data = pa.table({"a": values[0], "b": values[1].astype(str), "c": values[2] * 1.5, "y": values[3] % 2})
    data = data.append_column("yhat", pa.array(np.ones(5_000)))
    found = count_table(data, layout, DECISIONS, model="m", rows_per_block=1_700)
    for name, column in (("a", values[0]), ("b", values[1]), ("c", values[2] * 1.5)):
        each = found.table(name)
        names, counts = np.unique(column, return_counts=True)
        assert each.groups == tuple(f"{value:g}" for value in names)
        assert each.mass.count.sum((1, 2)).tolist() == counts.tolist()
    assert len(found.table("a*b").groups) == len(np.unique(values[:2], axis=1).T)


def test_truth_values_are_named_as_groups_and_counted_as_classes():
    data = pa.table({"sex": [True, False, True], "y": [True, False, True], "yhat": [1, 0, 0]})
    found = count_table(data, PLAIN, DECISIONS, model="m").table("sex")
    assert found.groups == ("false", "true") and found.classes == ("0", "1")


@settings(max_examples=20)
@given(order=st.permutations(range(6)), cuts=st.lists(st.integers(1, 5), max_size=3))
def test_any_order_and_tree_of_merges_gives_the_same_bits(order, cuts):
    whole = counted(150, 2)
    pieces = [parts(whole)[place] for place in order]
    edges = sorted({0, *cuts, len(pieces)})
    branches = [pieces[a].merge(*pieces[a + 1 : b]) for a, b in pairwise(edges)]
    merged = branches[0]
    for branch in branches[1:]:
        merged = branch.merge(merged)
    assert merged.sha256 == whole.sha256
    assert bits(merged) == bits(whole)


@settings(max_examples=20)
@given(left=st.sets(st.integers(0, 5), min_size=1), right=st.sets(st.integers(0, 5), min_size=1))
def test_merging_is_the_union_of_blocks(left, right):
    pieces = parts(counted(150, 3))
    one, two = (pieces[min(s)].merge(*(pieces[i] for i in s)) for s in (left, right))
    both = one.merge(two)
    assert both.sha256 == two.merge(one).sha256 == both.merge(one, both).sha256
    assert both.rows == sum(pieces[i].rows for i in left | right)


@settings(max_examples=20)
@given(seed=st.integers(0, 50), digits=st.sampled_from([1, 3, None]))
def test_tables_do_not_depend_on_how_blocks_are_cut(seed, digits):
    one, two = (counted(120, seed, per_block=size, digits=digits) for size in (120, 7))
    for a, b in zip(one.tables(order=2), two.tables(order=2), strict=True):
        assert a.groups == b.groups
        assert a.mass.count.tolist() == b.mass.count.tolist()
        assert a.scores.values.tolist() == b.scores.values.tolist()
        assert a.scores.count.tolist() == b.scores.count.tolist()
        for x, y in zip((*a.mass, *a.score_sums), (*b.mass, *b.score_sums), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-14)


def test_the_same_block_with_another_payload_is_refused():
    block = BlockId("source", 0, 20)
    one, two = (count_block(block, table(rows(20, seed)), LAYOUT, COLUMNS, place="f") for seed in (1, 2))
    with pytest.raises(BadInput, match="counted twice with different results") as error:
        Counts.of(LAYOUT, "m", [one]).merge(Counts.of(LAYOUT, "m", [two]))
    assert one.digest[:12] in error.value.problem and two.digest[:12] in error.value.problem


def test_overlapping_blocks_are_refused():
    data = table(rows(30, 1))
    blocks = [
        count_block(BlockId("source", a, b), data.slice(a, b - a), LAYOUT, COLUMNS, place="f")
        for a, b in ((0, 20), (19, 30))
    ]
    with pytest.raises(BadInput, match="rows 0 to 19 of source and rows 19 to 29"):
        Counts.of(LAYOUT, "m", blocks)


def test_other_layouts_and_models_are_refused_by_name():
    data = table(rows(30, 1))
    counts = count_table(data, PLAIN, DECISIONS, model="one")
    with pytest.raises(BadInput, match="counts of another model do not add up: one and two"):
        counts.merge(count_table(data, PLAIN, DECISIONS, model="two"))
    other = Layout(attributes=(Attribute(name="race"),))
    with pytest.raises(BadInput, match="counts of another layout") as error:
        counts.merge(count_table(data, other, DECISIONS, model="one"))
    assert PLAIN.sha256[:40] in error.value.problem and other.sha256[:40] in error.value.problem


def test_words_here_and_numbers_there_are_refused_digits_are_not():
    numbers = pa.table({"sex": [1, 2], "y": [0, 1], "yhat": [0, 1]})
    words = pa.table({"sex": ["1", "male"], "y": [0, 1], "yhat": [0, 1]})
    digits = pa.table({"sex": ["1", "2", "1"], "y": ["0", "1", "0"], "yhat": ["0", "1", "1"]})
    first = count_table(numbers, PLAIN, DECISIONS, model="m", origin="a.parquet")
    with pytest.raises(BadInput, match="'sex' is a number in one place and 'male' in the other") as error:
        first.merge(count_table(words, PLAIN, DECISIONS, model="m", origin="b.csv"))
    assert error.value.place == "a.parquet and b.csv"
    both = first.merge(count_table(digits, PLAIN, DECISIONS, model="m", origin="b.csv")).table("sex")
    assert both.groups == ("1", "2") and both.mass.count.sum((1, 2)).tolist() == [3, 2]


def test_saved_and_loaded_counts_are_the_same_and_can_be_added_tomorrow(tmp_path):
    today, tomorrow = counted(200, 4), counted(150, 5, digits=None)
    today.save(tmp_path / "runs" / "today.parquet")
    loaded = Counts.load(tmp_path / "runs" / "today.parquet")
    assert loaded.layout == LAYOUT and loaded.sha256 == today.sha256 and loaded.origins == today.origins
    assert bits(loaded.merge(tomorrow)) == bits(tomorrow.merge(today))
    assert [each.name for each in (tmp_path / "runs").iterdir()] == ["today.parquet"]


def test_a_file_of_counts_that_was_altered_is_refused(tmp_path):
    path = tmp_path / "counts.parquet"
    counted(100, 6).save(path)
    held = pq.read_table(path)
    pq.write_table(held.slice(1), path)
    with pytest.raises(BadInput, match="were altered"):
        Counts.load(path)
    pq.write_table(held.replace_schema_metadata(None), path)
    with pytest.raises(BadInput, match="no metadata of counts"):
        Counts.load(path)
    path.write_bytes(b"nothing")
    with pytest.raises(BadInput, match="not a readable file of counts"):
        Counts.load(path)


def test_real_valued_targets_are_summed_by_group():
    frame = rows(500, 7).assign(y=lambda f: f["w"] % 7, yhat=lambda f: f["w"] % 5)
    layout = Layout(attributes=(Attribute(name="sex"),), real_valued=True, weights=True)
    columns = Columns(label="y", prediction="yhat", weight="w")
    data = pa.table({name: pa.array(frame[name], from_pandas=True) for name in ("sex", "y", "yhat", "w")})
    found = count_table(data, layout, columns, model="m", rows_per_block=90).table("sex")
    assert found.mass is None and found.scores is None and found.classes == ()
    error = frame["yhat"] - frame["y"]
    sums = {"rows": 1, "target": frame["y"], "prediction": frame["yhat"], "absolute_error": error.abs()}
    sums |= {"squared_error": error**2, "prediction_squared": frame["yhat"] ** 2, "squared_error_squared": error**4}
    twice = {f"{name}_w2": frame["w"] * each for name, each in sums.items() if name not in ("rows", "target")}
    for name, each in (sums | twice | {"weight_squared": frame["w"]}).items():
        expected = (frame["w"] * each).groupby(frame["sex"].fillna(MISSING)).sum()
        np.testing.assert_allclose(getattr(found.targets, name), expected[list(found.groups)], rtol=1e-12)
    assert found.targets is not None
    assert found.targets.counted.tolist() == frame["sex"].fillna(MISSING).value_counts()[list(found.groups)].tolist()


def test_a_layout_survives_the_way_to_disk_and_its_hash_tells_layouts_apart():
    declared = Layout(attributes=(Attribute(name="sex", groups=("f", "m")), Attribute(name="age")), classes=("a", "b"))
    assert Layout.from_json(declared.to_json()) == declared
    others = [replace(declared, weights=True), replace(declared, classes=("b", "a")), PLAIN]
    assert len({declared.sha256, *(each.sha256 for each in others)}) == 4
