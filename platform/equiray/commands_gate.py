"""`equiray gate`: the exit code is the answer."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from equiray.policies import Judgement

_TERMINAL_LINES = 40
_COLOURS = {"PASS": "green", "FAIL": "red", "INCONCLUSIVE": "yellow"}
EXIT_CODES = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 2}

_file = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--policy", required=True, help="A YAML file, or a ready policy: four_fifths, nyc_ll144.")
@click.option("--junit", type=_file, metavar="FILE", help="Write JUnit XML: FAIL a failure, INCONCLUSIVE an error.")
@click.option("--markdown", type=_file, metavar="FILE", help="Write a summary for the CI job.")
@click.option("--task", help="Judge this task only; default: every one.")
@click.option("--stage", help="Judge this stage only; default: every one.")
@click.option("--model", help="Judge this model only; default: every one.")
@click.option("--look", type=click.IntRange(min=1), default=1, help="Which verdict on a growing table this is.")
@click.option("--spend-alpha", is_flag=True, help="Look k spends alpha / (k (k + 1)): valid over any number of looks.")
def gate(
    directory: Path,
    policy: str,
    junit: Path | None,
    markdown: Path | None,
    task: str | None,
    stage: str | None,
    model: str | None,
    look: int,
    spend_alpha: bool,
) -> int:
    """Judge the results in DIRECTORY by a policy: exit 0 for PASS, 1 for FAIL, 2 for INCONCLUSIVE."""
    from equiray.reports.junit import write_junit
    from equiray.reports.verdict_markdown import write_verdict_markdown
    from equiray.runs.gate import Chosen, Looking
    from equiray.runs.gate import gate as judge_directory

    judgement = judge_directory(directory, policy, Chosen(task, stage, model), Looking(look, spend_alpha))
    if junit is not None:
        write_junit(judgement, junit.expanduser())
    if markdown is not None:
        write_verdict_markdown(judgement, markdown.expanduser())
    show(judgement, all_of_them="--junit FILE lists all")
    return EXIT_CODES[judgement.answer]


def show(judgement: "Judgement", *, all_of_them: str) -> None:
    """Print verdicts, the worst first, and what was left out; `all_of_them` says where those not printed stand."""
    from equiray.reports.verdict_markdown import family_line, headline

    worst_first = sorted(judgement.verdicts, key=lambda verdict: EXIT_CODES[verdict.verdict] or 3)
    for verdict in worst_first[:_TERMINAL_LINES]:
        answer = click.style(f"{verdict.verdict:12}", fg=_COLOURS[verdict.verdict])
        click.echo(f"{answer} {verdict.rule}: {verdict.reason}")
    if len(worst_first) > _TERMINAL_LINES:
        click.echo(f"... and {len(worst_first) - _TERMINAL_LINES:,} more: {all_of_them}")
    for left in judgement.left_out[:_TERMINAL_LINES]:
        click.echo(f"left out     {left.group} ({left.attribute}), {left.rows:,} rows: {left.why}")
    for line in judgement.not_asked:
        click.echo(f"not asked    {line}")
    click.echo(family_line(judgement))
    click.secho(headline(judgement), bold=True)
