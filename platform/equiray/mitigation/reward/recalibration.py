"""What people's labels say about a reward model: its probabilities fitted anew, kept beside its weights."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from equiray.errors import BadInput
from equiray.mitigation.reward.calibration import Calibration, fit_calibration
from equiray.mitigation.reward.label_sheet import HumanLabels, read_sheet
from equiray.mitigation.reward.store import ABOUT, read_about, set_calibration
from equiray.specs.reward_model import CalibrationMethod

FEWEST_LABELS = 20
"""Two numbers fitted to fewer labels say little of other steps."""


@dataclass(frozen=True, kw_only=True)
class Recalibrated:
    """A calibration by human labels.

    `log_loss` is of the labelled steps in nats, weighted, before and after; `warnings` are for the reader.
    """

    before: Calibration
    after: Calibration
    log_loss: tuple[float, float]
    labels: HumanLabels
    warnings: tuple[str, ...]


def recalibrate(directory: Path, sheet: Path, method: CalibrationMethod) -> Recalibrated:
    """Fit a reward model's calibration to the labels of a sheet, and keep it in its `reward.json`.

    Raises
    ------
    BadInput
        A bad sheet, one of another model, labels of one kind only, or no reward model there.
    Incomplete
        The disk is full or not writable.
    """
    document, labels = read_about(directory), read_sheet(sheet)
    if labels.model != document["weights_sha256"]:
        raise BadInput(
            f"the sheet has scores of the model {labels.model:.12}, not of {document['weights_sha256']:.12}",
            place=f"{sheet} and {directory / ABOUT}",
            fix="name the model whose scores the sheet was written from",
        )
    before = Calibration(**document["calibration"])
    after = fit_calibration(labels.logits, labels.labels, method, weights=labels.stands_for, place=str(sheet))
    made = Recalibrated(
        before=before,
        after=after,
        log_loss=(_log_loss(before, labels), _log_loss(after, labels)),
        labels=labels,
        warnings=_warnings(labels, after),
    )
    about = {"sheet": sheet.name, "method": method, "labels": len(labels.labels), "warnings": list(made.warnings)}
    set_calibration(directory, after, about)
    return made


def _log_loss(calibration: Calibration, labels: HumanLabels) -> float:
    z = calibration.slope * labels.logits + calibration.intercept
    losses = np.logaddexp(0, z) - labels.labels * z
    return float(np.average(losses, weights=labels.stands_for))


def _warnings(labels: HumanLabels, fitted: Calibration) -> tuple[str, ...]:
    said = []
    if len(labels.labels) < FEWEST_LABELS:
        said.append(f"{len(labels.labels)} labels: with fewer than {FEWEST_LABELS} a calibration is a guess")
    if not labels.random:
        said.append("no randomly drawn chain is labelled: the calibration is that of the chains that differ most")
    if fitted.slope < 0.01:
        said.append("scores do not rank the labels: probabilities are now nearly constant")
    return tuple(said)
