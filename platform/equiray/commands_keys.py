"""`equiray keys`: who may use the endpoint, for what, how much, and until when."""

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from equiray.serving.guard.keys import KeyStore

_SCOPES = "decide, chat, outcomes, audit, admin"
_HOURS = {"h": 1, "d": 24, "w": 168}
_MOST_HOURS = 24 * 36_525

_store = click.option(
    "--store", required=True, envvar="EQUIRAY_STORE", metavar="URL",
    help="The audit log's database: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME  [env: EQUIRAY_STORE]",
)  # fmt: skip


class _Duration(click.ParamType):
    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        found = re.fullmatch(r"([1-9][0-9]{0,6})([hdw])", str(value))
        hours = int(found[1]) * _HOURS[found[2]] if found else 0
        if not 0 < hours <= _MOST_HOURS:
            self.fail(f"{value!r} is no time until then: write 12h, 90d or 52w", param, ctx)
        return timedelta(hours=hours)


_count = click.IntRange(min=1)


@click.group()
def keys() -> None:
    """Make, list and revoke the keys of the endpoint."""


@keys.command("create")
@click.option("--name", required=True, help="Whose it is, for people; it stands in `keys list`.")
@click.option("--scope", required=True, metavar="SCOPE,...", help=f"What it may do, some of: {_SCOPES}.")
@click.option("--expires", type=_Duration(), help="Until when: 12h, 90d, 52w.  [default: until it is revoked]")
@click.option("--requests-per-minute", type=_count, help="A minute's worth may come at once.  [default: no limit]")
@click.option("--rows-per-minute", type=_count, help="Rows to decide.  [default: no limit]")
@click.option("--tokens-per-day", type=_count, help="Tokens of chat, by days of UTC.  [default: no limit]")
@_store
def create(
    name: str,
    scope: str,
    expires: timedelta | None,
    requests_per_minute: int | None,
    rows_per_minute: int | None,
    tokens_per_day: int | None,
    store: str,
) -> None:
    """Make a key. Its secret is printed to standard output, once; the database holds a hash of it alone."""
    opened = _open(store, create=True)
    from equiray.serving.guard.keys import REFRESH_S
    from equiray.serving.guard.limits import Limits

    limits = Limits(
        requests_per_minute=requests_per_minute, rows_per_minute=rows_per_minute, tokens_per_day=tokens_per_day
    )
    scopes = [part.strip() for part in scope.split(",")]
    key, secret = opened.create(name=name, scopes=scopes, limits=limits, expires_in=expires)
    until = f"until {key.expires_at:%Y-%m-%d %H:%M} UTC" if key.expires_at else "until it is revoked"
    click.echo(f"key {key.key_id}: {', '.join(sorted(key.scopes))}; {until}", err=True)
    click.echo(f"running servers take it within {REFRESH_S:g} s; its secret is shown this once:", err=True)
    click.echo(secret)


@keys.command("list")
@_store
def list_keys(store: str) -> None:
    """List every key that was made, oldest first; secrets cannot be listed."""
    from datetime import UTC, datetime

    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    now = datetime.now(UTC)
    columns = ("key id", "status", "expires", "scopes", "limits")
    table = Table(*columns, Column("name", overflow="fold"), box=box.SIMPLE)
    for key in _open(store).list():
        limits = "\n".join(f"{limit} {name.replace('_', ' ')}" for name, limit in key.limits.as_row().items() if limit)
        until = f"{key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else "-"
        scopes = "\n".join(sorted(key.scopes))
        table.add_row(key.key_id, key.status(now), until, scopes, limits or "-", escape(key.name))
    Console().print(table)


@keys.command("revoke")
@click.argument("key_id")
@_store
def revoke(key_id: str, store: str) -> None:
    """End the key KEY_ID (`equiray keys list` lists the ids) for good."""
    key = _open(store).revoke(key_id)
    from equiray.serving.guard.keys import REVOKED_WITHIN_S

    click.echo(f"revoked at {key.revoked_at:%Y-%m-%d %H:%M:%S} UTC: {key.key_id} ({key.name})")
    click.echo(f"every server refuses it within {REVOKED_WITHIN_S:g} s")


def _open(store: str, *, create: bool = False) -> "KeyStore":
    from equiray.errors import BadInput

    try:
        from equiray.serving.guard.keys import KeyStore
    except ModuleNotFoundError as error:
        raise BadInput(
            f"{error.name} is not installed", place="this environment", fix="pip install 'equiray[serve]'"
        ) from error
    return KeyStore.open(store, create=create)
