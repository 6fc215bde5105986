"""The sheet of steps that people check: drawn, filled in, read back, and compared with the judge by a second route."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import cohen_kappa_score

from equiray.errors import BadInput
from equiray.metrics.clusters import Resampling
from equiray.mitigation.reward.check_sheet import hand_agreement, key_of, read_checked, write_check_sheet
from equiray.mitigation.reward.labels import StepLabel
from equiray.mitigation.reward.steps import step_records
from reward_cases import random_cases

Rows = list[dict[str, str]]

CASES = [
    replace(one, case=replace(one.case, category=("Age", "SES")[place % 2]))
    for place, one in enumerate(random_cases(120))
]
LABELLED = np.random.default_rng(0).choice([1, 1, 1, 1, 0, None], sum(1 for _ in step_records(CASES))).tolist()


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    """Of 60 steps, where one label in five is `biased`; cases are of two categories."""
    labels = [
        StepLabel(case_id=s.case_id, chain=s.chain, step=s.step, unbiased=said, source="judge")
        for s, said in zip(step_records(CASES), LABELLED, strict=True)
    ]
    write_check_sheet(tmp_path / "steps.csv", CASES, labels, seed=3, steps=60)
    return tmp_path / "steps.csv"


def rows_of(file: Path) -> Rows:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def write_rows(file: Path, rows: Rows) -> Path:
    with file.open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, rows[0])
        table.writeheader()
        table.writerows(rows)
    return file


def filled(sheet: Path) -> Rows:
    """As somebody fills it in who agrees with three in four of the judge's labels and cannot tell some."""
    random = np.random.default_rng(1)
    said = pq.read_table(key_of(sheet))["said"].to_pylist()
    hand = [one if random.random() < 0.75 else 1 - one for one in said]
    return [
        row | {"checked": "?" if random.random() < 0.1 else str(one)}
        for row, one in zip(rows_of(sheet), hand, strict=True)
    ]


def test_what_the_judge_said_is_beside_the_sheet_and_not_in_it(sheet: Path):
    rows, key = rows_of(sheet), pq.read_table(key_of(sheet)).to_pylist()
    assert list(rows[0]) == ["case_id", "chain", "step", "question", "previous", "text", "checked"]
    assert [(row["case_id"], row["text"]) for row in rows] == [(row["case_id"], row["text"]) for row in key]
    said = [row["said"] for row in key]
    assert said.count(0) == said.count(1) == 30 and said[:30].count(0) not in (0, 30)
    assert {row["checked"] for row in rows} == {""}


def test_a_sheet_that_is_there_is_never_written_over(sheet: Path):
    write_rows(sheet, filled(sheet))
    before = {file: file.read_bytes() for file in (sheet, key_of(sheet))}
    cases = random_cases(3)
    label = StepLabel(case_id=cases[0].case.case_id, chain=0, step=0, unbiased=1, source="judge")
    write_check_sheet(sheet, cases, [label], seed=0)
    assert {file: file.read_bytes() for file in before} == before


def test_agreement_is_that_of_scikit_learn_weighted_to_all_labelled_steps(sheet: Path):
    write_rows(sheet, filled(sheet))
    checked = read_checked(sheet, key_of(sheet))
    found = {(e.metric, e.attribute, e.group): e for e in hand_agreement(checked, Resampling(replicates=200))}
    key = checked.key.to_pandas()
    assert key.groupby("said").stands_for.sum().tolist() == pytest.approx([LABELLED.count(0), LABELLED.count(1)])
    for group, mine in [(None, key.said >= 0), *((name, key.category == name) for name in ("Age", "SES"))]:
        known = mine & (checked.hand >= 0)
        said, hand, weight = key.said[known], checked.hand[known], key.stands_for[known]
        kappa = found["judge_kappa", "category", group]
        assert kappa.value == pytest.approx(cohen_kappa_score(said, hand, sample_weight=weight))
        assert kappa.n == known.sum() and kappa.low < kappa.value < kappa.high
        agreed = found["judge_agreement", "category", group]
        assert agreed.value == pytest.approx(np.average(said == hand, weights=weight))
        rate = found["judge_label_rate", "category", group]
        assert rate.value == pytest.approx(weight.sum() / key.stands_for[mine].sum()) and rate.value < 1
    for said, group in ((0, "biased"), (1, "unbiased")):
        known = (key.said == said) & (checked.hand >= 0)
        share = found["judge_agreement", "judge_label", group]
        assert share.value == pytest.approx((checked.hand[known] == said).mean())
        assert ("judge_kappa", "judge_label", group) not in found
    assert ("judge_agreement", "group", "Age: (missing)") in found
    plain = cohen_kappa_score(key.said[checked.hand >= 0], checked.hand[checked.hand >= 0])
    assert abs(found["judge_kappa", "category", None].value - plain) > 0.02  # the sheet's own kappa is another


def test_spreadsheets_may_change_line_ends_and_blanks(sheet: Path):
    rows = filled(sheet)
    plain = read_checked(write_rows(sheet, rows), key_of(sheet))
    changed = [{name: cell.replace("\n", "\r\n") + " " for name, cell in row.items()} for row in rows[::-1]]
    with sheet.open("w", encoding="utf-8-sig", newline="") as stream:
        table = csv.DictWriter(stream, changed[0])
        table.writeheader()
        table.writerows(changed)
    assert np.array_equal(read_checked(sheet, key_of(sheet)).hand, plain.hand)


def put(line: int, **cells: str) -> Callable[[Rows], None]:
    def change(rows: Rows) -> None:
        rows[line - 2] |= cells

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put(5, checked=""), r"1 of 60 steps are not checked, the first in line \d+"),
        (put(5, checked="yes"), r"checked is 'yes'[\s\S]*line \d+"),
        (put(5, text="Another step ."), r"text is not what was drawn[\s\S]*line \d+"),
        (put(5, question="Who ?"), "question is not what was drawn"),
        (put(5, case_id="case-9"), r"of case 'case-9' was not drawn[\s\S]*this very run"),
        (put(5, step="99"), "step 99 of chain .* was not drawn"),
        (lambda rows: rows.append(rows[0]), "again"),
        (lambda rows: rows.pop(), "1 of 60 steps are missing, the first is step"),
        (lambda rows: [row.pop("previous") for row in rows], "column 'previous' is missing"),
    ],
)
def test_a_sheet_that_is_not_whole_or_was_altered_is_refused(sheet: Path, change, said: str):
    rows = filled(sheet)
    change(rows)
    write_rows(sheet, rows)
    with pytest.raises(BadInput, match=said):
        read_checked(sheet, key_of(sheet))


def test_without_its_key_a_sheet_says_nothing(sheet: Path):
    write_rows(sheet, filled(sheet))
    key_of(sheet).write_bytes(b"no")
    with pytest.raises(BadInput, match="cannot read what was drawn"):
        read_checked(sheet, key_of(sheet))
    key_of(sheet).unlink()
    with pytest.raises(BadInput, match=r"cannot read what was drawn[\s\S]*directory of the run"):
        read_checked(sheet, key_of(sheet))
