"""`equiray audit`: predictions in files to results, verdicts and a report, and what is said when it cannot be."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from equiray.cli import main
from equiray.errors import BadInput
from equiray.metrics.counting import Counts
from equiray.runs import counting
from equiray.runs.audit_spec import AuditSpec, load_audit_spec
from test_cli import equiray

ROOT = Path(__file__).parent.parent
OPTIONS = ("--label", "y", "--prediction", "yhat", "--attributes", "sex,race")


def people(n: int = 900, seed: int = 0) -> pd.DataFrame:
    """Rows whose groups are selected unequally often; scores of two digits."""
    rng = np.random.default_rng(seed)
    sex = rng.choice(["f", "m"], n)
    label = rng.integers(0, 2, n)
    score = np.round(np.clip(0.25 + 0.35 * label + 0.1 * (sex == "m") + rng.normal(0, 0.2, n), 0, 1), 2)
    return pd.DataFrame(
        {
            "sex": sex,
            "race": rng.choice(["black", "white", "other"], n),
            "y": label,
            "yhat": (score >= 0.5).astype(int),
            "p": score,
            "w": np.round(rng.uniform(0.5, 2, n), 2),
        }
    )


def written(frame: pd.DataFrame, path: Path) -> Path:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=100)
    elif path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=True)
    return path


class Done(NamedTuple):
    code: int
    out: str
    err: str

    def result(self, directory: Path) -> dict:
        assert self.code < 3, self.err
        return json.loads((directory / "results.json").read_text())


@pytest.fixture
def audit(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """The command in this process, for starting one takes longer than all that it does."""

    def run(*arguments: object) -> Done:
        with pytest.raises(SystemExit) as left:
            main(["audit", *map(str, arguments)])
        assert isinstance(left.value.code, int)
        return Done(left.value.code, *capsys.readouterr())

    return run


def found(results: dict, metric: str, attribute: str | None = None, group: str | None = None) -> dict:
    (one,) = [
        e for e in results["estimates"] if (e["metric"], e["attribute"], e["group"]) == (metric, attribute, group)
    ]
    return one


def test_values_are_those_of_pandas_and_every_format_says_the_same(tmp_path: Path, audit):
    frame = people()
    results = []
    for name in ("rows.csv", "rows.parquet", "rows.jsonl"):
        out = tmp_path / name.replace(".", "-")
        done = audit(written(frame, tmp_path / name), *OPTIONS, "--score", "p", "--intersections", "2", "--out", out)
        results.append(done.result(out))
    assert results[0]["estimates"] == results[1]["estimates"] == results[2]["estimates"]

    first = results[0]
    assert first["n_rows"] == len(frame) and first["task"] == "y"
    for attribute, key in (
        ("sex", frame["sex"]),
        ("race", frame["race"]),
        ("sex*race", frame["sex"] + "*" + frame["race"]),
    ):
        groups = frame.groupby(key)
        expected = {
            "selection_rate": groups["yhat"].mean(),
            "tpr": frame[frame.y == 1].groupby(key[frame.y == 1])["yhat"].mean(),
            "ppv": frame[frame.yhat == 1].groupby(key[frame.yhat == 1])["y"].mean(),
            "mean_score": groups["p"].mean(),
            "brier": ((frame["p"] - frame["y"]) ** 2).groupby(key).mean(),
        }
        for metric, values in expected.items():
            for group, value in values.items():
                assert found(first, metric, attribute, group)["value"] == pytest.approx(value, abs=1e-12)
        gap = expected["tpr"].max() - expected["tpr"].min()
        assert found(first, "equal_opportunity_difference", attribute)["value"] == pytest.approx(gap, abs=1e-12)
    assert found(first, "accuracy")["value"] == pytest.approx((frame.y == frame.yhat).mean(), abs=1e-12)
    assert len({e["group"] for e in first["estimates"] if e["attribute"] == "sex*race"} - {None}) == 6


def test_weights_and_scores_of_an_audit_are_those_of_numpy(tmp_path: Path, audit):
    frame = people()
    out = tmp_path / "out"
    done = audit(written(frame, tmp_path / "rows.csv"), *OPTIONS, "--score", "p", "--weight", "w", "--out", out)
    results = done.result(out)
    for sex, rows in frame.groupby("sex"):
        one = found(results, "selection_rate", "sex", str(sex))
        assert one["value"] == pytest.approx(np.average(rows.yhat, weights=rows.w), rel=1e-12)
        assert one["low"] < one["value"] < one["high"] and one["n"] == len(rows)
        score = found(results, "mean_score", "sex", str(sex))
        assert score["value"] == pytest.approx(np.average(rows.p, weights=rows.w), rel=1e-12)
        assert score["low"] < score["value"] < score["high"]


def test_ready_policies_from_files_to_exit_code(tmp_path: Path, audit):
    frame = people(6000)
    fair = frame.assign(yhat=(np.arange(len(frame)) % 2))
    unfair = frame.assign(yhat=np.where(frame.sex == "m", frame.yhat, frame.yhat * (np.arange(len(frame)) % 3 == 0)))
    codes = {}
    for name, rows in (("fair", fair), ("unfair", unfair), ("few", frame[:60])):
        path = written(rows, tmp_path / f"{name}.csv")
        for policy in ("four_fifths", "nyc_ll144"):
            out = tmp_path / f"{name}-{policy}"
            done = audit(path, *OPTIONS, "--policy", policy, "--out", out)
            codes[name, policy] = done.code
            verdicts = done.result(out)["verdicts"]
            assert verdicts and done.out.count(f"policy {policy}") == 1
            assert {v["family_size"] for v in verdicts} == {len(verdicts)}
    assert codes == {
        ("fair", "four_fifths"): 0,
        ("fair", "nyc_ll144"): 0,
        ("unfair", "four_fifths"): 1,
        ("unfair", "nyc_ll144"): 1,
        ("few", "four_fifths"): 2,
        ("few", "nyc_ll144"): 2,
    }
    # gate judges by the counts: its family is larger than stored 95 % limits could carry
    with pytest.raises(SystemExit) as left:
        main(["gate", str(tmp_path / "unfair-four_fifths"), "--policy", "nyc_ll144"])
    assert left.value.code == 1


def test_the_report_shows_every_figure_of_the_groups(tmp_path: Path, audit):
    out = tmp_path / "out"
    frame = people().assign(race=lambda f: f["race"].where(np.arange(len(f)) % 10 > 0))
    done = audit(written(frame, tmp_path / "rows.parquet"), *OPTIONS, "--out", out)
    results, page = done.result(out), (out / "report.html").read_text()
    for metric in ("demographic_parity_difference", "worst_group_accuracy_cells"):
        assert f"{found(results, metric, 'race')['value']:.3f}" in page
    assert "Of 90 rows race is not known" in page and "(missing)" in page
    assert "This audit measured how fair predictions of y are." in page and "mitigation" not in page
    assert f"{found(results, 'disparate_impact_ratio', 'race')['value']:.3f}" in done.err
    gap = found(results, "demographic_parity_difference", "race")
    assert (
        gap["status"] == "partial" and found(results, "demographic_parity_difference", "sex")["status"] == "estimated"
    )
    evidence = json.loads((out / "evidence.json").read_text())
    assert {"counts.parquet", "spec.yaml", "results.json", "report.html"} <= set(evidence["files"])


def test_report_is_written_anew(tmp_path: Path, audit, capsys):
    out = tmp_path / "out"
    audit(written(people(), tmp_path / "rows.csv"), *OPTIONS, "--out", out)
    page = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    with pytest.raises(SystemExit) as left:
        main(["report", str(out)])
    assert left.value.code == 0, capsys.readouterr().err
    assert (out / "report.html").read_bytes() == page


def test_a_positive_class_that_words_do_not_tell_must_be_named(tmp_path: Path, audit):
    words = people().replace({"y": {0: "good", 1: "bad"}, "yhat": {0: "good", 1: "bad"}})
    path, out = written(words, tmp_path / "rows.csv"), tmp_path / "out"
    asked = audit(path, *OPTIONS, "--out", out)
    assert asked.code == 3 and "--positive good" in asked.err and not out.exists()
    wrong = audit(path, *OPTIONS, "--positive", "goood", "--out", tmp_path / "wrong")
    assert wrong.code == 3 and "did you mean 'good'" in wrong.err
    bad, good = (audit(path, *OPTIONS, "--positive", name, "--out", tmp_path / name) for name in ("bad", "good"))
    numbers = audit(written(people(), tmp_path / "numbers.csv"), *OPTIONS, "--out", out).result(out)
    tpr, tnr = (found(numbers, metric, "sex", "f")["value"] for metric in ("tpr", "tnr"))
    assert found(bad.result(tmp_path / "bad"), "tpr", "sex", "f")["value"] == tpr
    assert found(good.result(tmp_path / "good"), "tpr", "sex", "f")["value"] == tnr


def test_of_several_classes_one_may_be_named(tmp_path: Path, audit):
    rng = np.random.default_rng(1)
    frame = people().assign(y=rng.choice(["a", "b", "c"], 900), yhat=rng.choice(["a", "b", "c"], 900))
    path = written(frame, tmp_path / "rows.parquet")
    plain, named = tmp_path / "plain", tmp_path / "named"
    results = audit(path, *OPTIONS, "--out", plain).result(plain)
    assert found(results, "accuracy")["value"] == pytest.approx((frame.y == frame.yhat).mean())
    assert not [e for e in results["estimates"] if e["metric"] == "tpr"]
    assert "none is named positive" in (plain / "report.html").read_text()
    results = audit(path, *OPTIONS, "--positive", "b", "--out", named).result(named)
    mine = frame[frame.sex == "f"]
    assert found(results, "selection_rate", "sex", "f")["value"] == pytest.approx((mine.yhat == "b").mean())
    assert found(results, "accuracy", "sex", "f")["value"] == pytest.approx((mine.y == mine.yhat).mean())
    assert "b counts as the positive one" in (named / "report.html").read_text()


def test_3_labels_and_predictions_that_never_meet_are_no_table_of_equal_groups(tmp_path: Path, audit):
    words = people().replace({"y": {0: "No", 1: "Yes"}, "yhat": {0: "no", 1: "yes"}})
    policy = tmp_path / "policy.yaml"
    rule = "{metric: demographic_parity_difference, attribute: sex, max: 0.1}"
    policy.write_text(f"schema: equiray.policy/1\nrules: [{rule}]\n")
    path = written(words, tmp_path / "rows.csv")
    done = audit(path, *OPTIONS, "--positive", "Yes", "--policy", policy, "--out", tmp_path / "out")
    assert done.code == 3 and "no class is both a label and a prediction" in done.err
    assert "labels are No, Yes, predictions are no, yes" in done.err
    apart = people(60).assign(y=0, yhat=1)  # two classes: this may be so
    assert audit(written(apart, tmp_path / "apart.csv"), *OPTIONS, "--out", tmp_path / "apart").code == 0


def test_names_that_differ_in_capitals_or_blanks_only_are_pointed_out(tmp_path: Path, audit):
    frame = people()
    frame["sex"] = np.where(np.arange(900) % 3, frame.sex, " " + frame.sex.str.upper())
    frame["y"] = np.where(np.arange(900) == 7, "Yes", np.where(frame.y == 1, "yes", "no"))
    frame["yhat"] = np.where(frame.yhat == 1, "yes", "no")
    out = tmp_path / "out"
    audit(written(frame, tmp_path / "rows.csv"), *OPTIONS, "--positive", "yes", "--out", out).result(out)
    warnings = json.loads((out / "details.json").read_text())["tasks"]["y"]["warnings"]
    said = [w for w in warnings if "capitals or blanks" in w]
    assert len(said) == 2 and "classes 'Yes' and 'yes'" in said[0] and "groups of sex ' F' and 'f'" in said[1]
    page = (out / "report.html").read_text()
    assert page.count("capitals or blanks only") >= 2


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--label", "yy", "--prediction", "yhat", "--attributes", "sex"), "did you mean 'y'"),
        (("--label", "y", "--prediction", "yhat", "--attributes", "sex,rase"), "did you mean 'race'"),
        (("--label", "y", "--prediction", "y", "--attributes", "sex"), "named twice"),
        ((*OPTIONS, "--intersections", "3"), "intersections"),
        ((*OPTIONS, "--score", "w"), "outside [0, 1]"),
        ((*OPTIONS, "--policy", "five_fifths"), "did you mean 'four_fifths'"),
        ((*OPTIONS, "--nonsense"), "Usage:"),
        (("--label", "y", "--prediction", "yhat"), "--attributes"),
    ],
)
def test_3_what_is_wrong_is_said_before_anything_is_written(tmp_path: Path, audit, arguments: tuple, named: str):
    path, out = written(people(100), tmp_path / "rows.csv"), tmp_path / "out"
    done = audit(path, *arguments, "--out", out)
    assert done.code == 3 and named in done.err and "Traceback" not in done.err
    assert not out.exists()


def test_3_a_policy_about_what_is_not_audited(tmp_path: Path, audit):
    policy = tmp_path / "policy.yaml"
    policy.write_text("schema: equiray.policy/1\nrules: [{metric: tpr, attribute: sexx, min: 0.5}]\n")
    done = audit(written(people(100), tmp_path / "rows.csv"), *OPTIONS, "--policy", policy, "--out", tmp_path / "out")
    assert done.code == 3 and "did you mean 'sex'" in done.err and str(policy) in done.err


def test_3_no_file_no_rows_and_the_directory_of_something_else(tmp_path: Path, audit):
    assert audit(tmp_path / "none.csv", *OPTIONS, "--out", tmp_path / "out").code == 3
    empty = audit(written(people(1)[:0], tmp_path / "empty.csv"), *OPTIONS, "--out", tmp_path / "empty")
    assert empty.code == 3 and "no rows" in empty.err
    path = written(people(100), tmp_path / "rows.csv")
    taken = audit(path, *OPTIONS, "--out", tmp_path)
    assert taken.code == 3 and "no run directory" in taken.err
    audit(path, *OPTIONS, "--out", tmp_path / "out")
    other = audit(path, *OPTIONS, "--model", "other", "--out", tmp_path / "out")
    assert other.code == 3 and "another spec" in other.err


def test_a_second_attempt_counts_only_what_is_left(tmp_path: Path, audit, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "rows"
    folder.mkdir()
    for number in range(4):
        written(people(300, seed=number), folder / f"{number}.parquet")
    whole = audit(folder, *OPTIONS, "--out", tmp_path / "whole").result(tmp_path / "whole")

    counted: list[str] = []
    lock = threading.Lock()
    real = counting.count_block

    def count_then_break(block, rows, *more, place):
        with lock:
            counted.append(place)
            if len(counted) == 3 and not resumed:
                raise KeyboardInterrupt
        return real(block, rows, *more, place=place)

    resumed = False
    monkeypatch.setattr(counting, "count_block", count_then_break)
    monkeypatch.setattr(counting.os, "cpu_count", lambda: 1)
    out = tmp_path / "out"
    broken = audit(folder, *OPTIONS, "--out", out)
    assert broken.code == 130 and "resumes" in broken.err
    kept = Counts.load(out / counting.PARTIAL_NAME).rows
    assert kept in (600, 900)  # the worker may finish the last file before it is told to stop
    resumed, before = True, len(counted)
    done = audit(folder, *OPTIONS, "--out", out)
    assert len(counted) - before == (1200 - kept) // 300 and f"{kept} rows were counted before" in done.err
    assert done.result(out)["estimates"] == whole["estimates"]
    assert not (out / counting.PARTIAL_NAME).exists()
    assert Counts.load(out / "counts.parquet").sha256 == Counts.load(tmp_path / "whole" / "counts.parquet").sha256


def test_rows_that_are_gone_from_the_files_are_gone_from_the_counts(tmp_path: Path, audit):
    path, out = tmp_path / "rows.csv", tmp_path / "out"
    audit(written(people(300), path), *OPTIONS, "--out", out)
    results = audit(written(people(200), path), *OPTIONS, "--out", out).result(out)
    assert results["n_rows"] == 200


def test_the_contract_lists_every_key_with_its_default(tmp_path: Path):
    path = ROOT / "docs/contracts/audit.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    spec = load_audit_spec(path)
    required = {key: document[key] for key in ("files", "label", "prediction", "attributes")}
    assert AuditSpec.model_validate(required).model_dump(mode="json", by_alias=True) == document
    assert spec.sha256() == AuditSpec.model_validate(required).sha256()
    wrong = tmp_path / "spec.yaml"
    wrong.write_text(path.read_text().replace("label:", "lable:"))
    with pytest.raises(BadInput, match="lable"):
        load_audit_spec(wrong)


@pytest.mark.parametrize(("policy", "code"), [(None, 0), ("four_fifths", 2)])
def test_the_installed_command(tmp_path: Path, policy: str | None, code: int):
    path = written(people(120), tmp_path / "rows.jsonl")
    more = ("--policy", policy) if policy else ()
    done = equiray("audit", path, *OPTIONS, *more, "--out", tmp_path / "out")
    assert done.returncode == code, done.stderr
    assert "done: " in done.stdout and "Traceback" not in done.stderr


def test_real_valued_targets(tmp_path: Path, audit):
    frame = people().assign(y=lambda f: f["p"] * 100, yhat=lambda f: f["p"] * 90 + 3)
    out = tmp_path / "out"
    done = audit(written(frame, tmp_path / "rows.csv"), *OPTIONS, "--real-valued", "--out", out)
    results = done.result(out)
    for sex, rows in frame.groupby("sex"):
        one = found(results, "mae", "sex", str(sex))
        assert one["value"] == pytest.approx((rows.y - rows.yhat).abs().mean(), rel=1e-12) and one["n"] == len(rows)
    means = frame.groupby("race")["yhat"].mean()
    gap = found(results, "mean_prediction_difference", "race")
    assert gap["value"] == pytest.approx(means.max() - means.min(), rel=1e-9)
    assert f"{gap['value']:.3f}" in (out / "report.html").read_text()
    refused = audit(tmp_path / "rows.csv", *OPTIONS, "--real-valued", "--positive", "1", "--out", tmp_path / "other")
    assert refused.code == 3 and "real-valued" in refused.err


def test_a_group_whose_weights_are_all_0_is_not_estimable_and_the_reason_says_so(tmp_path: Path, audit):
    policy = tmp_path / "policy.yaml"
    rules = [{"metric": "demographic_parity_difference", "attribute": "sex", "max": 0.5}]
    rules += [{"metric": "tpr", "attribute": "race", "group": "black", "min": 0.1}]
    policy.write_text(yaml.safe_dump({"schema": "equiray.policy/1", "rules": rules}))
    frame = people()
    frame.loc[(frame.sex == "f") | ((frame.race == "black") & (frame.y == 1)), "w"] = 0
    options = ("--weight", "w", "--policy", policy, "--out", tmp_path / "out")
    done = audit(written(frame, tmp_path / "rows.csv"), *OPTIONS, *options)
    results = done.result(tmp_path / "out")
    assert done.code == 2
    assert found(results, "selection_rate", "sex", "f")["status"] == "not_estimable"
    assert found(results, "fpr", "race", "black")["status"] == "estimated"
    assert [verdict["reason"] for verdict in results["verdicts"]] == [
        "not estimable: all rows in a denominator have weight 0, of f",
        "not estimable: all rows in a denominator have weight 0, of black",
    ]
    (task,) = json.loads((tmp_path / "out/details.json").read_text())["tasks"].values()
    assert [w.split(" have weight 0")[0] for w in task["warnings"] if "weight 0" in w] == [
        "Of sex = f, all rows in the denominators of selection_rate, tpr, fpr, tnr, fnr, ppv, accuracy, refusal_rate, "
        "parse_failure_rate, impact_ratio",
        "Of race = black, all rows in the denominators of tpr, fnr",
    ]
