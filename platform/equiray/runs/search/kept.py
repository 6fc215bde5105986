"""A whole trial's outcome beside what it trained: a trial that is run again gives it at once."""

import json
from pathlib import Path

from equiray.errors import reading_back, writing
from equiray.search.study import Outcome

_FILE = "outcome.json"


def kept_outcome(folder: Path) -> Outcome | None:
    """What a trial that ended left in its folder; None of one that has not."""
    file = folder / _FILE
    if not file.is_file():
        return None
    with reading_back(file, fix="remove it: the trial is judged again"):
        return Outcome.of_json(json.loads(file.read_text(encoding="utf-8")))


def keep_outcome(folder: Path, outcome: Outcome) -> None:
    """Written last, and whole: a folder that has it has everything else."""
    file = folder / _FILE
    scratch = folder / f".{_FILE}"
    with writing(file):
        scratch.write_text(json.dumps(outcome.to_json(), allow_nan=False), encoding="utf-8")
        scratch.replace(file)
