"""A FairNet run as a bundle: reloaded elsewhere it decides the same, bit by bit; whatever was tampered with is found."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest

from equiray.bundles.bundle import load_bundle
from equiray.bundles.checking import read_manifest, verify_bundle
from equiray.cli import main
from equiray.errors import BadInput
from equiray.mitigation.gating.store import load_outcomes
from fairnet_runs import tiny_bert, write_fairnet_spec

ROOT = Path(__file__).parents[1]


class Done(NamedTuple):
    code: Any
    out: str
    err: str


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    def start(*arguments: object) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        return Done(left.value.code, *capsys.readouterr())

    return start


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two gates and two seeds."""
    folder = tmp_path_factory.mktemp("run")
    model = tiny_bert(folder / "bert")
    spec = write_fairnet_spec(folder, model, seeds=[0, 1], baselines=["thresholds"])
    with pytest.raises(SystemExit) as left:
        main(["run", str(spec), "--out", str(folder / "out"), "--debug"])
    assert left.value.code == 0
    return folder / "out"


@pytest.fixture(scope="module")
def made(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundles") / "tiny"
    with pytest.raises(SystemExit) as left:
        main(["bundle", str(run), "--pick", "seed1", "--out", str(out)])
    assert left.value.code == 0
    return out


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def test_it(run, made, command):
    print(json.dumps(json.loads((made / "manifest.json").read_text()), indent=1)[:6000])
    done = command("verify", made, "--replay", "--debug")
    print(done)
    assert done.code == 0
