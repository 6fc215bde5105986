"""Rows as decisions: the words of the schema, groups, twins and what they do not have."""

from collections import Counter

import pytest

import people
from equiray.data.cases.decisions import decision_cases
from equiray.data.tasks.load import load_task
from equiray.data.text import Serializer
from equiray.errors import BadInput
from equiray.specs.run import TaskSpec

ROWS = [
    {"sex": "Female", "race": "Black", "label": 1, "relationship": "Wife"},
    {"sex": "Male", "race": "White", "label": 0},
    {"sex": None, "race": "White", "label": 0},
    {"sex": "Male", "race": "White", "label": 1, "split": "train"},
]


def of_people(flip=(), attributes=("sex", "sex*race")):
    task = people.task([{"split": "test"} | row for row in ROWS])
    serializer = fitted(task, people.ORDER)
    return decision_cases(task, serializer, attributes, flip=flip), serializer, task


def fitted(task, order) -> Serializer:
    return Serializer.fit(
        task, template="text", order=order, max_tokens=4_000, count_tokens=lambda ts: [len(t) for t in ts]
    )


def test_a_row_is_asked_in_the_words_of_its_schema():
    cases, serializer, task = of_people()
    assert [case.case_id for case in cases.cases] == ["people/0", "people/1", "people/2"]
    first = cases.cases[0]
    assert first.text == (
        "Read the description and answer the question about it.\n\n"
        f"{serializer.texts(task.split('test'))[0]}\n{people.SCHEMA.question}"
    )
    assert "The sex is Female." in first.text
    assert (first.options, first.positive, first.answer) == (("Yes", "No"), 0, 0)
    assert cases.cases[1].answer == 1
    assert first.groups == {"sex": "Female", "sex*race": "Female*other"}
    assert cases.cases[2].groups["sex"] == "(missing)"


def test_twins_stand_behind_their_originals_and_have_no_right_answer():
    cases, _, _ = of_people(flip=["sex"])
    assert [case.case_id for case in cases.cases] == [
        "people/0",
        "people/0/sex=Male",
        "people/1",
        "people/1/sex=Female",
        "people/2",
    ]
    original, twin = cases.cases[:2]
    assert twin.text == original.text.replace("Female", "Male").replace("Wife", "Husband") != original.text
    assert (twin.twin_of, twin.answer, twin.family) == (original.case_id, None, original.family)
    assert twin.groups == {"sex": "Male", "sex*race": "Male*other"}
    assert any("1 rows have no twin" in warning for warning in cases.warnings)


def test_twins_go_with_their_originals():
    cases, _, _ = of_people(flip=["sex"])
    for seed in range(5):
        (first, *rest) = cases.sample(1, seed).cases
        assert all(case.twin_of == first.case_id for case in rest)
    women = cases.of_groups({"sex": {"Female"}})
    assert [case.case_id for case in women.cases] == ["people/0"]  # the twin of a man is left out with him
    with pytest.raises(BadInput, match="no group"):
        cases.of_groups({"sex": {"female"}})


def test_what_is_not_declared_is_refused():
    with pytest.raises(BadInput, match="'height' is not declared"):
        of_people(attributes=("height",))
    with pytest.raises(BadInput, match="no flip is declared for 'age'"):
        of_people(flip=["age"])
    task = people.task(ROWS)
    with pytest.raises(BadInput, match="no split 'dev'"):
        decision_cases(task, fitted(task, people.ORDER), ("sex",), split="dev")


def test_compas_is_propublica_s(mirror):
    task = load_task(TaskSpec(name="compas"), seed=0)
    serializer = fitted(task, [feature.name for feature in task.schema.features])
    parts = [
        decision_cases(task, serializer, ("race", "sex"), split=split) for split in ("train", "validation", "test")
    ]
    every = [case for part in parts for case in part.cases]
    assert len(every) == 6_172
    # ProPublica: 3,175 African-American and 2,103 Caucasian defendants after the filter, 2,809 charged again
    groups = Counter(case.groups["race"] for case in every)
    assert (groups["African-American"], groups["Caucasian"]) == (3_175, 2_103)
    assert sum(case.answer == case.positive for case in every) == 2_809
    paper = parts[2].of_groups({"race": {"African-American", "Caucasian"}, "sex": {"Male"}})
    assert {case.groups["race"] for case in paper.cases} == {"African-American", "Caucasian"}
    assert {case.groups["sex"] for case in paper.cases} == {"Male"}
