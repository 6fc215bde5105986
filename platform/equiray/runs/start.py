"""`equiray run`: the start of what a spec describes, an evaluation or a FairNet correction."""

from pathlib import Path

from equiray.any_spec import AnyRunSpec
from equiray.fairnet_spec import FairNetSpec
from equiray.policies import Judgement, NamedPolicy


def start(
    spec: AnyRunSpec, out: Path, *, policy: NamedPolicy | None, address: str | None, command: str
) -> Judgement | None:
    """Run a spec that is known to be good; torch is imported here and not before."""
    if isinstance(spec, FairNetSpec):
        from equiray.runs.fairnet import run_fairnet

        return run_fairnet(spec, out, policy=policy, address=address, command=command)
    from equiray.runs.evaluation import run_evaluation

    return run_evaluation(spec, out, policy=policy, address=address, command=command)
