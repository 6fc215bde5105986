"""Specs of reward models and of decisions by chains: shipped ones load, and what does not go together is said."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from equiray.errors import BadInput
from equiray.job_plan import plan_job
from equiray.runs.stored_spec import load_spec, seeds_of
from equiray.specs.any_run import load_any_spec
from equiray.specs.chains import ChainsSpec
from equiray.specs.reward_run import RewardSpec

ROOT = Path(__file__).parent.parent
REWARD = {"schema": "equiray.reward/1", "name": "x", "held_out": ["Age"]}
CHAINS = {"schema": "equiray.chains/1", "name": "x", "reward_model": "runs/reward"}


def refused(document: dict[str, Any], folder: Path) -> str:
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(BadInput) as caught:
        load_any_spec(path)
    return str(caught.value)


@pytest.mark.parametrize("name", ["jobs/reward_model.yaml", "docs/contracts/reward.yaml"])
def test_shipped_reward_specs_load(name: str):
    spec = load_any_spec(ROOT / name)
    assert isinstance(spec, RewardSpec) and spec == load_spec(ROOT / name)
    assert seeds_of(spec) == {"run": 0, "chains": 0}
    assert plan_job(spec, ROOT / name).base_id.endswith(spec.sha256()[:16])


@pytest.mark.parametrize("name", ["jobs/chains.yaml", "docs/contracts/chains.yaml"])
def test_shipped_chains_specs_load(name: str):
    spec = load_any_spec(ROOT / name, ("reward_model=/runs/reward",))
    assert isinstance(spec, ChainsSpec) and [cases.dataset for cases in spec.cases] == ["bbq", "compas"]
    assert plan_job(spec, ROOT / name)
    with pytest.raises(BadInput, match="reward_model: runs/reward is a path of this machine"):
        plan_job(load_any_spec(ROOT / name), ROOT / name)


def test_the_contracts_list_every_key():
    reward = yaml.safe_load((ROOT / "docs/contracts/reward.yaml").read_text(encoding="utf-8"))
    full = RewardSpec.model_validate(reward).model_dump(mode="json", by_alias=True)
    assert reward.keys() == full.keys()
    for section in ("cases", "engine", "sampling", "judge", "reward"):
        assert reward[section].keys() == full[section].keys()
    chains = yaml.safe_load((ROOT / "docs/contracts/chains.yaml").read_text(encoding="utf-8"))
    full = ChainsSpec.model_validate(chains).model_dump(mode="json", by_alias=True)
    assert chains.keys() == full.keys() and chains["decision"].keys() == full["decision"].keys()


def test_what_does_not_go_together_is_said(tmp_path: Path):
    served = {"backend": "endpoint", "source": "http://127.0.0.1:9/v1", "name": "m"}
    assert "needs `judge.engine`" in refused(REWARD | {"judge": {"kind": "endpoint"}}, tmp_path)
    assert "no likelihoods" in refused(REWARD | {"engine": served}, tmp_path)
    assert "twice" in refused(REWARD | {"judge": {"compared": ["gold"]}}, tmp_path)
    assert "do not go together" in refused(REWARD | {"engine": {"backend": "endpoint"}}, tmp_path)
    every = {"cases": {"categories": ["Age"]}}
    assert "none of `cases.categories`" in refused(REWARD | every, tmp_path)
    assert "temperatures" in refused(CHAINS | {"decision": {"temperatures": [-1.0]}}, tmp_path)
    assert "temperatures" in refused(CHAINS | {"decision": {"temperatures": [float("nan")]}}, tmp_path)
    assert "reward_model" in refused({name: CHAINS[name] for name in ("schema", "name")}, tmp_path)
