"""Thresholds of gates, from cached risks and outputs alone: every threshold, a choice, and when it cannot hurt.

swept = sweep(outcomes, "sex", fewest_rows=30)  # of validation rows; several gates: sweep_grid
choice = choose(swept, spec.threshold)
record = no_harm(test_outcomes, choice.thresholds[0], "sex", "Female", Resampling(seed=0))
"""

from equiray.mitigation.gating.bands import Band, band
from equiray.mitigation.gating.changes import ExactChange, exact_change, joint_table
from equiray.mitigation.gating.choice import Choice, choose
from equiray.mitigation.gating.grid import sweep_at, sweep_grid
from equiray.mitigation.gating.no_harm import NoHarm, no_harm
from equiray.mitigation.gating.outcomes import GatedOutcomes
from equiray.mitigation.gating.store import load_outcomes, save_outcomes
from equiray.mitigation.gating.thresholds import Sweep, sweep

__all__ = [
    "Band",
    "Choice",
    "ExactChange",
    "GatedOutcomes",
    "NoHarm",
    "Sweep",
    "band",
    "choose",
    "exact_change",
    "joint_table",
    "load_outcomes",
    "no_harm",
    "save_outcomes",
    "sweep",
    "sweep_at",
    "sweep_grid",
]
