"""What a refusal is: a status, a code that programs read, a message that people read.

Apart from the answers (`errors`), so that keys and limits can refuse without a web framework.
"""

from typing import Any

RETRY_SOON_S = 1
"""Seconds after which a 503 may be tried again."""

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error", 503: "service_unavailable"}


class Refused(Exception):
    """A request that is not answered, and why.

    Parameters
    ----------
    status : int
        400, 401, 403, 404, 405, 409, 413, 422, 429 or 503.
    code : str
        Stable word for programs: `rate_limit_exceeded`.
    message : str
        What is wrong and what to do. It is sent: nothing of the server's inside belongs in it.
    param : str or None
        The place in the body that is meant: `rows.3.age`.
    retry_after : int or None
        Seconds; every 429 and 503 has one.
    """

    def __init__(
        self, status: int, code: str, message: str, *, param: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        assert retry_after is not None or status not in (429, 503), f"{status} says when to try again"
        self.status, self.code, self.message = status, code, message
        self.param, self.retry_after = param, retry_after

    def __reduce__(self):  # a refusal may come back from a Ray actor
        return _rebuild, (self.status, self.code, self.message, self.param, self.retry_after)


def _rebuild(status: int, code: str, message: str, param: str | None, retry_after: int | None) -> Refused:
    return Refused(status, code, message, param=param, retry_after=retry_after)


def refusal_document(refused: Refused) -> dict[str, Any]:
    """The error document: OpenAI's shape, on every endpoint."""
    kind = _TYPES.get(refused.status, "invalid_request_error")
    return {"error": {"message": refused.message, "type": kind, "param": refused.param, "code": refused.code}}
