"""Intrinsic bias of a language model from filler probabilities: PAR, LMCS, ELS and three gaps.

Per prompt x, with P(filler | x) = exp(mean log-probability of the filler's tokens) (arXiv 2405.18662):

    par(x)    = P(poor) / (P(poor) + P(rich))                   sums over 9 + 9 fillers; .5 = no preference
    lmcs(x)   = P(relevant) / (P(relevant) + P(irrelevant))     0..1, 1 = only sensible words
    p(stereo) = par(x) for the disadvantaged target, 1 - par(x) for the other

and over prompts:

    par, lmcs                     means over the prompts of a group, or of both groups (group None)
    els                           LMCS * min(PAR, 1 - PAR) / .5, of those means; 0..1, higher is better
    intrinsic_gap                 mean |2 p(stereo) - 1|, 0..1, lower is fairer (arXiv 2509.16462's probability gap)
    intrinsic_gap_signed          mean (2 p(stereo) - 1), -1..1, 0 is fair, positive follows the stereotype
    intrinsic_gap_counterfactual  mean |par(x_a) - par(x_b)| over twins, 0..1, lower is fairer

The absolute gap also holds a model's taste for one word over another; the counterfactual gap does not. On balanced
twins the signed gap is PAR of the disadvantaged group minus PAR of the advantaged one, exactly.

Of sentences that deny what they say (`reversed`), par is 1 minus the above. `Estimate.n` counts prompts (twins for
the counterfactual gap); intervals are clustered by template family, so the effective sample size is
`FillerScores.family_count`.
"""

from typing import NamedTuple

import numpy as np

from equiray.metrics.clusters import Heading, Resampling, cluster_sums, clustered_estimates
from equiray.metrics.estimates import Direction, Estimate
from equiray.metrics.filler_scores import SIDES, FillerScores, same_prompts

_GAPS = ("intrinsic_gap", "intrinsic_gap_signed", "intrinsic_gap_counterfactual")
_DIRECTIONS: dict[str, Direction] = {
    "par": "half",
    "lmcs": "higher",
    "els": "higher",
    "intrinsic_gap": "lower",
    "intrinsic_gap_signed": "zero",
    "intrinsic_gap_counterfactual": "lower",
}
LEVELS = tuple(_DIRECTIONS)
"""The metrics of one model on one attribute."""

GROUP_METRICS = ("par", "lmcs", "els")
"""Those of them that each group has, too."""

# A difference of two values near their ideal has no better direction of its own.
_CHANGE_DIRECTIONS: dict[str, Direction] = {**_DIRECTIONS, "par": "none", "intrinsic_gap_signed": "none"}


class Gaps(NamedTuple):
    """The three gaps without intervals, for live diagnostics."""

    absolute: float
    signed: float
    counterfactual: float


def intrinsic_gaps(scores: FillerScores) -> Gaps:
    """The three gaps (formulas: the module's docstring); NaN where no prompt names a group."""
    with np.errstate(invalid="ignore"):
        return Gaps(*statistics_of(prompt_terms(scores).sum(axis=0))[-3:].tolist())


def intrinsic_estimates(
    scores: FillerScores,
    *,
    task: str,
    attribute: str,
    stage: str,
    model: str,
    resampling: Resampling | None = None,
) -> list[Estimate]:
    """Every intrinsic metric of one model on one attribute, with intervals clustered by template family.

    Parameters
    ----------
    scores : FillerScores
    task : str
        The template set's name.
    attribute, stage, model : str
        Labels of the estimates.
    resampling : Resampling, optional
        None: 95 %, 2,000 replicates, seed 0.

    Returns
    -------
    list of Estimate
        par, lmcs and els for each group (``neutral`` among them where such prompts were scored) and for both groups
        together (group None), then the three gaps. LMCS and ELS are not estimable without irrelevant fillers.
    """
    headings, kept = _headings(scores, _DIRECTIONS)
    return clustered_estimates(
        cluster_sums(prompt_terms(scores), scores.family),
        lambda totals: statistics_of(totals)[..., kept],
        headings,
        task=task,
        stage=stage,
        model=model,
        attribute=attribute,
        resampling=resampling or Resampling(),
    )


def intrinsic_change(
    before: FillerScores,
    after: FillerScores,
    *,
    task: str,
    attribute: str,
    model: str,
    stage: str = "unlearning-baseline",
    resampling: Resampling | None = None,
) -> list[Estimate]:
    """Paired change of every intrinsic metric on the same prompts.

    Parameters
    ----------
    before, after : FillerScores
        Scores of the same prompts in the same order.
    task, attribute, model, stage : str
        Labels of the estimates.
    resampling : Resampling, optional

    Returns
    -------
    list of Estimate
        The metrics of `intrinsic_estimates`, each as after - before; then ``intrinsic_gap_reduction`` and
        ``intrinsic_gap_counterfactual_reduction``, 1 - after / before: 1 = gone, 0 = unchanged, below 0 = grown.

    Raises
    ------
    ValueError
        The two were not scored on the same prompts.
    """
    if not same_prompts(before, after):
        raise ValueError("a paired change needs scores of the same prompts in the same order")
    headings, kept = _headings(before, _CHANGE_DIRECTIONS)
    headings += [Heading(f"{gap.metric}_reduction", None, "higher", gap.n) for gap in (headings[-3], headings[-1])]
    columns = np.hstack([prompt_terms(before), prompt_terms(after)])

    def change(totals: np.ndarray) -> np.ndarray:
        old, new = (statistics_of(half) for half in np.split(totals, 2, axis=-1))
        reductions = 1 - new[..., [-3, -1]] / old[..., [-3, -1]]
        return np.concatenate([(new - old)[..., kept], reductions], axis=-1)

    return clustered_estimates(
        cluster_sums(columns, before.family),
        change,
        headings,
        task=task,
        stage=stage,
        model=model,
        attribute=attribute,
        resampling=resampling or Resampling(),
    )


def inverted(before: Estimate, after: Estimate) -> bool:
    """Whether bias was turned round: the signed gap changed sign, and neither interval includes 0.

    Raises
    ------
    ValueError
        An estimate is not of the signed gap.
    """
    signs = []
    for estimate in (before, after):
        if estimate.metric != "intrinsic_gap_signed":
            raise ValueError(f"inversion is a property of intrinsic_gap_signed, not of {estimate.metric}")
        if estimate.low is None or estimate.high is None or estimate.low <= 0 <= estimate.high:
            return False
        signs.append(estimate.low > 0)
    return signs[0] != signs[1]


def prompt_terms(scores: FillerScores) -> np.ndarray:
    """Per-prompt terms [P, 12] whose totals determine every metric: (1, par, lmcs) per side, then the three gaps."""
    par, lmcs = scores.par(), scores.lmcs()
    columns = np.zeros((len(par), 12))
    for i, side in enumerate(SIDES):
        of_side = scores.side == side
        columns[of_side, 3 * i : 3 * i + 3] = np.column_stack([np.ones(len(par)), par, lmcs])[of_side]
    sided = scores.side != "neutral"
    signed = np.where(scores.side == "disadvantaged", 2 * par - 1, 1 - 2 * par)
    columns[:, 9] = np.abs(signed) * sided
    columns[:, 10] = signed * sided
    one, other = scores.twin_rows()
    columns[one, 11] = np.abs(par[one] - par[other])
    return columns


def statistics_of(totals: np.ndarray) -> np.ndarray:
    """Totals of `prompt_terms` [..., 12] -> par, lmcs, els of (three sides, both groups), then the gaps: [..., 15]."""
    sides = [totals[..., 3 * i : 3 * i + 3] for i in range(3)]
    parts = np.stack([*sides, sides[0] + sides[1]], axis=-2)
    par, lmcs = parts[..., 1] / parts[..., 0], parts[..., 2] / parts[..., 0]
    els = lmcs * np.minimum(par, 1 - par) / 0.5
    gaps = totals[..., 9:12] / np.stack([parts[..., 3, 0], parts[..., 3, 0], parts[..., 0, 0]], axis=-1)
    return np.concatenate([par, lmcs, els, gaps], axis=-1)


def _headings(scores: FillerScores, directions: dict[str, Direction]) -> tuple[list[Heading], list[int]]:
    """Headings of the statistics that apply, and their places among those of `statistics_of`."""
    counts = [int((scores.side == side).sum()) for side in SIDES]
    groups: list[tuple[str | None, int]] = [*zip((*scores.groups, "neutral"), counts, strict=True)]
    groups.append((None, counts[0] + counts[1]))
    every = [Heading(m, group, directions[m], n) for m in GROUP_METRICS for group, n in groups]
    sided = counts[0] + counts[1]
    every += [Heading(gap, None, directions[gap], n) for gap, n in zip(_GAPS, (sided, sided, counts[0]), strict=True)]
    kept = [i for i, heading in enumerate(every) if heading.group != "neutral" or counts[2]]
    return [every[i] for i in kept], kept
