"""FairNet with a part less or more (ablations), and under conditions that it was not made for (stress)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.data.examples import Examples
from equiray.data.schema import MISSING_GROUP
from equiray.errors import BadInput
from equiray.mitigation.gating.outcomes import GatedOutcomes
from equiray.mitigation.gating.stress import noisy_labels, over_time, screening_dates
from equiray.runs.directory import RunDirectory
from equiray.runs.fairnet.checks import check_rows
from equiray.runs.fairnet.lower import TaskStates
from equiray.runs.fairnet.planning import PlannedTask
from equiray.runs.fairnet.results import change_between
from equiray.runs.fairnet.seed import Seed
from equiray.runs.fairnet.vulnerable import FEWEST_ROWS, candidates, learnable
from equiray.specs.fairnet import Ablation, FairNetSpec, Stress

NOISE = 0.1
"""Share of training labels that are turned under `label_noise`."""

_TIME_TRAINED, _TIME_TESTED = np.datetime64("2013-10-01"), np.datetime64("2014-04-01")
"""COMPAS: people screened before the first day train, those up to the second test; nearly all screened later and kept
in the file have a new charge (Barenstein 2019), so they would show that defect and not time."""

_ABLATIONS: Mapping[Ablation, tuple[str, Mapping[str, Mapping[str, Any]]]] = {
    "no_detector": ("Without a detector: the adapter is always on", {}),
    "true_group": ("The true group is the gate: it must be known when deciding", {}),
    "no_contrastive": ("Without the contrastive loss", {"adapter": {"lambda_contrastive": 0.0}}),
    "half_labels": ("Half of the group labels", {"detector": {"regime": "partial", "label_share": 0.5}}),
    "tenth_labels": ("A tenth of the group labels", {"detector": {"regime": "partial", "label_share": 0.1}}),
    "unlabelled": ("No group labels: outliers stand for the group", {"detector": {"regime": "unlabelled"}}),
    "prototypes": ("Three prototypes per class and group", {"adapter": {"prototypes": 3}}),
    "hard_negatives": ("Anchors drawn more often where the loss is high", {"adapter": {"hard_negatives": True}}),
    "augmentation": ("Counterfactual twins among the anchors", {"adapter": {"augmentation": True}}),
}

Right = NDArray[np.bool_]


def ablations_of(
    states: TaskStates, seeds: Sequence[Seed], spec: FairNetSpec, directory: RunDirectory
) -> list[dict[str, Any]]:
    """Each ablation's change from the base over all seeds; thresholds are chosen anew on validation rows."""
    found = []
    for name in spec.ablations:
        label, changed = _ABLATIONS[name]
        decided = [_ablated(seed, name, _changed(spec, changed), states, directory) for seed in seeds]
        before, after = (np.stack(part) for part in zip(*decided, strict=True))
        change = change_between(states.planned, "fairnet", before, after, spec.confidence)
        found.append({"task": states.planned.name, "name": name, "label": label, "change": change})
    return found


def _ablated(
    seed: Seed, name: Ablation, spec: FairNetSpec, states: TaskStates, directory: RunDirectory
) -> tuple[Right, Right]:
    if name == "no_detector":
        return _right_with(seed, np.full(len(seed.outcomes("test").attributes), -np.inf))
    if name == "true_group":
        return _right_by_group(seed)
    variant = Seed(states, seed.seed, seed.vulnerable, spec, directory, variant=name)
    return _right_with(variant, variant.choice.thresholds)


def _changed(spec: FairNetSpec, changed: Mapping[str, Mapping[str, Any]]) -> FairNetSpec:
    parts = {part: getattr(spec, part).model_copy(update=dict(values)) for part, values in changed.items()}
    return spec.model_copy(update=parts)


def _right_with(seed: Seed, thresholds: Any) -> tuple[Right, Right]:
    """Which test rows the base and the gated model decide right."""
    return _right(seed.outcomes("test"), thresholds)


def _right_by_group(seed: Seed) -> tuple[Right, Right]:
    """The same with every gate open for its group's rows and no other (the paper's regime with full labels)."""
    test, rows = seed.outcomes("test"), seed.planned.rows("test")
    groups = seed.planned.examples.attributes
    members = [groups[gate][rows] == seed.vulnerable[gate] for gate in test.attributes]
    known = replace(test, risk=np.stack(members, axis=1).astype(np.float32))
    return _right(known, np.full(len(members), 0.5))


def _right(test: GatedOutcomes, thresholds: Any) -> tuple[Right, Right]:
    positive = test.label == 1
    return (test.probability[:, 0] > 0.5) == positive, (test.decided(thresholds) > 0.5) == positive


class Condition(NamedTuple):
    """Other rows or labels of a task: `examples` are those at `places` of the task's own."""

    label: str
    places: NDArray[np.int64]
    examples: Examples


def stress_of(
    states: TaskStates, seeds: Sequence[Seed], spec: FairNetSpec, directory: RunDirectory
) -> list[dict[str, Any]]:
    """What the first seed's correction does under each condition, base and detectors trained under it."""
    found = []
    for name in spec.stress:
        condition = _CONDITIONS[name](states.planned, seeds[0].seed)
        planned = replace(states.planned, examples=condition.examples, others={}, twins=None)
        under = states.under(planned, condition.places)
        seed = Seed(under, seeds[0].seed, seeds[0].vulnerable, spec, directory, condition=name)
        before, after = _right_with(seed, seed.choice.thresholds)
        change = change_between(planned, "fairnet", before[None], after[None], spec.confidence)
        opened = seed.outcomes("test").opened(seed.choice.thresholds).any(1)
        found.append(
            {
                "task": planned.name,
                "name": name,
                "label": condition.label,
                "rows": len(before),
                "confidence": spec.confidence,
                "open": float(opened.mean()),
                "worst": change["worst"],
                "accuracy": change["accuracy"],
                "harmed": float((before & ~after).mean()),
            }
        )
    return found


def check_stress(planned: PlannedTask, spec: FairNetSpec) -> None:
    """Raise BadInput, before anything is trained, where a condition cannot be made."""
    if spec.stress and spec.adapter.augmentation:
        fix = "switch one of them off"
        raise BadInput("rows under stress have no twins to augment with", place="stress, adapter.augmentation", fix=fix)
    for name in spec.stress:
        condition, place = _CONDITIONS[name](planned, spec.seeds[0]), f"task {planned.name}, stress: {name}"
        stressed = replace(planned, examples=condition.examples)
        check_rows(stressed, spec, place)
        if spec.detector.regime != "unlabelled":
            for gate in planned.gates:
                if gate not in spec.vulnerable:
                    _check_candidates(planned, stressed, gate, place)


def _check_candidates(planned: PlannedTask, stressed: PlannedTask, gate: str, place: str) -> None:
    """Whichever group turns out to be the base's worst has to be one that can be learnt under the condition, too."""
    lacking = sorted(set(candidates(planned, gate)) - set(learnable(stressed, gate)))
    if lacking:
        raise BadInput(
            f"the group of {gate} to correct may turn out to be {lacking[0]}, which has no training rows of both "
            "labels under this condition",
            place=place,
            fix=f"name another group (vulnerable: {{{gate}: ...}}), use more rows, or leave the condition out",
        )


def _label_noise(planned: PlannedTask, seed: int) -> Condition:
    examples = planned.examples
    train = planned.rows("train")
    label = examples.label.copy()
    label[train] = noisy_labels(label[train], examples.row_id[train], NOISE, seed)
    return Condition(
        f"{NOISE:.0%} of training labels turned".replace("%", " %"),
        np.arange(len(examples)),
        replace(examples, label=label),
    )


def _temporal(planned: PlannedTask, _: int) -> Condition:
    """Trained on earlier people, read on later ones; the rows that validate stay in time with those that train."""
    if planned.name != "compas" or planned.table is None:
        raise BadInput(
            f"task {planned.name} has no dates", place="stress: temporal", fix="use it with the task compas alone"
        )
    examples = planned.examples
    dates = screening_dates(examples.row_id)
    known = np.flatnonzero(dates < _TIME_TESTED)
    before, after = over_time(dates[known], _TIME_TRAINED)
    split = np.where(examples.split == "validation", "validation", "train")
    split[known[after]] = "test"
    places = np.sort(np.concatenate([known[before], known[after]]))
    return Condition(
        f"trained on people screened before {_TIME_TRAINED}, read on those until {_TIME_TESTED}",
        places,
        replace(examples, split=split).take(places),
    )


def _subpopulation(planned: PlannedTask, _: int) -> Condition:
    """Trained without the second largest group of another attribute, read on that group alone."""
    examples = planned.examples
    reported = {name: groups for name, groups in examples.attributes.items() if "*" not in name}
    for attribute, groups in {**reported, **planned.others}.items():
        if attribute in planned.gates:
            continue
        names, sizes = np.unique(groups[groups != MISSING_GROUP], return_counts=True)
        if len(names) < 2:
            continue
        group = names[np.argsort(-sizes, kind="stable")[1]]
        inside = groups == group
        if (inside & (examples.split == "test")).sum() < 10 * FEWEST_ROWS:
            continue
        places = np.flatnonzero(inside == (examples.split == "test"))
        return Condition(f"trained without {attribute} {group}, read on that group", places, examples.take(places))
    raise BadInput(
        f"task {planned.name} has no group of another attribute with {10 * FEWEST_ROWS} test rows",
        place="stress: subpopulation",
        fix="use more rows, or leave it out",
    )


_CONDITIONS: Mapping[Stress, Callable[[PlannedTask, int], Condition]] = {
    "label_noise": _label_noise,
    "temporal": _temporal,
    "subpopulation": _subpopulation,
}
