"""What counts say: those of an audit, read the way its spec says, and those of a run's decisions."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median_low

from equiray.errors import BadInput
from equiray.metrics.counting import Counts
from equiray.metrics.counting.encoding import looks_numeric
from equiray.metrics.counting.parts import rows_where
from equiray.metrics.estimates import Estimate
from equiray.metrics.estimation import CountedEvidence, Labels, Setting, listed, with_positive
from equiray.metrics.tables import MISSING, GroupTable
from equiray.policies import Subject
from equiray.runs.audit_spec import STAGE, TEST, AuditSpec, load_audit_spec
from equiray.runs.classes import check_classes, check_common, check_positive
from equiray.runs.counting import COUNTS_NAME

MANY_GROUPS = 100
"""With more groups of one attribute a report says what that means."""


def audit_evidence(counts: Counts, spec: AuditSpec) -> CountedEvidence:
    """Evidence over all attributes of an audit and their intersections.

    Raises
    ------
    BadInput
        Which class is the positive one is not said and does not go without saying, or it does not occur; or labels and
        predictions name their classes differently; or the counts make no table (`Counts.table`).
    """
    labels = Labels(task=spec.task, stage=STAGE, model=spec.model)
    tables = tables_of(counts, spec, TEST)
    if not tables:
        raise BadInput(
            f"no row says {TEST!r}",
            place=f"column {spec.split!r} (--split)",
            fix=f"it says: {', '.join(splits_of(counts, spec))}; leave --split out to audit all rows",
        )
    if not spec.classes:
        check_classes(tables[0], columns_of(spec))
    check_common(tables[0], columns_of(spec))
    return CountedEvidence(tables=tables, setting=Setting(labels=labels, positive=spec.positive))


def tables_of(counts: Counts, spec: AuditSpec, split: str) -> list[GroupTable]:
    """Tables of one split, or of all rows where the spec names no split column; raises as `audit_evidence`."""
    if spec.split is not None:
        part = rows_where(counts, spec.split, split)
        if not part.blocks:
            return []
        counts = part
    return [_with_positive(table, spec) for table in counts.tables(spec.intersections)]


def splits_of(counts: Counts, spec: AuditSpec) -> dict[str, int]:
    """Rows by what the column of splits says, empty where none is named."""
    if spec.split is None:
        return {}
    table = counts.table(spec.split)
    rows = table.targets.counted if table.targets is not None else table.mass.count.sum((-1, -2)) if table.mass else []
    return dict(zip(table.groups, map(int, rows), strict=True))


def read_audit(directory: Path) -> CountedEvidence | None:
    """The evidence of an audit's directory, None where no counts are kept."""
    if not (directory / COUNTS_NAME).is_file():
        return None
    return audit_evidence(Counts.load(directory / COUNTS_NAME), load_audit_spec(directory / "spec.yaml"))


def decided_evidence(
    counts: Counts, groups: Mapping[str, Sequence[str]], subject: Subject, confidence: float
) -> CountedEvidence:
    """Evidence of a run's decisions, over attributes and intersections, each with all its `groups`."""
    tables = [listed(counts.table(attribute), names) for attribute, names in groups.items()]
    setting = Setting(labels=Labels(subject.task, subject.stage, subject.model), confidence=confidence)
    return CountedEvidence(tables=tables, setting=setting)


def counts_file(subject: Subject) -> str:
    """Path of the counts of a subject in the run directory."""
    return f"counts/{subject.task}.{subject.model}.{subject.stage}.parquet"


def read_decided(directory: Path, subject: Subject, estimates: Sequence[Estimate]) -> CountedEvidence | None:
    """The evidence of one subject of a run, None where no counts of it are kept.

    Its attributes and groups are those that `estimates`, the run's results, name.

    Raises
    ------
    BadInput
        The counts are not those that the results were made of.
    """
    path = directory / counts_file(subject)
    groups = _groups(estimates)
    if not groups or path not in directory.glob("counts/*.parquet"):  # a subject's name may be any, "../../x" too
        return None
    counts = Counts.load(path)
    try:
        return decided_evidence(counts, groups, subject, estimates[0].confidence)
    except ValueError as error:
        fix = "repeat the command that made the run: it counts again"
        raise BadInput(f"results.json was not made of these counts: {error}", place=str(path), fix=fix) from error


def _groups(estimates: Sequence[Estimate]) -> dict[str, tuple[str, ...]]:
    """The groups of each attribute that are named, in the order of the results."""
    found: dict[str, dict[str, None]] = {}
    for e in estimates:
        if e.attribute is not None:
            names = found.setdefault(e.attribute, {})
            if e.group is not None and e.group != MISSING:
                names[e.group] = None
    return {attribute: tuple(names) for attribute, names in found.items()}


def columns_of(spec: AuditSpec) -> str:
    """How errors name the columns of an audit's classes."""
    return f"columns {spec.label!r} and {spec.prediction!r}"


def table_warnings(evidence: CountedEvidence, side: str = "") -> list[str]:
    """What limits the figures of counted predictions, in sentences; `side` names them where there are others."""
    found, of_side = [], f" of {side}" if side else ""
    first, positive = evidence.tables[0], evidence.setting.positive
    if len(first.classes) > 2 and positive is None:
        shown = ", ".join(first.classes[:5]) + (", ..." if len(first.classes) > 5 else "")
        found.append(
            f"There are {len(first.classes)} classes ({shown}) and none is named positive (--positive), so there are "
            "no selection rates, true-positive rates or figures made of them."
        )
    if len(first.classes) > 2 and positive is not None:
        found.append(
            f"There are {len(first.classes)} classes: {', '.join(first.classes[:12])}. {positive} counts as the "
            "positive one, every other one as not positive; only the accuracy tells them all apart."
        )
    found += _nearly_alike("classes", first.classes)
    if first.mass is not None and (unanswered := int(first.mass.count[..., len(first.classes) :].sum())):
        found.append(
            f"{unanswered:,} rows{of_side} have no prediction. Rates leave them out, and their limits allow for any "
            "decision."
        )
    found += _weightless(evidence, of_side)
    for table in evidence.tables:
        if "*" not in table.attribute:
            found += _nearly_alike(f"groups of {table.attribute}", table.groups)
        rows = [count for group, count in evidence.rows(table.attribute).items() if group != MISSING]
        if len(rows) > MANY_GROUPS:
            found.append(
                f"{table.attribute} has {len(rows):,} groups, half of them with {median_low(rows):,} rows or fewer. "
                "Limits of what compares them hold for every pair of groups at once, so they are wide."
            )
        if missing := evidence.rows(table.attribute).get(MISSING, 0):
            found.append(
                f"Of {missing:,} rows {table.attribute} is not known. They may belong to any group: the limits of what "
                "compares groups allow for that."
            )
    if first.scores is not None and not first.scores.exact:
        found.append("There are too many distinct scores to keep each; they are counted on a grid of 65,530 cells.")
    return found


def _weightless(evidence: CountedEvidence, of_side: str) -> Iterator[str]:
    """What is not estimable though there are rows: their weights are 0."""
    metrics: dict[tuple[str, str | None], list[str]] = {}
    for estimate in evidence.estimates:
        if estimate.attribute is not None and estimate.group in evidence.weightless(estimate):
            metrics.setdefault((estimate.attribute, estimate.group), []).append(estimate.metric)
    for (attribute, group), named in metrics.items():
        yield (
            f"Of {attribute} = {group}{of_side}, all rows in the denominators of {', '.join(named)} have weight 0: "
            "these and what compares them are not estimable."
        )


def _nearly_alike(what: str, names: Sequence[str]) -> list[str]:
    """A warning about names that differ in case or blanks only: one thing written in two ways is counted as two."""
    written: dict[str, list[str]] = {}
    for name in names:
        written.setdefault(" ".join(name.casefold().split()), []).append(name)
    pairs = [" and ".join(map(repr, alike)) for alike in written.values() if len(alike) > 1]
    if not pairs:
        return []
    return [f"Counted apart, though they differ in capitals or blanks only, are the {what} {', '.join(pairs[:5])}."]


def kind_warnings(counts: Counts) -> Iterator[str]:
    """Attributes that are words in one file and numbers or truth values in another: texts, so nobody refused them."""
    for place, attribute in enumerate(counts.layout.attributes):
        names: dict[str, set[str]] = {}
        for block in counts.blocks.values():
            names.setdefault(block.id.source, set()).update(set(block.levels[place]) - {MISSING})
        kinds = {source: {_kind(name) for name in found} for source, found in names.items() if found}
        first, *others = kinds or [""]
        other = next((source for source in others if not kinds[source] & kinds[first]), None)
        if other is not None:
            said = [
                f"{', '.join(sorted(names[source])[:3])} in {', '.join(counts.origins.get(source, (source[:12],)))}"
                for source in (first, other)
            ]
            yield f"{attribute.name} is written in two ways, {' and '.join(said)}: each value counts as its own group."


def _kind(name: str) -> str:
    return "number" if looks_numeric(name) else "truth" if name.lower() in ("true", "false") else "word"


def _with_positive(table: GroupTable, spec: AuditSpec) -> GroupTable:
    if spec.real_valued:
        return table
    check_positive(table.classes, spec.positive, columns_of(spec))
    if spec.positive is None or len(table.classes) > 2:  # of more than two all are kept: accuracy is about all
        return table
    return with_positive(table, spec.positive)
