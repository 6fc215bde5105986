"""`replay`: whether a bundle puts out for the test rows what its run did, bit by bit."""

from typing import NamedTuple

from equiray.bundles.bundle import Bundle
from equiray.bundles.deciding import Decisions, GatedDecider
from equiray.bundles.manifest import MANIFEST, DataSource, OutputHashes
from equiray.data.tasks.load import load_task
from equiray.errors import BadInput
from equiray.models.token_counter import TokenCounter
from equiray.runs.bundling.fairnet import hashes_of
from equiray.runs.fairnet.planning import plan_task
from equiray.specs.fairnet import FairNetSpec
from equiray.specs.run import RunSpec


class Replay(NamedTuple):
    """Hashes of a run's outputs for test rows, and of the bundle's now."""

    recorded: OutputHashes
    found: OutputHashes

    @property
    def same_outputs(self) -> bool:
        """Whether every probability is the same, to its last bit; then so is every figure."""
        return self.recorded == self.found

    @property
    def same_decisions(self) -> bool:
        """Whether every row is decided alike; then so is every figure of decisions."""
        return self.recorded.decision_sha256 == self.found.decision_sha256 and self.recorded.rows == self.found.rows


def replay(bundle: Bundle) -> Replay:
    """Decide the test rows again, in the company that they had.

    Raises
    ------
    BadInput
        The bundle decides nothing, or records no outputs; or its data is not here, or another.
    """
    recorded = bundle.manifest.provenance.test_outputs
    if bundle.decider is None or recorded is None:
        raise BadInput(
            "the bundle records no outputs for test rows",
            place=str(bundle.path),
            fix="replay one that was made of a FairNet run with its `outcomes`, or of a sweep that decides",
        )
    decided = _gated(bundle, bundle.decider) if isinstance(bundle.decider, GatedDecider) else _by_score(bundle)
    return Replay(recorded, hashes_of(decided.probability, decided.positive))


def _gated(bundle: Bundle, decider: GatedDecider) -> Decisions:
    """Of a FairNet: the frozen layers of all rows that were used run together."""
    provenance = bundle.manifest.provenance
    spec, (data,) = FairNetSpec.model_validate(provenance.spec), provenance.data
    task = next(each for each in spec.tasks if each.name == data.task)
    tokenizer = decider.fairnet.classifier.backbone.tokenizer
    assert tokenizer is not None, "bundles are of models that read texts"
    planned = plan_task(task, spec, TokenCounter(tokenizer=tokenizer))
    _check_rows(bundle, data, planned.examples.source_sha256)
    test = planned.rows("test")
    if planned.table is not None:
        return bundle.decide(planned.table.rows(planned.examples.row_id), only=test)
    return bundle.decide_texts([str(text) for text in planned.examples.inputs], only=test)


def _by_score(bundle: Bundle) -> Decisions:
    """Of a classifier on embeddings: test rows run by themselves."""
    provenance = bundle.manifest.provenance
    spec, (data,) = RunSpec.model_validate(provenance.spec), provenance.data
    # a sweep has one task that decides, its first; an evaluation's bundle names its own
    named = [task for task in spec.tasks if provenance.point.startswith(f"{task.name}.")]
    task = load_task((named or spec.tasks)[0], spec.seed)
    _check_rows(bundle, data, task.source_sha256)
    return bundle.decide(task.split("test"))


def _check_rows(bundle: Bundle, data: DataSource, found: str) -> None:
    if found != data.source_sha256:
        raise BadInput(
            f"task {data.task} has other rows here ({found:.12}) than the training had ({data.source_sha256:.12})",
            place=f"{bundle.path / MANIFEST}, provenance.data",
            fix="put the former ones back",
        )
