"""`unlearn`: train a causal LM until its filler probabilities are even (arXiv 2509.16462), and keep what was trained.

Notable: one forward a step serves all answers of all prompts and the reference texts, without padding
(`batches`); the original model's predictions cost a product with the head, not a forward, because its last hidden
states are kept; every draw comes from (seed, fold, step), so a run that is killed resumes exactly.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from equiray.data.reference import ReferenceTexts
from equiray.data.templates import Fillers, Prompt
from equiray.errors import BadInput, writing
from equiray.mitigation.unlearning.adapters import RECORD, trainable
from equiray.mitigation.unlearning.diagnostics import PERPLEXITY_BUDGET, CurvePoint, Health, Monitor, warnings_of
from equiray.mitigation.unlearning.losses import Terms
from equiray.mitigation.unlearning.objective import Objective, gradient_cosine
from equiray.mitigation.unlearning.results import UnlearnResult, finished, point_of, progress_line, training_digest
from equiray.models.loading import CausalLM
from equiray.models.training.adapters import Trainable, save_adapter
from equiray.models.training.checkpoints import (
    ADAPTER,
    CHECKPOINTS,
    CURVE,
    RESULT,
    Snapshot,
    load_checkpoint,
    moments_of,
    restore_moments,
    save_checkpoint,
    write_whole,
)
from equiray.models.training.schedule import Schedule, Stopwatch, update
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
        objective = Objective.of(model.lm, train_prompts, fillers, kl_texts.texts, spec, (seed, fold or 0))
        training = _Training(model, objective, monitor, spec, out_dir, run, fold)
        return training.run(say)


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
        self.out_dir, self.run_digest, self.fold = out_dir, run, fold
        self.optimizer = torch.optim.AdamW(model.parameters.values(), lr=spec.learning_rate, weight_decay=0.0)
        self.before: Health | None = None
        self.curve: list[CurvePoint] = []
        self.best_step, self.best = 0, model.weights()
        self.clock = Stopwatch()
        self.schedule = Schedule(
            learning_rate=spec.learning_rate,
            warmup_steps=spec.warmup_steps,
            steps=spec.steps,
            time_budget_s=spec.time_budget_s,
        )

    def run(self, say: Say | None) -> UnlearnResult:
        self.before = self._measure()
        step = self._resume()
        while True:
            terms = self.objective.terms(self.model.lm, step)
            last = self.schedule.progress(step, self.clock.seconds()) >= 1
            if (last or step % self.spec.log_every == 0) and not (self.curve and self.curve[-1].step == step):
                self._log(step, terms, say)
            if last:
                return self._finish(step)
            self._update(terms, step)
            step += 1

    def _update(self, terms: Terms, step: int) -> None:
        self.objective.loss(terms).backward()
        update(self.optimizer, self.model.parameters.values(), self.schedule.rate(step, self.clock.seconds()))

    def _log(self, step: int, terms: Terms, say: Say | None) -> None:
        assert self.before is not None
        cosine = gradient_cosine(terms, list(self.model.parameters.values()))
        health = self._measure() if step else self.before
        gaps = [*(point.validation_gap for point in self.curve), health.gaps.absolute]
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
            seconds=round(self.clock.seconds(), 3),
            warnings=warnings_of(self.before, health, gaps, cosine),
        )
        self._keep_if_best(point)
        self.curve.append(point)
        self._save(step)
        if say is not None:
            say(progress_line(point, self.spec.steps))

    def _measure(self) -> Health:
        with self.model.measuring() as lm:
            return self.monitor.check(lm)

    def _keep_if_best(self, point: CurvePoint) -> None:
        assert self.before is not None
        allowed = point.perplexity <= PERPLEXITY_BUDGET * self.before.perplexity
        gap = {known.step: known.validation_gap for known in self.curve}
        if self.curve and allowed and point.validation_gap < gap[self.best_step]:
            self.best_step, self.best = point.step, self.model.weights()

    def _save(self, step: int) -> None:
        state = {
            "run": self.run_digest,
            "step": step,
            "best_step": self.best_step,
            "seconds": self.clock.seconds(),
            "curve": [point.to_json() for point in self.curve],
        }
        moments = moments_of(self.optimizer, self.model.parameters)
        save_checkpoint(self.out_dir / CHECKPOINTS, Snapshot(state, self.model.weights(), moments, self.best))
        write_whole(self.out_dir / CURVE, "".join(json.dumps(point.to_json()) + "\n" for point in self.curve))

    def _resume(self) -> int:
        snapshot = load_checkpoint(self.out_dir / CHECKPOINTS, self.run_digest)
        if snapshot is None:
            return 0
        self.model.set_weights(snapshot.weights)
        restore_moments(self.optimizer, self.model.parameters, snapshot.moments)
        self.curve = [point_of(line) for line in snapshot.state["curve"]]
        self.best_step, self.best = snapshot.state["best_step"], dict(snapshot.best)
        self.clock.resume(snapshot.state["seconds"])
        return snapshot.state["step"]

    def _finish(self, step: int) -> UnlearnResult:
        by = self.schedule.stopped_by(step)
        adapter = self.out_dir / ADAPTER
        result = UnlearnResult(adapter=adapter, curve=tuple(self.curve), best_step=self.best_step, stopped_by=by)
        document = {
            "run": self.run_digest,
            "base_identity": self.model.lm.identity,
            "base_name": self.model.lm.name,
            "settings": self.spec.model_dump(mode="json"),
            **result.to_json(),
        }
        save_adapter(adapter, self.model.lora, self.best, document, RECORD)
        write_whole(self.out_dir / RESULT, json.dumps(document, indent=1))
        shutil.rmtree(self.out_dir / CHECKPOINTS, ignore_errors=True)
        return result
