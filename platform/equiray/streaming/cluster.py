"""The one place where Ray is started or joined; only what was started here is shut down."""

import logging
import math
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from equiray.errors import BadInput

_OBJECT_STORE_BYTES = 512 * 2**20


@contextmanager
def ray_cluster(address: str | None, *, cpus: float, shared_bytes: int = 0) -> Iterator[None]:
    """Ray, for as long as the context lasts: the one this process is in already, one at `address`, or its own.

    Parameters
    ----------
    address : str or None
        As for `ray.init`: ``auto``, ``HOST:6379``. None starts Ray on this machine for this process alone.
    cpus : float
        What the actors take. Ray of our own gets at least one CPU more, else the tasks that feed them never start.

    shared_bytes : int
        What the caller puts into the object store to stay there; Ray of our own gets room for it.

    Raises
    ------
    BadInput
        No cluster answers at the address.
    """
    _settle_authentication()
    import ray

    if ray.is_initialized():
        yield
        return
    try:
        if address is None:
            _start_here(cpus, shared_bytes)
        else:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise BadInput(
            f"no Ray cluster answers: {str(error).splitlines()[0]}",
            place=f"address {address!r}",
            fix="start one with `ray start --head`, mend the address, or check RAY_AUTH_MODE and the token",
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _start_here(cpus: float, shared_bytes: int) -> None:
    import ray

    # The sum may exceed the machine's cores: it counts for scheduling only, threads are set by each actor.
    ray.init(
        address="local",  # never join a cluster that someone else runs on this machine
        num_cpus=max(os.cpu_count() or 1, math.ceil(cpus) + 1),
        object_store_memory=_OBJECT_STORE_BYTES + 2 * shared_bytes,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )


def _settle_authentication() -> None:
    """Choose a mode where the user chose none: Ray's default depends on whether a token file happens to exist.

    Ray reads the variables once, when it is first imported; later they are left alone.
    """
    if "ray" in sys.modules:
        return
    if os.environ.setdefault("RAY_AUTH_MODE", "token") == "token":
        token_file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
        if "RAY_AUTH_TOKEN" not in os.environ and not token_file.exists():
            os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
