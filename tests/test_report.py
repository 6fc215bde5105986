"""report.html and the terminal table, held against the results.json they were written from."""

import io
import json
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from equiray.errors import BadInput, Incomplete
from equiray.metrics.catalogue import METRICS as CATALOGUE
from equiray.metrics.estimates import Estimate
from equiray.reports import print_summary, write_evidence, write_report
from equiray.reports.figures import INTRINSIC_METRICS, read_effect
from equiray.reports.run_directory import ResultsFile
from equiray.reports.words import METRICS, metric_words
from report_run import estimate, synthetic_estimates, synthetic_results, write_synthetic_run

CONTRACT = Path(__file__).parents[1] / "docs" / "contracts" / "results.json"
NASTY = "<script>alert(1)</script>&\"'[bold]"


class Page(HTMLParser):
    """The visible text, and (tag, attributes) of every element."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._text: list[str] = []
        self._silent = 0
        self.feed(html)
        self.text = " ".join("".join(self._text).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._silent += tag in ("style", "title", "desc")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("style", "title", "desc")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._text.append(data)

    def rows(self, style: str) -> int:
        return sum(style in (attributes.get("class") or "").split() for _, attributes in self.tags)


def page_of(run_dir: Path) -> Page:
    return Page(write_report(run_dir).read_text(encoding="utf-8"))


def printed(value: float, metric: str) -> str:
    text = format(value, ".2f" if metric == "perplexity" else ".3f").replace("-", "−")
    return text.replace("−0.000", "0.000")


def summary_of(tmp_path: Path, estimates: list[dict]) -> str:
    page = write_report(write_synthetic_run(tmp_path / "run", estimates=estimates)).read_text(encoding="utf-8")
    lede = re.search(r'<div class="lede">(.*?)</div>', page, re.DOTALL)
    assert lede
    return lede[1].replace("\N{NO-BREAK SPACE}", " ")


def test_every_figure_of_results_json_stands_on_the_page_with_its_interval(tmp_path: Path) -> None:
    run_dir = write_synthetic_run(tmp_path / "run")
    extra = estimate("german", "baseline", "raw", "counterfactual_flip_rate", 0.123456, attribute="sex")
    (run_dir / "results.json").write_text(json.dumps(synthetic_results([*synthetic_estimates(), extra])))
    shown = re.sub("[▲▼]", "", page_of(run_dir).text)
    estimates = [*synthetic_estimates(), extra]
    for e in estimates:
        if e["value"] is not None:
            value, low, high = (printed(e[key], e["metric"]) for key in ("value", "low", "high"))
            assert f"{value} [{low}, {high}]" in shown, e
    assert sum(e["status"] == "not_estimable" for e in estimates) == shown.count("n. e.") == 7
    assert "race = (missing) (0 in its denominator; 7 stage–model pairs)" in shown


def test_figures_that_fail_alike_share_a_line(tmp_path: Path) -> None:
    none = {"attribute": "sex", "group": "female", "n": 0}
    records = [estimate("german", "baseline", "raw", metric, None, **none) for metric in ("tpr", "fnr", "auc")]
    records.append(estimate("german", "baseline", "raw", "ppv", None, **none | {"n": 3}))
    text = page_of(write_synthetic_run(tmp_path / "run", estimates=records)).text
    assert "German Credit: True-positive rate, False-negative rate and AUC, sex = female (0 in its denominator" in text
    assert "German Credit: Precision, sex = female (3 in its denominator" in text


def test_every_exported_metric_has_words() -> None:
    for metric in {*CATALOGUE, *INTRINSIC_METRICS}:
        found = metric_words(metric)
        assert found.label and found.short and found.meaning and found == METRICS[metric]
    shorts = [METRICS[metric].short for metric in CATALOGUE]
    assert len(set(shorts)) == len(shorts)  # they head columns side by side


@pytest.mark.parametrize(
    ("metric", "direction", "limits", "reading"),
    [
        ("disparate_impact_ratio", "higher", (0.05, 0.3), "better"),
        ("disparate_impact_ratio", "higher", (-0.3, -0.05), "worse"),
        ("disparate_impact_ratio", "higher", (-0.1, 0.3), "cannot tell"),
        ("worst_group_accuracy_cells", "higher", (0.01, 0.2), "better"),
        ("perplexity_ratio", "lower", (0.9, 0.98), "better"),
        ("perplexity_ratio", "lower", (0.9, 1.1), "cannot tell"),
    ],
)
def test_a_difference_of_ratios_is_read_against_0_and_a_ratio_of_stages_against_1(metric, direction, limits, reading):
    low, high = limits
    record = estimate("t", "cda-baseline", "raw", metric, (low + high) / 2, attribute="sex", direction=direction)
    effect = Estimate(**record | {"low": low, "high": high})
    assert read_effect(effect) == reading


def test_an_effect_is_coloured_only_if_its_interval_excludes_zero(tmp_path: Path) -> None:
    page = page_of(write_synthetic_run(tmp_path / "run"))
    counted: Counter[str] = Counter()
    for e in synthetic_estimates():
        if "-" in e["stage"] and not e["metric"].startswith("intrinsic"):
            clear = e["low"] > 0 or e["high"] < 0
            good = (e["value"] < 0) == (e["direction"] == "lower")
            counted["cannot-tell" if not clear else "better" if good else "worse"] += 1
    assert counted["better"]
    assert counted["cannot-tell"]
    divs = [a.get("class") or "" for tag, a in page.tags if tag == "div"]
    assert {style: sum(f"row {style}" == c for c in divs) for style in counted} == dict(counted)


@pytest.mark.parametrize(
    ("low", "high", "claim"),
    [
        (-0.1, -0.01, "CDA: disparity is clearly smaller in 1 of 1 comparison with the baseline."),
        (0.01, 0.1, "CDA: disparity is clearly larger in 1 of 1 comparison with the baseline."),
        (-0.1, 0.1, "We cannot tell whether CDA changed any disparity (1 comparison with the baseline)."),
        (-0.1, 0.0, "We cannot tell whether CDA changed any disparity (1 comparison with the baseline)."),
    ],
)
def test_the_summary_names_a_direction_only_where_the_interval_does(
    tmp_path: Path, low: float, high: float, claim: str
) -> None:
    metric = "demographic_parity_difference"
    before = estimate("german", "baseline", "raw", metric, 0.2, attribute="sex")
    change = estimate("german", "cda-baseline", "raw", metric, (low + high) / 2, attribute="sex")
    summary = summary_of(tmp_path, [before, change | {"low": low, "high": high}])
    assert claim in summary
    assert ("clearly" in summary) == ("clearly" in claim)


@pytest.mark.parametrize(
    ("models", "words"),
    [
        (("raw", "raw"), "whether CDA or unlearning changed any disparity (1 comparison with the baseline each)"),
        (("raw",), "whether CDA changed any disparity (1 comparison with the baseline)"),
        (("raw", "both"), "whether CDA or unlearning changed any disparity (1 and 2 comparisons with the baseline)"),
    ],
)
def test_stages_without_a_clear_change_are_told_in_one_sentence(tmp_path: Path, models: tuple, words: str) -> None:
    records = []
    for stage, which in zip(("cda", "unlearning"), models, strict=False):
        for model in ("raw", "embedding") if which == "both" else (which,):
            metric = "demographic_parity_difference"
            records.append(estimate("german", f"{stage}-baseline", model, metric, 0.0, attribute="sex"))
    assert words in summary_of(tmp_path, records)


def test_dropping_the_sensitive_column_is_not_before_mitigation(tmp_path: Path) -> None:
    levels = [("raw", 0.2), ("embedding", 0.1), ("raw_unaware", 0.4)]
    metric = "demographic_parity_difference"
    records = [estimate("german", "baseline", model, metric, value, attribute="sex") for model, value in levels]
    summary = summary_of(tmp_path, records)
    assert "the largest of 2 differences in selection rate between groups is 0.200 [0.170, 0.230]" in summary
    tile = page_of(tmp_path / "run").text.split("Largest selection-rate difference")[1]
    assert tile.startswith("0.200[0.170, 0.230]German Credit, by sex, raw columns")


def test_a_disparity_whose_interval_reaches_zero_is_not_claimed(tmp_path: Path) -> None:
    sure = estimate("german", "baseline", "raw", "demographic_parity_difference", 0.2, attribute="sex")
    assert "cannot tell" not in summary_of(tmp_path / "sure", [sure])
    assert "so we cannot tell whether the groups differ" in summary_of(tmp_path / "unsure", [sure | {"low": 0.0}])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"value": -0.3, "low": -0.4, "high": -0.2}, "clearly smaller, by 60 %"),
        ({"value": 0.1, "low": 0.05, "high": 0.2}, "clearly larger, by 20 %"),
        ({"value": -0.3, "low": -0.7, "high": 0.1}, "we cannot tell whether it changed"),
        ({"value": 0.0, "low": 0.0, "high": 0.0}, "unchanged"),
        (None, "we cannot tell whether that is more than noise"),
    ],
)
def test_the_intrinsic_sentence_follows_the_paired_change(tmp_path: Path, change: dict | None, words: str) -> None:
    levels = [
        estimate("equiray", stage, "lm", "intrinsic_gap", value, attribute="gender")
        for stage, value in (("baseline", 0.5), ("unlearning", 0.2))
    ]
    effect = estimate("equiray", "unlearning-baseline", "lm", "intrinsic_gap", 0.0, attribute="gender")
    assert words in summary_of(tmp_path, [*levels, *([effect | change] if change else [])])


def test_the_reduction_has_its_interval_and_the_gaps_theirs(tmp_path: Path) -> None:
    metric, more = "intrinsic_gap_counterfactual", {"attribute": "gender"}
    records = [
        estimate("equiray", "baseline", "lm", metric, 0.2, 0.02, **more),
        estimate("equiray", "unlearning", "lm", metric, 0.08, 0.01, **more),
        estimate("equiray", "unlearning-baseline", "lm", metric, -0.12, 0.03, **more),
        estimate("equiray", "unlearning-baseline", "lm", f"{metric}_reduction", 0.61, 0.08, **more),
    ]
    assert "clearly smaller, by 61 % [53 %, 69 %]." in summary_of(tmp_path, records)
    text = page_of(tmp_path / "run").text
    assert "Counterfactual gap0.200 → 0.080[0.180, 0.220] → [0.070, 0.090]gender, before and after" in text
    assert "– – +0.610 [0.530, 0.690]" in text


@pytest.mark.parametrize(("sizes", "words"), [((3, 3), "(3 families), "), ((3, 4), "family, "), ((), "family, ")])
def test_the_number_of_families_is_said_where_one_number_is_true(tmp_path: Path, sizes: tuple, words: str) -> None:
    run_dir = write_synthetic_run(tmp_path / "run")
    (run_dir / "intrinsic").mkdir()
    for attribute, size in zip(("gender", "race"), sizes, strict=False):
        for fold in range(2):  # the folds share out the families
            names = [f"family {i}" for i in range(size) if i % 2 == fold] * 2
            file = f"equiray.{attribute}.baseline.fold{fold}.parquet"
            pq.write_table(pa.table({"family": names}), run_dir / "intrinsic" / file)
    text = page_of(run_dir).text
    assert f"clustered by template {'family ' if 'families' in words else ''}{words}those of perplexity by text" in text


@pytest.mark.parametrize(("after", "inverted"), [((-0.06, -0.02), True), ((-0.06, 0.01), False), ((0.01, 0.05), False)])
def test_inversion_is_said_only_when_both_signs_are_clear(tmp_path: Path, after: tuple, inverted: bool) -> None:
    records = []
    for metric in ("intrinsic_gap", "intrinsic_gap_signed"):
        records.append(estimate("equiray", "baseline", "lm", metric, 0.08, attribute="gender"))
        low, high = after
        later = estimate("equiray", "unlearning", "lm", metric, (low + high) / 2, attribute="gender")
        records.append(later | {"low": low, "high": high})
    summary = summary_of(tmp_path, records)
    assert ("About gender the signed gap changed sides" in summary) == inverted
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert ('<span class="badge">inversion</span>' in page) == inverted


def test_labels_of_short_and_smoke_runs(tmp_path: Path) -> None:
    run_dir = write_synthetic_run(tmp_path / "run")
    page = page_of(run_dir)
    assert page.rows("badge") == 2
    assert "smoke run" in page.text
    summary = " ".join(page.text.split("This run measured")[0].split())
    assert "short run, stopped by its time budget after 120 steps" in summary
    assert "depends on the speed of the machine" in summary
    details = json.loads((run_dir / "details.json").read_text())
    details["smoke"], details["unlearning"]["label"] = False, "full"
    (run_dir / "details.json").write_text(json.dumps(details))
    page = page_of(run_dir)
    assert page.rows("badge") == 0
    assert "smoke" not in page.text
    assert "short run" not in page.text
    assert "speed of the machine" not in page.text


@pytest.mark.parametrize("absent", ["details.json", "unlearning", "predictions", "spec.yaml"])
def test_every_part_but_the_results_may_be_absent(tmp_path: Path, absent: str) -> None:
    run_dir = write_synthetic_run(tmp_path / "run")
    path = run_dir / absent
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = page_of(run_dir)
    assert "None" not in page.text
    assert "0.142 [0.114, 0.170]" in page.text


def test_the_contract_example_alone_makes_a_report(tmp_path: Path) -> None:
    shutil.copy(CONTRACT, tmp_path / "results.json")
    text = page_of(tmp_path).text
    assert "INCONCLUSIVE" in text
    for e in ResultsFile.model_validate_json(CONTRACT.read_bytes()).estimates:
        if e.value is not None and e.group is None:
            assert f"{printed(e.value, e.metric)} [{printed(e.low or 0, '')}, {printed(e.high or 0, '')}]" in text


def test_no_estimates_still_reads(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps(synthetic_results([])))
    assert "This run holds no figures." in page_of(tmp_path).text


def test_strings_of_the_run_stay_text(tmp_path: Path) -> None:
    run_dir = write_synthetic_run(tmp_path / "run", estimates=[])
    document = json.dumps(synthetic_results()).replace("female", "@").replace('"sex"', '"@"').replace("german", "@")
    escaped = json.dumps(NASTY)[1:-1]
    (run_dir / "results.json").write_text(document.replace("@", escaped))
    for name in ("details.json", "spec.yaml"):
        text = (run_dir / name).read_text().replace("female", "@").replace("german", "@").replace('"sex"', '"@"')
        (run_dir / name).write_text(text.replace("@", escaped))
    page = page_of(run_dir)
    assert NASTY in page.text
    assert "script" not in {tag for tag, _ in page.tags}
    assert not [a for _, attributes in page.tags for a in attributes if a.startswith("on") or a == "bold"]
    out = io.StringIO()
    print_summary(run_dir, Console(file=out, width=200))
    assert NASTY in out.getvalue()


def test_the_page_asks_for_nothing_and_says_so_to_the_browser(tmp_path: Path) -> None:
    path = write_report(write_synthetic_run(tmp_path / "run"))
    page = Page(path.read_text(encoding="utf-8"))
    links = [a[k] for _, a in page.tags for k in ("src", "href", "xlink:href", "data", "action") if k in a]
    assert all(link and link.startswith(("#", "data:,")) for link in links)
    assert {"script", "img", "iframe", "object"}.isdisjoint(tag for tag, _ in page.tags)
    assert "url(" not in path.read_text() and "@import" not in path.read_text()
    policy = [a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


def test_the_same_run_gives_the_same_bytes_also_after_its_evidence(tmp_path: Path) -> None:
    run_dir = write_synthetic_run(tmp_path / "run")
    first = write_report(run_dir).read_bytes()
    write_evidence(run_dir, seeds={"run": 11}, spec_sha256="5e" * 32)
    assert write_report(run_dir).read_bytes() == first
    assert sorted(path.name for path in run_dir.iterdir() if ".part" in path.name) == []


def test_the_terminal_shows_the_tables_figures(tmp_path: Path) -> None:
    out = io.StringIO()
    print_summary(write_synthetic_run(tmp_path / "run"), Console(file=out, width=160))
    shown = re.sub("[▲▼]", "", out.getvalue())
    for e in synthetic_estimates():
        if e["metric"] in ("accuracy", "demographic_parity_difference") and "-" not in e["stage"]:
            assert f"{printed(e['value'], '')} [{printed(e['low'], '')}, {printed(e['high'], '')}]" in shown


@pytest.mark.parametrize("width", [70, 90, 120])
def test_the_terminal_cuts_no_name_of_a_group(tmp_path: Path, width: int) -> None:
    names = [
        f"{sex}*{race}*{age}"
        for sex in ("Female", "Male")
        for race in ("African-American", "Native American")
        for age in ("up to 25", "older")
    ]
    estimates = [
        estimate("y", "audit", "scorer", metric, 0.25, attribute="sex*race*age", group=name)
        for metric in ("selection_rate", "tpr", "fpr", "accuracy")
        for name in names
    ]
    out = io.StringIO()
    print_summary(write_synthetic_run(tmp_path / "run", estimates=estimates), Console(file=out, width=width))
    lines = out.getvalue().splitlines()
    assert "…" not in out.getvalue() and max(map(len, lines)) <= width
    column = next(line for line in lines if line.startswith("Group")).index("Selected")
    squeezed = re.sub(r"\s", "", "".join(line[:column] for line in lines))
    assert all(re.sub(r"\s", "", name) in squeezed for name in names)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "Invalid JSON"),
        ('{"schema": "equiray.results/1", "estim', "Invalid JSON"),
        (json.dumps(synthetic_results([]) | {"schema": "equiray.results/9"}), "equiray.results/1"),
        (json.dumps(synthetic_results([]) | {"surprise": 1}), "surprise"),
        (json.dumps(synthetic_results([estimate("a", "b", "c", "d", float("nan"))])), "finite number"),
        (json.dumps(synthetic_results([estimate("a", "b", "c", "d", 0.5) | {"status": "fine"}])), "estimates.0.status"),
        (json.dumps(synthetic_results([estimate("a", "b", "c", "d", 0.5) | {"extra": 1}])), "estimates.0.extra"),
        (json.dumps(synthetic_results([estimate("a", "b", "c", "d", x) for x in (0.1, 0.2)])), "a/b/c/d"),
    ],
)
def test_a_results_file_that_breaks_its_contract_is_refused(tmp_path: Path, content: str, said: str) -> None:
    run_dir = write_synthetic_run(tmp_path / "run")
    (run_dir / "results.json").write_text(content)
    with pytest.raises(BadInput, match=re.escape(said)) as caught:
        write_report(run_dir)
    assert "results.json" in caught.value.place
    assert caught.value.fix
    assert not (run_dir / "report.html").exists()


def test_absent_and_partial_runs_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such run directory"):
        write_report(tmp_path / "absent")
    with pytest.raises(BadInput, match=r"no results\.json"):
        write_report(tmp_path)
    run_dir = write_synthetic_run(tmp_path / "run")
    (run_dir / "results.json").unlink()
    with pytest.raises(Incomplete, match=r"2 prediction file\(s\) are there(.|\n)*same --out"):
        write_report(run_dir)


def test_damaged_commentary(tmp_path: Path) -> None:
    run_dir = write_synthetic_run(tmp_path / "run")
    (run_dir / "predictions" / "adult.parquet").write_bytes(b"PAR1 and then the disk was full")
    curve = run_dir / "unlearning" / "curve.jsonl"
    whole = page_of(run_dir).text
    curve.write_text(curve.read_text() + '{"step": 122, "ga')  # a killed run
    assert page_of(run_dir).text == whole
    assert "predictions/adult.parquet: the file cannot be read" in whole
    curve.write_text("nonsense\n" + curve.read_text())
    with pytest.raises(BadInput, match=r"curve\.jsonl, line 1"):
        write_report(run_dir)
    curve.unlink()
    (run_dir / "details.json").write_text('{"tasks": 3, "from_a_newer_version": true}')
    with pytest.raises(BadInput, match="tasks"):
        write_report(run_dir)
