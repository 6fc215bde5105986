"""A classifier on embeddings of an evaluation run: the language model, unlearned or not, with what decides about rows.

Notable: a run keeps what it embedded and what it decided, not the regression between them. That is fitted again, to the
same embeddings in the same way, and refused where it does not say of every row what the run said.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

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
    Parts,
    Provenance,
    SerializerPart,
)
from equiray.bundles.serializers import serializer_document
from equiray.bundles.writing import Content, write_bundle
from equiray.data.schema import SPLITS
from equiray.data.tasks.load import load_task
from equiray.errors import BadInput, reading_back
from equiray.metrics.estimates import Estimate
from equiray.models.classifiers import THRESHOLD, Logistic
from equiray.models.loading import load_causal_lm
from equiray.models.logistic_store import save_logistic
from equiray.models.token_counter import TokenCounter
from equiray.runs.bundling.fairnet import check_inputs, hashes_of, versions
from equiray.runs.predictions import (
    Cell,
    PreparedTask,
    classify_embeddings,
    embeddings_name,
    predictions_file,
    prepare_twins,
    unlearns,
)
from equiray.runs.results_document import RESULTS
from equiray.runs.serializing import fit_serializer
from equiray.specs.run import RunSpec, Stage, TaskSpec, load_run_spec
from equiray.streaming.blocks import read_embeddings

_MODEL = "embedding"
_PICK = re.compile(rf"(?:(?P<task>.+)\.)?{_MODEL}\.(?P<stage>[a-z_]+)")
_SAME = 1e-9  # in probability: the same sums, added in another order on another processor


@dataclass(frozen=True, kw_only=True)
class Decided:
    """One stage's classifier on embeddings of one task; `pick` is what it was asked for by."""

    directory: Path
    spec: RunSpec
    task: TaskSpec
    stage: Stage
    pick: str

    @property
    def name(self) -> str:
        return f"{self.task.name}.{_MODEL}.{self.stage}"


def bundle_evaluation(directory: Path, pick: str, out: Path) -> Manifest:
    """Write a bundle of what ``embedding.cda`` or, where a run has several tasks, ``german.embedding.cda`` names.

    Raises
    ------
    BadInput
        The run is not finished, or has no such classifier, or its data or language model is another here; or `out` is
        not empty.
    Incomplete
        The disk is full or not writable.
    """
    decided = _picked(directory, pick)
    spec, task = decided.spec, load_task(decided.task, decided.spec.seed)
    lm = load_causal_lm(spec.language_model.source, dtype=spec.language_model.dtype)
    schema = task.schema.name
    check_inputs(directory, {f"task {decided.task.name}": task.source_sha256, "language model": lm.identity})
    serializer = fit_serializer(task, spec, TokenCounter(tokenizer=lm.tokenizer))
    flipped, augmented = prepare_twins(decided.task, task, spec.stages)
    prepared = PreparedTask(spec=decided.task, task=task, flipped=flipped, augmented=augmented, serializer=serializer)
    logistic, scores = classify_embeddings(decided.stage, prepared, _vectors(decided, prepared))
    _check_scores(decided, schema, scores)

    test = np.array(task.table["split"].to_pylist()) == "test"
    unlearned = unlearns(decided.stage)
    parts = Parts(
        base=LanguageModelPart(
            kind="language_model",
            source=spec.language_model.source,
            name=lm.name,
            identity=lm.identity,
            pooling=spec.language_model.pooling,
            dtype=spec.language_model.dtype,
        ),
        serializer=SerializerPart(file=SERIALIZER),
        unlearning=FolderPart(folder=UNLEARNING) if unlearned else None,
        classifier=FolderPart(folder=CLASSIFIER),
        decision=DecisionPart(threshold=THRESHOLD),
    )
    provenance = Provenance(
        origin="run",
        name=spec.name,
        point=decided.name,
        pick=pick,
        spec_sha256=spec.sha256(),
        spec=spec.model_dump(mode="json", by_alias=True),
        data=(
            DataSource(
                task=schema,
                source_sha256=task.source_sha256,
                rows={split: len(task.split(split)) for split in SPLITS},
            ),
        ),
        test=_estimates(decided, schema),
        test_outputs=hashes_of(scores[test], above(scores[test], THRESHOLD)),
        versions=versions(),
    )
    return _write(decided, logistic, parts, provenance, serializer_document(serializer), out)


def _write(
    decided: Decided, logistic: Logistic, parts: Parts, provenance: Provenance, serializer: object, out: Path
) -> Manifest:
    with TemporaryDirectory(prefix="equiray-") as scratch:
        folders = {CLASSIFIER: Path(scratch) / CLASSIFIER}
        save_logistic(folders[CLASSIFIER], logistic)
        if parts.unlearning is not None:
            folders[UNLEARNING] = decided.directory / "unlearning" / "fold0" / "adapter"
        content = Content(parts=parts, folders=folders, documents={SERIALIZER: serializer})
        return write_bundle(out, out.name, content, provenance)


def _picked(directory: Path, pick: str) -> Decided:
    spec = load_run_spec(directory / "spec.yaml")
    known = [f"{task.name}.{_MODEL}.{stage}" for task in spec.tasks for stage in spec.stages if _MODEL in spec.models]
    found = _PICK.fullmatch(pick)
    tasks = [task for task in spec.tasks if found and found["task"] in (None, task.name)]
    if found is None or len(tasks) != 1 or f"{tasks[0].name}.{_MODEL}.{found['stage']}" not in known:
        fix = f"pick one of: {', '.join(known)}" if known else "name a run with `models: [embedding]`"
        raise BadInput(f"{pick!r} names no classifier on embeddings of this run", place=str(directory), fix=fix)
    if not (directory / RESULTS).is_file():
        raise BadInput("the run is not finished", place=str(directory), fix="repeat its command")
    stage: Stage = spec.stages[[str(stage) for stage in spec.stages].index(found["stage"])]
    return Decided(directory=directory, spec=spec, task=tasks[0], stage=stage, pick=pick)


def _vectors(decided: Decided, prepared: PreparedTask) -> NDArray[np.float32]:
    """What the run embedded, of the rows that it is fitted to again."""
    folder = decided.directory / "embeddings" / embeddings_name(prepared.schema.name, unlearns(decided.stage))
    with reading_back(folder, fix="repeat the run's command: what is missing is computed again"):
        row_ids, _, vectors = read_embeddings(folder)
    if not np.array_equal(row_ids, prepared.with_twins["row_id"].to_numpy()):
        raise BadInput("embeddings of other rows", place=str(folder), fix="repeat the run in a new directory")
    return vectors


def _check_scores(decided: Decided, schema: str, scores: NDArray[np.float64]) -> None:
    file = decided.directory / predictions_file(schema, Cell(_MODEL, decided.stage))
    with reading_back(file, fix="repeat the run's command: what is missing is computed again"):
        before = pq.read_table(file)["score"].to_numpy()
    if before.shape != scores.shape or not np.allclose(before, scores, rtol=0, atol=_SAME):
        fix = "repeat the run in a new directory"
        raise BadInput("the classifier, fitted again, does not say what the run said", place=str(file), fix=fix)


def _estimates(decided: Decided, schema: str) -> tuple[Estimate, ...]:
    with reading_back(decided.directory / RESULTS, fix="repeat the run in a new directory"):
        found = json.loads((decided.directory / RESULTS).read_text(encoding="utf-8"))["estimates"]
        own = (schema, decided.stage, _MODEL)
        return tuple(Estimate(**each) for each in found if (each["task"], each["stage"], each["model"]) == own)
