"""The table that New York City's Local Law 144 has published: rows, rate and impact ratio of every group."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from equiray.metrics.estimates import Estimate
from equiray.metrics.tables import MISSING

PUBLISHED = {"impact_ratio": "selection_rate", "scoring_impact_ratio": "scoring_rate"}
"""The metrics that belong to such a table, and the rate each is a ratio of."""


@dataclass(frozen=True, kw_only=True)
class ImpactRow:
    """One group: `ratio` is its `rate` over the highest of the groups compared, None if it is not compared."""

    where: str
    attribute: str
    group: str
    rows: int
    metric: str
    rate: float | None
    ratio: float | None


def impact_rows(where: str, attribute: str, rates: Iterable[Estimate], left_out: frozenset[str]) -> list[ImpactRow]:
    """The table of one attribute, the highest rate first; groups left out and `MISSING` are listed, not compared.

    Parameters
    ----------
    rates : estimates of one of the rates of `PUBLISHED`, one for each group of the attribute
    left_out : groups that the policy leaves out
    """
    found: Mapping[str, Estimate] = {e.group: e for e in rates if e.group is not None}
    compared = {
        group: e.value for group, e in found.items() if e.value is not None and group not in left_out | {MISSING}
    }
    highest = max(compared.values(), default=0.0)
    rows = [
        ImpactRow(
            where=where,
            attribute=attribute,
            group=group,
            rows=e.n,
            metric=e.metric,
            rate=e.value,
            ratio=compared[group] / highest if group in compared and highest > 0 else None,
        )
        for group, e in found.items()
    ]
    return sorted(rows, key=lambda row: (row.ratio is None, -(row.ratio or 0.0)))
