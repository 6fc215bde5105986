"""`plan_sweep`: a sweep's inputs, read and checked before any trial starts, and the base's figures."""

from equiray.runs.directory import RunDirectory
from equiray.runs.search.kinds import Planned
from equiray.search.storage import Storage
from equiray.specs.sweep import SweepSpec


def plan_sweep(spec: SweepSpec, directory: RunDirectory, storage: Storage) -> Planned:
    """Read what the trials of a kind need; torch is imported here and not before.

    Raises
    ------
    BadInput
        As the runs of that kind do.
    """
    if spec.kind == "unlearning":
        from equiray.runs.search.unlearning_plan import plan_unlearning_sweep

        return plan_unlearning_sweep(spec, directory, storage)
    if spec.kind == "fairnet":
        from equiray.runs.search.fairnet_plan import plan_fairnet_sweep

        return plan_fairnet_sweep(spec, directory, storage)
    from equiray.runs.search.combined_plan import plan_combined_sweep

    return plan_combined_sweep(spec, directory, storage)
