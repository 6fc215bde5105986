"""What a FairNet run will report, known before anything is trained: what a policy is held against."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from equiray.data.schema import MISSING_GROUP
from equiray.metrics.counting import Attribute, Columns, Layout, count_table
from equiray.metrics.estimation.records import figures_of
from equiray.runs.decisions import CLASSES, Reported
from equiray.runs.fairnet.planning import PlannedTask

_COLUMNS = Columns(label="label", prediction="label", score="score")


def reported(tasks: Iterable[PlannedTask]) -> frozenset[Reported]:
    """What results will hold, paired changes aside: what labels have, counted as if they were decisions.

    Raises
    ------
    BadInput
        An attribute's name, or a group's, is reserved, or there are too many groups.
    """
    return frozenset(each for task in tasks for each in _of_task(task))


def _of_task(task: PlannedTask) -> Iterable[Reported]:
    examples = task.examples
    single = task.single
    columns = {"label": pa.array(examples.label), "score": pa.array(examples.label.astype(np.float64))}
    for name, groups in single.items():
        columns[name] = pa.array(groups.tolist(), pa.string(), mask=groups == MISSING_GROUP)
    layout = Layout(attributes=tuple(Attribute(name=name) for name in single), classes=CLASSES, scores=True)
    counts = count_table(pa.table(columns), layout, _COLUMNS, model="labels", origin=f"task {task.name}")
    for attribute, figure in figures_of([counts.table(attribute) for attribute in examples.attributes]):
        yield Reported(figure.metric.id, attribute, attribute is not None and figure.metric.scope != "attribute")
