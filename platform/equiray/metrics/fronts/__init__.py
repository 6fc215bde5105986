"""Fronts of points with several objectives, and what of them holds on other data.

front = nondominated(values, ("higher", "lower"))
tested = replicated_outcomes(points, "sex", ("accuracy", "equalized_odds_difference_max"), 1000, seed=0)
shares, (low, high) = stability(tested, ("higher", "lower")), limits(tested, 0.95)
"""

from equiray.metrics.fronts.clustered import GAPS, replicated_gaps, replicated_perplexity
from equiray.metrics.fronts.points import fairest_within, hypervolume, knee, nondominated
from equiray.metrics.fronts.resampled import Replicated, limits, side_by_side, stability
from equiray.metrics.fronts.volumes import Measured, hypervolume_between, hypervolume_limits, hypervolume_ratio

__all__ = [
    "GAPS",
    "Measured",
    "Replicated",
    "fairest_within",
    "hypervolume",
    "hypervolume_between",
    "hypervolume_limits",
    "hypervolume_ratio",
    "knee",
    "limits",
    "nondominated",
    "replicated_gaps",
    "replicated_perplexity",
    "side_by_side",
    "stability",
]
