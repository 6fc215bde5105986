"""Verdicts as JUnit XML, which every CI system shows as tests.

FAIL is a failure. INCONCLUSIVE is an error, JUnit's word for a test that could not be carried out: every CI system
counts it as not passed, and keeps it apart from failures (``skipped`` would turn a pipeline green on missing
evidence). A group that the policy leaves out is skipped.
"""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from equiray.errors import writing
from equiray.policies import Judgement

# XML 1.0 has no place for these, and a group's name may hold anything
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(judgement: Judgement) -> str:
    """One test suite for the policy, one test case for each verdict and each group left out."""
    name = judgement.policy.name
    found = [verdict.verdict for verdict in judgement.verdicts]
    counts = {
        "tests": str(len(found) + len(judgement.left_out)),
        "failures": str(found.count("FAIL")),
        "errors": str(found.count("INCONCLUSIVE")),
        "skipped": str(len(judgement.left_out)),
    }
    total = {key: counts[key] for key in ("tests", "failures", "errors")}
    suites = ET.Element("testsuites", {"name": "equiray gate", **total})
    suite = ET.SubElement(suites, "testsuite", {"name": _legal(name), **counts})
    properties = ET.SubElement(suite, "properties")
    for key, value in _facts(judgement).items():
        ET.SubElement(properties, "property", {"name": key, "value": _legal(value)})
    for verdict in judgement.verdicts:
        case = ET.SubElement(suite, "testcase", {"classname": _legal(name), "name": _legal(verdict.rule)})
        if verdict.verdict == "PASS":
            ET.SubElement(case, "system-out").text = _legal(verdict.reason)
        else:
            tag = "failure" if verdict.verdict == "FAIL" else "error"
            said = {"type": verdict.verdict, "message": _legal(verdict.reason)}
            ET.SubElement(case, tag, said).text = _legal(f"{verdict.rule}: {verdict.reason}")
    for left in judgement.left_out:
        of = f"{left.where}: " if left.where else ""
        title = f"{of}{left.metric} of {left.group} ({left.attribute})"
        case = ET.SubElement(suite, "testcase", {"classname": _legal(name), "name": _legal(title)})
        ET.SubElement(case, "skipped", {"message": f"left out, {left.rows:,} rows: {left.why}"})
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def write_junit(judgement: Judgement, file: Path) -> None:
    """Write `junit_xml` to a file.

    Raises
    ------
    Incomplete
        The file cannot be written.
    """
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(junit_xml(judgement), encoding="utf-8")


def _facts(judgement: Judgement) -> dict[str, str]:
    return {
        "answer": judgement.answer,
        "policy_sha256": judgement.policy.policy.sha256(),
        "alpha": f"{judgement.look.level:g}",
        "family_size": str(len(judgement.verdicts)),
        "look": str(judgement.look.number),
    }


def _legal(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
