"""The model type ``lora`` in a run: one classifier per task and stage, fine-tuned and asked about rows it never saw.

Stages differ in what is trained on (with CDA: the training rows and their twins) and in what is trained (after
unlearning: the unlearned model). Validation rows have no twins. Rows that were trained on are not asked about: each
would cost two prompts, and no figure is made of them.
"""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equiray.data.compute import pc
from equiray.data.schema import Task
from equiray.data.text import Serializer
from equiray.errors import BadInput
from equiray.models.classifiers import check_two_classes
from equiray.models.lora_classifier import LabelledPrompts, fine_tune
from equiray.models.token_counter import TokenCounter
from equiray.runs.context import RunContext
from equiray.specs.run import LoraClassifierSpec
from equiray.streaming.blocks import read_embeddings
from equiray.streaming.classifier import ClassifierRecipe
from equiray.streaming.embed import embed_source
from equiray.streaming.sources import TableSource

FOLDER = "fine_tuning"


def check_fine_tuning(task: Task) -> None:
    """Raise BadInput where a task's rows cannot train a classifier, before anything is computed."""
    place = f"task {task.schema.name!r}"
    check_two_classes(task.split("train")["label"].to_numpy(), place=place)
    if not len(task.split("validation")):
        fix = "take more rows, or check the column that splits them"
        raise BadInput("the validation split has no rows", place=place, fix=fix)


def asked_rows(task: Task) -> pa.Table:
    """Validation and test rows, in the order of the table."""
    return task.table.filter(pc.not_equal(task.table["split"], "train"))


def lora_scores(
    stage: str, task: Task, training: pa.Table, serializer: Serializer, *, unlearned: bool, run: RunContext
) -> NDArray[np.float64]:
    """Probability of the positive label of each of `asked_rows`; what an earlier run finished is kept.

    Parameters
    ----------
    stage : str
        Names the stage's files.
    task : Task
    training : pyarrow.Table
        Training rows, with their twins if the stage augments.
    serializer : Serializer
    unlearned : bool
        Whether the unlearned model is fine-tuned.
    run : RunContext
    """
    spec, name = run.spec.fine_tuning, f"{task.schema.name}.{stage}"
    lm = run.models.at(unlearned, spec.dtype)
    # the run's own counter would load the base model beside the unlearned one
    serializer = replace(serializer, count_tokens=TokenCounter(tokenizer=lm.tokenizer))
    people = _spread(task.split("train"), spec.train_rows, run.spec.seed)
    result = fine_tune(
        lm,
        _labelled(training.filter(pc.is_in(training["row_id"], value_set=people["row_id"])), serializer, spec),
        _labelled(_spread(task.split("validation"), spec.validation_rows, run.spec.seed), serializer, spec),
        spec,
        run.directory.path / FOLDER / name,
        people=len(people),
        seed=run.spec.seed,
        say=lambda line: run.directory.say(f"{name}: {line}"),
    )
    recipe = ClassifierRecipe(
        source=run.spec.language_model.source,
        model=run.models.identity,
        spec=spec,
        unlearning=run.models.adapters[0] if unlearned else None,
        adapter=result.adapter,
        question=serializer.prompts_of([])._replace(answered_in=spec.answered_in),
    )
    scored = embed_source(
        TableSource.of(asked_rows(task)),
        serializer,
        recipe,
        run.directory.path / "scores" / f"{task.schema.name}.lora.{stage}",
        run.spec.streaming,
        address=run.address,
        label=f"{name} scores",
        embedder=recipe.with_model(lm),
    )
    return read_embeddings(scored).vectors[:, 0].astype(np.float64)


def _labelled(rows: pa.Table, serializer: Serializer, spec: LoraClassifierSpec) -> LabelledPrompts:
    prompts = serializer.prompts(rows)._replace(answered_in=spec.answered_in)
    return LabelledPrompts(prompts, rows["label"].to_numpy().astype(np.int64))


def _spread(rows: pa.Table, most: int | None, seed: int) -> pa.Table:
    """At most so many rows, drawn within each label in proportion to it."""
    if most is None or most >= len(rows):
        return rows
    by_label = np.lexsort((np.random.default_rng(seed).random(len(rows)), rows["label"].to_numpy()))
    chosen = by_label[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]
    return rows.take(np.sort(chosen))


def fine_tuning_details(run: RunContext) -> list[dict[str, Any]]:
    """What the report says about each training, by task and stage; empty where nothing was fine-tuned."""
    found = []
    for file in sorted((run.directory.path / FOLDER).glob("*/result.json")):
        result = json.loads(file.read_text(encoding="utf-8"))
        task, stage = file.parent.name.rsplit(".", 1)
        kept = {key: result[key] for key in ("steps", "best_step", "stopped_by", "warnings", "before", "best")}
        label = "short run" if result["stopped_by"] == "time budget" else "full"
        found.append({"task": task, "stage": stage, "seconds": round(result["seconds"], 1), "label": label, **kept})
    return found
