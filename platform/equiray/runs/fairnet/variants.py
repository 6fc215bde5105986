"""FairNet less a part of it (ablations), and FairNet under conditions that it was not made for (stress)."""

from collections.abc import Sequence
from typing import Any

from equiray.fairnet_spec import FairNetSpec
from equiray.runs.directory import RunDirectory
from equiray.runs.fairnet.lower import TaskStates
from equiray.runs.fairnet.seed import Seed


def ablations_of(
    states: TaskStates, seeds: Sequence[Seed], spec: FairNetSpec, directory: RunDirectory
) -> list[dict[str, Any]]:
    return []


def stress_of(
    states: TaskStates, seeds: Sequence[Seed], spec: FairNetSpec, directory: RunDirectory
) -> list[dict[str, Any]]:
    return []
