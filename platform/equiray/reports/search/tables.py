"""The tables of a sweep: the points of the front, every trial, and what became of them."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from equiray.reports.search.cards import ORIGIN, STATUS, point_title
from equiray.reports.search.record import Configuration, Objective, SearchFile, Trial
from equiray.reports.search.space import settings_words, thresholds_words
from equiray.reports.search.standings import limits_words, optimism, other_words, standing
from equiray.reports.tables import Cell, Table, TableBlock, TableRow
from equiray.reports.words import count, duration, metric_words, number, share

MOST_POINTS = 20
"""Points that the first table of a larger front shows, evenly along it; the whole front is folded below."""

_Of = TypeVar("_Of", Configuration, Trial)
_Column = tuple[tuple[str, str], Callable[[_Of], Cell]]


def front_table(document: SearchFile, *, most: int | None = None) -> Table | None:
    """The front, and what it is held against: figures on test, below them validation and how it flattered."""
    columns: list[_Column[Configuration]] = [(("Settings", "Settings"), _settings_cell)]
    columns += [(_heads(o.metric), _test_column(document, o)) for o in document.objectives]
    measured = [*document.front, *document.beside]
    if any(point.open is not None for point in measured):
        columns.append((("Open", "Gates open"), lambda p: _plain(None if p.open is None else share(p.open))))
    columns.append((("Stable", "Stability"), _stability_cell))
    return _configurations(document, columns, most)


def short_table(document: SearchFile) -> Table | None:
    """The same for a terminal and Markdown: validation and test side by side."""
    columns: list[_Column[Configuration]] = []
    for objective in document.objectives:
        short, full = _heads(objective.metric)
        columns.append(((f"{short}, validation", f"{full}, validation"), _validation_column(objective)))
        columns.append(((f"{short}, test", f"{full}, test"), _plain_test_column(objective)))
    columns.append((("Stable", "Stability"), _stability_cell))
    columns.append((("Settings", "Settings"), lambda point: _plain(_settings_words(point))))
    return _configurations(document, columns, None)


def fate_table(document: SearchFile) -> Table:
    """What became of the trials, and how many broke each constraint."""
    fates = [
        TableRow(label=words[:1].upper() + words[1:], cells=(Cell(value=count(len(document.of_status(status)))),))
        for status, words in STATUS.items()
    ]
    broken = [TableRow(label=c.name, cells=(Cell(value=count(c.killed)),)) for c in document.constraints]
    blocks = {f"{count(len(document.trials), 'trial')}": fates, "Constraints, by trials that broke them": broken}
    return Table(
        corner="Fate",
        columns=(("Trials", "Trials"),),
        blocks=tuple(TableBlock(title=title, rows=tuple(rows)) for title, rows in blocks.items() if rows),
    )


def reasons_table(document: SearchFile) -> Table | None:
    """The trials that did not run to their end, and why; those that failed first."""
    columns: list[_Column[Trial]] = [
        (("Reason", "Reason"), lambda t: Cell(value="", note=t.reason or "not recorded", style="settings")),
        (("Settings", "Settings"), lambda t: Cell(value="", note=settings_words(t.settings), style="settings")),
        (("Took", "Took"), lambda t: _plain(duration(t.seconds))),
    ]
    parts = [(STATUS[s], document.of_status(s)) for s in ("failed", "infeasible", "stopped")]
    return _table("Trial", columns, [(words[:1].upper() + words[1:], of) for words, of in parts], _trial_label)


def trials_table(document: SearchFile) -> Table | None:
    """Every trial with its own best compromise on validation."""
    columns: list[_Column[Trial]] = [
        (("Settings", "Settings"), lambda t: Cell(value="", note=settings_words(t.settings), style="settings")),
        (("Fate", "Fate"), lambda t: Cell(value="", note=f"{STATUS[t.status]}; {ORIGIN[t.origin]}", style="settings")),
    ]
    columns += [(_heads(o.metric), _value_column(o)) for o in document.objectives]
    columns.append((("Points", "Points"), lambda t: _plain(count(t.points))))
    columns.append((("Volume", "Hypervolume"), lambda t: _figure(t.hypervolume)))
    columns.append((("Took", "Took"), lambda t: _plain(duration(t.seconds))))
    return _table("Trial", columns, [("", document.trials)], _trial_label)


def _configurations(document: SearchFile, columns: Sequence[_Column[Configuration]], most: int | None) -> Table | None:
    front = document.ordered_front
    shown = front if most is None or len(front) <= most else _some(front, most)
    title = "The front" if shown is front else f"{len(shown)} of {len(front)} points of the front, evenly along it"
    return _table("Point", columns, [(title, shown), ("Held against", document.beside)], _point_label)


def _table(
    corner: str,
    columns: Sequence[_Column[_Of]],
    parts: Iterable[tuple[str, Sequence[_Of]]],
    label: Callable[[_Of], str],
) -> Table | None:
    blocks = [
        TableBlock(
            title=title,
            rows=tuple(TableRow(label=label(each), cells=tuple(cell(each) for _, cell in columns)) for each in of),
        )
        for title, of in parts
        if of
    ]
    return Table(corner=corner, columns=tuple(heads for heads, _ in columns), blocks=tuple(blocks)) if blocks else None


def _test_column(document: SearchFile, objective: Objective) -> Callable[[Configuration], Cell]:
    """Coloured where the limits say better or worse than the base."""
    base, metric = document.against("base"), objective.metric

    def cell(point: Configuration) -> Cell:
        of = point.test[metric]
        if of.value is None:
            return Cell(value="n. e.", hint="not estimable", style="missing")
        flattered = optimism(point, objective)
        notes = [] if flattered is None else [f"validation {number(point.validation[metric], metric)}"]
        notes += [] if flattered is None else [f"optimism {_signed(flattered)}"]
        found = standing(document, point, base, objective) if base and point in document.front else "INCONCLUSIVE"
        return Cell(
            value=number(of.value, metric),
            interval=limits_words(point, metric),
            note=", ".join(notes),
            hint="" if found == "INCONCLUSIVE" else f"{found} than {other_words(base)}" if base else "",
            style="" if found == "INCONCLUSIVE" else found,
        )

    return cell


def _plain_test_column(objective: Objective) -> Callable[[Configuration], Cell]:
    metric = objective.metric
    return lambda p: Cell(value=number(p.test[metric].value, metric), interval=limits_words(p, metric))


def _validation_column(objective: Objective) -> Callable[[Configuration], Cell]:
    return lambda point: Cell(value=number(point.validation[objective.metric], objective.metric))


def _value_column(objective: Objective) -> Callable[[Trial], Cell]:
    def cell(trial: Trial) -> Cell:
        return _figure((trial.values or {}).get(objective.metric), objective.metric)

    return cell


def _settings_cell(point: Configuration) -> Cell:
    return Cell(value="", note=_settings_words(point), style="settings")


def _settings_words(point: Configuration) -> str:
    parts = [settings_words(point.settings), point.thresholds and f"thresholds: {thresholds_words(point.thresholds)}"]
    return "; ".join(part for part in parts if part) or "–"


def _stability_cell(point: Configuration) -> Cell:
    return _plain(None if point.stability is None else share(point.stability))


def _point_label(point: Configuration) -> str:
    return point_title(point)


def _trial_label(trial: Trial) -> str:
    return f"{trial.number}" + (f" ({trial.name})" if trial.name else "")


def _plain(words: str | None) -> Cell:
    return Cell(value="–") if not words else Cell(value=words)


def _figure(value: float | None, metric: str = "") -> Cell:
    return _plain(None if value is None else number(value, metric))


def _heads(metric: str) -> tuple[str, str]:
    return metric_words(metric).short, metric_words(metric).label


def _signed(value: float) -> str:
    text = number(value)
    return f"+{text}" if value > 0 and text.strip("0.") else text


def _some(points: Sequence[Configuration], most: int) -> list[Configuration]:
    return [points[round(i * (len(points) - 1) / (most - 1))] for i in range(most)]
