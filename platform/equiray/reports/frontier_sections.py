"""The part of a report that shows frontiers: one chart for each disparity and each set of scores."""

from collections.abc import Iterable
from dataclasses import dataclass

from equiray.reports.figures import Figures
from equiray.reports.frontier_figures import FrontierRecord, frontier_chart, systems_of
from equiray.reports.planes import PlaneChart
from equiray.reports.words import metric_words

_FIRST = ("demographic_parity_difference", "equalized_odds_difference_max")


@dataclass(frozen=True, kw_only=True)
class FrontierSection:
    """`charts` stand open, `more` folded; `notes` say why a frontier is not there.

    Of a run, with its many models, frontiers.json alone has what would be folded.
    """

    about: str
    charts: list[PlaneChart]
    more: list[PlaneChart]
    notes: list[str]


def frontier_section(
    frontiers: Iterable[FrontierRecord], figures: Figures, task: str, attribute: str
) -> FrontierSection | None:
    """Frontiers of an attribute beside what the systems of the task do; None where there are none."""
    by_chart: dict[tuple[str, ...], list[FrontierRecord]] = {}
    for record in frontiers:
        if (record.task, record.reading.attribute) == (task, attribute):
            key = (record.reading.metric, record.model, record.stage)
            by_chart.setdefault(key, []).append(record)
    if not by_chart:
        return None
    charts: dict[bool, list[PlaneChart]] = {True: [], False: []}
    notes: dict[str, None] = {}
    for (metric, *_), records in by_chart.items():
        chart = frontier_chart(records, systems_of(figures, task, attribute, metric))
        if chart is None:
            notes |= {_missing(record): None for record in records}
        else:
            charts[metric in _FIRST].append(chart)
    order = {metric_words(metric).label: place for place, metric in enumerate(_FIRST)}
    charts[True].sort(key=lambda chart: order.get(chart.x_label, 0))
    one = next(iter(by_chart.values()))[0].reading
    return FrontierSection(
        about=_about(one.chosen_on, one.read_on),
        charts=charts[True],
        more=charts[False] if figures.is_audit(task) else [],
        notes=list(notes),
    )


def _about(chosen_on: str, read_on: str) -> str:
    return (
        f"What the scores would allow if each group had its own threshold. Rules were chosen on {chosen_on}; lines "
        "show what they promise there, which is too good to be true, for they are the best of very many. Dots show the "
        f"same rules on {read_on}, which had no part in the choice: only these may be held against a system. A system "
        "that lies clearly below the dots, or to their right, gives away accuracy or equality that thresholds alone "
        "would keep. Whether groups may be given thresholds of their own is for the law to say, not for this chart."
    )


def _missing(record: FrontierRecord) -> str:
    label = metric_words(record.reading.metric).label
    return f"No frontier of {label[:1].lower()}{label[1:]}: {record.reading.reason}."
