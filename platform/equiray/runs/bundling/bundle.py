"""`bundle_directory`: whichever directory it is, what is picked of it becomes a bundle."""

from pathlib import Path

from equiray.bundles.manifest import Manifest
from equiray.bundles.writing import check_new
from equiray.errors import BadInput
from equiray.runs.bundling.chains import bundle_chains
from equiray.runs.bundling.fairnet import bundle_fairnet
from equiray.runs.bundling.of_run import training_of_run
from equiray.specs.documents import read_mapping


def bundle_directory(directory: Path, pick: str, out: Path) -> Manifest:
    """Bundle what `pick` names of a finished sweep, FairNet run, evaluation or run of chains.

    Raises
    ------
    BadInput
        The directory is none of them, or not finished, or has no such point; or `out` is not empty.
    Incomplete
        The disk is full or not writable.
    """
    check_new(out)
    file = directory / "spec.yaml"
    schema = read_mapping(file, "spec").get("schema")
    if schema == "equiray.fairnet/1":
        training = training_of_run(directory, pick)
        return bundle_fairnet(training.trained(), training, out)
    if schema == "equiray.chains/1":
        return bundle_chains(directory, pick, out)
    if schema == "equiray.sweep/1":
        from equiray.runs.bundling.language_model import bundle_combined, bundle_unlearned
        from equiray.runs.bundling.of_sweep import point_of_sweep  # fronts need the extra `search`, runs do not

        point = point_of_sweep(directory, pick)
        with point.trial_folder() as trial:
            if point.kind == "fairnet":
                return bundle_fairnet(point.trained(trial), point, out)
            return (bundle_unlearned if point.kind == "unlearning" else bundle_combined)(point, trial, out)
    if schema == "equiray.run/1":
        from equiray.runs.bundling.evaluation import bundle_evaluation

        return bundle_evaluation(directory, pick, out)
    raise BadInput(
        f"schema {schema!r}: nothing that can be bundled",
        place=str(file),
        fix="name the directory of a sweep, a FairNet run, an evaluation or a run of chains",
    )
