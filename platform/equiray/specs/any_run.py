"""What `equiray run` takes: evaluations, corrections, reward models, decisions, preferences, open-ended text."""

from collections.abc import Callable, Mapping
from pathlib import Path

from equiray.specs.chains import ChainsSpec, load_chains_spec
from equiray.specs.documents import read_mapping
from equiray.specs.fairnet import FairNetSpec, load_fairnet_spec
from equiray.specs.likelihood import LikelihoodSpec, load_likelihood_spec
from equiray.specs.open_ended import OpenEndedSpec, load_open_ended_spec
from equiray.specs.reward_run import RewardSpec, load_reward_spec
from equiray.specs.run import RunSpec, load_run_spec

AnyRunSpec = RunSpec | FairNetSpec | RewardSpec | ChainsSpec | LikelihoodSpec | OpenEndedSpec
"""What `equiray run` can be given."""

_LOADERS: Mapping[str, Callable[[Path, tuple[str, ...]], AnyRunSpec]] = {
    "equiray.fairnet/1": load_fairnet_spec,
    "equiray.reward/1": load_reward_spec,
    "equiray.chains/1": load_chains_spec,
    "equiray.likelihood/1": load_likelihood_spec,
    "equiray.open_ended/1": load_open_ended_spec,
}


def load_any_spec(path: Path, overrides: tuple[str, ...] = ()) -> AnyRunSpec:
    """Read a spec by its ``schema``; raises BadInput as `load_run_spec` and the others do."""
    schema = str(read_mapping(path, "spec").get("schema"))
    return _LOADERS.get(schema, load_run_spec)(path, overrides)
