"""From tables to `Estimate` records: every metric of the catalogue that a table has the counts for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiray.metrics.catalogue import METRICS
from equiray.metrics.estimates import Estimate, Status
from equiray.metrics.estimation.figures import Figure
from equiray.metrics.estimation.read import Read
from equiray.metrics.estimation.shapes import everyone
from equiray.metrics.metric import Metric
from equiray.metrics.tables import GroupTable

CONFIDENCE = 0.95


class Labels(NamedTuple):
    """What every estimate of one evaluation has in common."""

    task: str
    stage: str
    model: str


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How tables are read.

    `positive` is the class whose rates are meant where there are more than two, None where none is declared: then
    metrics of a positive class are left out. Of two classes it is the last.
    """

    labels: Labels
    confidence: float = CONFIDENCE
    positive: str | None = None


class Placed(NamedTuple):
    """A figure and the attribute whose groups it is about, None if it is about all rows."""

    attribute: str | None
    figure: Figure


def estimates_of(tables: Sequence[GroupTable], setting: Setting) -> list[Estimate]:
    """All estimates of tables that count the same rows by different attributes.

    First those over all rows, whose attribute is None, then those of each table: of its groups, and of what compares
    them. Limits are those of each estimate by itself, at `setting.confidence`.
    """
    return [estimate for placed in figures_of(tables, setting.positive) for estimate in records(placed, setting)]


def figures_of(tables: Sequence[GroupTable], positive: str | None = None) -> Iterator[Placed]:
    """What each metric says that the tables have the counts for, in the order of `estimates_of`."""
    for figure in _figures(everyone(tables[0]), positive):
        if figure.metric.scope == "group":
            yield Placed(None, figure)
    for table in tables:
        for figure in _figures(table, positive):
            yield Placed(table.attribute, figure)


def records(placed: Placed, setting: Setting) -> Iterator[Estimate]:
    """One estimate for each group of a figure, or one for the attribute."""
    attribute, figure = placed
    groups = figure.groups if attribute is not None else (None,)
    columns = Columns(figure.values, *figure.limits(setting.confidence), figure.rows, figure.partial)
    yield from to_estimates(figure.metric, attribute, groups, columns, setting)


class Columns(NamedTuple):
    """What a metric says about each of some groups, arrays [G]; NaN is not estimable, or has no limits."""

    values: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    rows: NDArray[np.int64]
    partial: NDArray[np.bool_]


def to_estimates(
    metric: Metric, attribute: str | None, groups: Sequence[str | None], columns: Columns, setting: Setting
) -> Iterator[Estimate]:
    """One record for each group; what has a value and no limits is ``partial``."""
    cells = zip(groups, *(column.tolist() for column in columns), strict=True)
    for group, value, low, high, n, partial in cells:
        status: Status = "partial" if partial or low != low else "estimated"
        yield Estimate(
            task=setting.labels.task,
            stage=setting.labels.stage,
            model=setting.labels.model,
            metric=metric.id,
            attribute=attribute,
            group=group,
            value=_number(value),
            low=_number(low),
            high=_number(high),
            confidence=setting.confidence,
            n=n,
            status="not_estimable" if value != value else status,
            direction=metric.direction,
        )


def _figures(table: GroupTable, positive: str | None) -> Iterator[Figure]:
    for metric in METRICS.values():
        read = Read.of(metric, table, positive)
        if read is not None:
            yield Figure(metric=metric, read=read)


def _number(value: float) -> float | None:
    """None for NaN, which JSON does not know."""
    return None if value != value else value
