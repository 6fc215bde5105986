"""`equiray serve`: the application on this machine, until it is interrupted."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

_SCOPES = ("decide", "chat", "outcomes", "audit")
_APPLICATION = "equiray.serving:build"


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--host", help="Where HTTP is bound; another than this machine's own needs --remote.")
@click.option("--port", type=click.IntRange(0, 65535), help="0 takes a free one, which is printed.")
@click.option("--remote", is_flag=True, help="Let other machines reach it: behind a proxy that ends TLS.")
@click.option("--first-key", is_flag=True, help="Make a key where there is none yet, and print it once.")
@click.option("--address", help="Ray cluster to serve on (`auto`); none: this machine.")
def serve(config: Path, host: str | None, port: int | None, remote: bool, first_key: bool, address: str | None) -> None:
    """Serve what CONFIG describes, a file that `serve deploy` takes, too.

    Keys, a body limit, rate limits and the audit log stand before the model; a mode of Ray Serve that leads past them
    is refused.
    """
    from equiray.serving.proxy import CALLBACK

    os.environ |= CALLBACK  # Ray reads it when it is imported, and its processes inherit it
    from equiray.serving.starting import check_start, serving
    from equiray.specs.serve_config import load_serve_config
    from equiray.streaming.cluster import ray_cluster

    loaded = load_serve_config(config, _APPLICATION)
    where: dict[str, Any] = {"host": host or loaded.host, "port": loaded.port if port is None else port}
    check_start(loaded, **where, remote=remote, environ=os.environ)
    with ray_cluster(address, cpus=loaded.spec.cpus), _ended_by_signals(), serving(loaded, **where) as started:
        click.echo(f"serving {started.models} at {started.url}; its API: {started.url}/openapi.json")
        if started.keys == 0 and first_key:
            _say_first_key(loaded.spec.audit.store, started.url)
        elif started.keys == 0:
            click.echo(
                f"no key exists yet: equiray keys create --store {loaded.spec.audit.store} "
                f"--name me --scope {','.join(_SCOPES)}"
            )
        started.wait()


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM ends it as Ctrl-C does. Entered once Ray runs, which has a handler of its own that ends Ray first."""
    for ending in (signal.SIGTERM, signal.SIGINT):  # a script's background job ignores SIGINT unless told otherwise
        signal.signal(ending, signal.default_int_handler)
    yield


def _say_first_key(store: str, url: str) -> None:
    from equiray.serving.guard.keys import KeyStore

    keys = KeyStore.open(store)
    _, secret = keys.create(name="first", scopes=_SCOPES)
    keys.close()
    click.echo(f"a key for you, shown this once: {secret}")
    click.echo(f"  curl -H 'Authorization: Bearer {secret}' {url}/v1/models")
