"""A comparison of two sets of predictions: pairs of rows -> joint counts -> paired changes -> report."""

from pathlib import Path
from typing import Any

from rich.console import Console

from equiray.metrics.estimation import CountedEvidence, Labels, Setting, estimates_of
from equiray.metrics.estimation.comparison import Comparison, compare, differing
from equiray.reports import print_summary
from equiray.runs.compare_spec import FIRST, SECOND, CompareSpec
from equiray.runs.counted_evidence import table_warnings
from equiray.runs.directory import RunDirectory
from equiray.runs.paired_counting import PairedCounts, Pairs, count_pairs
from equiray.runs.publish import publish
from equiray.runs.results_document import RESULTS, results_document


def run_compare(spec: CompareSpec, out: Path, *, command: str, console: Console) -> None:
    """Compare two sets of predictions, or what is left of it; leave all it made in a directory.

    Parameters
    ----------
    spec : CompareSpec
    out : Path
        A new directory, or that of the same comparison: rows that were counted there are not counted again.
    command : str
        The command line, for the report.
    console : Console
        Where the tables are printed.

    Raises
    ------
    BadInput
        Anything wrong with files or their values, or the sides do not hold the same rows.
    Incomplete
        The directory cannot be written. What is counted is kept.
    """
    pairs = Pairs.open(spec)
    with RunDirectory.open(out, spec) as directory:
        with directory.step("count pairs of rows"):
            counts = count_pairs(pairs, directory)
        with directory.step("estimates and intervals"):
            found = compare(counts.tables, _setting(spec, f"{SECOND}-{FIRST}", spec.b.name))
            directory.write_json(RESULTS, _results(spec, counts, found))
        details = _details(spec, counts, pairs, found)
        extra = {"durations_s": directory.durations(), "command": command}
        directory.write_json("details.json", details | extra)
        publish(out, spec)
        print_summary(out, console)


def _setting(spec: CompareSpec, stage: str, model: str) -> Setting:
    labels = Labels(task=spec.task, stage=stage, model=model)
    return Setting(labels=labels, confidence=spec.confidence, positive=spec.positive)


def _results(spec: CompareSpec, counts: PairedCounts, found: Comparison) -> dict[str, Any]:
    tables = counts.tables
    first = estimates_of(tables.first, _setting(spec, FIRST, spec.a.name))
    second = estimates_of(tables.second, _setting(spec, SECOND, spec.b.name))
    return results_document(spec.sha256(), {spec.task: counts.rows}, (*first, *second, *found.estimates))


def _details(spec: CompareSpec, counts: PairedCounts, pairs: Pairs, found: Comparison) -> dict[str, Any]:
    tables = counts.tables
    evidence = CountedEvidence(tables=tables.first, setting=_setting(spec, FIRST, spec.a.name))
    other = CountedEvidence(tables=tables.second, setting=_setting(spec, SECOND, spec.b.name))
    warnings = dict.fromkeys([*table_warnings(evidence, FIRST), *table_warnings(other, SECOND)])
    task = {
        "title": f"Predictions of {spec.task}",
        "rows": counts.rows,
        "source": f"A: {pairs.first.name}; B: {pairs.second.name}",
        "attributes": {table.attribute: dict(evidence.rows(table.attribute)) for table in tables.first},
        "warnings": [*_left_out(pairs), *warnings],
    }
    comparison = {
        "first": spec.a.name,
        "second": spec.b.name,
        "differing": differing(tables.joint[0]) if tables.joint else None,
        "confidence": spec.confidence,
        "families": found.families._asdict(),
    }
    title = f"{spec.b.name}, against {spec.a.name}"
    return {"title": title, "tasks": {spec.task: task}, "comparison": comparison}


def _left_out(pairs: Pairs) -> list[str]:
    return [
        f"{rows:,} rows that only {side} has are left out: no figure counts them."
        for side, rows in zip((FIRST, SECOND), pairs.left_out, strict=True)
        if rows
    ]
