"""Estimates from counts: one `GroupTable` to every metric that it has the counts for, with limits."""

from equiray.metrics.estimation.changes import changes_of
from equiray.metrics.estimation.evidence import CountedEvidence
from equiray.metrics.estimation.records import CONFIDENCE, Labels, Setting, estimates_of
from equiray.metrics.estimation.shapes import listed, with_positive

__all__ = [
    "CONFIDENCE",
    "CountedEvidence",
    "Labels",
    "Setting",
    "changes_of",
    "estimates_of",
    "listed",
    "with_positive",
]
