"""Decisions about the rows of a task, for every stage and model type, as Parquet files of a run directory.

Row by row: ``row_id``, ``split``, ``stage``, ``model``, ``label``, ``score`` (probability of the positive label),
``prediction`` (score > .5), ``outcome`` (``answered``; ``refused`` or ``unparsed`` where an endpoint gave no answer, or
none that can be read: score and prediction are null there) and one column per sensitive attribute.
Counterfactual twins are trained on and never predicted here: validation and test hold people as they are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equiray.data.compute import pc
from equiray.data.counterfactuals import COUNTERFACTUAL
from equiray.data.schema import ATTRIBUTE_PREFIX, Schema, Task
from equiray.data.text import Serializer
from equiray.errors import BadInput
from equiray.mitigation.cda import Augmented, augment
from equiray.models.answers import Answers
from equiray.models.classifiers import THRESHOLD, Logistic, fit_embedding_classifier, fit_raw_classifier
from equiray.runs.context import RunContext
from equiray.runs.fine_tuning import asked_rows, lora_scores
from equiray.runs.prompting import prompt_answers
from equiray.specs.run import RunSpec, Stage, TaskSpec
from equiray.streaming.blocks import read_embeddings
from equiray.streaming.embed import embed_table

UNAWARE = "raw_unaware"
"""Logistic regression without the flipped attributes' own columns: what CDA on raw columns amounts to."""


class Cell(NamedTuple):
    """One model in one stage."""

    model: str
    stage: Stage


def cells(spec: RunSpec) -> Iterator[Cell]:
    """Every model and stage of a run, in table order.

    Unlearning changes the language model alone, so models on raw columns have no such stage.
    """
    for model in spec.models:
        for stage in spec.stages:
            if model != "raw" or not unlearns(stage):
                yield Cell(model, stage)
        if model == "raw" and any(augments(stage) for stage in spec.stages):
            yield Cell(UNAWARE, "baseline")


def unlearns(stage: Stage) -> bool:
    """Whether a stage runs on the unlearned model."""
    return stage in ("unlearning", "cda_unlearning")


def augments(stage: Stage) -> bool:
    """Whether a stage trains on counterfactual twins."""
    return stage in ("cda", "cda_unlearning")


@dataclass(frozen=True, kw_only=True)
class PreparedTask:
    """A task ready for every model.

    `flipped` and `augmented` are empty and None where no stage augments, `serializer` is None where no model reads
    text.
    """

    spec: TaskSpec
    task: Task
    flipped: tuple[str, ...]
    augmented: Augmented | None
    serializer: Serializer | None

    @property
    def schema(self) -> Schema:
        return self.task.schema

    @property
    def with_twins(self) -> pa.Table:
        """All rows and the twins of training rows: training first, each original followed by its own twins."""
        if self.augmented is None:
            return self.task.table.append_column(COUNTERFACTUAL, pa.nulls(len(self.task.table), pa.string()))
        others = self.task.table.filter(pc.not_equal(self.task.table["split"], "train"))
        nobody = pa.nulls(len(others), pa.string())
        return pa.concat_tables([self.augmented.table, others.append_column(COUNTERFACTUAL, nobody)])


def prepare_twins(spec: TaskSpec, task: Task, stages: Sequence[Stage]) -> tuple[tuple[str, ...], Augmented | None]:
    """The attributes that CDA flips (default: the first declared flip) and the augmented training split.

    Raises
    ------
    BadInput
        A stage augments, and the schema declares no flip, or not those that the spec names.
    """
    if not any(augments(stage) for stage in stages):
        return (), None
    flipped = spec.flip or tuple(flip.attribute for flip in task.schema.flips[:1])
    if not flipped:
        fix = "declare a flip in the table's schema, or leave the cda stages out"
        raise BadInput("no counterfactual flip is declared", place=f"task {spec.name}", fix=fix)
    return flipped, augment(task.split("train"), task.schema, flipped)


def predict_task(prepared: PreparedTask, run: RunContext) -> None:
    """Write the predictions of every model and stage that are not there yet."""
    for cell in cells(run.spec):
        name = predictions_file(prepared.schema.name, cell)
        if run.directory.read_table(name) is None:
            with run.directory.step(f"{prepared.schema.name}: {cell.model}, {cell.stage}"):
                answers = _answers(cell, prepared, run)
                run.directory.write_table(name, _predictions_table(prepared, cell, answers))


def predictions_file(task: str, cell: Cell) -> str:
    """Path of a cell's predictions in the run directory."""
    return f"predictions/{task}.{cell.model}.{cell.stage}.parquet"


def _answers(cell: Cell, prepared: PreparedTask, run: RunContext) -> Answers:
    """Decisions about every row that the cell decides about (`_decided_rows`), in order."""
    if cell.model in ("raw", UNAWARE):
        return Answers.complete(_raw_scores(cell, prepared))
    if cell.model == "embedding":
        return Answers.complete(_embedding_scores(cell, prepared, run))
    if cell.model == "lora":
        return Answers.complete(_lora_scores(cell, prepared, run))
    assert prepared.serializer is not None
    flipped = prepared.flipped if augments(cell.stage) else None
    lm = run.spec.language_model
    asked = lm if lm.is_endpoint else run.models.at(unlearns(cell.stage))
    return prompt_answers(_decided_rows(cell, prepared), flipped, prepared.serializer, asked, run.directory)


def _decided_rows(cell: Cell, prepared: PreparedTask) -> pa.Table:
    """All rows where they are cheap; where each costs prompts, those that somebody reads.

    That is the test split for a prompt model, which learns nothing from the others, and validation rows, too, for a
    fine-tuned one: frontiers are chosen on them.
    """
    if cell.model == "prompt":
        return prepared.task.split("test")
    return asked_rows(prepared.task) if cell.model == "lora" else prepared.task.table


def _training_rows(cell: Cell, prepared: PreparedTask) -> pa.Table:
    if not augments(cell.stage):
        return prepared.task.split("train")
    assert prepared.augmented is not None
    return prepared.augmented.table


def _raw_scores(cell: Cell, prepared: PreparedTask) -> NDArray[np.float64]:
    schema, task = prepared.schema, prepared.task
    own = {a.name: a.column for a in schema.sensitive}
    drop = tuple(own[name] for name in prepared.flipped) if cell.model == UNAWARE else ()
    train = _training_rows(cell, prepared)
    return fit_raw_classifier(train, task.split("validation"), schema, drop=drop).probabilities(task.table)


def _lora_scores(cell: Cell, prepared: PreparedTask, run: RunContext) -> NDArray[np.float64]:
    assert prepared.serializer is not None
    return lora_scores(
        cell.stage,
        prepared.task,
        _training_rows(cell, prepared),
        prepared.serializer,
        unlearned=unlearns(cell.stage),
        run=run,
    )


def _embedding_scores(cell: Cell, prepared: PreparedTask, run: RunContext) -> NDArray[np.float64]:
    vectors = _embeddings(unlearns(cell.stage), prepared, prepared.with_twins, run)
    return classify_embeddings(cell.stage, prepared, vectors)[1]


def classify_embeddings(
    stage: Stage, prepared: PreparedTask, vectors: NDArray[np.float32]
) -> tuple[Logistic, NDArray[np.float64]]:
    """The classifier of a stage and its scores of all rows of the task, in order.

    Parameters
    ----------
    stage : str
    prepared : PreparedTask
    vectors : float32 [rows of `with_twins`, hidden]
    """
    table = prepared.with_twins
    split = np.array(table["split"].to_pylist())
    label = table["label"].to_numpy()
    original = table[COUNTERFACTUAL].is_null().to_numpy()
    train = (split == "train") & (original | augments(stage))
    validation = split == "validation"
    classifier = fit_embedding_classifier(vectors[train], label[train], vectors[validation], label[validation])
    scores = classifier.probabilities(vectors[original])
    place = {row_id: position for position, row_id in enumerate(table["row_id"].to_numpy()[original].tolist())}
    return classifier, scores[[place[row_id] for row_id in prepared.task.table["row_id"].to_pylist()]]


def embeddings_name(task: str, unlearned: bool) -> str:
    """Of the folder in ``embeddings/`` with a task's rows, by the model that came or by the unlearned one."""
    return f"{task}.{'unlearned' if unlearned else 'base'}"


def _embeddings(unlearned: bool, prepared: PreparedTask, table: pa.Table, run: RunContext) -> NDArray[np.float32]:
    """Embeddings [rows of `table`, hidden]; finished blocks of an earlier run are kept."""
    assert prepared.serializer is not None
    name = embeddings_name(prepared.schema.name, unlearned)
    embedded = embed_table(
        table,
        prepared.serializer,
        run.spec.language_model,
        run.models.adapters[0] if unlearned else None,
        run.directory.path / "embeddings" / name,
        run.spec.streaming,
        address=run.address,
        lm=run.models.base(),
        label=name,
    )
    row_ids, _, vectors = read_embeddings(embedded)
    assert np.array_equal(row_ids, table["row_id"].to_numpy()), "embeddings keep the order of their table"
    return vectors


def _predictions_table(prepared: PreparedTask, cell: Cell, answers: Answers) -> pa.Table:
    table, scores = _decided_rows(cell, prepared), answers.probabilities
    unanswered = np.isnan(scores)
    columns = {
        "row_id": table["row_id"],
        "split": table["split"].cast(pa.string()),
        "stage": pa.array([cell.stage] * len(table)),
        "model": pa.array([cell.model] * len(table)),
        "label": table["label"],
        "score": pa.array(scores, mask=unanswered),
        "prediction": pa.array((scores > THRESHOLD).astype(np.int8), mask=unanswered),
        "outcome": pa.array(answers.outcomes),
    }
    columns |= {a.name: table[ATTRIBUTE_PREFIX + a.name] for a in prepared.schema.sensitive}
    return pa.table(columns)
