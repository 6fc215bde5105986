"""Rows read as a person would write them, whole sentences only, within the budget."""

import json
import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import people
from equiray.data.counterfactuals import twins
from equiray.data.text import Dropped, Serializer
from equiray.data.wording import plain
from equiray.errors import BadInput


def words(texts):
    """Additive up to a constant: words and marks, and two special tokens a text."""
    return [2 + len(re.findall(r"\w+|[^\w\s]", text)) for text in texts]


def quarters(texts):
    """Not additive: four characters a token, whatever they are."""
    return [-(-len(text) // 4) for text in texts]


def fit(rows, *, template="text", max_tokens=256, count_tokens=words, order=people.ORDER):
    task = people.task(rows)
    return Serializer.fit(task, template=template, order=order, max_tokens=max_tokens, count_tokens=count_tokens)


def prompts(serializer, table):
    parts = serializer.prompts(table)
    return [parts.task_prefix + body + parts.suffix for body in parts.row_bodies]


ROW = {"age": 39, "sex": "Male", "relationship": None, "race": "White", "hours": 37.5}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (
            "text",
            "The hours worked per week is 37.5. The sex is Male. The age is 39. The relationship is unknown. "
            "The race is White.",
        ),
        ("list", "- hours worked per week: 37.5\n- sex: Male\n- age: 39\n- relationship: unknown\n- race: White"),
        ("json", '{"hours worked per week": 37.5, "sex": "Male", "age": 39, "relationship": null, "race": "White"}'),
    ],
)
def test_templates(template, expected):
    assert fit([ROW], template=template).texts(people.table([ROW])) == [expected]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (39.0, "39"),
        (39, "39"),
        (0.5, "0.5"),
        (1e-7, "0.0000001"),
        (1e16, "10000000000000000"),
        (-3.0, "-3"),
        (None, "unknown"),
        (float("nan"), "unknown"),
        ("  ", "unknown"),
        ("two\n lines ", "two lines"),
    ],
)
def test_values_are_written_plainly(value, written):
    assert plain(value) == written


@settings(deadline=None)
@given(st.text(max_size=40), st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True)))
def test_json_rows_are_json_whatever_the_value(race, hours):
    rows = [ROW | {"race": race, "hours": hours}]
    document = json.loads(fit(rows, template="json", max_tokens=4096).texts(people.table(rows))[0])
    assert list(document) == ["hours worked per week", "sex", "age", "relationship", "race"]
    assert document["race"] == race


def test_a_prompt_is_prefix_row_and_question():
    serializer = fit([ROW])
    parts = serializer.prompts(people.table([ROW, ROW]))
    assert parts.row_bodies == serializer.texts(people.table([ROW, ROW]))
    assert parts.suffix == "\nDoes this person earn more than 50000 dollars per year? Yes or no?\nAnswer:"
    assert parts.answers == (" Yes", " No")


@settings(deadline=None)
@given(people.people(), st.sampled_from(["text", "list", "json"]))
def test_the_label_never_shows(rows, template):
    table = people.table(rows)
    flipped = table.set_column(2, "label", pa.array([1 - y for y in table["label"].to_pylist()], pa.int8()))
    serializer = fit(rows, template=template)
    assert serializer.texts(table) == serializer.texts(flipped)
    assert not any(name in text for text in serializer.texts(table) for name in ("income", "label", "attribute."))


def _heads(serializer, table):
    """For each row: its first 1, 2, ... 5 sentences, written here by hand."""
    labels = {f.name: f.label for f in people.SCHEMA.features}
    for row in table.to_pylist():
        sentences = [f"The {labels[name]} is {plain(row[name])}." for name in serializer.order]
        yield row["row_id"], [" ".join(sentences[:k]) for k in range(1, 6)]


@settings(deadline=None, max_examples=50)
@given(people.people(), st.integers(40, 64))
def test_the_budget_drops_whole_least_important_features_and_not_one_too_many(rows, max_tokens):
    """Second route: the largest k for which the row and each of its twins fits, counted on whole prompts."""
    table = people.table(rows)
    serializer = fit(rows, max_tokens=max_tokens)
    frame = serializer.prompts(table)
    both = pa.concat_tables([table, twins(table, people.SCHEMA, ["sex", "race"]).table.drop_columns("counterfactual")])
    fitting: dict[int, int] = {}
    for row_id, heads in _heads(serializer, both):
        counts = words([frame.task_prefix + head + frame.suffix for head in heads])
        fitting[row_id] = min(fitting.get(row_id, 5), sum(count <= max_tokens for count in counts))
    for (row_id, heads), text in zip(_heads(serializer, both), serializer.texts(both), strict=True):
        assert text == heads[fitting[row_id] - 1]
    kept = [fitting[row["row_id"]] for row in table.to_pylist()]
    dropped = {name: sum(k <= i for k in kept) for i, name in enumerate(serializer.order)}
    assert dict(serializer.dropped) == {name: n for name, n in dropped.items() if n}


@settings(deadline=None)
@given(people.people(min_size=2), st.integers(50, 80), st.sampled_from(["text", "list", "json"]))
def test_no_prompt_is_over_budget_where_tokens_do_not_add_up(rows, max_tokens, template):
    table = people.table(rows)
    serializer = fit(rows, max_tokens=max_tokens, count_tokens=quarters, template=template)
    flipped = twins(table, people.SCHEMA, ["sex", "race"]).table
    assert max(quarters(prompts(serializer, table))) <= max_tokens
    assert max(quarters(prompts(serializer, flipped))) <= max_tokens


def test_dropped_features_are_reported_with_their_rows():
    rows = [ROW, ROW | {"relationship": "a b c d"}, ROW | {"relationship": "a b c d e f g h i j k l m n"}]
    longest_first = people.table([rows[0] | {"race": people.RACES[2]}])  # a row is measured on its longest twin
    (full,) = words(prompts(fit(rows), longest_first))
    assert fit(rows, max_tokens=full + 13).dropped == ()
    assert fit(rows, max_tokens=full + 12).dropped == (Dropped("race", 1),)
    assert fit(rows, max_tokens=full).dropped == (Dropped("relationship", 1), Dropped("race", 2))
    assert fit(rows, max_tokens=full - 1).dropped == (Dropped("relationship", 1), Dropped("race", 3))


def test_a_huge_cell_is_dropped_without_tokenizing_it():
    longest = []

    def watched(texts):
        longest.append(max(map(len, texts)))
        return words(texts)

    rows = [ROW, ROW | {"race": "x" * 10_000_000}]
    serializer = fit(rows, count_tokens=watched)
    assert serializer.dropped == (Dropped("race", 1),)
    assert max(longest) < 100_000


def test_most_important_feature_over_budget_names_the_row():
    rows = [ROW, ROW | {"race": "very " * 300}]
    order = ("race", "hours", "sex", "age", "relationship")
    with pytest.raises(BadInput, match=r"race 'very very[\s\S]*row_id 1, column race") as error:
        fit(rows, order=order)
    assert len(str(error.value)) < 400


def test_question_over_budget_says_what_it_takes():
    with pytest.raises(BadInput, match=r"the question alone takes 29 of 20 tokens"):
        fit([ROW], max_tokens=20)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"template": "prose"}, "unknown template 'prose'"),
        ({"order": people.ORDER[:4]}, r"differs from the features: \['race'\]"),
        ({"order": (*people.ORDER, "label")}, r"differs from the features: \['label'\]"),
        ({"order": (*people.ORDER, "sex")}, "one is named twice"),
    ],
)
def test_a_wrong_template_or_order_is_refused(change, problem):
    with pytest.raises(BadInput, match=problem):
        fit([ROW], **change)


def test_an_empty_table_has_no_texts():
    assert fit([ROW]).texts(people.table([])) == []
