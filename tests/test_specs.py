"""Run specs: the shipped documents load, and a wrong one is refused with the key and the file named."""

from pathlib import Path
from typing import get_args

import pytest
import yaml

from equiray.errors import BadInput
from equiray.specs.examples import ExamplesSpec
from equiray.specs.fairnet import FairNetSpec, load_fairnet_spec
from equiray.specs.run import RunSpec, TaskSpec, load_run_spec

ROOT = Path(__file__).parent.parent
DATA_SETS = get_args(ExamplesSpec)
DOCUMENT = "schema: equiray.run/1\nname: x\ntasks: [{name: german}]\n"


@pytest.mark.parametrize(
    "name", ["jobs/quickstart.yaml", "jobs/paper.yaml", "jobs/lora.yaml", "docs/contracts/run.yaml"]
)
def test_shipped_specs_load(name: str):
    assert load_run_spec(ROOT / name).tasks


def test_the_contract_lists_every_key_with_its_default():
    document = yaml.safe_load((ROOT / "docs/contracts/run.yaml").read_text(encoding="utf-8"))
    defaults = RunSpec.model_validate(yaml.safe_load(DOCUMENT)).model_dump(mode="json", by_alias=True)
    assert set().union(*document["tasks"]) == set(TaskSpec.model_fields)
    for required in ("schema", "name", "tasks"):
        del document[required], defaults[required]
    assert document == defaults  # sections too: their keys are the fields of their models


def test_the_contract_of_a_fairnet_run_lists_every_key_with_its_default():
    document = yaml.safe_load((ROOT / "docs/contracts/fairnet.yaml").read_text(encoding="utf-8"))
    assert load_fairnet_spec(ROOT / "docs/contracts/fairnet.yaml").model_dump(mode="json")["baselines"]
    least = {"schema": "equiray.fairnet/1", "name": "x", "tasks": [{"name": "adult"}]}
    defaults = FairNetSpec.model_validate(least).model_dump(mode="json", by_alias=True)
    kinds = {"table": TaskSpec, **{get_args(each.model_fields["examples"].annotation)[0]: each for each in DATA_SETS}}
    assert {task.get("examples", "table") for task in document["tasks"]} == set(kinds)
    for name, kind in kinds.items():
        told = [task for task in document["tasks"] if task.get("examples", "table") == name]
        assert set().union(*told) | {"name", "positive"} == set(kind.model_fields) | {"name", "positive"}
    for required in ("schema", "name", "tasks"):
        del document[required], defaults[required]
    assert document == defaults
    assert load_fairnet_spec(ROOT / "jobs/fairnet.yaml").stress
    assert load_fairnet_spec(ROOT / "jobs/fairnet_pictures.yaml").backbone.from_scratch


def test_equal_documents_have_equal_hashes_however_written(tmp_path: Path):
    one, other, third = tmp_path / "a.yaml", tmp_path / "b.yaml", tmp_path / "c.yaml"
    one.write_text(DOCUMENT)
    other.write_text("tasks:\n- name: german\nname: x\nseed: 0\nschema: equiray.run/1\n")
    third.write_text(DOCUMENT + "seed: 1\n")
    hashes = [load_run_spec(path).sha256() for path in (one, other, third)]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (DOCUMENT + "colour: red\n", "colour"),
        (DOCUMENT + "unlearning: {stepz: 3}\n", "unlearning.stepz"),
        (DOCUMENT + "unlearning: {steps: -3}\n", "-3"),
        (DOCUMENT + "stages: [baseline, magic]\n", "magic"),
        ("schema: equiray.run/1\nname: x\ntasks: [{name: own, path: a.csv}]\n", "table_schema"),
        (DOCUMENT.replace("german", "../../evil"), "tasks.0.name"),
        (DOCUMENT + "stages: []\n", "stages"),
        (DOCUMENT + "models: [raw, raw]\n", "'raw' stands twice"),
        (DOCUMENT + "unlearning: {attributes: []}\n", "unlearning.attributes"),
        (DOCUMENT + "intrinsic: {templates: [equiray, equiray]}\n", "'equiray' stands twice"),
        (DOCUMENT + "intrinsic: {attributes: []}\n", "intrinsic.attributes"),
        (DOCUMENT + "unlearning: {folds: 2}\nintrinsic: {families: 4}\n", "`intrinsic.families` would be ignored"),
        (DOCUMENT + "language_model: {source: 'http://localhost:1/v1'}\n", "`language_model.name` is missing"),
        ("- a\n- b\n", "list"),
        ("a: [1\n", "YAML"),
    ],
)
def test_a_wrong_spec_names_key_and_file(tmp_path: Path, text: str, named: str):
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        load_run_spec(path)
    assert named in str(caught.value)
    assert str(path) in str(caught.value)


def test_overrides_reach_into_sections_and_lists(tmp_path: Path):
    path = tmp_path / "spec.yaml"
    path.write_text(DOCUMENT)
    spec = load_run_spec(path, ("unlearning.steps=7", "tasks.0.rows=100", "stages=[baseline]"))
    assert (spec.unlearning.steps, spec.tasks[0].rows, spec.stages) == (7, 100, ("baseline",))


@pytest.mark.parametrize("override", ["steps", "=3", "name.first=3", "tasks.7.rows=3", "tasks.first.rows=3"])
def test_an_override_that_cannot_be_applied_is_bad_input(tmp_path: Path, override: str):
    path = tmp_path / "spec.yaml"
    path.write_text(DOCUMENT)
    with pytest.raises(BadInput):
        load_run_spec(path, (override,))


def test_a_spec_that_an_override_makes_wrong_names_the_override(tmp_path: Path):
    path = tmp_path / "spec.yaml"
    path.write_text(DOCUMENT)
    with pytest.raises(BadInput, match=r"spec\.yaml --set seed=1 --set unlearning\.stepz=7"):
        load_run_spec(path, ("seed=1", "unlearning.stepz=7"))


def test_a_wrong_entry_is_named_once(tmp_path: Path):
    path = tmp_path / "spec.yaml"
    path.write_text(DOCUMENT)
    with pytest.raises(BadInput, match=r"tasks.0.rows: input should be greater") as caught:
        load_run_spec(path, ("tasks.0.rows=10",))
    assert "at least 1" not in str(caught.value)
    with pytest.raises(BadInput, match=r"tasks: .*at least 1"):
        load_run_spec(path, ("tasks=[]",))


def test_a_spec_in_another_encoding_is_told_to_be_utf8(tmp_path: Path):
    path = tmp_path / "spec.yaml"
    path.write_bytes((DOCUMENT + "# naïve\n").encode("latin-1"))
    with pytest.raises(BadInput, match="fix:   save it as UTF-8"):
        load_run_spec(path)
