"""A logistic regression on disk: ``classifier.safetensors`` with its weights, ``classifier.json``; no pickle."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from equiray.errors import BadInput, reading_back, writing
from equiray.models.classifiers import Logistic

SCHEMA = "equiray.logistic/1"
ABOUT, WEIGHTS = "classifier.json", "classifier.safetensors"
_FIX = "fit it again, or copy the folder again"


def save_logistic(directory: Path, logistic: Logistic) -> None:
    """Write a logistic regression; its JSON file comes last, so a directory that has it is complete.

    Raises
    ------
    Incomplete
        The disk is full or not writable.
    """
    document = {
        "schema": SCHEMA,
        "columns": len(logistic.weights),
        "l2": logistic.l2,
        "validation_accuracy": logistic.validation_accuracy,
    }
    with writing(directory / ABOUT):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / ABOUT).unlink(missing_ok=True)
        save_file(
            {"weights": np.ascontiguousarray(logistic.weights), "intercept": np.array([logistic.intercept])},
            directory / WEIGHTS,
        )
        (directory / ABOUT).write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")


def load_logistic(directory: Path) -> Logistic:
    """Read what `save_logistic` wrote.

    Raises
    ------
    BadInput
        None there, a torn one, or one with weights that are not finite.
    """
    if not (directory / ABOUT).is_file():
        raise BadInput("no classifier here", place=str(directory / ABOUT), fix="name the folder that it was saved in")
    with reading_back(directory / ABOUT, fix=_FIX):
        document = json.loads((directory / ABOUT).read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise BadInput(f"schema {document['schema']!r} is not {SCHEMA}", place=str(directory / ABOUT), fix=_FIX)
        about = {name: float(document[name]) for name in ("l2", "validation_accuracy")}
        columns = document["columns"]
    with reading_back(directory / WEIGHTS, fix=_FIX):
        stored = load_file(directory / WEIGHTS)
        weights, intercept = stored["weights"], float(stored["intercept"][0])
        if weights.shape != (columns,) or weights.dtype != np.float64:
            raise ValueError(f"{weights.dtype} weights of shape {weights.shape}, {ABOUT} says {columns}")
        if not (np.isfinite(weights).all() and np.isfinite(intercept)):
            raise ValueError("weights that are not finite")
    return Logistic(weights=weights, intercept=intercept, **about)
