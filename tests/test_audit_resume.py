"""Audits that are stopped: by kill -9, by Ctrl-C, on threads and on Ray; the same command goes on, to the same bits."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from equiray.cli import main
from equiray.data.row_blocks import ROWS_PER_BLOCK
from equiray.metrics.counting import Counts
from equiray.runs import counting
from test_cli import EQUIRAY

OPTIONS = ("--label", "y", "--prediction", "yhat", "--attributes", "sex,race")
BLOCKS = 4

# The command, which keeps what is counted at once and takes its time over it, so that it can be killed in between.
SLOWLY = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # where tests run in the background, Ctrl-C is ignored
from equiray.runs import counting
counting._SAVE_EVERY_S = 0
save = counting.Counting._save
counting.Counting._save = lambda self, blocks: (save(self, blocks), time.sleep(0.5))
from equiray.cli import main
main(sys.argv[1:])
"""


def big_csv(path: Path, rows: int) -> Path:
    """Some 8 bytes a row; line breaks within quotes."""
    cells = [
        f"{sex},{race},{y},{yhat}\n" for sex in "fm" for race in ("a", '"b\nc"') for y in (0, 1) for yhat in (0, 1)
    ]
    drawn = np.random.default_rng(0).integers(0, len(cells), rows)
    with path.open("wb") as file:
        file.write(b"sex,race,y,yhat\n")
        file.writelines(np.array([cell.encode() for cell in cells], object)[drawn])
    return path


def start(command: list[str], *arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [*command, "audit", *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def kill_when(process: subprocess.Popen, ready: Callable[[], bool]) -> None:
    wait_until(process, ready)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def wait_until(process: subprocess.Popen, ready: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not ready():
        assert process.poll() is None and time.monotonic() < until, process.communicate()[1]
        time.sleep(0.01)


def finish(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The command in this process; what it says on the terminal."""
    with pytest.raises(SystemExit) as left:
        main(["audit", *map(str, arguments)])
    said = capsys.readouterr().err
    assert left.value.code == 0, said
    return said


def same_results(one: Path, other: Path) -> bool:
    counts = [Counts.load(out / counting.COUNTS_NAME).sha256 for out in (one, other)]
    results = [(out / "results.json").read_bytes() for out in (one, other)]
    return counts[0] == counts[1] and results[0] == results[1]


@pytest.fixture(scope="module")
def rows_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return big_csv(tmp_path_factory.mktemp("rows") / "rows.csv", BLOCKS * ROWS_PER_BLOCK - 7)


@pytest.fixture(scope="module")
def whole(rows_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The audit of `rows_csv` that nobody stopped."""
    out = tmp_path_factory.mktemp("whole") / "out"
    subprocess.run([EQUIRAY, "audit", rows_csv, *OPTIONS, "--out", out], check=True, capture_output=True, timeout=240)
    return out


def test_an_audit_of_a_big_csv_that_was_killed_counts_only_what_is_left(
    tmp_path: Path, rows_csv: Path, whole: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "out"
    partial = out / counting.PARTIAL_NAME
    kill_when(start([sys.executable, "-c", SLOWLY], rows_csv, *OPTIONS, "--out", out), partial.is_file)
    kept = list(Counts.load(partial).blocks)
    assert 1 <= len(kept) < BLOCKS

    counted, real = [], counting.count_block
    monkeypatch.setattr(counting, "count_block", lambda block, *a, **k: counted.append(block) or real(block, *a, **k))
    said = finish(capsys, rows_csv, *OPTIONS, "--out", out)
    assert f"{sum(block.stop - block.start for block in kept):,} rows were counted before" in said
    assert sorted(counted + kept) == list(Counts.load(whole / counting.COUNTS_NAME).blocks)
    assert same_results(out, whole) and not partial.exists()


def test_an_audit_on_ray_whose_driver_was_killed_counts_only_what_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ray_cluster: None
):
    folder, whole, out = tmp_path / "rows", tmp_path / "whole", tmp_path / "out"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(8):
        columns = {"sex": rng.choice(["f", "m"], 2000), "race": rng.choice(["a", "b"], 2000)}
        columns |= {name: rng.integers(0, 2, 2000) for name in ("y", "yhat")}
        pq.write_table(pa.table(columns), folder / f"{number}.parquet")
    finish(capsys, folder, *OPTIONS, "--out", whole)
    partial, options = out / counting.PARTIAL_NAME, (*OPTIONS, "--out", out, "--address", "local")
    kill_when(start([sys.executable, "-c", SLOWLY], folder, *options), partial.is_file)
    kept = Counts.load(partial).rows
    assert 0 < kept < 16_000
    said = finish(capsys, folder, *options)  # on the cluster that this process is in
    assert f"{kept:,} rows were counted before" in said
    assert same_results(out, whole) and not partial.exists()


def test_130_ctrl_c_keeps_what_is_counted_and_the_same_command_goes_on(tmp_path: Path, rows_csv: Path, whole: Path):
    out = tmp_path / "out"
    code, said = interrupted(rows_csv, out)
    assert code == 130 and "the same command resumes" in said and "Traceback" not in said
    kept = Counts.load(out / counting.PARTIAL_NAME).rows
    assert 0 < kept < BLOCKS * ROWS_PER_BLOCK - 7
    assert not (out / "results.json").exists()
    again = subprocess.run(
        [EQUIRAY, "audit", rows_csv, *OPTIONS, "--out", out], capture_output=True, text=True, timeout=240
    )
    assert again.returncode == 0 and f"{kept:,} rows were counted before" in again.stderr, again.stderr
    assert same_results(out, whole)


def interrupted(rows: Path, out: Path) -> tuple[int, str]:
    """Exit code and words of a command that is sent a real SIGINT once it has kept something."""
    process = start([sys.executable, "-c", SLOWLY], rows, *OPTIONS, "--out", out)
    wait_until(process, (out / counting.PARTIAL_NAME).is_file)
    os.kill(process.pid, signal.SIGINT)
    said = process.communicate(timeout=240)[1]
    return process.returncode, said
