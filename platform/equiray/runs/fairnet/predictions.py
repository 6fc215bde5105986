"""Decisions of every method and seed as the Parquet files that a run's are, so that `compare` and `gate` read them."""

import numpy as np
import pyarrow as pa

from equiray.data.compute import pc
from equiray.data.schema import MISSING_GROUP
from equiray.models.classifiers import THRESHOLD
from equiray.policies import Subject
from equiray.runs.fairnet.methods import scores
from equiray.runs.fairnet.planning import PlannedTask
from equiray.runs.fairnet.seed import EVALUATED, Seed


def model_name(backbone: str, seed: int) -> str:
    """How results call a training; dots would part a file's name."""
    return f"{backbone.replace('.', '-').replace('/', '-')}_seed{seed}"


def predicted(seed: Seed, method: str) -> pa.Table:
    """Validation and test rows decided by a method; what is on disk already is read."""
    subject = subject_of(seed, method)
    name = f"predictions/{subject.task}.{subject.model}.{subject.stage}.parquet"
    table = seed.directory.read_table(name)
    if table is None:
        table = _table(seed.planned, subject, scores(seed, method))
        seed.directory.write_table(name, table)
    return table


def subject_of(seed: Seed, method: str) -> Subject:
    """What results call a method of a training: the method is the stage."""
    return Subject(seed.planned.name, method, model_name(seed.backbone.name, seed.seed))


def of_split(table: pa.Table, split: str) -> pa.Table:
    """The rows of one split."""
    return table.filter(pc.equal(table["split"], split))


def right(table: pa.Table) -> np.ndarray:
    """Whether each row is decided as labelled, bool [N]."""
    return table["prediction"].to_numpy() == table["label"].to_numpy()


def _table(planned: PlannedTask, subject: Subject, found: dict[str, np.ndarray]) -> pa.Table:
    examples = planned.examples
    rows = np.concatenate([planned.rows(split) for split in EVALUATED])
    score = np.concatenate([found[split] for split in EVALUATED])
    columns = {
        "row_id": pa.array(examples.row_id[rows]),
        "split": pa.array(examples.split[rows].tolist()),
        "stage": pa.array([subject.stage] * len(rows)),
        "model": pa.array([subject.model] * len(rows)),
        "label": pa.array(examples.label[rows]),
        "score": pa.array(score),
        "prediction": pa.array((score > THRESHOLD).astype(np.int8)),
        "outcome": pa.array(["answered"] * len(rows)),
    }
    for attribute, groups in planned.single.items():
        named = groups[rows].tolist()
        columns[attribute] = pa.array([None if name == MISSING_GROUP else name for name in named], pa.string())
    return pa.table(columns)
