"""The user's own table: the example of docs/contracts loads, and every way to get it wrong is said before compute."""

import csv
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
import yaml

from equiray.data.own_table import load_table_spec
from equiray.data.tasks.load import load_task
from equiray.errors import BadInput
from equiray.specs.run import TaskSpec

EXAMPLE = Path(__file__).parents[1] / "docs" / "contracts" / "table_schema.yaml"
ROWS = 120
Columns = dict[str, list[str]]


def loans() -> Columns:
    """A table in the example's format, made by arithmetic: every group and split occurs with both labels."""
    numbers = range(ROWS)
    return {
        "age": [str(20 + i % 47) for i in numbers],
        "income": [f"{1000 + 12.5 * (i % 31)}" for i in numbers],
        "housing": [str(1 + i % 3) for i in numbers],
        "purpose": [["car", "kitchen", "007", "NA", ""][i % 5] for i in numbers],
        "sex": [["m", "f"][i % 2] for i in numbers],
        "title": [["Mr", "Ms"][i % 2] for i in numbers],
        "region": [["inland", "coast", "abroad"][i // 2 % 3] for i in numbers],
        "postcode": [["10115", "01067"][i // 3 % 2] for i in numbers],
        "repaid": [["yes", "no", "yes"][i // 4 % 3] for i in numbers],
        "part": [["train", "train", "train", "validation", "test"][i // 6 % 5] for i in numbers],
        "remark": ["never read"] * ROWS,
    }


def write_csv(path: Path, columns: Columns) -> Path:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


@pytest.fixture
def load(tmp_path) -> Callable:
    """Load a table file, or columns written as CSV, with the example schema changed by `edit`."""

    def load_changed(table: Path | Columns, edit: Callable[[dict], object] = lambda _: None, **spec):
        document = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
        edit(document)
        schema = tmp_path / "schema.yaml"
        schema.write_text(yaml.safe_dump(document), encoding="utf-8")
        path = table if isinstance(table, Path) else write_csv(tmp_path / "loans.csv", table)
        return load_task(TaskSpec(name="loans", path=str(path), table_schema=str(schema), **spec), seed=0)

    return load_changed


def test_the_documented_example_loads(tmp_path):
    path = write_csv(tmp_path / "loans.csv", loans())
    task = load_task(TaskSpec(name="loans", path=str(path), table_schema=str(EXAMPLE)), seed=0)
    table = task.table
    assert task.schema.name == "loans"
    assert table.num_rows == ROWS
    assert table["income"].type == pa.float64()
    assert table["age"].type == pa.int64()
    assert table["row_id"].to_pylist() == list(range(ROWS))
    assert table["split"].to_pylist() == loans()["part"]
    assert table["label"].to_pylist() == [int(v == "yes") for v in loans()["repaid"]]
    assert table["housing"].to_pylist()[:3] == ["rented", "owned", "with parents"]
    assert table["purpose"].to_pylist()[:5] == ["car", "kitchen", "007", "NA", "unknown"]
    assert set(table["attribute.district"].to_pylist()) == {"10115", "01067"}
    assert set(table["attribute.region"].to_pylist()) == {"national", "foreign"}
    assert Counter(table["attribute.age"].to_pylist())["under 40"] == sum(int(a) < 40 for a in loans()["age"])
    assert "remark" not in table.column_names


def test_parquet_and_csv_give_the_same_task(load, tmp_path):
    from_csv = load(loans()).table
    typed = pa_csv.read_csv(
        tmp_path / "loans.csv",
        convert_options=pa_csv.ConvertOptions(
            column_types={
                "postcode": pa.string(),
                "housing": pa.float64(),
                "purpose": pa.dictionary(pa.int32(), pa.string()),
            },
            null_values=[""],
            strings_can_be_null=True,
        ),
    )
    pq.write_table(typed, tmp_path / "loans.parquet")
    assert load(tmp_path / "loans.parquet").table.equals(from_csv)


def test_splits_are_made_where_the_table_brings_none(load):
    table = load(loans(), lambda d: d.pop("split")).table
    assert Counter(table["split"].to_pylist())["train"] == pytest.approx(0.6 * ROWS, abs=4)


def test_a_missing_sensitive_value_is_a_null_group_and_the_row_stays(load):
    columns = loans()
    columns["postcode"][3] = columns["sex"][5] = ""
    table = load(columns).table
    assert table.num_rows == ROWS
    assert table["attribute.district"].to_pylist()[3] is None
    assert table["attribute.sex"].to_pylist()[5] is None
    assert table["attribute.sex"].null_count == 1
    assert table["sex"].to_pylist()[5] == "unknown"


def put(column: str, row: int, value: str) -> Columns:
    columns = loans()
    columns[column][row] = value
    return columns


def only(column: str, value: str) -> Columns:
    return loans() | {column: [value] * ROWS}


BAD_ROWS = {
    "a column that is missing": (
        {("incme" if k == "income" else k): v for k, v in loans().items()},
        ["no column 'income'", "did you mean 'incme'"],
    ),
    "a third label": (put("repaid", 7, "late"), ["holds 'late' beside the declared 'yes' and 'no'", "row 8"]),
    "a missing label": (put("repaid", 7, ""), ["label 'repaid' is missing", "row 8"]),
    "one label only": (only("repaid", "no"), ["'no' in all 120 rows"]),
    "a missing number": (put("income", 4, ""), ["'income' is missing", "row 5", "drop these rows"]),
    "a NaN": (put("income", 4, "NaN"), ["'income' is missing", "row 5"]),
    "an infinite number": (put("income", 4, "inf"), ["'income' is infinite", "row 5"]),
    "text in a number": (put("income", 4, "1.200,50"), ["'income' is '1.200,50'", "row 5", "plain numbers"]),
    "a code out of the book": (put("housing", 119, "4"), ["'4' not in the codebook of 'housing'", "row 120"]),
    "a value in no group": (put("region", 2, "moon"), ["'moon' not in the groups of 'region'", "row 3"]),
    "a split of another name": (put("part", 0, "dev"), ["split column 'part' holds 'dev'", "row 1"]),
    "a split without rows": (
        loans() | {"part": ["train", "test"] * (ROWS // 2)},
        ["no row of split 'validation'"],
    ),
    "a declared group without rows": (
        loans() | {"region": ["inland", "coast"] * (ROWS // 2)},
        ["'region': group 'foreign' has no rows"],
    ),
    "a cut that leaves one side empty": (only("age", "30"), ["'age': group '40 or over' has no rows"]),
    "one group only": (only("postcode", "10115"), ["'district' has one group only: '10115'"]),
    "no group at all": (only("postcode", ""), ["'district' has one group only: no value at all"]),
    "a huge cell": (put("purpose", 9, "x" * (10 << 20)), ["a cell holds 10.0 MB", "column 'purpose', row 10"]),
    "too few rows": ({k: v[:20] for k, v in loans().items()}, ["the table has 20 rows, at least 50"]),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_rows_are_named_with_their_place_and_a_fix(load, tmp_path, case):
    columns, said = BAD_ROWS[case]
    with pytest.raises(BadInput) as error:
        load(columns)
    message = str(error.value)
    assert all(part in message for part in said), message
    assert str(tmp_path / "loans.csv") in error.value.place
    assert error.value.fix
    assert len(message) < 1500  # one screen


def test_null_and_nan_in_a_parquet_column_of_floats_are_found(load, tmp_path):
    typed = {**loans(), "age": list(range(20, 20 + ROWS)), "income": [float(i) for i in range(ROWS)]}
    for value in (None, float("nan")):
        typed["income"][6] = value
        pq.write_table(pa.table(typed), tmp_path / "loans.parquet")
        with pytest.raises(BadInput, match=r"'income' is missing[\s\S]*row 7\n"):
            load(tmp_path / "loans.parquet")


BAD_SCHEMAS: dict[str, tuple[Callable[[dict], object], str]] = {
    "an unknown key": (lambda d: d.update(labels=1), "labels: Extra inputs are not permitted"),
    "no sensitive attribute": (lambda d: d.pop("sensitive"), "sensitive: Field required"),
    "an unquoted yes": (lambda d: d["label"].update(positive=True), "put it in quotes"),
    "a positive value that is none": (lambda d: d["label"].update(positive="maybe"), "positive 'maybe' must be one of"),
    "a codebook of numbers": (
        lambda d: d["features"][0].update(codebook={1: "x"}),
        "'age' is numeric: it takes no codebook",
    ),
    "a feature twice": (lambda d: d["features"].append(d["features"][0]), "feature 'age' is declared twice"),
    "a reserved name": (lambda d: d["features"][0].update(name="row_id"), "'row_id': the name is reserved"),
    "an attribute named as a column of predictions": (
        lambda d: d["sensitive"][0].update(name="score"),
        "sensitive attribute 'score': the name is reserved",
    ),
    "the label as a feature": (lambda d: d["label"].update(column="age"), "'age' is the label or the split"),
    "groups and a cut": (lambda d: d["sensitive"][1].update(groups={"a": "b"}), "has groups and a cut"),
    "a flip of nothing declared": (lambda d: d["flips"][0].update(attribute="race"), "no such sensitive attribute"),
    "a flip of a number": (
        lambda d: d["flips"][0].update(swaps={"age": {"1": "2", "2": "1"}}),
        "'age' is no categorical",
    ),
    "a flip of a value out of the book": (
        lambda d: d["flips"][0]["swaps"].update(sex={"male": "Female", "Female": "male"}),
        "['male'] not among the codebook values",
    ),
    "a flip one way": (
        lambda d: d["flips"][0]["swaps"].update(sex={"Male": "Female"}),
        "'sex' swaps 'Male' one way only",
    ),
}


@pytest.mark.parametrize("case", BAD_SCHEMAS)
def test_bad_schemas_are_refused_before_the_table_is_read(load, tmp_path, case):
    edit, said = BAD_SCHEMAS[case]
    with pytest.raises(BadInput, match=re.escape(said)) as error:
        load(tmp_path / "absent.csv", edit)
    assert error.value.place == str(tmp_path / "schema.yaml")


@pytest.mark.parametrize("content", ["a: [1", "- a list", ""])
def test_what_is_no_schema_document_is_said(tmp_path, content):
    path = tmp_path / "schema.yaml"
    path.write_text(content)
    with pytest.raises(BadInput, match=r"not valid"):
        load_table_spec(path)


def test_an_absent_schema_is_said(tmp_path):
    with pytest.raises(BadInput, match="cannot read the table schema"):
        load_table_spec(tmp_path / "absent.yaml")
