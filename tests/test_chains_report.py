"""The reports of runs of chains and of reward models, held against the documents that they were written from."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from chains_sample import CONTRACTS, chains_document, reward_document, write_chains, write_document, write_reward
from equiray.errors import BadInput
from equiray.metrics.estimates import Estimate
from equiray.reports import markdown_tables, print_summary, write_report
from equiray.reports.chains import ChainsFile, load_chains
from equiray.reports.chains.charts import frontier_charts
from equiray.reports.chains.names import verdict
from equiray.reports.chains.steps import chain_maps
from equiray.reports.model_card import write_model_card
from equiray.reports.reward import RewardFile, load_reward
from equiray.reports.reward.tables import reliability_charts
from test_report import NASTY, Page


def page_of(run_dir: Path) -> Page:
    page = Page(write_report(run_dir).read_text(encoding="utf-8"))
    page.text = page.text.replace("\N{NO-BREAK SPACE}", " ")
    return page


@pytest.mark.parametrize(
    ("name", "file", "model"),
    [("chains_results.json", "chains.json", ChainsFile), ("reward_results.json", "reward.json", RewardFile)],
)
def test_the_contract_example_is_read_whole_and_makes_a_page(
    tmp_path: Path, name: str, file: str, model: type[ChainsFile] | type[RewardFile]
) -> None:
    document = json.loads((CONTRACTS / name).read_text(encoding="utf-8"))
    read = model.model_validate(document)
    assert json.loads(read.model_dump_json(by_alias=True)) == document, "nothing is dropped in reading"
    assert "smoke run" in page_of(write_document(tmp_path / "run", file, document)).text


def test_the_chains_page_says_what_was_decided_and_what_changed(tmp_path: Path) -> None:
    text = page_of(write_chains(tmp_path / "run")).text
    assert "chosen on validation cases were τ 0.01 and 3 chains. Against majority vote of as many chains: " in text
    assert "bias, ambiguous −0.275 [−0.375, −0.175], clearly lower" in text
    assert "accuracy, ambiguous +0.060 [−0.040, 0.160], INCONCLUSIVE" in text
    assert "accuracy −0.125 [−0.225, −0.025], worse" in text
    assert "demographic parity difference −0.125 [−0.225, −0.025], better" in text
    assert "0.400 → 0.125" in text
    assert "12 of 12 points keep the policy (0 broke “accuracy loss at most 0.1”)." in text
    assert "against majority, at least −0.100 asked for: −0.033 [−0.239, 0.170] on validation cases." in text
    assert "within 35 cases: 0.101 [−0.188, 0.380]; INCONCLUSIVE whether longer chains score otherwise" in text


def test_sections_stand_in_their_order_and_tables_hold_the_documents_numbers(tmp_path: Path) -> None:
    html = write_report(write_chains(tmp_path / "run")).read_text(encoding="utf-8")
    _, bbq, compas, _ = re.split(r'<section id="(?:task-\d|made)">', html)
    headings = ["What was decided", "Methods", "What temperature and number of chains trade"]
    headings += ["Real chains, step by step", "Refused and unparsed chains", "How far weights could take groups apart"]
    headings += ["Stopping early", "Length", "About the data"]
    assert re.findall("<h3>(.*?)</h3>", bbq) == headings == re.findall("<h3>(.*?)</h3>", compas)
    text = Page(html).text.replace("\N{NO-BREAK SPACE}", " ")
    document = chains_document()
    outcomes = document["tasks"][0]["sides"]["test"]["by_group"]["SES: lowSES"]
    assert outcomes == {"answered": 47, "unparsed": 4, "refused": 3}
    assert re.search(r"SES: lowSES\s+54\s+47\s*87\.0 %\s*4\s*7\.4 %\s*3\s*5\.6 %", text)
    bound = document["tasks"][1]["bounds"]["sex"]["any_assignment"]["groups"]["Male"]
    assert bound == {"lowest": 0.03704, "highest": 0.7037}
    assert "0.037 – 0.704" in text
    assert re.search(r"certain\s*0\.0 %\s*3\.00\s*of 3\s*0\.0 %\s*0\.0 % – 9\.7 %", text)
    assert re.search(r"Caucasian\s+0\.438", text)


@pytest.mark.parametrize(
    ("limits", "direction", "said"),
    [
        ((0.1, -0.1, 0.3), "higher", "INCONCLUSIVE"),
        ((0.1, 0.0, 0.2), "higher", "INCONCLUSIVE"),
        ((0.1, 0.01, 0.2), "higher", "better"),
        ((0.1, 0.01, 0.2), "lower", "worse"),
        ((-0.1, -0.2, -0.01), "zero", "clearly lower"),
        ((0.0, 0.0, 0.0), "higher", "identical"),
        ((None, None, None), "higher", "not estimable"),
    ],
)
def test_a_change_is_inconclusive_wherever_its_interval_holds_0(limits: Any, direction: Any, said: str) -> None:
    value, low, high = limits
    effect = Estimate(
        task="t", stage="reward-majority", model="m", metric="accuracy", attribute=None, group=None, value=value,
        low=low, high=high, confidence=0.95, n=9, status="estimated", direction=direction,
    )  # fmt: skip
    assert verdict(effect) == said


def test_the_frontier_has_a_point_for_each_estimable_temperature_and_number_of_chains(tmp_path: Path) -> None:
    task = load_chains(write_chains(tmp_path / "run")).tasks[0]
    test, validation = frontier_charts(task)
    assert (test.title, len(test.dots), len(test.systems)) == ("Every τ and N on test cases", 2, 2)
    # 3 chains were decided with: the chosen temperature and the majority, as they stand in the second column.
    assert {mark.spoken for mark in test.systems} == {
        "τ 0.01, 3 chains: 0.529, right 0.306",
        "τ ∞, 3 chains: 0.529, right 0.306",
    }
    assert validation.systems[-1].shape == "diamond", "the chosen point lies on top"


def test_steps_are_told_by_colour_and_number_alike(tmp_path: Path) -> None:
    document = chains_document()
    shown = load_chains(write_chains(tmp_path / "run")).tasks[0].heat_map
    steps = [step for chain in chain_maps(shown) for step in chain.steps]
    raw = [step for chain in document["tasks"][0]["heat_map"] for step in chain["steps"]]
    assert [step.score for step in steps] == [f"{step['unbiased']:.3f}" for step in raw]
    assert [step.style for step in steps] == ["unbiased" if s["unbiased"] >= 0.5 else "biased" for s in raw]
    assert steps[1].opacity == pytest.approx(1.1 * (0.5 - raw[1]["unbiased"]), abs=1e-3)
    page = page_of(tmp_path / "run")
    assert all(step.score in page.text and step.text in page.text for step in steps)


def test_the_reward_page_shows_auc_beside_baselines_labels_calibration_judges_and_proxies(tmp_path: Path) -> None:
    text = page_of(write_reward(tmp_path / "run")).text
    assert "Step AUC with texts masked: 0.683 [0.505, 0.831]" in text
    assert "bag of words +0.050 [−0.050, 0.150], INCONCLUSIVE" in text
    assert "last step only +0.188 [0.087, 0.287], better" in text
    assert re.search(r"judge gold\s+158\s+20\s+49\s+43\.7 %", text)
    assert re.search(r"Age\s*0\.125\s*\[0\.025, 0\.225\]\s*of 36", text)
    assert re.search(r"All steps\s+0\.438", text), "the judge's kappa"
    assert re.search(r"ZIP code\s+0\.562", text)
    assert "labelled unbiased" in text


def test_calibration_marks_stand_where_their_bins_are(tmp_path: Path) -> None:
    (chart,) = reliability_charts(load_reward(write_reward(tmp_path / "run")))
    (mark,) = chart.systems
    # The axis runs from -.05 to 1.05.
    assert (mark.x, mark.y) == (
        pytest.approx(100 * (0.5334 + 0.05) / 1.1, abs=0.01),
        pytest.approx(100 - 100 * (0.7193 + 0.05) / 1.1, abs=0.01),
    )


def test_without_a_chosen_temperature_the_page_says_so(tmp_path: Path) -> None:
    document = chains_document()
    for task in document["tasks"]:
        task["choice"] |= {"chosen": None, "status": "infeasible", "reason": "no point keeps the policy"}
        task |= {"early_stopping": [], "bounds": {}}
        task["estimates"] = [e for e in task["estimates"] if not e["stage"].startswith("reward")]
    text = page_of(write_chains(tmp_path / "run", document)).text
    assert "no temperature was chosen (infeasible: no point keeps the policy), so only baselines decide." in text
    assert "There is no weighted vote to stop." in text
    assert "→" not in text.split("How it was made")[0].split("BBQ")[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["tasks"][0]["estimates"][0].update(stage="oracle"), "name 'oracle'"),
        (lambda d: d["tasks"][0]["grids"][0]["temperatures"].append(9.0), "no plane of 3 temperatures x 2"),
        (lambda d: d.update(more=1), "more: Extra inputs are not permitted"),
        (lambda d: d["tasks"][1].update(task="bbq"), "task 'bbq' stands twice"),
        (
            lambda d: d["tasks"][0]["heat_map"][0]["steps"][0].update(unbiased=1.2),
            "tasks.0.heat_map.0.steps.0.unbiased",
        ),
        (lambda d: d.update(reference="mode"), "`reference` name 'mode'"),
    ],
)
def test_a_document_off_its_contract_is_refused_with_the_place(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    document = chains_document()
    change(document)
    with pytest.raises(BadInput, match="does not follow its contract") as caught:
        write_report(write_chains(tmp_path / "run", document))
    assert said in str(caught.value)
    assert "chains.json" in str(caught.value)


def test_what_the_run_says_is_escaped_and_the_same_run_makes_the_same_bytes(tmp_path: Path) -> None:
    chains, reward = chains_document(), reward_document()
    chains["tasks"][0]["heat_map"][0]["steps"][0]["text"] = NASTY
    chains["tasks"][0]["title"] = reward["chains"][0]["text"] = NASTY
    for run_dir in (write_chains(tmp_path / "c", chains), write_reward(tmp_path / "r", reward)):
        html = write_report(run_dir).read_bytes()
        assert NASTY.encode() not in html
        assert b"<script" not in html
        assert write_report(run_dir).read_bytes() == html


def test_the_model_card_opens_with_the_same_answer(tmp_path: Path) -> None:
    card = write_model_card(write_chains(tmp_path / "c")).read_text(encoding="utf-8")
    assert card.startswith("---\n")
    assert "clearly lower" in card
    assert "equiray run jobs/chains.yaml" in card
    assert "Step AUC with texts masked" in write_model_card(write_reward(tmp_path / "r")).read_text(encoding="utf-8")


def test_terminal_and_markdown_show_the_same_tables(tmp_path: Path) -> None:
    out = io.StringIO()
    for run_dir in (write_chains(tmp_path / "c"), write_reward(tmp_path / "r")):
        print_summary(run_dir, Console(file=out, width=160))
    printed, markdown = out.getvalue(), markdown_tables(tmp_path / "c")
    for said in ("BBQ, Bias Benchmark for QA, by all categories", "−0.275", "[−0.375, −0.175]"):
        assert said in printed
        assert said in markdown
    assert "Step AUC on held-out categories" in printed
    assert "+0.188 [0.087, 0.287]" in printed
    assert "command `equiray run jobs/chains.yaml" in markdown
