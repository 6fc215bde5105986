"""What cannot be counted is refused by value, column, file and row; what is missing is counted as missing."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from equiray.data.row_blocks import BlockId
from equiray.errors import BadInput
from equiray.metrics.counting import Attribute, Columns, Layout, count_table
from equiray.metrics.counting.kernel import count_block
from equiray.metrics.counting.summing import LARGEST
from equiray.metrics.tables import MISSING

NAN = float("nan")
PLAIN = Layout(attributes=(Attribute(name="sex"),))
DECISIONS = Columns(label="y", prediction="yhat")
SCORED = Layout(attributes=(Attribute(name="sex"),), scores=True)
WITH_SCORE = Columns(label="y", prediction="yhat", score="p")
WEIGHTED = Layout(attributes=(Attribute(name="sex"),), weights=True)
WITH_WEIGHT = Columns(label="y", prediction="yhat", weight="w")
REAL = Layout(attributes=(Attribute(name="sex"),), real_valued=True)
LARGE = Layout(attributes=(Attribute(name="sex"),), real_valued=True, weights=True)


def data(**columns) -> pa.Table:
    """Three rows; the second may be spoiled."""
    return pa.table({"sex": ["f", "m", "f"], "y": [0, 1, 1], "yhat": [0, 1, 0]} | columns)


def count(table: pa.Table, layout: Layout = PLAIN, columns: Columns = DECISIONS):
    return count_table(table, layout, columns, model="m", origin="file.csv").table("sex")


@pytest.mark.parametrize("missing", [None, "", "(missing)"])
def test_a_missing_sensitive_value_is_a_group_of_its_own(missing):
    found = count(data(sex=["f", missing, "f"]))
    assert found.groups == ("f", MISSING)
    assert found.mass.count[1].tolist() == [[0, 0, 0, 0], [0, 1, 0, 0]]


@pytest.mark.parametrize("numbers", [[1.0, NAN, 1.0], [1, None, 1]])
def test_a_missing_number_is_a_missing_sensitive_value(numbers):
    assert count(data(sex=numbers)).groups == ("1", MISSING)


def test_rows_that_all_miss_the_attribute_are_one_group():
    assert count(data(sex=pa.nulls(3))).groups == (MISSING,)


@pytest.mark.parametrize("missing", [pa.array([0, None, 0]), pa.array([0, NAN, 0]), pa.array(["0", "", "0"])])
def test_a_missing_prediction_is_unparsed(missing):
    assert count(data(yhat=missing)).mass.count[1, 1].tolist() == [0, 0, 0, 1]


def test_an_outcome_tells_refusals_from_answers_not_understood():
    columns = Columns(label="y", prediction="yhat", outcome="why")
    found = count(data(yhat=pa.array([None, None, 0]), why=["refused", "unparsed", None]), PLAIN, columns)
    assert found.mass.count[0].tolist() == [[0, 0, 1, 0], [1, 0, 0, 0]]
    assert found.mass.count[1, 1].tolist() == [0, 0, 0, 1]
    for why, shown in (("refused", "'refused' beside a prediction"), ("asleep", "'asleep' is no outcome")):
        with pytest.raises(BadInput, match=shown) as error:
            count(data(why=[None, why, None]), PLAIN, columns)
        assert error.value.place == "file.csv, column 'why', row 2"
    with pytest.raises(BadInput, match="'answered' beside no prediction"):
        count(data(yhat=pa.array([0, None, 0]), why=[None, "answered", None]), PLAIN, columns)


def test_reserved_words_in_the_prediction_column_mean_what_they_say():
    found = count(data(y=["a", "b", "b"], yhat=["a", "(refused)", "b"]))
    assert found.classes == ("a", "b") and found.mass.count[1, 1].tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize("missing", [[0, None, 1], [0.0, NAN, 1.0], ["0", "", "1"]])
def test_a_missing_label_is_refused(missing):
    with pytest.raises(BadInput, match="the label is missing") as error:
        count(data(y=missing))
    assert error.value.place == "file.csv, column 'y', row 2"


@pytest.mark.parametrize(
    ("columns", "column", "problem"),
    [
        ({"y": ["no", "maybe", "yes"], "yhat": ["no", "no", "no"]}, "y", "'maybe' is no declared class"),
        ({"y": ["no", "no", "yes"], "yhat": ["no", "maybe", "no"]}, "yhat", "'maybe' is no declared class"),
        ({"sex": ["f", "x", "f"], "y": ["no"] * 3, "yhat": ["no"] * 3}, "sex", "'x' is no group of 'sex'"),
    ],
)
def test_values_that_were_not_declared_are_refused(columns, column, problem):
    layout = Layout(attributes=(Attribute(name="sex", groups=("f", "m")),), classes=("no", "yes"))
    with pytest.raises(BadInput, match=problem) as error:
        count(data(**columns), layout)
    assert error.value.place == f"file.csv, column '{column}', row 2"


@pytest.mark.parametrize(("score", "problem"), [(1.5, "score 1.5 is outside"), (-0.1, "outside"), (NAN, "missing")])
def test_scores_are_probabilities(score, problem):
    with pytest.raises(BadInput, match=problem) as error:
        count(data(p=[0.5, score, 0.5]), SCORED, WITH_SCORE)
    assert error.value.place == "file.csv, column 'p', row 2"


def test_a_score_may_be_missing_where_the_prediction_is():
    found = count(data(p=[0.5, None, 0.25], yhat=pa.array([0, None, 0])), SCORED, WITH_SCORE)
    assert found.scores.values.tolist() == [0.25, 0.5] and found.scores.count.sum() == 2


@pytest.mark.parametrize(
    ("weight", "problem"),
    [(-1.0, "weight -1 is negative"), (NAN, "weight is missing"), (None, "missing"), (1e200, "too large")],
)
def test_weights_are_not_negative(weight, problem):
    with pytest.raises(BadInput, match=problem) as error:
        count(data(w=[1.0, weight, 1.0]), WEIGHTED, WITH_WEIGHT)
    assert error.value.place == "file.csv, column 'w', row 2"


def test_weights_that_are_all_zero_are_refused_one_that_is_not_suffices():
    with pytest.raises(BadInput, match="all weights are 0"):
        count(data(w=[0, 0, 0]), WEIGHTED, WITH_WEIGHT)
    found = count(data(w=[0, 2, 0]), WEIGHTED, WITH_WEIGHT)
    assert found.mass.count.sum() == 3 and found.mass.weight_squared.sum() == 4


@pytest.mark.parametrize("value", [None, NAN, float("inf")])
def test_real_valued_targets_are_finite(value):
    with pytest.raises(BadInput, match=r"prediction (is missing|inf is infinite)") as error:
        count(data(yhat=[1.0, value, 1.0]), REAL)
    assert error.value.place == "file.csv, column 'yhat', row 2"


@pytest.mark.parametrize("spoilt", [{"w": 1e51}, {"y": 1e51}, {"yhat": -1e51}, {"w": 1e120, "y": 1e120}])
def test_what_would_overflow_is_named_before_it_is_squared(spoilt):
    columns = {name: [1.0, spoilt.get(name, 1.0), 1.0] for name in ("w", "y", "yhat")}
    with pytest.raises(BadInput, match=r"e\+(51|120) is infinite or too large to be squared and summed") as error:
        count(data(**columns), LARGE, WITH_WEIGHT)
    assert error.value.place == f"file.csv, column '{next(iter(spoilt))}', row 2" and "1e+50" in error.value.fix


def test_the_largest_numbers_that_are_taken_have_finite_sums():
    spoilt = {"w": [LARGEST] * 3, "y": [LARGEST] * 3, "yhat": [-LARGEST] * 3}
    found = count(data(**spoilt), LARGE, WITH_WEIGHT).targets
    assert found.squared_error.tolist() == [2 * LARGEST * (2 * LARGEST) ** 2, LARGEST * (2 * LARGEST) ** 2]
    assert all(np.isfinite(part).all() for part in found)


def test_numbers_may_be_texts_and_texts_that_are_none_are_named():
    found = count(data(p=["0.5", " .25 ", "1e-1"]), SCORED, WITH_SCORE)
    assert found.scores.values.tolist() == [0.1, 0.25, 0.5]
    with pytest.raises(BadInput, match="'half' is not a number") as error:
        count(data(p=["0.5", "half", "0.1"]), SCORED, WITH_SCORE)
    assert error.value.place == "file.csv, column 'p', row 2"


def test_more_than_ten_thousand_groups_are_refused():
    many = [f"person {number}" for number in range(10_001)]
    table = pa.table({"sex": many, "y": np.zeros(len(many), int), "yhat": np.zeros(len(many), int)})
    assert len(count(table.slice(1)).groups) == 10_000
    with pytest.raises(BadInput, match="'sex' has 10,001 different values"):
        count(table)
    halves = [count_table(half, PLAIN, DECISIONS, model="m") for half in (table.slice(0, 6_000), table.slice(6_000))]
    with pytest.raises(BadInput, match="10,001 different values"):
        halves[0].merge(halves[1]).table("sex")


def test_combinations_of_groups_that_are_named_alike_are_refused():
    layout = Layout(attributes=(Attribute(name="sex"), Attribute(name="race")))
    table = data(sex=["a*b", "a", "a*b"], race=["c", "b*c", "d"], y=[0, 1, 1], yhat=[0, 1, 0])
    counts = count_table(table, layout, DECISIONS, model="m", origin="file.csv")
    assert counts.table("sex").groups == ("a", "a*b")
    with pytest.raises(BadInput, match=r"'a\*b\*c' names two combinations") as refused:
        counts.table("sex*race")
    assert refused.value.place == "column 'sex' and column 'race'"


def test_a_real_valued_label_is_not_taken_for_classes():
    labels = np.arange(1_001) / 7
    with pytest.raises(BadInput, match="1001 classes") as error:
        count(pa.table({"sex": ["f"] * 1_001, "y": labels, "yhat": labels}))
    assert "real-valued" in error.value.fix


def test_words_and_numbers_as_label_and_prediction_are_refused():
    with pytest.raises(BadInput, match="'yes' is text, while column 'y' holds numbers") as error:
        count(data(yhat=["0", "yes", "1"]))
    assert error.value.place == "file.csv, column 'yhat', row 2"


def test_texts_that_read_as_numbers_and_words_are_refused_unless_declared():
    spoilt = data(y=["0", "1", "1"], yhat=["no", "yes", ""])
    for table in (spoilt, spoilt.rename_columns(["sex", "yhat", "y"]).filter([True, True, False])):
        column = "yhat" if table is spoilt else "y"
        with pytest.raises(BadInput, match=r"'no' is text, while column '(y|yhat)' holds numbers") as error:
            count(table)
        assert error.value.place.startswith(f"file.csv, column '{column}', row")
    assert count(data(y=["1", "2", "3"], yhat=["1", "2", "4+"])).classes == ("1", "2", "3", "4+")
    declared = Layout(attributes=(Attribute(name="sex"),), classes=("0", "1", "no", "yes"))
    assert count(spoilt, declared).mass.count.sum() == 3


@pytest.mark.parametrize("words", [["True", "False", "True"], ["no", "yes", "no"]])
def test_words_in_one_file_and_texts_that_read_as_numbers_in_another_are_refused(words):
    digits, said = data(y=["0", "1", "1"], yhat=["0", "1", "0"]), data(y=words, yhat=words)
    one, other = (
        count_table(t, PLAIN, DECISIONS, model="m", origin=n) for t, n in ((digits, "a.csv"), (said, "b.csv"))
    )
    with pytest.raises(
        BadInput, match=f"label or prediction is a number in one place and {sorted(words)[0]!r}"
    ) as error:
        one.merge(other)
    assert error.value.place == "a.csv and b.csv"
    declared = replace(PLAIN, classes=("0", "1", *sorted(set(words))))
    halves = [count_table(table, declared, DECISIONS, model="m") for table in (digits, said)]
    assert halves[0].merge(halves[1]).rows == 6


def test_classes_that_do_not_make_a_decision_are_refused():
    with pytest.raises(BadInput, match="have 1 classes: yes"):
        count(data(y=["yes"] * 3, yhat=["yes"] * 3))
    with pytest.raises(BadInput, match="3 classes"):
        count(data(y=[0, 1, 2], p=[0.5] * 3), SCORED, WITH_SCORE)
    assert count(data(y=[0, 0, 0], yhat=[0, 0, 0])).classes == ("0", "1")


def test_rows_are_numbered_as_in_the_file():
    with pytest.raises(BadInput) as error:
        count_block(BlockId("source", 100, 103), data(y=[0, None, None]), PLAIN, DECISIONS, place="f.parquet")
    assert error.value.place == "f.parquet, column 'y', rows 102, 103"


@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.binary()])
def test_columns_of_other_types_are_refused(kind):
    with pytest.raises(BadInput, match="column 'sex' is of type"):
        count(data(sex=pa.nulls(3, kind)))


def test_columns_must_be_there_and_named_exactly_if_they_are_counted():
    with pytest.raises(BadInput, match="no column 'sex'") as error:
        count(data().drop_columns("sex"))
    assert error.value.place == "file.csv"
    for layout, columns in ((SCORED, DECISIONS), (PLAIN, WITH_SCORE), (WEIGHTED, DECISIONS)):
        with pytest.raises(BadInput, match="counted, but"):
            count(data(p=[0.5] * 3), layout, columns)
    with pytest.raises(BadInput, match="'age' is not counted"):
        count(data(), PLAIN, Columns(label="y", prediction="yhat", attributes={"age": "AGEP"}))
    with pytest.raises(BadInput, match="outcome column 'why' is named"):
        count(data(why=[None] * 3), REAL, Columns(label="y", prediction="yhat", outcome="why"))
    found = count(data(SEX=["x", "y", "z"]), PLAIN, Columns(label="y", prediction="yhat", attributes={"sex": "SEX"}))
    assert found.groups == ("x", "y", "z")


def test_no_rows_are_refused():
    with pytest.raises(BadInput, match="no rows to count") as error:
        count(data().slice(3))
    assert error.value.place == "file.csv"


@pytest.mark.parametrize("asked", ["age", "sex*sex", ""])
def test_tables_of_what_is_not_counted_are_refused(asked):
    with pytest.raises(BadInput):
        count_table(data(), PLAIN, DECISIONS, model="m").table(asked)


@pytest.mark.parametrize(
    ("layout", "problem"),
    [
        ({"attributes": ()}, "no attribute"),
        ({"attributes": (Attribute(name="a*b"),)}, "contains"),
        ({"attributes": (Attribute(name="a"), Attribute(name="a"))}, "declared twice"),
        ({"attributes": (Attribute(name="a", groups=("x", MISSING)),)}, "reserved"),
        ({"classes": ("0",)}, "only one class"),
        ({"classes": ("0", "1", "2"), "scores": True}, "3 classes"),
        ({"real_valued": True, "scores": True}, "neither"),
    ],
)
def test_layouts_that_contradict_themselves_are_refused(layout, problem):
    with pytest.raises(BadInput, match=problem):
        Layout(**({"attributes": (Attribute(name="a"),)} | layout))
