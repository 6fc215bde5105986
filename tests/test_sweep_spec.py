"""Specs of sweeps: shipped ones load, and every wrong one is refused with key and fix before anything is loaded."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from equiray.errors import BadInput
from equiray.runs.search import run as run_module
from equiray.specs.goals import METRICS, ConstraintSpec
from equiray.specs.run import RunSpec
from equiray.specs.space import RangeSpec, levels_of
from equiray.specs.sweep import SearchSpec, SweepSpec, load_sweep_spec
from sweep_runs import FAIRNET, UNLEARNING, Done, started, sweep_spec, written

ROOT = Path(__file__).parent.parent
SHIPPED = sorted((ROOT / "tune").glob("*.yaml"))


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """The command on a wrong document: exit code 3, the message, and nothing read or written."""
    monkeypatch.setattr(run_module, "plan_sweep", lambda *_: pytest.fail("inputs were read"))

    def refuse(document: dict[str, Any], *options: str) -> str:
        path = written(tmp_path, document)
        done: Done = started(capsys)("sweep", path, "--out", tmp_path / "out", *options)
        assert (done.code, done.out) == (3, "") and not (tmp_path / "out").exists()
        assert done.err.startswith("error: ") and f"where: {path}" in done.err and "fix:" in done.err
        return " ".join(done.err.split())

    return refuse


def changed(**changes: Any) -> dict[str, Any]:
    return FAIRNET | changes


def of_space(**keys: Any) -> dict[str, Any]:
    return changed(space={key.replace("__", "."): among for key, among in keys.items()})


def of_known(**settings: Any) -> dict[str, Any]:
    return changed(known={"mine": {key.replace("__", "."): value for key, value in settings.items()}})


def of_constraints(*constraints: dict[str, Any]) -> dict[str, Any]:
    return changed(constraints=list(constraints))


@pytest.mark.parametrize("path", [*SHIPPED, ROOT / "docs/contracts/sweep.yaml"], ids=lambda path: path.name)
def test_shipped_specs_load(path: Path):
    spec = load_sweep_spec(path)
    assert SweepSpec.model_validate(spec.model_dump(mode="json", by_alias=True)).sha256() == spec.sha256()
    assert set(spec.values_of({})) == set(spec.space)


def test_the_contract_lists_every_key_with_its_default():
    document = yaml.safe_load((ROOT / "docs/contracts/sweep.yaml").read_text(encoding="utf-8"))
    defaults = sweep_spec(FAIRNET).model_dump(mode="json", by_alias=True)
    ranges, choices = [], []
    for among in document["space"].values():
        (ranges if isinstance(among, dict) else choices).append(among)
    assert choices and set().union(*ranges) == set(RangeSpec.model_fields)
    assert set().union(*document["constraints"]) == set(ConstraintSpec.model_fields)
    assert {each["metric"] for each in document["objectives"]} <= set(METRICS[document["kind"]])
    for required in ("schema", "name", "kind", "run", "space", "objectives", "constraints", "known"):
        del document[required], defaults[required]
    assert document == defaults  # sections too


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (changed(space={}), ["`space` is empty", "at least one key of `run`"]),
        (of_space(adapter__rank=[8]), ["`space.adapter.rank` has the choices [8]", "two or more"]),
        (of_space(adapter__rank=[]), ["`space.adapter.rank` has the choices []"]),
        (of_space(adapter__rank=[8, 4, 8]), ["[8, 4, 8]", "different ones"]),
        (of_space(adapter__rank=[8, 8.0]), ["[8, 8.0]", "different ones"]),
        (of_space(adapter__rank=[4, 0]), ["`space.adapter.rank`: adapter.rank: ", "greater than or equal to 1", "0"]),
        (of_space(adapter__rank=8), ["space.adapter.rank: ", "dictionary"]),
        (of_space(adapter__margin={"low": 1, "high": 1}), ["space.adapter.margin: ", "empty range", "1 is not below"]),
        (of_space(adapter__margin={"low": 2, "high": 1}), ["`low` 2 is not below `high` 1"]),
        (of_space(adapter__margin={"low": 0, "high": 1, "log": True}), ["`low` 0 has no logarithm", "above 0"]),
        (of_space(adapter__margin={"low": 1, "high": math.inf}), ["must be finite"]),
        (of_space(adapter__margin={"low": 1}), ["space.adapter.margin.high", "required"]),
        (of_space(adapter__margin={"low": 1, "high": 2, "step": 1}), ["space.adapter.margin.step"]),
        (of_space(adapter__margin={"low": 0, "high": 1}), ["`space.adapter.margin`: adapter.margin: ", "than 0"]),
        (of_space(adapter__rank={"low": 1, "high": 2.5, "whole": True}), ["from 1 to 2.5: name whole ends"]),
        (of_space(adapter__rank={"low": 2, "high": 16}), ["`space.adapter.rank`", "integer", "write `whole: true`"]),
        (of_space(adapter__rnak=[4, 8]), ["`space.adapter.rnak`: adapter.rnak: ", "extra inputs are not permitted"]),
        (of_space(adapter__rank__deep=[4, 8]), ["`space.adapter.rank.deep`: adapter.rank: ", "integer"]),
        (of_space(base__epochs=[1, 2]), ["`space.base.epochs` cannot be searched", "detector.*, adapter.*"]),
        (of_space(threshold__max_open=[0.1, 1]), ["`space.threshold.max_open` cannot be searched"]),
        (of_known(adapter__rank=-1), ["`known.mine`: adapter.rank: ", "greater than or equal to 1", "-1"]),
        (of_known(adapter__depth=1), ["`known.mine`: adapter.depth: "]),
        (of_known(base__epochs=1), ["`known.mine.base.epochs` cannot be searched", "detector.*, adapter.*"]),
        (changed(run=FAIRNET["run"] | {"colour": 1}), ["`run`: colour: extra inputs"]),
        (changed(run={"schema": "equiray.run/1", "name": "x", "tasks": [{"name": "german"}]}), ["`run`: schema: "]),
        (changed(kind="magic"), ["kind: ", "'fairnet', 'unlearning' or 'combined'", "magic"]),
        (changed(colour="red"), ["colour: extra inputs"]),
        (changed(search={"trials": 0}), ["search.trials", "0"]),
        (changed(search={"algorithm": "annealing"}), ["search.algorithm", "annealing"]),
        (changed(search={"trials": 1}, known={"a": {}, "b": {}}), ["`search.trials` is 1", "2 settings", "raise"]),
        (changed(search={"algorithm": "grid", "trials": 11}), ["grid has 9 places", "name 10 at most"]),
        (changed(resources={"gpus": -1}), ["resources.gpus", "-1"]),
        (changed(resources={"cpus": 0}), ["resources.cpus", "greater than 0"]),
        (changed(objectives=[{"metric": "accuracy", "reference": 0.5}]), ["objectives", "at least 2"]),
        (changed(objectives=[{"metric": "accuracy", "reference": 0.5}] * 2), ["`objectives` names a metric twice"]),
        (
            changed(objectives=[{"metric": "accuracy", "reference": math.nan}, FAIRNET["objectives"][1]]),
            ["objectives.0.reference", "finite"],
        ),
        (of_constraints({"metric": "accuracy"}), ["the constraint on `accuracy` needs one of `min`, `max`"]),
        (of_constraints({"metric": "accuracy", "min": 0.1, "max": 0.9}), ["needs one of"]),
        (of_constraints({"metric": "accuracy", "max_loss": -0.1}), ["constraints.0.max_loss", "-0.1"]),
        (of_constraints({"metric": "accuracy", "min": math.nan}), ["constraints.0.min", "finite"]),
        (
            of_constraints({"metric": "ece", "min": 0.3}, {"metric": "ece", "max": 0.2}),
            ["`constraints` contradict each other", "ece cannot be ≥ 0.3 and ≤ 0.2"],
        ),
        (of_constraints(*[{"metric": "ece", "max": 0.2}] * 2), ["`constraints` has ece ≤ 0.2 twice"]),
    ],
)
def test_what_is_wrong_is_said_with_its_key(refused, document: dict[str, Any], said: list[str]):
    message = refused(document)
    assert all(part in message for part in said), message
    assert (
        "tuple[" not in message.lower() and "Value error" not in message
    )  # pydantic's own words for what is no choice


@pytest.mark.parametrize("kind", ["fairnet", "unlearning"])
@pytest.mark.parametrize("place", ["objectives", "constraints"])
def test_an_unknown_metric_is_answered_with_those_that_are_measured(refused, kind: str, place: str):
    document = dict(FAIRNET if kind == "fairnet" else UNLEARNING)
    unknown = {"metric": "charm", **({"reference": 1} if place == "objectives" else {"max": 1})}
    document[place] = [*document.get(place, []), unknown]
    message = refused(document)
    assert f"`{place}.{len(document[place]) - 1}.metric`: 'charm' is not measured in a sweep of kind {kind}" in message
    assert all(metric in message for metric in METRICS[kind])  # pyright: ignore[reportArgumentType]


def test_a_wrong_override_is_named(refused):
    assert "--set search.trials=many" in refused(FAIRNET, "--set", "search.trials=many")
    assert "'space' is no" not in refused(FAIRNET, "--set", "space.adapter.rank=[4]")


def test_no_file_and_no_mapping(tmp_path: Path):
    with pytest.raises(BadInput, match="cannot read it"):
        load_sweep_spec(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(BadInput, match="is a mapping"):
        load_sweep_spec(tmp_path / "list.yaml")


def test_the_algorithm_follows_the_budget_unless_named():
    assert [SearchSpec(trials=n).chosen for n in (1, 50, 51)] == ["tpe", "tpe", "nsga2"]
    assert SearchSpec(trials=51).why == "51 trials: more than 50"
    named = SearchSpec(trials=51, algorithm="random")
    assert (named.chosen, named.why) == ("random", "named in the spec")


def test_settings_change_nothing_but_themselves():
    spec = sweep_spec(FAIRNET, run=FAIRNET["run"] | {"adapter": {"rank": 5, "margin": 0.1}})
    made, untouched = spec.with_settings({"adapter.rank": 7, "detector.training.epochs": 2}), spec.with_settings({})
    assert not isinstance(made, RunSpec) and not isinstance(untouched, RunSpec)
    assert (made.adapter.rank, made.adapter.margin, made.detector.training.epochs) == (7, 0.1, 2)
    assert (untouched.adapter.rank, spec.run["adapter"]) == (5, {"rank": 5, "margin": 0.1})
    assert spec.values_of({"adapter.rank": 7}) == {"adapter.rank": 7, "adapter.lambda_contrastive": 0.5}


def test_what_the_space_contains():
    space = {"detector.layer": {"low": 1, "high": 3, "whole": True}, "detector.kind": ["group", "risk"]}
    spec = sweep_spec(FAIRNET, space=space)
    values = spec.values_of({"detector.kind": "risk"})
    assert values == {"detector.layer": None, "detector.kind": "risk"}  # a default that is worked out later
    assert not spec.contains(values)
    for layer, inside in ((1, True), (3, True), (0, False), (4, False)):
        assert spec.contains({"detector.layer": layer, "detector.kind": "risk"}) is inside
    assert not spec.contains({"detector.layer": 1, "detector.kind": "both"})


@pytest.mark.parametrize(
    ("constraint", "base", "excess"),
    [
        ({"metric": "accuracy", "min": 0.7}, None, {0.6: 0.1, 0.7: 0.0, 0.8: -0.1}),
        ({"metric": "ece", "max": 0.1}, None, {0.2: 0.1, 0.1: 0.0}),
        ({"metric": "accuracy", "max_loss": 0.05}, 0.8, {0.7: 0.05, 0.75: 0.0, 0.9: -0.15}),
        ({"metric": "ece", "max_loss": 0.05}, 0.1, {0.2: 0.05, 0.15: 0.0, 0.0: -0.15}),
    ],
)
def test_constraints_and_by_how_much_they_are_broken(constraint: dict, base: float | None, excess: dict):
    made = ConstraintSpec.model_validate(constraint)
    for value, by in excess.items():
        assert made.excess(value, base) == pytest.approx(by)
    assert made.excess(math.nan, base) == math.inf
    bounds = made.bounds(base)
    low, high = bounds["min"], bounds["max"]
    assert (low is None) != (high is None)
    for value, by in excess.items():
        assert ((value < (low or -1)) or (high is not None and value > high)) == (by > 1e-12)


def test_places_of_a_grid():
    assert levels_of(("a", "b")) == ["a", "b"]
    assert levels_of(RangeSpec(low=1, high=100, log=True)) == pytest.approx([1, 10, 100])
    assert levels_of(RangeSpec(low=0, high=1)) == [0, 0.5, 1]
    assert levels_of(RangeSpec(low=1, high=2, whole=True)) == [1, 2]
    assert levels_of(RangeSpec(low=1, high=9, whole=True)) == [1, 5, 9]
