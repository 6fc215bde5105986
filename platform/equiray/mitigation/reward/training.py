"""`train_reward_model`: teach a reader to tell unbiased steps from biased ones, and keep the best checkpoint.

Class-balanced BCE over labelled steps (`labelled.loss_parts`; AdamW, β .9 and .95: arXiv 2507.11344). Which steps an
update sees is drawn from (seed, epoch), dropout from (seed, update), so a run that is killed resumes exactly.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiray.errors import BadInput, reading_back, writing
from equiray.mitigation.reward.calibration import Calibration, fit_calibration
from equiray.mitigation.reward.labelled import Labelled, LabelledChains, class_weights, loss_parts, sequences_of_step
from equiray.mitigation.reward.model import Base, RewardModel, fresh_model
from equiray.mitigation.reward.ranking import Ranking
from equiray.mitigation.reward.readers import LanguageModelReader
from equiray.mitigation.reward.store import save_reward_model
from equiray.models.training.checkpoints import (
    RESULT,
    finished_result,
)
from equiray.models.training.course import Course, dropout_of_step
from equiray.models.training.schedule import Schedule
from equiray.specs.reward_model import RewardModelSpec

MODEL = "model"
"""Folder of the trained reward model within a training's directory."""

_BETAS = (0.9, 0.95)

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One measurement.

    Attributes
    ----------
    step : int
        Updates made; 0 is the head as it was drawn.
    loss : float or None
        Mean training loss since the last measurement, nats; None at step 0.
    log_loss : float
        Class-balanced, on validation, nats; ln 2 = knows nothing.
    auc : float
        Area under the ROC curve on validation.
    seconds : float
        Of training, over all resumed parts.
    """

    step: int
    loss: float | None
    log_loss: float
    auc: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class RewardTraining:
    """What a training left.

    `model` is a directory for `load_reward_model`: the checkpoint with the lowest log loss on validation, calibrated
    there. `stopped_by` "time budget" is to be labelled a short run.
    """

    model: Path
    curve: tuple[Point, ...]
    best_step: int
    stopped_by: str
    calibration: Calibration

    @property
    def best(self) -> Point:
        """The checkpoint that was kept."""
        return next(point for point in self.curve if point.step == self.best_step)


def train_reward_model(
    base: Base,
    train: LabelledChains,
    validation: LabelledChains,
    spec: RewardModelSpec,
    out_dir: Path,
    *,
    seed: int,
    say: Say | None = None,
) -> RewardTraining:
    """Train a reward model.

    Parameters
    ----------
    base : CausalLM or Backbone
        Has its own weights again afterwards.
    train, validation : LabelledChains
        Validation chooses the checkpoint and the calibration; no case may be in both.
    spec : RewardModelSpec
    out_dir : Path
        Gets ``curve.jsonl`` and ``checkpoints/`` while training, ``model/`` and ``result.json`` at its end. The
        directory of a killed run is resumed, that of a finished one read.
    seed : int
    say : callable, optional
        Gets one line of text at each measurement.

    Raises
    ------
    BadInput
        Labels of one kind only, a case on both sides, or `out_dir` holds another training.
    Incomplete
        The disk is full or not writable: the same call goes on from the last checkpoint.
    """
    shared = {one.case.case_id for one in train.cases} & {one.case.case_id for one in validation.cases}
    if shared:
        raise BadInput(
            f"case {min(shared)!r} is in both splits", place="validation chains", fix="split by case, not by chain"
        )
    with fresh_model(base, spec, seed=seed) as model:
        parts = Labelled.of(model, train, "training chains"), Labelled.of(model, validation, "validation chains")
        run = _digest(*parts, base=base.identity, spec=spec.model_dump(mode="json"), seed=seed)
        if (done := finished_result(out_dir, run)) is not None:
            return _read_result(out_dir, done)
        with writing(out_dir):
            out_dir.mkdir(parents=True, exist_ok=True)
        return _Training(model, *parts, spec, out_dir, run, seed).run(say)


@contextmanager
def _without_dropout(model: RewardModel) -> Iterator[None]:
    """Adapters' dropout is off for the length of a block; an encoder has none."""
    modules = [*model.reader.lm.model.modules()] if isinstance(model.reader, LanguageModelReader) else []
    modes = [module.training for module in modules]
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


def _digest(train: Labelled, validation: Labelled, **more: Any) -> str:
    """Names a training by what it is made of: equal inputs, equal digests."""
    digest = hashlib.sha256(json.dumps(more, sort_keys=True).encode())
    for part in (train, validation):
        for sequence, ends in zip(part.inputs.sequences, part.inputs.ends, strict=True):
            digest.update(np.asarray([len(sequence), *sequence, *ends], dtype=np.int64).tobytes())
        digest.update(part.labels.tobytes())
    return digest.hexdigest()


def _read_result(out_dir: Path, document: dict[str, Any]) -> RewardTraining:
    with reading_back(out_dir / RESULT, fix=f"remove {out_dir}: the training is made again"):
        return RewardTraining(
            model=out_dir / MODEL,
            curve=tuple(Point(**point) for point in document["curve"]),
            best_step=document["best_step"],
            stopped_by=document["stopped_by"],
            calibration=Calibration(**document["calibration"]),
        )


class _Training:
    """One training: its place in the schedule, its best checkpoint, its curve."""

    def __init__(
        self,
        model: RewardModel,
        train: Labelled,
        validation: Labelled,
        spec: RewardModelSpec,
        out_dir: Path,
        run: str,
        seed: int,
    ) -> None:
        self.model, self.train, self.validation = model, train, validation
        self.spec, self.seed = spec, seed
        self.class_weights = class_weights(train.labels)
        schedule = Schedule(
            learning_rate=spec.learning_rate,
            warmup_steps=spec.warmup_steps,
            steps=spec.steps or math.ceil(spec.epochs * len(train.labels) / spec.batch_steps),
            time_budget_s=spec.time_budget_s,
        )
        self.course = Course(model, schedule, out_dir, run, write=asdict, read=lambda line: Point(**line), betas=_BETAS)
        self.losses: list[float] = []

    def run(self, say: Say | None) -> RewardTraining:
        course = self.course
        step = course.resume()
        while True:
            last = step > 0 and course.is_over(step)
            if course.is_due(step, self.spec.validate_every, last=last):
                self._measure(step)
                if say is not None:
                    point = course.curve[-1]
                    of = f"step {step} of {course.schedule.steps}, {point.seconds:.0f} s"
                    say(f"{of}: validation log loss {point.log_loss:.4f}, AUC {point.auc:.3f}")
            if last:
                return self._finish(step)
            self.losses.append(self._update(step))
            step += 1

    def _update(self, step: int) -> float:
        """Make a step; its loss."""
        chosen = sequences_of_step(self.train.inputs.first, step, self.spec.batch_steps, self.seed)
        part = self.train.take(chosen)
        loss = 0.0
        with dropout_of_step(0.0 if self.spec.lora is None else self.spec.lora.dropout, self.seed, step):
            for term in loss_parts(self.model, part.inputs, part.labels, self.class_weights):
                term.backward()
                loss += term.item()
        self.course.update(step)
        return loss

    def _measure(self, step: int) -> None:
        logits, labels = self._validation_logits(), self.validation.labels
        losses = np.logaddexp(0, logits) - labels * logits
        point = Point(
            step=step,
            loss=float(np.mean(self.losses)) if self.losses else None,
            log_loss=float((class_weights(labels)[labels] * losses).mean()),
            auc=Ranking(logits, labels).area(),
            seconds=round(self.course.seconds(), 3),
        )
        self.losses = []
        kept = self.course.kept
        self.course.add(point, best=step > 0 and (kept is None or point.log_loss < kept.log_loss))

    def _validation_logits(self) -> NDArray[np.float64]:
        with _without_dropout(self.model):
            return self.model.logits(self.validation.inputs)

    def _finish(self, step: int) -> RewardTraining:
        course = self.course
        self.model.set_weights(course.best)
        calibration = fit_calibration(
            self._validation_logits(), self.validation.labels, self.spec.calibration, place="validation chains"
        )
        result = RewardTraining(
            model=course.out_dir / MODEL,
            curve=tuple(course.curve),
            best_step=course.best_step,
            stopped_by=course.schedule.stopped_by(step),
            calibration=calibration,
        )
        document = {
            "run": course.run,
            "curve": [asdict(point) for point in course.curve],
            "best_step": course.best_step,
            "stopped_by": result.stopped_by,
            "calibration": asdict(calibration),
            "labels": {"train": len(self.train.labels), "validation": len(self.validation.labels)},
        }
        save_reward_model(result.model, self.model, course.best, calibration, self.spec, document)
        course.close(document)
        return result
