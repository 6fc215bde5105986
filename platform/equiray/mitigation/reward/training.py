"""`train_reward_model`: teach a reader to tell unbiased steps from biased ones, and keep the best checkpoint.

Class-balanced BCE over labelled steps (`labelled.loss_parts`; AdamW, β .9 and .95: arXiv 2507.11344). Which steps an
update sees is drawn from (seed, epoch), dropout from (seed, update), so a run that is killed resumes exactly.
"""

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from equiray.errors import BadInput, reading_back, writing
from equiray.mitigation.reward.calibration import Calibration, fit_calibration
from equiray.mitigation.reward.labelled import Labelled, LabelledChains, class_weights, loss_parts, sequences_of_step
from equiray.mitigation.reward.model import Base, RewardModel, fresh_model
from equiray.mitigation.reward.ranking import Ranking
from equiray.mitigation.reward.readers import LanguageModelReader
from equiray.mitigation.reward.store import save_reward_model
from equiray.models.training.checkpoints import (
    CHECKPOINTS,
    CURVE,
    RESULT,
    Snapshot,
    finished_result,
    load_checkpoint,
    moments_of,
    restore_moments,
    save_checkpoint,
    write_whole,
)
from equiray.models.training.schedule import Schedule, Stopwatch, update
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
        self.spec, self.out_dir, self.run_digest, self.seed = spec, out_dir, run, seed
        self.class_weights = class_weights(train.labels)
        self.schedule = Schedule(
            learning_rate=spec.learning_rate,
            warmup_steps=spec.warmup_steps,
            steps=spec.steps or math.ceil(spec.epochs * len(train.labels) / spec.batch_steps),
            time_budget_s=spec.time_budget_s,
        )
        self.optimizer = torch.optim.AdamW(
            model.parameters.values(), lr=spec.learning_rate, betas=_BETAS, weight_decay=0.0
        )
        self.curve: list[Point] = []
        self.best_step, self.best = 0, model.weights()
        self.losses: list[float] = []
        self.clock = Stopwatch()

    def run(self, say: Say | None) -> RewardTraining:
        step = self._resume()
        while True:
            last = step > 0 and self.schedule.progress(step, self.clock.seconds()) >= 1
            if (last or step % self.spec.validate_every == 0) and not (self.curve and self.curve[-1].step == step):
                self._measure(step)
                self._save(step)
                if say is not None:
                    point = self.curve[-1]
                    of = f"step {step} of {self.schedule.steps}, {point.seconds:.0f} s"
                    say(f"{of}: validation log loss {point.log_loss:.4f}, AUC {point.auc:.3f}")
            if last:
                return self._finish(step)
            self.losses.append(self._update(step))
            step += 1

    def _update(self, step: int) -> float:
        """Make a step; its loss."""
        chosen = sequences_of_step(self.train.inputs.first, step, self.spec.batch_steps, self.seed)
        part = self.train.take(chosen)
        dropout, loss = self.spec.lora is not None and self.spec.lora.dropout > 0, 0.0
        with torch.random.fork_rng(enabled=dropout):
            if dropout:
                torch.manual_seed(int(np.random.SeedSequence([self.seed, step]).generate_state(1)[0]))
            for term in loss_parts(self.model, part.inputs, part.labels, self.class_weights):
                term.backward()
                loss += term.item()
        update(self.optimizer, self.model.parameters.values(), self.schedule.rate(step, self.clock.seconds()))
        return loss

    def _measure(self, step: int) -> None:
        logits, labels = self._validation_logits(), self.validation.labels
        losses = np.logaddexp(0, logits) - labels * logits
        point = Point(
            step=step,
            loss=float(np.mean(self.losses)) if self.losses else None,
            log_loss=float((class_weights(labels)[labels] * losses).mean()),
            auc=Ranking(logits, labels).area(),
            seconds=round(self.clock.seconds(), 3),
        )
        self.losses = []
        if step:
            kept = next((known for known in self.curve if known.step == self.best_step and self.best_step), None)
            if kept is None or point.log_loss < kept.log_loss:
                self.best_step, self.best = step, self.model.weights()
        self.curve.append(point)

    def _validation_logits(self) -> NDArray[np.float64]:
        with _without_dropout(self.model):
            return self.model.logits(self.validation.inputs)

    def _save(self, step: int) -> None:
        state = {
            "run": self.run_digest,
            "step": step,
            "best_step": self.best_step,
            "seconds": self.clock.seconds(),
            "curve": [asdict(point) for point in self.curve],
        }
        moments = moments_of(self.optimizer, self.model.parameters)
        save_checkpoint(self.out_dir / CHECKPOINTS, Snapshot(state, self.model.weights(), moments, self.best))
        write_whole(self.out_dir / CURVE, "".join(json.dumps(asdict(point)) + "\n" for point in self.curve))

    def _resume(self) -> int:
        snapshot = load_checkpoint(self.out_dir / CHECKPOINTS, self.run_digest)
        if snapshot is None:
            return 0
        self.model.set_weights(snapshot.weights)
        restore_moments(self.optimizer, self.model.parameters, snapshot.moments)
        self.curve = [Point(**line) for line in snapshot.state["curve"]]
        self.best_step, self.best = snapshot.state["best_step"], dict(snapshot.best)
        self.clock.resume(snapshot.state["seconds"])
        return snapshot.state["step"]

    def _finish(self, step: int) -> RewardTraining:
        self.model.set_weights(self.best)
        calibration = fit_calibration(
            self._validation_logits(), self.validation.labels, self.spec.calibration, place="validation chains"
        )
        result = RewardTraining(
            model=self.out_dir / MODEL,
            curve=tuple(self.curve),
            best_step=self.best_step,
            stopped_by=self.schedule.stopped_by(step),
            calibration=calibration,
        )
        document = {
            "run": self.run_digest,
            "curve": [asdict(point) for point in self.curve],
            "best_step": self.best_step,
            "stopped_by": result.stopped_by,
            "calibration": asdict(calibration),
            "labels": {"train": len(self.train.labels), "validation": len(self.validation.labels)},
        }
        save_reward_model(result.model, self.model, self.best, calibration, self.spec, document)
        write_whole(self.out_dir / RESULT, json.dumps(document, indent=1))
        shutil.rmtree(self.out_dir / CHECKPOINTS, ignore_errors=True)
        return result
