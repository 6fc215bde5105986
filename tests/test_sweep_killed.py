"""The installed command, killed in the middle of a sweep and given again."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from equiray.reports import verify_evidence
from fairnet_runs import tiny_bert
from sweep_runs import (
    LEDGER,
    document_of,
    same_figures,
)
from test_cli import EQUIRAY


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("bert"))


class Command:
    """The installed command in a folder, its paths relative to that."""

    def __init__(self, folder: Path, out: str) -> None:
        self.folder, self.out = folder, folder / out
        paths = os.pathsep.join(path for path in sys.path if path)
        self.command = [str(EQUIRAY), "sweep", "sweep.yaml", "--out", out, "--debug"]
        self.environment = os.environ | {"PYTHONPATH": paths, "RAY_AUTH_MODE": "disabled"}

    def start(self) -> subprocess.Popen:
        return subprocess.Popen(
            self.command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def finish(self) -> None:
        process = self.start()
        said, _ = process.communicate(timeout=800)
        assert process.returncode == 0, said.decode()

    def kill_when(self, ready: Callable[[], bool]) -> None:
        process, until = self.start(), time.monotonic() + 800
        while not ready():
            assert process.poll() is None and time.monotonic() < until, process.communicate()[0].decode()
            time.sleep(0.005)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL

    def lines(self, kind: str) -> list[int]:
        path = self.out / LEDGER
        lines = path.read_text().split("\n")[:-1] if path.is_file() else []
        found = [json.loads(line) for line in lines]
        return (
            [line["started"]["number"] for line in found if "started" in line]
            if kind == "started"
            else [line["finished"]["trial"]["number"] for line in found if "finished" in line]
        )


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_sweep_whose_driver_is_killed_goes_on_from_what_is_finished(bert: Path, tmp_path: Path):
    shutil.copytree(bert, tmp_path / "bert")
    document = document_of(tmp_path, Path("./bert"), search={"algorithm": "random", "trials": 6})
    document |= {"storage": "kept"}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(document))
    killed, whole = Command(tmp_path, "killed"), Command(tmp_path, "whole")

    killed.kill_when(lambda: (tmp_path / "kept" / "trials" / "trial2").is_dir())
    finished = killed.lines("finished")
    assert finished == [0, 1] and killed.lines("started") == [0, 1, 2]
    outcomes = [tmp_path / "kept" / "trials" / f"trial{number}" / "outcome.json" for number in finished]
    before = [file.stat().st_mtime_ns for file in outcomes]
    killed.kill_when(lambda: len(killed.lines("started")) == 5)
    killed.finish()

    assert killed.lines("started") == killed.lines("finished") == list(range(6))
    assert [file.stat().st_mtime_ns for file in outcomes] == before
    shutil.move(tmp_path / "kept", tmp_path / "first")
    whole.finish()
    same_figures(killed.out, whole.out)
    assert verify_evidence(killed.out) == []
