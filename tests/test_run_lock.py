"""Two processes never write to one run directory, and one that was killed keeps nobody out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from equiray.errors import BadInput
from equiray.reports import verify_evidence, write_evidence
from equiray.runs.directory import RunDirectory
from equiray.runs.lock import LOCK_NAME, sole_writer
from equiray.specs.run import RunSpec

HOLD = """
import sys, time
from pathlib import Path
from equiray.runs.lock import sole_writer
with sole_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""
SPEC = RunSpec.model_validate({"schema": "equiray.run/1", "name": "locked", "tasks": [{"name": "german"}]})


def test_the_second_process_is_told_who_the_first_is_and_kill_9_lets_go(tmp_path: Path):
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert first.stdout is not None and first.stdout.readline() == "held\n"
        with (
            pytest.raises(BadInput, match=rf"process {first.pid} on .* is writing there") as caught,
            sole_writer(tmp_path),
        ):
            pass
        assert caught.value.place == str(tmp_path)
        assert "fix:" in str(caught.value)
    finally:
        first.kill()
        first.wait()
    with sole_writer(tmp_path):
        assert (tmp_path / LOCK_NAME).read_text().startswith(f"process {os.getpid()} on ")


def test_a_run_holds_its_directory_until_it_ends(tmp_path: Path):
    with RunDirectory.open(tmp_path / "out", SPEC):
        for path in (tmp_path / "out", tmp_path / "." / "out"):
            with pytest.raises(BadInput, match=f"process {os.getpid()} "), RunDirectory.open(path, SPEC):
                pass
    with RunDirectory.open(tmp_path / "out", SPEC) as again:
        assert again.path == tmp_path / "out"


def test_a_run_that_fails_lets_go(tmp_path: Path):
    with pytest.raises(OSError, match="torn cable"), RunDirectory.open(tmp_path / "out", SPEC):
        raise OSError("torn cable")
    with RunDirectory.open(tmp_path / "out", SPEC):
        pass


def test_killed_before_its_spec_was_written(tmp_path: Path):
    with sole_writer(tmp_path):
        pass
    with RunDirectory.open(tmp_path, SPEC):
        assert (tmp_path / "spec.yaml").is_file()


def test_the_lock_is_no_evidence(tmp_path: Path):
    with RunDirectory.open(tmp_path / "out", SPEC):
        write_evidence(tmp_path / "out", seeds={}, spec_sha256=SPEC.sha256())
    (tmp_path / "out" / LOCK_NAME).write_text("process 1 on elsewhere")
    assert verify_evidence(tmp_path / "out") == []
    (tmp_path / "out" / "spec.yaml").write_text("name: another")
    assert verify_evidence(tmp_path / "out") != []
