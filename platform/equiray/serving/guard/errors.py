"""Refusals: one exception, one error document, for every endpoint.

The document has the shape of OpenAI's errors, so that the official client raises its own types. What an answer says is
written here or by the one who refuses: never an exception's text, never a traceback.
"""

import logging
import secrets
from collections.abc import Sequence
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from equiray.serving.guard.refusals import RETRY_SOON_S, Refused, refusal_document

_LOG = logging.getLogger(__name__)


class ErrorDetail(BaseModel):
    """What is wrong: `message` for people, `code` for programs, `param` the place in the body."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorDocument(BaseModel):
    """The body of every refusal."""

    error: ErrorDetail


def _documented(description: str, **headers: str) -> dict[str, Any]:
    said = {
        name.replace("_", "-"): {"description": text, "schema": {"type": "string"}} for name, text in headers.items()
    }
    return {"model": ErrorDocument, "description": description, "headers": said}


REFUSALS: dict[int | str, dict[str, Any]] = {
    400: _documented("The body is not JSON, or headers are too large."),
    401: _documented("No key, or one that is unknown, expired or revoked.", WWW_Authenticate="Bearer"),
    403: _documented("The key has not the scope that this needs."),
    413: _documented("Too many bytes, rows or tokens at once."),
    422: _documented("A value in the body cannot be used; `param` is its place."),
    429: _documented("Over the key's rate limit or quota.", Retry_After="Seconds until it lets the request through."),
    503: _documented("No answer now.", Retry_After="Seconds until another attempt makes sense."),
}
"""For the OpenAPI document of every guarded route: `APIRouter(responses=REFUSALS)`."""

_NAMED_PROBLEMS = 3  # of a body with many: enough to mend it, not a page


def refusal_response(refused: Refused) -> JSONResponse:
    """The answer that a refusal is: its document and headers."""
    headers = {"Cache-Control": "no-store"}
    if refused.status == 401:
        # RFC 6750, section 3: the error attribute only where a key was sent
        sent = "" if refused.code == "missing_api_key" else ', error="invalid_token"'
        headers["WWW-Authenticate"] = f'Bearer realm="equiray"{sent}'
    if refused.retry_after is not None:
        headers["Retry-After"] = str(refused.retry_after)
    if refused.status == 401 or refused.code == "body_too_large":
        headers["Connection"] = "close"  # else a server reads on and on what nobody will look at
    return JSONResponse(refusal_document(refused), refused.status, headers)


def unexpected(error: BaseException) -> Refused:
    """Log an error that nobody foresaw under a fresh id; the answer names the id alone."""
    error_id = f"err_{secrets.token_hex(8)}"
    _LOG.error("unexpected error %s", error_id, exc_info=error)
    return Refused(
        503, "internal_error", f"the request failed; the server's log has the reason under {error_id}",
        retry_after=RETRY_SOON_S,
    )  # fmt: skip


def install_handlers(app: FastAPI) -> None:
    """Give every error that an app's routes may raise the one shape."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)


async def _refused(_: Request, error: Exception) -> JSONResponse:
    return refusal_response(cast(Refused, error))


async def _http_error(_: Request, error: Exception) -> JSONResponse:
    error = cast(HTTPException, error)
    if isinstance(error.__cause__, Refused):  # FastAPI turns what reading a body raises into a bare 400
        return refusal_response(error.__cause__)
    if error.status_code >= 500:
        return refusal_response(unexpected(error))
    code, message = {
        400: ("invalid_body", "the body cannot be read; send JSON in UTF-8"),
        404: ("not_found", "there is nothing at this path; /openapi.json lists what is"),
        405: ("method_not_allowed", "this path does not take this method; /openapi.json lists which it takes"),
    }.get(error.status_code, ("refused", "the request is refused"))
    answer = refusal_response(Refused(error.status_code, code, message))
    answer.headers.update(error.headers or {})  # `Allow` of a 405
    return answer


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    problems: Sequence[Any] = cast(RequestValidationError, error).errors()
    if any(problem["type"] == "json_invalid" for problem in problems):
        return refusal_response(Refused(400, "invalid_json", "the body is not JSON (RFC 8259) in UTF-8"))
    named = [f"{_place(problem['loc'])}: {problem['msg']}" for problem in problems[:_NAMED_PROBLEMS]]
    if more := len(problems) - len(named):
        named.append(f"and {more} more")
    param = _place(problems[0]["loc"]) if problems else None
    return refusal_response(Refused(422, "invalid_value", "; ".join(named), param=param))


def _place(loc: Sequence[str | int]) -> str:
    """`rows.3.age` of ("body", "rows", 3, "age"): a path in the body, as the sender knows it."""
    parts = loc[1:] if len(loc) > 1 else loc
    return ".".join(str(part)[:100] for part in parts)
