"""`equiray run`: which kind of run a spec describes, and its start."""

from pathlib import Path

from equiray.documents import read_mapping
from equiray.fairnet_spec import FairNetSpec, load_fairnet_spec
from equiray.policies import Judgement, NamedPolicy
from equiray.specs import RunSpec, load_run_spec


def load_any_spec(path: Path, overrides: tuple[str, ...] = ()) -> RunSpec | FairNetSpec:
    """Read a spec by its ``schema``; raises BadInput as `load_run_spec` and `load_fairnet_spec` do."""
    if read_mapping(path, "spec").get("schema") == "equiray.fairnet/1":
        return load_fairnet_spec(path, overrides)
    return load_run_spec(path, overrides)


def start(
    spec: RunSpec | FairNetSpec, out: Path, *, policy: NamedPolicy | None, address: str | None, command: str
) -> Judgement | None:
    """Run a spec that is known to be good; torch is imported here and not before."""
    if isinstance(spec, FairNetSpec):
        from equiray.runs.fairnet import run_fairnet

        return run_fairnet(spec, out, policy=policy, command=command)
    from equiray.runs.evaluation import run_evaluation

    return run_evaluation(spec, out, policy=policy, address=address, command=command)
