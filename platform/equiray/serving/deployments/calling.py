"""How one deployment asks another."""

from typing import Any

from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from equiray.serving.guard.refusals import RETRY_SOON_S, Refused


async def asked_of(response: Any) -> Any:
    """What a deployment says.

    Raises
    ------
    Refused
        503: it is overloaded, dies or restarts. Or as it refuses: refusals are returned, for Ray would wrap them.
    """
    try:
        found = await response
    except (RayError, RayServeException) as error:
        message = "the model cannot be reached now; try again"
        raise Refused(503, "model_unavailable", message, retry_after=RETRY_SOON_S) from error
    if isinstance(found, Refused):
        raise found
    return found
