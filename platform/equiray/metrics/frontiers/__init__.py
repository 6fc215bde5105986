"""What group thresholds can trade between accuracy and equality, chosen on one split and read on another.

found = threshold_frontier(Split("validation", table), "demographic_parity_difference")
reading = read_frontier(found, Split("test", other_table))
"""

from equiray.metrics.frontiers.curves import FRONTIER_METRICS, Split
from equiray.metrics.frontiers.exact import threshold_frontier
from equiray.metrics.frontiers.reading import read_frontier
from equiray.metrics.frontiers.relaxed import randomised_frontier
from equiray.metrics.frontiers.rules import Chosen, Frontier, FrontierReading, Read, Rule, Step, Trade

__all__ = [
    "FRONTIER_METRICS",
    "Chosen",
    "Frontier",
    "FrontierReading",
    "Read",
    "Rule",
    "Split",
    "Step",
    "Trade",
    "randomised_frontier",
    "read_frontier",
    "threshold_frontier",
]
