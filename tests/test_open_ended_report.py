"""The report of open-ended generation, held against the document that it was written from."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from chains_sample import open_ended_document, write_open_ended
from equiray.errors import BadInput
from equiray.reports import markdown_tables, print_summary, write_report
from equiray.reports.model_card import write_model_card
from equiray.reports.open_ended import OpenEndedFile, load_open_ended
from equiray.reports.open_ended.tables import MOST_PAIRS, pair_table
from test_report import NASTY, Page


def page_of(run_dir: Path) -> str:
    return Page(write_report(run_dir).read_text(encoding="utf-8")).text.replace("\N{NO-BREAK SPACE}", " ")


def estimate(document: dict[str, Any], metric: str, group: str) -> dict[str, Any]:
    (found,) = [e for e in document["tasks"][0]["estimates"] if (e["metric"], e["group"]) == (metric, group)]
    return found


def test_the_contract_example_is_read_whole():
    document = open_ended_document()
    read = OpenEndedFile.model_validate(document)
    assert json.loads(read.model_dump_json(by_alias=True)) == document, "nothing is dropped in reading"


def test_the_page_shows_a_difference_beside_what_the_scorer_does_to_the_words(tmp_path: Path):
    document = open_ended_document()
    text = page_of(write_open_ended(tmp_path / "run", document))
    for metric, group in (
        ("toxicity_difference", "lgbtq - straight"),
        ("toxicity_swap_change", "lgbtq -> straight"),
        ("toxicity_swap_change", "straight -> lgbtq"),
        ("toxicity_net_difference", "lgbtq - straight"),
    ):
        e = estimate(document, metric, group)
        shown = "{:+.3f} [{:.3f}, {:.3f}]".format(e["value"], e["low"], e["high"]).replace("-", "−")
        assert shown in text
    assert "within the scorer’s own error: toxicity of 1 pair of groups." in text
    assert all(scorer["about"] in text and scorer["identity"] in text for scorer in document["scorers"])
    way = document["tasks"][0]["swaps"][0]
    assert f"{100 * way['named'] / way['texts']:.1f} % name a group" in text


@pytest.mark.parametrize(
    ("finding", "said"),
    [
        ("higher", "toxicity differs by more than the scorer’s own error: lgbtq higher than straight +0.185"),
        ("INCONCLUSIVE", "INCONCLUSIVE: toxicity of 1 pair of groups."),
    ],
)
def test_what_was_found_is_said_first_everywhere(finding: str, said: str, tmp_path: Path):
    document = open_ended_document()
    document["tasks"][0]["pairs"][0]["finding"] = finding
    run_dir = write_open_ended(tmp_path / "run", document)
    assert said in page_of(run_dir)
    card = write_model_card(run_dir).read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert said.split(":")[0] in card and "profanity_check is weak" in card.replace("\\", "")
    terminal = io.StringIO()
    print_summary(run_dir, Console(file=terminal, width=200))
    assert finding in terminal.getvalue() and finding in markdown_tables(run_dir)


def test_what_is_not_estimable_and_partial_is_said(tmp_path: Path):
    document = open_ended_document()
    estimate(document, "toxicity_net_difference", "lgbtq - straight").update(
        value=None, low=None, high=None, status="not_estimable"
    )
    estimate(document, "toxicity", "lgbtq").update(status="partial", n=97)
    text = page_of(write_open_ended(tmp_path / "run", document))
    assert "n. e." in text and "of 97, partial" in text


def test_of_many_pairs_the_table_says_how_many_it_leaves_out():
    document = open_ended_document()
    task = document["tasks"][0]
    names = [f"g{n}" for n in range(13)]
    task["groups"] |= dict.fromkeys(names, task["groups"]["lgbtq"])
    pairs = [(a, b) for n, a in enumerate(names) for b in names[n + 1 :]]
    task["pairs"] = [{"measure": "toxicity", "one": a, "other": b, "finding": "INCONCLUSIVE"} for a, b in pairs]
    (block,) = pair_table(OpenEndedFile.model_validate(document).tasks[0]).blocks
    assert len(block.rows) == MOST_PAIRS + 1
    assert block.rows[-1].label == f"… and {len(pairs) - MOST_PAIRS} more pairs: see results.json"


def test_texts_are_escaped(tmp_path: Path):
    document = open_ended_document()
    document["tasks"][0]["texts"][0]["text"] = NASTY
    html = write_report(write_open_ended(tmp_path / "run", document)).read_text(encoding="utf-8")
    assert NASTY not in html and NASTY in Page(html).text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda task: task["pairs"][0].update(one="nobody"), "names a group 'nobody'"),
        (lambda task: task["texts"][0].update(group="nobody"), "names a group 'nobody'"),
        (lambda task: task["pairs"][0].update(finding="fair"), "finding"),
        (lambda task: task["groups"]["lgbtq"].update(written=-1), "written"),
        (lambda task: task.update(surplus=1), "surplus"),
    ],
)
def test_a_document_against_its_contract_is_refused(change: Any, said: str, tmp_path: Path):
    document = open_ended_document()
    change(document["tasks"][0])
    run_dir = write_open_ended(tmp_path / "run", document)
    with pytest.raises(BadInput, match=said):
        load_open_ended(run_dir)
