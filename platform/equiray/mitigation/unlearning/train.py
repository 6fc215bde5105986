"""`unlearn`: train a causal LM until its filler probabilities are even (arXiv 2509.16462), and keep what was trained.

Notable: one forward a step serves all answers of all prompts and the reference texts, without padding
(`batches`); the original model's predictions cost a product with the head, not a forward, because its last hidden
states are kept; every draw comes from (seed, fold, step), so a run that is killed resumes exactly.
"""

from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from equiray.data.reference import ReferenceTexts
from equiray.data.templates import Fillers, Prompt
from equiray.errors import BadInput, writing
from equiray.mitigation.unlearning.adapters import RECORD, trainable
from equiray.mitigation.unlearning.diagnostics import PERPLEXITY_BUDGET, CurvePoint, Health, Monitor, warnings_of
from equiray.mitigation.unlearning.losses import Terms
from equiray.mitigation.unlearning.objective import Objective, Originals, gradient_cosine
from equiray.mitigation.unlearning.results import UnlearnResult, finished, point_of, progress_line, training_digest
from equiray.models.loading import CausalLM
from equiray.models.training.adapters import Trainable, save_adapter
from equiray.models.training.checkpoints import ADAPTER
from equiray.models.training.course import Course
from equiray.models.training.schedule import Schedule
from equiray.models.tree_attention import tree_attention
from equiray.specs.run import UnlearningSpec

Say = Callable[[str], None]


def unlearn(
    lm: CausalLM,
    train_prompts: Sequence[Prompt],
    validation_prompts: Sequence[Prompt],
    fillers: Fillers,
    reference: ReferenceTexts,
    spec: UnlearningSpec,
    out_dir: Path,
    *,
    seed: int,
    fold: int | None = None,
    say: Say | None = None,
) -> UnlearnResult:
    """Unlearn the stereotype that prompts measure, and keep the model's other predictions in place.

    Parameters
    ----------
    lm : CausalLM
        Has its own weights again afterwards.
    train_prompts, validation_prompts : sequences of Prompt
        Of disjoint families, as `build_prompts` orders them; neutral ones join the gap term only.
    fillers : Fillers
        The answers; `TemplateSet.fillers`.
    reference : ReferenceTexts
        Split once more here: one part serves the KL term, the other the watched perplexity, which chooses the
        checkpoint; so keep those of a reported perplexity out of it.
    spec : UnlearningSpec
    out_dir : Path
        Gets ``curve.jsonl`` and ``checkpoints/`` while training, ``adapter/`` and ``result.json`` at its end. The
        directory of a killed run is resumed, that of a finished one read.
    seed : int
    fold : int, optional
        Names the fold in the curve, and enters every draw.
    say : callable, optional
        Gets one line of text at each measurement.

    Raises
    ------
    BadInput
        No prompts, or `out_dir` holds another training.
    Incomplete
        The disk is full or not writable: the same call goes on from the last checkpoint.
    """
    course = unlearning(lm, train_prompts, validation_prompts, fillers, reference, spec, out_dir, seed=seed, fold=fold)
    while True:
        try:
            point = next(course)
        except StopIteration as end:
            return end.value
        if say is not None:
            say(progress_line(point, spec.steps))


def unlearning(
    lm: CausalLM,
    train_prompts: Sequence[Prompt],
    validation_prompts: Sequence[Prompt],
    fillers: Fillers,
    reference: ReferenceTexts,
    spec: UnlearningSpec,
    out_dir: Path,
    *,
    seed: int,
    fold: int | None = None,
    known: Originals | None = None,
) -> Generator[CurvePoint, None, UnlearnResult]:
    """`unlearn`, one measurement after the other; the result is what the generator returns.

    `known` remembers what the original model predicts on reference texts, for further trainings that start from it.

    `lm` has its own weights again when the generator has ended or is closed. A training that is closed early leaves its
    last checkpoint, from which the same call goes on.
    """
    if not train_prompts or not any(prompt.side != "neutral" for prompt in validation_prompts):
        raise BadInput(
            "unlearning needs training prompts, and validation prompts that name a group",
            place="unlearning",
            fix="keep at least one template family in each",
        )
    run = training_digest(lm, train_prompts, validation_prompts, reference, spec, seed, fold)
    if (done := finished(out_dir, run)) is not None:
        return done
    with writing(out_dir):
        out_dir.mkdir(parents=True, exist_ok=True)
    kl_texts, watched = reference.split(seed)
    monitor = Monitor.of(
        validation_prompts,
        fillers,
        watched.texts,
        limits=(spec.validation_prompts, spec.validation_texts),
        seed=seed,
    )
    with trainable(lm, spec, seed) as model, tree_attention(model.lm.model):
        objective = Objective.of(model.lm, train_prompts, fillers, kl_texts.texts, spec, (seed, fold or 0), known)
        training = _Training(model, objective, monitor, spec, out_dir, run, fold)
        return (yield from training.points())


class _Training:
    """One training: its place in the schedule, its best checkpoint, its curve."""

    def __init__(
        self,
        model: Trainable,
        objective: Objective,
        monitor: Monitor,
        spec: UnlearningSpec,
        out_dir: Path,
        run: str,
        fold: int | None,
    ) -> None:
        self.model, self.objective, self.monitor, self.spec = model, objective, monitor, spec
        self.fold = fold
        self.before: Health | None = None
        schedule = Schedule(
            learning_rate=spec.learning_rate,
            warmup_steps=spec.warmup_steps,
            steps=spec.steps,
            time_budget_s=spec.time_budget_s,
        )
        self.course = Course(model, schedule, out_dir, run, write=CurvePoint.to_json, read=point_of)

    def points(self) -> Generator[CurvePoint, None, UnlearnResult]:
        self.before = self._measure()
        step = self.course.resume()
        while True:
            terms = self.objective.terms(self.model.lm, step)
            last = self.course.is_over(step)
            if self.course.is_due(step, self.spec.log_every, last=last):
                yield self._log(step, terms)
            if last:
                return self._finish(step)
            self._update(terms, step)
            step += 1

    def _update(self, terms: Terms, step: int) -> None:
        self.objective.loss(terms).backward()
        self.course.update(step)

    def _log(self, step: int, terms: Terms) -> CurvePoint:
        assert self.before is not None
        cosine = gradient_cosine(terms, list(self.model.parameters.values()))
        health = self._measure() if step else self.before
        gaps = [*(point.validation_gap for point in self.course.curve), health.gaps.absolute]
        point = CurvePoint(
            step=step,
            fold=self.fold,
            loss=self.objective.loss(terms).item(),
            **{name: term.item() for name, term in terms._asdict().items()},
            gradient_cosine=cosine,
            validation_gap=health.gaps.absolute,
            validation_gap_signed=health.gaps.signed,
            validation_gap_counterfactual=health.gaps.counterfactual,
            perplexity=health.perplexity,
            seconds=round(self.course.seconds(), 3),
            warnings=warnings_of(self.before, health, gaps, cosine),
        )
        self.course.add(point, best=self._is_best(point))
        return point

    def _measure(self) -> Health:
        with self.model.measuring() as lm:
            return self.monitor.check(lm)

    def _is_best(self, point: CurvePoint) -> bool:
        assert self.before is not None
        curve = self.course.curve
        if self.spec.keep == "last":
            return bool(curve)
        if not curve or point.perplexity > PERPLEXITY_BUDGET * self.before.perplexity:
            return False
        return point.validation_gap < next(p.validation_gap for p in curve if p.step == self.course.best_step)

    def _finish(self, step: int) -> UnlearnResult:
        course = self.course
        by, adapter = course.schedule.stopped_by(step), course.out_dir / ADAPTER
        result = UnlearnResult(adapter=adapter, curve=tuple(course.curve), best_step=course.best_step, stopped_by=by)
        document = {
            "run": course.run,
            "base_identity": self.model.lm.identity,
            "base_name": self.model.lm.name,
            "settings": self.spec.model_dump(mode="json"),
            **result.to_json(),
        }
        save_adapter(adapter, self.model.lora, course.best, document, RECORD)
        course.close(document)
        return result
