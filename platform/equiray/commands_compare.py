"""`equiray compare`: two sets of predictions over the same rows, and what changes from the first to the second."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from equiray.commands_audit import names


def _two(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str | None, str | None]:
    """``X`` is meant of both sides, ``X,Y`` is X of A and Y of B."""
    said = [name.strip() for name in (value or "").split(",")]
    if value is None:
        return None, None
    if len(said) > 2 or not all(said):
        raise click.BadParameter(f"{value!r} is neither one name nor two (of A,of B)")
    return said[0], said[-1]


def _of_both(name: str, help_text: str):
    return click.option(name, metavar="NAME[,NAME]", callback=_two, help=help_text)


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--task", help="Of runs: which task.")
@_of_both("--stage", "Of runs: which stage; two: one of A, one of B.")
@_of_both("--model", "Of runs: which model; two: one of A, one of B.")
@click.option("--label", metavar="COLUMN", help="Of files: what is true of the row.")
@_of_both("--prediction", "Of files: the column of what was decided.")
@_of_both("--score", "Of files: the column of the positive class's probability.")
@_of_both("--outcome", "Of files: the column that says why a prediction is empty.")
@click.option("--weight", metavar="COLUMN", help="Of files: weight of the row, 0 or more.")
@_of_both("--id", "The column that says which row is which; without it rows pair in order.")
@click.option("--attributes", multiple=True, callback=names, metavar="A,B", help="Sensitive attributes.")
@click.option("--intersections", type=click.IntRange(min=1), help="Combine up to that many attributes.")
@click.option("--positive", metavar="CLASS", help="The class whose rates are meant; not needed for 0 and 1.")
@click.option("--real-valued", is_flag=True, help="Label and prediction are numbers, not classes.")
@click.option("--common", is_flag=True, help="Compare the ids that both have; the others are counted and left out.")
@click.option("--out", type=click.Path(path_type=Path), help="Directory for results and report.")
@click.pass_obj
def compare(arguments: Sequence[str], first: str, second: str, out: Path | None, **options: object) -> None:
    """Compare the predictions of B with those of A on the same rows: B minus A, with limits that hold at once.

    A and B are directories of `equiray run` or `equiray audit`, or files of predictions (CSV, Parquet, JSON lines) with
    --label, --prediction and --attributes. The exit code says nothing about who is fairer: it is 0.
    """
    from rich.console import Console

    from equiray.runs.sides import Asked, compare_spec

    spec = compare_spec(first, second, Asked(**options))  # pyright: ignore[reportArgumentType]  # click names them alike
    from equiray.runs.compare import run_compare

    command = shlex.join(["equiray", *arguments])
    if out is None:
        with TemporaryDirectory(prefix="equiray-") as folder:
            run_compare(spec, Path(folder) / "comparison", command=command, console=Console())
        return
    out = out.expanduser()
    run_compare(spec, out, command=command, console=Console())
    click.echo(f"done: {out / 'report.html'}")
