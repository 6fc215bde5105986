"""How a sweep went: the hypervolume by number of trials, who worked when, and what settings mattered."""

from typing import NamedTuple

from equiray.reports.axes import axis_over
from equiray.reports.planes import Entry, Mark, Plane, PlaneChart
from equiray.reports.search.cards import STATUS
from equiray.reports.search.record import SearchFile, Status
from equiray.reports.search.space import short_keys
from equiray.reports.words import count, duration, number, share


class Bar(NamedTuple):
    """`width` in percent of the track, from `at`."""

    label: str
    words: str
    width: float
    at: float = 0.0
    style: str = ""


class WorkerRow(NamedTuple):
    """The trials that a worker ran, on the sweep's own clock."""

    name: str
    bars: tuple[Bar, ...]
    words: str


def course_chart(document: SearchFile) -> PlaneChart | None:
    """Steps of the hypervolume on validation, and what the final front has on test; None where it is always 0."""
    curve, test = document.hypervolume.curve, document.hypervolume.test
    if not curve or not any(volume for _, volume in curve):
        return None
    limits = [] if test is None else [v for v in (test.value, test.low, test.high) if v is not None]
    first, last = curve[0][0], curve[-1][0]
    plane = Plane(axis_over([min(first, 1), last]), axis_over([0.0, *(volume for _, volume in curve), *limits]))
    bands, systems, entries = (), (), [Entry("line", "gated", "all points until then, on validation")]
    if test is not None and test.value is not None:
        at = plane.at(last, test.value)
        arm = None
        if test.low is not None and test.high is not None:
            arm = (plane.at(last, test.high)[1], plane.at(last, test.low)[1])
            corners = [(first, test.low), (last, test.low), (last, test.high), (first, test.high)]
            bands = (plane.line("untuned", corners),)
        spoken = f"the front on test: {number(test.value)}"
        systems = (Mark(shape="diamond", style="untuned", x=at[0], y=at[1], y_arm=arm, spoken=spoken),)
        entries.append(Entry("diamond", "untuned", "the final front, on test, with its interval"))
    return PlaneChart(
        title="Hypervolume by number of trials",
        meaning="what all points found until then dominate, measured from the reference point; a course that is flat "
        "at its end found nothing more to gain",
        x_label="trials",
        y_label="hypervolume",
        promises=(plane.line("gated", _steps(curve)),),
        bands=bands,
        dots=(),
        systems=systems,
        legend=tuple(entries),
        x_ticks=plane.x.ticks,
        y_ticks=plane.y_ticks,
    )


def importance_bars(document: SearchFile) -> list[Bar]:
    """The share of each setting, the largest first."""
    found = sorted(document.importance or [], key=lambda of: -of.share)
    short = short_keys([of.key for of in found])
    longest = max((of.share for of in found), default=0) or 1
    return [Bar(short[of.key], share(of.share), round(100 * of.share / longest, 1)) for of in found]


def fate_bars(document: SearchFile) -> list[Bar]:
    """How many trials ended how; in the colours of `worker_rows`."""
    whole = len(document.trials) or 1
    found: dict[Status, int] = {status: len(document.of_status(status)) for status in STATUS}
    return [
        Bar(STATUS[status][:1].upper() + STATUS[status][1:], count(n), round(100 * n / whole, 1), style=status)
        for status, n in found.items()
    ]


def killed_bars(document: SearchFile) -> list[Bar]:
    """How many trials broke each constraint; one may break several."""
    whole = len(document.trials) or 1
    return [
        Bar(c.name, f"{count(c.killed)} of {len(document.trials)}", round(100 * c.killed / whole, 1))
        for c in document.constraints
    ]


def worker_rows(document: SearchFile) -> list[WorkerRow]:
    """Each worker's trials; those of no known worker are left out."""
    end = max((t.started_s + t.seconds for t in document.trials), default=0) or 1
    names = dict.fromkeys(trial.worker for trial in document.trials if trial.worker is not None)
    rows = []
    for name in names:
        mine = [trial for trial in document.trials if trial.worker == name]
        bars = tuple(
            Bar(
                f"trial {t.number}",
                f"trial {t.number}, {t.status}, {duration(t.seconds)}",
                round(100 * t.seconds / end, 2),
                round(100 * t.started_s / end, 2),
                t.status,
            )
            for t in mine
        )
        rows.append(WorkerRow(name, bars, f"{share(sum(t.seconds for t in mine) / end)} busy"))
    return rows


def _steps(curve: list[tuple[int, float]]) -> list[tuple[float, float]]:
    """A value holds until the next trial has ended."""
    steps = [(float(curve[0][0]), curve[0][1])]
    for n, volume in curve[1:]:
        steps += [(n, steps[-1][1]), (n, volume)]
    return steps
