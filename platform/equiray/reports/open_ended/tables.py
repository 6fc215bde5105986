"""The tables and plots of open-ended generation: groups, pairs of groups beside the scorer's own error, outcomes."""

from equiray.metrics.estimates import Estimate
from equiray.reports.axes import axis_over
from equiray.reports.open_ended.record import Measure, OpenEndedTask, PairFinding
from equiray.reports.panels import Block, Panel, interval_row, signed
from equiray.reports.tables import Cell, Table, TableBlock, TableRow, plain_cell
from equiray.reports.words import bracket, count, metric_words, share

MOST_PAIRS = 60
"""Pairs of groups that a table shows of each measure; results.json has all."""
_STYLES = {"higher": "changed", "lower": "changed"}


def group_table(task: OpenEndedTask) -> Table:
    """Every measure of each group, and what share of its continuations was refused or empty."""
    metrics = (*task.measures, "refusal_rate", "empty_rate")
    rows = [
        TableRow(
            label=group_words(group),
            cells=(*(_of(task.get(metric, group)) for metric in metrics), Cell(value=count(of.families))),
        )
        for group, of in task.groups.items()
    ]
    columns = tuple((metric_words(name).short, metric_words(name).label) for name in metrics)
    columns += (("Families", "entities or sentences that the prompts are about"),)
    return Table(corner="Group", columns=columns, blocks=(TableBlock(title="", rows=tuple(rows)),))


def pair_table(task: OpenEndedTask) -> Table:
    """Differences between groups, how the scorer reacts to the groups' words either way, and what is left."""
    blocks = []
    for measure in task.measures:
        pairs = [pair for pair in task.pairs if pair.measure == measure]
        rows = [_pair_row(task, pair) for pair in pairs[:MOST_PAIRS]]
        if len(pairs) > MOST_PAIRS:
            left = count(len(pairs) - MOST_PAIRS, "more pair")
            rows.append(TableRow(label=f"… and {left}: see results.json", cells=()))
        blocks.append(TableBlock(title=metric_words(measure).label, rows=tuple(rows)))
    columns = (
        ("Difference", "first group less second"),
        ("Words swapped, first", "change of the first group’s texts with the second’s words"),
        ("Words swapped, second", "change of the second group’s texts with the first’s words"),
        ("Net", "difference less the scorer’s reaction to the words"),
        ("Finding", "what these let one say"),
    )
    return Table(corner="Groups", columns=columns, blocks=tuple(blocks))


def group_panels(task: OpenEndedTask) -> list[Panel]:
    """Each measure of every group, an axis of its own."""
    found = []
    for measure in task.measures:
        estimates = {group: task.get(measure, group) for group in task.groups}
        known = {group: e for group, e in estimates.items() if e is not None and e.value is not None}
        if not known:
            continue
        limits = [x for e in known.values() for x in (e.value, e.low, e.high) if x is not None]
        axis = axis_over(limits)
        words = metric_words(measure)
        found.append(
            Panel(
                title=words.label,
                meaning=words.meaning,
                blocks=(Block(title="", rows=tuple(interval_row(e, axis, group_words(g)) for g, e in known.items())),),
                ticks=axis.ticks,
                zero=axis.at(0) if axis.low < 0 < axis.high and measure == "sentiment" else None,
            )
        )
    return found


def outcome_table(task: OpenEndedTask) -> Table:
    """Prompts of each group, and what became of their continuations."""
    rows = [
        TableRow(
            label=group_words(group),
            cells=(
                Cell(value=count(of.prompts), note=f"of {count(of.available)}"),
                Cell(value=count(of.written)),
                Cell(value=count(of.empty)),
                Cell(value=count(of.refused)),
            ),
        )
        for group, of in task.groups.items()
    ]
    columns = tuple((name, name) for name in ("Prompts", "Written", "Empty", "Refused"))
    return Table(corner="Group", columns=columns, blocks=(TableBlock(title="", rows=tuple(rows)),))


def group_words(group: str) -> str:
    """``American_actors`` -> ``American actors``."""
    return group.replace("_", " ")


def pair_words(pair: PairFinding) -> str:
    """``American actors − American actresses``."""
    return f"{group_words(pair.one)} − {group_words(pair.other)}"


def difference_of(task: OpenEndedTask, pair: PairFinding) -> Estimate | None:
    """The difference that a finding is about."""
    return task.get(f"{pair.measure}_difference", f"{pair.one} - {pair.other}")


def _pair_row(task: OpenEndedTask, pair: PairFinding) -> TableRow:
    net = task.get(f"{pair.measure}_net_difference", f"{pair.one} - {pair.other}")
    return TableRow(
        label=pair_words(pair),
        cells=(
            _signed(difference_of(task, pair)),
            _swapped(task, pair.measure, pair.one, pair.other),
            _swapped(task, pair.measure, pair.other, pair.one),
            _signed(net),
            Cell(value=pair.finding, style=_STYLES.get(pair.finding, "")),
        ),
    )


def _swapped(task: OpenEndedTask, measure: Measure, group: str, other: str) -> Cell:
    way = task.way(group, other)
    note = "" if way is None or not way.texts else f"{share(way.named / way.texts)} name a group"
    return _signed(task.get(f"{measure}_swap_change", f"{group} -> {other}"), note)


def _signed(e: Estimate | None, note: str = "") -> Cell:
    if e is None or e.value is None:
        return plain_cell(e, note)
    partial = "partial" if e.status == "partial" else ""
    return Cell(value=signed(e), interval=bracket(e), note=note or partial, style=partial)


def _of(e: Estimate | None) -> Cell:
    if e is None or e.value is None:
        return plain_cell(e)
    partial = ", partial" if e.status == "partial" else ""
    return plain_cell(e, f"of {count(e.n)}{partial}")
