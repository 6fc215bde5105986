"""Ways to start Ray Serve that would lead requests past the guard, or open it to the network unasked.

The names are those of Ray 2.60 (`ray/serve/_private/constants.py`, `ray/llm/_internal/serve/constants.py`); Ray takes
the value 1 for on, and every other for off.
"""

import ipaddress
from collections.abc import Mapping

from equiray.errors import BadInput

_STREAMING = "RAY_SERVE_LLM_ENABLE_DIRECT_STREAMING"
_HAPROXY = "RAY_SERVE_ENABLE_HA_PROXY"
_DIRECT = "RAY_SERVE_ENABLE_DIRECT_INGRESS"
_THROUGHPUT = "RAY_SERVE_THROUGHPUT_OPTIMIZED"

_WHY = {
    _STREAMING: "the engine's own HTTP server would answer clients: no key, no limit, no vote, and no audit record",
    _HAPROXY: "HAProxy reaches replicas past Ray Serve's proxy, and opens their ports on every network interface, "
    "whatever host is named",
    _DIRECT: "every replica would open a port of its own (from 30000) that nobody named, past Ray Serve's proxy and "
    "its timeouts",
    _THROUGHPUT: f"it turns {_DIRECT} on: every replica would open a port of its own (from 30000) past the proxy",
}


def check_start_modes(environ: Mapping[str, str], host: str | None, *, remote: bool = False) -> None:
    """Refuse to start where the guard could be bypassed.

    Call it wherever the environment counts: where the application is built, and in each replica, whose environment is
    that of its node and may have the mode on where the first has not.

    Parameters
    ----------
    environ : mapping
        `os.environ`.
    host : str or None
        Where HTTP is to be bound; None in a replica, which does not know.
    remote : bool
        Whether somebody has said that other machines may reach it.

    Raises
    ------
    BadInput
        A mode is on that bypasses the guard, or the host is none of this machine alone; says why, and what to do.
    """
    for variable, why in _WHY.items():
        if not _on(environ, variable) or (variable == _THROUGHPUT and environ.get(_DIRECT, "1") != "1"):
            continue
        fix = f"unset {variable} and restart Ray on every node"
        if variable == _THROUGHPUT:
            fix += f", or set {_DIRECT}=0 beside it"
        raise BadInput(f"{variable}=1 bypasses the guard: {why}", place="the environment", fix=fix)
    if host is not None and not remote and not _loopback(host):
        raise BadInput(
            f"host {host} is open to other machines, and keys would cross the network in plain HTTP",
            place="http_options.host",
            fix="bind 127.0.0.1 behind a proxy that ends TLS; or allow it by name (`remote: true`)",
        )


def _on(environ: Mapping[str, str], variable: str) -> bool:
    return environ.get(variable) == "1"


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name; an empty one means every interface
        return host == "localhost"
