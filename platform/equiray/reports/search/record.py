"""``search.json`` as pydantic models: what a sweep leaves for its report (docs/contracts/search.md).

Notable: only trials that ran to their end may stand on a front; a document in which another does is refused.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, model_validator

from equiray.metrics.estimates import Estimate
from equiray.reports.fairnet.trainings import Figure, Part, Share, Threshold
from equiray.reports.run_directory import read_json
from equiray.reports.search.space import Setting

SEARCH_NAME = "search.json"

Status = Literal["done", "stopped", "infeasible", "failed"]


class Rows(Part):
    """Of the split that chose the front, and of the one that it was evaluated on; of unlearning, prompts."""

    validation: int = Field(ge=0)
    test: int = Field(ge=0)


class Objective(Part):
    """What is traded; `reference` is its coordinate of the hypervolume's reference point."""

    metric: str
    direction: Literal["higher", "lower"]
    reference: float


class Constraint(Part):
    """`killed` counts the trials that broke it, alone or with others."""

    name: str
    metric: str
    min: Figure
    max: Figure
    killed: int = Field(ge=0)


class Algorithm(Part):
    """What suggested settings; `startup` of the `trials` asked for were drawn at random."""

    name: Literal["tpe", "nsga2", "random", "grid"]
    why: str
    startup: int = Field(ge=0)
    trials: int = Field(ge=1)


class Trial(Part):
    """One training; `values` are those of its own best compromise on validation, `points` how many it offers."""

    number: int = Field(ge=0)
    origin: Literal["known", "start", "suggested", "grid"]
    name: str | None
    settings: dict[str, JsonValue]
    status: Status
    reason: str | None
    values: dict[str, Figure] | None
    points: int = Field(ge=0)
    hypervolume: Figure
    seconds: float = Field(ge=0)
    started_s: float = Field(ge=0)
    worker: str | None


class Reading(Part):
    """A figure on test; its limits hold together with those of every other configuration and objective."""

    value: Figure
    low: Figure
    high: Figure


class Configuration(Part):
    """A point of the front, or what it is held against; `trial` is null where nothing was trained for it.

    `stability` is the share of joint resamples of the test split in which the point stays non-dominated.
    """

    id: str
    trial: int | None
    name: str | None
    settings: dict[str, JsonValue]
    thresholds: dict[str, Threshold]
    open: Share
    validation: dict[str, Figure]
    test: dict[str, Reading]
    stability: Share


class Frontier(Part):
    """What thresholds of its own for each group do with the base's scores, on test."""

    title: str
    points: list[dict[str, Figure]]


class Hypervolume(Part):
    """Of the front; `curve` pairs a number of trials with the hypervolume on validation of all points until then."""

    validation: float
    test: Reading | None
    curve: list[tuple[int, float]]


class Importance(Part):
    key: str
    share: float = Field(ge=0, le=1)


class Cost(Part):
    """Of all trials, of the sweep from its start to its end, and what trials that were stopped early did not take."""

    seconds: float = Field(ge=0)
    wall_seconds: float = Field(ge=0)
    stopped_seconds_saved: float | None


class SearchFile(Part):
    """``search.json``."""

    schema_: Literal["equiray.search/1"] = Field(alias="schema")
    name: str
    smoke: bool
    kind: Literal["fairnet", "unlearning", "combined"]
    task: str
    attribute: str | None
    rows: Rows
    seed: int
    confidence: float = Field(gt=0, lt=1)
    objectives: list[Objective] = Field(min_length=2)
    constraints: list[Constraint]
    algorithm: Algorithm
    space: list[Setting] = Field(min_length=1)
    trials: list[Trial]
    front: list[Configuration]
    beside: list[Configuration]
    frontier: Frontier | None
    hypervolume: Hypervolume
    importance: list[Importance] | None
    cost: Cost
    warnings: list[str]
    estimates: list[Estimate]
    command: str
    durations_s: dict[str, float]
    source: str
    source_sha256: str
    licence: str | None

    @model_validator(mode="after")
    def _front_holds(self) -> "SearchFile":
        _refuse_twice("objectives", (objective.metric for objective in self.objectives))
        _refuse_twice("space", (setting.key for setting in self.space))
        _refuse_twice("trials", (trial.number for trial in self.trials))
        _refuse_twice("front and beside", (point.id for point in (*self.front, *self.beside)))
        for point in (*self.front, *self.beside):
            for objective in self.objectives:
                if objective.metric not in point.validation or objective.metric not in point.test:
                    raise ValueError(f"`{point.id}` has no validation and test figure of `{objective.metric}`")
        status = {trial.number: trial.status for trial in self.trials}
        for point in self.front:
            if point.trial is None or status.get(point.trial) != "done":
                raise ValueError(f"`{point.id}` of the front is of trial {point.trial}, which did not run to its end")
        return self

    @property
    def ordered_front(self) -> list[Configuration]:
        """Along the first objective as validation has it, the best first."""
        first = self.objectives[0]
        sign = -1 if first.direction == "higher" else 1
        return sorted(self.front, key=lambda point: sign * (point.validation[first.metric] or 0.0))

    @property
    def evaluated_trials(self) -> set[int]:
        """Numbers of the trials that were read on test rows: those of the front, and of what stands beside it."""
        return {point.trial for point in (*self.front, *self.beside) if point.trial is not None}

    @property
    def front_trials(self) -> set[int]:
        """Numbers of the trials with a point on the front."""
        return {point.trial for point in self.front if point.trial is not None}

    def against(self, name: str) -> Configuration | None:
        """The configuration of that name that the front is held against: ``base``, ``untuned``, a known one."""
        return next((point for point in self.beside if point.name == name), None)

    def of_status(self, *statuses: Status) -> list[Trial]:
        """The trials that ended so."""
        return [trial for trial in self.trials if trial.status in statuses]


def is_search(run_dir: Path) -> bool:
    """Whether a directory was left by a sweep."""
    return (run_dir / SEARCH_NAME).is_file()


def load_search(run_dir: Path) -> SearchFile:
    """Read what a sweep left for its report.

    Raises
    ------
    BadInput
        The file cannot be read or does not follow its contract: names the place in it, what is wrong, and the fix.
    """
    return read_json(run_dir / SEARCH_NAME, SearchFile)


def _refuse_twice(where: str, names: Iterable[str | int]) -> None:
    seen: set[str | int] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{where}: {name!r} stands there twice")
        seen.add(name)
