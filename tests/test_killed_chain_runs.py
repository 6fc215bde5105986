"""Runs of reward models and of chains that are killed again and again, each time in the middle of other work.

The same command goes on, ends at the figures of a run that was let alone, and does nothing twice but what was in hand.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from chain_runs import chains_document, finished_reward_run, put_chains, sampler_of, start, tiny_lm, write_spec
from equiray.reports import verify_evidence
from equiray.runs.chains.planning import plan_cases
from equiray.runs.chains.reward_run import RewardRun
from equiray.runs.sampling.engines import Engines
from equiray.specs.chains import load_chains_spec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_lm(tmp_path_factory.mktemp("lm"))


@pytest.fixture(scope="module")
def reward(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; beside it the cache of its chains, of which the last shard is what the model wrote itself."""
    return finished_reward_run(tmp_path_factory.mktemp("reward"), model)


class Run:
    """One command, with the log of what it did over all its processes."""

    def __init__(self, folder: Path, spec: Path, cache: Path) -> None:
        self.spec, self.out, self.log, self.cache = spec, folder / "out", folder / "log", cache

    def start(self, place: str = "-", fatal: int = 0) -> int:
        command = [TESTS / "killed.py", self.log, place, fatal, "run", self.spec, "--out", self.out, "--debug"]
        paths = os.pathsep.join(path for path in sys.path if path)
        done = subprocess.run(
            [sys.executable, *map(str, command)],
            env=os.environ | {"EQUIRAY_CACHE": str(self.cache), "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        assert (done.returncode == 0) == (self.out / "results.json").is_file()
        return done.returncode

    def killed(self, place: str, fatal: int) -> None:
        assert self.start(place, fatal) == -signal.SIGKILL

    def did(self, place: str) -> list[Any]:
        lines = map(json.loads, self.log.read_text(encoding="utf-8").splitlines())
        return [about for name, about in lines if name == place]

    def written(self) -> list[tuple[str, int]]:
        """What every line of the cache holds."""
        shards = self.cache.glob("completions/*/*.jsonl")
        lines = [json.loads(line) for shard in shards for line in shard.read_text(encoding="utf-8").splitlines()]
        return [(line["request_id"], line["index"]) for line in lines]


def without_the_models_own(cache: Path, copy: Path) -> Path:
    """The cache as it was before the run of `finished_reward_run`."""
    shutil.copytree(cache, copy)
    (folder,) = (copy / "completions").iterdir()
    sorted(folder.glob("*.jsonl"))[-1].unlink()
    return copy


def same_figures(one: Path, other: Path, document: str) -> None:
    assert (one / "results.json").read_bytes() == (other / "results.json").read_bytes()
    first, second = (
        json.loads((out / document).read_text(encoding="utf-8"), object_pairs_hook=untimed) for out in (one, other)
    )
    assert first == second
    assert verify_evidence(one) == []


def untimed(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping without what differs from run to run."""
    return {key: value for key, value in pairs if key not in ("seconds", "durations_s", "command")}


def test_a_reward_run_that_is_killed_at_every_turn(reward: Path, tmp_path: Path):
    cache = without_the_models_own(reward.parent / "cache", tmp_path / "cache")
    run = Run(tmp_path, reward.parent / "spec.yaml", cache)
    before = len(run.written())
    run.killed("keep a completion", 4)
    assert len(run.written()) == before + 3
    run.killed("label a block", 2)  # the first one is kept
    run.killed("make an update", 5)  # after the checkpoint of update 3
    run.killed("score the held-out steps", 2)  # one view of two
    assert run.start() == 0

    same_figures(run.out, reward, "reward.json")
    for file in (*reward.glob("labels/*.parquet"), *reward.glob("*/model/reward.safetensors")):
        assert (run.out / file.relative_to(reward)).read_bytes() == file.read_bytes()
    assert len(run.written()) == len(set(run.written())) == before + 6 == len(run.did("keep a completion")) + before
    labelled = Counter(case for block in run.did("label a block") for case in block)
    assert set(labelled.values()) == {1} and len(labelled) == cases_of(reward)
    assert not list(run.out.glob("labels/*/"))  # parts are gone once all are there
    # update 3 was made, but its checkpoint is before it
    assert [step for name, step in run.did("make an update") if name == "process"] == [0, 1, 2, 3, 3, 4, 5]
    assert [step for name, step in run.did("make an update") if name == "outcome"] == [0, 1, 2, 3, 4, 5]


def cases_of(reward: Path) -> int:
    document = json.loads((reward / "reward.json").read_text(encoding="utf-8"))
    return sum(side["cases"] for side in document["sides"].values())


def test_a_run_of_chains_that_is_killed_at_every_turn(model: Path, reward: Path, tmp_path: Path):
    path = write_spec(tmp_path / "spec.yaml", chains_document(model, reward))
    let_alone, cache = tmp_path / "whole", tmp_path / "cache"
    shutil.copytree(reward.parent / "cache", cache)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIRAY_CACHE", str(cache))
        put_most_chains(path, model, reward)
        shutil.copytree(cache, tmp_path / "other")
        assert start("run", path, "--out", let_alone, "--debug") == 0
    (tmp_path / "killed").mkdir()
    run = Run(tmp_path / "killed", path, tmp_path / "other")
    before = Counter(run.written())
    run.killed("keep a completion", 3)
    run.killed("score a side", 2)
    run.killed("score a side", 3)  # two more of four: one was there
    assert run.start() == 0

    same_figures(run.out, let_alone, "chains.json")
    for file in let_alone.glob("scored/*.parquet"):
        assert (run.out / file.relative_to(let_alone)).read_bytes() == file.read_bytes()
    new = Counter(run.written()) - before
    assert set(new.values()) == {1} and not new.keys() & before.keys()
    assert len(new) == len(run.did("keep a completion"))
    assert [side for side, _ in run.did("score a side")] == ["validation", "test", "validation", "test"]


def put_most_chains(path: Path, model: Path, reward: Path) -> None:
    """Invented chains of all cases but the last two of each set."""
    spec = load_chains_spec(path)
    sampler = sampler_of(spec)
    for planned in plan_cases(spec, RewardRun.read(reward), Engines(spec=spec.engine)):
        for side, variant in (("validation", "reason"), ("test", "reason"), ("test", "fair")):
            cases = planned.parts[side]
            put_chains(model, sampler.questions(cases, variant), cases, spec.sampling, leave=2)
