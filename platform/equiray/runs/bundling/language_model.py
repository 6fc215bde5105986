"""An unlearned language model as a bundle; of a combined sweep with the classifier on its embeddings, too."""

from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from equiray.bundles.deciding import above
from equiray.bundles.manifest import (
    CLASSIFIER,
    SERIALIZER,
    UNLEARNING,
    DataSource,
    DecisionPart,
    FolderPart,
    LanguageModelPart,
    Manifest,
    OutputHashes,
    Parts,
    SerializerPart,
)
from equiray.bundles.serializers import serializer_document
from equiray.bundles.writing import Content, write_bundle
from equiray.data.schema import SPLITS, Task
from equiray.data.tasks.load import load_task
from equiray.errors import BadInput, reading_back
from equiray.mitigation.unlearning.adapters import RECORD
from equiray.models.loading import load_causal_lm
from equiray.models.token_counter import TokenCounter
from equiray.models.training.adapters import read_about
from equiray.runs.bundling.fairnet import check_inputs, hashes_of
from equiray.runs.bundling.of_sweep import Point
from equiray.runs.serializing import fit_serializer
from equiray.specs.run import RunSpec


def bundle_unlearned(point: Point, trial: Path, out: Path) -> Manifest:
    """Write a bundle of a point whose trial unlearned; `trial` is the folder that it left.

    Its base is float32: adapters are trained and measured so, and rounding to bfloat16 would blur small gaps.

    Raises
    ------
    BadInput
        The trial left no adapter, or `out` is not empty.
    Incomplete
        The disk is full or not writable.
    """
    folder = trial / "adapter"
    parts = Parts(base=_base(point, folder, "float32"), unlearning=FolderPart(folder=UNLEARNING))
    content = Content(parts=parts, folders={UNLEARNING: folder})
    return write_bundle(out, out.name, content, point.provenance())


def bundle_combined(point: Point, trial: Path, out: Path) -> Manifest:
    """Write a bundle of a point whose trial unlearned and then fitted a classifier to embeddings of the first task.

    The classifier is what `save_logistic` wrote beside the adapter, and the point's one threshold decides.

    Raises
    ------
    BadInput
        The trial left no adapter or no classifier, or the point has not one threshold, or the task or the language
        model is another here; or `out` is not empty.
    Incomplete
        The disk is full or not writable.
    """
    spec = point.spec
    assert isinstance(spec, RunSpec)
    if len(point.thresholds) != 1:
        problem = f"the point {point.id} has {len(point.thresholds)} thresholds, and one decides"
        raise BadInput(problem, place=str(point.directory), fix="repeat the sweep")
    base = _base(point, trial / "adapter", spec.language_model.dtype)
    (threshold,) = point.thresholds.values()
    task = load_task(spec.tasks[0], spec.seed)
    check_inputs(point.directory, {"data": task.source_sha256})
    parts = Parts(
        base=base,
        serializer=SerializerPart(file=SERIALIZER),
        unlearning=FolderPart(folder=UNLEARNING),
        classifier=FolderPart(folder=CLASSIFIER),
        decision=DecisionPart(threshold=threshold),
    )
    content = Content(
        parts=parts,
        folders={UNLEARNING: trial / "adapter", CLASSIFIER: trial / "classifier"},
        documents={SERIALIZER: _serializer(task, spec, base)},
    )
    rows = {split: len(task.split(split)) for split in SPLITS}
    data = DataSource(task=task.schema.name, source_sha256=task.source_sha256, rows=rows)
    known = {"data": (data,), "test_outputs": _test_outputs(point, threshold)}
    provenance = point.provenance().model_copy(update=known)
    return write_bundle(out, out.name, content, provenance)


def _base(point: Point, adapter: Path, dtype: Any) -> LanguageModelPart:
    """The model that the adapter says it was trained on."""
    spec, about = point.spec, read_about(adapter, RECORD)
    assert isinstance(spec, RunSpec)
    return LanguageModelPart(
        kind="language_model",
        source=spec.language_model.source,
        name=about["base_name"],
        identity=about["base_identity"],
        pooling=spec.language_model.pooling,
        dtype=dtype,
    )


def _serializer(task: Task, spec: RunSpec, base: LanguageModelPart) -> dict[str, Any]:
    """As an evaluation fits it."""
    lm = load_causal_lm(base.source, dtype=base.dtype)
    if lm.identity != base.identity:
        raise BadInput(
            f"{base.source!r} has other weights here ({lm.identity:.12}) than the trial started from "
            f"({base.identity:.12})",
            place="run.language_model.source",
            fix="put the former ones back",
        )
    return serializer_document(fit_serializer(task, spec, TokenCounter(tokenizer=lm.tokenizer)))


def _test_outputs(point: Point, threshold: float) -> OutputHashes | None:
    """Of what the sweep's last step read of test rows; None where nobody kept it."""
    file = point.said_of_test
    if not file.is_file():
        return None
    with reading_back(file, fix="repeat the sweep's command"):
        score = load_file(file)["score"]
        return hashes_of(score, above(score, threshold))
