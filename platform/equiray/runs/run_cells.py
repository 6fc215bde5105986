"""Which predictions of a run are meant, where a run holds those of many models and stages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from equiray.errors import BadInput
from equiray.policies.document import nearest
from equiray.runs.audit_spec import AuditSpec
from equiray.runs.stored_spec import AnyRunSpec

_SHOWN = 12

Two = tuple[str | None, str | None]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options of `equiray compare`; of `Two` one is said of A and one of B."""

    task: str | None = None
    stage: Two = (None, None)
    model: Two = (None, None)
    label: str | None = None
    prediction: Two = (None, None)
    score: Two = (None, None)
    outcome: Two = (None, None)
    weight: str | None = None
    id: Two = (None, None)
    attributes: tuple[str, ...] = ()
    intersections: int | None = None
    positive: str | None = None
    real_valued: bool = False
    common: bool = False

    @property
    def names_two(self) -> bool:
        """Whether A and B are to be of two stages or of two models."""
        return self.stage[0] != self.stage[1] or self.model[0] != self.model[1]

    @property
    def about_files(self) -> list[str]:
        """Options that say what a directory of ours says itself."""
        said = {
            "label": self.label,
            "prediction": self.prediction[0],
            "score": self.score[0],
            "outcome": self.outcome[0],
            "weight": self.weight,
            "positive": self.positive,
            "real-valued": self.real_valued,
        }
        return [f"--{name}" for name, value in said.items() if value]


class Cell(NamedTuple):
    """Predictions of a run: of one task by one model at one stage."""

    task: str
    model: str
    stage: str

    def __str__(self) -> str:
        return f"--task {self.task} --model {self.model} --stage {self.stage}"


def chosen_cells(
    paths: Sequence[Path], specs: Sequence[AnyRunSpec | AuditSpec | None], asked: Asked
) -> list[Cell | None]:
    """Which predictions of a run are meant on either side, None of what is no run.

    Those that options name; what they leave open, the two sides must have in common.

    Raises
    ------
    BadInput
        An option names what is not there, or more than one pair could be meant, or none; names what there is.
    """
    wanted = [(asked.task, model, stage) for model, stage in zip(asked.model, asked.stage, strict=True)]
    runs = [place for place, spec in enumerate(specs) if isinstance(spec, AnyRunSpec)]
    if not runs:
        said = {"--task": asked.task, "--model": asked.model[0], "--stage": asked.stage[0]}
        if used := [name for name, value in said.items() if value]:
            fix = "leave it out; it chooses among the predictions of a run"
            raise BadInput("neither A nor B is a run", place=", ".join(used), fix=fix)
        return [None, None]
    there = {place: _predicted(paths[place]) for place in runs}
    if len(runs) == 2 and paths[0].resolve() == paths[1].resolve() and not asked.names_two:
        fix = f"name two stages or models of it (--stage baseline,cda): it has {_listed(there[0])}"
        raise BadInput("A and B are the same run", place=str(paths[0]), fix=fix)
    for place in runs:
        for part, name in zip(Cell._fields, wanted[place], strict=True):
            known = sorted({getattr(cell, part) for cell in there[place]})
            if name is not None and name not in known:
                problem = f"there is no {part} {name!r}{nearest(name, known)}"
                raise BadInput(problem, place=f"--{part}, {paths[place]}", fix=f"it has: {', '.join(known)}")
    matching = {place: [cell for cell in there[place] if _is_meant(cell, wanted[place])] for place in runs}
    if len(runs) == 1:
        chosen = [(cell,) for cell in matching[runs[0]]]
    else:
        chosen = [(x, y) for x in matching[0] for y in matching[1] if _comparable(x, y, asked)]
    if len(chosen) != 1:
        raise _unclear(paths, runs, there, [cells[0] for cells in chosen])
    found: list[Cell | None] = [None, None]
    for place, cell in zip(runs, chosen[0], strict=True):
        found[place] = cell
    return found


def _predicted(directory: Path) -> list[Cell]:
    found = [Cell(*path.name.split(".")[:3]) for path in sorted((directory / "predictions").glob("*.*.*.parquet"))]
    if not found:
        fix = "finish the run: repeat its command with the same --out"
        raise BadInput("the run has no predictions yet", place=str(directory), fix=fix)
    return found


def _is_meant(cell: Cell, wanted: tuple[str | None, ...]) -> bool:
    return all(name in (None, part) for part, name in zip(cell, wanted, strict=True))


def _comparable(first: Cell, second: Cell, asked: Asked) -> bool:
    """The same task; the same model and stage, unless two were named."""
    return (
        first.task == second.task
        and (first.model == second.model or asked.model[0] != asked.model[1])
        and (first.stage == second.stage or asked.stage[0] != asked.stage[1])
    )


def _unclear(
    paths: Sequence[Path], runs: Sequence[int], there: Mapping[int, Sequence[Cell]], chosen: Sequence[Cell]
) -> BadInput:
    place = " and ".join(str(paths[run]) for run in runs)
    if not chosen:
        sides = [f"{'AB'[run]} has {_listed(there[run])}" for run in runs]
        return BadInput(
            "A and B have no predictions in common" if len(runs) > 1 else "the run has no such predictions",
            place=place,
            fix=f"name a stage or model of each (--stage baseline,cda): {'; '.join(sides)}",
        )
    return BadInput(
        f"{len(chosen)} sets of predictions could be meant", place=place, fix=f"say which: {_listed(chosen)}"
    )


def _listed(cells: Sequence[Cell]) -> str:
    more = f", and {len(cells) - _SHOWN} more" if len(cells) > _SHOWN else ""
    return ", ".join(f"`{cell}`" for cell in cells[:_SHOWN]) + more
