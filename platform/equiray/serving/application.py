"""`build`'s other half: from a serving spec to deployments on Ray Serve."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ray import serve
from ray.serve import Application

from equiray.bundles.checking import verify_bundle
from equiray.errors import BadInput
from equiray.serving.deployments.chat import Chat
from equiray.serving.deployments.decider import Decider
from equiray.serving.deployments.gateway import Gateway
from equiray.serving.deployments.watch import Watch
from equiray.serving.watching import on_fail_of, settings_of
from equiray.specs.serving import LiveChatSpec, LiveSpec, ReplicasSpec, ServeSpec, serve_spec

_ONGOING = {"Gateway": 256, "Decider": 128, "Chat": 32, "Watch": 64}
_QUEUED = 1024
_ALONE = ReplicasSpec(cpus=0)


def application(args: Mapping[str, Any]) -> Application:
    """The application of a serving spec.

    Raises
    ------
    BadInput
        A key is wrong, a bundle is not what its manifest says, or a policy cannot be read.
    """
    spec = serve_spec(args)
    check(spec)
    handles: dict[str, Application] = {"watch": _deployment(Watch, "Watch", _ALONE).bind(spec)}
    deciders = {"decider": spec.bundle, "shadow": spec.shadow, "fallback": spec.fallback}
    for role, bundle in deciders.items():
        if bundle is not None:
            made = _deployment(Decider, role.capitalize(), spec.decider, live=LiveSpec().model_dump())
            handles[role] = made.bind(spec, bundle)
    if spec.chat is not None:
        made = _deployment(Chat, "Chat", spec.chat.replicas, live=LiveChatSpec().model_dump())
        handles["chat"] = made.bind(spec.chat)
    return _deployment(serve.ingress()(Gateway), "Gateway", spec.gateway).bind(spec, **handles)


def check(spec: ServeSpec) -> None:
    """Find what is wrong before anything starts."""
    chat = None if spec.chat is None else spec.chat.bundle
    named = {"bundle": spec.bundle, "chat.bundle": chat, "shadow": spec.shadow, "fallback": spec.fallback}
    for place, path in named.items():
        if path is not None and (problems := verify_bundle(Path(path))):
            more = f", and {len(problems) - 1} more problems" if len(problems) > 1 else ""
            fix = "copy the bundle again, or make it again with `equiray bundle`"
            raise BadInput(problems[0] + more, place=f"{place}: {path}", fix=fix)
    settings_of(spec)
    on_fail_of(spec)


def _deployment(
    made_of: type, name: str, replicas: ReplicasSpec, *, live: Mapping[str, Any] | None = None
) -> serve.Deployment:
    """One deployment; `live` is its `user_config`, which serve/config.yaml may change while it runs."""
    ongoing = _ONGOING.get(name, _ONGOING["Decider"])
    counted: dict[str, Any] = {"num_replicas": replicas.least}
    if replicas.most > replicas.least:
        counted = {
            "autoscaling_config": {
                "min_replicas": replicas.least,
                "max_replicas": replicas.most,
                "target_ongoing_requests": max(1, ongoing // 2),
            }
        }
    made = serve.deployment(
        name=name,
        ray_actor_options={"num_cpus": replicas.cpus, "num_gpus": replicas.gpus},
        max_ongoing_requests=ongoing,
        max_queued_requests=_QUEUED,  # beyond that 503 at once, and no pile that nobody will ever work off
        health_check_period_s=5,
        health_check_timeout_s=30,
        graceful_shutdown_timeout_s=20,
        user_config=live,
        **counted,
    )(made_of)
    return cast(serve.Deployment, made)
