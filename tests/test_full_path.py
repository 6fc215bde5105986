"""From questions to decisions at the size that CI asks for: the embedded model, BBQ and COMPAS, both engines.

Decisions about 200 questions by 4 chains through vLLM, about 40 by 2 through transformers, and about defendants through
both. What is not asked for at that size is smaller, so that a test takes minutes: the reward model learns from chains
of about 20 questions, in 4 updates, and chains are cut at 48 tokens. So this says that every part reads what the one
before it wrote, and nothing about how good the decisions are.
"""

import importlib.util
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from chain_runs import write_spec
from equiray.models.gguf import cache_directory
from equiray.reports import verify_evidence
from test_chains_run import decided, read, task_of, weighted

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

HELD_OUT = ["Disability_status", "Nationality", "Race_ethnicity", "Religion", "SES"]
NO_VLLM = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed: make vllm")


class Size(NamedTuple):
    """Of a run: `people` are defendants of each of two splits."""

    backend: str
    questions: int
    chains: int
    people: int
    baselines: tuple[str, ...]


FEW = ("single", "majority")
SIZES = [
    pytest.param(Size("vllm", 200, 4, 16, FEW), marks=NO_VLLM, id="vLLM"),
    pytest.param(Size("transformers", 40, 2, 8, (*FEW, "fairness_prompt", "outcome")), id="transformers"),
]


def reward_document(size: Size) -> dict[str, Any]:
    return {
        "schema": "equiray.reward/1",
        "name": "CI size",
        "cases": {"items": 44},
        "held_out": HELD_OUT,
        "engine": {"backend": size.backend, "cpus_per_actor": 2},
        "sampling": {"chains": size.chains, "max_tokens": 48},
        "judge": {"kind": "gold", "delta": 0.1},
        "reward": {"last_layers": 1, "learning_rate": 1e-4, "steps": 4, "batch_steps": 8, "validate_every": 2},
        "outcome": "outcome" in size.baselines,
        "replicates": 200,
    }


def chains_document(size: Size, reward: dict[str, Any], run: Path) -> dict[str, Any]:
    return {
        "schema": "equiray.chains/1",
        "name": "CI size",
        "cases": [
            {"items": size.questions, "categories": HELD_OUT},
            {"dataset": "compas", "items": size.people, "attributes": ["race", "sex"]},
        ],
        "engine": reward["engine"],
        "sampling": reward["sampling"],
        "reward_model": str(run),
        "baselines": list(size.baselines),
        "replicates": 200,
    }


@pytest.mark.parametrize("size", SIZES)
def test_from_questions_to_decisions(size: Size, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    models, cache = cache_directory() / "models", tmp_path / "cache"
    cache.mkdir()
    if models.is_dir():  # the converted model may be kept; what engines wrote is written anew
        (cache / "models").symlink_to(models)
    monkeypatch.setenv("EQUIRAY_CACHE", str(cache))
    document = reward_document(size)
    reward, out = tmp_path / "reward", tmp_path / "decisions"
    run(write_spec(tmp_path / "reward.yaml", document), reward)
    run(write_spec(tmp_path / "chains.yaml", chains_document(size, document, reward)), out)
    assert verify_evidence(reward) == verify_evidence(out) == []
    assert_chains_and_decisions(size, reward, out, cache)


def run(spec: Path, out: Path) -> None:
    """In a process of its own, as a user would: what Ray ends takes this one not with it, and is said."""
    command = [sys.executable, "-m", "equiray", "run", str(spec), "--out", str(out), "--debug"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{shlex.join(command)}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}")


def assert_chains_and_decisions(size: Size, reward: Path, out: Path, cache: Path) -> None:
    of_reward, of_decisions = chains_of(reward), chains_of(out)
    bbq, compas = (of_decisions[of_decisions.set.str.startswith(name)] for name in ("bbq", "compas"))
    assert bbq.case_id.nunique() == size.questions and compas.case_id.nunique() == 2 * size.people
    for table in (of_reward, bbq, compas):
        places = table.groupby(["set", "case_id"]).chain.apply(lambda found: tuple(sorted(found)))
        assert set(places) == {tuple(range(size.chains))}
        assert table.tokens.between(1, 48).mean() > 0.99 and table.tokens.max() <= 48
        assert (table.outcome == "answered").mean() > 0.3
    pairs = len(pd.concat([of_reward, of_decisions])[["case_id", "fair", "chain"]].drop_duplicates())
    assert_each_is_there_once(cache, size.backend, pairs)

    assert_a_model_was_made(reward, of_reward)
    for task in ("bbq", "compas"):
        assert_decided_by_the_votes(out, task)


def chains_of(folder: Path) -> pd.DataFrame:
    """All chains of a run; `set` is the file's name, `fair` chains were asked to be."""
    files = sorted((folder / "chains").glob("*.parquet"))
    found = [pq.read_table(file).to_pandas().assign(set=file.stem, fair="fair" in file.stem) for file in files]
    return pd.concat(found, ignore_index=True)


def assert_each_is_there_once(cache: Path, backend: str, chains: int) -> None:
    """Of what two runs asked for, each chain was written once, by that engine."""
    (folder,) = (cache / "completions").iterdir()
    assert json.loads((folder / "identity.json").read_text(encoding="utf-8"))["backend"] == backend
    lines = [json.loads(line) for shard in folder.glob("*.jsonl") for line in shard.read_text("utf-8").splitlines()]
    assert len(lines) == len({(line["request_id"], line["index"]) for line in lines}) == chains


def assert_a_model_was_made(run: Path, chains: pd.DataFrame) -> None:
    told = read(run, "reward.json")
    for name, side in told["sides"].items():
        labels = pq.read_table(run / f"labels/gold.{name}.parquet").to_pandas()
        assert len(labels) == chains[chains.set == name].steps.map(len).sum() == side["labels"]["gold"]["steps"]
        assert (labels.unbiased == 1).any() and (labels.unbiased == 0).any()
    curve = told["models"]["process"]["curve"]
    assert [point["step"] for point in curve] == [0, 2, 4] and curve[0]["log_loss"] != curve[-1]["log_loss"]
    areas = [one for one in told["estimates"] if one["metric"] == "step_auc" and one["stage"] == "masked"]
    assert {one["model"] for one in areas} >= {"reward_model", "bag_of_words", "last_step"}
    assert all(one["n"] > 0 and 0 <= one["value"] <= 1 for one in areas)


def assert_decided_by_the_votes(run: Path, task: str) -> None:
    """Predictions of the run against votes counted anew from the scored chains."""
    told = task_of(run, task)
    chosen = told["choice"]["chosen"]
    votes = pq.read_table(run / f"scored/{task}.test.parquet").to_pandas()
    stages = {"majority": np.inf} | ({} if chosen is None else {"reward": max(float(chosen["tau"]), 1e-9)})
    for stage, tau in stages.items():
        own = weighted(votes[votes.chain < told["chains"]], tau)
        if task == "compas":  # option 0 is the positive class
            own = {case: int(option == 0) for case, option in own.items()}
        assert decided(run, task, stage).set_index("row_id").prediction.dropna().astype(int).to_dict() == own
