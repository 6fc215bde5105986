"""The page of a run of preferences, held against the document that it was written from."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from chains_sample import CONTRACTS, likelihood_document, one, write_document, write_likelihood
from equiray.errors import BadInput
from equiray.metrics.estimates import Estimate
from equiray.reports import markdown_tables, print_summary, write_report
from equiray.reports.likelihood import LikelihoodFile, load_likelihood
from equiray.reports.likelihood.tables import preference_panels, reading
from equiray.reports.model_card import write_model_card
from test_report import NASTY, Page


def page_of(run_dir: Path) -> str:
    return Page(write_report(run_dir).read_text(encoding="utf-8")).text.replace("\N{NO-BREAK SPACE}", " ")


def test_the_contract_example_is_read_whole_and_makes_a_page(tmp_path: Path):
    document = json.loads((CONTRACTS / "likelihood_results.json").read_text(encoding="utf-8"))
    read = LikelihoodFile.model_validate(document)
    assert json.loads(read.model_dump_json(by_alias=True)) == document, "nothing is dropped in reading"
    assert "smoke run" in page_of(write_document(tmp_path / "run", "likelihood.json", document))


def test_the_page_says_which_way_the_model_leans_and_where_nobody_can_tell(tmp_path: Path):
    text = page_of(write_likelihood(tmp_path / "run"))
    assert (
        "CrowS-Pairs (80 of 1,508 choices, sampled by category): stereotype share 0.688 [0.580, 0.782], "
        "where 0.5 is no preference: towards the stereotype." in text
    )
    assert "stereotype score 0.562 [0.463, 0.662], where 0.5 is no preference: cannot tell." in text
    assert "pronoun gap −0.188 [−0.287, −0.087], where 0 is no preference: against the stereotype." in text
    assert "(60 choices, all there are): bias, ambiguous 0.100 [0.000, 0.200]" in text
    assert "the share of questions whose right option is the likeliest of the three" in text
    assert "Race × gender" in text and "SmolLM2-135M-Instruct, 134.5 M parameters, float32, from embedded" in text


@pytest.mark.parametrize(
    ("limits", "direction", "said"),
    [
        ((0.6, 0.51, 0.7), "half", "towards the stereotype"),
        ((0.6, 0.5, 0.7), "half", "cannot tell"),
        ((0.4, 0.3, 0.49), "half", "against the stereotype"),
        ((0.2, 0.1, 0.3), "zero", "towards the stereotype"),
        ((-0.2, -0.3, 0.0), "zero", "cannot tell"),
        ((0.9, None, None), "half", "cannot tell"),
        ((None, None, None), "half", "not estimable"),
        ((0.9, 0.8, 0.95), "higher", "not estimable"),
    ],
)
def test_a_leaning_is_named_only_where_its_limits_exclude_none(limits, direction, said):
    value, low, high = limits
    found = one("t", "baseline", "m", value, low=low, high=high, direction=direction)
    assert reading(Estimate(**found)) == said


def test_plots_hold_every_category_on_an_axis_with_no_preference_on_it(tmp_path: Path):
    document = load_likelihood(write_likelihood(tmp_path / "run"))
    crows, stereoset, winobias, bbq = (preference_panels(document, chosen) for chosen in document.datasets)
    assert [row.label for row in crows[0].blocks[0].rows] == ["All", "age"]
    assert len(stereoset) == len(winobias) == len(bbq) == 1
    for panel in (crows[0], stereoset[0], winobias[0], bbq[0]):
        assert panel.zero is not None and 0 <= panel.zero <= 100
    missing = winobias[0].blocks[0].rows[1]
    assert (missing.dot, missing.value) == (None, "not estimable")
    unlimited = bbq[0].blocks[0].rows[1]
    assert unlimited.dot is not None and unlimited.low is None


def test_terminal_markdown_and_model_card_say_the_same(tmp_path: Path):
    run_dir = write_likelihood(tmp_path / "run")
    console = Console(file=io.StringIO(), width=160)
    print_summary(run_dir, console)
    printed = console.file.getvalue()
    assert "WinoBias, test halves" in printed and "−0.188 [−0.287, −0.087]" in printed
    tables = markdown_tables(run_dir)
    assert "### StereoSet, development half" in tables and "|  | All | 0.562 [0.463, 0.662] | – |" in tables
    write_report(run_dir)
    card = write_model_card(run_dir).read_text(encoding="utf-8")
    assert "type: text-generation" in card and "tabular-classification" not in card
    assert "a leaning inside the model" in card.lower() and "decided on the test rows" not in card


def test_a_document_that_breaks_its_contract_is_refused_and_nothing_escapes_the_page(tmp_path: Path):
    document = likelihood_document()
    document["datasets"][0]["title"] = NASTY
    html = write_report(write_likelihood(tmp_path / "nasty", document)).read_text(encoding="utf-8")
    assert NASTY not in html
    del document["datasets"][0]["families"]
    with pytest.raises(BadInput, match=r"datasets\.0\.families: Field required"):
        write_report(write_likelihood(tmp_path / "broken", document))
