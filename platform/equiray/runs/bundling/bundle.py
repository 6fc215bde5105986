"""`bundle_directory`: whichever directory it is, what is picked of it becomes a bundle."""

from pathlib import Path

from equiray.bundles.manifest import Manifest
from equiray.errors import BadInput
from equiray.runs.bundling.fairnet import bundle_fairnet
from equiray.runs.bundling.of_run import trained_of_run
from equiray.specs.documents import read_mapping


def bundle_directory(directory: Path, pick: str, out: Path) -> Manifest:
    """Bundle what `pick` names of a finished sweep or FairNet run.

    Raises
    ------
    BadInput
        The directory is neither, or not finished, or has no such point; or `out` is not empty.
    Incomplete
        The disk is full or not writable.
    """
    file = directory / "spec.yaml"
    schema = read_mapping(file, "spec").get("schema")
    if schema == "equiray.fairnet/1":
        return bundle_fairnet(trained_of_run(directory, pick), out)
    raise BadInput(
        f"schema {schema!r}: nothing that can be bundled",
        place=str(file),
        fix="name the directory of a sweep, or of a FairNet run",
    )
