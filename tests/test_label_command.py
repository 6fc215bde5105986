"""`equiray label`: a sheet written, labelled, read back; and every way in which it can be spoilt."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tiny_models
from equiray.errors import BadInput
from equiray.mitigation.reward.calibration import Calibration, fit_calibration
from equiray.mitigation.reward.label_sheet import read_sheet, write_sheet
from equiray.mitigation.reward.labels import StepLabel
from equiray.mitigation.reward.model import RewardModel, fresh_model
from equiray.mitigation.reward.recalibration import recalibrate
from equiray.mitigation.reward.scores_file import read_scores, scores_table
from equiray.mitigation.reward.scoring import score_chains
from equiray.mitigation.reward.steps import step_records
from equiray.mitigation.reward.store import load_reward_model, read_about, save_reward_model
from equiray.specs.reward_model import RewardModelSpec
from reward_cases import random_cases


def saved(directory: Path, model: RewardModel, spec: RewardModelSpec) -> str:
    save_reward_model(directory, model, model.weights(), Calibration(), spec, {})
    return read_about(directory)["weights_sha256"]


@pytest.fixture
def scored(tmp_path) -> Path:
    """A folder with ``model`` and ``scores.parquet`` of 10 cases by reward model, outcome model and judge."""
    lm, cases = tiny_models.tiny("llama"), random_cases(10)
    with fresh_model(lm, RewardModelSpec(), seed=0) as model:
        name = saved(tmp_path / "model", model, RewardModelSpec())
        scores = score_chains(model, cases)
    with fresh_model(lm, RewardModelSpec(reading="outcome"), seed=1) as model:
        outcome = score_chains(model, cases)
    random = np.random.default_rng(0)
    judge = [
        StepLabel(case_id=s.case_id, chain=s.chain, step=s.step, unbiased=1, source="j", probability=random.random())
        for s in step_records(cases)
        if s.chain != 2
    ]
    pq.write_table(scores_table(name, cases, scores, outcome=outcome, judge=judge), tmp_path / "scores.parquet")
    return tmp_path


def equiray(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "equiray", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def write_rows(file: Path, rows: list[dict[str, str]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, rows[0])
        table.writeheader()
        table.writerows(rows)


def labelled(rows: list[dict[str, str]], seed: int = 0) -> list[dict[str, str]]:
    random = np.random.default_rng(seed)
    return [{**row, "unbiased": str(int(random.random() < float(row["reward"])))} for row in rows]


def test_a_sheet_is_written_labelled_and_read_back(scored):
    sheet = scored / "out" / "sheet.csv"
    done = equiray("label", "write", scored / "scores.parquet", "--out", sheet, "--chains", 16)
    assert done.returncode == 0, done.stderr
    assert "8 chains that differ most, 8 at random" in done.stdout
    rows = labelled(rows_of(sheet))
    rows[0]["unbiased"] = ""
    write_rows(sheet, rows)
    done = equiray("label", "read", sheet, "--model", scored / "model", "--method", "platt")
    assert done.returncode == 0, done.stderr
    assert f"{len(rows) - 1} labels, 1 left empty" in done.stdout
    kept = rows[1:]
    expected = fit_calibration(
        np.array([float(row["logit"]) for row in kept]),
        np.array([int(row["unbiased"]) for row in kept]),
        "platt",
        weights=np.array([float(row["stands_for"]) for row in kept]),
        place="here",
    )
    with load_reward_model(scored / "model", tiny_models.tiny("llama")) as model:
        assert model.calibration == expected
    assert read_about(scored / "model")["about"]["recalibrated"]["labels"] == len(kept)


def test_the_chains_that_differ_most_come_first_and_the_rest_is_drawn_from(scored):
    table = read_scores(scored / "scores.parquet")
    chains: dict[tuple[str, str], list[dict]] = {}
    for row in table.to_pylist():
        chains.setdefault((row["case_id"], str(row["chain"])), []).append(row)

    def difference(steps: list[dict]) -> float:
        known = [[s[name] for s in steps if s[name] is not None] for name in ("reward", "outcome", "judge")]
        means = [np.mean(values) for values in known if values]
        return max(means) - min(means)

    ranked = sorted(chains, key=lambda name: -difference(chains[name]))
    made = write_sheet(table, scored / "a.csv", chains=12, random_share=0.25, seed=0)
    rows = rows_of(scored / "a.csv")
    chosen = [(row["case_id"], row["chain"]) for row in rows if row["chosen_for"] == "difference"]
    assert list(dict.fromkeys(chosen)) == ranked[:9] and made.differing == 9
    drawn = {(row["case_id"], row["chain"]): float(row["stands_for"]) for row in rows if row["chosen_for"] == "random"}
    assert len(drawn) == made.random == 3 and not set(drawn) & set(chosen)
    assert set(drawn.values()) == {(len(chains) - 9) / 3}  # 3 stand for all that differ less
    assert {row["stands_for"] for row in rows if row["chosen_for"] == "difference"} == {"1.0"}
    assert len(rows) == made.steps == sum(len(chains[name]) for name in {*chosen, *drawn})
    again = write_sheet(table, scored / "b.csv", chains=12, random_share=0.25, seed=0)
    assert again == made and (scored / "a.csv").read_bytes() == (scored / "b.csv").read_bytes()
    write_sheet(table, scored / "c.csv", chains=12, random_share=0.25, seed=1)
    assert (scored / "a.csv").read_bytes() != (scored / "c.csv").read_bytes()


def test_weights_make_a_sheet_speak_for_all_chains(scored):
    rows = rows_of(_sheet(scored))
    for row in rows:  # those that differ most are all biased, the others all unbiased but one
        row["unbiased"] = "0" if row["chosen_for"] == "difference" else "1"
    write_rows(scored / "sheet.csv", rows)
    made = recalibrate(scored / "model", scored / "sheet.csv", "platt")
    p = made.after.probabilities(made.labels.logits)
    mean = np.average(p, weights=made.labels.stands_for)
    assert mean == pytest.approx(np.average(made.labels.labels, weights=made.labels.stands_for), abs=0.02)
    assert abs(p.mean() - made.labels.labels.mean()) > 0.05  # the unweighted share is another one
    assert made.log_loss[1] < made.log_loss[0]


def test_few_labels_and_no_random_chains_are_warned_of(scored):
    write_sheet(read_scores(scored / "scores.parquet"), scored / "sheet.csv", chains=4, random_share=0, seed=0)
    rows = rows_of(scored / "sheet.csv")
    write_rows(scored / "sheet.csv", [{**row, "unbiased": str(n % 2)} for n, row in enumerate(rows)])
    warnings = " ".join(recalibrate(scored / "model", scored / "sheet.csv", "temperature").warnings)
    assert "a calibration is a guess" in warnings and "no randomly drawn chain" in warnings


def _sheet(scored: Path) -> Path:
    file = scored / "sheet.csv"
    write_sheet(read_scores(scored / "scores.parquet"), file, chains=20, random_share=0.5, seed=0)
    return file


def spoilt(scored: Path, line: int, **changed: str) -> Path:
    """The sheet with one row (line 2 is the first) changed."""
    rows = labelled(rows_of(_sheet(scored)))
    rows[line - 2] |= changed
    write_rows(scored / "sheet.csv", rows)
    return scored / "sheet.csv"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"unbiased": "yes"}, "unbiased is 'yes'"),
        ({"unbiased": "0.5"}, "unbiased is '0.5'"),
        ({"logit": "1,5"}, "logit is '1,5'"),
        ({"logit": "nan"}, "logit is 'nan'"),
        ({"stands_for": "0"}, "stands_for is '0'"),
        ({"stands_for": ""}, "stands_for is ''"),
    ],
)
def test_a_value_that_cannot_be_read_is_named_with_its_line(scored, changed, said):
    sheet = spoilt(scored, 4, **changed)
    with pytest.raises(BadInput) as caught:
        read_sheet(sheet)
    assert caught.value.problem == said
    assert caught.value.place.startswith(f"{sheet}, line ")


def test_a_sheet_of_another_model_is_refused(scored):
    rows = [{**row, "model": "f" * 64} for row in labelled(rows_of(_sheet(scored)))]
    write_rows(scored / "sheet.csv", rows)
    done = equiray("label", "read", scored / "sheet.csv", "--model", scored / "model")
    assert done.returncode == 3 and "scores of the model ffffffffffff, not of" in done.stderr
    rows[0]["model"] = "e" * 64
    write_rows(scored / "sheet.csv", rows)
    with pytest.raises(BadInput, match="several reward models"):
        read_sheet(scored / "sheet.csv")


def test_sheets_that_are_no_sheets_are_refused(scored):
    sheet = _sheet(scored)
    with pytest.raises(BadInput, match="no step is labelled"):
        read_sheet(sheet)
    rows = labelled(rows_of(sheet))
    write_rows(sheet, [*rows, rows[0]])
    with pytest.raises(BadInput, match="the step of line 2 again"):
        read_sheet(sheet)
    write_rows(sheet, [{**row, "unbiased": "1"} for row in rows])
    with pytest.raises(BadInput, match=f"{len(rows)} labels, all 1"):
        recalibrate(scored / "model", sheet, "platt")
    write_rows(sheet, [{name: value for name, value in row.items() if name != "logit"} for row in rows])
    with pytest.raises(BadInput, match=r"column 'logit' is missing\n  where: .*sheet.csv, line 1"):
        read_sheet(sheet)
    sheet.write_bytes("model;case_id;größe".encode("latin-1"))
    with pytest.raises(BadInput, match="cannot read the sheet"):
        read_sheet(sheet)
    with pytest.raises(BadInput, match="cannot read the sheet"):
        read_sheet(scored / "none.csv")


def test_scores_that_are_no_scores_are_refused(scored, tmp_path):
    table = pq.read_table(scored / "scores.parquet")

    def read(made: pa.Table) -> None:
        pq.write_table(made, tmp_path / "bad.parquet")
        read_scores(tmp_path / "bad.parquet")

    with pytest.raises(BadInput, match="column 'text' is missing"):
        read(table.drop_columns(["text"]))
    with pytest.raises(BadInput, match="no scored step"):
        read(table.slice(0, 0))
    with pytest.raises(BadInput, match="another type"):
        read(table.set_column(6, "logit", pa.array(["high"] * len(table))))
    with pytest.raises(BadInput, match=f"column 'logit' has {len(table)} empty values"):
        read(table.set_column(6, "logit", pa.nulls(len(table), pa.float64())))
    (tmp_path / "bad.parquet").write_text("no")
    with pytest.raises(BadInput, match="cannot read scores"):
        read_scores(tmp_path / "bad.parquet")
    alone = table.set_column(8, "outcome", pa.nulls(len(table), pa.float64()))
    alone = alone.set_column(9, "judge", pa.nulls(len(table), pa.float64()))
    with pytest.raises(BadInput, match="neither an outcome model nor a judge"):
        write_sheet(alone, tmp_path / "a.csv", chains=4, random_share=0.5, seed=0)
