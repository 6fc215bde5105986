"""The methods of a FairNet run: probabilities of validation and test rows, by what each has learned elsewhere."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from equiray.data.schema import MISSING_GROUP
from equiray.mitigation.baselines.dfr import fit_last_layer
from equiray.mitigation.baselines.group_dro import GroupDro
from equiray.mitigation.baselines.group_thresholds import fit_group_thresholds
from equiray.mitigation.baselines.jtt import UPWEIGHTS, error_weights
from equiray.mitigation.fairnet import Classifier, Layers, Lower, Validation, fit
from equiray.mitigation.fairnet.classifier import Reducer, mean_loss
from equiray.runs.fairnet.lower import joined
from equiray.runs.fairnet.seed import EVALUATED, Scores, Seed, positive
from equiray.runs.fairnet.vulnerable import FEWEST_ROWS


def scores(seed: Seed, method: str) -> dict[str, Scores]:
    """Probability of the positive class, of validation and of test rows."""
    return _METHODS[method](seed)


def _erm(seed: Seed) -> dict[str, Scores]:
    return seed.predicted(seed.base)


def _fairnet(seed: Seed) -> dict[str, Scores]:
    thresholds = seed.choice.thresholds
    return {split: seed.outcomes(split).decided(thresholds).astype(np.float64) for split in EVALUATED}


def _group_dro(seed: Seed) -> dict[str, Scores]:
    return _fitted(seed, "GroupDRO", GroupDro(seed.planned.cells(seed.train)), by_cell=True)


def _jtt(seed: Seed) -> dict[str, Scores]:
    labels = seed.planned.labels(seed.train)
    right = (positive(seed.base, seed.states.of(seed.train)) > 0.5) == (labels == 1)
    trained = [
        _fitted(seed, f"JTT, {upweight:g} times", error_weights(right, upweight), by_cell=True)
        for upweight in UPWEIGHTS
    ]
    return max(trained, key=lambda scores: _worst_cell(seed, scores["validation"]))


def _worst_cell(seed: Seed, score: Scores) -> float:
    """Lowest accuracy of the cells with enough validation rows."""
    right, cell = (score > 0.5) == (seed.validation.labels == 1), _counted_cells(seed)
    return min((float(right[cell == each].mean()) for each in np.unique(cell[cell >= 0])), default=0.0)


def _counted_cells(seed: Seed) -> NDArray[np.int64]:
    """Cell of each validation row, -1 where a cell has too few of them to choose by, or no known group."""
    rows = seed.planned.rows("validation")
    groups, cell = seed.planned.steering_groups(rows), seed.planned.cells(rows)
    known = np.array(groups.groups)[groups.code] != MISSING_GROUP
    return np.where(known & (np.bincount(cell)[cell] >= FEWEST_ROWS), cell, -1)


def _dfr(seed: Seed) -> dict[str, Scores]:
    rows = seed.planned.rows("validation")
    features = {split: _features_of(seed.base, seed.states.of(seed.planned.rows(split))) for split in EVALUATED}
    last = fit_last_layer(features["validation"], seed.planned.labels(rows), seed.planned.cells(rows), seed.seed)
    return {split: last.probabilities(features[split]) for split in EVALUATED}


def _cda(seed: Seed) -> dict[str, Scores]:
    return _fitted(seed, "CDA", twins=True)


def _thresholds(seed: Seed) -> dict[str, Scores]:
    """Of the base's scores, which stand among FairNet's outputs: those with every gate shut."""
    base = {split: seed.outcomes(split).probability[:, 0].astype(np.float64) for split in EVALUATED}
    return _by_group_thresholds(seed, base)


def _gate_and_thresholds(seed: Seed) -> dict[str, Scores]:
    """The loss of accuracy is allowed once: what the gates spend of it on validation rows is not there any more."""
    gated, label = _fairnet(seed), seed.planned.labels(seed.planned.rows("validation")) == 1
    base = seed.outcomes("validation").probability[:, 0]
    before, after = (((score > 0.5) == label).mean() for score in (base, gated["validation"]))
    return _by_group_thresholds(seed, gated, spent=float(before - after))


def _by_group_thresholds(seed: Seed, scores: Mapping[str, Scores], spent: float = 0.0) -> dict[str, Scores]:
    """Scores moved so that .5 decides as each group's own threshold does; `spent` of the allowed loss is gone."""
    planned, rows = seed.planned, seed.planned.rows("validation")
    groups = planned.steering_groups(rows)
    found = fit_group_thresholds(
        scores["validation"],
        planned.labels(rows),
        groups.code,
        len(groups.groups),
        max(0.0, seed.spec.threshold.max_accuracy_loss - spent),
    )
    return {
        split: _moved(scores[split], found.thresholds[planned.steering_groups(planned.rows(split)).code])
        for split in EVALUATED
    }


def _moved(score: Scores, threshold: Scores) -> Scores:
    """The scores on a scale on which the threshold is .5: linear on either side of it."""
    cut = np.clip(threshold, 0, 1)
    below = 0.5 * score / np.where(cut > 0, cut, 1)
    above = 0.5 + 0.5 * (score - cut) / np.where(cut < 1, 1 - cut, 1)
    moved = np.clip(np.where(score > threshold, above, below), 0, 1)
    return np.where(score > threshold, np.maximum(moved, np.nextafter(0.5, 1)), np.minimum(moved, 0.5))


def _fitted(
    seed: Seed, stage: str, reduce: Reducer = mean_loss, *, twins: bool = False, by_cell: bool = False
) -> dict[str, Scores]:
    """Scores of a classifier trained from the same start as the base, with other losses or with twins.

    It makes as many steps as the base. `by_cell`: its checkpoint is the one with the best worst cell, by which
    GroupDRO and JTT choose theirs.
    """
    rows = seed.training_rows({})
    lower, labels = rows.lower, rows.labels
    if twins:
        assert seed.planned.twins is not None and seed.states.twins is not None
        lower = joined(lower, seed.states.twins)
        labels = np.concatenate([labels, seed.planned.labels(seed.planned.twins.of)])
    layers = Layers.of(seed.spec, seed.backbone.depth)
    made = Classifier(seed.backbone, frozen_layers=layers.frozen, seed=seed.seed)
    with seed.step(stage, round(seed.spec.base.epochs * len(rows.labels))) as progress:
        fit(
            made,
            lower,
            labels,
            spec=seed.spec.base,
            seed=seed.seed,
            reduce=reduce,
            validation=_choosing(seed, by_cell),
            people=len(rows.labels),
            progress=lambda n: progress.advance(n, 0),
        )
    return seed.predicted(made)


def _choosing(seed: Seed, by_cell: bool) -> Validation:
    cell = _counted_cells(seed)
    return seed.validation._replace(cell=cell) if by_cell and (cell >= 0).any() else seed.validation


def _features_of(classifier: Classifier, lower: Lower) -> NDArray[np.float32]:
    made = np.empty((len(lower), classifier.backbone.width), np.float32)
    with torch.no_grad():
        for first in range(0, len(lower), 256):
            rows = np.arange(first, min(first + 256, len(lower)))
            made[rows] = classifier.features(classifier.read(lower, rows), lower.layer).cpu().numpy()
    return made


_METHODS: Mapping[str, Callable[[Seed], dict[str, Scores]]] = {
    "erm": _erm,
    "fairnet": _fairnet,
    "group_dro": _group_dro,
    "jtt": _jtt,
    "dfr": _dfr,
    "cda": _cda,
    "thresholds": _thresholds,
    "gate_and_thresholds": _gate_and_thresholds,
}
