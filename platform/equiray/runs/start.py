"""`equiray run`: the start of what a spec describes."""

from pathlib import Path

from equiray.policies import Judgement, NamedPolicy
from equiray.specs.any_run import AnyRunSpec
from equiray.specs.chains import ChainsSpec
from equiray.specs.fairnet import FairNetSpec
from equiray.specs.likelihood import LikelihoodSpec
from equiray.specs.open_ended import OpenEndedSpec
from equiray.specs.reward_run import RewardSpec


def start(
    spec: AnyRunSpec, out: Path, *, policy: NamedPolicy | None, address: str | None, command: str
) -> Judgement | None:
    """Run a spec that is known to be good; torch is imported here and not before."""
    if isinstance(spec, RewardSpec):
        from equiray.runs.reward import run_reward

        run_reward(spec, out, policy=policy, address=address, command=command)
        return None
    if isinstance(spec, ChainsSpec):
        from equiray.runs.chains import run_chains

        return run_chains(spec, out, policy=policy, address=address, command=command)
    if isinstance(spec, LikelihoodSpec):
        from equiray.runs.likelihood import run_likelihood

        return run_likelihood(spec, out, policy=policy, command=command)
    if isinstance(spec, OpenEndedSpec):
        from equiray.runs.open_ended import run_open_ended

        run_open_ended(spec, out, policy=policy, address=address, command=command)
        return None
    if isinstance(spec, FairNetSpec):
        from equiray.runs.fairnet import run_fairnet

        return run_fairnet(spec, out, policy=policy, address=address, command=command)
    from equiray.runs.evaluation import run_evaluation

    return run_evaluation(spec, out, policy=policy, address=address, command=command)
