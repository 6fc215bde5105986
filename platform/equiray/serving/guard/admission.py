"""Who comes in: a key for every path that is not open, a scope for every route.

Notable: the key is checked before a byte of the body is read, and a path that no list names needs one: a route whose
author forgot `guarded` still answers only to keys.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from fastapi import FastAPI, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.types import ASGIApp, Receive, Scope, Send

from equiray.serving.guard.bodies import BODY_BYTES, BodyLimit
from equiray.serving.guard.deadlines import Deadline
from equiray.serving.guard.errors import install_handlers, refusal_response
from equiray.serving.guard.key_rows import Key
from equiray.serving.guard.keys import SCOPES
from equiray.serving.guard.refusals import Refused

_CALLER = "equiray.caller"  # where in the ASGI scope


class Limiter(Protocol):
    """What keeps a key within its limits, over all replicas."""

    async def take(self, key: Key, *, requests: int = 0, rows: int = 0, tokens: int = 0) -> int:
        """Use so much, or raise Refused: 429, 413 where it can never fit, 503 where nobody can tell.

        Returns the day for which tokens count.
        """
        ...

    def give_back(self, key: Key, *, tokens: int, day: int) -> None:
        """Return tokens that were taken on a day and not used."""
        ...


@dataclass(frozen=True, kw_only=True)
class RequestLimits:
    """What one request may ask for, whoever sends it."""

    rows: int = 5_000
    tokens: int = 65_536


@dataclass(kw_only=True)
class Caller:
    """Whoever sent a request: what a route receives from `guarded`."""

    key: Key
    limiter: Limiter
    request_limits: RequestLimits
    _day: int = field(default=0, init=False)  # for which its tokens count

    async def take(self, *, rows: int = 0, tokens: int = 0) -> None:
        """Count rows or tokens against the request's limits, then the key's; call it before any work.

        Raises
        ------
        Refused
            413 for a request that is too large, 429 over the key's limits, 503 where the limiter cannot be reached.
        """
        most = self.request_limits
        asked = (("rows", rows, most.rows, "rows"), ("tokens", tokens, most.tokens, "max_tokens"))
        for name, amount, limit, param in asked:
            if amount > limit:
                message = f"{amount} {name} at once; at most {limit} are taken"
                raise Refused(413, f"too_many_{name}", message, param=param)
        self._day = await self.limiter.take(self.key, rows=rows, tokens=tokens)

    def give_back(self, *, tokens: int) -> None:
        """Return tokens of the last `take` that were not used, as of a text that ended early."""
        self.limiter.give_back(self.key, tokens=tokens, day=self._day)


class _Guarded(SecurityBase):
    """The dependency that `guarded` makes; as a security scheme, so that the OpenAPI document names it."""

    def __init__(self, scopes: Collection[str]) -> None:
        unknown = set(scopes) - set(SCOPES)
        assert not unknown, f"no such scope: {unknown}"
        self._scopes = frozenset(scopes)
        self.model = HTTPBearer(bearerFormat="eqr_<key id>_<secret>", description="A key: `equiray keys create`.")
        self.scheme_name = "key"

    async def __call__(self, request: Request) -> Caller:
        caller = request.scope.get(_CALLER) or await _admit(request.scope)
        if self._scopes and not self._scopes & caller.key.scopes:
            needed = " or ".join(sorted(self._scopes))
            raise Refused(403, "scope_missing", f"this needs a key with the scope {needed}")
        return caller


def guarded(*scopes: str) -> _Guarded:
    """What a route depends on: a key with any of these scopes; with none named, any key.

    Use it as ``caller: Annotated[Caller, Depends(guarded("decide"))]``. It reads `keys`, `limiter` and `request_limits`
    from `app.state`.
    """
    return _Guarded(scopes)


class Admission:
    """Middleware: 401 without a valid key, 429 over the key's requests, before the body is read.

    Parameters
    ----------
    app : ASGI application
    open_paths : collection of str
        Paths that need no key.
    """

    def __init__(self, app: ASGIApp, *, open_paths: Collection[str] = ()) -> None:
        self._app, self._open_paths = app, frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _path(scope) not in self._open_paths:
            try:
                await _admit(scope)
            except Refused as refused:
                return await refusal_response(refused)(scope, receive, send)
        return await self._app(scope, receive, send)


def protect(app: FastAPI, *, open_paths: Collection[str], body_bytes: int = BODY_BYTES, timeout_s: float = 60) -> None:
    """Put the guard around an app: deadline, body limit, admission, error documents.

    Parameters
    ----------
    app : FastAPI
        Its state gets `keys`, `limiter` and `request_limits` before the first request.
    open_paths : collection of str
        Paths that need no key: `/healthz`.
    body_bytes : int
        Largest body.
    timeout_s : float
        Seconds until a request is given up with 503, its answer's last byte included.
    """
    install_handlers(app)
    app.add_middleware(Admission, open_paths=frozenset(open_paths))  # the last one added is the outermost
    app.add_middleware(BodyLimit, limit=body_bytes)
    app.add_middleware(Deadline, timeout_s=timeout_s)


async def _admit(scope: Scope) -> Caller:
    """Check the key of a request, count the request, and leave the caller for the route."""
    state = scope["app"].state
    key = state.keys.authenticate(_bearer(scope))
    caller = Caller(key=key, limiter=state.limiter, request_limits=state.request_limits)
    await state.limiter.take(key, requests=1)
    scope[_CALLER] = caller
    return caller


def _bearer(scope: Scope) -> str:
    sent = [value for name, value in scope["headers"] if name == b"authorization"]
    scheme, _, secret = sent[0].decode("latin-1").partition(" ") if len(sent) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not secret:
        raise Refused(401, "missing_api_key", "no key was sent; send one header `Authorization: Bearer eqr_...`")
    return secret.strip()


def _path(scope: Scope) -> str:
    return scope["path"].removeprefix(scope.get("root_path", ""))
