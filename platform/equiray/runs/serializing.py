"""The serializer of a run, fitted to a task: every part of a run that writes a row as text writes the same text."""

from equiray.data.importance import feature_importance
from equiray.data.schema import Task
from equiray.data.text import CountTokens, Serializer
from equiray.specs.run import RunSpec


def fit_serializer(task: Task, run: RunSpec, count_tokens: CountTokens) -> Serializer:
    """Rank a task's features and measure its texts, as `run` asks.

    Raises
    ------
    BadInput
        As `feature_importance` and `Serializer.fit`.
    """
    return Serializer.fit(
        task,
        template=run.serialization.template,
        order=feature_importance(task, seed=run.seed).order,
        max_tokens=run.serialization.max_tokens,
        count_tokens=count_tokens,
    )
