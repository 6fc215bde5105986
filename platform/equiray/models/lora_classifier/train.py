"""`fine_tune`: teach a causal LM a task's question through LoRA adapters, and keep the best checkpoint (PEFT).

Notable: step 0 of every curve is zero-shot accuracy; by default the model answers in words (`equiray.models.answers`
says why), by letters a row's two orders of options are trained together; which rows a step sees is drawn from
(seed, epoch), its dropout from (seed, step), so a run that is killed resumes exactly.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equiray.errors import BadInput, writing
from equiray.models.answers import score_answers
from equiray.models.classifiers import THRESHOLD
from equiray.models.loading import CausalLM
from equiray.models.lora_classifier.apply import RECORD, adapted
from equiray.models.lora_classifier.loss import class_weights, loss_parts
from equiray.models.lora_classifier.results import FineTuneResult, Point, finished, progress_line
from equiray.models.lora_classifier.rows import LabelledPrompts, rows_of_step, training_digest
from equiray.models.training.adapters import Trainable, save_adapter
from equiray.models.training.checkpoints import (
    ADAPTER,
)
from equiray.models.training.course import Course, dropout_of_step
from equiray.models.training.schedule import Schedule
from equiray.models.tree_attention import tree_attention
from equiray.specs.run import LoraClassifierSpec

_SAY_EVERY_S = 30.0

Say = Callable[[str], None]


def fine_tune(
    lm: CausalLM,
    train: LabelledPrompts,
    validation: LabelledPrompts,
    spec: LoraClassifierSpec,
    out_dir: Path,
    *,
    people: int | None = None,
    seed: int,
    say: Say | None = None,
) -> FineTuneResult:
    """Fine-tune a language model to answer a task's question.

    Parameters
    ----------
    lm : CausalLM
        Has its own weights again afterwards.
    train : LabelledPrompts
        Counterfactual twins included, if there are any.
    validation : LabelledPrompts
        Chooses the checkpoint; leave it un-augmented.
    spec : LoraClassifierSpec
        `train_rows` and `validation_rows` are up to the caller.
    out_dir : Path
        Gets ``curve.jsonl`` and ``checkpoints/`` while training, ``adapter/`` and ``result.json`` at its end. The
        directory of a killed run is resumed, that of a finished one read.
    people : int, optional
        Training rows without twins, which `spec.epochs` counts; default: all.
    seed : int
    say : callable, optional
        Gets one line of text at each measurement, and now and then in between.

    Raises
    ------
    BadInput
        One class only in training, no validation rows, or `out_dir` holds another training.
    Incomplete
        The disk is full or not writable: the same call goes on from the last checkpoint.
    """
    if not len(validation.labels):
        fix = "take more rows, or check the column that splits them"
        raise BadInput("the validation split has no rows", place="fine-tuning", fix=fix)
    weights = class_weights(train.labels, spec.class_weights)
    run = training_digest(
        train, validation, lm=lm.identity, spec=spec.model_dump(mode="json"), people=people, seed=seed
    )
    if (done := finished(out_dir, run)) is not None:
        return done
    with writing(out_dir):
        out_dir.mkdir(parents=True, exist_ok=True)
    schedule = Schedule(
        learning_rate=spec.learning_rate,
        warmup_steps=spec.warmup_steps,
        steps=spec.steps or math.ceil(spec.epochs * (people or len(train.labels)) / spec.batch_rows),
        time_budget_s=spec.time_budget_s,
    )
    with adapted(lm, spec, seed) as model, tree_attention(model.lm.model):
        return _Training(model, train, validation, weights, schedule, spec, out_dir, run, seed).run(say)


class _Training:
    """One fine-tuning: its place in the schedule, its best checkpoint, its curve."""

    def __init__(
        self,
        model: Trainable,
        train: LabelledPrompts,
        validation: LabelledPrompts,
        weights: NDArray[np.float64],
        schedule: Schedule,
        spec: LoraClassifierSpec,
        out_dir: Path,
        run: str,
        seed: int,
    ) -> None:
        self.model, self.train, self.validation, self.class_weights = model, train, validation, weights
        self.spec, self.seed = spec, seed
        self.course = Course(model, schedule, out_dir, run, write=asdict, read=lambda line: Point(**line))
        self.losses: list[float] = []

    def run(self, say: Say | None) -> FineTuneResult:
        course = self.course
        step, said = course.resume(), time.monotonic()
        while True:
            last = step > 0 and course.is_over(step)
            if course.is_due(step, self.spec.validate_every, last=last):
                self._measure(step)
                if say is not None:
                    say(progress_line(course.curve, course.schedule.steps))
                    said = time.monotonic()
            if last:
                return self._finish(step)
            self.losses.append(self._update(step))
            step += 1
            if say is not None and time.monotonic() - said > _SAY_EVERY_S:
                say(f"step {step} of {course.schedule.steps}, {course.seconds():.0f} s: loss {self.losses[-1]:.3f}")
                said = time.monotonic()

    def _update(self, step: int) -> float:
        """Make a step; its loss."""
        part = self.train.take(rows_of_step(step, len(self.train.labels), self.spec.batch_rows, self.seed))
        loss = 0.0
        with dropout_of_step(self.spec.lora.dropout, self.seed, step):
            for term in loss_parts(
                self.model.lm, part.prompts, part.labels, self.class_weights, batch_tokens=self.spec.batch_tokens
            ):
                term.backward()
                loss += term.item()
        self.course.update(step)
        return loss

    def _measure(self, step: int) -> None:
        labels = self.validation.labels
        with self.model.measuring() as lm:
            positive = score_answers(lm, self.validation.prompts)
        right = np.where(labels == 1, positive, 1 - positive)
        point = Point(
            step=step,
            loss=float(np.mean(self.losses)) if self.losses else None,
            accuracy=float(np.mean((positive > THRESHOLD) == (labels == 1))),
            log_loss=float(-np.log(np.maximum(right, np.finfo(float).tiny)).mean()),
            seconds=round(self.course.seconds(), 3),
        )
        self.losses = []
        kept = self.course.kept
        best = kept is None or (point.accuracy, -point.log_loss) > (kept.accuracy, -kept.log_loss)
        self.course.add(point, best=step > 0 and best)

    def _finish(self, step: int) -> FineTuneResult:
        course = self.course
        result = FineTuneResult(
            adapter=course.out_dir / ADAPTER,
            curve=tuple(course.curve),
            best_step=course.best_step,
            stopped_by=course.schedule.stopped_by(step),
        )
        document = {
            "run": course.run,
            "base_identity": self.model.lm.identity,
            "base_name": self.model.lm.name,
            "settings": self.spec.model_dump(mode="json"),
            **result.to_json(),
        }
        save_adapter(result.adapter, self.model.lora, course.best, document, RECORD)
        course.close(document)
        return result
