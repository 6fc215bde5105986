"""Frontier charts: where rules and systems stand, and that a file of frontiers comes back as it was."""

import json
import re
from typing import Any

import pytest
from jinja2 import Environment, PackageLoader, StrictUndefined

from equiray.metrics.estimates import Estimate
from equiray.metrics.frontiers import (
    Chosen,
    Frontier,
    FrontierReading,
    Trade,
    randomised_frontier,
    read_frontier,
    threshold_frontier,
)
from equiray.reports.figures import Figures
from equiray.reports.frontier_figures import (
    MOST_DOTS,
    FrontierRecord,
    FrontiersFile,
    System,
    frontier_chart,
    systems_of,
)
from equiray.reports.planes import PlaneChart
from report_run import estimate
from score_tables import scored_rows, split_of

DP = "demographic_parity_difference"


def readings(n: int = 150) -> list[FrontierReading]:
    """Of synthetic rows, both kinds."""
    choice, test = split_of(scored_rows(1, n, 2), "validation"), split_of(scored_rows(2, n, 2), "test")
    return [read_frontier(find(choice, DP), test) for find in (threshold_frontier, randomised_frontier)]


def records(found: list[FrontierReading], **more: Any) -> list[FrontierRecord]:
    place = {"task": "adult", "stage": "baseline", "model": "raw"} | more
    return [FrontierRecord(**place, reading=reading) for reading in found]


def system(stage: str, disparity: float | None, accuracy: float) -> list[Estimate]:
    return [
        Estimate(**estimate("adult", stage, "raw", DP, disparity, 0.04, attribute="sex")),
        Estimate(**estimate("adult", stage, "raw", "accuracy", accuracy, 0.02, direction="higher")),
    ]


def drawn(found: list[FrontierReading]) -> PlaneChart:
    chart = frontier_chart(records(found), [System(*system("baseline", 0.2, 0.7)), System(*system("cda", 0.1, 0.69))])
    assert chart is not None
    return chart


def test_dots_are_the_rules_as_read_and_lines_as_they_were_chosen() -> None:
    found = readings()
    chart = drawn(found)
    x = {float(tick.label): tick.at for tick in chart.x_ticks}
    y = {float(tick.label): tick.at for tick in chart.y_ticks}
    (x0, x1), (y0, y1) = sorted(x)[:2], sorted(y)[:2]
    points = [point for reading in found for point in reading.points]
    assert len(chart.dots) == len(points) > 40
    for dot, point in zip(chart.dots, points, strict=True):
        disparity, accuracy = point.on_read
        assert dot.x == pytest.approx(x[x0] + (disparity - x0) * (x[x1] - x[x0]) / (x1 - x0), abs=0.05)
        assert dot.y == pytest.approx(y[y0] + (accuracy - y0) * (y[y1] - y[y0]) / (y1 - y0), abs=0.05)
    steps, straight = (line.points.split() for line in chart.promises)
    assert len(steps) > 2 * len(found[0].points) - 3, "a corner before each step"
    assert len(straight) == len(found[1].points)
    level = [float(corner.split(",")[1]) for corner in steps]
    assert level == sorted(level, reverse=True), "never falls"


def test_systems_stand_on_the_same_axes_with_their_intervals() -> None:
    chart = drawn(readings())
    baseline, cda = chart.systems
    assert cda.x < baseline.x and cda.y > baseline.y, "fairer, and less accurate"
    assert baseline.x_arm is not None and baseline.x_arm[0] < baseline.x < baseline.x_arm[1]
    assert baseline.y_arm is not None and baseline.y_arm[0] < baseline.y < baseline.y_arm[1]
    assert cda.x_arm and baseline.x - cda.x == pytest.approx((cda.x_arm[1] - cda.x_arm[0]) * 0.1 / 0.08, abs=0.05)
    assert (baseline.shape, baseline.style, cda.style) == ("circle", "stage-baseline", "stage-cda")


def test_systems_are_those_of_which_both_are_known() -> None:
    figures = Figures([*system("baseline", 0.2, 0.7), *system("cda", None, 0.7), *system("unlearning", 0.1, 0.6)[:1]])
    assert [s.disparity.stage for s in systems_of(figures, "adult", "sex", DP)] == ["baseline"]
    assert systems_of(figures, "adult", "race", DP) == []


def test_unlike_frontiers_do_not_share_a_chart() -> None:
    found = readings()
    with pytest.raises(ValueError, match="one chart"):
        frontier_chart([*records(found[:1]), *records(found[1:], stage="cda")], [])
    with pytest.raises(ValueError, match="one chart"):
        frontier_chart(records(found, task="german"), [System(*system("baseline", 0.2, 0.7))])


def test_many_rules_leave_few_dots_and_say_so() -> None:
    (reading, _) = readings()
    many = Frontier(
        metric=DP,
        attribute="sex",
        groups=reading.groups,
        kind="thresholds",
        chosen_on="validation",
        fingerprint="",
        points=tuple(Chosen(reading.points[-1].rule, Trade(i / 1000, i / 1000)) for i in range(500)),
        status="estimated",
        reason="",
    )
    chart = drawn([read_frontier(many, split_of(scored_rows(2, 150, 2), "test"))])
    assert len(chart.dots) == MOST_DOTS
    assert any(f"{MOST_DOTS} of 500 rules" in entry.label for entry in chart.legend)


def test_what_cannot_be_drawn_is_said() -> None:
    choice = scored_rows(1, 150, 2)
    unscored = threshold_frontier(split_of(choice, "validation", unscored=3), DP)
    lost = threshold_frontier(split_of(choice._replace(group=choice.group * 0), "validation"), DP)
    test = split_of(scored_rows(2, 150, 2), "test")
    partial, gone = read_frontier(unscored, test), read_frontier(lost, test)
    chart = drawn([partial, gone])
    assert len(chart.promises) == 1
    assert [note.split(": ")[1] for note in chart.notes] == ["partial", "not estimable"]
    assert frontier_chart(records([gone]), []) is None


def test_a_file_of_frontiers_comes_back_as_it_was() -> None:
    found = readings()
    entries = [{"task": "adult", "stage": "baseline", "model": "raw", "reading": r.to_json()} for r in found]
    text = json.dumps({"schema": "equiray.frontiers/1", "frontiers": entries}, allow_nan=False)
    assert re.search('"-?inf"', text)
    assert [record.reading for record in FrontiersFile.model_validate_json(text).frontiers] == found


def test_the_template_shows_every_mark_and_escapes() -> None:
    found = readings()
    chart = frontier_chart(records(found, model="<b>own</b>"), [])
    assert chart is not None
    environment = Environment(loader=PackageLoader("equiray.reports"), autoescape=True, undefined=StrictUndefined)
    html = environment.from_string("{% import 'frontier.html.j2' as f %}{{ f.frontier(c) }}").render(c=chart)
    assert "<b>" not in html and "&lt;b&gt;own" in html
    assert len(re.findall("<title>test: disparity", html)) == sum(len(r.points) for r in found)
    assert html.count("<polyline") == 2
