"""The spec.yaml of a directory, whichever kind of work left it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from equiray.runs.audit_spec import AuditSpec, load_audit_spec
from equiray.runs.compare_spec import CompareSpec, load_compare_spec
from equiray.specs.any_run import AnyRunSpec
from equiray.specs.chains import ChainsSpec, load_chains_spec
from equiray.specs.documents import read_mapping
from equiray.specs.fairnet import FairNetSpec, load_fairnet_spec
from equiray.specs.likelihood import load_likelihood_spec
from equiray.specs.open_ended import OpenEndedSpec, load_open_ended_spec
from equiray.specs.reward_run import RewardSpec, load_reward_spec
from equiray.specs.run import load_run_spec
from equiray.specs.sweep import SweepSpec, load_sweep_spec

Spec = AnyRunSpec | AuditSpec | CompareSpec | SweepSpec

_LOADERS: Mapping[str, Callable[[Path], Spec]] = {
    "equiray.audit/1": load_audit_spec,
    "equiray.compare/1": load_compare_spec,
    "equiray.fairnet/1": load_fairnet_spec,
    "equiray.reward/1": load_reward_spec,
    "equiray.chains/1": load_chains_spec,
    "equiray.likelihood/1": load_likelihood_spec,
    "equiray.open_ended/1": load_open_ended_spec,
    "equiray.sweep/1": load_sweep_spec,
}


def load_spec(path: Path) -> Spec:
    """Read the spec.yaml of a run, an audit, a comparison or a sweep; raises BadInput where it is none of them."""
    return _LOADERS.get(str(read_mapping(path, "spec").get("schema")), load_run_spec)(path)


def seeds_of(spec: Spec) -> dict[str, int]:
    """What each seed was used for -> the seed; a comparison draws nothing."""
    if isinstance(spec, FairNetSpec):
        return {f"training {number}": seed for number, seed in enumerate(spec.seeds)}
    if isinstance(spec, RewardSpec | ChainsSpec):
        return {"run": spec.seed, "chains": spec.sampling.seed}
    if isinstance(spec, SweepSpec):
        return {"suggestions": spec.seed}
    if isinstance(spec, OpenEndedSpec):
        return {"prompts": spec.seed, "continuations": spec.sampling.seed}
    return {} if isinstance(spec, CompareSpec) else {"run": spec.seed}
