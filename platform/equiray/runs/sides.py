"""What `equiray compare A B` means: two runs, two audits or two sets of files, as one `CompareSpec`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from equiray.data.prediction_files import open_files
from equiray.data.stores import find_files
from equiray.errors import BadInput
from equiray.metrics.counting import Counts
from equiray.policies.document import nearest
from equiray.runs.audit_spec import TEST, AuditSpec
from equiray.runs.compare_spec import CompareSpec, SideSpec
from equiray.runs.counting import COUNTS_NAME
from equiray.runs.run_cells import Asked, Cell, chosen_cells
from equiray.runs.stored_spec import AnyRunSpec, load_spec
from equiray.specs.documents import as_bad_input
from equiray.specs.sweep import SweepSpec

_OF_A_RUN = ("row_id", "split", "stage", "model", "label", "score", "prediction", "outcome")


class _Side(NamedTuple):
    """One side as far as it is known by itself; of `told`, what differs between the sides names them."""

    task: str
    fields: Mapping[str, Any]
    attributes: tuple[str, ...]
    told: Mapping[str, str]
    positive: str | None = None
    real_valued: bool = False
    intersections: int = 1


def compare_spec(first: str, second: str, asked: Asked) -> CompareSpec:
    """The comparison of two arguments of the command.

    A directory with a ``spec.yaml`` is a run or an audit, whose own spec says which files and columns are meant;
    anything else names files.

    Raises
    ------
    BadInput
        A directory or an option cannot be used, or it is not clear which predictions of a run are meant.
    """
    specs = [_spec(Path(each)) for each in (first, second)]
    if all(specs) and (said := asked.about_files):
        fix = "leave it out; it is for files of predictions"
        raise BadInput("A and B are directories that say it themselves", place=", ".join(said), fix=fix)
    cells = chosen_cells([Path(first), Path(second)], specs, asked)
    sides = [
        _side(argument, spec, cell, asked, place)
        for place, (argument, spec, cell) in enumerate(zip((first, second), specs, cells, strict=True))
    ]
    if all(isinstance(spec, AnyRunSpec) for spec in specs):
        _check_same_table(Path(first), Path(second), sides[0].task)
    names = _names(first, second, sides[0].told, sides[1].told)
    fields: list[dict[str, Any]] = [dict(side.fields) for side in sides]
    for name in ("score", "weight", "id"):  # what one directory alone has cannot be compared
        if all(specs) and None in (fields[0].get(name), fields[1].get(name)):
            fields = [field | {name: None} for field in fields]
    try:
        a, b = (SideSpec(name=name, **field) for name, field in zip(names, fields, strict=True))
        return CompareSpec(
            task=sides[0].task,
            a=a,
            b=b,
            attributes=_attributes(sides, asked),
            intersections=asked.intersections or min(side.intersections for side in sides),
            positive=_agreed("positive", sides),
            real_valued=_agreed("real_valued", sides),
            common=asked.common,
        )
    except ValidationError as error:
        raise as_bad_input(error, "the options", "comparison") from error


def _spec(path: Path) -> AnyRunSpec | AuditSpec | None:
    """That of a directory of ours, None of files."""
    if not (path / "spec.yaml").is_file():
        return None
    spec = load_spec(path / "spec.yaml")
    if isinstance(spec, CompareSpec | SweepSpec):
        what = "a comparison itself" if isinstance(spec, CompareSpec) else "a sweep, of which no row was decided about"
        raise BadInput(f"it is {what}", place=str(path), fix="name what it compares: runs, audits or files")
    return spec


def _side(argument: str, spec: AnyRunSpec | AuditSpec | None, cell: Cell | None, asked: Asked, place: int) -> _Side:
    if cell is not None:
        return _of_run(Path(argument), cell)
    if isinstance(spec, AuditSpec):
        return _of_audit(Path(argument), spec, asked.id[place])
    return _of_files(argument, asked, place)


def _of_run(directory: Path, cell: Cell) -> _Side:
    path = directory / "predictions" / f"{'.'.join(cell)}.parquet"
    try:
        columns = pq.read_schema(path).names
    except (OSError, pa.ArrowException) as error:
        fix = "repeat the `equiray run` command with the same --out: it makes the file again"
        raise BadInput(f"not readable: {str(error).splitlines()[0]:.200}", place=str(path), fix=fix) from error
    fields = {
        "files": (str(path),),
        "label": "label",
        "prediction": "prediction",
        "score": "score",
        "outcome": "outcome" if "outcome" in columns else None,  # versions before did not say
        "id": "row_id",
        "only": {"split": TEST},
        "directory": str(directory),
    }
    attributes = tuple(name for name in columns if name not in _OF_A_RUN)
    return _Side(cell.task, fields, attributes, {"model": cell.model, "stage": cell.stage})


def _of_audit(directory: Path, spec: AuditSpec, row_id: str | None) -> _Side:
    _check_unchanged(directory, spec)
    fields = spec.model_dump(include={"files", "label", "prediction", "score", "weight", "outcome"})
    fields |= {"id": row_id or spec.id, "only": {spec.split: TEST} if spec.split else {}, "directory": str(directory)}
    told = {"model": spec.model}
    return _Side(spec.task, fields, spec.attributes, told, spec.positive, spec.real_valued, spec.intersections)


def _of_files(argument: str, asked: Asked, place: int) -> _Side:
    prediction, attributes = asked.prediction[place], asked.attributes
    if asked.label is None or prediction is None or not attributes:
        needed = {"--label": asked.label, "--prediction": prediction, "--attributes": attributes}
        absent = [name for name, value in needed.items() if not value]
        raise BadInput(
            f"{'AB'[place]} is no directory of equiray's, so its columns must be named",
            place=argument,
            fix=f"add {', '.join(absent)}; a run or audit directory has a spec.yaml",
        )
    fields = {
        "files": (argument,),
        "label": asked.label,
        "prediction": prediction,
        "score": asked.score[place],
        "outcome": asked.outcome[place],
        "weight": asked.weight,
        "id": asked.id[place],
    }
    told = {"column": prediction}
    return _Side(asked.label, fields, attributes, told, asked.positive, asked.real_valued)


def _check_unchanged(directory: Path, spec: AuditSpec) -> None:
    """Refuse files that are not those that were audited."""
    counted = set(Counts.load(directory / COUNTS_NAME).origins)
    files = open_files(find_files(spec.files), spec.read)
    changed = [file.path for file in files if file.sha256 not in counted]
    if changed or len(files) != len(counted):
        raise BadInput(
            "the files are not those that were audited: their content has changed",
            place=f"{', '.join(changed) or ', '.join(spec.files)}, audited in {directory}",
            fix="audit them anew, or name the files themselves instead of the directory",
        )


def _check_same_table(first: Path, second: Path, task: str) -> None:
    """Row ids mean the same people only where both runs read the same table."""
    digests = []
    for directory in (first, second):
        path = directory / "inputs.json"
        inputs = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        digests.append(inputs.get(f"task {task}"))
    if None not in digests and digests[0] != digests[1]:
        raise BadInput(
            f"the runs read different tables of {task}: {digests[0][:16]} and {digests[1][:16]}",
            place=f"{first / 'inputs.json'} and {second / 'inputs.json'}",
            fix="repeat one of the runs on the table of the other",
        )


def _attributes(sides: Sequence[_Side], asked: Asked) -> tuple[str, ...]:
    common = [name for name in sides[0].attributes if name in sides[1].attributes]
    for name in asked.attributes:
        if name not in common:
            problem = f"attribute {name!r} is not in both{nearest(name, common)}"
            raise BadInput(problem, place="--attributes", fix=f"both have: {', '.join(common)}")
    if not common:
        shown = [", ".join(side.attributes) for side in sides]
        raise BadInput(
            "A and B have no sensitive attribute in common",
            place=f"A: {shown[0]}; B: {shown[1]}",
            fix="audit both with the same --attributes",
        )
    return asked.attributes or tuple(common)


def _agreed(name: str, sides: Sequence[_Side]) -> Any:
    first, second = (getattr(side, name) for side in sides)
    if first != second:
        word = name.replace("_", " ")
        raise BadInput(
            f"A and B were not audited alike: {word} is {first!r} there and {second!r} here",
            place="spec.yaml of both",
            fix="audit both in the same way, or name the files instead of the directories",
        )
    return first


def _names(first: str, second: str, one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """What tells the two apart, in as few words as do: model and stage, column, and last the file or folder."""
    places = [Path(first).name or first, Path(second).name or second]
    if places[0] == places[1]:
        places = [first, second]
    names = []
    for told, against, place in ((one, other, places[0]), (other, one, places[1])):
        apart = [value for key, value in told.items() if against.get(key) != value]
        names.append(", ".join(apart if apart and one.keys() == other.keys() else [*apart, place]))
    return names if names[0] != names[1] else [f"{name} ({side})" for name, side in zip(names, "AB", strict=True)]
