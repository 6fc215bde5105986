"""A sweep of FairNet, planned: rows, states and base made once, and figures of any point on any split."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from equiray import __version__
from equiray.data.schema import MISSING_GROUP, SPLITS
from equiray.errors import BadInput
from equiray.metrics.fronts import Replicated
from equiray.metrics.intervals.limits import Interval
from equiray.mitigation.fairnet import Layers, LowerStates
from equiray.mitigation.gating.choice import choose
from equiray.mitigation.gating.outcomes import GatedOutcomes
from equiray.models.backbones import Backbone, load_backbone
from equiray.models.token_counter import TokenCounter
from equiray.runs.directory import RunDirectory
from equiray.runs.fairnet.checks import check_backbone, check_tasks
from equiray.runs.fairnet.kinds import check_kinds
from equiray.runs.fairnet.lower import TaskStates
from equiray.runs.fairnet.planning import plan_task
from equiray.runs.fairnet.seed import Seed
from equiray.runs.fairnet.vulnerable import FEWEST_ROWS
from equiray.runs.search.fairnet import FairNetStudy, StateArrays, outcomes_of
from equiray.runs.search.gated import (
    People,
    as_it_is,
    figures_at,
    group_frontier,
    limits_of_points,
    replicated,
    shut,
    swept,
)
from equiray.runs.search.kinds import About
from equiray.runs.search.points import BASE, Arrays, Point
from equiray.search.storage import Storage
from equiray.specs.documents import as_bad_input
from equiray.specs.fairnet import FairNetSpec
from equiray.specs.sweep import RangeSpec, SweepSpec


@dataclass(frozen=True, kw_only=True)
class PlannedFairNet:
    """See `kinds.Planned`."""

    study: FairNetStudy
    about: About

    @property
    def base(self) -> Mapping[str, float]:
        """Of the base on validation rows."""
        return self.study.base_figures

    @property
    def gates(self) -> tuple[str, ...]:
        """Those with a free threshold."""
        return tuple(self.study.vulnerable)

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is reported of every point: objectives, then what constraints are on."""
        return self.study.spec.metrics

    def usual(self, arrays: Arrays) -> tuple[float, ...]:
        """Thresholds as a FairNet run chooses them on validation rows."""
        run = self.study.spec.with_settings({})
        assert isinstance(run, FairNetSpec)
        outcomes = outcomes_of(self.study, "validation", arrays)
        sweep = swept(outcomes, self.study.steering, fewest_rows=FEWEST_ROWS)
        return choose(sweep, run.threshold).thresholds

    def figures(self, split: str, points: Sequence[Point], arrays: Mapping[int, Arrays]) -> list[dict[str, float]]:
        """Every figure of points on a split's rows, the share of open gates among them."""
        return [figures_at(*decided, self.study.steering) for decided in self._decided(split, points, arrays)]

    def replicated(self, points: Sequence[Point], arrays: Mapping[int, Arrays]) -> Replicated:
        """Test rows are resampled for all points alike."""
        decided = list(self._decided("test", points, arrays))
        return replicated(self.study.spec, decided, self.study.steering, self.metrics)

    def limits(
        self,
        points: Sequence[Point],
        arrays: Mapping[int, Arrays],
        replicated: Replicated,
        confidence: float,
        pairs: Sequence[tuple[int, int]] | None = None,
    ) -> Interval:
        """From counts, as far as resamples say that they must reach."""
        decided = list(self._decided("test", points, arrays))
        return limits_of_points(decided, self.study.steering, self.metrics, replicated, confidence, pairs)

    def frontier(self, arrays: Mapping[str, Mapping[int, Arrays]]) -> Mapping[str, Any] | None:
        """A threshold for each group on the base's scores."""
        study = self.study
        score = {split: found[BASE]["score"] for split, found in arrays.items()}
        return group_frontier(study.spec, study.people, score, study.steering)

    def _decided(
        self, split: str, points: Sequence[Point], arrays: Mapping[int, Arrays]
    ) -> Iterator[tuple[GatedOutcomes, Sequence[float]]]:
        for point in points:
            if point.trial == BASE:
                outcomes = as_it_is(self.study.people[split], arrays[BASE]["score"])
                yield outcomes, shut(outcomes)
            else:
                outcomes = outcomes_of(self.study, split, arrays[point.trial])
                yield outcomes, point.free or shut(outcomes)


def plan_fairnet_sweep(spec: SweepSpec, directory: RunDirectory, storage: Storage) -> PlannedFairNet:
    """Read the task, run the frozen layers, and train the base, unless an earlier part has.

    Raises
    ------
    BadInput
        As a FairNet run; or the spec has several tasks or seeds, or groups that are not known.
    """
    run = spec.with_settings({})
    assert isinstance(run, FairNetSpec)
    _check_one(spec, run)
    backbone = load_backbone(run.backbone)
    check_kinds(run, backbone, None)
    lowest = _lowest(spec, run, backbone)
    task = plan_task(run.tasks[0], run, TokenCounter(tokenizer=backbone.tokenizer) if backbone.tokenizer else None)
    check_tasks([task], run)
    directory.hold_inputs({"equiray": __version__, "backbone": backbone.identity, "data": task.examples.source_sha256})
    states = TaskStates(task, backbone, lowest, directory)
    lower = states.all
    if not isinstance(lower, LowerStates):
        raise BadInput(
            f"no layer of {run.backbone.source} is frozen, so every trial would run all of it",
            place="run.backbone.frozen_layers",
            fix="freeze at least one layer",
        )
    seed = Seed(states, run.seeds[0], run.vulnerable, run, directory)
    base = seed.base
    rows = {split: task.rows(split) for split in SPLITS}
    people = {
        split: People(split=split, label=task.examples.label[places], groups=task.grouped(places))
        for split, places in rows.items()
    }
    groups = {gate: task.examples.attributes[gate][rows["train"]] for gate in task.gates}
    score = seed.predicted(base)["validation"]
    alone = as_it_is(people["validation"], score)
    study = FairNetStudy(
        spec=spec,
        people=people,
        states=StateArrays.of(lower),
        rows=rows,
        vulnerable={gate: names == seed.vulnerable[gate] for gate, names in groups.items()},
        grouped={gate: names != MISSING_GROUP for gate, names in groups.items()},
        groups=seed.vulnerable,
        base={name: p.detach().float().numpy() for name, p in base.trained().items()},
        steering=task.steering,
        base_figures=figures_at(alone, shut(alone), task.steering),
        storage=storage,
    )
    return PlannedFairNet(
        study=study,
        about=About(
            title=task.name,
            attribute=task.steering,
            rows={split: len(places) for split, places in rows.items()},
            unit="row",
            source=task.about.source,
            source_sha256=task.examples.source_sha256,
            licence=task.about.licence,
            warnings=tuple(task.examples.warnings),
        ),
    )


def _check_one(spec: SweepSpec, run: FairNetSpec) -> None:
    for place, count, fix in (
        ("run.tasks", len(run.tasks), "leave one: a sweep is of one task"),
        ("run.seeds", len(run.seeds), "leave one, and repeat the sweep with another: trials are compared on one base"),
    ):
        if count > 1:
            raise BadInput(f"{count} of them, where a sweep has one", place=place, fix=fix)
    named = [run, *(_with(spec, settings, f"known.{name}") for name, settings in spec.known.items())]
    if (
        any(each.detector.regime != "full" or each.adapter.augmentation for each in named)
        or {"detector.regime", "adapter.augmentation"} & spec.space.keys()
    ):
        raise BadInput(
            "trials know the groups of all rows and are trained without twins",
            place="run, space or known: detector.regime, adapter.augmentation",
            fix="leave the regime `full` and augmentation off; a FairNet run (`equiray run`) has the others",
        )


def _lowest(spec: SweepSpec, run: FairNetSpec, backbone: Backbone) -> FairNetSpec:
    """The settings that may be tried whose cached layer is the lowest; each must be possible.

    Raises
    ------
    BadInput
        One is not: an adapter would begin below its detector, or a layer above the backbone's last.
    """
    keys = [key for key in ("detector.layer", "adapter.first_layer") if key in spec.space]
    combinations = itertools.product(*(_values(spec.space[key]) for key in keys))
    tried = [_with(spec, dict(zip(keys, values, strict=True)), "space") for values in combinations]
    tried += [_with(spec, settings, f"known.{name}") for name, settings in spec.known.items()]
    for each in tried:
        check_backbone(backbone, each)
    return min([run, *tried], key=lambda each: Layers.of(each, backbone.depth).cached)


def _with(spec: SweepSpec, settings: Mapping[str, Any], place: str) -> FairNetSpec:
    try:
        found = spec.with_settings(settings)
    except ValidationError as error:
        said = ", ".join(f"{key} {value}" for key, value in settings.items())
        raise as_bad_input(error, f"{place}: {said}", "combination", "take out one of the two") from error
    assert isinstance(found, FairNetSpec)
    return found


def _values(among: RangeSpec | tuple[Any, ...]) -> Sequence[Any]:
    return range(int(among.low), int(among.high) + 1) if isinstance(among, RangeSpec) else among
