"""Steps for people to check by hand, and how far what they say agrees with the judge that labelled them.

Notable: half of the steps are labelled biased and half unbiased, so that either label is checked often enough. Where
one is rarer, its steps stand for fewer (``stands_for``), and figures weigh steps by it: they are estimates for all
labelled steps, not for the sheet. What the judge said is not in the sheet, for whoever reads it would be led by it. It
stands in a file beside it, with the words that were shown, so that a sheet that was altered is noticed.
"""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from equiray.data.cases.case_set import family_of
from equiray.errors import BadInput, writing
from equiray.metrics.clusters import Resampling
from equiray.metrics.estimates import Estimate
from equiray.metrics.tables import MISSING
from equiray.mitigation.reward.agreement import CATEGORY, compared
from equiray.mitigation.reward.labels import UNLABELLED, StepLabel
from equiray.mitigation.reward.sheets import sheet_rows, wrong
from equiray.mitigation.reward.steps import ReasonedCase, step_records

SHEET_STEPS = 100
HAND = "hand"
"""Stage and judge of the estimates."""

_STEP = ("case_id", "chain", "step")
_SHOWN = ("question", "previous", "text")
_CHECKED = "checked"
_SAYS = {"1": 1, "0": 0, "?": UNLABELLED}
_KEY = pa.schema(
    [
        *((name, pa.string() if name == "case_id" else pa.int64()) for name in _STEP),
        *((name, pa.string()) for name in _SHOWN),
        ("said", pa.int64()),
        ("source", pa.string()),
        ("stands_for", pa.float64()),
        ("category", pa.string()),
        ("group", pa.string()),
        ("family", pa.string()),
    ]
)


def key_of(sheet: Path) -> Path:
    """Where what the judge said of a sheet's steps is kept."""
    return sheet.with_suffix(".key.parquet")


def write_check_sheet(
    sheet: Path, cases: Sequence[ReasonedCase], labels: Sequence[StepLabel], *, seed: int, steps: int = SHEET_STEPS
) -> None:
    """Draw steps, half of them labelled biased and half unbiased as far as there are so many, and write sheet and key.

    A file that is there is left as it is: somebody may have filled it in.

    Raises
    ------
    Incomplete
        The disk is full or not writable.
    """
    key = _drawn(cases, labels, seed, steps)
    with writing(sheet):
        sheet.parent.mkdir(parents=True, exist_ok=True)
        if not key_of(sheet).exists():
            pq.write_table(key, key_of(sheet))
        if sheet.exists():
            return
        with sheet.open("w", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream)
            table.writerow([*_STEP, *_SHOWN, _CHECKED])
            for row in key.select([*_STEP, *_SHOWN]).to_pylist():
                table.writerow([*row.values(), ""])


def _drawn(cases: Sequence[ReasonedCase], labels: Sequence[StepLabel], seed: int, steps: int) -> pa.Table:
    known = {(step.case_id, step.chain, step.step): step for step in step_records(cases)}
    owners = {one.case.case_id: one.case for one in cases}
    random = np.random.default_rng(seed)
    chosen: list[tuple[StepLabel, float]] = []
    for said in (0, 1):
        alike = [label for label in labels if label.unbiased == said]
        drawn = random.permutation(len(alike))[: steps // 2]
        chosen += [(alike[i], len(alike) / len(drawn)) for i in drawn]
    rows = []
    for label, stands_for in (chosen[i] for i in random.permutation(len(chosen))):  # else one label's block is seen
        step, case = known[label.case_id, label.chain, label.step], owners[label.case_id]
        rows.append(
            {
                **{name: getattr(label, name) for name in _STEP},
                "question": step.question,
                "previous": "\n\n".join(step.previous),
                "text": step.text,
                "said": label.unbiased,
                "source": label.source,
                "stands_for": stands_for,
                "category": case.category,
                "group": f"{case.category}: {case.groups.get(case.category, MISSING)}",
                "family": family_of(case),
            }
        )
    return pa.Table.from_pylist(rows, schema=_KEY)


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A sheet that was filled in, beside its key.

    Attributes
    ----------
    key : pa.Table
        A row a step: what the judge said, and what the step is of.
    hand : int64 [N]
        1 unbiased, 0 biased, `UNLABELLED` where people could not tell.
    """

    key: pa.Table
    hand: NDArray[np.int64]

    @property
    def source(self) -> str:
        """Who labelled the steps that were checked."""
        return str(self.key["source"][0].as_py())

    @property
    def counts(self) -> Counter[int]:
        """Steps by what people said of them."""
        return Counter(self.hand.tolist())

    @property
    def stands_for(self) -> float:
        """All labelled steps."""
        return float(np.sum(self.key["stands_for"].to_numpy()))


def read_checked(sheet: Path, key: Path) -> Checked:
    """Read a filled sheet.

    Raises
    ------
    BadInput
        A file is not there or cannot be read; no step was drawn; one is missing, twice, of another sheet, or its words
        were changed; steps are not filled in, or with something else than 1, 0 and ?.
    """
    try:
        table = pq.read_table(key).select(_KEY.names).cast(_KEY)
    except (OSError, KeyError, pa.ArrowException) as error:
        raise BadInput(
            f"cannot read what was drawn: {str(error).splitlines()[0]}",
            place=str(key),
            fix="name the directory of the run that wrote the sheet; repeat its command if the file is not there",
        ) from error
    if not len(table):
        raise BadInput("no step was drawn", place=str(key), fix="set judge.check_steps to 2 or more")
    drawn = {tuple(str(row[name]) for name in _STEP): row for row in table.to_pylist()}
    said: dict[tuple[str, ...], int] = {}
    open_: list[int] = []
    for line, row in sheet_rows(sheet, (*_STEP, *_SHOWN, _CHECKED)):
        step = tuple((row[name] or "").strip() for name in _STEP)
        if step not in drawn:
            raise wrong(sheet, line, f"{_named(step)} was not drawn", "fill in the sheet of this very run")
        if step in said:
            raise wrong(sheet, line, f"{_named(step)} again", "keep one of them")
        _check_words(sheet, line, row, drawn[step])
        word = (row[_CHECKED] or "").strip()
        if word and word not in _SAYS:
            fix = "write 1 (unbiased), 0 (biased) or ? (cannot be told)"
            raise wrong(sheet, line, f"{_CHECKED} is {word!r}", fix)
        if not word:
            open_.append(line)
        said[step] = _SAYS.get(word, UNLABELLED)
    _check_whole(sheet, drawn, said, open_)
    return Checked(key=table, hand=np.array([said[step] for step in drawn], dtype=np.int64))


def _named(step: tuple[str, ...]) -> str:
    case, chain, place = step
    return f"step {place} of chain {chain} of case {case!r}"


def _check_words(sheet: Path, line: int, row: Mapping[str, str | None], drawn: Mapping[str, Any]) -> None:
    for name in _SHOWN:  # spreadsheets change line ends and blanks at a cell's end
        if (row[name] or "").split() != drawn[name].split():
            raise wrong(
                sheet, line, f"{name} is not what was drawn", f"leave all columns but {_CHECKED!r} as they were"
            )


def _check_whole(
    sheet: Path, drawn: Mapping[tuple[str, ...], Any], said: Mapping[tuple[str, ...], int], open_: Sequence[int]
) -> None:
    lacking = [step for step in drawn if step not in said]
    if lacking:
        raise BadInput(
            f"{len(lacking)} of {len(drawn)} steps are missing, the first is {_named(lacking[0])}",
            place=str(sheet),
            fix="keep every row: leaving out some would choose what is compared",
        )
    if open_:
        raise BadInput(
            f"{len(open_)} of {len(drawn)} steps are not checked, the first in line {open_[0]}",
            place=f"{sheet}, column {_CHECKED!r}",
            fix="fill in all of them: 1 (unbiased), 0 (biased) or ? (cannot be told)",
        )


def hand_agreement(checked: Checked, resampling: Resampling) -> list[Estimate]:
    """``judge_kappa``, ``judge_agreement`` and ``judge_label_rate`` of people with the judge, for all labelled steps.

    Over all of them, by ``category`` and by ``group`` of the stereotyped person; ``judge_agreement`` alone by what the
    judge said (attribute ``judge_label``), which hangs on no share of labels. Questions are resampled.
    """
    columns = {name: checked.key[name].to_pylist() for name in ("category", "group", "family", "said", "stands_for")}
    named = {
        CATEGORY: columns["category"],
        "group": columns["group"],
        "judge_label": ["unbiased" if said else "biased" for said in columns["said"]],
    }
    found: list[Estimate] = []
    for attribute, groups in named.items():
        made = compared(
            np.array(columns["said"], dtype=np.int64),
            checked.hand,
            clusters=np.array(columns["family"]),
            groups=groups,
            weights=np.array(columns["stands_for"]),
            stage=HAND,
            attribute=attribute,
            model=HAND,
            resampling=resampling,
        )
        for one in made:
            if one.group is None and attribute != CATEGORY:
                continue
            if attribute != "judge_label" or one.metric == "judge_agreement":
                found.append(one)
    return found
