"""`equiray gate` as installed: exit codes, what is printed, JUnit XML, Markdown."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from equiray.cli import main
from equiray.metrics.looks import Look
from equiray.policies import LeftOut, NamedPolicy, Policy, StoredEvidence, Subject, apply_policy
from equiray.policies.application import Judgement
from equiray.reports.junit import junit_xml
from equiray.reports.verdict_markdown import MOST_ROWS, verdict_markdown
from judged import estimate
from test_cli import equiray

HEAD = "schema: equiray.policy/1\nrules:\n"
GAP = "- {metric: demographic_parity_difference, attribute: sex, max: %s}\n"


def results(folder: Path, *estimates) -> Path:
    document = {
        "schema": "equiray.results/1",
        "spec_sha256": "0" * 64,
        "task": "loans",
        "n_rows": 2000,
        "estimates": [e.to_json() for e in estimates],
        "verdicts": [],
    }
    folder.mkdir(exist_ok=True)
    (folder / "results.json").write_text(json.dumps(document))
    return folder


def measured(stage: str = "audit", model: str = "m", low: float = 0.04):
    rates = [
        estimate("selection_rate", value, 1000, group=group, low=value - 0.03, high=value + 0.03, direction="none")
        for group, value in [("f", 0.42), ("m", 0.5)]
    ]
    gap = estimate("demographic_parity_difference", low + 0.04, 2000, low=low, high=low + 0.08)
    return [replace(e, stage=stage, model=model) for e in (*rates, gap)]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return results(tmp_path / "audit", *measured())


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """The command in this process, for starting one takes longer than all that it does."""

    def run(directory: Path, rules: str, *more: object) -> Done:
        policy = tmp_path / "limits.yaml"
        policy.write_text(HEAD + rules)
        with pytest.raises(SystemExit) as left:
            main(["gate", str(directory), "--policy", str(policy), *map(str, more)])
        assert isinstance(left.value.code, int)
        return Done(left.value.code, *capsys.readouterr())

    return run


@pytest.mark.parametrize(("bound", "code"), [(0.15, 0), (0.02, 1), (0.1, 2), (80, 3)])
def test_exit_codes_of_the_installed_command(directory: Path, bound: float, code: int):
    policy = directory.parent / "limits.yaml"
    policy.write_text(HEAD + GAP % bound)
    done = equiray("gate", directory, "--policy", policy)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr and ("policy limits" in done.stdout) == (code < 3)


def test_0_pass(directory: Path, gate):
    done = gate(directory, GAP % 0.15)
    assert done.code == 0, done.err
    line = "PASS         demographic_parity_difference of sex at most 0.15: the upper limit 0.12 is at most 0.15"
    assert line in done.out
    assert done.out.splitlines()[-1] == "PASS: policy limits, 0 FAIL, 0 INCONCLUSIVE, 1 PASS"


def test_1_fail(directory: Path, gate):
    done = gate(directory, GAP % 0.02)
    assert done.code == 1, done.err
    assert "the lower limit 0.04 is above 0.02" in done.out


def test_2_inconclusive_says_how_many_rows_are_needed(directory: Path, gate):
    done = gate(directory, GAP % 0.1)
    assert done.code == 2, done.err
    assert "more rows would decide" in done.out


def test_2_a_family_that_the_stored_limits_cannot_carry(directory: Path, gate):
    done = gate(directory, GAP % 0.15 + "- {metric: selection_rate, attribute: sex, min: 0.2}\n")
    assert done.code == 2, done.err
    assert "statistics.confidence=0.983334" in done.out and "3 INCONCLUSIVE" in done.out


def test_2_a_ready_policy_whose_metric_is_not_there(directory: Path, gate):
    done = gate(directory, GAP % 0.1, "--policy", "four_fifths")
    assert done.code == 2, done.err
    assert "policy four_fifths" in done.out


@pytest.mark.parametrize(
    ("rules", "more", "named"),
    [
        (GAP.replace("sex", "sexx") % 0.1, (), "did you mean 'sex'"),
        (GAP.replace("max", "maxx") % 0.1, (), "did you mean 'max'"),
        (GAP % 0.1, ("--stage", "audti"), "did you mean 'audit'"),
        (GAP % 0.1, ("--look", "0"), "Usage:"),
    ],
)
def test_3_what_cannot_be_asked(directory: Path, gate, rules: str, more: tuple, named: str):
    done = gate(directory, rules, *more)
    assert done.code == 3 and named in done.err and "Traceback" not in done.err


def test_3_no_such_policy_and_4_no_results_yet(directory: Path, gate):
    done = gate(directory, GAP % 0.1, "--policy", "five_fifths")
    assert done.code == 3 and "did you mean 'four_fifths'" in done.err
    (directory / "results.json").unlink()
    assert gate(directory, GAP % 0.1).code == 3
    (directory / "predictions").mkdir()
    (directory / "predictions" / "part.parquet").touch()
    assert gate(directory, GAP % 0.1).code == 4


def test_stages_are_judged_together_or_chosen_and_effects_are_not(tmp_path: Path, gate):
    stages = [*measured("baseline", low=0.2), *measured("cda"), *measured("cda-baseline", low=-0.3)]
    directory = results(tmp_path / "run", *stages)
    both = gate(directory, GAP % 0.15)
    assert both.code == 2 and "loans, baseline, m: " in both.out and "cda-baseline" not in both.out
    assert gate(directory, GAP % 0.15, "--stage", "cda").code == 0
    assert gate(directory, GAP % 0.15, "--stage", "baseline").code == 1


def test_a_repeated_look_is_marked_and_spending_widens(directory: Path, gate):
    again = gate(directory, GAP % 0.15, "--look", "2")
    assert again.code == 0 and "repeated look 2" in again.out
    spent = gate(directory, GAP % 0.15, "--look", "2", "--spend-alpha")
    assert spent.code == 2 and "look 2, at 0.008333 of alpha 0.05" in spent.out


def test_files_for_ci(directory: Path, gate):
    junit, markdown = directory.parent / "ci" / "gate.xml", directory.parent / "ci" / "gate.md"
    done = gate(directory, GAP % 0.02, "--junit", junit, "--markdown", markdown)
    assert done.code == 1, done.err
    suite = ET.parse(junit).getroot().find("testsuite")
    assert suite is not None and suite.attrib == {
        "name": "limits",
        "tests": "1",
        "failures": "1",
        "errors": "0",
        "skipped": "0",
    }
    assert suite.find("testcase/failure[@type='FAIL']") is not None
    assert markdown.read_text().startswith("## FAIL: policy limits, 1 FAIL")
    done = gate(directory, GAP % 0.02, "--junit", directory)
    assert done.code == 3 and "Usage:" in done.err


def judgement(*groups: str, n: int = 100) -> Judgement:
    """Selection rates .5 within .4 and .6, at the confidence of any family."""
    rates = [
        estimate("selection_rate", 0.5, n, group=group, low=0.4, high=0.6, confidence=1 - 1e-9, direction="none")
        for group in groups
    ]
    rules = [
        {"metric": "selection_rate", "attribute": "sex", "max": 0.7},
        {"metric": "selection_rate", "attribute": "sex", "min": 0.55},
        {"metric": "selection_rate", "attribute": "sex", "min": 0.65, "group": groups[0]},
    ]
    policy = Policy.model_validate({"schema": "equiray.policy/1", "rules": rules[: 3 if len(groups) < 9 else 1]})
    named = NamedPolicy(name="p", place="p.yaml", policy=policy)
    subject = Subject("loans", "audit", "m")
    return apply_policy(named, {subject: StoredEvidence(estimates=tuple(rates))}, Look(alpha=0.05))


def test_junit_tells_failure_error_and_skipped_apart():
    made = judgement("f", "(missing)")
    suite = ET.fromstring(junit_xml(made)).find("testsuite")
    assert suite is not None
    children = [[child.tag for child in case] for case in suite.iter("testcase")]
    assert [v.verdict for v in made.verdicts] == ["PASS", "INCONCLUSIVE", "FAIL"]
    assert children == [["system-out"], ["error"], ["failure"], ["skipped"], ["skipped"]]
    assert [suite.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["5", "1", "1", "2"]
    names = [case.get("name") for case in suite.iter("testcase")]
    assert "(missing)" in str(names[-1])


def test_names_from_data_are_no_markup():
    nasty = "a\x00|<b>&`*\n# x"
    made = judgement(nasty)
    cases = list(ET.fromstring(junit_xml(made)).iter("testcase"))
    assert len(cases) == 3 and "a\ufffd|<b>&`*" in str(cases[0].get("name"))
    lines = [line for line in verdict_markdown(made).splitlines() if line.startswith("| **")]
    assert len(lines) == 3
    for line in lines:
        assert r"\|\<b\>&\`\*" in line and "\n# x" not in line
        assert line.replace(r"\|", "").count("|") == 8


def test_markdown_puts_failures_first_and_stays_small():
    table = [line.split("**")[1] for line in verdict_markdown(judgement("f")).splitlines() if line.startswith("| **")]
    assert table == ["FAIL", "INCONCLUSIVE", "PASS"]
    many = judgement(*(f"group {i}" for i in range(MOST_ROWS + 50)))
    text = verdict_markdown(many)
    assert text.count("| **PASS**") == MOST_ROWS and "50 more are not shown" in text


def test_markdown_shows_the_impact_table_and_who_is_left_out():
    rates = [("a", 0.5, 100), ("b", 0.2, 100), ("tiny", 1.0, 2)]
    estimates = [
        estimate(metric, value, n, group=group, direction="higher")
        for metric in ("selection_rate", "impact_ratio")
        for group, value, n in rates
    ]
    rule = {"metric": "impact_ratio", "attribute": "*", "min": 0.8, "min_share": 0.02}
    policy = Policy.model_validate({"schema": "equiray.policy/1", "rules": [rule], "about": "Why *this*."})
    named = NamedPolicy(name="p", place="p.yaml", policy=policy)
    made = apply_policy(named, {Subject("t", "s", "m"): StoredEvidence(estimates=tuple(estimates))})
    assert made.left_out == (
        LeftOut("", "impact_ratio", "sex", "tiny", 2, 2 / 202, "below 2.00% of the rows whose group is known"),
    )
    text = verdict_markdown(made)
    assert r"Why \*this\*." in text
    assert r"| b | sex | 100 | selection\_rate | 0.200 | 0.400 |" in text
    assert r"| tiny | sex | 2 | selection\_rate | 1.000 | not compared |" in text
    assert "0.99%" in text
