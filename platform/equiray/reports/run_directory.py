"""Read a run directory into one immutable record, with an error a user can act on for every way it can be broken.

``results.json`` is required and read strictly, for outsiders rely on it. Everything else is commentary and may be
absent.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from equiray.errors import BadInput, Incomplete
from equiray.metrics.estimates import Estimate, Verdict
from equiray.reports.frontier_figures import FrontierRecord, FrontiersFile

FRONTIERS_NAME = "frontiers.json"

_Model = TypeVar("_Model", bound=BaseModel)


class ResultsFile(BaseModel):
    """``results.json`` (docs/contracts/results.json)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    schema_: Literal["equiray.results/1"] = Field(alias="schema")
    spec_sha256: str
    task: str | list[str]
    n_rows: int | dict[str, int]
    estimates: list[Estimate]
    verdicts: list[Verdict]


class _Commentary(BaseModel):
    # A newer run may describe more than this reader shows: commentary never stops a report.
    model_config = ConfigDict(extra="ignore", frozen=True)


class LanguageModelDetails(_Commentary):
    name: str | None = None
    parameters: int | str | None = None
    dtype: str | None = None
    pooling: str | None = None
    source: str | None = None


class SerializationDetails(_Commentary):
    template: str | None = None
    order: list[str] = []
    max_tokens: int | None = None
    dropped: dict[str, int] = {}


class TwinDetails(_Commentary):
    made: int = 0
    skipped: dict[str, int] = {}


class TaskDetails(_Commentary):
    title: str | None = None
    rows: int | None = None
    splits: dict[str, int] = {}
    warnings: list[str] = []
    source: str | None = None
    source_sha256: str | None = None
    licence: str | None = None
    attributes: dict[str, dict[str, int]] = {}
    twins: TwinDetails | None = None
    files: int = 1
    ids: str | None = None
    at_equality: dict[str, dict[str, float]] = {}
    at_equality_of: dict[str, dict[str, dict[str, float]]] = {}

    def alike(self, model: str, stage: str, attribute: str) -> Mapping[str, float]:
        """What each disparity would be expected to be if the attribute's groups were alike, where that is known."""
        return self.at_equality_of.get(f"{model}.{stage}", self.at_equality).get(attribute, {})


class UnlearningDetails(_Commentary):
    steps_done: int | None = None
    seconds: float | None = None
    label: str | None = None
    stopped_by: str | None = None
    settings: dict[str, Any] = {}
    warnings: list[str] = []
    folds: int | None = None


class ValidationDetails(_Commentary):
    accuracy: float
    log_loss: float


class FineTuningDetails(_Commentary):
    """One classifier: what it was before, which checkpoint was kept, of how many steps."""

    task: str
    stage: str
    steps: int
    best_step: int
    seconds: float
    label: str = ""
    before: ValidationDetails
    best: ValidationDetails
    warnings: list[str] = []


class ComparisonDetails(_Commentary):
    """What was compared: the names of A and B, the rows about which they differ, and how many claims hold at once."""

    first: str = "A"
    second: str = "B"
    differing: int | None = None
    confidence: float = 0.95
    families: dict[str, int] = {}


class RunDetails(_Commentary):
    """``details.json``: what a reader of the report wants to know beside the figures; every part may be absent."""

    name: str | None = None
    title: str | None = None
    language_model: LanguageModelDetails | None = None
    serialization: dict[str, SerializationDetails] = {}
    tasks: dict[str, TaskDetails] = {}
    unlearning: UnlearningDetails | None = None
    fine_tuning: list[FineTuningDetails] = []
    comparison: ComparisonDetails | None = None
    not_estimable: list[Any] = []
    durations_s: dict[str, float] = {}
    command: str | None = None
    smoke: bool = False


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Everything a report may say about a run.

    `predictions` maps the path of each Parquet file to its number of rows, None where the file cannot be read;
    `families` the template families that were scored, by template set and attribute, as far as the scores were kept;
    `curve` holds the logged steps of unlearning; `spec_text` is the run's YAML as it was written, if it is there.
    `frontiers` say what group thresholds could trade, where scores are known.
    """

    path: Path
    results: ResultsFile
    details: RunDetails
    curve: tuple[Mapping[str, Any], ...]
    predictions: Mapping[str, int | None]
    families: Mapping[tuple[str, str], frozenset[str]]
    frontiers: tuple[FrontierRecord, ...]
    spec_text: str | None

    @property
    def name(self) -> str:
        return self.details.title or self.details.name or self.path.resolve().name

    @property
    def seed(self) -> int | None:
        """The seed of the run's spec, None where no spec was kept."""
        try:
            spec = yaml.safe_load(self.spec_text) if self.spec_text else None
        except yaml.YAMLError:
            return None
        seed = spec.get("seed", 0) if isinstance(spec, dict) else None
        return seed if isinstance(seed, int) else None


def load_run(run_dir: Path) -> RunRecord:
    """Read a finished run.

    Raises
    ------
    BadInput
        The directory or ``results.json`` is absent, or a file in it does not follow its contract.
    Incomplete
        The run left predictions but stopped before ``results.json``: the same command resumes it.
    """
    if not run_dir.is_dir():
        raise BadInput("no such run directory", place=str(run_dir), fix="name a directory that `equiray run` wrote")
    results_path = run_dir / "results.json"
    prediction_files = sorted(run_dir.glob("predictions/**/*.parquet"))
    if not results_path.is_file():
        _refuse_without_results(run_dir, len(prediction_files))
    details_path, spec_path, frontiers_path = (run_dir / name for name in ("details.json", "spec.yaml", FRONTIERS_NAME))
    return RunRecord(
        path=run_dir,
        results=read_json(results_path, ResultsFile),
        details=read_json(details_path, RunDetails) if details_path.is_file() else RunDetails(),
        curve=_read_curve(run_dir / "unlearning" / "curve.jsonl"),
        predictions={file.relative_to(run_dir).as_posix(): _rows(file) for file in prediction_files},
        families=_families(run_dir / "intrinsic"),
        frontiers=tuple(read_json(frontiers_path, FrontiersFile).frontiers) if frontiers_path.is_file() else (),
        spec_text=spec_path.read_text(encoding="utf-8", errors="replace") if spec_path.is_file() else None,
    )


def _refuse_without_results(run_dir: Path, n_prediction_files: int) -> None:
    if n_prediction_files:
        raise Incomplete(
            f"the run in {run_dir} stopped before its results: {n_prediction_files} prediction file(s) are there, "
            "results.json is not\n  fix:   repeat the `equiray run` command with the same --out; finished work is kept"
        )
    raise BadInput(
        "no results.json in this directory", place=str(run_dir), fix="name a directory that `equiray run` has finished"
    )


def read_json(path: Path, model: type[_Model]) -> _Model:
    """A file of a run as the model that is its contract.

    Raises
    ------
    BadInput
        It cannot be read, or does not follow the contract: names up to five places in it.
    """
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", place=str(path), fix="make the file readable") from error
    except ValidationError as error:
        found = [f"{'.'.join(map(str, item['loc'])) or 'document'}: {item['msg']}" for item in error.errors()[:5]]
        raise BadInput(
            f"the file does not follow its contract: {'; '.join(found)}",
            place=str(path),
            fix="restore the file as the run wrote it, or repeat the run (finished predictions are kept)",
        ) from error


def _read_curve(path: Path) -> tuple[Mapping[str, Any], ...]:
    if not path.is_file():
        return ()
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    steps: list[Mapping[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        try:
            step = json.loads(line)
            if not isinstance(step["step"], int):
                raise TypeError
            steps.append(step)
        except (ValueError, TypeError, KeyError) as error:
            if number == len(lines):
                break  # a killed run may leave half a last line; what stands before it is whole
            place = f"{path}, line {number}"
            raise BadInput("not a logged step", place=place, fix="delete that line, then report again") from error
    return tuple(steps)


def _rows(path: Path) -> int | None:
    try:
        return pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowException):
        return None


def _families(folder: Path) -> dict[tuple[str, str], frozenset[str]]:
    """Read from the scores of every stage and fold, ``{templates}.{attribute}.{stage}.fold{i}.parquet``."""
    found: dict[tuple[str, str], frozenset[str]] = {}
    for file in sorted(folder.glob("*.*.*.fold*.parquet")):
        templates, attribute = file.name.split(".")[:2]
        try:
            names = pq.read_table(file, columns=["family"])["family"].to_pylist()
        except (OSError, pa.ArrowException, KeyError):
            return {}  # without one fold the number would be too small
        found[templates, attribute] = found.get((templates, attribute), frozenset()) | frozenset(map(str, names))
    return found
