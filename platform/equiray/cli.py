"""The `equiray` command.

Notable: nothing heavy is imported before a command needs it, so `equiray --help` answers at once; and every
way out of the process is one of the exit codes of `equiray.errors`, click's own 2 for a wrong usage included
(2 means INCONCLUSIVE here).
"""

import shlex
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import click

from equiray import __version__
from equiray.commands_audit import audit
from equiray.commands_bundle import bundle, verify
from equiray.commands_compare import compare
from equiray.commands_gate import EXIT_CODES, gate, show
from equiray.commands_keys import keys
from equiray.commands_label import label
from equiray.commands_log import log
from equiray.commands_promote import promote
from equiray.commands_serve import serve
from equiray.errors import BadInput, EquirayError

INTERRUPTED = 130
_EXTRA_OF = {
    "torch": "llm", "transformers": "llm", "peft": "llm", "safetensors": "llm", "gguf": "llm",
    "optuna": "search", "moocore": "search",
    "fastapi": "serve", "starlette": "serve", "uvicorn": "serve", "sqlalchemy": "serve", "psycopg": "serve",
}  # fmt: skip
"""The optional part of equiray that brings a package."""
INTERNAL = EquirayError.exit_code

_spec = click.argument("spec", type=click.Path(path_type=Path))
_policy = click.option("--policy", help="Judge by a YAML file, or a ready policy: four_fifths, nyc_ll144.")
_debug = click.option("--debug", is_flag=True, expose_value=False, help="Print the traceback of an error.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="equiray")
def commands() -> None:
    """Evaluate how fair a language model is when it decides about people, and what mitigation changes.

    Exit codes: 0 done or PASS, 1 FAIL, 2 INCONCLUSIVE, 3 bad input, 4 incomplete (the same command resumes),
    70 internal error, 130 interrupted.
    """


@commands.command()
@_spec
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Run directory; an unfinished one resumes.")
@_policy
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key: unlearning.steps=40")
@click.option("--address", help="Ray cluster to run on (`auto`, ray://HEAD:10001); none: this machine.")
@_debug
@click.pass_obj
def run(
    arguments: list[str],
    spec: Path,
    out: Path,
    policy: str | None,
    overrides: tuple[str, ...],
    address: str | None,
) -> int:
    """Run what SPEC (a YAML file) describes: an evaluation, a FairNet correction, a reward model,
    decisions by chains, or preferences by likelihood.

    With a policy, every model at every stage of every task is judged; the exit code is 0 for PASS, 1 for FAIL, 2 for
    INCONCLUSIVE.
    """
    from equiray.policies import load_policy
    from equiray.runs.start import start
    from equiray.specs.any_run import load_any_spec

    loaded = load_any_spec(spec, overrides)
    named = None if policy is None else load_policy(policy)
    out = out.expanduser()
    command = shlex.join(["equiray", *arguments])
    judgement = start(loaded, out, policy=named, address=address, command=command)
    if judgement is not None:
        show(judgement, all_of_them="results.json lists all")
    click.echo(f"done: {_page(out)}")
    return EXIT_CODES[judgement.answer] if judgement else 0


def _page(directory: Path) -> Path:
    """What is opened first: the report, where there is one."""
    page = directory / "report.html"
    return page if page.is_file() else directory


@commands.command()
@_spec
@click.option("--address", required=True, metavar="URL", help="The head's dashboard: http://HEAD:8265")
@click.option("--out", help="Run directory on the cluster (absolute or ~); default: under ~/equiray-runs.")
@_policy
@_debug
def submit(spec: Path, address: str, out: str | None, policy: str | None) -> int:
    """Run SPEC as a job on a Ray cluster, follow its logs, and exit with its exit code.

    The same spec and policy have the same job: a second submit follows the first one, or resumes it where it failed.
    """
    from equiray.submission import submit_and_follow

    return submit_and_follow(spec, address=address, out=out, policy=policy)


@commands.command()
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--markdown", is_flag=True, help="Print the tables as Markdown instead.")
@_debug
def report(directory: Path, markdown: bool) -> None:
    """Write report.html, model_card.md and evidence.json anew from the results in DIRECTORY."""
    from equiray.reports import markdown_tables
    from equiray.runs.lock import sole_writer
    from equiray.runs.publish import publish
    from equiray.runs.stored_spec import load_spec

    if markdown:
        click.echo(markdown_tables(directory))
        return

    spec = load_spec(directory / "spec.yaml")
    with sole_writer(directory):
        publish(directory, spec)
    click.echo(f"done: {_page(directory)}")


@commands.command()
@_spec
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Run directory; an unfinished one resumes.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key: search.trials=60")
@click.option("--address", help="Ray cluster to run on (`auto`, ray://HEAD:10001); none: this machine.")
@_debug
@click.pass_obj
def sweep(arguments: list[str], spec: Path, out: Path, overrides: tuple[str, ...], address: str | None) -> None:
    """Search the settings that SPEC (a YAML file) names for Pareto-optimal ones, and read the front on test rows.

    Where no settings keep the constraints the exit code is 3, after the report that says why.
    """
    from equiray.runs.search import run_sweep
    from equiray.specs.sweep import load_sweep_spec

    loaded = load_sweep_spec(spec, overrides)
    out = out.expanduser()
    run_sweep(loaded, out, address=address, command=shlex.join(["equiray", *arguments]))
    click.echo(f"done: {_page(out)}")


for command in (audit, bundle, compare, gate, promote, serve, verify):
    commands.add_command(_debug(command))
for group in (keys, label, log):
    for command in group.commands.values():
        _debug(command)
    commands.add_command(group)


@commands.group()
def data() -> None:
    """What can be evaluated."""


@data.command("list")
@_debug
def list_tasks() -> int:
    """List the built-in tasks, what they ask, and where their rows would come from.

    A task whose local file cannot be used is marked, and its error follows the list; the exit code is then 3.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Column, Table

    from equiray.data.tasks.load import describe_tasks

    tasks = describe_tasks()
    attributes = Column("sensitive attributes", overflow="fold")
    table = Table("task", "asks", Column("rows", justify="right"), attributes, "rows come from", box=box.SIMPLE)
    for task in tasks:
        rows = "?" if task.rows is None else f"{task.rows:,}"
        origin = task.origin or "the official site, on first use"
        if task.problem:
            origin = "[red]cannot be used, see below[/red]"
        table.add_row(task.name, task.title, rows, ", ".join(task.attributes), origin)
    Console().print(table)
    for task in tasks:
        click.echo(f"{task.name}: {task.licence}")
        for warning in task.warnings:
            click.echo(click.wrap_text(f"- {warning}", initial_indent="  ", subsequent_indent="    ", width=100))
    problems = dict.fromkeys(str(task.problem) for task in tasks if task.problem)  # a wrong folder is every task's
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    return BadInput.exit_code if problems else 0


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line `argv` (default: the process's own) and exit with one of the codes of `equiray.errors`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        # Outside click's standalone mode its errors and our exit codes pass through here.
        code = commands.main(args=arguments, prog_name="equiray", standalone_mode=False, obj=arguments)
    except click.ClickException as error:
        error.show()
        sys.exit(BadInput.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted: the same command resumes", err=True)
        sys.exit(INTERRUPTED)
    except Exception as error:
        sys.exit(_explain(error, debug="--debug" in arguments))
    sys.exit(code if isinstance(code, int) else 0)


def _explain(error: Exception, *, debug: bool) -> int:
    """Print what went wrong in as few lines as say it; return the exit code."""
    if debug:
        traceback.print_exception(error)
    for cause in _causes(error):
        if isinstance(cause, EquirayError):
            click.echo(f"error: {cause}", err=True)
            return cause.exit_code
        if isinstance(cause, ModuleNotFoundError) and (extra := _EXTRA_OF.get((cause.name or "").partition(".")[0])):
            fix = f"pip install 'equiray[{extra}]'"
            absent = BadInput(f"the package {cause.name} is not installed", place=f"the extra {extra!r}", fix=fix)
            click.echo(f"error: {absent}", err=True)
            return absent.exit_code
    first_line = (str(error).strip().splitlines() or [""])[0]
    hint = "" if debug else " (--debug prints the traceback)"
    click.echo(f"internal error: {type(error).__name__}: {first_line}{hint}", err=True)
    return INTERNAL


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it was raised from; Ray keeps what a worker raised in `cause`, wrapped in its own type."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        inner = getattr(error, "cause", None)
        if isinstance(inner, BaseException):
            yield from _causes(inner)
        yield error
        error = error.__cause__
