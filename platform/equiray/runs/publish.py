"""`publish`: what every finished directory gets beside its results, in the order in which one reads the other."""

from pathlib import Path

from equiray.reports import write_evidence, write_report
from equiray.reports.model_card import write_model_card
from equiray.runs.stored_spec import Spec, seeds_of


def publish(directory: Path, spec: Spec) -> None:
    """Write report and model card from the results, and last the evidence, which lists the hashes of both.

    Raises
    ------
    BadInput
        A file in the directory does not follow its contract.
    Incomplete
        There are no results yet, or a file cannot be written.
    """
    write_report(directory)
    write_model_card(directory)
    write_evidence(directory, seeds=seeds_of(spec), spec_sha256=spec.sha256())
