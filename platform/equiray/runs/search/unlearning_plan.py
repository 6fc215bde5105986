"""A sweep of unlearning, planned: template families dealt, the original model read, and figures of its adapters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from safetensors.numpy import load_file, save_file

from equiray import __version__
from equiray.data.reference import load_reference
from equiray.data.templates import build_prompts
from equiray.errors import BadInput
from equiray.metrics.fronts import GAPS, Replicated, limits, replicated_gaps, replicated_perplexity, side_by_side
from equiray.metrics.intervals.limits import Interval
from equiray.models.loading import load_causal_lm
from equiray.runs.directory import RunDirectory
from equiray.runs.search.kinds import About
from equiray.runs.search.points import BASE, Arrays, Point
from equiray.runs.search.unlearning import Texts, UnlearningStudy, figures_of, filler_scores, said_of
from equiray.runs.unlearning import UnlearningPlan, plan_unlearning
from equiray.search.storage import Storage
from equiray.specs.run import RunSpec
from equiray.specs.sweep import SweepSpec

_PERPLEXITY = "perplexity_ratio"


@dataclass(frozen=True, kw_only=True)
class PlannedUnlearning:
    """See `kinds.Planned`."""

    study: UnlearningStudy
    about: About

    @property
    def base(self) -> Mapping[str, float]:
        """Of the original model on validation texts."""
        base = self.study.base
        return {name: float(value[0]) for name, value in figures_of(self.study, "validation", base, base).items()}

    @property
    def gates(self) -> tuple[str, ...]:
        """None: nothing of an adapter is free."""
        return ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is reported of every point: objectives, what constraints are on, and whether the bias is inverted."""
        return tuple(dict.fromkeys([*self.study.spec.metrics, "intrinsic_gap_signed"]))

    def usual(self, arrays: Arrays) -> tuple[float, ...]:
        """Nothing of an adapter is free."""
        return ()

    def figures(self, split: str, points: Sequence[Point], arrays: Mapping[int, Arrays]) -> list[dict[str, float]]:
        """Figures of adapters on a split's prompts and texts."""
        found = (figures_of(self.study, split, arrays[point.trial], arrays[BASE]) for point in points)
        return [{metric: float(value[0]) for metric, value in each.items()} for each in found]

    def replicated(self, points: Sequence[Point], arrays: Mapping[int, Arrays]) -> Replicated:
        """Families are resampled for gaps and texts for perplexity, both for all points alike."""
        return replicated_texts(self.study, points, arrays, self.metrics)

    def limits(
        self,
        points: Sequence[Point],
        arrays: Mapping[int, Arrays],
        replicated: Replicated,
        confidence: float,
        pairs: Sequence[tuple[int, int]] | None = None,
    ) -> Interval:
        """From the resamples: gaps and perplexity are smooth in the sums that they are made of."""
        return Interval(*limits(replicated, confidence))

    def frontier(self, arrays: Mapping[str, Mapping[int, Arrays]]) -> None:
        """Gaps of fillers know no thresholds."""


def replicated_texts(
    study: UnlearningStudy, points: Sequence[Point], arrays: Mapping[int, Arrays], metrics: Sequence[str]
) -> Replicated:
    """Some of the gaps and the perplexity ratio of points, and in joint resamples of test prompts and texts."""
    draws = {"replicates": study.spec.statistics.replicates, "seed": study.spec.seed}
    scores = [filler_scores(study, "test", arrays[point.trial]) for point in points]
    by_attribute = [replicated_gaps(of, **draws) for of in zip(*scores, strict=True)]
    gaps = Replicated(
        values=np.mean([part.values for part in by_attribute], axis=0),
        replicates=np.mean([part.replicates for part in by_attribute], axis=0),
        units=by_attribute[0].units,
    )
    nll = np.stack([arrays[point.trial]["nll"] for point in points])
    perplexity = replicated_perplexity(nll, arrays[BASE]["tokens"], arrays[BASE]["nll"], **draws)
    return side_by_side([gaps, perplexity]).only([(*GAPS, _PERPLEXITY).index(metric) for metric in metrics])


def plan_unlearning_sweep(spec: SweepSpec, directory: RunDirectory, storage: Storage) -> PlannedUnlearning:
    """Deal the families, and read validation prompts with the original model, unless an earlier part has.

    Raises
    ------
    BadInput
        Templates, reference texts or model cannot be read; or there are folds, where a sweep has one.
    """
    run = spec.with_settings({})
    assert isinstance(run, RunSpec)
    if run.unlearning.folds > 1:
        raise BadInput(
            f"{run.unlearning.folds} folds, and a trial trains once",
            place="run.unlearning.folds",
            fix="leave it out: families are split into training, validation and test",
        )
    plan = plan_unlearning(run)
    _, held_out = load_reference(run.unlearning.reference).split(run.seed)
    _, watched = plan.reference.split(run.seed)
    attributes = run.unlearning.attributes
    wordings = run.intrinsic.variants_per_family if run.intrinsic else None
    chosen = {
        split: plan.templates.select(plan.folds[0][split], variants_per_family=wordings)
        for split in ("validation", "test")
    }
    prompts = {
        split: tuple((name, tuple(build_prompts(of, name))) for name in attributes) for split, of in chosen.items()
    }
    texts = {
        "validation": Texts(prompts=prompts["validation"], reference=watched),
        "test": Texts(prompts=prompts["test"], reference=held_out),
    }
    base = _base(run, texts["validation"], plan, directory)
    return PlannedUnlearning(
        study=UnlearningStudy(spec=spec, plan=plan, texts=texts, storage=storage, base=base),
        about=About(
            title=f"Unlearning on {plan.templates.name}",
            attribute=", ".join(attributes),
            rows={split: sum(len(of) for _, of in found) for split, found in prompts.items()},
            unit="template family",
            source=plan.templates.source,
            source_sha256=plan.templates.sha256,
            licence=None,
        ),
    )


def _base(run: RunSpec, texts: Texts, plan: UnlearningPlan, directory: RunDirectory) -> Arrays:
    """What the original model says of the validation texts."""
    file = directory.path / "validation" / "base.safetensors"
    if not file.is_file():
        with directory.step("the original model on validation prompts"):
            lm = load_causal_lm(run.language_model.source, dtype="float32")
            directory.hold_inputs({"equiray": __version__, "model": lm.identity, "templates": plan.templates.sha256})
            said = said_of(lm, texts, plan)
            with directory.atomic("validation/base.safetensors") as scratch:
                save_file({name: np.ascontiguousarray(values) for name, values in said.items()}, scratch)
    return load_file(file)
