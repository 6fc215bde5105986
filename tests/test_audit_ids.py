"""`equiray audit --id`: a row that stands in two files is refused, and what is said where nobody names the rows."""

import json
from pathlib import Path

import numpy as np
import pytest

from equiray.data import row_ids
from equiray.metrics.counting import Counts
from equiray.runs.counting import COUNTS_NAME
from test_audit import OPTIONS, audit, people, written

__all__ = ["audit"]  # a fixture


def two_files(folder: Path, ending: str, ids: list[str], split: list[str] | None = None) -> list[Path]:
    """200 people in two files, which the ids name in their order."""
    frame = people(200).assign(key=ids)
    frame = frame if split is None else frame.assign(part=split)
    return [
        written(frame.iloc[half : half + 100], folder / f"{name}.{ending}") for name, half in (("a", 0), ("b", 100))
    ]


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_3_a_row_that_stands_in_two_files(tmp_path: Path, audit, ending: str):
    files = two_files(tmp_path, ending, [f"p{row % 150}" for row in range(200)])
    done = audit(*files, *OPTIONS, "--id", "key", "--out", tmp_path / "out")
    assert done.code == 3 and not (tmp_path / "out").exists()
    assert "id 'p0' stands in more than one row; 50 rows repeat an id" in done.err
    assert f"column 'key' (--id) of {files[0]} and {files[1]}" in done.err and "leave the repeated rows out" in done.err


def test_a_number_and_the_text_of_it_are_one_id(tmp_path: Path, audit):
    frame = people(200)
    written(frame[:100].assign(key=range(100)), tmp_path / "a.parquet")
    written(frame[100:].assign(key=[str(row) for row in range(99, 199)]), tmp_path / "b.csv")
    done = audit(tmp_path / "a.parquet", tmp_path / "b.csv", *OPTIONS, "--id", "key", "--out", tmp_path / "out")
    assert done.code == 3 and "id '99' stands in more than one row; 1 rows" in done.err


def test_ids_change_no_figure_and_only_audited_rows_need_them_to_differ(tmp_path: Path, audit):
    split = ["test" if row % 2 else "train" for row in range(200)]
    files = two_files(tmp_path, "parquet", [f"p{row if row % 2 else 0}" for row in range(200)], split)
    outs = [tmp_path / "named", tmp_path / "unnamed"]
    results = [
        audit(*files, *OPTIONS, "--split", "part", *more, "--out", out).result(out)
        for more, out in ((("--id", "key"), outs[0]), ((), outs[1]))
    ]
    assert results[0]["estimates"] == results[1]["estimates"]
    pages = [" ".join((out / "report.html").read_text().split()) for out in outs]
    assert ["rows count once for each file" in page for page in pages] == [False, True]


def test_3_ids_that_are_missing(tmp_path: Path, audit):
    path = written(people(4).assign(key=["a", None, "b", None]), tmp_path / "rows.csv")
    done = audit(path, *OPTIONS, "--id", "key", "--out", tmp_path / "out")
    assert done.code == 3 and "2 rows have no id" in done.err and str(path) in done.err


def test_3_ids_that_are_none(tmp_path: Path, audit):
    path = written(people(4).assign(key=[0.5, 1.5, 2.5, 3.5]), tmp_path / "rows.parquet")
    done = audit(path, *OPTIONS, "--id", "key", "--out", tmp_path / "out")
    assert done.code == 3 and "ids are of type double, and neither" in done.err and str(path) in done.err


def test_ids_whose_hashes_agree_are_told_apart(tmp_path: Path, audit, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(row_ids, "_hashes", lambda ids: np.array([len(each) for each in ids.to_pylist()], np.int64))
    files = two_files(tmp_path, "csv", [f"p{row}" for row in range(200)])
    assert audit(*files, *OPTIONS, "--id", "key", "--out", tmp_path / "out").code == 0


def test_an_audit_with_ids_is_taken_up_and_compared_by_them(tmp_path: Path, audit, compare_command):
    files = two_files(tmp_path, "csv", [f"p{row}" for row in range(200)])
    for out in ("one", "one", "other"):
        assert audit(*files, *OPTIONS, "--id", "key", "--out", tmp_path / out).code == 0
    shas = {Counts.load(tmp_path / out / COUNTS_NAME).sha256 for out in ("one", "other")}
    assert len(shas) == 1
    assert compare_command(tmp_path / "one", tmp_path / "other", "--out", tmp_path / "compared") == 0
    assert json.loads((tmp_path / "compared/results.json").read_text())["n_rows"] == 200


@pytest.fixture
def compare_command(capsys: pytest.CaptureFixture[str]):
    from equiray.cli import main

    def run(*arguments: object) -> int:
        with pytest.raises(SystemExit) as left:
            main(["compare", *map(str, arguments)])
        assert isinstance(left.value.code, int)
        return left.value.code

    return run
