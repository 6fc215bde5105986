"""What `equiray audit` is given and cannot use: the value, its place and the fix are said, and nothing is counted."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from equiray.cli import main
from test_audit import people, written

PLAIN = ("--label", "y", "--prediction", "yhat", "--attributes", "sex,race")
SCORED, WEIGHTED = (*PLAIN, "--score", "p"), (*PLAIN, "--weight", "w")
Audit = Callable[..., tuple[int, str]]


@pytest.fixture
def audit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Audit:
    """The command in this process, into ``out``: its exit code and what it says on stderr."""

    def run(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            main(["audit", *map(str, arguments), "--out", str(tmp_path / "out")])
        assert isinstance(left.value.code, int)
        said = capsys.readouterr().err
        assert "Traceback" not in said
        return left.value.code, said

    return run


def spoilt(column: str, value: object) -> pd.DataFrame:
    """Rows of which the eighth has that value."""
    frame = people(40).astype({column: object})
    frame.loc[7, column] = value
    return frame


def changed(column: str, names: dict) -> pd.DataFrame:
    return people(40).assign(**{column: lambda f: f[column].map(names)})


def one_type_a_column(frame: pd.DataFrame) -> pd.DataFrame:
    """Mixed columns as numbers where all that is there is one, else as texts."""
    found = {}
    for name, values in frame.items():
        numbers = pd.to_numeric(values, errors="coerce")
        texts = values.astype(str).where(values.notna(), None)
        found[name] = numbers if numbers.notna().sum() == values.notna().sum() and "inf" not in list(values) else texts
    return pd.DataFrame(found)


class Case(NamedTuple):
    """A frame, the options, and what the error says: the problem, the place, the fix."""

    frame: pd.DataFrame
    options: tuple[str, ...]
    problem: str
    place: str
    fix: str


VALUES = {
    "no such label": Case(people(40), ("--label", "yy", *PLAIN[2:]), "no column 'yy'", "", "did you mean 'y'"),
    "no such attribute": Case(people(40), (*PLAIN[:5], "sex,rase"), "no column 'rase'", "", "did you mean 'race'"),
    "no such score": Case(people(40), (*PLAIN, "--score", "prob"), "no column 'prob'", "", "the file has: sex, race"),
    "label undeclared": Case(
        spoilt("y", "maybe"), (*PLAIN, "--classes", "0,1"), "'maybe' is no declared class", "'y', row 8", "0, 1"
    ),
    "prediction undeclared": Case(
        spoilt("yhat", 2), (*PLAIN, "--classes", "0,1"), "'2' is no declared class", "'yhat', row 8", "0, 1"
    ),
    "measurements": Case(
        people(1000).assign(yhat=lambda f: (f.index % 300) / 299),
        PLAIN,
        "predictions have 300 different values",
        "'yhat'",
        "--real-valued",
    ),
    "scores for decisions": Case(
        people(40).assign(yhat=[0, 1, 0.25, 0.5, 0.75] * 8), PLAIN, "numbers, and not classes", "'yhat'", "--score"
    ),
    "label missing": Case(spoilt("y", None), PLAIN, "label is missing", "'y', row 8", "leave these rows out"),
    "words and numbers": Case(
        changed("yhat", {0: "no", 1: "yes"}), PLAIN, "text, while column 'y' holds numbers", "'yhat', row", "alike"
    ),
    "score above 1": Case(spoilt("p", 1.5), SCORED, "score 1.5 is outside [0, 1]", "'p', row 8", "probabilities"),
    "score below 0": Case(spoilt("p", -0.25), SCORED, "score -0.25 is outside [0, 1]", "'p', row 8", "probabilities"),
    "score NaN": Case(spoilt("p", np.nan), SCORED, "a score is missing (null or NaN)", "'p', row 8", "fill it in"),
    "score no number": Case(spoilt("p", "high"), SCORED, "'high' is not a number", "'p', row 8", "plain numbers"),
    "weight negative": Case(spoilt("w", -1), WEIGHTED, "weight -1 is negative", "'w', row 8", "0 or more"),
    "weight NaN": Case(spoilt("w", np.nan), WEIGHTED, "a weight is missing (null or NaN)", "'w', row 8", "fill it in"),
    "weight infinite": Case(spoilt("w", "inf"), WEIGHTED, "weight inf is infinite", "'w', row 8", "1e+50"),
    "attribute is the label": Case(people(40), (*PLAIN[:5], "sex,y"), "'y' is named twice", "options", "once"),
    "attribute twice": Case(people(40), (*PLAIN[:5], "sex,sex"), "'sex' stands twice", "options", "once"),
    "too many groups": Case(
        pd.concat([people(10_001)]).assign(race=lambda f: f.index.astype(str)),
        PLAIN,
        "'race' has 10,001 different values",
        "",
        "group its values first",
    ),
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_3_a_value_that_cannot_be_counted(tmp_path: Path, audit: Audit, name: str, ending: str):
    case = VALUES[name]
    path = tmp_path / f"rows.{ending}"
    if ending == "parquet":
        frame = one_type_a_column(case.frame)
        pq.write_table(pa.table({name: pa.array(values, from_pandas=True) for name, values in frame.items()}), path)
    else:
        case.frame.to_csv(path, index=False)
    code, said = audit(path, *case.options)
    assert code == 3
    problem, place, fix = said.strip().rsplit("\n", 2)
    assert case.problem in problem and case.fix in fix
    assert place.startswith("  where: ") and case.place in place
    assert str(path) in place or "options" in case.place
    assert not (tmp_path / "out").exists()


def test_fractions_that_are_classes_are_taken(tmp_path: Path, audit: Audit):
    marks = people(200).assign(y=lambda f: f.index % 6 / 2, yhat=lambda f: f.index // 7 % 6 / 2)
    assert audit(written(marks, tmp_path / "marks.csv"), *PLAIN)[0] == 0


def test_3_weights_that_are_all_zero(tmp_path: Path, audit: Audit):
    code, said = audit(written(people(40).assign(w=0), tmp_path / "rows.csv"), *WEIGHTED)
    assert code == 3 and "all weights are 0" in said and "the weight column" in said and "above 0" in said


BYTES = {
    "empty.csv": (b"", "the CSV file is empty", "header line"),
    "empty.jsonl": (b"", "no rows to count", "at least one row"),
    "empty.parquet": (b"", "cannot read the file", "cut short"),
    "header.csv": (b"sex,race,y,yhat\n", "no rows to count", "at least one row"),
    "latin.csv": ("sex,race,y,yhat\nf,cafè,1,1\n".encode("latin-1"), "not UTF-8", "iconv -f latin1"),
    "utf16.csv": ("sex,race,y,yhat\nf,a,1,1\n".encode("utf-16"), "not UTF-8", "iconv -f utf-16"),
    "semicolons.csv": (b"sex;race;y;yhat\nf;a;1;1\n", "separated by ';'", "commas"),
    "ragged.csv": (b"sex,race,y,yhat\nf,a,1,1\nm,b,0\n", "3 cells where the header has 4", "double quotes"),
    "quote.csv": (b'sex,race,y,yhat\nf,a,1,1\nm,b,0,"0\nf,a,1,1\n', "never closed", "close the quote"),
    "twice.csv": (b"sex,race,y,y,yhat\nf,a,1,1,1\n", "two columns are named 'y'", "its own name"),
    "cut.jsonl": (
        b'{"sex": "f", "race": "a", "y": 1, "yhat": 1}\n{"sex": "f',
        "not readable as JSON",
        "one JSON object",
    ),
    "list.jsonl": (b'[{"sex": "f", "race": "a", "y": 1, "yhat": 1}]', "not readable as JSON", "one JSON object"),
    "mixed.jsonl": (
        b'{"sex": "f", "race": "a", "y": 1, "yhat": 1}\n{"sex": "f", "race": "a", "y": "1", "yhat": 1}\n',
        "from number to string",
        "all as text or all as numbers",
    ),
    "nothing.jsonl": (b'{"sex": "f", "y": 1, "yhat": 1}\n', "no line has the key 'race'", "the lines have: sex, y"),
    "words.txt": (b"sex,race,y,yhat\nf,a,1,1\n", "cannot tell the format", ".csv"),
}


@pytest.mark.parametrize("name", BYTES)
def test_3_a_file_that_cannot_be_read(tmp_path: Path, audit: Audit, name: str):
    content, problem, fix = BYTES[name]
    (tmp_path / name).write_bytes(content)
    code, said = audit(tmp_path / name, *PLAIN)
    assert code == 3 and problem in said and str(tmp_path / name) in said
    assert fix in said[said.index("fix:") :]


def test_3_a_parquet_file_that_was_cut_short_or_altered(tmp_path: Path, audit: Audit):
    whole = written(people(400), tmp_path / "whole.parquet").read_bytes()
    path = tmp_path / "rows.parquet"
    for content in (whole[: len(whole) // 2], whole[:100] + bytes(300) + whole[400:], b"PAR1" + whole[-8:]):
        path.write_bytes(content)
        code, said = audit(path, *PLAIN)
        assert code == 3 and "cannot read the file" in said and str(path) in said and "cut short" in said


def test_3_columns_of_one_name_in_parquet(tmp_path: Path, audit: Audit):
    table = pa.table([["f", "m"], ["a", "b"], ["x", "y"], [1, 0], [1, 0]], names=["sex", "race", "race", "y", "yhat"])
    pq.write_table(table, tmp_path / "rows.parquet")
    code, said = audit(tmp_path / "rows.parquet", *PLAIN)
    assert code == 3 and "two columns are named 'race'" in said


@pytest.mark.parametrize("pattern", ["*.csv", "none/", "rows.parquet"])
def test_3_no_file_is_there(tmp_path: Path, audit: Audit, pattern: str):
    code, said = audit(tmp_path / pattern, *PLAIN)
    assert code == 3 and "no such file" in said and str(tmp_path / pattern.rstrip("/")) in said
    assert not (tmp_path / "out").exists()


def test_3_the_same_rows_twice(tmp_path: Path, audit: Audit):
    path, copy = written(people(40), tmp_path / "rows.csv"), tmp_path / "copy.csv"
    copy.write_bytes(path.read_bytes())
    for first, second, problem in ((path, path, "stands twice"), (path, copy, f"{copy} is a copy")):
        code, said = audit(first, second, *PLAIN)
        assert code == 3 and problem in said and str(path) in said
    assert audit(tmp_path / "*.csv", path, *PLAIN)[0] == 3, "a pattern does not hide a copy"
    copy.unlink()
    assert audit(tmp_path / "*.csv", path, *PLAIN)[0] == 0, "a file that a pattern names too is one file"


OTHER_KINDS = {
    "attribute: numbers and words": ("parquet", "sex", {"f": 0, "m": 1}, "attribute 'sex' is a number in one place"),
    "classes: words and numbers": ("parquet", "both", {0: "no", 1: "yes"}, "label or prediction is a number in one"),
    "classes: texts of words and of digits": ("csv", "both", {0: "no", 1: "yes"}, "label or prediction is a number in"),
    "classes: True as text and 1 as text": ("csv", "both", {0: False, 1: True}, "label or prediction is a number in"),
    "classes: digits as text and numbers": ("parquet", "both", {0: "0", 1: "1"}, None),
    "classes: truth values and numbers": ("parquet", "both", {0: False, 1: True}, None),
    "classes: 1.0 and 1": ("parquet", "both", {0: 0.0, 1: 1.0}, None),
}


@pytest.mark.parametrize("name", OTHER_KINDS)
def test_types_that_differ_between_files(tmp_path: Path, audit: Audit, name: str):
    """What can only mean the same is the same; words in one file and numbers in the other are refused, both named."""
    ending, column, names, problem = OTHER_KINDS[name]
    other = people(60, seed=1)
    for each in ("y", "yhat") if column == "both" else (column,):
        other[each] = other[each].map(names)
    paths = [written(people(60), tmp_path / f"a.{ending}"), written(other, tmp_path / f"b.{ending}")]
    code, said = audit(*paths, *PLAIN)
    if problem is None:
        assert code == 0, said
    else:
        assert code == 3 and problem in said and "write its values alike" in said
        assert all(str(path) in said for path in paths)


@pytest.mark.parametrize(
    ("ending", "names"),
    [("csv", {"f": 0, "m": 1}), ("parquet", {"f": True, "m": False}), ("csv", {"f": True, "m": False})],
)
def test_groups_that_are_written_in_two_ways_are_counted_and_said(tmp_path: Path, audit: Audit, ending, names):
    """Texts that read as something else than those of another file may be other groups: nobody can know."""
    other = people(60, seed=1).assign(sex=lambda f: f["sex"].map(names))
    paths = [written(people(60), tmp_path / f"a.{ending}"), written(other, tmp_path / f"b.{ending}")]
    code, said = audit(*paths, *PLAIN)
    assert code == 0
    shown = sorted(str(name) if ending == "csv" else str(name).lower() for name in names.values())
    warning = " ".join(said.split())
    assert "sex is written in two ways" in warning and "race is written" not in warning
    assert f"f, m in {paths[0]}" in warning and f"{', '.join(shown)} in {paths[1]}" in warning


def test_a_file_without_rows_beside_others_changes_nothing(tmp_path: Path, audit: Audit):
    (tmp_path / "a.csv").write_text("sex,race,y,yhat\n")
    assert audit(tmp_path / "a.csv", written(people(60), tmp_path / "b.csv"), *PLAIN)[0] == 0
    assert '"n_rows": 60' in (tmp_path / "out" / "results.json").read_text()


def test_ten_thousand_groups_are_audited_and_the_reader_is_warned(tmp_path: Path, audit: Audit):
    """Seconds, where groups that are compared pair by pair would take minutes."""
    frame = people(30_000).assign(race=lambda f: [f"unit {n % 10_000}" for n in f.index])
    start = time.process_time()
    code, said = audit(written(frame, tmp_path / "rows.parquet"), *PLAIN)
    assert code == 0 and time.process_time() - start < 60, said
    warning = "race has 10,000 groups, half of them with 3 rows or fewer"
    assert warning in " ".join(said.split()) and warning in (tmp_path / "out" / "report.html").read_text()


def test_classes_beyond_two_are_named(tmp_path: Path, audit: Audit):
    path = tmp_path / "rows.csv"
    spoilt("y", "maybe").to_csv(path, index=False)
    assert "There are 3 classes (0, 1, maybe) and none is named positive" in " ".join(audit(path, *PLAIN)[1].split())
    (tmp_path / "out").rename(tmp_path / "first")
    said = " ".join(audit(path, *PLAIN, "--positive", "1")[1].split())
    assert "There are 3 classes: 0, 1, maybe. 1 counts as the positive one" in said


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (("--classes", "0,1", "--positive", "2"), "`positive` class '2' is none of `classes`: 0, 1"),
        (("--classes", "0"), "only one class is declared"),
        (("--classes", "0,0"), "'0' is declared twice"),
        (("--classes", "0,1", "--real-valued"), "a real-valued target has neither"),
    ],
)
def test_3_classes_that_contradict_themselves(tmp_path: Path, audit: Audit, more: tuple[str, ...], problem: str):
    code, said = audit(written(people(40), tmp_path / "rows.csv"), *PLAIN, *more)
    assert code == 3 and problem in said and not (tmp_path / "out").exists()
