"""What the counts of an audit say, read the way its spec says."""

from pathlib import Path

from equiray.errors import BadInput
from equiray.metrics.counting import Counts
from equiray.metrics.estimation import CountedEvidence, Labels, Setting, with_positive
from equiray.metrics.tables import GroupTable
from equiray.policies.document import nearest
from equiray.runs.audit_spec import STAGE, AuditSpec, load_audit_spec
from equiray.runs.counting import COUNTS_NAME


def audit_evidence(counts: Counts, spec: AuditSpec) -> CountedEvidence:
    """Evidence over all attributes of an audit and their intersections.

    Raises
    ------
    BadInput
        Which class is the positive one is not said and does not go without saying, or it does not occur; or the
        counts make no table (`Counts.table`).
    """
    tables = [_with_positive(table, spec) for table in counts.tables(spec.intersections)]
    labels = Labels(task=spec.task, stage=STAGE, model=spec.model)
    return CountedEvidence(tables=tables, setting=Setting(labels=labels, positive=spec.positive))


def read_audit(directory: Path) -> CountedEvidence | None:
    """The evidence of an audit's directory, None where no counts are kept."""
    if not (directory / COUNTS_NAME).is_file():
        return None
    return audit_evidence(Counts.load(directory / COUNTS_NAME), load_audit_spec(directory / "spec.yaml"))


def check_positive(classes: tuple[str, ...], spec: AuditSpec) -> None:
    """Of two classes other than 0 and 1 the one that matters must be named; the order of words says nothing.

    Raises
    ------
    BadInput
        It is not named, or is not among the classes.
    """
    named = ", ".join(classes[:12])
    place = f"columns {spec.label!r} and {spec.prediction!r}"
    if spec.positive is None and len(classes) == 2 and classes != ("0", "1"):
        fix = f"say it with --positive {classes[-1]}, or with the other one"
        raise BadInput(f"which class is the positive one, {' or '.join(classes)}?", place=place, fix=fix)
    if spec.positive is not None and spec.positive not in classes:
        problem = f"there is no class {spec.positive!r}{nearest(spec.positive, classes)}"
        raise BadInput(problem, place=f"--positive, {place}", fix=f"the classes are: {named}")


def _with_positive(table: GroupTable, spec: AuditSpec) -> GroupTable:
    if spec.real_valued:
        return table
    check_positive(table.classes, spec)
    if spec.positive is None or len(table.classes) > 2:  # of more than two all are kept: accuracy is about all
        return table
    return with_positive(table, spec.positive)
