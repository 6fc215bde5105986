"""A sweep of unlearning and decisions, planned: prompts, rows as texts, and the original model with its classifier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from safetensors.numpy import load_file, save_file

from equiray.data.schema import ATTRIBUTE_PREFIX, SPLITS, Task
from equiray.data.tasks.load import load_task
from equiray.data.text import Serializer
from equiray.errors import BadInput
from equiray.metrics.fronts import Replicated, limits, side_by_side
from equiray.metrics.intervals.limits import Interval
from equiray.mitigation.gating.outcomes import GatedOutcomes
from equiray.models.classifiers import THRESHOLD
from equiray.models.loading import CausalLM, check_source, load_causal_lm
from equiray.models.logistic_store import load_logistic, save_logistic
from equiray.models.token_counter import TokenCounter
from equiray.runs.decisions import grouped, plan_counting
from equiray.runs.directory import RunDirectory
from equiray.runs.fairnet.tables import attributes_of
from equiray.runs.search.combined import (
    CLASSIFIER,
    SCORE,
    CombinedStudy,
    Fitted,
    Rows,
    figures_of_point,
    fit_on_embeddings,
)
from equiray.runs.search.gated import People, by_score, group_frontier, limits_of_points, replicated
from equiray.runs.search.kinds import About
from equiray.runs.search.points import BASE, Arrays, Point
from equiray.runs.search.unlearning_plan import plan_unlearning_sweep, replicated_texts
from equiray.runs.serializing import fit_serializer
from equiray.search.storage import Storage
from equiray.specs.goals import METRICS
from equiray.specs.run import RunSpec
from equiray.specs.sweep import SweepSpec

DECISION = "decision"
"""Name of the threshold that costs no trial."""

_OF_MODEL = (*METRICS["unlearning"], "intrinsic_gap_signed")
"""Read of prompts and texts: the same at every threshold."""


@dataclass(frozen=True, kw_only=True)
class PlannedCombined:
    """See `kinds.Planned`."""

    study: CombinedStudy
    about: About

    @property
    def base(self) -> Mapping[str, float]:
        """Of the original model on validation, deciding at .5."""
        return self.study.base_figures

    @property
    def gates(self) -> tuple[str, ...]:
        """The decision is positive where the score lies above its threshold."""
        return (DECISION,)

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is reported of every point: objectives, what constraints are on, and whether the bias is inverted."""
        return tuple(dict.fromkeys([*self.study.spec.metrics, "intrinsic_gap_signed"]))

    def usual(self, arrays: Arrays) -> tuple[float, ...]:
        """As an evaluation decides."""
        return (THRESHOLD,)

    def figures(self, split: str, points: Sequence[Point], arrays: Mapping[int, Arrays]) -> list[dict[str, float]]:
        """Every figure of points on a split's rows, prompts and texts; the share of positive decisions among them."""
        return [
            figures_of_point(self.study, split, arrays[point.trial], arrays[BASE], _threshold(point))
            for point in points
        ]

    def replicated(self, points: Sequence[Point], arrays: Mapping[int, Arrays]) -> Replicated:
        """Rows, families and texts are resampled, each for all points alike."""
        study, decided = self.study, self._decided(points, arrays)
        of_model = [metric for metric in self.metrics if metric in _OF_MODEL]
        of_rows = [metric for metric in self.metrics if metric not in _OF_MODEL]
        parts = [
            replicated(study.spec, decided, study.steering, of_rows),
            replicated_texts(study.unlearning, points, arrays, of_model),
        ]
        order = [*of_rows, *of_model]
        return side_by_side(parts).only([order.index(metric) for metric in self.metrics])

    def limits(
        self,
        points: Sequence[Point],
        arrays: Mapping[int, Arrays],
        replicated: Replicated,
        confidence: float,
        pairs: Sequence[tuple[int, int]] | None = None,
    ) -> Interval:
        """Of decisions from counts, of the model's gaps and perplexity from resamples; all hold at once."""
        of_rows = [place for place, metric in enumerate(self.metrics) if metric not in _OF_MODEL]
        asked = [self.metrics[place] for place in of_rows]
        low, high = limits(replicated, confidence)
        counted = limits_of_points(
            self._decided(points, arrays), self.study.steering, asked, replicated, confidence, pairs
        )
        low[:, of_rows], high[:, of_rows] = counted
        return Interval(low, high)

    def _decided(
        self, points: Sequence[Point], arrays: Mapping[int, Arrays]
    ) -> list[tuple[GatedOutcomes, tuple[float, ...]]]:
        """Decisions about test rows."""
        people = self.study.rows["test"].people
        return [(by_score(people, arrays[point.trial][SCORE]), (_threshold(point),)) for point in points]

    def frontier(self, arrays: Mapping[str, Mapping[int, Arrays]]) -> Mapping[str, Any] | None:
        """A threshold for each group on the original model's scores; None where an objective is not of decisions."""
        study = self.study
        people = {split: rows.people for split, rows in study.rows.items()}
        score = {split: found[BASE][SCORE] for split, found in arrays.items()}
        return group_frontier(study.spec, people, score, study.steering)


def _threshold(point: Point) -> float:
    return THRESHOLD if point.trial == BASE else point.free[0]


def plan_combined_sweep(spec: SweepSpec, directory: RunDirectory, storage: Storage) -> PlannedCombined:
    """Read the task, write its rows as text, and read them with the original model, unless an earlier part has.

    Raises
    ------
    BadInput
        As a sweep of unlearning; or there are several tasks, the model is an endpoint, no objective is of decisions,
        an objective that hopeless trials are to be told by is not known before a trial's end, or the table cannot be
        used.
    """
    run = spec.with_settings({})
    assert isinstance(run, RunSpec)
    check_spec(spec, run)
    task = load_task(run.tasks[0], run.seed)
    steering = attributes_of(run.tasks[0], task)[0]
    people = _people(task, run, steering)
    unlearning = plan_unlearning_sweep(spec, directory, storage)
    lm = load_causal_lm(run.language_model.source, dtype=run.language_model.dtype)
    directory.hold_inputs({"data": task.source_sha256, "model": lm.identity})
    with directory.step(f"{run.tasks[0].name}: rank features, write rows as text"):
        serializer = fit_serializer(task, run, TokenCounter(tokenizer=lm.tokenizer))
        rows = {split: Rows(people=people[split], texts=tuple(serializer.texts(task.split(split)))) for split in SPLITS}
    fitted = _base(run, lm, rows, directory)
    study = CombinedStudy(
        unlearning=unlearning.study,
        rows=rows,
        steering=steering,
        classifier=fitted.classifier,
        score=fitted.score,
    )
    return PlannedCombined(
        study=study,
        about=About(
            title=run.tasks[0].name,
            attribute=steering,
            rows={split: len(of.texts) for split, of in rows.items()},
            unit="row",
            source=task.schema.source,
            source_sha256=task.source_sha256,
            licence=task.schema.licence,
            warnings=(*task.schema.warnings, *_left_out(serializer)),
            others={metric: str(unlearning.about.attribute) for metric in _OF_MODEL if metric != "perplexity_ratio"},
        ),
    )


class _Refusal(NamedTuple):
    holds: bool
    problem: str
    place: str
    fix: str


def check_spec(spec: SweepSpec, run: RunSpec) -> None:
    """Raise BadInput for what a sweep of this kind cannot do, before anything is read."""
    model, objectives = run.language_model, [each.metric for each in spec.objectives]
    late = [metric for metric in objectives if metric not in METRICS["unlearning"]]
    refusals = (
        _Refusal(
            len(run.tasks) > 1,
            f"{len(run.tasks)} tasks, and a sweep is of one: {', '.join(task.name for task in run.tasks)}",
            "run.tasks",
            "leave one, and sweep the others by themselves",
        ),
        _Refusal(
            model.is_endpoint,
            f"an endpoint ({model.source}) can be asked, neither trained nor read for embeddings",
            "run.language_model.source",
            "name the model's hub id, directory or GGUF file",
        ),
        _Refusal(
            not late,
            f"no objective is of decisions: {', '.join(objectives)}",
            "objectives",
            "name one, accuracy say, or make it a sweep of kind unlearning",
        ),
        _Refusal(
            spec.search.stop_hopeless,
            f"no trial is hopeless before its end: only then is known {', '.join(late)}",
            "search.stop_hopeless",
            "leave it out, or make it a sweep of kind unlearning",
        ),
    )
    for refusal in refusals:
        if refusal.holds:
            raise BadInput(refusal.problem, place=refusal.place, fix=refusal.fix)
    check_source(model.source)


def _people(task: Task, run: RunSpec, steering: str) -> dict[str, People]:
    """Labels and groups of each split, groups as an evaluation counts them; raises BadInput where they are too many."""
    groups = plan_counting(run.tasks[0].model_copy(update={"attributes": (steering,)}), task).groups
    found = {}
    for split in SPLITS:
        rows = task.split(split)
        named = pa.table({name: rows[ATTRIBUTE_PREFIX + name] for name in steering.split("*")})
        found[split] = People(split=split, label=rows["label"].to_numpy(), groups=tuple(grouped(named, groups)))
    return found


def _left_out(serializer: Serializer) -> list[str]:
    dropped = [f"{each.feature} from {each.rows:,}" for each in serializer.dropped]
    return [f"over the budget of tokens, left out of rows: {', '.join(dropped)}"] if dropped else []


def _base(run: RunSpec, lm: CausalLM, rows: Mapping[str, Rows], directory: RunDirectory) -> Fitted:
    """The classifier on the original model's embeddings, and its scores of validation rows."""
    folder, name = directory.path / "base" / CLASSIFIER, "validation/base_score.safetensors"
    if not (directory.path / name).is_file():
        with directory.step(f"the original model on rows of {run.tasks[0].name}"):
            fitted = fit_on_embeddings(lm, rows, run.language_model.pooling)
            save_logistic(folder, fitted.classifier)
            with directory.atomic(name) as scratch:
                save_file({SCORE: np.ascontiguousarray(fitted.score)}, scratch)
    return Fitted(load_logistic(folder), load_file(directory.path / name)[SCORE])
