"""The page of a sweep, held against the document that it was written from."""

import io
import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from chains_sample import CONTRACTS, one
from equiray.errors import BadInput
from equiray.reports import markdown_tables, print_summary, write_report
from equiray.reports.model_card import write_model_card
from equiray.reports.search import SearchFile, load_search
from equiray.reports.search.coordinates import coordinates
from equiray.reports.search.course import course_chart, worker_rows
from equiray.reports.search.front_charts import front_charts
from equiray.reports.search.space import short_keys, threshold_words, value_words
from equiray.reports.search.standings import optimism, standing
from search_sample import ACCURACY, GAP, empty_document, search_document, unlearning_document, write_search
from test_report import NASTY, Page


def page_of(run_dir: Path) -> Page:
    page = Page(write_report(run_dir).read_text(encoding="utf-8"))
    page.text = page.text.replace("\N{NO-BREAK SPACE}", " ")
    return page


def read(document: dict[str, Any]) -> SearchFile:
    return SearchFile.model_validate(document)


def test_the_contract_example_is_read_whole_and_makes_a_page(tmp_path: Path) -> None:
    document = json.loads((CONTRACTS / "search_results.json").read_text(encoding="utf-8"))
    assert json.loads(read(document).model_dump_json(by_alias=True)) == document, "nothing is dropped in reading"
    assert "smoke run" in page_of(write_search(tmp_path / "run", document)).text


def test_the_opening_says_what_was_searched_and_what_the_front_offers_on_test(tmp_path: Path) -> None:
    document = search_document()
    text = page_of(write_search(tmp_path / "run", document)).text
    assert "30 trials of FairNet’s detectors and adapters on COMPAS" in text
    assert "searched 5 settings for the best trades of accuracy (higher is better) and equalized odds" in text
    front, base = document["front"], document["beside"][0]
    fairer = sum(point["test"][GAP]["high"] < base["test"][GAP]["low"] for point in front)
    assert 0 < fairer < len(front), "the sample shows both readings"
    whole = 2 * len(front)
    assert f"better in equalized odds difference (max) for {fairer} of {len(front)}; the other" in text
    assert f"the other {whole - fairer} of {whole} comparisons are INCONCLUSIVE" in text
    best = min(front, key=lambda point: point["validation"][GAP])
    of = best["test"][GAP]
    assert f"on validation is {best['id']}. On test it has" in text
    assert f"difference (max) {of['value']:.3f} [{of['low']:.3f}, {of['high']:.3f}], of the base" in text
    assert "The front’s hypervolume is 0.019 on validation and 0.017 [0.015, 0.019] on test" in text
    assert "95 % intervals that hold together" in text and "probability" not in text


def test_better_is_said_only_where_limits_exclude_no_difference() -> None:
    document = search_document()
    point, base = document["front"][0], document["beside"][0]
    point["test"][GAP], base["test"][GAP] = interval(0.10, 0.08, 0.12), interval(0.16, 0.12, 0.20)
    assert stands(document) == "INCONCLUSIVE", "the intervals meet"
    base["test"][GAP]["low"] = 0.121
    assert stands(document) == "better", "lower is better of a gap"
    point["test"][GAP] = interval(0.24, 0.21, 0.27)
    assert stands(document) == "worse"
    point["test"][GAP]["low"] = None
    assert stands(document) == "INCONCLUSIVE", "without a limit nothing is known"
    paired = one("t", "front-beside", GAP, -0.05, low=-0.09, high=-0.01, model=f"{point['id']}-base", direction="lower")
    document["estimates"].append(paired)
    assert stands(document) == "better", "the paired difference decides where it is recorded"
    paired["high"] = 0.01
    assert stands(document) == "INCONCLUSIVE"


def test_optimism_is_above_0_where_validation_flattered_whichever_way_is_better() -> None:
    document = search_document()
    point = document["front"][0]
    point["validation"] = {ACCURACY: 0.7, GAP: 0.1}
    point["test"] = {ACCURACY: interval(0.68, 0.6, 0.7), GAP: interval(0.13, 0.1, 0.2)}
    found = read(document)
    assert [round(optimism(found.front[0], o) or math.nan, 6) for o in found.objectives] == [0.02, 0.03]
    point["test"][GAP]["value"] = None
    found = read(document)
    assert optimism(found.front[0], found.objectives[1]) is None


def test_marks_stand_where_test_puts_them_and_lines_lead_to_where_validation_had_them() -> None:
    document = read(search_document())
    (chart,) = front_charts(document)
    spots = [spot for spot in chart.spots if spot.mark.style == "front"]
    assert len(spots) == len(document.front)
    points = document.ordered_front
    xs, ys = ([point.test[m].value or 0 for point in points] for m in (GAP, ACCURACY))
    assert rising(spots, [spot.mark.x for spot in spots], xs) and rising(spots, [-spot.mark.y for spot in spots], ys)
    promised = [spot.promised for spot in spots]
    assert all(place is not None for place in promised)
    assert rising(spots, [p[0] for p in promised if p], [point.validation[GAP] or 0 for point in points])
    for spot in spots:
        assert spot.mark.x_arm and spot.mark.x_arm[0] < spot.mark.x < spot.mark.x_arm[1]
        assert spot.mark.y_arm and spot.mark.y_arm[0] < spot.mark.y < spot.mark.y_arm[1]
    looks = {spot.mark.style: spot.mark.shape for spot in chart.spots}
    assert looks["base"] == "square" and looks["untuned"] == "triangle" and looks["known"] == "circle"
    assert chart.dots and any("lies off this plot" in note for note in chart.notes)
    trials = {t.number for t in document.trials if t.values} - document.evaluated_trials
    assert sum(spot.mark.style in ("trial", "broke") for spot in chart.spots) == len(trials)


def test_the_reference_point_is_drawn_where_it_is_near_and_far_trials_are_counted() -> None:
    document = search_document()
    document["objectives"][0]["reference"], document["objectives"][1]["reference"] = 0.65, 0.25
    faint = next(t for t in document["trials"] if t["status"] == "infeasible")
    faint["values"][ACCURACY] = 0.1
    (chart,) = front_charts(read(document))
    assert chart.reference is not None and all(0 <= place <= 100 for place in chart.reference)
    assert chart.notes == (
        "The reference point of the hypervolume (equalized odds difference (max) 0.25, accuracy 0.65) is the cross.",
        "1 trial with figures further off is not drawn.",
    )


def test_three_objectives_make_a_pair_of_planes_on_one_axis(tmp_path: Path) -> None:
    run_dir = write_search(tmp_path / "run", search_document(third=True))
    charts = front_charts(load_search(run_dir))
    assert [(chart.x_label, chart.y_label) for chart in charts] == [
        ("equalized odds difference (max)", "accuracy"),
        ("worst-cell accuracy", "accuracy"),
    ]
    assert "up and to the right is better" in charts[1].meaning
    assert "Worst-cell accuracy" in page_of(run_dir).text


def test_cards_hold_the_configuration_its_figures_and_its_stability(tmp_path: Path) -> None:
    run_dir = write_search(tmp_path / "run")
    document = load_search(run_dir)
    html = write_report(run_dir).read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    cards = [Page(f"<div>{part}").text for part in html.split('<div class="card">')[1:]]
    point = document.ordered_front[3]
    (card,) = [card for card in cards if card.startswith(f"{point.id} ")]
    of = point.test[GAP]
    assert f"non-dominated in {100 * (point.stability or 0):.1f} % of resamples" in card
    assert f"{point.validation[GAP]:.3f}{of.value:.3f} [{of.low:.3f}, {of.high:.3f}]" in card
    for key, value in point.settings.items():
        assert f"{short_keys(list(point.settings))[key]}{value_words(value)}" in card
    assert f"threshold, race{threshold_words(point.thresholds['race'])}" in card
    focusable = [a for tag, a in Page(html).tags if tag == "div" and a.get("tabindex") == "0"]
    assert len(focusable) == len(cards) and all(a["aria-label"] for a in focusable)


def test_lines_cross_each_axis_at_the_trials_value_and_log_axes_keep_a_known_zero() -> None:
    document = search_document()
    document["trials"][0]["settings"]["adapter.learning_rate"] = 0
    drawn = coordinates(read(document))
    assert drawn is not None and len(drawn.tracks) == 7 and len(drawn.lines) == 30
    rate = next(track for track in drawn.tracks if track.label == "adapter.learning_rate")
    assert rate.note == "log" and rate.places[0] == (100.0, "0")
    rates = {t["number"]: t["settings"]["adapter.learning_rate"] for t in document["trials"]}
    del rates[0]
    assert rising(rates, [-rate.places[n].at for n in rates], [math.log(rates[n]) for n in rates])
    width = drawn.tracks[0]
    assert [tick.label for tick in width.ticks] == ["64", "128", "256"]
    gap = drawn.tracks[-1]
    values = {t["number"]: t["values"][GAP] for t in document["trials"] if t["values"]}
    assert rising(values, [gap.places[n].at for n in values], list(values.values())), "up is better of a gap, too"
    assert 15 not in gap.places, "a failed trial has no figures"
    styles = {line.style for line in drawn.lines}
    assert styles == {"front", "trial", "broke"} and drawn.lines[-1].style == "front"


def test_the_course_only_rises_and_stands_beside_the_fronts_volume_on_test() -> None:
    chart = course_chart(read(search_document()))
    assert chart is not None
    heights = [float(pair.split(",")[1]) for pair in chart.promises[0].points.split()]
    assert heights == sorted(heights, reverse=True) and len(chart.bands) == 1
    assert chart.systems[0].y_arm is not None
    assert course_chart(read(empty_document())) is None


def test_workers_are_busy_for_the_share_of_the_sweep_that_their_trials_took() -> None:
    document = read(search_document())
    end = max(t.started_s + t.seconds for t in document.trials)
    for row in worker_rows(document):
        mine = sum(t.seconds for t in document.trials if t.worker == row.name) / end
        assert row.words == f"{100 * mine:.1f}\N{NO-BREAK SPACE}% busy"
        assert sum(bar.width for bar in row.bars) == pytest.approx(100 * mine, abs=0.1)


def test_a_sweep_without_a_front_says_which_constraint_killed_how_many(tmp_path: Path) -> None:
    run_dir = write_search(tmp_path / "run", empty_document())
    page = page_of(run_dir)
    assert (
        "There is no front: no trial kept all constraints. “accuracy >= base - 0.005” was broken by 27 of 30 trials "
        "and “ece <= 0.08” was broken by 4 of 30 trials; a trial may break several." in page.text
    )
    assert "worker died: out of memory at adapter.rank 32" in page.text
    assert "Picking one" not in page.text and "No importance is given" in page.text
    assert "Stability is" not in page.text
    out = io.StringIO()
    print_summary(run_dir, Console(file=out, width=160))
    assert "Constraints, by trials that broke them" in out.getvalue() and "27" in out.getvalue()
    document = empty_document()
    document["trials"] = []
    assert "no trial ran to the end" in page_of(write_search(tmp_path / "none", document)).text


def test_unlearning_has_one_point_a_trial_and_no_thresholds(tmp_path: Path) -> None:
    text = page_of(write_search(tmp_path / "run", unlearning_document())).text
    assert "16 trials of unlearning on PoorOrRich templates searched 5 settings" in text
    assert "test prompts" in text and "threshold" not in text and "Gates open" not in text
    assert "--pick knee" in text and "fairest:" not in text, "there is no accuracy to be near to"


def test_picks_are_commands_with_a_point_of_the_front(tmp_path: Path) -> None:
    run_dir = write_search(tmp_path / "run")
    text, first = page_of(run_dir).text, load_search(run_dir).ordered_front[0].id
    for pick in ("knee", "fairest:0.005", first):
        assert f"equiray bundle DIR --pick {pick} --out DIR2" in text


def test_terminal_markdown_and_model_card_say_the_same(tmp_path: Path) -> None:
    run_dir = write_search(tmp_path / "run")
    of = load_search(run_dir).front[0].test[GAP]
    shown = f"{of.value:.3f} [{of.low:.3f}, {of.high:.3f}]"
    out = io.StringIO()
    print_summary(run_dir, Console(file=out, width=220))
    assert shown in out.getvalue() and "What became of the trials" in out.getvalue()
    tables = markdown_tables(run_dir)
    assert "COMPAS, two years (invented figures): the front" in tables and f"| {shown} |" in tables
    write_report(run_dir)
    card = write_model_card(run_dir).read_text(encoding="utf-8")
    assert "These figures are invented" in card and "1,234 validation" in card


def test_the_page_has_no_script_asks_for_nothing_and_is_the_same_bytes_twice(tmp_path: Path) -> None:
    run_dir = write_search(tmp_path / "run", search_document(third=True))
    first = write_report(run_dir).read_bytes()
    assert write_report(run_dir).read_bytes() == first
    page = Page(first.decode())
    assert {"script", "img", "iframe", "object"}.isdisjoint(tag for tag, _ in page.tags)
    assert not [a for _, attributes in page.tags for a in attributes if a.startswith("on")]
    assert b"url(" not in first and b"@import" not in first and b"http://" not in first and b"https://" not in first
    names = {a["id"] for _, a in page.tags if "id" in a}
    links = {str(a["href"])[1:] for tag, a in page.tags if tag == "a"}
    assert links and links <= names


def test_nothing_that_a_sweep_names_escapes_the_page_or_its_styles(tmp_path: Path) -> None:
    document = search_document()
    style = "x}</style><script>alert(2)</script>"
    document |= {"name": NASTY, "task": NASTY, "warnings": [NASTY]}
    document["front"][0] |= {"id": style, "name": NASTY, "thresholds": {NASTY: "inf"}}
    document["trials"][3] |= {"name": NASTY, "reason": NASTY, "worker": NASTY}
    document["trials"][3]["settings"][NASTY] = [NASTY, style]
    document["space"].append(
        {"key": NASTY, "kind": "choice", "choices": [NASTY]} | dict(low=None, high=None, log=False)
    )
    document["constraints"][0]["name"] = NASTY
    page = page_of(write_search(tmp_path / "run", document))
    assert "script" not in {tag for tag, _ in page.tags} and NASTY in page.text and style in page.text
    assert not [a for _, attributes in page.tags for a in attributes if a.startswith("on") or a == "bold"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["front"][0].update(trial=7), "of trial 7, which did not run to its end"),
        (lambda d: d["front"][0].update(trial=None), "did not run to its end"),
        (lambda d: d["front"][0]["test"].pop(GAP), f"no validation and test figure of `{GAP}`"),
        (lambda d: d["objectives"].append(d["objectives"][0]), "objectives: 'accuracy' stands there twice"),
        (lambda d: d["trials"].append(d["trials"][0]), "trials: 0 stands there twice"),
        (lambda d: d["objectives"].pop(), r"objectives: List should have at least 2"),
        (lambda d: d["space"][1].update(low=0.0), r"space\.1: .*on a log axis"),
        (lambda d: d["space"][0].update(choices=[]), r"`detector.width` has no choices"),
        (lambda d: d.pop("cost"), "cost: Field required"),
        (lambda d: d.update(extra=1), "extra: Extra inputs"),
    ],
)
def test_a_document_that_breaks_its_contract_is_refused(tmp_path: Path, change: Any, said: str) -> None:
    document = search_document()
    change(document)
    with pytest.raises(BadInput, match=said):
        write_report(write_search(tmp_path / "run", document))


def test_keys_are_shortened_only_as_far_as_they_stay_apart() -> None:
    assert short_keys(["adapter.rank", "a.rate", "b.rate", "seed"]) == {
        "adapter.rank": "rank", "a.rate": "a.rate", "b.rate": "b.rate", "seed": "seed"
    }  # fmt: skip
    assert [value_words(v) for v in (True, None, 3e-4, 16, ["q", "v"])] == ["true", "null", "0.0003", "16", "q, v"]
    assert threshold_words("inf") == "∞ (shut)" and threshold_words(0.41234) == "0.4123"


def interval(value: float, low: float, high: float) -> dict[str, float | None]:
    return {"value": value, "low": low, "high": high}


def stands(document: dict[str, Any]) -> str:
    found = read(document)
    base = found.against("base")
    assert base is not None
    return standing(found, found.front[0], base, found.objectives[1])


def rising(_: Any, places: list[float], values: list[float]) -> bool:
    """Whether places and values are in one order."""
    ranked = [place for _, place in sorted(zip(values, places, strict=True))]
    return all(a <= b + 0.011 for a, b in itertools.pairwise(ranked))
