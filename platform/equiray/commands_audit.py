"""`equiray audit`: anyone's predictions, read from files; with a policy the exit code is the answer."""

import shlex
from pathlib import Path

import click


def names(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Names given one by one, or several with commas between them."""
    return tuple(name.strip() for each in value for name in each.split(",") if name.strip())


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--label", required=True, metavar="COLUMN", help="What is true of the row.")
@click.option("--prediction", required=True, metavar="COLUMN", help="What was decided or predicted.")
@click.option("--score", metavar="COLUMN", help="Probability of the positive class, 0 to 1.")
@click.option("--weight", metavar="COLUMN", help="Weight of the row, 0 or more.")
@click.option("--outcome", metavar="COLUMN", help="Why a prediction is empty: refused or unparsed.")
@click.option("--split", metavar="COLUMN", help="Audit only rows that say `test`; `validation` rows choose frontiers.")
@click.option("--id", metavar="COLUMN", help="Names each row: one that repeats, also in another file, is an error.")
@click.option("--attributes", required=True, multiple=True, callback=names, metavar="A,B", help="Sensitive attributes.")
@click.option("--intersections", type=click.IntRange(min=1), default=1, help="Combine up to that many attributes.")
@click.option("--classes", multiple=True, callback=names, metavar="A,B", help="All values of label and prediction.")
@click.option("--positive", metavar="CLASS", help="The class whose rates are meant; not needed for 0 and 1.")
@click.option("--real-valued", is_flag=True, help="Label and prediction are numbers, not classes.")
@click.option("--model", default="predictions", show_default=True, help="What made the predictions.")
@click.option("--policy", help="Judge by a YAML file, or a ready policy: four_fifths, nyc_ll144.")
@click.option("--address", help="Ray cluster that counts (`auto`, HOST:6379); none: this machine.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Directory; an unfinished audit resumes.")
@click.pass_obj
def audit(arguments: list[str], out: Path, policy: str | None, address: str | None, **options: object) -> int:
    """Audit the predictions in FILE...: CSV, Parquet or JSON lines, folders, patterns, URLs of object stores.

    A file that is named twice, or a copy of it, is refused. A row that stands in two files that differ counts twice,
    unless --id says which row is which; that holds 8 bytes a row and reads the column of ids once more.

    Without a policy the exit code is 0; with one it is 0 for PASS, 1 for FAIL, 2 for INCONCLUSIVE.
    """
    from pydantic import ValidationError

    from equiray.commands_gate import EXIT_CODES, show
    from equiray.policies import load_policy
    from equiray.runs.audit_spec import AuditSpec
    from equiray.specs.documents import as_bad_input

    try:
        spec = AuditSpec.model_validate(options)
    except ValidationError as error:
        fix = "name each column, attribute and file once; equiray audit --help says what each option takes"
        raise as_bad_input(error, "the options", "audit", fix) from error
    named = None if policy is None else load_policy(policy)
    from equiray.runs.audit import run_audit

    out = out.expanduser()
    command = shlex.join(["equiray", *arguments])
    judgement = run_audit(spec, out, policy=named, address=address, command=command)
    if judgement is not None:
        show(judgement, all_of_them="results.json lists all")
    click.echo(f"done: {out / 'report.html'}")
    return EXIT_CODES[judgement.answer] if judgement else 0
