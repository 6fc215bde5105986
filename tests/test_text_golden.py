"""How the built-in tasks read: three test rows in each template, kept as files for people to read.

After a wanted change of wording: PYTHONPATH=platform python tests/test_text_golden.py
"""

from pathlib import Path
from typing import get_args

import pytest

from equiray.data.importance import feature_importance
from equiray.data.schema import Task
from equiray.data.tasks.load import load_task
from equiray.data.text import Serializer
from equiray.data.wording import Template
from equiray.specs.run import TaskSpec

GOLDEN = Path(__file__).parent / "golden"
TASKS = ("german", "adult", "compas", "acs")


def _words(texts):
    return [len(text.split()) for text in texts]


def _rendered(task: Task) -> str:
    order = feature_importance(task, seed=0).order
    rows = task.split("test").slice(0, 3)
    parts = []
    for template in get_args(Template):
        serializer = Serializer.fit(task, template=template, order=order, max_tokens=512, count_tokens=_words)
        assert serializer.dropped == ()
        prompts = serializer.prompts(rows)
        parts += [f"== {template}, a whole prompt", prompts.task_prefix + prompts.row_bodies[0] + prompts.suffix]
        parts += [
            f"== {template}, row {row}\n{text}" for row, text in zip(rows["row_id"], prompts.row_bodies, strict=True)
        ]
    return "\n".join(parts) + "\n"


@pytest.mark.parametrize("name", TASKS)
def test_built_in_tasks_read_as_in_their_golden_file(name, request):
    if name == "acs":
        request.getfixturevalue("mirror")
    written = (GOLDEN / f"text_{name}.txt").read_text(encoding="utf-8")
    assert _rendered(load_task(TaskSpec(name=name), seed=0)) == written


if __name__ == "__main__":
    for name in TASKS:
        (GOLDEN / f"text_{name}.txt").write_text(_rendered(load_task(TaskSpec(name=name), seed=0)), encoding="utf-8")
