"""How long does the whole frontier of a gate's threshold take, at 1,000,000 cached rows with as many distinct risks?

    python benchmarks/frontier_1e6.py [--quick]

Made-up rows in memory: four groups by two labels, risks that are higher where the base output is wrong, 13 % of
decisions changed by the adapter. What is timed: nine figures at each of the 1,000,001 distinct thresholds, and at 200
quantiles of the risk the limits of all of them and every group's calibration error with its limits. Beside it stands
what one threshold takes that is read by a pass over the rows, with masks and one count by numpy; 100 thresholds drawn
at random are computed both ways and compared.
"""

import sys
import time
from collections.abc import Callable

import numpy as np
from harness import Goal, Side, agree, measure, publish, start

from equiray.metrics.estimation import GroupedScores
from equiray.mitigation.gating.bands import band
from equiray.mitigation.gating.grid import sweep_grid
from equiray.mitigation.gating.outcomes import GatedOutcomes
from equiray.mitigation.gating.thresholds import sweep

ROWS, GROUPS, GATES = 1_000_000, 4, 2
PASSES = 10  # of the peer in one go
CONFIDENCE = 0.95
COMPARED = 100
TARGET_S = 1.0
FIGURES = (
    "accuracy",
    "activation_rate",
    "worst_group_accuracy_cells",
    "worst_group_accuracy_groups",
    "equalized_odds_difference_max",
    "equalized_odds_difference_mean",
    "equalized_odds_difference_sum",
    "equal_opportunity_difference",
    "demographic_parity_difference",
)


def made_up_outcomes() -> GatedOutcomes:
    """Two gates; the first one's risks are all distinct."""
    draw = np.random.default_rng(2026)
    group = draw.integers(0, GROUPS, ROWS)
    label = draw.random(ROWS) < 0.2 + 0.05 * group
    logit = np.where(label, 1.0, -1.2) + draw.normal(0, 1.3, ROWS) - 0.5 * (group == 0) * label
    wrong = (logit > 0) != label
    risk = np.empty((ROWS, GATES), np.float32)
    for gate in range(GATES):
        suspicion = draw.normal(0, 1, ROWS) + wrong + (group == gate)
        risk[np.argsort(suspicion), gate] = (np.arange(ROWS) + 0.5) / ROWS
    shifts = [np.zeros(ROWS), *(draw.normal(0.4, 0.6, ROWS) * np.where(label, 1, -1) for _ in range(GATES))]
    logits = np.stack([logit, logit + shifts[1], logit + shifts[2], logit + shifts[1] + shifts[2]], axis=1)
    return GatedOutcomes(
        split="validation",
        attributes=("one", "other"),
        label=label.astype(np.int8),
        groups=(GroupedScores("group", tuple(f"group {number}" for number in range(GROUPS)), group),),
        risk=risk,
        probability=(1 / (1 + np.exp(-logits))).astype(np.float32),
        detector_layers=(4, 4),
        adapter_first_layers=(4, 4),
    )


def by_pass(outcomes: GatedOutcomes, tau: float) -> list[float]:
    """One threshold by a pass over the rows, in the order of `FIGURES`."""
    opened = outcomes.risk[:, 0] > tau
    decision = np.where(opened, outcomes.probability[:, 1], outcomes.probability[:, 0]) > 0.5
    cell = (outcomes.groups[0].code * 2 + outcomes.label) * 2 + decision
    (tn, fp), (fn, tp) = np.bincount(cell, minlength=4 * GROUPS).reshape(GROUPS, 2, 2).transpose(1, 2, 0)
    tpr, fpr, selected = tp / (tp + fn), fp / (fp + tn), (tp + fp) / (tp + fp + tn + fn)
    spreads = np.ptp(tpr), np.ptp(fpr)
    return [
        (tp + tn).sum() / ROWS,
        opened.mean(),
        min((1 - fpr).min(), tpr.min()),
        ((tp + tn) / (tp + fp + tn + fn)).min(),
        max(spreads),
        sum(spreads) / 2,
        sum(spreads),
        spreads[0],
        np.ptp(selected),
    ]


def check(outcomes: GatedOutcomes) -> None:
    """Compare 100 thresholds drawn at random, and that every distinct one is there."""
    swept = sweep(outcomes, "group")
    taus = swept.thresholds[:, 0]
    agree("number of thresholds", len(taus), len(np.unique(outcomes.risk)) + 1, 0)
    places = np.random.default_rng(1).choice(len(taus), COMPARED, replace=False)
    ours = np.array([[swept.figures[metric][place] for metric in FIGURES] for place in places])
    theirs = np.array([by_pass(outcomes, float(taus[place])) for place in places])
    agree(f"{len(FIGURES)} figures at {COMPARED} thresholds", ours, theirs, 1e-12)


def seconds(what: str, run: Callable[[], object]) -> None:
    """Print how long something takes that is part of the whole or beside it: the median of five."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    print(f"  {what}: {np.median(times):.3f} s")


def main() -> None:
    """Measure and report."""
    quick = start(__doc__ or "")
    both = made_up_outcomes()
    outcomes = both.alone("one")
    before, after = outcomes.probability.T > 0.5
    print(f"{ROWS:,} rows; the adapter changes {(before != after).mean():.1%} of the decisions")
    check(outcomes)
    quantiles = np.quantile(outcomes.risk[:, 0], np.linspace(0, 1, PASSES)).tolist()

    def ours(chosen: range) -> float:
        sweep(outcomes, "group")
        band(outcomes, "group", CONFIDENCE)
        return 1.0

    def peer(chosen: range) -> float:
        for tau in quantiles:
            by_pass(outcomes, tau)
        return 1.0

    rates = measure(Side("equiray", ours), Side("one pass a threshold", peer), 1, quick=quick)
    seconds("every distinct threshold, without limits", lambda: sweep(outcomes, "group"))
    seconds("200 quantiles with limits and calibration", lambda: band(outcomes, "group", CONFIDENCE))
    seconds("beside it, two gates on a grid of 200 x 200", lambda: sweep_grid(both, "group"))
    one = float(np.median([1 / rate.peer for rate in rates])) / PASSES
    publish(
        "frontier_1e6",
        [1 / rate.ours for rate in rates],
        unit="s",
        peer=f"one pass over the rows for each threshold: {1e3 * one:.1f} ms, {one * ROWS / 3600:.1f} h for all",
        quick=quick,
        goal=Goal("at most", TARGET_S),
    )


if __name__ == "__main__":
    sys.exit(main())
