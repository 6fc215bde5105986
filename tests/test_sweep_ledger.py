"""The ledger of a sweep: whatever is cut off, nothing that was finished is lost."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
from hypothesis import strategies as st

from equiray.errors import BadInput
from equiray.search.ledger import Entry, Ledger
from equiray.search.study import Outcome, Trial
from sweep_parts import entry_of, outcome_of, write

REFERENCE = (0.5, 1.0)  # accuracy above, a difference below
figures = st.integers(0, 20).map(lambda n: n / 20)
PARTIAL = {"unlearning.lambda_gap": 2.0}


def hard_entries() -> list[Entry]:
    """Infinite thresholds, figures that are not estimable, words beyond ASCII, a line break that JSON leaves alone."""
    whole = Outcome(
        values=[[0.7, 0.1]], free=[[math.inf, 0.25]], best={"accuracy": 0.7, "ece": math.nan}, broken={"ece ≤ 0.1": 0.2}
    )
    said = (0, 10, {"intrinsic_gap": math.nan}), (5, 10, {"intrinsic_gap": math.inf})
    return [
        entry_of(0, outcome_of([[0.7, 0.1]], accuracy=0.7), origin="known", name="untuned"),
        entry_of(1, whole, settings={"adapter.rank": 8}, reason="breaks ece ≤ 0.1"),
        entry_of(2, None, status="failed", reason="ValueError: naïve\u2028line\nand another"),
        entry_of(3, None, figures={"intrinsic_gap": math.nan}, curve=said, broken={"intrinsic_gap ≤ 0.2": math.inf}),
    ]


def same(one: Entry, other: Entry) -> bool:
    return repr(one).replace("(", "[").replace(")", "]") == repr(other).replace("(", "[").replace(")", "]")


def test_a_ledger_comes_back_as_it_was(tmp_path: Path):
    ledger = write(tmp_path / "sweep" / "trials.jsonl", hard_entries())
    back = Ledger(ledger.path)
    assert all(map(same, back.entries, hard_entries())) and len(back.entries) == 4
    assert (back.unfinished, back.next_number, back.earlier_s) == ([], 4, 7.5)
    for line in ledger.path.read_text(encoding="utf-8").split("\n")[:-1]:
        json.loads(line, parse_constant=pytest.fail)  # NaN is no JSON


def test_whatever_is_cut_off_a_ledger_only_the_last_line_is_lost(tmp_path: Path):
    path = write(tmp_path / "trials.jsonl", hard_entries()).path
    text = path.read_bytes()
    inside = [place for place, byte in enumerate(text) if byte >= 0x80]  # in the middle of a character
    ends = [place + shift for place, byte in enumerate(text) if byte == ord("\n") for shift in (-1, 0, 1, 2)]
    for size in sorted({0, *inside, *ends} & set(range(len(text) + 1))):
        path.write_bytes(text[:size])
        lines = text[:size].count(b"\n")
        back = Ledger(path)
        assert len(back.entries) == lines // 2
        assert [trial.number for trial in back.unfinished] == ([lines // 2] if lines % 2 else [])
        assert path.read_bytes() == b"".join(text.splitlines(keepends=True)[:lines])


def test_a_torn_line_is_written_anew_and_nothing_twice(tmp_path: Path):
    path = write(tmp_path / "trials.jsonl", hard_entries()[:2]).path
    with path.open("ab") as file:
        file.write(b'{"started": {"num')
    ledger = Ledger(path)
    (again,) = (hard_entries()[2],)
    ledger.start(again.trial)
    ledger.start(again.trial)
    ledger.finish(again)
    assert len(path.read_bytes().splitlines()) == 6 and len(Ledger(path).entries) == 3


def test_trials_that_were_started_are_begun_again_in_order(tmp_path: Path):
    path = tmp_path / "trials.jsonl"
    ledger = Ledger(path)
    trials = [Trial(number=number, origin="start", settings={"adapter.rank": number}) for number in range(4)]
    for trial in trials:
        ledger.start(trial)
    for number in (2, 0):
        ledger.finish(dataclasses.replace(entry_of(0), trial=trials[number]))
    back = Ledger(path)
    assert back.unfinished == [trials[1], trials[3]] and back.next_number == 4


def test_a_line_that_is_no_line_is_refused(tmp_path: Path):
    path = write(tmp_path / "trials.jsonl", hard_entries()[:1]).path
    path.write_bytes(b"{\n" + path.read_bytes())
    with pytest.raises(BadInput, match=r"cut short or altered.*JSONDecodeError"):
        Ledger(path)
