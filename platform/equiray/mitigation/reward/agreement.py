"""How far a judge agrees with the gold rule, group by group, and what changes when the judge does.

    κ = (p_o - p_e) / (1 - p_e)          p_o share of equal labels, p_e that of two judges with these label shares

Cohen's kappa (1960): 1 = always equal, 0 = as by chance, range -1..1, higher is better. Steps of one case depend on
each other, so cases are what is resampled (`equiray.metrics.clusters`); a change of judges is measured on equal steps.
Steps that either left unlabelled are in no kappa: their share is reported beside it, as ``judge_label_rate``.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.clusters import Heading, Resampling, cluster_sums, clustered_estimates
from equiray.metrics.estimates import Estimate
from equiray.metrics.tables import MISSING
from equiray.mitigation.reward.labels import UNLABELLED
from equiray.mitigation.reward.steps import ReasonedCase

FEWEST_CLUSTERS = 20
"""With fewer cases in which two judges differ, or agree, a bootstrap interval of kappa misleads: ``partial``."""

CATEGORY = "category"

Labels = NDArray[np.int64]
"""0, 1 or `UNLABELLED`, in the order of `step_records` (`labels.label_array`)."""


def agreement(
    cases: Sequence[ReasonedCase],
    gold: Labels,
    judge: Labels,
    *,
    attribute: str,
    model: str,
    resampling: Resampling,
) -> list[Estimate]:
    """``judge_kappa``, ``judge_agreement`` and ``judge_label_rate`` over all steps, and in each group.

    Parameters
    ----------
    cases : sequence of ReasonedCase
    gold, judge : int64 [steps]
    attribute : str
        ``category``, or a sensitive attribute of the cases.
    model : str
        The judge's name.
    resampling : Resampling
    """
    return compared(
        gold, judge, clusters=step_clusters(cases), groups=step_groups(cases, attribute), attribute=attribute,
        model=model, stage="judge", resampling=resampling,
    )  # fmt: skip


def compared(
    first: Labels,
    second: Labels,
    *,
    clusters: NDArray[Any],
    groups: Sequence[str],
    attribute: str,
    model: str,
    stage: str,
    resampling: Resampling,
    weights: NDArray[np.float64] | None = None,
) -> list[Estimate]:
    """What `agreement` says of any two who labelled the same steps, whose clusters and groups are named step by step.

    `weights` [steps]: how many steps each one stands for; numbers of steps (`Estimate.n`) are of those compared.
    """
    cells = _cells(first, second)
    weighted = cells if weights is None else cells * weights[:, None]
    made = []
    for group, chosen in _groups(groups):
        sums = cluster_sums(weighted[chosen], clusters[chosen])
        n, both = int(chosen.sum()), int(cells[chosen, :4].sum())
        headings = [
            Heading("judge_kappa", group, "higher", both),
            Heading("judge_agreement", group, "higher", both),
            Heading("judge_label_rate", group, "none", n),
        ]
        estimates = clustered_estimates(
            sums, _statistics, headings, task="steps", stage=stage, model=model, attribute=attribute,
            resampling=resampling,
        )  # fmt: skip
        made += [_cautious(one, sums) for one in estimates]
    return made


def drift(
    cases: Sequence[ReasonedCase],
    gold: Labels,
    before: Labels,
    after: Labels,
    *,
    attribute: str,
    model: str,
    resampling: Resampling,
) -> list[Estimate]:
    """What changes with the judge: κ with gold, after - before, on steps that all three labelled; and their own κ.

    ``judge_kappa`` and ``judge_agreement`` of stage ``after-before`` are paired differences; those of stage ``drift``
    compare both judges with each other, and ``judge_unbiased_rate`` of stage ``after-before`` says which way the
    labels moved.
    """
    known = (gold != UNLABELLED) & (before != UNLABELLED) & (after != UNLABELLED)
    both = [np.where(known, labels, UNLABELLED) for labels in (gold, before, after)]
    pairs = [_cells(both[0], both[1])[:, :4], _cells(both[0], both[2])[:, :4], _cells(both[1], both[2])[:, :4]]
    cells = np.concatenate(pairs, axis=1)
    made = []
    for group, chosen in _groups(step_groups(cases, attribute)):
        sums = cluster_sums(cells[chosen], step_clusters(cases)[chosen])
        n = int((known & chosen).sum())
        names = ("judge_kappa", "judge_agreement", "judge_unbiased_rate")
        headings = [Heading(name, group, "higher" if name != names[2] else "none", n) for name in names]
        headings += [Heading(name, group, "higher", n) for name in names[:2]]
        estimates = clustered_estimates(
            sums, _drift, headings, task="steps", stage="after-before", model=model, attribute=attribute,
            resampling=resampling,
        )  # fmt: skip
        made += [replace(one, stage="drift") if place > 2 else one for place, one in enumerate(estimates)]
    return made


def kappa(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cohen's kappa of counts [..., 4]: both biased, first biased alone, second biased alone, both unbiased.

    NaN without steps, and where chance alone makes all labels equal (both judges know one label).
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        share = cells / cells.sum(-1, keepdims=True)
        first, second = share[..., 0] + share[..., 1], share[..., 0] + share[..., 2]
        expected = first * second + (1 - first) * (1 - second)
        return np.where(expected < 1, (share[..., 0] + share[..., 3] - expected) / (1 - expected), np.nan)


def _cells(first: Labels, second: Labels) -> NDArray[np.float64]:
    """For each step one of four cells of `kappa`, and a fifth that counts it if either left it unlabelled, [S, 5]."""
    known = (first != UNLABELLED) & (second != UNLABELLED)
    place = np.where(known, 2 * first + second, 4)
    return np.eye(5)[place]


def _statistics(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    cells = totals[..., :4]
    with np.errstate(invalid="ignore", divide="ignore"):
        equal = (cells[..., 0] + cells[..., 3]) / cells.sum(-1)
        labelled = cells.sum(-1) / totals.sum(-1)
    return np.stack([kappa(cells), equal, labelled], axis=-1)


def _drift(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    before, after, between = (totals[..., i : i + 4] for i in (0, 4, 8))
    with np.errstate(invalid="ignore", divide="ignore"):
        equal = [(c[..., 0] + c[..., 3]) / c.sum(-1) for c in (before, after, between)]
        moved = (between[..., 1] - between[..., 2]) / between.sum(-1)  # biased before alone, biased after alone
    changes = [kappa(after) - kappa(before), equal[1] - equal[0], moved]
    return np.stack([*changes, kappa(between), equal[2]], axis=-1)


def _cautious(estimate: Estimate, sums: NDArray[np.float64]) -> Estimate:
    """Few cases that differ, or agree, leave a bootstrap next to nothing to draw."""
    if estimate.metric == "judge_label_rate" or estimate.status != "estimated":
        return estimate
    differing = np.count_nonzero(sums[:, 1] + sums[:, 2])
    agreeing = np.count_nonzero(sums[:, 0] + sums[:, 3])
    return replace(estimate, status="partial") if min(differing, agreeing) < FEWEST_CLUSTERS else estimate


def _groups(groups: Sequence[str]) -> list[tuple[str | None, NDArray[np.bool_]]]:
    """All steps, then those of each group, with the mask of its steps."""
    names = np.array(groups, dtype=np.str_)
    found = sorted(set(names.tolist()), key=lambda name: (name == MISSING, name))
    return [(None, np.ones(len(names), dtype=bool)), *((name, names == name) for name in found)]


def step_groups(cases: Sequence[ReasonedCase], attribute: str) -> list[str]:
    """The group of each step's case, in the order of `step_records`."""
    return [
        reasoned.case.category if attribute == CATEGORY else reasoned.case.groups.get(attribute, MISSING)
        for reasoned in cases
        for chain in reasoned.chains
        for _ in chain.steps
    ]


def step_clusters(cases: Sequence[ReasonedCase]) -> NDArray[np.int64]:
    """The number of each step's case, in the order of `step_records`: what is resampled."""
    counts = [sum(len(chain.steps) for chain in reasoned.chains) for reasoned in cases]
    return np.repeat(np.arange(len(cases)), counts)
