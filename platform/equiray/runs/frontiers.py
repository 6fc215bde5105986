"""``frontiers.json``: what group thresholds on given scores could trade between accuracy and equality.

Notable: a frontier is the best of very many rules, so on the rows that chose it it is too good to be true. It is always
read on others: on the test split where there are splits, and else on the half of the rows that did not choose.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from equiray.data.compute import pc
from equiray.errors import BadInput
from equiray.metrics.counting import Attribute, Columns, Counts, Layout
from equiray.metrics.counting.stream import count_table
from equiray.metrics.estimation import CONFIDENCE, CountedEvidence, Labels
from equiray.metrics.frontiers import (
    FRONTIER_METRICS,
    Frontier,
    FrontierReading,
    Split,
    randomised_frontier,
    read_frontier,
    threshold_frontier,
)
from equiray.metrics.frontiers.halves import halves
from equiray.metrics.frontiers.rules import Kind
from equiray.metrics.tables import GroupTable
from equiray.runs.audit_spec import TEST, VALIDATION, AuditSpec
from equiray.runs.counted_evidence import tables_of

SCHEMA = "equiray.frontiers/1"
MOST_GROUPS = 12
"""An attribute with more groups gets no frontier: nobody sets a threshold for each of so many."""

Record = dict[str, Any]


def frontiers_file(records: Sequence[Record]) -> dict[str, Any]:
    """The document of frontiers.json (docs/contracts/frontiers.json)."""
    return {"schema": SCHEMA, "frontiers": list(records)}


def audit_frontiers(counts: Counts, evidence: CountedEvidence, spec: AuditSpec) -> list[Record]:
    """Frontiers of an audit's scores: chosen on its validation rows, or where it has none on half of those audited."""
    labels, choice = evidence.setting.labels, tables_of(counts, spec, VALIDATION) if spec.split else []
    if not choice:
        return halved_frontiers_of(evidence.tables, spec.seed, labels)
    read = [Split(TEST, table) for table in evidence.tables]
    return frontiers_of([Split(VALIDATION, table) for table in choice], read, labels)


def frontiers_of(choice: Sequence[Split], read: Sequence[Split], labels: Labels) -> list[Record]:
    """Frontiers of scores whose rows are split: chosen on one split, read on another.

    Parameters
    ----------
    choice, read : sequence of Split
        The same attributes in the same order; the second had no part in making the scores or choosing rules.
    labels : Labels
        Of what gave the scores.
    """
    return [
        _record(reading, labels)
        for chooser, reader in zip(choice, read, strict=True)
        for reading in _readings(chooser, reader)
    ]


def halved_frontiers_of(tables: Sequence[GroupTable], seed: int, labels: Labels) -> list[Record]:
    """As `frontiers_of`, of rows that are not split: they are halved at random."""
    records = []
    for table in tables:
        reason = "; ".join(Split("the audit", table).caveats)
        for reading in _readings(*halves(table, seed)):
            if reason and reading.status != "not_estimable":
                reading = replace(reading, status="partial", reason=reason)
            records.append(_record(reading, labels))
    return records


def frontiers_of_predictions(rows: pa.Table, attributes: Sequence[str], labels: Labels) -> list[Record]:
    """Frontiers of a run's predictions by one model at one stage: chosen on validation rows, read on test rows.

    Parameters
    ----------
    rows : pyarrow.Table
        ``split``, ``label``, ``prediction``, ``score`` and the attributes, as a run keeps them.
    attributes : sequence of str
        Intersections joined by ``*``.
    labels : Labels

    Returns
    -------
    list of Record
        Empty where no row was scored for validation: then there is nothing to choose on.
    """
    names = tuple(dict.fromkeys(name for attribute in attributes for name in attribute.split("*")))
    layout = Layout(attributes=tuple(Attribute(name=name) for name in names), classes=("0", "1"), scores=True)
    columns = Columns(label="label", prediction="prediction", score="score")
    splits: dict[str, list[Split]] = {}
    for name in (VALIDATION, TEST):
        part = rows.filter(pc.equal(rows["split"], name))
        if not part.num_rows or part["score"].null_count == part.num_rows:
            return []
        counts = count_table(part, layout, columns, model=labels.model, origin=f"{labels.task}, {name} split")
        splits[name] = [Split(name, counts.table(attribute)) for attribute in attributes]
    return frontiers_of(splits[VALIDATION], splits[TEST], labels)


def _record(reading: FrontierReading, labels: Labels) -> Record:
    return {**labels._asdict(), "reading": reading.to_json()}


def _readings(choice: Split, read: Split) -> Iterator[FrontierReading]:
    """Every metric, by one threshold a group and by drawing between thresholds."""
    find: Mapping[Kind, Any] = {"thresholds": threshold_frontier, "randomised": randomised_frontier}
    problem = _problem(choice, read)
    for metric in FRONTIER_METRICS:
        for kind, make in find.items():
            if problem:
                yield _none(choice, read, metric, kind, problem)
                continue
            try:
                found: Frontier = make(choice, metric)
            except BadInput as error:  # too many combinations to search
                yield _none(choice, read, metric, kind, error.problem)
                continue
            yield read_frontier(found, read)


def _problem(choice: Split, read: Split) -> str | None:
    """Why there can be no frontier of an attribute at all."""
    groups = [split.groups for split in (choice, read)]
    if max(map(len, groups)) > MOST_GROUPS:
        return (
            f"{choice.table.attribute} has {max(map(len, groups))} groups, and frontiers are for {MOST_GROUPS} at most"
        )
    if set(groups[0]) != set(groups[1]):
        strange = sorted(set(groups[0]) ^ set(groups[1]))
        return f"not every group has rows in {choice.name} and in {read.name}: {', '.join(strange[:5])}"
    if choice.fingerprint == read.fingerprint:
        return f"{choice.name} and {read.name} hold the same counts, so neither tells what the other promises"
    return None


def _none(choice: Split, read: Split, metric: str, kind: Kind, reason: str) -> FrontierReading:
    return FrontierReading(
        metric=metric,
        attribute=choice.table.attribute,
        groups=choice.groups,
        kind=kind,
        chosen_on=choice.name,
        read_on=read.name,
        n=read.rows,
        confidence=CONFIDENCE,
        points=(),
        status="not_estimable",
        reason=reason,
    )
