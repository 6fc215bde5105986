"""The report of a FairNet run, held against the fairnet.json that it was written from."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rich.console import Console

from equiray.errors import BadInput, Incomplete
from equiray.reports import markdown_tables, print_summary, verify_evidence, write_evidence, write_report
from equiray.reports.fairnet import FairnetFile, load_fairnet
from equiray.reports.fairnet.charts import trade_charts
from equiray.reports.fairnet.gate_charts import detector_chart
from equiray.reports.fairnet.maps import grid_maps
from equiray.reports.model_card import write_model_card
from fairnet_sample import (
    CELLS,
    METHODS,
    ROWS,
    contract_document,
    printed,
    sample_document,
    sample_frontiers,
    write_sample,
)
from report_run import write_synthetic_run
from test_report import NASTY, Page

GATE = ("Detector of Female, decided wrongly by ERM", "How far the gates open")
GATE += ("Calibration of Female", "Calibration of Male")
TRAINING = ("Share of open hinges", "Base loss", "Adapter loss")
CONTRACT = Path(__file__).parents[1] / "docs" / "contracts" / "fairnet_results.json"


def page_of(run_dir: Path) -> Page:
    page = Page(write_report(run_dir).read_text(encoding="utf-8"))
    page.text = page.text.replace("\N{NO-BREAK SPACE}", " ")
    return page


def three(value: float) -> str:
    return f"{value:.3f}".replace("-", "−").replace("−0.000", "0.000")


def signed(value: float) -> str:
    return ("+" if float(f"{value:.3f}") > 0 else "") + three(value)


def changed(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    document = sample_document()
    change(document)
    return write_sample(tmp_path / "run", document)


def test_the_contract_example_is_what_the_builder_makes_and_what_the_reader_reads() -> None:
    text = CONTRACT.read_text(encoding="utf-8")
    assert text == printed(contract_document()) + "\n"
    document = FairnetFile.model_validate_json(text)
    assert document.smoke, "invented figures never stand without that word"
    assert json.loads(document.model_dump_json(by_alias=True)) == json.loads(text), "nothing is dropped in reading"


def test_every_section_stands_in_its_order(tmp_path: Path) -> None:
    html = write_report(write_sample(tmp_path / "run")).read_text(encoding="utf-8")
    _, adult, drawn, _ = re.split(r'<section id="(?:task-\d|made)">', html)
    headings = ["Methods", "What thresholds trade", "The detector, and how far its gates open", "When it cannot hurt"]
    headings += ["Calibration of each group"]
    headings += ["Cells", "What was flagged", "Ablations", "Stress", "Gate and group thresholds together", "Training"]
    assert re.findall("<h3>(.*?)</h3>", adult) == [*headings, "About the data"]
    assert set(headings) - set(re.findall("<h3>(.*?)</h3>", drawn)) == {"Ablations", "Stress"}, "of Adult alone"
    figures = re.findall("<figcaption>(.*?)<span>", adult[: adult.index("The same of seed 1")])
    trades = ["Accuracy against worst-cell accuracy", "Accuracy against equalized odds"]
    assert figures[2:] == [*trades, *GATE, *TRAINING]
    assert html.count("Accuracy against worst-cell accuracy<") == 4, "one a training"


def test_badges_and_answers(tmp_path: Path) -> None:
    page = page_of(write_sample(tmp_path / "run"))
    assert page.rows("badge") == 2, "smoke above, synthetic at the drawn faces"
    assert (
        "the worst cell is better under FairNet than under ERM: +0.121 [0.083, 0.159] (from 0.482 to 0.603" in page.text
    )
    assert "INCONCLUSIVE whether that is as much as was asked for." in page.text
    assert "+0.121 [0.083, 0.159] against ERM: enough" in page.text
    assert "+0.044 [0.006, 0.082] against ERM: INCONCLUSIVE whether that is enough" in page.text
    assert "Continued" not in page.text, "the table of methods stays whole"
    plain = changed(tmp_path / "plain", lambda d: d.update(smoke=False, tasks=d["tasks"][:1]))
    assert page_of(plain).rows("badge") == 0
    assert "smoke run" not in page_of(plain).text


@pytest.mark.parametrize(
    ("limits", "verdict", "said"),
    [
        ((0.03, 0.01, 0.05), "no", "the worst cell is better under FairNet than under ERM: +0.030 [0.010, 0.050]"),
        ((-0.03, -0.05, -0.01), "no", "the worst cell is worse under FairNet than under ERM: −0.030 [−0.050, −0.010]"),
        (
            (0.05, -0.01, 0.11),
            "INCONCLUSIVE",
            "we cannot tell whether FairNet makes the worst cell better than ERM does",
        ),
        ((0.05, 0.01, 0.09), "INCONCLUSIVE", "the worst cell is better under FairNet than under ERM: +0.050"),
        ((0.0, 0.0, 0.0), "no", "the worst cell is the same under FairNet as under ERM: 0.000"),
    ],
)
def test_better_is_what_the_limits_say_and_enough_is_what_was_asked(
    tmp_path: Path, limits: tuple[float, float, float], verdict: str, said: str
) -> None:
    def change(document: dict[str, Any]) -> None:
        document["tasks"] = document["tasks"][:1]
        changes = document["tasks"][0]["changes"][0]
        changes["worst"] |= dict(zip(("value", "low", "high"), limits, strict=True))
        changes |= {"worst_up": verdict, "accuracy_kept": "no"}

    text = page_of(changed(tmp_path, change)).text
    assert said in text
    enough = {"no": "That is less than was asked for.", "INCONCLUSIVE": "INCONCLUSIVE whether that is as much as was"}
    assert enough[verdict] in text
    assert "Asked for: the worst cell up by 0.08 or more" in text
    assert "Of all rows, accuracy is not kept: +0.003" in text


def test_the_numbers_of_the_page_are_the_documents(tmp_path: Path) -> None:
    text = page_of(write_sample(tmp_path / "run")).text
    for task in sample_document()["tasks"]:
        for changes in task["changes"]:
            for change in (changes["accuracy"], changes["worst"], *changes["cells"]):
                interval = f"[{three(change['low'])}, {three(change['high'])}]"
                assert f"{signed(change['value'])} {interval}" in text or f"{signed(change['value'])}{interval}" in text
        for method in METHODS:
            points = [p for seed in task["seeds"] for p in seed["points"] if p["method"] == method]
            for name in ("accuracy", "worst_cell", "equalized_odds_difference_mean"):
                assert three(sum(p[name] for p in points) / len(points)) in text
        for seed in task["seeds"]:
            assert f"AUC {three(seed['detectors'][0]['auc']['value'])} [0.871, 0.887]" in text
            for row in seed["flagged"]:
                assert f"risk {three(row['risk'])} · probability {three(row['base'])} → {three(row['adapted'])}" in text
    for cell in CELLS:
        assert cell in text
    assert "2 corrected, 1 harmed and 2 unchanged" in text
    assert "Of all 1,325 test rows with an open gate: 61 corrected, 24 harmed and 1,240 unchanged." in text


def test_harm_and_calibration_of_the_page_are_the_documents(tmp_path: Path) -> None:
    text = page_of(write_sample(tmp_path / "run")).text
    seeds = [seed for task in sample_document()["tasks"] for seed in task["seeds"]]
    for harm in (harm for seed in seeds for harm in seed["no_harm"]):
        for of in (*harm["exact"].values(), harm["margin"], harm["selection"]):
            value, low, high = (f"{x:+.4f}".replace("-", "−") for x in of.values())
            assert re.search(rf"{re.escape(value)} ?\[{re.escape(low)}, {re.escape(high)}\]", text)
    assert f"condition on 4,000 validation rows, outcome on {sum(ROWS):,} test rows" in text
    for sweep in (sweep for seed in seeds for sweep in seed["sweeps"]):
        for of in sweep["calibration"]:
            for place in (0, sweep["chosen"], -1):
                limits = f"[{three(of['low'][place])}, {three(of['high'][place])}]"
                assert re.search(re.escape(three(of["ece"][place])) + " ?" + re.escape(limits), text)


def test_two_gates_have_curves_of_their_own_and_a_map(tmp_path: Path) -> None:
    html = write_report(write_sample(tmp_path / "run")).read_text(encoding="utf-8")
    _, adult, drawn, _ = re.split(r'<section id="(?:task-\d|made)">', html)
    assert "at every pair of thresholds" not in adult
    assert drawn.count("at every pair of thresholds: 12 × 12") == 2, "worst cell and accuracy"
    for words in ("gate of race, the others shut", "gate of race with the others shut", "Gate of race"):
        assert words in drawn and words not in adult


def test_a_map_draws_every_pair_once_and_in_its_place() -> None:
    grid = FairnetFile.model_validate(sample_document()).tasks[1].seeds[0].grid
    assert grid is not None
    for found, plane in zip(grid_maps(grid), (grid.worst_cell, grid.accuracy), strict=True):
        drawn: dict[tuple[int, int], int] = {}
        for step, each in enumerate(found.steps):
            for x, y, count in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", each.path):
                drawn |= {(int(x) + i, int(y)): step for i in range(int(count))}
        values = [value for row in plane for value in row if value is not None]
        low, width = min(values), (max(values) - min(values)) / 8
        assert len(drawn) == 144
        for (x, y), step in drawn.items():
            value = plane[x][11 - y]
            assert value is not None and low + step * width - 1e-9 <= value <= low + (step + 1) * width + 1e-9
        assert (found.x, found.y) == (round(100 * 7.5 / 12, 2), round(100 - 100 * 4.5 / 12, 2))


def test_what_all_flagged_rows_come_to_may_be_unknown(tmp_path: Path) -> None:
    document = sample_document()
    for task in document["tasks"]:
        for seed in task["seeds"]:
            del seed["flagged_totals"]
    text = page_of(write_sample(tmp_path / "run", document)).text
    assert "what all of them come to is the exact change above" in text and "test rows with an open gate" not in text


def test_marks_lie_where_the_figures_say() -> None:
    document = FairnetFile.model_validate(sample_document())
    seed = document.tasks[0].seeds[0]
    for chart, measure in zip(
        trade_charts(document, seed, []), ("worst_cell", "equalized_odds_difference_max"), strict=True
    ):
        marks = {mark.spoken.split(":")[0]: mark for mark in chart.systems}
        assert len(marks) == len(METHODS)
        labels = {method.id: method.label for method in document.methods}
        # Positions are linear in the figures: two marks fix the scale, the others must agree with it.
        points = sorted(seed.points, key=lambda p: getattr(p, measure))
        (low, high), spots = (points[0], points[-1]), [marks[labels[p.method]].x for p in points]
        scale = (spots[-1] - spots[0]) / (getattr(high, measure) - getattr(low, measure))
        for point, spot in zip(points, spots, strict=True):
            assert spot == pytest.approx(spots[0] + scale * (getattr(point, measure) - getattr(low, measure)), abs=0.02)
        assert marks["FairNet"] is chart.systems[-1], "on top of the others"
    (roc,) = (detector_chart(d, document.tasks[0].gates[0]) for d in seed.detectors)
    at = seed.detectors[0].tpr_at
    assert at is not None
    assert (roc.systems[0].x, roc.systems[0].y) == (9.0, pytest.approx(100 * (1 - at), abs=0.01))
    assert roc.square


def test_both_trades_share_the_axis_of_accuracy(tmp_path: Path) -> None:
    document = load_fairnet(write_sample(tmp_path / "run"))
    one, other = trade_charts(document, document.tasks[0].seeds[0], [])
    assert one.y_ticks == other.y_ticks
    assert one.bands
    assert not other.bands, "nobody measured limits there"


def test_a_band_that_turns_back_does_not_cross_itself(tmp_path: Path) -> None:
    document = load_fairnet(write_sample(tmp_path / "run"))
    chart, _ = trade_charts(document, document.tasks[0].seeds[0], [])
    accuracy = [a for a in document.tasks[0].seeds[0].sweeps[0].accuracy if a is not None]
    assert accuracy.index(max(accuracy)) not in (0, len(accuracy) - 1), "the sample's accuracy turns once"
    assert len(chart.bands) == 2
    for band in chart.bands:
        points = [tuple(map(float, point.split(","))) for point in band.points.split()]
        half = [y for _, y in points[: len(points) // 2]]
        assert half in (sorted(half), sorted(half, reverse=True))
        for (left, top), (right, bottom) in zip(points, reversed(points), strict=True):
            if left < right:
                assert top == bottom, "limits of one threshold stand at one accuracy"


def test_lying_below_a_frontier_is_never_silent(tmp_path: Path) -> None:
    run_dir = write_sample(tmp_path / "run")
    text = page_of(run_dir).text
    assert "FairNet lies below the error-parity frontier in no training." in text
    drawn = text.index("Whether FairNet lies below the error-parity frontier is not known.")
    assert drawn < text.index("How it was made"), "of pictures nobody kept a frontier, and the opening says so"
    frontiers = sample_frontiers(sample_document())
    for record in frontiers["frontiers"]:
        if record["model"] == "minilm_seed1":
            for point in record["reading"]["points"]:
                point["on_read"] = [0.1, 0.9]
    (run_dir / "frontiers.json").write_text(json.dumps(frontiers))
    text = page_of(run_dir).text
    assert "FairNet lies below the error-parity frontier in 1 of 3 trainings." in text
    (ours,) = (p for p in sample_document()["tasks"][0]["seeds"][1]["points"] if p["method"] == "fairnet")
    assert "lies BELOW the error-parity frontier: 74 of 74 rules are as equal and more accurate, the best by " in text
    assert f"the best by {three(0.9 - ours['accuracy'])} (equalized odds 0.100, accuracy 0.900)" in text
    (run_dir / "frontiers.json").unlink()
    assert "no error-parity frontier was kept" in page_of(run_dir).text


def test_group_thresholds_that_do_better_in_both_are_named(tmp_path: Path) -> None:
    better = [{"accuracy": 0.99, "worst_cell": 0.75}, {"accuracy": None, "worst_cell": None}]
    text = page_of(changed(tmp_path, lambda d: d["tasks"][0]["seeds"][0].update(group_thresholds=better))).text
    assert "lies BELOW group thresholds on ERM’s scores, which reach worst cell 0.750 at accuracy 0.990" in text
    assert "FairNet lies below what group thresholds alone do for the worst cell in 1 of 3 trainings." in text


def test_what_cannot_be_estimated_is_never_0(tmp_path: Path) -> None:
    def blank(document: dict[str, Any]) -> None:
        document["tasks"] = document["tasks"][:1]
        document["ablations"], document["stress"] = [], []
        (task,) = document["tasks"]
        task["changes"] = task["changes"][:1]
        nothing = dict.fromkeys(("first", "second", "value", "low", "high"))
        task["changes"][0]["worst"] = nothing
        task["changes"][0]["cells"][0] |= nothing
        task["changes"][0]["worst_up"] = "INCONCLUSIVE"
        for seed in task["seeds"]:
            seed["no_harm"], seed["double_count"], seed["detectors"] = [], None, []
            for point in seed["points"]:
                point["worst_cell"] = None
            for name in ("worst_cell", "worst_cell_low", "worst_cell_high"):
                seed["sweeps"][0][name] = [None] * len(seed["sweeps"][0][name])

    text = page_of(changed(tmp_path, blank)).text
    assert "worst cell better than ERM does: not estimable (from not estimable to not estimable" in text
    assert "Seed 0: no gate is for a group" in text
    assert "No detector was measured." in text
    assert "n. e." in text
    cells = text[text.index("Cells Accuracy in every cell") :]
    assert re.search(r"Female, label 0 2,841 n\. e\. n\. e\. n\. e\.", cells)
    assert "Accuracy against worst-cell accuracy" not in text, "a plane without a point is no chart"
    assert not re.search(r"nan|None", text)


def test_gates_that_stay_shut_are_said_to_be_erm(tmp_path: Path) -> None:
    def shut(document: dict[str, Any]) -> None:
        reason = "no thresholds within the constraints make the worst cell better: every gate stays shut"
        document["tasks"][0]["seeds"][2]["choice"] |= {"thresholds": ["inf"], "reason": reason}

    text = page_of(changed(tmp_path, shut)).text
    assert "In 1 of 3 trainings every gate stays shut, so that FairNet decides as ERM does" in text
    assert "Seed 2: threshold shut" in text


def test_a_hinge_that_closed_is_warned_of(tmp_path: Path) -> None:
    def closed(document: dict[str, Any]) -> None:
        document["tasks"][0]["seeds"][0]["training"]["open_hinges"] = {"sex": [0.5, 0.0]}
        document["tasks"][0]["seeds"][1]["training"]["open_hinges"] = {"sex": [0.0, 0.0]}

    text = page_of(changed(tmp_path, closed)).text
    assert "it had stopped to train anything" in text
    assert "ever open: it trained nothing" in text


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    def hostile(value: Any) -> Any:
        if isinstance(value, dict):
            kept = ("schema", "method", "reference", "id", "task", "worst_up", "accuracy_kept", "outcome", "thresholds")
            return {k: v if k in (*kept, "threshold", "by") else hostile(v) for k, v in value.items()}
        if isinstance(value, list):
            return [hostile(v) for v in value]
        return NASTY if isinstance(value, str) else value

    run_dir = write_sample(tmp_path / "run", hostile(sample_document()))
    (run_dir / "frontiers.json").unlink()
    page = page_of(run_dir)
    assert page.text.count(NASTY) > 20
    assert "script" not in {tag for tag, _ in page.tags}
    assert not [a for _, attributes in page.tags for a in attributes if a.startswith("on") or a == "bold"]
    out = io.StringIO()
    print_summary(run_dir, Console(file=out, width=400))
    assert NASTY in out.getvalue()
    assert "<script" not in re.sub(r"\\<", "", write_model_card(run_dir).read_text().split("---\n", 2)[2])


def test_the_page_asks_for_nothing_and_is_the_same_twice(tmp_path: Path) -> None:
    run_dir = write_sample(tmp_path / "run")
    path = write_report(run_dir)
    first, page = path.read_bytes(), Page(path.read_text(encoding="utf-8"))
    links = [a[k] for _, a in page.tags for k in ("src", "href", "xlink:href", "data", "action") if k in a]
    assert all(link and link.startswith(("#", "data:,")) for link in links)
    assert {"script", "img", "iframe", "object"}.isdisjoint(tag for tag, _ in page.tags)
    policy = [a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]
    write_evidence(run_dir, seeds={"run": 0}, spec_sha256="5e" * 32)
    assert write_report(run_dir).read_bytes() == first


def test_a_run_without_fairnet_json_keeps_its_own_page(tmp_path: Path) -> None:
    fairnet, other = write_sample(tmp_path / "fairnet"), write_synthetic_run(tmp_path / "other")
    assert "What was flagged" in page_of(fairnet).text
    assert "What was flagged" not in page_of(other).text


def test_the_terminal_has_a_short_table(tmp_path: Path) -> None:
    out = io.StringIO()
    print_summary(write_sample(tmp_path / "run"), Console(file=out, width=160))
    lines = out.getvalue().split("Adult, by sex")[1].split("Drawn faces")[0].splitlines()
    for changes in sample_document()["tasks"][0]["changes"]:
        (line,) = (line for line in lines if line.startswith(METHODS[changes["method"]][0] + "  "))
        worst = changes["worst"]
        assert f"{signed(worst['value'])} [{three(worst['low'])}, {three(worst['high'])}]" in line
        assert line.split()[-2:] == [changes["worst_up"], changes["accuracy_kept"]]


def test_markdown_tables_hold_the_changes(tmp_path: Path) -> None:
    text = markdown_tables(write_sample(tmp_path / "run"))
    for title in ("methods on the test rows", "cells", "ablations", "stress"):
        assert f"### Adult: {title}" in text
    assert (
        "| FairNet | 0.858 | 0.603 | **+0.121** [0.083, 0.159] | **+0.003** [0.001, 0.006] | **yes** | **yes** |"
        in text
    )
    assert "| Only people over 80 | 212 | n. e. |" in text and "| 10 % label noise in training | 9,000 |" in text


def test_the_card_traces_every_change_to_its_place(tmp_path: Path) -> None:
    run_dir = write_sample(tmp_path / "run")
    card = write_model_card(run_dir).read_text(encoding="utf-8")
    document = json.loads((run_dir / "fairnet.json").read_text())
    rows = re.findall(r"\| ([^|]*) \| (\S*) \| [^|]* \| `#(/tasks/[^`]*)` \|", card)
    assert len(rows) == sum(2 + len(c["cells"]) for task in document["tasks"] for c in task["changes"])
    for change, trainings, pointer in rows:
        found: Any = document
        for key in pointer.strip("/").split("/"):
            found = found[int(key) if isinstance(found, list) else key]
        assert change.replace("\\", "") == f"{signed(found['value'])} [{three(found['low'])}, {three(found['high'])}]"
        assert trainings in ("1", "3")
    assert "Group thresholds and Gate and group thresholds: must know the group when deciding" in card
    assert "Drawn faces: the data are synthetic" in card
    assert "Adult: Invented figures" in card
    assert METHODS["jtt"][2] in card
    write_evidence(run_dir, seeds={"run": 0}, spec_sha256="5e" * 32)
    assert verify_evidence(run_dir) == []
    (run_dir / "fairnet.json").write_text("{}")
    assert [line.split(" (")[0] for line in verify_evidence(run_dir)] == ["altered: fairnet.json"]


def _seed(document: dict[str, Any]) -> dict[str, Any]:
    return document["tasks"][0]["seeds"][0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(schema="equiray.fairnet-results/1"), "schema: Input should be 'equiray.fairnet-results/2'"),
        (lambda d: d.update(surprise=1), "surprise: Extra inputs are not permitted"),
        (lambda d: d.pop("backbone"), "backbone: Field required"),
        (lambda d: d["methods"].pop(0), "there is no method `erm`"),
        (lambda d: d["methods"].append(d["methods"][1]), "method 'fairnet' stands twice"),
        (lambda d: d["tasks"][1].update(task="adult"), "task 'adult' stands twice"),
        (lambda d: d["tasks"].clear(), "tasks: List should have at least 1 item"),
        (lambda d: d["tasks"][0]["seeds"].clear(), "tasks.0.seeds: List should have at least 1 item"),
        (lambda d: _seed(d)["points"][0].update(method="magic"), "points of task 'adult' name 'magic'"),
        (lambda d: d["tasks"][0]["changes"][0].update(reference="magic"), "changes of task 'adult' name 'magic'"),
        (lambda d: d["ablations"][0].update(task="mars"), "ablations and stress name 'mars'"),
        (lambda d: _seed(d)["sweeps"][0]["open"].pop(), "curves of unequal length"),
        (lambda d: _seed(d)["sweeps"][0].update(chosen=81), "`chosen` 81 is no place among 81 thresholds"),
        (lambda d: _seed(d)["detectors"][0]["fpr"].pop(), "curves of unequal length: fpr 60, tpr 61"),
        (lambda d: _seed(d)["points"][0].update(accuracy=1.5), "less than or equal to 1"),
        (lambda d: _seed(d)["points"][0].update(accuracy=float("nan")), "finite number"),
        (lambda d: _seed(d)["flagged"][0].update(outcome="saved"), "'corrected', 'harmed' or 'unchanged'"),
        (lambda d: d["tasks"][0]["changes"][0].update(worst_up="maybe"), "'yes', 'no' or 'INCONCLUSIVE'"),
        (
            lambda d: d["tasks"][0]["changes"][0]["worst"].update(low=0.5),
            "the lower limit 0.5 lies above the upper one",
        ),
        (lambda d: d["tasks"][0]["changes"][0].update(confidence=95), "less than 1"),
    ],
)
def test_a_document_that_breaks_its_contract_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    run_dir = changed(tmp_path, change)
    for write in (write_report, write_model_card):
        with pytest.raises(BadInput, match=re.escape(said)) as caught:
            write(run_dir)
        assert caught.value.place.endswith("fairnet.json")
        assert caught.value.fix
    assert not (run_dir / "report.html").exists()


def test_a_broken_file_and_a_run_that_stopped(tmp_path: Path) -> None:
    run_dir = write_sample(tmp_path / "run")
    (run_dir / "fairnet.json").write_text('{"schema": "equiray.fair')
    with pytest.raises(BadInput, match="Invalid JSON"):
        write_report(run_dir)
    (run_dir / "results.json").unlink()
    with pytest.raises(BadInput, match=r"no results\.json"):
        write_report(run_dir)
    (run_dir / "predictions").mkdir()
    (run_dir / "predictions" / "adult.parquet").write_bytes(b"")
    with pytest.raises(Incomplete):
        write_report(run_dir)


def test_records_cannot_be_changed() -> None:
    document = FairnetFile.model_validate(sample_document())
    with pytest.raises(ValidationError, match="frozen"):
        document.tasks[0].title = "another"  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("width", [60, 80, 100])
def test_no_verdict_is_cut_on_a_narrow_terminal(tmp_path: Path, width: int) -> None:
    def unknown(document: dict[str, Any]) -> None:
        for task in document["tasks"]:
            for changes in task["changes"]:
                changes |= {"worst_up": "INCONCLUSIVE", "accuracy_kept": "INCONCLUSIVE"}

    out = io.StringIO()
    print_summary(changed(tmp_path, unknown), Console(file=out, width=width))
    table = out.getvalue().split("Adult, by sex")[1]
    assert table.count("INCONCLUSIVE") == 2 * 7 * 2 and "INCONCLUS…" not in table


def test_the_card_has_one_line_a_training(tmp_path: Path) -> None:
    lengths = []
    for seeds in (3, 9):
        document = sample_document()
        (adult, *_) = document["tasks"]
        adult["seeds"] = [adult["seeds"][i % 3] | {"seed": i} for i in range(seeds)]
        card = write_model_card(write_sample(tmp_path / str(seeds), document)).read_text(encoding="utf-8")
        rows = re.findall(r"^\| (\d) \| ([\d.]+) → ([\d.]+) \|.*`#/tasks/0/seeds/(\d)` \|$", card, re.MULTILINE)
        assert [(int(seed), int(place)) for seed, _, _, place in rows] == [(i, i) for i in range(seeds)]
        for seed, row in zip(adult["seeds"], rows, strict=True):
            by = {p["method"]: p["accuracy"] for p in seed["points"]}
            assert row[1:3] == (three(by["erm"]), three(by["fairnet"]))
        lengths.append(card.count("\n"))
    assert lengths[1] - lengths[0] == 6
