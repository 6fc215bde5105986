"""A hand-made task for tests: invented people, never reported as a result about anyone."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from equiray.data.schema import Feature, Flip, Schema, SensitiveAttribute, Task

SEXES = ("Male", "Female")
RACES = ("White", "Black", "Asian or Pacific Islander")
PARTNER = {"Male": "Husband", "Female": "Wife"}

SCHEMA = Schema(
    name="people",
    title="Invented people",
    features=(
        Feature(name="age", label="age", kind="numeric"),
        Feature(name="sex", label="sex", kind="categorical"),
        Feature(name="relationship", label="relationship", kind="categorical"),
        Feature(name="race", label="race", kind="categorical"),
        Feature(name="hours", label="hours worked per week", kind="numeric"),
    ),
    label="income",
    positive="more",
    question="Does this person earn more than 50000 dollars per year? Yes or no?",
    answers=("Yes", "No"),
    sensitive=(
        SensitiveAttribute(name="sex", column="sex"),
        SensitiveAttribute(name="race", column="race", groups={"White": "white", "Black": "other", RACES[2]: "other"}),
        SensitiveAttribute(name="age", column="age", cut=(40, "up to 40", "over 40")),
    ),
    flips=(
        Flip(
            attribute="sex",
            swaps={
                "sex": {"Male": "Female", "Female": "Male"},
                "relationship": {"Husband": "Wife", "Wife": "Husband"},
            },
        ),
        Flip(attribute="race", cycle=("race", RACES)),
    ),
)
ORDER = ("hours", "sex", "age", "relationship", "race")


def table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows given by feature; what a row leaves out is filled in, the attribute columns are derived."""
    race_groups = SCHEMA.sensitive[1].groups or {}
    filled = [
        {"row_id": i, "split": "train", "label": i % 2, "age": 39, "sex": "Male", "hours": 40.0, "race": "White"}
        | {"relationship": "Unmarried"}
        | dict(row)
        for i, row in enumerate(rows)
    ]
    for row in filled:
        row["attribute.sex"] = row["sex"]
        row["attribute.race"] = race_groups.get(row["race"])
        row["attribute.age"] = None if row["age"] is None else "up to 40" if row["age"] <= 40 else "over 40"
    strings = ("split", "sex", "relationship", "race", "attribute.sex", "attribute.race", "attribute.age")
    types = {"row_id": pa.int64(), "label": pa.int8(), "age": pa.int64(), "hours": pa.float64()}
    names = ("row_id", "split", "label", *(f.name for f in SCHEMA.features), *strings[-3:])
    fields = pa.schema([(name, types.get(name, pa.string())) for name in names])
    return pa.Table.from_pylist(filled, schema=fields)


def task(rows: Sequence[Mapping[str, Any]]) -> Task:
    return Task(schema=SCHEMA, table=table(rows), source_sha256="0" * 64)


@st.composite
def _person(draw: st.DrawFn) -> dict[str, Any]:
    sex = draw(st.sampled_from(SEXES))
    return {
        "sex": sex,
        "relationship": draw(st.sampled_from((PARTNER[sex], "Unmarried", "Own child", None))),
        "race": draw(st.sampled_from(RACES)),
        "age": draw(st.one_of(st.none(), st.integers(17, 90))),
        "hours": draw(st.one_of(st.none(), st.integers(0, 198).map(lambda half: half / 2))),
    }


def people(min_size: int = 1) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Rows of people whose relationship, where it states a sex, states theirs."""
    return st.lists(_person(), min_size=min_size, max_size=12)
