"""Model cards: every figure can be followed to results.json, and nothing the run says becomes markup."""

import hashlib
import json
import re
from pathlib import Path

import pytest
import yaml

from equiray.cli import main
from equiray.errors import BadInput, Incomplete
from equiray.reports import verify_evidence, write_evidence
from equiray.reports.model_card import write_model_card
from report_run import estimate, synthetic_details, synthetic_estimates, synthetic_results, write_synthetic_run
from test_audit import people, written

NASTY = "| <script>alert(1)</script> `x` **b** &lt; [a](http://b.example) \n# h: \"'\\ $1"


def card_of(run_dir: Path) -> tuple[dict, str]:
    """The front matter and the text below it."""
    _, front, body = write_model_card(run_dir).read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(front), body


def rows_of(body: str) -> list[list[str]]:
    """Cells of the tables' rows that cite a figure, without the escapes."""
    lines = [line for line in body.splitlines() if re.search(r"`#/estimates/\d+` \|$", line)]
    cells = [re.split(r"(?<!\\)\|", line.strip("| ")) for line in lines]
    return [[re.sub(r"\\(.)", r"\1", cell.strip()) for cell in row] for row in cells]


def test_every_figure_of_the_tables_is_the_one_it_cites(tmp_path: Path) -> None:
    run_dir = write_synthetic_run(tmp_path / "run")
    estimates = json.loads((run_dir / "results.json").read_text())["estimates"]
    rows = rows_of(card_of(run_dir)[1])
    cited = []
    for row in rows:
        value, interval, n, status, source = row[4], row[5], row[6], row[8], row[9]
        cited.append(int(source.strip("`").removeprefix("#/estimates/")))
        record = estimates[cited[-1]]
        digits = 2 if record["metric"] == "perplexity" else 3
        assert (int(n.replace(",", "")), status) == (record["n"], record["status"].replace("_", " "))
        if record["value"] is None:
            assert (value, interval) == ("not estimable", "")
        else:
            printed = [float(v) for v in re.findall(r"-?[\d.]+", f"{value} {interval}".replace("−", "-"))]
            expected = [record["value"], record["low"], record["high"]]
            assert printed == pytest.approx(expected, abs=0.51 * 10**-digits)
        if record["group"]:
            assert row[3] == f"{record['attribute']} = {record['group']}"
    assert sorted(cited) == list(range(len(estimates))), "each figure once"


def test_the_index_is_read_by_the_hub_and_traceable(tmp_path: Path) -> None:
    cards = pytest.importorskip("huggingface_hub", reason="the Hub's own reader is not installed")
    run_dir = write_synthetic_run(tmp_path / "run")
    results = (run_dir / "results.json").read_bytes()
    estimates = json.loads(results)["estimates"]
    read = cards.ModelCard.load(write_model_card(run_dir)).data.eval_results
    digest = hashlib.sha256(results).hexdigest()
    found = {}
    for result in read:
        place = result.metric_args["source"].removeprefix("results.json#/estimates/")
        record = found[int(place)] = estimates[int(place)]
        assert result.metric_args["sha256"] == digest
        assert (result.metric_type, result.metric_value) == (record["metric"], record["value"])
        assert result.dataset_type == record["task"]
        for key in ("low", "high", "confidence", "n", "status", "stage", "model", "attribute"):
            assert result.metric_args[key] == record[key]
        assert result.task_type == ("text-generation" if record["task"] == "equiray" else "tabular-classification")
    levels = [i for i, e in enumerate(estimates) if e["value"] is not None and not e["group"] and "-" not in e["stage"]]
    assert sorted(found) == levels
    assert {r.dataset_args["sha256"] for r in read if r.dataset_type == "german"} == {"ab" * 32}


def test_what_cannot_be_estimated_is_never_a_number(tmp_path: Path) -> None:
    lost = estimate("german", "baseline", "raw", "predictive_parity_difference", None, attribute="age", n=0)
    run_dir = write_synthetic_run(tmp_path / "run", estimates=[*synthetic_estimates(), lost])
    front, body = card_of(run_dir)
    last = len(synthetic_estimates())
    index = json.dumps(front["model-index"])
    assert f"/estimates/{last}" not in index and f"/estimates/{last - 1}" not in index
    (row,) = [row for row in rows_of(body) if row[9] == f"`#/estimates/{last}`"]
    assert (row[4], row[8]) == ("not estimable", "not estimable")
    missing = sum(e["value"] is None for e in [*synthetic_estimates(), lost])
    assert f"{missing} figures not estimable" in body


def test_warnings_stand_before_figures(tmp_path: Path) -> None:
    _, body = card_of(write_synthetic_run(tmp_path / "run"))
    for said in ("Groemping 2019", "smoke run", "58 of 60 logged steps"):
        assert 0 < body.index(said) < body.index("## Figures")
    assert body.index("CC BY 4.0") < body.index("## Figures")


def test_an_audit_has_results_alone(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps(synthetic_results()))
    front, body = card_of(tmp_path)
    assert "whether they have known defects is unknown" in body
    datasets = [entry["dataset"] for entry in front["model-index"][0]["results"]]
    assert datasets and all(dataset.keys() == {"type", "name"} for dataset in datasets)
    (tmp_path / "results.json").write_text(json.dumps(synthetic_results([])))
    front, body = card_of(tmp_path)
    assert front["model-index"][0]["results"] == [] and "## Figures" not in body


def test_verdicts_are_cited_too(tmp_path: Path) -> None:
    contract = Path(__file__).parents[1] / "docs" / "contracts" / "results.json"
    (tmp_path / "results.json").write_bytes(contract.read_bytes())
    _, body = card_of(tmp_path)
    verdict = json.loads(contract.read_bytes())["verdicts"][0]
    told = f"| {verdict['verdict']} | {verdict['rule']} | {verdict['reason']} | `#/verdicts/0` |"
    assert told in re.sub(r"\\(.)", r"\1", body)


def test_files_are_named_with_their_hashes_and_a_change_shows(tmp_path: Path) -> None:
    run_dir = write_synthetic_run(tmp_path / "run")
    first = write_model_card(run_dir).read_text()
    for name in ("results.json", "details.json", "spec.yaml"):
        digest = hashlib.sha256((run_dir / name).read_bytes()).hexdigest()
        assert f"| `{name}` | `{digest}` |" in first
    write_evidence(run_dir, seeds={"run": 11}, spec_sha256="5e" * 32)
    assert verify_evidence(run_dir) == []
    assert write_model_card(run_dir).read_text() == first, "also after its evidence"
    assert verify_evidence(run_dir) == []
    (run_dir / "results.json").write_text(json.dumps(synthetic_results()) + " ")
    write_model_card(run_dir)
    assert [line.split(" (")[0] for line in verify_evidence(run_dir)] == [
        "altered: model_card.md",
        "altered: results.json",
    ]


def test_strings_of_the_run_stay_text(tmp_path: Path) -> None:
    run_dir = write_synthetic_run(tmp_path / "run")
    escaped = json.dumps(NASTY)[1:-1]
    results = json.dumps(synthetic_results()).replace("female", escaped).replace("german", escaped)
    (run_dir / "results.json").write_text(results)
    details = synthetic_details()
    details["title"] = NASTY
    details["tasks"] = {NASTY: details["tasks"]["german"] | {"title": NASTY, "warnings": [NASTY], "source": NASTY}}
    (run_dir / "details.json").write_text(json.dumps(details))
    front, body = card_of(run_dir)
    assert front["model-index"][0]["name"] == NASTY
    assert not re.search(r"(?<!\\)<script|(?<!\\)\]\(|(?<!\\)\*\*b|(?<!\\)&lt;", body)
    assert {len(row) for row in rows_of(body)} == {10}
    one_line = " ".join(NASTY.split())
    assert any(row[3] == f"sex = {one_line}" for row in rows_of(body))


def test_broken_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such run directory"):
        write_model_card(tmp_path / "absent")
    run_dir = write_synthetic_run(tmp_path / "run")
    (run_dir / "results.json").write_text("{")
    with pytest.raises(BadInput, match="Invalid JSON"):
        write_model_card(run_dir)
    (run_dir / "results.json").unlink()
    with pytest.raises(Incomplete):
        write_model_card(run_dir)
    assert not (run_dir / "model_card.md").exists()


def test_hugging_face_reads_every_figure_of_the_metadata(tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="the hub's own reader comes with the extra `llm`")
    run_dir = write_synthetic_run(tmp_path / "run")
    path = write_model_card(run_dir)
    read = hub.ModelCard.load(path).data
    records = json.loads((run_dir / "results.json").read_text())["estimates"]
    assert read.model_name == "Synthetic figures: a test of the report" and "fairness" in read.tags
    shown = [r for r in records if r["value"] is not None and not r["group"] and "-" not in r["stage"]]
    assert len(read.eval_results) == len(shown) > 20
    for result in read.eval_results:
        assert isinstance(result, hub.EvalResult)
        place = int(result.metric_args["source"].removeprefix("results.json#/estimates/"))
        record = records[place]
        assert (result.metric_type, result.metric_value) == (record["metric"], record["value"])
        assert result.dataset_type == record["task"] and result.metric_args["low"] == record["low"]
        assert result.metric_args["sha256"] == hashlib.sha256((run_dir / "results.json").read_bytes()).hexdigest()
    hub.ModelCard(path.read_text(encoding="utf-8")).save(tmp_path / "saved.md")
    saved = hub.ModelCard.load(tmp_path / "saved.md").data
    key = {(r.task_type, r.dataset_type, r.metric_name): r.metric_value for r in read.eval_results}
    assert {(r.task_type, r.dataset_type, r.metric_name): r.metric_value for r in saved.eval_results} == key


def test_every_command_leaves_a_card_and_lists_its_hash(tmp_path: Path) -> None:
    rows = written(people(200), tmp_path / "rows.csv")
    columns = ("--label", "y", "--prediction", "yhat", "--attributes", "sex")
    commands = {
        "audit": ("audit", rows, *columns, "--score", "p"),
        "of_split": ("audit", rows, *columns, "--split", "part"),
        "compare": ("compare", rows, rows, *columns[:2], "--prediction", "yhat,race", "--attributes", "sex"),
    }
    words = people(200).assign(race=people(200).y)  # a second column of decisions, which are always right
    written(words.assign(part=["test", "test", "validation", "train"] * 50), rows)
    for name, command in commands.items():
        out = tmp_path / name
        with pytest.raises(SystemExit) as left:
            main([*map(str, command), "--out", str(out)])
        assert left.value.code == 0
        card, evidence = out / "model_card.md", json.loads((out / "evidence.json").read_text())
        assert evidence["files"]["model_card.md"]["sha256"] == hashlib.sha256(card.read_bytes()).hexdigest()
        before = card.read_bytes()
        card.unlink()
        with pytest.raises(SystemExit):
            main(["report", str(out)])
        assert card.read_bytes() == before and verify_evidence(out) == []
        index = yaml.safe_load(before.decode().split("---\n")[1])["model-index"][0]["results"]
        assert index[0]["dataset"]["type"] == "y"
        # rows that nobody divided are not called a test split
        assert index[0]["dataset"].get("split") == ("test" if name == "of_split" else None)
