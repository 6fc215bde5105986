"""What `equiray run` and `equiray submit` take: the YAML of an evaluation, or of a FairNet correction."""

from pathlib import Path

from equiray.documents import read_mapping
from equiray.fairnet_spec import FairNetSpec, load_fairnet_spec
from equiray.specs import RunSpec, load_run_spec

AnyRunSpec = RunSpec | FairNetSpec
"""What leaves predictions by task, model and stage."""


def load_any_spec(path: Path, overrides: tuple[str, ...] = ()) -> AnyRunSpec:
    """Read a spec by its ``schema``; raises BadInput as `load_run_spec` and `load_fairnet_spec` do."""
    if read_mapping(path, "spec").get("schema") == "equiray.fairnet/1":
        return load_fairnet_spec(path, overrides)
    return load_run_spec(path, overrides)
