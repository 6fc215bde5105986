"""A body that cannot be read, as a 400 that names its parameter (other endpoints answer 422, OpenAI's do not)."""

import re
from collections.abc import Callable, Coroutine
from itertools import takewhile
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError

from equiray.serving.guard.bodies import StrictRoute
from equiray.serving.guard.refusals import Refused

_NAMED = re.compile(r"`(\w+)`")
_LONGEST = 100  # characters of a caller's own name that a message repeats


class ChatRoute(StrictRoute):
    """A route that refuses bodies as OpenAI's endpoints do: `APIRouter(route_class=ChatRoute)`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The strict handler, its complaints as 400."""
        handler = super().get_route_handler()

        async def refusing(request: Request) -> Response:
            try:
                return await handler(request)
            except RequestValidationError as error:
                raise refused(error.errors()[0]) from error

        return refusing


def refused(problem: Any) -> Refused:
    """The first complaint of pydantic about a request."""
    kind, place, said = problem["type"], problem["loc"], str(problem["msg"]).removeprefix("Value error, ")
    if kind == "json_invalid":
        return Refused(400, "invalid_json", "the body is not JSON (RFC 8259) in UTF-8")
    if len(place) < 2:
        if kind == "value_error":
            named = _NAMED.search(said)
            return Refused(400, "invalid_value", said, param=named[1] if named else None)
        return Refused(400, "invalid_body", "send a JSON object, with the header `Content-Type: application/json`")
    if kind == "extra_forbidden":
        param = ".".join(_shown(part) for part in place[1:])
        return Refused(400, "unsupported_parameter", f"`{param}` is not supported here: leave it out", param=param)
    param = ".".join(_shown(part) for part in takewhile(_is_key, place[1:])) or _shown(place[1])
    if kind == "missing":
        return Refused(400, "missing_parameter", f"`{param}` is missing", param=param)
    return Refused(400, "invalid_value", f"`{param}`: {said[:1].lower()}{said[1:]}", param=param)


def _is_key(part: str | int) -> bool:
    """Not the name of one of several types that pydantic has tried."""
    return isinstance(part, int) or (part.replace("-", "").isidentifier() and part not in ("str", "constrained-str"))


def _shown(part: str | int) -> str:
    return str(part)[:_LONGEST]
