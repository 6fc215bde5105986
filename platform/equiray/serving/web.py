"""The web application: every route behind the guard. Runs under any ASGI server; Ray Serve gives it its models."""

from fastapi import FastAPI

from equiray import __version__
from equiray.serving.chat.routes import chat_router
from equiray.serving.decisions.routes import router as decisions
from equiray.serving.guard.admission import Limiter, RequestLimits, guarded, protect
from equiray.serving.guard.keys import KeyStore
from equiray.serving.routes import OPEN_PATHS
from equiray.serving.routes import router as others
from equiray.serving.services import Services
from equiray.specs.serving import RequestLimitsSpec


def make_app(services: Services, keys: KeyStore, limiter: Limiter, limits: RequestLimitsSpec) -> FastAPI:
    """The application of one process.

    Parameters
    ----------
    services : Services
    keys : KeyStore
    limiter : Limiter
        Shared by all processes.
    limits : RequestLimitsSpec
    """
    app = FastAPI(
        title="equiray",
        version=__version__,
        summary="Decisions about people, audited and watched",
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
    )
    app.state.services, app.state.keys, app.state.limiter = services, keys, limiter
    app.state.request_limits = RequestLimits(rows=limits.rows, tokens=limits.tokens)
    if services.decide is not None:
        app.include_router(decisions)
    if services.chat is not None:
        chat = chat_router(
            services.chat.answer,
            guard=guarded("chat"),
            log=services.log,
            model=services.chat.model,
            request_key=services.request_key,
            plain_prompts=services.keep_rows,
        )
        app.include_router(chat)
    app.include_router(others)
    protect(app, open_paths=OPEN_PATHS, body_bytes=int(limits.body_mib * 2**20), timeout_s=limits.timeout_s)
    return app
