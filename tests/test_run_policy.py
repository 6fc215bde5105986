"""`equiray run --policy`: exit codes, verdicts in the results, and what is refused before anything is computed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from equiray.cli import main
from equiray.runs import predictions
from equiray.runs.gate import Chosen, Looking, gate
from own_runs import write_spec
from test_cli import equiray

HEAD = "schema: equiray.policy/1\nrules:\n"
ACCURACY = "- {metric: accuracy, min: %s}\n"
GAPS = "- {metric: demographic_parity_difference, attribute: '*', max: 0.5}\n"


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """The command in this process, for starting one takes longer than all that it does."""
    spec = write_spec(tmp_path)

    def start(rules: str | None = None, *more: str, out: str = "out") -> Done:
        policy = tmp_path / "limits.yaml"
        policy.write_text(HEAD + (rules or ""))
        judged = () if rules is None else ("--policy", str(policy))
        with pytest.raises(SystemExit) as left:
            main(["run", str(spec), "--out", str(tmp_path / out), *judged, *more])
        assert isinstance(left.value.code, int)
        return Done(left.value.code, *capsys.readouterr())

    return start


def results(folder: Path) -> dict:
    return json.loads((folder / "out" / "results.json").read_text())


def test_exit_codes_of_the_installed_command(tmp_path: Path):
    spec, policy = write_spec(tmp_path), tmp_path / "limits.yaml"
    for bound, code in ((0.5, 0), (0.9, 1), (0.66, 2), (80, 3)):
        policy.write_text(HEAD + ACCURACY % bound)
        done = equiray("run", spec, "--out", tmp_path / "out", "--policy", policy)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr and ("policy limits" in done.stdout) == (code < 3)
    assert {v["verdict"] for v in results(tmp_path)["verdicts"]} == {"INCONCLUSIVE"}  # of the last that was judged


def test_every_model_at_every_stage_is_judged_as_gate_judges_the_directory(tmp_path: Path, run):
    rules = ACCURACY % 0.5 + GAPS + "- {metric: tpr, attribute: sex, min: 0.2}\n"
    done = run(rules)
    verdicts = results(tmp_path)["verdicts"]
    # 3 subjects; accuracy, the gaps of three attributes, the rates of two sexes
    assert len(verdicts) == 3 * (1 + 3 + 2) == verdicts[0]["family_size"]
    assert {v["rule"].split(": ")[0] for v in verdicts} == {
        f"people, {stage}, {model}"
        for model, stage in (("raw", "baseline"), ("raw", "cda"), ("raw_unaware", "baseline"))
    }
    judged = gate(tmp_path / "out", str(tmp_path / "limits.yaml"), Chosen(), Looking())
    assert [v.to_json() for v in judged.verdicts] == verdicts
    # the islands have no test row: nothing passes that compares them, and nothing fails
    assert done.code == 2 and {v["verdict"] for v in verdicts if v["attribute"] == "region"} == {"INCONCLUSIVE"}
    (sex,) = (v for v in verdicts if v["attribute"] == "sex" and "cda, raw: demographic" in v["rule"])
    assert sex["verdict"] == "PASS" and sex["alpha"] == 0.05


def test_verdicts_stand_on_the_page_and_on_the_terminal_and_go_with_the_policy(tmp_path: Path, run):
    judged = run(ACCURACY % 0.9)
    assert judged.code == 1 and judged.out.count("FAIL         people, ") == 3
    assert judged.out.splitlines()[-2] == "FAIL: policy limits, 3 FAIL, 0 INCONCLUSIVE, 0 PASS"
    page = (tmp_path / "out" / "report.html").read_text()
    for verdict in results(tmp_path)["verdicts"]:
        assert verdict["reason"] in page and verdict["rule"] in page
    before = {file: file.stat().st_mtime_ns for file in tmp_path.glob("out/predictions/*")}
    plain = run()
    assert plain.code == 0 and results(tmp_path)["verdicts"] == []
    assert "Verdicts" not in (tmp_path / "out" / "report.html").read_text()
    assert before == {file: file.stat().st_mtime_ns for file in tmp_path.glob("out/predictions/*")}


def test_ready_policies_by_name(tmp_path: Path, run):
    done = run(None, "--policy", "nyc_ll144")
    assert done.code == 2 and "policy nyc_ll144" in done.out
    assert "left out     (missing)" in done.out


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ("- {metric: tpr, attribute: sexx, min: 0.5}\n", "did you mean 'sex'"),
        ("- {metric: tpr, attribute: 'region*sex', min: 0.5}\n", "did you mean 'sex*region'"),
        ("- {metric: mae, max: 3}\n", "does not report mae"),
        ("- {metric: intrinsic_gap, attribute: gender, max: 0.1}\n", "does not report intrinsic_gap"),
        ("- {metric: fpr_difference, max: 0.1}\n", "names no attribute"),
        ("- {metric: fpr_difference, attribute: sex, group: female, max: 0.1}\n", "compares all groups of sex"),
        ("- {metric: tpr, attribute: sex, mim: 0.5}\n", "did you mean 'min'"),
    ],
)
def test_3_a_policy_that_the_run_cannot_answer_is_refused_before_compute(tmp_path: Path, run, rules: str, named: str):
    done = run(rules)
    assert done.code == 3 and named in done.err and "limits.yaml" in done.err and "fix:" in done.err
    assert not (tmp_path / "out").exists()


def test_a_run_that_was_interrupted_is_judged_when_it_is_resumed(tmp_path: Path, run, monkeypatch: pytest.MonkeyPatch):
    whole = run(ACCURACY % 0.66, out="whole")
    scores, calls = predictions._raw_scores, []

    def once(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return scores(*arguments)

    monkeypatch.setattr(predictions, "_raw_scores", once)
    broken = run(ACCURACY % 0.66)
    assert broken.code == 130 and not (tmp_path / "out" / "results.json").exists()
    resumed = run(ACCURACY % 0.66)
    assert resumed.code == whole.code == 2 and len(calls) == 2 + 2
    assert results(tmp_path) == json.loads((tmp_path / "whole" / "results.json").read_text())
