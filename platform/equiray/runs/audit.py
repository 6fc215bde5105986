"""An audit of anyone's predictions: files of rows -> counts -> estimates -> verdicts -> report.

Notable: whatever can be known to be wrong without reading all rows is said before anything is written: the first
block is counted once for nothing but that.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

from equiray.data.prediction_files import PredictionFile, open_files, read_span, spans
from equiray.data.row_ids import RowIds
from equiray.data.stores import find_files
from equiray.errors import BadInput
from equiray.metrics.clusters import Resampling
from equiray.metrics.counting import Counts
from equiray.metrics.counting.kernel import count_block
from equiray.metrics.counting.stream import counts_of
from equiray.metrics.estimation import CountedEvidence
from equiray.policies import Judgement, NamedPolicy, Subject, apply_policy
from equiray.policies.document import EVERY, nearest
from equiray.reports import print_summary
from equiray.runs.audit_spec import STAGE, TEST, AuditSpec
from equiray.runs.classes import check_classes, check_positive
from equiray.runs.counted_evidence import (
    audit_evidence,
    columns_of,
    kind_warnings,
    splits_of,
    table_warnings,
)
from equiray.runs.counting import Counting
from equiray.runs.directory import RunDirectory
from equiray.runs.frontiers import audit_frontiers, frontiers_file
from equiray.runs.publish import publish
from equiray.runs.results_document import RESULTS, results_document

_DRAWS = 500  # standard error about 1 %


def run_audit(
    spec: AuditSpec, out: Path, *, policy: NamedPolicy | None = None, address: str | None = None, command: str
) -> Judgement | None:
    """Audit predictions, or what is left of it, and leave counts, results, report and evidence in a directory.

    Parameters
    ----------
    spec : AuditSpec
    out : Path
        A new directory, or that of the same audit: rows that were counted there are not counted again.
    policy : NamedPolicy, optional
        Judged on these rows; its verdicts become part of the results.
    address : str, optional
        Ray cluster that counts; None: threads of this process.
    command : str
        The command line, for the report.

    Returns
    -------
    Judgement or None
        None without a policy.

    Raises
    ------
    BadInput
        Anything wrong with options, policy, files or their values; names the file, the column and the rows.
    Incomplete
        The directory cannot be written. What is counted is kept.
    """
    if policy is not None:
        _check_policy(policy, spec)
    files = _open(spec)
    if spec.id is not None:
        only = {} if spec.split is None else {spec.split: TEST}
        RowIds(files=files, column=spec.id, only=only).check_unique()
        files = [replace(file, columns=tuple(spec.columns.wanted(spec.layout))) for file in files]
    with RunDirectory.open(out, spec) as directory:
        with directory.step("count rows"):
            counting = Counting(
                files=files, layout=spec.layout, columns=spec.columns, model=spec.model, directory=directory
            )
            counts = counting.run(address)
        with directory.step("estimates and intervals"):
            evidence = audit_evidence(counts, spec)
            subject = Subject(spec.task, STAGE, spec.model)
            judgement = None if policy is None else apply_policy(policy, {subject: evidence})
            directory.write_json(RESULTS, _results(spec, counts, evidence, judgement))
        if spec.score is not None:
            with directory.step("frontiers"):
                directory.write_json("frontiers.json", frontiers_file(audit_frontiers(counts, evidence, spec)))
        directory.write_json("details.json", _details(spec, counts, evidence, directory.durations(), command))
        publish(out, spec)
        print_summary(out, directory.console)
    return judgement


def _open(spec: AuditSpec) -> list[PredictionFile]:
    """The files, their columns and their first rows found good."""
    layout, columns = spec.layout, spec.columns
    files = open_files(find_files(spec.files), spec.read)
    first = next((block for part in spans(files) for block in read_span(part)), None)
    if first is None:
        raise BadInput("there are no rows to count", place=", ".join(spec.files), fix="give at least one row")
    block = count_block(first.id, first.rows, layout, columns, place=first.origin)
    classes = block.classes
    if not spec.classes:
        counts = counts_of([block], layout, {first.id.source: [first.origin]}, model=spec.model)
        check_classes(counts.table(layout.attributes[0].name), f"{first.origin}, {columns_of(spec)}")
    if spec.positive is None and len(classes) == 2:  # a class that is named may come later
        check_positive(classes, spec.positive, columns_of(spec))
    return files


def _check_policy(policy: NamedPolicy, spec: AuditSpec) -> None:
    sizes = range(1, spec.intersections + 1)
    known = ["*".join(chosen) for size in sizes for chosen in combinations(spec.attributes, size)]
    for number, rule in enumerate(policy.policy.rules):
        if rule.attribute not in (None, EVERY, *known):
            raise BadInput(
                f"attribute {rule.attribute!r} is not audited{nearest(str(rule.attribute), known)}",
                place=f"{policy.place}, rules.{number}.attribute",
                fix=f"audited are {', '.join(known[:12])}; --attributes and --intersections add to them",
            )


def _results(spec: AuditSpec, counts: Counts, evidence: CountedEvidence, judgement: Judgement | None) -> dict[str, Any]:
    rows = {spec.task: sum(evidence.rows(spec.attributes[0]).values())}
    return results_document(spec.sha256(), rows, evidence.estimates, judgement)


def _details(
    spec: AuditSpec, counts: Counts, evidence: CountedEvidence, durations: Mapping[str, float], command: str
) -> dict[str, Any]:
    named = [name for names in counts.origins.values() for name in names]
    task = {
        "title": f"Predictions of {spec.task}",
        "rows": counts.rows,
        "splits": splits_of(counts, spec),
        "source": ", ".join(named[:5]) + (f" and {len(named) - 5:,} more" if len(named) > 5 else ""),
        "attributes": {table.attribute: dict(evidence.rows(table.attribute)) for table in evidence.tables},
        "warnings": [*_split_warnings(splits_of(counts, spec)), *kind_warnings(counts), *table_warnings(evidence)],
        "files": len(counts.origins),
        "ids": spec.id,
        "at_equality": evidence.at_equality(Resampling(replicates=_DRAWS, seed=spec.seed)),
    }
    return {
        "tasks": {spec.task: task},
        "counts_sha256": counts.sha256,
        "durations_s": dict(durations),
        "command": command,
    }


def _split_warnings(splits: Mapping[str, int]) -> Iterator[str]:
    others = {name: rows for name, rows in splits.items() if name != TEST}
    if others:
        named = ", ".join(f"{rows:,} {name}" for name, rows in others.items())
        yield f"Only rows that say {TEST} are audited; left out are {named} rows."
