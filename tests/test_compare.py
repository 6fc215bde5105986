"""`equiray compare`: two sets of predictions over the same rows, what changes between them, and what is refused."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from equiray.cli import main
from equiray.errors import BadInput
from equiray.metrics import rates
from equiray.metrics.counting import Counts
from equiray.metrics.paired import paired_rate
from equiray.metrics.tables import Mass
from equiray.reports import verify_evidence
from equiray.runs import paired_counting
from equiray.runs.compare_spec import CompareSpec, load_compare_spec
from test_audit import Done, found, people, written
from test_cli import EQUIRAY, equiray

ROOT = Path(__file__).parent.parent
OPTIONS = ("--label", "y", "--prediction", "yhat", "--attributes", "sex,race")


def second_opinion(frame: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    """The same rows decided by another score, which treats both sexes alike."""
    rng = np.random.default_rng(seed)
    score = np.round(np.clip(0.3 + 0.4 * frame.y + rng.normal(0, 0.25, len(frame)), 0, 1), 2)
    return frame.assign(p=score, yhat=(score >= 0.5).astype(int))


@pytest.fixture
def compare(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """The command in this process."""

    def run(*arguments: object) -> Done:
        with pytest.raises(SystemExit) as left:
            main(["compare", *map(str, arguments)])
        assert isinstance(left.value.code, int)
        return Done(left.value.code, *capsys.readouterr())

    return run


def stage(results: dict, name: str) -> dict:
    return results | {"estimates": [e for e in results["estimates"] if e["stage"] == name]}


def test_changes_are_those_of_pandas_and_their_limits_those_of_the_rows(tmp_path: Path, compare):
    first = people(1500)
    second = second_opinion(first)
    a, b, out = written(first, tmp_path / "a.csv"), written(second, tmp_path / "b.parquet"), tmp_path / "out"
    results = compare(a, b, *OPTIONS, "--score", "p", "--intersections", "2", "--out", out).result(out)
    assert results["n_rows"] == 1500 and {e["stage"] for e in results["estimates"]} == {"A", "B", "B-A"}
    change, sides = stage(results, "B-A"), [stage(results, name) for name in "AB"]
    assert found(change, "accuracy")["value"] == pytest.approx(
        (second.yhat == second.y).mean() - (first.yhat == first.y).mean(), abs=1e-12
    )
    selected = [frame.groupby("sex").yhat.mean() for frame in (first, second)]
    for sex in "fm":
        assert found(change, "selection_rate", "sex", sex)["value"] == pytest.approx(
            selected[1][sex] - selected[0][sex]
        )
    gaps = [abs(rate["f"] - rate["m"]) for rate in selected]
    assert found(change, "demographic_parity_difference", "sex")["value"] == pytest.approx(gaps[1] - gaps[0])
    for e in change["estimates"]:
        both = [found(side, e["metric"], e["attribute"], e["group"])["value"] for side in sides]
        assert e["value"] == pytest.approx(both[1] - both[0], abs=1e-12), e["metric"]
        assert e["low"] <= e["value"] <= e["high"], e["metric"]

    mine = (first.sex == "f").to_numpy()
    joint = np.zeros((1, 2, 4, 4), np.int64)
    np.add.at(joint, (0, first.y[mine], first.yhat[mine], second.yhat[mine]), 1)
    for metric, of in (("tpr", rates.TPR), ("accuracy", rates.ACCURACY), ("ppv", rates.PPV)):
        e = found(change, metric, "sex", "f")
        low, high = paired_rate(of, Mass(joint)).interval(e["confidence"])
        assert (e["low"], e["high"]) == pytest.approx((low[0], high[0]), abs=1e-12)


def test_all_limits_of_a_family_hold_at_once(tmp_path: Path, compare):
    first = people(400)
    a, b = written(first, tmp_path / "a.csv"), written(second_opinion(first), tmp_path / "b.csv")
    out = tmp_path / "out"
    results = compare(a, b, "--label", "y", "--prediction", "yhat", "--attributes", "sex", "--out", out).result(out)
    changes = stage(results, "B-A")["estimates"]
    # accuracy, selection rate, TPR (= FNR), FPR (= TNR), PPV; for the two groups of sex as well
    single = [e for e in changes if e["group"]]
    assert len(single) == 2 * 7 and {e["confidence"] for e in single} == {1 - 0.05 / (2 * 5)}
    # of the attribute 12, of which FNR difference and mean odds are others' twins
    others = [e for e in changes if not e["group"]]
    assert len(others) == 7 + 12 and {e["confidence"] for e in others} == {1 - 0.05 / (5 + 10)}
    details = json.loads((out / "details.json").read_text())["comparison"]
    assert details["families"] == {"overall": 15, "groups": 10}
    assert details["differing"] == int((first.yhat != second_opinion(first).yhat).sum())


def test_scores_change_row_by_row_or_within_both_models_limits(tmp_path: Path, compare):
    first = people(800)
    second = first.assign(p=np.clip(first.p + 0.01, 0, 1))
    a, b, out = written(first, tmp_path / "a.csv"), written(second, tmp_path / "b.csv"), tmp_path / "out"
    results = compare(a, b, *OPTIONS, "--score", "p", "--out", out).result(out)
    change = stage(results, "B-A")
    moved = found(change, "mean_score")
    assert moved["value"] == pytest.approx((second.p - first.p).mean(), abs=1e-12)
    alone = [found(stage(results, name), "mean_score") for name in "AB"]
    assert moved["low"] > 0 and alone[1]["low"] < alone[0]["high"], "paired: scores vary far more than they move"
    brier = found(change, "brier", "sex", "m")
    rows = first.sex == "m"
    assert brier["value"] == pytest.approx((((second.p - second.y) ** 2) - (first.p - first.y) ** 2)[rows].mean())
    auc = found(change, "auc")
    own = [found(stage(results, name), "auc") for name in "AB"]
    assert auc["low"] < own[1]["low"] - own[0]["high"] < own[1]["high"] - own[0]["low"] < auc["high"]


def test_rows_are_matched_by_id_in_any_order_and_format(tmp_path: Path, compare):
    first = people(600).assign(who=np.arange(600) * 7 + 3)
    second = second_opinion(first)
    shuffled = second.sample(frac=1, random_state=3)
    texts = shuffled.assign(who=shuffled.who.astype(str))
    a = written(first, tmp_path / "a.parquet")
    plain = compare(a, written(second, tmp_path / "b.csv"), *OPTIONS, "--out", tmp_path / "0").result(tmp_path / "0")
    for number, (name, frame) in enumerate((("s.csv", shuffled), ("s.jsonl", shuffled), ("t.parquet", texts)), 1):
        out = tmp_path / str(number)
        done = compare(a, written(frame, tmp_path / name), *OPTIONS, "--id", "who", "--out", out)
        values = [e | {"model": ""} for e in done.result(out)["estimates"]]
        assert values == [e | {"model": ""} for e in plain["estimates"]]
    unmatched = compare(a, tmp_path / "s.csv", *OPTIONS, "--out", tmp_path / "no")
    assert unmatched.code == 3 and "--id" in unmatched.err and not (tmp_path / "no").exists()


def test_a_folder_of_files_is_one_side(tmp_path: Path, compare):
    first = people(500)
    second = second_opinion(first)
    for name, frame in (("a", first), ("b", second)):
        (tmp_path / name).mkdir()
        for part, stop in enumerate((180, 500) if name == "a" else (300, 500)):
            start = 0 if part == 0 else (180 if name == "a" else 300)
            written(frame[start:stop], tmp_path / name / f"{part}.csv")
    parts = compare(tmp_path / "a", tmp_path / "b", *OPTIONS, "--out", tmp_path / "1").result(tmp_path / "1")
    a, b = written(first, tmp_path / "a.csv"), written(second, tmp_path / "b.csv")
    whole = compare(a, b, *OPTIONS, "--out", tmp_path / "2").result(tmp_path / "2")
    assert [e["value"] for e in parts["estimates"]] == [e["value"] for e in whole["estimates"]]


def test_two_columns_of_one_file(tmp_path: Path, compare):
    frame = people(300).assign(new=lambda f: second_opinion(f).yhat)
    path, out = written(frame, tmp_path / "rows.csv"), tmp_path / "out"
    options = ("--label", "y", "--prediction", "yhat,new", "--attributes", "sex")
    results = compare(path, path, *options, "--out", out).result(out)
    assert {e["model"] for e in results["estimates"]} == {"yhat", "new"}
    assert found(stage(results, "B"), "accuracy")["value"] == pytest.approx((frame.new == frame.y).mean())


def test_3_decisions_written_unlike_labels_are_refused(tmp_path: Path):
    frame = people(300)
    words = frame.assign(y=frame.y.map({0: "No", 1: "Yes"}), yhat=frame.yhat.map({0: "No", 1: "Yes"}))
    words = words.assign(new=words.yhat.str.lower())
    path = written(words, tmp_path / "rows.csv")
    options = ["--label", "y", "--prediction", "yhat,new", "--attributes", "sex", "--positive", "Yes"]
    command = [EQUIRAY, "compare", path, path, *options, "--out", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 3 and "no class is both a label and a prediction" in done.stderr
    assert "prediction of B" in done.stderr


def test_weights_count_and_must_agree(tmp_path: Path, compare):
    first = people(700)
    second = second_opinion(first)
    a, out = written(first, tmp_path / "a.csv"), tmp_path / "out"
    weighted = (*OPTIONS, "--score", "p", "--weight", "w")
    results = compare(a, written(second, tmp_path / "b.csv"), *weighted, "--out", out).result(out)
    change = stage(results, "B-A")
    for sex, rows in first.groupby("sex"):
        before, after = (np.average(frame.yhat[rows.index], weights=rows.w) for frame in (first, second))
        assert found(change, "selection_rate", "sex", str(sex))["value"] == pytest.approx(after - before)
        moved = np.average((second.p - first.p)[rows.index], weights=rows.w)
        assert found(change, "mean_score", "sex", str(sex))["value"] == pytest.approx(moved)
    other = second.assign(w=np.where(np.arange(700) == 41, 9.5, second.w))
    done = compare(a, written(other, tmp_path / "c.csv"), *weighted, "--out", tmp_path / "no")
    assert done.code == 3 and "the weight is" in done.err and "9.5 in B: 1 of 700 rows" in done.err


def test_words_need_their_positive_class_and_several_classes_may_have_one(tmp_path: Path, compare):
    first = people(500)
    second = second_opinion(first)
    numbers = compare(
        written(first, tmp_path / "1.csv"), written(second, tmp_path / "2.csv"), *OPTIONS, "--out", tmp_path / "n"
    ).result(tmp_path / "n")
    words = {0: "good", 1: "bad"}
    a, b = (
        written(frame.replace({"y": words, "yhat": words}), tmp_path / f"{name}.csv")
        for name, frame in (("a", first), ("b", second))
    )
    asked = compare(a, b, *OPTIONS, "--out", tmp_path / "no")
    assert asked.code == 3 and "--positive" in asked.err
    bad, good = (
        compare(a, b, *OPTIONS, "--positive", name, "--out", tmp_path / name).result(tmp_path / name)
        for name in ("bad", "good")
    )
    for metric, mirrored in (("tpr", "tnr"), ("demographic_parity_difference",) * 2):
        group = "f" if metric == "tpr" else None
        plain = found(stage(numbers, "B-A"), metric, "sex", group)
        same = found(stage(bad, "B-A"), metric, "sex", group)
        assert (same["value"], same["low"], same["high"]) == pytest.approx(
            (plain["value"], plain["low"], plain["high"])
        )
        turned = found(stage(good, "B-A"), mirrored, "sex", group)
        assert (turned["value"], turned["low"]) == pytest.approx((plain["value"], plain["low"]))

    rng = np.random.default_rng(2)
    three = first.assign(y=rng.choice(list("abc"), 500))
    sides = [three.assign(yhat=rng.choice(list(classes), 500)) for classes in ("abc", "ab")]
    a, b = (written(side, tmp_path / f"three{place}.csv") for place, side in enumerate(sides))
    out = tmp_path / "three"
    change = stage(compare(a, b, *OPTIONS, "--positive", "c", "--out", out).result(out), "B-A")
    assert found(change, "selection_rate")["value"] == pytest.approx(-(sides[0].yhat == "c").mean())
    accuracy = [(side.yhat == side.y).mean() for side in sides]
    assert found(change, "accuracy")["value"] == pytest.approx(accuracy[1] - accuracy[0])


def test_real_valued_predictions(tmp_path: Path, compare):
    first = people(400).assign(y=lambda f: f.p * 100, yhat=lambda f: f.p * 90 + 3)
    second = first.assign(yhat=first.yhat + 1)
    a, b, out = written(first, tmp_path / "a.csv"), written(second, tmp_path / "b.csv"), tmp_path / "out"
    change = stage(compare(a, b, *OPTIONS, "--real-valued", "--out", out).result(out), "B-A")
    shift = found(change, "mean_prediction", "sex", "f")
    assert [shift[key] for key in ("low", "value", "high")] == pytest.approx([1, 1, 1])
    errors = (second.yhat - second.y).abs() - (first.yhat - first.y).abs()
    assert found(change, "mae")["value"] == pytest.approx(errors.mean())
    assert f"{errors.mean():+.3f}".replace("-", "−") in (out / "report.html").read_text()


def test_rows_without_an_answer_leave_the_change_open(tmp_path: Path, compare):
    first = people(600).assign(why="answered")
    second = second_opinion(first).assign(yhat=lambda f: f.yhat.astype("Int64"), why="answered")
    second.loc[second.index[:30], ["yhat", "why"]] = [pd.NA, "refused"]
    a, b, out = written(first, tmp_path / "a.csv"), written(second, tmp_path / "b.csv"), tmp_path / "out"
    results = compare(a, b, *OPTIONS, "--outcome", "why", "--out", out).result(out)
    change = found(stage(results, "B-A"), "accuracy")
    both = second.yhat.notna()
    truth = (second.yhat == second.y)[both].mean() - (first.yhat == first.y)[both].mean()
    assert change["status"] == "partial" and change["value"] == pytest.approx(truth)
    right = (second.yhat == second.y).fillna(False).sum()
    extremes = [(right + more) / 600 - (first.yhat == first.y).mean() for more in (0, 30)]
    assert change["low"] < min(extremes) < max(extremes) < change["high"]
    assert found(stage(results, "B-A"), "refusal_rate")["value"] == pytest.approx(30 / 600)
    assert "30 rows of B have no prediction" in (out / "report.html").read_text()


SAME = people(60).assign(who=range(60))


@pytest.mark.parametrize(
    ("other", "options", "said"),
    [
        (SAME[:50], (), ("A has 60 rows and B has 50", "--id")),
        (SAME.assign(y=1 - SAME.y), (), ("the label is", "60 of 60 rows differ", "row")),
        (SAME.assign(sex=SAME.sex.replace("f", "x")), (), ("sex is 'f' in A and 'x' in B",)),
        (SAME[:50], ("--id", "who"), ("10 of", "only in A", "--common")),
        (SAME.assign(who=range(100, 160)), ("--id", "who"), ("no id is in both",)),
        (SAME.assign(who=0), ("--id", "who"), ("id '0' stands 60 times",)),
        (SAME.assign(who=[None, *range(59)]), ("--id", "who"), ("1 rows have no id",)),
        (SAME.assign(y=np.where(SAME.who == 7, 1 - SAME.y, SAME.y)), ("--id", "who"), ("1 of 60 rows", "with id 7")),
        (SAME, ("--id", "whom"), ("did you mean 'who'",)),
        (SAME, ("--id", "p"), ("times, and", "more ids repeat")),
        (SAME, ("--common",), ("`common` needs an `id`",)),
        (SAME, ("--stage", "cda"), ("neither A nor B is a run",)),
        (SAME, ("--prediction", "yhat,w,p"), ("neither one name nor two",)),
        (SAME.drop(columns="race"), (), ("there is no column 'race'",)),
        (SAME, ("--score", "w"), ("outside [0, 1]",)),
    ],
)  # fmt: skip
def test_3_what_cannot_be_compared_is_said_before_anything_is_written(
    tmp_path: Path, compare, other: pd.DataFrame, options: tuple, said: tuple
):
    a, b, out = written(SAME, tmp_path / "a.csv"), written(other, tmp_path / "b.csv"), tmp_path / "out"
    done = compare(a, b, *OPTIONS, *options, "--out", out)
    assert done.code == 3 and all(part in done.err for part in said), done.err
    assert "Traceback" not in done.err and not out.exists()


def test_3_files_need_their_columns_named(tmp_path: Path, compare):
    a = written(SAME, tmp_path / "a.csv")
    done = compare(a, a, "--label", "y")
    assert done.code == 3 and "add --prediction, --attributes" in done.err


def test_common_rows_are_compared_and_the_others_counted(tmp_path: Path, compare):
    first = people(300).assign(who=range(300))
    second = second_opinion(first)[40:].assign(who=lambda f: f.who + 10 * (f.who >= 290))
    a, b, out = written(first, tmp_path / "a.csv"), written(second, tmp_path / "b.csv"), tmp_path / "out"
    results = compare(a, b, *OPTIONS, "--id", "who", "--common", "--out", out).result(out)
    assert results["n_rows"] == 250
    both = slice(40, 290)
    truth = (second_opinion(first).yhat == first.y)[both].mean() - (first.yhat == first.y)[both].mean()
    assert found(stage(results, "B-A"), "accuracy")["value"] == pytest.approx(truth)
    page = (out / "report.html").read_text()
    assert "50 rows that only A has are left out" in page and "10 rows that only B has are left out" in page


def test_a_second_attempt_counts_only_what_is_left(tmp_path: Path, compare, monkeypatch: pytest.MonkeyPatch):
    for name in "ab":
        (tmp_path / name).mkdir()
        for part in range(4):
            frame = people(200, seed=part)
            written(frame if name == "a" else second_opinion(frame), tmp_path / name / f"{part}.csv")
    sides = (tmp_path / "a", tmp_path / "b", *OPTIONS, "--out")
    whole = compare(*sides, tmp_path / "whole").result(tmp_path / "whole")
    counted = []
    real = paired_counting.tally_pair

    def break_at(number: int):
        def tally(pair, *more):
            if len(counted) == number:
                raise KeyboardInterrupt
            counted.append(pair.id)
            return real(pair, *more)

        return tally

    monkeypatch.setattr(paired_counting, "_SAVE_EVERY_S", -1.0)
    monkeypatch.setattr(paired_counting, "tally_pair", break_at(4))  # one for its errors alone, then three
    broken = compare(*sides, tmp_path / "out")
    assert broken.code == 130 and Counts.load(tmp_path / "out" / "counts.joint.partial.parquet").rows == 600
    monkeypatch.setattr(paired_counting, "tally_pair", break_at(100))
    before = len(counted)
    done = compare(*sides, tmp_path / "out")
    assert len(counted) - before == 2 and "600 rows were compared before" in done.err
    assert done.result(tmp_path / "out")["estimates"] == whole["estimates"]
    assert not list((tmp_path / "out").glob("*.partial.*"))


def test_the_page_the_terminal_and_the_evidence_say_the_same(tmp_path: Path, compare, capsys):
    first = people(4000)
    a, b = written(first, tmp_path / "old.csv"), written(second_opinion(first), tmp_path / "new.csv")
    out = tmp_path / "out"
    done = compare(a, b, *OPTIONS, "--out", out)
    results, page = done.result(out), (out / "report.html").read_text()
    gap = found(stage(results, "B-A"), "demographic_parity_difference", "sex")
    assert gap["high"] < 0, "the second score ignores sex"
    shown = f"{gap['value']:.3f}".replace("-", "−")
    assert shown in page and shown in done.out and "B is fairer" in page and "B is fairer" in done.out
    assert "A is “old.csv”, B is “new.csv”" in page and "hold all at once" in page
    assert "mitigation" not in page
    assert verify_evidence(out) == [] and "model_card.md" in json.loads((out / "evidence.json").read_text())["files"]
    with pytest.raises(SystemExit):
        main(["report", str(out)])
    assert (out / "report.html").read_text() == page and verify_evidence(out) == []
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["report", str(out), "--markdown"])
    assert shown in capsys.readouterr().out
    turned = compare(b, a, *OPTIONS)
    assert "A is fairer" in turned.out and "B is fairer" not in turned.out and "done" not in turned.out


def audited(path: Path, out: Path, *options: object) -> Path:
    with pytest.raises(SystemExit) as left:
        main(["audit", str(path), *map(str, (*OPTIONS, *options)), "--out", str(out)])
    assert left.value.code == 0
    return out


def test_two_audits_say_themselves_what_is_compared(tmp_path: Path, compare):
    first = people(500)
    a, b = written(first, tmp_path / "a.csv"), written(second_opinion(first), tmp_path / "b.csv")
    audits = [audited(path, tmp_path / path.stem, "--model", path.stem, "--score", "p") for path in (a, b)]
    out = tmp_path / "out"
    results = compare(*audits, "--out", out).result(out)
    plain = compare(a, b, *OPTIONS, "--score", "p", "--out", tmp_path / "plain").result(tmp_path / "plain")
    assert [e["value"] for e in results["estimates"]] == [e["value"] for e in plain["estimates"]]
    assert {e["model"] for e in results["estimates"]} == {"a", "b"}
    told = compare(*audits, "--label", "y", "--out", tmp_path / "no")
    assert told.code == 3 and "--label" in told.err
    written(first[:400], b)
    changed = compare(*audits, "--out", tmp_path / "no")
    assert changed.code == 3 and "content has changed" in changed.err and str(b) in changed.err


def a_run(directory: Path, **cells: pd.DataFrame) -> Path:
    """A run's directory as far as `compare` reads it; SYNTHETIC predictions, named TASK__MODEL__STAGE."""
    (directory / "predictions").mkdir(parents=True)
    (directory / "spec.yaml").write_text("schema: equiray.run/1\nname: x\ntasks: [{name: german}]\n")
    (directory / "inputs.json").write_text(json.dumps({"task german": "ab" * 32}))
    for name, frame in cells.items():
        task, model, of = name.split("__")
        table = frame.rename(columns={"y": "label", "yhat": "prediction", "p": "score"}).drop(columns="w")
        table = table.assign(row_id=range(len(table)), stage=of, model=model, outcome="answered")
        table["split"] = np.where(np.arange(len(table)) % 2, "test", "train")
        columns = pa.Table.from_pandas(table, preserve_index=False)
        pq.write_table(columns, directory / "predictions" / f"{task}.{model}.{of}.parquet")
    return directory


def test_runs_are_compared_on_their_test_rows(tmp_path: Path, compare):
    first = people(800)
    second = second_opinion(first)
    one = a_run(tmp_path / "one", german__raw__baseline=first, german__raw__cda=second)
    two = a_run(tmp_path / "two", german__raw__baseline=second.sample(frac=1, random_state=1))
    del two  # its row ids name other people
    test = np.arange(800) % 2 == 1
    truth = (second.yhat == second.y)[test].mean() - (first.yhat == first.y)[test].mean()
    out = tmp_path / "out"
    results = compare(one, one, "--stage", "baseline,cda", "--out", out).result(out)
    assert results["n_rows"] == 400 and results["task"] == "german"
    assert found(stage(results, "B-A"), "accuracy")["value"] == pytest.approx(truth)
    assert {e["attribute"] for e in results["estimates"]} == {None, "sex", "race"}
    other = compare(tmp_path / "one", tmp_path / "two", "--out", tmp_path / "no")
    assert other.code == 3 and "in A and" in other.err


def test_runs_of_versions_that_kept_no_outcome_are_compared(tmp_path: Path, compare):
    frame = people(400)
    run = a_run(tmp_path / "run", german__raw__baseline=frame, german__raw__cda=second_opinion(frame))
    asked = (run, run, "--stage", "baseline,cda")
    new = compare(*asked, "--out", tmp_path / "new").result(tmp_path / "new")
    for file in (run / "predictions").iterdir():
        pq.write_table(pq.read_table(file).drop_columns("outcome"), file)
    old = compare(*asked, "--out", tmp_path / "old").result(tmp_path / "old")
    assert old["estimates"] == new["estimates"]


def test_3_which_predictions_of_a_run_are_meant(tmp_path: Path, compare):
    frame = people(200)
    one = a_run(tmp_path / "one", german__raw__baseline=frame, german__raw__cda=frame, german__prompt__baseline=frame)
    two = a_run(tmp_path / "two", german__raw__baseline=frame, german__raw__cda=frame)
    same = compare(one, one)
    assert same.code == 3 and "--stage baseline,cda" in same.err and "--model prompt" in same.err
    which = compare(one, two)
    assert which.code == 3 and "2 sets of predictions could be meant" in which.err
    assert "`--task german --model raw --stage cda`" in which.err
    assert compare(one, two, "--stage", "cda", "--out", tmp_path / "out").code == 0
    unknown = compare(one, two, "--stage", "cdaa")
    assert unknown.code == 3 and "did you mean 'cda'" in unknown.err
    nothing = compare(one, two, "--model", "prompt,raw", "--stage", "cda")
    assert nothing.code == 3 and "no predictions in common" in nothing.err
    (two / "inputs.json").write_text(json.dumps({"task german": "cd" * 32}))
    tables = compare(one, two, "--stage", "cda")
    assert tables.code == 3 and "different tables of german" in tables.err
    itself = compare(tmp_path / "out", one)
    assert itself.code == 3 and "comparison itself" in itself.err


def test_gate_judges_either_side(tmp_path: Path, compare, capsys):
    first = people(300)
    a, b = written(first, tmp_path / "a.csv"), written(second_opinion(first), tmp_path / "b.csv")
    compare(a, b, *OPTIONS, "--out", tmp_path / "out")
    policy = tmp_path / "policy.yaml"
    policy.write_text("schema: equiray.policy/1\nrules: [{metric: accuracy, min: 0.5}]\n")
    with pytest.raises(SystemExit) as left:
        main(["gate", str(tmp_path / "out"), "--policy", str(policy), "--stage", "B"])
    assert left.value.code == 0 and "PASS" in capsys.readouterr().out


def test_the_contract_lists_every_key_with_its_default(tmp_path: Path):
    path = ROOT / "docs/contracts/compare.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    needed = ("name", "files", "label", "prediction")
    required = {key: document[key] for key in ("task", "attributes")}
    required |= {side: {key: document[side][key] for key in needed} for side in ("a", "b")}
    assert CompareSpec.model_validate(required).model_dump(mode="json", by_alias=True) == document
    assert load_compare_spec(path).sha256() == CompareSpec.model_validate(required).sha256()
    wrong = tmp_path / "spec.yaml"
    wrong.write_text(path.read_text().replace("common:", "comon:"))
    with pytest.raises(BadInput, match="comon"):
        load_compare_spec(wrong)


def test_the_installed_command(tmp_path: Path):
    first = people(150)
    a, b = written(first, tmp_path / "a.jsonl"), written(second_opinion(first), tmp_path / "b.jsonl")
    done = equiray("compare", a, b, *OPTIONS, "--out", tmp_path / "out")
    assert done.returncode == 0 and "done: " in done.stdout and "Traceback" not in done.stderr, done.stderr
    wrong = equiray("compare", a, b, *OPTIONS, "--out", tmp_path / "out", "--positive", "1")
    assert wrong.returncode == 3 and "another spec" in wrong.stderr
    unequal = equiray("compare", a, written(first[:9], tmp_path / "c.jsonl"), *OPTIONS)
    assert unequal.returncode == 3 and "rows" in unequal.stderr
