"""`build`'s other half: from a serving spec to deployments on Ray Serve."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ray import serve
from ray.serve import Application

from equiray.bundles.checking import verify_bundle
from equiray.errors import BadInput
from equiray.serving.deployments import Decider, Gateway
from equiray.specs.serving import LiveSpec, ReplicasSpec, serve_spec

DECIDER, GATEWAY = "Decider", "Gateway"
_GATEWAY_ONGOING, _DECIDER_ONGOING, _QUEUED = 256, 128, 1024


def application(args: Mapping[str, Any]) -> Application:
    """The application of a serving spec.

    Raises
    ------
    BadInput
        A key is wrong, or a bundle is not what its manifest says.
    """
    spec = serve_spec(args)
    for place, path in (("bundle", spec.bundle), ("shadow", spec.shadow), ("fallback", spec.fallback)):
        if path is not None:
            _check_bundle(Path(path), place)
    decider = _deployment(Decider, DECIDER, spec.decider, _DECIDER_ONGOING, user_config=LiveSpec().model_dump())
    gateway = _deployment(serve.ingress()(Gateway), GATEWAY, spec.gateway, _GATEWAY_ONGOING)
    return gateway.bind(spec, decider.bind(spec))


def _deployment(
    made_of: type, name: str, replicas: ReplicasSpec, ongoing: int, user_config: Mapping[str, Any] | None = None
) -> serve.Deployment:
    counted: dict[str, Any] = {"num_replicas": replicas.least}
    if replicas.most > replicas.least:
        half = max(1, ongoing // 2)
        counted = {
            "autoscaling_config": {
                "min_replicas": replicas.least,
                "max_replicas": replicas.most,
                "target_ongoing_requests": half,
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
        user_config=user_config,
        **counted,
    )(made_of)
    return cast(serve.Deployment, made)


def _check_bundle(path: Path, place: str) -> None:
    if problems := verify_bundle(path):
        more = f", and {len(problems) - 1} more problems" if len(problems) > 1 else ""
        fix = "copy the bundle again, or make it again with `equiray bundle`"
        raise BadInput(problems[0] + more, place=f"{place}: {path}", fix=fix)
