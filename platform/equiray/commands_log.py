"""`equiray log`: what an operator does with an audit log; and `equiray verify --audit`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from equiray.errors import BadInput

if TYPE_CHECKING:
    from equiray.serving.audit import AuditLog
    from equiray.serving.audit.retention import Erased

PROBLEMS = 1
"""Exit code where a log is not what was written."""
_TERMINAL_LINES = 20

_folder = click.Path(path_type=Path, file_okay=False)
_url = click.option(
    "--store",
    "url",
    required=True,
    envvar="EQUIRAY_STORE",
    metavar="URL",
    help="The log's database; $EQUIRAY_STORE.",
)
_keys = click.option(
    "--keys", type=_folder, help="Folder of audit.key and checkpoint.key, unless the variables are set."
)
_checkpoints = click.option("--checkpoints", type=_folder, help="Folder of the signed checkpoints.")


@click.group()
def log() -> None:
    """The audit log of a service: export it, and erase what is personal."""


@log.command()
@_url
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="A new Parquet file.")
@click.option("--after", type=click.IntRange(min=0), default=0, show_default=True, help="Records after this number.")
@click.option("--key-id", help="Records of this key only.")
@click.option("--kind", "kinds", multiple=True, help="Records of this kind only; may be repeated.")
@click.option("--payloads/--no-payloads", default=True, show_default=True, help="With what is personal, or without.")
def export(url: str, out: Path, after: int, key_id: str | None, kinds: tuple[str, ...], payloads: bool) -> None:
    """Write records as a Parquet file; its bodies are the texts that the macs cover."""
    from equiray.serving.audit.export import export_log

    out = out.expanduser()
    count = export_log(url, out, after=after, key_id=key_id, kinds=kinds, with_payloads=payloads)
    click.echo(f"done: {out} ({count:,} records)")


@log.command()
@_url
@click.option("--days", required=True, type=float, help="Payloads of older records go.")
@_keys
@_checkpoints
def retain(url: str, days: float, keys: Path | None, checkpoints: Path | None) -> None:
    """Erase the payloads of records older than some days; the records stay, and one says what was erased."""
    from equiray.serving.audit import retention

    opened = _opened(url, keys, checkpoints)
    try:
        _say(retention.retain(opened, days))
    finally:
        opened.close()


@log.command()
@_url
@click.argument("record_ids", nargs=-1, metavar="[RECORD_ID]...")
@click.option("--key-id", help="The payloads of all records of this key.")
@_keys
@_checkpoints
def erase(
    url: str, record_ids: tuple[str, ...], key_id: str | None, keys: Path | None, checkpoints: Path | None
) -> None:
    """Erase the payloads of named records, or of a key; the records stay, and one says what was erased."""
    from equiray.serving.audit import retention

    if bool(record_ids) == (key_id is not None):
        raise BadInput("nothing to erase, or two things", place="erase", fix="give record ids, or --key-id KEY_ID")
    opened = _opened(url, keys, checkpoints)
    try:
        _say(retention.erase_key(opened, key_id) if key_id is not None else retention.erase_records(opened, record_ids))
    finally:
        opened.close()


@log.command()
@_url
@click.argument("version")
@click.option("--reason", required=True, help="Why; it stays in the log.")
@_keys
@_checkpoints
def accept(url: str, version: str, reason: str, keys: Path | None, checkpoints: Path | None) -> None:
    """Let model VERSION answer again though a live bound of it has failed: somebody's decision, which is recorded."""
    from equiray.serving.audit import Entry
    from equiray.serving.audit.retention import OPERATOR

    opened = _opened(url, keys, checkpoints)
    try:
        body = {"monitor": "accept", "model_version": version, "reason": reason}
        entry = Entry(kind="admin", key_id=OPERATOR, model_version=version, body=body)
        click.echo(f"done: {version} is accepted, as record {opened.append(entry).result().seq:,} says")
    finally:
        opened.close()


def _opened(url: str, keys: Path | None, checkpoints: Path | None) -> "AuditLog":
    from equiray.serving.audit import AuditLog
    from equiray.serving.audit.database import Database
    from equiray.serving.audit.keys import DEFAULT_FOLDER, load_key

    folder = keys or DEFAULT_FOLDER
    place = Database(url)
    if place.missing_tables():
        raise BadInput("no audit log", place=place.place, fix="name the database that the service writes")
    signing = None if checkpoints is None else load_key("checkpoint", folder)
    return AuditLog.open(url, key=load_key("audit", folder), checkpoints=checkpoints, checkpoint_key=signing)


def _say(erased: "Erased") -> None:
    if not erased.payloads:
        click.echo("nothing to erase")
        return
    listed = ", ".join(f"{seq:,}" for seq in erased.said_by[:6]) + (" ..." if len(erased.said_by) > 6 else "")
    click.echo(f"done: {erased.payloads:,} payloads erased, as record {listed} says; backups keep theirs")
    if not erased.overwritten:
        click.echo("a reader keeps some of their bytes in the database's files: they go when it has ended")


def verify_audit(url: str, *, keys: Path | None, checkpoints: Path | None) -> int:
    """Say what in a log is not what was written, and what cannot be seen; return the exit code."""
    from equiray.serving.audit import verify_log
    from equiray.serving.audit.keys import DEFAULT_FOLDER, load_key

    folder = keys or DEFAULT_FOLDER
    signing = None if checkpoints is None else load_key("checkpoint", folder)
    found = verify_log(url, key=load_key("audit", folder), checkpoints=checkpoints, checkpoint_key=signing)
    for problem in found.problems[:_TERMINAL_LINES]:
        click.echo(f"problem      {problem.message}")
    for unseen in found.unseen:
        click.echo(f"not seen     {unseen}")
    counted = f"{found.length:,} records, {found.erased:,} erased payloads, {found.checkpoints:,} checkpoints"
    if found.last_checkpoint is not None:
        click.echo(f"the last checkpoint is of record {found.last_checkpoint.length:,}, at {found.last_checkpoint.at}")
    if found.problems:
        click.secho(f"{len(found.problems)} problems: the log is not what was written ({counted})", bold=True)
        return PROBLEMS
    click.echo(f"{counted}: each is what was written, in its place")
    return 0
