"""The YAML of a sweep: what is searched, by what it is judged, and what it may cost."""

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from equiray.specs.documents import Document, as_bad_input, read_mapping
from equiray.specs.fairnet import FairNetSpec
from equiray.specs.goals import METRICS, ConstraintSpec, Direction, Kind, ObjectiveSpec
from equiray.specs.run import RunSpec, StatisticsSpec, apply_overrides
from equiray.specs.space import Among, RangeSpec, levels_of

Algorithm = Literal["tpe", "nsga2", "random", "grid"]
Settings = Mapping[str, Any]

_SMALL = 50
"""Trials up to which TPE is taken: NSGA-II's population is as large, so with fewer trials it only draws at random."""

_SEARCHED: Mapping[Kind, tuple[str, ...]] = {
    "fairnet": ("detector.", "adapter."),
    "unlearning": ("unlearning.",),
    "combined": ("unlearning.",),
}
"""What a trial may change; the rest is made once for all trials."""


class SearchSpec(Document):
    """What suggests settings, and for how many trials."""

    algorithm: Literal["auto", "tpe", "nsga2", "random", "grid"] = "auto"
    trials: int = Field(default=30, ge=1)
    startup: int = Field(default=8, ge=0, description="trials drawn at random before TPE learns from any")
    learns_from: Literal["hypervolume", "front"] = Field(
        default="hypervolume",
        description="where one trial has a front of its own: the hypervolume beyond the reference that it covers, or "
        "each of its points",
    )
    stop_hopeless: bool = Field(
        default=False,
        description="end a trial that, half way, is worse in every objective than a third of the finished ones were "
        "there",
    )

    @property
    def chosen(self) -> Algorithm:
        """The algorithm; by the budget where none is named."""
        if self.algorithm != "auto":
            return self.algorithm
        return "tpe" if self.trials <= _SMALL else "nsga2"

    @property
    def why(self) -> str:
        """Why that one."""
        if self.algorithm != "auto":
            return "named in the spec"
        return f"{self.trials} trials: {'no more than' if self.trials <= _SMALL else 'more than'} {_SMALL}"


class ResourcesSpec(Document):
    """What a trial takes of the cluster; as many run at once as fit."""

    cpus: float = Field(default=1, gt=0)
    gpus: float = Field(default=0, ge=0, description="parts of one are allowed")
    at_once: int | None = Field(default=None, ge=1, description="trials at a time, at most")
    retries: int = Field(default=1, ge=0, description="how often a trial whose worker died is begun again")


class SweepSpec(Document):
    """One YAML = one sweep."""

    schema_: Literal["equiray.sweep/1"] = Field(alias="schema")
    name: str
    kind: Kind
    seed: int = Field(default=0, ge=0, description="of what is suggested; trainings have the seed of `run`")
    run: dict[str, Any] = Field(description="the spec that is searched around: of a FairNet run or an evaluation")
    space: dict[str, Among] = Field(description="key of `run` -> its range, or its choices")
    objectives: tuple[ObjectiveSpec, ...] = Field(min_length=2, max_length=3)
    constraints: tuple[ConstraintSpec, ...] = ()
    known: dict[str, dict[str, Any]] = Field(
        default={"untuned": {}}, description="settings that are tried first and always read on test rows, by name"
    )
    search: SearchSpec = SearchSpec()
    resources: ResourcesSpec = ResourcesSpec()
    storage: str | None = Field(
        default=None, description="folder or URI (s3://, gs://) that every node reaches, for what trials leave"
    )
    statistics: StatisticsSpec = StatisticsSpec()

    @property
    def directions(self) -> list[Direction]:
        """Of the objectives."""
        return [each.direction for each in self.objectives]

    @model_validator(mode="after")
    def _is_a_search(self) -> "SweepSpec":
        self._check_metrics()
        self._check_settings("run", {})
        self._check_space()
        self._check_constraints()
        self._check_known()
        self._check_budget()
        return self

    def _check_metrics(self) -> None:
        offered = METRICS[self.kind]
        for place, of in (("objectives", self.objectives), ("constraints", self.constraints)):
            for number, each in enumerate(of):
                if each.metric not in offered:
                    raise ValueError(
                        f"`{place}.{number}.metric`: {each.metric!r} is not measured in a sweep of kind {self.kind}; "
                        f"name one of: {', '.join(offered)}"
                    )
        metrics = [each.metric for each in self.objectives]
        if len(set(metrics)) < len(metrics):
            raise ValueError("`objectives` names a metric twice")

    def _check_space(self) -> None:
        if not self.space:
            raise ValueError("`space` is empty: name at least one key of `run` with a range or choices")
        for key, among in self.space.items():
            self._check_searched(f"space.{key}", key)
            if not isinstance(among, RangeSpec) and (
                len(among) < 2 or any(choice in among[:place] for place, choice in enumerate(among))
            ):
                raise ValueError(f"`space.{key}` has the choices {list(among)}: name two or more different ones")
            for value in among.tried if isinstance(among, RangeSpec) else among:
                self._check_settings(f"space.{key}", {key: value})

    def _check_searched(self, place: str, key: str) -> None:
        if not key.startswith(_SEARCHED[self.kind]):
            raise ValueError(
                f"`{place}` cannot be searched: a trial of kind {self.kind} changes "
                f"{', '.join(part + '*' for part in _SEARCHED[self.kind])}; the rest is made once for all trials"
            )

    def _check_known(self) -> None:
        for name, settings in self.known.items():
            for key in settings:
                self._check_searched(f"known.{name}.{key}", key)
            self._check_settings(f"known.{name}", settings)

    def _check_budget(self) -> None:
        if self.search.trials < len(self.known):
            raise ValueError(
                f"`search.trials` is {self.search.trials}, and `known` names {len(self.known)} settings that are tried "
                "first: raise `trials`, or name fewer"
            )
        places = math.prod(len(levels_of(among)) for among in self.space.values())
        if self.search.chosen == "grid" and self.search.trials > places + len(self.known):
            raise ValueError(
                f"`search.trials` is {self.search.trials}, and the grid has {places} places beside {len(self.known)} "
                f"known settings: name {places + len(self.known)} at most"
            )

    def _check_constraints(self) -> None:
        names = [each.name for each in self.constraints]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"`constraints` has {name} twice: leave one")
        bounds: dict[str, list[float]] = {}
        for each in self.constraints:
            low, high = bounds.setdefault(each.metric, [-math.inf, math.inf])
            bounds[each.metric] = [
                max(low, -math.inf if each.min is None else each.min),
                min(high, math.inf if each.max is None else each.max),
            ]
        for metric, (low, high) in bounds.items():
            if low > high:
                raise ValueError(f"`constraints` contradict each other: {metric} cannot be ≥ {low:g} and ≤ {high:g}")

    def _check_settings(self, place: str, settings: Settings) -> None:
        try:
            self.with_settings(settings)
        except ValidationError as error:
            first = error.errors()[0]
            where = "".join(f"{part}: " for part in [".".join(map(str, first["loc"]))] if part)
            got = "" if isinstance(first["input"], dict) else f", got {first['input']!r:.80}"
            fix = "; write `whole: true`" if first["type"] == "int_from_float" else ""
            said = first["msg"].removeprefix("Value error, ")
            raise ValueError(f"`{place}`: {where}{said[:1].lower()}{said[1:]}{got}{fix}") from error

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those that objectives and then constraints are on, each once."""
        return tuple(dict.fromkeys(each.metric for each in (*self.objectives, *self.constraints)))

    def with_settings(self, settings: Settings) -> FairNetSpec | RunSpec:
        """The spec of one trial."""
        document = copy.deepcopy(self.run)
        for key, value in settings.items():
            *parents, last = key.split(".")
            node = document
            for parent in parents:
                if not isinstance(node.get(parent), dict):
                    node[parent] = {}
                node = node[parent]
            node[last] = value
        return (FairNetSpec if self.kind == "fairnet" else RunSpec).model_validate(document)

    def values_of(self, settings: Settings) -> dict[str, Any]:
        """Every searched key's value under some settings, the spec's own or its default where they name none."""
        document = self.with_settings(settings).model_dump(mode="json")
        found = {}
        for key in self.space:
            node: Any = document
            for part in key.split("."):
                node = node[part]
            found[key] = node
        return found

    def contains(self, values: Settings) -> bool:
        """Whether the space has these values of all its keys."""
        for key, among in self.space.items():
            value = values[key]
            if isinstance(among, RangeSpec):
                inside = value is not None and among.low <= value <= among.high
            else:
                inside = value in among
            if not inside:
                return False
        return True


def load_sweep_spec(path: Path, overrides: tuple[str, ...] = ()) -> SweepSpec:
    """Read and check a sweep's YAML, with ``key.path=value`` overrides applied first.

    Raises
    ------
    BadInput
        The file is absent or no YAML, a key is unknown, a value is out of range, the space is empty, an objective is
        not measured, or constraints contradict each other; names key and file.
    """
    document = read_mapping(path, "spec")
    apply_overrides(document, overrides)
    try:
        return SweepSpec.model_validate(document)
    except ValidationError as error:
        place = " ".join([str(path), *(f"--set {override}" for override in overrides)])
        raise as_bad_input(error, place, "spec") from error
